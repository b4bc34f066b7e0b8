// Offline to online, view by view, in two passes over the source: keys and times decide which row
// of each key is the newest, then only those rows' features are read, encoded and put.
#include "engine/materialize.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "data/key.h"
#include "data/row.h"
#include "engine/bad_rows.h"
#include "engine/loader.h"
#include "engine/scan.h"
#include "engine/snapshot.h"
#include "join/latest.h"
#include "join/winners.h"

enum { LOADER_SHARE = 2 };  // of a job's memory, one part in so many is for rows to be put

typedef struct {
  Engine *engine;
  Db *db;
  const View *view;
  LatestRule rule;
  Mark mark;  // before
  bool has_mark;
  bool incremental;
  Snapshots *snapshots;
  FunctionPool *functions;
  BadRows *bad;  // NULL: a bad value is an error
  Winners winners;
  ScanCounts scanned;
  uint64_t failed;  // of the winners: their features are null because the transform failed
  LatestCounts counts;
  Loader loader;
  pthread_mutex_t lock;  // of what threads put together: the newest rows, then the loader
} ViewLoad;

// --- First pass: the newest row of each key ---

static void mark_winners(ViewLoad *load, const Latest *latest)
{
  winners_init(&load->winners, load->scanned.rows);
  size_t count = latest_count(latest);
  for (uint32_t key = 0; key < count; key++) {
    LatestRow row;
    if (latest_get(latest, key, &row)) {
      winners_mark(&load->winners, &row.arrival, 1);
    }
  }
  winners_seal(&load->winners);
  load->counts = latest_counts(latest);
}

typedef struct {
  ViewLoad *load;
  KeySet *keys;
  Latest *latest;
  uint32_t *numbers;  // key numbers of a block
  size_t capacity;
} Newest;

static bool add_ranks(Newest *newest, const ScanBlock *block, Error *err)
{
  if (key_set_count(newest->keys) + block->count >= KEY_NONE) {
    return error_set(err, ERR_LIMIT, "feature_view \"%s\" has more than %u entities",
                     newest->load->view->declared.name, KEY_NONE - 1);
  }
  if (block->count > newest->capacity) {
    newest->capacity = block->count;
    newest->numbers = mem_realloc(newest->numbers, block->count, sizeof(*newest->numbers));
  }
  key_set_add(newest->keys, block->keys, block->count, newest->numbers);
  latest_add(newest->latest, block->count, newest->numbers, block->event_times,
             block->created_times, block->deleted, block->first_row);
  return true;
}

// Threads decode their shares of the source at the same time, which is most of the work; what they
// found goes into one table, block by block.
static bool visit_ranks(void *context, unsigned thread, const ScanBlock *block, Error *err)
{
  (void)thread;
  Newest *newest = context;
  pthread_mutex_lock(&newest->load->lock);
  bool ok = add_ranks(newest, block, err);
  pthread_mutex_unlock(&newest->load->lock);
  return ok;
}

static const Field **all_features(const View *view)
{
  const Field **features = mem_zalloc(view->feature_count, sizeof(*features));
  for (size_t i = 0; i < view->feature_count; i++) {
    features[i] = &view->features[i];
  }
  return features;
}

static bool find_winners(ViewLoad *load, Error *err)
{
  Type types[CATALOG_KEYS_MAX];
  const View *view = load->view;
  for (size_t i = 0; i < view->key_count; i++) {
    types[i] = view->keys[i].type;
  }
  Newest newest = {
      .load = load,
      .keys = key_set_new(types, view->key_count),
      .latest = latest_new(load->rule),
  };
  ScanRequest request = {
      .view = view,
      .functions = load->functions,
      .parts = SCAN_RANKS,
      .what = "finding the newest rows",
      .threads = parallel_threads(engine_threads(load->engine)),
      .visit = visit_ranks,
      .context = &newest,
  };
  const Field **features = all_features(view);
  if (load->bad) {
    // A row with a bad feature must not win.
    request.parts |= SCAN_FEATURES;
    request.features = features;
    request.feature_count = view->feature_count;
    request.filter.bad = bad_rows_of(load->bad, view->source->declared.name, false);
  }
  bool ok = snapshots_table(load->snapshots, load->engine, view->source, &request.table, err)
            && scan_run(load->engine, &request, &load->scanned, err);
  if (ok) {
    mark_winners(load, newest.latest);
  }
  latest_free(newest.latest);
  key_set_free(newest.keys);
  free(newest.numbers);
  free(features);
  return ok;
}

