#pragma once
// Online features of a batch of entities, from one snapshot. Values are not decoded: a result is a
// list of slices of stored msgpack, which the caller copies into its answer before it ends the
// read.

#include "base/arena.h"
#include "data/msgpack.h"
#include "data/row.h"
#include "engine/engine.h"
#include "host/functions.h"

// A key column that the caller has to send.
typedef struct {
  const char *name;
  Type type;
} OnlineKey;

// A request resolved against a catalog: reusable for as long as that catalog is the current one, of
// which it holds a reference. One thread's: it keeps its memory between requests.
typedef struct OnlinePlan OnlinePlan;

// Bounds of one request: features (and renamed keys), and values, which are rows * features.
enum { ONLINE_COLUMNS_MAX = 10000, ONLINE_VALUES_MAX = 1 << 22 };

// Columns are named by engine/naming.h; the same feature twice is an error, and so is an entry of
// `roles` that fits no requested view.
OnlinePlan *online_plan_new(const Catalog *catalog, const Reference *features, size_t count,
                            const RoleKey *roles, size_t role_count, bool full_names, Error *err);
OnlinePlan *online_plan_service(const Catalog *catalog, const Service *service, bool full_names,
                                Error *err);
void online_plan_free(OnlinePlan *plan);

size_t online_plan_columns(const OnlinePlan *plan);
const char *online_plan_name(const OnlinePlan *plan, size_t column);
size_t online_plan_keys(const OnlinePlan *plan, const OnlineKey **keys);
size_t online_plan_lookups(const OnlinePlan *plan);  // rows looked up per entity

// Values of the key columns, as online_plan_keys orders them.
typedef struct {
  size_t rows;
  const MpToken *const *columns;  // columns[k][row]
} OnlineEntities;

typedef struct {
  size_t rows;
  size_t spans;         // slices per row
  const Slice *slices;  // rows * spans; a row's slices, one after the other, are the msgpack of all
                        // its values in order
  // Details, filled when asked for; rows * columns.
  const uint8_t *statuses;  // ValueStatus
  const Time *event_times;  // of the row it speaks of; TIME_NULL for NOT_FOUND
  // Rows that were looked up, one per entity, view and role, by what was found: PRESENT, NOT_FOUND,
  // OUTSIDE_MAX_AGE or DELETED.
  uint64_t lookups[STATUS_ERROR + 1];
  uint64_t failed;  // rows of on-demand views that became nulls because their function failed
} OnlineResult;

// `details`: fill statuses and event_times. Slices point into the map, the arena and the plan:
// valid until db_read_end. `now` takes the place of t in contract rules 2, 4 and 8. A key of a
// wrong type fails the request: `entities.driver_id[3]: expected int64, got string`, rows counted
// from 0.
bool online_get_features(DbRead *read, const OnlinePlan *plan, const OnlineEntities *entities,
                         Time now, bool details, OnlineResult *result, Arena *arena, Error *err);

// On-demand views --------------------------------------------------------------------------------
//
// A plan with on-demand features looks up the stored ones, those that were asked for and those that
// are needed; what is found is then computed with.

bool online_plan_computes(const OnlinePlan *plan);

// Compiles what the plan computes; `functions` are of the plan's catalog and outlive the plan.
bool online_plan_open(OnlinePlan *plan, Functions *functions, Error *err);

// The columns that a request has to bring besides its keys.
size_t online_plan_request(const OnlinePlan *plan, const OnlineKey **columns);

// Values of these columns, each standing on a msgpack value that was checked by mp_skip.
typedef struct {
  const MpReader *const *columns;  // columns[c][row]
} OnlineGiven;

// Makes the answer of what was found for such a plan. A value of a wrong type fails the request
// (`request.distance_km[3]: expected float64, got string`), and so does a row whose function fails,
// unless its view says otherwise. The slices are valid until the plan is computed with again.
bool online_compute(const OnlinePlan *plan, const OnlineGiven *given, const OnlineResult *found,
                    OnlineResult *out, Arena *arena, Error *err);

// Several requests at once ------------------------------------------------------------------------
//
// The same in two steps: first the keys of all requests, then all rows. While memory is waited for
// on behalf of one request, work is done for others.

// Encoded keys of some requests, with their view ids. The zero value is empty; the memory is kept
// between uses.
typedef struct {
  Buf bytes;       // one key after the other; a null key has no bytes
  size_t *starts;  // of each in `bytes`, and the end of the last one
  size_t count;
  size_t capacity;
} OnlineKeys;

void online_keys_reset(OnlineKeys *keys);
void online_keys_cut(OnlineKeys *keys, size_t count);  // forgets all but the first `count`
void online_keys_deinit(OnlineKeys *keys);

// Adds the keys of one request: that of row r for look-up l becomes key *first + l * rows + r.
// After a failure none was added.
bool online_keys_add(OnlineKeys *keys, const OnlinePlan *plan, const OnlineEntities *entities,
                     size_t *first, Error *err);

// Whether every view has the same one column as its key, and nothing is computed.
bool online_plan_single_key(const OnlinePlan *plan);

// The same for such a plan, from `rows` msgpack values as they came, not checked yet. False, and
// nothing happens, unless all are there and are keys of the right type that are not null.
bool online_keys_read(OnlineKeys *keys, const OnlinePlan *plan, MpReader *values, size_t rows,
                      size_t *first);

typedef struct {
  const OnlinePlan *plan;
  size_t rows;
  size_t first;  // of its keys
  bool details;
  OnlineResult result;
} OnlineRequest;

// Fills the results of all requests. Rows times columns of each stay within ONLINE_VALUES_MAX. A
// row that cannot be read fails all of them.
bool online_find(DbRead *read, const OnlineKeys *keys, OnlineRequest *requests, size_t count,
                 Time now, Arena *arena, Error *err);
