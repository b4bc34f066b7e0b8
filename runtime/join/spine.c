#include "join/spine.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

enum { RUN = 24 };  // rows that insertion sort takes at once

// Two arrays that are sorted together.
typedef struct {
  Time *times;
  uint32_t *order;
} Rows;

static Rows rows_at(Rows rows, size_t from)
{
  return (Rows){rows.times + from, rows.order + from};
}

static bool is_sorted(const Time *times, size_t count)
{
  for (size_t i = 1; i < count; i++) {
    if (times[i - 1] > times[i]) {
      return false;
    }
  }
  return true;
}

// Stable: an element passes only greater ones.
static void sort_run(Rows rows, size_t count)
{
  for (size_t i = 1; i < count; i++) {
    Time time = rows.times[i];
    uint32_t row = rows.order[i];
    size_t to = i;
    for (; to > 0 && rows.times[to - 1] > time; to--) {
      rows.times[to] = rows.times[to - 1];
      rows.order[to] = rows.order[to - 1];
    }
    rows.times[to] = time;
    rows.order[to] = row;
  }
}

// Merges from[0, middle) and from[middle, count), the left one first where times are equal.
static void merge_runs(Rows from, size_t middle, size_t count, Rows to)
{
  size_t left = 0;
  size_t right = middle;
  for (size_t i = 0; i < count; i++) {
    bool take_right = left == middle || (right < count && from.times[right] < from.times[left]);
    size_t taken = take_right ? right : left;
    right += take_right;
    left += !take_right;
    to.times[i] = from.times[taken];
    to.order[i] = from.order[taken];
  }
}

static size_t smaller(size_t a, size_t b)
{
  return a < b ? a : b;
}

// Bottom-up merge sort from runs of insertion sort: O(n log n) whatever the times, and stable.
static void sort_group(Rows rows, size_t count, Rows scratch)
{
  if (is_sorted(rows.times, count)) {  // usual: files are written in the order of time
    return;
  }
  for (size_t from = 0; from < count; from += RUN) {
    sort_run(rows_at(rows, from), smaller(RUN, count - from));
  }
  if (count <= RUN) {
    return;
  }
  assert(scratch.times && scratch.order);
  Rows from = rows;
  Rows to = scratch;
  for (size_t width = RUN; width < count; width *= 2) {
    for (size_t at = 0; at < count; at += 2 * width) {
      size_t both = smaller(2 * width, count - at);
      merge_runs(rows_at(from, at), smaller(width, both), both, rows_at(to, at));
    }
    Rows swap = from;
    from = to;
    to = swap;
  }
  if (from.times != rows.times) {
    memcpy(rows.times, from.times, count * sizeof(*rows.times));
    memcpy(rows.order, from.order, count * sizeof(*rows.order));
  }
}

static bool takes_part(uint32_t number, Time time)
{
  return number != KEY_NONE && time != TIME_NULL;
}

// Counting sort by key number: how many rows per key, where each key begins, every row to its
// place. A row that is met later comes later in its group, so equal times keep the order of the
// rows.
static void group_rows(Spine *spine, const uint32_t *numbers, const Time *times)
{
  uint32_t *starts = spine->starts;
  for (size_t row = 0; row < spine->rows; row++) {
    assert(numbers[row] < spine->keys || numbers[row] == KEY_NONE);
    if (takes_part(numbers[row], times[row])) {
      starts[numbers[row] + 1]++;
    }
  }
  for (size_t key = 0; key < spine->keys; key++) {
    starts[key + 1] += starts[key];
  }

  // starts[key] runs through its group here, and stands at the group's end afterwards, which is
  // where the next one begins: moving all by one key puts them right.
  for (size_t row = 0; row < spine->rows; row++) {
    if (takes_part(numbers[row], times[row])) {
      uint32_t place = starts[numbers[row]]++;
      spine->times[place] = times[row];
      spine->order[place] = (uint32_t)row;
    }
  }
  memmove(starts + 1, starts, spine->keys * sizeof(*starts));
  starts[0] = 0;
}

static size_t largest_group(const Spine *spine)
{
  size_t largest = 0;
  for (size_t key = 0; key < spine->keys; key++) {
    size_t count = spine->starts[key + 1] - spine->starts[key];
    largest = count > largest ? count : largest;
  }
  return largest;
}

static void sort_groups(Spine *spine)
{
  size_t largest = largest_group(spine);
  Rows scratch = {0};
  if (largest > RUN) {
    scratch.times = mem_realloc(NULL, largest, sizeof(*scratch.times));
    scratch.order = mem_realloc(NULL, largest, sizeof(*scratch.order));
  }
  Rows all = {spine->times, spine->order};
  for (size_t key = 0; key < spine->keys; key++) {
    size_t start = spine->starts[key];
    sort_group(rows_at(all, start), spine->starts[key + 1] - start, scratch);
  }
  free(scratch.times);
  free(scratch.order);
}

bool spine_init(Spine *spine, const uint32_t *numbers, size_t key_count, const Time *times,
                size_t rows)
{
  *spine = (Spine){.rows = rows, .keys = key_count};
  if (rows >= UINT32_MAX) {
    return false;
  }
  spine->starts = mem_zalloc(key_count + 1, sizeof(*spine->starts));
  spine->times = mem_realloc(NULL, rows, sizeof(*spine->times));
  spine->order = mem_realloc(NULL, rows, sizeof(*spine->order));
  group_rows(spine, numbers, times);
  sort_groups(spine);
  places_init(&spine->places, spine->starts, key_count, spine->times);
  return true;
}

void spine_deinit(Spine *spine)
{
  places_deinit(&spine->places);
  free(spine->starts);
  free(spine->times);
  free(spine->order);
  *spine = (Spine){0};
}

size_t spine_places(const Spine *spine)
{
  return spine->starts ? spine->starts[spine->keys] : 0;
}

size_t spine_bytes(const Spine *spine)
{
  return (spine->keys + 1) * sizeof(*spine->starts)
         + spine->rows * (sizeof(*spine->times) + sizeof(*spine->order))
         + places_bytes(&spine->places);
}
