#pragma once
// Numbers for keys that are bytes: strings and composite keys in their encoding. The table holds
// the first 24 bytes of each key beside its number, so that keys up to that length are compared
// without leaving the cache line; longer ones go on in the bytes of the set.

#include "base/buf.h"

enum { BYTE_KEY_HEAD = 24 };

typedef struct {
  uint32_t after;                    // one more than the number; 0: the entry is free
  uint32_t size;                     // bytes of the whole key
  uint64_t head[BYTE_KEY_HEAD / 8];  // first bytes, padded with zeros
} ByteEntry;

typedef struct {
  ByteEntry *entries;  // heap, capacity of them
  size_t capacity;     // a power of two; 0 before the first key
  Buf bytes;           // all keys one after the other, each after `prefix` bytes
  uint64_t *ends;      // where the key of each number ends
  size_t count;
  size_t end_room;
  size_t prefix;  // 4: the size of each key stands before it, big-endian; or 0
} ByteKeys;       // the zero value is an empty set without prefixes

void byte_keys_deinit(ByteKeys *keys);
size_t byte_keys_bytes(const ByteKeys *keys);

// A key with its prefix; points into the set.
Slice byte_keys_get(const ByteKeys *keys, uint32_t number);

// As int_keys_add and int_keys_find; where numbers[i] is KEY_NONE on entry of either, keys[i] is
// not looked at.
void byte_keys_add(ByteKeys *keys, const Slice *wanted, size_t count, uint32_t *numbers);
void byte_keys_find(const ByteKeys *keys, const Slice *wanted, size_t count, uint32_t *numbers);
