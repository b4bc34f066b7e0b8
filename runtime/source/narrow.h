#pragma once
// The narrowest types that CSV columns fit: for writing them into a format that has types.

#include "source/table.h"

// Reads every row. A column is int64 when each value is an integer as we print it (so "007" is
// text), float64 when each is a number that a double holds with all its digits, bool for true and
// false, timestamp (with `times`) for dates with a time of day in UTC; otherwise string, and also
// when it has no value at all. types[count] is for the columns in the header's order.
bool narrow_columns(const TableFiles *files, size_t count, bool times, Type *types, Error *err);

// Whether a number is one that a double holds with all its digits.
bool narrow_is_float(Slice text);
