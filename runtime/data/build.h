#pragma once
// A column that grows: values of other columns are copied in one by one, and then viewed as an
// ordinary Column. For winners' features; not for streams.

#include "base/arena.h"
#include "base/buf.h"
#include "data/column.h"

typedef struct Builder Builder;  // one growing column

Builder *builder_new(Type type);
void builder_free(Builder *builder);
size_t builder_count(const Builder *builder);
size_t builder_bytes(const Builder *builder);  // heap bytes held, for memory limits
void builder_reset(Builder *builder);          // forgets the values, keeps the memory

void builder_add_null(Builder *builder);
// Copies value `row` of `column`: one that is there, a null, or one that failed (Column.errors).
// The types must be equal.
void builder_add(Builder *builder, const Column *column, size_t row);

// Everything added so far; valid until the next change. String slices point into the builder.
Column builder_column(Builder *builder);

// A column of `count` values picked from `from` (index UINT32_MAX: null), built in `arena`; bytes
// of strings and lists are still borrowed from `from`.
Column column_pick(const Column *from, const uint32_t *rows, size_t count, Arena *arena);
