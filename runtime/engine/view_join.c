#include "engine/view_join.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/parallel.h"

// --- First pass: who wins ---

typedef struct {
  AsofSlots *slots;
  uint32_t *numbers;  // key numbers of a block
  size_t capacity;
} MatchThread;

typedef struct {
  const ViewJoin *join;
  MatchThread threads[PARALLEL_MAX];
} Match;

static AsofRule rule_of(const View *view, Time as_of_created, bool need_statuses)
{
  return (AsofRule){
      .ttl = view->ttl,
      .delay = view->delay,
      .strict = view->strict,
      .known_matters = view->as_known || view->delay > 0,
      .drop_expired = !need_statuses,
      .as_of_created = as_of_created,
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
  key_set_find(match->join->keys->keys, block->keys, block->count, own->numbers);
  AsofBlock rows = {
      .count = block->count,
      .keys = own->numbers,
      .event_times = block->event_times,
      .created_times = block->created_times,
      .deleted = block->deleted,
      .first_arrival = block->first_row,
  };
  asof_add(own->slots, &rows);
  return true;
}

static ScanRequest match_request(const ViewJoin *join, AsofRule rule, unsigned threads,
                                 Match *match)
{
  ScanRequest request = {
      .view = join->view,
      .parts = SCAN_RANKS,
      .what = "joining",
      .threads = threads,
      .visit = match_block,
      .context = match,
  };
  // Rows above the newest spine time change nothing; rows below the oldest only change statuses.
  request.filter.has_times = true;
  asof_bounds(&join->keys->index, rule, &request.filter.oldest, &request.filter.newest);
  if (!rule.drop_expired) {
    request.filter.oldest = TIME_MIN;
  }
  return request;
}

static void take_matches(ViewJoin *join, const AsofSlots *slots, size_t rows)
{
  join->matches = (AsofMatches){
      .arrivals = mem_zalloc(rows, sizeof(uint64_t)),
      .event_times = mem_zalloc(rows, sizeof(Time)),
      .statuses = mem_zalloc(rows, sizeof(uint8_t)),
  };
  asof_finish(slots, &join->matches);
}

bool view_join_match(ViewJoin *join, Engine *engine, Time as_of_created, size_t rows,
                     bool need_statuses, Error *err)
{
  AsofRule rule = rule_of(join->view, as_of_created, need_statuses);
  unsigned threads = parallel_threads(engine_threads(engine));
  Match match = {.join = join};
  for (unsigned i = 0; i < threads; i++) {
    match.threads[i].slots = asof_new(&join->keys->index, rule);
  }
  ScanRequest request = match_request(join, rule, threads, &match);
  bool ok = scan_run(engine, &request, &join->read, err);
  for (unsigned i = 1; ok && i < threads; i++) {
    asof_merge(match.threads[0].slots, match.threads[i].slots);
  }
  if (ok) {
    take_matches(join, match.threads[0].slots, rows);
  }
  for (unsigned i = 0; i < threads; i++) {
    asof_free(match.threads[i].slots);
    free(match.threads[i].numbers);
  }
  return ok;
}

// --- Second pass: their features ---

typedef struct {
  ViewJoin *join;
  atomic_uint_least64_t found;
} Collect;

// The rows of a block are consecutive winners, so their places are too.
static bool collect_block(void *context, unsigned thread, const ScanBlock *block, Error *err)
{
  (void)err;
  Collect *collect = context;
  ViewJoin *join = collect->join;
  uint32_t first = winners_rank(&join->winners, block->first_row);
  for (size_t i = 0; i < join->feature_count; i++) {
    gather_put(join->values[i], thread, first, &block->features[i], block->count);
  }
  atomic_fetch_add(&collect->found, block->count);
  return true;
}

static bool has_list(const ViewJoin *join)
{
  for (size_t i = 0; i < join->feature_count; i++) {
    if (join->features[i]->type.kind == TYPE_LIST) {
      return true;
    }
  }
  return false;
}

static bool collect_features(ViewJoin *join, Engine *engine, unsigned threads, Error *err)
{
  Collect collect = {.join = join};
  ScanRequest request = {
      .view = join->view,
      .parts = SCAN_FEATURES,
      .features = join->features,
      .feature_count = join->feature_count,
      .what = "reading features",
      .threads = threads,
      .filter = {.wanted = join->winners.bits, .wanted_rows = join->winners.rows},
      .visit = collect_block,
      .context = &collect,
  };
  uint64_t rows;
  if (!scan_run(engine, &request, &rows, err)) {
    return false;
  }
  return atomic_load(&collect.found) == join->winners.count
         || error_set(err, ERR_IO, "source \"%s\" changed while it was read: run it again",
                      join->view->source->declared.name);
}

bool view_join_gather(ViewJoin *join, Engine *engine, size_t rows, Error *err)
{
  unsigned threads = has_list(join) ? 1 : parallel_threads(engine_threads(engine));
  winners_init(&join->winners, join->read);
  winners_mark(&join->winners, join->matches.arrivals, rows);
  winners_seal(&join->winners);
  join->values = mem_zalloc(join->feature_count, sizeof(*join->values));
  for (size_t i = 0; i < join->feature_count; i++) {
    join->values[i] = gather_new(join->features[i]->type, join->winners.count, threads);
  }
  return !join->winners.count || collect_features(join, engine, threads, err);
}

void view_join_deinit(ViewJoin *join)
{
  for (size_t i = 0; join->values && i < join->feature_count; i++) {
    gather_free(join->values[i]);
  }
  free(join->values);
  free(join->features);
  winners_deinit(&join->winners);
  free(join->matches.arrivals);
  free(join->matches.event_times);
  free(join->matches.statuses);
  *join = (ViewJoin){0};
}

void view_join_places(const ViewJoin *join, size_t first, size_t count, uint32_t *places)
{
  for (size_t i = 0; i < count; i++) {
    uint64_t arrival = join->matches.arrivals[first + i];
    places[i] = arrival == ASOF_NONE ? UINT32_MAX : winners_rank(&join->winners, arrival);
  }
}
