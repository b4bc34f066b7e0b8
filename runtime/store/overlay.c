#include "store/overlay.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/pages.h"
#include "data/key_sort.h"

enum {
  BUCKETS = 1 << 17,
  CHUNK_BYTES = 4 << 20,
  NODE_ALIGNMENT = 16,
};

// One row. Written before it is linked, never after.
typedef struct Node {
  struct Node *next;  // an older row of the bucket
  uint64_t hash;
  uint64_t sequence;
  uint32_t key_size;
  uint32_t row_size;
  uint8_t bytes[];  // key, row
} Node;

// Memory of nodes.
typedef struct Chunk {
  struct Chunk *older;
  size_t size;
  size_t used;
  _Alignas(NODE_ALIGNMENT) uint8_t bytes[];
} Chunk;

typedef _Atomic(Node *) Bucket;

// Memory of tables that are gone, for the next ones: fresh memory has to be cleared by the system,
// page by page. As much as tables ever had at one time, until it is given back.
typedef struct {
  pthread_mutex_t lock;
  Chunk *chunks;    // of CHUNK_BYTES each
  Bucket *buckets;  // of one table
} Spare;

struct OverlayTable {
  Bucket *buckets;
  Spare *spare;
  Chunk *chunks;  // newest first; used by the thread that puts
  size_t rows;
  size_t bytes;
  atomic_size_t references;
};

// What readers pin: an immutable list, newest table first.
struct OverlayTables {
  atomic_size_t references;
  size_t count;
  OverlayTable *items[];
};

struct Overlay {
  OverlayTable *active;  // of the thread that puts; NULL until the first row
  Node **unpublished;    // put since the last publication, in order
  size_t unpublished_count;
  size_t unpublished_capacity;

  pthread_mutex_t lock;              // for the pair below, and for changes of it
  _Atomic(OverlayTables *) current;  // NULL: no rows. One reference is ours.
  uint64_t visible;

  Spare spare;
};

static Slice node_key(const Node *node)
{
  return slice_of(node->bytes, node->key_size);
}

static Slice node_row(const Node *node)
{
  return slice_of(node->bytes + node->key_size, node->row_size);
}

// Memory ------------------------------------------------------------------------------------------

// One that holds `wanted` bytes. Under AddressSanitizer it holds no more, so that an overrun is
// seen.
static Chunk *chunk_take(Spare *spare, size_t wanted)
{
  size_t size = sizeof(Chunk) + wanted;
#ifndef TIDEMARK_ASAN
  size = size < CHUNK_BYTES ? CHUNK_BYTES : size;
#endif
  Chunk *chunk = NULL;
  if (size == CHUNK_BYTES) {
    pthread_mutex_lock(&spare->lock);
    chunk = spare->chunks;
    spare->chunks = chunk ? chunk->older : NULL;
    pthread_mutex_unlock(&spare->lock);
  }
  chunk = chunk ? chunk : pages_zalloc(1, size);
  chunk->size = size;
  chunk->used = sizeof(Chunk);
  return chunk;
}

static void chunk_give(Spare *spare, Chunk *chunk)
{
  if (chunk->size != CHUNK_BYTES) {
    pages_free(chunk, 1, chunk->size);
    return;
  }
  pthread_mutex_lock(&spare->lock);
  chunk->older = spare->chunks;
  spare->chunks = chunk;
  pthread_mutex_unlock(&spare->lock);
}

static Bucket *buckets_take(Spare *spare)
{
  pthread_mutex_lock(&spare->lock);
  Bucket *buckets = spare->buckets;
  spare->buckets = NULL;
  pthread_mutex_unlock(&spare->lock);
  if (!buckets) {
    return mem_zalloc(BUCKETS, sizeof(*buckets));
  }
  memset((void *)buckets, 0, BUCKETS * sizeof(*buckets));  // nobody else has them
  return buckets;
}

static void buckets_give(Spare *spare, Bucket *buckets)
{
  pthread_mutex_lock(&spare->lock);
  Bucket *other = spare->buckets;
  spare->buckets = buckets;
  pthread_mutex_unlock(&spare->lock);
  free((void *)other);
}

