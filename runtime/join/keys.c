#include "join/keys.h"

#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "data/key.h"
#include "join/keys_bytes.h"
#include "join/keys_int.h"

enum { BLOCK = 512 };

struct KeySet {
  Type *types;
  size_t key_count;
  bool is_int;  // one integer key: ints is used, bytes otherwise
  IntKeys ints;
  ByteKeys bytes;
};

static bool is_integer(Type type)
{
  return type.kind == TYPE_BOOL || type.kind == TYPE_INT32 || type.kind == TYPE_INT64
         || type.kind == TYPE_TIMESTAMP;
}

static bool is_text(Type type)
{
  return type.kind == TYPE_STRING || type.kind == TYPE_BYTES;
}

KeySet *key_set_new(const Type *types, size_t key_count)
{
  assert(key_count > 0);
  KeySet *set = mem_zalloc(1, sizeof(*set));
  set->types = mem_realloc(NULL, key_count, sizeof(*types));
  memcpy(set->types, types, key_count * sizeof(*types));
  set->key_count = key_count;
  set->is_int = key_count == 1 && is_integer(types[0]);
  // A single string is probed as it stands in the column; the size that its encoding begins with
  // is only kept for key_set_key.
  set->bytes.prefix = key_count == 1 ? 4 : 0;
  return set;
}

void key_set_free(KeySet *set)
{
  if (set) {
    free(set->types);
    int_keys_deinit(&set->ints);
    byte_keys_deinit(&set->bytes);
    free(set);
  }
}

size_t key_set_count(const KeySet *set)
{
  return set->is_int ? set->ints.count : set->bytes.count;
}

size_t key_set_bytes(const KeySet *set)
{
  return sizeof(*set) + set->key_count * sizeof(*set->types) + int_keys_bytes(&set->ints)
         + byte_keys_bytes(&set->bytes);
}

// Marks the rows of a block that have a key: 0, or KEY_NONE where a column is null.
static void mark_nulls(const Column *keys, size_t key_count, size_t from, size_t count,
                       uint32_t *numbers)
{
  memset(numbers, 0, count * sizeof(*numbers));
  for (size_t key = 0; key < key_count; key++) {
    if (!keys[key].valid) {
      continue;
    }
    for (size_t i = 0; i < count; i++) {
      numbers[i] |= column_has(&keys[key], from + i) ? 0 : KEY_NONE;
    }
  }
}

// The integers of a block, widened. Values of null rows are whatever the column holds there.
static void load_ints(const Column *column, size_t from, size_t count, int64_t *out)
{
  switch (column->type.kind) {
  case TYPE_BOOL:
    for (size_t i = 0; i < count; i++) {
      out[i] = column->bools[from + i];
    }
    break;
  case TYPE_INT32:
    for (size_t i = 0; i < count; i++) {
      out[i] = column->int32s[from + i];
    }
    break;
  default:
    assert(column->type.kind == TYPE_INT64 || column->type.kind == TYPE_TIMESTAMP);
    memcpy(out, column->int64s + from, count * sizeof(*out));
  }
}

// One block of rows in the form that the tables take.
typedef struct {
  int64_t ints[BLOCK];
  Slice slices[BLOCK];
  size_t ends[BLOCK];
  Buf encoded;  // composite keys of the block
} KeyBlock;

// Encodes composite keys. Slices are set at the end, because the buffer moves while it grows.
static void load_composite(const KeySet *set, const Column *keys, size_t from, size_t count,
                           const uint32_t *numbers, KeyBlock *block)
{
  buf_reset(&block->encoded);
  for (size_t i = 0; i < count; i++) {
    for (size_t key = 0; key < set->key_count && numbers[i] != KEY_NONE; key++) {
      bool put = key_put_column(&block->encoded, &keys[key], from + i);
      assert(put);
    }
    block->ends[i] = block->encoded.size;
  }
  size_t start = 0;
  for (size_t i = 0; i < count; i++) {
    block->slices[i] = slice_of(block->encoded.data + start, block->ends[i] - start);
    start = block->ends[i];
  }
}

