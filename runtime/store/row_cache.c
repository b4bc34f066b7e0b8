#include "store/row_cache.h"

#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/pages.h"
#include "data/row.h"
#include "store/db_private.h"

enum {
  WAYS = 8,
  UNIT = 16,             // of the area; a place counts them, from 1
  INDEX_SHARE = 16,      // at most this part of the bytes is for the index
  SETS_FIRST = 512,      // until it is known how large blocks are
  SAMPLE = 1024,         // blocks that tell
  BYTES_PER_SEEN = 256,  // of the area, for each key that is remembered as missed
  BYTES_PER_TRACE = 64,  // of all bytes, for each place in the map that is remembered
  DISPLACED_SHARE = 8,   // too many, when this part of the new entries puts out another one
  LINE = 64,
  PAGE = 4096,
  FIRST_LINES = 3,       // of a block: enough for its header, its key and the row's own header
  PREFETCH_LINES = 20,   // of a row; the processor follows by itself then
  SPARED_MOST = 16,      // used blocks that one new block lets stay
  THRIFT_WINDOW = 4096,  // entries wanted, after which it is looked at what entries are good for
  THRIFT_MOST = 3,
  VIEWS = 1 << 16,
};

// Counters change once per transaction at most, so an entry that is older than so many commits
// could meet its counter again by chance.
#define SNAPSHOTS_MOST (UINT64_C(1) << 32)

typedef struct {
  uint32_t tags[WAYS];
  uint32_t places[WAYS];  // 0: free
} Set;
_Static_assert(sizeof(Set) == LINE, "a set is one line of the processor's cache");

// Key and row follow.
typedef struct {
  uint64_t hash;
  uint64_t snapshot;  // that it was found good in
  uint32_t version;
  uint32_t row_size;  // 0: there is no row
  uint32_t units;     // of the block
  uint16_t key_size;
  uint8_t used;  // since the edge last passed
  uint8_t unused;
} Block;
_Static_assert(sizeof(Block) == (size_t)2 * UNIT, "keys start on a unit");

// Pages of counters of one view, looked up once per snapshot.
typedef struct {
  uint64_t snapshot;
  const uint8_t *pages[VERSION_PAGES];
} VersionView;

// A row to go in.
typedef struct {
  VersionPlace place;
  size_t key_at;  // in RowCache.keys
  size_t key_size;
  Slice row;
} Pending;

struct RowCache {
  Set *sets;
  size_t set_count;
  size_t set_most;
  uint64_t added;      // entries, since the index was made
  uint64_t displaced;  // by these
  uint8_t *area;
  uint64_t capacity;  // of the area, bytes
  uint64_t head;
  uint64_t edge;
  uint64_t old_end;

  uint8_t *seen;  // by hash: a part of the hash of a key that was missed, 0 for none
  size_t seen_count;
  uint32_t *traces;  // by hash: where the row of a key that was missed lies in the map
  size_t trace_count;
  const char *trace_base;  // from where they count, in lines

  unsigned thrift;        // one of 2^thrift keys that may enter does
  uint64_t wanted;        // to enter, in this window
  uint64_t entered;       // of these
  uint64_t found_before;  // stats.found when it began

  DbRead *read;  // that is begun
  uint64_t snapshot;
  VersionView **views;  // by id
  Pending *pending;
  size_t pending_count;
  Buf keys;  // of what is pending
  RowCacheStats stats;
};

// Blocks ------------------------------------------------------------------------------------------

static Block *block_at(const RowCache *cache, uint32_t place)
{
  return (Block *)(void *)(cache->area + (uint64_t)(place - 1) * UNIT);
}

static uint32_t place_of(const RowCache *cache, const Block *block)
{
  return (uint32_t)(((const uint8_t *)block - cache->area) / UNIT) + 1;
}

static Slice block_key(const Block *block)
{
  return slice_of((const uint8_t *)(block + 1), block->key_size);
}

static Slice block_row(const Block *block)
{
  return slice_of((const uint8_t *)(block + 1) + block->key_size, block->row_size);
}

static size_t set_number(uint64_t hash, size_t set_count)
{
  return (size_t)((__uint128_t)hash * set_count >> 64);
}

static Set *set_of(const RowCache *cache, uint64_t hash)
{
  return &cache->sets[set_number(hash, cache->set_count)];
}

