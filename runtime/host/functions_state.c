// The state that functions of definitions live in: opened with the definitions in it, closed when a
// limit was reached, since there is no telling what the function had in hand.

#include <luajit.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "host/host.h"
#include "host/row_function.h"

enum { LOAD_CPU_SECONDS = 10 };
// The counted text takes more instructions than the plain one that apply ran.
#define LOAD_INSTRUCTIONS (INT64_C(3) * HOST_INSTRUCTION_LIMIT)

// Limits
// ------------------------------------------------------------------------------------------

static uint64_t read_clock(clockid_t clock)
{
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Processor time cannot be beyond its limit while the wall's is not, and that is quick to read.
static int32_t is_late(void *context)
{
  Functions *functions = context;
  uint64_t wall = read_clock(CLOCK_MONOTONIC_COARSE);
  if (functions->deadline_ns == 0) {
    functions->deadline_ns = read_clock(CLOCK_THREAD_CPUTIME_ID) + functions->budget_ns;
    functions->began_ns = wall;
    return 0;
  }
  return wall - functions->began_ns >= functions->budget_ns
         && read_clock(CLOCK_THREAD_CPUTIME_ID) >= functions->deadline_ns;
}

// Asked before a large block is allocated: texts that are long are slow to put together, and a loop
// may make many of them before it has made the steps for a look at the time.
static bool may_allocate(void *context)
{
  Functions *functions = context;
  return functions->state == NULL || !is_late(functions);
}

static bool begins_with(const char *text, const char *start)
{
  return strncmp(text, start, strlen(start)) == 0;
}

// Takes the place in front of a message, "definitions/a.lua:12: ", off it. False when there is
// none of the project; one of ours, which error with a level can name, goes without a word.
static bool split_message(RowsFailure *failure)
{
  const char *text = failure->message;
  bool project = begins_with(text, "definitions/") || begins_with(text, "lib/");
  if (!project && !begins_with(text, "rows:") && !begins_with(text, "lua/tidemark/")) {
    return false;
  }
  const char *colon = strchr(text, ':');
  if (!colon || (size_t)(colon - text) >= sizeof(failure->file)) {
    return false;
  }
  char *end;
  long line = strtol(colon + 1, &end, 10);
  if (line <= 0 || line > INT32_MAX || end[0] != ':' || end[1] != ' ') {
    return false;
  }
  if (project) {
    memcpy(failure->file, text, (size_t)(colon - text));
    failure->file[colon - text] = '\0';
    failure->line = (int)line;
  }
  memmove(failure->message, end + 2, strlen(end + 2) + 1);
  return project;
}

// The message handler: notes message and place before the stack unwinds, without allocating.
static int note_failure(lua_State *L)
{
  Functions *functions = lua_touserdata(L, lua_upvalueindex(1));
  RowsFailure *failure = &functions->failure;
  if (lua_type(L, 1) != LUA_TSTRING) {
    snprintf(failure->message, sizeof(failure->message),
             "error was called with a value of type %s; expected a text", luaL_typename(L, 1));
  } else {
    snprintf(failure->message, sizeof(failure->message), "%s", lua_tostring(L, 1));
  }
  if (!split_message(failure)
      && !state_find_place(L, failure->file, sizeof(failure->file), &failure->line)) {
    failure->line = 0;
  }
  return 1;
}

// Opening
// -----------------------------------------------------------------------------------------

static void push_files(lua_State *L, const DefinitionFiles *files)
{
  lua_createtable(L, (int)files->count, 0);
  for (size_t i = 0; i < files->count; i++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, files->items[i].path);
    lua_setfield(L, -2, "path");
    Slice text = files->items[i].text;
    lua_pushlstring(L, text.size ? text.data : "", text.size);
    lua_setfield(L, -2, "text");
    lua_rawseti(L, -2, (int)i + 1);
  }
}

static int open_protected(lua_State *L)
{
  Functions *functions = lua_touserdata(L, 1);
  lua_pushlightuserdata(L, functions);
  lua_pushcclosure(L, note_failure, 1);
  functions->handler = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "tidemark.runner");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "make");
  functions->make = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_getfield(L, -1, "position");
  functions->position = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_getfield(L, -1, "open");
  lua_pushlightuserdata(L, &functions->host);
  push_files(L, &functions->files);
  lua_call(L, 2, 0);
  return 0;
}

typedef struct {
  Functions *functions;
  Error *err;
  bool ok;
} Opening;

