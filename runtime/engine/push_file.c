#include "engine/push_file.h"

#include <stdlib.h>

#include "base/mem.h"
#include "data/msgpack.h"
#include "data/row.h"
#include "source/reader.h"

enum {
  PUSH_FILE_ROWS = 1000,      // of one request
  PUSH_FILE_BYTES = 4 << 20,  // of one request, unless one row is larger
};

struct PushFile {
  Engine *engine;
  Reader *reader;
  uint64_t total;
  Arena arena;
  const char *path;
  const char **names;  // of the columns that are read
  size_t column_count;
  Batch batch;
  size_t at;  // rows of it that were given
};

static const TableColumn *find_column(const TableColumn *columns, size_t count, const char *name)
{
  for (size_t i = 0; name && i < count; i++) {
    if (strcmp(columns[i].name, name) == 0) {
      return &columns[i];
    }
  }
  return NULL;
}

// Chooses the columns to read.
static bool choose(PushFile *file, const Table *table, const PushColumn *columns, size_t count,
                   TimeUnit unit, ReaderColumn *chosen, Error *err)
{
  Duck *duck = engine_duck(file->engine, err);
  TableColumn *there;
  size_t there_count;
  if (!duck || !table_describe(duck, table, &there, &there_count, &file->arena, err)) {
    return false;
  }
  bool says_something = false;  // keys and times alone say nothing of the view
  for (size_t i = 0; i < count; i++) {
    const TableColumn *column = find_column(there, there_count, columns[i].column);
    column = column ? column : find_column(there, there_count, columns[i].name);
    if (!column && columns[i].required) {
      return error_set(err, ERR_DATA, "%s has no column \"%s\"", file->path, columns[i].column);
    }
    if (column) {
      says_something = says_something || !columns[i].required;
      chosen[file->column_count] =
          (ReaderColumn){column->name, columns[i].type, unit,
                         arena_print(&file->arena, "field \"%s\"", columns[i].name)};
      file->names[file->column_count++] = arena_text(&file->arena, slice_text(columns[i].name));
    }
  }
  return says_something
         || error_set(err, ERR_DATA, "%s has keys and times but no feature: is it the right file?",
                      file->path);
}

PushFile *push_file_open(Engine *engine, const char *path, const PushColumn *columns, size_t count,
                         TimeUnit unit, Error *err)
{
  PushFile *file = mem_zalloc(1, sizeof(*file));
  file->engine = engine;
  file->path = arena_text(&file->arena, slice_text(path));
  file->names = arena_alloc(&file->arena, (count + 1) * sizeof(*file->names));
  ReaderColumn *chosen = arena_alloc(&file->arena, (count + 1) * sizeof(*chosen));
  Table table = {.path = file->path};
  if (choose(file, &table, columns, count, unit, chosen, err)) {
    file->reader =
        reader_open(engine_duck(engine, err), &table, chosen, file->column_count, NULL, err);
  }
  if (!file->reader) {
    push_file_close(file);
    return NULL;
  }
  file->total = reader_total(file->reader);
  return file;
}

void push_file_close(PushFile *file)
{
  if (!file) {
    return;
  }
  if (file->reader) {
    reader_close(file->reader);
  }
  arena_deinit(&file->arena);
  free(file);
}

static void put_columns(const PushFile *file, size_t count, Buf *rows)
{
  buf_reset(rows);
  msgpack_packer packer = mp_packer(rows);
  msgpack_pack_map(&packer, file->column_count);
  for (size_t i = 0; i < file->column_count; i++) {
    mp_put_text(&packer, file->names[i]);
    msgpack_pack_array(&packer, count);
    for (size_t row = 0; row < count; row++) {
      row_put_value(rows, &file->batch.columns[i], file->at + row);
    }
  }
}

bool push_file_next(PushFile *file, Buf *rows, size_t *count, Error *err)
{
  *count = 0;
  if (file->at == file->batch.count) {
    file->at = 0;
    if (!reader_next(file->reader, &file->batch, err)) {
      return false;
    }
  }
  size_t left = file->batch.count - file->at;
  size_t take = left < PUSH_FILE_ROWS ? left : PUSH_FILE_ROWS;
  if (take == 0) {
    return true;
  }
  put_columns(file, take, rows);
  while (rows->size > PUSH_FILE_BYTES && take > 1) {
    take /= 2;
    put_columns(file, take, rows);
  }
  file->at += take;
  *count = take;
  Progress progress = {"pushing", file->batch.first_row + file->at, file->total};
  return engine_progress(file->engine, &progress, err);
}
