#include "engine/push_file.h"

#include <stdlib.h>

#include "base/mem.h"
#include "data/msgpack.h"
#include "data/row.h"

enum {
  PUSH_FILE_ROWS = 1000,      // of one request
  PUSH_FILE_BYTES = 4 << 20,  // of one request, unless one row is larger
};

struct PushFile {
  const PushFileRequest *request;
  Engine *engine;
  Reader *reader;
  ReaderShare *share;  // the one that takes all: it knows the bad rows
  uint64_t total;
  Arena arena;
  const char **names;  // of the columns that are read
  size_t column_count;
  Batch batch;
  size_t at;                         // rows of it that were given
  uint64_t numbers[PUSH_FILE_ROWS];  // of the rows of a part, from 1
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

// Opening -----------------------------------------------------------------------------------------

static bool is_wanted(const PushFileRequest *request, const char *name)
{
  for (size_t i = 0; i < request->column_count; i++) {
    const PushColumn *column = &request->columns[i];
    if (strcmp(column->name, name) == 0 || strcmp(column->column, name) == 0) {
      return true;
    }
  }
  return false;
}

// The columns of the view's source; none where it cannot be read from here, as with a server
// elsewhere.
static void describe_source(PushFile *file, Duck *duck, TableColumn **columns, size_t *count)
{
  const Table *source = &file->request->source;
  Error ignored = {0};
  *count = 0;
  if ((source->path || source->sql)
      && !table_describe(duck, source, columns, count, &file->arena, &ignored)) {
    *count = 0;
  }
}

static bool unknown_column(PushFile *file, const char *name, Error *err)
{
  const PushFileRequest *request = file->request;
  const char **known = arena_alloc(&file->arena, (request->column_count + 1) * sizeof(*known));
  for (size_t i = 0; i < request->column_count; i++) {
    known[i] = request->columns[i].column;
  }
  const char *near = catalog_suggest(slice_text(name), known, request->column_count);
  return error_set(
      err, ERR_DATA,
      "%s has a column \"%s\", which neither feature_view \"%s\" nor its source has%s%s%s",
      request->path, name, request->view, near ? ", did you mean \"" : "", near ? near : "",
      near ? "\"?" : "");
}

// A column that nobody knows is refused: pushed without it, the feature that was meant would
// silently keep its values.
static bool check_columns(PushFile *file, Duck *duck, const TableColumn *there, size_t there_count,
                          Error *err)
{
  TableColumn *source = NULL;
  size_t source_count = 0;
  bool described = false;
  for (size_t i = 0; i < there_count; i++) {
    if (is_wanted(file->request, there[i].name)) {
      continue;
    }
    if (!described) {
      describe_source(file, duck, &source, &source_count);
      described = true;
    }
    if (!find_column(source, source_count, there[i].name)) {
      return unknown_column(file, there[i].name, err);
    }
  }
  return true;
}

// Chooses the columns to read.
static bool choose(PushFile *file, Duck *duck, const Table *table, ReaderColumn *chosen, Error *err)
{
  const PushFileRequest *request = file->request;
  TableColumn *there;
  size_t there_count;
  if (!table_describe(duck, table, &there, &there_count, &file->arena, err)
      || !check_columns(file, duck, there, there_count, err)) {
    return false;
  }
  // A file of JSON or msgpack without rows does not say what columns it has: it may have all.
  bool unsaid = there_count == 0;
  bool says_something = request->has_inputs || unsaid;  // keys and times alone do not
  for (size_t i = 0; i < request->column_count; i++) {
    const PushColumn *wanted = &request->columns[i];
    const TableColumn *column = find_column(there, there_count, wanted->column);
    column = column ? column : find_column(there, there_count, wanted->name);
    if (!column && wanted->required && !unsaid) {
      return error_set(err, ERR_DATA, "%s has no column \"%s\"", request->path, wanted->column);
    }
    if (column || unsaid) {
      says_something = says_something || !wanted->required;
      chosen[file->column_count] =
          (ReaderColumn){column ? column->name : wanted->column, wanted->type, request->unit,
                         arena_print(&file->arena, "field \"%s\"", wanted->name)};
      file->names[file->column_count++] = wanted->name;
    }
  }
  return says_something
         || error_set(err, ERR_DATA, "%s has keys and times but no feature: is it the right file?",
                      request->path);
}

static bool open_reader(PushFile *file, Error *err)
{
  size_t count = file->request->column_count;
  file->names = arena_alloc(&file->arena, (count + 1) * sizeof(*file->names));
  ReaderColumn *chosen = arena_alloc(&file->arena, (count + 1) * sizeof(*chosen));
  Table table = {.path = file->request->path};
  ReaderFilter filter = {.bad = &file->request->bad};
  Duck *duck = engine_duck(file->engine, err);
  if (!duck || !choose(file, duck, &table, chosen, err)) {
    return false;
  }
  file->reader = reader_open(duck, &table, chosen, file->column_count, &filter, err);
  return file->reader != NULL;
}

PushFile *push_file_open(Engine *engine, const PushFileRequest *request, Error *err)
{
  PushFile *file = mem_zalloc(1, sizeof(*file));
  file->engine = engine;
  file->request = request;
  if (!open_reader(file, err)) {
    push_file_close(file);
    return NULL;
  }
  file->share = reader_share_new(file->reader);
  file->total = reader_total(file->reader);
  return file;
}

void push_file_close(PushFile *file)
{
  if (!file) {
    return;
  }
  reader_share_free(file->share);
  if (file->reader) {
    reader_close(file->reader);
  }
  arena_deinit(&file->arena);
  free(file);
}

// Reading -----------------------------------------------------------------------------------------

// Chooses rows of the batch from file->at on, at most `most` of its rows. Returns how many are
// good.
static size_t choose_rows(PushFile *file, size_t most)
{
  const uint64_t *bad = reader_share_bad(file->share);
  size_t good = 0;
  for (size_t row = file->at; row < file->at + most; row++) {
    if (!bad || !(bad[row / 64] >> (row % 64) & 1)) {
      file->numbers[good++] = file->batch.first_row + row + 1;
    }
  }
  return good;
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
      size_t place = (size_t)(file->numbers[row] - 1 - file->batch.first_row);
      row_put_value(rows, &file->batch.columns[i], place);
    }
  }
}

bool push_file_next(PushFile *file, PushPart *part, Error *err)
{
  part->count = part->read = 0;
  part->numbers = file->numbers;
  if (file->at == file->batch.count) {
    file->at = 0;
    if (!reader_share_next(file->share, &file->batch, err)) {
      return false;
    }
  }
  size_t left = file->batch.count - file->at;
  size_t take = left < PUSH_FILE_ROWS ? left : PUSH_FILE_ROWS;
  if (take == 0) {
    return true;
  }
  part->count = choose_rows(file, take);
  put_columns(file, part->count, &part->rows);
  while (part->rows.size > PUSH_FILE_BYTES && take > 1) {
    take /= 2;
    part->count = choose_rows(file, take);
    put_columns(file, part->count, &part->rows);
  }
  part->read = take;
  file->at += take;
  Progress progress = {"pushing", file->batch.first_row + file->at, file->total};
  return engine_progress(file->engine, &progress, err);
}
