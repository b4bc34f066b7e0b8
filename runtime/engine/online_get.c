#include "engine/online_get.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "data/key.h"
#include "engine/naming.h"
#include "store/online.h"

enum { NIL_BYTE = 0xc0 };

// Consecutive columns whose values lie one after the other in one stored row: one slice, one copy.
typedef struct {
  size_t lookup;  // where its row comes from
  size_t place;   // among the slices of an answered row
  size_t column;  // the first
  uint32_t slot;  // of the first
  uint32_t count;
} Span;

// Key columns in the order a view has them. Views with the same tuple share its encoding: their
// keys differ in the view id only.
typedef struct {
  const size_t *keys;  // into OnlinePlan.keys
  size_t count;
} Tuple;

// One look-up per requested row: a view under a role.
typedef struct {
  const View *view;
  const char *role;
  size_t tuple;
  const Span *spans;  // its part of OnlinePlan.spans
  size_t span_count;
} Lookup;

// Memory kept between requests, so that a request of the usual size allocates nothing.
typedef struct {
  Buf keys;        // encoded keys of the batch, one after the other
  size_t *starts;  // of each row's key; rows + 1. A null key has no bytes.
  size_t capacity;
} Scratch;

struct OnlinePlan {
  Arena arena;  // owns everything but the scratch
  const Catalog *catalog;
  Reference *columns;
  const char **names;
  size_t column_count;
  OnlineKey *keys;
  size_t key_count;
  Tuple *tuples;
  size_t tuple_count;
  Lookup *lookups;
  size_t lookup_count;
  Span *spans;  // by look-up
  size_t span_count;
  Slice nils;  // as many as the widest span has columns
  Scratch *scratch;
};

// Planning ----------------------------------------------------------------------------------------

static void copy_references(OnlinePlan *plan, const Reference *features, size_t count)
{
  plan->columns = arena_zalloc(&plan->arena, count, sizeof(*plan->columns));
  plan->column_count = count;
  for (size_t i = 0; i < count; i++) {
    plan->columns[i] = features[i];
    plan->columns[i].role = arena_text(&plan->arena, slice_text(features[i].role));
  }
}

// Whether `role` renames a key of the view of `column`.
static bool renames(const RoleKey *role, const Reference *column)
{
  if (strcmp(role->role, naming_prefix(column)) != 0) {
    return false;
  }
  for (size_t i = 0; i < column->view->key_count; i++) {
    if (strcmp(role->key, column->view->keys[i].name) == 0) {
      return true;
    }
  }
  return false;
}

// A renaming that fits no requested view is a mistake of the caller.
static bool check_roles(const OnlinePlan *plan, const RoleKey *roles, size_t role_count, Error *err)
{
  for (size_t i = 0; i < role_count; i++) {
    size_t column = 0;
    while (column < plan->column_count && !renames(&roles[i], &plan->columns[column])) {
      column++;
    }
    if (column == plan->column_count) {
      return error_set(err, ERR_INVALID,
                       "roles: %s.%s = %s is not the key of a requested view or role",
                       roles[i].role, roles[i].key, roles[i].column);
    }
  }
  return true;
}

// The plan's number for a key column; new ones join the list.
static bool add_key(OnlinePlan *plan, const char *name, Type type, size_t *number, Error *err)
{
  for (size_t i = 0; i < plan->key_count; i++) {
    if (strcmp(plan->keys[i].name, name) == 0) {
      char first[TYPE_TEXT_SIZE];
      char second[TYPE_TEXT_SIZE];
      *number = i;
      return type_equal(plan->keys[i].type, type)
             || error_set(err, ERR_INVALID,
                          "the key column \"%s\" is %s for one view and %s for another: give one "
                          "of them another column with roles",
                          name, type_print(plan->keys[i].type, first), type_print(type, second));
    }
  }
  *number = plan->key_count++;
  plan->keys[*number] = (OnlineKey){arena_text(&plan->arena, slice_text(name)), type};
  return true;
}

