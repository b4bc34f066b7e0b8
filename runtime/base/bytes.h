#pragma once
// Fixed-width loads and stores. Big-endian with the sign bit flipped sorts like the number does, so
// that is how keys are written; rows on disk are little-endian.

#include <stdint.h>
#include <string.h>

static inline uint64_t bytes_load_u64(const void *at)
{
  uint64_t value;
  memcpy(&value, at, sizeof(value));
  return value;
}

static inline void bytes_store_be16(void *at, uint16_t value)
{
  value = __builtin_bswap16(value);
  memcpy(at, &value, sizeof(value));
}

static inline void bytes_store_be32(void *at, uint32_t value)
{
  value = __builtin_bswap32(value);
  memcpy(at, &value, sizeof(value));
}

static inline void bytes_store_be64(void *at, uint64_t value)
{
  value = __builtin_bswap64(value);
  memcpy(at, &value, sizeof(value));
}

static inline uint16_t bytes_load_be16(const void *at)
{
  uint16_t value;
  memcpy(&value, at, sizeof(value));
  return __builtin_bswap16(value);
}

static inline uint32_t bytes_load_be32(const void *at)
{
  uint32_t value;
  memcpy(&value, at, sizeof(value));
  return __builtin_bswap32(value);
}

static inline uint64_t bytes_load_be64(const void *at)
{
  return __builtin_bswap64(bytes_load_u64(at));
}

// An int64 as the uint64 that sorts the same way.
static inline uint64_t bytes_order_i64(int64_t value)
{
  return (uint64_t)value ^ (UINT64_C(1) << 63);
}

static inline int64_t bytes_unorder_i64(uint64_t value)
{
  return (int64_t)(value ^ (UINT64_C(1) << 63));
}
