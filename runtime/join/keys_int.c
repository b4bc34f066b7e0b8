#include "join/keys_int.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/pages.h"
#include "join/keys.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

// Keys lie close together where one of DENSE values is one.
enum { BLOCK = 64, LEAST_BUCKETS = 128, DENSE = 4 };

_Static_assert(sizeof(IntBucket) == 64, "a bucket is a cache line");

void int_keys_deinit(IntKeys *keys)
{
  dense_keys_deinit(&keys->dense);
  pages_free(keys->buckets, keys->bucket_count, sizeof(IntBucket));
  free(keys->values);
  *keys = (IntKeys){0};
}

size_t int_keys_bytes(const IntKeys *keys)
{
  return dense_keys_bytes(&keys->dense) + keys->bucket_count * sizeof(IntBucket)
         + keys->value_room * sizeof(int64_t);
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

// What a look-up comes to whose home gave `after`.
static inline uint32_t go_on(const IntKeys *keys, uint32_t home, int64_t value, uint32_t after)
{
  // One condition, which is rarely true: whether a key is there may be as good as random.
  uint32_t last = keys->buckets[home].after[INT_BUCKET - 1];
  return last & -(uint32_t)(after == 0) ? look_on(keys, home, value) : after;
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

// A block of rows to be added; their numbers are KEY_NONE where they have no key.
typedef struct {
  const int64_t *values;
  uint32_t *numbers;
  size_t count;
} AddBlock;

typedef struct {
  int64_t lowest;
  int64_t highest;
} Range;

static Range range_with(Range range, int64_t value)
{
  range.lowest = value < range.lowest ? value : range.lowest;
  range.highest = value > range.highest ? value : range.highest;
  return range;
}

// Makes sure that all keys and those of the block have their place in the dense table. False where
// they lie too far apart.
static bool make_dense(IntKeys *keys, const AddBlock *block)
{
  bool fill = !keys->dense.span;
  Range range = {INT64_MAX, INT64_MIN};
  for (size_t i = 0; i < block->count; i++) {
    if (block->numbers[i] != KEY_NONE) {
      range = range_with(range, block->values[i]);
    }
  }
  for (size_t number = 0; fill && number < keys->count; number++) {
    range = range_with(range, keys->values[number]);
  }
  if (range.lowest > range.highest) {
    return !fill;  // no key at all in the block
  }
  size_t most = DENSE * (keys->count + block->count);
  if (!dense_keys_cover(&keys->dense, range.lowest, range.highest, most)) {
    return false;
  }
  for (size_t number = 0; fill && number < keys->count; number++) {
    *dense_keys_at(&keys->dense, keys->values[number]) = (uint32_t)number + 1;
  }
  return true;
}

// Makes room for the keys of a block, so that nothing moves while they are added.
static void reserve(IntKeys *keys, const AddBlock *block)
{
  size_t needed = keys->count + block->count;
  assert(needed < KEY_NONE);
  if (needed > keys->value_room) {
    keys->value_room = needed > 2 * keys->value_room ? needed : 2 * keys->value_room;
    keys->values = mem_realloc(keys->values, keys->value_room, sizeof(int64_t));
  }
  size_t bucket_count = keys->bucket_count ? keys->bucket_count : LEAST_BUCKETS;
  while (bucket_count * INT_BUCKET * 2 < needed * 3) {
    bucket_count *= 2;
  }
  if (bucket_count == keys->bucket_count) {
    return;
  }
  if (make_dense(keys, block)) {
    pages_free(keys->buckets, keys->bucket_count, sizeof(IntBucket));
    keys->buckets = NULL;
    keys->bucket_count = 0;
  } else {
    dense_keys_deinit(&keys->dense);
    rebuild(keys, bucket_count);
  }
}

static void add_dense(IntKeys *keys, const AddBlock *block)
{
  for (size_t i = 0; i < block->count; i++) {
    if (block->numbers[i] != KEY_NONE) {
      uint32_t *after = dense_keys_at(&keys->dense, block->values[i]);
      if (!*after) {
        keys->values[keys->count++] = block->values[i];
        *after = (uint32_t)keys->count;
      }
      block->numbers[i] = *after - 1;
    }
  }
}

static uint32_t hashed_number(IntKeys *keys, uint32_t home, int64_t value)
{
  uint32_t after = go_on(keys, home, value, look_into(&keys->buckets[home], value));
  if (!after) {
    keys->values[keys->count++] = value;
    after = (uint32_t)keys->count;
    put(keys, home, value, after);
  }
  return after - 1;
}

static void add_hashed(IntKeys *keys, const AddBlock *block)
{
  uint32_t homes[BLOCK];
  for (size_t i = 0; i < block->count; i++) {
    homes[i] = home_of(keys, block->values[i]);
    __builtin_prefetch(&keys->buckets[homes[i]]);
  }
  for (size_t i = 0; i < block->count; i++) {
    if (block->numbers[i] != KEY_NONE) {
      block->numbers[i] = hashed_number(keys, homes[i], block->values[i]);
    }
  }
}

void int_keys_add(IntKeys *keys, const int64_t *values, size_t count, uint32_t *numbers)
{
  for (size_t from = 0; from < count; from += BLOCK) {
    size_t rows = count - from < BLOCK ? count - from : BLOCK;
    AddBlock block = {values + from, numbers + from, rows};
    reserve(keys, &block);
    if (keys->dense.span) {
      add_dense(keys, &block);
    } else {
      add_hashed(keys, &block);
    }
  }
}

typedef uint32_t LookInto(const IntBucket *bucket, int64_t value);

// All hashes first, so that the misses of a whole block are under way together.
static inline ALWAYS_INLINE void find_hashed(const IntKeys *keys, const int64_t *values,
                                             size_t count, uint32_t *numbers, LookInto *look)
{
  uint32_t homes[BLOCK];
  for (size_t i = 0; i < count; i++) {
    homes[i] = home_of(keys, values[i]);
    __builtin_prefetch(&keys->buckets[homes[i]]);
  }
  for (size_t i = 0; i < count; i++) {
    // a key that is not there gives 0 - 1, which is KEY_NONE
    numbers[i] = go_on(keys, homes[i], values[i], look(&keys->buckets[homes[i]], values[i])) - 1;
  }
}

#ifdef __x86_64__

AVX2 static inline uint32_t look_into_avx2(const IntBucket *bucket, int64_t value)
{
  __m256i four = _mm256_loadu_si256((const __m256i *)bucket->values);
  four = _mm256_cmpeq_epi64(four, _mm256_set1_epi64x(value));
  unsigned found = (unsigned)_mm256_movemask_pd(_mm256_castsi256_pd(four));
  found |= (unsigned)(bucket->values[4] == value) << 4;
  return bucket->after[__builtin_ctz(found | 1U << INT_BUCKET)];
}

AVX2 static void find_avx2(const IntKeys *keys, const int64_t *values, size_t count,
                           uint32_t *numbers)
{
  find_hashed(keys, values, count, numbers, look_into_avx2);
}

#endif

static void find_block(const IntKeys *keys, const int64_t *values, size_t count, uint32_t *numbers)
{
#ifdef __x86_64__
  if (cpu_has_avx2()) {
    find_avx2(keys, values, count, numbers);
    return;
  }
#endif
  find_hashed(keys, values, count, numbers, look_into);
}

void int_keys_find(const IntKeys *keys, const int64_t *values, size_t count, uint32_t *numbers)
{
  DenseKeys dense = keys->dense;
  if (dense.span) {
    for (size_t i = 0; i < count; i++) {
      numbers[i] = *dense_keys_at(&dense, values[i]) - 1;
    }
    return;
  }
  if (!keys->bucket_count) {
    memset(numbers, 0xff, count * sizeof(*numbers));
    return;
  }
  for (size_t from = 0; from < count; from += BLOCK) {
    size_t rows = count - from < BLOCK ? count - from : BLOCK;
    find_block(keys, values + from, rows, numbers + from);
  }
}
