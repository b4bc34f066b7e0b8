#pragma once
// NaNs on their way into functions and out of them.
//
// LuaJIT keeps the types of its values in the bits that NaNs leave over, so a NaN of a file may
// look like a table at any address. And which NaN an operation on two of them gives depends on the
// order that a compiler chose for them. Therefore functions see one NaN, and make one.

#include <stddef.h>

#include "data/column.h"

// The numbers of an input, `count` rows: its own, or a copy in `*space` (which grows, and is freed
// by the caller) where it has other NaNs. For floats, and lists and vectors of them.
const void *row_nans_input(const Column *column, size_t count, void **space);

// Makes the NaNs of `count` numbers the usual one. `kind`: TYPE_FLOAT32 or TYPE_FLOAT64; nothing is
// done for others.
void row_nans_output(void *data, size_t count, uint8_t kind);
