// Answers requests for online features from one snapshot.

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "data/key.h"
#include "engine/online_private.h"
#include "store/online.h"

enum { NIL_BYTE = 0xc0 };

// Keys --------------------------------------------------------------------------------------------

void online_keys_reset(OnlineKeys *keys)
{
  buf_reset(&keys->bytes);
  keys->count = 0;
}

void online_keys_deinit(OnlineKeys *keys)
{
  buf_deinit(&keys->bytes);
  free(keys->starts);
  *keys = (OnlineKeys){0};
}

static void reserve_keys(OnlineKeys *keys, size_t more)
{
  size_t wanted = keys->count + more + 1;
  if (keys->capacity < wanted) {
    keys->capacity = wanted < 2 * keys->capacity ? 2 * keys->capacity : wanted;
    keys->starts = mem_realloc(keys->starts, keys->capacity, sizeof(*keys->starts));
  }
  keys->starts[keys->count] = keys->bytes.size;
}

static inline void end_key(OnlineKeys *keys)
{
  keys->starts[++keys->count] = keys->bytes.size;
}

static inline Slice key_at(const OnlineKeys *keys, size_t number)
{
  size_t start = keys->starts[number];
  return slice_of(keys->bytes.data + start, keys->starts[number + 1] - start);
}

void online_keys_cut(OnlineKeys *keys, size_t count)
{
  assert(count <= keys->count && keys->starts);
  keys->bytes.size = keys->starts[count];
  keys->count = count;
}

// Encodes the keys of one view. A key with a null in it matches nothing and has no bytes.
static bool encode_keys(OnlineKeys *keys, const OnlinePlan *plan, const Lookup *lookup,
                        const OnlineEntities *entities, Error *err)
{
  const Tuple *tuple = &plan->tuples[lookup->tuple];
  Buf *out = &keys->bytes;
  for (size_t row = 0; row < entities->rows; row++) {
    size_t start = out->size;
    bool null = false;
    key_put_view(out, lookup->view->id);
    for (size_t i = 0; i < tuple->count && !null; i++) {
      const OnlineKey *key = &plan->keys[tuple->keys[i]];
      if (!key_put_msgpack(out, key->type, &entities->columns[tuple->keys[i]][row], &null, err)) {
        return error_at(err, "entities.%s[%zu]", key->name, row);
      }
    }
    out->size = null ? start : out->size;
    end_key(keys);
  }
  return true;
}

// Puts the `rows` keys from `from` on down once more, for another view.
static void repeat_keys(OnlineKeys *keys, size_t from, size_t rows, uint16_t view_id)
{
  Buf *out = &keys->bytes;
  size_t start = keys->starts[from];
  size_t size = keys->starts[from + rows] - start;
  size_t shift = out->size - start;
  buf_reserve(out, size);
  memcpy(out->data + out->size, out->data + start, size);
  for (size_t row = 0; row < rows; row++) {
    if (keys->starts[from + row + 1] > keys->starts[from + row]) {
      bytes_store_be16(out->data + keys->starts[from + row] + shift, view_id);
    }
    keys->starts[++keys->count] = keys->starts[from + row + 1] + shift;
  }
  out->size += size;
}

// The first look-up whose keys differ from those of look-up `number` in the view id only.
static size_t like_lookup(const OnlinePlan *plan, size_t number)
{
  size_t first = 0;
  while (plan->lookups[first].tuple != plan->lookups[number].tuple) {
    first++;
  }
  return first;
}

bool online_keys_add(OnlineKeys *keys, const OnlinePlan *plan, const OnlineEntities *entities,
                     size_t *first, Error *err)
{
  size_t rows = entities->rows;
  *first = keys->count;
  reserve_keys(keys, plan->lookup_count * rows);
  for (size_t i = 0; i < plan->lookup_count; i++) {
    size_t like = like_lookup(plan, i);
    if (like < i) {
      repeat_keys(keys, *first + like * rows, rows, plan->lookups[i].view->id);
    } else if (!encode_keys(keys, plan, &plan->lookups[i], entities, err)) {
      online_keys_cut(keys, *first);
      return false;
    }
  }
  return true;
}

// An integer of at most 32 bits, or one of 64 bits that int64 holds; false for anything else.
static inline bool take_integer(MpReader *values, int64_t *value)
{
  ptrdiff_t left = values->end - values->at;
  const uint8_t *at = values->at;
  if (left >= 5 && *at == 0xce) {
    *value = bytes_load_be32(at + 1);
    values->at += 5;
    return true;
  }
  MpReader ahead = *values;
  MpToken token;
  if (mp_next(&ahead, &token) != MP_OK || token.kind != MP_INT) {
    return false;
  }
  *value = token.integer;
  values->at = ahead.at;
  return true;
}

