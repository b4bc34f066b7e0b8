// get_online_features: entities in, rows of stored msgpack out.

#include <assert.h>
#include <inttypes.h>

#include "rpc/given.h"
#include "rpc/methods.h"
#include "rpc/pack.h"
#include "rpc/rows.h"

static MpReader reader_of(Slice msgpack)
{
  const uint8_t *start = (const uint8_t *)msgpack.data;
  return (MpReader){start, start + msgpack.size};
}

// The request, resolved ------------------------------------------------------------------------

typedef struct {
  RoleKey *items;
  size_t count;
  size_t capacity;
} RoleList;

static void add_role(RoleList *roles, RoleKey role, Arena *arena)
{
  if (roles->count == roles->capacity) {
    size_t capacity = roles->capacity ? roles->capacity * 2 : 8;
    RoleKey *items = arena_alloc(arena, capacity * sizeof(*items));
    if (roles->count) {
      memcpy(items, roles->items, roles->count * sizeof(*items));
    }
    roles->items = items;
    roles->capacity = capacity;
  }
  roles->items[roles->count++] = role;
}

static bool wrong_roles(Error *err)
{
  error_set(err, ERR_INVALID, "roles have to be { role = { key = \"column\" } }");
  return error_at(err, "roles");
}

// The keys of one role: { key = column }.
static bool take_role(Slice role, MpReader *reader, RoleList *roles, Arena *arena, Error *err)
{
  MpToken keys = mp_take(reader);
  if (keys.kind != MP_MAP) {
    return wrong_roles(err);
  }
  const char *name = arena_text(arena, role);
  for (uint32_t i = 0; i < keys.count; i++) {
    MpToken key = mp_take(reader);
    if (!mp_is_text(&key)) {
      return wrong_roles(err);
    }
    MpToken column = mp_take(reader);
    if (!mp_is_text(&column)) {
      return wrong_roles(err);
    }
    add_role(roles, (RoleKey){name, arena_text(arena, key.bytes), arena_text(arena, column.bytes)},
             arena);
  }
  return true;
}

// { role = { key = column } }, copied to the arena.
static bool take_roles(Slice raw, RoleList *roles, Arena *arena, Error *err)
{
  MpReader reader = reader_of(raw);
  MpToken map = mp_take(&reader);
  for (uint32_t i = 0; i < map.count; i++) {
    MpToken role = mp_take(&reader);
    if (!mp_is_text(&role) || !take_role(role.bytes, &reader, roles, arena, err)) {
      return wrong_roles(err);
    }
  }
  return true;
}

// A service's own roles, but for those that the request gives itself.
static void add_service_roles(const Service *service, RoleList *roles, Arena *arena)
{
  size_t own = roles->count;
  for (size_t i = 0; i < service->role_count; i++) {
    const RoleKey *role = &service->roles[i];
    bool given = false;
    for (size_t k = 0; k < own && !given; k++) {
      given = strcmp(roles->items[k].role, role->role) == 0
              && strcmp(roles->items[k].key, role->key) == 0;
    }
    if (!given) {
      add_role(roles, *role, arena);
    }
  }
}

static bool take_references(const Catalog *catalog, const ParamTexts *features,
                            ReferenceList *references, Arena *arena, Error *err)
{
  for (size_t i = 0; i < features->count; i++) {
    if (!catalog_reference(catalog, features->items[i], references, arena, err)) {
      return error_at(err, "features[%zu]", i);
    }
    if (references->count > CALL_MAX_FEATURES) {
      error_set(err, ERR_LIMIT, "more than %d features in one request: send several",
                CALL_MAX_FEATURES);
      return error_at(err, "features[%zu]", i);
    }
  }
  if (features->count == 0) {
    error_set(err, ERR_INVALID, "features has to name at least one, such as \"view:feature\"");
    return error_at(err, "features");
  }
  return true;
}

// What the plan refers to has to live as long as it does, hence the context's plan arena.
static OnlinePlan *resolve(Call *call, const GetOnlineFeaturesParams *params, Error *err)
{
  const Catalog *catalog = call->context->catalog;
  Arena *arena = &call->context->plan_arena;
  RoleList roles = {0};
  if (params->roles.raw.data && !take_roles(params->roles.raw, &roles, arena, err)) {
    return NULL;
  }
  if (params->features.raw.data) {
    ReferenceList references = {0};
    if (!take_references(catalog, &params->features, &references, arena, err)) {
      return NULL;
    }
    return online_plan_new(catalog, references.items, references.count, roles.items, roles.count,
                           params->full_feature_names, err);
  }
  const Service *service = catalog_find_service(catalog, params->service, err);
  if (!service) {
    error_at(err, "service");
    return NULL;
  }
  if (roles.count == 0) {
    return online_plan_service(catalog, service, params->full_feature_names, err);
  }
  add_service_roles(service, &roles, arena);
  return online_plan_new(catalog, service->features, service->feature_count, roles.items,
                         roles.count, params->full_feature_names, err);
}

