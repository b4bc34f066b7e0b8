#include "engine/apply.h"

#include "data/msgpack.h"
#include "engine/schemas.h"
#include "host/host.h"
#include "store/registry.h"

enum { SWEEP_ROWS = 20000 };  // online rows deleted in one transaction

// What is going to be stored must be readable again: bounds that only the decoder knows are met
// here.
static bool check_catalog(Slice catalog, uint64_t generation, Error *err)
{
  Catalog *decoded = catalog_decode(catalog, generation, err);
  catalog_unref(decoded);
  return decoded != NULL;
}

// What is applied now; generation 0 and empty slices when nothing is.
static bool read_current(Engine *engine, Generation *current, Arena *arena, Error *err)
{
  *current = (Generation){0};
  Error missing = {0};
  Db *db = engine_db(engine, false, &missing);
  if (!db) {
    if (missing.code == ERR_NOT_FOUND) {
      return true;
    }
    *err = missing;
    return false;
  }
  DbRead *read = db_read_new(db, err);
  if (!read) {
    return false;
  }
  bool found = false;
  bool ok = db_read_begin(read, err);
  if (ok) {
    ok = registry_get(read, 0, current, &found, arena, err);
    db_read_end(read);
  }
  db_read_free(read);
  return ok;
}

// Everything that apply is going to do, decided but not done.
typedef struct {
  Generation current;
  HostDefinitions declared;
  HostPlan plan;
} Decision;

// Definitions with the types of all inputs; problems are a result. `applied`: the catalog.
static bool load_definitions(Engine *engine, Slice applied, HostDefinitions *definitions,
                             Arena *arena, Error *err)
{
  if (!host_load(engine_project(engine), definitions, arena, err)) {
    return false;
  }
  if (definitions->problem_count || !definitions->wanted.size) {
    return true;
  }
  Buf schemas = {0};
  bool ok = schemas_describe(engine, definitions->wanted, &schemas, err)
            && host_resolve(definitions, buf_slice(&schemas), applied, arena, err);
  buf_deinit(&schemas);
  return ok;
}

static bool decide(Engine *engine, Decision *decision, ApplyResult *result, Arena *arena,
                   Error *err)
{
  *result = (ApplyResult){0};
  *decision = (Decision){0};
  if (!read_current(engine, &decision->current, arena, err)
      || !load_definitions(engine, decision->current.catalog, &decision->declared, arena, err)) {
    return false;
  }
  result->generation = decision->current.generation;
  result->problems = decision->declared.problems;
  result->problem_count = decision->declared.problem_count;
  if (result->problem_count) {
    return true;
  }
  if (!host_plan(decision->current.catalog, decision->declared.catalog, &decision->plan, arena,
                 err)) {
    return false;
  }
  if (!check_catalog(decision->plan.catalog, result->generation + 1, err)) {
    return false;
  }
  result->changes = decision->plan.changes;
  result->change_count = decision->plan.change_count;
  result->incompatible_count = decision->plan.incompatible_count;
  return true;
}

bool engine_plan(Engine *engine, ApplyResult *result, Arena *arena, Error *err)
{
  Decision decision;
  return decide(engine, &decision, result, arena, err);
}

bool engine_declared(Engine *engine, EngineDeclared *out, Arena *arena, Error *err)
{
  Decision decision;
  ApplyResult result;
  *out = (EngineDeclared){0};
  if (!decide(engine, &decision, &result, arena, err)) {
    return false;
  }
  out->problems = result.problems;
  out->problem_count = result.problem_count;
  if (result.problem_count) {
    return true;
  }
  out->tests = decision.declared.tests;
  out->catalog = catalog_decode(decision.plan.catalog, result.generation + 1, err);
  if (out->catalog) {
    catalog_set_texts(out->catalog, decision.declared.sources);
  }
  return out->catalog != NULL;
}

static bool add_dropped(DbWrite *write, Slice dropped, Error *err)
{
  MpReader reader = {(const uint8_t *)dropped.data, (const uint8_t *)dropped.data + dropped.size};
  uint32_t count = dropped.size ? mp_take(&reader).count : 0;
  for (uint32_t i = 0; i < count; i++) {
    if (!registry_add_dropped(write, (uint16_t)mp_take(&reader).integer, err)) {
      return false;
    }
  }
  return true;
}

static bool commit(Db *db, const Decision *decision, uint64_t generation, Error *err)
{
  DbWrite *write;
  if (!db_write_begin(db, &write, err)) {
    return false;
  }
  Generation record = {
      .generation = generation,
      .applied_at = clock_now(),
      .catalog = decision->plan.catalog,
      .sources = decision->declared.sources,
      .changes = decision->plan.changes,
  };
  if (!registry_put(write, &record, err) || !add_dropped(write, decision->plan.dropped, err)) {
    db_write_abort(write);
    return false;
  }
  return db_write_commit(write, err);
}

// Rows of dropped views go in transactions of their own: their ids are never given out again, so
// nobody can see them meanwhile, and an interrupted sweep goes on with the next apply.
static bool sweep(Db *db, uint64_t *dropped, Error *err)
{
  bool done = false;
  while (!done) {
    DbWrite *write;
    uint64_t deleted = 0;
    if (!db_write_begin(db, &write, err)) {
      return false;
    }
    if (!registry_sweep(write, SWEEP_ROWS, &deleted, &done, err)) {
      db_write_abort(write);
      return false;
    }
    if (!db_write_commit(write, err)) {
      return false;
    }
    *dropped += deleted;
  }
  return true;
}

bool engine_apply(Engine *engine, bool allow_incompatible, ApplyResult *result, Arena *arena,
                  Error *err)
{
  Decision decision;
  if (!decide(engine, &decision, result, arena, err)) {
    return false;
  }
  if (result->problem_count) {
    return error_set(err, ERR_DEFINITION, "the definitions have %zu mistake%s, nothing was applied",
                     result->problem_count, result->problem_count == 1 ? "" : "s");
  }
  if (result->incompatible_count && !allow_incompatible) {
    return error_set(err, ERR_CONFLICT,
                     "%zu change%s would lose data or break readers, nothing was applied: read "
                     "`tidemark plan`, then allow them with --allow-incompatible",
                     result->incompatible_count, result->incompatible_count == 1 ? "" : "s");
  }
  Db *db = engine_db(engine, true, err);
  if (!db) {
    return false;
  }
  if (result->change_count) {
    if (!commit(db, &decision, result->generation + 1, err)) {
      return false;
    }
    result->generation++;
  }
  return sweep(db, &result->rows_dropped, err);
}
