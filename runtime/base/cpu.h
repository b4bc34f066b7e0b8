#pragma once
// Kernels that are worth it come twice: in C for every machine, and with the instructions of newer
// ones, chosen while running. Both are the same loop, which takes its inner step as a parameter:
//
//   static inline ALWAYS_INLINE void loop(..., Step *step) { ... step(x) ... }
//   AVX2 static void loop_avx2(...) { loop(..., step_avx2); }

#include <stdbool.h>

#define ALWAYS_INLINE __attribute__((always_inline))

#ifdef __x86_64__

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))

static inline bool cpu_has_avx2(void)
{
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")
         && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
}

#endif
