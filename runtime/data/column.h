#pragma once
// Rows in columns: what every layer passes around. A column's arrays are borrowed from whoever made
// the batch (a reader's chunk, an arena), and its header says until when. The layout is the one
// that DuckDB's vectors have, so that most columns are handed over without a copy.

#include "data/type.h"

typedef struct {
  uint64_t offset;  // first element in `child`
  uint64_t length;
} ColumnList;

typedef struct Column Column;
struct Column {
  Type type;
  const uint64_t *valid;  // bit i of word i/64 set: value i is there; NULL: all are there
  union {
    const void *data;
    const uint8_t *bools;  // 0 or 1
    const int32_t *int32s;
    const int64_t *int64s;  // int64; timestamps in microseconds
    const float *float32s;  // float32; a vector's rows one after the other, `length` each
    const double *float64s;
    const Slice *slices;      // string, bytes
    const ColumnList *lists;  // into child
  };
  const Column *child;     // a list's elements; NULL otherwise
  const uint64_t *errors;  // bit set: the value is null because its function failed; NULL: none
};

typedef struct {
  size_t count;  // rows; 0 marks the end of a stream
  size_t column_count;
  Column *columns;
  uint64_t first_row;  // position of row 0 in the whole stream: its arrival
} Batch;

static inline bool column_has(const Column *column, size_t row)
{
  return !column->valid || (column->valid[row >> 6] >> (row & 63) & 1);
}

static inline bool column_failed(const Column *column, size_t row)
{
  return column->errors && (column->errors[row >> 6] >> (row & 63) & 1);
}

static inline size_t column_valid_words(size_t count)
{
  return (count + 63) / 64;
}

static inline void column_set_valid(uint64_t *valid, size_t row, bool there)
{
  uint64_t bit = UINT64_C(1) << (row & 63);
  valid[row >> 6] = there ? valid[row >> 6] | bit : valid[row >> 6] & ~bit;
}
