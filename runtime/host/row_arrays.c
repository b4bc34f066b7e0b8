// Columns to arrays that generated loops work on, and back.

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "host/row_function.h"
#include "host/row_numbers.h"

enum {
  KEPT_BYTES = 16 << 20,  // room that is kept for the next run, per output; more goes back
  FIRST_BYTES = 4096,
  FIRST_ITEMS = 64,  // doubled, so that packing can always take 64 of them
};

static bool is_text(uint8_t kind)
{
  return kind == TYPE_STRING || kind == TYPE_BYTES;
}

// Bytes of a value while rows run: whole numbers are floats.
static size_t array_width(Type type)
{
  return type.kind == TYPE_INT32 ? sizeof(double) : type_width(type);
}

static size_t item_width(Type type)
{
  return array_width((Type){.kind = type.element});
}

void row_arrays_init(RowFunction *function)
{
  size_t inputs = function->function->input_count;
  size_t outputs = function->output_count;
  void **slots =
      mem_zalloc(1, sizeof(void *) + inputs * sizeof(RowsInput) + outputs * sizeof(RowsOutput));
  function->slots = slots;
  function->inputs = (RowsInput *)(slots + 1);
  function->arrays = (RowsOutput *)(function->inputs + inputs);
  function->numbers = mem_zalloc(inputs, sizeof(*function->numbers));
  function->bits = mem_zalloc(outputs, sizeof(*function->bits));
  function->columns = mem_zalloc(outputs, sizeof(*function->columns));
}

static void free_items(RowsOutput *arrays)
{
  free(arrays->items);
  free(arrays->item_nulls);
  arrays->items = NULL;
  arrays->item_nulls = NULL;
  arrays->item_capacity = 0;
}

static void free_bytes(RowsOutput *arrays)
{
  free(arrays->bytes);
  arrays->bytes = NULL;
  arrays->byte_capacity = 0;
}

void row_arrays_deinit(RowFunction *function)
{
  for (size_t i = 0; i < function->output_count; i++) {
    free(function->arrays[i].data);
    free(function->arrays[i].nulls);
    free_items(&function->arrays[i]);
    free_bytes(&function->arrays[i]);
    free(function->bits[i].valid);
    free(function->bits[i].item_valid);
  }
  for (size_t i = 0; i < function->function->input_count && function->numbers; i++) {
    free(function->numbers[i]);
  }
  free(function->numbers);
  free(function->errors);
  free(function->bits);
  free(function->columns);
  free(function->slots);
}

// Starting
// ----------------------------------------------------------------------------------------

static void reserve_rows(RowFunction *function, size_t count)
{
  if (count <= function->capacity) {
    return;
  }
  size_t words = column_valid_words(count);
  for (size_t i = 0; i < function->output_count; i++) {
    Type type = function->outputs[i].type;
    RowsOutput *arrays = &function->arrays[i];
    if (type.kind == TYPE_VECTOR) {
      arrays->items = mem_realloc(arrays->items, count, type_width(type));
    } else {
      arrays->data = mem_realloc(arrays->data, count, array_width(type));
    }
    arrays->nulls = mem_realloc(arrays->nulls, words * 64, 1);
    function->bits[i].valid = mem_realloc(function->bits[i].valid, words, sizeof(uint64_t));
  }
  function->errors = mem_realloc(function->errors, words, sizeof(uint64_t));
  function->capacity = count;
}

static void clear_items(RowsOutput *arrays, size_t width)
{
  if ((size_t)arrays->item_capacity * width > KEPT_BYTES) {
    free_items(arrays);
  } else if (arrays->item_count) {
    memset(arrays->items, 0, (size_t)arrays->item_count * width);
    memset(arrays->item_nulls, 0, (size_t)arrays->item_count);
  }
  arrays->item_count = 0;
}

