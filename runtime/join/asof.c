#include "join/asof.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "join/pages.h"

enum { BLOCK = PLACES_BLOCK };

// The greatest row of a place. Times are in their order-preserving unsigned form (base/bytes.h), in
// which TIME_NULL is 0: memory of zeros is a set of empty slots.
typedef struct {
  uint64_t event;    // 0: no row
  uint64_t arrival;  // arrival << 1 | deleted
} Slot;

_Static_assert(sizeof(Slot) == 16, "four slots per cache line");

struct AsofSlots {
  const Spine *spine;
  size_t count;  // places of the spine
  AsofRule rule;
  Time first_event;  // rows with event times outside [first_event, last_event] are skipped
  Time last_event;
  Time newest;  // the greatest spine time
  Slot *slots;  // one per place of the spine
  uint64_t
      *created;  // the same, apart because many sources have no such column: NULL until one has
};

// A row on its way to its slot.
typedef struct {
  uint64_t event;
  uint64_t created;
  uint64_t arrival;  // with the deleted bit
} Rank;

// The rows of a block that can win something.
typedef struct {
  size_t count;
  uint32_t rows[BLOCK];  // positions in the block
  uint32_t keys[BLOCK];
  Time visible[BLOCK];     // first spine time that sees the row
  uint32_t places[BLOCK];  // where that time stands; PLACE_NONE when the group has none
} Candidates;

void asof_bounds(const Spine *spine, AsofRule rule, Time *oldest, Time *newest)
{
  *oldest = spine->places.oldest;
  *newest = spine->places.newest;
  if (rule.ttl == 0) {
    *oldest = *newest == TIME_NULL ? TIME_MAX : TIME_MIN;
  } else if (*newest != TIME_NULL) {
    *oldest = clock_sub_bounded(*oldest, rule.ttl);
  }
}

AsofSlots *asof_new(const Spine *spine, AsofRule rule)
{
  assert(rule.ttl >= 0 && rule.delay >= 0);
  AsofSlots *slots = mem_zalloc(1, sizeof(*slots));
  slots->spine = spine;
  slots->count = spine_places(spine);
  slots->rule = rule;
  slots->rule.delay = rule.known_matters ? rule.delay : 0;
  slots->slots = pages_zalloc(slots->count, sizeof(Slot));

  Time oldest;
  asof_bounds(spine, rule, &oldest, &slots->newest);
  slots->first_event = rule.drop_expired ? oldest : TIME_MIN;
  // Without spine rows newest is TIME_NULL, and nothing lies between the bounds.
  slots->last_event = rule.strict && slots->newest != TIME_NULL ? slots->newest - 1 : slots->newest;
  return slots;
}

void asof_free(AsofSlots *slots)
{
  if (slots) {
    pages_free(slots->slots, slots->count, sizeof(Slot));
    pages_free(slots->created, slots->count, sizeof(*slots->created));
    free(slots);
  }
}

size_t asof_bytes(const AsofSlots *slots)
{
  size_t per_place = sizeof(Slot) + (slots->created ? sizeof(*slots->created) : 0);
  return sizeof(*slots) + slots->count * per_place;
}

// Rows that any spine row can see, where only event times count. Written without branches: which
// rows stay is as good as random.
static void select_by_event(const AsofSlots *slots, const AsofBlock *block, size_t from,
                            size_t count, Candidates *out)
{
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    Time event = block->event_times[from + i];
    uint32_t key = block->keys[from + i];
    out->rows[kept] = (uint32_t)i;
    out->keys[kept] = key;
    out->visible[kept] = (Time)((uint64_t)event + slots->rule.strict);  // exact where it is kept
    kept += (event >= slots->first_event) & (event <= slots->last_event) & (key != KEY_NONE);
  }
  out->count = kept;
}

// The same where it counts when a row became known.
static void select_by_known(const AsofSlots *slots, const AsofBlock *block, size_t from,
                            size_t count, Candidates *out)
{
  AsofRule rule = slots->rule;
  size_t kept = 0;
  for (size_t i = 0; i < count; i++) {
    Time event = block->event_times[from + i];
    uint32_t key = block->keys[from + i];
    if (event < slots->first_event || event > slots->last_event || key == KEY_NONE) {
      continue;
    }
    Time created = block->created_times ? block->created_times[from + i] : TIME_NULL;
    bool always_known = created == TIME_NULL && rule.delay == 0;
    Time known = created == TIME_NULL ? clock_add_bounded(event, rule.delay) : created;
    Time visible = rule.strict ? event + 1 : event;  // event < newest: no overflow
    if (rule.known_matters && known > visible) {
      visible = known;
    }
    out->rows[kept] = (uint32_t)i;
    out->keys[kept] = key;
    out->visible[kept] = visible;
    kept += visible <= slots->newest && (always_known || known <= rule.as_of_created);
  }
  out->count = kept;
}

