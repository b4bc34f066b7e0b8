#pragma once
// What a request for a training set means: the views to join, on which columns of the spine, the
// on-demand views to compute, and the columns to write.

#include "engine/history.h"
#include "engine/on_demand.h"
#include "engine/view_join.h"

// Where a column comes from.
typedef struct {
  size_t join;      // ORIGIN_NONE: no join, but an on-demand view
  size_t feature;   // in the join's list
  size_t computed;  // column of HistoryPlan.on_demand; ORIGIN_NONE where that knows nothing of it
} Origin;

#define ORIGIN_NONE SIZE_MAX

typedef struct {
  Engine *engine;
  const HistoryRequest *request;
  Arena *arena;  // lives as long as the plan
  Catalog *catalog;
  ReferenceList references;
  const RoleKey *roles;
  size_t role_count;
  TableColumn *spine_columns;
  size_t spine_column_count;
  bool assumed;             // the spine's file does not say that it has them
  const char *time_column;  // of the spine

  SpineKeys *keys;  // tuples of spine columns, shared by the joins
  size_t key_count;
  ViewJoin *joins;
  size_t join_count;
  size_t shown_joins;  // the first ones; the others are there for on-demand views only
  Origin *origins;     // per reference

  OnDemandPlan on_demand;
  Origin *inputs;  // per stored feature that on-demand views need

  // Columns to write beside the spine's, in order: each reference's (and its status), then times.
  const char **names;
  Type *types;
  size_t column_count;
} HistoryPlan;

// All names are in `arena`, which outlives the plan as the request does.
bool history_plan_make(HistoryPlan *plan, Engine *engine, const HistoryRequest *request,
                       Arena *arena, Error *err);
void history_plan_deinit(HistoryPlan *plan);  // after a failure too
