#include "join/places.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/pages.h"
#include "base/parallel.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { LANES = 16, LARGE = 32 };  // groups with more than LARGE rows have a grid

// A search under way: the answer lies in [from, to].
typedef struct {
  uint32_t from;
  uint32_t to;
  int16_t coarse;  // of the time that is looked for
  bool inexact;    // times with the same coarse bits may differ
} Search;

static unsigned bit_width(uint64_t value)
{
  return value ? 64u - (unsigned)__builtin_clzll(value) : 0;
}

static bool is_large(uint32_t rows)
{
  return rows > LARGE;
}

// Bits of a group's cell numbers: one cell for 16 to 31 rows of a large one, all of a small one.
static unsigned cell_bits(const Places *places, uint32_t rows)
{
  unsigned bits = is_large(rows) ? bit_width(rows) - 3 : 0;
  return bits < places->width ? bits : places->width;
}

// What is cut off behind the coarse bits of times whose first `bits` bits are those of a cell.
static unsigned coarse_shift(const Places *places, unsigned bits)
{
  unsigned left = places->width - bits;
  return left > COARSE_BITS ? left - COARSE_BITS : 0;
}

static int16_t coarse_in_cell(const Places *places, Time time, unsigned bits)
{
  enum { MASK = (1 << COARSE_BITS) - 1 };
  return (int16_t)(places_after(places, time) >> coarse_shift(places, bits) & MASK);
}

static size_t cell_at(const Places *places, Time time, unsigned bits)
{
  return (size_t)(places_after(places, time) >> (places->width - bits));
}

// Making the index
// -----------------------------------------------------------------------------------

static void find_span(Places *places)
{
  places->oldest = TIME_MAX;
  places->newest = TIME_NULL;
  for (size_t key = 0; key < places->keys; key++) {
    uint32_t start = places->starts[key];
    uint32_t end = places->starts[key + 1];
    if (start < end) {
      Time first = places->times[start];
      Time last = places->times[end - 1];
      places->oldest = first < places->oldest ? first : places->oldest;
      places->newest = last > places->newest ? last : places->newest;
    }
  }
  if (places->count) {
    places->width = bit_width((uint64_t)places->newest - (uint64_t)places->oldest);
  }
}

// Gives every large group room for its grid.
static void place_grids(Places *places)
{
  places->grids = mem_zalloc(places->keys, sizeof(*places->grids));
  for (size_t key = 0; key < places->keys; key++) {
    uint32_t rows = places->starts[key + 1] - places->starts[key];
    places->grids[key] = (uint32_t)places->cell_count;
    places->cell_count += is_large(rows) ? ((size_t)1 << cell_bits(places, rows)) + 1 : 0;
  }
  places->cells = mem_realloc(NULL, places->cell_count, sizeof(*places->cells));
}

static void fill_grid(const Places *places, size_t key, unsigned bits)
{
  uint32_t *cells = places->cells + places->grids[key];
  uint32_t end = places->starts[key + 1];
  size_t next = 0;  // first cell that has no place yet
  for (uint32_t place = places->starts[key]; place < end; place++) {
    size_t cell = cell_at(places, places->times[place], bits);
    while (next <= cell) {
      cells[next++] = place;
    }
  }
  while (next <= (size_t)1 << bits) {
    cells[next++] = end;
  }
}

typedef struct {
  Places *places;
  unsigned threads;
} Filling;

static bool fill_groups(void *context, unsigned thread, Error *err)
{
  (void)err;
  const Filling *filling = context;
  const Places *places = filling->places;
  const uint32_t *starts = places->starts;
  size_t end = places_share(starts, places->keys, thread + 1, filling->threads);
  size_t key = places_share(starts, places->keys, thread, filling->threads);
  for (; key < end; key++) {
    uint32_t rows = starts[key + 1] - starts[key];
    unsigned bits = cell_bits(places, rows);
    for (uint32_t place = starts[key]; place < starts[key + 1]; place++) {
      places->coarse[place] = coarse_in_cell(places, places->times[place], bits);
    }
    if (is_large(rows)) {
      fill_grid(places, key, bits);
    }
  }
  return true;
}

void places_init(Places *places, const uint32_t *starts, size_t keys, const Time *times,
                 unsigned threads)
{
  *places = (Places){.starts = starts, .times = times, .keys = keys, .count = starts[keys]};
  find_span(places);
  place_grids(places);
  places->coarse = pages_zalloc(places->count + LANES, sizeof(*places->coarse));
  Filling filling = {places, threads};
  parallel_run(threads, fill_groups, &filling, NULL);
}

