#pragma once
// Encoded rows on their way into the online store: collected up to a bound, sorted by key, and put
// in large transactions. Rows beyond the last key of the store are appended to full pages, and all
// others still come page by page: the larger the bound, the fewer pages are written twice.

#include "base/buf.h"
#include "data/key_sort.h"
#include "data/row.h"
#include "store/marks.h"
#include "store/online.h"

#define LOADER_MEMORY ((size_t)64 << 20)

typedef struct {
  Db *db;
  size_t memory;  // bytes collected before rows are put; at least LOADER_MEMORY

  struct LoaderBlock *blocks;  // of records
  struct LoaderBlock *block;   // being filled
  KeyEntry *entries;
  size_t count;
  size_t capacity;
  size_t bytes;   // of records, and of entries while they are sorted
  Buf staged;     // the records that are put next
  bool unsorted;  // they came in another order than that of their keys
  uint64_t written;
  uint64_t stale;
} Loader;  // {.db = db} is an empty loader

// Adds a row: `key` with its view id, the same for all; no key comes twice.
bool loader_add(Loader *loader, Slice key, Slice row, Error *err);

// Puts what is left. `mark` of `view_id` is written in that same, last transaction, so it never
// speaks for rows that are not there.
bool loader_finish(Loader *loader, uint16_t view_id, const Mark *mark, Error *err);
void loader_deinit(Loader *loader);
