// What a request means: names become views, features, key columns and output columns, or an error
// that says what is meant instead.
#include "engine/history_plan.h"

#include <string.h>

#include "base/mem.h"
#include "engine/naming.h"

static bool resolve_references(HistoryPlan *plan, Error *err)
{
  const HistoryRequest *request = plan->request;
  if (!request->service) {
    for (size_t i = 0; i < request->feature_count; i++) {
      if (!catalog_reference(plan->catalog, request->features[i], &plan->references, plan->arena,
                             err)) {
        return false;
      }
    }
    return plan->references.count
           || error_set(err, ERR_INVALID,
                        "no features were asked for: use --features or --service");
  }
  const Service *service = catalog_find_service(plan->catalog, slice_text(request->service), err);
  if (!service) {
    return false;
  }
  plan->references = (ReferenceList){
      .items = arena_zalloc(plan->arena, service->feature_count, sizeof(Reference)),
      .count = service->feature_count,
      .capacity = service->feature_count,
  };
  memcpy(plan->references.items, service->features, service->feature_count * sizeof(Reference));
  return true;
}

// The request's mappings come first, so that they win over the service's.
static void resolve_roles(HistoryPlan *plan)
{
  const HistoryRequest *request = plan->request;
  const Service *service =
      request->service ? catalog_service(plan->catalog, slice_text(request->service)) : NULL;
  size_t inherited = service ? service->role_count : 0;
  RoleKey *roles = arena_zalloc(plan->arena, request->map_count + inherited, sizeof(*roles));
  for (size_t i = 0; i < request->map_count; i++) {
    roles[i] = request->maps[i];
  }
  for (size_t i = 0; i < inherited; i++) {
    roles[request->map_count + i] = service->roles[i];
  }
  plan->roles = roles;
  plan->role_count = request->map_count + inherited;
}

static bool maps_key_of(const RoleKey *map, const Reference *reference)
{
  size_t count = reference->view ? reference->view->key_count : 0;
  for (size_t i = 0; i < count; i++) {
    if (strcmp(map->key, reference->view->keys[i].name) == 0) {
      return strcmp(map->role, naming_prefix(reference)) == 0;
    }
  }
  return false;
}

static bool check_maps(const HistoryPlan *plan, Error *err)
{
  for (size_t i = 0; i < plan->request->map_count; i++) {
    const RoleKey *map = &plan->request->maps[i];
    bool used = false;
    for (size_t r = 0; r < plan->references.count && !used; r++) {
      used = maps_key_of(map, &plan->references.items[r]);
    }
    for (size_t r = 0; r < plan->on_demand.stored.count && !used; r++) {
      used = maps_key_of(map, &plan->on_demand.stored.items[r]);
    }
    if (!used) {
      return error_set(err, ERR_INVALID, "--map %s.%s=%s names no key of a requested view or role",
                       map->role, map->key, map->column);
    }
  }
  return true;
}

static const TableColumn *spine_column(const HistoryPlan *plan, const char *name)
{
  for (size_t i = 0; i < plan->spine_column_count; i++) {
    if (strcmp(plan->spine_columns[i].name, name) == 0) {
      return &plan->spine_columns[i];
    }
  }
  return NULL;
}

// Whether the spine has the column. One of JSON or msgpack that has no rows does not say what
// columns it has: then it has those that are asked for, so that a day without rows is no failure.
static bool has_column(HistoryPlan *plan, const char *name, Type type)
{
  if (!spine_column(plan, name) && plan->assumed) {
    size_t count = plan->spine_column_count;
    TableColumn *columns = arena_zalloc(plan->arena, count + 1, sizeof(*columns));
    for (size_t i = 0; i < count; i++) {
      columns[i] = plan->spine_columns[i];
    }
    columns[count] = (TableColumn){.name = name, .type = type, .known = true};
    plan->spine_columns = columns;
    plan->spine_column_count++;
  }
  return spine_column(plan, name) != NULL;
}

static bool missing_column(HistoryPlan *plan, const char *name, const char *hint, Error *err)
{
  const char **known = arena_zalloc(plan->arena, plan->spine_column_count, sizeof(*known));
  for (size_t i = 0; i < plan->spine_column_count; i++) {
    known[i] = plan->spine_columns[i].name;
  }
  const char *near = catalog_suggest(slice_text(name), known, plan->spine_column_count);
  error_set(err, ERR_INVALID, "the spine has no column \"%s\"%s%s%s: %s", name,
            near ? " (did you mean \"" : "", near ? near : "", near ? "\"?)" : "", hint);
  return error_at(err, "%s", plan->request->spine);
}

