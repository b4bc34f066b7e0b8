// Comparing what is applied with what is declared. The rules are in lua/tidemark/plan.lua; both
// sides are data of ours by now, so a bounded state is only a precaution.

#include "host/host.h"
#include "host/state.h"

enum { MEMORY = 512 << 20, CPU_SECONDS = 120 };  // bytes; seconds
#define INSTRUCTIONS INT64_C(10000000000)

typedef struct {
  Slice current;
  Slice declared;
  HostPlan *out;
  Arena *arena;
  Error *err;
  bool ok;
} Plan;

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

static int plan_protected(lua_State *L)
{
  Plan *plan = lua_touserdata(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "tidemark.plan");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "encoded");
  lua_pushlstring(L, plan->current.size ? plan->current.data : "", plan->current.size);
  lua_pushlstring(L, plan->declared.size ? plan->declared.data : "", plan->declared.size);
  lua_call(L, 2, 1);
  plan->out->catalog = take_field(L, "catalog", plan->arena);
  plan->out->changes = take_field(L, "changes", plan->arena);
  plan->out->dropped = take_field(L, "dropped", plan->arena);
  plan->out->change_count = take_count(L, "change_count");
  plan->out->incompatible_count = take_count(L, "incompatible_count");
  return 0;
}

static void plan_in_state(void *context)
{
  Plan *plan = context;
  StateLimits limits = {.memory_limit = MEMORY};
  lua_State *L = state_new_limited(&limits, plan->err);
  if (!L) {
    plan->ok = false;
    return;
  }
  state_start_limits(&limits, INSTRUCTIONS, CPU_SECONDS);
  if (lua_cpcall(L, plan_protected, plan)) {
    const char *message = lua_tostring(L, -1);
    plan->ok = error_set(plan->err, limits.reached ? ERR_LIMIT : ERR_INTERNAL,
                         "cannot compare the definitions: %s", message ? message : "no message");
  }
  state_stop_limits(&limits);
  lua_close(L);
}

bool host_plan(Slice current, Slice declared, HostPlan *out, Arena *arena, Error *err)
{
  *out = (HostPlan){0};
  Plan plan = {current, declared, out, arena, err, true};
  return state_run_deep(plan_in_state, &plan, err) && plan.ok;
}
