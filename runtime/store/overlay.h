#pragma once
// Rows that are in the log and not in LMDB yet, in memory: the newest row of each key. One thread
// puts rows, any thread reads, and no reader ever waits.
//
// Rows live in tables. The active one is a hash table that only grows: a row is put in front of the
// older ones of its key, and nothing that is there ever changes. A reader pins the tables there are
// and the last sequence that is published, and sees the first row of a key up to that sequence: so
// everything it reads is of one moment. A table that is large or old is sealed, applied to LMDB by
// another thread, and dropped. Its memory goes with the last reader that has it pinned.
//
// No row that was published is ever missed, by the order of things:
//   a row is published here before it is acknowledged, and its table is dropped only after the
//   commit that puts it (or a greater row) into LMDB;
//   a reader pins first and begins its LMDB transaction after that. A row that the pin does not
//   hold any more was committed before the pin, hence before the transaction began.

#include <stdint.h>

#include "base/slice.h"

typedef struct Overlay Overlay;
typedef struct OverlayTable OverlayTable;

enum {
  OVERLAY_TABLE_BYTES = 32 << 20,  // of keys and rows: such a table is full
  OVERLAY_TABLE_ROWS = 1 << 18,    // as many rows make it full too
};

Overlay *overlay_new(void);
void overlay_free(Overlay *overlay);  // nothing is pinned any more; NULL is allowed

// The thread that puts
// -----------------------------------------------------------------------------

// A row that is greater than every row of its key so far; the bytes are copied. Readers see it once
// its sequence is published.
void overlay_put(Overlay *overlay, Slice key, Slice row, uint64_t sequence);

// The newest row of a key in the active table, published or not.
bool overlay_active_row(const Overlay *overlay, Slice key, Slice *row);

// Forgets what was put since the last publication, all but the first `keep` rows.
void overlay_undo(Overlay *overlay, size_t keep);
size_t overlay_unpublished(const Overlay *overlay);  // how many rows that are
void overlay_publish(Overlay *overlay, uint64_t sequence);

size_t overlay_active_rows(const Overlay *overlay);  // put, not distinct
bool overlay_active_full(const Overlay *overlay);

// Takes the active table, published as a whole, for applying; NULL when it is empty. It stays
// visible until it is dropped.
OverlayTable *overlay_seal(Overlay *overlay);

// Any thread
// ---------------------------------------------------------------------------------------

typedef struct {
  Slice key;
  Slice row;
} OverlayRow;

// The newest row of each key of some sealed tables, oldest table first, in key order; the caller
// frees the array. Slices live as long as the tables.
size_t overlay_tables_rows(OverlayTable *const *tables, size_t table_count, OverlayRow **rows);

// Its rows were committed: makes it invisible to those who pin from now on.
void overlay_drop(Overlay *overlay, OverlayTable *table);

// Memory of dropped tables is kept for the next ones until somebody says that it is not needed.
bool overlay_has_spare(Overlay *overlay);
void overlay_drop_spare(Overlay *overlay);

typedef struct OverlayTables OverlayTables;

typedef struct {
  OverlayTables *tables;  // NULL: there were no rows
  uint64_t visible;       // the last published sequence
} OverlayPin;

// Pin before the LMDB transaction begins. With no rows it costs one atomic load.
OverlayPin overlay_pin(Overlay *overlay);
void overlay_unpin(OverlayPin *pin);

enum { OVERLAY_BLOCK = 32 };  // keys that are looked for at one time

typedef struct {
  Slice row;  // empty: none; valid until it is unpinned
  uint64_t sequence;
} OverlayFound;

// The newest rows of at most OVERLAY_BLOCK keys; there is none of an empty key.
void overlay_find(const OverlayPin *pin, const Slice *keys, size_t count, OverlayFound *found);
