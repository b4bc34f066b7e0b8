#include "engine/loader.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/pages.h"
#include "data/key.h"

enum {
  BLOCK_BYTES = 8 << 20,
  STAGED_ROWS = 64,
  LINE = 64,
  FETCH_SIZES = 16,  // rows ahead
  FETCH_ROWS = 6,
  FETCH_BYTES = 2048,  // of a row; the processor goes on by itself
};

// Where records are. A record never moves.
typedef struct LoaderBlock {
  struct LoaderBlock *next;
  size_t capacity;
  size_t size;
  uint8_t *bytes;
} LoaderBlock;

// The key and the row follow.
typedef struct {
  uint32_t key_size;
  uint32_t row_size;
} Record;

static Record record_of(const void *bytes)
{
  Record record;
  memcpy(&record, bytes, sizeof(record));
  return record;
}

static Slice key_of(const void *bytes)
{
  return slice_of((const uint8_t *)bytes + sizeof(Record), record_of(bytes).key_size);
}

static void sort_entries(Loader *loader)
{
  KeyEntry *room = mem_alloc(loader->count * sizeof(*room));
  KeyEntry *sorted = key_sort(loader->entries, room, loader->count, KEY_VIEW_SIZE, key_of);
  free(sorted == room ? loader->entries : room);
  loader->capacity = sorted == room ? loader->count : loader->capacity;
  loader->entries = sorted;
}

// Putting -----------------------------------------------------------------------------------------

// Records lie in the order in which they came. What is put next is fetched meanwhile: first its
// sizes, and when those are there all of it.
static void fetch_ahead(const Loader *loader, size_t at)
{
  if (at + FETCH_SIZES < loader->count) {
    __builtin_prefetch(loader->entries[at + FETCH_SIZES].item);
  }
  if (at + FETCH_ROWS < loader->count) {
    const uint8_t *bytes = loader->entries[at + FETCH_ROWS].item;
    Record record = record_of(bytes);
    size_t size = sizeof(record) + record.key_size + record.row_size;
    size = size < FETCH_BYTES ? size : FETCH_BYTES;
    for (size_t line = LINE; line < size + LINE; line += LINE) {
      __builtin_prefetch(bytes + line);
    }
  }
}

// Copies a few records to one place: a put that has to wait for memory cannot overlap with the next
// one, copies can.
static void stage(Loader *loader, size_t first, size_t count)
{
  buf_reset(&loader->staged);
  for (size_t i = first; i < first + count; i++) {
    fetch_ahead(loader, i);
    Record record = record_of(loader->entries[i].item);
    buf_put(&loader->staged, loader->entries[i].item,
            sizeof(record) + record.key_size + record.row_size);
  }
}

// Puts the first staged record from *at on.
static bool put_row(Loader *loader, size_t *at, DbWrite *write, Error *err)
{
  const uint8_t *bytes = loader->staged.data + *at;
  Record record = record_of(bytes);
  Slice key = slice_of(bytes + sizeof(record), record.key_size);
  Slice row = slice_of(key.data + key.size, record.row_size);
  *at += sizeof(record) + record.key_size + record.row_size;
  OnlineOutcome outcome;
  if (!online_load(write, key, row, row_rank(row), &outcome, err)) {
    return false;
  }
  loader->written += outcome == ONLINE_WRITTEN;
  loader->stale += outcome == ONLINE_STALE;
  return true;
}

// Puts the rows in order. A transaction ends where LMDB would begin to spill pages: then *write is
// another one; NULL after a failure that has ended it.
static bool put_rows(Loader *loader, DbWrite **write, Error *err)
{
  size_t at = 0;
  for (size_t i = 0; i < loader->count; i++) {
    if (db_write_full(*write)) {
      bool committed = db_write_commit(*write, err);
      *write = NULL;
      if (!committed || !db_write_begin(loader->db, write, err)) {
        return false;
      }
    }
    if (i % STAGED_ROWS == 0) {
      size_t left = loader->count - i;
      stage(loader, i, left < STAGED_ROWS ? left : STAGED_ROWS);
      at = 0;
    }
    if (!put_row(loader, &at, *write, err)) {
      return false;
    }
  }
  return true;
}

