#pragma once
// Rows of ours as a table that SQL can read: `SELECT * FROM tidemark_rows(n)`. Columns are named
// c0, c1, …; the ones on the left may be DuckDB's own vectors, handed on without a copy.

#include "source/duck.h"
#include "source/duck_api.h"
#include "source/feed.h"

typedef struct DuckStream DuckStream;

// Pulls rows in order. Left columns come from `stream` (vectors of any type) or from `left`
// (batches); the produced ones are appended. Both sides must have the same number of rows.
typedef struct {
  DuckStream *stream;  // NULL: none
  size_t stream_columns;
  DuckType *stream_types;
  Feed *left;  // NULL: none
  Feed *right;
  uint64_t rows;  // given so far
  Error error;    // the first failure, whole
} RowsSource;

// Makes tidemark_rows known to the database.
bool rows_register(Duck *duck, Error *err);

// Lends `source` to SQL under a number; false when all are taken.
bool rows_lend(Duck *duck, RowsSource *source, int *number, Error *err);
void rows_return(Duck *duck, int number);