static size_t add_tuple(OnlinePlan *plan, const size_t *keys, size_t count)
{
  for (size_t i = 0; i < plan->tuple_count; i++) {
    const Tuple *tuple = &plan->tuples[i];
    if (tuple->count == count && memcmp(tuple->keys, keys, count * sizeof(*keys)) == 0) {
      return i;
    }
  }
  plan->tuples[plan->tuple_count] = (Tuple){keys, count};
  return plan->tuple_count++;
}

// Finds the look-up that a column needs; new ones join the list.
static bool add_lookup(OnlinePlan *plan, const Reference *column, const RoleKey *roles,
                       size_t role_count, size_t *number, Error *err)
{
  const View *view = column->view;
  for (*number = 0; *number < plan->lookup_count; (*number)++) {
    const Lookup *lookup = &plan->lookups[*number];
    if (lookup->view == view && strcmp(lookup->role, column->role) == 0) {
      return true;
    }
  }
  if (!view->online) {
    return error_set(err, ERR_INVALID,
                     "feature_view \"%s\" is not kept online (online = false in %s): leave it out "
                     "here, or apply it without that and materialize",
                     view->declared.name, view->declared.at);
  }
  size_t *keys = arena_zalloc(&plan->arena, view->key_count, sizeof(*keys));
  for (size_t i = 0; i < view->key_count; i++) {
    const char *name = naming_key_column(column, view->keys[i].name, roles, role_count);
    if (!add_key(plan, name, view->keys[i].type, &keys[i], err)) {
      return false;
    }
  }
  plan->lookups[plan->lookup_count++] = (Lookup){
      .view = view,
      .role = column->role,
      .tuple = add_tuple(plan, keys, view->key_count),
  };
  return true;
}

static void reserve_plan(OnlinePlan *plan)
{
  size_t count = plan->column_count;
  size_t most_keys = 0;
  for (size_t i = 0; i < count; i++) {
    most_keys += plan->columns[i].view->key_count;
  }
  plan->keys = arena_zalloc(&plan->arena, most_keys, sizeof(*plan->keys));
  plan->tuples = arena_zalloc(&plan->arena, count, sizeof(*plan->tuples));
  plan->lookups = arena_zalloc(&plan->arena, count, sizeof(*plan->lookups));
  plan->spans = arena_zalloc(&plan->arena, count, sizeof(*plan->spans));
}

// Puts the spans of each look-up together: they are answered from one row.
static void group_spans(OnlinePlan *plan)
{
  Span *grouped = arena_zalloc(&plan->arena, plan->span_count, sizeof(*grouped));
  size_t *next = arena_zalloc(&plan->arena, plan->lookup_count, sizeof(*next));
  for (size_t i = 0; i < plan->span_count; i++) {
    plan->lookups[plan->spans[i].lookup].span_count++;
  }
  for (size_t i = 0, start = 0; i < plan->lookup_count; i++) {
    plan->lookups[i].spans = grouped + start;
    next[i] = start;
    start += plan->lookups[i].span_count;
  }
  for (size_t i = 0; i < plan->span_count; i++) {
    grouped[next[plan->spans[i].lookup]++] = plan->spans[i];
  }
  plan->spans = grouped;
}

static bool add_columns(OnlinePlan *plan, const RoleKey *roles, size_t role_count, Error *err)
{
  reserve_plan(plan);
  for (size_t i = 0; i < plan->column_count; i++) {
    uint32_t slot = plan->columns[i].feature->slot;
    size_t lookup;
    if (!add_lookup(plan, &plan->columns[i], roles, role_count, &lookup, err)) {
      return false;
    }
    assert(plan->spans && plan->span_count <= i);
    Span *last = plan->span_count ? &plan->spans[plan->span_count - 1] : NULL;
    if (last && last->lookup == lookup && last->slot + last->count == slot) {
      last->count++;
    } else {
      size_t place = plan->span_count++;
      plan->spans[place] = (Span){lookup, place, i, slot, 1};
    }
  }
  group_spans(plan);
  return true;
}

