#pragma once
// Numbers for integer keys that lie close together, as ids that are counted up do: a table of the
// numbers by value. It is a fifth of the size of a hash table for the same keys, and a look-up is
// one read.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t *after;  // by value: one more than the number, 0: no such key. The last is always 0
  int64_t first;    // value of after[0]
  size_t span;      // values that have room; 0: no table
} DenseKeys;        // the zero value is an empty one

// Makes room for all values in [lowest, highest] beside those that have it. False, and nothing has
// changed, when these are more than `most`; up to twice as many get room.
bool dense_keys_cover(DenseKeys *keys, int64_t lowest, int64_t highest, size_t most);
void dense_keys_deinit(DenseKeys *keys);
size_t dense_keys_bytes(const DenseKeys *keys);

// Where a value has its place; those that have no room share the last one.
static inline uint32_t *dense_keys_at(const DenseKeys *keys, int64_t value)
{
  uint64_t at = (uint64_t)value - (uint64_t)keys->first;
  return &keys->after[at < keys->span ? at : keys->span];
}