// --- Second pass: encode and put ---

// Buffers and the slot table of one view, reused for every row.
typedef struct {
  Buf key;
  Buf row;
  const Column **slots;  // by slot: the block's column, NULL where the slot is retired
} RowBuilder;

static void set_slots(RowBuilder *builder, const View *view, const Column *features)
{
  for (size_t i = 0; i < view->feature_count; i++) {
    builder->slots[view->features[i].slot] = &features[i];
  }
}

static bool load_row(ViewLoad *load, RowBuilder *builder, const ScanBlock *block, size_t row,
                     uint64_t arrival, Error *err)
{
  const View *view = load->view;
  buf_reset(&builder->key);
  key_put_view(&builder->key, view->id);
  for (size_t i = 0; i < view->key_count; i++) {
    if (!key_put_column(&builder->key, &block->keys[i], row)) {
      return error_set(err, ERR_IO, "source \"%s\" changed while it was read: run it again",
                       view->source->declared.name);
    }
  }
  RowRank rank = {
      .event_time = block->event_times[row],
      .created_time = block->created_times ? block->created_times[row] : TIME_NULL,
      .arrival = arrival,
  };
  bool deleted = block->deleted && block->deleted[row];
  Slice key = buf_slice(&builder->key);
  uint8_t space[KEY_STORE_MAX];
  bool cut;
  key_store_form(key, space, &cut);
  Slice carried =
      cut ? slice_of(key.data + KEY_VIEW_SIZE, key.size - KEY_VIEW_SIZE) : slice_of(NULL, 0);
  buf_reset(&builder->row);
  row_encode(&builder->row, rank, deleted, builder->slots, view->slot_count, row, carried);
  return loader_add(&load->loader, key, buf_slice(&builder->row), err);
}

typedef struct {
  ViewLoad *load;
  RowBuilder builder;
  uint64_t found;
} Writing;

static bool load_block(Writing *writing, const ScanBlock *block, Error *err)
{
  uint64_t arrival = block->first_row;
  set_slots(&writing->builder, writing->load->view, block->features);
  for (size_t row = 0; row < block->count; row++) {
    if (!load_row(writing->load, &writing->builder, block, row, arrival, err)) {
      return false;
    }
    arrival = winners_next(&writing->load->winners, arrival);
  }
  writing->found += block->count;
  return true;
}

static bool visit_block(void *context, unsigned thread, const ScanBlock *block, Error *err)
{
  (void)thread;
  Writing *writing = context;
  pthread_mutex_lock(&writing->load->lock);
  bool ok = load_block(writing, block, err);
  pthread_mutex_unlock(&writing->load->lock);
  return ok;
}

static bool load_rows(ViewLoad *load, Error *err)
{
  const View *view = load->view;
  if (!load->winners.count) {
    return true;
  }
  const Field **features = all_features(view);
  Writing writing = {
      .load = load,
      .builder = {.slots = mem_zalloc(view->slot_count, sizeof(Column *))},
  };
  ScanRequest request = {
      .view = view,
      .functions = load->functions,
      .parts = SCAN_RANKS | SCAN_FEATURES,
      .features = features,
      .feature_count = view->feature_count,
      .what = "writing",
      .threads = parallel_threads(engine_threads(load->engine)),
      .filter = {.wanted = load->winners.bits, .wanted_rows = load->winners.rows},
      .visit = visit_block,
      .context = &writing,
  };
  if (load->bad) {  // losers may still have bad values
    request.filter.bad = bad_rows_of(load->bad, view->source->declared.name, true);
  }
  ScanCounts counts;
  bool ok = snapshots_table(load->snapshots, load->engine, view->source, &request.table, err)
            && scan_run(load->engine, &request, &counts, err);
  load->failed = ok ? counts.failed : 0;
  if (ok && writing.found != load->winners.count) {
    ok = error_set(err, ERR_IO, "source \"%s\" changed while it was read: run it again",
                   view->source->declared.name);
  }
  buf_deinit(&writing.builder.key);
  buf_deinit(&writing.builder.row);
  free(writing.builder.slots);
  free(features);
  return ok;
}

