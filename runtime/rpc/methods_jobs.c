// The methods that work on the project's files; local only.

#include <inttypes.h>

#include "engine/apply.h"
#include "engine/copy.h"
#include "engine/history.h"
#include "engine/materialize.h"
#include "rpc/methods.h"
#include "rpc/pack.h"

static const char *text_or_null(Slice text, Arena *arena)
{
  return text.data ? arena_text(arena, text) : NULL;
}

// plan, apply ----------------------------------------------------------------------------------

static void pack_applied(Buf *out, const ApplyResult *result)
{
  PackMap map = pack_map_begin(out);
  pack_count(&map, "generation", result->generation);
  pack_raw(&map, "problems", result->problems);
  pack_raw(&map, "changes", result->changes);
  pack_count(&map, "change_count", result->change_count);
  pack_count(&map, "incompatible_count", result->incompatible_count);
  pack_count(&map, "rows_dropped", result->rows_dropped);
  pack_map_end(&map);
}

bool method_plan(Call *call, const void *params, Error *err)
{
  (void)params;
  ApplyResult result = {0};
  if (!engine_plan(call->context->engine, &result, call->arena, err)) {
    return false;
  }
  pack_applied(call->result, &result);
  return true;
}

bool method_apply(Call *call, const void *params, Error *err)
{
  const ApplyParams *apply = params;
  ApplyResult result = {0};
  if (!engine_apply(call->context->engine, apply->allow_incompatible, &result, call->arena, err)) {
    return false;
  }
  pack_applied(call->result, &result);
  return true;
}

// get_historical_features ----------------------------------------------------------------------

static bool take_map_text(MpReader map, const char *key, const char **text, Arena *arena)
{
  MpReader value;
  if (!mp_map_get(map, key, &value)) {
    return false;
  }
  MpToken token = mp_take(&value);
  if (token.kind != MP_STR && token.kind != MP_BIN) {
    return false;
  }
  *text = arena_text(arena, token.bytes);
  return true;
}

// [{ view, key, column }]
static bool take_maps(Slice raw, RoleKey **maps, size_t *count, Arena *arena, Error *err)
{
  *maps = NULL;
  *count = 0;
  if (!raw.data) {
    return true;
  }
  const uint8_t *start = (const uint8_t *)raw.data;
  MpReader reader = {start, start + raw.size};
  *count = mp_take(&reader).count;
  RoleKey *items = arena_zalloc(arena, *count + 1, sizeof(*items));
  for (size_t i = 0; i < *count; i++) {
    MpReader map = reader;
    MpStatus status = mp_skip(&reader, (MpLimits){.depth = UINT32_MAX, .elements = UINT64_MAX});
    if (status != MP_OK || !take_map_text(map, "view", &items[i].role, arena)
        || !take_map_text(map, "key", &items[i].key, arena)
        || !take_map_text(map, "column", &items[i].column, arena)) {
      error_set(err, ERR_INVALID, "maps has to be a list of { view, key, column }, all strings");
      return error_at(err, "maps[%zu]", i);
    }
  }
  *maps = items;
  return true;
}

// How bad rows are to be treated.
static bool take_rejects(Slice on_bad_row, Slice file, bool *reject, const char **path,
                         Arena *arena, Error *err)
{
  *reject = slice_is(on_bad_row, "reject");
  *path = text_or_null(file, arena);
  if (*path && !*reject) {
    return error_set(err, ERR_INVALID, "rejects names a file, but on_bad_row is not \"reject\"");
  }
  return true;
}

static void pack_history(Buf *out, const HistoryResult *result)
{
  PackMap map = pack_map_begin(out);
  pack_count(&map, "rows", result->rows);
  pack_count(&map, "columns", result->columns);
  pack_count(&map, "parts", result->parts);
  pack_count(&map, "memory_limit", result->memory_limit);
  pack_key(&map, "views");
  pack_array(out, result->view_count);
  for (size_t i = 0; i < result->view_count; i++) {
    const HistoryView *view = &result->views[i];
    PackMap fields = pack_map_begin(out);
    pack_text(&fields, "view", view->view);
    pack_count(&fields, "read", view->read);
    pack_count(&fields, "present", view->present);
    pack_count(&fields, "missing", view->missing);
    pack_count(&fields, "expired", view->expired);
    pack_count(&fields, "deleted", view->deleted);
    pack_count(&fields, "rejected", view->rejected);
    pack_count(&fields, "failed", view->failed);
    pack_map_end(&fields);
  }
  pack_key(&map, "on_demand");
  pack_array(out, result->on_demand_count);
  for (size_t i = 0; i < result->on_demand_count; i++) {
    PackMap fields = pack_map_begin(out);
    pack_text(&fields, "view", result->on_demands[i].view);
    pack_count(&fields, "failed", result->on_demands[i].failed);
    pack_map_end(&fields);
  }
  pack_map_end(&map);
}

