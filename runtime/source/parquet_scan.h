#pragma once
// Flat Parquet files, one after the other, dealt out to threads by row group.

#include "source/parquet_cursor.h"

typedef struct ParquetScan ParquetScan;
typedef struct ParquetShare ParquetShare;  // one thread's

// NULL without an error when DuckDB has to read these files. `names` are for messages. Columns and
// filter must outlive the scan.
ParquetScan *parquet_scan_open(const char *const *paths, const char *const *names, size_t files,
                               const ReaderColumn *columns, size_t count,
                               const ReaderFilter *filter, Error *err);
void parquet_scan_close(ParquetScan *scan);  // NULL is allowed
uint64_t parquet_scan_rows(const ParquetScan *scan);

ParquetShare *parquet_share_new(ParquetScan *scan);
bool parquet_share_next(ParquetShare *share, Batch *batch, Error *err);

// With filter.bad, which is told of bad values in the order of the files whatever the threads: the
// bits of the last batch's rows that have one (NULL: none), and telling it of such a row as a
// whole.
const uint64_t *parquet_share_bad(const ParquetShare *share);
bool parquet_share_refuse(ParquetShare *share, size_t row, const char *message, Error *err);
void parquet_share_free(ParquetShare *share);
