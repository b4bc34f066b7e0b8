#pragma once
// Rows and columns of msgpack values on their way to the terminal, and how one value looks in each
// output format.

#include "base/arena.h"
#include "data/msgpack.h"

typedef struct {
  const char *name;
  bool time;  // integers, and those in lists, are microseconds since the epoch
} GridColumn;

typedef struct {
  GridColumn *columns;
  size_t column_count;
  size_t row_count;
  Slice *cells;  // [row * column_count + column], msgpack of one value; empty: null
  bool facts;    // about the system rather than users' data: as a table, what is not there is blank
} Grid;

// An empty grid: the caller fills columns and cells. Arena memory.
Grid grid_new(size_t columns, size_t rows, Arena *arena);

// A list of maps as a grid of facts: a column for each key, in the order they first come up.
Grid grid_from_records(MpReader items, uint32_t count, Arena *arena);

// The same with only these columns, in this order; NULL ends the names.
Grid grid_from_fields(MpReader items, uint32_t count, const char *const *names, Arena *arena);

// Names of fields that hold times in our own answers: mark, start, updated_at, ...
bool grid_is_time_name(Slice name);

bool cell_is_null(Slice cell);

// Whether a cell has nothing to tell: nil, "", an empty list or map.
bool cell_is_blank(Slice cell);

// Null, NaN and "" look different in all of them. *number: it belongs to the right.
// A fact is for reading only: nothing is blank, records go by their names, maps are k=v.
void cell_print_fact(Slice cell, bool time, Buf *out, bool *number);
void cell_print_table(Slice cell, bool time, Buf *out, bool *number);
void cell_print_csv(Slice cell, bool time, Buf *out);
void cell_print_json(Slice cell, bool time, Buf *out);
