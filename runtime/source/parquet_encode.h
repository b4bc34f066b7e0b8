#pragma once
// One flat column on its way into a Parquet file: values are collected, cut into pages, encoded
// PLAIN and compressed with zstd. Every column is optional, and a page without nulls says so in two
// bytes.

#include "base/buf.h"
#include "data/column.h"
#include "source/thrift_write.h"

typedef struct {
  const char *name;
  Type type;

  // The page being filled.
  Buf values;  // PLAIN, nulls left out
  Buf there;   // a byte per row; bits are made when the page ends
  uint32_t rows;
  uint32_t nulls;

  // The chunk: pages that are done, header and bytes.
  Buf pages;
  uint64_t chunk_rows;
  uint64_t plain_size;  // of headers and uncompressed pages
} ParquetEncoder;       // {.name, .type} is an empty chunk

enum { PARQUET_PAGE_ROWS = 1 << 17 };

// Whether columns of this type are written here: scalars are, lists and vectors are not.
bool parquet_can_encode(Type type);

void parquet_encode_add(ParquetEncoder *encoder, const Column *column, size_t first, size_t count);

// Ends a page; nothing happens without rows. Encoders may end their pages on different threads.
bool parquet_encode_page(ParquetEncoder *encoder, Error *err);

// The chunk's entry in a row group (parquet.thrift, ColumnChunk), its pages beginning at `offset`
// of the file.
void parquet_encode_chunk(const ParquetEncoder *encoder, uint64_t offset, Buf *out);

// The column's entry in the schema (parquet.thrift, SchemaElement).
void parquet_encode_schema(const ParquetEncoder *encoder, Buf *out);

void parquet_encode_reset(ParquetEncoder *encoder);  // starts the next row group
void parquet_encode_deinit(ParquetEncoder *encoder);
