#include "cli/print.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/result.h"

void print_grid(const Grid *grid, Format format, Buf *out)
{
  switch (format) {
  case FORMAT_TABLE:
    print_grid_table(grid, out);
    break;
  case FORMAT_JSON:
    print_grid_json(grid, out);
    break;
  case FORMAT_CSV:
    print_grid_csv(grid, out);
    break;
  }
}

static Slice text_cell(const char *text, Buf *space)
{
  buf_reset(space);
  msgpack_packer packer = mp_packer(space);
  mp_put_text(&packer, text);
  return buf_slice(space);
}

void print_grid_json(const Grid *grid, Buf *out)
{
  Buf name = {0};
  buf_print(out, "[");
  for (size_t row = 0; row < grid->row_count; row++) {
    buf_print(out, row ? ",\n  {" : "\n  {");
    for (size_t column = 0; column < grid->column_count; column++) {
      buf_print(out, column ? ", " : "");
      cell_print_json(text_cell(grid->columns[column].name, &name), false, out);
      buf_print(out, ": ");
      cell_print_json(grid->cells[row * grid->column_count + column], grid->columns[column].time,
                      out);
    }
    buf_print(out, "}");
  }
  buf_print(out, grid->row_count ? "\n]\n" : "]\n");
  buf_deinit(&name);
}

void print_grid_csv(const Grid *grid, Buf *out)
{
  Buf name = {0};
  for (size_t column = 0; column < grid->column_count; column++) {
    buf_print(out, column ? "," : "");
    cell_print_csv(text_cell(grid->columns[column].name, &name), false, out);
  }
  buf_print(out, grid->column_count ? "\n" : "");
  for (size_t i = 0; i < grid->row_count * grid->column_count; i++) {
    size_t column = i % grid->column_count;
    buf_print(out, column ? "," : "");
    cell_print_csv(grid->cells[i], grid->columns[column].time, out);
    buf_print(out, column + 1 == grid->column_count ? "\n" : "");
  }
  buf_deinit(&name);
}

static void print_json_field(MpReader *map, Buf *out, Slice *value, bool *time)
{
  Slice key = result_take(map);
  *value = result_take(map);
  MpReader name = result_reader(key);
  *time = grid_is_time_name(mp_take(&name).bytes);
  cell_print_json(key, false, out);
  buf_print(out, ":");
}

// A map whose values are printed whole.
static void print_json_fields(Slice record, Buf *out)
{
  MpReader map = result_reader(record);
  uint32_t count = mp_take(&map).count;
  for (uint32_t i = 0; i < count; i++) {
    Slice value;
    bool time;
    buf_print(out, i ? "," : "{");
    print_json_field(&map, out, &value, &time);
    cell_print_json(value, time, out);
  }
  buf_print(out, count ? "}" : "{}");
}

void print_record_json(MpReader record, Buf *out)
{
  MpToken map = mp_take(&record);
  uint32_t count = map.kind == MP_MAP ? map.count : 0;
  buf_print(out, "{");
  for (uint32_t i = 0; i < count; i++) {
    Slice value;
    bool time;
    buf_print(out, i ? "," : "");
    print_json_field(&record, out, &value, &time);
    MpReader inner = result_reader(value);
    if (mp_take(&inner).kind == MP_MAP) {
      print_json_fields(value, out);
    } else {
      cell_print_json(value, time, out);
    }
  }
  buf_print(out, "}\n");
}

void print_json_value(MpReader value, Buf *out)
{
  mp_print_json(&value, out);
  buf_print(out, "\n");
}

const char *print_colour(FILE *file, Colour colour)
{
  static const char *const ESCAPES[] = {"\x1b[0m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[1m"};
  const char *no_color = getenv("NO_COLOR");
  const char *term = getenv("TERM");
  if ((no_color && *no_color) || !term || strcmp(term, "dumb") == 0 || !isatty(fileno(file))) {
    return "";
  }
  return ESCAPES[colour];
}

void print_out(FILE *file, const Buf *text)
{
  fwrite(text->data ? (const void *)text->data : "", 1, text->size, file);
}

void print_note(const Args *args, const char *format, ...)
{
  if (args->quiet) {
    return;
  }
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
}

void print_error(const Args *args, const Error *err)
{
  const char *red = print_colour(stderr, COLOUR_RED);
  const char *none = print_colour(stderr, COLOUR_NONE);
  if (err->code == ERR_CANCELLED) {
    fprintf(stderr, "%sinterrupted%s\n", red, none);
    return;
  }
  fprintf(stderr, "%serror:%s %s%s%s\n", red, none, err->where, err->where[0] ? ": " : "",
          err->message);
  if (err->code == ERR_USAGE && args->command) {
    fprintf(stderr, "`tidemark %s --help` shows what it takes\n", args->command->name);
  }
}
