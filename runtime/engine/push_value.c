#include "engine/push_value.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "data/row.h"
#include "source/text.h"

static const char *const KIND_NAMES[] = {
    [MP_NIL] = "nil",     [MP_BOOL] = "bool",     [MP_INT] = "integer", [MP_UINT] = "integer",
    [MP_FLOAT] = "float", [MP_STR] = "string",    [MP_BIN] = "bytes",   [MP_ARRAY] = "list",
    [MP_MAP] = "map",     [MP_EXT] = "extension",
};

static bool wrong_type(Type type, const MpToken *token, Error *err)
{
  char name[TYPE_TEXT_SIZE];
  return error_set(err, ERR_DATA, "expected %s, got %s", type_print(type, name),
                   KIND_NAMES[token->kind]);
}

static bool out_of_range(Type type, Error *err)
{
  char name[TYPE_TEXT_SIZE];
  return error_set(err, ERR_DATA, "the number is not one of %s", type_print(type, name));
}

static bool take_whole(Type type, const MpToken *token, int64_t *value, Error *err)
{
  bool number = token->kind == MP_INT || token->kind == MP_UINT || token->kind == MP_FLOAT;
  if (!number) {
    return wrong_type(type, token, err);
  }
  return mp_whole(token, value) || out_of_range(type, err);
}

bool push_value_time(const MpToken *token, int64_t *time, Error *err)
{
  if (token->kind == MP_STR) {
    return clock_parse(token->bytes, time, err);
  }
  return take_whole((Type){.kind = TYPE_TIMESTAMP}, token, time, err)
         && (*time != TIME_NULL || out_of_range((Type){.kind = TYPE_TIMESTAMP}, err));
}

static bool take_integer(Type type, const MpToken *token, int64_t *value, Error *err)
{
  return take_whole(type, token, value, err)
         && (type.kind != TYPE_INT32 || (*value >= INT32_MIN && *value <= INT32_MAX)
             || out_of_range(type, err));
}

static const double TWO_TO_63 = 9223372036854775808.0;

static bool take_real(Type type, const MpToken *token, double *value, Error *err)
{
  switch (token->kind) {
  case MP_FLOAT:
    *value = token->real;
    return true;
  case MP_INT:
    *value = (double)token->integer;
    return (*value < TWO_TO_63 && (int64_t)*value == token->integer) || out_of_range(type, err);
  case MP_UINT:
    *value = (double)token->unsigned_integer;
    return (*value < 2 * TWO_TO_63 && (uint64_t)*value == token->unsigned_integer)
           || out_of_range(type, err);
  default:
    return wrong_type(type, token, err);
  }
}

// Integers have to be exact in the narrower type too; floats become the nearest.
static bool take_float32(const MpToken *token, float *value, Error *err)
{
  static const Type FLOAT32 = {.kind = TYPE_FLOAT32};
  double wide = 0;
  if (!take_real(FLOAT32, token, &wide, err)) {
    return false;
  }
  *value = (float)wide;
  bool fits = token->kind == MP_FLOAT ? isfinite(*value) || !isfinite(wide) : *value == wide;
  return fits || out_of_range(FLOAT32, err);
}

static bool put_text(Buf *out, Type type, const MpToken *token, Error *err)
{
  // Clients whose language has one kind of string send str for bytes too.
  bool fits = token->kind == MP_STR || (type.kind == TYPE_BYTES && token->kind == MP_BIN);
  if (!fits) {
    return wrong_type(type, token, err);
  }
  if (type.kind == TYPE_STRING && !utf8_is_valid(token->bytes)) {
    return error_set(err, ERR_DATA, "the string is not UTF-8");
  }
  Column column = {.type = type, .slices = &token->bytes};
  row_put_value(out, &column, 0);
  return true;
}

// Every type but lists and vectors.
static bool put_scalar(Buf *out, Type type, const MpToken *token, Error *err)
{
  Column column = {.type = type};
  int64_t integer = 0;
  int32_t narrow;
  double real = 0;
  float single;
  uint8_t flag;
  switch ((TypeKind)type.kind) {
  case TYPE_BOOL:
    if (token->kind != MP_BOOL) {
      return wrong_type(type, token, err);
    }
    flag = token->integer != 0;
    column.bools = &flag;
    break;
  case TYPE_INT32:
    if (!take_integer(type, token, &integer, err)) {
      return false;
    }
    narrow = (int32_t)integer;
    column.int32s = &narrow;
    break;
  case TYPE_INT64:
  case TYPE_TIMESTAMP:
    if (!(type.kind == TYPE_INT64 ? take_integer(type, token, &integer, err)
                                  : push_value_time(token, &integer, err))) {
      return false;
    }
    column.int64s = &integer;
    break;
  case TYPE_FLOAT32:
    if (!take_float32(token, &single, err)) {
      return false;
    }
    column.float32s = &single;
    break;
  case TYPE_FLOAT64:
    if (!take_real(type, token, &real, err)) {
      return false;
    }
    column.float64s = &real;
    break;
  default:
    return put_text(out, type, token, err);
  }
  row_put_value(out, &column, 0);
  return true;
}

static void put_nil(Buf *out)
{
  buf_put_byte(out, 0xc0);
}

static bool put_list(Buf *out, Type type, uint32_t count, MpReader *reader, Error *err)
{
  msgpack_packer packer = mp_packer(out);
  msgpack_pack_array(&packer, count);
  for (uint32_t i = 0; i < count; i++) {
    MpToken token = mp_take(reader);
    if (token.kind == MP_NIL) {
      put_nil(out);
    } else if (!put_scalar(out, (Type){.kind = type.element}, &token, err)) {
      return error_wrap(err, "element %" PRIu32, i);
    }
  }
  return true;
}

static bool put_vector(Buf *out, Type type, uint32_t count, MpReader *reader, Error *err)
{
  if (count != type.length) {
    return error_set(err, ERR_DATA, "expected %" PRIu32 " numbers, got %" PRIu32, type.length,
                     count);
  }
  float *values = mem_alloc((size_t)count * sizeof(*values));
  bool ok = true;
  uint32_t i = 0;
  for (; ok && i < count; i++) {
    MpToken token = mp_take(reader);
    ok = take_float32(&token, &values[i], err);
  }
  if (ok) {
    Column column = {.type = type, .float32s = values};
    row_put_value(out, &column, 0);
  } else {
    error_wrap(err, "element %" PRIu32, i - 1);
  }
  free(values);
  return ok;
}

bool push_value_put(Buf *out, Type type, MpReader *reader, Error *err)
{
  MpToken token = mp_take(reader);
  if (token.kind == MP_NIL) {
    put_nil(out);
    return true;
  }
  if (type.kind != TYPE_LIST && type.kind != TYPE_VECTOR) {
    return put_scalar(out, type, &token, err);
  }
  if (token.kind != MP_ARRAY) {
    return wrong_type(type, &token, err);
  }
  return type.kind == TYPE_LIST ? put_list(out, type, token.count, reader, err)
                                : put_vector(out, type, token.count, reader, err);
}
