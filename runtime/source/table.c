#include "source/table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source/csv.h"
#include "source/duck_inner.h"
#include "source/json.h"
#include "source/packed.h"
#include "source/parquet_cursor.h"

// Formats and types
// -----------------------------------------------------------------------------------

bool format_of(const char *path, Format *format)
{
  static const struct {
    const char *extension;
    Format format;
  } FORMATS[] = {
      {".parquet", FORMAT_PARQUET}, {".csv", FORMAT_CSV},        {".json", FORMAT_JSON},
      {".jsonl", FORMAT_JSONL},     {".msgpack", FORMAT_PACKED},
  };
  const char *dot = strrchr(path, '.');
  for (size_t i = 0; dot && i < sizeof(FORMATS) / sizeof(FORMATS[0]); i++) {
    if (strcmp(dot, FORMATS[i].extension) == 0) {
      *format = FORMATS[i].format;
      return true;
    }
  }
  return false;
}

static bool scalar_type(Slice text, TypeKind *kind)
{
  static const struct {
    const char *name;
    TypeKind kind;
  } NAMES[] = {
      {"BOOLEAN", TYPE_BOOL},  {"TINYINT", TYPE_INT32},  {"SMALLINT", TYPE_INT32},
      {"INTEGER", TYPE_INT32}, {"UTINYINT", TYPE_INT32}, {"USMALLINT", TYPE_INT32},
      {"BIGINT", TYPE_INT64},  {"UINTEGER", TYPE_INT64}, {"UBIGINT", TYPE_INT64},
      {"HUGEINT", TYPE_INT64}, {"UHUGEINT", TYPE_INT64}, {"BIGNUM", TYPE_INT64},
      {"FLOAT", TYPE_FLOAT32}, {"DOUBLE", TYPE_FLOAT64}, {"VARCHAR", TYPE_STRING},
      {"UUID", TYPE_STRING},   {"BLOB", TYPE_BYTES},     {"DATE", TYPE_TIMESTAMP},
      {"JSON", TYPE_STRING},   {"NULL", TYPE_STRING},
  };
  static const struct {
    const char *prefix;
    TypeKind kind;
  } PREFIXES[] = {
      {"TIMESTAMP", TYPE_TIMESTAMP}, {"ENUM(", TYPE_STRING}, {"DECIMAL(", TYPE_FLOAT64}};

  for (size_t i = 0; i < sizeof(NAMES) / sizeof(NAMES[0]); i++) {
    if (slice_is(text, NAMES[i].name)) {
      *kind = NAMES[i].kind;
      return true;
    }
  }
  for (size_t i = 0; i < sizeof(PREFIXES) / sizeof(PREFIXES[0]); i++) {
    size_t length = strlen(PREFIXES[i].prefix);
    if (text.size >= length && memcmp(text.data, PREFIXES[i].prefix, length) == 0) {
      bool whole = text.size > 3 && memcmp(text.data + text.size - 3, ",0)", 3) == 0;
      *kind = PREFIXES[i].kind == TYPE_FLOAT64 && whole ? TYPE_INT64 : PREFIXES[i].kind;
      return true;
    }
  }
  return false;
}

bool table_type(Slice text, Type *type)
{
  *type = (Type){.kind = TYPE_STRING};
  TypeKind kind;
  if (text.size == 0 || text.data[text.size - 1] != ']') {
    bool known = scalar_type(text, &kind);
    type->kind = known ? (uint8_t)kind : TYPE_STRING;
    return known;
  }
  size_t open = text.size;
  while (open > 0 && text.data[open - 1] != '[') {
    open--;
  }
  if (open == 0 || !scalar_type(slice_of(text.data, open - 1), &kind)) {
    return false;
  }
  unsigned long length = strtoul(text.data + open, NULL, 10);
  bool vector = kind == TYPE_FLOAT32 && length > 0 && length <= TYPE_VECTOR_MAX;
  *type = (Type){.kind = vector ? TYPE_VECTOR : TYPE_LIST,
                 .element = (uint8_t)kind,
                 .length = vector ? (uint32_t)length : 0};
  return true;
}