// --- The mark ---

// The mark after covering [start, end). It only moves over unbroken ground: an interval that does
// not touch what was covered before leaves it where it was.
static Mark next_mark(const ViewLoad *load, bool *gap)
{
  Time start = load->rule.start;
  Time end = load->rule.end;
  Mark mark = load->mark;
  *gap = load->has_mark && (start > mark.materialized_to || end < mark.materialized_from);
  if (!load->has_mark) {
    mark.materialized_from = start;
    mark.materialized_to = end;
    mark.created_to = load->counts.created_to;
  } else if (!*gap) {
    // Only a run that looked at every row below the mark may say up to which creation time rows
    // have been seen; after a partial one, late rows elsewhere would be overlooked for ever.
    bool complete =
        load->incremental || (start <= mark.materialized_from && end >= mark.materialized_to);
    if (complete && load->counts.created_to > mark.created_to) {
      mark.created_to = load->counts.created_to;
    }
    mark.materialized_from = start < mark.materialized_from ? start : mark.materialized_from;
    mark.materialized_to = end > mark.materialized_to ? end : mark.materialized_to;
  }
  mark.updated_at = clock_now();
  mark.rows_read += load->scanned.rows;
  return mark;
}

static bool read_mark(ViewLoad *load, Error *err)
{
  DbRead *read = db_read_new(load->db, err);
  if (!read) {
    return false;
  }
  bool ok = db_read_begin(read, err);
  if (ok) {
    ok = marks_get(read, load->view->id, &load->mark, &load->has_mark, err);
    db_read_end(read);
  }
  db_read_free(read);
  return ok;
}

static void set_rule(ViewLoad *load, const MaterializeRequest *request)
{
  load->rule = (LatestRule){
      .start = request->start,
      .end = request->end,
      .created_from = TIME_MAX,
      .known_matters = load->view->as_known || load->view->delay > 0,
      .delay = load->view->delay,
      .strict = load->view->strict,
  };
  load->incremental = request->incremental;
  if (request->incremental) {
    load->rule.start = load->has_mark ? load->mark.materialized_to : TIME_MIN;
    load->rule.created_from = load->has_mark ? load->mark.created_to : TIME_MAX;
  }
}

static bool load_view(ViewLoad *load, const MaterializeRequest *request, MaterializedView *result,
                      Error *err)
{
  if (!read_mark(load, err)) {
    return false;
  }
  set_rule(load, request);
  if (!find_winners(load, err) || !load_rows(load, err)) {
    return false;
  }
  bool gap;
  Mark mark = next_mark(load, &gap);
  if (!loader_finish(&load->loader, load->view->id, &mark, err)) {
    return false;
  }
  *result = (MaterializedView){
      .view = result->view,
      .start = load->rule.start,
      .end = load->rule.end,
      .read = load->scanned.rows,
      .inside = load->counts.inside,
      .late = load->counts.late,
      .written = load->loader.written,
      .stale = load->loader.stale,
      // a row that is filtered has no time any more
      .rejected = load->counts.null_key + load->counts.null_time - load->scanned.filtered,
      .filtered = load->scanned.filtered,
      .failed = load->failed,
      .mark = mark.materialized_to,
      .gap = gap,
  };
  return true;
}

// --- The use case ---

