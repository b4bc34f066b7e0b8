#pragma once
// Sorting many keys by their bytes: eight at a time, digit by digit, so that mostly no two keys are
// ever compared. Stable.

#include <stdint.h>

#include "base/slice.h"

typedef struct {
  uint64_t prefix;  // the sort's
  const void *item;
} KeyEntry;

typedef Slice (*KeyOf)(const void *item);

// The bytes from `skip` on are sorted by; those before are the same in all keys. The room is used
// as well; returns which of the two the sorted entries are in.
KeyEntry *key_sort(KeyEntry *entries, KeyEntry *room, size_t count, size_t skip, KeyOf key_of);
