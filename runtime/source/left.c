#include "source/left.h"

#include <stdlib.h>

#include "base/mem.h"
#include "source/duck_inner.h"
#include "source/narrow.h"

static bool starts_with(const char *text, const char *prefix)
{
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    if (strcmp(text, words[i]) == 0) {
      return true;
    }
  }
  return false;
}

// Nested values that only JSON can spell.
static bool is_nested(const TableColumn *column)
{
  const char *text = column->type_text;
  return starts_with(text, "STRUCT(") || starts_with(text, "MAP(") || starts_with(text, "UNION(")
         || text[strlen(text) - 1] == ']';
}

// Numbers that a column of ours would not hold exactly.
static bool is_wide_number(const char *type_text)
{
  static const char *const WIDE[] = {"UBIGINT", "HUGEINT", "UHUGEINT", "BIGNUM"};
  return starts_with(type_text, "DECIMAL(")
         || is_one_of(type_text, WIDE, sizeof(WIDE) / sizeof(WIDE[0]));
}

// An SQL expression around a column, in the arena.
static const char *around(Left *left, const char *before, size_t column, const char *after)
{
  Buf sql = {0};
  buf_print(&sql, "%s", before);
  table_put_column(&sql, column);
  buf_print(&sql, "%s", after);
  const char *text = arena_text(&left->arena, buf_slice(&sql));
  buf_deinit(&sql);
  return text;
}

// RFC 3339 of a time in nanoseconds, with as many digits as it needs.
static const char *nanoseconds_text(Left *left, size_t column)
{
  Buf sql = {0};
  static const struct {
    const char *before;
    const char *after;
  } PARTS[] = {
      {"CASE WHEN epoch_ns(", ") % 1000000000 = 0 THEN strftime(CAST("},
      {"", " AS TIMESTAMP), '%Y-%m-%dT%H:%M:%SZ') WHEN epoch_ns("},
      {"", ") % 1000 = 0 THEN strftime(CAST("},
      {"", " AS TIMESTAMP), '%Y-%m-%dT%H:%M:%S.%fZ') ELSE replace(CAST("},
      {"", " AS VARCHAR), ' ', 'T') || 'Z' END"},
  };
  for (size_t i = 0; i < sizeof(PARTS) / sizeof(PARTS[0]); i++) {
    buf_print(&sql, "%s", PARTS[i].before);
    table_put_column(&sql, column);
    buf_print(&sql, "%s", PARTS[i].after);
  }
  const char *text = arena_text(&left->arena, buf_slice(&sql));
  buf_deinit(&sql);
  return text;
}

static void as_text(LeftColumn *column, const char *expression)
{
  column->column.type = (Type){.kind = TYPE_STRING};
  column->expression = expression;
}

// A typed column (Parquet, SQL) on its way into text or msgpack.
static void plan_typed(Left *left, size_t at, const TableColumn *from, LeftColumn *column)
{
  bool natural_list = from->known
                      && (from->type.kind == TYPE_LIST || from->type.kind == TYPE_VECTOR)
                      && !strstr(from->type_text, "DECIMAL") && !strstr(from->type_text, "INT[")
                      && !strstr(from->type_text, "NS[");
  bool int_list =
      strcmp(from->type_text, "BIGINT[]") == 0 || strcmp(from->type_text, "INTEGER[]") == 0
      || strcmp(from->type_text, "SMALLINT[]") == 0 || strcmp(from->type_text, "TINYINT[]") == 0;
  if (strcmp(from->type_text, "TIMESTAMP_NS") == 0) {
    as_text(column, nanoseconds_text(left, at));
  } else if (is_wide_number(from->type_text) || strcmp(from->type_text, "JSON") == 0) {
    as_text(column, around(left, "CAST(", at, " AS VARCHAR)"));
    left->verbatim[at] = true;
  } else if (is_nested(from) && !natural_list && !int_list) {
    as_text(column, around(left, "CAST(to_json(", at, ") AS VARCHAR)"));
    left->verbatim[at] = true;
  } else if (!from->known || strcmp(from->type_text, "DATE") == 0) {
    as_text(column, around(left, "CAST(", at, " AS VARCHAR)"));
  }
}

// A JSON column: as it stands into JSON, as text into CSV, and otherwise as what it is where that
// keeps every value. JSON has no times: what stands for one stays the text that it is.
static void plan_json(Left *left, size_t at, const TableColumn *from, Format output,
                      LeftColumn *column)
{
  bool json = output == FORMAT_JSON || output == FORMAT_JSONL;
  bool text = from->type.kind == TYPE_STRING || from->type.kind == TYPE_TIMESTAMP;
  if (output == FORMAT_CSV || json || !from->known || text) {
    column->column.type = (Type){.kind = TYPE_STRING};
    bool typed = output == FORMAT_PARQUET || output == FORMAT_PACKED;
    column->as = json || (typed && !from->known) ? JSON_VERBATIM : JSON_TEXT;
    left->verbatim[at] = json;
  }
}

