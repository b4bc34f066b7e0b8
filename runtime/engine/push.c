#include "engine/push.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "data/key.h"
#include "engine/push_held.h"
#include "engine/push_value.h"
#include "store/log.h"

enum { NOWHERE = -1, TIME_NAMES = 6 };

// What a field of a pushed row is. Keys come first, then features, then inputs of functions, then
// these.
typedef enum { FIELD_EVENT, FIELD_CREATED, FIELD_DELETED, FIELD_COUNT } TimeField;

typedef struct {
  Slice name;
  size_t place;  // in Encoder.values
} Known;

// One request while it is encoded. Values are where the row's fields begin; at NULL: not given.
typedef struct {
  const PushRequest *request;
  const View *view;
  Push *push;
  PushRejections *rejections;
  Arena *arena;

  Known *known;  // every name that a field may have; the first of equal ones counts
  size_t known_count;
  Known ignored;     // a column of the source that no function takes
  MpReader *values;  // keys, features, inputs, times, what is ignored
  size_t value_count;
  size_t times;         // place of the first time
  int *features;        // of each slot: place in `values`, or NOWHERE
  const Known **hints;  // what the n-th field of the row before was: mostly it is again
  size_t hint_count;

  HeldRows *held;  // NULL: the view has no functions
  size_t *inputs;  // place of each held input

  Buf key;
  Buf encoded;     // values in slot order
  uint32_t *ends;  // of those
  uint8_t *given;  // bit per slot
  Buf row;
  Error err;  // why a row is rejected
} Encoder;

// Rejecting ---------------------------------------------------------------------------------------

void push_reject(PushRejections *rejections, uint32_t row, const char *field, const char *reason,
                 Arena *arena)
{
  PushRejections *list = rejections;
  if (list->count == list->capacity) {
    list->capacity = list->capacity ? list->capacity * 2 : 16;
    PushRejection *items = arena_alloc(arena, list->capacity * sizeof(*items));
    if (list->count) {
      memcpy(items, list->items, list->count * sizeof(*items));
    }
    list->items = items;
  }
  list->items[list->count++] = (PushRejection){row, field, arena_text(arena, slice_text(reason))};
}

// `field` lives as long as the arena. Always returns false.
static bool reject(Encoder *it, uint32_t row, const char *field, const char *reason)
{
  push_reject(it->rejections, row, field, reason, it->arena);
  return false;
}

// For what it->err says.
static bool reject_for(Encoder *it, uint32_t row, const char *field)
{
  reject(it, row, field, it->err.message);
  error_clear(&it->err);
  return false;
}

static int compare_rejections(const void *a, const void *b)
{
  uint32_t left = ((const PushRejection *)a)->row;
  uint32_t right = ((const PushRejection *)b)->row;
  return (left > right) - (left < right);
}

// Each row is rejected once.
static void sort_rejections(PushRejections *rejections)
{
  if (rejections->count) {
    qsort(rejections->items, rejections->count, sizeof(*rejections->items), compare_rejections);
  }
}

void push_reject_large(const Push *push, PushRejections *rejections, Arena *arena)
{
  for (size_t at = 0; at < push->too_large.size; at += sizeof(uint32_t)) {
    uint32_t row;
    memcpy(&row, push->too_large.data + at, sizeof(row));
    push_reject(rejections, row, "", "with the features that are kept it is too large", arena);
  }
  if (push->too_large.size) {
    sort_rejections(rejections);
  }
}

// Fields ------------------------------------------------------------------------------------------

static void know(Encoder *it, const char *name, size_t place)
{
  if (name) {
    it->known[it->known_count++] = (Known){slice_text(name), place};
  }
}

// Keys, which rows of a view with functions may call as the source does.
static size_t know_keys(Encoder *it)
{
  const View *view = it->view;
  for (size_t i = 0; i < view->key_count; i++) {
    know(it, view->keys[i].name, i);
  }
  for (size_t i = 0; it->held && i < view->key_count; i++) {
    know(it, view->keys[i].column, i);
  }
  return view->key_count;
}

// Features that rows give: none where a transform makes them. Returns the place behind them.
static size_t know_features(Encoder *it, size_t place)
{
  const View *view = it->view;
  it->features = arena_alloc(it->arena, (view->slot_count + 1) * sizeof(*it->features));
  for (size_t slot = 0; slot < view->slot_count; slot++) {
    it->features[slot] = NOWHERE;
  }
  for (size_t i = 0; !view->transform.at && i < view->feature_count; i++) {
    it->features[view->features[i].slot] = (int)(place + i);
    know(it, view->features[i].name, place + i);
  }
  return place + view->feature_count;
}