static bool put_integers(OnlineKeys *keys, uint16_t view_id, MpReader *values, size_t rows)
{
  enum { SIZE = KEY_VIEW_SIZE + sizeof(int64_t) };
  buf_reserve(&keys->bytes, rows * SIZE);
  uint8_t *at = keys->bytes.data + keys->bytes.size;
  for (size_t row = 0; row < rows; row++, at += SIZE) {
    int64_t value;
    if (!take_integer(values, &value)) {
      return false;
    }
    bytes_store_be16(at, view_id);
    bytes_store_be64(at + KEY_VIEW_SIZE, bytes_order_i64(value));
    keys->bytes.size += SIZE;
    end_key(keys);
  }
  return true;
}

static bool put_values(OnlineKeys *keys, uint16_t view_id, Type type, MpReader *values, size_t rows)
{
  for (size_t row = 0; row < rows; row++) {
    MpToken value;
    bool null = false;
    Error ignored = {0};
    key_put_view(&keys->bytes, view_id);
    if (mp_next(values, &value) != MP_OK
        || !key_put_msgpack(&keys->bytes, type, &value, &null, &ignored) || null) {
      return false;
    }
    end_key(keys);
  }
  return true;
}

bool online_plan_single_key(const OnlinePlan *plan)
{
  return plan->tuple_count == 1 && plan->tuples[0].count == 1 && !plan->demand;
}

bool online_keys_read(OnlineKeys *keys, const OnlinePlan *plan, MpReader *values, size_t rows,
                      size_t *first)
{
  assert(online_plan_single_key(plan));
  Type type = plan->keys[0].type;
  uint16_t view_id = plan->lookups[0].view->id;
  MpReader ahead = *values;
  size_t start = keys->bytes.size;
  *first = keys->count;
  reserve_keys(keys, plan->lookup_count * rows);
  bool integers = type.kind == TYPE_INT32 || type.kind == TYPE_INT64;
  if (!(integers ? put_integers(keys, view_id, &ahead, rows)
                 : put_values(keys, view_id, type, &ahead, rows))) {
    keys->bytes.size = start;
    keys->count = *first;
    return false;
  }
  for (size_t i = 1; i < plan->lookup_count; i++) {
    repeat_keys(keys, *first, rows, plan->lookups[i].view->id);
  }
  *values = ahead;
  return true;
}

// Rows --------------------------------------------------------------------------------------------

// What is written to while a request is answered.
typedef struct {
  const OnlinePlan *plan;
  Slice *slices;
  uint8_t *statuses;  // NULL without details
  Time *event_times;
  uint64_t *lookups;  // by ValueStatus
  Arena *arena;
} Answer;

// Contract rules 2, 4, 8 and 10 for the newest row of a key, `now` in the place of t.
static ValueStatus judge_row(const View *view, const RowView *row, Time now)
{
  Time event_time = row->rank.event_time;
  Time created_time = row->rank.created_time;
  if (event_time > now || (view->strict && event_time == now)) {
    return STATUS_NOT_FOUND;
  }
  if (view->as_known || view->delay) {
    Time known =
        created_time != TIME_NULL ? created_time : clock_add_bounded(event_time, view->delay);
    if (known > now) {
      return STATUS_NOT_FOUND;
    }
  }
  if (view->ttl && event_time < clock_sub_bounded(now, view->ttl)) {
    return STATUS_OUTSIDE_MAX_AGE;
  }
  return row->deleted ? STATUS_DELETED : STATUS_PRESENT;
}

// The values of one span of a row that is there. A row from before its last features were added has
// fewer slots; what is missing is made up with nils.
static Slice span_values(const Answer *answer, const Span *span, const RowView *row)
{
  uint32_t present;
  Slice values = row_span(row, span->slot, span->count, &present);
  if (present == span->count) {
    return values;
  }
  size_t missing = span->count - present;
  if (present == 0) {
    return slice_of(answer->plan->nils.data, missing);
  }
  char *bytes = arena_alloc(answer->arena, values.size + missing);
  memcpy(bytes, values.data, values.size);
  memset(bytes + values.size, NIL_BYTE, missing);
  return slice_of(bytes, values.size + missing);
}

static void tell_span(const Answer *answer, const Span *span, size_t row_number, const RowView *row,
                      ValueStatus status)
{
  size_t first = row_number * answer->plan->column_count + span->column;
  for (uint32_t i = 0; i < span->count; i++) {
    ValueStatus value = status == STATUS_PRESENT ? row_slot_status(row, span->slot + i) : status;
    answer->statuses[first + i] = (uint8_t)value;
    answer->event_times[first + i] = value == STATUS_NOT_FOUND ? TIME_NULL : row->rank.event_time;
  }
}

