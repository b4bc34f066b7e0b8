#include "host/state.h"

#include <assert.h>
#include <luajit.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "host/modules.h"

enum {
  HOOK_INTERVAL = 100,     // instructions; C functions between two of them run uninterrupted
  STACK_SIZE = 256 << 20,  // bytes of address space: nested callbacks use about 1 KiB per level
  LARGE_BLOCK = 1 << 20,   // bytes
};

// Modules -----------------------------------------------------------------------------------------

static const HostModule *find_module(const char *name)
{
  size_t low = 0;
  size_t high = HOST_MODULE_COUNT;
  while (low < high) {
    size_t middle = (low + high) / 2;
    int order = strcmp(HOST_MODULES[middle].name, name);
    if (order == 0) {
      return &HOST_MODULES[middle];
    }
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return NULL;
}

// Loads FOLDER/a/b.lua or FOLDER/a/b/init.lua for the module a.b. [-0, +1] when there is one.
static bool load_from_folder(lua_State *L, const char *folder, const char *name)
{
  static const char *const FORMS[] = {"%s/%s.lua", "%s/%s/init.lua"};
  const char *relative = luaL_gsub(L, name, ".", "/");
  for (size_t i = 0; i < 2; i++) {
    const char *path = lua_pushfstring(L, FORMS[i], folder, relative);
    FILE *file = fopen(path, "r");
    if (file) {
      fclose(file);
      if (luaL_loadfile(L, path)) {
        lua_error(L);
      }
      return true;
    }
  }
  return false;
}

static int find_loader(lua_State *L)
{
  const char *name = luaL_checkstring(L, 1);
  const char *folder = getenv("TIDEMARK_LUA");
  if (folder && folder[0]) {
    if (load_from_folder(L, folder, name)) {
      return 1;
    }
    lua_pushfstring(L, "\n\tno module '%s' in $TIDEMARK_LUA", name);
    return 1;
  }
  const HostModule *module = find_module(name);
  if (!module) {
    lua_pushfstring(L, "\n\tno module '%s' in tidemark", name);
    return 1;
  }
  if (luaL_loadbufferx(L, module->text, module->size, lua_pushfstring(L, "@%s", module->path),
                       "t")) {
    return lua_error(L);
  }
  return 1;
}

void state_add_modules(lua_State *L)
{
  int top = lua_gettop(L);
  lua_getglobal(L, "table");
  lua_getfield(L, -1, "insert");
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "loaders");
  lua_replace(L, -2);
  lua_pushinteger(L, 2);  // after package.preload
  lua_pushcfunction(L, find_loader);
  lua_call(L, 3, 0);
  lua_settop(L, top);
}

// Limits ------------------------------------------------------------------------------------------

static uint64_t cpu_now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool state_find_place(lua_State *L, char *file, size_t size, int *line)
{
  static const char DEFINITIONS[] = "@definitions/";
  static const char LIBRARY[] = "@lib/";
  lua_Debug frame;
  for (int level = 0; lua_getstack(L, level, &frame); level++) {
    if (lua_getinfo(L, "Sl", &frame) && frame.currentline > 0
        && (strncmp(frame.source, DEFINITIONS, sizeof(DEFINITIONS) - 1) == 0
            || strncmp(frame.source, LIBRARY, sizeof(LIBRARY) - 1) == 0)) {
      snprintf(file, size, "%s", frame.source + 1);
      *line = frame.currentline;
      return true;
    }
  }
  return false;
}

static void record_place(StateLimits *limits)
{
  if (limits->compiled || !limits->state
      || !state_find_place(limits->state, limits->file, sizeof(limits->file), &limits->line)) {
    limits->line = 0;
  }
}

// A lua_Alloc that refuses to go beyond the limit. Lua sees a refusal as "not enough memory".
static void *allocate(void *context, void *old, size_t old_size, size_t size)
{
  StateLimits *limits = context;
  if (size == 0) {
    free(old);
    limits->memory_used -= old_size;
    return NULL;
  }
  size_t others = limits->memory_used - old_size;
  if (size > old_size && (size > limits->memory_limit || others > limits->memory_limit - size)) {
    if (!limits->reached || limits->reached == LIMIT_MEMORY) {
      limits->reached = LIMIT_MEMORY;
      record_place(limits);
    }
    return NULL;
  }
  if (size > old_size && size >= LARGE_BLOCK && limits->may_allocate
      && !limits->may_allocate(limits->context)) {
    limits->reached = LIMIT_TIME;
    return NULL;
  }
  void *block = realloc(old, size);
  if (block) {
    limits->memory_used = others + size;
  }
  return block;
}

static StateLimits *limits_of(lua_State *L)
{
  void *context = NULL;
  lua_getallocf(L, &context);
  return context;
}

// Once a limit is reached every further instruction raises: a pcall cannot hold it up.
static void check_limits(lua_State *L, lua_Debug *event)
{
  (void)event;
  StateLimits *limits = limits_of(L);
  if (limits->reached != LIMIT_INSTRUCTIONS && limits->reached != LIMIT_TIME) {
    limits->instructions_left -= HOOK_INTERVAL;
    bool late = cpu_now_ns() > limits->cpu_deadline_ns;
    if (limits->instructions_left > 0 && !late) {
      return;
    }
    limits->reached = late ? LIMIT_TIME : LIMIT_INSTRUCTIONS;
    record_place(limits);
    lua_sethook(L, check_limits, LUA_MASKCOUNT, 1);
  }
  lua_pushliteral(L, "limit reached");
  lua_error(L);
}

void state_start_limits(StateLimits *limits, int64_t instructions, uint64_t cpu_seconds)
{
  limits->reached = LIMIT_NONE;
  limits->line = 0;
  limits->instructions_left = instructions;
  limits->cpu_deadline_ns = cpu_now_ns() + cpu_seconds * 1000000000u;
  lua_sethook(limits->state, check_limits, LUA_MASKCOUNT, HOOK_INTERVAL);
}

void state_stop_limits(StateLimits *limits)
{
  lua_sethook(limits->state, NULL, 0, 0);
}

static int open_state(lua_State *L)
{
  luaL_openlibs(L);
  luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
  state_add_modules(L);
  return 0;
}

lua_State *state_new_limited(StateLimits *limits, Error *err)
{
  lua_State *L = lua_newstate(allocate, limits);
  if (!L) {
    error_set(err, ERR_LIMIT, "a Lua state does not fit into %zu bytes", limits->memory_limit);
    return NULL;
  }
  limits->state = L;
  if (lua_cpcall(L, open_state, NULL)) {
    const char *message = lua_tostring(L, -1);
    error_set(err, ERR_INTERNAL, "cannot open a Lua state: %s", message ? message : "no message");
    lua_close(L);
    limits->state = NULL;
    return NULL;
  }
  return L;
}

// Threads -----------------------------------------------------------------------------------------

typedef struct {
  void (*function)(void *context);
  void *context;
} DeepCall;

static void *run_deep(void *argument)
{
  DeepCall *call = argument;
  call->function(call->context);
  return NULL;
}

bool state_run_deep(void (*function)(void *context), void *context, Error *err)
{
  DeepCall call = {function, context};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  int failed = pthread_attr_setstacksize(&attributes, STACK_SIZE);
  assert(!failed);
  pthread_t thread;
  failed = pthread_create(&thread, &attributes, run_deep, &call);
  pthread_attr_destroy(&attributes);
  if (failed) {
    return error_set(err, ERR_INTERNAL, "cannot start a thread: %s", strerror(failed));
  }
  failed = pthread_join(thread, NULL);
  assert(!failed);
  return true;
}
