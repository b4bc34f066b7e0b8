#include "rpc/expose.h"

#include <inttypes.h>
#include <stddef.h>

#include "base/clock.h"
#include "rpc/status.h"

// Histograms are told with bounds that are powers of two of a nanosecond, which cut no bucket:
// about 1 us to 17 s.
enum { LEAST_POWER = 10, MOST_POWER = 34 };

static void put_head(Buf *out, const char *family, const char *type, const char *help)
{
  buf_print(out, "# HELP tidemark_%s %s.\n# TYPE tidemark_%s %s\n", family, help, family, type);
}

static void put_gauge(Buf *out, const char *family, const char *help, double value)
{
  put_head(out, family, "gauge", help);
  buf_print(out, "tidemark_%s %.17g\n", family, value);
}

// A label's value, between quotes.
static void put_label(Buf *out, const char *value)
{
  for (; *value; value++) {
    if (*value == '\n') {
      buf_put(out, "\\n", 2);
    } else {
      if (*value == '"' || *value == '\\') {
        buf_put_byte(out, '\\');
      }
      buf_put_byte(out, (uint8_t)*value);
    }
  }
}

static void put_labelled(Buf *out, const char *family, const char *label, const char *value)
{
  buf_print(out, "tidemark_%s{%s=\"", family, label);
  put_label(out, value);
  buf_put(out, "\"", 1);
}

// Counters -------------------------------------------------------------------------------------

static void put_counters(const Observer *observer, Buf *out)
{
  static const struct {
    size_t offset;
    const char *family;
    const char *label;
    const char *help;
  } COUNTERS[] = {
#define X(field, family, label, help) {offsetof(Counters, field), family "_total", label, help},
      METRICS_COUNTERS(X)
#undef X
  };
  for (size_t i = 0; i < sizeof(COUNTERS) / sizeof(COUNTERS[0]); i++) {
    if (*COUNTERS[i].help) {
      put_head(out, COUNTERS[i].family, "counter", COUNTERS[i].help);
    }
    bool labelled = *COUNTERS[i].label;
    buf_print(out, "tidemark_%s%s%s%s %" PRIu64 "\n", COUNTERS[i].family, labelled ? "{" : "",
              COUNTERS[i].label, labelled ? "}" : "",
              observer_counter(observer, COUNTERS[i].offset));
  }
}

// Times ----------------------------------------------------------------------------------------

static void put_histogram(Buf *out, const char *family, const char *label, const MetricsSum *sum)
{
  for (unsigned power = LEAST_POWER; power <= MOST_POWER; power++) {
    buf_print(out, "tidemark_%s_bucket{%s=\"", family, label);
    put_label(out, sum->name);
    buf_print(out, "\",le=\"%.9f\"} %" PRIu64 "\n", (double)(UINT64_C(1) << power) * 1e-9,
              histogram_below(&sum->time, power));
  }
  buf_print(out, "tidemark_%s_bucket{%s=\"", family, label);
  put_label(out, sum->name);
  buf_print(out, "\",le=\"+Inf\"} %" PRIu64 "\n", sum->time.count);
  buf_print(out, "tidemark_%s_sum{%s=\"", family, label);
  put_label(out, sum->name);
  buf_print(out, "\"} %.9f\n", (double)sum->time.sum * 1e-9);
  buf_print(out, "tidemark_%s_count{%s=\"", family, label);
  put_label(out, sum->name);
  buf_print(out, "\"} %" PRIu64 "\n", sum->time.count);
}

static void put_errors(Buf *out, const MetricsSum *methods, size_t count)
{
  put_head(out, "errors_total", "counter", "Requests that failed, by method and error code");
  for (size_t i = 0; i < count; i++) {
    for (size_t code = 1; code < METRICS_CODES; code++) {
      if (methods[i].errors[code]) {
        put_labelled(out, "errors_total", "method", methods[i].name);
        buf_print(out, ",code=\"%s\"} %" PRIu64 "\n", error_code_name((ErrorCode)code),
                  methods[i].errors[code]);
      }
    }
  }
}

static void put_times(const Observer *observer, Buf *out, Arena *arena)
{
  size_t count;
  const MetricsSum *methods = observer_methods(observer, &count, arena);
  put_head(out, "request_seconds", "histogram", "Time from a request to its answer, by method");
  for (size_t i = 0; i < count; i++) {
    put_histogram(out, "request_seconds", "method", &methods[i]);
  }
  put_errors(out, methods, count);
  const MetricsSum *services = observer_services(observer, &count, arena);
  put_head(out, "service_seconds", "histogram",
           "Time from a request to its answer, by feature service");
  for (size_t i = 0; i < count; i++) {
    put_histogram(out, "service_seconds", "service", &services[i]);
  }
  put_head(out, "service_rows_total", "counter", "Entities answered, by feature service");
  for (size_t i = 0; i < count; i++) {
    put_labelled(out, "service_rows_total", "service", services[i].name);
    buf_print(out, "} %" PRIu64 "\n", services[i].rows);
  }
}

