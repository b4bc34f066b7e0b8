#include "engine/view_join.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/pages.h"
#include "base/parallel.h"
#include "engine/view_functions.h"

// --- First pass: who wins ---

typedef struct {
  AsofSlots *slots[JOIN_GROUP_MAX];  // per join
  uint32_t *numbers;                 // key numbers of a block
  size_t capacity;
} MatchThread;

typedef struct {
  ViewJoin *const *joins;
  size_t count;
  unsigned thread_count;
  MatchThread threads[PARALLEL_MAX];
} Match;

static AsofRule rule_of(const View *view, const JoinPart *part)
{
  return (AsofRule){
      .ttl = view->ttl,
      .delay = view->delay,
      .strict = view->strict,
      .known_matters = view->as_known || view->delay > 0,
      .drop_expired = !part->need_statuses,
      .as_of_created = part->as_of_created,
  };
}

static bool match_block(void *context, unsigned thread, const ScanBlock *block, Error *err)
{
  (void)err;
  Match *match = context;
  MatchThread *own = &match->threads[thread];
  if (block->count > own->capacity) {
    own->capacity = block->count;
    own->numbers = mem_realloc(own->numbers, own->capacity, sizeof(*own->numbers));
  }
  AsofBlock rows = {
      .count = block->count,
      .keys = own->numbers,
      .event_times = block->event_times,
      .created_times = block->created_times,
      .deleted = block->deleted,
      .first_arrival = block->first_row,
  };
  const SpineKeys *keys = NULL;
  for (size_t i = 0; i < match->count; i++) {
    if (match->joins[i]->keys != keys) {
      keys = match->joins[i]->keys;
      key_set_find(keys->keys, block->keys, block->count, own->numbers);
    }
    asof_add(own->slots[i], &rows);
  }
  return true;
}

// The times that some join of the group can use. Rows above the newest spine time change nothing;
// rows below the oldest only change statuses.
static void set_times(ReaderFilter *filter, const Match *match, const JoinPart *part)
{
  filter->has_times = true;
  filter->oldest = TIME_MAX;
  filter->newest = TIME_MIN;
  for (size_t i = 0; i < match->count; i++) {
    Time oldest;
    Time newest;
    AsofRule rule = rule_of(match->joins[i]->view, part);
    asof_bounds(&match->joins[i]->keys->index, rule, &oldest, &newest);
    filter->oldest = oldest < filter->oldest ? oldest : filter->oldest;
    filter->newest = newest > filter->newest ? newest : filter->newest;
  }
  if (part->need_statuses) {
    filter->oldest = TIME_MIN;
  }
}

static ScanRequest match_request(Match *match, const JoinPart *part)
{
  const ViewJoin *first = match->joins[0];
  ScanRequest request = {
      .view = first->view,
      .functions = part->functions,
      .parts = SCAN_RANKS,
      .what = "joining",
      .threads = match->thread_count,
      .visit = match_block,
      .context = match,
  };
  if (part->bad) {
    // A row with a bad feature must not win, so features are looked at before anyone has won.
    request.parts |= SCAN_FEATURES;
    request.features = first->features;
    request.feature_count = first->feature_count;
    request.filter.bad = bad_rows_of(part->bad, first->view->source->declared.name, !part->first);
  } else {
    set_times(&request.filter, match, part);
  }
  return request;
}

// What one join found, on all threads together.
static void take_matches(const Match *match, size_t at, const JoinPart *part)
{
  ViewJoin *join = match->joins[at];
  AsofSlots *sets[PARALLEL_MAX];
  for (unsigned thread = 0; thread < match->thread_count; thread++) {
    sets[thread] = match->threads[thread].slots[at];
  }
  join->rows = part->rows;
  join->matches.arrivals = pages_zalloc(part->rows, sizeof(uint64_t));
  if (part->need_times) {
    join->matches.event_times = mem_zalloc(part->rows, sizeof(Time));
  }
  if (part->need_statuses) {
    join->matches.statuses = mem_zalloc(part->rows, sizeof(uint8_t));
  }
  asof_finish(sets, match->thread_count, match->thread_count, &join->matches);
  for (size_t status = 0; status <= STATUS_ERROR; status++) {
    join->statuses[status] += join->matches.counts[status];
  }
}

static void free_slots(Match *match, size_t at)
{
  for (unsigned thread = 0; thread < match->thread_count; thread++) {
    asof_free(match->threads[thread].slots[at]);
    match->threads[thread].slots[at] = NULL;
  }
}

static void finish_match(Match *match, const JoinPart *part, ScanCounts counts)
{
  for (size_t i = 0; i < match->count; i++) {
    take_matches(match, i, part);
    free_slots(match, i);
    match->joins[i]->read = counts.rows;
    match->joins[i]->bad = counts.bad;
  }
}

