#pragma once
// What a server counts and times. Each loop has numbers of its own, written by its thread alone
// with plain stores and read by anyone at any time; whoever asks adds them up.

#include <stdatomic.h>

#include "base/arena.h"
#include "base/error.h"
#include "data/row.h"
#include "rpc/rowcount.h"
#include "store/row_cache.h"

// Counters -------------------------------------------------------------------------------------

typedef _Atomic uint64_t Counter;

// Field, Prometheus family without "tidemark_" and "_total", label or "", help.
#define METRICS_COUNTERS(X)                                                                    \
  X(connections, "connections_opened", "", "Connections accepted")                             \
  X(refused, "connections_refused", "", "Connections beyond the bound")                        \
  X(accept_failures, "accept_failures", "", "Times the system refused to accept a connection") \
  X(closed_peer, "connections_closed", "reason=\"peer\"", "Connections closed, by reason")     \
  X(closed_idle, "connections_closed", "reason=\"idle\"", "")                                  \
  X(closed_slow, "connections_closed", "reason=\"slow\"", "")                                  \
  X(closed_bad, "connections_closed", "reason=\"protocol\"", "")                               \
  X(closed_refused, "connections_closed", "reason=\"refused\"", "")                            \
  X(closed_error, "connections_closed", "reason=\"error\"", "")                                \
  X(closed_stop, "connections_closed", "reason=\"stop\"", "")                                  \
  X(received, "received_bytes", "", "Bytes read from connections")                             \
  X(sent, "sent_bytes", "", "Bytes of answers")                                                \
  X(notifications, "notifications", "", "Messages that want no answer")                        \
  X(overdue, "overdue_requests", "", "Requests refused because they had waited too long")      \
  X(rows, "rows", "", "Entities answered by get_online_features")                              \
  X(present, "lookups", "status=\"PRESENT\"",                                                  \
    "Rows looked up, one per entity and view, by what was found")                              \
  X(not_found, "lookups", "status=\"NOT_FOUND\"", "")                                          \
  X(outside_max_age, "lookups", "status=\"OUTSIDE_MAX_AGE\"", "")                              \
  X(deleted, "lookups", "status=\"DELETED\"", "")                                              \
  X(failed, "on_demand_errors", "",                                                            \
    "Rows of on-demand views that are nulls because their function failed")                    \
  X(cache_found, "cache_lookups", "result=\"found\"",                                          \
    "Rows looked for in memory, by what was found")                                            \
  X(cache_missed, "cache_lookups", "result=\"missed\"", "")                                    \
  X(cache_stale, "cache_lookups", "result=\"stale\"", "")                                      \
  X(cache_evicted, "cache_evicted", "", "Rows in memory that made room for others")

typedef struct {
#define X(field, family, label, help) Counter field;
  METRICS_COUNTERS(X)
#undef X
} Counters;

// Only the thread that owns the counter may add to it: no locked instruction is needed.
static inline void counter_add(Counter *counter, uint64_t value)
{
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + value,
                        memory_order_relaxed);
}

static inline void counter_set(Counter *counter, uint64_t value)
{
  atomic_store_explicit(counter, value, memory_order_relaxed);
}

static inline uint64_t counter_read(const Counter *counter)
{
  return atomic_load_explicit(counter, memory_order_relaxed);
}

// Histograms -----------------------------------------------------------------------------------

// Nanoseconds in buckets of equal width between two powers of two, 16 of them: every bucket is at
// most 1/16 of its value wide. Greater values than the last one count as that.
enum {
  HISTOGRAM_BITS = 4,
  HISTOGRAM_TOP = 37,  // 2^37 ns are 137 s
  HISTOGRAM_BUCKETS = (HISTOGRAM_TOP - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS,
};

typedef struct {
  Counter buckets[HISTOGRAM_BUCKETS];
  Counter sum;
  Counter max;
} Histogram;

static inline size_t histogram_bucket(uint64_t value)
{
  if (value >> HISTOGRAM_TOP) {
    return HISTOGRAM_BUCKETS - 1;
  }
  if (value >> HISTOGRAM_BITS == 0) {
    return value;
  }
  unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS;
  return ((size_t)shift << HISTOGRAM_BITS) + (size_t)(value >> shift);
}

static inline void histogram_add(Histogram *histogram, uint64_t value)
{
  counter_add(&histogram->buckets[histogram_bucket(value)], 1);
  counter_add(&histogram->sum, value);
  if (value > counter_read(&histogram->max)) {
    atomic_store_explicit(&histogram->max, value, memory_order_relaxed);
  }
}

// Several histograms added up.
typedef struct {
  uint64_t buckets[HISTOGRAM_BUCKETS];
  uint64_t count;
  uint64_t sum;
  uint64_t max;
} HistogramSum;

void histogram_sum(HistogramSum *sum, const Histogram *histogram);

// An upper bound of the value that `share` (0 to 1) of all values do not exceed; 0 without values.
uint64_t histogram_quantile(const HistogramSum *sum, double share);

// How many values are below a power of two.
uint64_t histogram_below(const HistogramSum *sum, unsigned power);

// One loop -------------------------------------------------------------------------------------

enum { METRICS_CODES = 16, METRICS_SERVICES = 256 };

typedef struct {
  Histogram time;                 // of all its requests, failed ones included
  Counter errors[METRICS_CODES];  // by ErrorCode
} MethodMetrics;

typedef struct ServiceMetrics ServiceMetrics;
struct ServiceMetrics {
  ServiceMetrics *next;
  const char *name;  // owned
  Histogram time;    // of requests that succeeded
  Counter rows;
};

typedef struct {
  Counters counters;
  Counter cache_bytes;  // in use, and the most there may be
  Counter cache_capacity;
  MethodMetrics *methods;              // as METHODS has them, and one more for unknown ones
  _Atomic(ServiceMetrics *) services;  // newest first; they stay
  size_t service_count;                // its thread's
} Metrics;

Metrics *metrics_new(void);
void metrics_free(Metrics *metrics);

// Takes over what the cache of its thread's reader has counted.
void metrics_set_cache(Metrics *metrics, const RowCacheStats *stats);

// Its thread's numbers of one service; NULL when there are METRICS_SERVICES others already.
ServiceMetrics *metrics_service(Metrics *metrics, Slice name);

// All loops ------------------------------------------------------------------------------------

typedef struct {
  Metrics **loops;
  size_t count;
  uint64_t started;  // clock_monotonic_ns
  RowCount *rows;    // NULL: rows are not counted
} Observer;

typedef struct {
  const char *name;
  HistogramSum time;
  uint64_t rows;
  uint64_t errors[METRICS_CODES];  // methods only
  uint64_t error_count;
} MetricsSum;

uint64_t observer_counter(const Observer *observer, size_t offset);  // in Counters
uint64_t observer_connections(const Observer *observer);             // open now

typedef struct {
  uint64_t bytes;  // of rows in memory
  uint64_t capacity;
} CacheSum;

CacheSum observer_cache(const Observer *observer);

// Methods that were called.
MetricsSum *observer_methods(const Observer *observer, size_t *count, Arena *arena);
MetricsSum *observer_services(const Observer *observer, size_t *count, Arena *arena);
