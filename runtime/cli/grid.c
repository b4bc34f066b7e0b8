#include "cli/grid.h"

#include <ctype.h>

#include "base/clock.h"
#include "cli/result.h"

Grid grid_new(size_t columns, size_t rows, Arena *arena)
{
  return (Grid){
      .columns = arena_zalloc(arena, columns + 1, sizeof(GridColumn)),
      .column_count = columns,
      .row_count = rows,
      .cells = arena_zalloc(arena, columns * rows + 1, sizeof(Slice)),
  };
}

bool grid_is_time_name(Slice name)
{
  static const char *const NAMES[] = {"start",
                                      "end",
                                      "mark",
                                      "applied_at",
                                      "updated_at",
                                      "created_to",
                                      "materialized_from",
                                      "materialized_to"};
  for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
    if (slice_is(name, NAMES[i])) {
      return true;
    }
  }
  return false;
}

// Keys of one record that are not columns yet become columns.
static void add_columns(MpReader record, Grid *grid, size_t room, Arena *arena)
{
  MpToken map = mp_take(&record);
  for (uint32_t i = 0; map.kind == MP_MAP && i < map.count; i++) {
    MpReader key_reader = result_reader(result_take(&record));
    MpToken key = mp_take(&key_reader);
    result_take(&record);
    bool known = key.kind != MP_STR && key.kind != MP_BIN;
    for (size_t column = 0; !known && column < grid->column_count; column++) {
      known = slice_is(key.bytes, grid->columns[column].name);
    }
    if (!known && grid->column_count < room) {
      grid->columns[grid->column_count++] =
          (GridColumn){arena_text(arena, key.bytes), grid_is_time_name(key.bytes)};
    }
  }
}

enum { COLUMNS = 64 };  // records of our methods have far fewer fields

static void fill_cells(MpReader items, uint32_t count, Grid *grid, Arena *arena)
{
  grid->facts = true;
  grid->row_count = count;
  grid->cells = arena_zalloc(arena, grid->column_count * count + 1, sizeof(Slice));
  for (size_t row = 0; row < count; row++) {
    MpReader record = result_reader(result_take(&items));
    for (size_t column = 0; column < grid->column_count; column++) {
      MpReader value;
      if (mp_map_get(record, grid->columns[column].name, &value)) {
        grid->cells[row * grid->column_count + column] = result_take(&value);
      }
    }
  }
}

Grid grid_from_records(MpReader items, uint32_t count, Arena *arena)
{
  Grid grid = grid_new(COLUMNS, 0, arena);
  grid.column_count = 0;
  MpReader at = items;
  for (uint32_t i = 0; i < count; i++) {
    add_columns(result_reader(result_take(&at)), &grid, COLUMNS, arena);
  }
  fill_cells(items, count, &grid, arena);
  return grid;
}

Grid grid_from_fields(MpReader items, uint32_t count, const char *const *names, Arena *arena)
{
  Grid grid = grid_new(COLUMNS, 0, arena);
  grid.column_count = 0;
  for (size_t i = 0; names[i] && i < COLUMNS; i++) {
    bool time = grid_is_time_name(slice_text(names[i]));
    grid.columns[grid.column_count++] = (GridColumn){names[i], time};
  }
  fill_cells(items, count, &grid, arena);
  return grid;
}

bool cell_is_null(Slice cell)
{
  return cell.size == 0 || (uint8_t)cell.data[0] == 0xc0;
}

// Text that could be taken for another value, or that would disturb a terminal, is shown quoted.
static bool needs_quotes(Slice text)
{
  if (text.size == 0 || slice_is(text, "null") || slice_is(text, "NaN") || text.data[0] == '"'
      || text.data[0] == ' ' || text.data[text.size - 1] == ' ') {
    return true;
  }
  for (size_t i = 0; i < text.size; i++) {
    uint8_t byte = (uint8_t)text.data[i];
    if (byte < 0x20 || byte == 0x7f) {
      return true;
    }
  }
  return false;
}

static void print_hex(Slice bytes, Buf *out)
{
  buf_print(out, "0x");
  for (size_t i = 0; i < bytes.size; i++) {
    buf_print(out, "%02x", (unsigned)(uint8_t)bytes.data[i]);
  }
}

static bool print_time(MpToken token, bool time, Buf *out)
{
  if (!time || token.kind != MP_INT || token.integer == TIME_NULL) {
    return false;
  }
  char text[CLOCK_TEXT_SIZE];
  buf_put(out, text, clock_print(token.integer, text));
  return true;
}