static int find_tag(const Set *set, uint64_t hash)
{
  unsigned matches = 0;
  for (unsigned way = 0; way < WAYS; way++) {
    matches |= (unsigned)(set->tags[way] == (uint32_t)hash && set->places[way]) << way;
  }
  return matches ? __builtin_ctz(matches) : -1;
}

static int find_place(const Set *set, uint32_t place)
{
  int found = -1;
  for (int way = 0; way < WAYS; way++) {
    found = set->places[way] == place ? way : found;
  }
  return found;
}

// Life --------------------------------------------------------------------------------------------

RowCache *row_cache_new(uint64_t bytes)
{
  RowCache *cache = mem_zalloc(1, sizeof(*cache));
  bytes = bytes < ROW_CACHE_LEAST ? ROW_CACHE_LEAST : bytes;
  uint64_t most = (uint64_t)(UINT32_MAX - 1) * UNIT;
  bytes = bytes < most ? bytes : most;
  cache->set_count = SETS_FIRST;
  cache->set_most = bytes / INDEX_SHARE / sizeof(Set);
  cache->trace_count = bytes / BYTES_PER_TRACE;
  cache->traces = pages_zalloc(cache->trace_count, sizeof(*cache->traces));
  cache->capacity =
      (bytes - bytes / INDEX_SHARE - cache->trace_count * sizeof(*cache->traces)) / UNIT * UNIT;
  cache->sets = pages_zalloc(cache->set_count, sizeof(Set));
  cache->area = pages_zalloc(cache->capacity, 1);
  cache->edge = cache->capacity;
  cache->seen_count = cache->capacity / BYTES_PER_SEEN;
  cache->seen = pages_zalloc(cache->seen_count, 1);
  cache->views = mem_zalloc(VIEWS, sizeof(*cache->views));
  cache->pending = mem_alloc(ROW_CACHE_PENDING * sizeof(*cache->pending));
  cache->stats.capacity = cache->capacity;
  return cache;
}

void row_cache_free(RowCache *cache)
{
  if (!cache) {
    return;
  }
  for (size_t i = 0; i < VIEWS; i++) {
    free(cache->views[i]);
  }
  free(cache->views);
  free(cache->pending);
  buf_deinit(&cache->keys);
  pages_free(cache->sets, cache->set_count, sizeof(Set));
  pages_free(cache->area, cache->capacity, 1);
  pages_free(cache->seen, cache->seen_count, 1);
  pages_free(cache->traces, cache->trace_count, sizeof(*cache->traces));
  free(cache);
}

RowCacheStats db_read_cache_stats(const DbRead *read)
{
  return read->cache ? read->cache->stats : (RowCacheStats){0};
}

void row_cache_begin(RowCache *cache, DbRead *read)
{
  cache->read = read;
  cache->snapshot = db_read_snapshot(read);
}

// Versions ----------------------------------------------------------------------------------------

static VersionView *view_of(RowCache *cache, uint16_t view_id)
{
  VersionView *view = cache->views[view_id];
  if (!view) {
    view = cache->views[view_id] = mem_zalloc(1, sizeof(*view));
  }
  if (view->snapshot != cache->snapshot) {
    memset(view->pages, 0, sizeof(view->pages));
    view->snapshot = cache->snapshot;
  }
  return view;
}

// The counter of a place in the current snapshot; false when the store cannot tell.
static bool version_of(RowCache *cache, const VersionPlace *place, uint32_t *version)
{
  VersionView *view = view_of(cache, place->view_id);
  const uint8_t **page = &view->pages[place->page];
  Error ignored = {0};
  if (!*page && !versions_page(cache->read, place->view_id, place->page, page, &ignored)) {
    return false;
  }
  memcpy(version, *page + place->slot * sizeof(*version), sizeof(*version));
  return true;
}

// Whether an entry holds in the current snapshot, be it newer or older than the one it is from.
static bool is_good(RowCache *cache, Block *block, const VersionPlace *place)
{
  uint32_t version;
  if (block->snapshot == cache->snapshot) {
    return true;
  }
  uint64_t apart = cache->snapshot > block->snapshot ? cache->snapshot - block->snapshot
                                                     : block->snapshot - cache->snapshot;
  if (apart >= SNAPSHOTS_MOST || !version_of(cache, place, &version) || version != block->version) {
    return false;
  }
  block->snapshot = cache->snapshot;
  return true;
}

