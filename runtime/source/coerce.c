#include "source/coerce.h"

#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "data/msgpack.h"
#include "source/text.h"

// One value, whatever it came from.
typedef enum {
  VALUE_NULL,
  VALUE_BOOL,
  VALUE_INT,
  VALUE_UINT,  // above INT64_MAX
  VALUE_REAL,
  VALUE_TIME,    // microseconds, in integer
  VALUE_FAR,     // a time that int64 microseconds cannot hold, or an infinite one
  VALUE_NUMBER,  // a number's text
  VALUE_TEXT,
  VALUE_BYTES,
  VALUE_LIST,   // bytes: JSON or msgpack, from its beginning
  VALUE_OTHER,  // a map, a broken value
} ValueKind;

typedef struct {
  ValueKind kind;
  bool packed;  // VALUE_LIST: msgpack
  union {
    int64_t integer;
    uint64_t big;
    double real;
  };
  Slice bytes;
} Value;

static const double TWO_TO_63 = 9223372036854775808.0;

// Text
// ------------------------------------------------------------------------------------------------

static size_t count_digits(Slice text, size_t at)
{
  size_t count = 0;
  while (at + count < text.size && isdigit((unsigned char)text.data[at + count])) {
    count++;
  }
  return count;
}

bool coerce_int_text(Slice text, int64_t *value)
{
  size_t at = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
  bool negative = at == 1 && text.data[0] == '-';
  size_t digits = count_digits(text, at);
  int64_t sum = 0;
  for (size_t i = 0; i < digits; i++) {
    int digit = text.data[at + i] - '0';
    if (__builtin_mul_overflow(sum, 10, &sum)
        || __builtin_add_overflow(sum, negative ? -digit : digit, &sum)) {
      return false;
    }
  }
  at += digits;
  if (at < text.size && text.data[at] == '.') {  // "5.0" is an integer as well
    at++;
    while (at < text.size && text.data[at] == '0') {
      at++;
    }
  }
  *value = sum;
  return digits > 0 && at == text.size;
}

// Whether it is a decimal number: digits with at most one point, an exponent or none.
static bool is_number(Slice text)
{
  size_t at = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
  size_t digits = count_digits(text, at);
  at += digits;
  if (at < text.size && text.data[at] == '.') {
    size_t decimals = count_digits(text, at + 1);
    digits += decimals;
    at += 1 + decimals;
  }
  if (digits > 0 && at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
    at++;
    at += at < text.size && (text.data[at] == '-' || text.data[at] == '+');
    size_t exponent = count_digits(text, at);
    at += exponent;
    digits = exponent ? digits : 0;
  }
  return digits > 0 && at == text.size;
}

