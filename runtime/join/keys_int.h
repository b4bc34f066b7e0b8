#pragma once
// Numbers for keys that are one integer: a hash table of buckets that are one cache line each. A
// look-up compares all five keys of a bucket without a branch, because which of them it is is as
// good as random; at most two thirds of the room is taken, so that hardly any key has to go on
// into the next bucket.

#include <stddef.h>
#include <stdint.h>

enum { INT_BUCKET = 5 };

typedef struct {
  int64_t values[INT_BUCKET];
  uint32_t after[INT_BUCKET];  // one more than the number; 0: free, and so are those behind it
  uint32_t unused;
} IntBucket;

typedef struct {
  IntBucket *buckets;   // heap
  size_t bucket_count;  // a power of two; 0 before the first key
  int64_t *values;      // of each number
  size_t count;
  size_t value_room;
} IntKeys;  // the zero value is an empty set

void int_keys_deinit(IntKeys *keys);
size_t int_keys_bytes(const IntKeys *keys);

// values[i] gets numbers[i]; where numbers[i] is KEY_NONE on entry the value is null and stays so.
void int_keys_add(IntKeys *keys, const int64_t *values, size_t count, uint32_t *numbers);

// Numbers of all values, KEY_NONE for those that are not there. Reads only.
void int_keys_find(const IntKeys *keys, const int64_t *values, size_t count, uint32_t *numbers);