// `row` is not looked at when the status is NOT_FOUND.
static void answer_row(const Answer *answer, const Lookup *lookup, size_t row_number,
                       const RowView *row, ValueStatus status)
{
  Slice *slices = answer->slices + row_number * answer->plan->span_count;
  for (size_t i = 0; i < lookup->span_count; i++) {
    const Span *span = &lookup->spans[i];
    slices[span->place] = status == STATUS_PRESENT ? span_values(answer, span, row)
                                                   : slice_of(answer->plan->nils.data, span->count);
    if (answer->statuses) {
      tell_span(answer, span, row_number, row, status);
    }
  }
}

// Looking up --------------------------------------------------------------------------------------

// What a key of a block is looked up for.
typedef struct {
  const Answer *answer;
  const Lookup *lookup;
  size_t row;
} Wanted;

// Keys that are looked up together, whichever requests and views they are of.
typedef struct {
  DbRead *read;
  Time now;
  size_t count;
  Slice keys[ONLINE_BLOCK];
  Wanted wanted[ONLINE_BLOCK];
} Block;

static bool answer_block(Block *block, Error *err)
{
  RowView rows[ONLINE_BLOCK];
  bool found[ONLINE_BLOCK];
  if (!online_get_many(block->read, block->keys, block->count, rows, found, err)) {
    return false;
  }
  for (size_t i = 0; i < block->count; i++) {
    const Wanted *wanted = &block->wanted[i];
    ValueStatus status =
        found[i] ? judge_row(wanted->lookup->view, &rows[i], block->now) : STATUS_NOT_FOUND;
    wanted->answer->lookups[status]++;
    answer_row(wanted->answer, wanted->lookup, wanted->row, &rows[i], status);
  }
  block->count = 0;
  return true;
}

static bool find_request(Block *block, const OnlineKeys *keys, const OnlineRequest *request,
                         const Answer *answer, Error *err)
{
  const OnlinePlan *plan = request->plan;
  size_t number = request->first;
  for (size_t i = 0; i < plan->lookup_count; i++) {
    for (size_t row = 0; row < request->rows; row++, number++) {
      block->keys[block->count] = key_at(keys, number);
      block->wanted[block->count] = (Wanted){answer, &plan->lookups[i], row};
      if (++block->count == ONLINE_BLOCK && !answer_block(block, err)) {
        return false;
      }
    }
  }
  return true;
}

// Room for what a request is answered with.
static Answer begin_answer(OnlineRequest *request, Arena *arena)
{
  const OnlinePlan *plan = request->plan;
  OnlineResult *result = &request->result;
  size_t values = request->rows * plan->column_count;
  Slice *slices = arena_alloc(arena, request->rows * plan->span_count * sizeof(*slices));
  uint8_t *statuses = request->details ? arena_alloc(arena, values) : NULL;
  Time *times = request->details ? arena_alloc(arena, values * sizeof(*times)) : NULL;
  *result = (OnlineResult){
      .rows = request->rows,
      .spans = plan->span_count,
      .slices = slices,
      .statuses = statuses,
      .event_times = times,
  };
  return (Answer){plan, slices, statuses, times, result->lookups, arena};
}

bool online_find(DbRead *read, const OnlineKeys *keys, OnlineRequest *requests, size_t count,
                 Time now, Arena *arena, Error *err)
{
  Block block;  // not zeroed: it is large
  block.read = read;
  block.now = now;
  block.count = 0;
  Answer *answers = arena_alloc(arena, count * sizeof(*answers));
  for (size_t i = 0; i < count; i++) {
    answers[i] = begin_answer(&requests[i], arena);
    if (!find_request(&block, keys, &requests[i], &answers[i], err)) {
      return false;
    }
  }
  return block.count == 0 || answer_block(&block, err);
}

bool online_get_features(DbRead *read, const OnlinePlan *plan, const OnlineEntities *entities,
                         Time now, bool details, OnlineResult *result, Arena *arena, Error *err)
{
  OnlineRequest request = {.plan = plan, .rows = entities->rows, .details = details};
  size_t values;
  if (__builtin_mul_overflow(request.rows, plan->column_count, &values)
      || values > ONLINE_VALUES_MAX) {
    return error_set(err, ERR_LIMIT,
                     "%zu rows of %zu features are more than the %d values of one request: send "
                     "fewer rows at a time",
                     request.rows, plan->column_count, ONLINE_VALUES_MAX);
  }
  OnlineKeys *keys = plan->space;
  online_keys_reset(keys);
  if (!online_keys_add(keys, plan, entities, &request.first, err)
      || !online_find(read, keys, &request, 1, now, arena, err)) {
    return false;
  }
  *result = request.result;
  return true;
}