// On a thread with a deep stack, as at apply.
static void open_state(void *context)
{
  Opening *opening = context;
  Functions *functions = opening->functions;
  lua_State *L = state_new_limited(&functions->limits, opening->err);
  if (!L) {
    opening->ok = false;
    return;
  }
  state_start_limits(&functions->limits, LOAD_INSTRUCTIONS, LOAD_CPU_SECONDS);
  int status = lua_cpcall(L, open_protected, functions);
  state_stop_limits(&functions->limits);
  if (status) {
    const char *message = lua_tostring(L, -1);
    opening->ok = error_set(opening->err, functions->limits.reached ? ERR_LIMIT : ERR_DEFINITION,
                            "the functions of the definitions cannot be loaded: %s",
                            message ? message : "no message");
    lua_close(L);
    return;
  }
  lua_settop(L, 0);
  if (!functions->interpreted) {
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_ON);
  }
  functions->state = L;
}

bool functions_state_open(Functions *functions, Error *err)
{
  if (functions->state) {
    return true;
  }
  functions->limits.may_allocate = may_allocate;
  functions->limits.context = functions;
  functions->host = (RowsHost){
      .is_late = is_late,
      .grow = row_arrays_grow,
      .functions = functions,
      .max_steps = FUNCTIONS_STEPS_LIMIT,
  };
  // The steps of loading are counted as well, against a budget of their own.
  functions->budget_ns = (uint64_t)LOAD_CPU_SECONDS * 1000000000u;
  functions->deadline_ns = 0;
  Opening opening = {functions, err, true};
  if (!state_run_deep(open_state, &opening, err) || !opening.ok) {
    return false;
  }
  functions->epoch++;
  return true;
}

void functions_state_close(Functions *functions)
{
  if (functions->state) {
    lua_close(functions->state);
    functions->state = NULL;
  }
}

// Compiling
// ---------------------------------------------------------------------------------------

static void push_kind(lua_State *L, uint8_t kind)
{
  char text[TYPE_TEXT_SIZE];
  lua_pushstring(L, kind == TYPE_LIST     ? "list"
                    : kind == TYPE_VECTOR ? "vector"
                                          : type_print((Type){.kind = kind}, text));
}

static void push_fields(lua_State *L, const Field *fields, size_t count)
{
  lua_createtable(L, (int)count, 0);
  for (size_t i = 0; i < count; i++) {
    Type type = fields[i].type;
    lua_createtable(L, 0, 4);
    lua_pushstring(L, fields[i].name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, fields[i].column);
    lua_setfield(L, -2, "column");
    push_kind(L, type.kind);
    lua_setfield(L, -2, "type");
    if (type.kind == TYPE_LIST) {
      push_kind(L, type.element);
      lua_setfield(L, -2, "element");
    }
    lua_pushinteger(L, (lua_Integer)type.length);
    lua_setfield(L, -2, "length");
    lua_rawseti(L, -2, (int)i + 1);
  }
}

static void push_spec(lua_State *L, const RowFunction *function)
{
  lua_createtable(L, 0, 5);
  lua_pushstring(L, function->word);
  lua_setfield(L, -2, "word");
  lua_pushstring(L, function->name);
  lua_setfield(L, -2, "name");
  lua_pushstring(L, function->what);
  lua_setfield(L, -2, "what");
  push_fields(L, function->function->inputs, function->function->input_count);
  lua_setfield(L, -2, "inputs");
  if (strcmp(function->what, "transform") == 0) {
    push_fields(L, function->outputs, function->output_count);
    lua_setfield(L, -2, "outputs");
  }
}

static int compile_protected(lua_State *L)
{
  RowFunction *function = lua_touserdata(L, 1);
  lua_rawgeti(L, LUA_REGISTRYINDEX, function->functions->make);
  push_spec(L, function);
  lua_pushlightuserdata(L, function);
  lua_pushlightuserdata(L, function->slots);
  lua_call(L, 3, 4);
  const char *note = lua_tostring(L, -1);
  snprintf(function->note, sizeof(function->note), "%s", note ? note : "");
  lua_pop(L, 1);
  function->run_block = luaL_ref(L, LUA_REGISTRYINDEX);
  function->run = luaL_ref(L, LUA_REGISTRYINDEX);
  function->step = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

bool functions_compile(RowFunction *function, Error *err)
{
  Functions *functions = function->functions;
  if (function->epoch == functions->epoch) {
    return true;
  }
  functions->limits.reached = LIMIT_NONE;
  if (lua_cpcall(functions->state, compile_protected, function)) {
    const char *message = lua_tostring(functions->state, -1);
    error_set(err, functions->limits.reached ? ERR_LIMIT : ERR_DEFINITION, "%s \"%s\": %s: %s",
              function->word, function->name, function->what, message ? message : "no message");
    functions_state_close(functions);
    return false;
  }
  function->epoch = functions->epoch;
  return true;
}
