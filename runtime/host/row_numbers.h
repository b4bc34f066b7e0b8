#pragma once
// Numbers on their way into functions and out of them, such that they are the same however Lua
// runs.
//
// LuaJIT keeps the types of its values in the bits that NaNs leave over, so a NaN of a file may
// look like a table at any address. And which NaN an operation on two of them gives depends on the
// order that a compiler chose for them. Therefore functions see one NaN, and make one. And compiled
// code narrows what comes from a column of integers or goes into one to 32 bits, by which it has
// been seen to get sums and remainders wrong (-2147483648 % 17 gave 0): whole numbers are floats on
// both ways, and become integers when the run has ended.

#include <stddef.h>

#include "data/column.h"

// The values of an input, `count` rows; of a list its elements, of a vector its floats. The
// column's own, or a copy in `*space` (which grows, and is freed by the caller).
const void *row_numbers_input(const Column *column, size_t count, void **space);

// Makes `count` values of an output, which are floats where they are numbers, what `kind` has:
// whole numbers (they were checked) as integers, in place, and every NaN the usual one.
void row_numbers_output(void *data, size_t count, uint8_t kind);
