#pragma once
// Everything declared, resolved and immutable. A catalog is decoded from the msgpack that the Lua
// side produced at apply time (format below); whoever uses one holds a reference, so that a request
// never sees half an apply.
//
// Format 1, a map:
//   entities = [ { name, doc?, tags?, keys = [ { name, type, doc? } ] } ]
//   sources  = [ { name, doc?, tags?, path? | sql?, event_time, created_time?, deleted?,
//   time_unit?,
//                  keys = { key = column } } ]
//   views    = [ { name, id, doc?, tags?, entities = [ name ], source, ttl? , bound = "<=" | "<",
//                  as_known, delay?, online, slots,
//                  features = [ { name, type, column, slot, doc?, tags? } ],
//                  filter?, transform? } ]
//   on_demand = [ { name, doc?, tags?, level, transform, inputs = [ { view, feature } ],
//                   features = [ { name, type, doc?, tags? } ] } ]
//   services = [ { name, doc?, tags?, features = [ { view, role?, feature } ],
//                  roles = { role = { key = column } } } ]
// where filter and transform are functions:
//   { at, code, on_error = "error" | "null", inputs = [ { name, type, column? } ] }
// Times are microseconds; every list is sorted by name except keys and features, which keep the
// order they were declared in. `at` ("file:line") is present on every declaration. Unknown fields
// are ignored, so that older binaries read newer catalogs of the same format.

#include "base/arena.h"
#include "base/clock.h"
#include "data/type.h"

typedef struct {
  const char *name;
  const char *doc;     // "" when there is none
  const char *column;  // column of the source; the name for keys of an entity
  Type type;
  uint32_t slot;  // features: place in the online row
} Field;

typedef struct {
  const char *key;
  const char *value;
} Tag;

typedef struct {
  const char *kind;  // "entity", "source", "feature_view", "on_demand_feature_view", …
  const char *name;
  const char *doc;
  const char *at;  // "definitions/driver.lua:3"
  const Tag *tags;
  size_t tag_count;
} Declared;

typedef struct {
  Declared declared;
  const Field *keys;
  size_t key_count;
} Entity;

typedef struct {
  Declared declared;
  const char *path;          // files and globs relative to the project, one per line; NULL with sql
  const char *sql;           // NULL with path
  const char *event_time;    // columns
  const char *created_time;  // NULL when there is none
  const char *deleted;       // NULL when there is none
  TimeUnit time_unit;
  const Tag *key_columns;  // key → column, for keys that have another name in the source
  size_t key_column_count;
} Source;

// A function of the definitions, run per row (host/functions.h). `at` is NULL where a view has
// none.
typedef struct {
  const char *at;       // "definitions/driver.lua:12", where the function begins
  const char *code;     // digest of what it is compiled to, what it calls included
  const Field *inputs;  // fields of its row: `column` is the source's, or the request's
  size_t input_count;
  bool null_on_error;  // a row that fails has nulls with status ERROR; otherwise it ends the job
} Function;

typedef struct {
  Declared declared;
  uint16_t id;  // prefix of its online keys; never reused
  const Entity *const *entities;
  size_t entity_count;
  const Field *keys;  // of all its entities in order; `column` is the source's
  size_t key_count;
  const Source *source;
  const Field *features;
  size_t feature_count;
  uint32_t slot_count;  // slots an encoded row has
  int64_t ttl;          // microseconds; 0: unlimited
  int64_t delay;        // microseconds; 0: none. A delay implies as_known.
  bool strict;          // bound = "<"
  bool as_known;
  bool online;         // kept in the online store
  Function filter;     // rows for which it is not true do not count; tombstones always do
  Function transform;  // makes the features of a row; without one they are columns
} View;

typedef struct OnDemand OnDemand;

// One requested feature: where it comes from, and under which role.
typedef struct {
  const View *view;           // NULL with on_demand
  const OnDemand *on_demand;  // NULL with view
  const char *role;           // "" for none
  const Field *feature;
} Reference;

// A view that is computed when it is asked for, at serving and in training sets alike.
struct OnDemand {
  Declared declared;
  // Its inputs are the values of `references`, in that order, and then the columns of the request
  // (of the spine, in training).
  Function transform;
  const Reference *references;  // without roles
  size_t reference_count;
  const Field *features;
  size_t feature_count;
  uint32_t level;  // 0: needs stored features only; otherwise one more than the highest it needs
};

typedef struct {
  const char *role;  // or the view's name
  const char *key;
  const char *column;
} RoleKey;

typedef struct {
  Declared declared;
  const Reference *features;
  size_t feature_count;
  const RoleKey *roles;
  size_t role_count;
} Service;

// Keys of an entity, and of a view's entities together; slots of a view (a row counts them in 16
// bits); levels of on-demand views. catalog_decode refuses more.
enum { CATALOG_KEYS_MAX = 64, CATALOG_SLOTS_MAX = 65535, CATALOG_LEVELS_MAX = 100 };

typedef struct Catalog Catalog;
struct Catalog {
  uint64_t generation;
  const Entity *entities;
  size_t entity_count;
  const Source *sources;
  size_t source_count;
  const View *views;
  size_t view_count;
  const Service *services;
  size_t service_count;
  const OnDemand *on_demands;
  size_t on_demand_count;
  Slice texts;  // the definition files that functions are compiled from; empty where there are no
                // functions
};

// Decodes format 1 and resolves every name. The result has one reference. Fails on bytes that are
// no catalog: they may come from another version or a damaged store.
Catalog *catalog_decode(Slice msgpack, uint64_t generation, Error *err);
// Keeps a copy of the texts (host/host.h: HostDefinitions.sources) where the catalog has functions.
// Before the catalog is shared.
void catalog_set_texts(Catalog *catalog, Slice texts);
Catalog *catalog_ref(const Catalog *catalog);  // thread-safe
void catalog_unref(const Catalog *catalog);    // NULL is allowed

// By name; NULL when there is none. Binary search.
const Entity *catalog_entity(const Catalog *catalog, Slice name);
const Source *catalog_source(const Catalog *catalog, Slice name);
const View *catalog_view(const Catalog *catalog, Slice name);
const Service *catalog_service(const Catalog *catalog, Slice name);
const OnDemand *catalog_on_demand(const Catalog *catalog, Slice name);
const Field *view_feature(const View *view, Slice name);  // in declared order: linear
const Field *on_demand_feature(const OnDemand *view, Slice name);

// The same, with the error that says so: `unknown feature_view "drivr", did you mean "driver"?`.
const View *catalog_find_view(const Catalog *catalog, Slice name, Error *err);
const Service *catalog_find_service(const Catalog *catalog, Slice name, Error *err);

// The known name nearest to `name` (edit distance), NULL when nothing is near: "did you mean".
const char *catalog_suggest(Slice name, const char *const *known, size_t count);

// Parses `view:feature`, `view@role:feature`, `view:*` and `view@role:*` for views of both kinds
// (an on-demand view has no roles), and appends what it stands for to the growing array `out`
// (arena memory). A role's name is copied to the arena.
typedef struct {
  Reference *items;
  size_t count;
  size_t capacity;
} ReferenceList;

bool catalog_reference(const Catalog *catalog, Slice text, ReferenceList *out, Arena *arena,
                       Error *err);
