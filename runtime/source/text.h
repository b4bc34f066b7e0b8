#pragma once
// Values as text: CSV fields, JSON values. Floats are the shortest text that reads back as the same
// float and not as an integer.

#include "base/buf.h"
#include "base/utf8.h"
#include "data/column.h"

enum { TEXT_FLOAT_SIZE = 32 };
// "0.1", "5.0", "1e300", "nan", "inf", "-inf"; the length.
size_t text_print_float64(double value, char *out);
size_t text_print_float32(float value, char *out);

// A string in JSON's quotes.
void text_put_json_string(Buf *out, Slice text);

// Value `row` as JSON: times and bytes as strings, lists as arrays, NaN, Infinity and -Infinity as
// these words.
void text_put_json(Buf *out, const Column *column, size_t row);

// Value `row` as a CSV field: null is nothing, "" is `""`, a list is its JSON.
void text_put_csv(Buf *out, const Column *column, size_t row);

// A field that is there, quoted where it must be.
void text_put_csv_field(Buf *out, Slice text);
