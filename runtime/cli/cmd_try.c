// try: what a view makes of some rows.

#include <stdio.h>

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/trial.h"
#include "cli/watch.h"
#include "engine/try.h"

enum { LIMIT_DEFAULT = 10 };

// --- As a grid ---

static Slice text_cell(const char *text, Arena *arena)
{
  Buf bytes = {0};
  msgpack_packer packer = mp_packer(&bytes);
  mp_put_text(&packer, text);
  Slice copy = arena_copy(arena, buf_slice(&bytes));
  buf_deinit(&bytes);
  return copy;
}

static Slice number_cell(uint64_t number, Arena *arena)
{
  Buf bytes = {0};
  msgpack_packer packer = mp_packer(&bytes);
  msgpack_pack_uint64(&packer, number);
  Slice copy = arena_copy(arena, buf_slice(&bytes));
  buf_deinit(&bytes);
  return copy;
}

static bool is_input(const TryResult *result, const char *name)
{
  for (size_t i = 0; i < result->input_count; i++) {
    if (strcmp(result->inputs[i]->name, name) == 0) {
      return true;
    }
  }
  return false;
}

// A feature that is called as an input is gets its view's name in front, as in a training set.
static void name_columns(const TryResult *result, bool table, Grid *grid, Arena *arena)
{
  size_t at = 0;
  grid->columns[at++].name = "row";
  for (size_t i = 0; i < result->input_count; i++) {
    const Field *input = result->inputs[i];
    grid->columns[at++] = (GridColumn){input->name, type_is_time(input->type)};
  }
  grid->columns[at++].name = table ? "->" : "outcome";
  for (size_t i = 0; i < result->feature_count; i++) {
    const Field *feature = &result->features[i];
    bool twice = is_input(result, feature->name) || strcmp(feature->name, "row") == 0;
    const char *name =
        twice && !table ? arena_print(arena, "%s__%s", result->view, feature->name) : feature->name;
    grid->columns[at++] = (GridColumn){name, type_is_time(feature->type)};
  }
  grid->columns[at++].name = table ? "outcome" : "message";
}

// What the last column of a table says of a row.
static const char *describe(const TryRow *row, Arena *arena)
{
  const char *outcome = try_outcome_name(row->outcome);
  return row->message ? arena_print(arena, "%s: %s", outcome, row->message) : outcome;
}

static void put_row(const TryResult *result, const TryRow *row, bool table, Slice *cells,
                    Arena *arena)
{
  size_t at = 0;
  cells[at++] = number_cell(row->number, arena);
  for (size_t i = 0; i < result->input_count; i++) {
    cells[at++] = row->inputs[i];
  }
  cells[at++] = text_cell(table ? "->" : try_outcome_name(row->outcome), arena);
  for (size_t i = 0; i < result->feature_count; i++) {
    bool blank = table && row->outcome != TRY_KEPT;
    cells[at++] = blank ? text_cell("-", arena) : row->features[i];
  }
  if (table) {
    cells[at++] = text_cell(describe(row, arena), arena);
  } else if (row->message) {
    cells[at++] = text_cell(row->message, arena);
  }
}

static bool is_plain(const TryResult *result)
{
  for (size_t i = 0; i < result->row_count; i++) {
    if (result->rows[i].outcome != TRY_KEPT) {
      return false;
    }
  }
  return true;
}

static void print_result_grid(const TryResult *result, Format format, Buf *out, Arena *arena)
{
  bool table = format == FORMAT_TABLE;
  size_t columns = result->input_count + result->feature_count + 3;
  Grid grid = grid_new(columns, result->row_count, arena);
  name_columns(result, table, &grid, arena);
  for (size_t i = 0; i < result->row_count; i++) {
    put_row(result, &result->rows[i], table, &grid.cells[i * columns], arena);
  }
  if (table && is_plain(result)) {
    // Without the column that has nothing to say.
    for (size_t i = 1; i < result->row_count; i++) {
      memmove(&grid.cells[i * (columns - 1)], &grid.cells[i * columns],
              (columns - 1) * sizeof(*grid.cells));
    }
    grid.column_count = columns - 1;
  }
  print_grid(&grid, format, out);
}

