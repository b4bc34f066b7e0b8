#include "data/build.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

// Text is copied into chunks that never move, so that slices stay valid while the column grows.
enum { FIRST_CAPACITY = 64, CHUNK_SIZE = 8 << 10 };

struct Builder {
  Type type;
  size_t width;  // bytes per value in `data`
  size_t count;
  size_t capacity;  // in values, a multiple of 64
  size_t null_count;
  uint8_t *data;
  uint64_t *valid;   // bits beyond `count` are set, so that only nulls have to touch it
  uint64_t *errors;  // made for the first value that failed; bits beyond `count` are not set
  Arena text;        // bytes of strings
  char *chunk;       // free part of the newest chunk
  size_t chunk_left;
  Builder *child;     // a list's elements; NULL otherwise
  Column child_view;  // what builder_column last showed of it
};

Builder *builder_new(Type type)
{
  Builder *builder = mem_zalloc(1, sizeof(Builder));
  builder->type = type;
  builder->width = type_width(type);
  if (type.kind == TYPE_LIST) {
    builder->child = builder_new((Type){.kind = type.element});
  }
  return builder;
}

void builder_free(Builder *builder)
{
  if (!builder) {
    return;
  }
  if (builder->child) {
    builder_free(builder->child);
  }
  arena_deinit(&builder->text);
  free(builder->data);
  free(builder->valid);
  free(builder->errors);
  free(builder);
}

size_t builder_count(const Builder *builder)
{
  return builder->count;
}

size_t builder_bytes(const Builder *builder)
{
  size_t bits = builder->capacity / 8 * (builder->errors ? 2 : 1);
  return builder->capacity * builder->width + bits + builder->text.used
         + (builder->child ? builder_bytes(builder->child) : 0);
}

void builder_reset(Builder *builder)
{
  if (builder->valid) {
    memset(builder->valid, 0xff, builder->capacity / 8);
  }
  free(builder->errors);
  builder->errors = NULL;
  builder->count = 0;
  builder->null_count = 0;
  arena_reset(&builder->text);
  builder->chunk = NULL;
  builder->chunk_left = 0;
  if (builder->child) {
    builder_reset(builder->child);
  }
}

// Room for `extra` more values.
static void reserve(Builder *builder, size_t extra)
{
  size_t needed = builder->count + extra;
  if (needed <= builder->capacity) {
    return;
  }
  size_t capacity = builder->capacity ? builder->capacity * 2 : FIRST_CAPACITY;
  if (capacity < needed) {
    capacity = (needed + 63) & ~(size_t)63;
  }
  builder->data = mem_realloc(builder->data, capacity, builder->width);
  builder->valid = mem_realloc(builder->valid, capacity / 64, sizeof(uint64_t));
  memset(builder->valid + builder->capacity / 64, 0xff, (capacity - builder->capacity) / 8);
  if (builder->errors) {
    builder->errors = mem_realloc(builder->errors, capacity / 64, sizeof(uint64_t));
    memset(builder->errors + builder->capacity / 64, 0, (capacity - builder->capacity) / 8);
  }
  builder->capacity = capacity;
}

static Slice keep_text(Builder *builder, Slice bytes)
{
  if (bytes.size > builder->chunk_left) {
    if (bytes.size > CHUNK_SIZE / 4) {
      return arena_copy(&builder->text, bytes);
    }
    builder->chunk = arena_alloc(&builder->text, CHUNK_SIZE);
    builder->chunk_left = CHUNK_SIZE;
  }
  if (!bytes.size) {
    return slice_of("", 0);
  }
  char *copy = memcpy(builder->chunk, bytes.data, bytes.size);
  builder->chunk += bytes.size;
  builder->chunk_left -= bytes.size;
  return slice_of(copy, bytes.size);
}

void builder_add_null(Builder *builder)
{
  reserve(builder, 1);
  memset(builder->data + builder->count * builder->width, 0, builder->width);
  column_set_valid(builder->valid, builder->count, false);
  builder->null_count++;
  builder->count++;
}

static void mark_failed(Builder *builder, size_t place)
{
  if (!builder->errors) {
    builder->errors = mem_zalloc(builder->capacity / 64, sizeof(uint64_t));
  }
  column_set_valid(builder->errors, place, true);
}

