// Loading definitions: files into a bounded Lua state, a catalog or problems out of it.

#include <stdio.h>

#include "data/msgpack.h"
#include "host/files.h"
#include "host/host.h"
#include "host/state.h"

// Two budgets: one for running all files, and a wider one for our own checks of what they declared,
// because a file may declare very much in few instructions.
enum {
  RUN_CPU_SECONDS = 5,
  CHECK_CPU_SECONDS = 20,
  CHECK_MEMORY = HOST_MEMORY_LIMIT + (64 << 20),
  MEBIBYTE = 1 << 20,
};
#define CHECK_INSTRUCTIONS INT64_C(4000000000)

typedef struct {
  const DefinitionFiles *files;
  HostDefinitions *out;
  Arena *arena;
  Error *err;
  bool ok;
  StateLimits limits;
  int64_t instructions_left;  // for the files that have still to run
  char file[512];             // where the last run-time error came from,
  int line;                   // 0 when that is not known
} Load;

// Running one file
// ----------------------------------------------------------------------------------

static Load *upvalue_load(lua_State *L)
{
  return lua_touserdata(L, lua_upvalueindex(1));
}

// The message handler: notes the place before the stack unwinds, and makes any error value a text.
static int note_error(lua_State *L)
{
  Load *load = upvalue_load(L);
  if (!state_find_place(L, load->file, sizeof(load->file), &load->line)) {
    load->line = 0;
  }
  if (lua_type(L, 1) != LUA_TSTRING) {
    lua_pushfstring(L, "error was called with a value of type %s; expected a text",
                    luaL_typename(L, 1));
  }
  return 1;
}

// Which limit ended a call, LIMIT_NONE for an ordinary error; the error is on top of the stack. A
// file may have caught the refusal of memory and raised it again.
static int ended_by(lua_State *L, const StateLimits *limits, int status)
{
  if (!status || limits->reached == LIMIT_INSTRUCTIONS || limits->reached == LIMIT_TIME) {
    return status ? limits->reached : LIMIT_NONE;
  }
  const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
  bool memory = status == LUA_ERRMEM || strcmp(message, "not enough memory") == 0;
  return memory ? LIMIT_MEMORY : LIMIT_NONE;
}

// Pushes the name and the message of a limit. [-0, +2]
static void push_limit(lua_State *L, int limit)
{
  switch (limit) {
  case LIMIT_MEMORY:
    lua_pushliteral(L, "memory");
    lua_pushfstring(L, "loading the definitions takes more than %d MiB of memory",
                    HOST_MEMORY_LIMIT / MEBIBYTE);
    break;
  case LIMIT_INSTRUCTIONS:
    lua_pushliteral(L, "instructions");
    lua_pushfstring(L, "stopped after %d instructions; does this loop end?",
                    HOST_INSTRUCTION_LIMIT);
    break;
  default:
    lua_pushliteral(L, "time");
    lua_pushfstring(L, "stopped after %d seconds of processor time", RUN_CPU_SECONDS);
  }
}

// Replaces the error on top of the stack by { message, limit?, file?, line? }.
static void wrap_failure(lua_State *L, const Load *load, int limit)
{
  int error = lua_gettop(L);
  lua_newtable(L);
  if (limit) {
    push_limit(L, limit);
    lua_setfield(L, -3, "message");
    lua_setfield(L, -2, "limit");
  } else {
    lua_pushvalue(L, error);
    lua_setfield(L, -2, "message");
  }
  int line = limit ? load->limits.line : load->line;
  if (line) {
    lua_pushstring(L, limit ? load->limits.file : load->file);
    lua_setfield(L, -2, "file");
    lua_pushinteger(L, line);
    lua_setfield(L, -2, "line");
  }
  lua_replace(L, error);
}

// run(chunk): nothing, or why it failed.
static int run_chunk(lua_State *L)
{
  Load *load = upvalue_load(L);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  lua_pushlightuserdata(L, load);
  lua_pushcclosure(L, note_error, 1);
  lua_insert(L, 1);
  load->line = 0;
  load->limits.memory_limit = HOST_MEMORY_LIMIT;
  state_start_limits(&load->limits, load->instructions_left, RUN_CPU_SECONDS);
  int status = lua_pcall(L, 0, 0, 1);
  int limit = ended_by(L, &load->limits, status);
  load->instructions_left = load->limits.instructions_left;
  load->limits.memory_limit = CHECK_MEMORY;
  int line = load->limits.line;
  state_start_limits(&load->limits, CHECK_INSTRUCTIONS, CHECK_CPU_SECONDS);
  if (!status) {
    return 0;
  }
  load->limits.line = line;
  wrap_failure(L, load, limit);
  lua_gc(L, LUA_GCCOLLECT, 0);
  return 1;
}

// Loading all of them
// -------------------------------------------------------------------------------

