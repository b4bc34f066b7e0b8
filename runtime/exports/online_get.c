// Online requests for specs, through the FFI. `message` holds 768 bytes and gets a failure as
// "code: place: text".

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/online_get.h"

enum { MESSAGE_SIZE = 768, WORDS_MAX = 64 };

// Declares and begins a function that is visible outside the binary.
#define EXPORT(...)                                   \
  __attribute__((visibility("default"))) __VA_ARGS__; \
  __VA_ARGS__

static bool report(bool ok, const Error *err, char *message)
{
  if (!ok) {
    snprintf(message, MESSAGE_SIZE, "%s: %s%s%s", error_code_name(err->code), err->where,
             *err->where ? ": " : "", err->message);
  }
  return ok;
}

// A word `role.key=column`, taken apart in place.
static bool split_role(char *word, RoleKey *role)
{
  char *dot = strchr(word, '.');
  char *equals = strchr(word, '=');
  if (!dot || !equals) {
    return false;
  }
  *dot = '\0';
  *equals = '\0';
  *role = (RoleKey){word, dot + 1, equals + 1};
  return true;
}

static OnlinePlan *plan_words(const Catalog *catalog, char *ask, bool full_names, Arena *arena,
                              Error *err)
{
  ReferenceList references = {0};
  RoleKey roles[WORDS_MAX];
  size_t role_count = 0;
  char *rest = NULL;
  for (char *word = strtok_r(ask, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
    if (role_count < WORDS_MAX && split_role(word, &roles[role_count])) {
      role_count++;
    } else if (!catalog_reference(catalog, slice_text(word), &references, arena, err)) {
      return NULL;
    }
  }
  return online_plan_new(catalog, references.items, references.count, roles, role_count, full_names,
                         err);
}

// `ask`: references and renamings, such as "driver:rate trip@to:fare to.zone=target".
EXPORT(OnlinePlan *tidemark_online_plan(const char *catalog, size_t size, const char *ask,
                                        bool full_names, char *message))
{
  Error err = {0};
  Arena arena = {0};
  OnlinePlan *plan = NULL;
  Catalog *decoded = catalog_decode(slice_of(catalog, size), 1, &err);
  if (decoded) {
    plan = plan_words(decoded, arena_text(&arena, slice_text(ask)), full_names, &arena, &err);
  }
  catalog_unref(decoded);
  arena_deinit(&arena);
  report(plan != NULL, &err, message);
  return plan;
}

EXPORT(OnlinePlan *tidemark_online_plan_service(const char *catalog, size_t size, const char *name,
                                                bool full_names, char *message))
{
  Error err = {0};
  OnlinePlan *plan = NULL;
  Catalog *decoded = catalog_decode(slice_of(catalog, size), 1, &err);
  const Service *service = decoded ? catalog_service(decoded, slice_text(name)) : NULL;
  if (service) {
    plan = online_plan_service(decoded, service, full_names, &err);
  } else {
    error_set(&err, ERR_NOT_FOUND, "no such service");
  }
  catalog_unref(decoded);
  report(plan != NULL, &err, message);
  return plan;
}

EXPORT(void tidemark_online_plan_free(OnlinePlan *plan))
{
  online_plan_free(plan);
}

// NULL beyond the last column.
EXPORT(const char *tidemark_online_plan_name(const OnlinePlan *plan, size_t column))
{
  return column < online_plan_columns(plan) ? online_plan_name(plan, column) : NULL;
}

EXPORT(const char *tidemark_online_plan_key(const OnlinePlan *plan, size_t key))
{
  const OnlineKey *keys;
  return key < online_plan_keys(plan, &keys) ? keys[key].name : NULL;
}

// An answer with its values copied together; the first fields are known to callers.
typedef struct {
  size_t rows;
  size_t spans;
  const uint8_t *values;
  size_t size;
  const uint8_t *statuses;
  const Time *event_times;
  Buf buf;
  Arena arena;
} OnlineAnswer;

EXPORT(void tidemark_online_answer_free(OnlineAnswer *answer))
{
  buf_deinit(&answer->buf);
  arena_deinit(&answer->arena);
  free(answer);
}

static bool take_entities(MpReader reader, OnlineEntities *entities, Arena *arena)
{
  size_t columns = mp_take(&reader).count;
  const MpToken **tokens = arena_zalloc(arena, columns, sizeof(*tokens));
  for (size_t i = 0; i < columns; i++) {
    size_t rows = mp_take(&reader).count;
    MpToken *column = arena_zalloc(arena, rows, sizeof(*column));
    for (size_t row = 0; row < rows; row++) {
      column[row] = mp_take(&reader);
    }
    tokens[i] = column;
    if (i && rows != entities->rows) {
      return false;
    }
    entities->rows = rows;
  }
  entities->columns = tokens;
  return true;
}

// `entities`: msgpack, a list of key columns as the plan orders them, each a list of values.
EXPORT(OnlineAnswer *tidemark_online_get_features(DbRead *read, const OnlinePlan *plan,
                                                  const char *entities, size_t size, int64_t now,
                                                  bool details, char *message))
{
  Error err = {0};
  OnlineAnswer *answer = mem_zalloc(1, sizeof(*answer));
  OnlineEntities batch = {0};
  OnlineResult result = {0};
  MpReader reader = {(const uint8_t *)entities, (const uint8_t *)entities + size};
  bool ok = take_entities(reader, &batch, &answer->arena)
            || error_set(&err, ERR_INVALID, "key columns of different lengths");
  ok = ok && online_get_features(read, plan, &batch, now, details, &result, &answer->arena, &err);
  if (!report(ok, &err, message)) {
    tidemark_online_answer_free(answer);
    return NULL;
  }
  for (size_t i = 0; i < result.rows * result.spans; i++) {
    buf_put_slice(&answer->buf, result.slices[i]);
  }
  answer->rows = result.rows;
  answer->spans = result.spans;
  answer->values = answer->buf.data;
  answer->size = answer->buf.size;
  answer->statuses = result.statuses;
  answer->event_times = result.event_times;
  return answer;
}