static void put_part(Buf *key, Slice part)
{
  buf_put(key, &part.size, sizeof(part.size));
  if (part.data) {
    buf_put_slice(key, part);
  }
}

// Everything that decides the plan, one thing after the other.
static Slice plan_key(CallContext *context, const GetOnlineFeaturesParams *params)
{
  Buf *key = &context->key;
  buf_reset(key);
  buf_put_byte(key, params->full_feature_names);
  put_part(key, params->service);
  put_part(key, params->features.raw);
  put_part(key, params->roles.raw);
  return buf_slice(key);
}

// Compiles what the plan computes. After a failure the plan is gone.
static bool open_plan(CallContext *context, OnlinePlan *plan, Error *err)
{
  if (!online_plan_computes(plan)) {
    return true;
  }
  Functions *functions = context_functions(context, err);
  if (!functions || !online_plan_open(plan, functions, err)) {
    online_plan_free(plan);
    return false;
  }
  return true;
}

static const CachedPlan *find_plan(Call *call, const GetOnlineFeaturesParams *params, Error *err)
{
  CallContext *context = call->context;
  bool by_service = params->service.data != NULL;
  bool by_features = params->features.raw.data != NULL;
  if (by_service == by_features) {
    error_set(err, ERR_INVALID,
              by_service ? "give either service or features, not both"
                         : "get_online_features needs service or features");
    return NULL;
  }
  Slice key = plan_key(context, params);
  CachedPlan *cached = context_find_plan(context, key);
  if (cached) {
    return cached;
  }
  context_make_room(context);
  OnlinePlan *plan = resolve(call, params, err);
  if (!plan || !open_plan(context, plan, err)) {
    return NULL;
  }
  cached = context_put_plan(context, key, plan);
  if (context->metrics && by_service) {
    cached->metrics = metrics_service(context->metrics, params->service);
  }
  return cached;
}

// What the request brings -----------------------------------------------------------------------

typedef struct {
  size_t rows;
  Given entities;
  Given request;
} Brought;

static bool check_size(const CachedPlan *plan, size_t rows, Error *err)
{
  size_t columns = online_plan_columns(plan->plan);
  if (rows * columns > CALL_MAX_VALUES) {
    error_set(err, ERR_LIMIT,
              "%zu rows of %zu features are more than %d values: send several "
              "requests",
              rows, columns, CALL_MAX_VALUES);
    return error_at(err, "entities");
  }
  return true;
}

// A client that sends what is a request column among the keys, or a key in the request, should be
// told where it belongs.
static bool take_brought(Brought *brought, const CachedPlan *plan,
                         const GetOnlineFeaturesParams *wanted, size_t max_rows, Arena *arena,
                         Error *err)
{
  GivenRows rows = {0};
  const OnlineKey *columns;
  size_t count = online_plan_request(plan->plan, &columns);
  if (plan->key_count && !wanted->entities.raw.data) {
    error_set(err, ERR_INVALID,
              "get_online_features needs entities, a map of columns or a list of maps");
    return error_at(err, "entities");
  }
  brought->entities = (Given){
      .parameter = "entities",
      .column = "entity column",
      .elsewhere = "request",
      .names = plan->keys,
      .name_count = plan->key_count,
      .others = columns,
      .other_count = count,
      .max_rows = max_rows,
      .rows = &rows,
      .scalar = true,
  };
  brought->request = (Given){
      .parameter = "request",
      .column = "request column",
      .elsewhere = "entities",
      .names = columns,
      .name_count = count,
      .others = plan->keys,
      .other_count = plan->key_count,
      .max_rows = max_rows,
      .rows = &rows,
  };
  if (!given_take(&brought->entities, wanted->entities.raw, arena, err)
      || !given_take(&brought->request, wanted->request.raw, arena, err)) {
    return false;
  }
  brought->rows = rows.count;
  return check_size(plan, rows.count, err);
}

// The answer -----------------------------------------------------------------------------------

typedef struct {
  bool statuses;
  bool event_timestamps;
} Include;

