// Differential fuzzing of the point-in-time kernel: bytes become a spine, a rule and rows; what the
// kernel answers is compared with two nested loops over them.

#include <assert.h>
#include <stdlib.h>

#include "join/asof.h"

enum { MAX_SPINE = 64, MAX_ROWS = 400, MAX_KEYS = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
  const uint8_t *at;
  const uint8_t *end;
} Bytes;

typedef struct {
  size_t spine_rows;
  uint32_t spine_keys[MAX_SPINE];
  Time spine_times[MAX_SPINE];
  size_t rows;
  uint32_t keys[MAX_ROWS];
  Time events[MAX_ROWS];
  Time created[MAX_ROWS];
  uint8_t deleted[MAX_ROWS];
  AsofRule rule;
  size_t block;  // rows per block
} Case;

typedef struct {
  uint64_t arrivals[MAX_SPINE];
  Time times[MAX_SPINE];
  uint8_t statuses[MAX_SPINE];
} Answers;

static uint8_t take(Bytes *bytes)
{
  return bytes->at < bytes->end ? *bytes->at++ : 0;
}

// Times crowd around a few origins, so that they meet; one byte value in 16 is a null.
static Time take_time(Bytes *bytes)
{
  static const Time ORIGINS[] = {0,  TIME_MIN,        TIME_MAX - 15, INT64_C(1617062400000000),
                                 -8, INT64_C(1) << 40};
  uint8_t byte = take(bytes);
  uint8_t origin = byte >> 4;
  if (origin == 15) {
    return TIME_NULL;
  }
  return ORIGINS[origin % (sizeof(ORIGINS) / sizeof(*ORIGINS))] + (byte & 15);
}

static uint32_t take_key(Bytes *bytes)
{
  uint8_t byte = take(bytes);
  return byte % 16 == 15 ? KEY_NONE : byte % MAX_KEYS;
}

static int64_t take_length(Bytes *bytes)
{
  uint8_t byte = take(bytes);
  return byte < 128 ? byte % 16 : byte < 192 ? INT64_MAX : INT64_C(1) << (byte % 63);
}

static AsofRule take_rule(Bytes *bytes)
{
  uint8_t flags = take(bytes);
  AsofRule rule = {
      .ttl = flags & 1 ? take_length(bytes) : 0,
      .delay = flags & 2 ? take_length(bytes) : 0,
      .strict = flags & 4,
      .as_of_created = flags & 8 ? take_time(bytes) : TIME_MAX,
  };
  rule.known_matters = rule.delay > 0 || (flags & 16);
  return rule;
}

static void take_case(Bytes *bytes, Case *input)
{
  input->rule = take_rule(bytes);
  input->block = 1 + take(bytes);
  input->spine_rows = take(bytes) % (MAX_SPINE + 1);
  for (size_t row = 0; row < input->spine_rows; row++) {
    input->spine_keys[row] = take_key(bytes);
    input->spine_times[row] = take_time(bytes);
  }
  for (input->rows = 0; input->rows < MAX_ROWS && bytes->at < bytes->end; input->rows++) {
    input->keys[input->rows] = take_key(bytes);
    input->events[input->rows] = take_time(bytes);
    input->created[input->rows] = take_time(bytes);
    input->deleted[input->rows] = take(bytes) & 1;
  }
}

static void run_kernel(const Case *input, Answers *answers)
{
  Spine spine;
  bool fits =
      spine_init(&spine, input->spine_keys, MAX_KEYS, input->spine_times, input->spine_rows, 1);
  assert(fits);
  AsofSlots *sets[2] = {asof_new(&spine, input->rule), asof_new(&spine, input->rule)};
  for (size_t from = 0; from < input->rows; from += input->block) {
    AsofBlock block = {
        .count = input->rows - from < input->block ? input->rows - from : input->block,
        .keys = input->keys + from,
        .event_times = input->events + from,
        .created_times = input->created + from,
        .deleted = input->deleted + from,
        .first_arrival = from,
    };
    asof_add(sets[from / input->block % 2], &block);
  }
  AsofMatches matches = {answers->arrivals, answers->times, answers->statuses, {0}};
  asof_finish(sets, 2, 1, &matches);
  asof_free(sets[0]);
  asof_free(sets[1]);
  spine_deinit(&spine);
}

static bool sees(const Case *input, size_t spine_row, size_t row)
{
  AsofRule rule = input->rule;
  Time time = input->spine_times[spine_row];
  Time event = input->events[row];
  Time created = input->created[row];
  if (input->spine_keys[spine_row] == KEY_NONE || time == TIME_NULL || event == TIME_NULL
      || input->keys[row] != input->spine_keys[spine_row]) {
    return false;
  }
  if (event > time || (rule.strict && event == time)) {
    return false;
  }
  if (created == TIME_NULL && rule.delay == 0) {
    return true;
  }
  Time known = created == TIME_NULL ? clock_add_bounded(event, rule.delay) : created;
  return known <= rule.as_of_created && (!rule.known_matters || known <= time);
}

static RowRank rank_of(const Case *input, size_t row)
{
  return (RowRank){input->events[row], input->created[row], row};
}

static void check_row(const Case *input, const Answers *answers, size_t spine_row)
{
  size_t best = SIZE_MAX;
  for (size_t row = 0; row < input->rows; row++) {
    bool better =
        best == SIZE_MAX || row_rank_compare(rank_of(input, row), rank_of(input, best)) > 0;
    best = better && sees(input, spine_row, row) ? row : best;
  }
  uint8_t status = STATUS_NOT_FOUND;
  if (best != SIZE_MAX) {
    Time oldest = clock_sub_bounded(input->spine_times[spine_row], input->rule.ttl);
    bool old = input->rule.ttl && input->events[best] < oldest;
    status = old ? STATUS_OUTSIDE_MAX_AGE : input->deleted[best] ? STATUS_DELETED : STATUS_PRESENT;
  }
  Time event = best == SIZE_MAX ? TIME_NULL : input->events[best];
  uint64_t arrival = status == STATUS_PRESENT ? best : ASOF_NONE;
  if (answers->statuses[spine_row] != status || answers->times[spine_row] != event
      || answers->arrivals[spine_row] != arrival) {
    abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  Bytes bytes = {data, data + size};
  Case input;
  Answers answers;
  take_case(&bytes, &input);
  run_kernel(&input, &answers);
  for (size_t row = 0; row < input.spine_rows; row++) {
    check_row(&input, &answers, row);
  }
  return 0;
}
