#include "data/key_sort.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"

enum {
  WINDOW = sizeof(uint64_t),
  DIGIT_BITS = 8,
  DIGITS = 1 << DIGIT_BITS,
  WINDOW_DIGITS = 64 / DIGIT_BITS,
  FEW = 64,            // entries that are sorted faster by comparing
  COMPARED_FROM = 64,  // so do keys that have as many bytes in common
};

uint64_t key_prefix(Slice key, size_t skip)
{
  uint8_t bytes[WINDOW] = {0};
  if (key.size >= skip + WINDOW) {
    return bytes_load_be64(key.data + skip);
  }
  if (key.size > skip) {
    memcpy(bytes, key.data + skip, key.size - skip);
  }
  return bytes_load_be64(bytes);
}

// By prefix: least significant digit first, and digits that all have in common left out. Returns
// where the sorted entries are.
static KeyEntry *sort_prefixes(KeyEntry *entries, KeyEntry *room, size_t count)
{
  size_t counts[WINDOW_DIGITS][DIGITS] = {0};
  for (size_t i = 0; i < count; i++) {
    for (size_t digit = 0; digit < WINDOW_DIGITS; digit++) {
      counts[digit][entries[i].prefix >> (digit * DIGIT_BITS) & (DIGITS - 1)]++;
    }
  }
  for (size_t digit = 0; digit < WINDOW_DIGITS; digit++) {
    size_t shift = digit * DIGIT_BITS;
    size_t *places = counts[digit];
    if (places[entries[0].prefix >> shift & (DIGITS - 1)] == count) {
      continue;
    }
    size_t place = 0;
    for (size_t value = 0; value < DIGITS; value++) {
      size_t size = places[value];
      places[value] = place;
      place += size;
    }
    for (size_t i = 0; i < count; i++) {
      room[places[entries[i].prefix >> shift & (DIGITS - 1)]++] = entries[i];
    }
    KeyEntry *other = entries;
    entries = room;
    room = other;
  }
  return entries;
}

// Prefixes are places here.
static int compare_entries(const void *a, const void *b, void *key_of)
{
  const KeyEntry *left = a;
  const KeyEntry *right = b;
  KeyOf of = *(KeyOf *)key_of;
  int order = slice_compare(of(left->item), of(right->item));
  return order ? order : (left->prefix > right->prefix) - (left->prefix < right->prefix);
}

static void sort_few(KeyEntry *entries, size_t count, KeyOf key_of)
{
  for (size_t i = 0; i < count; i++) {
    entries[i].prefix = i;
  }
  qsort_r(entries, count, sizeof(*entries), compare_entries, (void *)&key_of);
}

// Whether keys that are equal up to `at` are equal, as far as their sizes tell.
static bool all_equal(const KeyEntry *entries, size_t count, size_t at, KeyOf key_of)
{
  size_t size = key_of(entries[0].item).size;
  for (size_t i = 1; i < count && size <= at; i++) {
    if (key_of(entries[i].item).size != size) {
      return false;
    }
  }
  return size <= at;
}

// Sorts entries that are equal up to `at`, whose number is small or not.
static void sort_run(KeyEntry *entries, KeyEntry *room, size_t count, size_t at, KeyOf key_of)
{
  if (count == 1 || all_equal(entries, count, at, key_of)) {
    return;
  }
  if (count <= FEW || at >= COMPARED_FROM) {
    sort_few(entries, count, key_of);
    return;
  }
  for (size_t i = 0; i < count; i++) {
    entries[i].prefix = key_prefix(key_of(entries[i].item), at);
  }
  const KeyEntry *sorted = key_sort(entries, room, count, at, key_of);
  if (sorted != entries) {
    memcpy(entries, sorted, count * sizeof(*entries));
  }
}

KeyEntry *key_sort(KeyEntry *entries, KeyEntry *room, size_t count, size_t skip, KeyOf key_of)
{
  if (count == 0) {
    return entries;
  }
  KeyEntry *sorted = sort_prefixes(entries, room, count);
  KeyEntry *other = sorted == entries ? room : entries;
  for (size_t i = 0, end; i < count; i = end) {
    uint64_t prefix = sorted[i].prefix;
    for (end = i + 1; end < count && sorted[end].prefix == prefix; end++) {
    }
    sort_run(sorted + i, other + i, end - i, skip + WINDOW, key_of);
  }
  return sorted;
}
