#include "engine/scan.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "engine/view_functions.h"

enum { NOWHERE = -1 };

// Where the reader's batches have what. The keys come first.
typedef struct {
  ReaderColumn *columns;
  size_t count;
  int event;  // NOWHERE where it is not read
  int created;
  int deleted;
  int features;              // NOWHERE, too, where they are made
  size_t *filter_inputs;     // places; NULL where the filter is not asked
  size_t *transform_inputs;  // NULL where features are not made
} Layout;

typedef struct {
  Engine *engine;
  const ScanRequest *request;
  Reader *reader;
  Layout layout;
  const char *rows_of;  // for messages of functions
  uint64_t total;       // rows, for progress; 0 when not known
  atomic_uint_least64_t read;
  atomic_uint_least64_t bad;
  atomic_uint_least64_t filtered;
  atomic_uint_least64_t failed;
  atomic_bool stopped;  // some thread failed
} Scan;

// One thread's arrays for a block.
typedef struct {
  Time *event_times;    // with TIME_NULL for nulls
  Time *created_times;  // the same
  uint8_t *deleted;
  uint8_t *fates;  // where functions are asked
  size_t capacity;
} Space;

typedef struct {
  Scan *scan;
  ReaderShare *share;
  Space space;
  Functions *functions;  // NULL where none are asked
  ViewFunctions view;
  const Column **filter_inputs;  // of the batch at hand
  const Column **transform_inputs;
  Column *features;  // the wanted ones of those that were made
  Arena arena;       // of these arrays
} Worker;

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

static size_t add_input(Layout *layout, const View *view, const Field *input, Arena *arena)
{
  for (size_t i = 0; i < layout->count; i++) {
    const ReaderColumn *column = &layout->columns[i];
    if (strcmp(column->column, input->column) == 0 && type_equal(column->type, input->type)) {
      return i;
    }
  }
  const char *what =
      arena_print(arena, "input \"%s\" of feature_view \"%s\"", input->name, view->declared.name);
  return (size_t)add_column(layout, input->column, input->type, view->source->time_unit, what);
}

// Places of a function's inputs, each column being read once whatever it is for.
static size_t *add_inputs(Layout *layout, const View *view, const Function *function, Arena *arena)
{
  size_t *places = arena_alloc(arena, (function->input_count + 1) * sizeof(*places));
  for (size_t i = 0; i < function->input_count; i++) {
    places[i] = add_input(layout, view, &function->inputs[i], arena);
  }
  return places;
}

static Layout lay_out(const ScanRequest *request, Arena *arena)
{
  const View *view = request->view;
  Layout layout = {.event = NOWHERE, .created = NOWHERE, .deleted = NOWHERE, .features = NOWHERE};
  size_t most = view->key_count + 3 + request->feature_count + view->filter.input_count
                + view->transform.input_count;
  layout.columns = arena_zalloc(arena, most, sizeof(*layout.columns));
  if (request->parts & SCAN_RANKS) {
    add_ranks(&layout, view, arena);
  }
  if ((request->parts & SCAN_FEATURES) && !view->transform.at) {
    add_features(&layout, request, arena);
  }
  if ((request->parts & SCAN_FEATURES) && view->transform.at) {
    layout.transform_inputs = add_inputs(&layout, view, &view->transform, arena);
  }
  if ((request->parts & SCAN_RANKS) && view->filter.at && !request->filter.wanted) {
    layout.filter_inputs = add_inputs(&layout, view, &view->filter, arena);
  }
  if (!layout.count) {  // features that are made of nothing: something has to say how many rows
    add_rank(&layout, view->source, view->source->event_time, TYPE_TIMESTAMP, "event_time", arena);
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
    space->fates = mem_realloc(space->fates, count, sizeof(uint8_t));
    space->capacity = count;
  }
}

