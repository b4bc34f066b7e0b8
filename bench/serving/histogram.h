#pragma once
// Latencies in buckets that are 1/64 of their value wide: exact enough, and cheap to count.

#include <stdint.h>

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_BUCKETS = 64 * HISTOGRAM_STEPS };

typedef struct {
  uint64_t counts[HISTOGRAM_BUCKETS];
  uint64_t total;
  uint64_t most;
} Histogram;

static inline uint32_t histogram_bucket(uint64_t value)
{
  if (value < HISTOGRAM_STEPS) {
    return (uint32_t)value;
  }
  uint32_t power = 63 - (uint32_t)__builtin_clzll(value);
  return (power - 5) * HISTOGRAM_STEPS + (uint32_t)(value >> (power - 6)) - HISTOGRAM_STEPS;
}

static inline void histogram_add(Histogram *histogram, uint64_t value)
{
  histogram->counts[histogram_bucket(value)]++;
  histogram->total++;
  histogram->most = value > histogram->most ? value : histogram->most;
}

// The value that `share` of all are not above; its bucket's lower edge.
static inline uint64_t histogram_quantile(const Histogram *histogram, double share)
{
  uint64_t wanted = (uint64_t)(share * (double)histogram->total);
  uint64_t seen = 0;
  uint32_t bucket = 0;
  while (bucket + 1 < HISTOGRAM_BUCKETS && (seen += histogram->counts[bucket]) <= wanted) {
    bucket++;
  }
  if (bucket < HISTOGRAM_STEPS) {
    return bucket;
  }
  uint32_t power = bucket / HISTOGRAM_STEPS + 5;
  return (uint64_t)(bucket % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << (power - 6);
}
