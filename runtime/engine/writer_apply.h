#pragma once
// From the log into LMDB: sealed tables of the overlay, and what a crash left. Private to the
// writer.

#include "engine/engine.h"
#include "store/log.h"
#include "store/overlay.h"

// Puts the table's rows and commits `position` with the last of them. Rows of views that were
// dropped meanwhile are left out.
bool apply_table(Engine *engine, Db *db, DbRead *read, const OverlayTable *table,
                 LogPosition position, Error *err);

// Opens the log and applies what lies behind the position in LMDB.
Log *apply_log(Engine *engine, Db *db, Error *err);
