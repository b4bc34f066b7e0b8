#pragma once
// What a view makes of some rows, before anything is applied: inputs and outputs side by side, with
// the rows that are left out and the failures in their places. The functions run as they do in
// every job (host/functions.h).

#include "base/arena.h"
#include "engine/engine.h"
#include "host/functions.h"

typedef struct {
  const Catalog *catalog;  // what the definitions declare (engine/declared.h)
  Functions *functions;    // of that catalog; NULL where it has none
  Slice view;              // of either kind
  const char *rows;        // file with the rows; NULL: the view's source
  const char *rows_name;   // for messages; NULL: what the path says
  size_t limit;            // rows wanted
  bool failed_only;        // only rows that failed: the search goes on until there are enough
} TryRequest;

typedef enum {
  TRY_KEPT,
  TRY_FILTERED,
  TRY_FAILED,   // its features are null
  TRY_DELETED,  // a tombstone: functions do not see it
} TryOutcome;

const char *try_outcome_name(TryOutcome outcome);  // "kept", "filtered", ...

typedef struct {
  uint64_t number;  // of the rows, from 1
  TryOutcome outcome;
  const char *message;  // of a row that failed; NULL otherwise
  const Slice *inputs;  // msgpack as data/row.h writes values
  const Slice *features;
} TryRow;

typedef struct {
  const char *view;
  const char *rows_of;   // `source "driver_stats"`, or the file
  const Field **inputs;  // what is shown of a row: its keys, its time, and what the functions get
  size_t input_count;
  const Field *features;
  size_t feature_count;
  TryRow *rows;
  size_t row_count;
  uint64_t seen;  // rows that were looked at
  uint64_t filtered;
  uint64_t failed;
  uint64_t deleted;
  const char *absent;  // names of stored features that the file has no columns for; NULL: none
  bool computed;       // functions ran
  const char *note;    // why they are slower than they could be; NULL: nothing to say
  uint64_t run_ns;     // that the functions took for `run_rows` rows, compiling not included
  uint64_t run_rows;
} TryResult;  // in the arena

bool engine_try(Engine *engine, const TryRequest *request, TryResult *result, Arena *arena,
                Error *err);

// A view of either kind by its name; the other one is NULL. The error has a suggestion.
bool try_find_view(const Catalog *catalog, Slice name, const View **view,
                   const OnDemand **on_demand, Error *err);
