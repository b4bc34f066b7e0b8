// hello, health, list and describe: what is there.

#include <assert.h>

#include "engine/naming.h"
#include "rpc/methods.h"
#include "rpc/pack.h"
#include "store/marks.h"
#include "store/registry.h"

enum { PROTOCOL = 1 };

typedef enum { KIND_ENTITY, KIND_SOURCE, KIND_VIEW, KIND_ON_DEMAND, KIND_SERVICE, KIND_COUNT } Kind;

static const struct {
  const char *one;
  const char *many;
} KINDS[KIND_COUNT] = {
    [KIND_ENTITY] = {"entity", "entities"},
    [KIND_SOURCE] = {"source", "sources"},
    [KIND_VIEW] = {"feature_view", "feature_views"},
    [KIND_ON_DEMAND] = {"on_demand_feature_view", "on_demand_feature_views"},
    [KIND_SERVICE] = {"feature_service", "feature_services"},
};

// The dispatch has checked that it is one of them.
static Kind kind_of(Slice name)
{
  for (Kind kind = 0; kind < KIND_COUNT; kind++) {
    if (slice_is(name, KINDS[kind].one) || slice_is(name, KINDS[kind].many)) {
      return kind;
    }
  }
  assert(false);
  return KIND_COUNT;
}

// hello, health --------------------------------------------------------------------------------

// The snapshot's generation; 0, and no error, when nothing was applied.
static bool read_generation(CallContext *context, uint64_t *generation, Error *err)
{
  *generation = 0;
  if (!context_read(context, err)) {
    if (err->code != ERR_NOT_FOUND) {
      return false;
    }
    error_clear(err);
    return true;
  }
  return registry_generation(context->read, generation, err);
}

static void pack_methods(const CallContext *context, Buf *out)
{
  size_t count = 0;
  for (size_t i = 0; i < METHOD_COUNT; i++) {
    count += METHODS[i].remote || context->origin == CALL_LOCAL;
  }
  pack_array(out, count);
  for (size_t i = 0; i < METHOD_COUNT; i++) {
    if (METHODS[i].remote || context->origin == CALL_LOCAL) {
      pack_string(out, METHODS[i].name);
    }
  }
}

// A bound that does not apply is nil.
static void pack_limit(PackMap *map, const char *key, uint64_t limit)
{
  if (limit) {
    pack_count(map, key, limit);
  } else {
    pack_text(map, key, NULL);
  }
}

bool method_hello(Call *call, const void *params, Error *err)
{
  (void)params;
  CallContext *context = call->context;
  uint64_t generation;
  if (!read_generation(context, &generation, err)) {
    return false;
  }
  PackMap map = pack_map_begin(call->result);
  pack_text(&map, "version", TIDEMARK_VERSION);
  pack_integer(&map, "protocol", PROTOCOL);
  pack_count(&map, "generation", generation);
  pack_key(&map, "methods");
  pack_methods(context, call->result);
  pack_key(&map, "limits");
  PackMap limits = pack_map_begin(call->result);
  pack_limit(&limits, "max_rows", context->limits.max_rows);
  pack_count(&limits, "max_features", CALL_MAX_FEATURES);
  pack_count(&limits, "max_values", CALL_MAX_VALUES);
  pack_limit(&limits, "max_frame", context->limits.max_frame);
  pack_limit(&limits, "max_depth", context->limits.max_depth);
  pack_limit(&limits, "max_output", context->limits.max_output);
  pack_map_end(&limits);
  pack_map_end(&map);
  return true;
}

bool method_health(Call *call, const void *params, Error *err)
{
  (void)params;
  CallContext *context = call->context;
  uint64_t generation;
  if (!read_generation(context, &generation, err)
      || (generation && !context_catalog(context, err))) {
    return false;
  }
  PackMap map = pack_map_begin(call->result);
  pack_text(&map, "status", "ok");
  pack_count(&map, "generation", generation);
  pack_count(&map, "uptime_seconds", (clock_monotonic_ns() - context->started) / 1000000000);
  pack_count(&map, "views", generation ? context->catalog->view_count : 0);
  pack_map_end(&map);
  return true;
}