static bool check_interval(const MaterializeRequest *request, Error *err)
{
  if (request->incremental || request->start < request->end) {
    return true;
  }
  char start[CLOCK_TEXT_SIZE];
  char end[CLOCK_TEXT_SIZE];
  clock_print(request->start, start);
  clock_print(request->end, end);
  return error_set(err, ERR_INVALID,
                   "the interval [%s, %s) is empty: START must be before END (END is exclusive)",
                   start, end);
}

// The views to load: the named ones, or all that are kept online.
static bool choose_views(const Catalog *catalog, const MaterializeRequest *request,
                         const View ***views, size_t *count, Arena *arena, Error *err)
{
  *count = 0;
  *views = arena_zalloc(arena, request->view_count + catalog->view_count, sizeof(**views));
  for (size_t i = 0; i < request->view_count; i++) {
    const View *view = catalog_find_view(catalog, request->views[i], err);
    if (!view) {
      return false;
    }
    if (!view->online) {
      return error_set(err, ERR_INVALID,
                       "feature_view \"%s\" is not kept online (online = false at %s)",
                       view->declared.name, view->declared.at);
    }
    (*views)[(*count)++] = view;
  }
  for (size_t i = 0; !request->view_count && i < catalog->view_count; i++) {
    if (catalog->views[i].online) {
      (*views)[(*count)++] = &catalog->views[i];
    }
  }
  return true;
}

// What earlier views did stays done, so the error of a later one says which they are.
static bool failed_after(const MaterializeResult *result, const char *view, Error *err)
{
  Buf done = {0};
  for (size_t i = 0; i < result->view_count; i++) {
    buf_print(&done, "%s%s", i ? ", " : "", result->views[i].view);
  }
  if (done.size) {
    error_wrap(err, "feature_view \"%s\" (done before it: %.*s)", view,
               (int)(done.size < 200 ? done.size : 200), (const char *)done.data);
  }
  buf_deinit(&done);
  return false;
}

static bool check_rejects(Engine *engine, const MaterializeRequest *request, const View **views,
                          size_t count, Error *err)
{
  Duck *duck = engine_duck(engine, err);
  for (size_t i = 0; duck && request->rejects && i < count; i++) {
    Table source = {.path = engine_source_path(engine, views[i]->source)};
    if (!table_refuse_over(duck, &source, request->rejects, err)) {
      return false;
    }
  }
  return duck != NULL;
}

bool engine_materialize(Engine *engine, const MaterializeRequest *request,
                        MaterializeResult *result, Arena *arena, Error *err)
{
  *result = (MaterializeResult){0};
  Catalog *catalog;
  if (!check_interval(request, err) || !engine_pin(engine, &catalog, err)) {
    return false;
  }
  const View **views;
  size_t count;
  Snapshots snapshots = {0};
  FunctionPool functions;
  function_pool_init(&functions, catalog, engine_functions(engine));
  BadRows *bad = request->reject ? bad_rows_open(engine, request->rejects, err) : NULL;
  bool ok = (!request->reject || bad) && choose_views(catalog, request, &views, &count, arena, err)
            && check_rejects(engine, request, views, count, err);
  if (ok) {
    result->views = arena_zalloc(arena, count, sizeof(*result->views));
  }
  for (size_t i = 0; ok && i < count; i++) {
    ViewLoad load = {.engine = engine,
                     .view = views[i],
                     .db = engine_db(engine, false, err),
                     .snapshots = &snapshots,
                     .functions = &functions,
                     .bad = bad,
                     .lock = PTHREAD_MUTEX_INITIALIZER};
    load.loader = (Loader){.db = load.db, .memory = engine_memory(engine) / LOADER_SHARE};
    result->views[i].view = arena_text(arena, slice_text(views[i]->declared.name));
    ok = load_view(&load, request, &result->views[i], err)
         || failed_after(result, result->views[i].view, err);
    result->view_count += ok;
    winners_deinit(&load.winners);
    loader_deinit(&load.loader);
  }
  ok = ok && (!bad || bad_rows_finish(bad, err));
  bad_rows_close(bad);
  snapshots_deinit(&snapshots);
  function_pool_deinit(&functions);
  catalog_unref(catalog);
  return ok;
}
