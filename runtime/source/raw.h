#pragma once
// Values as files have them, before they become ours: DuckDB's vectors, fields of text, bits of
// JSON or msgpack. coerce.h turns them into columns.

#include "data/column.h"

typedef enum {
  RAW_BOOL,
  RAW_INT8,
  RAW_INT16,
  RAW_INT32,
  RAW_INT64,
  RAW_UINT8,
  RAW_UINT16,
  RAW_UINT32,
  RAW_UINT64,
  RAW_FLOAT32,
  RAW_FLOAT64,
  RAW_DATE,    // int32 days
  RAW_TIME_S,  // int64 since the epoch, like the next three
  RAW_TIME_MS,
  RAW_TIME_US,
  RAW_TIME_NS,
  RAW_BYTES,    // Slice
  RAW_TEXT,     // Slice
  RAW_DECIMAL,  // Slice: a number's text, of any size
  RAW_JSON,     // Slice: one JSON value
  RAW_PACKED,   // Slice: one msgpack object, checked
  RAW_LIST,     // ColumnList into child
} RawKind;

typedef struct Raw Raw;
struct Raw {
  RawKind kind;
  const uint64_t *valid;  // as in Column; NULL: all are there
  const void *data;
  const Raw *child;  // RAW_LIST
  size_t child_count;
};

// Rows of one file.
typedef struct {
  size_t count;  // 0: the end
  const Raw *columns;
  const char *name;  // the file
  uint64_t first;    // position of row 0 in it
} RawRows;
