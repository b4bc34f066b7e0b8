// entities, sources, feature-views, feature-services: what was applied.

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/session.h"

static bool check_action(const Args *args, bool *describe, Error *err)
{
  const char *action = args->arguments[0];
  *describe = strcmp(action, "describe") == 0;
  if (!*describe && strcmp(action, "list") != 0) {
    return error_set(err, ERR_USAGE, "%s: unknown action \"%s\", expected list or describe NAME",
                     args->command->name, action);
  }
  if (*describe && args->argument_count < 2) {
    return error_set(err, ERR_USAGE, "%s describe: NAME is missing", args->command->name);
  }
  if (!*describe && args->argument_count > 1) {
    return error_set(err, ERR_USAGE, "%s list: unexpected argument \"%s\"", args->command->name,
                     args->arguments[1]);
  }
  return true;
}

static void print_answer(const Args *args, bool describe, MpReader answer)
{
  Buf out = {0};
  MpReader items = answer;
  uint32_t count = 1;  // a description is one record
  if (!describe) {
    count = result_list(answer, "items", &items);
  }
  if (describe && args->format == FORMAT_TABLE) {
    print_record(answer, &out, args->arena);
  } else if (describe && args->format == FORMAT_JSON) {
    print_record_json(answer, &out);
  } else {
    Grid grid = grid_from_records(items, count, args->arena);
    print_grid(&grid, args->format, &out);
  }
  print_out(stdout, &out);
  buf_deinit(&out);
}

// An empty table would leave the reader to wonder.
static void note_none(const Args *args, bool describe, MpReader answer)
{
  MpReader items;
  if (!describe && args->format == FORMAT_TABLE && !result_list(answer, "items", &items)) {
    print_note(args, "none were applied");
  }
}

bool cmd_catalogue_run(Args *args, Error *err)
{
  bool describe;
  if (!check_action(args, &describe, err)) {
    return false;
  }
  Params params = {0};
  params_put_text(&params, "kind", commands_kind(args->command, args->arena));
  if (describe) {
    params_put_text(&params, "name", args->arguments[1]);
  }
  Session session;
  Buf bytes = {0};
  MpReader answer;
  bool good =
      session_open(&session, args, err)
      && session_call(&session, describe ? "describe" : "list", &params, &bytes, &answer, err);
  session_close(&session);
  if (good) {
    print_answer(args, describe, answer);
    note_none(args, describe, answer);
  } else if (err->code == ERR_NOT_FOUND) {
    err->where[0] = '\0';  // "name", a parameter of the method and not of this command
  }
  buf_deinit(&bytes);
  params_deinit(&params);
  return good;
}
