#include "engine/loader.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "data/key.h"

typedef struct LoaderEntry {
  uint64_t prefix;  // first key bytes after the view id, big-endian: most comparisons end here
  size_t at;        // of the key in `bytes`; the row follows it
  uint32_t key_size;
  uint32_t row_size;
  RowRank rank;
} LoaderEntry;

static Slice key_of(const Loader *loader, const LoaderEntry *entry)
{
  return slice_of(loader->bytes.data + entry->at, entry->key_size);
}

static uint64_t key_prefix(Slice key)
{
  uint8_t first[8] = {0};
  size_t size = key.size - KEY_VIEW_SIZE;
  memcpy(first, key.data + KEY_VIEW_SIZE, size < sizeof(first) ? size : sizeof(first));
  return bytes_load_be64(first);
}

static int compare_entries(const void *a, const void *b, void *context)
{
  const LoaderEntry *left = a;
  const LoaderEntry *right = b;
  if (left->prefix != right->prefix) {
    return left->prefix < right->prefix ? -1 : 1;
  }
  return slice_compare(key_of(context, left), key_of(context, right));
}

static bool put_row(Loader *loader, const LoaderEntry *entry, DbWrite *write, Error *err)
{
  Slice row = slice_of(loader->bytes.data + entry->at + entry->key_size, entry->row_size);
  OnlineOutcome outcome;
  if (!online_load(write, key_of(loader, entry), row, entry->rank, &outcome, err)) {
    return false;
  }
  loader->written += outcome == ONLINE_WRITTEN;
  loader->stale += outcome == ONLINE_STALE;
  return true;
}

static bool put_mark(const Loader *loader, DbWrite *write, uint16_t view_id, const Mark *mark,
                     Error *err)
{
  Mark counted = *mark;
  counted.rows_written += loader->written;
  return marks_put(write, view_id, &counted, err);
}

// Puts everything collected, and the mark when there is one. A transaction ends where LMDB would
// begin to spill pages; the mark is in the last one.
static bool flush(Loader *loader, uint16_t view_id, const Mark *mark, Error *err)
{
  if (loader->count) {
    qsort_r(loader->entries, loader->count, sizeof(*loader->entries), compare_entries, loader);
  }
  DbWrite *write;
  if (!db_write_begin(loader->db, &write, err)) {
    return false;
  }
  bool ok = true;
  for (size_t i = 0; ok && i < loader->count; i++) {
    if (db_write_full(write)) {
      if (!db_write_commit(write, err) || !db_write_begin(loader->db, &write, err)) {
        return false;
      }
    }
    ok = put_row(loader, &loader->entries[i], write, err);
  }
  if (!ok || (mark && !put_mark(loader, write, view_id, mark, err))) {
    db_write_abort(write);
    return false;
  }
  loader->count = 0;
  buf_reset(&loader->bytes);
  return db_write_commit(write, err);
}

bool loader_add(Loader *loader, Slice key, Slice row, RowRank rank, Error *err)
{
  bool full = loader->bytes.size + key.size + row.size > LOADER_BYTES && loader->count;
  if (full && !flush(loader, 0, NULL, err)) {
    return false;
  }
  if (loader->count == loader->capacity) {
    loader->capacity = loader->capacity ? loader->capacity * 2 : 1024;
    loader->entries = mem_realloc(loader->entries, loader->capacity, sizeof(*loader->entries));
  }
  loader->entries[loader->count++] = (LoaderEntry){
      .prefix = key_prefix(key),
      .at = loader->bytes.size,
      .key_size = (uint32_t)key.size,
      .row_size = (uint32_t)row.size,
      .rank = rank,
  };
  buf_put_slice(&loader->bytes, key);
  buf_put_slice(&loader->bytes, row);
  return true;
}

bool loader_finish(Loader *loader, uint16_t view_id, const Mark *mark, Error *err)
{
  return flush(loader, view_id, mark, err);
}

void loader_deinit(Loader *loader)
{
  buf_deinit(&loader->bytes);
  free(loader->entries);
  *loader = (Loader){0};
}
