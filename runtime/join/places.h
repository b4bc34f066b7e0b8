#pragma once
// Finds where times stand among the ascending times of their groups. This is the step that a join
// does once per feature row, so it is made to touch little memory:
//
//   cells    large groups have a grid over the span of all times with the first place of each cell,
//            so that the search begins a few rows from its end however many rows a key has
//   coarse   every time once more in 15 bits, thirty-two to a cache line: what remains of a search
//            is a count over at most sixteen of them, without a branch. They are the first bits of
//            a time, in large groups those that follow the ones that a cell has in common
//
// Both only narrow the search down. Where coarse times are equal the exact ones decide, and nothing
// depends on how times are spread, except that a search in a group of n rows takes up to log2 n
// steps where they all lie in one cell.

#include "base/clock.h"

enum { PLACES_BLOCK = 256, PLACE_NONE = UINT32_MAX };

typedef struct {
  const uint32_t *starts;  // groups and their times, borrowed
  const Time *times;
  size_t keys;   // groups
  size_t count;  // places in all
  Time oldest;   // of all times; oldest > newest when there is none
  Time newest;
  unsigned width;   // bits of newest - oldest
  int16_t *coarse;  // by place
  uint32_t *grids;  // by key: where its grid begins in `cells`; only large groups have one
  uint32_t *cells;  // first place of each cell, and after the last one the group's end
  size_t cell_count;
} Places;

enum { COARSE_BITS = 15 };

static inline uint64_t places_after(const Places *places, Time time)
{
  return time > places->oldest ? (uint64_t)time - (uint64_t)places->oldest : 0;
}

// The first bits of a time that is not above places->newest: 0 to 2^15 - 1, in the order of times.
static inline int16_t places_coarse(const Places *places, Time time)
{
  unsigned shift = places->width > COARSE_BITS ? places->width - COARSE_BITS : 0;
  return (int16_t)(places_after(places, time) >> shift);
}

// `times` stand by group in [starts[key], starts[key + 1]), ascending.
void places_init(Places *places, const uint32_t *starts, size_t keys, const Time *times,
                 unsigned threads);
void places_deinit(Places *places);

// For up to PLACES_BLOCK pairs the first place of the key's group whose time is at least
// `times[i]`, which is not above places->newest. PLACE_NONE when the whole group is earlier.
// Thread-safe.
void places_find(const Places *places, size_t count, const uint32_t *keys, const Time *times,
                 uint32_t *found);

// First group of one of `of` shares that have about as many places each; `share` == `of`: the end.
size_t places_share(const uint32_t *starts, size_t keys, size_t share, size_t of);