static bool same_keys(const SpineKeys *keys, const char *const *columns, const View *view)
{
  bool same = keys->count == view->key_count;
  for (size_t i = 0; same && i < keys->count; i++) {
    same =
        strcmp(keys->columns[i], columns[i]) == 0 && type_equal(keys->types[i], view->keys[i].type);
  }
  return same;
}

// The spine's key tuple for a view, shared by all views that join on the same columns.
static bool resolve_keys(HistoryPlan *plan, const Reference *reference, size_t *place, Error *err)
{
  const View *view = reference->view;
  const char **columns = arena_zalloc(plan->arena, view->key_count, sizeof(*columns));
  Type *types = arena_zalloc(plan->arena, view->key_count, sizeof(*types));
  for (size_t i = 0; i < view->key_count; i++) {
    const char *key = view->keys[i].name;
    columns[i] = naming_key_column(reference, key, plan->roles, plan->role_count);
    types[i] = view->keys[i].type;
    if (!has_column(plan, columns[i], types[i])) {
      const char *hint = arena_print(plan->arena,
                                     "it is the key \"%s\" of feature_view \"%s\"; a column of "
                                     "another name is given by --map %s.%s=COLUMN",
                                     key, view->declared.name, naming_prefix(reference), key);
      return missing_column(plan, columns[i], hint, err);
    }
  }
  for (*place = 0; *place < plan->key_count; (*place)++) {
    if (same_keys(&plan->keys[*place], columns, view)) {
      return true;
    }
  }
  plan->keys[plan->key_count++] =
      (SpineKeys){.columns = columns, .types = types, .count = view->key_count};
  return true;
}

static bool find_join(HistoryPlan *plan, const Reference *reference, size_t *place, Error *err)
{
  for (*place = 0; *place < plan->join_count; (*place)++) {
    ViewJoin *join = &plan->joins[*place];
    if (join->view == reference->view && strcmp(join->role, reference->role) == 0) {
      return true;
    }
  }
  size_t keys = 0;
  if (!resolve_keys(plan, reference, &keys, err)) {
    return false;
  }
  plan->joins[plan->join_count++] = (ViewJoin){
      .view = reference->view,
      .role = reference->role,
      .keys = &plan->keys[keys],
      .features = mem_zalloc(reference->view->feature_count, sizeof(Field *)),
  };
  return true;
}

static size_t find_feature(ViewJoin *join, const Field *feature)
{
  size_t place = 0;
  while (place < join->feature_count && join->features[place] != feature) {
    place++;
  }
  if (place == join->feature_count) {
    join->features[join->feature_count++] = feature;
  }
  return place;
}

static bool resolve_origin(HistoryPlan *plan, const Reference *reference, Origin *origin,
                           Error *err)
{
  origin->computed = on_demand_column(&plan->on_demand, reference);
  if (reference->on_demand) {
    origin->join = ORIGIN_NONE;
    return true;
  }
  if (!find_join(plan, reference, &origin->join, err)) {
    return false;
  }
  origin->feature = find_feature(&plan->joins[origin->join], reference->feature);
  return true;
}

static bool resolve_joins(HistoryPlan *plan, Error *err)
{
  const ReferenceList *asked = &plan->references;
  const ReferenceList *needed = &plan->on_demand.stored;
  size_t most = asked->count + needed->count;
  plan->joins = arena_zalloc(plan->arena, most, sizeof(*plan->joins));
  plan->keys = arena_zalloc(plan->arena, most, sizeof(*plan->keys));
  plan->origins = arena_zalloc(plan->arena, asked->count, sizeof(*plan->origins));
  plan->inputs = arena_zalloc(plan->arena, needed->count, sizeof(*plan->inputs));
  for (size_t i = 0; i < asked->count; i++) {
    if (!resolve_origin(plan, &asked->items[i], &plan->origins[i], err)) {
      return false;
    }
  }
  plan->shown_joins = plan->join_count;
  for (size_t i = 0; i < needed->count; i++) {
    if (!resolve_origin(plan, &needed->items[i], &plan->inputs[i], err)) {
      return false;
    }
  }
  return true;
}

// --- On-demand views ---

// The columns of the request that the spine does not have, in quotes.
static const char *lacking_columns(HistoryPlan *plan, size_t *count)
{
  const char *names = "";
  *count = 0;
  for (size_t i = 0; i < plan->on_demand.request_count; i++) {
    const char *name = plan->on_demand.request[i]->column;
    if (!has_column(plan, name, plan->on_demand.request[i]->type)) {
      names = arena_print(plan->arena, "%s%s\"%s\"", names, *count ? ", " : "", name);
      (*count)++;
    }
  }
  return names;
}