// Facts ----------------------------------------------------------------------------------------

static void pack_declared(PackMap *map, const Declared *declared)
{
  pack_text(map, "name", declared->name);
  pack_text(map, "doc", declared->doc);
  pack_key(map, "tags");
  PackMap tags = pack_map_begin(map->out);
  for (size_t i = 0; i < declared->tag_count; i++) {
    pack_text(&tags, declared->tags[i].key, declared->tags[i].value);
  }
  pack_map_end(&tags);
  pack_text(map, "at", declared->at);
}

// `detailed`: with column and doc.
static void pack_fields(PackMap *map, const char *key, const Field *fields, size_t count,
                        bool detailed)
{
  pack_key(map, key);
  pack_array(map->out, count);
  for (size_t i = 0; i < count; i++) {
    char type[TYPE_TEXT_SIZE];
    PackMap field = pack_map_begin(map->out);
    pack_text(&field, "name", fields[i].name);
    pack_text(&field, "type", type_print(fields[i].type, type));
    if (detailed) {
      pack_text(&field, "column", fields[i].column);
      pack_text(&field, "doc", fields[i].doc);
    }
    pack_map_end(&field);
  }
}

static void pack_source(PackMap *map, const Source *source)
{
  static const char *const UNITS[] = {
      [UNIT_NONE] = NULL, [UNIT_S] = "s", [UNIT_MS] = "ms", [UNIT_US] = "us", [UNIT_NS] = "ns"};
  pack_text(map, "path", source->path);
  pack_text(map, "sql", source->sql);
  pack_text(map, "event_time", source->event_time);
  pack_text(map, "created_time", source->created_time);
  pack_text(map, "deleted", source->deleted);
  pack_text(map, "time_unit", UNITS[source->time_unit]);
  pack_key(map, "keys");
  PackMap keys = pack_map_begin(map->out);
  for (size_t i = 0; i < source->key_column_count; i++) {
    pack_text(&keys, source->key_columns[i].key, source->key_columns[i].value);
  }
  pack_map_end(&keys);
}

// A duration twice: microseconds for programs, text for people.
static void pack_span(PackMap *map, const char *key, const char *text_key, int64_t microseconds)
{
  char text[CLOCK_TEXT_SIZE];
  pack_duration(map, key, microseconds);
  if (microseconds) {
    clock_print_duration(microseconds, text);
  }
  pack_text(map, text_key, microseconds ? text : NULL);
}

// A filter or transform: where it is, nil where there is none; and the fields of its row.
static void pack_function(PackMap *map, const char *key, const char *inputs_key,
                          const Function *function, bool detailed)
{
  pack_text(map, key, function->at);
  if (detailed && function->at) {
    pack_fields(map, inputs_key, function->inputs, function->input_count, true);
  }
}

static const char *print_on_error(const Function *transform)
{
  return !transform->at ? NULL : transform->null_on_error ? "null" : "error";
}

static void pack_view(PackMap *map, const View *view, bool detailed)
{
  pack_key(map, "entities");
  pack_array(map->out, view->entity_count);
  for (size_t i = 0; i < view->entity_count; i++) {
    pack_string(map->out, view->entities[i]->declared.name);
  }
  pack_fields(map, "keys", view->keys, view->key_count, detailed);
  pack_text(map, "source", view->source->declared.name);
  pack_span(map, "ttl", "ttl_text", view->ttl);
  pack_fields(map, "features", view->features, view->feature_count, detailed);
  pack_function(map, "filter", "filter_inputs", &view->filter, detailed);
  pack_function(map, "transform", "transform_inputs", &view->transform, detailed);
  if (!detailed) {
    return;
  }
  pack_text(map, "on_error", print_on_error(&view->transform));
  pack_count(map, "id", view->id);
  pack_text(map, "bound", view->strict ? "<" : "<=");
  pack_flag(map, "as_known", view->as_known);
  pack_span(map, "delay", "delay_text", view->delay);
}

