#include "rpc/pattern.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "rpc/context.h"
#include "rpc/rows.h"

Patterns *patterns_new(void)
{
  return mem_zalloc(1, sizeof(Patterns));
}

void patterns_free(Patterns *patterns)
{
  if (patterns) {
    online_keys_deinit(&patterns->keys);
    arena_deinit(&patterns->arena);
    free(patterns);
  }
}

void patterns_forget(Patterns *patterns)
{
  assert(patterns->taken_count == 0);
  patterns->count = patterns->oldest = patterns->likely = 0;
}

// Requests with other keys than pattern_take reads come the general way each time.
static bool is_known(const Patterns *patterns, const Pattern *new)
{
  for (size_t i = 0; i < patterns->count; i++) {
    const Pattern *pattern = &patterns->patterns[i];
    if (pattern->before_size == new->before_size
        && pattern->after_size
               == new->after_size &&memcmp(pattern->bytes, new->bytes,
                                           new->before_size + new->after_size)
               == 0) {
      return true;
    }
  }
  return false;
}

void pattern_learn(CallContext *context, const CachedPlan *plan, Slice rest, Slice keys)
{
  Patterns *patterns = context->patterns;
  size_t before = (size_t)(keys.data - rest.data);
  size_t after = rest.size - before - keys.size;
  assert(before <= rest.size && keys.size <= rest.size - before);
  if (before + after > PATTERN_BYTES || !online_plan_single_key(plan->plan)) {
    return;
  }
  Pattern pattern = {
      .plan = plan,
      .method = context->method,
      .before_size = (uint32_t)before,
      .after_size = (uint32_t)after,
  };
  memcpy(pattern.bytes, rest.data, before);
  memcpy(pattern.bytes + before, keys.data + keys.size, after);
  if (!is_known(patterns, &pattern)) {
    patterns->patterns[patterns->oldest] = pattern;
    patterns->oldest = (patterns->oldest + 1) % PATTERNS;
    patterns->count += patterns->count < PATTERNS;
  }
}

// Taking ------------------------------------------------------------------------------------------

// The array of four, the type of a request and an id in one of its usual forms.
static bool take_head(MpReader *reader, uint32_t *id)
{
  enum { LONGEST = 7 };
  const uint8_t *at = reader->at;
  if (reader->end - at < LONGEST || at[0] != 0x94 || at[1] != 0) {
    return false;
  }
  switch (at[2]) {
  case 0xcc:
    *id = at[3];
    reader->at = at + 4;
    return true;
  case 0xcd:
    *id = bytes_load_be16(at + 3);
    reader->at = at + 5;
    return true;
  case 0xce:
    *id = bytes_load_be32(at + 3);
    reader->at = at + 7;
    return true;
  default:
    *id = at[2];
    reader->at = at + 3;
    return at[2] < 0x80;
  }
}

static bool fits(const Pattern *pattern, const MpReader *reader)
{
  return (size_t)(reader->end - reader->at) > pattern->before_size
         && memcmp(reader->at, pattern->bytes, pattern->before_size) == 0;
}

static const Pattern *find_pattern(Patterns *patterns, const MpReader *reader)
{
  if (patterns->count && fits(&patterns->patterns[patterns->likely], reader)) {
    return &patterns->patterns[patterns->likely];
  }
  for (size_t i = 0; i < patterns->count; i++) {
    if (fits(&patterns->patterns[i], reader)) {
      patterns->likely = i;
      return &patterns->patterns[i];
    }
  }
  return NULL;
}

static bool take_count(MpReader *reader, size_t *count)
{
  const uint8_t *at = reader->at;
  if (at < reader->end && (*at & 0xf0) == 0x90) {
    *count = *at & 15;
    reader->at++;
    return true;
  }
  if (reader->end - at >= 3 && *at == 0xdc) {
    *count = bytes_load_be16(at + 1);
    reader->at += 3;
    return true;
  }
  return false;
}