static Include take_include(const ParamTexts *texts)
{
  Include include = {0};
  for (size_t i = 0; i < texts->count; i++) {
    include.statuses |= slice_is(texts->items[i], "statuses");
    include.event_timestamps |= slice_is(texts->items[i], "event_timestamps");
  }
  return include;
}

static void pack_statuses(Buf *out, const OnlineResult *found, size_t columns)
{
  pack_array(out, found->rows);
  const uint8_t *status = found->statuses;
  for (size_t row = 0; row < found->rows; row++) {
    pack_array(out, columns);
    for (size_t column = 0; column < columns; column++) {
      pack_string(out, status_name((ValueStatus)*status++));
    }
  }
}

static void pack_event_times(Buf *out, const OnlineResult *found, size_t columns)
{
  pack_array(out, found->rows);
  msgpack_packer packer = mp_packer(out);
  const Time *time = found->event_times;
  for (size_t row = 0; row < found->rows; row++) {
    pack_array(out, columns);
    for (size_t column = 0; column < columns; column++, time++) {
      if (*time == TIME_NULL) {
        pack_nil(out);
      } else {
        msgpack_pack_int64(&packer, *time);
      }
    }
  }
}

static void pack_answer(Buf *out, const CachedPlan *plan, const OnlineResult *found,
                        Include include)
{
  size_t columns = online_plan_columns(plan->plan);
  PackMap map = pack_map_begin(out);
  pack_raw(&map, "names", plan->names);
  pack_key(&map, "rows");
  rows_pack(out, found, columns);
  if (include.statuses) {
    pack_key(&map, "statuses");
    pack_statuses(out, found, columns);
  }
  if (include.event_timestamps) {
    pack_key(&map, "event_timestamps");
    pack_event_times(out, found, columns);
  }
  pack_map_end(&map);
}

// Where the keys are, when the request could be told from others like it by the bytes around them.
static bool find_keys(const GetOnlineFeaturesParams *wanted, Slice *keys)
{
  MpReader reader = reader_of(wanted->entities.raw);
  MpToken map = mp_take(&reader);
  if (map.kind != MP_MAP || map.count != 1) {
    return false;
  }
  mp_take(&reader);
  *keys = slice_of(reader.at, (size_t)(reader.end - reader.at));
  return mp_take(&reader).kind == MP_ARRAY;
}

// Requests for the same with other keys need not come this way.
static void learn(CallContext *context, const CachedPlan *plan,
                  const GetOnlineFeaturesParams *wanted, Include include)
{
  Slice keys;
  if (context->patterns && context->rest.data && !online_plan_computes(plan->plan)
      && wanted->now == TIME_NULL && !include.statuses && !include.event_timestamps
      && find_keys(wanted, &keys)) {
    pattern_learn(context, plan, context->rest, keys);
  }
}

// Replaces what was found by the answer, where the plan computes something.
static bool compute(const CachedPlan *plan, const Brought *brought, OnlineResult *found,
                    Arena *arena, Error *err)
{
  if (!online_plan_computes(plan->plan)) {
    return true;
  }
  OnlineGiven given = {.columns = (const MpReader *const *)brought->request.values};
  OnlineResult stored = *found;
  return online_compute(plan->plan, &given, &stored, found, arena, err);
}

bool method_get_online_features(Call *call, const void *params, Error *err)
{
  const GetOnlineFeaturesParams *wanted = params;
  CallContext *context = call->context;
  if (!context_catalog(context, err)) {
    return false;
  }
  const CachedPlan *plan = find_plan(call, wanted, err);
  if (!plan) {
    return false;
  }
  Brought brought;
  if (!take_brought(&brought, plan, wanted, context->limits.max_rows, call->arena, err)) {
    return false;
  }
  OnlineEntities keys = {.rows = brought.rows,
                         .columns = (const MpToken *const *)brought.entities.tokens};
  Include include = take_include(&wanted->include);
  bool details = include.statuses || include.event_timestamps;
  Time now = wanted->now == TIME_NULL ? clock_now() : wanted->now;
  OnlineResult found = {0};
  if (!online_get_features(context->read, plan->plan, &keys, now, details, &found, call->arena, err)
      || !compute(plan, &brought, &found, call->arena, err)) {
    return false;
  }
  pack_answer(call->result, plan, &found, include);
  if (context->metrics) {
    rows_count(context->metrics, plan, &found);
  }
  context->service = plan->metrics;
  learn(context, plan, wanted, include);
  return true;
}
