#include "engine/online_demand.h"

#include <assert.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "data/unpack.h"
#include "engine/online_private.h"
#include "engine/push_value.h"

enum { KEPT_BYTES = 1 << 20 };  // of scratch, between requests

// Planning ----------------------------------------------------------------------------------------

static bool computes(const OnlinePlan *plan)
{
  for (size_t i = 0; i < plan->asked_count; i++) {
    if (plan->asked[i].on_demand) {
      return true;
    }
  }
  return false;
}

// Stored columns: those that were asked for, in their order, and then every input, even where it is
// there already, so that a row's inputs are slices of their own.
static void choose_columns(OnlinePlan *plan, OnlineDemand *demand)
{
  size_t most = plan->asked_count + demand->plan.stored.count;
  plan->columns = arena_zalloc(&plan->arena, most, sizeof(*plan->columns));
  plan->cuts = arena_zalloc(&plan->arena, most, sizeof(*plan->cuts));
  demand->columns = arena_zalloc(&plan->arena, plan->asked_count, sizeof(size_t));
  demand->stored = arena_zalloc(&plan->arena, plan->asked_count, sizeof(size_t));
  for (size_t i = 0; i < plan->asked_count; i++) {
    const Reference *asked = &plan->asked[i];
    if (asked->on_demand) {
      demand->columns[i] = on_demand_column(&demand->plan, asked);
      assert(demand->columns[i] < demand->plan.column_count);
    } else {
      demand->columns[i] = SIZE_MAX;
      demand->stored[i] = plan->column_count;
      plan->cuts[plan->column_count] = i && plan->asked[i - 1].on_demand;
      plan->columns[plan->column_count++] = *asked;
    }
  }
  demand->shown = plan->column_count;
  for (size_t i = 0; i < demand->plan.stored.count; i++) {
    plan->cuts[plan->column_count] = i == 0;
    plan->columns[plan->column_count++] = demand->plan.stored.items[i];
  }
}

static void list_request(OnlinePlan *plan, OnlineDemand *demand)
{
  size_t count = demand->plan.request_count;
  demand->request = arena_zalloc(&plan->arena, count, sizeof(*demand->request));
  demand->request_from = arena_zalloc(&plan->arena, count, sizeof(size_t));
  for (size_t i = 0; i < count; i++) {
    const Field *field = demand->plan.request[i];
    size_t place = 0;
    while (place < demand->request_count
           && strcmp(demand->request[place].name, field->column) != 0) {
      place++;
    }
    if (place == demand->request_count) {
      demand->request[demand->request_count++] = (OnlineKey){field->column, field->type};
    }
    demand->request_from[i] = place;
  }
}

OnlineDemand *online_demand_new(OnlinePlan *plan)
{
  if (!computes(plan)) {
    return NULL;
  }
  OnlineDemand *demand = arena_zalloc(&plan->arena, 1, sizeof(*demand));
  on_demand_plan_make(&demand->plan, plan->asked, plan->asked_count, &plan->arena);
  choose_columns(plan, demand);
  list_request(plan, demand);
  return demand;
}

// The span that answers look-ups in slice `place` of a row.
static const Span *span_at(const OnlinePlan *plan, size_t place)
{
  size_t i = 0;
  while (plan->spans[i].place != place) {
    i++;
    assert(i < plan->span_count);
  }
  return &plan->spans[i];
}

// Slices of a row stand in the order of the stored columns.
void online_demand_place(OnlinePlan *plan)
{
  OnlineDemand *demand = plan->demand;
  size_t place = 0;
  demand->pieces = arena_zalloc(&plan->arena, plan->asked_count, sizeof(OnlinePiece));
  for (size_t i = 0; i < plan->asked_count;) {
    bool computed = plan->asked[i].on_demand != NULL;
    OnlinePiece *piece = &demand->pieces[demand->piece_count++];
    *piece = (OnlinePiece){.computed = computed, .first = i, .span = place};
    while (i < plan->asked_count && (plan->asked[i].on_demand != NULL) == computed) {
      i++;
    }
    piece->count = i - piece->first;
    for (size_t done = 0; !computed && done < piece->count; place++) {
      done += span_at(plan, place)->count;
      assert(done <= piece->count);
    }
    piece->span_count = place - piece->span;
  }
  demand->inputs = arena_zalloc(&plan->arena, plan->span_count - place, sizeof(OnlineInput));
  for (; place < plan->span_count; place++) {
    const Span *span = span_at(plan, place);
    assert(span->column >= demand->shown);
    demand->inputs[demand->input_count++] =
        (OnlineInput){place, span->column - demand->shown, span->count};
  }
}

