#pragma once
// The pages of one column of one row group, decoded so that any row of the page can be looked at: a
// training set wants a few rows of each page, and a full scan wants all of them.

#include "base/buf.h"
#include "source/parquet_file.h"

// A decoded page. Rows without a value have no place among the values: `ranks` counts the values
// before each word of 64 rows.
typedef struct {
  uint64_t first_row;  // of the row group
  uint32_t rows;
  uint32_t value_count;
  const uint64_t *valid;  // bit per row; NULL: every row has a value
  const uint32_t *ranks;
  const uint8_t *fixed;    // PLAIN values of a fixed width
  const Slice *texts;      // PLAIN byte arrays
  const uint32_t *places;  // dictionary: place of each value; NULL: PLAIN
} ParquetPage;

// The values that dictionary pages refer to.
typedef struct {
  uint32_t count;
  const uint8_t *fixed;
  const Slice *texts;
} ParquetDictionary;

// Walks the pages of a column chunk. Buffers are reused from page to page.
typedef struct {
  const ParquetFile *file;
  const ParquetColumn *column;
  const ParquetChunk *chunk;
  uint64_t offset;  // of the next page in the file
  uint64_t end;
  uint64_t next_row;  // first row of the next page
  ParquetDictionary dictionary;
  ParquetPage page;

  Buf raw;   // header and compressed bytes of a page
  Buf body;  // uncompressed
  Buf dictionary_body;
  Buf dictionary_texts;
  Buf valid, ranks, texts, places;
} ParquetPages;

// Whether every page of the chunk can be decoded, as far as the metadata tell.
bool parquet_can_decode(const ParquetColumn *column, const ParquetChunk *chunk);

// Starts at the first page of column `place` of row group `group`.
bool parquet_pages_start(ParquetPages *pages, const ParquetFile *file, size_t group, size_t place,
                         Error *err);

// Moves to the page that holds `row` of the row group (never backwards) and decodes it. Pages
// before it are stepped over without being decompressed.
bool parquet_pages_seek(ParquetPages *pages, uint64_t row, Error *err);

void parquet_pages_deinit(ParquetPages *pages);  // frees the buffers

// Place of a row's value among the page's values; the row must have one.
static inline uint32_t parquet_page_rank(const ParquetPage *page, uint32_t row)
{
  if (!page->valid) {
    return row;
  }
  uint64_t below = page->valid[row >> 6] & ((UINT64_C(1) << (row & 63)) - 1);
  return page->ranks[row >> 6] + (uint32_t)__builtin_popcountll(below);
}

static inline bool parquet_page_has(const ParquetPage *page, uint32_t row)
{
  return !page->valid || (page->valid[row >> 6] >> (row & 63) & 1);
}

// Bytes of a value of a fixed width; 0 for byte arrays.
size_t parquet_width(ParquetPhysical physical);
