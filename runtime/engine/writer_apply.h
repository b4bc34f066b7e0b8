#pragma once
// From the log into LMDB: sealed tables of the overlay, and what a crash left. Private to the
// writer.

#include "engine/writer.h"
#include "store/log.h"
#include "store/overlay.h"

// Snapshots that commits made, in a row: nobody else has committed between two of them.
typedef struct {
  uint64_t first;
  uint64_t last;
  bool broken;  // somebody has, or it is not known
} Commits;

// Sealed tables, oldest first, and where the log stood when the last one was sealed.
typedef struct {
  OverlayTable *items[WRITER_TABLES];
  size_t count;
  LogPosition end;
} ApplyTables;

// Puts the newest row of each key and commits the position with the last of them. Rows of views
// that were dropped meanwhile are left out. Every commit is added to `commits`, whether it succeeds
// or not.
bool apply_tables(Engine *engine, Db *db, DbRead *read, const ApplyTables *tables, Commits *commits,
                  Error *err);

// Opens the log and applies what lies behind the position in LMDB.
Log *apply_log(Engine *engine, Db *db, Error *err);
