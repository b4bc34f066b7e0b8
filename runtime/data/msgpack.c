#include "data/msgpack.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/utf8.h"

// Big-endian unsigned of 1, 2, 4 or 8 bytes.
static uint64_t load_unsigned(const uint8_t *at, size_t size)
{
  switch (size) {
  case 1:
    return *at;
  case 2:
    return bytes_load_be16(at);
  case 4:
    return bytes_load_be32(at);
  default:
    return bytes_load_be64(at);
  }
}

// Same, sign-extended.
static int64_t load_signed(const uint8_t *at, size_t size)
{
  switch (size) {
  case 1:
    return (int8_t)*at;
  case 2:
    return (int16_t)bytes_load_be16(at);
  case 4:
    return (int32_t)bytes_load_be32(at);
  default:
    return (int64_t)bytes_load_be64(at);
  }
}

// What follows a format byte of 0xc0 to 0xdf: `width` bytes of number, count or size, and for ext
// one byte of type.
typedef struct {
  MpKind kind;
  uint8_t width;
  bool is_signed;
  uint8_t fixed;  // MP_EXT without a size: bytes of data
} Format;

static const Format FORMATS[32] = {
    [0x00] = {MP_NIL, 0, false, 0},   [0x02] = {MP_BOOL, 0, false, 0},
    [0x03] = {MP_BOOL, 0, false, 0},  [0x04] = {MP_BIN, 1, false, 0},
    [0x05] = {MP_BIN, 2, false, 0},   [0x06] = {MP_BIN, 4, false, 0},
    [0x07] = {MP_EXT, 1, false, 0},   [0x08] = {MP_EXT, 2, false, 0},
    [0x09] = {MP_EXT, 4, false, 0},   [0x0a] = {MP_FLOAT, 4, false, 0},
    [0x0b] = {MP_FLOAT, 8, false, 0}, [0x0c] = {MP_UINT, 1, false, 0},
    [0x0d] = {MP_UINT, 2, false, 0},  [0x0e] = {MP_UINT, 4, false, 0},
    [0x0f] = {MP_UINT, 8, false, 0},  [0x10] = {MP_INT, 1, true, 0},
    [0x11] = {MP_INT, 2, true, 0},    [0x12] = {MP_INT, 4, true, 0},
    [0x13] = {MP_INT, 8, true, 0},    [0x14] = {MP_EXT, 0, false, 1},
    [0x15] = {MP_EXT, 0, false, 2},   [0x16] = {MP_EXT, 0, false, 4},
    [0x17] = {MP_EXT, 0, false, 8},   [0x18] = {MP_EXT, 0, false, 16},
    [0x19] = {MP_STR, 1, false, 0},   [0x1a] = {MP_STR, 2, false, 0},
    [0x1b] = {MP_STR, 4, false, 0},   [0x1c] = {MP_ARRAY, 2, false, 0},
    [0x1d] = {MP_ARRAY, 4, false, 0}, [0x1e] = {MP_MAP, 2, false, 0},
    [0x1f] = {MP_MAP, 4, false, 0},
};

static void set_unsigned(MpToken *token, uint64_t value)
{
  if (value > INT64_MAX) {
    token->kind = MP_UINT;
    token->unsigned_integer = value;
  } else {
    token->kind = MP_INT;
    token->integer = (int64_t)value;
  }
}

static void set_float(MpToken *token, const uint8_t *at, size_t size)
{
  token->narrow = size == 4;
  if (token->narrow) {
    uint32_t bits = bytes_load_be32(at);
    float value;
    memcpy(&value, &bits, sizeof(value));
    token->real = (double)value;
  } else {
    uint64_t bits = bytes_load_be64(at);
    memcpy(&token->real, &bits, sizeof(bits));
  }
}

static MpStatus take_bytes(MpReader *reader, const uint8_t *at, uint64_t size, MpToken *token)
{
  if ((uint64_t)(reader->end - at) < size) {
    token->bytes.size = (size_t)size;
    return MP_MORE;
  }
  token->bytes = slice_of(at, (size_t)size);
  reader->at = at + size;
  return MP_OK;
}

static MpStatus take_ext(MpReader *reader, const uint8_t *at, uint64_t size, MpToken *token)
{
  if (at == reader->end) {
    return MP_MORE;
  }
  token->ext_type = (int8_t)*at;
  return take_bytes(reader, at + 1, size, token);
}