bool view_join_match(ViewJoin *const *joins, size_t count, const JoinPart *part, Error *err)
{
  Match *match = mem_zalloc(1, sizeof(*match));
  match->joins = joins;
  match->count = count;
  match->thread_count = parallel_threads(engine_threads(part->engine));
  for (unsigned thread = 0; thread < match->thread_count; thread++) {
    for (size_t i = 0; i < count; i++) {
      match->threads[thread].slots[i] =
          asof_new(&joins[i]->keys->index, rule_of(joins[i]->view, part));
    }
  }
  ScanRequest request = match_request(match, part);
  ScanCounts counts;
  bool ok =
      snapshots_table(part->snapshots, part->engine, joins[0]->view->source, &request.table, err)
      && scan_run(part->engine, &request, &counts, err);
  if (ok) {
    finish_match(match, part, counts);
  }
  for (size_t i = 0; i < count; i++) {
    free_slots(match, i);
  }
  for (unsigned thread = 0; thread < match->thread_count; thread++) {
    free(match->threads[thread].numbers);
  }
  free(match);
  return ok;
}

bool view_join_can_share(const ViewJoin *a, const ViewJoin *b)
{
  const View *left = a->view;
  const View *right = b->view;
  bool same = left->source == right->source && left->key_count == right->key_count
              && view_functions_same_filter(left, right);
  for (size_t i = 0; same && i < left->key_count; i++) {
    same = strcmp(left->keys[i].column, right->keys[i].column) == 0
           && type_equal(left->keys[i].type, right->keys[i].type);
  }
  return same;
}

// --- Second pass: their features ---

// Columns of a Parquet file that are read at once: each holds a page or two per thread in memory,
// and reading the others in a pass of their own costs little.
enum { COLUMN_BYTES = 5 << 19, READ_SHARE = 8, COLUMNS_LEAST = 4, COLUMNS_MOST = 64 };

typedef struct {
  ViewJoin *join;
  const Winners *winners;
  size_t first;  // of the features in this pass
  size_t count;
  atomic_uint_least64_t found;
} Collect;

// The rows of a block are consecutive winners, so their places are too.
static bool collect_block(void *context, unsigned thread, const ScanBlock *block, Error *err)
{
  (void)err;
  Collect *collect = context;
  Gather **values = collect->join->values + collect->first;
  uint32_t first = winners_rank(collect->winners, block->first_row);
  for (size_t i = 0; i < collect->count; i++) {
    gather_put(values[i], thread, first, &block->features[i], block->count);
  }
  atomic_fetch_add(&collect->found, block->count);
  return true;
}

static bool has_list(const Collect *collect)
{
  const Field **features = collect->join->features + collect->first;
  for (size_t i = 0; i < collect->count; i++) {
    if (features[i]->type.kind == TYPE_LIST) {
      return true;
    }
  }
  return false;
}

static bool collect_features(Collect *collect, const JoinPart *part, const Table *table,
                             unsigned threads, Error *err)
{
  const ViewJoin *join = collect->join;
  ScanRequest request = {
      .view = join->view,
      .functions = part->functions,
      .table = *table,
      .parts = SCAN_FEATURES,
      .features = join->features + collect->first,
      .feature_count = collect->count,
      .what = "reading features",
      .threads = has_list(collect) ? 1 : threads,
      .filter = {.wanted = collect->winners->bits, .wanted_rows = collect->winners->rows},
      .visit = collect_block,
      .context = collect,
  };
  if (part->bad) {  // losers may still have bad values
    request.filter.bad = bad_rows_of(part->bad, join->view->source->declared.name, true);
  }
  ScanCounts counts;
  if (!scan_run(part->engine, &request, &counts, err)) {
    return false;
  }
  return atomic_load(&collect->found) == collect->winners->count
         || error_set(err, ERR_IO, "source \"%s\" changed while it was read: run it again",
                      join->view->source->declared.name);
}

static bool is_parquet(const Table *table)
{
  size_t size = strlen(table->path);
  return size > 8 && strcmp(table->path + size - 8, ".parquet") == 0;
}

static size_t columns_at_once(const JoinPart *part, const Table *table, unsigned threads)
{
  if (!is_parquet(table)) {
    return SIZE_MAX;
  }
  uint64_t most = engine_memory(part->engine) / READ_SHARE / COLUMN_BYTES / threads;
  return most < COLUMNS_LEAST ? COLUMNS_LEAST : most > COLUMNS_MOST ? COLUMNS_MOST : (size_t)most;
}

static bool collect_all(ViewJoin *join, const Winners *winners, const JoinPart *part,
                        unsigned threads, Error *err)
{
  Table table;
  if (!snapshots_table(part->snapshots, part->engine, join->view->source, &table, err)) {
    return false;
  }
  // A transform makes all features of a row at once.
  size_t at_once = join->view->transform.at ? SIZE_MAX : columns_at_once(part, &table, threads);
  for (size_t first = 0; first < join->feature_count; first += at_once) {
    size_t left = join->feature_count - first;
    at_once = left < at_once ? left : at_once;
    Collect collect = {.join = join, .winners = winners, .first = first, .count = at_once};
    if (!collect_features(&collect, part, &table, threads, err)) {
      return false;
    }
  }
  return true;
}

