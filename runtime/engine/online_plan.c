// Requests for online features, resolved against a catalog.

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/naming.h"
#include "engine/online_private.h"

enum { NIL_BYTE = 0xc0 };

static void copy_references(OnlinePlan *plan, const Reference *features, size_t count)
{
  plan->asked = arena_zalloc(&plan->arena, count, sizeof(*plan->asked));
  plan->asked_count = count;
  for (size_t i = 0; i < count; i++) {
    plan->asked[i] = features[i];
    plan->asked[i].role = arena_text(&plan->arena, slice_text(features[i].role));
  }
  plan->demand = online_demand_new(plan);
  if (!plan->demand) {
    plan->columns = plan->asked;
    plan->column_count = count;
  }
}

// Whether `role` renames a key of the view of `column`.
static bool renames(const RoleKey *role, const Reference *column)
{
  if (strcmp(role->role, naming_prefix(column)) != 0) {
    return false;
  }
  for (size_t i = 0; i < column->view->key_count; i++) {
    if (strcmp(role->key, column->view->keys[i].name) == 0) {
      return true;
    }
  }
  return false;
}

// A renaming that fits no requested view is a mistake of the caller.
static bool check_roles(const OnlinePlan *plan, const RoleKey *roles, size_t role_count, Error *err)
{
  for (size_t i = 0; i < role_count; i++) {
    size_t column = 0;
    while (column < plan->column_count && !renames(&roles[i], &plan->columns[column])) {
      column++;
    }
    if (column == plan->column_count) {
      return error_set(err, ERR_INVALID,
                       "roles: %s.%s = %s is not the key of a requested view or role",
                       roles[i].role, roles[i].key, roles[i].column);
    }
  }
  return true;
}

// The plan's number for a key column; new ones join the list.
static bool add_key(OnlinePlan *plan, const char *name, Type type, size_t *number, Error *err)
{
  for (size_t i = 0; i < plan->key_count; i++) {
    if (strcmp(plan->keys[i].name, name) == 0) {
      char first[TYPE_TEXT_SIZE];
      char second[TYPE_TEXT_SIZE];
      *number = i;
      return type_equal(plan->keys[i].type, type)
             || error_set(err, ERR_INVALID,
                          "the key column \"%s\" is %s for one view and %s for another: give one "
                          "of them another column with roles",
                          name, type_print(plan->keys[i].type, first), type_print(type, second));
    }
  }
  *number = plan->key_count++;
  plan->keys[*number] = (OnlineKey){arena_text(&plan->arena, slice_text(name)), type};
  return true;
}

static size_t add_tuple(OnlinePlan *plan, const size_t *keys, size_t count)
{
  for (size_t i = 0; i < plan->tuple_count; i++) {
    const Tuple *tuple = &plan->tuples[i];
    if (tuple->count == count && memcmp(tuple->keys, keys, count * sizeof(*keys)) == 0) {
      return i;
    }
  }
  plan->tuples[plan->tuple_count] = (Tuple){keys, count};
  return plan->tuple_count++;
}

// `column` is one that was asked for, or an input of an on-demand view.
static bool not_online(const OnlinePlan *plan, size_t column, Error *err)
{
  const View *view = plan->columns[column].view;
  error_set(err, ERR_INVALID,
            "feature_view \"%s\" is not kept online (online = false in %s): leave it out here, or "
            "apply it without that and materialize",
            view->declared.name, view->declared.at);
  if (plan->demand && column >= plan->demand->shown) {
    const OnDemand *needs = on_demand_needs(&plan->demand->plan, view);
    error_wrap(err, "on_demand_feature_view \"%s\" needs it", needs->declared.name);
  }
  return false;
}

// Finds the look-up that a column needs; new ones join the list.
static bool add_lookup(OnlinePlan *plan, size_t column_number, const RoleKey *roles,
                       size_t role_count, size_t *number, Error *err)
{
  const Reference *column = &plan->columns[column_number];
  const View *view = column->view;
  for (*number = 0; *number < plan->lookup_count; (*number)++) {
    const Lookup *lookup = &plan->lookups[*number];
    if (lookup->view == view && strcmp(lookup->role, column->role) == 0) {
      return true;
    }
  }
  if (!view->online) {
    return not_online(plan, column_number, err);
  }
  size_t *keys = arena_zalloc(&plan->arena, view->key_count, sizeof(*keys));
  for (size_t i = 0; i < view->key_count; i++) {
    const char *name = naming_key_column(column, view->keys[i].name, roles, role_count);
    if (!add_key(plan, name, view->keys[i].type, &keys[i], err)) {
      return false;
    }
  }
  plan->lookups[plan->lookup_count++] = (Lookup){
      .view = view,
      .role = column->role,
      .tuple = add_tuple(plan, keys, view->key_count),
  };
  return true;
}

static void reserve_plan(OnlinePlan *plan)
{
  size_t count = plan->column_count;
  size_t most_keys = 0;
  for (size_t i = 0; i < count; i++) {
    most_keys += plan->columns[i].view->key_count;
  }
  plan->keys = arena_zalloc(&plan->arena, most_keys, sizeof(*plan->keys));
  plan->tuples = arena_zalloc(&plan->arena, count, sizeof(*plan->tuples));
  plan->lookups = arena_zalloc(&plan->arena, count, sizeof(*plan->lookups));
  plan->spans = arena_zalloc(&plan->arena, count, sizeof(*plan->spans));
}

