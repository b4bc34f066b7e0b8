#pragma once
// The on-demand part of an online request, private to engine/online_*.c: which stored features it
// needs beside those that were asked for, and how an answer is put together of both.

#include "engine/on_demand.h"
#include "engine/online_get.h"

// Consecutive columns of an answer that are all stored, or all computed.
typedef struct {
  bool computed;
  size_t first;  // the first of them among those that were asked for
  size_t count;
  size_t span;  // stored: the first slice of a row that holds them
  size_t span_count;
} OnlinePiece;

// A slice of a row whose values are inputs.
typedef struct {
  size_t place;  // among the row's slices
  size_t first;  // column of the on-demand plan; the others follow
  size_t count;
} OnlineInput;

typedef struct {
  OnDemandPlan plan;
  Functions *functions;  // that the steps are compiled in; NULL: not yet
  size_t *columns;       // per column that was asked for: that of the on-demand plan, or SIZE_MAX
  size_t *stored;        // or that of the stored ones
  size_t shown;          // stored columns that were asked for; the inputs stand behind them
  OnlineKey *request;    // what the request has to bring, each name once
  size_t request_count;
  size_t *request_from;  // per request column of the on-demand plan: its place in `request`
  OnlinePiece *pieces;
  size_t piece_count;
  OnlineInput *inputs;
  size_t input_count;
  Buf given;   // scratch: the request's values as rows have them
  Buf values;  // scratch: what was computed, row by row
} OnlineDemand;

// NULL when everything is stored. In the plan's arena; `plan->asked` is there. Fills plan->columns
// and plan->cuts.
OnlineDemand *online_demand_new(OnlinePlan *plan);

// Once the plan's spans are there.
void online_demand_place(OnlinePlan *plan);
void online_demand_deinit(OnlineDemand *demand);
