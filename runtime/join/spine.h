#pragma once
// The spine side of a point-in-time join: its rows grouped by key, and by time inside each key.
// Built once and shared by every view that joins on the same key columns, from any thread.
//
//      numbers, times         starts   times (ascending per key)   order (spine rows)
//      row 0:  key 1, 30      key 0: 0   20  40  |  10  30            1  3  |  2  0
//      row 1:  key 0, 20      key 1: 2
//      row 2:  key 1, 10      end:   4
//      row 3:  key 0, 40

#include "base/clock.h"
#include "join/keys.h"
#include "join/places.h"

typedef struct {
  size_t rows;       // spine rows, also those that are left out
  size_t keys;       // groups
  uint32_t *starts;  // keys + 1 offsets into times and order
  Time *times;       // per group ascending; rows with a null key or time are left out
  uint32_t *order;   // spine row of each place; equal times in the order of the rows
  Places places;     // where a time stands in its group
} Spine;

// `numbers` are the rows' key numbers (KEY_NONE: null key), `times` may hold TIME_NULL. The index
// is the same on any number of threads. False when there are more rows than a spine can hold
// (UINT32_MAX - 1): process it in parts.
bool spine_init(Spine *spine, const uint32_t *numbers, size_t key_count, const Time *times,
                size_t rows, unsigned threads);
void spine_deinit(Spine *spine);

size_t spine_places(const Spine *spine);  // rows that take part

// First group of one of `of` shares that have about as many places each; `share` == `of`: the end.
size_t spine_share(const Spine *spine, size_t share, size_t of);
