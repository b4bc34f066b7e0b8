// plan and apply: the difference between the definitions and the registry.

#include <stdio.h>

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/problems.h"
#include "cli/session.h"
#include "cli/stubs.h"

typedef struct {
  unsigned created, updated, deleted;
} Counts;

static const struct {
  const char *action;
  char sign;
  Colour colour;
} ACTIONS[] = {
    {"create", '+', COLOUR_GREEN}, {"update", '~', COLOUR_YELLOW}, {"delete", '-', COLOUR_RED}};

static void print_change(MpReader change, FILE *file, Buf *out)
{
  Slice action = result_text(change, "action");
  size_t kind = slice_is(action, "create") ? 0 : slice_is(action, "update") ? 1 : 2;
  Slice word = result_text(change, "kind");
  Slice name = result_text(change, "name");
  Slice at = result_text(change, "at");
  const char *none = print_colour(file, COLOUR_NONE);
  buf_print(out, "%s%c %.*s \"%.*s\"%s", print_colour(file, ACTIONS[kind].colour),
            ACTIONS[kind].sign, (int)word.size, word.data, (int)name.size, name.data, none);
  buf_print(out, at.size ? "  %.*s\n" : "\n", (int)at.size, at.data);
  MpReader details;
  uint32_t count = result_list(change, "details", &details);
  for (uint32_t i = 0; i < count; i++) {
    MpReader reader = result_reader(result_take(&details));
    MpToken detail = mp_take(&reader);
    buf_print(out, "    %.*s\n", (int)detail.bytes.size, detail.bytes.data);
  }
  if (result_bool(change, "incompatible")) {
    Slice reason = result_text(change, "reason");
    buf_print(out, "    %sincompatible: %.*s%s\n", print_colour(file, COLOUR_RED), (int)reason.size,
              reason.data, none);
  }
}

static Counts print_changes(MpReader plan, FILE *file, Buf *out)
{
  Counts counts = {0};
  MpReader items;
  uint32_t count = result_list(plan, "changes", &items);
  for (uint32_t i = 0; i < count; i++) {
    MpReader change = result_reader(result_take(&items));
    Slice action = result_text(change, "action");
    counts.created += slice_is(action, "create");
    counts.updated += slice_is(action, "update");
    counts.deleted += slice_is(action, "delete");
    print_change(change, file, out);
  }
  return counts;
}

static void print_data(MpReader answer, Format format, Buf *out, Arena *arena)
{
  if (format == FORMAT_JSON) {
    print_json_value(answer, out);
    return;
  }
  static const char *const FIELDS[] = {"action",  "kind",         "name",   "at",
                                       "details", "incompatible", "reason", NULL};
  MpReader items;
  uint32_t count = result_list(answer, "changes", &items);
  Grid grid = grid_from_fields(items, count, FIELDS, arena);
  print_grid_csv(&grid, out);
}

static const char NOT_APPLIED[] = ", so nothing was applied";

// `outcome` ends the sentence: what became of the command.
static bool refuse_problems(MpReader plan, const char *outcome, Error *err)
{
  MpReader items;
  uint32_t count = result_list(plan, "problems", &items);
  return problems_refuse(items, count, outcome, err);
}

static bool run_plan(Session *session, const Args *args, Error *err)
{
  Buf bytes = {0};
  Buf out = {0};
  MpReader plan;
  bool good = session_call(session, "plan", NULL, &bytes, &plan, err);
  if (good && args->format != FORMAT_TABLE) {
    print_data(plan, args->format, &out, args->arena);
    good = refuse_problems(plan, "", err);
  } else if (good && (good = refuse_problems(plan, "", err))) {
    Counts counts = print_changes(plan, stdout, &out);
    bool none = !counts.created && !counts.updated && !counts.deleted;
    buf_print(&out, "%sPlan: %u to add, %u to change, %u to delete.\n", none ? "" : "\n",
              counts.created, counts.updated, counts.deleted);
    int64_t incompatible = result_int(plan, "incompatible_count");
    if (incompatible) {
      buf_print(&out, "%lld incompatible: apply needs --allow-incompatible.\n",
                (long long)incompatible);
    }
  }
  print_out(stdout, &out);
  buf_deinit(&out);
  buf_deinit(&bytes);
  return good;
}

// The plan comes first: its mistakes and refusals are shown before anything is touched.
static bool check_plan(Session *session, const Args *args, Error *err)
{
  Buf bytes = {0};
  Buf out = {0};
  MpReader plan;
  bool good = session_call(session, "plan", NULL, &bytes, &plan, err)
              && refuse_problems(plan, NOT_APPLIED, err);
  if (good && result_int(plan, "incompatible_count") && !args_has(args, "allow-incompatible")) {
    print_changes(plan, stderr, &out);
    print_out(stderr, &out);
    good = error_set(err, ERR_CONFLICT,
                     "incompatible changes, so nothing was applied: allow them with "
                     "--allow-incompatible, or declare the new thing under a new name");
  }
  buf_deinit(&out);
  buf_deinit(&bytes);
  return good;
}

static void print_applied(MpReader answer, Buf *out)
{
  Counts counts = print_changes(answer, stdout, out);
  long long generation = (long long)result_int(answer, "generation");
  if (!counts.created && !counts.updated && !counts.deleted) {
    buf_print(out, "Nothing to change: generation %lld is what the definitions say.\n", generation);
    return;
  }
  buf_print(out, "\nApplied generation %lld: %u added, %u changed, %u deleted.\n", generation,
            counts.created, counts.updated, counts.deleted);
  int64_t dropped = result_int(answer, "rows_dropped");
  if (dropped) {
    buf_print(out, "%lld online row%s of dropped views deleted.\n", (long long)dropped,
              dropped == 1 ? "" : "s");
  }
}

static bool run_apply(Session *session, const Args *args, Error *err)
{
  Buf bytes = {0};
  Buf out = {0};
  Params params = {0};
  MpReader answer;
  params_put_flag(&params, "allow_incompatible", args_has(args, "allow-incompatible"));
  bool good = check_plan(session, args, err)
              && session_call(session, "apply", &params, &bytes, &answer, err)
              && refuse_problems(answer, NOT_APPLIED, err);
  if (good && args->format == FORMAT_TABLE) {
    print_applied(answer, &out);
  } else if (good) {
    print_data(answer, args->format, &out, args->arena);
  }
  print_out(stdout, &out);
  params_deinit(&params);
  buf_deinit(&out);
  buf_deinit(&bytes);
  return good;
}

bool cmd_plan_run(Args *args, Error *err)
{
  Session session;
  bool good = session_open(&session, args, err) && run_plan(&session, args, err);
  session_close(&session);
  return good;
}

// What was applied is what the editor should know; it is applied whatever becomes of this.
static void refresh_stubs(Session *session, const Args *args)
{
  Catalog *catalog;
  Error err = {0};
  if (!engine_pin(session->engine, &catalog, &err)
      || !stubs_refresh(session->engine, catalog, args->arena, &err)) {
    print_note(args, "the editor's stubs are not fresh: %s", err.message);
  }
  catalog_unref(catalog);
}

bool cmd_apply_run(Args *args, Error *err)
{
  Session session;
  bool good = session_open(&session, args, err) && run_apply(&session, args, err);
  if (good) {
    refresh_stubs(&session, args);
  }
  session_close(&session);
  return good;
}
