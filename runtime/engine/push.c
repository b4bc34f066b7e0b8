#include "engine/push.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "data/key.h"
#include "engine/push_value.h"
#include "store/log.h"

enum { QUOTED = 64, NOWHERE = -1, TIME_FIELDS = 6 };

static const MpLimits CHECKED = {.depth = UINT32_MAX, .elements = UINT64_MAX};

// What a field of a pushed row is. Keys come first, then features, then these.
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
  MpReader *values;  // keys, features, times
  size_t value_count;
  int *features;        // of each slot: place in `values`, or NOWHERE
  const Known **hints;  // what the n-th field of the row before was: mostly it is again
  size_t hint_count;

  Buf key;
  Buf encoded;     // values in slot order
  uint32_t *ends;  // of those
  uint8_t *given;  // bit per slot
  Buf row;
  Error err;  // why a row is rejected
} Encoder;

static void skip_value(MpReader *reader)
{
  MpStatus status = mp_skip(reader, CHECKED);
  assert(status == MP_OK);
  (void)status;
}

static bool is_text(const MpToken *token)
{
  return token->kind == MP_STR || token->kind == MP_BIN;
}

static int quoted(Slice text)
{
  return text.size < QUOTED ? (int)text.size : QUOTED;
}

// Rejecting ---------------------------------------------------------------------------------------

static void add_rejection(PushRejections *list, PushRejection rejection, Arena *arena)
{
  if (list->count == list->capacity) {
    list->capacity = list->capacity ? list->capacity * 2 : 16;
    PushRejection *items = arena_alloc(arena, list->capacity * sizeof(*items));
    if (list->count) {
      memcpy(items, list->items, list->count * sizeof(*items));
    }
    list->items = items;
  }
  list->items[list->count++] = rejection;
}

