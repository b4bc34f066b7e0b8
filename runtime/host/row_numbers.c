#include "host/row_numbers.h"

#include <string.h>

#include "base/mem.h"

// What x86 makes of an invalid operation, and LuaJIT's own.
static const uint64_t INNER_64 = UINT64_C(0xfff8000000000000);
static const uint32_t INNER_32 = 0xffc00000;
// What most programs write.
static const uint64_t OUTER_64 = UINT64_C(0x7ff8000000000000);
static const uint32_t OUTER_32 = 0x7fc00000;

// Replaces NaNs, without a branch. Returns whether there was one that is not `nan` already.
static bool replace_64(const uint64_t *from, uint64_t *to, size_t count, uint64_t nan)
{
  const uint64_t sign = UINT64_C(1) << 63;
  const uint64_t infinity = UINT64_C(0x7ff0000000000000);
  uint64_t changed = 0;
  for (size_t i = 0; i < count; i++) {
    uint64_t value = from[i];
    uint64_t kept = (value & ~sign) > infinity ? nan : value;
    changed |= kept ^ value;
    if (to) {
      to[i] = kept;
    }
  }
  return changed != 0;
}

static bool replace_32(const uint32_t *from, uint32_t *to, size_t count, uint32_t nan)
{
  const uint32_t sign = UINT32_C(1) << 31;
  const uint32_t infinity = 0x7f800000;
  uint32_t changed = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t value = from[i];
    uint32_t kept = (value & ~sign) > infinity ? nan : value;
    changed |= kept ^ value;
    if (to) {
      to[i] = kept;
    }
  }
  return changed != 0;
}

static void widen(const int32_t *from, double *to, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    to[i] = from[i];
  }
}

static bool is_copied(uint8_t kind)
{
  return kind == TYPE_FLOAT32 || kind == TYPE_FLOAT64 || kind == TYPE_INT32;
}

// How many elements the lists of `count` rows reach over.
static size_t count_items(const Column *column, size_t count)
{
  uint64_t end = 0;
  for (size_t i = 0; i < count; i++) {
    if (column_has(column, i)) {
      uint64_t stop = column->lists[i].offset + column->lists[i].length;
      end = stop > end ? stop : end;
    }
  }
  return (size_t)end;
}

const void *row_numbers_input(const Column *column, size_t count, void **space)
{
  uint8_t kind = column->type.kind;
  const void *data = column->data;
  if (kind == TYPE_VECTOR) {
    kind = TYPE_FLOAT32;
    count *= column->type.length;
  } else if (kind == TYPE_LIST) {
    kind = column->type.element;
    data = column->child->data;
    count = is_copied(kind) ? count_items(column, count) : 0;
  }
  if (kind == TYPE_INT32) {
    *space = mem_realloc(*space, count, sizeof(double));
    widen(data, *space, count);
    return *space;
  }
  if (kind == TYPE_FLOAT64 && replace_64(data, NULL, count, INNER_64)) {
    *space = mem_realloc(*space, count, sizeof(uint64_t));
    replace_64(data, *space, count, INNER_64);
    return *space;
  }
  if (kind == TYPE_FLOAT32 && replace_32(data, NULL, count, INNER_32)) {
    *space = mem_realloc(*space, count, sizeof(uint32_t));
    replace_32(data, *space, count, INNER_32);
    return *space;
  }
  return data;
}

// In place: every number is read before its place is written to.
static void make_int32s(void *data, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    double value;
    memcpy(&value, (const char *)data + i * sizeof(value), sizeof(value));
    int32_t whole = (int32_t)value;
    memcpy((char *)data + i * sizeof(whole), &whole, sizeof(whole));
  }
}

static void make_int64s(void *data, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    double value;
    memcpy(&value, (const char *)data + i * sizeof(value), sizeof(value));
    int64_t whole = (int64_t)value;
    memcpy((char *)data + i * sizeof(whole), &whole, sizeof(whole));
  }
}

void row_numbers_output(void *data, size_t count, uint8_t kind)
{
  if (kind == TYPE_FLOAT64) {
    replace_64(data, data, count, OUTER_64);
  } else if (kind == TYPE_FLOAT32) {
    replace_32(data, data, count, OUTER_32);
  } else if (kind == TYPE_INT32) {
    make_int32s(data, count);
  } else if (kind == TYPE_INT64 || kind == TYPE_TIMESTAMP) {
    make_int64s(data, count);
  }
}
