#include "join/keys_int.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/pages.h"
#include "join/keys.h"

enum { BLOCK = 64, LEAST_BUCKETS = 128 };

_Static_assert(sizeof(IntBucket) == 64, "a bucket is a cache line");

void int_keys_deinit(IntKeys *keys)
{
  pages_free(keys->buckets, keys->bucket_count, sizeof(IntBucket));
  free(keys->values);
  *keys = (IntKeys){0};
}

size_t int_keys_bytes(const IntKeys *keys)
{
  return keys->bucket_count * sizeof(IntBucket) + keys->value_room * sizeof(int64_t);
}

static uint32_t home_of(const IntKeys *keys, int64_t value)
{
  return (uint32_t)(hash_u64((uint64_t)value) & (keys->bucket_count - 1));
}

static bool is_full(const IntBucket *bucket)
{
  return bucket->after[INT_BUCKET - 1] != 0;
}

// One more than the number of `value`, 0 when the bucket does not have it. A value stands in it at
// most once, and free entries have no number, so all that match can be put together.
static inline uint32_t look_into(const IntBucket *bucket, int64_t value)
{
  uint32_t after = 0;
  for (size_t i = 0; i < INT_BUCKET; i++) {
    after |= bucket->after[i] & -(uint32_t)(bucket->values[i] == value);
  }
  return after;
}

// Looks on from a full bucket that does not have the value.
static __attribute__((noinline)) uint32_t look_on(const IntKeys *keys, uint32_t home, int64_t value)
{
  uint32_t after = 0;
  while (!after && is_full(&keys->buckets[home])) {
    home = (home + 1) & (uint32_t)(keys->bucket_count - 1);
    after = look_into(&keys->buckets[home], value);
  }
  return after;
}

static inline uint32_t look_up(const IntKeys *keys, uint32_t home, int64_t value)
{
  const IntBucket *bucket = &keys->buckets[home];
  uint32_t after = look_into(bucket, value);
  // One condition, which is rarely true: whether a key is there may be as good as random.
  uint32_t go_on = bucket->after[INT_BUCKET - 1] & -(uint32_t)(after == 0);
  return go_on ? look_on(keys, home, value) : after;
}

static void put(IntKeys *keys, uint32_t home, int64_t value, uint32_t after)
{
  while (is_full(&keys->buckets[home])) {
    home = (home + 1) & (uint32_t)(keys->bucket_count - 1);
  }
  IntBucket *bucket = &keys->buckets[home];
  size_t at = 0;
  while (bucket->after[at]) {
    at++;
  }
  bucket->values[at] = value;
  bucket->after[at] = after;
}

static void rebuild(IntKeys *keys, size_t bucket_count)
{
  pages_free(keys->buckets, keys->bucket_count, sizeof(IntBucket));
  keys->buckets = pages_zalloc(bucket_count, sizeof(IntBucket));
  keys->bucket_count = bucket_count;
  for (size_t number = 0; number < keys->count; number++) {
    int64_t value = keys->values[number];
    put(keys, home_of(keys, value), value, (uint32_t)number + 1);
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
  size_t bucket_count = keys->bucket_count ? keys->bucket_count : LEAST_BUCKETS;
  while (bucket_count * INT_BUCKET * 2 < needed * 3) {
    bucket_count *= 2;
  }
  if (bucket_count != keys->bucket_count) {
    rebuild(keys, bucket_count);
  }
}

static uint32_t number_of(IntKeys *keys, uint32_t home, int64_t value)
{
  uint32_t after = look_up(keys, home, value);
  if (!after) {
    keys->values[keys->count++] = value;
    after = (uint32_t)keys->count;
    put(keys, home, value, after);
  }
  return after - 1;
}

static void add_block(IntKeys *keys, const int64_t *values, size_t count, uint32_t *numbers)
{
  uint32_t homes[BLOCK];
  reserve(keys, count);
  for (size_t i = 0; i < count; i++) {
    homes[i] = home_of(keys, values[i]);
    __builtin_prefetch(&keys->buckets[homes[i]]);
  }
  for (size_t i = 0; i < count; i++) {
    if (numbers[i] != KEY_NONE) {
      numbers[i] = number_of(keys, homes[i], values[i]);
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
  uint32_t homes[BLOCK];
  for (size_t i = 0; i < count; i++) {
    homes[i] = home_of(keys, values[i]);
    __builtin_prefetch(&keys->buckets[homes[i]]);
  }
  for (size_t i = 0; i < count; i++) {
    // a key that is not there gives 0 - 1, which is KEY_NONE
    numbers[i] = look_up(keys, homes[i], values[i]) - 1;
  }
}

void int_keys_find(const IntKeys *keys, const int64_t *values, size_t count, uint32_t *numbers)
{
  if (!keys->bucket_count) {
    memset(numbers, 0xff, count * sizeof(*numbers));
    return;
  }
  for (size_t from = 0; from < count; from += BLOCK) {
    size_t rows = count - from < BLOCK ? count - from : BLOCK;
    find_block(keys, values + from, rows, numbers + from);
  }
}