// Finding -----------------------------------------------------------------------------------------

__attribute__((always_inline)) static inline void prefetch_row(const Block *block)
{
  const char *at = (const char *)(block + 1);
  size_t lines = (block->row_size + block->key_size) / LINE;
  lines = lines < PREFETCH_LINES ? lines : PREFETCH_LINES;
  for (size_t line = 0; line <= lines; line++) {
    __builtin_prefetch(at + line * LINE, 0, 2);
  }
}

static Block *candidate_of(const RowCache *cache, uint64_t hash)
{
  const Set *set = set_of(cache, hash);
  int way = find_tag(set, hash);
  return way < 0 ? NULL : block_at(cache, set->places[way]);
}

static uint8_t *seen_of(const RowCache *cache, uint64_t hash)
{
  return &cache->seen[(hash & UINT32_MAX) * cache->seen_count >> 32];
}

// Traces ------------------------------------------------------------------------------------------
//
// A walk of the tree waits for memory mostly in its last page, one line after the other. Where the
// row of a key was found the last time it mostly still is: for all keys that were missed the page
// can be on its way before the first walk begins. A trace is a guess, so nothing keeps it right; a
// prefetch of any address does no harm.

static uint32_t *trace_of(const RowCache *cache, uint64_t hash)
{
  return &cache->traces[set_number(hash, cache->trace_count)];
}

// The line of LMDB's page that its search begins with, that of the node in front of the row, and
// those of the nodes that the search may touch before: the neighbours are mostly of the same size.
// Inlined, since GCC drops calls of functions that do nothing but prefetch.
__attribute__((always_inline)) static inline void follow_trace(const RowCache *cache, uint64_t hash)
{
  int32_t lines = (int32_t)*trace_of(cache, hash);
  const char *row = cache->trace_base + (ptrdiff_t)lines * LINE;
  const char *page = row - ((uintptr_t)row & (PAGE - 1));
  if (!lines) {
    return;
  }
  __builtin_prefetch(page);
  for (const char *line = row - LINE; line < page + PAGE; line += LINE) {
    __builtin_prefetch(line, 0, 2);
  }
}

static void leave_trace(RowCache *cache, uint64_t hash, Slice row)
{
  ptrdiff_t lines = (row.data - cache->trace_base) / LINE;
  if (!cache->trace_base || lines != (int32_t)lines) {
    cache->trace_base = row.data - LINE;
    lines = 1;
  }
  *trace_of(cache, hash) = (uint32_t)(int32_t)lines;
}

// Finding -----------------------------------------------------------------------------------------

static void answer_key(RowCache *cache, Slice key, Block *block, RowCacheAnswer *answer)
{
  if (!block || block->hash != answer->place.hash || !slice_equal(block_key(block), key)) {
    cache->stats.missed++;
    follow_trace(cache, answer->place.hash);
    __builtin_prefetch(seen_of(cache, answer->place.hash), 1);
    return;
  }
  if (!is_good(cache, block, &answer->place)) {
    cache->stats.missed++;
    cache->stats.stale++;
    return;
  }
  prefetch_row(block);
  if (!block->used) {
    block->used = 1;
  }
  answer->known = true;
  answer->row = block_row(block);
  cache->stats.found++;
}

void row_cache_find(RowCache *cache, const Slice *keys, size_t count, RowCacheAnswer *answers)
{
  Block *candidates[ROW_CACHE_BLOCK];
  assert(count <= ROW_CACHE_BLOCK);
  for (size_t i = 0; i < count; i++) {
    answers[i].known = false;
    if (keys[i].size) {
      answers[i].place = version_place(keys[i]);
      __builtin_prefetch(set_of(cache, answers[i].place.hash));
    }
  }
  for (size_t i = 0; i < count; i++) {
    candidates[i] = keys[i].size ? candidate_of(cache, answers[i].place.hash) : NULL;
    for (size_t line = 0; candidates[i] && line < FIRST_LINES; line++) {
      __builtin_prefetch((const char *)candidates[i] + line * LINE);
    }
  }
  for (size_t i = 0; i < count; i++) {
    if (keys[i].size) {
      answer_key(cache, keys[i], candidates[i], &answers[i]);
    }
  }
}

