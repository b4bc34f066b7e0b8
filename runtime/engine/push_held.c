#include "engine/push_held.h"

#include <assert.h>

#include "data/row.h"
#include "store/log.h"

// Bytes of HeldRows.bytes.
typedef struct {
  size_t at;
  size_t size;
} Span;

struct HeldRow {
  uint8_t flags;
  RowRank rank;  // where features are to be made
  Span key;
  Span given;
  Span row;     // empty where features are to be made
  Span inputs;  // empty where no function looks at it
};

// The place of an input among those that are held.
static size_t hold_input(HeldRows *held, const Field *field)
{
  for (size_t i = 0; i < held->input_count; i++) {
    const Field *other = held->inputs[i].field;
    if (strcmp(other->column, field->column) == 0 && type_equal(other->type, field->type)) {
      return i;
    }
  }
  held->inputs[held->input_count] = (HeldInput){
      .field = field,
      .unpack = unpack_new(field->type, held->count, held->arena),
  };
  return held->input_count++;
}

static const Column **hold_inputs(HeldRows *held, const Function *function)
{
  const Column **inputs = arena_zalloc(held->arena, function->input_count, sizeof(*inputs));
  for (size_t i = 0; i < function->input_count; i++) {
    inputs[i] = &held->columns[hold_input(held, &function->inputs[i])];
  }
  return inputs;
}

void held_init(HeldRows *held, const View *view, size_t count, Arena *arena)
{
  size_t most = view->filter.input_count + view->transform.input_count;
  *held = (HeldRows){
      .view = view,
      .arena = arena,
      .inputs = arena_zalloc(arena, most, sizeof(*held->inputs)),
      .columns = arena_zalloc(arena, most, sizeof(*held->columns)),
      .count = count,
      .rows = arena_zalloc(arena, count, sizeof(*held->rows)),
      .fates = arena_alloc(arena, count + 1),
  };
  memset(held->fates, ROW_PASSED, count);
  held->filter_inputs = hold_inputs(held, &view->filter);
  held->transform_inputs = hold_inputs(held, &view->transform);
}

void held_deinit(HeldRows *held)
{
  buf_deinit(&held->bytes);
}

// --- Holding ---

static Span keep(HeldRows *held, Slice bytes)
{
  Span span = {held->bytes.size, bytes.size};
  buf_put_slice(&held->bytes, bytes);
  return span;
}

static Slice kept(const HeldRows *held, Span span)
{
  return slice_of(held->bytes.data + span.at, span.size);
}

void held_add_row(HeldRows *held, uint32_t number, const PushRow *row)
{
  assert(number < held->count);
  held->rows[number] = (HeldRow){
      .flags = row->flags,
      .key = keep(held, row->key),
      .given = keep(held, row->given),
      .row = keep(held, row->row),
  };
}

void held_add_open(HeldRows *held, uint32_t number, uint8_t flags, RowRank rank, Slice key)
{
  assert(number < held->count);
  held->rows[number] = (HeldRow){.flags = flags, .rank = rank, .key = keep(held, key)};
}

void held_add_inputs(HeldRows *held, uint32_t number, Slice inputs)
{
  held->rows[number].inputs = keep(held, inputs);
  held->fates[number] = ROW_TAKEN;
}

void held_forget(HeldRows *held, uint32_t number)
{
  held->rows[number] = (HeldRow){0};
  held->fates[number] = ROW_PASSED;
}

// --- Finishing ---

static void unpack_inputs(HeldRows *held)
{
  for (size_t row = 0; row < held->count; row++) {
    if (held->fates[row] != ROW_TAKEN) {
      continue;
    }
    Slice bytes = kept(held, held->rows[row].inputs);
    MpReader reader = {(const uint8_t *)bytes.data, (const uint8_t *)bytes.data + bytes.size};
    for (size_t i = 0; i < held->input_count; i++) {
      bool ok = unpack_value(held->inputs[i].unpack, row, &reader);
      assert(ok);  // push_value_put made it
      (void)ok;
    }
  }
  for (size_t i = 0; i < held->input_count; i++) {
    held->columns[i] = unpack_column(held->inputs[i].unpack);
  }
}

typedef struct {
  PushRejections *rejections;
  Arena *arena;
} Refusals;

static bool refuse(void *context, size_t row, const char *message, Error *err)
{
  (void)err;
  Refusals *refusals = context;
  push_reject(refusals->rejections, (uint32_t)row, "", message, refusals->arena);
  return true;
}

static bool run(HeldRows *held, Functions *functions, PushRejections *rejections,
                ViewRowsResult *result, ViewFunctions *view, Error *err)
{
  Refusals refusals = {rejections, held->arena};
  ViewRows rows = {
      .count = held->count,
      .filter_inputs = held->filter_inputs,
      .transform_inputs = held->transform_inputs,
      .fates = held->fates,
      .refuse = refuse,
      .context = &refusals,
  };
  if (!view_functions_init(view, functions, held->view, true, true, err)
      || !view_functions_run(view, &rows, result, err)) {
    return false;
  }
  rejections->filtered += result->filtered;
  return true;
}

static const Column **slot_columns(const HeldRows *held, const Column *features)
{
  const View *view = held->view;
  const Column **slots = arena_zalloc(held->arena, view->slot_count, sizeof(*slots));
  for (size_t i = 0; features && i < view->feature_count; i++) {
    slots[view->features[i].slot] = &features[i];
  }
  return slots;
}

// A row with the features that were made.
static bool make_row(HeldRows *held, uint32_t number, const Column **slots, Buf *bytes,
                     PushRow *row)
{
  const HeldRow *from = &held->rows[number];
  buf_reset(bytes);
  row_encode(bytes, from->rank, false, slots, held->view->slot_count, number,
             push_row_carried(row->key));
  row->row = buf_slice(bytes);
  return push_row_bytes(row->key, held->view->slot_count, bytes->size) <= LOG_RECORD_MAX;
}

static void add_rows(HeldRows *held, const Column *features, Push *push, PushRejections *rejections)
{
  const Column **slots = slot_columns(held, features);
  Buf bytes = {0};
  for (uint32_t number = 0; number < held->count; number++) {
    const HeldRow *from = &held->rows[number];
    bool forgotten = from->key.size == 0;
    if (forgotten || held->fates[number] == ROW_FILTERED || held->fates[number] == ROW_REFUSED) {
      continue;
    }
    PushRow row = {
        .flags = from->flags,
        .key = kept(held, from->key),
        .given = kept(held, from->given),
        .row = kept(held, from->row),
    };
    if (from->row.size || make_row(held, number, slots, &bytes, &row)) {
      push_add(push, number, &row);
    } else {
      push_reject(rejections, number, "", "the row is too large", held->arena);
    }
  }
  buf_deinit(&bytes);
}

bool held_finish(HeldRows *held, Functions *functions, Push *push, PushRejections *rejections,
                 Error *err)
{
  assert(functions);
  ViewFunctions view = {0};
  ViewRowsResult result = {0};
  unpack_inputs(held);
  bool ok = run(held, functions, rejections, &result, &view, err);
  if (ok) {
    add_rows(held, result.features, push, rejections);
  }
  view_functions_deinit(&view);
  return ok;
}
