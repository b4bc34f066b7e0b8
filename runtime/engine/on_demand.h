#pragma once
// On-demand views of one request or training set: what they need, in which order they are computed,
// and the computing, from columns of inputs to columns of features, level by level. Training and
// serving both do it here.

#include "base/arena.h"
#include "data/catalog.h"
#include "data/column.h"
#include "host/functions.h"

// One view to compute. Its inputs are columns of the plan, and so are its features.
typedef struct {
  const OnDemand *view;
  RowFunction *function;  // NULL until on_demand_open
  const size_t *places;   // per input of the function
  const Column **inputs;  // those columns, for the call
  size_t first;           // its features' columns, from here on
  uint64_t failed;        // rows so far that became nulls because the function failed
} OnDemandStep;

// One thread's. Columns stand in this order: stored features, what the request brings, and what
// each step makes.
typedef struct {
  ReferenceList stored;  // of feature views, without roles, each once
  const Field **request;
  size_t request_count;
  OnDemandStep *steps;
  size_t step_count;
  Column *columns;
  size_t column_count;
} OnDemandPlan;

// The on-demand views among `references` and all those that they need. Without any, everything is
// empty. All of it is in the arena.
void on_demand_plan_make(OnDemandPlan *plan, const Reference *references, size_t count,
                         Arena *arena);

// Compiles the steps' functions, which belong to the same catalog.
bool on_demand_open(OnDemandPlan *plan, Functions *functions, Error *err);

// The column of a feature that the plan computes, or of a stored one that it needs; SIZE_MAX for
// any other.
size_t on_demand_column(const OnDemandPlan *plan, const Reference *reference);

// The first step that wants a column of the request, for messages.
const OnDemand *on_demand_wants(const OnDemandPlan *plan, const Field *request);

// The first step that wants a feature of a stored view, for messages.
const OnDemand *on_demand_needs(const OnDemandPlan *plan, const View *view);

// The column of what the request brings.
static inline size_t on_demand_request_column(const OnDemandPlan *plan, size_t request)
{
  return plan->stored.count + request;
}

// Computes `rows` rows. The columns of stored features and of the request are filled; the others
// are from here on, until the next run. `first_row` and `rows_of` are for messages, as in RowInput.
bool on_demand_run(OnDemandPlan *plan, size_t rows, uint64_t first_row, const char *rows_of,
                   Error *err);