// Puts the spans of each look-up together: they are answered from one row.
static void group_spans(OnlinePlan *plan)
{
  Span *grouped = arena_zalloc(&plan->arena, plan->span_count, sizeof(*grouped));
  size_t *next = arena_zalloc(&plan->arena, plan->lookup_count, sizeof(*next));
  for (size_t i = 0; i < plan->span_count; i++) {
    plan->lookups[plan->spans[i].lookup].span_count++;
  }
  for (size_t i = 0, start = 0; i < plan->lookup_count; i++) {
    plan->lookups[i].spans = grouped + start;
    next[i] = start;
    start += plan->lookups[i].span_count;
  }
  for (size_t i = 0; i < plan->span_count; i++) {
    grouped[next[plan->spans[i].lookup]++] = plan->spans[i];
  }
  plan->spans = grouped;
}

static bool add_columns(OnlinePlan *plan, const RoleKey *roles, size_t role_count, Error *err)
{
  reserve_plan(plan);
  for (size_t i = 0; i < plan->column_count; i++) {
    uint32_t slot = plan->columns[i].feature->slot;
    size_t lookup;
    if (!add_lookup(plan, i, roles, role_count, &lookup, err)) {
      return false;
    }
    assert(plan->spans && plan->span_count <= i);
    Span *last = plan->span_count ? &plan->spans[plan->span_count - 1] : NULL;
    bool cut = plan->cuts && plan->cuts[i];
    if (last && !cut && last->lookup == lookup && last->slot + last->count == slot) {
      last->count++;
    } else {
      size_t place = plan->span_count++;
      plan->spans[place] = (Span){lookup, place, i, slot, 1};
    }
  }
  group_spans(plan);
  return true;
}

static void make_nils(OnlinePlan *plan)
{
  size_t widest = 0;
  for (size_t i = 0; i < plan->span_count; i++) {
    widest = plan->spans[i].count > widest ? plan->spans[i].count : widest;
  }
  plan->nils = slice_of(memset(arena_alloc(&plan->arena, widest), NIL_BYTE, widest), widest);
}

static bool choose_names(OnlinePlan *plan, bool full_names, Error *err)
{
  const char **taken = arena_zalloc(&plan->arena, plan->key_count, sizeof(*taken));
  for (size_t i = 0; i < plan->key_count; i++) {
    taken[i] = plan->keys[i].name;
  }
  return naming_choose(plan->asked, plan->asked_count, taken, plan->key_count, full_names,
                       &plan->names, &plan->arena, err);
}

static bool check_size(size_t count, size_t role_count, Error *err)
{
  if (count == 0) {
    return error_set(err, ERR_INVALID, "no features were asked for: name some, or a service");
  }
  if (count > ONLINE_COLUMNS_MAX || role_count > ONLINE_COLUMNS_MAX) {
    return error_set(err, ERR_LIMIT,
                     "%zu features and %zu renamed keys: one request may have %d of each", count,
                     role_count, ONLINE_COLUMNS_MAX);
  }
  return true;
}

OnlinePlan *online_plan_new(const Catalog *catalog, const Reference *features, size_t count,
                            const RoleKey *roles, size_t role_count, bool full_names, Error *err)
{
  if (!check_size(count, role_count, err)) {
    return NULL;
  }
  OnlinePlan *plan = mem_zalloc(1, sizeof(*plan));
  plan->catalog = catalog_ref(catalog);
  plan->space = mem_zalloc(1, sizeof(*plan->space));
  copy_references(plan, features, count);
  if (!check_roles(plan, roles, role_count, err) || !add_columns(plan, roles, role_count, err)
      || !choose_names(plan, full_names, err)) {
    online_plan_free(plan);
    return NULL;
  }
  make_nils(plan);
  if (plan->demand) {
    online_demand_place(plan);
  }
  return plan;
}

OnlinePlan *online_plan_service(const Catalog *catalog, const Service *service, bool full_names,
                                Error *err)
{
  OnlinePlan *plan = online_plan_new(catalog, service->features, service->feature_count,
                                     service->roles, service->role_count, full_names, err);
  if (!plan) {
    error_wrap(err, "feature_service \"%s\"", service->declared.name);
  }
  return plan;
}

void online_plan_free(OnlinePlan *plan)
{
  if (!plan) {
    return;
  }
  online_demand_deinit(plan->demand);
  online_keys_deinit(plan->space);
  free(plan->space);
  catalog_unref(plan->catalog);
  arena_deinit(&plan->arena);
  free(plan);
}

size_t online_plan_columns(const OnlinePlan *plan)
{
  return plan->asked_count;
}

const char *online_plan_name(const OnlinePlan *plan, size_t column)
{
  assert(column < plan->asked_count);
  return plan->names[column];
}

size_t online_plan_keys(const OnlinePlan *plan, const OnlineKey **keys)
{
  *keys = plan->keys;
  return plan->key_count;
}

size_t online_plan_lookups(const OnlinePlan *plan)
{
  return plan->lookup_count;
}
