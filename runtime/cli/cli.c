#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/print.h"

// Paths in the environment are the shell's: they start where the process does, not in --project.
static void fix_environment_path(const char *name)
{
  const char *value = getenv(name);
  char folder[PATH_MAX];
  if (!value || !*value || *value == '/' || !getcwd(folder, sizeof(folder))) {
    return;
  }
  char path[PATH_MAX];
  int length = snprintf(path, sizeof(path), "%s/%s", folder, value);
  if (length > 0 && (size_t)length < sizeof(path)) {
    setenv(name, path, 1);
  }
}

bool cli_enter_project(const Args *args, Error *err)
{
  const char *folder = args_value(args, "project");
  if (!folder) {
    return true;
  }
  fix_environment_path("TIDEMARK_STORE");
  fix_environment_path("TIDEMARK_DUCKDB");
  fix_environment_path("TIDEMARK_LUA");
  if (chdir(folder) != 0) {
    return error_set(err, ERR_NOT_FOUND, "-C %s: %s", folder, strerror(errno));
  }
  return true;
}

static bool run(Args *args, Error *err)
{
  Buf out = {0};
  bool good = true;
  if (args->version) {
    good = cmd_version_run(args, err);
  } else if (args->help && args->command) {
    help_print_command(args->command, &out);
  } else if (!args->command) {
    help_print_overview(&out);
  } else {
    good = cli_enter_project(args, err) && args->command->run(args, err);
  }
  print_out(stdout, &out);
  buf_deinit(&out);
  return good;
}

// A full disk behind `> file` shows only here.
static bool flush_results(Error *err)
{
  if (fflush(stdout) != 0 || ferror(stdout)) {
    return error_set(err, ERR_IO, "cannot write the results: %s", strerror(errno));
  }
  return true;
}

int cli_run(int argc, char **argv)
{
  Arena arena = {0};
  Error err = {0};
  Args args = {0};
  bool good = args_parse(&args, argc, argv, &arena, &err) && args_check_arguments(&args, &err)
              && run(&args, &err);
  good = flush_results(good ? &err : &(Error){0}) && good;
  int status = good ? args.status : error_exit_status(err.code);
  if (!good) {
    print_error(&args, &err);
  }
  arena_deinit(&arena);
  return status;
}