// A reference as people write it: `view:feature` or `view@role:feature`.
static void pack_reference(Buf *out, const Reference *reference, Arena *arena)
{
  const char *view =
      reference->view ? reference->view->declared.name : reference->on_demand->declared.name;
  pack_string(out, arena_print(arena, "%s%s%s:%s", view, *reference->role ? "@" : "",
                               reference->role, reference->feature->name));
}

static void pack_references(PackMap *map, const char *key, const Reference *references,
                            size_t count, Arena *arena)
{
  pack_key(map, key);
  pack_array(map->out, count);
  for (size_t i = 0; i < count; i++) {
    pack_reference(map->out, &references[i], arena);
  }
}

// What a request has to send: columns of its entities, and what on-demand views are computed from.
typedef struct {
  const RoleKey *roles;
  size_t role_count;
  Field *columns;
  size_t count;
  size_t capacity;
  const OnDemand **seen;  // on-demand views that were looked at
  size_t seen_count;
  bool request;  // collect the fields of the request, not the keys
  Arena *arena;
} Needed;

// Adds a column unless it is there. A request needs few, so looking through them is cheap.
static void add_column(Needed *needed, const char *name, Type type, const char *doc)
{
  for (size_t i = 0; i < needed->count; i++) {
    if (strcmp(needed->columns[i].name, name) == 0) {
      return;
    }
  }
  if (needed->count == needed->capacity) {
    needed->capacity = 2 * needed->capacity + 16;
    Field *columns = arena_zalloc(needed->arena, needed->capacity, sizeof(*columns));
    if (needed->count) {
      memcpy(columns, needed->columns, needed->count * sizeof(*columns));
    }
    needed->columns = columns;
  }
  needed->columns[needed->count++] = (Field){
      .name = name,
      .column = name,
      .type = type,
      .doc = doc,
  };
}

static void add_needed(Needed *needed, const Reference *reference);

static void add_on_demand(Needed *needed, const OnDemand *view)
{
  for (size_t i = 0; i < needed->seen_count; i++) {
    if (needed->seen[i] == view) {
      return;
    }
  }
  needed->seen[needed->seen_count++] = view;
  for (size_t i = 0; i < view->reference_count; i++) {
    add_needed(needed, &view->references[i]);
  }
  const Function *transform = &view->transform;
  for (size_t i = view->reference_count; needed->request && i < transform->input_count; i++) {
    const Field *field = &transform->inputs[i];
    add_column(needed, field->column, field->type, field->doc);
  }
}

// NOLINTNEXTLINE(misc-no-recursion): on-demand views need views of lower levels, 100 at most
static void add_needed(Needed *needed, const Reference *reference)
{
  if (reference->on_demand) {
    add_on_demand(needed, reference->on_demand);
    return;
  }
  for (size_t k = 0; !needed->request && k < reference->view->key_count; k++) {
    const Field *key = &reference->view->keys[k];
    const char *name = naming_key_column(reference, key->name, needed->roles, needed->role_count);
    add_column(needed, name, key->type, key->doc);
  }
}

// The entity columns or the request fields that a request for these features has to send, with
// their types.
static void pack_needed(PackMap *map, const char *key, Needed needed, const Catalog *catalog,
                        const Reference *features, size_t count, bool detailed)
{
  needed.seen = arena_zalloc(needed.arena, catalog->on_demand_count, sizeof(*needed.seen));
  for (size_t i = 0; i < count; i++) {
    add_needed(&needed, &features[i]);
  }
  pack_fields(map, key, needed.columns, needed.count, detailed);
}

static void pack_on_demand(PackMap *map, const Catalog *catalog, const OnDemand *view,
                           bool detailed, Arena *arena)
{
  pack_references(map, "inputs", view->references, view->reference_count, arena);
  Reference self = {.on_demand = view, .role = ""};
  Needed needed = {.request = true, .arena = arena};
  pack_needed(map, "request", needed, catalog, &self, 1, detailed);
  needed.request = false;
  pack_needed(map, "keys", needed, catalog, &self, 1, false);
  pack_fields(map, "features", view->features, view->feature_count, detailed);
  pack_function(map, "transform", "transform_inputs", &view->transform, detailed);
  if (detailed) {
    pack_text(map, "on_error", print_on_error(&view->transform));
    pack_count(map, "level", view->level);
  }
}