static void *take_room(OverlayTable *table, size_t size)
{
  size = (size + NODE_ALIGNMENT - 1) & ~(size_t)(NODE_ALIGNMENT - 1);
  Chunk *chunk = table->chunks;
  if (!chunk || chunk->size - chunk->used < size) {
    chunk = chunk_take(table->spare, size);
    chunk->older = table->chunks;
    table->chunks = chunk;
  }
  void *room = (uint8_t *)chunk + chunk->used;
  chunk->used += size;
  return room;
}

static void spare_free(Spare *spare)
{
  pthread_mutex_lock(&spare->lock);
  Chunk *chunk = spare->chunks;
  Bucket *buckets = spare->buckets;
  spare->chunks = NULL;
  spare->buckets = NULL;
  pthread_mutex_unlock(&spare->lock);
  for (Chunk *older; chunk; chunk = older) {
    older = chunk->older;
    pages_free(chunk, 1, chunk->size);
  }
  free((void *)buckets);
}

// Tables ------------------------------------------------------------------------------------------

static OverlayTable *table_new(Spare *spare)
{
  OverlayTable *table = mem_zalloc(1, sizeof(*table));
  table->buckets = buckets_take(spare);
  table->spare = spare;
  atomic_init(&table->references, 1);
  return table;
}

static void table_unref(OverlayTable *table)
{
  if (atomic_fetch_sub(&table->references, 1) == 1) {
    for (Chunk *chunk = table->chunks, *older; chunk; chunk = older) {
      older = chunk->older;
      chunk_give(table->spare, chunk);
    }
    buckets_give(table->spare, table->buckets);
    free(table);
  }
}

// The newest row of a key whose sequence is at most `visible`.
static const Node *table_find(const OverlayTable *table, Slice key, uint64_t hash, uint64_t visible)
{
  const Node *node = atomic_load_explicit(&table->buckets[hash % BUCKETS], memory_order_acquire);
  while (node
         && (node->hash != hash || node->sequence > visible || !slice_equal(node_key(node), key))) {
    node = node->next;
  }
  return node;
}

static OverlayTables *tables_new(OverlayTable *const *items, size_t count)
{
  if (count == 0) {
    return NULL;
  }
  OverlayTables *tables = mem_alloc(sizeof(*tables) + count * sizeof(tables->items[0]));
  atomic_init(&tables->references, 1);
  tables->count = count;
  for (size_t i = 0; i < count; i++) {
    tables->items[i] = items[i];
    atomic_fetch_add(&items[i]->references, 1);
  }
  return tables;
}

static void tables_unref(OverlayTables *tables)
{
  if (tables && atomic_fetch_sub(&tables->references, 1) == 1) {
    for (size_t i = 0; i < tables->count; i++) {
      table_unref(tables->items[i]);
    }
    free(tables);
  }
}

// Puts `added` in front of the list, or takes `dropped` out of it. Called with the lock held;
// returns the list that was current.
static OverlayTables *change_tables(Overlay *overlay, OverlayTable *added,
                                    const OverlayTable *dropped)
{
  OverlayTables *old = atomic_load_explicit(&overlay->current, memory_order_relaxed);
  size_t count = old ? old->count : 0;
  OverlayTable **items = mem_alloc((count + 1) * sizeof(*items));
  size_t kept = 0;
  if (added) {
    items[kept++] = added;
  }
  for (size_t i = 0; i < count; i++) {
    if (old->items[i] != dropped) {
      items[kept++] = old->items[i];
    }
  }
  atomic_store_explicit(&overlay->current, tables_new(items, kept), memory_order_release);
  free(items);
  return old;
}

Overlay *overlay_new(void)
{
  Overlay *overlay = mem_zalloc(1, sizeof(*overlay));
  pthread_mutex_init(&overlay->lock, NULL);
  pthread_mutex_init(&overlay->spare.lock, NULL);
  return overlay;
}

void overlay_free(Overlay *overlay)
{
  if (!overlay) {
    return;
  }
  tables_unref(atomic_load(&overlay->current));
  if (overlay->active) {
    table_unref(overlay->active);
  }
  spare_free(&overlay->spare);
  pthread_mutex_destroy(&overlay->spare.lock);
  pthread_mutex_destroy(&overlay->lock);
  free(overlay->unpublished);
  free(overlay);
}

// Putting -----------------------------------------------------------------------------------------

