// A training set: the spine part by part, each joined with every view, its rows written before the
// next part is read. How large a part may be is a question of memory; usually one is enough.
// On-demand views are computed while rows are written, from what the joins found.
#include "engine/history.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "engine/history_plan.h"
#include "source/writer.h"

// Rows that are produced at a time: as many as make up WRITE_VALUES, so that it pays to deal the
// columns out to threads.
enum { WRITE_VALUES = 1 << 19, WRITE_ROWS_LEAST = 2048, WRITE_ROWS_MOST = 1 << 16 };

typedef struct {
  HistoryPlan plan;
  Snapshots snapshots;
  FunctionPool functions;
  Functions *on_demand;  // taken from there; NULL without on-demand views
  BadRows *bad;          // NULL: a bad value is an error
  Spines spines;
  size_t group_most;  // joins that may share a pass
  size_t text_bytes;  // per row, that earlier parts took beside what was reckoned with
  uint64_t parts;
  size_t written;              // rows of the part
  Arena chunks[PARALLEL_MAX];  // one chunk of output, per thread
} History;

// --- Memory ---

// Joins that share a pass with join `first`, itself included; those that are taken are passed over.
static size_t take_group(const History *history, size_t first, bool *taken, ViewJoin **group)
{
  ViewJoin *joins = history->plan.joins;
  size_t count = 0;
  for (size_t i = first; i < history->plan.join_count && count < history->group_most; i++) {
    if (!taken[i] && view_join_can_share(&joins[first], &joins[i])) {
      taken[i] = true;
      group[count++] = &joins[i];
    }
  }
  return count;
}

// Bytes of the largest group while it is matched, per spine row.
static size_t match_bytes(const History *history)
{
  unsigned threads = parallel_threads(engine_threads(history->plan.engine));
  bool *taken = mem_zalloc(history->plan.join_count, sizeof(*taken));
  size_t most = 0;
  for (size_t i = 0; i < history->plan.join_count; i++) {
    ViewJoin *group[JOIN_GROUP_MAX];
    size_t count = taken[i] ? 0 : take_group(history, i, taken, group);
    size_t bytes = 0;
    for (size_t join = 0; join < count; join++) {
      bytes += view_join_match_bytes(group[join], threads);
    }
    most = bytes > most ? bytes : most;
  }
  free(taken);
  return most;
}

// Bytes of gathered features and what belongs to them, per spine row, when all joins are done.
static size_t kept_bytes(const History *history)
{
  size_t bytes = history->text_bytes;
  for (size_t i = 0; i < history->plan.join_count; i++) {
    bytes += view_join_kept_bytes(&history->plan.joins[i], history->plan.request->event_timestamps);
  }
  return bytes;
}

// A pass that several joins share needs the memory of all of them: not worth another part.
static void choose_group(History *history)
{
  uint64_t memory = engine_memory(history->plan.engine);
  history->group_most = history->bad ? 1 : JOIN_GROUP_MAX;
  uint64_t bytes = history->spines.total * (kept_bytes(history) + match_bytes(history));
  if (bytes > memory) {
    history->group_most = 1;
  }
}

// After the first part it is known how long texts and lists are.
static void learn_bytes(History *history)
{
  size_t rows = history->spines.rows;
  size_t bytes = 0;
  for (size_t i = 0; i < history->plan.join_count; i++) {
    bytes += view_join_gathered_bytes(&history->plan.joins[i]);
  }
  history->text_bytes = 0;
  size_t expected = kept_bytes(history);
  size_t each = rows ? bytes / rows : 0;
  history->text_bytes = each > expected ? each - expected : 0;
}

// --- Joining ---

static JoinPart make_part(History *history)
{
  const HistoryRequest *request = history->plan.request;
  return (JoinPart){
      .engine = history->plan.engine,
      .snapshots = &history->snapshots,
      .functions = &history->functions,
      .bad = history->bad,
      .first = history->parts == 1,
      .rows = history->spines.rows,
      .as_of_created = request->as_of_created == TIME_NULL ? TIME_MAX : request->as_of_created,
      .need_statuses = request->statuses,
      .need_times = request->event_timestamps,
  };
}

static bool join_views(History *history, Error *err)
{
  JoinPart part = make_part(history);
  bool *taken = mem_zalloc(history->plan.join_count, sizeof(*taken));
  bool ok = true;
  for (size_t i = 0; ok && i < history->plan.join_count; i++) {
    ViewJoin *group[JOIN_GROUP_MAX];
    size_t count = taken[i] ? 0 : take_group(history, i, taken, group);
    ok = !count || view_join_match(group, count, &part, err);
    for (size_t join = 0; ok && join < count; join++) {
      ok = view_join_gather(group[join], &part, err);
    }
  }
  free(taken);
  return ok;
}

