#include "engine/gather.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/pages.h"

struct Gather {
  Type type;
  size_t count;
  size_t width;      // bytes per value; of a Slice for texts
  uint8_t *values;   // NULL for lists
  uint8_t *states;   // a byte per value: bits of one word may belong to two threads
  uint64_t *valid;   // made by gather_column where a value is null
  uint64_t *errors;  // too, where a value failed
  bool sealed;       // gather_column was called
  Arena *texts;      // per thread
  unsigned threads;
  Builder *lists;  // lists only
};

// What a value is; one that was not put is null.
enum { IS_NULL, IS_THERE, IS_FAILED };

static bool is_text(Type type)
{
  return type.kind == TYPE_STRING || type.kind == TYPE_BYTES;
}

Gather *gather_new(Type type, size_t count, unsigned threads)
{
  Gather *gather = mem_zalloc(1, sizeof(*gather));
  gather->type = type;
  gather->count = count;
  gather->threads = threads;
  if (type.kind == TYPE_LIST) {
    gather->lists = builder_new(type);
    return gather;
  }
  gather->width = is_text(type) ? sizeof(Slice) : type_width(type);
  gather->values = pages_zalloc(count, gather->width);  // picked from at random
  gather->states = mem_zalloc(count, 1);
  gather->texts = mem_zalloc(threads, sizeof(Arena));
  return gather;
}

void gather_free(Gather *gather)
{
  if (!gather) {
    return;
  }
  for (unsigned i = 0; gather->texts && i < gather->threads; i++) {
    arena_deinit(&gather->texts[i]);
  }
  builder_free(gather->lists);
  free(gather->texts);
  pages_free(gather->values, gather->count, gather->width);
  free(gather->states);
  free(gather->valid);
  free(gather->errors);
  free(gather);
}

size_t gather_bytes(const Gather *gather)
{
  if (gather->lists) {
    return sizeof(*gather) + builder_bytes(gather->lists);
  }
  size_t bytes = sizeof(*gather) + gather->count * (gather->width + 1);
  for (unsigned i = 0; i < gather->threads; i++) {
    bytes += gather->texts[i].used;
  }
  return bytes;
}

static void put_lists(Gather *gather, size_t first, const Column *column, size_t count)
{
  assert(builder_count(gather->lists) == first);
  for (size_t i = 0; i < count; i++) {
    builder_add(gather->lists, column, i);
  }
}

static void put_texts(Gather *gather, unsigned thread, size_t first, const Column *column,
                      size_t count)
{
  Slice *texts = (Slice *)gather->values + first;
  for (size_t i = 0; i < count; i++) {
    if (column_has(column, i)) {
      texts[i] = arena_copy(&gather->texts[thread], column->slices[i]);
    }
  }
}

void gather_put(Gather *gather, unsigned thread, size_t first, const Column *column, size_t count)
{
  if (gather->lists) {
    put_lists(gather, first, column, count);
    return;
  }
  assert(first + count <= gather->count && thread < gather->threads);
  memset(gather->states + first, IS_THERE, count);
  for (size_t i = 0; column->valid && i < count; i++) {
    gather->states[first + i] = column_has(column, i) ? IS_THERE : IS_NULL;
  }
  for (size_t i = 0; column->errors && i < count; i++) {
    if (column_failed(column, i)) {
      gather->states[first + i] = IS_FAILED;
    }
  }
  if (is_text(gather->type)) {
    put_texts(gather, thread, first, column, count);
  } else {
    memcpy(gather->values + first * gather->width, column->data, count * gather->width);
  }
}

static bool has_state(const Gather *gather, uint8_t state)
{
  return gather->count && memchr(gather->states, state, gather->count);
}

static uint64_t *state_bits(const Gather *gather, uint8_t state)
{
  uint64_t *bits = mem_zalloc(column_valid_words(gather->count), sizeof(uint64_t));
  for (size_t i = 0; i < gather->count; i++) {
    bits[i / 64] |= (uint64_t)(gather->states[i] == state) << (i % 64);
  }
  return bits;
}

Column gather_column(Gather *gather)
{
  if (gather->lists) {
    return builder_column(gather->lists);
  }
  if (!gather->sealed) {
    bool failed = has_state(gather, IS_FAILED);
    bool partial = failed || has_state(gather, IS_NULL);
    gather->valid = partial ? state_bits(gather, IS_THERE) : NULL;
    gather->errors = failed ? state_bits(gather, IS_FAILED) : NULL;
    gather->sealed = true;
  }
  return (Column){.type = gather->type,
                  .valid = gather->valid,
                  .data = gather->values,
                  .errors = gather->errors};
}
