#pragma once
// Files and SQL as batches of typed columns, in a fixed order: files of a glob by name, rows as
// they stand. A row's arrival is its position in that order, and reading again gives the same order
// (for SQL that holds within one reader; table_snapshot makes a file of it that lasts longer).
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
  const char *path;  // .parquet .csv .json .jsonl .msgpack, folders, globs; several: one per line,
                     // in the order of their rows; NULL with sql
  const char *sql;   // NULL with path
  const char *name;  // for messages; NULL: what the path says
} Table;

// Runs a query once, into a temporary Parquet file: several readers of it then see the same rows in
// the same order. The path is in the arena, removing the file is the caller's.
bool table_snapshot(Duck *duck, const char *sql, const char **path, Arena *arena, Error *err);

// Fails when `path` is one of the files of the table: overwriting what is read would lose it, and
// do something else when run again.
bool table_refuse_over(Duck *duck, const Table *table, const char *path, Error *err);

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

// A value that cannot be ours.
typedef struct {
  const char *file;
  uint64_t row;        // of the file, from 1
  const char *column;  // NULL: the row as a whole
  const char *message;
} BadValue;

typedef struct {
  // Takes note of a bad value; false ends the reading. Called by one thread at a time, in an order
  // that is the same for any number of threads.
  bool (*take)(void *context, const BadValue *bad, Error *err);
  void *context;
} BadValues;

// Rows that need not be read, and what becomes of bad ones. The zero value leaves nothing out.
typedef struct {
  const uint64_t *wanted;  // bit i: row i of the table; only those rows come. NULL: all
  uint64_t wanted_rows;    // rows there are bits for; later ones are not wanted
  bool has_times;          // rows whose time in column `time_column` (of those read) lies outside
  size_t time_column;      // [oldest, newest] may be left out, whole row groups at a time
  Time oldest;
  Time newest;
  const BadValues *bad;  // rows with bad values come too, and reader_share_bad tells which they
                         // are; nothing is then left out by time. NULL: a bad value is an error
} ReaderFilter;

typedef struct Reader Reader;

// Only the given columns are read. An unknown column fails here, with a suggestion. `filter` may be
// NULL; its bits must outlive the reader.
Reader *reader_open(Duck *duck, const Table *table, const ReaderColumn *columns, size_t count,
                    const ReaderFilter *filter, Error *err);
uint64_t reader_total(Reader *reader);  // rows to come in all, 0 when not known: for progress bars
void reader_close(Reader *reader);

// The next rows (some thousands); batch->count is 0 at the end. The batch is valid until the next
// call. With wanted rows a batch holds only those, the ones from batch->first_row on.
bool reader_next(Reader *reader, Batch *batch, Error *err);

// A share of a reader: several threads may each read with one of their own, and every row comes to
// one of them, in blocks of consecutive rows. What cannot be shared comes to the first that asks.
typedef struct ReaderShare ReaderShare;

ReaderShare *reader_share_new(Reader *reader);
bool reader_share_next(ReaderShare *share, Batch *batch, Error *err);
// With filter.bad: a bit per row of the last batch, set where some value was bad (and is null now).
// NULL when there was none.
const uint64_t *reader_share_bad(const ReaderShare *share);
// With filter.bad and no wanted rows: tells it of row `row` of the last batch as a whole.
bool reader_share_refuse(ReaderShare *share, size_t row, const char *message, Error *err);
void reader_share_free(ReaderShare *share);  // before reader_close; NULL is allowed
