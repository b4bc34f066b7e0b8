#pragma once
// 64-bit hashing for tables in memory. Never stored: the function may change between versions.
// The mixer is the 64x64->128 bit multiply-and-fold of Wang Yi's wyhash, public domain.

#include "base/slice.h"

static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
  __uint128_t product = (__uint128_t)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_u64(uint64_t value)
{
  return hash_mix(value ^ UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xe7037ed1a0b428db));
}

uint64_t hash_bytes(Slice bytes, uint64_t seed);