static void pack_service(PackMap *map, const Catalog *catalog, const Service *service, Arena *arena)
{
  pack_references(map, "features", service->features, service->feature_count, arena);
  Needed needed = {.roles = service->roles, .role_count = service->role_count, .arena = arena};
  pack_needed(map, "keys", needed, catalog, service->features, service->feature_count, false);
  needed.request = true;
  pack_needed(map, "request", needed, catalog, service->features, service->feature_count, false);
  pack_key(map, "roles");
  pack_array(map->out, service->role_count);
  for (size_t i = 0; i < service->role_count; i++) {
    PackMap role = pack_map_begin(map->out);
    pack_text(&role, "role", service->roles[i].role);
    pack_text(&role, "key", service->roles[i].key);
    pack_text(&role, "column", service->roles[i].column);
    pack_map_end(&role);
  }
}

// Declarations ---------------------------------------------------------------------------------

static size_t kind_count(const Catalog *catalog, Kind kind)
{
  switch (kind) {
  case KIND_ENTITY:
    return catalog->entity_count;
  case KIND_SOURCE:
    return catalog->source_count;
  case KIND_VIEW:
    return catalog->view_count;
  case KIND_ON_DEMAND:
    return catalog->on_demand_count;
  default:
    return catalog->service_count;
  }
}

static const Declared *kind_item(const Catalog *catalog, Kind kind, size_t index)
{
  switch (kind) {
  case KIND_ENTITY:
    return &catalog->entities[index].declared;
  case KIND_SOURCE:
    return &catalog->sources[index].declared;
  case KIND_VIEW:
    return &catalog->views[index].declared;
  case KIND_ON_DEMAND:
    return &catalog->on_demands[index].declared;
  default:
    return &catalog->services[index].declared;
  }
}

// The fields of one declaration into an open map.
static void pack_item(PackMap *map, const Catalog *catalog, Kind kind, size_t index, bool detailed,
                      Arena *arena)
{
  pack_declared(map, kind_item(catalog, kind, index));
  switch (kind) {
  case KIND_ENTITY:
    pack_fields(map, "keys", catalog->entities[index].keys, catalog->entities[index].key_count,
                false);
    break;
  case KIND_SOURCE:
    pack_source(map, &catalog->sources[index]);
    break;
  case KIND_VIEW:
    pack_view(map, &catalog->views[index], detailed);
    break;
  case KIND_ON_DEMAND:
    pack_on_demand(map, catalog, &catalog->on_demands[index], detailed, arena);
    break;
  default:
    pack_service(map, catalog, &catalog->services[index], arena);
  }
}

bool method_list(Call *call, const void *params, Error *err)
{
  const ListParams *list = params;
  if (!context_catalog(call->context, err)) {
    return false;
  }
  const Catalog *catalog = call->context->catalog;
  Kind kind = kind_of(list->kind);
  PackMap map = pack_map_begin(call->result);
  pack_text(&map, "kind", KINDS[kind].many);
  pack_key(&map, "items");
  size_t count = kind_count(catalog, kind);
  pack_array(call->result, count);
  for (size_t i = 0; i < count; i++) {
    PackMap item = pack_map_begin(call->result);
    pack_item(&item, catalog, kind, i, false, call->arena);
    pack_map_end(&item);
  }
  pack_map_end(&map);
  return true;
}

typedef struct {
  Kind kind;
  size_t index;
  size_t count;  // declarations that have the name
} Found;

static Found find_item(const Catalog *catalog, const DescribeParams *wanted)
{
  Found found = {0};
  for (Kind kind = 0; kind < KIND_COUNT; kind++) {
    if (wanted->kind.data && kind_of(wanted->kind) != kind) {
      continue;
    }
    size_t count = kind_count(catalog, kind);
    for (size_t i = 0; i < count; i++) {
      if (slice_is(wanted->name, kind_item(catalog, kind, i)->name)) {
        found = (Found){.kind = kind, .index = i, .count = found.count + 1};
      }
    }
  }
  return found;
}

