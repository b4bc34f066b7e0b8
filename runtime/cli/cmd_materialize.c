// materialize and materialize-incremental: offline to online, with an account of every row.

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/session.h"

static void note_gaps(const Args *args, MpReader answer)
{
  MpReader views;
  uint32_t count = result_list(answer, "views", &views);
  for (uint32_t i = 0; i < count; i++) {
    MpReader view = result_reader(result_take(&views));
    Slice name = result_text(view, "view");
    if (result_bool(view, "gap")) {
      print_note(args,
                 "%.*s: the mark stays where it was, because the interval does not touch what was "
                 "materialized before",
                 (int)name.size, name.data);
    }
  }
}

// An interval that nothing lies in is more often a mistake than a quiet week.
static void note_empty(const Args *args, MpReader answer)
{
  MpReader views;
  uint32_t count = result_list(answer, "views", &views);
  for (uint32_t i = 0; i < count; i++) {
    MpReader view = result_reader(result_take(&views));
    Slice name = result_text(view, "view");
    if (!result_int(view, "inside") && !result_int(view, "late")) {
      print_note(args, "%.*s: its source has no row in the interval", (int)name.size, name.data);
    }
  }
}

// What was brought online before is not looked at again.
static void note_done(const Args *args, MpReader answer)
{
  MpReader views;
  uint32_t count = result_list(answer, "views", &views);
  for (uint32_t i = 0; i < count; i++) {
    MpReader view = result_reader(result_take(&views));
    Slice name = result_text(view, "view");
    if (result_int(view, "start") > 0 && result_int(view, "start") >= result_int(view, "end")) {
      char mark[CLOCK_TEXT_SIZE];
      clock_print(result_int(view, "start"), mark);
      print_note(args, "%.*s: it is online up to %s already, which is not before END",
                 (int)name.size, name.data, mark);
    }
  }
}

static bool call_and_print(const Args *args, const char *method, const Params *params, Error *err)
{
  Session session;
  Buf bytes = {0};
  MpReader answer;
  bool good = session_open(&session, args, err)
              && session_call(&session, method, params, &bytes, &answer, err);
  session_close(&session);
  if (good) {
    Buf out = {0};
    MpReader views;
    uint32_t count = result_list(answer, "views", &views);
    Grid grid = grid_from_records(views, count, args->arena);
    print_grid(&grid, args->format, &out);
    print_out(stdout, &out);
    buf_deinit(&out);
    note_gaps(args, answer);
    if (strcmp(method, "materialize") == 0) {
      note_empty(args, answer);
    } else {
      note_done(args, answer);
    }
  }
  buf_deinit(&bytes);
  return good;
}

static bool run(const Args *args, const char *start_text, const char *end_text, Error *err)
{
  Params params = {0};
  TextList views = args_listed(args, "view");
  Time start = 0;
  Time end;
  bool good = (!start_text || args_parse_time(start_text, "START", &start, err))
              && args_parse_time(end_text, "END", &end, err)
              && (views.count || !args_has(args, "view")
                  || error_set(err, ERR_USAGE, "--view: expected VIEW[,VIEW...]"));
  if (good) {
    if (start_text) {
      params_put_time(&params, "start", start);
    }
    params_put_time(&params, "end", end);
    params_put_list(&params, "views", views);
    params_put_text(&params, "on_bad_row", args_value(args, "on-bad-row"));
    params_put_text(&params, "rejects", args_value(args, "rejects"));
    good =
        call_and_print(args, start_text ? "materialize" : "materialize_incremental", &params, err);
  }
  params_deinit(&params);
  return good;
}

bool cmd_materialize_run(Args *args, Error *err)
{
  return run(args, args->arguments[0], args->arguments[1], err);
}

bool cmd_materialize_incremental_run(Args *args, Error *err)
{
  return run(args, NULL, args->arguments[0], err);
}