static bool put_mark(const Loader *loader, DbWrite *write, uint16_t view_id, const Mark *mark,
                     Error *err)
{
  Mark counted = *mark;
  counted.rows_written += loader->written;
  return marks_put(write, view_id, &counted, err);
}

// Forgets the records; their room is used again.
static void reset(Loader *loader)
{
  for (LoaderBlock *block = loader->blocks; block; block = block->next) {
    block->size = 0;
  }
  loader->block = loader->blocks;
  loader->count = 0;
  loader->bytes = 0;
  loader->unsorted = false;
}

// Puts everything collected, and the mark when there is one: it is in the last transaction.
static bool flush(Loader *loader, uint16_t view_id, const Mark *mark, Error *err)
{
  if (loader->unsorted) {
    sort_entries(loader);
  }
  DbWrite *write;
  if (!db_write_begin(loader->db, &write, err)) {
    return false;
  }
  if (!put_rows(loader, &write, err) || (mark && !put_mark(loader, write, view_id, mark, err))) {
    db_write_abort(write);
    return false;
  }
  reset(loader);
  return db_write_commit(write, err);
}

// Collecting --------------------------------------------------------------------------------------

static LoaderBlock *block_new(size_t size)
{
  LoaderBlock *block = mem_zalloc(1, sizeof(*block));
  block->capacity = size > BLOCK_BYTES ? size : BLOCK_BYTES;
  block->bytes = pages_zalloc(1, block->capacity);
  return block;
}

static uint8_t *take_room(Loader *loader, size_t size)
{
  LoaderBlock *block = loader->block;
  while (block && block->capacity - block->size < size && block->next) {
    block = block->next;
  }
  if (!block || block->capacity - block->size < size) {
    LoaderBlock **link = block ? &block->next : &loader->blocks;
    *link = block_new(size);
    block = *link;
  }
  loader->block = block;
  uint8_t *at = block->bytes + block->size;
  block->size += size;
  return at;
}

static void add_entry(Loader *loader, KeyEntry entry)
{
  if (loader->count == loader->capacity) {
    loader->capacity = loader->capacity ? loader->capacity * 2 : 1024;
    loader->entries = mem_realloc(loader->entries, loader->capacity, sizeof(*loader->entries));
  }
  if (loader->count && !loader->unsorted) {
    const KeyEntry *last = &loader->entries[loader->count - 1];
    loader->unsorted = last->prefix > entry.prefix
                       || (last->prefix == entry.prefix
                           && slice_compare(key_of(last->item), key_of(entry.item)) >= 0);
  }
  loader->entries[loader->count++] = entry;
}

// Rows that come in the order of their keys gain nothing from waiting.
static size_t bound_of(const Loader *loader)
{
  return loader->unsorted && loader->memory > LOADER_MEMORY ? loader->memory : LOADER_MEMORY;
}

bool loader_add(Loader *loader, Slice key, Slice row, Error *err)
{
  Record record = {.key_size = (uint32_t)key.size, .row_size = (uint32_t)row.size};
  size_t size = sizeof(record) + key.size + row.size;
  // Sorting takes as many entries again.
  size_t held = size + 2 * sizeof(KeyEntry);
  if (loader->count && loader->bytes + held > bound_of(loader) && !flush(loader, 0, NULL, err)) {
    return false;
  }
  uint8_t *at = take_room(loader, size);
  memcpy(at, &record, sizeof(record));
  memcpy(at + sizeof(record), key.data, key.size);
  memcpy(at + sizeof(record) + key.size, row.data, row.size);
  add_entry(loader, (KeyEntry){key_prefix(key, KEY_VIEW_SIZE), at});
  loader->bytes += held;
  return true;
}

bool loader_finish(Loader *loader, uint16_t view_id, const Mark *mark, Error *err)
{
  return flush(loader, view_id, mark, err);
}

void loader_deinit(Loader *loader)
{
  while (loader->blocks) {
    LoaderBlock *next = loader->blocks->next;
    pages_free(loader->blocks->bytes, 1, loader->blocks->capacity);
    free(loader->blocks);
    loader->blocks = next;
  }
  buf_deinit(&loader->staged);
  free(loader->entries);
  *loader = (Loader){0};
}
