#include "engine/on_demand.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Planning ----------------------------------------------------------------------------------------

typedef struct {
  OnDemandPlan *plan;
  size_t capacity;  // of steps
  Arena *arena;
} Planning;

static bool has_step(const OnDemandPlan *plan, const OnDemand *view)
{
  for (size_t i = 0; i < plan->step_count; i++) {
    if (plan->steps[i].view == view) {
      return true;
    }
  }
  return false;
}

static void add_step(Planning *planning, const OnDemand *view)
{
  OnDemandPlan *plan = planning->plan;
  if (has_step(plan, view)) {
    return;
  }
  if (plan->step_count == planning->capacity) {
    planning->capacity = planning->capacity ? planning->capacity * 2 : 8;
    OnDemandStep *steps = arena_zalloc(planning->arena, planning->capacity, sizeof(*steps));
    for (size_t i = 0; i < plan->step_count; i++) {
      steps[i] = plan->steps[i];
    }
    plan->steps = steps;
  }
  plan->steps[plan->step_count++] = (OnDemandStep){.view = view};
}

static void add_steps(Planning *planning, const Reference *references, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    if (references[i].on_demand) {
      add_step(planning, references[i].on_demand);
    }
  }
}

static int compare_steps(const void *a, const void *b)
{
  const OnDemand *left = ((const OnDemandStep *)a)->view;
  const OnDemand *right = ((const OnDemandStep *)b)->view;
  if (left->level != right->level) {
    return left->level < right->level ? -1 : 1;
  }
  return strcmp(left->declared.name, right->declared.name);
}

static size_t find_stored(const OnDemandPlan *plan, const Field *feature)
{
  size_t place = 0;
  while (place < plan->stored.count && plan->stored.items[place].feature != feature) {
    place++;
  }
  return place;
}

// A name that two views give different types is two columns.
static size_t find_request(const OnDemandPlan *plan, const Field *field)
{
  size_t place = 0;
  while (place < plan->request_count
         && (strcmp(plan->request[place]->column, field->column) != 0
             || !type_equal(plan->request[place]->type, field->type))) {
    place++;
  }
  return place;
}

// What the steps need that no step makes.
static void collect_needs(OnDemandPlan *plan, Arena *arena)
{
  size_t most = 0;
  for (size_t i = 0; i < plan->step_count; i++) {
    most += plan->steps[i].view->transform.input_count;
  }
  plan->stored.items = arena_zalloc(arena, most, sizeof(Reference));
  plan->stored.capacity = most;
  plan->request = arena_zalloc(arena, most, sizeof(*plan->request));
  for (size_t i = 0; i < plan->step_count; i++) {
    const OnDemand *view = plan->steps[i].view;
    for (size_t k = 0; k < view->reference_count; k++) {
      const Reference *reference = &view->references[k];
      if (reference->view && find_stored(plan, reference->feature) == plan->stored.count) {
        plan->stored.items[plan->stored.count++] = *reference;
      }
    }
    for (size_t k = view->reference_count; k < view->transform.input_count; k++) {
      const Field *field = &view->transform.inputs[k];
      if (find_request(plan, field) == plan->request_count) {
        plan->request[plan->request_count++] = field;
      }
    }
  }
}

static void place_columns(OnDemandPlan *plan, Arena *arena)
{
  size_t place = plan->stored.count + plan->request_count;
  for (size_t i = 0; i < plan->step_count; i++) {
    plan->steps[i].first = place;
    place += plan->steps[i].view->feature_count;
  }
  plan->column_count = place;
  plan->columns = arena_zalloc(arena, place, sizeof(*plan->columns));
  for (size_t i = 0; i < plan->step_count; i++) {
    OnDemandStep *step = &plan->steps[i];
    const OnDemand *view = step->view;
    size_t count = view->transform.input_count;
    size_t *places = arena_zalloc(arena, count, sizeof(*places));
    step->inputs = arena_zalloc(arena, count, sizeof(const Column *));
    for (size_t k = 0; k < count; k++) {
      const Field *field = &view->transform.inputs[k];
      places[k] = k < view->reference_count
                      ? on_demand_column(plan, &view->references[k])
                      : on_demand_request_column(plan, find_request(plan, field));
      assert(places[k] < (k < view->reference_count ? step->first : plan->steps[0].first));
      step->inputs[k] = &plan->columns[places[k]];
    }
    step->places = places;
  }
}