// Nulls, and rows that fail, are zero in the arrays as well.
static void clear_output(RowsOutput *arrays, Type type, size_t count)
{
  memset(type.kind == TYPE_VECTOR ? arrays->items : arrays->data, 0, count * array_width(type));
  memset(arrays->nulls, 0, column_valid_words(count) * 64);
  if (type.kind == TYPE_LIST) {
    clear_items(arrays, item_width(type));
  }
  arrays->byte_count = 0;
  if (arrays->byte_capacity > KEPT_BYTES) {
    free_bytes(arrays);
  }
}

static void take_input(RowsInput *arrays, const Column *column, size_t count, void **numbers)
{
  bool is_list = column->type.kind == TYPE_LIST;
  const void *values = row_numbers_input(column, count, numbers);
  *arrays = (RowsInput){
      .data = is_list ? column->data : values,
      .valid = column->valid,
      .items = values,
      .item_valid = is_list ? column->child->valid : NULL,
  };
}

void row_arrays_start(RowFunction *function, const RowInput *input)
{
  *(const uint8_t **)function->slots = input->skip;
  for (size_t i = 0; i < function->function->input_count; i++) {
    assert(type_equal(input->inputs[i]->type, function->function->inputs[i].type));
    take_input(&function->inputs[i], input->inputs[i], input->count, &function->numbers[i]);
  }
  reserve_rows(function, input->count);
  for (size_t i = 0; i < function->output_count; i++) {
    clear_output(&function->arrays[i], function->outputs[i].type, input->count);
  }
  function->failed = 0;
}

// Growing
// -----------------------------------------------------------------------------------------

static size_t grown(size_t capacity, size_t wanted, size_t first)
{
  size_t size = capacity ? capacity : first;
  while (size < wanted) {
    size *= 2;
  }
  return size;
}

// Elements that are not written to are zero.
static void reserve_items(RowsOutput *arrays, size_t room, size_t width)
{
  size_t old = (size_t)arrays->item_capacity;
  arrays->items = mem_realloc(arrays->items, room, width);
  arrays->item_nulls = mem_realloc(arrays->item_nulls, room, 1);
  memset((char *)arrays->items + old * width, 0, (room - old) * width);
  memset(arrays->item_nulls + old, 0, room - old);
  arrays->item_capacity = (int32_t)room;
}

int32_t row_arrays_grow(void *function, int32_t output, int32_t items, int32_t bytes)
{
  const RowFunction *owner = function;
  RowsOutput *arrays = &owner->arrays[output - 1];
  size_t item_room = (size_t)arrays->item_count + (size_t)items;
  size_t byte_room = (size_t)arrays->byte_count + (size_t)bytes;
  size_t width = item_width(owner->outputs[output - 1].type) + 1;
  if (item_room * width + byte_room > FUNCTIONS_MEMORY_LIMIT) {
    return 0;
  }
  if (item_room > (size_t)arrays->item_capacity) {
    reserve_items(arrays, grown((size_t)arrays->item_capacity, item_room, FIRST_ITEMS), width - 1);
  }
  if (byte_room > (size_t)arrays->byte_capacity) {
    byte_room = grown((size_t)arrays->byte_capacity, byte_room, FIRST_BYTES);
    arrays->bytes = mem_realloc(arrays->bytes, byte_room, 1);
    arrays->byte_capacity = (int32_t)byte_room;
  }
  return 1;
}

// Failing
// -----------------------------------------------------------------------------------------

void row_arrays_fail(RowFunction *function, size_t row)
{
  for (size_t i = 0; i < function->output_count; i++) {
    Type type = function->outputs[i].type;
    RowsOutput *arrays = &function->arrays[i];
    size_t width = array_width(type);
    void *data = type.kind == TYPE_VECTOR ? arrays->items : arrays->data;
    memset((char *)data + row * width, 0, width);
    arrays->nulls[row] = 1;
  }
  if (function->failed++ == 0) {
    memset(function->errors, 0, column_valid_words(function->capacity) * sizeof(uint64_t));
  }
  column_set_valid(function->errors, row, true);
}

static bool is_good_text(const RowsOutput *arrays, ColumnList place)
{
  return place.length == 0 || utf8_is_valid(slice_of(arrays->bytes + place.offset, place.length));
}