bool method_get_historical_features(Call *call, const void *params, Error *err)
{
  const GetHistoricalFeaturesParams *wanted = params;
  if ((wanted->service.data != NULL) == (wanted->features.raw.data != NULL)) {
    return error_set(err, ERR_INVALID,
                     wanted->service.data ? "give either service or features, not both"
                                          : "get_historical_features needs service or features");
  }
  RoleKey *maps;
  size_t map_count;
  if (!take_maps(wanted->maps.raw, &maps, &map_count, call->arena, err)) {
    return false;
  }
  TimeUnit unit = UNIT_NONE;
  if (wanted->time_unit.data) {
    clock_parse_unit(wanted->time_unit, &unit);  // checked by the dispatch
  }
  HistoryRequest request = {
      .spine = arena_text(call->arena, wanted->spine),
      .output = arena_text(call->arena, wanted->output),
      .features = wanted->features.items,
      .feature_count = wanted->features.count,
      .service = text_or_null(wanted->service, call->arena),
      .timestamp = text_or_null(wanted->timestamp, call->arena),
      .time_unit = unit,
      .maps = maps,
      .map_count = map_count,
      .as_of_created = wanted->as_of_created,
      .full_feature_names = wanted->full_feature_names,
      .statuses = wanted->statuses,
      .event_timestamps = wanted->event_timestamps,
  };
  HistoryResult result = {0};
  if (!take_rejects(wanted->on_bad_row, wanted->rejects, &request.reject, &request.rejects,
                    call->arena, err)
      || !engine_get_historical_features(call->context->engine, &request, &result, call->arena,
                                         err)) {
    return false;
  }
  pack_history(call->result, &result);
  return true;
}

// materialize ----------------------------------------------------------------------------------

static void pack_materialized(Buf *out, const MaterializeResult *result)
{
  PackMap map = pack_map_begin(out);
  pack_key(&map, "views");
  pack_array(out, result->view_count);
  for (size_t i = 0; i < result->view_count; i++) {
    const MaterializedView *view = &result->views[i];
    PackMap fields = pack_map_begin(out);
    pack_text(&fields, "view", view->view);
    pack_time(&fields, "start", view->start);
    pack_time(&fields, "end", view->end);
    pack_count(&fields, "read", view->read);
    pack_count(&fields, "inside", view->inside);
    pack_count(&fields, "late", view->late);
    pack_count(&fields, "written", view->written);
    pack_count(&fields, "stale", view->stale);
    pack_count(&fields, "rejected", view->rejected);
    pack_count(&fields, "filtered", view->filtered);
    pack_count(&fields, "failed", view->failed);
    pack_time(&fields, "mark", view->mark);
    pack_flag(&fields, "gap", view->gap);
    pack_map_end(&fields);
  }
  pack_map_end(&map);
}

static bool materialize(Call *call, const MaterializeRequest *request, Error *err)
{
  MaterializeResult result = {0};
  if (!engine_materialize(call->context->engine, request, &result, call->arena, err)) {
    return false;
  }
  pack_materialized(call->result, &result);
  return true;
}

bool method_materialize(Call *call, const void *params, Error *err)
{
  const MaterializeParams *wanted = params;
  MaterializeRequest request = {
      .start = wanted->start,
      .end = wanted->end,
      .views = wanted->views.items,
      .view_count = wanted->views.count,
  };
  return take_rejects(wanted->on_bad_row, wanted->rejects, &request.reject, &request.rejects,
                      call->arena, err)
         && materialize(call, &request, err);
}

bool method_materialize_incremental(Call *call, const void *params, Error *err)
{
  const MaterializeIncrementalParams *wanted = params;
  MaterializeRequest request = {
      .incremental = true,
      .end = wanted->end,
      .views = wanted->views.items,
      .view_count = wanted->views.count,
  };
  return take_rejects(wanted->on_bad_row, wanted->rejects, &request.reject, &request.rejects,
                      call->arena, err)
         && materialize(call, &request, err);
}

// copy_file ------------------------------------------------------------------------------------

bool method_copy_file(Call *call, const void *params, Error *err)
{
  const CopyFileParams *wanted = params;
  uint64_t rows = 0;
  if (!engine_copy_file(call->context->engine, arena_text(call->arena, wanted->from),
                        arena_text(call->arena, wanted->to), &rows, err)) {
    return false;
  }
  PackMap map = pack_map_begin(call->result);
  pack_count(&map, "rows", rows);
  pack_map_end(&map);
  return true;
}
