#pragma once
// Time as the contract has it: int64 microseconds since the Unix epoch, UTC, proleptic Gregorian.
// Civil-date arithmetic follows Howard Hinnant's "chrono-compatible low-level date algorithms".

#include "base/error.h"
#include "base/slice.h"

typedef int64_t Time;  // microseconds since 1970-01-01T00:00:00Z

// A missing time. Sorts below every real one, which is what contract rule 3 asks of a null
// created_time; readers refuse it as a value.
#define TIME_NULL INT64_MIN
#define TIME_MIN (INT64_MIN + 1)
#define TIME_MAX INT64_MAX

typedef enum { UNIT_NONE, UNIT_S, UNIT_MS, UNIT_US, UNIT_NS } TimeUnit;

// "s", "ms", "us", "ns"; false for anything else.
bool clock_parse_unit(Slice text, TimeUnit *unit);

// ISO-8601: `2021-04-12`, `2021-04-12T07:00`, `… 07:00:00.123456789+02:00`, `…Z`, a space or T
// between date and time, offsets ±hh, ±hhmm, ±hh:mm; without an offset it is UTC. Years of 1 to 6
// digits with an optional sign. Digits beyond the microsecond are floored. Fails on anything else
// and on times that int64 microseconds cannot hold.
bool clock_parse(Slice text, Time *time, Error *err);

// An integer count of `unit` as microseconds; nanoseconds are floored. Fails where int64 cannot
// hold the result or `unit` is UNIT_NONE.
bool clock_from_unit(int64_t value, TimeUnit unit, Time *time, Error *err);
// The other way: floored, and bounded where nanoseconds do not fit. Not for UNIT_NONE.
int64_t clock_to_unit(Time time, TimeUnit unit);

// RFC 3339 with Z: no fraction when it is zero, six digits otherwise. Returns the length written;
// `out` holds at least CLOCK_TEXT_SIZE bytes and is NUL-terminated.
enum { CLOCK_TEXT_SIZE = 40 };
size_t clock_print(Time time, char *out);

// Shortest sum of units that a definition reads as the same duration (lua/tidemark/duration.lua):
// "365d", "1h30m", "5us".
size_t clock_print_duration(int64_t microseconds, char *out);

Time clock_now(void);  // wall clock, UTC
uint64_t clock_monotonic_ns(void);

// a + b and a - b, held at TIME_MIN and TIME_MAX: for bounds, never for stored times.
static inline Time clock_add_bounded(Time a, int64_t b)
{
  Time sum;
  if (__builtin_add_overflow(a, b, &sum)) {
    return b < 0 ? TIME_MIN : TIME_MAX;
  }
  return sum < TIME_MIN ? TIME_MIN : sum;
}

static inline Time clock_sub_bounded(Time a, int64_t b)
{
  Time difference;
  if (__builtin_sub_overflow(a, b, &difference)) {
    return b < 0 ? TIME_MAX : TIME_MIN;
  }
  return difference < TIME_MIN ? TIME_MIN : difference;
}
