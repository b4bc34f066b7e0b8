#include "rpc/pack.h"

#include <assert.h>

#include "base/bytes.h"
#include "base/utf8.h"

enum { MAP16 = 0xde, MAP16_SIZE = 3 };

PackMap pack_map_begin(Buf *out)
{
  PackMap map = {.out = out, .at = out->size};
  buf_put(out, "\xde\0\0", MAP16_SIZE);
  return map;
}

void pack_map_end(PackMap *map)
{
  assert(map->count <= UINT16_MAX);
  assert(map->out->data[map->at] == MAP16);
  bytes_store_be16(map->out->data + map->at + 1, (uint16_t)map->count);
}

void pack_key(PackMap *map, const char *key)
{
  map->count++;
  pack_string(map->out, key);
}

// A message may quote what a client sent, or be cut in the middle of a character; clients refuse
// strings that are not UTF-8. Each byte that is none of a character becomes another one.
static void pack_clean(Buf *out, const char *text)
{
  size_t left = strlen(text);
  msgpack_packer packer = mp_packer(out);
  msgpack_pack_str(&packer, left);
  while (left) {
    size_t size = utf8_size((const uint8_t *)text, left);
    buf_put(out, size ? text : "?", size ? size : 1);
    text += size ? size : 1;
    left -= size ? size : 1;
  }
}

void pack_text(PackMap *map, const char *key, const char *value)
{
  pack_key(map, key);
  if (value) {
    pack_clean(map->out, value);
  } else {
    pack_nil(map->out);
  }
}

void pack_integer(PackMap *map, const char *key, int64_t value)
{
  pack_key(map, key);
  msgpack_packer packer = mp_packer(map->out);
  msgpack_pack_int64(&packer, value);
}

void pack_count(PackMap *map, const char *key, uint64_t value)
{
  pack_key(map, key);
  msgpack_packer packer = mp_packer(map->out);
  msgpack_pack_uint64(&packer, value);
}

void pack_flag(PackMap *map, const char *key, bool value)
{
  pack_key(map, key);
  buf_put_byte(map->out, value ? 0xc3 : 0xc2);
}

void pack_time(PackMap *map, const char *key, Time value)
{
  if (value == TIME_NULL || value == TIME_MIN) {
    pack_text(map, key, NULL);
  } else {
    pack_integer(map, key, value);
  }
}

void pack_duration(PackMap *map, const char *key, int64_t value)
{
  pack_time(map, key, value ? value : TIME_NULL);
}

void pack_raw(PackMap *map, const char *key, Slice msgpack)
{
  pack_key(map, key);
  if (msgpack.size) {
    buf_put_slice(map->out, msgpack);
  } else {
    pack_array(map->out, 0);
  }
}

void pack_array(Buf *out, size_t count)
{
  msgpack_packer packer = mp_packer(out);
  msgpack_pack_array(&packer, count);
}

void pack_nil(Buf *out)
{
  buf_put_byte(out, 0xc0);
}

void pack_string(Buf *out, const char *text)
{
  msgpack_packer packer = mp_packer(out);
  mp_put_text(&packer, text);
}

void pack_error(Buf *out, const Error *err)
{
  msgpack_packer packer = mp_packer(out);
  msgpack_pack_array(&packer, 3);
  msgpack_pack_int(&packer, (int)err->code);
  pack_clean(out, err->message);
  PackMap details = pack_map_begin(out);
  if (*err->where) {
    pack_key(&details, "where");
    pack_clean(out, err->where);
  }
  pack_map_end(&details);
}

// Codes of a newer server are errors of an unknown kind here.
static ErrorCode known_code(const MpToken *token)
{
  static const ErrorCode KNOWN[] = {
#define X(code, number, name, exit_status) (code),
      ERROR_CODES(X)
#undef X
  };
  for (size_t i = 1; i < sizeof(KNOWN) / sizeof(*KNOWN); i++) {
    if (token->kind == MP_INT && token->integer == (int64_t)KNOWN[i]) {
      return KNOWN[i];
    }
  }
  return ERR_INTERNAL;
}

static void read_where(MpReader details, Error *err)
{
  MpReader value;
  if (!mp_map_get(details, "where", &value)) {
    return;
  }
  MpToken where = mp_take(&value);
  if (mp_is_text(&where) && where.bytes.size) {
    error_at(err, "%.*s", (int)where.bytes.size, where.bytes.data);
  }
}

void pack_read_error(Slice msgpack, Error *err)
{
  const uint8_t *start = (const uint8_t *)msgpack.data;
  MpReader reader = {start, start + msgpack.size};
  MpToken array = mp_take(&reader);
  if (array.kind == MP_ARRAY && array.count >= 2) {
    MpToken code = mp_take(&reader);
    MpToken message;
    if (mp_next(&reader, &message) == MP_OK && mp_is_text(&message)) {
      error_set(err, known_code(&code), "%.*s", (int)message.bytes.size, message.bytes.data);
      if (array.count > 2) {
        read_where(reader, err);
      }
      return;
    }
  }
  Buf text = {0};
  reader = (MpReader){start, start + msgpack.size};
  mp_print_json(&reader, &text);
  error_set(err, ERR_INTERNAL, "%.*s", (int)text.size, (const char *)text.data);
  buf_deinit(&text);
}
