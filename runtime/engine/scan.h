#pragma once
// One pass over a view's source: its keys and times, its features, or both, as plain arrays, on
// several threads. What history and materialize share; they differ in what they do with a block.
//
// The view's functions are applied on the way, so that features are features whatever made them.
// Rows that its filter leaves out come without an event time: they match nothing.

#include "base/arena.h"
#include "engine/engine.h"
#include "engine/function_pool.h"
#include "source/reader.h"

typedef enum {
  SCAN_RANKS = 1,     // keys, event times, created times, tombstones
  SCAN_FEATURES = 2,  // feature columns
} ScanParts;

typedef struct {
  size_t count;
  uint64_t first_row;         // of the source; rows count up, except where only wanted ones come
  const Column *keys;         // SCAN_RANKS: as many as the view has
  const Time *event_times;    // TIME_NULL where the file has none
  const Time *created_times;  // NULL when the source has no such column
  const uint8_t *deleted;     // NULL when the source has no such column; a null is 0
  const Column *features;     // SCAN_FEATURES: in the order they were asked for
} ScanBlock;

typedef struct {
  const View *view;
  Table table;  // of its source (engine/snapshot.h)
  int parts;
  const Field *const *features;  // SCAN_FEATURES: features of the view
  size_t feature_count;
  FunctionPool *functions;  // of the view's catalog
  const char *what;         // for progress: "<view>: <what>"
  unsigned threads;         // at most; 1 where the visitor needs every row in order
  ReaderFilter filter;      // its time_column is set by the scan (SCAN_RANKS). Wanted rows are such
                        // that an earlier pass let through: the view's filter is not asked again

  // Takes a block, which is gone when it returns. Calls with different `thread` numbers (below
  // `threads`) come at the same time.
  bool (*visit)(void *context, unsigned thread, const ScanBlock *block, Error *err);
  void *context;
} ScanRequest;

typedef struct {
  uint64_t rows;  // of the source, also those that were left out
  uint64_t bad;   // with filter.bad: rows that had bad values, or for which a function of the view
                  // failed; they come without an event time, so that they match nothing
  uint64_t filtered;  // left out by the view's filter
  uint64_t failed;    // features are null with `errors`, because the transform failed
} ScanCounts;

// Reads the source from front to back.
bool scan_run(Engine *engine, const ScanRequest *request, ScanCounts *counts, Error *err);