// Adding ------------------------------------------------------------------------------------------

void row_cache_add(RowCache *cache, Slice key, const VersionPlace *place, Slice row)
{
  if (row.size) {
    leave_trace(cache, place->hash, row);
  }
  uint64_t size = sizeof(Block) + key.size + row.size;
  if (cache->pending_count == ROW_CACHE_PENDING || key.size > UINT16_MAX
      || size > cache->capacity / ROW_CACHE_LARGEST_SHARE) {
    return;
  }
  cache->pending[cache->pending_count++] = (Pending){*place, cache->keys.size, key.size, row};
  buf_put_slice(&cache->keys, key);
}

// Takes the block at the edge: to the head when it was used and may stay, else it is forgotten.
static bool pass_edge(RowCache *cache, bool may_stay)
{
  Block *block = (Block *)(void *)(cache->area + cache->edge);
  Set *set = set_of(cache, block->hash);
  uint64_t size = (uint64_t)block->units * UNIT;
  int way = find_place(set, place_of(cache, block));
  bool stays = way >= 0 && block->used && may_stay;
  cache->edge += size;
  if (stays) {
    block->used = 0;
    Block *moved = memmove(cache->area + cache->head, block, size);
    set->places[way] = place_of(cache, moved);
    cache->head += size;
  } else {
    cache->stats.bytes -= size;
    if (way >= 0) {
      set->places[way] = 0;
      cache->stats.evicted++;
    }
  }
  return stays;
}

static Block *make_room(RowCache *cache, uint64_t size)
{
  size_t spared = 0;
  while (cache->edge - cache->head < size) {
    if (cache->edge < cache->old_end) {
      spared += pass_edge(cache, spared < SPARED_MOST);
    } else if (cache->edge < cache->capacity) {
      cache->edge = cache->capacity;  // nothing old is left up to the end
    } else {
      cache->old_end = cache->head;  // the next lap
      cache->head = 0;
      cache->edge = 0;
    }
  }
  Block *block = (Block *)(void *)(cache->area + cache->head);
  cache->head += size;
  cache->stats.bytes += size;
  return block;
}

// The way for a new entry: that of an older one of the key, a free one, or the oldest one's.
static int choose_way(const RowCache *cache, const Set *set, uint64_t hash)
{
  int chosen = find_tag(set, hash);
  if (chosen >= 0) {
    return chosen;
  }
  uint64_t oldest = 0;
  chosen = 0;
  for (int way = 0; way < WAYS; way++) {
    if (!set->places[way]) {
      return way;
    }
    uint64_t at = (uint64_t)(set->places[way] - 1) * UNIT;
    uint64_t age = cache->head > at ? cache->head - at : cache->head + cache->capacity - at;
    if (age > oldest) {
      oldest = age;
      chosen = way;
    }
  }
  return chosen;
}

// Finds the places of a stretch of blocks in the old index and puts them into the new one; what is
// in neither was forgotten.
static void move_entries(RowCache *cache, uint64_t from, uint64_t to, const Set *old,
                         size_t old_count)
{
  for (uint64_t at = from; at < to;) {
    const Block *block = (const Block *)(const void *)(cache->area + at);
    uint32_t place = place_of(cache, block);
    if (find_place(&old[set_number(block->hash, old_count)], place) >= 0) {
      Set *set = set_of(cache, block->hash);
      int way = choose_way(cache, set, block->hash);
      set->tags[way] = (uint32_t)block->hash;
      set->places[way] = place;
    }
    at += (uint64_t)block->units * UNIT;
  }
}

static void resize_index(RowCache *cache, size_t set_count)
{
  Set *old = cache->sets;
  size_t old_count = cache->set_count;
  cache->sets = pages_zalloc(set_count, sizeof(Set));
  cache->set_count = set_count;
  cache->added = 0;
  cache->displaced = 0;
  move_entries(cache, cache->edge, cache->old_end, old, old_count);
  move_entries(cache, 0, cache->head, old, old_count);
  pages_free(old, old_count, sizeof(Set));
}

