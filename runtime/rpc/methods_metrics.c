// metrics: what was counted and timed, and the state of what is served.

#include <stddef.h>

#include "rpc/methods.h"
#include "rpc/pack.h"
#include "rpc/status.h"

static void pack_counters(PackMap *map, const Observer *observer)
{
  pack_key(map, "counters");
  PackMap counters = pack_map_begin(map->out);
#define X(field, family, label, help) \
  pack_count(&counters, #field, observer_counter(observer, offsetof(Counters, field)));
  METRICS_COUNTERS(X)
#undef X
  pack_map_end(&counters);
}

static void pack_cache(PackMap *map, const Observer *observer)
{
  CacheSum sum = observer_cache(observer);
  pack_key(map, "cache");
  PackMap cache = pack_map_begin(map->out);
  pack_count(&cache, "bytes", sum.bytes);
  pack_count(&cache, "capacity", sum.capacity);
  pack_map_end(&cache);
}

static void pack_times(PackMap *map, const HistogramSum *sum)
{
  pack_count(map, "count", sum->count);
  pack_key(map, "nanoseconds");
  PackMap times = pack_map_begin(map->out);
  pack_count(&times, "mean", sum->count ? sum->sum / sum->count : 0);
  pack_count(&times, "p50", histogram_quantile(sum, 0.5));
  pack_count(&times, "p90", histogram_quantile(sum, 0.9));
  pack_count(&times, "p99", histogram_quantile(sum, 0.99));
  pack_count(&times, "p999", histogram_quantile(sum, 0.999));
  pack_count(&times, "max", sum->max);
  pack_map_end(&times);
}

static void pack_methods(PackMap *map, const Observer *observer, Arena *arena)
{
  size_t count;
  const MetricsSum *sums = observer_methods(observer, &count, arena);
  pack_key(map, "methods");
  PackMap methods = pack_map_begin(map->out);
  for (size_t i = 0; i < count; i++) {
    pack_key(&methods, sums[i].name);
    PackMap fields = pack_map_begin(map->out);
    pack_times(&fields, &sums[i].time);
    pack_key(&fields, "errors");
    PackMap errors = pack_map_begin(map->out);
    for (size_t code = 1; code < METRICS_CODES; code++) {
      if (sums[i].errors[code]) {
        pack_count(&errors, error_code_name((ErrorCode)code), sums[i].errors[code]);
      }
    }
    pack_map_end(&errors);
    pack_map_end(&fields);
  }
  pack_map_end(&methods);
}

static void pack_services(PackMap *map, const Observer *observer, Arena *arena)
{
  size_t count;
  const MetricsSum *sums = observer_services(observer, &count, arena);
  pack_key(map, "services");
  PackMap services = pack_map_begin(map->out);
  for (size_t i = 0; i < count; i++) {
    pack_key(&services, sums[i].name);
    PackMap fields = pack_map_begin(map->out);
    pack_times(&fields, &sums[i].time);
    pack_count(&fields, "rows", sums[i].rows);
    pack_map_end(&fields);
  }
  pack_map_end(&services);
}

static void pack_known(PackMap *map, const char *key, bool known, uint64_t count)
{
  if (known) {
    pack_count(map, key, count);
  } else {
    pack_text(map, key, NULL);
  }
}

static void pack_views(PackMap *map, const Status *status)
{
  pack_key(map, "views");
  pack_array(map->out, status->view_count);
  for (size_t i = 0; i < status->view_count; i++) {
    const ViewStatusLine *view = &status->views[i];
    PackMap fields = pack_map_begin(map->out);
    pack_text(&fields, "view", view->name);
    pack_time(&fields, "mark", view->marked ? view->mark.materialized_to : TIME_NULL);
    pack_time(&fields, "age", view->marked ? status_age(status, view) : TIME_NULL);
    pack_time(&fields, "updated_at", view->marked ? view->mark.updated_at : TIME_NULL);
    pack_known(&fields, "rows", view->counted, view->rows);
    pack_known(&fields, "tombstones", view->counted, view->deleted);
    pack_map_end(&fields);
  }
  pack_time(map, "counted_at", status->view_count ? status->counted_at : TIME_NULL);
}

static void pack_store(PackMap *map, const Status *status)
{
  pack_key(map, "store");
  if (status->generation == 0) {
    pack_nil(map->out);
    return;
  }
  PackMap store = pack_map_begin(map->out);
  pack_count(&store, "map_bytes", status->store.map_size);
  pack_count(&store, "used_bytes", status->store.used);
  pack_count(&store, "rows", status->store.online_rows);
  pack_count(&store, "readers", status->store.readers);
  pack_map_end(&store);
}

static void pack_writer(PackMap *map, const Status *status)
{
  pack_key(map, "log");
  if (!status->writing) {
    pack_nil(map->out);
    return;
  }
  const WriterStatus *writer = &status->writer;
  PackMap log = pack_map_begin(map->out);
  pack_count(&log, "queued_pushes", writer->queued_pushes);
  pack_count(&log, "queued_bytes", writer->queued_bytes);
  pack_count(&log, "unapplied_tables", writer->unapplied_tables);
  pack_text(&log, "failure", writer->apply_error.code ? writer->apply_error.message : NULL);
  pack_map_end(&log);
}

bool method_metrics(Call *call, const void *params, Error *err)
{
  (void)params;
  static const Observer NOBODY = {0};
  CallContext *context = call->context;
  const Observer *observer = context->observer ? context->observer : &NOBODY;
  uint64_t started = context->observer ? observer->started : context->started;
  Status status;
  if (!status_read(context, &status, call->arena, err)) {
    return false;
  }
  PackMap map = pack_map_begin(call->result);
  pack_count(&map, "uptime_seconds", (clock_monotonic_ns() - started) / 1000000000);
  pack_count(&map, "generation", status.generation);
  pack_count(&map, "threads", observer->count);
  pack_count(&map, "connections", observer_connections(observer));
  pack_counters(&map, observer);
  pack_cache(&map, observer);
  pack_methods(&map, observer, call->arena);
  pack_services(&map, observer, call->arena);
  pack_views(&map, &status);
  pack_store(&map, &status);
  pack_writer(&map, &status);
  pack_map_end(&map);
  return true;
}