static bool is_word(Slice text, const char *word)
{
  return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

static bool special_float(Slice text, double *value)
{
  if (is_word(text, "nan")) {
    *value = (double)NAN;
  } else if (is_word(text, "inf") || is_word(text, "+inf")) {
    *value = (double)INFINITY;
  } else if (is_word(text, "-inf")) {
    *value = -(double)INFINITY;
  } else {
    return false;
  }
  return true;
}

// Plain numbers of up to 15 digits are one exact integer over one exact power of ten, so that the
// division is the correctly rounded value (Clinger, "How to read floating point numbers
// accurately").
static bool short_float(Slice text, double *value)
{
  static const double POWERS[] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  size_t at = text.size > 0 && text.data[0] == '-';
  if (text.size - at > 16) {
    return false;
  }
  int64_t digits = 0;
  size_t count = 0;
  size_t decimals = 0;
  bool point = false;
  for (size_t i = at; i < text.size; i++) {
    char byte = text.data[i];
    if (byte == '.' && !point) {
      point = true;
    } else if (isdigit((unsigned char)byte)) {
      digits = digits * 10 + (byte - '0');
      count++;
      decimals += point;
    } else {
      return false;
    }
  }
  if (count == 0 || count > 15) {
    return false;
  }
  *value = (double)digits / POWERS[decimals];
  *value = at ? -*value : *value;
  return true;
}

// A NUL-terminated copy for strtod; free *heap.
static const char *terminated(Slice text, char *space, size_t size, char **heap)
{
  *heap = text.size < size ? NULL : mem_alloc(text.size + 1);
  char *copy = *heap ? *heap : space;
  memcpy(copy, text.data, text.size);
  copy[text.size] = '\0';
  return copy;
}

bool coerce_float_text(Slice text, double *value)
{
  if (short_float(text, value) || special_float(text, value)) {
    return true;
  }
  if (!is_number(text)) {
    return false;
  }
  char space[128];
  char *heap;
  *value = strtod(terminated(text, space, sizeof(space), &heap), NULL);
  free(heap);
  return isfinite(*value);
}

static bool float32_text(Slice text, float *value)
{
  double wide;
  if (special_float(text, &wide)) {
    *value = (float)wide;
    return true;
  }
  if (!is_number(text)) {
    return false;
  }
  char space[128];
  char *heap;
  *value = strtof(terminated(text, space, sizeof(space), &heap), NULL);
  free(heap);
  return isfinite(*value);
}

// JSON
// ------------------------------------------------------------------------------------------------

typedef struct {
  const char *at;
  const char *end;
} Json;

static void json_skip_space(Json *json)
{
  while (json->at < json->end && strchr(" \t\r\n", *json->at) && *json->at) {
    json->at++;
  }
}

static bool json_take(Json *json, const char *word)
{
  size_t size = strlen(word);
  if ((size_t)(json->end - json->at) < size || memcmp(json->at, word, size) != 0) {
    return false;
  }
  json->at += size;
  return true;
}

static bool json_hex(const Json *json, const char *at, uint32_t *code)
{
  *code = 0;
  if (json->end - at < 4) {
    return false;
  }
  for (int i = 0; i < 4; i++) {
    if (!isxdigit((unsigned char)at[i])) {
      return false;
    }
    int digit = at[i] <= '9' ? at[i] - '0' : (at[i] | 0x20) - 'a' + 10;
    *code = *code << 4 | (uint32_t)digit;
  }
  return true;
}

static char *put_utf8(char *out, uint32_t code)
{
  if (code < 0x80) {
    *out++ = (char)code;
  } else if (code < 0x800) {
    *out++ = (char)(0xc0 | code >> 6);
    *out++ = (char)(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    *out++ = (char)(0xe0 | code >> 12);
    *out++ = (char)(0x80 | (code >> 6 & 0x3f));
    *out++ = (char)(0x80 | (code & 0x3f));
  } else {
    *out++ = (char)(0xf0 | code >> 18);
    *out++ = (char)(0x80 | (code >> 12 & 0x3f));
    *out++ = (char)(0x80 | (code >> 6 & 0x3f));
    *out++ = (char)(0x80 | (code & 0x3f));
  }
  return out;
}

// Reads what stands behind `\u`, two of them for a surrogate pair.
static char *json_unicode(Json *json, char *out)
{
  uint32_t code;
  if (!json_hex(json, json->at, &code)) {
    return NULL;
  }
  json->at += 4;
  uint32_t low;
  if (code >= 0xd800 && code < 0xdc00 && json_take(json, "\\u") && json_hex(json, json->at, &low)
      && low >= 0xdc00 && low < 0xe000) {
    json->at += 4;
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  return code >= 0xd800 && code < 0xe000 ? NULL : put_utf8(out, code);
}

static char *json_escape(Json *json, char *out)
{
  static const char FROM[] = "\"\\/bfnrt";
  static const char TO[] = "\"\\/\b\f\n\r\t";
  if (json->at == json->end) {
    return NULL;
  }
  char byte = *json->at++;
  if (byte == 'u') {
    return json_unicode(json, out);
  }
  const char *found = byte ? strchr(FROM, byte) : NULL;
  if (!found) {
    return NULL;
  }
  *out++ = TO[found - FROM];
  return out;
}

// Reads a string behind its quote; without escapes it is not copied.
static bool json_string(Json *json, Arena *arena, Slice *text)
{
  const char *first = json->at;
  while (json->at < json->end && *json->at != '"' && *json->at != '\\') {
    json->at++;
  }
  if (json->at < json->end && *json->at == '"') {
    *text = slice_of(first, (size_t)(json->at++ - first));
    return true;
  }
  char *copy = arena_alloc(arena, (size_t)(json->end - first) + 1);
  size_t plain = (size_t)(json->at - first);
  memcpy(copy, first, plain);
  char *out = copy + plain;
  while (json->at < json->end) {
    char byte = *json->at++;
    if (byte == '"') {
      *text = slice_of(copy, (size_t)(out - copy));
      return true;
    }
    if (byte != '\\') {
      *out++ = byte;
    } else if (!(out = json_escape(json, out))) {
      return false;
    }
  }
  return false;
}

bool coerce_json_text(Slice json, Arena *arena, Slice *text)
{
  Json inside = {json.data + 1, json.data + json.size};
  return json_string(&inside, arena, text);
}

static Value json_number(Json *json)
{
  const char *first = json->at;
  while (json->at < json->end && (isdigit((unsigned char)*json->at) || strchr("+-.eE", *json->at))
         && *json->at) {
    json->at++;
  }
  Slice text = slice_of(first, (size_t)(json->at - first));
  return (Value){.kind = is_number(text) ? VALUE_NUMBER : VALUE_OTHER, .bytes = text};
}

static Value json_real(double value)
{
  return (Value){.kind = VALUE_REAL, .real = value};
}

static Value json_value(Json *json, Arena *arena)
{
  json_skip_space(json);
  Slice rest = slice_of(json->at, (size_t)(json->end - json->at));
  if (json_take(json, "null")) {
    return (Value){.kind = VALUE_NULL};
  }
  if (json_take(json, "true")) {
    return (Value){.kind = VALUE_BOOL, .integer = 1};
  }
  if (json_take(json, "false")) {
    return (Value){.kind = VALUE_BOOL};
  }
  if (json_take(json, "NaN") || json_take(json, "nan")) {
    return json_real((double)NAN);
  }
  if (json_take(json, "Infinity")) {
    return json_real((double)INFINITY);
  }
  if (json_take(json, "-Infinity")) {
    return json_real(-(double)INFINITY);
  }
  if (json_take(json, "\"")) {
    Value text = {.kind = VALUE_TEXT};
    return json_string(json, arena, &text.bytes) ? text
                                                 : (Value){.kind = VALUE_OTHER, .bytes = rest};
  }
  if (rest.size && rest.data[0] == '[') {
    return (Value){.kind = VALUE_LIST, .bytes = rest};
  }
  Value number = json_number(json);
  return number.kind == VALUE_NUMBER ? number : (Value){.kind = VALUE_OTHER, .bytes = rest};
}

// msgpack
// ---------------------------------------------------------------------------------------------

static int64_t big_endian(const char *at, size_t size)
{
  uint64_t value = 0;
  for (size_t i = 0; i < size; i++) {
    value = value << 8 | (uint8_t)at[i];
  }
  return (int64_t)value;
}

// The timestamp extension of the msgpack specification, in its three sizes.
static Value packed_time(Slice bytes)
{
  int64_t seconds;
  int64_t nanoseconds = 0;
  if (bytes.size == 4) {
    seconds = big_endian(bytes.data, 4);
  } else if (bytes.size == 8) {
    uint64_t both = (uint64_t)big_endian(bytes.data, 8);
    seconds = (int64_t)(both & ((UINT64_C(1) << 34) - 1));
    nanoseconds = (int64_t)(both >> 34);
  } else if (bytes.size == 12) {
    nanoseconds = big_endian(bytes.data, 4);
    seconds = big_endian(bytes.data + 4, 8);
  } else {
    return (Value){.kind = VALUE_OTHER};
  }
  int64_t time;
  if (__builtin_mul_overflow(seconds, 1000000, &time)
      || __builtin_add_overflow(time, nanoseconds / 1000, &time) || time == TIME_NULL) {
    return (Value){.kind = VALUE_FAR};
  }
  return (Value){.kind = VALUE_TIME, .integer = time};
}

static Value packed_value(MpReader *reader)
{
  MpReader first = *reader;
  MpToken token = mp_take(reader);
  Slice rest = slice_of(first.at, (size_t)(first.end - first.at));
  switch (token.kind) {
  case MP_NIL:
    return (Value){.kind = VALUE_NULL};
  case MP_BOOL:
    return (Value){.kind = VALUE_BOOL, .integer = token.integer};
  case MP_INT:
    return (Value){.kind = VALUE_INT, .integer = token.integer};
  case MP_UINT:
    return (Value){.kind = VALUE_UINT, .big = token.unsigned_integer};
  case MP_FLOAT:
    return (Value){.kind = VALUE_REAL, .real = token.real};
  case MP_STR:
    return (Value){.kind = utf8_is_valid(token.bytes) ? VALUE_TEXT : VALUE_BYTES,
                   .bytes = token.bytes};
  case MP_BIN:
    return (Value){.kind = VALUE_BYTES, .bytes = token.bytes};
  case MP_ARRAY:
    return (Value){.kind = VALUE_LIST, .packed = true, .bytes = rest};
  case MP_EXT:
    return token.ext_type == -1 ? packed_time(token.bytes) : (Value){.kind = VALUE_OTHER};
  case MP_MAP:
    break;
  }
  return (Value){.kind = VALUE_OTHER};
}

// Loading
// ---------------------------------------------------------------------------------------------

static Value time_value(int64_t count, TimeUnit unit)
{
  Value value = {.kind = VALUE_TIME};
  // DuckDB's infinities are the extremes.
  bool infinite = count == INT64_MAX || count <= -INT64_MAX;
  if (infinite || !clock_from_unit(count, unit, &value.integer, NULL)) {
    value.kind = VALUE_FAR;
  }
  return value;
}

static Value date_value(int32_t days)
{
  int64_t time;
  bool infinite = days == INT32_MAX || days <= -INT32_MAX;
  if (infinite || __builtin_mul_overflow((int64_t)days, INT64_C(86400000000), &time)) {
    return (Value){.kind = VALUE_FAR};
  }
  return (Value){.kind = VALUE_TIME, .integer = time};
}

static Value int_value(int64_t value)
{
  return (Value){.kind = VALUE_INT, .integer = value};
}

static Value uint_value(uint64_t value)
{
  return value > INT64_MAX ? (Value){.kind = VALUE_UINT, .big = value} : int_value((int64_t)value);
}

static Value slice_value(ValueKind kind, const Raw *raw, size_t row)
{
  return (Value){.kind = kind, .bytes = ((const Slice *)raw->data)[row]};
}

static Value json_raw_value(const Raw *raw, size_t row, Arena *arena)
{
  Slice text = ((const Slice *)raw->data)[row];
  Json json = {text.data, text.data + text.size};
  return json_value(&json, arena);
}

static Value packed_raw_value(const Raw *raw, size_t row)
{
  Slice bytes = ((const Slice *)raw->data)[row];
  MpReader reader = {(const uint8_t *)bytes.data, (const uint8_t *)bytes.data + bytes.size};
  return packed_value(&reader);
}

// Value `row`, which is there.
static Value load(const Raw *raw, size_t row, Arena *arena)
{
  const void *data = raw->data;
  switch (raw->kind) {
  case RAW_BOOL:
    return (Value){.kind = VALUE_BOOL, .integer = ((const uint8_t *)data)[row]};
  case RAW_INT8:
    return int_value(((const int8_t *)data)[row]);
  case RAW_INT16:
    return int_value(((const int16_t *)data)[row]);
  case RAW_INT32:
    return int_value(((const int32_t *)data)[row]);
  case RAW_INT64:
    return int_value(((const int64_t *)data)[row]);
  case RAW_UINT8:
    return int_value(((const uint8_t *)data)[row]);
  case RAW_UINT16:
    return int_value(((const uint16_t *)data)[row]);
  case RAW_UINT32:
    return int_value(((const uint32_t *)data)[row]);
  case RAW_UINT64:
    return uint_value(((const uint64_t *)data)[row]);
  case RAW_FLOAT32:
    return json_real((double)((const float *)data)[row]);
  case RAW_FLOAT64:
    return json_real(((const double *)data)[row]);
  case RAW_DATE:
    return date_value(((const int32_t *)data)[row]);
  case RAW_TIME_S:
    return time_value(((const int64_t *)data)[row], UNIT_S);
  case RAW_TIME_MS:
    return time_value(((const int64_t *)data)[row], UNIT_MS);
  case RAW_TIME_US:
    return time_value(((const int64_t *)data)[row], UNIT_US);
  case RAW_TIME_NS:
    return time_value(((const int64_t *)data)[row], UNIT_NS);
  case RAW_BYTES:
    return slice_value(VALUE_BYTES, raw, row);
  case RAW_TEXT:
    return slice_value(VALUE_TEXT, raw, row);
  case RAW_DECIMAL:
    return slice_value(VALUE_NUMBER, raw, row);
  case RAW_JSON:
    return json_raw_value(raw, row, arena);
  case RAW_PACKED:
    return packed_raw_value(raw, row);
  case RAW_LIST:
    break;
  }
  return (Value){.kind = VALUE_OTHER};
}

// Storing
// ---------------------------------------------------------------------------------------------

static bool to_int(Value value, int64_t *out)
{
  switch (value.kind) {
  case VALUE_INT:
    *out = value.integer;
    return true;
  case VALUE_REAL:
    if (!(value.real >= -TWO_TO_63 && value.real < TWO_TO_63) || trunc(value.real) != value.real) {
      return false;
    }
    *out = (int64_t)value.real;
    return true;
  case VALUE_NUMBER:
  case VALUE_TEXT:
    return coerce_int_text(value.bytes, out);
  default:
    return false;
  }
}

static bool to_float64(Value value, double *out)
{
  switch (value.kind) {
  case VALUE_INT:
    *out = (double)value.integer;
    return *out < TWO_TO_63 && (int64_t)*out == value.integer;
  case VALUE_UINT:
    *out = (double)value.big;
    return *out < 2 * TWO_TO_63 && (uint64_t)*out == value.big;
  case VALUE_REAL:
    *out = value.real;
    return true;
  case VALUE_NUMBER:
  case VALUE_TEXT:
    return coerce_float_text(value.bytes, out);
  default:
    return false;
  }
}

static bool to_float32(Value value, float *out)
{
  double wide;
  switch (value.kind) {
  case VALUE_NUMBER:
  case VALUE_TEXT:
    return float32_text(value.bytes, out);
  case VALUE_REAL:
    *out = (float)value.real;
    return isfinite(*out) || !isfinite(value.real);
  default:
    if (!to_float64(value, &wide)) {
      return false;
    }
    *out = (float)wide;
    return (double)*out == wide;
  }
}

static bool to_bool(Value value, uint8_t *out)
{
  int64_t integer = -1;
  if (value.kind == VALUE_BOOL) {
    integer = value.integer;
  } else if (value.kind == VALUE_TEXT) {
    Slice text = value.bytes;
    bool yes = is_word(text, "true") || slice_is(text, "1");
    bool no = is_word(text, "false") || slice_is(text, "0");
    integer = yes ? 1 : no ? 0 : -1;
  } else if (!to_int(value, &integer)) {
    return false;
  }
  *out = (uint8_t)integer;
  return integer == 0 || integer == 1;
}

static bool is_integer_text(Slice text)
{
  int64_t ignored;
  return coerce_int_text(text, &ignored);
}

static bool to_time(Value value, TimeUnit unit, Time *out)
{
  switch (value.kind) {
  case VALUE_TIME:
    *out = value.integer;
    return true;
  case VALUE_TEXT:
    if (unit == UNIT_NONE || !is_integer_text(value.bytes)) {
      return clock_parse(value.bytes, out, NULL);
    }
    break;
  default:
    break;
  }
  int64_t count;
  return unit != UNIT_NONE && to_int(value, &count) && clock_from_unit(count, unit, out, NULL);
}

static bool to_string(Value value, Slice *out)
{
  *out = value.bytes;
  return value.kind == VALUE_TEXT ? true : value.kind == VALUE_BYTES && utf8_is_valid(value.bytes);
}

static int hex_digit(char byte)
{
  return byte <= '9' ? byte - '0' : (byte | 0x20) - 'a' + 10;
}

// Bytes as text formats spell them: `\x` and two digits stand for one byte.
static bool unescape_bytes(Slice text, Arena *arena, Slice *out)
{
  char *copy = arena_alloc(arena, text.size + 1);
  size_t size = 0;
  for (size_t i = 0; i < text.size; i++) {
    copy[size] = text.data[i];
    if (text.data[i] == '\\') {
      if (text.size - i < 4 || text.data[i + 1] != 'x' || !isxdigit((unsigned char)text.data[i + 2])
          || !isxdigit((unsigned char)text.data[i + 3])) {
        return false;
      }
      copy[size] = (char)(hex_digit(text.data[i + 2]) << 4 | hex_digit(text.data[i + 3]));
      i += 3;
    }
    size++;
  }
  *out = slice_of(copy, size);
  return true;
}

static bool to_bytes(Value value, Arena *arena, Slice *out)
{
  *out = value.bytes;
  if (value.kind == VALUE_TEXT && value.bytes.size
      && memchr(value.bytes.data, '\\', value.bytes.size)) {
    return unescape_bytes(value.bytes, arena, out);
  }
  return value.kind == VALUE_TEXT || value.kind == VALUE_BYTES;
}

static bool store(Value value, Type type, TimeUnit unit, Arena *arena, void *data, size_t row)
{
  int64_t integer;
  switch ((TypeKind)type.kind) {
  case TYPE_BOOL:
    return to_bool(value, (uint8_t *)data + row);
  case TYPE_INT32:
    if (!to_int(value, &integer) || integer < INT32_MIN || integer > INT32_MAX) {
      return false;
    }
    ((int32_t *)data)[row] = (int32_t)integer;
    return true;
  case TYPE_INT64:
    return to_int(value, (int64_t *)data + row);
  case TYPE_FLOAT32:
    return to_float32(value, (float *)data + row);
  case TYPE_FLOAT64:
    return to_float64(value, (double *)data + row);
  case TYPE_TIMESTAMP:
    return to_time(value, unit, (int64_t *)data + row);
  case TYPE_STRING:
    return to_string(value, (Slice *)data + row);
  case TYPE_BYTES:
    return to_bytes(value, arena, (Slice *)data + row);
  default:
    return false;
  }
}

// Messages
// --------------------------------------------------------------------------------------------

enum { SHOWN_SIZE = 96, SHOWN_BYTES = 60 };

static void show_text(Slice text, const char *quote, char *out)
{
  bool cut = text.size > SHOWN_BYTES;
  int size = (int)(cut ? SHOWN_BYTES : text.size);
  while (cut && size > 0 && ((uint8_t)text.data[size] & 0xc0) == 0x80) {
    size--;  // not in the middle of a character
  }
  snprintf(out, SHOWN_SIZE, "%s%.*s%s%s", quote, size, text.data, cut ? "..." : "", quote);
}

static void show_value(Value value, char *out)
{
  switch (value.kind) {
  case VALUE_NULL:
    strcpy(out, "null");
    return;
  case VALUE_BOOL:
    strcpy(out, value.integer ? "true" : "false");
    return;
  case VALUE_INT:
    snprintf(out, SHOWN_SIZE, "%lld", (long long)value.integer);
    return;
  case VALUE_UINT:
    snprintf(out, SHOWN_SIZE, "%llu", (unsigned long long)value.big);
    return;
  case VALUE_REAL:
    text_print_float64(value.real, out);
    return;
  case VALUE_TIME:
    clock_print(value.integer, out);
    return;
  case VALUE_FAR:
    strcpy(out, "a time outside what 64-bit microseconds hold");
    return;
  case VALUE_TEXT:
    show_text(value.bytes, "\"", out);
    return;
  case VALUE_BYTES:
    snprintf(out, SHOWN_SIZE, "%zu bytes", value.bytes.size);
    return;
  case VALUE_NUMBER:
    show_text(value.bytes, "", out);
    return;
  case VALUE_LIST:
    strcpy(out, "a list");
    return;
  case VALUE_OTHER:
    strcpy(out, "something else");
    return;
  }
}

static bool mismatch(Value value, Type type, const Coercion *coercion, Error *err)
{
  char shown[SHOWN_SIZE];
  char name[TYPE_TEXT_SIZE];
  show_value(value, shown);
  int64_t integer;
  bool unitless =
      type.kind == TYPE_TIMESTAMP && coercion->unit == UNIT_NONE && to_int(value, &integer);
  return error_set(err, ERR_DATA, "%s: expected %s, got %s%s", coercion->what,
                   type_print(type, name), shown,
                   unitless ? ": integers need a time unit, 's', 'ms', 'us' or 'ns'" : "");
}

// Columns
// ---------------------------------------------------------------------------------------------

static bool raw_has(const Raw *raw, size_t row)
{
  return !raw->valid || (raw->valid[row >> 6] >> (row & 63) & 1);
}

// Whether the raw array is one of ours as it lies.
static bool fits_as_is(const Raw *raw, Type type)
{
  static const int8_t SAME[TYPE_KIND_COUNT] = {
      [TYPE_BOOL] = RAW_BOOL,       [TYPE_INT32] = RAW_INT32,     [TYPE_INT64] = RAW_INT64,
      [TYPE_FLOAT32] = RAW_FLOAT32, [TYPE_FLOAT64] = RAW_FLOAT64, [TYPE_STRING] = RAW_TEXT,
      [TYPE_BYTES] = RAW_BYTES,     [TYPE_TIMESTAMP] = -1,        [TYPE_LIST] = -1,
      [TYPE_VECTOR] = -1,
  };
  return SAME[type.kind] == (int8_t)raw->kind;
}

// Microseconds stay as they lie when none is infinite.
static bool all_finite_times(const Raw *raw, size_t count)
{
  const int64_t *times = raw->data;
  for (size_t row = 0; row < count; row++) {
    if (raw_has(raw, row) && (times[row] == INT64_MAX || times[row] <= -INT64_MAX)) {
      return false;
    }
  }
  return true;
}

// The validity that the column gets: JSON and msgpack have nulls of their own.
static uint64_t *copy_valid(const Raw *raw, size_t count, Arena *arena)
{
  uint64_t *valid = arena_alloc(arena, column_valid_words(count) * sizeof(uint64_t) + 8);
  for (size_t word = 0; word < column_valid_words(count); word++) {
    valid[word] = raw->valid ? raw->valid[word] : UINT64_MAX;
  }
  return valid;
}

static bool coerce_scalars(const Raw *raw, size_t count, const Coercion *coercion, Arena *arena,
                           Column *column, size_t *bad, Error *err)
{
  Type type = coercion->type;
  *column = (Column){.type = type, .valid = raw->valid, .data = raw->data};
  if (fits_as_is(raw, type)
      || (raw->kind == RAW_TIME_US && type.kind == TYPE_TIMESTAMP
          && all_finite_times(raw, count))) {
    return true;
  }
  bool slices = type.kind == TYPE_STRING || type.kind == TYPE_BYTES;
  void *data = arena_zalloc(arena, count + 1, slices ? sizeof(Slice) : type_width(type));
  bool own_nulls = raw->kind == RAW_JSON || raw->kind == RAW_PACKED;
  uint64_t *valid = own_nulls ? copy_valid(raw, count, arena) : NULL;
  for (size_t row = 0; row < count; row++) {
    if (!raw_has(raw, row)) {
      continue;
    }
    Value value = load(raw, row, arena);
    if (value.kind == VALUE_NULL) {
      assert(valid);  // only JSON and msgpack say null as a value
      column_set_valid(valid, row, false);
    } else if (!store(value, type, coercion->unit, arena, data, row)) {
      *bad = row;
      return mismatch(value, type, coercion, err);
    }
  }
  column->data = data;
  column->valid = own_nulls ? valid : raw->valid;
  return true;
}

// Lists
// -----------------------------------------------------------------------------------------------

// Elements of one list, appended to `values`; false when it is not a list.
static bool take_elements(Value list, Buf *values, Arena *arena)
{
  if (list.kind == VALUE_LIST && list.packed) {
    MpReader reader = {(const uint8_t *)list.bytes.data,
                       (const uint8_t *)list.bytes.data + list.bytes.size};
    MpToken token = mp_take(&reader);
    for (uint32_t i = 0; i < token.count; i++) {
      Value value = packed_value(&reader);
      buf_put(values, &value, sizeof(value));
      if (value.kind == VALUE_LIST || value.kind == VALUE_OTHER) {
        return false;
      }
    }
    return true;
  }
  if ((list.kind != VALUE_LIST && list.kind != VALUE_TEXT) || !list.bytes.size) {
    return false;
  }
  Json json = {list.bytes.data, list.bytes.data + list.bytes.size};
  json_skip_space(&json);
  if (!json_take(&json, "[")) {
    return false;
  }
  json_skip_space(&json);
  bool more = !json_take(&json, "]");
  while (more) {
    Value value = json_value(&json, arena);
    if (value.kind == VALUE_LIST || value.kind == VALUE_OTHER) {
      return false;
    }
    buf_put(values, &value, sizeof(value));
    json_skip_space(&json);
    more = json_take(&json, ",");
  }
  bool closed = json.at > list.bytes.data && (json.at[-1] == ']' || json_take(&json, "]"));
  json_skip_space(&json);
  return closed && json.at == json.end;
}

// A column of the given values; *bad is the element.
static bool store_elements(const Value *values, size_t count, const Coercion *element, Arena *arena,
                           Column *child, size_t *bad, Error *err)
{
  Type type = element->type;
  bool slices = type.kind == TYPE_STRING || type.kind == TYPE_BYTES;
  void *data = arena_zalloc(arena, count + 1, slices ? sizeof(Slice) : type_width(type));
  uint64_t *valid = arena_zalloc(arena, column_valid_words(count) + 1, sizeof(uint64_t));
  *child = (Column){.type = type, .valid = valid, .data = data};
  for (size_t i = 0; i < count; i++) {
    column_set_valid(valid, i, values[i].kind != VALUE_NULL);
    if (values[i].kind != VALUE_NULL && !store(values[i], type, element->unit, arena, data, i)) {
      *bad = i;
      return mismatch(values[i], type, element, err);
    }
  }
  return true;
}

static size_t row_of_element(const Column *column, size_t count, size_t element)
{
  for (size_t row = 0; row < count; row++) {
    ColumnList list = column->lists[row];
    if (column_has(column, row) && element >= list.offset && element - list.offset < list.length) {
      return row;
    }
  }
  return 0;
}

// Lists that lie in text, JSON or msgpack.
static bool parse_lists(const Raw *raw, size_t count, const Coercion *coercion, Column *child,
                        Arena *arena, Column *column, size_t *bad, Error *err)
{
  Buf values = {0};
  ColumnList *lists = arena_zalloc(arena, count + 1, sizeof(ColumnList));
  uint64_t *valid = copy_valid(raw, count, arena);
  *column = (Column){.type = coercion->type, .valid = valid, .data = lists, .child = child};
  bool ok = true;
  for (size_t row = 0; ok && row < count; row++) {
    Value value = {.kind = VALUE_NULL};
    if (raw_has(raw, row)) {
      value = load(raw, row, arena);
    }
    size_t before = values.size / sizeof(Value);
    column_set_valid(valid, row, value.kind != VALUE_NULL);
    if (value.kind != VALUE_NULL && !take_elements(value, &values, arena)) {
      *bad = row;
      ok = mismatch(value, coercion->type, coercion, err);
    }
    lists[row] = (ColumnList){before, values.size / sizeof(Value) - before};
  }
  Coercion element = *coercion;
  element.type = (Type){.kind = coercion->type.element};
  size_t bad_element;
  if (ok
      && !store_elements((const Value *)values.data, values.size / sizeof(Value), &element, arena,
                         child, &bad_element, err)) {
    *bad = row_of_element(column, count, bad_element);
    ok = false;
  }
  buf_deinit(&values);
  return ok;
}

static bool coerce_lists(const Raw *raw, size_t count, const Coercion *coercion, Arena *arena,
                         Column *column, size_t *bad, Error *err)
{
  Column *child = arena_zalloc(arena, 1, sizeof(*child));
  if (raw->kind != RAW_LIST) {
    return parse_lists(raw, count, coercion, child, arena, column, bad, err);
  }
  *column =
      (Column){.type = coercion->type, .valid = raw->valid, .data = raw->data, .child = child};
  Coercion element = *coercion;
  element.type = (Type){.kind = coercion->type.element};
  size_t bad_element;
  if (!coerce_scalars(raw->child, raw->child_count, &element, arena, child, &bad_element, err)) {
    *bad = row_of_element(column, count, bad_element);
    return false;
  }
  return true;
}

// Vectors are lists of one length without nulls, laid end to end.
static bool coerce_vectors(const Raw *raw, size_t count, const Coercion *coercion, Arena *arena,
                           Column *column, size_t *bad, Error *err)
{
  Coercion as_list = *coercion;
  as_list.type = (Type){.kind = TYPE_LIST, .element = TYPE_FLOAT32};
  Column list;
  if (!coerce_lists(raw, count, &as_list, arena, &list, bad, err)) {
    return false;
  }
  uint32_t length = coercion->type.length;
  float *data = arena_zalloc(arena, count * length + 1, sizeof(float));
  for (size_t row = 0; row < count; row++) {
    if (!column_has(&list, row)) {
      continue;
    }
    ColumnList entry = list.lists[row];
    *bad = row;
    if (entry.length != length) {
      return error_set(err, ERR_DATA, "%s: expected %u elements, got %llu", coercion->what, length,
                       (unsigned long long)entry.length);
    }
    for (size_t i = 0; i < length; i++) {
      if (!column_has(list.child, entry.offset + i)) {
        return error_set(err, ERR_DATA, "%s: element %zu of a vector is null", coercion->what,
                         i + 1);
      }
    }
    memcpy(data + row * length, list.child->float32s + entry.offset, length * sizeof(float));
  }
  *column = (Column){.type = coercion->type, .valid = list.valid, .data = data};
  return true;
}

bool coerce_column(const Raw *raw, size_t count, const Coercion *coercion, Arena *arena,
                   Column *column, size_t *bad, Error *err)
{
  switch (coercion->type.kind) {
  case TYPE_LIST:
    return coerce_lists(raw, count, coercion, arena, column, bad, err);
  case TYPE_VECTOR:
    return coerce_vectors(raw, count, coercion, arena, column, bad, err);
  default:
    return coerce_scalars(raw, count, coercion, arena, column, bad, err);
  }
}

// Checks
// ----------------------------------------------------------------------------------------------

static bool scalar_possible(RawKind from, TypeKind to)
{
  bool integer = from >= RAW_INT8 && from <= RAW_UINT64;
  bool number = integer || from == RAW_FLOAT32 || from == RAW_FLOAT64 || from == RAW_DECIMAL;
  bool time = from >= RAW_DATE && from <= RAW_TIME_NS;
  if (from == RAW_TEXT || from == RAW_JSON || from == RAW_PACKED) {
    return true;  // value by value
  }
  switch (to) {
  case TYPE_BOOL:
    return from == RAW_BOOL || integer;
  case TYPE_INT32:
  case TYPE_INT64:
  case TYPE_FLOAT32:
  case TYPE_FLOAT64:
    return number;
  case TYPE_TIMESTAMP:
    return time || number;
  case TYPE_STRING:
  case TYPE_BYTES:
    return from == RAW_BYTES;
  default:
    return false;
  }
}

bool coerce_check(RawKind kind, RawKind element, const Coercion *coercion, Error *err)
{
  Type type = coercion->type;
  bool nested = type.kind == TYPE_LIST || type.kind == TYPE_VECTOR;
  RawKind from = nested && kind == RAW_LIST ? element : kind;
  TypeKind to = nested ? type.element : type.kind;
  bool possible =
      nested ? kind == RAW_LIST || kind == RAW_TEXT || kind == RAW_JSON || kind == RAW_PACKED
             : kind != RAW_LIST;
  if (!possible || !scalar_possible(from, to)) {
    char name[TYPE_TEXT_SIZE];
    return error_set(err, ERR_DATA, "%s: %s cannot be read as %s", coercion->what, coercion->from,
                     type_print(type, name));
  }
  bool number = (from >= RAW_INT8 && from <= RAW_FLOAT64) || from == RAW_DECIMAL;
  if (to == TYPE_TIMESTAMP && number && coercion->unit == UNIT_NONE) {
    return error_set(err, ERR_INVALID,
                     "%s: holds integers: say which time unit they count, 's', 'ms', 'us' or 'ns'",
                     coercion->what);
  }
  return true;
}
