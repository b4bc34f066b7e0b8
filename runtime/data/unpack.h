#pragma once
// Values as rows and answers have them (data/row.h: row_put_value), read back into a column.

#include "base/arena.h"
#include "data/column.h"
#include "data/msgpack.h"

typedef struct Unpack Unpack;  // one column, in an arena

// A column of `count` values, all null until they are read.
Unpack *unpack_new(Type type, size_t count, Arena *arena);

// Reads the value that `reader` stands on into place `row` and moves past it. False when it is not
// one of the column's type: bytes of a store may be anything. Places may be left out, and come in
// any order.
bool unpack_value(Unpack *unpack, size_t row, MpReader *reader);

// What was read. Texts point into the msgpack they were read from.
Column unpack_column(Unpack *unpack);
