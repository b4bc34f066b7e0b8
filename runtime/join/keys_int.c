#include "join/keys_int.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/pages.h"
#include "join/keys.h"

enum { BLOCK = 128, LEAST_CAPACITY = 512 };

_Static_assert(sizeof(IntEntry) == 16, "four entries per cache line");

void int_keys_deinit(IntKeys *keys)
{
  pages_free(keys->entries, keys->capacity, sizeof(IntEntry));
  free(keys->values);
  *keys = (IntKeys){0};
}

size_t int_keys_bytes(const IntKeys *keys)
{
  return keys->capacity * sizeof(IntEntry) + keys->value_room * sizeof(int64_t);
}

static size_t home_of(const IntKeys *keys, int64_t value)
{
  return hash_u64((uint64_t)value) & (keys->capacity - 1);
}

// The entry that holds `value`, or the free one where it belongs.
static size_t probe(const IntKeys *keys, size_t home, int64_t value)
{
  const IntEntry *entries = keys->entries;
  size_t at = home;
  while (entries[at].value != value && entries[at].after) {
    at = (at + 1) & (keys->capacity - 1);
  }
  return at;
}

static void rebuild(IntKeys *keys, size_t capacity)
{
  pages_free(keys->entries, keys->capacity, sizeof(IntEntry));
  keys->entries = pages_zalloc(capacity, sizeof(IntEntry));
  keys->capacity = capacity;
  for (size_t number = 0; number < keys->count; number++) {
    int64_t value = keys->values[number];
    size_t at = home_of(keys, value);
    while (keys->entries[at].after) {  // all values differ: only a free entry ends it
      at = (at + 1) & (capacity - 1);
    }
    keys->entries[at] = (IntEntry){.value = value, .after = (uint32_t)number + 1};
  }
}

// Makes room for `extra` more keys, so that nothing moves while a block is added.
static void reserve(IntKeys *keys, size_t extra)
{
  size_t needed = keys->count + extra;
  assert(needed < KEY_NONE);
  if (needed > keys->value_room) {
    keys->value_room = needed > 2 * keys->value_room ? needed : 2 * keys->value_room;
    keys->values = mem_realloc(keys->values, keys->value_room, sizeof(int64_t));
  }
  size_t capacity = keys->capacity ? keys->capacity : LEAST_CAPACITY;
  while (capacity < 2 * needed) {
    capacity *= 2;
  }
  if (capacity != keys->capacity) {
    rebuild(keys, capacity);
  }
}

static uint32_t number_of(IntKeys *keys, size_t at, int64_t value)
{
  IntEntry *entry = &keys->entries[at];
  if (!entry->after) {
    keys->values[keys->count++] = value;
    *entry = (IntEntry){.value = value, .after = (uint32_t)keys->count};
  }
  return entry->after - 1;
}

static void add_block(IntKeys *keys, const int64_t *values, size_t count, uint32_t *numbers)
{
  size_t homes[BLOCK];
  reserve(keys, count);
  for (size_t i = 0; i < count; i++) {
    homes[i] = home_of(keys, values[i]);
    __builtin_prefetch(&keys->entries[homes[i]]);
  }
  for (size_t i = 0; i < count; i++) {
    if (numbers[i] != KEY_NONE) {
      numbers[i] = number_of(keys, probe(keys, homes[i], values[i]), values[i]);
    }
  }
}

void int_keys_add(IntKeys *keys, const int64_t *values, size_t count, uint32_t *numbers)
{
  for (size_t from = 0; from < count; from += BLOCK) {
    size_t rows = count - from < BLOCK ? count - from : BLOCK;
    add_block(keys, values + from, rows, numbers + from);
  }
}

// All hashes first, so that the misses of a whole block are under way together.
static void find_block(const IntKeys *keys, const int64_t *values, size_t count, uint32_t *numbers)
{
  size_t homes[BLOCK];
  for (size_t i = 0; i < count; i++) {
    homes[i] = home_of(keys, values[i]);
    __builtin_prefetch(&keys->entries[homes[i]]);
  }
  for (size_t i = 0; i < count; i++) {
    // a free entry gives 0 - 1, which is KEY_NONE
    numbers[i] = keys->entries[probe(keys, homes[i], values[i])].after - 1;
  }
}

void int_keys_find(const IntKeys *keys, const int64_t *values, size_t count, uint32_t *numbers)
{
  if (!keys->capacity) {
    memset(numbers, 0xff, count * sizeof(*numbers));
    return;
  }
  for (size_t from = 0; from < count; from += BLOCK) {
    size_t rows = count - from < BLOCK ? count - from : BLOCK;
    find_block(keys, values + from, rows, numbers + from);
  }
}