static void free_arrivals(ViewJoin *join)
{
  pages_free(join->matches.arrivals, join->rows, sizeof(uint64_t));
  join->matches.arrivals = NULL;
}

typedef struct {
  const ViewJoin *join;
  const Winners *winners;
  unsigned threads;
} Placing;

static bool place_share(void *context, unsigned thread, Error *err)
{
  (void)err;
  const Placing *placing = context;
  const ViewJoin *join = placing->join;
  size_t end = join->rows * (thread + 1) / placing->threads;
  for (size_t row = join->rows * thread / placing->threads; row < end; row++) {
    uint64_t arrival = join->matches.arrivals[row];
    join->places[row] = arrival == ASOF_NONE ? UINT32_MAX : winners_rank(placing->winners, arrival);
  }
  return true;
}

// Turns the winners' positions in the source into places among the gathered values, which take half
// the room.
static void take_places(ViewJoin *join, const Winners *winners, unsigned threads)
{
  join->places = mem_alloc(join->rows * sizeof(*join->places) + 1);
  Placing placing = {join, winners, threads};
  parallel_run(threads, place_share, &placing, NULL);
  free_arrivals(join);
}

// A transform that fails for a row fails for all of its features.
static void count_failed(ViewJoin *join, const JoinPart *part)
{
  Column values = gather_column(join->values[0]);
  for (size_t row = 0; values.errors && row < part->rows; row++) {
    uint32_t place = join->places[row];
    join->failed += place != UINT32_MAX && column_failed(&values, place);
  }
}

bool view_join_gather(ViewJoin *join, const JoinPart *part, Error *err)
{
  unsigned threads = parallel_threads(engine_threads(part->engine));
  Winners winners;
  winners_init(&winners, join->read);
  winners_mark(&winners, join->matches.arrivals, part->rows);
  winners_seal(&winners);
  join->values = mem_zalloc(join->feature_count, sizeof(*join->values));
  for (size_t i = 0; i < join->feature_count; i++) {
    join->values[i] = gather_new(join->features[i]->type, winners.count, threads);
  }
  bool ok = !winners.count || collect_all(join, &winners, part, threads, err);
  for (size_t i = 0; ok && i < join->feature_count; i++) {
    gather_column(join->values[i]);  // made once, before several threads ask for it
  }
  if (ok) {
    take_places(join, &winners, threads);
    count_failed(join, part);
  }
  winners_deinit(&winners);
  return ok;
}

// --- Care ---

void view_join_reset(ViewJoin *join)
{
  for (size_t i = 0; join->values && i < join->feature_count; i++) {
    gather_free(join->values[i]);
  }
  free(join->values);
  free(join->places);
  free_arrivals(join);
  free(join->matches.event_times);
  free(join->matches.statuses);
  join->values = NULL;
  join->places = NULL;
  join->matches = (AsofMatches){0};
}

void view_join_deinit(ViewJoin *join)
{
  view_join_reset(join);
  free(join->features);
  *join = (ViewJoin){0};
}

// --- Memory ---

enum {
  MATCH_BYTES = 17,  // arrival, event time, status
  SLOT_BYTES = 26,   // event time, created time, arrival, floor
  TEXT_BYTES = 64,   // guessed: what a text takes beside its slice
  LIST_BYTES = 160,  // guessed
};

size_t view_join_match_bytes(const ViewJoin *join, unsigned threads)
{
  const Source *source = join->view->source;
  size_t slot = source->created_time ? SLOT_BYTES : SLOT_BYTES - sizeof(Time);
  return MATCH_BYTES + threads * slot;
}

static size_t value_bytes(Type type)
{
  switch (type.kind) {
  case TYPE_STRING:
  case TYPE_BYTES:
    return sizeof(Slice) + TEXT_BYTES + 1;
  case TYPE_LIST:
    return LIST_BYTES;
  default:
    return type_width(type) + 1;
  }
}

size_t view_join_kept_bytes(const ViewJoin *join, bool need_times)
{
  size_t bytes = sizeof(uint32_t) + 1 + (need_times ? sizeof(Time) : 0);
  for (size_t i = 0; i < join->feature_count; i++) {
    bytes += value_bytes(join->features[i]->type);
  }
  return bytes;
}

size_t view_join_gathered_bytes(const ViewJoin *join)
{
  size_t bytes = 0;
  for (size_t i = 0; join->values && i < join->feature_count; i++) {
    bytes += gather_bytes(join->values[i]);
  }
  return bytes;
}
