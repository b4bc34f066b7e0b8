#include "join/spine.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/pages.h"
#include "base/parallel.h"

enum {
  RUN = 24,               // rows that insertion sort takes at once
  SHARE_LEAST = 1 << 15,  // rows below which another thread is not worth its start
};

// A row that takes part, on its way to its place. Time and row travel together, so that a row that
// goes to its group touches one line of the cache and not two.
typedef struct {
  Time time;
  uint32_t row;
} Entry;

typedef struct {
  Spine *spine;
  const uint32_t *numbers;
  const Time *times;
  unsigned threads;  // that sort
  unsigned readers;  // that deal rows out: at most `threads`
  uint32_t *next;    // per reader and key: where its next row of that key goes
  Entry *entries;    // all rows that take part, by place
} Making;

// Grouping
// ----------------------------------------------------------------------------------------

static bool takes_part(uint32_t number, Time time)
{
  return number != KEY_NONE && time != TIME_NULL;
}

static size_t row_share(const Making *making, unsigned reader)
{
  return making->spine->rows * reader / making->readers;
}

static bool count_rows(void *context, unsigned reader, Error *err)
{
  (void)err;
  const Making *making = context;
  uint32_t *counts = making->next + reader * making->spine->keys;
  size_t end = row_share(making, reader + 1);
  for (size_t row = row_share(making, reader); row < end; row++) {
    uint32_t number = making->numbers[row];
    assert(number < making->spine->keys || number == KEY_NONE);
    if (takes_part(number, making->times[row])) {
      counts[number]++;
    }
  }
  return true;
}

// Turns counts into places: first all of key 0, those of the first reader before those of the next.
static void place_groups(const Making *making)
{
  Spine *spine = making->spine;
  uint32_t place = 0;
  for (size_t key = 0; key < spine->keys; key++) {
    spine->starts[key] = place;
    for (unsigned reader = 0; reader < making->readers; reader++) {
      uint32_t *next = &making->next[reader * spine->keys + key];
      uint32_t count = *next;
      *next = place;
      place += count;
    }
  }
  spine->starts[spine->keys] = place;
}

// A row that is met later comes later in its group, so equal times keep the order of the rows.
static bool place_rows(void *context, unsigned reader, Error *err)
{
  (void)err;
  const Making *making = context;
  uint32_t *next = making->next + reader * making->spine->keys;
  size_t end = row_share(making, reader + 1);
  for (size_t row = row_share(making, reader); row < end; row++) {
    uint32_t number = making->numbers[row];
    if (takes_part(number, making->times[row])) {
      making->entries[next[number]++] = (Entry){making->times[row], (uint32_t)row};
    }
  }
  return true;
}

// Sorting
// -----------------------------------------------------------------------------------------

static bool is_sorted(const Entry *entries, size_t count)
{
  for (size_t i = 1; i < count; i++) {
    if (entries[i - 1].time > entries[i].time) {
      return false;
    }
  }
  return true;
}

// Stable: an element passes only greater ones.
static void sort_run(Entry *entries, size_t count)
{
  for (size_t i = 1; i < count; i++) {
    Entry entry = entries[i];
    size_t to = i;
    for (; to > 0 && entries[to - 1].time > entry.time; to--) {
      entries[to] = entries[to - 1];
    }
    entries[to] = entry;
  }
}

// Merges from[0, middle) and from[middle, count), the left one first where times are equal.
static void merge_runs(const Entry *from, size_t middle, size_t count, Entry *to)
{
  size_t left = 0;
  size_t right = middle;
  for (size_t i = 0; i < count; i++) {
    bool take_right = left == middle || (right < count && from[right].time < from[left].time);
    to[i] = from[take_right ? right : left];
    right += take_right;
    left += !take_right;
  }
}

static size_t smaller(size_t a, size_t b)
{
  return a < b ? a : b;
}

