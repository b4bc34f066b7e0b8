#pragma once
// Batches to files. A file appears whole or not at all: it is written under a temporary name beside
// its place and renamed at the end. Types and nulls are kept; formats by extension:
// .parquet (zstd), .csv (RFC 4180; null is an empty field, "" the empty string; floats are the
// shortest that round-trip; nan, inf, -inf, true, false; times RFC 3339 with Z), .json (one array),
// .jsonl, .msgpack (a stream of maps).

#include "source/reader.h"

// Produces the next rows; count 0 at the end. Called on one thread at a time, in order.
typedef struct {
  bool (*next)(void *context, Batch *batch, Error *err);
  void *context;
  const char *const *names;
  const Type *types;
  size_t count;  // columns
} Producer;

// Columns of the table on the left that get a normal form on their way through: the time column.
typedef struct {
  // A timestamp, printed as RFC 3339 in text formats; NULL: none. Integer columns stay as they are,
  // and so does the text of JSON, which has no times, and what goes from Parquet to Parquet.
  const char *time_column;
  TimeUnit time_unit;
} Passthrough;

// Writes the rows of `left` (NULL: none) in order, all its columns untouched whatever their type,
// each with the produced row of the same position appended. The producer must give as many rows as
// `left` has; one without columns appends nothing and is not asked. CSV columns are passed on as
// the text they are; into a typed format with the narrowest type that holds every value of the
// column with all its digits ("1.50" may become 1.5, but "007" stays text; see narrow.h). Relative
// paths start where the Duck's do. The file of `left` itself is refused.
bool write_file(Duck *duck, const char *path, const Table *left, const Passthrough *passthrough,
                const Producer *producer, uint64_t *rows, Error *err);
