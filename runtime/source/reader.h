#pragma once
// Files and SQL as batches of typed columns, in a fixed order: files of a glob by name, rows as
// they stand. A row's arrival is its position in that order, and reading again gives the same order
// (the result of a SQL source is kept in a temporary file for that).
//
// Coercions are exact or an error that names file, row and column. Integers of any width fit when
// the value does; floats become the nearest float of the declared width; integers become floats
// only when exact; decimals become the nearest float, or an integer when they are one; text is
// parsed (CSV: every column is text). Dates and timestamps of every unit and zone become
// microseconds UTC, floored. Null, NaN and "" stay three values.

#include "base/arena.h"
#include "base/clock.h"
#include "data/column.h"
#include "source/duck.h"

// A file, glob, or query: what can be read.
typedef struct {
  const char *path;  // .parquet .csv .json .jsonl .msgpack, globs; NULL with sql
  const char *sql;   // NULL with path
} Table;

typedef struct {
  const char *name;
  const char *type_text;  // as the file calls it: "BIGINT", "VARCHAR"
  Type type;              // nearest type of ours
  bool known;             // false: a type we cannot read as a value (it may still pass through)
} TableColumn;

// Names and types of a table's columns, in order. Text in the arena.
bool table_describe(Duck *duck, const Table *table, TableColumn **columns, size_t *count,
                    Arena *arena, Error *err);

typedef struct {
  const char *column;  // in the file
  Type type;           // wanted
  TimeUnit unit;     // timestamps: unit where the column is an integer; UNIT_NONE refuses integers
  const char *what;  // for messages: `feature "conv_rate" of feature_view "driver_stats"`
} ReaderColumn;

typedef struct Reader Reader;

// Only the given columns are read. An unknown column fails here, with a suggestion.
Reader *reader_open(Duck *duck, const Table *table, const ReaderColumn *columns, size_t count,
                    Error *err);
// The next rows (2048 or so); batch->count is 0 at the end. The batch is valid until the next call.
bool reader_next(Reader *reader, Batch *batch, Error *err);
uint64_t reader_total(Reader *reader);  // rows to come in all, 0 when not known: for progress bars
void reader_close(Reader *reader);