static void free_space(Space *space)
{
  free(space->event_times);
  free(space->created_times);
  free(space->deleted);
  free(space->fates);
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

// Event times that may be changed.
static Time *own_times(ScanBlock *block, Time *space)
{
  if (block->event_times != space) {
    memcpy(space, block->event_times, block->count * sizeof(Time));
    block->event_times = space;
  }
  return space;
}

// Takes the times of bad rows away. Returns how many there are.
static uint64_t drop_bad(const uint64_t *bad, ScanBlock *block, Time *space)
{
  own_times(block, space);
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

// --- Functions ---

// Tells the job of a row that is left out because a function failed.
static bool refuse(void *context, size_t row, const char *message, Error *err)
{
  const Worker *worker = context;
  return reader_share_refuse(worker->share, row, message, err);
}

static void take_inputs(const Column *columns, const size_t *places, size_t count,
                        const Column **inputs)
{
  for (size_t i = 0; places && i < count; i++) {
    inputs[i] = &columns[places[i]];
  }
}

// Functions see rows that can match something.
static void judge_rows(const ScanBlock *block, const uint64_t *bad, uint8_t *fates)
{
  memset(fates, ROW_TAKEN, block->count);
  for (size_t i = 0; block->event_times && i < block->count; i++) {
    bool passed = block->event_times[i] == TIME_NULL || (block->deleted && block->deleted[i]);
    fates[i] = passed ? ROW_PASSED : ROW_TAKEN;
  }
  for (size_t i = 0; bad && i < block->count; i++) {
    if (bad[i / 64] >> (i % 64) & 1) {
      fates[i] = ROW_PASSED;
    }
  }
}

// Takes the times of rows away that are left out.
static void drop_left_out(ScanBlock *block, const uint8_t *fates, Time *space)
{
  Time *times = own_times(block, space);
  for (size_t i = 0; i < block->count; i++) {
    times[i] = fates[i] == ROW_FILTERED || fates[i] == ROW_REFUSED ? TIME_NULL : times[i];
  }
}

static bool apply_functions(Worker *worker, const Batch *batch, const uint64_t *bad,
                            ScanBlock *block, Error *err)
{
  Scan *scan = worker->scan;
  const ScanRequest *request = scan->request;
  const View *view = request->view;
  take_inputs(batch->columns, scan->layout.filter_inputs, view->filter.input_count,
              worker->filter_inputs);
  take_inputs(batch->columns, scan->layout.transform_inputs, view->transform.input_count,
              worker->transform_inputs);
  judge_rows(block, bad, worker->space.fates);
  ViewRows rows = {
      .count = block->count,
      .filter_inputs = worker->filter_inputs,
      .transform_inputs = worker->transform_inputs,
      .fates = worker->space.fates,
      .first_row = block->first_row + !request->filter.wanted,
      .rows_of = scan->rows_of,
      .wanted = request->filter.wanted,
      .refuse = request->filter.bad && !request->filter.wanted ? refuse : NULL,
      .context = worker,
  };
  ViewRowsResult result;
  if (!view_functions_run(&worker->view, &rows, &result, err)) {
    return false;
  }
  for (size_t i = 0; result.features && i < request->feature_count; i++) {
    worker->features[i] = result.features[request->features[i] - view->features];
  }
  block->features = result.features ? worker->features : block->features;
  if (result.filtered + result.refused) {
    drop_left_out(block, worker->space.fates, worker->space.event_times);
  }
  atomic_fetch_add(&scan->filtered, result.filtered);
  atomic_fetch_add(&scan->failed, result.failed);
  atomic_fetch_add(&scan->bad, result.refused);
  return true;
}

static bool open_functions(Worker *worker, Error *err)
{
  const ScanRequest *request = worker->scan->request;
  const Layout *layout = &worker->scan->layout;
  const View *view = request->view;
  bool filter = layout->filter_inputs != NULL;
  bool transform = layout->transform_inputs != NULL;
  if (!filter && !transform) {
    return true;
  }
  Arena *arena = &worker->arena;
  worker->filter_inputs = arena_zalloc(arena, view->filter.input_count, sizeof(Column *));
  worker->transform_inputs = arena_zalloc(arena, view->transform.input_count, sizeof(Column *));
  worker->features = arena_zalloc(arena, request->feature_count, sizeof(Column));
  worker->functions = function_pool_take(request->functions, err);
  return worker->functions
         && view_functions_init(&worker->view, worker->functions, view, filter, transform, err);
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

// One block on its way from the reader to the visitor.
static bool take_batch(Worker *worker, unsigned thread, const Batch *batch, Error *err)
{
  Scan *scan = worker->scan;
  ScanBlock block = make_block(scan, batch, &worker->space);
  const uint64_t *bad = reader_share_bad(worker->share);
  if (bad && block.event_times) {
    atomic_fetch_add(&scan->bad, drop_bad(bad, &block, worker->space.event_times));
  }
  return (!worker->functions || apply_functions(worker, batch, bad, &block, err))
         && scan->request->visit(scan->request->context, thread, &block, err);
}

static bool read_share(Worker *worker, unsigned thread, Error *err)
{
  Scan *scan = worker->scan;
  while (!atomic_load_explicit(&scan->stopped, memory_order_relaxed)) {
    Batch batch;
    if (!reader_share_next(worker->share, &batch, err)) {
      return error_wrap(err, "source \"%s\"", scan->request->view->source->declared.name);
    }
    if (!batch.count) {
      return true;
    }
    if (!take_batch(worker, thread, &batch, err)) {
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
  Worker worker = {.scan = scan};
  worker.share = reader_share_new(scan->reader);
  bool ok = open_functions(&worker, err) && read_share(&worker, thread, err);
  if (!ok) {
    atomic_store(&scan->stopped, true);
  }
  reader_share_free(worker.share);
  view_functions_deinit(&worker.view);
  if (worker.functions) {
    function_pool_give(scan->request->functions, worker.functions);
  }
  free_space(&worker.space);
  arena_deinit(&worker.arena);
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
  scan.rows_of = arena_print(&arena, "source \"%s\"", request->view->source->declared.name);
  scan.reader = open_reader(duck, &scan, err);
  bool ok = scan.reader != NULL;
  if (ok) {
    scan.total = reader_total(scan.reader);
    ok = parallel_run(request->threads, work, &scan, err);
    *counts = (ScanCounts){
        .rows = scan.total ? scan.total : atomic_load(&scan.read),
        .bad = atomic_load(&scan.bad),
        .filtered = atomic_load(&scan.filtered),
        .failed = atomic_load(&scan.failed),
    };
    reader_close(scan.reader);
  }
  arena_deinit(&arena);
  return ok;
}