// What the request brings at serving stands in the spine.
static bool check_request_columns(HistoryPlan *plan, Error *err)
{
  size_t count;
  const char *names = lacking_columns(plan, &count);
  for (size_t i = 0; count == 1 && i < plan->on_demand.request_count; i++) {
    const Field *field = plan->on_demand.request[i];
    char type[TYPE_TEXT_SIZE];
    if (!spine_column(plan, field->column)) {
      const char *hint = arena_print(
          plan->arena, "it is %s of the request of on_demand_feature_view \"%s\"",
          type_print(field->type, type), on_demand_wants(&plan->on_demand, field)->declared.name);
      return missing_column(plan, field->column, hint, err);
    }
  }
  if (count) {
    error_set(err, ERR_INVALID,
              "the spine has no columns %s: the on-demand views that were asked for take them from "
              "the request, which in a training set is the spine",
              names);
    return error_at(err, "%s", plan->request->spine);
  }
  return true;
}

// --- Output columns ---

static bool add_column(HistoryPlan *plan, const char *name, TypeKind kind, Error *err)
{
  if (spine_column(plan, name)) {
    return error_set(err, ERR_INVALID, "the spine has a column \"%s\" already: rename it", name);
  }
  plan->names[plan->column_count] = name;
  plan->types[plan->column_count++] = (Type){.kind = (uint8_t)kind};
  return true;
}

static bool resolve_columns(HistoryPlan *plan, Error *err)
{
  const HistoryRequest *request = plan->request;
  size_t count = plan->references.count;
  const char **taken = arena_zalloc(plan->arena, plan->spine_column_count, sizeof(*taken));
  for (size_t i = 0; i < plan->spine_column_count; i++) {
    taken[i] = plan->spine_columns[i].name;
  }
  const char **names;
  if (!naming_choose(plan->references.items, count, taken, plan->spine_column_count,
                     request->full_feature_names, &names, plan->arena, err)) {
    return false;
  }
  size_t most = count * 2 + plan->shown_joins;
  plan->names = arena_zalloc(plan->arena, most, sizeof(*plan->names));
  plan->types = arena_zalloc(plan->arena, most, sizeof(*plan->types));
  for (size_t i = 0; i < count; i++) {
    plan->names[plan->column_count] = names[i];
    plan->types[plan->column_count++] = plan->references.items[i].feature->type;
    const char *status = arena_print(plan->arena, "%s__status", names[i]);
    if (request->statuses && !add_column(plan, status, TYPE_STRING, err)) {
      return false;
    }
  }
  for (size_t i = 0; request->event_timestamps && i < plan->shown_joins; i++) {
    const ViewJoin *join = &plan->joins[i];
    const char *prefix = *join->role ? join->role : join->view->declared.name;
    if (!add_column(plan, arena_print(plan->arena, "%s__event_timestamp", prefix), TYPE_TIMESTAMP,
                    err)) {
      return false;
    }
  }
  return true;
}

static bool resolve(HistoryPlan *plan, Error *err)
{
  if (!engine_pin(plan->engine, &plan->catalog, err) || !resolve_references(plan, err)) {
    return false;
  }
  on_demand_plan_make(&plan->on_demand, plan->references.items, plan->references.count,
                      plan->arena);
  resolve_roles(plan);
  Duck *duck = engine_duck(plan->engine, err);
  Table spine = {.path = plan->request->spine};
  if (!duck || !check_maps(plan, err)
      || !table_describe(duck, &spine, &plan->spine_columns, &plan->spine_column_count, plan->arena,
                         err)) {
    return false;
  }
  plan->assumed = !plan->spine_column_count;
  if (!has_column(plan, plan->time_column, (Type){.kind = TYPE_TIMESTAMP})) {
    return missing_column(plan, plan->time_column,
                          "it is the spine's time; another column is named by --timestamp COLUMN",
                          err);
  }
  return resolve_joins(plan, err) && check_request_columns(plan, err) && resolve_columns(plan, err);
}

bool history_plan_make(HistoryPlan *plan, Engine *engine, const HistoryRequest *request,
                       Arena *arena, Error *err)
{
  *plan = (HistoryPlan){
      .engine = engine,
      .request = request,
      .arena = arena,
      .time_column = request->timestamp ? request->timestamp : "event_timestamp",
  };
  return resolve(plan, err);
}

void history_plan_deinit(HistoryPlan *plan)
{
  for (size_t i = 0; i < plan->join_count; i++) {
    view_join_deinit(&plan->joins[i]);
  }
  catalog_unref(plan->catalog);
  *plan = (HistoryPlan){0};
}