static void remember(Overlay *overlay, Node *node)
{
  if (overlay->unpublished_count == overlay->unpublished_capacity) {
    overlay->unpublished_capacity =
        overlay->unpublished_capacity ? overlay->unpublished_capacity * 2 : 1024;
    overlay->unpublished = mem_realloc(overlay->unpublished, overlay->unpublished_capacity,
                                       sizeof(*overlay->unpublished));
  }
  overlay->unpublished[overlay->unpublished_count++] = node;
}

void overlay_put(Overlay *overlay, Slice key, Slice row, uint64_t sequence)
{
  if (!overlay->active) {
    overlay->active = table_new(&overlay->spare);
  }
  OverlayTable *table = overlay->active;
  uint64_t hash = hash_bytes(key, 0);
  Bucket *bucket = &table->buckets[hash % BUCKETS];
  Node *node = take_room(table, sizeof(*node) + key.size + row.size);
  *node = (Node){
      .next = atomic_load_explicit(bucket, memory_order_relaxed),
      .hash = hash,
      .sequence = sequence,
      .key_size = (uint32_t)key.size,
      .row_size = (uint32_t)row.size,
  };
  memcpy(node->bytes, key.data, key.size);
  memcpy(node->bytes + key.size, row.data, row.size);
  atomic_store_explicit(bucket, node, memory_order_release);
  table->rows++;
  table->bytes += sizeof(*node) + key.size + row.size;
  remember(overlay, node);
}

bool overlay_active_row(const Overlay *overlay, Slice key, Slice *row)
{
  if (!overlay->active) {
    return false;
  }
  const Node *node = table_find(overlay->active, key, hash_bytes(key, 0), UINT64_MAX);
  if (node) {
    *row = node_row(node);
  }
  return node != NULL;
}

// Readers that stand on such a node pass it by: its sequence is not visible to them.
void overlay_undo(Overlay *overlay, size_t keep)
{
  OverlayTable *table = overlay->active;
  assert(keep <= overlay->unpublished_count);
  while (overlay->unpublished_count > keep) {
    Node *node = overlay->unpublished[--overlay->unpublished_count];
    Bucket *bucket = &table->buckets[node->hash % BUCKETS];
    assert(atomic_load(bucket) == node);
    atomic_store_explicit(bucket, node->next, memory_order_release);
    table->rows--;
  }
  if (table && table->rows == 0) {  // nobody else has it: it was never published
    table_unref(table);
    overlay->active = NULL;
  }
}

void overlay_publish(Overlay *overlay, uint64_t sequence)
{
  OverlayTables *old = NULL;
  pthread_mutex_lock(&overlay->lock);
  const OverlayTables *current = atomic_load_explicit(&overlay->current, memory_order_relaxed);
  if (overlay->active && overlay->active->rows
      && (!current || current->items[0] != overlay->active)) {
    old = change_tables(overlay, overlay->active, NULL);
  }
  overlay->visible = sequence;
  pthread_mutex_unlock(&overlay->lock);
  tables_unref(old);
  overlay->unpublished_count = 0;
}

size_t overlay_unpublished(const Overlay *overlay)
{
  return overlay->unpublished_count;
}

size_t overlay_active_rows(const Overlay *overlay)
{
  return overlay->active ? overlay->active->rows : 0;
}

bool overlay_active_full(const Overlay *overlay)
{
  const OverlayTable *table = overlay->active;
  return table && (table->bytes >= OVERLAY_TABLE_BYTES || table->rows >= OVERLAY_TABLE_ROWS);
}

OverlayTable *overlay_seal(Overlay *overlay)
{
  assert(overlay->unpublished_count == 0);
  if (overlay_active_rows(overlay) == 0) {
    return NULL;
  }
  OverlayTable *table = overlay->active;  // its reference passes to whoever drops it
  overlay->active = NULL;
  return table;
}

// Applying ----------------------------------------------------------------------------------------

static Slice entry_key(const void *item)
{
  return node_key(item);
}

// Newest first, where they are of one key.
static size_t list_nodes(const OverlayTable *table, KeyEntry *entries)
{
  size_t count = 0;
  for (size_t i = 0; i < BUCKETS; i++) {
    const Node *node = atomic_load_explicit(&table->buckets[i], memory_order_acquire);
    for (; node; node = node->next) {
      entries[count++] = (KeyEntry){key_prefix(node_key(node), 0), node};
    }
  }
  assert(count == table->rows);
  return count;
}

