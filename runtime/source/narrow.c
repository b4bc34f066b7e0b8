#include "source/narrow.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "source/coerce.h"
#include "source/csv.h"
#include "source/text.h"

typedef struct {
  bool seen;
  bool ints;
  bool floats;
  bool bools;
  bool times;
} Candidates;

// A decimal number as digits times a power of ten, so that 1.50 and 1.5 are the same.
typedef struct {
  bool negative;
  char digits[24];  // without zeros at either end
  size_t count;
  long exponent;  // of the digit behind the last one
} Decimal;

static bool decimal_of(Slice text, Decimal *decimal)
{
  *decimal = (Decimal){.negative = text.size > 0 && text.data[0] == '-'};
  size_t zeros = 0;  // not yet known to be inside
  bool point = false;
  size_t at = decimal->negative;
  for (; at < text.size && (isdigit((unsigned char)text.data[at]) || text.data[at] == '.'); at++) {
    if (text.data[at] == '.') {
      point = true;
      continue;
    }
    decimal->exponent -= point;
    if (text.data[at] == '0') {
      zeros += decimal->count > 0;
      continue;
    }
    if (decimal->count + zeros >= sizeof(decimal->digits)) {
      return false;
    }
    memset(decimal->digits + decimal->count, '0', zeros);
    decimal->count += zeros;
    zeros = 0;
    decimal->digits[decimal->count++] = text.data[at];
  }
  decimal->exponent += (long)zeros;
  if (at < text.size) {
    char exponent[16];
    size_t size = text.size - at - 1;
    if (size >= sizeof(exponent)) {
      return false;
    }
    memcpy(exponent, text.data + at + 1, size);
    exponent[size] = '\0';
    decimal->exponent += strtol(exponent, NULL, 10);
  }
  decimal->exponent = decimal->count ? decimal->exponent : 0;
  return true;
}

static bool same_number(Slice a, Slice b)
{
  Decimal left;
  Decimal right;
  return decimal_of(a, &left) && decimal_of(b, &right) && left.negative == right.negative
         && left.count == right.count && left.exponent == right.exponent
         && memcmp(left.digits, right.digits, left.count) == 0;
}

// "+5" and "007" are more likely names than numbers.
static bool is_padded(Slice text)
{
  size_t at = text.size > 0 && text.data[0] == '-';
  return text.size > 0
         && (text.data[0] == '+'
             || (text.size - at > 1 && text.data[at] == '0'
                 && isdigit((unsigned char)text.data[at + 1])));
}

static bool is_int(Slice text)
{
  int64_t value;
  char printed[32];
  if (!coerce_int_text(text, &value)) {
    return false;
  }
  snprintf(printed, sizeof(printed), "%lld", (long long)value);
  return slice_is(text, printed);
}

bool narrow_is_float(Slice text)
{
  double value;
  if (slice_is(text, "nan") || slice_is(text, "inf") || slice_is(text, "-inf")) {
    return true;
  }
  if (text.size == 0 || isalpha((unsigned char)text.data[text.size - 1]) || is_padded(text)
      || !coerce_float_text(text, &value)) {
    return false;
  }
  char printed[TEXT_FLOAT_SIZE];
  size_t size = text_print_float64(value, printed);
  return same_number(text, slice_of(printed, size));
}

// Whether the zone is UTC, in words or by default: an offset would be lost.
static bool is_utc(Slice text)
{
  static const char *const ENDS[] = {"Z", "z", "+00", "+0000", "+00:00"};
  for (size_t i = 0; i < sizeof(ENDS) / sizeof(ENDS[0]); i++) {
    size_t size = strlen(ENDS[i]);
    if (text.size > size && memcmp(text.data + text.size - size, ENDS[i], size) == 0) {
      return true;
    }
  }
  enum { DATE_SIZE = 10 };
  return !memchr(text.data + DATE_SIZE, '+', text.size - DATE_SIZE)
         && !memchr(text.data + DATE_SIZE, '-', text.size - DATE_SIZE);
}

static bool is_time(Slice text)
{
  enum { SHORTEST = 16, LONGEST = 32 };  // 2021-04-12T07:00 … 2021-04-12T07:00:00.123456+00:00
  if (text.size < SHORTEST || text.size > LONGEST || !is_utc(text)) {
    return false;
  }
  const char *point = memchr(text.data, '.', text.size);
  size_t decimals = 0;
  while (point && point + 1 + decimals < text.data + text.size
         && isdigit((unsigned char)point[1 + decimals])) {
    decimals++;
  }
  Time ignored;
  return decimals <= 6 && clock_parse(text, &ignored, NULL);
}

static void narrow(Candidates *column, Slice text)
{
  column->seen = true;
  column->ints = column->ints && is_int(text);
  column->floats = column->floats && (column->ints || narrow_is_float(text));
  column->bools = column->bools && (slice_is(text, "true") || slice_is(text, "false"));
  column->times = column->times && is_time(text);
}

static void narrow_rows(Candidates *columns, size_t count, const RawRows *rows)
{
  for (size_t i = 0; i < count; i++) {
    const Raw *raw = &rows->columns[i];
    const Slice *texts = raw->data;
    for (size_t row = 0; row < rows->count; row++) {
      if (raw->valid[row >> 6] >> (row & 63) & 1) {
        narrow(&columns[i], texts[row]);
      }
    }
  }
}

static Type type_of(const Candidates *column)
{
  TypeKind kind = !column->seen    ? TYPE_STRING
                  : column->ints   ? TYPE_INT64
                  : column->floats ? TYPE_FLOAT64
                  : column->bools  ? TYPE_BOOL
                  : column->times  ? TYPE_TIMESTAMP
                                   : TYPE_STRING;
  return (Type){.kind = (uint8_t)kind};
}

bool narrow_columns(const TableFiles *files, size_t count, bool times, Type *types, Error *err)
{
  size_t *positions = mem_zalloc(count, sizeof(size_t));
  Candidates *columns = mem_zalloc(count, sizeof(Candidates));
  for (size_t i = 0; i < count; i++) {
    positions[i] = i;
    columns[i] = (Candidates){.ints = true, .floats = true, .bools = true, .times = times};
  }
  Csv *csv = csv_open(files, positions, count, err);
  bool ok = csv != NULL;
  for (RawRows rows = {.count = 1}; ok && rows.count;) {
    ok = csv_next(csv, &rows, err);
    narrow_rows(columns, ok ? count : 0, &rows);
  }
  for (size_t i = 0; i < count; i++) {
    types[i] = type_of(&columns[i]);
  }
  csv_close(csv);
  free(positions);
  free(columns);
  return ok;
}
