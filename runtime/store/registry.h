#pragma once
// What was applied: one record per generation, newest wins. A record holds the catalog as it was
// decoded (data/catalog.h) and the definitions' source text, so that a server runs what was applied
// and not what lies on disk.

#include "base/arena.h"
#include "base/clock.h"
#include "store/db.h"

typedef struct {
  uint64_t generation;  // 1 for the first apply
  Time applied_at;
  Slice catalog;  // msgpack, format of data/catalog.h
  Slice sources;  // msgpack map: path → text of every definition file
  Slice changes;  // msgpack list: what this apply changed
} Generation;

// Number of the current generation; 0 when nothing was applied.
bool registry_generation(DbRead *read, uint64_t *generation, Error *err);

// The record of `generation` (0: the current one), copied to the arena. *found is false when there
// is none.
bool registry_get(DbRead *read, uint64_t generation, Generation *out, bool *found, Arena *arena,
                  Error *err);

// Appends a generation: must be one more than the current one, as read in the same transaction;
// ERR_CONFLICT when someone else applied meanwhile.
bool registry_put(DbWrite *write, const Generation *generation, Error *err);

// Views whose online rows still have to be deleted. Ids are added by the apply that drops the view,
// in its transaction, and removed when registry_sweep has deleted the last row.
bool registry_add_dropped(DbWrite *write, uint16_t view_id, Error *err);

// Deletes up to `limit` rows of dropped views, and their marks; *done when nothing is left.
bool registry_sweep(DbWrite *write, size_t limit, uint64_t *deleted, bool *done, Error *err);