// The name is there, but of another kind than was asked for.
static bool other_kind(const Catalog *catalog, const DescribeParams *wanted, Error *err)
{
  DescribeParams any = {.name = wanted->name};
  Found found = find_item(catalog, &any);
  if (found.count == 0) {
    return false;
  }
  int size = slice_quoted(wanted->name);
  const char *wanted_kind = KINDS[kind_of(wanted->kind)].one;
  error_set(err, ERR_NOT_FOUND, "unknown %s \"%.*s\": it is the name of %s %s", wanted_kind, size,
            wanted->name.data, strchr("aeiou", *KINDS[found.kind].one) ? "an" : "a",
            KINDS[found.kind].one);
  error_at(err, "name");
  return true;
}

static bool not_found(const Catalog *catalog, const DescribeParams *wanted, Arena *arena,
                      Error *err)
{
  if (wanted->kind.data && other_kind(catalog, wanted, err)) {
    return false;
  }
  size_t total = 0;
  for (Kind kind = 0; kind < KIND_COUNT; kind++) {
    total += kind_count(catalog, kind);
  }
  const char **known = arena_alloc(arena, total * sizeof(*known) + 1);
  size_t count = 0;
  const char *what = "name";
  for (Kind kind = 0; kind < KIND_COUNT; kind++) {
    if (wanted->kind.data && kind_of(wanted->kind) != kind) {
      continue;
    }
    what = wanted->kind.data ? KINDS[kind].one : what;
    for (size_t i = 0; i < kind_count(catalog, kind); i++) {
      known[count++] = kind_item(catalog, kind, i)->name;
    }
  }
  int size = slice_quoted(wanted->name);
  const char *near = catalog_suggest(wanted->name, known, count);
  error_set(err, ERR_NOT_FOUND, "unknown %s \"%.*s\"%s%s%s", what, size, wanted->name.data,
            near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
  return error_at(err, "name");
}

static bool ambiguous(const DescribeParams *wanted, Error *err)
{
  int size = slice_quoted(wanted->name);
  error_set(err, ERR_INVALID,
            "\"%.*s\" is the name of several things: say which with kind, one of entity, source, "
            "feature_view, on_demand_feature_view, feature_service",
            size, wanted->name.data);
  return error_at(err, "kind");
}

// How far a view is materialized; nil when it never was.
static bool pack_mark(PackMap *map, CallContext *context, const View *view, Error *err)
{
  Mark mark;
  bool found = false;
  if (!marks_get(context->read, view->id, &mark, &found, err)) {
    return false;
  }
  if (!found) {
    pack_text(map, "mark", NULL);
    return true;
  }
  pack_key(map, "mark");
  PackMap fields = pack_map_begin(map->out);
  pack_time(&fields, "materialized_from", mark.materialized_from);
  pack_time(&fields, "materialized_to", mark.materialized_to);
  pack_time(&fields, "created_to", mark.created_to);
  pack_time(&fields, "updated_at", mark.updated_at);
  pack_count(&fields, "rows_read", mark.rows_read);
  pack_count(&fields, "rows_written", mark.rows_written);
  pack_map_end(&fields);
  return true;
}

bool method_describe(Call *call, const void *params, Error *err)
{
  const DescribeParams *wanted = params;
  if (!context_catalog(call->context, err)) {
    return false;
  }
  const Catalog *catalog = call->context->catalog;
  Found found = find_item(catalog, wanted);
  if (found.count == 0) {
    return not_found(catalog, wanted, call->arena, err);
  }
  if (found.count > 1) {
    return ambiguous(wanted, err);
  }
  PackMap map = pack_map_begin(call->result);
  pack_text(&map, "kind", KINDS[found.kind].one);
  pack_item(&map, catalog, found.kind, found.index, true, call->arena);
  pack_count(&map, "generation", catalog->generation);
  if (found.kind == KIND_VIEW
      && !pack_mark(&map, call->context, &catalog->views[found.index], err)) {
    return false;
  }
  pack_map_end(&map);
  return true;
}
