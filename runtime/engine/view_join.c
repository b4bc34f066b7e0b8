#include "engine/view_join.h"

#include <stdlib.h>

#include "base/mem.h"

static AsofRule rule_of(const View *view, Time as_of_created)
{
  return (AsofRule){
      .ttl = view->ttl,
      .delay = view->delay,
      .strict = view->strict,
      .known_matters = view->as_known || view->delay > 0,
      .as_of_created = as_of_created,
  };
}

static bool stream_ranks(ViewJoin *join, Scan *scan, AsofSlots *slots, Error *err)
{
  uint32_t *numbers = NULL;
  size_t capacity = 0;
  ScanBlock block;
  bool ok;
  while ((ok = scan_next(scan, "joining", &block, err)) && block.count) {
    if (block.count > capacity) {
      capacity = block.count;
      numbers = mem_realloc(numbers, capacity, sizeof(*numbers));
    }
    key_set_find(join->keys->keys, block.keys, block.count, numbers);
    AsofBlock rows = {
        .count = block.count,
        .keys = numbers,
        .event_times = block.event_times,
        .created_times = block.created_times,
        .deleted = block.deleted,
        .first_arrival = block.first_row,
    };
    asof_add(slots, &rows);
    join->read += block.count;
  }
  free(numbers);
  return ok;
}

bool view_join_match(ViewJoin *join, Engine *engine, Time as_of_created, size_t rows, Error *err)
{
  Scan *scan = scan_open(engine, join->view, SCAN_RANKS, NULL, 0, err);
  if (!scan) {
    return false;
  }
  AsofSlots *slots = asof_new(&join->keys->index, rule_of(join->view, as_of_created));
  bool ok = stream_ranks(join, scan, slots, err);
  scan_close(scan);
  if (ok) {
    join->matches = (AsofMatches){
        .arrivals = mem_zalloc(rows, sizeof(uint64_t)),
        .event_times = mem_zalloc(rows, sizeof(Time)),
        .statuses = mem_zalloc(rows, sizeof(uint8_t)),
    };
    asof_finish(slots, &join->matches);
  }
  asof_free(slots);
  return ok;
}

static bool stream_features(ViewJoin *join, Scan *scan, Error *err)
{
  uint32_t *picked = NULL;
  size_t capacity = 0;
  uint64_t found = 0;
  ScanBlock block;
  bool ok = true;
  // Nothing after the last winner is of interest.
  while (ok && found < join->winners.count) {
    ok = scan_next(scan, "reading features", &block, err);
    if (!ok || !block.count) {
      break;
    }
    if (block.count > capacity) {
      capacity = block.count;
      picked = mem_realloc(picked, capacity, sizeof(*picked));
    }
    size_t count = winners_pick(&join->winners, block.first_row, block.count, picked);
    for (size_t i = 0; count && i < join->feature_count; i++) {
      builder_gather(join->values[i], &block.features[i], picked, count);
    }
    found += count;
  }
  free(picked);
  if (ok && found != join->winners.count) {
    ok = error_set(err, ERR_IO, "source \"%s\" changed while it was read: run it again",
                   join->view->source->declared.name);
  }
  return ok;
}

bool view_join_gather(ViewJoin *join, Engine *engine, size_t rows, Error *err)
{
  winners_init(&join->winners, join->read);
  winners_mark(&join->winners, join->matches.arrivals, rows);
  winners_seal(&join->winners);
  join->values = mem_zalloc(join->feature_count, sizeof(*join->values));
  for (size_t i = 0; i < join->feature_count; i++) {
    join->values[i] = builder_new(join->features[i]->type);
  }
  if (!join->winners.count) {
    return true;
  }
  Scan *scan =
      scan_open(engine, join->view, SCAN_FEATURES, join->features, join->feature_count, err);
  bool ok = scan && stream_features(join, scan, err);
  scan_close(scan);
  return ok;
}

void view_join_deinit(ViewJoin *join)
{
  for (size_t i = 0; join->values && i < join->feature_count; i++) {
    builder_free(join->values[i]);
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