// Moves to the next part of the spine; it has no rows at the end.
static bool next_part(History *history, Error *err)
{
  for (size_t i = 0; i < history->plan.join_count; i++) {
    view_join_reset(&history->plan.joins[i]);
  }
  uint64_t memory = engine_memory(history->plan.engine);
  size_t each = kept_bytes(history) + match_bytes(history);
  history->written = 0;
  if (!spines_next(&history->spines, memory, each, err)) {
    return false;
  }
  if (!history->spines.rows && history->parts) {
    return true;
  }
  history->parts++;
  if (!join_views(history, err)) {
    return false;
  }
  learn_bytes(history);
  return true;
}

// --- Writing ---

// Status of a value: the row's, and what there is to say of the value itself where the row is
// there. `join` is NULL for what an on-demand view makes of every row.
static Column status_column(const ViewJoin *join, const Column *values, size_t first, size_t count,
                            Arena *chunk)
{
  Slice *texts = arena_alloc(chunk, count * sizeof(*texts));
  for (size_t i = 0; i < count; i++) {
    ValueStatus status = join ? join->matches.statuses[first + i] : STATUS_PRESENT;
    if (status == STATUS_PRESENT && !column_has(values, i)) {
      status = column_failed(values, i) ? STATUS_ERROR : STATUS_NULL_VALUE;
    }
    texts[i] = slice_text(status_name(status));
  }
  return (Column){.type = {.kind = TYPE_STRING}, .slices = texts};
}

static Column event_time_column(const ViewJoin *join, size_t first, size_t count, Arena *chunk)
{
  uint64_t *valid = arena_zalloc(chunk, column_valid_words(count), sizeof(*valid));
  const Time *times = join->matches.event_times + first;
  for (size_t i = 0; i < count; i++) {
    column_set_valid(valid, i, times[i] != TIME_NULL);
  }
  return (Column){.type = {.kind = TYPE_TIMESTAMP}, .valid = valid, .int64s = times};
}

// What a join found for rows [first, first + count) of the part.
static Column joined_column(const History *history, const Origin *origin, size_t first,
                            size_t count, Arena *chunk)
{
  const ViewJoin *join = &history->plan.joins[origin->join];
  Column all = gather_column(join->values[origin->feature]);
  return column_pick(&all, join->places + first, count, chunk);
}

// The column from row `first` on, which begins a word of bits.
static Column column_from(Column column, size_t first)
{
  assert(first % 64 == 0);
  column.valid = column.valid ? column.valid + first / 64 : NULL;
  column.errors = column.errors ? column.errors + first / 64 : NULL;
  if (first) {
    column.data = (const char *)column.data + first * type_width(column.type);
  }
  return column;
}

// Computes the on-demand views for rows [first, first + count) of the part.
static bool compute(History *history, size_t first, size_t count, Arena *chunk, Error *err)
{
  HistoryPlan *plan = &history->plan;
  OnDemandPlan *on_demand = &plan->on_demand;
  if (!on_demand->step_count) {
    return true;
  }
  for (size_t i = 0; i < on_demand->stored.count; i++) {
    on_demand->columns[i] = joined_column(history, &plan->inputs[i], first, count, chunk);
  }
  for (size_t i = 0; i < on_demand->request_count; i++) {
    on_demand->columns[on_demand_request_column(on_demand, i)] =
        column_from(builder_column(history->spines.values[i]), first);
  }
  uint64_t number = history->spines.before + first + 1;
  return on_demand_run(on_demand, count, number, "the spine", err)
         || error_at(err, "%s", plan->request->spine);
}

// Rows [first, first + count) of the part on their way out.
typedef struct {
  History *history;
  size_t first;
  size_t count;
  unsigned threads;
  Column *columns;
} Filling;

// Every thread fills the columns of some features, with their statuses.
static bool fill_features(void *context, unsigned thread, Error *err)
{
  (void)err;
  const Filling *filling = context;
  const HistoryPlan *plan = &filling->history->plan;
  Arena *chunk = &filling->history->chunks[thread];
  bool statuses = plan->request->statuses;
  for (size_t i = thread; i < plan->references.count; i += filling->threads) {
    const Origin *origin = &plan->origins[i];
    const ViewJoin *join = origin->join == ORIGIN_NONE ? NULL : &plan->joins[origin->join];
    Column *column = &filling->columns[statuses ? 2 * i : i];
    column[0] = origin->computed == ORIGIN_NONE
                    ? joined_column(filling->history, origin, filling->first, filling->count, chunk)
                    : plan->on_demand.columns[origin->computed];
    if (statuses) {
      column[1] = status_column(join, &column[0], filling->first, filling->count, chunk);
    }
  }
  return true;
}

