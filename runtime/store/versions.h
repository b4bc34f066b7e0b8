#pragma once
// How often rows have changed, kept in the store with the rows: what was read in one snapshot is
// still so in another one if its counter is the same in both, whoever has committed in between.
//
// Keys of a view are spread over VERSION_PAGES * VERSION_SLOTS counters by a hash. A transaction
// that puts or deletes rows counts the counters of their keys up by one, once each, when it
// commits. Table `versions`: view id (u16, big-endian), page (u8) → VERSION_SLOTS of u32,
// little-endian; a page that is not there is all zeros. A page with its header fills one page of
// LMDB, so a transaction of a few rows writes a few pages more, and one of very many at most half a
// megabyte.

#include "store/db.h"

enum {
  VERSION_PAGES = 128,
  VERSION_SLOTS = 1020,
};

typedef struct {
  uint64_t hash;  // of the key
  uint16_t view_id;
  uint8_t page;
  uint16_t slot;
} VersionPlace;

// The place of a key with its view id in front, in its stored form or whole. Part of the format of
// the store: programs that share one have to agree.
VersionPlace version_place(Slice key);

// A row of `key` is put or deleted by this transaction.
void versions_touch(DbWrite *write, Slice key);

// Writes what was touched; before the commit.
bool versions_flush(DbWrite *write, Error *err);
void versions_forget(DbWrite *write);

// The counters of a page as of the read's snapshot, in the map: valid until the read ends.
bool versions_page(DbRead *read, uint16_t view_id, uint8_t page, const uint8_t **counters,
                   Error *err);

// No row of the view is left, and its id is never used again.
bool versions_drop_view(DbWrite *write, uint16_t view_id, Error *err);
