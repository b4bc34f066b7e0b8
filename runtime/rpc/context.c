#include "rpc/context.h"

#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "rpc/pack.h"

static void drop_plans(CallContext *context)
{
  for (size_t i = 0; i < CONTEXT_PLACES; i++) {
    if (context->plans[i].plan) {
      online_plan_free(context->plans[i].plan);
      context->plans[i] = (CachedPlan){0};
    }
  }
  context->plan_count = 0;
  if (context->patterns) {
    patterns_forget(context->patterns);
  }
  arena_reset(&context->plan_arena);
}

CallContext *call_context_new(Engine *engine, CallOrigin origin)
{
  CallContext *context = mem_zalloc(1, sizeof(*context));
  context->engine = engine;
  context->origin = origin;
  context->limits.max_rows = CALL_MAX_ROWS;
  context->started = clock_monotonic_ns();
  return context;
}

void call_context_limit(CallContext *context, const CallLimits *limits)
{
  context->limits = *limits;
  if (context->limits.max_rows == 0) {
    context->limits.max_rows = CALL_MAX_ROWS;
  }
}

void call_context_serve(CallContext *context, void (*defer)(void *host, Later *later),
                        Metrics *metrics, const Observer *observer)
{
  context->defer = defer;
  context->patterns = patterns_new();
  context->metrics = metrics;
  context->observer = observer;
}

static void close_functions(CallContext *context)
{
  functions_close(context->functions);
  catalog_unref(context->functions_catalog);
  context->functions = NULL;
  context->functions_catalog = NULL;
}

void call_context_free(CallContext *context)
{
  if (!context) {
    return;
  }
  context_end_read(context);
  drop_plans(context);
  close_functions(context);
  patterns_free(context->patterns);
  catalog_unref(context->catalog);
  if (context->read) {
    db_read_free(context->read);
  }
  arena_deinit(&context->plan_arena);
  arena_deinit(&context->arena);
  buf_deinit(&context->key);
  free(context);
}

// The store may be made by an apply after this process has started, so it is looked for again.
static bool open_read(CallContext *context, Error *err)
{
  Db *db = engine_db(context->engine, false, err);
  if (!db) {
    return false;
  }
  context->read = db_read_new(db, err);
  if (context->read) {
    db_read_cache(context->read, context->limits.cache);
  }
  return context->read != NULL;
}

bool context_read(CallContext *context, Error *err)
{
  if (context->reading) {
    return true;
  }
  if (!context->read && !open_read(context, err)) {
    return false;
  }
  context->reading = db_read_begin(context->read, err);
  return context->reading;
}

bool context_catalog(CallContext *context, Error *err)
{
  if (!context_read(context, err)) {
    return false;
  }
  uint64_t snapshot = db_read_snapshot(context->read);
  if (context->catalog && context->snapshot == snapshot) {
    return true;
  }
  Catalog *catalog = engine_catalog(context->engine, context->read, err);
  if (!catalog) {
    return false;
  }
  if (!context->catalog || context->catalog->generation != catalog->generation) {
    drop_plans(context);
  }
  // Plans point into the catalog they were made from, so that one stays while they do.
  if (context->plan_count) {
    catalog_unref(catalog);
  } else {
    catalog_unref(context->catalog);
    context->catalog = catalog;
  }
  context->snapshot = snapshot;
  return true;
}

void context_prepare(CallContext *context)
{
  Error ignored = {0};  // the request that needs them says what is wrong
  if (context->reading) {
    return;
  }
  if (context_catalog(context, &ignored) && context->catalog->on_demand_count) {
    context_functions(context, &ignored);
  }
  context_end_read(context);
}

bool context_patterns(CallContext *context)
{
  Error ignored = {0};  // the general way says what is wrong
  return context->patterns && context->patterns->count && context_catalog(context, &ignored)
         && context->patterns->count;
}

Functions *context_functions(CallContext *context, Error *err)
{
  assert(context->catalog);
  if (context->functions && context->functions_catalog == context->catalog) {
    return context->functions;
  }
  close_functions(context);
  context->functions = functions_open(context->catalog, err);
  context->functions_catalog = context->functions ? catalog_ref(context->catalog) : NULL;
  return context->functions;
}

void context_end_read(CallContext *context)
{
  if (context->reading) {
    db_read_end(context->read);
    context->reading = false;
    if (context->metrics) {
      RowCacheStats stats = db_read_cache_stats(context->read);
      metrics_set_cache(context->metrics, &stats);
    }
  }
}

void call_batch_begin(CallContext *context)
{
  assert(!context->batch);
  context->batch = true;
}

static void hand_over(CallContext *context)
{
  Push *pushes = context->pushes;
  if (pushes) {
    context->pushes = NULL;
    writer_submit_all(context->writer, pushes);
  }
}

void context_add_push(CallContext *context, Writer *writer, Push *push)
{
  if (!context->pushes) {
    context->last_push = &context->pushes;
  }
  context->writer = writer;
  push->next = NULL;
  *context->last_push = push;
  context->last_push = &push->next;
  if (!context->batch) {
    hand_over(context);
  }
}

void call_batch_end(CallContext *context)
{
  assert(context->batch);
  context->batch = false;
  context_end_read(context);
  hand_over(context);
}

// The place of a key: where it is, or where it belongs. There are always free places.
static CachedPlan *plan_place(CallContext *context, Slice key, uint64_t hash)
{
  size_t mask = CONTEXT_PLACES - 1;
  size_t place = hash & mask;
  while (context->plans[place].plan
         && (context->plans[place].hash != hash || !slice_equal(context->plans[place].key, key))) {
    place = (place + 1) & mask;
  }
  return &context->plans[place];
}

CachedPlan *context_find_plan(CallContext *context, Slice key)
{
  CachedPlan *place = plan_place(context, key, hash_bytes(key, 0));
  return place->plan ? place : NULL;
}

void context_make_room(CallContext *context)
{
  if (context->plan_count == CONTEXT_PLANS || context->plan_arena.used > CONTEXT_PLAN_BYTES) {
    drop_plans(context);
  }
}

// nil for no error, and a map of two fields as pack_map_begin writes it.
static Slice pack_head(CallContext *context, Slice names)
{
  Buf head = {0};
  pack_nil(&head);
  PackMap map = pack_map_begin(&head);
  pack_raw(&map, "names", names);
  pack_key(&map, "rows");
  pack_map_end(&map);
  Slice copy = arena_copy(&context->plan_arena, buf_slice(&head));
  buf_deinit(&head);
  return copy;
}

static Slice pack_names(CallContext *context, const OnlinePlan *plan)
{
  Buf names = {0};
  size_t count = online_plan_columns(plan);
  pack_array(&names, count);
  for (size_t i = 0; i < count; i++) {
    pack_string(&names, online_plan_name(plan, i));
  }
  Slice copy = arena_copy(&context->plan_arena, buf_slice(&names));
  buf_deinit(&names);
  return copy;
}

CachedPlan *context_put_plan(CallContext *context, Slice key, OnlinePlan *plan)
{
  assert(context->plan_count < CONTEXT_PLANS);
  uint64_t hash = hash_bytes(key, 0);
  CachedPlan *place = plan_place(context, key, hash);
  assert(!place->plan);
  *place = (CachedPlan){
      .hash = hash,
      .key = arena_copy(&context->plan_arena, key),
      .plan = plan,
      .names = pack_names(context, plan),
  };
  place->head = pack_head(context, place->names);
  place->key_count = online_plan_keys(plan, &place->keys);
  context->plan_count++;
  return place;
}
