#pragma once
// Sorting many keys by their bytes: eight at a time, digit by digit, so that mostly no two keys are
// ever compared. Stable.

#include <stdint.h>

#include "base/slice.h"

typedef struct {
  uint64_t prefix;  // key_prefix of its key; not any more when it is sorted
  const void *item;
} KeyEntry;

typedef Slice (*KeyOf)(const void *item);

// Eight bytes of a key from `skip` on, as a number; zeros behind its end.
uint64_t key_prefix(Slice key, size_t skip);

// Sorts by the bytes from `skip` on, where prefixes begin; those before are the same in all keys.
// The room is used as well; returns which of the two the sorted entries are in.
KeyEntry *key_sort(KeyEntry *entries, KeyEntry *room, size_t count, size_t skip, KeyOf key_of);