// --- As JSON ---

static void put_text(const char *text, Arena *arena, Buf *out)
{
  cell_print_json(text_cell(text, arena), false, out);
}

static void put_field(const Field *field, Slice value, bool first, Arena *arena, Buf *out)
{
  buf_print(out, first ? "" : ", ");
  put_text(field->name, arena, out);
  buf_print(out, ": ");
  cell_print_json(value, type_is_time(field->type), out);
}

static void print_result_json(const TryResult *result, Buf *out, Arena *arena)
{
  buf_print(out, "[");
  for (size_t i = 0; i < result->row_count; i++) {
    const TryRow *row = &result->rows[i];
    buf_print(out, "%s\n  {\"row\": %llu, \"outcome\": \"%s\", \"message\": ", i ? "," : "",
              (unsigned long long)row->number, try_outcome_name(row->outcome));
    row->message ? put_text(row->message, arena, out) : buf_print(out, "null");
    buf_print(out, ", \"inputs\": {");
    for (size_t c = 0; c < result->input_count; c++) {
      put_field(result->inputs[c], row->inputs[c], c == 0, arena, out);
    }
    buf_print(out, "}, \"features\": {");
    for (size_t c = 0; c < result->feature_count; c++) {
      put_field(&result->features[c], row->features[c], c == 0, arena, out);
    }
    buf_print(out, "}}");
  }
  buf_print(out, result->row_count ? "\n]\n" : "]\n");
}

// --- The command ---

static const char *plural(uint64_t count)
{
  return count == 1 ? "" : "s";
}

static void note_counts(const Args *args, const TryResult *result)
{
  print_note(
      args, "%llu row%s of %s: %llu kept, %llu filtered, %llu failed%s",
      (unsigned long long)result->seen, plural(result->seen), result->rows_of,
      (unsigned long long)(result->seen - result->filtered - result->failed - result->deleted),
      (unsigned long long)result->filtered, (unsigned long long)result->failed,
      result->deleted
          ? arena_print(args->arena, ", %llu deleted", (unsigned long long)result->deleted)
          : "");
}

static void note_absent(const Args *args, const TryResult *result)
{
  if (result->absent) {
    print_note(args, "%s has no columns of these stored features, so they are null: %s",
               result->rows_of, result->absent);
  }
}

// Per row, over all rows that were looked at.
static void note_time(const Args *args, const TryResult *result)
{
  double each = result->run_rows ? (double)result->run_ns / (double)result->run_rows : 0;
  const char *unit = each >= 1000 ? "us" : "ns";
  if (result->computed) {
    print_note(args, "functions took %.3g %s a row%s", each >= 1000 ? each / 1000 : each, unit,
               result->note ? arena_print(args->arena, "; %s", result->note) : "");
  }
}

static void print_result(const Args *args, const TryResult *result)
{
  Buf out = {0};
  if (args->format == FORMAT_JSON) {
    print_result_json(result, &out, args->arena);
  } else if (result->row_count || args->format == FORMAT_CSV) {
    print_result_grid(result, args->format, &out, args->arena);
  }
  print_out(stdout, &out);
  buf_deinit(&out);
  note_counts(args, result);
  note_absent(args, result);
  note_time(args, result);
}

static TryRequest make_request(const Args *args, const Trial *trial)
{
  return (TryRequest){
      .catalog = trial->declared.catalog,
      .functions = trial->functions,
      .view = slice_text(args->arguments[0]),
      .rows = args_value(args, "rows"),
      .limit = args_number(args, "limit", LIMIT_DEFAULT),
      .failed_only = args_has(args, "where-failed"),
  };
}

static bool run_once(Args *args, Error *err)
{
  Trial trial;
  TryResult result;
  bool good = trial_open(&trial, args, err);
  if (good) {
    TryRequest request = make_request(args, &trial);
    good = engine_try(trial.session.engine, &request, &result, args->arena, err);
  }
  progress_clear(&trial.session.bar);
  if (good) {
    print_result(args, &result);
  }
  trial_close(&trial);
  return good;
}

bool cmd_try_run(Args *args, Error *err)
{
  return args_has(args, "watch") ? watch_run(args, run_once, err) : run_once(args, err);
}