size_t overlay_tables_rows(OverlayTable *const *tables, size_t table_count, OverlayRow **rows)
{
  size_t total = 0;
  for (size_t i = 0; i < table_count; i++) {
    total += tables[i]->rows;
  }
  KeyEntry *entries = mem_alloc((total + 1) * sizeof(*entries));
  KeyEntry *room = mem_alloc((total + 1) * sizeof(*room));
  size_t count = 0;
  for (size_t i = table_count; i > 0; i--) {
    count += list_nodes(tables[i - 1], entries + count);
  }
  const KeyEntry *sorted = key_sort(entries, room, count, 0, entry_key);
  *rows = mem_alloc((count + 1) * sizeof(**rows));
  size_t distinct = 0;
  for (size_t i = 0; i < count; i++) {
    OverlayRow row = {node_key(sorted[i].item), node_row(sorted[i].item)};
    if (distinct == 0 || !slice_equal((*rows)[distinct - 1].key, row.key)) {
      (*rows)[distinct++] = row;
    }
  }
  free(entries);
  free(room);
  return distinct;
}

void overlay_drop(Overlay *overlay, OverlayTable *table)
{
  pthread_mutex_lock(&overlay->lock);
  OverlayTables *old = change_tables(overlay, NULL, table);
  pthread_mutex_unlock(&overlay->lock);
  tables_unref(old);
  table_unref(table);
}

bool overlay_has_spare(Overlay *overlay)
{
  pthread_mutex_lock(&overlay->spare.lock);
  bool has = overlay->spare.chunks || overlay->spare.buckets;
  pthread_mutex_unlock(&overlay->spare.lock);
  return has;
}

void overlay_drop_spare(Overlay *overlay)
{
  spare_free(&overlay->spare);
}

// Reading -----------------------------------------------------------------------------------------

OverlayPin overlay_pin(Overlay *overlay)
{
  OverlayPin pin = {0};
  if (!atomic_load_explicit(&overlay->current, memory_order_acquire)) {
    return pin;
  }
  pthread_mutex_lock(&overlay->lock);
  pin.tables = atomic_load_explicit(&overlay->current, memory_order_relaxed);
  pin.visible = overlay->visible;
  if (pin.tables) {
    atomic_fetch_add(&pin.tables->references, 1);
  }
  pthread_mutex_unlock(&overlay->lock);
  return pin;
}

void overlay_unpin(OverlayPin *pin)
{
  tables_unref(pin->tables);
  pin->tables = NULL;
}

// Looks for the keys of `count` hashes in one table; those that were found before are left out.
static void find_in_table(const OverlayTable *table, const Slice *keys, const uint64_t *hashes,
                          size_t count, uint64_t visible, OverlayFound *found)
{
  for (size_t i = 0; i < count; i++) {
    __builtin_prefetch(
        atomic_load_explicit(&table->buckets[hashes[i] % BUCKETS], memory_order_acquire));
  }
  for (size_t i = 0; i < count; i++) {
    const Node *node =
        keys[i].size && !found[i].row.size ? table_find(table, keys[i], hashes[i], visible) : NULL;
    if (node) {
      found[i] = (OverlayFound){node_row(node), node->sequence};
      __builtin_prefetch(found[i].row.data);
    }
  }
}

// What a look-up costs is waiting for memory: all buckets come at one time, then all first nodes.
void overlay_find(const OverlayPin *pin, const Slice *keys, size_t count, OverlayFound *found)
{
  uint64_t hashes[OVERLAY_BLOCK];
  size_t tables = pin->tables ? pin->tables->count : 0;
  assert(count <= OVERLAY_BLOCK);
  memset(found, 0, count * sizeof(*found));
  for (size_t i = 0; tables && i < count; i++) {
    hashes[i] = hash_bytes(keys[i], 0);
    for (size_t table = 0; table < tables; table++) {
      __builtin_prefetch((const void *)&pin->tables->items[table]->buckets[hashes[i] % BUCKETS]);
    }
  }
  for (size_t table = 0; table < tables; table++) {
    find_in_table(pin->tables->items[table], keys, hashes, count, pin->visible, found);
  }
}
