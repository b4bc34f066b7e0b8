// The row cache for specs, through the FFI: thin wrappers.

#include "store/row_cache.h"

// Declares and begins a function that is visible outside the binary.
#define EXPORT(...)                                   \
  __attribute__((visibility("default"))) __VA_ARGS__; \
  __VA_ARGS__

EXPORT(void tidemark_db_read_cache(DbRead *read, uint64_t bytes))
{
  db_read_cache(read, bytes);
}

// found, missed, stale, bytes, capacity
EXPORT(void tidemark_db_read_cache_stats(const DbRead *read, uint64_t *out))
{
  RowCacheStats stats = db_read_cache_stats(read);
  out[0] = stats.found;
  out[1] = stats.missed;
  out[2] = stats.stale;
  out[3] = stats.bytes;
  out[4] = stats.capacity;
}