// Times are strings in it; a list in a column of times has them as elements.
static void print_json(Slice cell, bool time, Buf *out)
{
  MpReader reader = result_reader(cell);
  MpReader whole = reader;
  MpToken token = mp_take(&reader);
  if (!time || (token.kind != MP_INT && token.kind != MP_ARRAY)) {
    mp_print_json(&whole, out);
    return;
  }
  if (token.kind == MP_ARRAY) {
    for (uint32_t i = 0; i < token.count; i++) {
      buf_put_byte(out, i ? ',' : '[');
      print_json(result_take(&reader), time, out);
    }
    buf_print(out, token.count ? "]" : "[]");
    return;
  }
  size_t start = out->size;
  buf_put_byte(out, '"');
  if (print_time(token, time, out)) {
    buf_put_byte(out, '"');
  } else {
    out->size = start;
    mp_print_json(&whole, out);
  }
}

bool cell_is_blank(Slice cell)
{
  if (cell_is_null(cell)) {
    return true;
  }
  MpReader reader = result_reader(cell);
  MpToken token = mp_take(&reader);
  bool list = token.kind == MP_ARRAY || token.kind == MP_MAP;
  return (list && token.count == 0) || (token.kind == MP_STR && token.bytes.size == 0);
}

void cell_print_table(Slice cell, bool time, Buf *out, bool *number)
{
  *number = false;
  if (cell_is_null(cell)) {
    buf_print(out, "null");
    return;
  }
  MpReader reader = result_reader(cell);
  MpToken token = mp_take(&reader);
  *number = token.kind == MP_INT || token.kind == MP_UINT || token.kind == MP_FLOAT;
  if (token.kind == MP_STR && !needs_quotes(token.bytes)) {
    buf_put_slice(out, token.bytes);
  } else if (token.kind == MP_BIN) {
    print_hex(token.bytes, out);
  } else if (!print_time(token, time, out)) {
    print_json(cell, time, out);
  }
}

// What a list's element is called: a text, or the name of a record. Empty when it has none.
static Slice element_name(Slice element)
{
  MpReader reader = result_reader(element);
  MpReader map = reader;
  MpToken token = mp_take(&reader);
  return token.kind == MP_STR   ? token.bytes
         : token.kind == MP_MAP ? result_text(map, "name")
                                : (Slice){0};
}

// Names joined by commas read better than JSON. False (nothing printed) when an element has none.
static bool print_names(Slice cell, Buf *out)
{
  size_t start = out->size;
  MpReader reader = result_reader(cell);
  MpToken list = mp_take(&reader);
  for (uint32_t i = 0; i < list.count; i++) {
    Slice name = element_name(result_take(&reader));
    if (!name.size) {
      out->size = start;
      return false;
    }
    buf_print(out, i ? ", " : "");
    buf_put_slice(out, name);
  }
  return list.count > 0;
}

// `team=driver_performance, tier=1`
static void print_pairs(Slice cell, Buf *out)
{
  MpReader reader = result_reader(cell);
  uint32_t count = mp_take(&reader).count;
  for (uint32_t i = 0; i < count; i++) {
    bool ignored;
    buf_print(out, i ? ", " : "");
    cell_print_table(result_take(&reader), false, out, &ignored);
    buf_print(out, "=");
    cell_print_table(result_take(&reader), false, out, &ignored);
  }
}

void cell_print_fact(Slice cell, bool time, Buf *out, bool *number)
{
  *number = false;
  if (cell_is_blank(cell)) {
    return;
  }
  MpReader reader = result_reader(cell);
  MpKind kind = mp_take(&reader).kind;
  if (kind == MP_MAP) {
    print_pairs(cell, out);
  } else if (kind != MP_ARRAY || !print_names(cell, out)) {
    cell_print_table(cell, time, out, number);
  }
}

static void print_csv_text(Slice text, Buf *out)
{
  bool quoted = text.size == 0;
  for (size_t i = 0; i < text.size && !quoted; i++) {
    quoted = strchr(",\"\r\n", text.data[i]) != NULL;
  }
  if (!quoted) {
    buf_put_slice(out, text);
    return;
  }
  buf_put_byte(out, '"');
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] == '"') {
      buf_put_byte(out, '"');
    }
    buf_put_byte(out, (uint8_t)text.data[i]);
  }
  buf_put_byte(out, '"');
}

void cell_print_csv(Slice cell, bool time, Buf *out)
{
  if (cell_is_null(cell)) {
    return;
  }
  MpReader reader = result_reader(cell);
  MpToken token = mp_take(&reader);
  if (token.kind == MP_STR || token.kind == MP_BIN) {
    print_csv_text(token.bytes, out);
  } else if (token.kind == MP_FLOAT && token.real != token.real) {
    buf_print(out, "nan");
  } else if (token.kind == MP_FLOAT && token.real - token.real != 0) {
    buf_print(out, token.real < 0 ? "-inf" : "inf");
  } else if (!print_time(token, time, out)) {
    Buf text = {0};
    print_json(cell, time, &text);
    print_csv_text(buf_slice(&text), out);
    buf_deinit(&text);
  }
}

void cell_print_json(Slice cell, bool time, Buf *out)
{
  if (cell_is_null(cell)) {
    buf_print(out, "null");
  } else {
    print_json(cell, time, out);
  }
}