void on_demand_plan_make(OnDemandPlan *plan, const Reference *references, size_t count,
                         Arena *arena)
{
  *plan = (OnDemandPlan){0};
  Planning planning = {.plan = plan, .arena = arena};
  add_steps(&planning, references, count);
  for (size_t i = 0; i < plan->step_count; i++) {
    const OnDemand *view = plan->steps[i].view;
    add_steps(&planning, view->references, view->reference_count);
  }
  if (plan->step_count) {
    qsort(plan->steps, plan->step_count, sizeof(*plan->steps), compare_steps);
    collect_needs(plan, arena);
    place_columns(plan, arena);
  }
}

bool on_demand_open(OnDemandPlan *plan, Functions *functions, Error *err)
{
  for (size_t i = 0; i < plan->step_count; i++) {
    OnDemandStep *step = &plan->steps[i];
    step->function = functions_on_demand(functions, step->view, err);
    if (!step->function) {
      return false;
    }
  }
  return true;
}

size_t on_demand_column(const OnDemandPlan *plan, const Reference *reference)
{
  if (reference->view) {
    size_t stored = *reference->role ? plan->stored.count : find_stored(plan, reference->feature);
    return stored < plan->stored.count ? stored : SIZE_MAX;
  }
  for (size_t i = 0; i < plan->step_count; i++) {
    if (plan->steps[i].view == reference->on_demand) {
      return plan->steps[i].first + (size_t)(reference->feature - reference->on_demand->features);
    }
  }
  return SIZE_MAX;
}

const OnDemand *on_demand_wants(const OnDemandPlan *plan, const Field *request)
{
  size_t place = on_demand_request_column(plan, find_request(plan, request));
  for (size_t i = 0; i < plan->step_count; i++) {
    const OnDemandStep *step = &plan->steps[i];
    for (size_t k = step->view->reference_count; k < step->view->transform.input_count; k++) {
      if (step->places[k] == place) {
        return step->view;
      }
    }
  }
  return NULL;
}

const OnDemand *on_demand_needs(const OnDemandPlan *plan, const View *view)
{
  for (size_t i = 0; i < plan->step_count; i++) {
    const OnDemand *step = plan->steps[i].view;
    for (size_t k = 0; k < step->reference_count; k++) {
      if (step->references[k].view == view) {
        return step;
      }
    }
  }
  return NULL;
}

// Computing ---------------------------------------------------------------------------------------

// A row that failed, of a view that says null on_error.
static bool go_on(void *context, size_t row, const char *message)
{
  (void)context;
  (void)row;
  (void)message;
  return true;
}

bool on_demand_run(OnDemandPlan *plan, size_t rows, uint64_t first_row, const char *rows_of,
                   Error *err)
{
  for (size_t i = 0; i < plan->step_count; i++) {
    OnDemandStep *step = &plan->steps[i];
    RowInput input = {
        .count = rows,
        .inputs = step->inputs,
        .first_row = first_row,
        .rows_of = rows_of,
        .failed = step->view->transform.null_on_error ? go_on : NULL,
    };
    RowOutput output;
    if (!functions_run(step->function, &input, &output, err)) {
      return false;
    }
    step->failed += output.failed;
    for (size_t feature = 0; feature < step->view->feature_count; feature++) {
      plan->columns[step->first + feature] = output.columns[feature];
    }
  }
  return true;
}
