#include "join/latest.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"

enum { BLOCK = 256, LEAST_ROOM = 1024 };

// Times in their order-preserving unsigned form, where TIME_NULL is 0: zeros are "no row yet".
typedef struct {
  uint64_t event;
  uint64_t created;
  uint64_t arrival;  // arrival << 1 | deleted
} Slot;

struct Latest {
  LatestRule rule;
  LatestCounts counts;
  Slot *slots;  // by key number
  size_t room;
  size_t count;  // one more than the greatest key that took part
};

// A block of rows as latest_add was given it.
typedef struct {
  size_t count;
  const uint32_t *keys;
  const Time *event_times;
  const Time *created_times;  // or NULL
  const uint8_t *deleted;     // or NULL
  uint64_t first_arrival;
} Block;

Latest *latest_new(LatestRule rule)
{
  Latest *latest = mem_zalloc(1, sizeof(*latest));
  latest->rule = rule;
  latest->counts.created_to = TIME_NULL;
  return latest;
}

void latest_free(Latest *latest)
{
  if (latest) {
    free(latest->slots);
    free(latest);
  }
}

static void reserve(Latest *latest, size_t count)
{
  if (count > latest->room) {
    size_t room = latest->room ? latest->room : LEAST_ROOM;
    while (room < count) {
      room *= 2;
    }
    latest->slots = mem_realloc(latest->slots, room, sizeof(Slot));
    memset(latest->slots + latest->room, 0, (room - latest->room) * sizeof(Slot));
    latest->room = room;
  }
  latest->count = count > latest->count ? count : latest->count;
}

static Time created_of(const Block *block, size_t row)
{
  return block->created_times ? block->created_times[row] : TIME_NULL;
}

// When a row begins to count; TIME_NULL: never.
static Time place_of(const LatestRule *rule, Time event, Time created)
{
  if (!rule->known_matters || event == TIME_NULL) {
    return event;
  }
  Time known = created != TIME_NULL ? created : clock_add_bounded(event, rule->delay);
  return known > event ? known - rule->strict : event;
}

// Counts a row and says whether it takes part. A row below the interval does when it has a created
// time and that is not before the newest that is known already: rows of one created time may arrive
// one after the other, and where that is only a date they do.
static bool takes_part(const LatestRule *rule, LatestCounts *counts, uint32_t key, Time event,
                       Time created)
{
  counts->read++;
  Time place = place_of(rule, event, created);
  if (place != TIME_NULL && place < rule->end && created > counts->created_to) {
    counts->created_to = created;
  }
  if (key == KEY_NONE || event == TIME_NULL) {
    counts->null_key += key == KEY_NONE;
    counts->null_time += key != KEY_NONE;
    return false;
  }
  bool late = place < rule->start && created != TIME_NULL && created >= rule->created_from
              && rule->created_from != TIME_MAX;
  bool inside = place < rule->end && (place >= rule->start || late);
  counts->inside += inside;
  counts->late += inside && late;
  return inside;
}

static void offer(Slot *slot, Slot row)
{
  bool greater = row.event > slot->event;
  if (row.event == slot->event) {
    greater =
        row.created != slot->created ? row.created > slot->created : row.arrival > slot->arrival;
  }
  if (greater) {
    *slot = row;
  }
}

static void offer_row(Latest *latest, const Block *block, size_t row)
{
  uint64_t deleted = block->deleted && block->deleted[row];
  offer(&latest->slots[block->keys[row]],
        (Slot){
            .event = bytes_order_i64(block->event_times[row]),
            .created = bytes_order_i64(created_of(block, row)),
            .arrival = (block->first_arrival + row) << 1 | deleted,
        });
}

// First which rows take part, with their slots prefetched, then the slots.
static void add_rows(Latest *latest, const Block *block, size_t from, size_t count)
{
  uint32_t rows[BLOCK];
  size_t kept = 0;
  for (size_t row = from; row < from + count; row++) {
    uint32_t key = block->keys[row];
    if (takes_part(&latest->rule, &latest->counts, key, block->event_times[row],
                   created_of(block, row))) {
      reserve(latest, (size_t)key + 1);
      __builtin_prefetch(&latest->slots[key], 1);
      rows[kept++] = (uint32_t)(row - from);
    }
  }
  for (size_t i = 0; i < kept; i++) {
    offer_row(latest, block, from + rows[i]);
  }
}

void latest_add(Latest *latest, size_t count, const uint32_t *keys, const Time *event_times,
                const Time *created_times, const uint8_t *deleted, uint64_t first_arrival)
{
  assert(first_arrival + count <= UINT64_C(1) << 63);
  Block block = {count, keys, event_times, created_times, deleted, first_arrival};
  for (size_t from = 0; from < count; from += BLOCK) {
    add_rows(latest, &block, from, count - from < BLOCK ? count - from : BLOCK);
  }
}

size_t latest_count(const Latest *latest)
{
  return latest->count;
}

bool latest_get(const Latest *latest, uint32_t key, LatestRow *row)
{
  if (key >= latest->count || !latest->slots[key].event) {
    return false;
  }
  Slot slot = latest->slots[key];
  *row = (LatestRow){
      .event_time = bytes_unorder_i64(slot.event),
      .created_time = bytes_unorder_i64(slot.created),
      .arrival = slot.arrival >> 1,
      .deleted = slot.arrival & 1,
  };
  return true;
}

LatestCounts latest_counts(const Latest *latest)
{
  return latest->counts;
}