static void make_nils(OnlinePlan *plan)
{
  size_t widest = 0;
  for (size_t i = 0; i < plan->span_count; i++) {
    widest = plan->spans[i].count > widest ? plan->spans[i].count : widest;
  }
  plan->nils = slice_of(memset(arena_alloc(&plan->arena, widest), NIL_BYTE, widest), widest);
}

static bool choose_names(OnlinePlan *plan, bool full_names, Error *err)
{
  const char **taken = arena_zalloc(&plan->arena, plan->key_count, sizeof(*taken));
  for (size_t i = 0; i < plan->key_count; i++) {
    taken[i] = plan->keys[i].name;
  }
  return naming_choose(plan->columns, plan->column_count, taken, plan->key_count, full_names,
                       &plan->names, &plan->arena, err);
}

static bool check_size(size_t count, size_t role_count, Error *err)
{
  if (count == 0) {
    return error_set(err, ERR_INVALID, "no features were asked for: name some, or a service");
  }
  if (count > ONLINE_COLUMNS_MAX || role_count > ONLINE_COLUMNS_MAX) {
    return error_set(err, ERR_LIMIT,
                     "%zu features and %zu renamed keys: one request may have %d of each", count,
                     role_count, ONLINE_COLUMNS_MAX);
  }
  return true;
}

OnlinePlan *online_plan_new(const Catalog *catalog, const Reference *features, size_t count,
                            const RoleKey *roles, size_t role_count, bool full_names, Error *err)
{
  if (!check_size(count, role_count, err)) {
    return NULL;
  }
  OnlinePlan *plan = mem_zalloc(1, sizeof(*plan));
  plan->catalog = catalog_ref(catalog);
  plan->scratch = mem_zalloc(1, sizeof(*plan->scratch));
  copy_references(plan, features, count);
  if (!check_roles(plan, roles, role_count, err) || !add_columns(plan, roles, role_count, err)
      || !choose_names(plan, full_names, err)) {
    online_plan_free(plan);
    return NULL;
  }
  make_nils(plan);
  return plan;
}

OnlinePlan *online_plan_service(const Catalog *catalog, const Service *service, bool full_names,
                                Error *err)
{
  OnlinePlan *plan = online_plan_new(catalog, service->features, service->feature_count,
                                     service->roles, service->role_count, full_names, err);
  if (!plan) {
    error_wrap(err, "feature_service \"%s\"", service->declared.name);
  }
  return plan;
}

void online_plan_free(OnlinePlan *plan)
{
  if (!plan) {
    return;
  }
  buf_deinit(&plan->scratch->keys);
  free(plan->scratch->starts);
  free(plan->scratch);
  catalog_unref(plan->catalog);
  arena_deinit(&plan->arena);
  free(plan);
}

size_t online_plan_columns(const OnlinePlan *plan)
{
  return plan->column_count;
}

const char *online_plan_name(const OnlinePlan *plan, size_t column)
{
  assert(column < plan->column_count);
  return plan->names[column];
}

const Reference *online_plan_reference(const OnlinePlan *plan, size_t column)
{
  assert(column < plan->column_count);
  return &plan->columns[column];
}

size_t online_plan_keys(const OnlinePlan *plan, const OnlineKey **keys)
{
  *keys = plan->keys;
  return plan->key_count;
}

// Answering ---------------------------------------------------------------------------------------

