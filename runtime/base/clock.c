#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

enum {
  US_PER_MS = 1000,
  US_PER_S = 1000 * 1000,
  S_PER_DAY = 86400,
};

static const struct {
  const char *name;
  TimeUnit unit;
  int64_t per_second;
} UNITS[] = {
    {"s", UNIT_S, 1},
    {"ms", UNIT_MS, 1000},
    {"us", UNIT_US, US_PER_S},
    {"ns", UNIT_NS, 1000000000},
};
enum { UNIT_COUNT = sizeof(UNITS) / sizeof(UNITS[0]) };

bool clock_parse_unit(Slice text, TimeUnit *unit)
{
  for (size_t i = 0; i < UNIT_COUNT; i++) {
    if (slice_is(text, UNITS[i].name)) {
      *unit = UNITS[i].unit;
      return true;
    }
  }
  return false;
}

static int64_t floor_div(int64_t a, int64_t b)
{
  return a / b - (a % b < 0);
}

bool clock_from_unit(int64_t value, TimeUnit unit, Time *time, Error *err)
{
  int64_t factor = unit == UNIT_S ? US_PER_S : unit == UNIT_MS ? US_PER_MS : 1;
  if (unit == UNIT_NONE) {
    return error_set(err, ERR_DATA,
                     "%lld is an integer: say its unit with time_unit = 's', 'ms', 'us' or 'ns'",
                     (long long)value);
  }
  if (unit == UNIT_NS) {
    *time = floor_div(value, 1000);
    return true;
  }
  Time result;
  if (__builtin_mul_overflow(value, factor, &result) || result == TIME_NULL) {
    return error_set(err, ERR_DATA, "%lld %s is outside the times that int64 microseconds hold",
                     (long long)value, UNITS[unit - UNIT_S].name);
  }
  *time = result;
  return true;
}

int64_t clock_to_unit(Time time, TimeUnit unit)
{
  int64_t result;
  switch (unit) {
  case UNIT_S:
    return floor_div(time, US_PER_S);
  case UNIT_MS:
    return floor_div(time, US_PER_MS);
  case UNIT_NS:
    if (__builtin_mul_overflow(time, 1000, &result)) {
      return time < 0 ? INT64_MIN : INT64_MAX;
    }
    return result;
  default:
    return time;
  }
}

// Days since 1970-01-01 of a proleptic Gregorian date (Hinnant, days_from_civil).
static int64_t days_from_civil(int64_t year, unsigned month, unsigned day)
{
  year -= month <= 2;
  int64_t era = floor_div(year, 400);
  int64_t year_of_era = year - era * 400;
  int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
  days += 719468;
  int64_t era = floor_div(days, 146097);
  int64_t day_of_era = days - era * 146097;
  int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted = (5 * day_of_year + 2) / 153;
  *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
  *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
  *year = year_of_era + era * 400 + (*month <= 2);
}

// A cursor over the text of a time.
typedef struct {
  const char *at;
  const char *end;
} Cursor;

static bool take(Cursor *cursor, char wanted)
{
  if (cursor->at < cursor->end && *cursor->at == wanted) {
    cursor->at++;
    return true;
  }
  return false;
}

static bool is_digit(const Cursor *cursor)
{
  return cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9';
}

// Reads `least` to `most` digits; false when there are fewer.
static bool take_digits(Cursor *cursor, int least, int most, int64_t *value)
{
  int count = 0;
  *value = 0;
  while (count < most && is_digit(cursor)) {
    *value = *value * 10 + (*cursor->at++ - '0');
    count++;
  }
  return count >= least;
}

typedef struct {
  int64_t year, month, day, hour, minute, second;
  int64_t microsecond;     // floored
  int64_t offset_seconds;  // east of UTC
} Civil;

static int64_t month_days(int64_t year, int64_t month)
{
  static const int8_t DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : DAYS[month - 1];
}

static bool parse_date(Cursor *cursor, Civil *civil)
{
  bool negative = take(cursor, '-');
  if (!negative) {
    take(cursor, '+');
  }
  if (!take_digits(cursor, 1, 6, &civil->year) || !take(cursor, '-')
      || !take_digits(cursor, 1, 2, &civil->month) || !take(cursor, '-')
      || !take_digits(cursor, 1, 2, &civil->day)) {
    return false;
  }
  civil->year = negative ? -civil->year : civil->year;
  return civil->month >= 1 && civil->month <= 12 && civil->day >= 1
         && civil->day <= month_days(civil->year, civil->month);
}

// The digits after the point: six count, more are dropped, which floors because the sign of a time
// is in its date.
static bool parse_fraction(Cursor *cursor, Civil *civil)
{
  if (!is_digit(cursor)) {
    return false;
  }
  int64_t scale = 100000;
  for (; is_digit(cursor); cursor->at++) {
    civil->microsecond += (*cursor->at - '0') * scale;
    scale /= 10;
  }
  return true;
}

static bool parse_time_of_day(Cursor *cursor, Civil *civil)
{
  if (!take_digits(cursor, 2, 2, &civil->hour) || !take(cursor, ':')
      || !take_digits(cursor, 2, 2, &civil->minute)) {
    return false;
  }
  if (take(cursor, ':')) {
    if (!take_digits(cursor, 2, 2, &civil->second)) {
      return false;
    }
    if ((take(cursor, '.') || take(cursor, ',')) && !parse_fraction(cursor, civil)) {
      return false;
    }
  }
  return civil->hour <= 23 && civil->minute <= 59 && civil->second <= 59;
}

