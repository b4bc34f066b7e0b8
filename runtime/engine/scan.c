#include "engine/scan.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/parallel.h"

enum { NOWHERE = -1 };

// Where the reader's batches have what. The keys come first.
typedef struct {
  ReaderColumn *columns;
  size_t count;
  int event;  // NOWHERE where it is not read
  int created;
  int deleted;
  int features;
} Layout;

typedef struct {
  Engine *engine;
  const ScanRequest *request;
  Reader *reader;
  Layout layout;
  uint64_t total;  // rows, for progress; 0 when not known
  atomic_uint_least64_t read;
  atomic_uint_least64_t bad;
  atomic_bool stopped;  // some thread failed
} Scan;

// One thread's arrays for a block's times, with TIME_NULL for nulls.
typedef struct {
  Time *event_times;
  Time *created_times;
  uint8_t *deleted;
  size_t capacity;
} Space;

// --- What to read ---

static int add_column(Layout *layout, const char *column, Type type, TimeUnit unit,
                      const char *what)
{
  layout->columns[layout->count] = (ReaderColumn){column, type, unit, what};
  return (int)layout->count++;
}

static int add_rank(Layout *layout, const Source *source, const char *column, TypeKind kind,
                    const char *what, Arena *arena)
{
  if (!column) {
    return NOWHERE;
  }
  return add_column(layout, column, (Type){.kind = (uint8_t)kind}, source->time_unit,
                    arena_print(arena, "%s of source \"%s\"", what, source->declared.name));
}

static void add_ranks(Layout *layout, const View *view, Arena *arena)
{
  const Source *source = view->source;
  for (size_t i = 0; i < view->key_count; i++) {
    const char *what = arena_print(arena, "key \"%s\" of feature_view \"%s\"", view->keys[i].name,
                                   view->declared.name);
    add_column(layout, view->keys[i].column, view->keys[i].type, source->time_unit, what);
  }
  layout->event = add_rank(layout, source, source->event_time, TYPE_TIMESTAMP, "event_time", arena);
  layout->created =
      add_rank(layout, source, source->created_time, TYPE_TIMESTAMP, "created_time", arena);
  layout->deleted = add_rank(layout, source, source->deleted, TYPE_BOOL, "deleted", arena);
}

static void add_features(Layout *layout, const ScanRequest *request, Arena *arena)
{
  const View *view = request->view;
  layout->features = (int)layout->count;
  for (size_t i = 0; i < request->feature_count; i++) {
    const Field *feature = request->features[i];
    const char *what = arena_print(arena, "feature \"%s\" of feature_view \"%s\"", feature->name,
                                   view->declared.name);
    add_column(layout, feature->column, feature->type, view->source->time_unit, what);
  }
}

static Layout lay_out(const ScanRequest *request, Arena *arena)
{
  Layout layout = {.event = NOWHERE, .created = NOWHERE, .deleted = NOWHERE, .features = NOWHERE};
  size_t most = request->view->key_count + 3 + request->feature_count;
  layout.columns = arena_zalloc(arena, most, sizeof(*layout.columns));
  if (request->parts & SCAN_RANKS) {
    add_ranks(&layout, request->view, arena);
  }
  if (request->parts & SCAN_FEATURES) {
    add_features(&layout, request, arena);
  }
  return layout;
}

// --- Blocks ---

static void reserve(Space *space, size_t count)
{
  if (count > space->capacity) {
    space->event_times = mem_realloc(space->event_times, count, sizeof(Time));
    space->created_times = mem_realloc(space->created_times, count, sizeof(Time));
    space->deleted = mem_realloc(space->deleted, count, sizeof(uint8_t));
    space->capacity = count;
  }
}

