#pragma once
// The tables behind the sources of one job. SQL runs once per job: it may give another order of
// rows the next time, and a join that reads a source twice tells rows by their position.

#include "base/arena.h"
#include "engine/engine.h"
#include "source/reader.h"

typedef struct {
  const Source *source;
  const char *path;  // temporary file
} Snapshot;

typedef struct {
  Snapshot *items;
  size_t count;
  size_t capacity;
  Arena arena;
} Snapshots;  // the zero value is empty

// What to read for a source. Valid until snapshots_deinit.
bool snapshots_table(Snapshots *snapshots, Engine *engine, const Source *source, Table *table,
                     Error *err);
void snapshots_deinit(Snapshots *snapshots);  // removes the files