// NULL after a failure, which only functions have.
static Column *fill_columns(History *history, size_t first, size_t count, Error *err)
{
  const HistoryPlan *plan = &history->plan;
  unsigned threads = parallel_threads(engine_threads(plan->engine));
  for (unsigned i = 0; i < threads; i++) {
    arena_reset(&history->chunks[i]);
  }
  Arena *chunk = &history->chunks[0];
  if (!compute(history, first, count, chunk, err)) {
    return NULL;
  }
  Column *columns = arena_zalloc(chunk, plan->column_count, sizeof(*columns));
  size_t features = plan->references.count;
  bool few = count * features < WRITE_VALUES / 8;
  Filling filling = {history, first, count, few ? 1 : threads, columns};
  parallel_run(filling.threads, fill_features, &filling, NULL);
  Column *times = columns + (plan->request->statuses ? 2 * features : features);
  for (size_t i = 0; plan->request->event_timestamps && i < plan->shown_joins; i++) {
    times[i] = event_time_column(&plan->joins[i], first, count, chunk);
  }
  return columns;
}

// Rows of a batch, whole words of bits; the last one of a part may have fewer. Functions run best
// on what stays in the processor's cache.
static size_t batch_rows(const History *history)
{
  size_t rows = WRITE_VALUES / (history->plan.column_count + 1) / 64 * 64;
  rows = rows > WRITE_ROWS_MOST ? WRITE_ROWS_MOST : rows;
  bool least = rows < WRITE_ROWS_LEAST || history->plan.on_demand.step_count;
  return least ? WRITE_ROWS_LEAST : rows;
}

static bool produce(void *context, Batch *batch, Error *err)
{
  History *history = context;
  const HistoryPlan *plan = &history->plan;
  *batch = (Batch){0};
  if (history->written == history->spines.rows && !next_part(history, err)) {
    return false;
  }
  Spines *spines = &history->spines;
  if (!spines->rows) {
    return true;  // the end
  }
  size_t first = history->written;
  size_t count = batch_rows(history);
  count = spines->rows - first < count ? spines->rows - first : count;
  Progress progress = {"writing the training set", spines->before + first, spines->total};
  if (!engine_progress(plan->engine, &progress, err)) {
    return false;
  }
  Column *columns = fill_columns(history, first, count, err);
  if (!columns) {
    return false;
  }
  *batch = (Batch){count, plan->column_count, columns, spines->before + first};
  history->written += count;
  return true;
}

// The columns that the writer does not find in the spine: those of the plan, behind the spine's own
// where its file does not have them. Such a spine has no rows.
static Producer make_producer(History *history)
{
  const HistoryPlan *plan = &history->plan;
  size_t assumed = plan->assumed ? plan->spine_column_count : 0;
  const char **names = arena_zalloc(plan->arena, assumed + plan->column_count, sizeof(*names));
  Type *types = arena_zalloc(plan->arena, assumed + plan->column_count, sizeof(*types));
  for (size_t i = 0; i < assumed; i++) {
    names[i] = plan->spine_columns[i].name;
    types[i] = plan->spine_columns[i].type;
  }
  memcpy(names + assumed, plan->names, plan->column_count * sizeof(*names));
  memcpy(types + assumed, plan->types, plan->column_count * sizeof(*types));
  return (Producer){
      .next = produce,
      .context = history,
      .names = names,
      .types = types,
      .count = assumed + plan->column_count,
  };
}

static bool write_output(History *history, uint64_t *rows, Error *err)
{
  const HistoryPlan *plan = &history->plan;
  const HistoryRequest *request = plan->request;
  Table spine = {.path = request->spine};
  Passthrough passthrough = {plan->time_column, request->time_unit};
  Producer producer = make_producer(history);
  Duck *duck = engine_duck(plan->engine, err);
  return duck && write_file(duck, request->output, &spine, &passthrough, &producer, rows, err);
}

// --- The use case ---

static void fill_view(const ViewJoin *join, bool statuses, HistoryView *view, Arena *arena)
{
  const char *name = join->view->declared.name;
  *view = (HistoryView){
      .view = *join->role ? arena_print(arena, "%s (%s)", join->role, name)
                          : arena_text(arena, slice_text(name)),
      .read = join->read,
      .present = join->statuses[STATUS_PRESENT],
      .missing = join->statuses[STATUS_NOT_FOUND],
      .expired = join->statuses[STATUS_OUTSIDE_MAX_AGE],
      .deleted = join->statuses[STATUS_DELETED],
      .rejected = join->bad,
      .failed = join->failed,
  };
  if (!statuses) {
    // Rows too old for every spine row were not looked at: the two cannot be told apart.
    view->missing += view->expired;
    view->expired = 0;
  }
}

