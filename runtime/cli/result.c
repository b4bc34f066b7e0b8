#include "cli/result.h"

// Answers come from our own process or from a server the user named: generous bounds.
static const MpLimits LIMITS = {.depth = 64, .elements = UINT64_C(1) << 32};

bool result_open(const Buf *bytes, MpReader *result, Error *err)
{
  MpReader reader = {bytes->data, bytes->data + bytes->size};
  *result = reader;
  if (!bytes->size || mp_skip(&reader, LIMITS) != MP_OK || reader.at != reader.end) {
    return error_set(err, ERR_PROTOCOL, "the answer is not one msgpack value");
  }
  return true;
}

Slice result_text(MpReader map, const char *key)
{
  MpReader value;
  if (!mp_map_get(map, key, &value)) {
    return (Slice){"", 0};
  }
  MpToken token = mp_take(&value);
  return token.kind == MP_STR || token.kind == MP_BIN ? token.bytes : (Slice){"", 0};
}

int64_t result_int(MpReader map, const char *key)
{
  MpReader value;
  if (!mp_map_get(map, key, &value)) {
    return 0;
  }
  MpToken token = mp_take(&value);
  return token.kind == MP_INT ? token.integer : 0;
}

bool result_bool(MpReader map, const char *key)
{
  MpReader value;
  if (!mp_map_get(map, key, &value)) {
    return false;
  }
  MpToken token = mp_take(&value);
  return token.kind == MP_BOOL && token.integer;
}

uint32_t result_list(MpReader map, const char *key, MpReader *items)
{
  if (!mp_map_get(map, key, items)) {
    return 0;
  }
  MpToken token = mp_take(items);
  return token.kind == MP_ARRAY ? token.count : 0;
}

Slice result_take(MpReader *reader)
{
  const uint8_t *start = reader->at;
  MpStatus status = mp_skip(reader, LIMITS);
  if (status != MP_OK) {
    __builtin_trap();  // result_open has walked over these bytes
  }
  return slice_of(start, (size_t)(reader->at - start));
}

MpReader result_reader(Slice bytes)
{
  const uint8_t *start = (const uint8_t *)bytes.data;
  return (MpReader){start, start + bytes.size};
}