static bool is_column(const char *name, const char *column)
{
  return column && strcmp(name, column) == 0;
}

// The place of a column of the source that a row gives anyway, or `otherwise`.
static size_t column_place(const Encoder *it, const char *column, size_t otherwise)
{
  const View *view = it->view;
  const Source *source = view->source;
  for (size_t i = 0; i < view->key_count; i++) {
    if (is_column(column, view->keys[i].column)) {
      return i;
    }
  }
  for (size_t i = 0; !view->transform.at && i < view->feature_count; i++) {
    if (is_column(column, view->features[i].column)) {
      return view->key_count + i;
    }
  }
  return is_column(column, source->event_time)     ? it->times + FIELD_EVENT
         : is_column(column, source->created_time) ? it->times + FIELD_CREATED
         : is_column(column, source->deleted)      ? it->times + FIELD_DELETED
                                                   : otherwise;
}

static void know_inputs(Encoder *it, size_t place)
{
  size_t count = it->held ? it->held->input_count : 0;
  it->inputs = arena_alloc(it->arena, (count + 1) * sizeof(*it->inputs));
  for (size_t i = 0; i < count; i++) {
    const char *column = it->held->inputs[i].field->column;
    it->inputs[i] = column_place(it, column, place + i);
    know(it, column, it->inputs[i]);
  }
}

static void know_times(Encoder *it)
{
  const Source *source = it->view->source;
  know(it, "event_time", it->times + FIELD_EVENT);
  know(it, "created_time", it->times + FIELD_CREATED);
  know(it, "deleted", it->times + FIELD_DELETED);
  know(it, source->event_time, it->times + FIELD_EVENT);
  know(it, source->created_time, it->times + FIELD_CREATED);
  know(it, source->deleted, it->times + FIELD_DELETED);
}

// Every name that a field may have, and where its value goes.
static void know_fields(Encoder *it)
{
  const View *view = it->view;
  size_t inputs = it->held ? it->held->input_count : 0;
  size_t names = 2 * view->key_count + view->feature_count + inputs + TIME_NAMES;
  it->known = arena_alloc(it->arena, names * sizeof(*it->known));
  it->times = view->key_count + view->feature_count + inputs;
  it->ignored.place = it->times + FIELD_COUNT;
  it->value_count = it->ignored.place + 1;
  it->values = arena_zalloc(it->arena, it->value_count, sizeof(*it->values));
  know_inputs(it, know_features(it, know_keys(it)));
  know_times(it);
}

static MpReader time_value(const Encoder *it, TimeField field)
{
  return it->values[it->times + field];
}

// Rows that are transformed may have all columns of the source: the inputs all have to be there, so
// that a name that is mistyped is noticed anyway.
static const Known *find_known(Encoder *it, Slice name)
{
  for (size_t i = 0; i < it->known_count; i++) {
    if (slice_equal(it->known[i].name, name)) {
      return &it->known[i];
    }
  }
  if (!it->view->transform.at || view_feature(it->view, name)) {
    return NULL;
  }
  return &it->ignored;
}