// Leaves the candidates that a spine row sees, with their slots prefetched.
static void find_places(const AsofSlots *slots, Candidates *candidates)
{
  places_find(&slots->spine->places, candidates->count, candidates->keys, candidates->visible,
              candidates->places);
  size_t kept = 0;
  for (size_t i = 0; i < candidates->count; i++) {
    uint32_t place = candidates->places[i];
    if (place == PLACE_NONE) {
      continue;
    }
    __builtin_prefetch(&slots->slots[place], 1);
    if (slots->created) {
      __builtin_prefetch(&slots->created[place], 1);
    }
    candidates->rows[kept] = candidates->rows[i];
    candidates->places[kept++] = place;
  }
  candidates->count = kept;
}

static uint64_t created_at(const AsofSlots *slots, size_t place)
{
  return slots->created ? slots->created[place] : 0;
}

// Rule 3's order. The arrival decides last; no two rows share one.
static bool wins(Rank rank, const AsofSlots *slots, size_t place)
{
  const Slot *slot = &slots->slots[place];
  if (rank.event != slot->event) {
    return rank.event > slot->event;
  }
  uint64_t created = created_at(slots, place);
  return rank.created != created ? rank.created > created : rank.arrival > slot->arrival;
}

static void offer(AsofSlots *slots, size_t place, Rank rank)
{
  if (wins(rank, slots, place)) {
    slots->slots[place] = (Slot){rank.event, rank.arrival};
    if (slots->created) {
      slots->created[place] = rank.created;
    }
  }
}

static void offer_all(AsofSlots *slots, const AsofBlock *block, size_t from,
                      const Candidates *candidates)
{
  for (size_t i = 0; i < candidates->count; i++) {
    size_t row = from + candidates->rows[i];
    uint64_t deleted = block->deleted && block->deleted[row];
    Rank rank = {
        .event = bytes_order_i64(block->event_times[row]),
        .created = block->created_times ? bytes_order_i64(block->created_times[row]) : 0,
        .arrival = (block->first_arrival + row) << 1 | deleted,
    };
    offer(slots, candidates->places[i], rank);
  }
}

static void need_created(AsofSlots *slots)
{
  if (!slots->created) {
    slots->created = pages_zalloc(slots->count, sizeof(*slots->created));
  }
}

void asof_add(AsofSlots *slots, const AsofBlock *block)
{
  assert(block->first_arrival + block->count <= UINT64_C(1) << 63);
  AsofRule rule = slots->rule;
  bool known = block->created_times || rule.delay > 0;
  known = known && (rule.known_matters || rule.as_of_created != TIME_MAX);
  if (block->created_times) {
    need_created(slots);
  }

  Candidates candidates = {.count = 0};
  for (size_t from = 0; from < block->count; from += BLOCK) {
    size_t count = block->count - from < BLOCK ? block->count - from : BLOCK;
    if (known) {
      select_by_known(slots, block, from, count, &candidates);
    } else {
      select_by_event(slots, block, from, count, &candidates);
    }
    find_places(slots, &candidates);
    offer_all(slots, block, from, &candidates);
  }
}

void asof_merge(AsofSlots *into, const AsofSlots *from)
{
  assert(into->spine == from->spine);
  if (from->created) {
    need_created(into);
  }
  for (size_t place = 0; place < into->count; place++) {
    Slot slot = from->slots[place];
    if (slot.event) {
      offer(into, place, (Rank){slot.event, created_at(from, place), slot.arrival});
    }
  }
}

static void put_match(const AsofMatches *matches, AsofRule rule, size_t row, Time time, Slot winner)
{
  Time event = bytes_unorder_i64(winner.event);
  uint8_t status = STATUS_PRESENT;
  if (!winner.event) {
    status = STATUS_NOT_FOUND;
  } else if (rule.ttl && event < clock_sub_bounded(time, rule.ttl)) {
    status = STATUS_OUTSIDE_MAX_AGE;
  } else if (winner.arrival & 1) {
    status = STATUS_DELETED;
  }
  matches->arrivals[row] = status == STATUS_PRESENT ? winner.arrival >> 1 : ASOF_NONE;
  matches->event_times[row] = event;
  matches->statuses[row] = status;
}

// What became visible up to a place is what its own slot got, or what the place before it had.
static void finish_group(const AsofSlots *slots, size_t start, size_t end,
                         const AsofMatches *matches)
{
  const Spine *spine = slots->spine;
  Slot best = {0};
  uint64_t best_created = 0;
  for (size_t place = start; place < end; place++) {
    if (!wins((Rank){best.event, best_created, best.arrival}, slots, place)) {
      best = slots->slots[place];
      best_created = created_at(slots, place);
    }
    put_match(matches, slots->rule, spine->order[place], spine->times[place], best);
  }
}

void asof_finish(const AsofSlots *slots, AsofMatches *matches)
{
  const Spine *spine = slots->spine;
  for (size_t row = 0; row < spine->rows; row++) {  // rows that take no part keep this
    matches->arrivals[row] = ASOF_NONE;
    matches->event_times[row] = TIME_NULL;
  }
  memset(matches->statuses, STATUS_NOT_FOUND, spine->rows);
  for (size_t key = 0; key < spine->keys; key++) {
    finish_group(slots, spine->starts[key], spine->starts[key + 1], matches);
  }
}
