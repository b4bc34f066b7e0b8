#pragma once
// Numbers for keys that are one integer. Keys that lie close together are looked up by value
// (join/keys_dense.h); others in a hash table of buckets that are one cache line each: a look-up
// compares all five keys of a bucket without a branch, because which of them it is is as good as
// random, and at most two thirds of the room is taken, so that hardly any key has to go on into the
// next bucket. Which of the two it is is decided anew whenever the table has to grow.

#include "join/keys_dense.h"

enum { INT_BUCKET = 5 };

typedef struct {
  int64_t values[INT_BUCKET];
  // One more than the number; 0: free, and so are those behind it. The last one belongs to no key
  // and stays 0: the answer when none matches.
  uint32_t after[INT_BUCKET + 1];
} IntBucket;

typedef struct {
  DenseKeys dense;      // has a span: all keys are here, and there are no buckets
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
