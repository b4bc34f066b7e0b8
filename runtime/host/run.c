// Scripts and the REPL: an ordinary LuaJIT with our modules.

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/host.h"
#include "host/line.h"
#include "host/state.h"

typedef struct {
  const char *script;  // NULL: the REPL
  char **arguments;
  size_t count;
} Run;

// Cuts off what stands behind the last frame of a script: run_protected, told as an address.
static void cut_own_frame(lua_State *L)
{
  static const char OWN[] = "\n\t[C]: at 0x";
  static const char HEADING[] = "\nstack traceback:";
  const char *text = lua_tostring(L, -1);
  const char *end = NULL;
  for (const char *at = text; (at = strstr(at, OWN)); at++) {
    end = at;
  }
  size_t heading = sizeof(HEADING) - 1;
  if (!end || strchr(end + sizeof(OWN) - 1, '\n')) {
    return;
  }
  if ((size_t)(end - text) >= heading && memcmp(end - heading, HEADING, heading) == 0) {
    end -= heading;  // no other frame: a script that cannot be read
  }
  lua_pushlstring(L, text, (size_t)(end - text));
  lua_replace(L, -2);
}

// The message handler: a traceback behind the error's text. error(nil) stays silent, as in Lua's
// own interpreter: it is how scripts leave with status 1 after having said why.
static int add_traceback(lua_State *L)
{
  if (lua_isnoneornil(L, 1)) {
    return 1;
  }
  if (!lua_isstring(L, 1)) {
    if (luaL_callmeta(L, 1, "__tostring")) {
      lua_replace(L, 1);
    } else {
      lua_pushfstring(L, "(error value of type %s)", luaL_typename(L, 1));
      lua_replace(L, 1);
    }
  }
  luaL_traceback(L, L, lua_tostring(L, 1), 1);
  cut_own_frame(L);
  return 1;
}

// Sets the global `arg` as Lua's own interpreter does: arg[0] is the script, arg[-2] and arg[-1]
// are what to put in front of a script to run it the same way.
static void set_arg(lua_State *L, const Run *run)
{
  char self[4096];
  ssize_t length = readlink("/proc/self/exe", self, sizeof(self));
  lua_createtable(L, (int)run->count, 3);
  lua_pushlstring(L, self, length > 0 ? (size_t)length : 0);
  lua_rawseti(L, -2, -2);
  lua_pushliteral(L, "lua");
  lua_rawseti(L, -2, -1);
  lua_pushstring(L, run->script);
  lua_rawseti(L, -2, 0);
  for (size_t i = 0; i < run->count; i++) {
    lua_pushstring(L, run->arguments[i]);
    lua_rawseti(L, -2, (int)i + 1);
  }
  lua_setglobal(L, "arg");
}

static void push_script(lua_State *L, const Run *run)
{
  if (luaL_loadfile(L, run->script)) {
    lua_error(L);
  }
  luaL_checkstack(L, (int)run->count + LUA_MINSTACK, "too many arguments");
  for (size_t i = 0; i < run->count; i++) {
    lua_pushstring(L, run->arguments[i]);
  }
}

static void push_repl(lua_State *L)
{
  lua_getglobal(L, "require");
  lua_pushliteral(L, "tidemark.repl");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "start");
  lua_replace(L, -2);
}

static int run_protected(lua_State *L)
{
  const Run *run = lua_touserdata(L, 1);
  luaL_openlibs(L);
  state_add_modules(L);
  set_arg(L, run);
  if (run->script) {
    push_script(L, run);
    lua_call(L, (int)run->count, 0);
  } else {
    push_repl(L);
    line_push_editor(L);
    lua_call(L, 1, 0);
  }
  return 0;
}

int host_run(const char *script, char **arguments, size_t count)
{
  lua_State *L = luaL_newstate();
  if (!L) {
    fprintf(stderr, "tidemark: not enough memory for a Lua state\n");
    return 1;
  }
  Run run = {script, arguments, count};
  lua_pushcfunction(L, add_traceback);
  lua_pushcfunction(L, run_protected);
  lua_pushlightuserdata(L, &run);
  int failed = lua_pcall(L, 1, 0, 1);
  if (failed && !lua_isnil(L, -1)) {
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, "tidemark: %s\n", message ? message : "an error without a text");
  }
  lua_close(L);
  return failed ? 1 : 0;
}