// Points *slices at the block's keys: a single text column is used where it is.
static void load_slices(const KeySet *set, const Column *keys, size_t from, size_t count,
                        const uint32_t *numbers, KeyBlock *block, const Slice **slices)
{
  if (set->key_count == 1) {
    assert(is_text(keys[0].type));
    *slices = keys[0].slices + from;
    return;
  }
  load_composite(set, keys, from, count, numbers, block);
  *slices = block->slices;
}

static void add_block(KeySet *set, const Column *keys, size_t from, size_t count, uint32_t *numbers,
                      KeyBlock *block)
{
  mark_nulls(keys, set->key_count, from, count, numbers);
  if (set->is_int) {
    load_ints(keys, from, count, block->ints);
    int_keys_add(&set->ints, block->ints, count, numbers);
    return;
  }
  const Slice *slices;
  load_slices(set, keys, from, count, numbers, block, &slices);
  byte_keys_add(&set->bytes, slices, count, numbers);
}

static void find_ints(const KeySet *set, const Column *keys, size_t from, size_t count,
                      uint32_t *numbers, KeyBlock *block)
{
  const int64_t *values = block->ints;
  if (type_width(keys->type) == sizeof(int64_t)) {
    values = keys->int64s + from;
  } else {
    load_ints(keys, from, count, block->ints);
  }
  int_keys_find(&set->ints, values, count, numbers);
  for (size_t i = 0; keys->valid && i < count; i++) {
    numbers[i] |= column_has(keys, from + i) ? 0 : KEY_NONE;
  }
}

static void find_block(const KeySet *set, const Column *keys, size_t from, size_t count,
                       uint32_t *numbers, KeyBlock *block)
{
  if (set->is_int) {
    find_ints(set, keys, from, count, numbers, block);
    return;
  }
  const Slice *slices;
  mark_nulls(keys, set->key_count, from, count, numbers);
  load_slices(set, keys, from, count, numbers, block, &slices);
  byte_keys_find(&set->bytes, slices, count, numbers);
}

// Columns are of the key's type, or integers where it is an integer.
static void check_types(const KeySet *set, const Column *keys)
{
  for (size_t key = 0; key < set->key_count; key++) {
    assert(is_integer(set->types[key]) == is_integer(keys[key].type));
    assert(is_text(set->types[key]) == is_text(keys[key].type));
    assert(set->key_count == 1
           || (set->types[key].kind == TYPE_BOOL) == (keys[key].type.kind == TYPE_BOOL));
  }
}

void key_set_add(KeySet *set, const Column *keys, size_t rows, uint32_t *numbers)
{
  KeyBlock block = {.encoded = {0}};
  check_types(set, keys);
  for (size_t from = 0; from < rows; from += BLOCK) {
    size_t count = rows - from < BLOCK ? rows - from : BLOCK;
    add_block(set, keys, from, count, numbers + from, &block);
  }
  buf_deinit(&block.encoded);
}

void key_set_find(const KeySet *set, const Column *keys, size_t rows, uint32_t *numbers)
{
  KeyBlock block;
  block.encoded = (Buf){0};
  check_types(set, keys);
  for (size_t from = 0; from < rows; from += BLOCK) {
    size_t count = rows - from < BLOCK ? rows - from : BLOCK;
    find_block(set, keys, from, count, numbers + from, &block);
  }
  buf_deinit(&block.encoded);
}

Slice key_set_key(const KeySet *set, uint32_t number, uint8_t *space)
{
  assert(number < key_set_count(set));
  if (!set->is_int) {
    return byte_keys_get(&set->bytes, number);
  }
  int64_t value = set->ints.values[number];
  if (set->types[0].kind == TYPE_BOOL) {
    space[0] = (uint8_t)value;
    return slice_of(space, 1);
  }
  bytes_store_be64(space, bytes_order_i64(value));
  return slice_of(space, 8);
}
