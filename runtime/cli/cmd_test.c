// test: the tests of the definitions.

#include <stdio.h>

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/trial.h"
#include "cli/watch.h"
#include "engine/test.h"

static Slice text_cell(const char *text, Arena *arena)
{
  Buf bytes = {0};
  msgpack_packer packer = mp_packer(&bytes);
  text ? mp_put_text(&packer, text) : (void)msgpack_pack_nil(&packer);
  Slice copy = arena_copy(arena, buf_slice(&bytes));
  buf_deinit(&bytes);
  return copy;
}

static void put_text(const char *text, Arena *arena, Buf *out)
{
  cell_print_json(text_cell(text, arena), false, out);
}

// --- As a report ---

static void print_place(const TestDifference *difference, Buf *out)
{
  if (difference->row) {
    buf_print(out, "row %zu%s", difference->row, difference->field ? ", " : ": ");
  }
  if (difference->field) {
    buf_print(out, "%s: ", difference->field);
  }
}

static void print_difference(const TestDifference *difference, Buf *out)
{
  buf_print(out, "      ");
  print_place(difference, out);
  if (difference->message) {
    buf_print(out, "%s\n", difference->message);
    return;
  }
  buf_print(out, "expected %s", print_colour(stdout, COLOUR_GREEN));
  cell_print_json(difference->expected, difference->time, out);
  buf_print(out, "%s, got %s", print_colour(stdout, COLOUR_NONE), print_colour(stdout, COLOUR_RED));
  cell_print_json(difference->got, difference->time, out);
  buf_print(out, "%s\n", print_colour(stdout, COLOUR_NONE));
}

static void print_report(const TestResult *result, Buf *out)
{
  for (size_t i = 0; i < result->count; i++) {
    const TestOutcome *test = &result->items[i];
    if (!test->count) {
      continue;
    }
    buf_print(out, "%sFAIL%s  %s: %s\n", print_colour(stdout, COLOUR_RED),
              print_colour(stdout, COLOUR_NONE), test->at, test->name);
    for (size_t d = 0; d < test->count; d++) {
      print_difference(&test->differences[d], out);
    }
  }
  buf_print(out, "%s%zu passed, %zu failed\n", result->failed ? "\n" : "",
            result->count - result->failed, result->failed);
}

// --- As JSON ---

static void put_difference(const TestDifference *difference, Arena *arena, Buf *out)
{
  buf_print(out, "{\"row\": %zu, \"field\": ", difference->row);
  put_text(difference->field, arena, out);
  if (difference->message) {
    buf_print(out, ", \"message\": ");
    put_text(difference->message, arena, out);
  } else {
    buf_print(out, ", \"expected\": ");
    cell_print_json(difference->expected, difference->time, out);
    buf_print(out, ", \"got\": ");
    cell_print_json(difference->got, difference->time, out);
  }
  buf_print(out, "}");
}

static void put_test(const TestOutcome *test, Arena *arena, Buf *out)
{
  buf_print(out, "{\"name\": ");
  put_text(test->name, arena, out);
  buf_print(out, ", \"at\": ");
  put_text(test->at, arena, out);
  buf_print(out, ", \"view\": ");
  put_text(test->view, arena, out);
  buf_print(out, ", \"passed\": %s, \"differences\": [", test->count ? "false" : "true");
  for (size_t i = 0; i < test->count; i++) {
    buf_print(out, i ? ", " : "");
    put_difference(&test->differences[i], arena, out);
  }
  buf_print(out, "]}");
}

static void print_json(const TestResult *result, Arena *arena, Buf *out)
{
  buf_print(out, "{\"passed\": %zu, \"failed\": %zu, \"tests\": [", result->count - result->failed,
            result->failed);
  for (size_t i = 0; i < result->count; i++) {
    buf_print(out, i ? ",\n  " : "\n  ");
    put_test(&result->items[i], arena, out);
  }
  buf_print(out, result->count ? "\n]}\n" : "]}\n");
}

// --- As CSV: a line for each test that passed and for each difference ---

static void put_csv_row(const TestOutcome *test, const TestDifference *difference, Arena *arena,
                        Buf *out)
{
  cell_print_csv(text_cell(test->name, arena), false, out);
  buf_print(out, ",");
  cell_print_csv(text_cell(test->at, arena), false, out);
  buf_print(out, ",");
  cell_print_csv(text_cell(test->view, arena), false, out);
  buf_print(out, ",%s,", difference ? "false" : "true");
  if (difference) {
    buf_print(out, "%zu,", difference->row);
    cell_print_csv(text_cell(difference->field, arena), false, out);
    buf_print(out, ",");
    cell_print_csv(difference->expected, difference->time, out);
    buf_print(out, ",");
    cell_print_csv(difference->got, difference->time, out);
    buf_print(out, ",");
    cell_print_csv(text_cell(difference->message, arena), false, out);
  } else {
    buf_print(out, ",,,,");
  }
  buf_print(out, "\n");
}

static void print_csv(const TestResult *result, Arena *arena, Buf *out)
{
  buf_print(out, "name,at,view,passed,row,field,expected,got,message\n");
  for (size_t i = 0; i < result->count; i++) {
    const TestOutcome *test = &result->items[i];
    if (!test->count) {
      put_csv_row(test, NULL, arena, out);
    }
    for (size_t d = 0; d < test->count; d++) {
      put_csv_row(test, &test->differences[d], arena, out);
    }
  }
}

// --- The command ---

static void print_result(const Args *args, const TestResult *result)
{
  Buf out = {0};
  switch (args->format) {
  case FORMAT_TABLE:
    print_report(result, &out);
    break;
  case FORMAT_JSON:
    print_json(result, args->arena, &out);
    break;
  case FORMAT_CSV:
    print_csv(result, args->arena, &out);
    break;
  }
  print_out(stdout, &out);
  buf_deinit(&out);
  if (!result->count) {
    print_note(args, "the definitions have no tests: `test 'name' { ... }` beside a view is one");
  }
}

static bool run_once(Args *args, Error *err)
{
  Trial trial;
  TestResult result;
  bool good = trial_open(&trial, args, err);
  if (good) {
    engine_on_progress(trial.session.engine, NULL, NULL);  // each job is a blink
    TestRequest request = {
        .catalog = trial.declared.catalog,
        .functions = trial.functions,
        .tests = trial.declared.tests,
        .names = args->arguments,
        .name_count = args->argument_count,
    };
    good = engine_test(trial.session.engine, &request, &result, args->arena, err);
  }
  progress_clear(&trial.session.bar);
  if (good) {
    print_result(args, &result);
    args->status = result.failed ? 1 : 0;
  }
  trial_close(&trial);
  return good;
}

bool cmd_test_run(Args *args, Error *err)
{
  return args_has(args, "watch") ? watch_run(args, run_once, err) : run_once(args, err);
}