static bool parse_offset(Cursor *cursor, Civil *civil)
{
  take(cursor, ' ');
  if (take(cursor, 'Z') || take(cursor, 'z')) {
    return true;
  }
  if (cursor->end - cursor->at == 3 && memcmp(cursor->at, "UTC", 3) == 0) {
    cursor->at += 3;
    return true;
  }
  bool west = take(cursor, '-');
  if (!west && !take(cursor, '+')) {
    return cursor->at == cursor->end;
  }
  int64_t hours = 0;
  int64_t minutes = 0;
  if (!take_digits(cursor, 2, 2, &hours)) {
    return false;
  }
  bool colon = take(cursor, ':');
  if ((colon || is_digit(cursor)) && !take_digits(cursor, 2, 2, &minutes)) {
    return false;
  }
  civil->offset_seconds = (hours * 3600 + minutes * 60) * (west ? -1 : 1);
  return hours <= 23 && minutes <= 59;
}

static bool parse_civil(Slice text, Civil *civil)
{
  Cursor cursor = {text.data, text.data + text.size};
  if (!text.size || !parse_date(&cursor, civil)) {
    return false;
  }
  if (cursor.at == cursor.end) {
    return true;
  }
  if (!take(&cursor, 'T') && !take(&cursor, 't') && !take(&cursor, ' ')) {
    return false;
  }
  return parse_time_of_day(&cursor, civil) && parse_offset(&cursor, civil)
         && cursor.at == cursor.end;
}

static bool civil_to_time(const Civil *civil, Time *time)
{
  int64_t days = days_from_civil(civil->year, (unsigned)civil->month, (unsigned)civil->day);
  int64_t seconds = days * S_PER_DAY + civil->hour * 3600 + civil->minute * 60 + civil->second
                    - civil->offset_seconds;
  // 128 bits: seconds * 1e6 may leave int64 and come back when the microseconds are added.
  __int128 result = (__int128)seconds * US_PER_S + civil->microsecond;
  if (result < TIME_MIN || result > TIME_MAX) {
    return false;
  }
  *time = (Time)result;
  return true;
}

bool clock_parse(Slice text, Time *time, Error *err)
{
  Civil civil = {0};
  int shown = text.size > 64 ? 64 : (int)text.size;
  if (!parse_civil(text, &civil)) {
    return error_set(err, ERR_DATA,
                     "\"%.*s\" is not a time: expected ISO-8601 such as 2021-04-12T07:00:00Z",
                     shown, shown ? text.data : "");
  }
  if (!civil_to_time(&civil, time)) {
    return error_set(err, ERR_DATA, "\"%.*s\" is outside the times that int64 microseconds hold",
                     shown, text.data);
  }
  return true;
}

size_t clock_print(Time time, char *out)
{
  int64_t seconds = floor_div(time, US_PER_S);
  int64_t microsecond = time % US_PER_S;  // not by multiplying back, which may leave int64
  microsecond += microsecond < 0 ? US_PER_S : 0;
  int64_t days = floor_div(seconds, S_PER_DAY);
  int64_t rest = seconds - days * S_PER_DAY;
  int64_t year;
  int month;
  int day;
  civil_from_days(days, &year, &month, &day);

  int length = snprintf(out, CLOCK_TEXT_SIZE, "%s%04lld-%02d-%02dT%02d:%02d:%02d",
                        year < 0 ? "-" : "", (long long)(year < 0 ? -year : year), month, day,
                        (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
  if (microsecond) {
    length += snprintf(out + length, CLOCK_TEXT_SIZE - (size_t)length, ".%06d", (int)microsecond);
  }
  out[length++] = 'Z';
  out[length] = '\0';
  assert(length < CLOCK_TEXT_SIZE);
  return (size_t)length;
}

static const struct {
  const char *name;
  int64_t microseconds;
} DURATIONS[] = {
    {"w", INT64_C(7) * S_PER_DAY *US_PER_S},
    {"d", INT64_C(1) * S_PER_DAY *US_PER_S},
    {"h", INT64_C(3600) * US_PER_S},
    {"m", INT64_C(60) * US_PER_S},
    {"s", US_PER_S},
    {"ms", US_PER_MS},
    {"us", 1},
};
enum { DURATION_COUNT = sizeof(DURATIONS) / sizeof(DURATIONS[0]) };

size_t clock_print_duration(int64_t microseconds, char *out)
{
  assert(microseconds >= 0);
  size_t length = 0;
  // Weeks are not printed: "365d" reads better than "52w1d".
  for (size_t i = 1; i < DURATION_COUNT; i++) {
    int64_t amount = microseconds / DURATIONS[i].microseconds;
    if (amount) {
      length += (size_t)snprintf(out + length, CLOCK_TEXT_SIZE - length, "%lld%s",
                                 (long long)amount, DURATIONS[i].name);
      microseconds -= amount * DURATIONS[i].microseconds;
    }
  }
  if (!length) {
    length = (size_t)snprintf(out, CLOCK_TEXT_SIZE, "0s");
  }
  return length;
}

Time clock_now(void)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (Time)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

uint64_t clock_monotonic_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}