static void free_space(Space *space)
{
  free(space->event_times);
  free(space->created_times);
  free(space->deleted);
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

// Takes the times of bad rows away. Returns how many there are.
static uint64_t drop_bad(const uint64_t *bad, ScanBlock *block, Time *space)
{
  if (block->event_times != space) {
    memcpy(space, block->event_times, block->count * sizeof(Time));
    block->event_times = space;
  }
  uint64_t count = 0;
  for (size_t i = 0; i < block->count; i++) {
    bool is_bad = bad[i / 64] >> (i % 64) & 1;
    space[i] = is_bad ? TIME_NULL : space[i];
    count += is_bad;
  }
  return count;
}

static ScanBlock make_block(const Scan *scan, const Batch *batch, Space *space)
{
  const Layout *layout = &scan->layout;
  ScanBlock block = {.count = batch->count, .first_row = batch->first_row};
  reserve(space, batch->count);
  if (layout->event != NOWHERE) {
    block.keys = batch->columns;
    block.event_times =
        fill_times(&batch->columns[layout->event], batch->count, space->event_times);
  }
  if (layout->created != NOWHERE) {
    block.created_times =
        fill_times(&batch->columns[layout->created], batch->count, space->created_times);
  }
  if (layout->deleted != NOWHERE) {
    block.deleted = fill_deleted(&batch->columns[layout->deleted], batch->count, space->deleted);
  }
  if (layout->features != NOWHERE) {
    block.features = &batch->columns[layout->features];
  }
  return block;
}

// --- Threads ---

// Thread 0 speaks for all: progress and cancellation are looked at between its blocks.
static bool report(Scan *scan, unsigned thread, Error *err)
{
  if (thread != 0) {
    return true;
  }
  char line[256];
  snprintf(line, sizeof(line), "%s: %s", scan->request->view->declared.name, scan->request->what);
  uint64_t read = atomic_load_explicit(&scan->read, memory_order_relaxed);
  return engine_progress(scan->engine, &(Progress){line, read, scan->total}, err);
}

static bool read_share(Scan *scan, unsigned thread, ReaderShare *share, Space *space, Error *err)
{
  while (!atomic_load_explicit(&scan->stopped, memory_order_relaxed)) {
    Batch batch;
    if (!reader_share_next(share, &batch, err)) {
      return error_wrap(err, "source \"%s\"", scan->request->view->source->declared.name);
    }
    if (!batch.count) {
      return true;
    }
    ScanBlock block = make_block(scan, &batch, space);
    const uint64_t *bad = reader_share_bad(share);
    if (bad && block.event_times) {
      atomic_fetch_add(&scan->bad, drop_bad(bad, &block, space->event_times));
    }
    if (!scan->request->visit(scan->request->context, thread, &block, err)) {
      return false;
    }
    atomic_fetch_add_explicit(&scan->read, batch.count, memory_order_relaxed);
    if (!report(scan, thread, err)) {
      return false;
    }
  }
  return true;
}

static bool work(void *context, unsigned thread, Error *err)
{
  Scan *scan = context;
  Space space = {0};
  ReaderShare *share = reader_share_new(scan->reader);
  bool ok = read_share(scan, thread, share, &space, err);
  if (!ok) {
    atomic_store(&scan->stopped, true);
  }
  reader_share_free(share);
  free_space(&space);
  return ok;
}

static Reader *open_reader(Duck *duck, const Scan *scan, Error *err)
{
  const ScanRequest *request = scan->request;
  const Layout *layout = &scan->layout;
  ReaderFilter filter = request->filter;
  filter.has_times = filter.has_times && layout->event != NOWHERE;
  filter.time_column = filter.has_times ? (size_t)layout->event : 0;
  Reader *reader = reader_open(duck, &request->table, layout->columns, layout->count, &filter, err);
  if (!reader) {
    const Declared *source = &request->view->source->declared;
    error_wrap(err, "source \"%s\" (%s)", source->name, source->at);
  }
  return reader;
}

bool scan_run(Engine *engine, const ScanRequest *request, ScanCounts *counts, Error *err)
{
  assert(request->threads >= 1);
  Duck *duck = engine_duck(engine, err);
  if (!duck) {
    return false;
  }
  Arena arena = {0};
  Scan scan = {.engine = engine, .request = request, .layout = lay_out(request, &arena)};
  scan.reader = open_reader(duck, &scan, err);
  bool ok = scan.reader != NULL;
  if (ok) {
    scan.total = reader_total(scan.reader);
    ok = parallel_run(request->threads, work, &scan, err);
    *counts = (ScanCounts){
        .rows = scan.total ? scan.total : atomic_load(&scan.read),
        .bad = atomic_load(&scan.bad),
    };
    reader_close(scan.reader);
  }
  arena_deinit(&arena);
  return ok;
}