static bool has_room(const CallContext *context, const OnlinePlan *plan, size_t rows)
{
  const Patterns *patterns = context->patterns;
  if (patterns->taken_count == TAKEN_REQUESTS || rows > context->limits.max_rows
      || rows * online_plan_columns(plan) > CALL_MAX_VALUES) {
    return false;
  }
  return patterns->taken_count == 0
         || patterns->keys.count + rows * online_plan_lookups(plan) <= TAKEN_KEYS;
}

static bool take_after(MpReader *reader, const Pattern *pattern)
{
  size_t size = pattern->after_size;
  if ((size_t)(reader->end - reader->at) < size
      || memcmp(reader->at, pattern->bytes + pattern->before_size, size) != 0) {
    return false;
  }
  reader->at += size;
  return true;
}

size_t pattern_take(CallContext *context, Slice bytes, size_t size_limit)
{
  Patterns *patterns = context->patterns;
  const uint8_t *start = (const uint8_t *)bytes.data;
  MpReader reader = {start, start + bytes.size};
  uint32_t id;
  if (!take_head(&reader, &id)) {
    return 0;
  }
  const Pattern *pattern = find_pattern(patterns, &reader);
  if (!pattern) {
    return 0;
  }
  reader.at += pattern->before_size;
  const OnlinePlan *plan = pattern->plan->plan;
  size_t rows;
  size_t first;
  size_t keys = patterns->keys.count;
  if (!take_count(&reader, &rows) || !has_room(context, plan, rows)
      || !online_keys_read(&patterns->keys, plan, &reader, rows, &first)) {
    return 0;
  }
  size_t size = (size_t)(reader.at - start) + pattern->after_size;
  if (!take_after(&reader, pattern) || size > size_limit) {
    online_keys_cut(&patterns->keys, keys);
    return 0;
  }
  patterns->requests[patterns->taken_count] =
      (OnlineRequest){.plan = plan, .rows = rows, .first = first};
  patterns->taken[patterns->taken_count++] = (Taken){pattern, id, (uint32_t)size};
  return size;
}

// Answering ---------------------------------------------------------------------------------------

bool pattern_find(CallContext *context)
{
  Patterns *patterns = context->patterns;
  Error ignored = {0};  // the general way says what is wrong, and with which request
  return online_find(context->read, &patterns->keys, patterns->requests, patterns->taken_count,
                     clock_now(), &patterns->arena, &ignored);
}

static uint8_t *put_id(uint8_t *at, uint32_t id)
{
  if (id < 0x80) {
    *at = (uint8_t)id;
    return at + 1;
  }
  if (id <= UINT8_MAX) {
    at[0] = 0xcc;
    at[1] = (uint8_t)id;
    return at + 2;
  }
  if (id <= UINT16_MAX) {
    at[0] = 0xcd;
    bytes_store_be16(at + 1, (uint16_t)id);
    return at + 3;
  }
  at[0] = 0xce;
  bytes_store_be32(at + 1, id);
  return at + 5;
}

void pattern_answer(CallContext *context, size_t number, Buf *reply)
{
  const Patterns *patterns = context->patterns;
  const Taken *taken = &patterns->taken[number];
  const CachedPlan *plan = taken->pattern->plan;
  const OnlineResult *found = &patterns->requests[number].result;
  uint8_t head[8] = {0x94, 0x01};
  buf_put(reply, head, (size_t)(put_id(head + 2, taken->id) - head));
  buf_put_slice(reply, plan->head);
  rows_pack(reply, found, online_plan_columns(plan->plan));
}

void pattern_count(CallContext *context, size_t number, uint64_t nanoseconds)
{
  const Patterns *patterns = context->patterns;
  const Taken *taken = &patterns->taken[number];
  const CachedPlan *plan = taken->pattern->plan;
  rows_count(context->metrics, plan, &patterns->requests[number].result);
  histogram_add(&context->metrics->methods[taken->pattern->method].time, nanoseconds);
  if (plan->metrics) {
    histogram_add(&plan->metrics->time, nanoseconds);
  }
}

void pattern_drop(CallContext *context)
{
  Patterns *patterns = context->patterns;
  patterns->taken_count = 0;
  online_keys_reset(&patterns->keys);
  arena_reset(&patterns->arena);
}
