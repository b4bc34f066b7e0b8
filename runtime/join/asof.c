#include "join/asof.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/pages.h"
#include "base/parallel.h"

enum { BLOCK = PLACES_BLOCK };

// The greatest row of a place, in two or, where the source has created times, three words. Times
// are in their order-preserving unsigned form (base/bytes.h), in which TIME_NULL is 0: memory of
// zeros is a set of empty slots.
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
  // What the slots' event times come to at least, thirty-two to a line of the cache: most rows are
  // older than that, and their slots are not looked at. 0: no row; otherwise one more than the
  // coarse time (join/places.h).
  uint16_t *floors;
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
    pages_free(slots->floors, slots->count, sizeof(*slots->floors));
    free(slots);
  }
}

// Gives every slot at least `width` words. A source has created times or has none, so it is rare
// that slots have to be widened when there are rows in them.
static void need_width(AsofSlots *slots, size_t width)
{
  if (slots->width >= width) {
    return;
  }
  if (!slots->floors) {
    slots->floors = pages_zalloc(slots->count, sizeof(*slots->floors));
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

static uint16_t floor_of(const AsofSlots *slots, Time event)
{
  return (uint16_t)(places_coarse(&slots->spine->places, event) + 1);
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

// Leaves the candidates that a spine row sees, with the floors of their slots prefetched.
static void find_places(const AsofSlots *slots, Candidates *candidates)
{
  places_find(&slots->spine->places, candidates->count, candidates->keys, candidates->visible,
              candidates->places);
  size_t kept = 0;
  for (size_t i = 0; i < candidates->count; i++) {
    candidates->rows[kept] = candidates->rows[i];
    candidates->places[kept] = candidates->places[i];
    kept += candidates->places[i] != PLACE_NONE;
  }
  candidates->count = kept;
  for (size_t i = 0; i < kept; i++) {
    __builtin_prefetch(&slots->floors[candidates->places[i]], 1);
  }
}

// Leaves the candidates that may be newer than what their slots hold, with these prefetched.
// Without a branch again: a row beats what was there before it as good as by chance.
static void leave_losers(const AsofSlots *slots, const AsofBlock *block, size_t from,
                         Candidates *candidates)
{
  size_t kept = 0;
  for (size_t i = 0; i < candidates->count; i++) {
    uint32_t place = candidates->places[i];
    uint32_t row = candidates->rows[i];
    candidates->rows[kept] = row;
    candidates->places[kept] = place;
    kept += floor_of(slots, block->event_times[from + row]) >= slots->floors[place];
  }
  candidates->count = kept;
  for (size_t i = 0; i < kept; i++) {
    const uint64_t *slot = slot_at(slots, candidates->places[i]);
    __builtin_prefetch(slot, 1);
    __builtin_prefetch(slot + slots->width - 1, 1);
  }
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
  if (!wins(rank, rank_at(slots, place))) {
    return;
  }
  uint64_t *slot = slot_at(slots, place);
  slot[EVENT] = rank.event;
  slot[ARRIVAL] = rank.arrival;
  if (slots->width > CREATED) {
    slot[CREATED] = rank.created;
  }
  slots->floors[place] = floor_of(slots, bytes_unorder_i64(rank.event));
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
    leave_losers(slots, block, from, &candidates);
    offer_all(slots, block, from, &candidates);
  }
}

// Finishing
// ----------------------------------------------------------------------------------------

typedef struct {
  AsofSlots *const *sets;
  size_t set_count;
  unsigned threads;
  AsofMatches *matches;
  uint64_t counts[PARALLEL_MAX][STATUS_ERROR + 1];  // per thread
} Finish;

// The greatest row that any thread put into a place.
static Rank greatest_at(const Finish *finish, size_t place)
{
  Rank best = {0};
  for (size_t i = 0; i < finish->set_count; i++) {
    const AsofSlots *slots = finish->sets[i];
    if (slots->words && slots->floors[place]) {
      Rank here = rank_at(slots, place);
      best = wins(here, best) ? here : best;
    }
  }
  return best;
}

static ValueStatus status_of(AsofRule rule, Time time, Rank winner)
{
  if (!winner.event) {
    return STATUS_NOT_FOUND;
  }
  if (rule.ttl && bytes_unorder_i64(winner.event) < clock_sub_bounded(time, rule.ttl)) {
    return STATUS_OUTSIDE_MAX_AGE;
  }
  return winner.arrival & 1 ? STATUS_DELETED : STATUS_PRESENT;
}

static void put_match(const AsofMatches *matches, size_t row, ValueStatus status, Rank winner)
{
  matches->arrivals[row] = status == STATUS_PRESENT ? winner.arrival >> 1 : ASOF_NONE;
  if (matches->event_times) {
    matches->event_times[row] = bytes_unorder_i64(winner.event);
  }
  if (matches->statuses) {
    matches->statuses[row] = (uint8_t)status;
  }
}

// What became visible up to a place is what its own slot got, or what the place before it had.
static void finish_group(const Finish *finish, size_t start, size_t end, uint64_t *counts)
{
  const AsofSlots *slots = finish->sets[0];
  const Spine *spine = slots->spine;
  Rank best = {0};
  for (size_t place = start; place < end; place++) {
    Rank here = greatest_at(finish, place);
    best = wins(here, best) ? here : best;
    ValueStatus status = status_of(slots->rule, spine->times[place], best);
    put_match(finish->matches, spine->order[place], status, best);
    counts[status]++;
  }
}

// Every thread takes as many groups as make up its share of the places.
static bool finish_share(void *context, unsigned thread, Error *err)
{
  (void)err;
  Finish *finish = context;
  const Spine *spine = finish->sets[0]->spine;
  uint64_t counts[STATUS_ERROR + 1] = {0};
  size_t end = spine_share(spine, thread + 1, finish->threads);
  for (size_t key = spine_share(spine, thread, finish->threads); key < end; key++) {
    finish_group(finish, spine->starts[key], spine->starts[key + 1], counts);
  }
  memcpy(finish->counts[thread], counts, sizeof(counts));
  return true;
}

// Rows that take no part have no place.
static void fill_not_found(const Spine *spine, AsofMatches *matches)
{
  for (size_t row = 0; row < spine->rows; row++) {
    put_match(matches, row, STATUS_NOT_FOUND, (Rank){0});
  }
}

void asof_finish(AsofSlots *const *sets, size_t count, unsigned threads, AsofMatches *matches)
{
  assert(count > 0 && threads >= 1 && threads <= PARALLEL_MAX);
  const Spine *spine = sets[0]->spine;
  Finish finish = {.sets = sets, .set_count = count, .threads = threads, .matches = matches};
  size_t out = spine->rows - spine_places(spine);
  if (out) {
    fill_not_found(spine, matches);
  }
  parallel_run(threads, finish_share, &finish, NULL);
  memset(matches->counts, 0, sizeof(matches->counts));
  matches->counts[STATUS_NOT_FOUND] = out;
  for (unsigned thread = 0; thread < threads; thread++) {
    for (size_t status = 0; status <= STATUS_ERROR; status++) {
      matches->counts[status] += finish.counts[thread][status];
    }
  }
}