void online_demand_deinit(OnlineDemand *demand)
{
  if (demand) {
    buf_deinit(&demand->given);
    buf_deinit(&demand->values);
  }
}

bool online_plan_computes(const OnlinePlan *plan)
{
  return plan->demand != NULL;
}

bool online_plan_open(OnlinePlan *plan, Functions *functions, Error *err)
{
  if (!on_demand_open(&plan->demand->plan, functions, err)) {
    return false;
  }
  plan->demand->functions = functions;
  return true;
}

size_t online_plan_request(const OnlinePlan *plan, const OnlineKey **columns)
{
  *columns = plan->demand ? plan->demand->request : NULL;
  return plan->demand ? plan->demand->request_count : 0;
}

// Inputs ------------------------------------------------------------------------------------------

// The inputs in the slices of one row.
static bool read_row(const OnlineDemand *demand, const Slice *slices, size_t row, Unpack **unpacks,
                     Error *err)
{
  for (size_t i = 0; i < demand->input_count; i++) {
    const OnlineInput *input = &demand->inputs[i];
    const uint8_t *at = (const uint8_t *)slices[input->place].data;
    MpReader reader = {at, at + slices[input->place].size};
    for (size_t k = input->first; k < input->first + input->count; k++) {
      if (!unpack_value(unpacks[k], row, &reader)) {
        const Reference *from = &demand->plan.stored.items[k];
        return error_set(err, ERR_STORE,
                         "a stored value of %s:%s is not of its type: the store is damaged",
                         from->view->declared.name, from->feature->name);
      }
    }
  }
  return true;
}

// Stored values as columns.
static bool read_stored(OnlineDemand *demand, const OnlineResult *found, Arena *arena, Error *err)
{
  size_t count = demand->plan.stored.count;
  Unpack **unpacks = arena_alloc(arena, count * sizeof(Unpack *));
  for (size_t i = 0; i < count; i++) {
    unpacks[i] = unpack_new(demand->plan.stored.items[i].feature->type, found->rows, arena);
  }
  for (size_t row = 0; row < found->rows; row++) {
    if (!read_row(demand, found->slices + row * found->spans, row, unpacks, err)) {
      return false;
    }
  }
  for (size_t i = 0; i < count; i++) {
    demand->plan.columns[i] = unpack_column(unpacks[i]);
  }
  return true;
}

// One column of the request: first checked and written as rows have it, then read.
static bool check_given(OnlineDemand *demand, size_t column, const OnlineGiven *given, size_t rows,
                        Error *err)
{
  const Field *field = demand->plan.request[column];
  const MpReader *values = given->columns[demand->request_from[column]];
  for (size_t row = 0; row < rows; row++) {
    MpReader reader = values[row];
    Error wrong = {0};
    if (!push_value_put(&demand->given, field->type, &reader, &wrong)) {
      error_set(err, ERR_INVALID, "%s", wrong.message);
      return error_at(err, "request.%s[%zu]", field->column, row);
    }
  }
  return true;
}

static bool read_given(OnlineDemand *demand, const OnlineGiven *given, size_t rows, Arena *arena,
                       Error *err)
{
  OnDemandPlan *plan = &demand->plan;
  buf_reset(&demand->given);
  for (size_t i = 0; i < plan->request_count; i++) {
    if (!check_given(demand, i, given, rows, err)) {
      return false;
    }
  }
  MpReader reader = {demand->given.data, demand->given.data + demand->given.size};
  for (size_t i = 0; i < plan->request_count; i++) {
    Unpack *unpack = unpack_new(plan->request[i]->type, rows, arena);
    for (size_t row = 0; row < rows; row++) {
      bool ok = unpack_value(unpack, row, &reader);
      assert(ok);
      (void)ok;
    }
    plan->columns[on_demand_request_column(plan, i)] = unpack_column(unpack);
  }
  return true;
}

// The answer --------------------------------------------------------------------------------------

