#pragma once
// The columns that are wanted of rows which name their values (JSON, msgpack): a value goes to its
// name's column, and to every other one that wants the same name in another type.

#include "base/arena.h"
#include "source/raw.h"

typedef struct {
  const char *const *names;  // borrowed
  size_t count;
  size_t *firsts;  // per name, where it stands first
  Slice **slices;  // per name, a batch of values
  uint64_t **valid;
  Raw *raws;  // of these; their kinds are the caller's to set
} RawColumns;

// `names` outlive it, as does the arena, which holds everything.
void raw_columns_init(RawColumns *columns, const char *const *names, size_t count,
                      size_t batch_rows, Arena *arena);

void raw_columns_begin_row(const RawColumns *columns, size_t row);

// Where `name` is first among the names, and the next one to look at; count when it is not there.
size_t raw_columns_find(const RawColumns *columns, Slice name, size_t *hint);
void raw_columns_put(const RawColumns *columns, size_t at, size_t row, Slice value);

// Gives names that are wanted again what their first column has.
void raw_columns_end_row(const RawColumns *columns, size_t row);
