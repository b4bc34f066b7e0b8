#pragma once
// What a request for a training set means: the views to join, on which columns of the spine, and
// the columns to write.

#include "engine/history.h"
#include "engine/view_join.h"

// Where an output column comes from.
typedef struct {
  size_t join;
  size_t feature;  // in the join's list
} Origin;

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
  const char *time_column;  // of the spine

  SpineKeys *keys;  // tuples of spine columns, shared by the joins
  size_t key_count;
  ViewJoin *joins;
  size_t join_count;
  Origin *origins;  // per reference

  // Columns to write beside the spine's, in order: each reference's (and its status), then times.
  const char **names;
  Type *types;
  size_t column_count;
} HistoryPlan;

// All names are in `arena`, which outlives the plan as the request does.
bool history_plan_make(HistoryPlan *plan, Engine *engine, const HistoryRequest *request,
                       Arena *arena, Error *err);
void history_plan_deinit(HistoryPlan *plan);  // after a failure too
