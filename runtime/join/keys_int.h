#pragma once
// Numbers for keys that are one integer: an open-addressing table, one probe and usually one cache
// line per look-up. The table is at most half full, so that runs stay short with linear probing.

#include <stddef.h>
#include <stdint.h>

typedef struct {
  int64_t value;
  uint32_t after;   // one more than the number; 0: the entry is free
  uint32_t unused;  // entries of 16 bytes never cross a cache line
} IntEntry;

typedef struct {
  IntEntry *entries;  // heap, capacity of them
  size_t capacity;    // a power of two; 0 before the first key
  int64_t *values;    // of each number
  size_t count;
  size_t value_room;
} IntKeys;  // the zero value is an empty set

void int_keys_deinit(IntKeys *keys);
size_t int_keys_bytes(const IntKeys *keys);

// values[i] gets numbers[i]; where numbers[i] is KEY_NONE on entry the value is null and stays so.
void int_keys_add(IntKeys *keys, const int64_t *values, size_t count, uint32_t *numbers);

// Numbers of all values, KEY_NONE for those that are not there. Reads only.
void int_keys_find(const IntKeys *keys, const int64_t *values, size_t count, uint32_t *numbers);
