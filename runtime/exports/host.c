// What specs reach of host/ through the FFI.

#include "host/host.h"

#define EXPORT __attribute__((visibility("default")))

// Results live until the next call of any of these on the same thread.
static _Thread_local Arena arena;
static _Thread_local Error error;

typedef struct {
  Slice parts[5];
  size_t counts[2];
} HostResult;

EXPORT int tidemark_host_load(const char *folder, HostResult *result);
EXPORT int tidemark_host_load_sources(const char *data, size_t size, HostResult *result);
EXPORT int tidemark_host_plan(const char *current, size_t current_size, const char *declared,
                              size_t declared_size, HostResult *result);
EXPORT int tidemark_host_resolve(const char *catalog, size_t catalog_size, const char *sources,
                                 size_t sources_size, const char *schemas, size_t schemas_size,
                                 HostResult *result);
EXPORT const char *tidemark_host_error(void);

static void forget(void)
{
  arena_deinit(&arena);
  error_clear(&error);
}

static int finish_load(bool ok, const HostDefinitions *loaded, HostResult *result)
{
  *result = (HostResult){
      .parts = {loaded->catalog, loaded->sources, loaded->problems, loaded->tests, loaded->wanted},
      .counts = {loaded->problem_count, 0},
  };
  return ok;
}

// Parts: catalog, sources, problems, tests, wanted. Counts: problems.
int tidemark_host_load(const char *folder, HostResult *result)
{
  forget();
  HostDefinitions loaded = {0};
  bool ok = host_load(folder, &loaded, &arena, &error);
  return finish_load(ok, &loaded, result);
}

int tidemark_host_load_sources(const char *data, size_t size, HostResult *result)
{
  forget();
  HostDefinitions loaded = {0};
  bool ok = host_load_sources(slice_of(data, size), &loaded, &arena, &error);
  return finish_load(ok, &loaded, result);
}

// Parts: catalog, changes, dropped. Counts: changes, incompatible ones.
int tidemark_host_plan(const char *current, size_t current_size, const char *declared,
                       size_t declared_size, HostResult *result)
{
  forget();
  HostPlan plan = {0};
  bool ok = host_plan(slice_of(current, current_size), slice_of(declared, declared_size), &plan,
                      &arena, &error);
  *result = (HostResult){
      .parts = {plan.catalog, plan.changes, plan.dropped},
      .counts = {plan.change_count, plan.incompatible_count},
  };
  return ok;
}

// Parts and counts as of loading.
int tidemark_host_resolve(const char *catalog, size_t catalog_size, const char *sources,
                          size_t sources_size, const char *schemas, size_t schemas_size,
                          HostResult *result)
{
  forget();
  HostDefinitions loaded = {
      .catalog = slice_of(catalog, catalog_size),
      .sources = slice_of(sources, sources_size),
  };
  bool ok = host_resolve(&loaded, slice_of(schemas, schemas_size), (Slice){0}, &arena, &error);
  return finish_load(ok, &loaded, result);
}

// What the last call that returned 0 said.
const char *tidemark_host_error(void)
{
  return error.message;
}
