#pragma once
// Offline to online, by contract rules 8 and 9.

#include "base/arena.h"
#include "engine/engine.h"

typedef struct {
  bool incremental;    // from each view's mark (the beginning when it has none) to `end`
  Time start;          // inclusive; not used when incremental
  Time end;            // exclusive
  const Slice *views;  // empty: all
  size_t view_count;
  bool reject;          // rows with bad values are left out, not an error
  const char *rejects;  // file to write those values to (engine/bad_rows.h); NULL: none
} MaterializeRequest;

typedef struct {
  const char *view;
  Time start;
  Time end;
  uint64_t read;
  uint64_t inside;  // rows of the interval, late ones included
  uint64_t late;
  uint64_t written;
  uint64_t stale;     // keys whose stored row was as new or newer
  uint64_t rejected;  // rows with a null key, no event time, or (when asked for) a bad value
  uint64_t filtered;  // rows that the view's filter left out
  uint64_t failed;    // rows among the newest whose transform failed and made nulls (ERROR)
  Time mark;          // where it stands now
  bool gap;           // the mark stayed: the interval does not touch what was materialized before
} MaterializedView;

typedef struct {
  MaterializedView *views;
  size_t view_count;
} MaterializeResult;

// View by view; a failure keeps what earlier views did.
bool engine_materialize(Engine *engine, const MaterializeRequest *request,
                        MaterializeResult *result, Arena *arena, Error *err);
