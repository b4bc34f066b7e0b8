#pragma once
// Encoded rows on their way into the online store: collected up to a bound, sorted by key, and put
// in one transaction per bound. Sorted puts are what makes LMDB fast, and bounded transactions what
// keeps its memory small.

#include "base/buf.h"
#include "data/row.h"
#include "store/marks.h"
#include "store/online.h"

enum { LOADER_BYTES = 64 << 20 };  // rows collected before they are put

typedef struct {
  Db *db;
  Buf bytes;  // keys and rows, one after the other
  struct LoaderEntry *entries;
  size_t count;
  size_t capacity;
  uint64_t written;
  uint64_t stale;
} Loader;  // {.db = db} is an empty loader

// Adds a row: `key` with its view id.
bool loader_add(Loader *loader, Slice key, Slice row, RowRank rank, Error *err);

// Puts what is left. `mark` of `view_id` is written in that same, last transaction, so it never
// speaks for rows that are not there.
bool loader_finish(Loader *loader, uint16_t view_id, const Mark *mark, Error *err);
void loader_deinit(Loader *loader);
