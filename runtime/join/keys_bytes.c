#include "join/keys_bytes.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/pages.h"
#include "join/keys.h"

enum { BLOCK = 64, LEAST_CAPACITY = 512 };

_Static_assert(sizeof(ByteEntry) == 32, "two entries per cache line");

// A key that is looked for, in the form that entries have.
typedef struct {
  size_t home;
  ByteEntry as;
} Wanted;

void byte_keys_deinit(ByteKeys *keys)
{
  pages_free(keys->entries, keys->capacity, sizeof(ByteEntry));
  free(keys->ends);
  buf_deinit(&keys->bytes);
  *keys = (ByteKeys){0};
}

size_t byte_keys_bytes(const ByteKeys *keys)
{
  return keys->capacity * sizeof(ByteEntry) + keys->bytes.capacity
         + keys->end_room * sizeof(uint64_t);
}

Slice byte_keys_get(const ByteKeys *keys, uint32_t number)
{
  assert(number < keys->count);
  uint64_t start = number ? keys->ends[number - 1] : 0;
  return slice_of(keys->bytes.data + start, keys->ends[number] - start);
}

static Slice without_prefix(const ByteKeys *keys, uint32_t number)
{
  Slice key = byte_keys_get(keys, number);
  return slice_of(key.data + keys->prefix, key.size - keys->prefix);
}

// Up to 8 bytes as one word, padded with zeros, without a loop and without reading past the end.
static uint64_t load_word(const char *data, size_t size)
{
  uint32_t low;
  uint32_t high;
  if (size >= 8) {
    return bytes_load_u64(data);
  }
  if (size >= 4) {  // two halves that overlap where size < 8; equal bits meet there
    memcpy(&low, data, sizeof(low));
    memcpy(&high, data + size - 4, sizeof(high));
    return low | (uint64_t)high << (8 * (size - 4));
  }
  if (size == 0) {
    return 0;
  }
  // 1 to 3 bytes: the first, the middle and the last one, which may be the same
  uint64_t first = (uint8_t)data[0];
  uint64_t middle = (uint8_t)data[size / 2];
  uint64_t last = (uint8_t)data[size - 1];
  return first | middle << (8 * (size / 2)) | last << (8 * (size - 1));
}

static ByteEntry entry_of(Slice key)
{
  assert(key.size <= UINT32_MAX);
  ByteEntry entry = {.size = (uint32_t)key.size};
  size_t size = key.size;
  entry.head[0] = load_word(key.data, size);
  if (size > 8) {
    entry.head[1] = load_word(key.data + 8, size - 8);
  }
  if (size > 16) {
    entry.head[2] = load_word(key.data + 16, size - 16);
  }
  return entry;
}

static uint64_t hash_of(Slice key, const ByteEntry *entry)
{
  if (key.size > BYTE_KEY_HEAD) {
    return hash_bytes(key, 0);
  }
  static const uint64_t FIRST = UINT64_C(0xa0761d6478bd642f);
  static const uint64_t SECOND = UINT64_C(0xe7037ed1a0b428db);
  uint64_t state = hash_mix(entry->head[0] ^ FIRST, entry->head[1] ^ SECOND ^ entry->size);
  return hash_mix(state ^ FIRST, entry->head[2] ^ SECOND);
}

static bool same_key(const ByteKeys *keys, const ByteEntry *entry, const ByteEntry *wanted,
                     Slice key)
{
  uint64_t difference = (entry->head[0] ^ wanted->head[0]) | (entry->head[1] ^ wanted->head[1])
                        | (entry->head[2] ^ wanted->head[2]) | (entry->size ^ wanted->size);
  if (difference) {
    return false;
  }
  return key.size <= BYTE_KEY_HEAD || slice_equal(without_prefix(keys, entry->after - 1), key);
}

// The entry that holds the key, or the free one where it belongs.
static size_t probe(const ByteKeys *keys, const Wanted *wanted, Slice key)
{
  size_t at = wanted->home;
  while (keys->entries[at].after && !same_key(keys, &keys->entries[at], &wanted->as, key)) {
    at = (at + 1) & (keys->capacity - 1);
  }
  return at;
}

