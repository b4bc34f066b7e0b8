#pragma once
// A Parquet file with columns added: what is there is copied byte for byte, column chunk by column
// chunk, whatever its types, encodings and codecs; only the new columns are encoded. Row groups
// stay as they are.

#include "source/writer.h"

// Writes `from` with the producer's columns to the open file `to`. *handled is false, and nothing
// was written, when DuckDB has to do it: no plain Parquet file, lists or vectors to add, row groups
// too large to hold their new columns in memory. The producer must give as many rows as `from` has.
bool parquet_append(const char *from, int to, const Producer *producer, uint64_t *rows,
                    bool *handled, Error *err);
