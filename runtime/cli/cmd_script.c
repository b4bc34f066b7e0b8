// run and lua: scripts.

#include <stdlib.h>

#include "cli/commands.h"
#include "host/host.h"

static bool run_script(Args *args)
{
  const char *script = args->argument_count ? args->arguments[0] : NULL;
  size_t count = args->argument_count ? args->argument_count - 1 : 0;
  char **arguments = arena_zalloc(args->arena, count + 1, sizeof(*arguments));
  for (size_t i = 0; i < count; i++) {
    arguments[i] = arena_text(args->arena, slice_text(args->arguments[i + 1]));
  }
  const char *store = args_value(args, "store");
  if (store) {
    setenv("TIDEMARK_STORE", store, 1);  // where a script's own tidemark.open looks
  }
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
  (void)err;
  return run_script(args);
}