static Wanted want(const ByteKeys *keys, Slice key)
{
  ByteEntry entry = entry_of(key);
  size_t home = hash_of(key, &entry) & (keys->capacity - 1);
  __builtin_prefetch(&keys->entries[home]);
  return (Wanted){home, entry};
}

static void rebuild(ByteKeys *keys, size_t capacity)
{
  pages_free(keys->entries, keys->capacity, sizeof(ByteEntry));
  keys->entries = pages_zalloc(capacity, sizeof(ByteEntry));
  keys->capacity = capacity;
  for (size_t number = 0; number < keys->count; number++) {
    Wanted wanted = want(keys, without_prefix(keys, (uint32_t)number));
    size_t at = wanted.home;
    while (keys->entries[at].after) {  // all keys differ: only a free entry ends it
      at = (at + 1) & (capacity - 1);
    }
    keys->entries[at] = wanted.as;
    keys->entries[at].after = (uint32_t)number + 1;
  }
}

// Makes room for `extra` more keys, so that no entry moves while a block is added.
static void reserve(ByteKeys *keys, size_t extra)
{
  size_t needed = keys->count + extra;
  assert(needed < KEY_NONE);
  if (needed > keys->end_room) {
    keys->end_room = needed > 2 * keys->end_room ? needed : 2 * keys->end_room;
    keys->ends = mem_realloc(keys->ends, keys->end_room, sizeof(uint64_t));
  }
  size_t capacity = keys->capacity ? keys->capacity : LEAST_CAPACITY;
  while (capacity < 2 * needed) {
    capacity *= 2;
  }
  if (capacity != keys->capacity) {
    rebuild(keys, capacity);
  }
}

static uint32_t number_of(ByteKeys *keys, const Wanted *wanted, Slice key)
{
  ByteEntry *entry = &keys->entries[probe(keys, wanted, key)];
  if (!entry->after) {
    if (keys->prefix) {
      uint8_t size[4];
      assert(keys->prefix == sizeof(size));
      bytes_store_be32(size, (uint32_t)key.size);
      buf_put(&keys->bytes, size, sizeof(size));
    }
    buf_put_slice(&keys->bytes, key);
    keys->ends[keys->count++] = keys->bytes.size;
    *entry = wanted->as;
    entry->after = (uint32_t)keys->count;
  }
  return entry->after - 1;
}

static void add_block(ByteKeys *keys, const Slice *wanted, size_t count, uint32_t *numbers)
{
  Wanted block[BLOCK];
  reserve(keys, count);
  for (size_t i = 0; i < count; i++) {
    if (numbers[i] != KEY_NONE) {
      block[i] = want(keys, wanted[i]);
    }
  }
  for (size_t i = 0; i < count; i++) {
    if (numbers[i] != KEY_NONE) {
      numbers[i] = number_of(keys, &block[i], wanted[i]);
    }
  }
}

void byte_keys_add(ByteKeys *keys, const Slice *wanted, size_t count, uint32_t *numbers)
{
  for (size_t from = 0; from < count; from += BLOCK) {
    size_t rows = count - from < BLOCK ? count - from : BLOCK;
    add_block(keys, wanted + from, rows, numbers + from);
  }
}

static void find_block(const ByteKeys *keys, const Slice *wanted, size_t count, uint32_t *numbers)
{
  Wanted block[BLOCK];
  for (size_t i = 0; i < count; i++) {
    if (numbers[i] != KEY_NONE) {
      block[i] = want(keys, wanted[i]);
    }
  }
  for (size_t i = 0; i < count; i++) {
    if (numbers[i] != KEY_NONE) {
      // a free entry gives 0 - 1, which is KEY_NONE
      numbers[i] = keys->entries[probe(keys, &block[i], wanted[i])].after - 1;
    }
  }
}

void byte_keys_find(const ByteKeys *keys, const Slice *wanted, size_t count, uint32_t *numbers)
{
  if (!keys->capacity) {
    memset(numbers, 0xff, count * sizeof(*numbers));
    return;
  }
  for (size_t from = 0; from < count; from += BLOCK) {
    size_t rows = count - from < BLOCK ? count - from : BLOCK;
    find_block(keys, wanted + from, rows, numbers + from);
  }
}