// What is written to while a request is answered.
typedef struct {
  const OnlinePlan *plan;
  Time now;
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

static Slice key_of(const Scratch *scratch, size_t row, uint16_t view_id)
{
  size_t start = scratch->starts[row];
  size_t size = scratch->starts[row + 1] - start;
  if (size) {
    bytes_store_be16(scratch->keys.data + start, view_id);
  }
  return slice_of(scratch->keys.data + start, size);
}

static bool answer_lookup(const Answer *answer, const Lookup *lookup, DbRead *read, size_t rows,
                          Error *err)
{
  const View *view = lookup->view;
  Slice keys[ONLINE_BLOCK];
  RowView found_rows[ONLINE_BLOCK];
  bool found[ONLINE_BLOCK];
  for (size_t row = 0; row < rows; row += ONLINE_BLOCK) {
    size_t count = rows - row < ONLINE_BLOCK ? rows - row : ONLINE_BLOCK;
    for (size_t i = 0; i < count; i++) {
      keys[i] = key_of(answer->plan->scratch, row + i, view->id);
    }
    if (!online_get_many(read, keys, count, found_rows, found, err)) {
      return false;
    }
    for (size_t i = 0; i < count; i++) {
      ValueStatus status =
          found[i] ? judge_row(view, &found_rows[i], answer->now) : STATUS_NOT_FOUND;
      answer->lookups[status]++;
      answer_row(answer, lookup, row + i, &found_rows[i], status);
    }
  }
  return true;
}

// Encodes the keys of all rows, with room for the view id in front. A key with a null in it matches
// nothing and has no bytes.
static bool encode_keys(const OnlinePlan *plan, const Tuple *tuple, const OnlineEntities *entities,
                        Error *err)
{
  Scratch *scratch = plan->scratch;
  Buf *out = &scratch->keys;
  buf_reset(out);
  for (size_t row = 0; row < entities->rows; row++) {
    size_t start = out->size;
    bool null = false;
    scratch->starts[row] = start;
    key_put_view(out, 0);
    for (size_t i = 0; i < tuple->count && !null; i++) {
      const OnlineKey *key = &plan->keys[tuple->keys[i]];
      if (!key_put_msgpack(out, key->type, &entities->columns[tuple->keys[i]][row], &null, err)) {
        return error_at(err, "entities.%s[%zu]", key->name, row);
      }
    }
    if (null) {
      out->size = start;
    }
  }
  scratch->starts[entities->rows] = out->size;
  return true;
}

static void reserve_rows(Scratch *scratch, size_t rows)
{
  if (scratch->capacity < rows + 1) {
    scratch->capacity = rows + 1;
    scratch->starts = mem_realloc(scratch->starts, scratch->capacity, sizeof(*scratch->starts));
  }
}

static bool answer_all(const Answer *answer, const OnlineEntities *entities, DbRead *read,
                       Error *err)
{
  const OnlinePlan *plan = answer->plan;
  reserve_rows(plan->scratch, entities->rows);
  for (size_t t = 0; t < plan->tuple_count; t++) {
    if (!encode_keys(plan, &plan->tuples[t], entities, err)) {
      return false;
    }
    for (size_t i = 0; i < plan->lookup_count; i++) {
      const Lookup *lookup = &plan->lookups[i];
      if (lookup->tuple == t && !answer_lookup(answer, lookup, read, entities->rows, err)) {
        return false;
      }
    }
  }
  return true;
}

bool online_get_features(DbRead *read, const OnlinePlan *plan, const OnlineEntities *entities,
                         Time now, bool details, OnlineResult *result, Arena *arena, Error *err)
{
  size_t rows = entities->rows;
  size_t values;
  *result = (OnlineResult){.rows = rows, .spans = plan->span_count};
  if (__builtin_mul_overflow(rows, plan->column_count, &values) || values > ONLINE_VALUES_MAX) {
    return error_set(err, ERR_LIMIT,
                     "%zu rows of %zu features are more than the %d values of one request: send "
                     "fewer rows at a time",
                     rows, plan->column_count, ONLINE_VALUES_MAX);
  }
  Answer answer = {
      .plan = plan,
      .now = now,
      .slices = arena_alloc(arena, rows * plan->span_count * sizeof(Slice)),
      .statuses = details ? arena_alloc(arena, values) : NULL,
      .event_times = details ? arena_alloc(arena, values * sizeof(Time)) : NULL,
      .lookups = result->lookups,
      .arena = arena,
  };
  result->slices = answer.slices;
  result->statuses = answer.statuses;
  result->event_times = answer.event_times;
  return answer_all(&answer, entities, read, err);
}
