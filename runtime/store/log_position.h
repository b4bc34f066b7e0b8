#pragma once
// How far the log has been applied: committed in the transaction that puts the rows, so that a
// crash replays exactly what is missing.

#include <stdint.h>

#include "store/db.h"

typedef struct {
  uint64_t sequence;  // of the last record
  uint64_t segment;   // the first sequence of its segment; 0: at the very start
  uint64_t offset;    // in the segment, behind that record
} LogPosition;

// The start of the log when nothing was applied yet.
bool log_position_get(DbRead *read, LogPosition *position, Error *err);
bool log_position_put(DbWrite *write, LogPosition position, Error *err);
