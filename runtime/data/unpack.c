#include "data/unpack.h"

#include <assert.h>

struct Unpack {
  Type type;
  Arena *arena;
  size_t count;
  uint64_t *valid;
  union {
    void *data;
    uint8_t *bools;
    int32_t *int32s;
    int64_t *int64s;
    float *float32s;
    double *float64s;
    Slice *slices;
    ColumnList *lists;
  };
  Unpack *child;       // a list's elements, with room for `count`; NULL otherwise
  Column child_view;   // of these
  size_t child_count;  // read so far
};

// Nulls have values too, which nobody reads but a copy of whole columns may touch.
static void reserve(Unpack *unpack, size_t count)
{
  size_t words = column_valid_words(count);
  size_t width = type_width(unpack->type);
  uint64_t *valid = arena_zalloc(unpack->arena, words, sizeof(*valid));
  void *data = arena_zalloc(unpack->arena, count, width);
  if (unpack->count) {
    memcpy(valid, unpack->valid, column_valid_words(unpack->count) * sizeof(*valid));
    memcpy(data, unpack->data, unpack->count * width);
  }
  unpack->valid = valid;
  unpack->data = data;
  unpack->count = count;
}

Unpack *unpack_new(Type type, size_t count, Arena *arena)
{
  Unpack *unpack = arena_zalloc(arena, 1, sizeof(*unpack));
  unpack->type = type;
  unpack->arena = arena;
  reserve(unpack, count);
  if (type.kind == TYPE_LIST) {
    unpack->child = unpack_new((Type){.kind = type.element}, count, arena);
  }
  return unpack;
}

static bool take_float(const MpToken *token, double *value)
{
  *value = token->real;
  return token->kind == MP_FLOAT;
}

// Every type but lists and vectors.
static bool take_scalar(Unpack *unpack, size_t row, const MpToken *token)
{
  double real;
  switch ((TypeKind)unpack->type.kind) {
  case TYPE_BOOL:
    unpack->bools[row] = token->kind == MP_BOOL && token->integer;
    return token->kind == MP_BOOL;
  case TYPE_INT32:
    if (token->kind != MP_INT || token->integer < INT32_MIN || token->integer > INT32_MAX) {
      return false;
    }
    unpack->int32s[row] = (int32_t)token->integer;
    return true;
  case TYPE_INT64:
  case TYPE_TIMESTAMP:
    if (token->kind != MP_INT) {
      return false;
    }
    unpack->int64s[row] = token->integer;
    return true;
  case TYPE_FLOAT32:
    if (!take_float(token, &real)) {
      return false;
    }
    unpack->float32s[row] = (float)real;
    return true;
  case TYPE_FLOAT64:
    return take_float(token, &unpack->float64s[row]);
  case TYPE_STRING:
  case TYPE_BYTES:
    if (token->kind != (unpack->type.kind == TYPE_STRING ? MP_STR : MP_BIN)) {
      return false;
    }
    unpack->slices[row] = token->bytes;
    return true;
  default:
    return false;
  }
}

static bool take_token(MpReader *reader, MpToken *token)
{
  return mp_next(reader, token) == MP_OK;
}

// One value that is no list; nil stays null.
static bool take_value(Unpack *unpack, size_t row, const MpToken *token)
{
  bool null = token->kind == MP_NIL;
  column_set_valid(unpack->valid, row, !null);
  return null || take_scalar(unpack, row, token);
}

static bool take_list(Unpack *unpack, size_t row, uint32_t count, MpReader *reader)
{
  Unpack *child = unpack->child;
  size_t first = unpack->child_count;
  if ((size_t)(reader->end - reader->at) < count) {
    return false;  // every element has a byte
  }
  if (child->count - first < count) {
    reserve(child, (first + count) * 2);
  }
  for (uint32_t i = 0; i < count; i++) {
    MpToken token;
    if (!take_token(reader, &token) || !take_value(child, first + i, &token)) {
      return false;
    }
  }
  unpack->child_count += count;
  unpack->lists[row] = (ColumnList){first, count};
  return true;
}

static bool take_vector(Unpack *unpack, size_t row, uint32_t count, MpReader *reader)
{
  if (count != unpack->type.length) {
    return false;
  }
  float *values = unpack->float32s + row * count;
  for (uint32_t i = 0; i < count; i++) {
    MpToken token;
    double real;
    if (!take_token(reader, &token) || !take_float(&token, &real)) {
      return false;
    }
    values[i] = (float)real;
  }
  return true;
}

bool unpack_value(Unpack *unpack, size_t row, MpReader *reader)
{
  assert(row < unpack->count);
  MpToken token;
  if (!take_token(reader, &token)) {
    return false;
  }
  if (token.kind != MP_ARRAY) {
    return take_value(unpack, row, &token);
  }
  column_set_valid(unpack->valid, row, true);
  return unpack->type.kind == TYPE_LIST     ? take_list(unpack, row, token.count, reader)
         : unpack->type.kind == TYPE_VECTOR ? take_vector(unpack, row, token.count, reader)
                                            : false;
}

Column unpack_column(Unpack *unpack)
{
  if (unpack->child) {
    unpack->child_view = unpack_column(unpack->child);
  }
  return (Column){
      .type = unpack->type,
      .valid = unpack->valid,
      .data = unpack->data,
      .child = unpack->child ? &unpack->child_view : NULL,
  };
}
