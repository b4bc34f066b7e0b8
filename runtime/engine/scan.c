#include "engine/scan.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum { NOWHERE = -1 };

struct Scan {
  Engine *engine;
  const View *view;
  Reader *reader;
  uint64_t total;  // rows, for progress; 0 when not known
  Arena arena;     // column descriptions, and what was being read for progress
  int parts;
  int event_column;  // places in the reader's batches, NOWHERE when not read
  int created_column;
  int deleted_column;
  int feature_column;

  // A block's times with TIME_NULL for nulls; grown to the largest batch.
  Time *event_times;
  Time *created_times;
  uint8_t *deleted;
  size_t capacity;
};

Table scan_table(const View *view)
{
  return (Table){.path = view->source->path, .sql = view->source->sql};
}

static void add_column(ReaderColumn *columns, size_t *count, const char *column, Type type,
                       TimeUnit unit, const char *what)
{
  columns[(*count)++] = (ReaderColumn){column, type, unit, what};
}

static int add_time(Scan *scan, ReaderColumn *columns, size_t *count, const char *column,
                    const char *what)
{
  if (!column) {
    return NOWHERE;
  }
  int place = (int)*count;
  add_column(
      columns, count, column, (Type){.kind = TYPE_TIMESTAMP}, scan->view->source->time_unit,
      arena_print(&scan->arena, "%s of source \"%s\"", what, scan->view->source->declared.name));
  return place;
}

static void add_ranks(Scan *scan, ReaderColumn *columns, size_t *count)
{
  const View *view = scan->view;
  const Source *source = view->source;
  for (size_t i = 0; i < view->key_count; i++) {
    const char *what = arena_print(&scan->arena, "key \"%s\" of feature_view \"%s\"",
                                   view->keys[i].name, view->declared.name);
    add_column(columns, count, view->keys[i].column, view->keys[i].type, source->time_unit, what);
  }
  scan->event_column = add_time(scan, columns, count, source->event_time, "event_time");
  scan->created_column = add_time(scan, columns, count, source->created_time, "created_time");
  if (source->deleted) {
    scan->deleted_column = (int)*count;
    add_column(columns, count, source->deleted, (Type){.kind = TYPE_BOOL}, UNIT_NONE,
               arena_print(&scan->arena, "deleted of source \"%s\"", source->declared.name));
  }
}

static void add_features(Scan *scan, ReaderColumn *columns, size_t *count,
                         const Field *const *features, size_t feature_count)
{
  scan->feature_column = (int)*count;
  for (size_t i = 0; i < feature_count; i++) {
    const char *what = arena_print(&scan->arena, "feature \"%s\" of feature_view \"%s\"",
                                   features[i]->name, scan->view->declared.name);
    add_column(columns, count, features[i]->column, features[i]->type,
               scan->view->source->time_unit, what);
  }
}

Scan *scan_open(Engine *engine, const View *view, int parts, const Field *const *features,
                size_t feature_count, Error *err)
{
  Duck *duck = engine_duck(engine, err);
  if (!duck) {
    return NULL;
  }
  Scan *scan = mem_zalloc(1, sizeof(*scan));
  *scan = (Scan){
      .engine = engine,
      .view = view,
      .parts = parts,
      .event_column = NOWHERE,
      .created_column = NOWHERE,
      .deleted_column = NOWHERE,
      .feature_column = NOWHERE,
  };
  ReaderColumn *columns =
      arena_zalloc(&scan->arena, view->key_count + 3 + feature_count, sizeof(*columns));
  size_t count = 0;
  if (parts & SCAN_RANKS) {
    add_ranks(scan, columns, &count);
  }
  if (parts & SCAN_FEATURES) {
    add_features(scan, columns, &count, features, feature_count);
  }
  Table table = scan_table(view);
  scan->reader = reader_open(duck, &table, columns, count, err);
  if (!scan->reader) {
    error_wrap(err, "source \"%s\" (%s)", view->source->declared.name, view->source->declared.at);
    scan_close(scan);
    return NULL;
  }
  scan->total = reader_total(scan->reader);
  return scan;
}

void scan_close(Scan *scan)
{
  if (!scan) {
    return;
  }
  if (scan->reader) {
    reader_close(scan->reader);
  }
  free(scan->event_times);
  free(scan->created_times);
  free(scan->deleted);
  arena_deinit(&scan->arena);
  free(scan);
}

static void reserve(Scan *scan, size_t count)
{
  if (count > scan->capacity) {
    scan->event_times = mem_realloc(scan->event_times, count, sizeof(Time));
    scan->created_times = mem_realloc(scan->created_times, count, sizeof(Time));
    scan->deleted = mem_realloc(scan->deleted, count, sizeof(uint8_t));
    scan->capacity = count;
  }
}

// A time column with TIME_NULL for nulls: the reader's own array when it has none.
static const Time *fill_times(const Column *column, size_t count, Time *space)
{
  if (!column->valid) {
    return column->int64s;
  }
  for (size_t i = 0; i < count; i++) {
    space[i] = column_has(column, i) ? column->int64s[i] : TIME_NULL;
  }
  return space;
}

static const uint8_t *fill_deleted(const Column *column, size_t count, uint8_t *space)
{
  for (size_t i = 0; i < count; i++) {
    space[i] = column_has(column, i) && column->bools[i];
  }
  return space;
}

bool scan_next(Scan *scan, const char *what, ScanBlock *block, Error *err)
{
  Batch batch;
  if (!reader_next(scan->reader, &batch, err)) {
    return error_wrap(err, "source \"%s\"", scan->view->source->declared.name);
  }
  *block = (ScanBlock){.count = batch.count, .first_row = batch.first_row};
  char line[256];
  snprintf(line, sizeof(line), "%s: %s", scan->view->declared.name, what);
  Progress progress = {line, batch.first_row + batch.count, scan->total};
  if (!engine_progress(scan->engine, &progress, err)) {
    return false;
  }
  if (!batch.count) {
    return true;
  }
  if (scan->parts & SCAN_RANKS) {
    reserve(scan, batch.count);
    block->keys = batch.columns;
    block->event_times =
        fill_times(&batch.columns[scan->event_column], batch.count, scan->event_times);
    if (scan->created_column != NOWHERE) {
      block->created_times =
          fill_times(&batch.columns[scan->created_column], batch.count, scan->created_times);
    }
    if (scan->deleted_column != NOWHERE) {
      block->deleted =
          fill_deleted(&batch.columns[scan->deleted_column], batch.count, scan->deleted);
    }
  }
  if (scan->parts & SCAN_FEATURES) {
    block->features = &batch.columns[scan->feature_column];
  }
  return true;
}