// Formats that are not a single byte, and nil and the booleans.
static MpStatus take_long(MpReader *reader, uint8_t first, MpToken *token)
{
  if (first == 0xc1) {
    return MP_BAD;
  }
  const Format *format = &FORMATS[first - 0xc0];
  const uint8_t *at = reader->at + 1;
  if (reader->end - at < format->width) {
    return MP_MORE;
  }
  const uint8_t *after = at + format->width;
  uint64_t number = format->width ? load_unsigned(at, format->width) : 0;
  token->kind = format->kind;
  switch (format->kind) {
  case MP_STR:
  case MP_BIN:
    return take_bytes(reader, after, number, token);
  case MP_EXT:
    return take_ext(reader, after, format->width ? number : format->fixed, token);
  case MP_ARRAY:
  case MP_MAP:
    token->count = (uint32_t)number;
    break;
  case MP_FLOAT:
    set_float(token, at, format->width);
    break;
  case MP_BOOL:
    token->integer = first & 1;
    break;
  case MP_UINT:
    set_unsigned(token, number);
    break;
  case MP_INT:
    token->integer = load_signed(at, format->width);
    break;
  case MP_NIL:
    break;
  }
  reader->at = after;
  return MP_OK;
}

MpStatus mp_next(MpReader *reader, MpToken *token)
{
  *token = (MpToken){0};
  if (reader->at == reader->end) {
    return MP_MORE;
  }
  uint8_t first = *reader->at;
  if (first <= 0x7f || first >= 0xe0) {
    token->kind = MP_INT;
    token->integer = load_signed(reader->at, 1);
  } else if (first >= 0xc0) {
    return take_long(reader, first, token);
  } else if (first >= 0xa0) {
    token->kind = MP_STR;
    return take_bytes(reader, reader->at + 1, first & 31, token);
  } else {
    token->kind = first >= 0x90 ? MP_ARRAY : MP_MAP;
    token->count = first & 15;
  }
  reader->at++;
  return MP_OK;
}

bool mp_whole(const MpToken *token, int64_t *value)
{
  static const double TWO_TO_63 = 9223372036854775808.0;
  if (token->kind == MP_INT) {
    *value = token->integer;
    return true;
  }
  double real = token->kind == MP_FLOAT ? token->real : (double)NAN;
  if (!(real >= -TWO_TO_63 && real < TWO_TO_63) || trunc(real) != real) {
    return false;
  }
  *value = (int64_t)real;
  return true;
}

static uint64_t children(const MpToken *token)
{
  if (token->kind == MP_ARRAY) {
    return token->count;
  }
  return token->kind == MP_MAP ? (uint64_t)token->count * 2 : 0;
}

MpStatus mp_skip(MpReader *reader, MpLimits limits)
{
  uint32_t depth_limit = limits.depth < MP_DEPTH_MAX ? limits.depth : MP_DEPTH_MAX;
  uint64_t left[MP_DEPTH_MAX];  // objects to come, per open array or map
  uint32_t depth = 0;
  uint64_t promised = 1;  // tokens seen and those that counts have announced
  MpReader ahead = *reader;
  do {
    if (depth) {
      left[depth - 1]--;
    }
    MpToken token;
    MpStatus status = mp_next(&ahead, &token);
    if (status != MP_OK) {
      return status;
    }
    uint64_t more = children(&token);
    promised += more;
    bool nested = token.kind == MP_ARRAY || token.kind == MP_MAP;
    if (promised > limits.elements || (nested && depth == depth_limit)) {
      return MP_LIMIT;
    }
    if (more) {
      left[depth++] = more;
    }
    while (depth && left[depth - 1] == 0) {
      depth--;
    }
  } while (depth);
  reader->at = ahead.at;
  return MP_OK;
}

static const MpLimits CHECKED = {MP_DEPTH_MAX, UINT64_MAX};

bool mp_map_get(MpReader map, const char *key, MpReader *value)
{
  MpToken token;
  if (mp_next(&map, &token) != MP_OK || token.kind != MP_MAP) {
    return false;
  }
  Slice wanted = slice_text(key);
  bool found = false;
  for (uint32_t i = token.count; i > 0; i--) {
    MpReader name = map;
    MpToken text;
    if (mp_skip(&map, CHECKED) != MP_OK || mp_next(&name, &text) != MP_OK) {
      return false;
    }
    MpReader start = map;
    if (mp_skip(&map, CHECKED) != MP_OK) {
      return false;
    }
    if ((text.kind == MP_STR || text.kind == MP_BIN) && slice_equal(text.bytes, wanted)) {
      *value = (MpReader){start.at, map.at};
      found = true;
    }
  }
  return found;
}

static void put_escaped(Buf *out, uint8_t byte)
{
  static const char SHORT[] = "\"\"\\\\\bb\ff\nn\rr\tt";
  for (size_t i = 0; SHORT[i]; i += 2) {
    if (byte == (uint8_t)SHORT[i]) {
      buf_put_byte(out, '\\');
      buf_put_byte(out, (uint8_t)SHORT[i + 1]);
      return;
    }
  }
  buf_print(out, "\\u%04x", byte);
}

