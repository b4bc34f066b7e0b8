#pragma once
// Online rows: the newest row of each entity of each view. Keys as data/key.h encodes them (with
// the view id in front), values as data/row.h does.

#include "data/row.h"
#include "store/db.h"

typedef enum {
  ONLINE_WRITTEN,  // there was none, or it was older
  ONLINE_STALE,    // the stored row is the same age or newer by contract rule 3
} OnlineOutcome;

// Puts `row` (whose rank is `rank`) unless the stored row is as great or greater. `key` is the
// whole key with its view id; a key that does not fit LMDB (key_store_form cuts it) must be carried
// by the row, without its view id (ROW_HAS_KEY). Fastest in key order.
bool online_put(DbWrite *write, Slice key, Slice row, RowRank rank, OnlineOutcome *outcome,
                Error *err);

// The same for the winner of a source that was read just now. It also replaces a row of the same
// event and created time that an earlier reading put, where the two differ: the source's files or
// the view's features have changed since, and training sets show what they say now.
bool online_load(DbWrite *write, Slice key, Slice row, RowRank rank, OnlineOutcome *outcome,
                 Error *err);

// The newest row of a key, stored or on its way there (overlay.h); slices die with the read. *found
// is false when there is none; a tombstone is found.
bool online_get(DbRead *read, Slice key, RowView *row, bool *found, Error *err);

enum { ONLINE_BLOCK = 32 };  // keys that are looked up before the first row is touched

// The same for many keys; an empty key finds nothing. Blocks of ONLINE_BLOCK are best.
bool online_get_many(DbRead *read, const Slice *keys, size_t count, RowView *rows, bool *found,
                     Error *err);

// The same for whoever knows that the tables hold nothing greater than rows on their way there from
// the sequence `settled` on: where there is such a row, the tables are not looked into.
bool online_get_settled(DbRead *read, const Slice *keys, size_t count, uint64_t settled,
                        RowView *rows, bool *found, Error *err);

typedef struct {
  Slice key;  // whole key without the view id
  RowView row;
} OnlineEntry;

// Visits the stored rows of a view (not those on their way there) in key order, starting after
// `after` (empty: from the first), until `visit` returns false. Pages of a few thousand rows per
// read keep the snapshot short.
bool online_scan(DbRead *read, uint16_t view_id, Slice after,
                 bool (*visit)(void *context, const OnlineEntry *entry), void *context, Error *err);
