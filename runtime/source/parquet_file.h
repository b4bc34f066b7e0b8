#pragma once
// The footer of a Parquet file: what columns there are and where their pages lie. Files are read,
// not mapped: a file that is cut short meanwhile is an error, not the end of the process. Format:
// github.com/apache/parquet-format (README.md, parquet.thrift).
//
// This reader is for flat columns in the encodings and codecs that writers use by default; whatever
// it does not handle, DuckDB reads. So "not handled" is an answer here, not an error.

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

typedef enum {
  PARQUET_BOOLEAN = 0,
  PARQUET_INT32 = 1,
  PARQUET_INT64 = 2,
  PARQUET_INT96 = 3,
  PARQUET_FLOAT = 4,
  PARQUET_DOUBLE = 5,
  PARQUET_BYTE_ARRAY = 6,
  PARQUET_FIXED = 7,
} ParquetPhysical;

typedef enum {
  PARQUET_PLAIN_TYPE,  // nothing but the physical type
  PARQUET_TEXT,        // UTF-8
  PARQUET_DATE,
  PARQUET_TIME_MS,  // timestamps, by unit
  PARQUET_TIME_US,
  PARQUET_TIME_NS,
  PARQUET_UNSIGNED,  // integers of any width without a sign
  PARQUET_SIGNED,
  PARQUET_NULL,  // a column that was written without a type: every value is null
  PARQUET_DECIMAL,
  PARQUET_OTHER,  // JSON, …: not handled, as decimals are not
} ParquetLogical;

typedef enum { PARQUET_RAW = 0, PARQUET_SNAPPY = 1, PARQUET_ZSTD = 6 } ParquetCodec;

// A leaf of the schema.
typedef struct {
  const char *name;  // of a flat column; NULL for a leaf inside a group
  ParquetPhysical physical;
  ParquetLogical logical;
  int precision;  // digits of a decimal
  int scale;
  bool optional;
  bool has_zone;  // timestamps: the file says whether they are UTC instants,
  bool utc;       // and they are
} ParquetColumn;

// One column of one row group.
typedef struct {
  uint32_t encodings;  // bit set of the encodings used
  ParquetCodec codec;
  uint64_t offset;  // of its first page, the dictionary's if there is one
  uint64_t size;    // bytes of all its pages
  uint64_t values;
  Slice min;  // as the physical type stores it; empty when not known
  Slice max;
} ParquetChunk;

typedef struct {
  uint64_t rows;
  uint64_t first_row;    // of the file
  ParquetChunk *chunks;  // per leaf
} ParquetGroup;

typedef struct {
  int handle;  // open file; any thread may pread from it
  uint64_t size;
  uint64_t rows;
  ParquetColumn *columns;
  size_t column_count;
  const char **tops;  // names of what lies right below the root: flat columns and groups
  size_t top_count;
  ParquetGroup *groups;
  size_t group_count;
  Slice footer;  // the file's metadata as they stand
  Arena arena;
} ParquetFile;

// Opens and checks a file. *handled is false (and nothing is open) when it is not a Parquet file
// that we read. Fails when the file cannot be opened.
bool parquet_open(ParquetFile *file, const char *path, bool *handled, Error *err);
void parquet_close(ParquetFile *file);

// Place of a flat column by name, -1 when there is none (or more than one).
int parquet_find(const ParquetFile *file, const char *name);
