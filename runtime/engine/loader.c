#include "engine/loader.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/pages.h"
#include "data/key.h"

enum {
  BLOCK_BYTES = 8 << 20,
  DIGIT_BITS = 8,
  DIGITS = 1 << DIGIT_BITS,
  PREFIX_DIGITS = 64 / DIGIT_BITS,
  STAGED_ROWS = 64,
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

typedef struct LoaderEntry {
  uint64_t prefix;  // first key bytes after the view id, big-endian: most comparisons end here
  const uint8_t *record;
} LoaderEntry;

static Record record_of(const LoaderEntry *entry)
{
  Record record;
  memcpy(&record, entry->record, sizeof(record));
  return record;
}

static Slice key_of(const LoaderEntry *entry)
{
  return slice_of(entry->record + sizeof(Record), record_of(entry).key_size);
}

static uint64_t key_prefix(Slice key)
{
  uint8_t first[8] = {0};
  size_t size = key.size - KEY_VIEW_SIZE;
  memcpy(first, key.data + KEY_VIEW_SIZE, size < sizeof(first) ? size : sizeof(first));
  return bytes_load_be64(first);
}

// Sorting -----------------------------------------------------------------------------------------

static int compare_keys(const void *a, const void *b)
{
  return slice_compare(key_of(a), key_of(b));
}

// By prefix: least significant digit first, and digits that all have in common left out. Returns
// where the sorted entries are: `entries` or `space`.
static LoaderEntry *sort_prefixes(LoaderEntry *entries, LoaderEntry *space, size_t count)
{
  size_t(*counts)[DIGITS] = mem_zalloc(PREFIX_DIGITS, sizeof(*counts));
  for (size_t i = 0; i < count; i++) {
    for (size_t digit = 0; digit < PREFIX_DIGITS; digit++) {
      counts[digit][entries[i].prefix >> (digit * DIGIT_BITS) & (DIGITS - 1)]++;
    }
  }
  for (size_t digit = 0; digit < PREFIX_DIGITS; digit++) {
    size_t shift = digit * DIGIT_BITS;
    size_t *places = counts[digit];
    if (places[entries[0].prefix >> shift & (DIGITS - 1)] == count) {
      continue;
    }
    size_t place = 0;
    for (size_t value = 0; value < DIGITS; value++) {
      size_t size = places[value];
      places[value] = place;
      place += size;
    }
    for (size_t i = 0; i < count; i++) {
      space[places[entries[i].prefix >> shift & (DIGITS - 1)]++] = entries[i];
    }
    LoaderEntry *other = entries;
    entries = space;
    space = other;
  }
  free(counts);
  return entries;
}

static void sort_entries(Loader *loader)
{
  LoaderEntry *space = mem_alloc(loader->count * sizeof(*space));
  LoaderEntry *sorted = sort_prefixes(loader->entries, space, loader->count);
  free(sorted == space ? loader->entries : space);
  loader->capacity = sorted == space ? loader->count : loader->capacity;
  loader->entries = sorted;
  for (size_t i = 0, end; i < loader->count; i = end) {
    for (end = i + 1; end < loader->count && sorted[end].prefix == sorted[i].prefix; end++) {
    }
    if (end - i > 1) {
      qsort(sorted + i, end - i, sizeof(*sorted), compare_keys);
    }
  }
}

// Putting -----------------------------------------------------------------------------------------

// Copies a few records to one place. They lie in the order in which they came, and a put that has
// to wait for memory cannot overlap with the next one; copies can.
static void stage(Loader *loader, size_t first, size_t count)
{
  buf_reset(&loader->staged);
  for (size_t i = first; i < first + count; i++) {
    Record record = record_of(&loader->entries[i]);
    buf_put(&loader->staged, loader->entries[i].record,
            sizeof(record) + record.key_size + record.row_size);
  }
}

// Puts the first staged record from *at on.
static bool put_row(Loader *loader, size_t *at, DbWrite *write, Error *err)
{
  Record record;
  memcpy(&record, loader->staged.data + *at, sizeof(record));
  Slice key = slice_of(loader->staged.data + *at + sizeof(record), record.key_size);
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

static void add_entry(Loader *loader, LoaderEntry entry)
{
  if (loader->count == loader->capacity) {
    loader->capacity = loader->capacity ? loader->capacity * 2 : 1024;
    loader->entries = mem_realloc(loader->entries, loader->capacity, sizeof(*loader->entries));
  }
  if (loader->count && !loader->unsorted) {
    const LoaderEntry *last = &loader->entries[loader->count - 1];
    loader->unsorted =
        last->prefix > entry.prefix
        || (last->prefix == entry.prefix && slice_compare(key_of(last), key_of(&entry)) >= 0);
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
  size_t held = size + 2 * sizeof(LoaderEntry);
  if (loader->count && loader->bytes + held > bound_of(loader) && !flush(loader, 0, NULL, err)) {
    return false;
  }
  uint8_t *at = take_room(loader, size);
  memcpy(at, &record, sizeof(record));
  memcpy(at + sizeof(record), key.data, key.size);
  memcpy(at + sizeof(record) + key.size, row.data, row.size);
  add_entry(loader, (LoaderEntry){key_prefix(key), at});
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