// An index of twice as many places as there will be blocks, and no more: the smaller it is, the
// more of it stays near the processor. Its size follows from the first blocks; where later ones
// turn out smaller, it grows.
static void fit_index(RowCache *cache)
{
  size_t wanted = cache->set_count;
  if (cache->set_count == SETS_FIRST && cache->added == SAMPLE) {
    uint64_t mean = cache->stats.bytes / SAMPLE + 1;
    wanted = 2 * cache->capacity / mean / WAYS;
  } else if (cache->added > cache->set_count * WAYS) {
    wanted = cache->displaced > cache->added / DISPLACED_SHARE ? 2 * cache->set_count : wanted;
    cache->added = 0;
    cache->displaced = 0;
  }
  wanted = wanted < cache->set_most ? wanted : cache->set_most;
  if (wanted > cache->set_count) {
    resize_index(cache, wanted);
  }
}

// Whether the block of a key already holds this: a row that takes the place of another one is
// greater by its rank, which its header holds, so equal headers are the same row.
static bool holds(const Block *block, Slice row)
{
  return block->row_size == row.size
         && (row.size == 0 || memcmp(block_row(block).data, row.data, ROW_HEADER) == 0);
}

static void fill(Block *block, uint64_t size, const VersionPlace *place, Slice key, Slice row)
{
  *block = (Block){
      .hash = place->hash,
      .row_size = (uint32_t)row.size,
      .units = (uint32_t)(size / UNIT),
      .key_size = (uint16_t)key.size,
  };
  uint8_t *at = memcpy(block + 1, key.data, key.size);
  if (row.size) {
    memcpy(at + key.size, row.data, row.size);
  }
}

// Where every entry puts out one that is as good, as with keys that are all equally likely, copying
// rows in and out is in vain: while fewer keys are found than enter, fewer may enter.
static bool is_worth_it(RowCache *cache)
{
  bool enters = cache->wanted++ % (1u << cache->thrift) == 0;
  cache->entered += enters;
  if (cache->wanted == THRIFT_WINDOW) {
    uint64_t found = cache->stats.found - cache->found_before;
    if (found < cache->entered && cache->thrift < THRIFT_MOST) {
      cache->thrift++;
    } else if (found / 16 > cache->entered && cache->thrift) {
      cache->thrift--;
    }
    cache->wanted = cache->entered = 0;
    cache->found_before = cache->stats.found;
  }
  return enters;
}

// Whether a key may put out others: at once while there is room, then when it is missed for the
// second time within a while. So rows that are asked for once do not pass through.
static bool may_enter(RowCache *cache, uint64_t hash)
{
  uint8_t *seen = seen_of(cache, hash);
  uint8_t part = (uint8_t)(hash >> 32) | 1;
  bool again = *seen == part;
  *seen = part;
  return cache->old_end == 0 || (again && is_worth_it(cache));
}

static void enter(RowCache *cache, const Pending *pending, Slice key, uint32_t version)
{
  uint64_t hash = pending->place.hash;
  uint64_t size = sizeof(Block) + key.size + pending->row.size;
  size = (size + UNIT - 1) / UNIT * UNIT;
  Block *block = make_room(cache, size);
  fill(block, size, &pending->place, key, pending->row);
  block->version = version;
  block->snapshot = cache->snapshot;
  Set *set = set_of(cache, hash);
  int way = choose_way(cache, set, hash);
  cache->added++;
  bool displaces = set->places[way] && set->tags[way] != (uint32_t)hash;
  cache->displaced += displaces;
  cache->stats.evicted += displaces;
  set->tags[way] = (uint32_t)hash;
  set->places[way] = place_of(cache, block);
  fit_index(cache);
}

static void settle(RowCache *cache, const Pending *pending)
{
  uint32_t version;
  Slice key = slice_of(cache->keys.data + pending->key_at, pending->key_size);
  Block *block = candidate_of(cache, pending->place.hash);
  bool known = block && slice_equal(block_key(block), key);
  if ((!known && !may_enter(cache, pending->place.hash))
      || !version_of(cache, &pending->place, &version)) {
    return;
  }
  if (known && holds(block, pending->row)) {
    block->version = version;
    block->snapshot = cache->snapshot;
  } else {
    enter(cache, pending, key, version);
  }
}

void row_cache_end(RowCache *cache)
{
  for (size_t i = 0; i < cache->pending_count; i++) {
    settle(cache, &cache->pending[i]);
  }
  cache->pending_count = 0;
  buf_reset(&cache->keys);
  cache->read = NULL;
}
