#pragma once
// Lua states: ordinary ones for scripts, bounded ones for code that is not ours to trust. Only
// host/ includes this header, and with it lua.h.

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "base/error.h"
#include "base/slice.h"

// Makes `require` find our modules: in the folder that $TIDEMARK_LUA names if it is set, otherwise
// in the binary. [-0, +0], may raise.
void state_add_modules(lua_State *L);

// What a bounded state may use and has used. Instructions and processor time count only between
// state_start_limits and state_stop_limits; memory always does.
typedef struct {
  size_t memory_used;         // bytes
  size_t memory_limit;        // bytes
  int64_t instructions_left;  // of the Lua interpreter
  uint64_t cpu_deadline_ns;   // of this thread's processor time
  enum { LIMIT_NONE, LIMIT_MEMORY, LIMIT_INSTRUCTIONS, LIMIT_TIME } reached;
  lua_State *state;
  char file[512];  // where a limit was reached: definition file and
  int line;        // line; 0 when it is not known

  // With the JIT on, frames tell nothing while memory is allocated: no place is recorded.
  bool compiled;
  // Asked before a large block is allocated; false refuses it as LIMIT_TIME. NULL: not asked.
  bool (*may_allocate)(void *context);
  void *context;
} StateLimits;

// A state with the standard libraries and our modules, the JIT off, and memory bounded by
// limits->memory_limit. `limits` must outlive the state. NULL with *err set when even that does not
// fit.
lua_State *state_new_limited(StateLimits *limits, Error *err);

void state_start_limits(StateLimits *limits, int64_t instructions, uint64_t cpu_seconds);
void state_stop_limits(StateLimits *limits);

// Finds the innermost frame that runs a file of the project ("@definitions/…", "@lib/…"). False
// when there is none. Neither allocates nor raises, so that it works when memory is gone.
bool state_find_place(lua_State *L, char *file, size_t size, int *line);

// Runs `function` on a thread whose stack is deep enough that LuaJIT's own limits end every
// recursion before the stack does, and waits for it.
bool state_run_deep(void (*function)(void *context), void *context, Error *err);