// Bytes that are not UTF-8 become U+FFFD, so that the text stays JSON.
static void print_string(Slice text, Buf *out)
{
  const uint8_t *at = (const uint8_t *)text.data;
  buf_put_byte(out, '"');
  for (size_t i = 0; i < text.size;) {
    size_t length = utf8_size(at + i, text.size - i);
    if (length == 0) {
      buf_put(out, "\xef\xbf\xbd", 3);
      length = 1;
    } else if (at[i] < 0x20 || at[i] == '"' || at[i] == '\\') {
      put_escaped(out, at[i]);
    } else {
      buf_put(out, at + i, length);
    }
    i += length;
  }
  buf_put_byte(out, '"');
}

void mp_print_float(double value, bool narrow, Buf *out)
{
  if (isnan(value) || isinf(value)) {
    buf_print(out, "%s", isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    return;
  }
  char text[40];
  int most = narrow ? 9 : 17;
  for (int digits = narrow ? 6 : 15; digits <= most; digits++) {
    snprintf(text, sizeof(text), "%.*g", digits, value);
    bool same = narrow ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value;
    if (same) {
      break;
    }
  }
  buf_print(out, "%s%s", text, strpbrk(text, ".e") ? "" : ".0");
}

static void print_scalar(const MpToken *token, Buf *out)
{
  switch (token->kind) {
  case MP_BOOL:
    buf_print(out, "%s", token->integer ? "true" : "false");
    break;
  case MP_INT:
    buf_print(out, "%lld", (long long)token->integer);
    break;
  case MP_UINT:
    buf_print(out, "%llu", (unsigned long long)token->unsigned_integer);
    break;
  case MP_FLOAT:
    mp_print_float(token->real, token->narrow, out);
    break;
  case MP_STR:
  case MP_BIN:
    print_string(token->bytes, out);
    break;
  default:
    buf_print(out, "null");
  }
}

// Keys of JSON are strings: other scalars are put in quotes, arrays and maps have no text.
static void print_key(MpReader *reader, Buf *out)
{
  MpReader start = *reader;
  MpStatus status = mp_skip(reader, CHECKED);
  assert(status == MP_OK);
  (void)status;
  MpToken token = mp_take(&start);
  if (token.kind == MP_STR || token.kind == MP_BIN) {
    print_string(token.bytes, out);
  } else if (token.kind == MP_ARRAY || token.kind == MP_MAP) {
    buf_print(out, token.kind == MP_ARRAY ? "\"[]\"" : "\"{}\"");
  } else {
    buf_put_byte(out, '"');
    print_scalar(&token, out);
    buf_put_byte(out, '"');
  }
}

typedef struct {
  bool map;
  uint32_t count;
  uint32_t done;
} Level;

// Closes what is complete; then writes what stands before the next value.
static uint32_t print_between(Level *levels, uint32_t depth, MpReader *reader, Buf *out)
{
  while (depth && levels[depth - 1].done == levels[depth - 1].count) {
    buf_put_byte(out, levels[--depth].map ? '}' : ']');
  }
  if (depth) {
    Level *level = &levels[depth - 1];
    if (level->done++) {
      buf_put_byte(out, ',');
    }
    if (level->map) {
      print_key(reader, out);
      buf_put_byte(out, ':');
    }
  }
  return depth;
}

void mp_print_json(MpReader *reader, Buf *out)
{
  Level levels[MP_DEPTH_MAX];
  uint32_t depth = 0;
  do {
    MpToken token = mp_take(reader);
    if (token.kind == MP_ARRAY || token.kind == MP_MAP) {
      assert(depth < MP_DEPTH_MAX);
      levels[depth++] = (Level){token.kind == MP_MAP, token.count, 0};
      buf_put_byte(out, token.kind == MP_MAP ? '{' : '[');
    } else {
      print_scalar(&token, out);
    }
    depth = print_between(levels, depth, reader, out);
  } while (depth);
}

static int append(void *context, const char *bytes, size_t size)
{
  buf_put(context, bytes, size);
  return 0;
}

msgpack_packer mp_packer(Buf *buf)
{
  msgpack_packer packer;
  msgpack_packer_init(&packer, buf, append);
  return packer;
}

void mp_put_text(msgpack_packer *packer, const char *text)
{
  mp_put_str(packer, slice_text(text));
}

void mp_put_str(msgpack_packer *packer, Slice text)
{
  msgpack_pack_str(packer, text.size);
  msgpack_pack_str_body(packer, text.data, text.size);
}

void mp_put_bin(msgpack_packer *packer, Slice bytes)
{
  msgpack_pack_bin(packer, bytes.size);
  msgpack_pack_bin_body(packer, bytes.data, bytes.size);
}
