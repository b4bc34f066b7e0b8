#pragma once
// The table on the left of a written file: how each of its columns passes through, by where it
// comes from and where it goes.

#include "source/reader_inner.h"
#include "source/rows.h"
#include "source/writer.h"

typedef struct {
  TableFiles files;
  size_t count;
  const char **names;
  Type *types;         // of the batches
  bool *verbatim;      // text that JSON takes as it is: numbers too wide for us, nested values
  Reader *reader;      // rows as batches; NULL where DuckDB's vectors are handed on, and where the
                       // files are blank
  DuckStream *stream;  // those; NULL otherwise
  DuckType *stream_types;
  Arena arena;
} Left;  // the zero value is no table

bool left_open(Left *left, Duck *duck, const Table *table, Format output,
               const Passthrough *passthrough, Error *err);
void left_close(Left *left);