// `field` lives as long as the arena. Always returns false.
static bool reject(Encoder *it, uint32_t row, const char *field, const char *reason)
{
  add_rejection(it->rejections,
                (PushRejection){row, field, arena_text(it->arena, slice_text(reason))}, it->arena);
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

void push_reject_large(const Push *push, PushRejections *rejections, Arena *arena)
{
  for (size_t at = 0; at < push->too_large.size; at += sizeof(uint32_t)) {
    uint32_t row;
    memcpy(&row, push->too_large.data + at, sizeof(row));
    add_rejection(rejections,
                  (PushRejection){row, "", "with the features that are kept it is too large"},
                  arena);
  }
  if (push->too_large.size) {
    qsort(rejections->items, rejections->count, sizeof(*rejections->items), compare_rejections);
  }
}

// Fields ------------------------------------------------------------------------------------------

static void know(Encoder *it, const char *name, size_t place)
{
  if (name) {
    it->known[it->known_count++] = (Known){slice_text(name), place};
  }
}

// Where values go: keys, features, the three times. `place` counts them.
static void know_fields(Encoder *it)
{
  const View *view = it->view;
  size_t names = view->key_count + view->feature_count + TIME_FIELDS;
  it->known = arena_alloc(it->arena, names * sizeof(*it->known));
  it->value_count = view->key_count + view->feature_count + FIELD_COUNT;
  it->values = arena_zalloc(it->arena, it->value_count, sizeof(*it->values));
  it->features = arena_alloc(it->arena, (view->slot_count + 1) * sizeof(*it->features));
  for (size_t slot = 0; slot < view->slot_count; slot++) {
    it->features[slot] = NOWHERE;
  }
  size_t place = 0;
  for (size_t i = 0; i < view->key_count; i++) {
    know(it, view->keys[i].name, place++);
  }
  for (size_t i = 0; i < view->feature_count; i++) {
    it->features[view->features[i].slot] = (int)place;
    know(it, view->features[i].name, place++);
  }
  const Source *source = view->source;
  know(it, "event_time", place + FIELD_EVENT);
  know(it, "created_time", place + FIELD_CREATED);
  know(it, "deleted", place + FIELD_DELETED);
  know(it, source->event_time, place + FIELD_EVENT);
  know(it, source->created_time, place + FIELD_CREATED);
  know(it, source->deleted, place + FIELD_DELETED);
}

static MpReader time_value(const Encoder *it, TimeField field)
{
  return it->values[it->view->key_count + it->view->feature_count + field];
}

static const Known *find_known(const Encoder *it, Slice name)
{
  for (size_t i = 0; i < it->known_count; i++) {
    if (slice_equal(it->known[i].name, name)) {
      return &it->known[i];
    }
  }
  return NULL;
}

static bool unknown_field(const Encoder *it, Slice name, Error *err)
{
  const char **known = arena_alloc(it->arena, (it->known_count + 1) * sizeof(*known));
  for (size_t i = 0; i < it->known_count; i++) {
    known[i] = it->known[i].name.data;
  }
  const char *near = catalog_suggest(name, known, it->known_count);
  return error_set(err, ERR_INVALID, "feature_view \"%s\" has no field \"%.*s\"%s%s%s",
                   it->view->declared.name, quoted(name), name.data,
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
    if (narrow && (token.integer < INT32_MIN || token.integer > INT32_MAX)) {
      return reject(it, row, field->name, "the number is not one of int32");
    }
    if (field->type.kind == TYPE_TIMESTAMP && token.kind == MP_INT && token.integer == TIME_NULL) {
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

static bool add_row(Encoder *it, uint32_t number, RowRank rank, bool deleted, bool partial)
{
  size_t slots = it->view->slot_count;
  RowValues values = {.bytes = buf_slice(&it->encoded), .ends = it->ends, .count = slots};
  Slice key = buf_slice(&it->key);
  Slice carried = {0};
  if (key.size > KEY_STORE_MAX) {
    carried = slice_of(key.data + KEY_VIEW_SIZE, key.size - KEY_VIEW_SIZE);
  }
  if (PUSH_HEADER + 2 * key.size + slots * 5 + values.bytes.size + ROW_HEADER > LOG_RECORD_MAX) {
    return reject(it, number, "", "the row is too large");
  }
  buf_reset(&it->row);
  row_encode_values(&it->row, rank, deleted, &values, carried);
  PushRow row = {
      .flags = (uint8_t)(it->request->to | (partial && !deleted ? PUSH_PARTIAL : 0)),
      .key = key,
      .row = buf_slice(&it->row),
  };
  if (row.flags & PUSH_PARTIAL) {
    row.given = slice_of(it->given, (slots + 7) / 8);
  }
  push_add(it->push, number, &row);
  return true;
}

// Encodes the row whose values were found; false when it was rejected.
static bool encode_row(Encoder *it, uint32_t number)
{
  RowRank rank = {0};
  bool deleted;
  bool partial = false;
  return encode_key(it, number)
         && take_time(it, number, FIELD_EVENT, it->request->now, &rank.event_time)
         && take_time(it, number, FIELD_CREATED, it->request->arrived, &rank.created_time)
         && take_deleted(it, number, &deleted) && (deleted || encode_features(it, number, &partial))
         && add_row(it, number, rank, deleted, partial);
}

// Requests ----------------------------------------------------------------------------------------

// The field that a map's n-th name stands for.
static const Known *find_hinted(Encoder *it, uint32_t n, Slice name)
{
  if (n < it->hint_count && it->hints[n] && slice_equal(it->hints[n]->name, name)) {
    return it->hints[n];
  }
  const Known *known = find_known(it, name);
  if (known && n < it->hint_count) {
    it->hints[n] = known;
  }
  return known;
}

// Finds the values of one map; moves the reader past it.
static bool find_values(Encoder *it, uint32_t row, MpReader *reader)
{
  MpReader map = *reader;
  skip_value(reader);
  MpToken token = mp_take(&map);
  if (token.kind != MP_MAP) {
    return reject(it, row, "", "a row has to be a map of its fields");
  }
  memset(it->values, 0, it->value_count * sizeof(*it->values));
  for (uint32_t i = 0; i < token.count; i++) {
    MpToken name = mp_take(&map);
    if (!is_text(&name)) {
      return reject(it, row, "", "a field's name has to be a string");
    }
    const Known *known = find_hinted(it, i, name.bytes);
    if (!known) {
      unknown_field(it, name.bytes, &it->err);
      Slice shown = slice_of(name.bytes.data, (size_t)quoted(name.bytes));
      return reject_for(it, row, arena_text(it->arena, shown));
    }
    it->values[known->place] = map;
    skip_value(&map);
  }
  return true;
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
    const Known *known = is_text(&name) ? find_known(it, name.bytes) : NULL;
    if (!known) {
      return is_text(&name) ? unknown_field(it, name.bytes, err)
                            : error_set(err, ERR_INVALID, "a column's name has to be a string");
    }
    MpReader column = reader;
    skip_value(&reader);
    MpToken list = mp_take(&column);
    if (list.kind != MP_ARRAY) {
      return error_set(err, ERR_INVALID, "column \"%s\" has to be a list", known->name.data);
    }
    if (i && list.count != rows) {
      return error_set(err, ERR_INVALID, "column \"%s\" has %" PRIu32 " rows, others have %" PRIu32,
                       known->name.data, list.count, rows);
    }
    rows = list.count;
    cursors[known->place] = column;
  }
  for (uint32_t row = 0; row < rows; row++) {
    memcpy(it->values, cursors, it->value_count * sizeof(*cursors));
    for (size_t i = 0; i < it->value_count; i++) {
      if (cursors[i].at) {
        skip_value(&cursors[i]);
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
    skip_value(&rows);
    token = mp_take(&rows);
  }
  return token.kind == MP_ARRAY ? token.count : 0;
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
  know_fields(&it);
  it.hint_count = it.value_count;
  it.hints = arena_zalloc(arena, it.hint_count, sizeof(*it.hints));
  MpReader reader = request->rows;
  MpToken token = mp_take(&reader);
  bool ok = token.kind == MP_MAP ? encode_columns(&it, reader, token.count, err)
                                 : encode_maps(&it, reader, token.count);
  buf_deinit(&it.key);
  buf_deinit(&it.encoded);
  buf_deinit(&it.row);
  return ok;
}
