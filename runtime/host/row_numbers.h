#pragma once
// Numbers on their way into functions and out of them, such that they are the same however Lua
// runs.
//
// LuaJIT keeps the types of its values in the bits that NaNs leave over, so a NaN of a file may
// look like a table at any address. And which NaN an operation on two of them gives depends on the
// order that a compiler chose for them. Therefore functions see one NaN, and make one. Compiled
// code does with integers of 32 bits what interpreted code does with floats, and is wrong where it
// takes the remainder of the least of them: functions see them as floats.

#include <stddef.h>

#include "data/column.h"

// The values of an input, `count` rows; of a list its elements, of a vector its floats. The
// column's own, or a copy in `*space` (which grows, and is freed by the caller).
const void *row_numbers_input(const Column *column, size_t count, void **space);

// Makes `count` values of an output, which are floats where they are numbers, what `kind` has:
// whole numbers (they were checked) as integers, in place, and every NaN the usual one.
void row_numbers_output(void *data, size_t count, uint8_t kind);
