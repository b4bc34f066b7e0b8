#pragma once
// Rows in memory in front of LMDB, because a walk of its tree is a handful of misses of the
// processor's caches: one reader's, so one thread's, without locks. Keys that have no row are kept
// as well. What comes out is what the reader's snapshot holds, whoever has committed since it went
// in: each entry knows the counter of its key (versions.h) and the last snapshot it was good in.
//
//   index: sets of 8 (part of the hash, place)       area: blocks of header, key and row
//
//             edge           old_end                 A ring that is written at `head`. Blocks from
//        head  v                v                    `edge` to `old_end` are of the lap before, the
//   +-----v-------------------------------+          oldest first. To make room the edge moves on:
//   | new | free | old, oldest first |    |          a block that was used since the last lap moves
//   +-------------------------------------+          down to the head, any other is forgotten.
//
// Nothing moves and nothing is forgotten while a read is begun, so rows found in it stay where they
// are until it ends. What it had to look for in LMDB goes in when it ends, straight from the map.

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "store/versions.h"

typedef struct RowCache RowCache;

enum {
  ROW_CACHE_BLOCK = 32,          // keys of one row_cache_find
  ROW_CACHE_PENDING = 4096,      // rows that one read can add
  ROW_CACHE_LEAST = 1 << 20,     // bytes; less becomes this
  ROW_CACHE_LARGEST_SHARE = 16,  // a row of more than this part of the bytes is not kept
};

RowCache *row_cache_new(uint64_t bytes);
void row_cache_free(RowCache *cache);  // NULL is allowed

void row_cache_begin(RowCache *cache, DbRead *read);
void row_cache_end(RowCache *cache);  // while the read's map is still there

typedef struct {
  VersionPlace place;
  bool known;
  Slice row;  // known: its bytes, none when the key has no row
} RowCacheAnswer;

// Up to ROW_CACHE_BLOCK keys; empty ones are not known.
void row_cache_find(RowCache *cache, const Slice *keys, size_t count, RowCacheAnswer *answers);

// What LMDB said about a key that was not known: a row in the map, or no bytes for none.
void row_cache_add(RowCache *cache, Slice key, const VersionPlace *place, Slice row);

typedef struct {
  uint64_t found;    // keys that were known
  uint64_t missed;   // that were not
  uint64_t stale;    // of the missed: known, but changed since or not provably unchanged
  uint64_t evicted;  // keys that were forgotten to make room
  uint64_t bytes;    // of blocks that are in use
  uint64_t capacity;
} RowCacheStats;

// Of a reader's cache; only its thread may ask. All zero without one.
RowCacheStats db_read_cache_stats(const DbRead *read);