// Appends value `row`, which is there; room has been reserved.
static void copy_value(Builder *builder, const Column *column, size_t row)
{
  uint8_t *at = builder->data + builder->count * builder->width;
  if (builder->type.kind == TYPE_STRING || builder->type.kind == TYPE_BYTES) {
    Slice kept = keep_text(builder, column->slices[row]);
    memcpy(at, &kept, sizeof(kept));
  } else if (builder->type.kind == TYPE_LIST) {
    ColumnList from = column->lists[row];
    ColumnList list = {builder->child->count, from.length};
    for (uint64_t i = 0; i < from.length; i++) {
      builder_add(builder->child, column->child, from.offset + i);
    }
    memcpy(at, &list, sizeof(list));
  } else {
    memcpy(at, (const uint8_t *)column->data + row * builder->width, builder->width);
  }
  builder->count++;
}

void builder_add(Builder *builder, const Column *column, size_t row)
{
  assert(type_equal(builder->type, column->type));
  if (!column_has(column, row)) {
    builder_add_null(builder);
    if (column_failed(column, row)) {
      mark_failed(builder, builder->count - 1);
    }
    return;
  }
  reserve(builder, 1);
  copy_value(builder, column, row);
}

// Copies values of `width` bytes; with a constant width the compiler makes plain moves of it.
static inline void pick_width(const uint8_t *from, const uint32_t *rows, size_t count, uint8_t *out,
                              size_t width)
{
  for (size_t i = 0; i < count; i++) {
    if (rows[i] == UINT32_MAX) {
      memset(out + i * width, 0, width);
    } else {
      memcpy(out + i * width, from + rows[i] * width, width);
    }
  }
}

// The values rows[0..count), zero for UINT32_MAX. Slices and lists still point into what they are
// from.
static void pick_values(const Column *column, const uint32_t *rows, size_t count, uint8_t *out)
{
  const uint8_t *from = column->data;
  size_t width = type_width(column->type);
  switch (width) {
  case 1:
    pick_width(from, rows, count, out, 1);
    break;
  case 4:
    pick_width(from, rows, count, out, 4);
    break;
  case 8:
    pick_width(from, rows, count, out, 8);
    break;
  case 16:
    pick_width(from, rows, count, out, 16);
    break;
  default:
    pick_width(from, rows, count, out, width);
  }
}

Column builder_column(Builder *builder)
{
  if (builder->child) {
    builder->child_view = builder_column(builder->child);
  }
  return (Column){
      .type = builder->type,
      .valid = builder->null_count ? builder->valid : NULL,
      .data = builder->data,
      .child = builder->child ? &builder->child_view : NULL,
      .errors = builder->errors,
  };
}

// Bits of the picked rows; NULL when every value is there.
static const uint64_t *pick_valid(const Column *from, const uint32_t *rows, size_t count,
                                  Arena *arena)
{
  size_t bytes = column_valid_words(count) * sizeof(uint64_t);
  uint64_t *valid = NULL;
  for (size_t i = 0; i < count; i++) {
    if (rows[i] != UINT32_MAX && column_has(from, rows[i])) {
      continue;
    }
    if (!valid) {
      valid = memset(arena_alloc(arena, bytes), 0xff, bytes);
    }
    column_set_valid(valid, i, false);
  }
  return valid;
}

// Bits of the picked values that failed; NULL when none did.
static const uint64_t *pick_errors(const Column *from, const uint32_t *rows, size_t count,
                                   Arena *arena)
{
  uint64_t *errors = NULL;
  for (size_t i = 0; from->errors && i < count; i++) {
    if (rows[i] != UINT32_MAX && column_failed(from, rows[i])) {
      errors = errors ? errors : arena_zalloc(arena, column_valid_words(count), sizeof(*errors));
      column_set_valid(errors, i, true);
    }
  }
  return errors;
}

Column column_pick(const Column *from, const uint32_t *rows, size_t count, Arena *arena)
{
  size_t bytes;
  bool overflow = __builtin_mul_overflow(count, type_width(from->type), &bytes);
  assert(!overflow);
  uint8_t *data = arena_alloc(arena, bytes);
  pick_values(from, rows, count, data);
  return (Column){
      .type = from->type,
      .valid = pick_valid(from, rows, count, arena),
      .data = data,
      .child = from->child,
      .errors = pick_errors(from, rows, count, arena),
  };
}
