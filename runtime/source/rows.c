#include "source/rows.h"

#include <assert.h>
#include <stdio.h>

#include "source/duck_inner.h"

// Types
// ---------------------------------------------------------------------------------------------

static const DuckTypeId TYPE_IDS[TYPE_KIND_COUNT] = {
    [TYPE_BOOL] = DUCK_BOOLEAN,  [TYPE_INT32] = DUCK_INTEGER,          [TYPE_INT64] = DUCK_BIGINT,
    [TYPE_FLOAT32] = DUCK_FLOAT, [TYPE_FLOAT64] = DUCK_DOUBLE,         [TYPE_STRING] = DUCK_VARCHAR,
    [TYPE_BYTES] = DUCK_BLOB,    [TYPE_TIMESTAMP] = DUCK_TIMESTAMP_TZ,
};

static DuckType duck_type(const DuckApi *api, Type type)
{
  bool nested = type.kind == TYPE_LIST || type.kind == TYPE_VECTOR;
  DuckType scalar = api->create_logical_type(TYPE_IDS[nested ? type.element : type.kind]);
  if (!nested) {
    return scalar;
  }
  DuckType list = api->create_list_type(scalar);
  api->destroy_logical_type(&scalar);
  return list;
}

// Columns into vectors
// ------------------------------------------------------------------------------

static bool copy_column(const DuckApi *api, DuckVector vector, size_t to, const Column *column,
                        size_t from, size_t count);

static void copy_validity(const DuckApi *api, DuckVector vector, size_t to, const Column *column,
                          size_t from, size_t count)
{
  if (!column->valid) {
    return;
  }
  api->vector_ensure_validity_writable(vector);
  uint64_t *valid = api->vector_get_validity(vector);
  for (size_t row = 0; row < count; row++) {
    column_set_valid(valid, to + row, column_has(column, from + row));
  }
}

static void copy_slices(const DuckApi *api, DuckVector vector, size_t to, const Column *column,
                        size_t from, size_t count)
{
  for (size_t row = 0; row < count; row++) {
    if (column_has(column, from + row)) {
      Slice bytes = column->slices[from + row];
      const char *data = bytes.data ? bytes.data : "";
      api->vector_assign_string_element_len(vector, to + row, data, bytes.size);
    }
  }
}

// Appends `count` elements of `child` to the list vector's child; false when there is no memory.
static bool append_elements(const DuckApi *api, DuckVector vector, const Column *child, size_t from,
                            size_t count)
{
  size_t size = api->list_vector_get_size(vector);
  if (api->list_vector_reserve(vector, size + count) != DUCK_SUCCESS
      || api->list_vector_set_size(vector, size + count) != DUCK_SUCCESS) {
    return false;
  }
  return copy_column(api, api->list_vector_get_child(vector), size, child, from, count);
}

static bool copy_lists(const DuckApi *api, DuckVector vector, size_t to, const Column *column,
                       size_t from, size_t count)
{
  Column floats = {.type = {.kind = TYPE_FLOAT32}, .data = column->data};
  for (size_t row = 0; row < count; row++) {
    ColumnList list = {0};
    const Column *child = column->child;
    if (column->type.kind == TYPE_VECTOR) {
      child = &floats;
      list = (ColumnList){(from + row) * column->type.length, column->type.length};
    } else if (column_has(column, from + row)) {
      list = column->lists[from + row];
    }
    if (!column_has(column, from + row)) {
      list.length = 0;
    }
    size_t offset = api->list_vector_get_size(vector);
    if (list.length && !append_elements(api, vector, child, list.offset, list.length)) {
      return false;
    }
    ColumnList *entries = api->vector_get_data(vector);
    entries[to + row] = (ColumnList){offset, list.length};
  }
  return true;
}

static bool copy_column(const DuckApi *api, DuckVector vector, size_t to, const Column *column,
                        size_t from, size_t count)
{
  copy_validity(api, vector, to, column, from, count);
  switch (column->type.kind) {
  case TYPE_STRING:
  case TYPE_BYTES:
    copy_slices(api, vector, to, column, from, count);
    return true;
  case TYPE_LIST:
  case TYPE_VECTOR:
    return copy_lists(api, vector, to, column, from, count);
  default: {
    size_t width = type_width(column->type);
    char *data = api->vector_get_data(vector);
    memcpy(data + to * width, (const char *)column->data + from * width, count * width);
    return true;
  }
  }
}

// Pulling
// -------------------------------------------------------------------------------------------

static size_t least(size_t a, size_t b)
{
  return a < b ? a : b;
}

// Takes `count` rows of a feed into the output's columns from `first` on.
static bool take_rows(const DuckApi *api, Feed *feed, size_t count, DuckChunk output, size_t first,
                      Error *err)
{
  for (size_t done = 0; done < count;) {
    size_t ready;
    if (!feed_available(feed, &ready, err)) {
      return false;
    }
    if (ready == 0) {
      return error_set(err, ERR_INTERNAL, "fewer rows were produced than the table has");
    }
    size_t part = least(ready, count - done);
    for (size_t column = 0; column < feed->count; column++) {
      DuckVector vector = api->data_chunk_get_vector(output, first + column);
      if (!copy_column(api, vector, done, &feed->batch.columns[column], feed->at, part)) {
        return error_set(err, ERR_LIMIT, "DuckDB has no memory for a list");
      }
    }
    feed->at += part;
    done += part;
  }
  return true;
}

