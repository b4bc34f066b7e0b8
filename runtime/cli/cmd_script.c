// run and lua: scripts.

#include <stdlib.h>

#include "cli/commands.h"
#include "host/host.h"

// Where a script's own tidemark.open looks.
static void set_environment(const Args *args, const char *option, const char *variable)
{
  const char *value = args_value(args, option);
  if (value) {
    setenv(variable, value, 1);
  }
}

static bool run_script(Args *args)
{
  const char *script = args->argument_count ? args->arguments[0] : NULL;
  size_t count = args->argument_count ? args->argument_count - 1 : 0;
  char **arguments = arena_zalloc(args->arena, count + 1, sizeof(*arguments));
  for (size_t i = 0; i < count; i++) {
    arguments[i] = arena_text(args->arena, slice_text(args->arguments[i + 1]));
  }
  set_environment(args, "store", "TIDEMARK_STORE");
  set_environment(args, "map-size", "TIDEMARK_MAP_SIZE");
  args->status = host_run(script, arguments, count);
  return true;
}

bool cmd_run_run(Args *args, Error *err)
{
  (void)err;
  return run_script(args);
}

bool cmd_lua_run(Args *args, Error *err)
{
  const char *first = args->argument_count ? args->arguments[0] : "";
  if (first[0] == '-' && first[1]) {
    return error_set(
        err, ERR_USAGE,
        "lua: expected a script, got \"%s\": it has no options of its own, and those of "
        "tidemark stand before it",
        first);
  }
  return run_script(args);
}
