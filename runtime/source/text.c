#include "source/text.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

// Floats
// ----------------------------------------------------------------------------------------------

// "1e+05" as "1e5", "1e-07" as "1e-7"; a float without point or exponent gets ".0".
static size_t tidy_float(char *text)
{
  char *exponent = strchr(text, 'e');
  if (!exponent) {
    size_t length = strlen(text);
    if (!strchr(text, '.')) {
      memcpy(text + length, ".0", 3);
      length += 2;
    }
    return length;
  }
  char *out = exponent + 1;
  char *digits = exponent + 1;
  if (*digits == '-') {
    out++;
  }
  digits += *digits == '-' || *digits == '+';
  while (*digits == '0' && digits[1]) {
    digits++;
  }
  memmove(out, digits, strlen(digits) + 1);
  return strlen(text);
}

static size_t print_special(double value, char *out)
{
  strcpy(out, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
  return strlen(out);
}

// Numbers with few decimals, the most there are: the quotient of two exact doubles is rounded
// correctly, so digits that give the value back are its shortest. 0 when it is not one of them.
static size_t print_short(double value, char *out)
{
  static const double POWERS[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
  if (fabs(value) >= 1e8 || (value == 0 && signbit(value))) {
    return 0;
  }
  for (size_t decimals = 0; decimals < sizeof(POWERS) / sizeof(POWERS[0]); decimals++) {
    double scaled = rint(value * POWERS[decimals]);
    if (scaled / POWERS[decimals] == value) {
      long long number = llabs((long long)scaled);
      long long power = (long long)POWERS[decimals];
      const char *sign = value < 0 ? "-" : "";
      if (decimals == 0) {
        return (size_t)sprintf(out, "%s%lld.0", sign, number);
      }
      return (size_t)sprintf(out, "%s%lld.%0*lld", sign, number / power, (int)decimals,
                             number % power);
    }
  }
  return 0;
}

size_t text_print_float64(double value, char *out)
{
  if (!isfinite(value)) {
    return print_special(value, out);
  }
  size_t length = print_short(value, out);
  if (length) {
    return length;
  }
  int digits = fabs(value) < 1e-300 ? 1 : 15;  // subnormals have fewer
  do {
    snprintf(out, TEXT_FLOAT_SIZE, "%.*g", digits++, value);
  } while (digits <= 17 && strtod(out, NULL) != value);
  return tidy_float(out);
}

size_t text_print_float32(float value, char *out)
{
  if (!isfinite(value)) {
    return print_special((double)value, out);
  }
  int digits = fabsf(value) < 1e-30f ? 1 : 6;
  do {
    snprintf(out, TEXT_FLOAT_SIZE, "%.*g", digits++, (double)value);
  } while (digits <= 9 && strtof(out, NULL) != value);
  return tidy_float(out);
}

// JSON
// ------------------------------------------------------------------------------------------------

static void put_escaped(Buf *out, uint8_t byte)
{
  switch (byte) {
  case '"':
    buf_put(out, "\\\"", 2);
    break;
  case '\\':
    buf_put(out, "\\\\", 2);
    break;
  case '\n':
    buf_put(out, "\\n", 2);
    break;
  case '\r':
    buf_put(out, "\\r", 2);
    break;
  case '\t':
    buf_put(out, "\\t", 2);
    break;
  default:
    buf_print(out, "\\u%04x", byte);
  }
}

void text_put_json_string(Buf *out, Slice text)
{
  buf_put_byte(out, '"');
  size_t done = 0;
  for (size_t i = 0; i < text.size; i++) {
    uint8_t byte = (uint8_t)text.data[i];
    if (byte < 0x20 || byte == '"' || byte == '\\') {
      buf_put(out, text.data + done, i - done);
      put_escaped(out, byte);
      done = i + 1;
    }
  }
  buf_put(out, text.size ? text.data + done : NULL, text.size - done);
  buf_put_byte(out, '"');
}

// Bytes as text: printable ASCII stays, anything else and the backslash become `\xHH`.
static void put_bytes(Buf *out, Slice bytes)
{
  for (size_t i = 0; i < bytes.size; i++) {
    uint8_t byte = (uint8_t)bytes.data[i];
    bool plain = byte >= 0x20 && byte < 0x7f && byte != '\\';
    buf_print(out, plain ? "%c" : "\\x%02X", byte);
  }
}

static void put_json_bytes(Buf *out, Slice bytes)
{
  Buf text = {0};
  put_bytes(&text, bytes);
  text_put_json_string(out, buf_slice(&text));
  buf_deinit(&text);
}

static void put_json_float(Buf *out, double value, bool narrow)
{
  if (!isfinite(value)) {
    buf_print(out, "%s", isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    return;
  }
  char text[TEXT_FLOAT_SIZE];
  size_t size = narrow ? text_print_float32((float)value, text) : text_print_float64(value, text);
  buf_put(out, text, size);
}

static void put_json_elements(Buf *out, const Column *child, uint64_t offset, uint64_t length)
{
  buf_put_byte(out, '[');
  for (uint64_t i = 0; i < length; i++) {
    if (i) {
      buf_put_byte(out, ',');
    }
    text_put_json(out, child, offset + i);
  }
  buf_put_byte(out, ']');
}

static void put_json_vector(Buf *out, const Column *column, size_t row)
{
  Column floats = {.type = {.kind = TYPE_FLOAT32}, .data = column->data};
  put_json_elements(out, &floats, row * column->type.length, column->type.length);
}

static void put_time(Buf *out, Time time)
{
  char text[CLOCK_TEXT_SIZE];
  buf_put(out, text, clock_print(time, text));
}

void text_put_json(Buf *out, const Column *column, size_t row)
{
  if (!column_has(column, row)) {
    buf_put(out, "null", 4);
    return;
  }
  switch ((TypeKind)column->type.kind) {
  case TYPE_BOOL:
    buf_print(out, "%s", column->bools[row] ? "true" : "false");
    return;
  case TYPE_INT32:
    buf_print(out, "%d", column->int32s[row]);
    return;
  case TYPE_INT64:
    buf_print(out, "%lld", (long long)column->int64s[row]);
    return;
  case TYPE_FLOAT32:
    put_json_float(out, (double)column->float32s[row], true);
    return;
  case TYPE_FLOAT64:
    put_json_float(out, column->float64s[row], false);
    return;
  case TYPE_STRING:
    text_put_json_string(out, column->slices[row]);
    return;
  case TYPE_BYTES:
    put_json_bytes(out, column->slices[row]);
    return;
  case TYPE_TIMESTAMP:
    buf_put_byte(out, '"');
    put_time(out, column->int64s[row]);
    buf_put_byte(out, '"');
    return;
  case TYPE_LIST:
    put_json_elements(out, column->child, column->lists[row].offset, column->lists[row].length);
    return;
  case TYPE_VECTOR:
    put_json_vector(out, column, row);
    return;
  case TYPE_KIND_COUNT:
    break;
  }
  assert(false);
}

// CSV
// -------------------------------------------------------------------------------------------------

void text_put_csv_field(Buf *out, Slice text)
{
  bool plain = text.size > 0;
  for (size_t i = 0; plain && i < text.size; i++) {
    char byte = text.data[i];
    plain = byte != '"' && byte != ',' && byte != '\n' && byte != '\r';
  }
  if (plain) {
    buf_put_slice(out, text);
    return;
  }
  buf_put_byte(out, '"');
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] == '"') {
      buf_put_byte(out, '"');
    }
    buf_put_byte(out, (uint8_t)text.data[i]);
  }
  buf_put_byte(out, '"');
}

void text_put_csv(Buf *out, const Column *column, size_t row)
{
  if (!column_has(column, row)) {
    return;
  }
  char text[TEXT_FLOAT_SIZE];
  switch (column->type.kind) {
  case TYPE_FLOAT32:
    buf_put(out, text, text_print_float32(column->float32s[row], text));
    return;
  case TYPE_FLOAT64:
    buf_put(out, text, text_print_float64(column->float64s[row], text));
    return;
  case TYPE_TIMESTAMP:
    put_time(out, column->int64s[row]);
    return;
  case TYPE_STRING:
    text_put_csv_field(out, column->slices[row]);
    return;
  case TYPE_BYTES:
  case TYPE_LIST:
  case TYPE_VECTOR: {
    Buf field = {0};
    if (column->type.kind == TYPE_BYTES) {
      put_bytes(&field, column->slices[row]);
    } else {
      text_put_json(&field, column, row);
    }
    text_put_csv_field(out, buf_slice(&field));
    buf_deinit(&field);
    return;
  }
  default:
    text_put_json(out, column, row);
  }
}
