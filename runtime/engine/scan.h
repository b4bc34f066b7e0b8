#pragma once
// One pass over a view's source: its keys and times, its features, or both, as plain arrays. What
// history and materialize share; they differ in what they do with a block.

#include "base/arena.h"
#include "engine/engine.h"
#include "source/reader.h"

typedef struct Scan Scan;

typedef enum {
  SCAN_RANKS = 1,     // keys, event times, created times, tombstones
  SCAN_FEATURES = 2,  // feature columns
} ScanParts;

typedef struct {
  size_t count;  // rows; 0 at the end
  uint64_t first_row;
  const Column *keys;         // SCAN_RANKS: as many as the view has
  const Time *event_times;    // TIME_NULL where the file has none
  const Time *created_times;  // NULL when the source has no such column
  const uint8_t *deleted;     // NULL when the source has no such column; a null is 0
  const Column *features;     // SCAN_FEATURES: in the order they were asked for
} ScanBlock;

// `features` (used with SCAN_FEATURES) are features of the view. They must outlive the scan.
Scan *scan_open(Engine *engine, const View *view, int parts, const Field *const *features,
                size_t feature_count, Error *err);
// The next rows, valid until the next call; also reports progress as "<view>: <what>".
bool scan_next(Scan *scan, const char *what, ScanBlock *block, Error *err);
void scan_close(Scan *scan);  // NULL is allowed

// The source of a view as a table.
Table scan_table(const View *view);
