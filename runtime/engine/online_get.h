#pragma once
// Online features of a batch of entities, from one snapshot. Values are not decoded: a result is a
// list of slices of stored msgpack, which the caller copies into its answer before it ends the
// read.

#include "base/arena.h"
#include "data/msgpack.h"
#include "data/row.h"
#include "engine/engine.h"

// A key column that the caller has to send.
typedef struct {
  const char *name;
  Type type;
} OnlineKey;

// A request resolved against a catalog: reusable for as long as that catalog is the current one, of
// which it holds a reference. One thread's: it keeps its memory between requests.
typedef struct OnlinePlan OnlinePlan;

// Bounds of one request: features (and renamed keys), and values, which are rows * features.
enum { ONLINE_COLUMNS_MAX = 4096, ONLINE_VALUES_MAX = 1 << 22 };

// Columns are named by engine/naming.h; the same feature twice is an error, and so is an entry of
// `roles` that fits no requested view.
OnlinePlan *online_plan_new(const Catalog *catalog, const Reference *features, size_t count,
                            const RoleKey *roles, size_t role_count, bool full_names, Error *err);
OnlinePlan *online_plan_service(const Catalog *catalog, const Service *service, bool full_names,
                                Error *err);
void online_plan_free(OnlinePlan *plan);

size_t online_plan_columns(const OnlinePlan *plan);
const char *online_plan_name(const OnlinePlan *plan, size_t column);
const Reference *online_plan_reference(const OnlinePlan *plan, size_t column);
size_t online_plan_keys(const OnlinePlan *plan, const OnlineKey **keys);

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
} OnlineResult;

// `details`: fill statuses and event_times. Slices point into the map, the arena and the plan:
// valid until db_read_end. `now` takes the place of t in contract rules 2, 4 and 8. A key of a
// wrong type fails the request: `entities.driver_id[3]: expected int64, got string`, rows counted
// from 0.
bool online_get_features(DbRead *read, const OnlinePlan *plan, const OnlineEntities *entities,
                         Time now, bool details, OnlineResult *result, Arena *arena, Error *err);
