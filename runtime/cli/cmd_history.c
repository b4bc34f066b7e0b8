// get-historical-features: a spine in, a training set out.

#include "cli/commands.h"
#include "cli/mapping.h"
#include "cli/print.h"
#include "cli/session.h"

static bool check_given(const Args *args, Error *err)
{
  if (!args_value(args, "spine")) {
    return error_set(err, ERR_USAGE, "--spine FILE is missing: the rows to find features for");
  }
  if (!args_value(args, "output")) {
    return error_set(err, ERR_USAGE, "-o FILE is missing: where the training set goes");
  }
  if (args_has(args, "features") == args_has(args, "service")) {
    return error_set(err, ERR_USAGE, "say either --features REF[,REF...] or --service NAME");
  }
  return true;
}

static bool put_params(const Args *args, Params *params, Error *err)
{
  MappingList maps;
  TextList references;
  if (!check_given(args, err) || !mapping_parse(args, &maps, err)
      || !args_references(args, &references, err)) {
    return false;
  }
  Time as_of;
  if (args_time(args, "as-of-created", &as_of)) {
    params_put_time(params, "as_of_created", as_of);
  }
  params_put_text(params, "spine", args_value(args, "spine"));
  params_put_text(params, "output", args_value(args, "output"));
  params_put_list(params, "features", references);
  params_put_text(params, "service", args_value(args, "service"));
  params_put_text(params, "timestamp", args_value(args, "timestamp"));
  params_put_text(params, "time_unit", args_value(args, "time-unit"));
  mapping_put_maps(maps, params);
  params_put_flag(params, "full_feature_names", args_has(args, "full-feature-names"));
  params_put_flag(params, "statuses", args_has(args, "statuses"));
  params_put_flag(params, "event_timestamps", args_has(args, "event-timestamps"));
  params_put_text(params, "on_bad_row", args_value(args, "on-bad-row"));
  params_put_text(params, "rejects", args_value(args, "rejects"));
  return true;
}

static void note_parts(const Args *args, MpReader answer)
{
  long long parts = (long long)result_int(answer, "parts");
  if (parts > 1) {
    print_note(args, "spine in %lld parts to stay under %lld MiB; more --memory is faster", parts,
               (long long)(result_int(answer, "memory_limit") >> 20));
  }
}

// Rows that on-demand views made nulls of: the table above tells of stored views only.
static void note_failed(const Args *args, MpReader answer)
{
  MpReader views;
  uint32_t count = result_list(answer, "on_demand", &views);
  for (uint32_t i = 0; i < count; i++) {
    MpReader view = result_reader(result_take(&views));
    Slice name = result_text(view, "view");
    long long failed = (long long)result_int(view, "failed");
    if (failed) {
      print_note(args, "%.*s: %lld row%s failed and %s null", (int)name.size, name.data, failed,
                 failed == 1 ? "" : "s", failed == 1 ? "is" : "are");
    }
  }
}

static void print_summary(const Args *args, MpReader answer)
{
  Buf out = {0};
  if (args->format == FORMAT_JSON) {
    print_json_value(answer, &out);
  } else {
    MpReader views;
    uint32_t count = result_list(answer, "views", &views);
    Grid grid = grid_from_records(views, count, args->arena);
    print_grid(&grid, args->format, &out);
  }
  print_out(stdout, &out);
  buf_deinit(&out);
  long long rows = (long long)result_int(answer, "rows");
  long long columns = (long long)result_int(answer, "columns");
  print_note(args, "%s: %lld row%s, %lld column%s", args_value(args, "output"), rows,
             rows == 1 ? "" : "s", columns, columns == 1 ? "" : "s");
  note_parts(args, answer);
  note_failed(args, answer);
}

bool cmd_history_run(Args *args, Error *err)
{
  Params params = {0};
  if (!put_params(args, &params, err)) {
    params_deinit(&params);
    return false;
  }
  Session session;
  Buf bytes = {0};
  MpReader answer;
  bool good = session_open(&session, args, err)
              && session_call(&session, "get_historical_features", &params, &bytes, &answer, err);
  session_close(&session);
  if (good) {
    print_summary(args, answer);
  }
  buf_deinit(&bytes);
  params_deinit(&params);
  return good;
}