// Bottom-up merge sort from runs of insertion sort: O(n log n) whatever the times, and stable.
// Returns where the sorted entries are: in place or in `scratch`.
static const Entry *sort_group(Entry *entries, size_t count, Entry *scratch)
{
  if (is_sorted(entries, count)) {  // usual: files are written in the order of time
    return entries;
  }
  for (size_t from = 0; from < count; from += RUN) {
    sort_run(entries + from, smaller(RUN, count - from));
  }
  Entry *from = entries;
  Entry *to = scratch;
  for (size_t width = RUN; width < count; width *= 2) {
    for (size_t at = 0; at < count; at += 2 * width) {
      size_t both = smaller(2 * width, count - at);
      merge_runs(from + at, smaller(width, both), both, to + at);
    }
    Entry *swap = from;
    from = to;
    to = swap;
  }
  return from;
}

static size_t largest_group(const Spine *spine, size_t key, size_t end)
{
  size_t largest = 0;
  for (; key < end; key++) {
    size_t count = spine->starts[key + 1] - spine->starts[key];
    largest = count > largest ? count : largest;
  }
  return largest;
}

static bool sort_groups(void *context, unsigned thread, Error *err)
{
  (void)err;
  const Making *making = context;
  Spine *spine = making->spine;
  size_t first = spine_share(spine, thread, making->threads);
  size_t end = spine_share(spine, thread + 1, making->threads);
  size_t largest = largest_group(spine, first, end);
  Entry *scratch = largest > RUN ? mem_realloc(NULL, largest, sizeof(*scratch)) : NULL;
  for (size_t key = first; key < end; key++) {
    size_t start = spine->starts[key];
    size_t count = spine->starts[key + 1] - start;
    const Entry *sorted = sort_group(making->entries + start, count, scratch);
    for (size_t i = 0; i < count; i++) {
      spine->times[start + i] = sorted[i].time;
      spine->order[start + i] = sorted[i].row;
    }
  }
  free(scratch);
  return true;
}

// Care
// --------------------------------------------------------------------------------------------

// Counting sort by key number, then each group by time.
static void make_index(Making *making)
{
  Spine *spine = making->spine;
  making->next = mem_zalloc(making->readers * spine->keys, sizeof(*making->next));
  parallel_run(making->readers, count_rows, making, NULL);
  place_groups(making);
  size_t places = spine_places(spine);
  making->entries = pages_zalloc(places, sizeof(*making->entries));
  parallel_run(making->readers, place_rows, making, NULL);
  free(making->next);
  spine->times = pages_zalloc(places, sizeof(*spine->times));
  spine->order = pages_zalloc(places, sizeof(*spine->order));
  parallel_run(making->threads, sort_groups, making, NULL);
  pages_free(making->entries, places, sizeof(*making->entries));
}

bool spine_init(Spine *spine, const uint32_t *numbers, size_t key_count, const Time *times,
                size_t rows, unsigned threads)
{
  *spine = (Spine){.rows = rows, .keys = key_count};
  if (rows >= UINT32_MAX) {
    return false;
  }
  spine->starts = mem_zalloc(key_count + 1, sizeof(*spine->starts));
  size_t most = rows / SHARE_LEAST + 1;
  Making making = {.spine = spine, .numbers = numbers, .times = times};
  making.threads = threads < most ? threads : (unsigned)most;
  // Every reader counts for itself: with few rows per key that takes more room than the rows do.
  most = rows / (2 * key_count + 1) + 1;
  making.readers = making.threads < most ? making.threads : (unsigned)most;
  make_index(&making);
  places_init(&spine->places, spine->starts, key_count, spine->times, making.threads);
  return true;
}

void spine_deinit(Spine *spine)
{
  size_t places = spine_places(spine);
  places_deinit(&spine->places);
  pages_free(spine->times, places, sizeof(*spine->times));
  pages_free(spine->order, places, sizeof(*spine->order));
  free(spine->starts);
  *spine = (Spine){0};
}

size_t spine_places(const Spine *spine)
{
  return spine->starts ? spine->starts[spine->keys] : 0;
}

size_t spine_share(const Spine *spine, size_t share, size_t of)
{
  return places_share(spine->starts, spine->keys, share, of);
}
