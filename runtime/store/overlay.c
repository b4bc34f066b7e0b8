#include "store/overlay.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"

enum { BUCKETS = 1 << 17 };

// One row. Written before it is linked, never after.
typedef struct Node {
  struct Node *next;  // an older row of the bucket
  uint64_t hash;
  uint64_t sequence;
  uint32_t key_size;
  uint32_t row_size;
  uint8_t bytes[];  // key, row
} Node;

struct OverlayTable {
  _Atomic(Node *) *buckets;
  Arena arena;  // of nodes; used by the thread that puts
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
};

static Slice node_key(const Node *node)
{
  return slice_of(node->bytes, node->key_size);
}

static Slice node_row(const Node *node)
{
  return slice_of(node->bytes + node->key_size, node->row_size);
}

// Tables ------------------------------------------------------------------------------------------

static OverlayTable *table_new(void)
{
  OverlayTable *table = mem_zalloc(1, sizeof(*table));
  table->buckets = mem_zalloc(BUCKETS, sizeof(*table->buckets));
  atomic_init(&table->references, 1);
  return table;
}

static void table_unref(OverlayTable *table)
{
  if (atomic_fetch_sub(&table->references, 1) == 1) {
    arena_deinit(&table->arena);
    free(table->buckets);
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
    overlay->active = table_new();
  }
  OverlayTable *table = overlay->active;
  uint64_t hash = hash_bytes(key, 0);
  _Atomic(Node *) *bucket = &table->buckets[hash % BUCKETS];
  Node *node = arena_alloc(&table->arena, sizeof(*node) + key.size + row.size);
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
    _Atomic(Node *) *bucket = &table->buckets[node->hash % BUCKETS];
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

// A row on its way to its place, with the first bytes of its key: most comparisons end there.
typedef struct {
  uint64_t prefix;
  const Node *node;
} Entry;

static uint64_t key_prefix(Slice key)
{
  uint8_t first[sizeof(uint64_t)] = {0};
  if (key.size) {
    memcpy(first, key.data, key.size < sizeof(first) ? key.size : sizeof(first));
  }
  return bytes_load_be64(first);
}

// By key, and the newest row of a key first.
static int compare_entries(const void *a, const void *b)
{
  const Entry *left = a;
  const Entry *right = b;
  if (left->prefix != right->prefix) {
    return left->prefix < right->prefix ? -1 : 1;
  }
  int order = slice_compare(node_key(left->node), node_key(right->node));
  if (order) {
    return order;
  }
  return (left->node->sequence < right->node->sequence)
         - (left->node->sequence > right->node->sequence);
}

size_t overlay_table_rows(const OverlayTable *table, OverlayRow **rows)
{
  Entry *entries = mem_alloc((table->rows + 1) * sizeof(*entries));
  size_t count = 0;
  for (size_t i = 0; i < BUCKETS; i++) {
    const Node *node = atomic_load_explicit(&table->buckets[i], memory_order_acquire);
    for (; node; node = node->next) {
      entries[count++] = (Entry){key_prefix(node_key(node)), node};
    }
  }
  assert(count == table->rows);
  qsort(entries, count, sizeof(*entries), compare_entries);
  *rows = mem_alloc((count + 1) * sizeof(**rows));
  size_t distinct = 0;
  for (size_t i = 0; i < count; i++) {
    OverlayRow row = {node_key(entries[i].node), node_row(entries[i].node)};
    if (distinct == 0 || !slice_equal((*rows)[distinct - 1].key, row.key)) {
      (*rows)[distinct++] = row;
    }
  }
  free(entries);
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

bool overlay_find(const OverlayPin *pin, Slice key, Slice *row)
{
  if (!pin->tables) {
    return false;
  }
  uint64_t hash = hash_bytes(key, 0);
  for (size_t i = 0; i < pin->tables->count; i++) {
    const Node *node = table_find(pin->tables->items[i], key, hash, pin->visible);
    if (node) {
      *row = node_row(node);
      return true;
    }
  }
  return false;
}
