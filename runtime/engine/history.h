#pragma once
// The training set: features as they were at each spine row's time.

#include "base/arena.h"
#include "engine/engine.h"

typedef struct {
  const char *spine;      // file
  const char *output;     // file, by extension
  const Slice *features;  // references; empty with service
  size_t feature_count;
  const char *service;    // NULL with features
  const char *timestamp;  // the spine's time column; NULL: "event_timestamp"
  TimeUnit time_unit;     // where that column is an integer
  const RoleKey *maps;    // { role or view, key, spine column }
  size_t map_count;
  Time as_of_created;       // TIME_NULL: everything that is there now
  bool full_feature_names;  // view__feature always
  bool statuses;            // a column <name>__status after each feature
  bool event_timestamps;    // columns <view or role>__event_timestamp after the features
  bool reject;              // rows of sources with bad values are left out, not an error
  const char *rejects;      // file to write those values to (engine/bad_rows.h); NULL: none
} HistoryRequest;

typedef struct {
  const char *view;  // or "role (view)"
  uint64_t read;     // feature rows read
  uint64_t present;  // spine rows that found one
  uint64_t missing;  // found none, or (without statuses) only one that is too old
  uint64_t expired;  // with statuses: found only one that is too old
  uint64_t deleted;
  uint64_t rejected;  // feature rows left out for their values, or because a function failed
  uint64_t failed;    // of `present`: the transform failed and made nulls (ERROR)
} HistoryView;

typedef struct {
  const char *view;
  uint64_t failed;  // rows whose function failed, with on_error = 'null'
} HistoryOnDemand;

typedef struct {
  uint64_t rows;
  size_t columns;
  uint64_t parts;         // that the spine was taken in to stay under the memory limit
  uint64_t memory_limit;  // that was
  HistoryView *views;
  size_t view_count;
  HistoryOnDemand *on_demands;  // those that were computed, chained ones too
  size_t on_demand_count;
} HistoryResult;

bool engine_get_historical_features(Engine *engine, const HistoryRequest *request,
                                    HistoryResult *result, Arena *arena, Error *err);
