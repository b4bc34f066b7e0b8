#pragma once
// CSV as RFC 4180 has it, with a header: fields of a few thousand rows at a time as slices. Lines
// end with LF or CRLF, quoted fields may hold both. An unquoted empty field is null, `""` is the
// empty string. Nothing is guessed: what breaks the rules is an error with its row.

#include "source/raw.h"
#include "source/table.h"

enum {
  CSV_BATCH_ROWS = 2048,
  CSV_ROW_MAX = 64 << 20,  // bytes of one row
};

typedef struct Csv Csv;

// Names and order of the first file's header; all columns are text.
bool csv_describe(const TableFiles *files, TableColumn **columns, size_t *count, Arena *arena,
                  Error *err);

// Reads the columns at the positions `wanted`. `files` outlives the reader.
Csv *csv_open(const TableFiles *files, const size_t *wanted, size_t count, Error *err);
void csv_close(Csv *csv);

// The next rows of one file as RAW_TEXT, one Raw per wanted column; valid until the next call.
bool csv_next(Csv *csv, RawRows *rows, Error *err);