static bool are_good_texts(const RowsOutput *arrays, Type type, size_t row)
{
  const ColumnList *places = arrays->data;
  if (type.kind != TYPE_LIST) {
    return is_good_text(arrays, places[row]);
  }
  const ColumnList *items = arrays->items;
  for (size_t i = 0; i < places[row].length; i++) {
    if (!is_good_text(arrays, items[places[row].offset + i])) {
      return false;
    }
  }
  return true;
}

size_t row_arrays_find_bad_text(const RowFunction *function, size_t row, size_t end, size_t *output)
{
  for (size_t i = 0; i < function->output_count; i++) {
    Type type = function->outputs[i].type;
    if (type.kind != TYPE_STRING && (type.kind != TYPE_LIST || type.element != TYPE_STRING)) {
      continue;
    }
    for (size_t k = row; k < end; k++) {
      if (!are_good_texts(&function->arrays[i], type, k)) {
        *output = i;
        end = k;
      }
    }
  }
  return end;
}

// Finishing
// ---------------------------------------------------------------------------------------

// Bytes of 0 and 1, eight at a time, as the bits of their complement. True when all are 0. The
// bytes go on to a multiple of 64.
static bool pack_nulls(const uint8_t *nulls, size_t count, uint64_t *valid)
{
  uint64_t any = 0;
  for (size_t i = 0; i < column_valid_words(count); i++) {
    uint64_t word = 0;
    for (size_t k = 0; k < 8; k++) {
      uint64_t eight = bytes_load_u64(nulls + 64 * i + 8 * k);
      word |= (eight * UINT64_C(0x0102040810204080) >> 56) << 8 * k;
    }
    valid[i] = ~word;
    any |= word;
  }
  return any == 0;
}

// Places in the bytes become slices where they stand: both are two words.
static void place_texts(void *data, size_t count, const uint8_t *bytes)
{
  _Static_assert(sizeof(ColumnList) == sizeof(Slice), "places turn into slices in place");
  for (size_t i = 0; i < count; i++) {
    ColumnList place = ((const ColumnList *)data)[i];
    ((Slice *)data)[i] =
        place.length ? slice_of(bytes + place.offset, place.length) : slice_of("", 0);
  }
}

static const Column *finish_items(RowsBits *bits, RowsOutput *arrays, Type type)
{
  size_t count = (size_t)arrays->item_count;
  if (is_text(type.element)) {
    place_texts(arrays->items, count, arrays->bytes);
  }
  row_numbers_output(arrays->items, count, type.element);
  size_t words = column_valid_words(count);
  assert(words * 64 <= (size_t)arrays->item_capacity);
  bits->item_valid = mem_realloc(bits->item_valid, words + 1, sizeof(uint64_t));
  bool all = pack_nulls(arrays->item_nulls, count, bits->item_valid);
  bits->child = (Column){
      .type = {.kind = type.element},
      .valid = all ? NULL : bits->item_valid,
      .data = arrays->items,
  };
  return &bits->child;
}

void row_arrays_finish(RowFunction *function, size_t count)
{
  for (size_t i = 0; i < function->output_count; i++) {
    Type type = function->outputs[i].type;
    RowsOutput *arrays = &function->arrays[i];
    RowsBits *bits = &function->bits[i];
    bool all = pack_nulls(arrays->nulls, count, bits->valid);
    if (is_text(type.kind)) {
      place_texts(arrays->data, count, arrays->bytes);
    }
    row_numbers_output(arrays->data, count, type.kind);
    if (type.kind == TYPE_VECTOR) {
      row_numbers_output(arrays->items, count * type.length, TYPE_FLOAT32);
    }
    function->columns[i] = (Column){
        .type = type,
        .valid = all ? NULL : bits->valid,
        .data = type.kind == TYPE_VECTOR ? arrays->items : arrays->data,
        .child = type.kind == TYPE_LIST ? finish_items(bits, arrays, type) : NULL,
        .errors = function->failed ? function->errors : NULL,
    };
  }
}