// How many rows the left side has for the next chunk; without one, the right side decides.
static bool next_size(RowsSource *source, size_t *count, Error *err)
{
  if (source->stream) {
    return duck_stream_next(source->stream, count, err);
  }
  Feed *leading = source->left ? source->left : source->right;
  if (!feed_available(leading, count, err)) {
    return false;
  }
  *count = least(*count, DUCK_VECTOR_SIZE);
  return true;
}

static bool check_right_ended(RowsSource *source, Error *err)
{
  size_t ready = 0;
  if (source->right && !feed_available(source->right, &ready, err)) {
    return false;
  }
  return ready == 0 || error_set(err, ERR_INTERNAL, "more rows were produced than the table has");
}

static bool fill(const DuckApi *api, RowsSource *source, DuckChunk output, Error *err)
{
  size_t count;
  if (!next_size(source, &count, err)) {
    return false;
  }
  if (count == 0) {
    api->data_chunk_set_size(output, 0);
    return check_right_ended(source, err);
  }
  size_t first = 0;
  for (size_t column = 0; source->stream && column < source->stream_columns; column++) {
    api->vector_reference_vector(api->data_chunk_get_vector(output, first++),
                                 api->data_chunk_get_vector(source->stream->chunk, column));
  }
  if (source->left) {
    if (!take_rows(api, source->left, count, output, first, err)) {
      return false;
    }
    first += source->left->count;
  }
  if (source->right && !take_rows(api, source->right, count, output, first, err)) {
    return false;
  }
  api->data_chunk_set_size(output, count);
  source->rows += count;
  return true;
}

// The table function
// --------------------------------------------------------------------------------

// The number comes from SQL, so anything may be in it.
static RowsSource *lent(Duck *duck, int64_t number)
{
  return number >= 0 && number < DUCK_ROWS_MAX ? duck->rows[number] : NULL;
}

static void add_column(const DuckApi *api, DuckBind info, size_t *position, DuckType type)
{
  char name[32];
  snprintf(name, sizeof(name), "c%zu", (*position)++);
  api->bind_add_result_column(info, name, type);
}

static void add_feed(const DuckApi *api, DuckBind info, size_t *position, const Feed *feed)
{
  for (size_t i = 0; feed && i < feed->count; i++) {
    DuckType type = duck_type(api, feed->types[i]);
    add_column(api, info, position, type);
    api->destroy_logical_type(&type);
  }
}

static void bind_rows(DuckBind info)
{
  const DuckApi *api = duck_api();
  DuckValue value = api->bind_get_parameter(info, 0);
  RowsSource *source = lent(api->bind_get_extra_info(info), api->get_int64(value));
  api->destroy_value(&value);
  if (!source) {
    api->bind_set_error(info, "tidemark_rows: there are no such rows");
    return;
  }
  size_t position = 0;
  for (size_t i = 0; source->stream && i < source->stream_columns; i++) {
    add_column(api, info, &position, source->stream_types[i]);
  }
  add_feed(api, info, &position, source->left);
  add_feed(api, info, &position, source->right);
  api->bind_set_bind_data(info, source, NULL);
}

static void init_rows(DuckInit info)
{
  duck_api()->init_set_max_threads(info, 1);
}

static void call_rows(DuckCall info, DuckChunk output)
{
  const DuckApi *api = duck_api();
  RowsSource *source = api->function_get_bind_data(info);
  if (source->error.code != ERR_NONE || !fill(api, source, output, &source->error)) {
    api->function_set_error(info, source->error.message);
  }
}

bool rows_register(Duck *duck, Error *err)
{
  const DuckApi *api = &duck->api;
  DuckFunction function = api->create_table_function();
  DuckType number = api->create_logical_type(DUCK_BIGINT);
  api->table_function_set_name(function, "tidemark_rows");
  api->table_function_add_parameter(function, number);
  api->table_function_set_extra_info(function, duck, NULL);
  api->table_function_set_bind(function, bind_rows);
  api->table_function_set_init(function, init_rows);
  api->table_function_set_function(function, call_rows);
  bool ok = api->register_table_function(duck->connection, function) == DUCK_SUCCESS;
  api->destroy_logical_type(&number);
  api->destroy_table_function(&function);
  return ok || error_set(err, ERR_INTERNAL, "DuckDB refused the table function tidemark_rows");
}

bool rows_lend(Duck *duck, RowsSource *source, int *number, Error *err)
{
  for (int i = 0; i < DUCK_ROWS_MAX; i++) {
    if (!duck->rows[i]) {
      duck->rows[i] = source;
      *number = i;
      return true;
    }
  }
  return error_set(err, ERR_LIMIT, "more than %d files are being written at a time", DUCK_ROWS_MAX);
}

void rows_return(Duck *duck, int number)
{
  duck->rows[number] = NULL;
}
