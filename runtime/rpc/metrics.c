#include "rpc/metrics.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/methods.h"

// Histograms -----------------------------------------------------------------------------------

void histogram_sum(HistogramSum *sum, const Histogram *histogram)
{
  for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
    uint64_t count = counter_read(&histogram->buckets[i]);
    sum->buckets[i] += count;
    sum->count += count;
  }
  uint64_t max = counter_read(&histogram->max);
  sum->sum += counter_read(&histogram->sum);
  sum->max = max > sum->max ? max : sum->max;
}

// The first value beyond a bucket.
static uint64_t bucket_end(size_t bucket)
{
  if (bucket >> HISTOGRAM_BITS == 0) {
    return bucket + 1;
  }
  size_t shift = (bucket >> HISTOGRAM_BITS) - 1;
  uint64_t first = (bucket & ((1 << HISTOGRAM_BITS) - 1)) | (1 << HISTOGRAM_BITS);
  return (first + 1) << shift;
}

uint64_t histogram_quantile(const HistogramSum *sum, double share)
{
  uint64_t wanted = (uint64_t)(share * (double)sum->count);
  wanted = wanted < sum->count ? wanted : sum->count - 1;
  uint64_t seen = 0;
  for (size_t i = 0; sum->count && i < HISTOGRAM_BUCKETS; i++) {
    seen += sum->buckets[i];
    if (seen > wanted) {
      uint64_t end = bucket_end(i) - 1;
      return end < sum->max ? end : sum->max;
    }
  }
  return 0;
}

uint64_t histogram_below(const HistogramSum *sum, unsigned power)
{
  assert(power >= HISTOGRAM_BITS && power <= HISTOGRAM_TOP);
  size_t end = histogram_bucket((UINT64_C(1) << power) - 1) + 1;
  uint64_t below = 0;
  for (size_t i = 0; i < end; i++) {
    below += sum->buckets[i];
  }
  return below;
}

// One loop -------------------------------------------------------------------------------------

Metrics *metrics_new(void)
{
  Metrics *metrics = mem_zalloc(1, sizeof(*metrics));
  metrics->methods = mem_zalloc(METHOD_COUNT + 1, sizeof(*metrics->methods));
  return metrics;
}

void metrics_free(Metrics *metrics)
{
  if (!metrics) {
    return;
  }
  for (ServiceMetrics *service = metrics->services, *next; service; service = next) {
    next = service->next;
    free((char *)service->name);
    free(service);
  }
  free(metrics->methods);
  free(metrics);
}

void metrics_set_cache(Metrics *metrics, const RowCacheStats *stats)
{
  Counters *counters = &metrics->counters;
  counter_set(&counters->cache_found, stats->found);
  counter_set(&counters->cache_missed, stats->missed - stats->stale);
  counter_set(&counters->cache_stale, stats->stale);
  counter_set(&counters->cache_evicted, stats->evicted);
  counter_set(&metrics->cache_bytes, stats->bytes);
  counter_set(&metrics->cache_capacity, stats->capacity);
}

ServiceMetrics *metrics_service(Metrics *metrics, Slice name)
{
  ServiceMetrics *first = atomic_load_explicit(&metrics->services, memory_order_relaxed);
  for (ServiceMetrics *service = first; service; service = service->next) {
    if (slice_is(name, service->name)) {
      return service;
    }
  }
  if (metrics->service_count == METRICS_SERVICES) {
    return NULL;
  }
  ServiceMetrics *service = mem_zalloc(1, sizeof(*service));
  char *copy = mem_zalloc(1, name.size + 1);
  memcpy(copy, name.data, name.size);
  service->name = copy;
  service->next = first;
  metrics->service_count++;
  atomic_store_explicit(&metrics->services, service, memory_order_release);
  return service;
}

// All loops ------------------------------------------------------------------------------------

uint64_t observer_counter(const Observer *observer, size_t offset)
{
  assert(offset < sizeof(Counters));
  uint64_t sum = 0;
  for (size_t i = 0; i < observer->count; i++) {
    const char *counters = (const char *)&observer->loops[i]->counters;
    sum += counter_read((const Counter *)(const void *)(counters + offset));
  }
  return sum;
}

uint64_t observer_connections(const Observer *observer)
{
  static const size_t CLOSED[] = {
      offsetof(Counters, closed_peer),    offsetof(Counters, closed_idle),
      offsetof(Counters, closed_slow),    offsetof(Counters, closed_bad),
      offsetof(Counters, closed_refused), offsetof(Counters, closed_error),
      offsetof(Counters, closed_stop),
  };
  uint64_t closed = 0;
  for (size_t i = 0; i < sizeof(CLOSED) / sizeof(CLOSED[0]); i++) {
    closed += observer_counter(observer, CLOSED[i]);
  }
  // Read last: a connection is counted here first.
  uint64_t opened = observer_counter(observer, offsetof(Counters, connections));
  return opened > closed ? opened - closed : 0;
}

CacheSum observer_cache(const Observer *observer)
{
  CacheSum sum = {0};
  for (size_t i = 0; i < observer->count; i++) {
    sum.bytes += counter_read(&observer->loops[i]->cache_bytes);
    sum.capacity += counter_read(&observer->loops[i]->cache_capacity);
  }
  return sum;
}

MetricsSum *observer_methods(const Observer *observer, size_t *count, Arena *arena)
{
  MetricsSum *sums = arena_zalloc(arena, METHOD_COUNT + 1, sizeof(*sums));
  *count = 0;
  for (size_t method = 0; method <= METHOD_COUNT; method++) {
    MetricsSum *sum = &sums[*count];
    sum->name = method < METHOD_COUNT ? METHODS[method].name : "unknown";
    for (size_t i = 0; i < observer->count; i++) {
      const MethodMetrics *metrics = &observer->loops[i]->methods[method];
      histogram_sum(&sum->time, &metrics->time);
      for (size_t code = 0; code < METRICS_CODES; code++) {
        uint64_t errors = counter_read(&metrics->errors[code]);
        sum->errors[code] += errors;
        sum->error_count += errors;
      }
    }
    *count += sum->time.count > 0;
  }
  return sums;
}

static void add_service(MetricsSum *sums, size_t *count, const ServiceMetrics *service)
{
  size_t i = 0;
  while (i < *count && strcmp(sums[i].name, service->name) != 0) {
    i++;
  }
  sums[i].name = service->name;
  *count = i < *count ? *count : i + 1;
  histogram_sum(&sums[i].time, &service->time);
  sums[i].rows += counter_read(&service->rows);
}

static int compare_names(const void *a, const void *b)
{
  return strcmp(((const MetricsSum *)a)->name, ((const MetricsSum *)b)->name);
}

MetricsSum *observer_services(const Observer *observer, size_t *count, Arena *arena)
{
  *count = 0;
  size_t found = 0;
  for (size_t i = 0; i < observer->count; i++) {
    const ServiceMetrics *service =
        atomic_load_explicit(&observer->loops[i]->services, memory_order_acquire);
    for (; service; service = service->next) {
      found++;
    }
  }
  // Another thread may add one after they were counted: it is seen the next time.
  MetricsSum *sums = arena_zalloc(arena, found + 1, sizeof(*sums));
  for (size_t i = 0; i < observer->count; i++) {
    const ServiceMetrics *service =
        atomic_load_explicit(&observer->loops[i]->services, memory_order_acquire);
    for (; service && *count < found; service = service->next) {
      add_service(sums, count, service);
    }
  }
  qsort(sums, *count, sizeof(*sums), compare_names);
  return sums;
}
