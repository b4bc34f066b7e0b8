#include "join/asof.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/pages.h"

enum { BLOCK = PLACES_BLOCK };

// The greatest row of a place is kept in two words, or in three where the source has created times:
// they stand together, so that a row touches one line of the cache. Times are in their
// order-preserving unsigned form (base/bytes.h), in which TIME_NULL is 0: memory of zeros is a set
// of empty slots.
enum {
  EVENT,    // 0: no row
  ARRIVAL,  // arrival << 1 | deleted
  CREATED,
};

struct AsofSlots {
  const Spine *spine;
  size_t count;  // places of the spine
  AsofRule rule;
  Time first_event;  // rows with event times outside [first_event, last_event] are skipped
  Time last_event;
  Time newest;      // the greatest spine time
  uint64_t *words;  // of all places; NULL before the first block
  size_t width;     // words per place: 2 or 3
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

  Time oldest;
  asof_bounds(spine, rule, &oldest, &slots->newest);
  slots->first_event = rule.drop_expired ? oldest : TIME_MIN;
  // Without spine rows newest is TIME_NULL, and nothing lies between the bounds.
  slots->last_event = rule.strict && slots->newest != TIME_NULL ? slots->newest - 1 : slots->newest;
  return slots;
}

static size_t slot_bytes(const AsofSlots *slots)
{
  return slots->width * sizeof(*slots->words);
}

void asof_free(AsofSlots *slots)
{
  if (slots) {
    pages_free(slots->words, slots->count, slot_bytes(slots));
    free(slots);
  }
}

size_t asof_bytes(const AsofSlots *slots)
{
  return sizeof(*slots) + slots->count * slot_bytes(slots);
}

// Gives every slot at least `width` words. A source has created times or has none, so it is rare
// that slots have to be widened when there are rows in them.
static void need_width(AsofSlots *slots, size_t width)
{
  if (slots->width >= width) {
    return;
  }
  uint64_t *words = pages_zalloc(slots->count, width * sizeof(*words));
  for (size_t place = 0; slots->words && place < slots->count; place++) {
    memcpy(words + place * width, slots->words + place * slots->width, slot_bytes(slots));
  }
  pages_free(slots->words, slots->count, slot_bytes(slots));
  slots->words = words;
  slots->width = width;
}

static uint64_t *slot_at(const AsofSlots *slots, size_t place)
{
  return slots->words + place * slots->width;
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
    __builtin_prefetch(slot_at(slots, place), 1);
    candidates->rows[kept] = candidates->rows[i];
    candidates->places[kept++] = place;
  }
  candidates->count = kept;
}

static Rank rank_at(const AsofSlots *slots, size_t place)
{
  const uint64_t *slot = slot_at(slots, place);
  return (Rank){slot[EVENT], slots->width > CREATED ? slot[CREATED] : 0, slot[ARRIVAL]};
}

// Rule 3's order. The arrival decides last; no two rows share one.
static bool wins(Rank a, Rank b)
{
  if (a.event != b.event) {
    return a.event > b.event;
  }
  return a.created != b.created ? a.created > b.created : a.arrival > b.arrival;
}

static void offer(AsofSlots *slots, size_t place, Rank rank)
{
  uint64_t *slot = slot_at(slots, place);
  // Usually the event time decides: what stands behind it may lie in another line of the cache.
  if (rank.event < slot[EVENT]
      || (rank.event == slot[EVENT] && !wins(rank, rank_at(slots, place)))) {
    return;
  }
  slot[EVENT] = rank.event;
  slot[ARRIVAL] = rank.arrival;
  if (slots->width > CREATED) {
    slot[CREATED] = rank.created;
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

void asof_add(AsofSlots *slots, const AsofBlock *block)
{
  assert(block->first_arrival + block->count <= UINT64_C(1) << 63);
  AsofRule rule = slots->rule;
  bool known = block->created_times || rule.delay > 0;
  known = known && (rule.known_matters || rule.as_of_created != TIME_MAX);
  need_width(slots, block->created_times ? CREATED + 1 : CREATED);

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
  need_width(into, from->width);
  for (size_t place = 0; from->words && place < from->count; place++) {
    Rank rank = rank_at(from, place);
    if (rank.event) {
      offer(into, place, rank);
    }
  }
}

static void put_match(const AsofMatches *matches, AsofRule rule, size_t row, Time time, Rank winner)
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
  Rank best = {0};
  for (size_t place = start; place < end; place++) {
    Rank here = rank_at(slots, place);
    best = wins(here, best) ? here : best;
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
  for (size_t key = 0; slots->words && key < spine->keys; key++) {
    finish_group(slots, spine->starts[key], spine->starts[key + 1], matches);
  }
}
