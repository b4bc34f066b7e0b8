// A training set in four steps: resolve the request, read the spine, join every view, write.
#include "engine/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/naming.h"
#include "engine/view_join.h"
#include "source/writer.h"

enum { WRITE_ROWS = 2048 };  // rows produced at a time

// Where an output column comes from.
typedef struct {
  size_t join;
  size_t feature;  // in the join's list
} Origin;

typedef struct {
  Engine *engine;
  const HistoryRequest *request;
  Arena *arena;  // lives as long as the job
  Catalog *catalog;
  ReferenceList references;
  const RoleKey *roles;
  size_t role_count;
  TableColumn *spine_columns;
  size_t spine_column_count;

  SpineKeys *keys;
  size_t key_count;
  Spines spines;
  ViewJoin *joins;
  size_t join_count;
  Origin *origins;  // per reference

  // Output.
  const char **names;
  Type *types;
  size_t column_count;
  size_t written;
  Arena chunk;  // one chunk of output
} History;

// --- Resolving ---

static bool resolve_references(History *history, Error *err)
{
  const HistoryRequest *request = history->request;
  if (!request->service) {
    for (size_t i = 0; i < request->feature_count; i++) {
      if (!catalog_reference(history->catalog, request->features[i], &history->references,
                             history->arena, err)) {
        return false;
      }
    }
    return history->references.count
           || error_set(err, ERR_INVALID,
                        "no features were asked for: use --features or --service");
  }
  const Service *service = catalog_service(history->catalog, slice_text(request->service));
  if (!service) {
    const char **known =
        arena_zalloc(history->arena, history->catalog->service_count, sizeof(*known));
    for (size_t i = 0; i < history->catalog->service_count; i++) {
      known[i] = history->catalog->services[i].declared.name;
    }
    const char *near =
        catalog_suggest(slice_text(request->service), known, history->catalog->service_count);
    return error_set(err, ERR_NOT_FOUND, "unknown feature_service \"%s\"%s%s%s", request->service,
                     near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
  }
  history->references = (ReferenceList){
      .items = arena_zalloc(history->arena, service->feature_count, sizeof(Reference)),
      .count = service->feature_count,
      .capacity = service->feature_count,
  };
  memcpy(history->references.items, service->features, service->feature_count * sizeof(Reference));
  return true;
}

// The request's mappings come first, so that they win over the service's.
static void resolve_roles(History *history)
{
  const HistoryRequest *request = history->request;
  const Service *service =
      request->service ? catalog_service(history->catalog, slice_text(request->service)) : NULL;
  size_t inherited = service ? service->role_count : 0;
  RoleKey *roles = arena_zalloc(history->arena, request->map_count + inherited, sizeof(*roles));
  for (size_t i = 0; i < request->map_count; i++) {
    roles[i] = request->maps[i];
  }
  for (size_t i = 0; i < inherited; i++) {
    roles[request->map_count + i] = service->roles[i];
  }
  history->roles = roles;
  history->role_count = request->map_count + inherited;
}

static bool check_maps(const History *history, Error *err)
{
  for (size_t i = 0; i < history->request->map_count; i++) {
    const RoleKey *map = &history->request->maps[i];
    bool used = false;
    for (size_t r = 0; r < history->references.count && !used; r++) {
      const Reference *reference = &history->references.items[r];
      for (size_t k = 0; k < reference->view->key_count && !used; k++) {
        used = strcmp(map->role, naming_prefix(reference)) == 0
               && strcmp(map->key, reference->view->keys[k].name) == 0;
      }
    }
    if (!used) {
      return error_set(err, ERR_INVALID, "--map %s.%s=%s names no key of a requested view or role",
                       map->role, map->key, map->column);
    }
  }
  return true;
}

static const TableColumn *spine_column(const History *history, const char *name)
{
  for (size_t i = 0; i < history->spine_column_count; i++) {
    if (strcmp(history->spine_columns[i].name, name) == 0) {
      return &history->spine_columns[i];
    }
  }
  return NULL;
}

static bool missing_column(History *history, const char *name, const char *hint, Error *err)
{
  const char **known = arena_zalloc(history->arena, history->spine_column_count, sizeof(*known));
  for (size_t i = 0; i < history->spine_column_count; i++) {
    known[i] = history->spine_columns[i].name;
  }
  const char *near = catalog_suggest(slice_text(name), known, history->spine_column_count);
  error_set(err, ERR_INVALID, "the spine has no column \"%s\"%s%s%s: %s", name,
            near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "", hint);
  return error_at(err, "%s", history->request->spine);
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
static bool resolve_keys(History *history, const Reference *reference, size_t *place, Error *err)
{
  const View *view = reference->view;
  const char **columns = arena_zalloc(history->arena, view->key_count, sizeof(*columns));
  Type *types = arena_zalloc(history->arena, view->key_count, sizeof(*types));
  for (size_t i = 0; i < view->key_count; i++) {
    const char *key = view->keys[i].name;
    columns[i] = naming_key_column(reference, key, history->roles, history->role_count);
    types[i] = view->keys[i].type;
    if (!spine_column(history, columns[i])) {
      const char *hint = arena_print(history->arena,
                                     "it is the key \"%s\" of feature_view \"%s\"; a column of "
                                     "another name is given by --map %s.%s=COLUMN",
                                     key, view->declared.name, naming_prefix(reference), key);
      return missing_column(history, columns[i], hint, err);
    }
  }
  for (*place = 0; *place < history->key_count; (*place)++) {
    if (same_keys(&history->keys[*place], columns, view)) {
      return true;
    }
  }
  history->keys[history->key_count++] =
      (SpineKeys){.columns = columns, .types = types, .count = view->key_count};
  return true;
}

static bool find_join(History *history, const Reference *reference, size_t *place, Error *err)
{
  for (*place = 0; *place < history->join_count; (*place)++) {
    ViewJoin *join = &history->joins[*place];
    if (join->view == reference->view && strcmp(join->role, reference->role) == 0) {
      return true;
    }
  }
  size_t keys = 0;
  if (!resolve_keys(history, reference, &keys, err)) {
    return false;
  }
  history->joins[history->join_count++] = (ViewJoin){
      .view = reference->view,
      .role = reference->role,
      .keys = &history->keys[keys],
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

static bool resolve_joins(History *history, Error *err)
{
  size_t count = history->references.count;
  history->joins = arena_zalloc(history->arena, count, sizeof(*history->joins));
  history->keys = arena_zalloc(history->arena, count, sizeof(*history->keys));
  history->origins = arena_zalloc(history->arena, count, sizeof(*history->origins));
  for (size_t i = 0; i < count; i++) {
    const Reference *reference = &history->references.items[i];
    Origin *origin = &history->origins[i];
    if (!find_join(history, reference, &origin->join, err)) {
      return false;
    }
    origin->feature = find_feature(&history->joins[origin->join], reference->feature);
  }
  return true;
}

static bool add_column(History *history, const char *name, TypeKind kind, Error *err)
{
  if (spine_column(history, name)) {
    return error_set(err, ERR_INVALID, "the spine has a column \"%s\" already: rename it", name);
  }
  history->names[history->column_count] = name;
  history->types[history->column_count++] = (Type){.kind = (uint8_t)kind};
  return true;
}

static bool resolve_columns(History *history, Error *err)
{
  const HistoryRequest *request = history->request;
  size_t count = history->references.count;
  const char **taken = arena_zalloc(history->arena, history->spine_column_count, sizeof(*taken));
  for (size_t i = 0; i < history->spine_column_count; i++) {
    taken[i] = history->spine_columns[i].name;
  }
  const char **names;
  if (!naming_choose(history->references.items, count, taken, history->spine_column_count,
                     request->full_feature_names, &names, history->arena, err)) {
    return false;
  }
  size_t most = count * 2 + history->join_count;
  history->names = arena_zalloc(history->arena, most, sizeof(*history->names));
  history->types = arena_zalloc(history->arena, most, sizeof(*history->types));
  for (size_t i = 0; i < count; i++) {
    history->names[history->column_count] = names[i];
    history->types[history->column_count++] = history->references.items[i].feature->type;
    const char *status = arena_print(history->arena, "%s__status", names[i]);
    if (request->statuses && !add_column(history, status, TYPE_STRING, err)) {
      return false;
    }
  }
  for (size_t i = 0; request->event_timestamps && i < history->join_count; i++) {
    const ViewJoin *join = &history->joins[i];
    const char *prefix = *join->role ? join->role : join->view->declared.name;
    if (!add_column(history, arena_print(history->arena, "%s__event_timestamp", prefix),
                    TYPE_TIMESTAMP, err)) {
      return false;
    }
  }
  return true;
}

static const char *time_column(const History *history)
{
  return history->request->timestamp ? history->request->timestamp : "event_timestamp";
}

static bool resolve(History *history, Error *err)
{
  if (!engine_pin(history->engine, &history->catalog, err) || !resolve_references(history, err)) {
    return false;
  }
  resolve_roles(history);
  Duck *duck = engine_duck(history->engine, err);
  Table spine = {.path = history->request->spine};
  if (!duck || !check_maps(history, err)
      || !table_describe(duck, &spine, &history->spine_columns, &history->spine_column_count,
                         history->arena, err)) {
    return false;
  }
  if (!spine_column(history, time_column(history))) {
    return missing_column(history, time_column(history),
                          "it is the spine's time; another column is named by --timestamp COLUMN",
                          err);
  }
  return resolve_joins(history, err) && resolve_columns(history, err);
}

// --- Joining ---

static bool join_views(History *history, Error *err)
{
  const HistoryRequest *request = history->request;
  SpineFile file = {request->spine, time_column(history), request->time_unit};
  if (!spines_read(history->engine, &file, history->keys, history->key_count, &history->spines,
                   err)) {
    return false;
  }
  Time as_of = request->as_of_created == TIME_NULL ? TIME_MAX : request->as_of_created;
  for (size_t i = 0; i < history->join_count; i++) {
    ViewJoin *join = &history->joins[i];
    if (!view_join_match(join, history->engine, as_of, history->spines.rows, request->statuses, err)
        || !view_join_gather(join, history->engine, history->spines.rows, err)) {
      return false;
    }
  }
  return true;
}

// --- Writing ---

// Status of a value: the row's, and NULL_VALUE where the row is there and the value is not.
static Column status_column(History *history, const ViewJoin *join, const Column *values,
                            size_t first, size_t count)
{
  Slice *texts = arena_alloc(&history->chunk, count * sizeof(*texts));
  for (size_t i = 0; i < count; i++) {
    ValueStatus status = join->matches.statuses[first + i];
    if (status == STATUS_PRESENT && !column_has(values, i)) {
      status = STATUS_NULL_VALUE;
    }
    texts[i] = slice_text(status_name(status));
  }
  return (Column){.type = {.kind = TYPE_STRING}, .slices = texts};
}

static Column time_column_of(History *history, const ViewJoin *join, size_t first, size_t count)
{
  uint64_t *valid = arena_zalloc(&history->chunk, column_valid_words(count), sizeof(*valid));
  const Time *times = join->matches.event_times + first;
  for (size_t i = 0; i < count; i++) {
    column_set_valid(valid, i, times[i] != TIME_NULL);
  }
  return (Column){.type = {.kind = TYPE_TIMESTAMP}, .valid = valid, .int64s = times};
}

static bool produce(void *context, Batch *batch, Error *err)
{
  History *history = context;
  size_t first = history->written;
  size_t left = history->spines.rows - first;
  size_t count = left < WRITE_ROWS ? left : WRITE_ROWS;
  if (!engine_progress(history->engine,
                       &(Progress){"writing the training set", first, history->spines.rows}, err)) {
    return false;
  }
  arena_reset(&history->chunk);
  Column *columns = arena_zalloc(&history->chunk, history->column_count, sizeof(*columns));
  uint32_t **places = arena_zalloc(&history->chunk, history->join_count, sizeof(*places));
  for (size_t i = 0; i < history->join_count; i++) {
    places[i] = arena_alloc(&history->chunk, count * sizeof(uint32_t));
    view_join_places(&history->joins[i], first, count, places[i]);
  }
  size_t column = 0;
  for (size_t i = 0; i < history->references.count; i++) {
    Origin origin = history->origins[i];
    const ViewJoin *join = &history->joins[origin.join];
    Column all = gather_column(join->values[origin.feature]);
    Column values = column_pick(&all, places[origin.join], count, &history->chunk);
    columns[column++] = values;
    if (history->request->statuses) {
      columns[column++] = status_column(history, join, &values, first, count);
    }
  }
  for (size_t i = 0; history->request->event_timestamps && i < history->join_count; i++) {
    columns[column++] = time_column_of(history, &history->joins[i], first, count);
  }
  *batch = (Batch){count, history->column_count, columns, first};
  history->written += count;
  return true;
}

static bool write_output(History *history, uint64_t *rows, Error *err)
{
  const HistoryRequest *request = history->request;
  Table spine = {.path = request->spine};
  Passthrough passthrough = {time_column(history), request->time_unit};
  Producer producer = {
      .next = produce,
      .context = history,
      .names = history->names,
      .types = history->types,
      .count = history->column_count,
  };
  Duck *duck = engine_duck(history->engine, err);
  return duck && write_file(duck, request->output, &spine, &passthrough, &producer, rows, err);
}

// --- The use case ---

static void count_matches(const History *history, HistoryResult *result, Arena *arena)
{
  result->columns = history->spine_column_count + history->column_count;
  result->view_count = history->join_count;
  result->views = arena_zalloc(arena, history->join_count, sizeof(*result->views));
  for (size_t i = 0; i < history->join_count; i++) {
    const ViewJoin *join = &history->joins[i];
    HistoryView *view = &result->views[i];
    const char *name = join->view->declared.name;
    view->view = *join->role ? arena_print(arena, "%s (%s)", join->role, name)
                             : arena_text(arena, slice_text(name));
    view->read = join->read;
    for (size_t row = 0; row < history->spines.rows; row++) {
      uint8_t status = join->matches.statuses[row];
      view->present += status == STATUS_PRESENT;
      view->missing += status == STATUS_NOT_FOUND;
      view->expired += status == STATUS_OUTSIDE_MAX_AGE;
      view->deleted += status == STATUS_DELETED;
    }
    if (!history->request->statuses) {
      // Rows too old for every spine row were not looked at: the two cannot be told apart.
      view->missing += view->expired;
      view->expired = 0;
    }
  }
}

bool engine_get_historical_features(Engine *engine, const HistoryRequest *request,
                                    HistoryResult *result, Arena *arena, Error *err)
{
  *result = (HistoryResult){0};
  Arena job = {0};
  History history = {.engine = engine, .request = request, .arena = &job};
  bool ok = resolve(&history, err) && join_views(&history, err)
            && write_output(&history, &result->rows, err);
  if (ok) {
    count_matches(&history, result, arena);
  }
  for (size_t i = 0; i < history.join_count; i++) {
    view_join_deinit(&history.joins[i]);
  }
  spines_deinit(&history.spines);
  arena_deinit(&history.chunk);
  arena_deinit(&job);
  catalog_unref(history.catalog);
  return ok;
}