static void fill_result(const History *history, HistoryResult *result, Arena *arena)
{
  const HistoryPlan *plan = &history->plan;
  result->columns = plan->spine_column_count + plan->column_count;
  result->parts = history->parts;
  result->memory_limit = engine_memory_limit(plan->engine);
  result->view_count = plan->join_count;
  result->views = arena_zalloc(arena, plan->join_count, sizeof(*result->views));
  for (size_t i = 0; i < plan->join_count; i++) {
    fill_view(&plan->joins[i], plan->request->statuses, &result->views[i], arena);
  }
  result->on_demand_count = plan->on_demand.step_count;
  result->on_demands = arena_zalloc(arena, result->on_demand_count, sizeof(*result->on_demands));
  for (size_t i = 0; i < result->on_demand_count; i++) {
    const OnDemandStep *step = &plan->on_demand.steps[i];
    const char *name = arena_text(arena, slice_text(step->view->declared.name));
    result->on_demands[i] = (HistoryOnDemand){name, step->failed};
  }
}

// Compiled before anything is read: a mistake should not cost a pass over the sources.
static bool open_on_demand(History *history, Error *err)
{
  OnDemandPlan *plan = &history->plan.on_demand;
  if (!plan->step_count) {
    return true;
  }
  history->on_demand = function_pool_take(&history->functions, err);
  return history->on_demand && on_demand_open(plan, history->on_demand, err);
}

// What is written may be nothing that is read.
static bool check_written(const History *history, const char *path, Error *err)
{
  const HistoryPlan *plan = &history->plan;
  Duck *duck = engine_duck(plan->engine, err);
  Table spine = {.path = plan->request->spine};
  bool ok = duck && (!path || table_refuse_over(duck, &spine, path, err));
  for (size_t i = 0; ok && path && i < plan->join_count; i++) {
    Table source = {.path = engine_source_path(plan->engine, plan->joins[i].view->source)};
    ok = table_refuse_over(duck, &source, path, err);
  }
  return ok;
}

static bool run(History *history, HistoryResult *result, Error *err)
{
  const HistoryPlan *plan = &history->plan;
  const HistoryRequest *request = plan->request;
  if (!check_written(history, request->output, err)
      || !check_written(history, request->rejects, err)) {
    return false;
  }
  if (request->rejects && strcmp(request->rejects, request->output) == 0) {
    return error_set(
        err, ERR_INVALID,
        "cannot write \"%s\": it is the training set, rejects need a file of their own",
        request->rejects);
  }
  if (request->reject) {
    history->bad = bad_rows_open(plan->engine, request->rejects, err);
    if (!history->bad) {
      return false;
    }
  }
  SpineFile file = {
      .path = request->spine,
      .time_column = plan->time_column,
      .time_unit = request->time_unit,
      .values = plan->on_demand.request,
      .value_count = plan->on_demand.request_count,
  };
  if (!spines_open(&history->spines, plan->engine, &file, plan->keys, plan->key_count, err)) {
    return false;
  }
  choose_group(history);
  // The first part is joined before a file is begun: most mistakes show here.
  return open_on_demand(history, err) && next_part(history, err)
         && write_output(history, &result->rows, err)
         && (!history->bad || bad_rows_finish(history->bad, err));
}

bool engine_get_historical_features(Engine *engine, const HistoryRequest *request,
                                    HistoryResult *result, Arena *arena, Error *err)
{
  *result = (HistoryResult){0};
  Arena job = {0};
  History *history = mem_zalloc(1, sizeof(*history));
  bool ok = history_plan_make(&history->plan, engine, request, &job, err);
  function_pool_init(&history->functions, history->plan.catalog, engine_functions(engine));
  ok = ok && run(history, result, err);
  if (ok) {
    fill_result(history, result, arena);
  }
  spines_close(&history->spines);
  function_pool_give(&history->functions, history->on_demand);
  function_pool_deinit(&history->functions);
  history_plan_deinit(&history->plan);
  bad_rows_close(history->bad);
  snapshots_deinit(&history->snapshots);
  for (unsigned i = 0; i < PARALLEL_MAX; i++) {
    arena_deinit(&history->chunks[i]);
  }
  arena_deinit(&job);
  free(history);
  return ok;
}