static void push_files(lua_State *L, const DefinitionFiles *files)
{
  lua_createtable(L, (int)files->count, 0);
  for (size_t i = 0; i < files->count; i++) {
    const DefinitionFile *file = &files->items[i];
    lua_createtable(L, 0, 2);
    lua_pushstring(L, file->path);
    lua_setfield(L, -2, "path");
    if (file->problem) {
      lua_pushstring(L, file->problem);
      lua_setfield(L, -2, "problem");
    } else {
      lua_pushlstring(L, file->text.size ? file->text.data : "", file->text.size);
      lua_setfield(L, -2, "text");
    }
    lua_rawseti(L, -2, (int)i + 1);
  }
}

static Slice take_field(lua_State *L, const char *name, Arena *arena)
{
  lua_getfield(L, -1, name);
  Slice bytes = {0};
  bytes.data = lua_tolstring(L, -1, &bytes.size);
  Slice copy = arena_copy(arena, bytes);
  lua_pop(L, 1);
  return copy;
}

// hash(text): 32 hexadecimal digits, by FNV-1a with 128 bits (Fowler, Noll and Vo). Catalogs keep
// such digests, so the function stays as it is.
static int hash_text(lua_State *L)
{
  size_t size;
  const uint8_t *bytes = (const uint8_t *)luaL_checklstring(L, 1, &size);
  const __uint128_t prime = ((__uint128_t)1 << 88) + 0x13b;
  __uint128_t hash = (__uint128_t)UINT64_C(0x6c62272e07bb0142) << 64 | UINT64_C(0x62b821756295c58d);
  for (size_t i = 0; i < size; i++) {
    hash = (hash ^ bytes[i]) * prime;
  }
  char digits[33];
  snprintf(digits, sizeof(digits), "%016llx%016llx", (unsigned long long)(hash >> 64),
           (unsigned long long)hash);
  lua_pushlstring(L, digits, sizeof(digits) - 1);
  return 1;
}

static int load_protected(lua_State *L)
{
  Load *load = lua_touserdata(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "tidemark.define");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "load");
  push_files(L, load->files);
  lua_pushlightuserdata(L, load);
  lua_pushcclosure(L, run_chunk, 1);
  lua_pushcfunction(L, hash_text);
  lua_call(L, 3, 1);
  load->out->catalog = take_field(L, "catalog", load->arena);
  load->out->sources = take_field(L, "sources", load->arena);
  load->out->problems = take_field(L, "problems", load->arena);
  load->out->tests = take_field(L, "tests", load->arena);
  load->out->wanted = take_field(L, "wanted", load->arena);
  lua_getfield(L, -1, "count");
  load->out->problem_count = (size_t)lua_tointeger(L, -1);
  return 0;
}

// One problem instead of all: the checks themselves went beyond their limits.
static void put_only_problem(HostDefinitions *out, const char *message, Arena *arena)
{
  Buf buf = {0};
  msgpack_packer packer = mp_packer(&buf);
  msgpack_pack_array(&packer, 1);
  msgpack_pack_map(&packer, 3);
  mp_put_text(&packer, "where");
  mp_put_text(&packer, "definitions");
  mp_put_text(&packer, "message");
  mp_put_text(&packer, message);
  mp_put_text(&packer, "excerpt");
  mp_put_text(&packer, "");
  *out = (HostDefinitions){.problems = arena_copy(arena, buf_slice(&buf)), .problem_count = 1};
  buf_deinit(&buf);
}

static void finish_failed(Load *load, lua_State *L, int status)
{
  int limit = ended_by(L, &load->limits, status);
  if (limit) {
    put_only_problem(load->out,
                     limit == LIMIT_MEMORY ? "checking what they declare takes too much memory"
                                           : "checking what they declare takes too long",
                     load->arena);
    return;
  }
  const char *message = lua_tostring(L, -1);
  load->ok = error_set(load->err, ERR_INTERNAL, "cannot load definitions: %s",
                       message ? message : "no message");
}

// On a thread with a deep stack.
static void load_in_state(void *context)
{
  Load *load = context;
  lua_State *L = state_new_limited(&load->limits, load->err);
  if (!L) {
    load->ok = false;
    return;
  }
  state_start_limits(&load->limits, CHECK_INSTRUCTIONS, CHECK_CPU_SECONDS);
  int status = lua_cpcall(L, load_protected, load);
  state_stop_limits(&load->limits);
  if (status) {
    finish_failed(load, L, status);
  }
  lua_close(L);
}

static bool load_files(const DefinitionFiles *files, HostDefinitions *out, Arena *arena, Error *err)
{
  *out = (HostDefinitions){0};
  Load load = {
      .files = files,
      .out = out,
      .arena = arena,
      .err = err,
      .ok = true,
      .limits = {.memory_limit = CHECK_MEMORY},
      .instructions_left = HOST_INSTRUCTION_LIMIT,
  };
  return state_run_deep(load_in_state, &load, err) && load.ok;
}

bool host_load(const char *folder, HostDefinitions *out, Arena *arena, Error *err)
{
  DefinitionFiles files;
  return files_read(folder, &files, arena, err) && load_files(&files, out, arena, err);
}

bool host_load_sources(Slice sources, HostDefinitions *out, Arena *arena, Error *err)
{
  DefinitionFiles files = {0};
  return files_from_texts(sources, &files, arena, err) && load_files(&files, out, arena, err);
}
