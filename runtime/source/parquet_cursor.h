#pragma once
// Columns of a Parquet file as batches of our types: the whole of a row group, or only wanted rows
// of it. One cursor per thread; several may share a file.

#include "source/parquet_file.h"
#include "source/reader.h"

// Names and types of a file's columns, in order; text in the arena. False when the file cannot be
// read, or has a column that is no flat value of ours.
bool parquet_describe(const char *path, TableColumn **columns, size_t *count, Arena *arena);

typedef struct ParquetCursor ParquetCursor;

// NULL when some column is missing or needs a conversion that this reader does not do.
ParquetCursor *parquet_cursor_new(const ParquetFile *file, const char *path,
                                  const ReaderColumn *columns, size_t count);
void parquet_cursor_free(ParquetCursor *cursor);

// From here on a value that cannot be ours is handed to `bad`, which outlives the cursor, and is
// null. parquet_cursor_bad gives the bits of the last batch's rows that have one; NULL: none has.
void parquet_cursor_take_bad(ParquetCursor *cursor, const BadValues *bad);
const uint64_t *parquet_cursor_bad(const ParquetCursor *cursor);

// Starts a row group. `base` is the table's row number of the file's first row.
bool parquet_cursor_start(ParquetCursor *cursor, size_t group, uint64_t base, Error *err);

// The next rows of the group; count 0 at its end. batch->first_row is the table's row number of the
// first one. With `wanted` (bit i: row i of the table) only those rows come, and they need not be
// next to each other. Valid until the next call.
bool parquet_cursor_next(ParquetCursor *cursor, const uint64_t *wanted, Batch *batch, Error *err);

// Whether a group's statistics rule out every time in [oldest, newest] in the column at `place` of
// the cursor's columns (a timestamp).
bool parquet_cursor_outside(const ParquetCursor *cursor, size_t group, size_t place, Time oldest,
                            Time newest);