size_t places_share(const uint32_t *starts, size_t keys, size_t share, size_t of)
{
  if (share == of) {
    return keys;
  }
  uint64_t wanted = (uint64_t)starts[keys] * share / of;
  size_t from = 0;
  size_t to = keys;
  while (from < to) {
    size_t middle = from + (to - from) / 2;
    if (starts[middle] < wanted) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  return from;
}

void places_deinit(Places *places)
{
  if (places->coarse) {
    pages_free(places->coarse, places->count + LANES, sizeof(*places->coarse));
  }
  free(places->grids);
  free(places->cells);
  *places = (Places){0};
}

// Searching
// ------------------------------------------------------------------------------------------

static const uint32_t *cell_of(const Places *places, uint32_t key, Time time, Search search)
{
  unsigned bits = cell_bits(places, search.to - search.from);
  return &places->cells[places->grids[key] + cell_at(places, time, bits)];
}

static void prefetch_ends(const Places *places, Search search)
{
  __builtin_prefetch(&places->coarse[search.from]);
  __builtin_prefetch(&places->coarse[search.from + LANES - 1]);
}

// Returns whether the search goes on in a grid.
static bool start_search(const Places *places, uint32_t key, Time time, Search *search)
{
  uint32_t from = places->starts[key];
  uint32_t to = places->starts[key + 1];
  unsigned bits = cell_bits(places, to - from);
  *search = (Search){from, to, coarse_in_cell(places, time, bits), coarse_shift(places, bits) > 0};
  if (is_large(to - from)) {
    __builtin_prefetch(cell_of(places, key, time, *search));
    return true;
  }
  prefetch_ends(places, *search);
  return false;
}

static void narrow_to_cell(const Places *places, uint32_t key, Time time, Search *search)
{
  if (is_large(search->to - search->from)) {
    const uint32_t *cell = cell_of(places, key, time, *search);
    search->from = cell[0];
    search->to = cell[1];
    prefetch_ends(places, *search);
  }
}

// How many of the first `left` of LANES ascending times are smaller. Vectors of the compiler's
// kind: eight comparisons at once on every machine it knows.
static uint32_t count_lanes(const int16_t *at, int16_t left, int16_t coarse)
{
  typedef int16_t Eight __attribute__((vector_size(16)));
  typedef uint64_t Two __attribute__((vector_size(16)));
  static const Eight FIRST = {0, 1, 2, 3, 4, 5, 6, 7};
  Eight low;
  Eight high;
  memcpy(&low, at, sizeof(low));
  memcpy(&high, at + LANES / 2, sizeof(high));
  Eight smaller = (low < coarse) & (FIRST < left);  // a true lane is -1
  smaller += (high < coarse) & (FIRST < (int16_t)(left - LANES / 2));
  Two pair = (Two)-smaller;
  uint64_t sums = pair[0] + pair[1];  // four sums of at most 4
  return (uint32_t)((sums * UINT64_C(0x0001000100010001)) >> 48);
}

typedef uint32_t CountLanes(const int16_t *at, int16_t left, int16_t coarse);

// Halves until at most LANES are left, then counts. The mask in place of a condition is on purpose:
// which way a search goes is as good as random, and a wrong guess costs more than the whole step.
static inline ALWAYS_INLINE uint32_t count_smaller(const int16_t *coarse, Search search,
                                                   CountLanes *count)
{
  uint32_t left = search.to - search.from;
  const int16_t *at = coarse + search.from;
  while (left > LANES) {
    uint32_t half = left / 2;
    at += half & -(uint32_t)(at[half - 1] < search.coarse);
    left -= half;
  }
  return (uint32_t)(at - coarse) + count(at, (int16_t)left, search.coarse);
}

// First place in [from, to) whose exact time is at least `time`, or `to`.
static uint32_t lower_bound(const Time *times, uint32_t from, uint32_t to, Time time)
{
  while (from < to) {
    uint32_t middle = from + (to - from) / 2;
    if (times[middle] < time) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  return from;
}

static inline ALWAYS_INLINE uint32_t finish_search(const Places *places, uint32_t key, Time time,
                                                   Search search, CountLanes *lanes)
{
  uint32_t place = count_smaller(places->coarse, search, lanes);
  // Ties are rare, so they are asked for first. There are LANES coarse times more than places: it
  // does no harm to look behind the group.
  if (places->coarse[place] == search.coarse && place < search.to && search.inexact) {
    place = lower_bound(places->times, place, search.to, time);
  }
  return place < places->starts[key + 1] ? place : PLACE_NONE;
}

// One step for all searches of the block at a time: what a step reads was prefetched by the one
// before, so that the waits for memory overlap.
static inline ALWAYS_INLINE void find_block(const Places *places, size_t count,
                                            const uint32_t *keys, const Time *times,
                                            uint32_t *found, CountLanes *lanes)
{
  Search searches[PLACES_BLOCK];
  assert(count <= PLACES_BLOCK);
  for (size_t i = 0; i < count; i++) {
    __builtin_prefetch(&places->starts[keys[i]]);
  }
  bool any_large = false;
  for (size_t i = 0; i < count; i++) {
    any_large |= start_search(places, keys[i], times[i], &searches[i]);
  }
  for (size_t i = 0; any_large && i < count; i++) {
    narrow_to_cell(places, keys[i], times[i], &searches[i]);
  }
  for (size_t i = 0; i < count; i++) {
    found[i] = finish_search(places, keys[i], times[i], searches[i], lanes);
  }
}

#ifdef __x86_64__

// All sixteen at once: two bits for each, of which those behind the group are cut off.
AVX2 static inline uint32_t count_lanes_avx2(const int16_t *at, int16_t left, int16_t coarse)
{
  __m256i lanes = _mm256_loadu_si256((const __m256i *)at);
  __m256i smaller = _mm256_cmpgt_epi16(_mm256_set1_epi16(coarse), lanes);
  uint32_t bits = _bzhi_u32((uint32_t)_mm256_movemask_epi8(smaller), 2 * (uint32_t)left);
  return (uint32_t)__builtin_popcount(bits) / 2;
}

AVX2 static void find_avx2(const Places *places, size_t count, const uint32_t *keys,
                           const Time *times, uint32_t *found)
{
  find_block(places, count, keys, times, found, count_lanes_avx2);
}

#endif

void places_find(const Places *places, size_t count, const uint32_t *keys, const Time *times,
                 uint32_t *found)
{
#ifdef __x86_64__
  if (cpu_has_avx2()) {
    find_avx2(places, count, keys, times, found);
    return;
  }
#endif
  find_block(places, count, keys, times, found, count_lanes);
}
