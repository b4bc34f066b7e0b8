#pragma once
// DuckDB, loaded when the first file is touched. source/ is the only layer that knows it; the
// server and everything else that needs no files run without it.

#include <stdint.h>

#include "base/error.h"

typedef struct Duck Duck;

typedef struct {
  const char *library;  // path of libduckdb.so; NULL: $TIDEMARK_DUCKDB, beside the binary,
                        // ../deps beside it, then the system's; loaded once per process
  const char *folder;   // relative paths (files, globs, in SQL too) start here; NULL: the process's
  const char *temp_folder;  // for what does not fit memory; NULL: the system's
  uint64_t memory_limit;    // bytes; 0: 1 GiB
  unsigned threads;         // 0: all
  bool reads_parquet;       // read all Parquet files through DuckDB, also those that we can read
                            // ourselves; so does $TIDEMARK_PARQUET=duckdb. For comparisons
  bool lazy;                // load the library when something needs it: flat Parquet does not
} DuckOptions;

// A missing library is ERR_UNAVAILABLE and says how to get it: here, or with `lazy` where DuckDB is
// first needed.
Duck *duck_open(const DuckOptions *options, Error *err);
void duck_close(Duck *duck);
bool duck_load(Duck *duck, Error *err);      // now, if it was not yet; any thread
const char *duck_version(const Duck *duck);  // of a loaded one
