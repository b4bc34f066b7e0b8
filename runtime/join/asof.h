#pragma once
// The point-in-time join: for each spine row the greatest feature row, by (event time, created
// time, arrival), among those of its key that are visible at its time.
//
// The big side streams. The spine is grouped by key with its times sorted inside each key; every
// feature row then goes to the one place where it first becomes visible:
//
//      spine times of key k     10        20        30        40
//      feature at 17                  └──▶ slot      (visible from 20 on)
//
// A slot keeps the greatest row that arrived there; when the stream has ended, a running maximum
// along each key gives every spine row its winner. Feature rows come in any order and any amount,
// no sort of the feature side is needed, and memory is proportional to the spine.
//
// A row is visible from its event time on, and where creation counts (as_known, delay) not before
// it is known: at its created time, or `event + delay` when it has none.
//
// The result is a maximum, so it does not depend on the order of the rows, the size of the blocks,
// or on how they were dealt out to threads, as long as each row keeps its arrival.

#include "base/clock.h"
#include "data/row.h"
#include "join/keys.h"
#include "join/spine.h"

typedef struct {
  int64_t ttl;         // microseconds; 0: unlimited
  int64_t delay;       // microseconds; used when known_matters
  bool strict;         // event < t instead of <=
  bool known_matters;  // the view is as_known or has a delay
  bool drop_expired;   // rows too old for every spine row are not looked at: cheaper, and their
                       // OUTSIDE_MAX_AGE becomes NOT_FOUND. For callers that show no statuses
  Time as_of_created;  // rows known after it are ignored; TIME_MAX: no limit. A row without a
                       // created time is known at event + delay; without a delay it always counts
} AsofRule;

// A block of feature rows; arrays of `count`.
typedef struct {
  size_t count;
  const uint32_t *keys;       // numbers in the spine's KeySet, KEY_NONE: skip
  const Time *event_times;    // TIME_NULL: skip
  const Time *created_times;  // TIME_NULL: none; NULL: the source has no such column
  const uint8_t *deleted;     // 1: tombstone; NULL: the source has no such column
  uint64_t first_arrival;     // of row 0; the others count up. Below 2^63
} AsofBlock;

typedef struct AsofSlots AsofSlots;  // one per view of a call (and per thread)

AsofSlots *asof_new(const Spine *spine, AsofRule rule);  // borrows the spine, up to asof_free
void asof_free(AsofSlots *slots);
void asof_add(AsofSlots *slots, const AsofBlock *block);

// What a spine row gets. A winner that is too old or a tombstone gives its event time, not its
// arrival; age is judged first, so a tombstone out of age is OUTSIDE_MAX_AGE.
typedef struct {
  uint64_t *arrivals;  // winner's arrival, ASOF_NONE without one (status is not PRESENT)
  Time *event_times;   // the winner's, TIME_NULL without one; NULL: not wanted
  uint8_t *statuses;   // STATUS_PRESENT, NOT_FOUND, OUTSIDE_MAX_AGE, DELETED; NULL: not wanted
  uint64_t counts[STATUS_ERROR + 1];  // spine rows of each status
} AsofMatches;                        // arrays of spine.rows, the caller's

#define ASOF_NONE UINT64_MAX

// What the rows of all sets of slots (of one spine and rule, at least one) come to. May be called
// again after more rows were added: the slots themselves are not changed.
void asof_finish(AsofSlots *const *sets, size_t count, unsigned threads, AsofMatches *matches);

// The event times outside which no feature row can give a value: [oldest spine time - ttl, newest
// spine time]. Rows above change nothing; rows below only make OUTSIDE_MAX_AGE of a NOT_FOUND. With
// no spine row that takes part it is empty: oldest > newest.
void asof_bounds(const Spine *spine, AsofRule rule, Time *oldest, Time *newest);