// State ----------------------------------------------------------------------------------------

static double seconds(int64_t microseconds)
{
  return (double)microseconds * 1e-6;
}

typedef struct {
  const char *family;
  const char *help;
  bool (*value)(const Status *status, const ViewStatusLine *view, double *value);
} ViewGauge;

static bool value_rows(const Status *status, const ViewStatusLine *view, double *value)
{
  (void)status;
  *value = (double)view->rows;
  return view->counted;
}

static bool value_tombstones(const Status *status, const ViewStatusLine *view, double *value)
{
  (void)status;
  *value = (double)view->deleted;
  return view->counted;
}

static bool value_mark(const Status *status, const ViewStatusLine *view, double *value)
{
  (void)status;
  *value = seconds(view->mark.materialized_to);
  return view->marked;
}

static bool value_age(const Status *status, const ViewStatusLine *view, double *value)
{
  *value = seconds(status_age(status, view));
  return view->marked;
}

static bool value_updated(const Status *status, const ViewStatusLine *view, double *value)
{
  (void)status;
  *value = seconds(view->mark.updated_at);
  return view->marked;
}

static void put_views(const Status *status, Buf *out)
{
  static const ViewGauge GAUGES[] = {
      {"view_rows", "Online rows of a view, as last counted", value_rows},
      {"view_tombstones", "Deleted rows of a view, as last counted", value_tombstones},
      {"view_mark_seconds", "The mark: up to which event time a view is materialized", value_mark},
      {"view_age_seconds", "Time since the mark of a view", value_age},
      {"view_updated_seconds", "When a view was last materialized", value_updated},
  };
  for (size_t i = 0; i < sizeof(GAUGES) / sizeof(GAUGES[0]); i++) {
    put_head(out, GAUGES[i].family, "gauge", GAUGES[i].help);
    for (size_t k = 0; k < status->view_count; k++) {
      double value;
      if (GAUGES[i].value(status, &status->views[k], &value)) {
        put_labelled(out, GAUGES[i].family, "view", status->views[k].name);
        buf_print(out, "} %.17g\n", value);
      }
    }
  }
  if (status->counted_at != TIME_NULL) {
    put_gauge(out, "rows_counted_seconds", "When the rows of all views were last counted",
              seconds(status->counted_at));
  }
}

static void put_writer(const Status *status, Buf *out)
{
  if (!status->writing) {
    return;
  }
  const WriterStatus *writer = &status->writer;
  put_gauge(out, "push_queue", "Pushes that wait for the log", (double)writer->queued_pushes);
  put_gauge(out, "push_queue_bytes", "Of them", (double)writer->queued_bytes);
  put_gauge(out, "push_unapplied_tables", "Of logged rows that wait to be put into the store",
            (double)writer->unapplied_tables);
  put_gauge(out, "push_apply_failing", "Whether logged rows cannot be put into the store",
            writer->apply_error.code != ERR_NONE);
}

static void put_status(CallContext *context, Buf *out, Arena *arena)
{
  Status status;
  Error err = {0};
  bool ok = status_read(context, &status, arena, &err);
  put_gauge(out, "store_readable", "Whether the store could be read; 1 where there is none yet",
            ok);
  if (!ok) {
    return;
  }
  put_gauge(out, "generation", "Of the definitions; 0: nothing was applied",
            (double)status.generation);
  if (status.generation == 0) {
    return;
  }
  put_views(&status, out);
  put_gauge(out, "store_map_bytes", "Upper bound of the store", (double)status.store.map_size);
  put_gauge(out, "store_used_bytes", "Of the store's map in use", (double)status.store.used);
  put_gauge(out, "store_rows", "Online rows of all views", (double)status.store.online_rows);
  put_gauge(out, "store_readers", "Reader slots of the store in use", status.store.readers);
  put_writer(&status, out);
}

void expose_metrics(CallContext *context, Buf *out)
{
  const Observer *observer = context->observer;
  Arena arena = {0};
  put_head(out, "build_info", "gauge", "The program");
  buf_print(out, "tidemark_build_info{version=\"%s\"} 1\n", TIDEMARK_VERSION);
  put_gauge(out, "uptime_seconds", "Since the start",
            (double)(clock_monotonic_ns() - observer->started) * 1e-9);
  put_gauge(out, "threads", "That answer requests", (double)observer->count);
  put_gauge(out, "connections", "Open now", (double)observer_connections(observer));
  put_counters(observer, out);
  CacheSum cache = observer_cache(observer);
  put_gauge(out, "cache_bytes", "Of rows kept in memory", (double)cache.bytes);
  put_gauge(out, "cache_capacity_bytes", "As many fit", (double)cache.capacity);
  put_times(observer, out, &arena);
  put_status(context, out, &arena);
  context_end_read(context);
  arena_deinit(&arena);
}

bool expose_health(CallContext *context, Error *err)
{
  bool ok = context_read(context, err);
  if (!ok && err->code == ERR_NOT_FOUND) {
    error_clear(err);
    ok = true;
  }
  context_end_read(context);
  return ok;
}