static bool unknown_field(const Encoder *it, Slice name, Error *err)
{
  if (it->view->transform.at && view_feature(it->view, name)) {
    return error_set(err, ERR_INVALID,
                     "feature \"%.*s\" of feature_view \"%s\" is made by its transform (%s): push "
                     "the columns that this takes",
                     slice_quoted(name), name.data, it->view->declared.name,
                     it->view->transform.at);
  }
  const char **known = arena_alloc(it->arena, (it->known_count + 1) * sizeof(*known));
  for (size_t i = 0; i < it->known_count; i++) {
    known[i] = it->known[i].name.data;
  }
  const char *near = catalog_suggest(name, known, it->known_count);
  return error_set(err, ERR_INVALID, "feature_view \"%s\" has no field \"%.*s\"%s%s%s",
                   it->view->declared.name, slice_quoted(name), name.data,
                   near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

// One row -----------------------------------------------------------------------------------------

static bool encode_key(Encoder *it, uint32_t row)
{
  const View *view = it->view;
  buf_reset(&it->key);
  key_put_view(&it->key, view->id);
  for (size_t i = 0; i < view->key_count; i++) {
    const Field *field = &view->keys[i];
    MpReader reader = it->values[i];
    if (!reader.at) {
      return reject(it, row, field->name, "the key is not given");
    }
    MpToken token = mp_take(&reader);
    bool null = false;
    if (!key_put_msgpack(&it->key, field->type, &token, &null, &it->err)) {
      return reject_for(it, row, field->name);
    }
    if (null) {
      return reject(it, row, field->name, "the key is null");
    }
    bool narrow = field->type.kind == TYPE_INT32;
    int64_t whole = 0;
    mp_whole(&token, &whole);
    if (narrow && (whole < INT32_MIN || whole > INT32_MAX)) {
      return reject(it, row, field->name, "the number is not one of int32");
    }
    if (field->type.kind == TYPE_TIMESTAMP && whole == TIME_NULL) {
      return reject(it, row, field->name, "the number is not one of timestamp");
    }
  }
  return true;
}

// A time that is not given, or nil, is `otherwise`.
static bool take_time(Encoder *it, uint32_t row, TimeField field, Time otherwise, Time *time)
{
  static const char *const NAMES[] = {"event_time", "created_time"};
  MpReader reader = time_value(it, field);
  MpToken token = {.kind = MP_NIL};
  *time = otherwise;
  if (reader.at) {
    token = mp_take(&reader);
  }
  if (token.kind != MP_NIL && !push_value_time(&token, time, &it->err)) {
    return reject_for(it, row, NAMES[field]);
  }
  return *time != TIME_NULL || field != FIELD_EVENT
         || reject(it, row, NAMES[field], "the event time is not given");
}

static bool take_deleted(Encoder *it, uint32_t row, bool *deleted)
{
  MpReader reader = time_value(it, FIELD_DELETED);
  *deleted = false;
  if (!reader.at) {
    return true;
  }
  MpToken token = mp_take(&reader);
  *deleted = token.kind == MP_BOOL && token.integer;
  return token.kind == MP_BOOL || token.kind == MP_NIL
         || reject(it, row, "deleted", "expected bool");
}

// Features in slot order; *partial tells whether some are missing.
static bool encode_features(Encoder *it, uint32_t row, bool *partial)
{
  const View *view = it->view;
  buf_reset(&it->encoded);
  memset(it->given, 0, (view->slot_count + 7) / 8);
  *partial = false;
  for (size_t slot = 0; slot < view->slot_count; slot++) {
    MpReader reader = {0};
    if (it->features[slot] != NOWHERE) {
      reader = it->values[it->features[slot]];
      *partial |= !reader.at;
    }
    if (!reader.at) {
      buf_put_byte(&it->encoded, 0xc0);
    } else {
      const Field *field = &view->features[(size_t)it->features[slot] - view->key_count];
      it->given[slot / 8] |= (uint8_t)(1U << (slot % 8));
      if (!push_value_put(&it->encoded, field->type, &reader, &it->err)) {
        return reject_for(it, row, field->name);
      }
    }
    it->ends[slot] = (uint32_t)it->encoded.size;
  }
  return true;
}

size_t push_row_bytes(Slice key, size_t slots, size_t bytes)
{
  return PUSH_HEADER + 2 * key.size + slots * 5 + bytes + ROW_HEADER;
}

Slice push_row_carried(Slice key)
{
  return key.size > KEY_STORE_MAX ? slice_of(key.data + KEY_VIEW_SIZE, key.size - KEY_VIEW_SIZE)
                                  : (Slice){0};
}

// A time of the row as functions see it: what counts, given or not. Files may have integers, in the
// source's unit. False for types that are no time.
static bool put_time(Encoder *it, Type type, Time time)
{
  if (type.kind == TYPE_INT64 && it->view->source->time_unit != UNIT_NONE) {
    time = clock_to_unit(time, it->view->source->time_unit);
  } else if (type.kind != TYPE_TIMESTAMP) {
    return false;
  }
  Column column = {.type = {.kind = TYPE_TIMESTAMP}, .int64s = &time};
  row_put_value(&it->encoded, &column, 0);
  return true;
}

static bool put_input(Encoder *it, uint32_t row, size_t input, RowRank rank)
{
  const Field *field = it->held->inputs[input].field;
  size_t place = it->inputs[input];
  MpReader reader = it->values[place];
  bool is_event = place == it->times + FIELD_EVENT;
  bool is_created = place == it->times + FIELD_CREATED && rank.created_time != TIME_NULL;
  if ((is_event && put_time(it, field->type, rank.event_time))
      || (is_created && put_time(it, field->type, rank.created_time))) {
    return true;
  }
  if (!reader.at) {
    bool null = place >= it->times;  // none of these has to be given
    if (null) {
      buf_put_byte(&it->encoded, 0xc0);
    }
    return null
           || reject(it, row, field->column,
                     "the column is not given: the view's functions use it");
  }
  return push_value_put(&it->encoded, field->type, &reader, &it->err)
         || reject_for(it, row, field->column);
}

// Inputs of functions, for a row that is held.
static bool hold_inputs(Encoder *it, uint32_t row, RowRank rank)
{
  buf_reset(&it->encoded);
  for (size_t i = 0; i < it->held->input_count; i++) {
    if (!put_input(it, row, i, rank)) {
      return false;
    }
  }
  held_add_inputs(it->held, row, buf_slice(&it->encoded));
  return true;
}

static bool add_row(Encoder *it, uint32_t number, RowRank rank, bool deleted, bool partial)
{
  size_t slots = it->view->slot_count;
  RowValues values = {.bytes = buf_slice(&it->encoded), .ends = it->ends, .count = slots};
  Slice key = buf_slice(&it->key);
  if (push_row_bytes(key, slots, values.bytes.size) > LOG_RECORD_MAX) {
    return reject(it, number, "", "the row is too large");
  }
  buf_reset(&it->row);
  row_encode_values(&it->row, rank, deleted, &values, push_row_carried(key));
  PushRow row = {
      .flags = (uint8_t)(it->request->to | (partial && !deleted ? PUSH_PARTIAL : 0)),
      .key = key,
      .row = buf_slice(&it->row),
  };
  if (row.flags & PUSH_PARTIAL) {
    row.given = slice_of(it->given, (slots + 7) / 8);
  }
  if (it->held) {
    held_add_row(it->held, number, &row);
  } else {
    push_add(it->push, number, &row);
  }
  return true;
}

// The features that a row gives, and the row; one with features to be made is held without.
static bool add_features(Encoder *it, uint32_t number, RowRank rank, bool deleted)
{
  bool partial = false;
  if (deleted || !it->view->transform.at) {
    return (deleted || encode_features(it, number, &partial))
           && add_row(it, number, rank, deleted, partial);
  }
  held_add_open(it->held, number, it->request->to, rank, buf_slice(&it->key));
  return true;
}

// Encodes the row whose values were found, unless it has to be rejected.
static void encode_row(Encoder *it, uint32_t number)
{
  RowRank rank = {0};
  bool deleted;
  bool good = encode_key(it, number)
              && take_time(it, number, FIELD_EVENT, it->request->now, &rank.event_time)
              && take_time(it, number, FIELD_CREATED, it->request->arrived, &rank.created_time)
              && take_deleted(it, number, &deleted) && add_features(it, number, rank, deleted)
              && (!it->held || deleted || hold_inputs(it, number, rank));
  if (!good && it->held) {
    held_forget(it->held, number);
  }
}

// Requests ----------------------------------------------------------------------------------------

// The field that a map's n-th name stands for.
static const Known *find_hinted(Encoder *it, uint32_t n, Slice name)
{
  if (n < it->hint_count && it->hints[n] && slice_equal(it->hints[n]->name, name)) {
    return it->hints[n];
  }
  const Known *known = find_known(it, name);
  if (known && known != &it->ignored && n < it->hint_count) {
    it->hints[n] = known;
  }
  return known;
}

// Finds the values of the map that the reader stands on. The reader is past it if that succeeds.
static bool read_fields(Encoder *it, uint32_t row, MpReader *reader)
{
  MpToken token = mp_take(reader);
  if (token.kind != MP_MAP) {
    return reject(it, row, "", "a row has to be a map of its fields");
  }
  memset(it->values, 0, it->value_count * sizeof(*it->values));
  for (uint32_t i = 0; i < token.count; i++) {
    MpToken name = mp_take(reader);
    if (!mp_is_text(&name)) {
      return reject(it, row, "", "a field's name has to be a string");
    }
    const Known *known = find_hinted(it, i, name.bytes);
    if (!known) {
      unknown_field(it, name.bytes, &it->err);
      Slice shown = slice_of(name.bytes.data, (size_t)slice_quoted(name.bytes));
      return reject_for(it, row, arena_text(it->arena, shown));
    }
    if (it->values[known->place].at && known != &it->ignored) {
      return reject(it, row, known->name.data, "the field is given twice");
    }
    it->values[known->place] = *reader;
    mp_step(reader);
  }
  return true;
}

// The same, which moves the reader past a map that makes no sense as well.
static bool find_values(Encoder *it, uint32_t row, MpReader *reader)
{
  MpReader start = *reader;
  if (read_fields(it, row, reader)) {
    return true;
  }
  mp_step(&start);
  *reader = start;
  return false;
}

static bool encode_maps(Encoder *it, MpReader reader, uint32_t count)
{
  for (uint32_t row = 0; row < count; row++) {
    if (find_values(it, row, &reader)) {
      encode_row(it, row);
    }
  }
  return true;
}

// Columns: `cursors` stand on the value of the row that comes next.
static bool encode_columns(Encoder *it, MpReader reader, uint32_t columns, Error *err)
{
  MpReader *cursors = arena_zalloc(it->arena, it->value_count, sizeof(*cursors));
  uint32_t rows = 0;
  for (uint32_t i = 0; i < columns; i++) {
    MpToken name = mp_take(&reader);
    const Known *known = mp_is_text(&name) ? find_known(it, name.bytes) : NULL;
    if (!known) {
      return mp_is_text(&name) ? unknown_field(it, name.bytes, err)
                               : error_set(err, ERR_INVALID, "a column's name has to be a string");
    }
    MpReader column = reader;
    mp_step(&reader);
    MpToken list = mp_take(&column);
    if (list.kind != MP_ARRAY) {
      return error_set(err, ERR_INVALID, "column \"%.*s\" has to be a list",
                       slice_quoted(name.bytes), name.bytes.data);
    }
    if (i && list.count != rows) {
      return error_set(err, ERR_INVALID,
                       "column \"%.*s\" has %" PRIu32 " rows, others have %" PRIu32,
                       slice_quoted(name.bytes), name.bytes.data, list.count, rows);
    }
    if (cursors[known->place].at && known != &it->ignored) {
      return error_set(err, ERR_INVALID, "column \"%.*s\" is given twice", slice_quoted(name.bytes),
                       name.bytes.data);
    }
    rows = list.count;
    cursors[known->place] = column;
  }
  for (uint32_t row = 0; row < rows; row++) {
    memcpy(it->values, cursors, it->value_count * sizeof(*cursors));
    for (size_t i = 0; i < it->value_count; i++) {
      if (cursors[i].at) {
        mp_step(&cursors[i]);
      }
    }
    encode_row(it, row);
  }
  return true;
}

size_t push_count(MpReader rows)
{
  MpToken token = mp_take(&rows);
  if (token.kind == MP_MAP && token.count) {
    mp_step(&rows);
    token = mp_take(&rows);
  }
  return token.kind == MP_ARRAY ? token.count : 0;
}

static bool encode_rows(Encoder *it, Error *err)
{
  MpReader reader = it->request->rows;
  MpToken token = mp_take(&reader);
  return token.kind == MP_MAP ? encode_columns(it, reader, token.count, err)
                              : encode_maps(it, reader, token.count);
}

bool push_encode(const PushRequest *request, Push *push, PushRejections *rejections, Arena *arena,
                 Error *err)
{
  const View *view = request->view;
  if (!view->online) {
    return error_set(
        err, ERR_INVALID,
        "feature_view \"%s\" is not kept online (online = false in %s): rows are pushed "
        "to views that are",
        view->declared.name, view->declared.at);
  }
  Encoder it = {
      .request = request,
      .view = view,
      .push = push,
      .rejections = rejections,
      .arena = arena,
      .ends = arena_alloc(arena, (view->slot_count + 1) * sizeof(*it.ends)),
      .given = arena_alloc(arena, view->slot_count / 8 + 1),
  };
  HeldRows held;
  if (view->filter.at || view->transform.at) {
    held_init(&held, view, push_count(request->rows), arena);
    it.held = &held;
  }
  know_fields(&it);
  it.hint_count = it.value_count;
  it.hints = arena_zalloc(arena, it.hint_count, sizeof(*it.hints));
  bool ok = encode_rows(&it, err);
  if (it.held) {
    ok = ok && held_finish(it.held, request->functions, push, rejections, err);
    sort_rejections(rejections);
    held_deinit(it.held);
  }
  buf_deinit(&it.key);
  buf_deinit(&it.encoded);
  buf_deinit(&it.row);
  return ok;
}
