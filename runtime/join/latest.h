#pragma once
// The newest row per key of a stream, by (event time, created time, arrival): what materialize puts
// online. The table grows with the keys, not with the rows.

#include "base/clock.h"
#include "join/keys.h"

typedef struct {
  Time start;  // event times in [start, end) take part,
  Time end;
  Time created_from;   // and earlier ones that were created then or later; TIME_MAX: none;
                       // TIME_NULL: all that have a created time
  bool known_matters;  // a row has its place in time where it was known, if that is later than its
  int64_t delay;       // event: at its created time, or the event time + delay without one. It must
                       // not hide an older row that is all there is to know until then.
  bool strict;         // bound '<': at T only events before T count, but all that is known at T
} LatestRule;

typedef struct {
  uint64_t read;       // rows seen
  uint64_t inside;     // rows that took part
  uint64_t late;       // of these, the ones below start
  uint64_t null_key;   // rejected, whatever the time
  uint64_t null_time;  // rejected; the key was there
  Time created_to;     // greatest created time of all rows with event time below end, whatever
                       // their key; TIME_NULL when there was none
} LatestCounts;

typedef struct {
  Time event_time;
  Time created_time;
  uint64_t arrival;
  bool deleted;
} LatestRow;

typedef struct Latest Latest;

Latest *latest_new(LatestRule rule);
void latest_free(Latest *latest);

// Arrays as AsofBlock has them; `keys` are numbers of a KeySet that grows (key_set_add).
void latest_add(Latest *latest, size_t count, const uint32_t *keys, const Time *event_times,
                const Time *created_times, const uint8_t *deleted, uint64_t first_arrival);

size_t latest_count(const Latest *latest);  // one more than the greatest key that took part
// The winner of a key; false when the key had no row that took part.
bool latest_get(const Latest *latest, uint32_t key, LatestRow *row);
LatestCounts latest_counts(const Latest *latest);