// Finding files
// ---------------------------------------------------------------------------------------

static bool has_wildcard(const char *path)
{
  return strpbrk(path, "*?[") != NULL;
}

static bool is_there(const char *path)
{
  struct stat status;
  return stat(path, &status) == 0 && !S_ISDIR(status.st_mode);
}

static void take_file(TableFiles *files, const char *path, const char *name)
{
  files->paths = arena_alloc(&files->arena, sizeof(char *));
  files->names = arena_alloc(&files->arena, sizeof(char *));
  files->paths[0] = path;
  files->names[0] = name;
  files->count = 1;
}

static bool is_folder(const char *path)
{
  struct stat status;
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

// Leaves the files of a folder that hold rows: no hidden ones, no _SUCCESS, no README.
static bool keep_rows(TableFiles *files, const char *name, Error *err)
{
  size_t kept = 0;
  for (size_t i = 0; i < files->count; i++) {
    const char *path = files->paths[i];
    const char *base = strrchr(path, '/') + 1;
    Format format;
    if (*base == '.' || *base == '_' || !format_of(path, &format)) {
      continue;
    }
    if (kept && format != files->format) {
      return error_set(err, ERR_DATA,
                       "folder \"%s\" holds files of several formats (%s and %s): name the ones "
                       "that are meant with a glob",
                       name, files->paths[0], path);
    }
    files->format = format;
    files->paths[kept++] = path;
  }
  files->count = kept;
  return kept || error_set(err, ERR_NOT_FOUND, "there are no files of rows in folder \"%s\"", name);
}

// Files of a glob, by name.
static bool find_files(TableFiles *files, Duck *duck, const char *pattern, Error *err)
{
  Buf sql = {0};
  buf_print(&sql, "SELECT file FROM glob(");
  duck_put_text(&sql, pattern);
  buf_print(&sql, ") ORDER BY file");
  buf_put_byte(&sql, '\0');
  size_t columns;
  bool ok = duck_select(duck, (const char *)sql.data, &files->paths, &files->count, &columns,
                        &files->arena, err);
  buf_deinit(&sql);
  return ok;
}

static void name_files(TableFiles *files, size_t prefix)
{
  files->names = arena_alloc(&files->arena, (files->count + 1) * sizeof(char *));
  for (size_t i = 0; i < files->count; i++) {
    files->names[i] = files->paths[i] + prefix;
  }
}

// Partitions
// ----------------------------------------------------------------------------------------------

// The next folder `key=value` of a path; false when there is none. Moves *path behind it.
static bool next_partition(const char **path, Slice *key, Slice *value)
{
  const char *slash;
  while ((slash = strchr(*path, '/'))) {
    const char *start = *path;
    const char *equals = memchr(start, '=', (size_t)(slash - start));
    *path = slash + 1;
    if (equals && equals > start) {
      *key = slice_of(start, (size_t)(equals - start));
      *value = slice_of(equals + 1, (size_t)(slash - equals - 1));
      return true;
    }
  }
  return false;
}

static int hex_digit(char c)
{
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

// A folder's value as the text it stands for: %XX undone; NULL for the name that Hive gives null.
static const char *partition_value(Slice value, Arena *arena)
{
  if (slice_is(value, "__HIVE_DEFAULT_PARTITION__")) {
    return NULL;
  }
  char *text = arena_text(arena, value);
  char *to = text;
  for (const char *from = text; *from; from++) {
    bool escaped = *from == '%' && hex_digit(from[1]) >= 0 && hex_digit(from[2]) >= 0;
    *to++ = escaped ? (char)(hex_digit(from[1]) * 16 + hex_digit(from[2])) : *from;
    from += escaped ? 2 : 0;
  }
  *to = '\0';
  return text;
}

static bool partitions_differ(const TableFiles *files, size_t file, Error *err)
{
  error_set(err, ERR_DATA, "its folders are not the same partitions as those of %s",
            files->names[0]);
  return error_at(err, "%s", files->names[file]);
}

static bool find_partitions(TableFiles *files, Error *err)
{
  Slice key;
  Slice value;
  assert(files->count > 0 && files->names);
  for (const char *at = files->names[0]; next_partition(&at, &key, &value);) {
    files->partition_count++;
  }
  files->partitions =
      arena_zalloc(&files->arena, files->partition_count + 1, sizeof(TablePartition));
  for (size_t file = 0; file < files->count; file++) {
    const char *at = files->names[file];
    size_t count = 0;
    for (; next_partition(&at, &key, &value); count++) {
      TablePartition *partition = &files->partitions[count];
      if (file == 0) {
        partition->name = arena_text(&files->arena, key);
        partition->values = arena_zalloc(&files->arena, files->count, sizeof(char *));
      } else if (count == files->partition_count || !slice_is(key, partition->name)) {
        return partitions_differ(files, file, err);
      }
      partition->values[file] = partition_value(value, &files->arena);
    }
    if (count != files->partition_count) {
      return partitions_differ(files, file, err);
    }
  }
  return true;
}

const TablePartition *table_partition(const TableFiles *files, const char *name)
{
  for (size_t i = 0; i < files->partition_count; i++) {
    if (strcmp(files->partitions[i].name, name) == 0) {
      return &files->partitions[i];
    }
  }
  return NULL;
}

// Columns of several files
// ------------------------------------------------------------------------------------

static bool is_name(const char *const *names, size_t count, const char *name)
{
  for (size_t i = 0; i < count; i++) {
    if (strcmp(names[i], name) == 0) {
      return true;
    }
  }
  return false;
}

// Names and types of all columns of a Parquet file, nested ones too: { name, type } each.
static bool parquet_leaves(const TableFiles *files, Duck *duck, size_t file, const char ***leaves,
                           size_t *count, Arena *arena, Error *err)
{
  Buf sql = {0};
  buf_print(&sql, "SELECT name, concat_ws(' ', type, converted_type, logical_type) "
                  "FROM parquet_schema(");
  duck_put_text(&sql, files->paths[file]);
  buf_print(&sql, ") OFFSET 1");  // the root has a name too
  buf_put_byte(&sql, '\0');
  size_t columns;
  bool ok = duck_select(duck, (const char *)sql.data, leaves, count, &columns, arena, err);
  buf_deinit(&sql);
  return ok;
}

// A column without a type, which fits any other: pandas writes it where all values are null.
static bool is_null_type(const char *type)
{
  return strstr(type, "NullType()") != NULL;
}

// The type of a leaf; NULL when there is none of this name.
static const char *leaf_type(const char *const *leaves, size_t count, const char *name)
{
  for (size_t i = 0; i < count; i++) {
    if (strcmp(leaves[2 * i], name) == 0) {
      return leaves[2 * i + 1];
    }
  }
  return NULL;
}

// Compares a file's columns with the first file's.
static bool check_leaves(TableFiles *files, const char *const *first, size_t first_count,
                         const char *const *leaves, size_t count, Error *err)
{
  for (size_t i = 0; i < first_count; i++) {
    const char *name = first[2 * i];
    const char *type = leaf_type(leaves, count, name);
    if (!type) {
      return error_set(err, ERR_DATA, "there is no column \"%s\", which %s has", name,
                       files->names[0]);
    }
    if (strcmp(type, first[2 * i + 1]) != 0 && !is_null_type(type)
        && !is_name(files->mixed, files->mixed_count, name)) {
      files->mixed[files->mixed_count++] = arena_text(&files->arena, slice_text(name));
    }
  }
  for (size_t i = 0; i < count; i++) {
    if (!leaf_type(first, first_count, leaves[2 * i])) {
      return error_set(err, ERR_DATA, "there is a column \"%s\", which %s does not have",
                       leaves[2 * i], files->names[0]);
    }
  }
  return true;
}

static bool check_same_columns(TableFiles *files, Duck *duck, Error *err)
{
  Arena arena = {0};
  const char **first;
  size_t first_count;
  bool ok = parquet_leaves(files, duck, 0, &first, &first_count, &arena, err);
  files->mixed = arena_alloc(&files->arena, (ok ? first_count + 1 : 1) * sizeof(char *));
  for (size_t file = 1; ok && file < files->count; file++) {
    const char **leaves;
    size_t count;
    ok = parquet_leaves(files, duck, file, &leaves, &count, &arena, err)
         && check_leaves(files, first, first_count, leaves, count, err);
    error_at(ok ? NULL : err, "%s", files->names[file]);
  }
  arena_deinit(&arena);
  return ok;
}

// Names are paths without the project's folder in front.
static bool open_folder(TableFiles *files, Duck *duck, const char *path, const char *name,
                        Error *err)
{
  size_t prefix = strlen(path) - strlen(name);
  const char *end = path[strlen(path) - 1] == '/' ? "" : "/";
  const char *pattern = arena_print(&files->arena, "%s%s**/*", path, end);
  if (!find_files(files, duck, pattern, err) || !keep_rows(files, name, err)) {
    return false;
  }
  name_files(files, prefix);
  return true;
}

static bool open_glob(TableFiles *files, Duck *duck, const char *path, const char *name, Error *err)
{
  if (!find_files(files, duck, path, err)) {
    return false;
  }
  if (files->count == 0) {
    return error_set(err, ERR_NOT_FOUND, "no file matches \"%s\"", name);
  }
  name_files(files, strlen(path) - strlen(name));
  return true;
}

// The files that one path stands for, in their order.
static bool find_path(TableFiles *files, Duck *duck, const char *name, Error *err)
{
  const char *path = duck_path(duck, name, &files->arena);
  if (is_folder(path)) {
    return open_folder(files, duck, path, name, err);
  }
  if (!format_of(name, &files->format)) {
    return error_set(err, ERR_INVALID,
                     "\"%s\" has an unknown extension: use .parquet, .csv, .json, .jsonl or "
                     ".msgpack",
                     name);
  }
  if (is_there(path)) {
    take_file(files, path, name);
    return true;
  }
  return has_wildcard(name) ? open_glob(files, duck, path, name, err)
                            : error_set(err, ERR_NOT_FOUND, "there is no file \"%s\"", name);
}

// Adds what one more path stands for to the files that were found before.
static bool add_path(TableFiles *files, Duck *duck, const char *name, Error *err)
{
  TableFiles before = *files;
  if (!find_path(files, duck, name, err)) {
    return false;
  }
  if (before.count && files->format != before.format) {
    return error_set(err, ERR_DATA, "%s and %s are of different formats: a table has one",
                     before.names[0], files->names[0]);
  }
  size_t count = before.count + files->count;
  const char **paths = arena_alloc(&files->arena, count * sizeof(char *));
  const char **names = arena_alloc(&files->arena, count * sizeof(char *));
  for (size_t i = 0; i < count; i++) {
    bool old = i < before.count;
    paths[i] = old ? before.paths[i] : files->paths[i - before.count];
    names[i] = old ? before.names[i] : files->names[i - before.count];
  }
  files->paths = paths;
  files->names = names;
  files->count = count;
  return true;
}

// Whether files that do not list their columns hold no row, so that nothing says what they are.
static bool find_blank(TableFiles *files, Error *err)
{
  switch (files->format) {
  case FORMAT_JSON:
  case FORMAT_JSONL:
    return json_is_empty(files, &files->blank, err);
  case FORMAT_PACKED:
    return packed_is_empty(files, &files->blank, err);
  default:
    return true;
  }
}

// Columns of the folders, and whether all files have the same ones.
static bool check_several(TableFiles *files, Duck *duck, Error *err)
{
  return find_partitions(files, err)
         && (files->format != FORMAT_PARQUET || files->count == 1
             || check_same_columns(files, duck, err));
}

// The files of all paths, in order.
static bool find_paths(TableFiles *files, Duck *duck, const char *paths, Error *err)
{
  const char *rest = paths;
  do {
    size_t size = strcspn(rest, "\n");
    if (!add_path(files, duck, arena_print(&files->arena, "%.*s", (int)size, rest), err)) {
      return false;
    }
    rest += size + (rest[size] == '\n');
  } while (*rest);
  return true;
}

static bool open_path(TableFiles *files, Duck *duck, const Table *table, Error *err)
{
  if (!find_paths(files, duck, table->path, err)) {
    return false;
  }
  // One path that names one file: its folders are no columns.
  bool single =
      files->count == 1 && is_there(files->paths[0]) && strcmp(files->names[0], table->path) == 0;
  if (single && table->name) {
    files->names[0] = arena_print(&files->arena, "%s", table->name);
  }
  return (single || check_several(files, duck, err)) && find_blank(files, err);
}

bool table_refuse_over(Duck *duck, const Table *table, const char *path, Error *err)
{
  TableFiles files = {0};
  struct stat to;
  struct stat from;
  bool same = false;
  if (table->path && stat(duck_path(duck, path, &files.arena), &to) == 0
      && find_paths(&files, duck, table->path, NULL)) {
    for (size_t i = 0; !same && i < files.count; i++) {
      same =
          stat(files.paths[i], &from) == 0 && from.st_dev == to.st_dev && from.st_ino == to.st_ino;
    }
  }
  table_close(&files);
  return !same
         || error_set(err, ERR_INVALID,
                      "cannot write \"%s\": it is the file that is read; name another", path);
}

// SQL
// -------------------------------------------------------------------------------------------------

// The query without a semicolon at its end, ready to stand in parentheses.
static void put_query(Buf *sql, const char *query)
{
  size_t size = strlen(query);
  while (size > 0 && strchr("; \t\r\n", query[size - 1])) {
    size--;
  }
  buf_put_byte(sql, '(');
  buf_put(sql, query, size);
  buf_print(sql, "\n)");  // a comment may end the query
}

// Parquet has no 128-bit integers: sums of integers travel as decimals.
static void put_exact_columns(Buf *sql, const TableColumn *columns, size_t count)
{
  const char *before = " REPLACE (";
  for (size_t i = 0; i < count; i++) {
    const char *type = columns[i].type_text + (columns[i].type_text[0] == 'U');
    if (strncmp(type, "HUGEINT", strlen("HUGEINT")) == 0) {
      buf_print(sql, "%sCAST(", before);
      duck_put_name(sql, columns[i].name);
      buf_print(sql, " AS DECIMAL(38, 0)%s) AS ", type + strlen("HUGEINT"));
      duck_put_name(sql, columns[i].name);
      before = ", ";
    }
  }
  buf_print(sql, strcmp(before, ", ") == 0 ? ")" : "");
}

static bool make_spool(TableFiles *files, const Duck *duck, Error *err)
{
  char *path = arena_print(&files->arena, "%s/tidemark-XXXXXX.parquet", duck->temp_folder);
  int file = mkstemps(path, 8);
  if (file < 0) {
    return error_set(err, ERR_IO, "cannot make a temporary file in %s: %m", duck->temp_folder);
  }
  close(file);
  files->spool = path;
  return true;
}

// Runs the query once, into a file: reading twice must give the same rows in the same order.
static bool run_query(TableFiles *files, Duck *duck, Error *err)
{
  TableColumn *columns;
  size_t count;
  if (!table_columns(files, duck, &columns, &count, &files->arena, err)
      || !make_spool(files, duck, err)) {
    return false;
  }
  Buf sql = {0};
  buf_print(&sql, "COPY (SELECT *");
  put_exact_columns(&sql, columns, count);
  buf_print(&sql, " FROM ");
  put_query(&sql, files->sql);
  buf_print(&sql, ") TO ");
  duck_put_text(&sql, files->spool);
  buf_print(&sql, " (FORMAT parquet)");
  buf_put_byte(&sql, '\0');
  bool ok = duck_run(duck, (const char *)sql.data, err);
  buf_deinit(&sql);
  if (ok) {
    take_file(files, files->spool, "sql");
    files->sql = NULL;
  }
  return ok;
}

bool table_open(TableFiles *files, Duck *duck, const Table *table, bool run, Error *err)
{
  assert(!table->path != !table->sql);
  *files = (TableFiles){.format = FORMAT_PARQUET};
  bool ok;
  if (table->path) {
    ok = open_path(files, duck, table, err);
  } else {
    files->sql = arena_print(&files->arena, "%s", table->sql);
    ok = !run || run_query(files, duck, err);
  }
  if (!ok) {
    table_close(files);
  }
  return ok;
}

bool table_snapshot(Duck *duck, const char *sql, const char **path, Arena *arena, Error *err)
{
  TableFiles files;
  Table table = {.sql = sql};
  if (!table_open(&files, duck, &table, true, err)) {
    return false;
  }
  *path = arena_print(arena, "%s", files.spool);
  files.spool = NULL;  // the caller's from here on
  table_close(&files);
  return true;
}

void table_close(TableFiles *files)
{
  if (files->spool) {
    unlink(files->spool);
  }
  arena_deinit(&files->arena);
  *files = (TableFiles){0};
}

// Reading
// ---------------------------------------------------------------------------------------------

// A path as a pattern that matches nothing else.
static void put_literal_path(Buf *sql, const char *path)
{
  Buf pattern = {0};
  for (; *path; path++) {
    bool special = strchr("*?[", *path) != NULL;
    buf_print(&pattern, special ? "[%c]" : "%c", *path);
  }
  buf_put_byte(&pattern, '\0');
  duck_put_text(sql, (const char *)pattern.data);
  buf_deinit(&pattern);
}

static void put_files(const TableFiles *files, Buf *sql)
{
  buf_put_byte(sql, '[');
  for (size_t i = 0; i < files->count; i++) {
    buf_print(sql, i ? ", " : "");
    put_literal_path(sql, files->paths[i]);
  }
  buf_put_byte(sql, ']');
}

void table_put_from(const TableFiles *files, size_t columns, Buf *sql)
{
  if (files->sql) {
    put_query(sql, files->sql);
    return;
  }
  assert(files->format == FORMAT_PARQUET);
  buf_print(sql, "read_parquet(");
  put_files(files, sql);
  bool partitions = files->partition_count > 0;
  buf_print(sql, ", hive_partitioning = %s%s)", partitions ? "true" : "false",
            partitions ? ", hive_types_autocast = false" : "");
  for (size_t i = 0; i < columns; i++) {
    buf_print(sql, i ? ", " : " AS rows(");
    table_put_column(sql, i);
  }
  buf_print(sql, columns ? ")" : "");
}

void table_put_column(Buf *sql, size_t column)
{
  buf_print(sql, "c%zu", column);
}

// Gives columns the names that they have: DuckDB calls one otherwise where another differs only in
// case, or not at all.
static bool correct_names(const TableFiles *files, const ParquetFile *file, TableColumn *columns,
                          size_t count, Arena *arena, Error *err)
{
  for (size_t i = 0; i < file->top_count && i < count; i++) {
    columns[i].name = arena_text(arena, slice_text(file->tops[i]));
    for (size_t j = 0; j < i; j++) {
      if (strcmp(columns[i].name, columns[j].name) == 0) {
        error_set(err, ERR_DATA, "the column \"%s\" is there twice", columns[i].name);
        return error_at(err, "%s", files->names[0]);
      }
      if (files->count > 1 && strcasecmp(columns[i].name, columns[j].name) == 0) {
        error_set(err, ERR_DATA,
                  "the columns \"%s\" and \"%s\" differ only in case, and cannot be told apart in "
                  "several such files: rename one",
                  columns[j].name, columns[i].name);
        return error_at(err, "%s", files->names[0]);
      }
    }
  }
  return true;
}

// Puts right what DuckDB says of a Parquet file's columns. To it a column without a type holds
// integers, and a decimal of more than 38 digits is a float, of which it reads a wrong value.
static bool correct_columns(const TableFiles *files, TableColumn *columns, size_t count,
                            Arena *arena, Error *err)
{
  ParquetFile file;
  bool handled;
  if (files->sql || files->format != FORMAT_PARQUET
      || !parquet_open(&file, files->paths[0], &handled, NULL) || !handled) {
    return true;
  }
  bool ok = correct_names(files, &file, columns, count, arena, err);
  for (size_t i = 0; ok && i < count; i++) {
    int place = parquet_find(&file, columns[i].name);
    const ParquetColumn *column = place < 0 ? NULL : &file.columns[place];
    if (column && column->logical == PARQUET_NULL) {
      columns[i].type_text = "NULL";
      columns[i].type = (Type){.kind = TYPE_STRING};
    } else if (column && column->logical == PARQUET_DECIMAL && column->precision > 38) {
      columns[i].type_text =
          arena_print(arena, "%s(%d,%d)", TABLE_WIDE_DECIMAL, column->precision, column->scale);
      columns[i].known = false;
    }
  }
  parquet_close(&file);
  return ok;
}

static bool describe(const TableFiles *files, Duck *duck, TableColumn **columns, size_t *count,
                     Arena *arena, Error *err)
{
  Buf sql = {0};
  buf_print(&sql, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM ");
  table_put_from(files, 0, &sql);
  buf_put_byte(&sql, ')');
  buf_put_byte(&sql, '\0');
  const char **values;
  size_t width;
  bool ok = duck_select(duck, (const char *)sql.data, &values, count, &width, arena, err);
  buf_deinit(&sql);
  if (!ok) {
    return files->count == 1 ? error_at(err, "%s", files->names[0]) : false;
  }
  *columns = arena_zalloc(arena, *count + 1, sizeof(TableColumn));
  for (size_t i = 0; i < *count; i++) {
    TableColumn *column = &(*columns)[i];
    *column = (TableColumn){.name = values[2 * i], .type_text = values[2 * i + 1]};
    column->known = table_type(slice_text(column->type_text), &column->type);
  }
  return correct_columns(files, *columns, *count, arena, err);
}

// One flat Parquet file says itself what it has: DuckDB need not be loaded for it.
static bool parquet_knows(const TableFiles *files, const Duck *duck, TableColumn **columns,
                          size_t *count, Arena *arena)
{
  return !files->sql && files->format == FORMAT_PARQUET && files->count == 1
         && !files->partition_count && !duck->reads_parquet
         && parquet_describe(files->paths[0], columns, count, arena);
}

// Appends the partition columns to what the files themselves have.
static void add_partitions(const TableFiles *files, TableColumn **columns, size_t *count,
                           Arena *arena)
{
  TableColumn *all = arena_zalloc(arena, *count + files->partition_count, sizeof(*all));
  memcpy(all, *columns, *count * sizeof(*all));
  *columns = all;
  for (size_t i = 0; i < files->partition_count; i++) {
    all[(*count)++] = (TableColumn){
        .name = arena_print(arena, "%s", files->partitions[i].name),
        .type_text = "VARCHAR",
        .type = {.kind = TYPE_STRING},
        .known = true,
    };
  }
}

bool table_columns(const TableFiles *files, Duck *duck, TableColumn **columns, size_t *count,
                   Arena *arena, Error *err)
{
  if (files->blank) {
    *count = 0;
    *columns = NULL;
    return true;
  }
  bool ok;
  switch (files->sql ? FORMAT_PARQUET : files->format) {
  case FORMAT_CSV:
    ok = csv_describe(files, columns, count, arena, err);
    break;
  case FORMAT_PACKED:
    ok = packed_describe(files, columns, count, arena, err);
    break;
  case FORMAT_JSON:
  case FORMAT_JSONL:
    ok = json_describe(files, files->exact, columns, count, arena, err);
    break;
  default:
    return parquet_knows(files, duck, columns, count, arena)
           || describe(files, duck, columns, count, arena, err);
  }
  if (ok && files->partition_count) {
    add_partitions(files, columns, count, arena);
  }
  return ok;
}

bool table_describe(Duck *duck, const Table *table, TableColumn **columns, size_t *count,
                    Arena *arena, Error *err)
{
  TableFiles files;
  if (!table_open(&files, duck, table, false, err)) {
    return false;
  }
  bool ok = table_columns(&files, duck, columns, count, arena, err);
  table_close(&files);
  return ok;
}

// Errors
// ----------------------------------------------------------------------------------------------

uint64_t table_count_rows(const TableFiles *files, Duck *duck)
{
  Buf sql = {0};
  buf_print(&sql, "SELECT CAST(count(*) AS VARCHAR) FROM ");
  table_put_from(files, 0, &sql);
  buf_put_byte(&sql, '\0');
  Arena arena = {0};
  const char **values;
  size_t rows;
  size_t columns;
  uint64_t count = 0;
  if (duck_select(duck, (const char *)sql.data, &values, &rows, &columns, &arena, NULL)) {
    count = strtoull(values[0], NULL, 10);
  }
  arena_deinit(&arena);
  buf_deinit(&sql);
  return count;
}

void table_place(const TableFiles *files, Duck *duck, uint64_t row, const char **name,
                 uint64_t *position)
{
  size_t file = 0;
  while (file + 1 < files->count) {
    TableFiles one = {.format = files->format, .paths = &files->paths[file], .count = 1};
    uint64_t count = table_count_rows(&one, duck);
    if (row < count) {
      break;
    }
    row -= count;
    file++;
  }
  *name = files->names[file];
  *position = row;
}

static size_t least(size_t a, size_t b)
{
  return a < b ? a : b;
}

// Edits between two names (Wagner and Fischer), for names of up to 63 bytes.
static size_t name_distance(const char *a, const char *b)
{
  enum { LONGEST = 64 };
  size_t a_size = strlen(a), b_size = strlen(b);
  if (a_size >= LONGEST || b_size >= LONGEST) {
    return LONGEST;
  }
  size_t row[LONGEST];
  for (size_t j = 0; j <= b_size; j++) {
    row[j] = j;
  }
  for (size_t i = 1; i <= a_size; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b_size; j++) {
      size_t above = row[j];
      row[j] = least(least(above, row[j - 1]) + 1, diagonal + (a[i - 1] != b[j - 1]));
      diagonal = above;
    }
  }
  return row[b_size];
}

bool table_no_column(const TableFiles *files, const char *name, const TableColumn *columns,
                     size_t count, const char *what, Error *err)
{
  const char *nearest = NULL;
  size_t nearest_distance = least(strlen(name) / 3 + 2, strlen(name));
  for (size_t i = 0; i < count; i++) {
    size_t distance = name_distance(name, columns[i].name);
    if (distance < nearest_distance) {
      nearest = columns[i].name;
      nearest_distance = distance;
    }
  }
  char hint[160] = "";
  if (nearest) {
    snprintf(hint, sizeof(hint), ", did you mean \"%s\"?", nearest);
  }
  error_set(err, ERR_NOT_FOUND, "%s: there is no column \"%s\"%s", what, name, hint);
  return error_at(err, "%s", files->names[0]);
}