static bool narrow_csv(Left *left, Format output, LeftColumn *columns, Error *err)
{
  if (output == FORMAT_CSV) {
    return true;
  }
  bool times = output == FORMAT_PARQUET || output == FORMAT_PACKED;
  if (!narrow_columns(&left->files, left->count, times, left->types, err)) {
    return false;
  }
  for (size_t i = 0; i < left->count; i++) {
    columns[i].column.type = left->types[i];
  }
  return true;
}

static bool is_time_column(const Passthrough *passthrough, const TableColumn *column)
{
  return passthrough && passthrough->time_column && passthrough->time_unit == UNIT_NONE
         && strcmp(passthrough->time_column, column->name) == 0
         && strcmp(column->type_text, "TIMESTAMP_NS") != 0;
}

static bool plan_batches(Left *left, const TableColumn *found, Format output,
                         const Passthrough *passthrough, LeftColumn *columns, Error *err)
{
  Format input = left->files.format;
  if (input == FORMAT_CSV && !narrow_csv(left, output, columns, err)) {
    return false;
  }
  for (size_t i = 0; i < left->count; i++) {
    if (input == FORMAT_JSON || input == FORMAT_JSONL) {
      plan_json(left, i, &found[i], output, &columns[i]);
    } else if (is_time_column(passthrough, &found[i])) {
      columns[i].column.type = (Type){.kind = TYPE_TIMESTAMP};
    } else if (input == FORMAT_PARQUET) {
      if (starts_with(found[i].type_text, TABLE_WIDE_DECIMAL)) {
        error_set(err, ERR_DATA, "%s cannot be written as text", found[i].type_text);
        return error_at(err, "%s:column %s", left->files.names[0], found[i].name);
      }
      plan_typed(left, i, &found[i], &columns[i]);
    } else if (!found[i].known) {
      error_set(err, ERR_DATA, "column \"%s\" holds values of several types, or maps",
                found[i].name);
      return error_at(err, "%s", left->files.names[0]);
    }
  }
  return true;
}

static bool open_batches(Left *left, Duck *duck, const TableColumn *found, Format output,
                         const Passthrough *passthrough, Error *err)
{
  LeftColumn *columns = arena_zalloc(&left->arena, left->count + 1, sizeof(LeftColumn));
  for (size_t i = 0; i < left->count; i++) {
    columns[i].column = (ReaderColumn){.column = found[i].name, .type = found[i].type};
  }
  if (!plan_batches(left, found, output, passthrough, columns, err)) {
    return false;
  }
  for (size_t i = 0; i < left->count; i++) {
    left->types[i] = columns[i].column.type;
  }
  left->reader = reader_open_left(duck, &left->files, columns, left->count, err);
  return left->reader != NULL;
}

static bool open_stream(Left *left, Duck *duck, Error *err)
{
  Buf sql = {0};
  for (size_t i = 0; i < left->count; i++) {
    buf_print(&sql, i ? ", " : "SELECT ");
    table_put_column(&sql, i);
  }
  buf_print(&sql, " FROM ");
  table_put_from(&left->files, left->count, &sql);
  buf_put_byte(&sql, '\0');
  left->stream = mem_zalloc(1, sizeof(DuckStream));
  bool ok = duck_stream_open(left->stream, duck, (const char *)sql.data, err);
  buf_deinit(&sql);
  if (!ok) {
    return left->files.count == 1 ? error_at(err, "%s", left->files.names[0]) : false;
  }
  left->stream_types = arena_zalloc(&left->arena, left->count + 1, sizeof(DuckType));
  for (size_t i = 0; i < left->count; i++) {
    left->stream_types[i] = duck->api.column_logical_type(&left->stream->result, i);
  }
  return true;
}

bool left_open(Left *left, Duck *duck, const Table *table, Format output,
               const Passthrough *passthrough, Error *err)
{
  *left = (Left){0};
  TableColumn *found;
  if (!table_open(&left->files, duck, table, true, err)) {
    return false;
  }
  left->files.exact = output == FORMAT_PARQUET || output == FORMAT_PACKED;
  if (!table_columns(&left->files, duck, &found, &left->count, &left->arena, err)) {
    left_close(left);
    return false;
  }
  if (left->files.blank) {
    return true;
  }
  left->names = arena_zalloc(&left->arena, left->count + 1, sizeof(char *));
  left->types = arena_zalloc(&left->arena, left->count + 1, sizeof(Type));
  left->verbatim = arena_zalloc(&left->arena, left->count + 1, sizeof(bool));
  for (size_t i = 0; i < left->count; i++) {
    left->names[i] = found[i].name;
    left->types[i] = found[i].type;
  }
  bool ok = output == FORMAT_PARQUET && left->files.format == FORMAT_PARQUET
                ? open_stream(left, duck, err)
                : open_batches(left, duck, found, output, passthrough, err);
  if (!ok) {
    left_close(left);
  }
  return ok;
}

void left_close(Left *left)
{
  for (size_t i = 0; left->stream_types && i < left->count; i++) {
    duck_api()->destroy_logical_type(&left->stream_types[i]);
  }
  if (left->stream) {
    duck_stream_close(left->stream);
    free(left->stream);
  }
  reader_close(left->reader);
  table_close(&left->files);
  arena_deinit(&left->arena);
  *left = (Left){0};
}
