#pragma once
// The point-in-time join: for each spine row the greatest feature row, by (event time, created time,
// arrival), among those of its key that are visible at its time.
//
// The big side streams. The spine is grouped by key with its times sorted inside each key; every
// feature row then goes to the one place where it first becomes visible:
//
//      spine times of key k     10        20        30        40
//      feature at 17                  └──▶ slot      (visible from 20 on)
//
// A slot keeps the greatest row that arrived there; when the stream has ended, a running maximum
// along each key gives every spine row its winner. Feature rows come in any order and any amount, no
// sort of the feature side is needed, and memory is proportional to the spine.
//
// A row is visible from its event time on, and where creation counts (as_known, delay) not before it
// is known: at its created time, or `event + delay` when it has none.

#include "base/clock.h"
#include "data/row.h"
#include "join/keys.h"

// The spine side, shared by every view that joins on the same key columns. Built once.
typedef struct {
  size_t rows;         // spine rows
  size_t keys;         // groups
  uint32_t *starts;    // keys + 1 offsets into times and order
  Time *times;         // per group ascending; rows with a null key or time are left out
  uint32_t *order;     // spine row of each place
} Spine;

// `numbers` are the rows' key numbers (KEY_NONE: null key), `times` may hold TIME_NULL.
bool spine_init(Spine *spine, const uint32_t *numbers, size_t key_count, const Time *times,
                size_t rows);
void spine_deinit(Spine *spine);

typedef struct {
  int64_t ttl;          // microseconds; 0: unlimited
  int64_t delay;        // microseconds; used when known_matters
  bool strict;          // event < t instead of <=
  bool known_matters;   // the view is as_known or has a delay
  Time as_of_created;   // rows known after it are ignored; TIME_MAX: no limit
} AsofRule;

// A block of feature rows; arrays of `count`.
typedef struct {
  size_t count;
  const uint32_t *keys;        // numbers in the spine's KeySet, KEY_NONE: skip
  const Time *event_times;     // TIME_NULL: skip
  const Time *created_times;   // TIME_NULL: none; NULL: the source has no such column
  const uint8_t *deleted;      // 1: tombstone; NULL: the source has no such column
  uint64_t first_arrival;      // of row 0; the others count up
} AsofBlock;

typedef struct AsofSlots AsofSlots;  // one per view of a call (and per thread)

AsofSlots *asof_new(const Spine *spine, AsofRule rule);
void asof_free(AsofSlots *slots);
void asof_add(AsofSlots *slots, const AsofBlock *block);
// Takes the greater of each place of two sets of slots over the same spine.
void asof_merge(AsofSlots *into, const AsofSlots *from);

// What a spine row gets.
typedef struct {
  uint64_t *arrivals;    // winner's arrival, ASOF_NONE without one (status is not PRESENT)
  Time *event_times;     // the winner's, TIME_NULL without one
  uint8_t *statuses;     // STATUS_PRESENT, NOT_FOUND, OUTSIDE_MAX_AGE, DELETED
} AsofMatches;           // arrays of spine.rows, the caller's

#define ASOF_NONE UINT64_MAX

void asof_finish(AsofSlots *slots, AsofMatches *matches);

// The bounds outside which no feature row can matter: [oldest spine time - ttl, newest spine time].
void asof_bounds(const Spine *spine, AsofRule rule, Time *oldest, Time *newest);