// Columns that were asked for, one after the other, as rows have them.
static void put_piece(OnlineDemand *demand, const OnlinePiece *piece, size_t row)
{
  for (size_t i = piece->first; i < piece->first + piece->count; i++) {
    row_put_value(&demand->values, &demand->plan.columns[demand->columns[i]], row);
  }
}

static size_t slices_per_row(const OnlineDemand *demand)
{
  size_t count = 0;
  for (size_t i = 0; i < demand->piece_count; i++) {
    count += demand->pieces[i].computed ? 1 : demand->pieces[i].span_count;
  }
  return count;
}

// Stored slices as they are, and between them what was computed. A slice of that is an offset until
// all is written, since the buffer moves.
static void join_slices(OnlineDemand *demand, const OnlineResult *found, OnlineResult *out,
                        Arena *arena)
{
  out->spans = slices_per_row(demand);
  Slice *slices = arena_alloc(arena, out->rows * out->spans * sizeof(*slices) + 1);
  size_t *starts = arena_alloc(arena, (out->rows * demand->piece_count + 1) * sizeof(*starts));
  size_t *start = starts;
  buf_reset(&demand->values);
  for (size_t row = 0; row < out->rows; row++) {
    for (size_t i = 0; i < demand->piece_count; i++) {
      if (demand->pieces[i].computed) {
        *start++ = demand->values.size;
        put_piece(demand, &demand->pieces[i], row);
      }
    }
  }
  *start = demand->values.size;
  start = starts;
  Slice *slice = slices;
  for (size_t row = 0; row < out->rows; row++) {
    for (size_t i = 0; i < demand->piece_count; i++) {
      const OnlinePiece *piece = &demand->pieces[i];
      if (piece->computed) {
        *slice++ = slice_of(demand->values.data + start[0], start[1] - start[0]);
        start++;
      }
      for (size_t k = 0; !piece->computed && k < piece->span_count; k++) {
        *slice++ = found->slices[row * found->spans + piece->span + k];
      }
    }
  }
  out->slices = slices;
}

static ValueStatus computed_status(const Column *column, size_t row)
{
  return column_has(column, row)      ? STATUS_PRESENT
         : column_failed(column, row) ? STATUS_ERROR
                                      : STATUS_NULL_VALUE;
}

static void join_details(const OnlinePlan *plan, const OnlineResult *found, OnlineResult *out,
                         Arena *arena)
{
  const OnlineDemand *demand = plan->demand;
  size_t count = plan->asked_count;
  uint8_t *statuses = arena_alloc(arena, out->rows * count + 1);
  Time *times = arena_alloc(arena, (out->rows * count + 1) * sizeof(*times));
  for (size_t row = 0; row < out->rows; row++) {
    for (size_t i = 0; i < count; i++) {
      size_t computed = demand->columns[i];
      size_t from = row * plan->column_count + demand->stored[i];
      size_t to = row * count + i;
      if (computed == SIZE_MAX) {
        statuses[to] = found->statuses[from];
        times[to] = found->event_times[from];
      } else {
        statuses[to] = (uint8_t)computed_status(&demand->plan.columns[computed], row);
        times[to] = TIME_NULL;
      }
    }
  }
  out->statuses = statuses;
  out->event_times = times;
}

static uint64_t failed_so_far(const OnDemandPlan *plan)
{
  uint64_t failed = 0;
  for (size_t i = 0; i < plan->step_count; i++) {
    failed += plan->steps[i].failed;
  }
  return failed;
}

static void shrink(Buf *buf)
{
  if (buf->capacity > KEPT_BYTES) {
    buf_deinit(buf);
  }
}

bool online_compute(const OnlinePlan *plan, const OnlineGiven *given, const OnlineResult *found,
                    OnlineResult *out, Arena *arena, Error *err)
{
  OnlineDemand *demand = plan->demand;
  assert(demand && demand->functions);
  shrink(&demand->given);
  shrink(&demand->values);
  uint64_t failed = failed_so_far(&demand->plan);
  if (!read_stored(demand, found, arena, err) || !read_given(demand, given, found->rows, arena, err)
      || !on_demand_run(&demand->plan, found->rows, 0, "the request", err)) {
    return false;
  }
  *out = *found;
  out->failed = failed_so_far(&demand->plan) - failed;
  join_slices(demand, found, out, arena);
  if (found->statuses) {
    join_details(plan, found, out, arena);
  }
  return true;
}
