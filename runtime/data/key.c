#include "data/key.h"

#include <assert.h>
#include <sha256.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/utf8.h"

_Static_assert(KEY_DIGEST_SIZE == SHA256_DIGEST_LENGTH, "keys are cut with SHA-256");

static void put_int(Buf *out, int64_t value)
{
  uint8_t bytes[8];
  bytes_store_be64(bytes, bytes_order_i64(value));
  buf_put(out, bytes, sizeof(bytes));
}

static void put_bytes(Buf *out, Slice value)
{
  uint8_t size[4];
  assert(value.size <= UINT32_MAX);
  bytes_store_be32(size, (uint32_t)value.size);
  buf_put(out, size, sizeof(size));
  buf_put_slice(out, value);
}

bool key_put_column(Buf *out, const Column *column, size_t row)
{
  if (!column_has(column, row)) {
    return false;
  }
  switch (column->type.kind) {
  case TYPE_BOOL:
    buf_put_byte(out, column->bools[row] != 0);
    break;
  case TYPE_INT32:
    put_int(out, column->int32s[row]);
    break;
  case TYPE_INT64:
  case TYPE_TIMESTAMP:
    put_int(out, column->int64s[row]);
    break;
  default:
    assert(column->type.kind == TYPE_STRING || column->type.kind == TYPE_BYTES);
    put_bytes(out, column->slices[row]);
  }
  return true;
}

static const char *kind_name(const MpToken *value)
{
  static const char *const NAMES[] = {
      [MP_NIL] = "nil",     [MP_BOOL] = "bool",     [MP_INT] = "integer", [MP_UINT] = "integer",
      [MP_FLOAT] = "float", [MP_STR] = "string",    [MP_BIN] = "bytes",   [MP_ARRAY] = "list",
      [MP_MAP] = "map",     [MP_EXT] = "extension",
  };
  return NAMES[value->kind];
}

static bool wrong_number(Type type, const MpToken *value, Error *err)
{
  char name[TYPE_TEXT_SIZE];
  type_print(type, name);
  if (value->kind == MP_UINT) {
    return error_set(err, ERR_INVALID, "expected %s, got %llu, which is beyond int64", name,
                     (unsigned long long)value->unsigned_integer);
  }
  Buf shown = {0};
  mp_print_float(value->real, value->narrow, &shown);
  error_set(err, ERR_INVALID, "expected %s, got %.*s", name, (int)shown.size,
            (const char *)shown.data);
  buf_deinit(&shown);
  return false;
}

static bool wrong_type(Type type, const MpToken *value, Error *err)
{
  char name[TYPE_TEXT_SIZE];
  type_print(type, name);
  return error_set(err, ERR_INVALID, "expected %s, got %s", name, kind_name(value));
}

static bool put_time(Buf *out, Slice text, Error *err)
{
  Time time;
  Error bad = {0};
  if (!clock_parse(text, &time, &bad)) {
    return error_set(err, ERR_INVALID, "%s", bad.message);
  }
  put_int(out, time);
  return true;
}

static bool put_number(Buf *out, Type type, const MpToken *value, Error *err)
{
  int64_t whole;
  if (mp_whole(value, &whole)) {
    put_int(out, whole);  // what no int32 equals is a key that is not there, not a mistake
    return true;
  }
  if (value->kind == MP_FLOAT || value->kind == MP_UINT) {
    return wrong_number(type, value, err);
  }
  if (type.kind == TYPE_TIMESTAMP && value->kind == MP_STR) {
    return put_time(out, value->bytes, err);
  }
  return wrong_type(type, value, err);
}

bool key_put_msgpack(Buf *out, Type type, const MpToken *value, bool *null, Error *err)
{
  assert(type_can_be_key(type));
  *null = value->kind == MP_NIL;
  if (*null) {
    return true;
  }
  switch (type.kind) {
  case TYPE_BOOL:
    if (value->kind != MP_BOOL) {
      return wrong_type(type, value, err);
    }
    buf_put_byte(out, (uint8_t)value->integer);
    return true;
  case TYPE_STRING:
  case TYPE_BYTES:
    // Clients whose language has one kind of string send str for bytes too.
    if (value->kind != MP_STR && (type.kind == TYPE_STRING || value->kind != MP_BIN)) {
      return wrong_type(type, value, err);
    }
    if (type.kind == TYPE_STRING && !utf8_is_valid(value->bytes)) {
      return error_set(err, ERR_INVALID, "the string is not UTF-8");
    }
    put_bytes(out, value->bytes);
    return true;
  default:
    return put_number(out, type, value, err);
  }
}

void key_put_view(Buf *out, uint16_t view_id)
{
  uint8_t bytes[KEY_VIEW_SIZE];
  bytes_store_be16(bytes, view_id);
  buf_put(out, bytes, sizeof(bytes));
}

Slice key_store_form(Slice key, uint8_t *space, bool *cut)
{
  enum { KEPT = KEY_STORE_MAX - KEY_DIGEST_SIZE };
  *cut = key.size > KEY_STORE_MAX;
  if (!*cut) {
    return key;
  }
  SHA2_CTX hash;
  SHA256Init(&hash);
  SHA256Update(&hash, (const uint8_t *)key.data, key.size);
  memcpy(space, key.data, KEPT);
  SHA256Final(space + KEPT, &hash);
  return slice_of(space, KEY_STORE_MAX);
}
