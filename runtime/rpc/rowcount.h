#pragma once
// Looks after the store while a server runs, on a thread of its own: counts the rows of each view,
// slowly, and frees the reader slots of processes that died.

#include "base/arena.h"
#include "engine/engine.h"

enum {
  ROWCOUNT_LOOK_MS = 1000,          // how often it looks whether there is something to do
  ROWCOUNT_PAGE = 256,              // rows per read transaction
  ROWCOUNT_REST = 9,                // it rests this many times as long as it counts
  ROWCOUNT_READERS_MS = 60 * 1000,  // how often dead readers are looked for
};

typedef struct {
  uint16_t view_id;
  uint64_t rows;
  uint64_t deleted;  // tombstones
} ViewRows;

typedef struct RowCount RowCount;

RowCount *rowcount_start(Engine *engine, Error *err);
void rowcount_stop(RowCount *count);  // NULL is allowed

// The last complete count, copied to the arena. *counted_at: the wall clock then, TIME_NULL before
// the first one. Any thread.
const ViewRows *rowcount_get(RowCount *count, size_t *views, Time *counted_at, Arena *arena);
