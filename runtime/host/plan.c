// Completing what is declared, and comparing it with what is applied. The rules are in
// lua/tidemark/inputs.lua and plan.lua; all of it is data of ours by now, so a bounded state is
// only a precaution.

#include "host/host.h"
#include "host/state.h"

enum { MEMORY = 512 << 20, CPU_SECONDS = 120 };  // bytes; seconds
#define INSTRUCTIONS INT64_C(10000000000)

enum { ARGUMENTS_MAX = 4 };

// A function of our Lua library over msgpack: texts in, a table of texts and numbers out.
typedef struct {
  const char *module;
  const char *function;
  Slice arguments[ARGUMENTS_MAX];
  int argument_count;
  void (*take)(lua_State *L, void *out, Arena *arena);  // of the table on top of the stack
  void *out;
  Arena *arena;
  const char *purpose;  // "cannot …", for messages
  Error *err;
  bool ok;
} Work;

static Slice take_field(lua_State *L, const char *name, Arena *arena)
{
  lua_getfield(L, -1, name);
  Slice bytes = {0};
  bytes.data = lua_tolstring(L, -1, &bytes.size);
  Slice copy = arena_copy(arena, bytes);
  lua_pop(L, 1);
  return copy;
}

static size_t take_count(lua_State *L, const char *name)
{
  lua_getfield(L, -1, name);
  size_t count = (size_t)lua_tointeger(L, -1);
  lua_pop(L, 1);
  return count;
}

static int work_protected(lua_State *L)
{
  Work *work = lua_touserdata(L, 1);
  lua_getglobal(L, "require");
  lua_pushstring(L, work->module);
  lua_call(L, 1, 1);
  lua_getfield(L, -1, work->function);
  for (int i = 0; i < work->argument_count; i++) {
    Slice argument = work->arguments[i];
    lua_pushlstring(L, argument.size ? argument.data : "", argument.size);
  }
  lua_call(L, work->argument_count, 1);
  work->take(L, work->out, work->arena);
  return 0;
}

static void work_in_state(void *context)
{
  Work *work = context;
  StateLimits limits = {.memory_limit = MEMORY};
  lua_State *L = state_new_limited(&limits, work->err);
  if (!L) {
    work->ok = false;
    return;
  }
  state_start_limits(&limits, INSTRUCTIONS, CPU_SECONDS);
  if (lua_cpcall(L, work_protected, work)) {
    const char *message = lua_tostring(L, -1);
    work->ok = error_set(work->err, limits.reached ? ERR_LIMIT : ERR_INTERNAL, "cannot %s: %s",
                         work->purpose, message ? message : "no message");
  }
  state_stop_limits(&limits);
  lua_close(L);
}

static bool run_work(Work *work)
{
  work->ok = true;
  return state_run_deep(work_in_state, work, work->err) && work->ok;
}

static void take_plan(lua_State *L, void *out, Arena *arena)
{
  *(HostPlan *)out = (HostPlan){
      .catalog = take_field(L, "catalog", arena),
      .changes = take_field(L, "changes", arena),
      .dropped = take_field(L, "dropped", arena),
      .change_count = take_count(L, "change_count"),
      .incompatible_count = take_count(L, "incompatible_count"),
  };
}

bool host_plan(Slice current, Slice declared, HostPlan *out, Arena *arena, Error *err)
{
  *out = (HostPlan){0};
  Work work = {
      .module = "tidemark.plan",
      .function = "encoded",
      .arguments = {current, declared},
      .argument_count = 2,
      .take = take_plan,
      .out = out,
      .arena = arena,
      .purpose = "compare the definitions",
      .err = err,
  };
  return run_work(&work);
}

static void take_resolved(lua_State *L, void *out, Arena *arena)
{
  HostDefinitions *definitions = out;
  definitions->catalog = take_field(L, "catalog", arena);
  definitions->problems = take_field(L, "problems", arena);
  definitions->problem_count = take_count(L, "count");
  definitions->wanted = (Slice){0};
}

bool host_resolve(HostDefinitions *definitions, Slice schemas, Slice applied, Arena *arena,
                  Error *err)
{
  Work work = {
      .module = "tidemark.inputs",
      .function = "encoded",
      .arguments = {definitions->catalog, definitions->sources, schemas, applied},
      .argument_count = 4,
      .take = take_resolved,
      .out = definitions,
      .arena = arena,
      .purpose = "find the types of inputs",
      .err = err,
  };
  return run_work(&work);
}
