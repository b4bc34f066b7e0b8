#include "engine/view_functions.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool view_functions_init(ViewFunctions *it, Functions *functions, const View *view, bool filter,
                         bool transform, Error *err)
{
  *it = (ViewFunctions){.view = view};
  if (filter && view->filter.at) {
    it->filter = functions_filter(functions, view, err);
    if (!it->filter) {
      return false;
    }
  }
  if (transform && view->transform.at) {
    it->transform = functions_transform(functions, view, err);
    return it->transform != NULL;
  }
  return true;
}

void view_functions_deinit(ViewFunctions *it)
{
  free(it->skip);
  *it = (ViewFunctions){0};
}

// --- Rows that fail ---

typedef struct {
  const ViewRows *rows;
  bool null_on_error;
  size_t refused;
  Error err;  // of the refusal itself
} Failures;

static bool row_failed(void *context, size_t row, const char *message)
{
  Failures *failures = context;
  const ViewRows *rows = failures->rows;
  if (failures->null_on_error) {
    return true;
  }
  if (!rows->refuse || !rows->refuse(rows->context, row, message, &failures->err)) {
    return false;
  }
  rows->fates[row] = ROW_REFUSED;
  failures->refused++;
  return true;
}

// The number of a row where only wanted ones are there: the row-th bit from the first one on.
static uint64_t number_of(void *context, size_t row)
{
  const Failures *failures = context;
  const ViewRows *rows = failures->rows;
  uint64_t at = rows->first_row;
  for (size_t left = row; left || !(rows->wanted[at / 64] >> (at % 64) & 1); at++) {
    left -= rows->wanted[at / 64] >> (at % 64) & 1;
  }
  return at + 1;
}

// --- Running ---

// Functions see the rows that are taken.
static const uint8_t *choose_rows(ViewFunctions *it, const ViewRows *rows)
{
  if (rows->count > it->capacity) {
    it->capacity = rows->count;
    it->skip = mem_realloc(it->skip, rows->count, sizeof(*it->skip));
  }
  uint8_t any = 0;
  for (size_t i = 0; i < rows->count; i++) {
    it->skip[i] = rows->fates[i] != ROW_TAKEN;
    any |= it->skip[i];
  }
  return any ? it->skip : NULL;
}

static bool run(ViewFunctions *it, RowFunction *function, const ViewRows *rows, Failures *failures,
                RowOutput *output, Error *err)
{
  RowInput input = {
      .count = rows->count,
      .inputs = function == it->filter ? rows->filter_inputs : rows->transform_inputs,
      .skip = choose_rows(it, rows),
      .first_row = rows->first_row,
      .rows_of = rows->rows_of,
      .number = rows->wanted ? number_of : NULL,
      .failed = row_failed,
      .context = failures,
  };
  if (functions_run(function, &input, output, err)) {
    return true;
  }
  if (failures->err.code != ERR_NONE) {
    error_clear(err);
    error_set(err, failures->err.code, "%s", failures->err.message);
  }
  return false;
}

static bool run_filter(ViewFunctions *it, const ViewRows *rows, ViewRowsResult *result, Error *err)
{
  Failures failures = {.rows = rows};
  RowOutput output;
  if (!run(it, it->filter, rows, &failures, &output, err)) {
    return false;
  }
  const Column *keep = output.columns;
  for (size_t i = 0; i < rows->count; i++) {
    if (rows->fates[i] == ROW_TAKEN && !(column_has(keep, i) && keep->bools[i])) {
      rows->fates[i] = ROW_FILTERED;
      result->filtered++;
    }
  }
  result->refused += failures.refused;
  return true;
}

static bool run_transform(ViewFunctions *it, const ViewRows *rows, ViewRowsResult *result,
                          Error *err)
{
  Failures failures = {.rows = rows, .null_on_error = it->view->transform.null_on_error};
  RowOutput output;
  if (!run(it, it->transform, rows, &failures, &output, err)) {
    return false;
  }
  result->features = output.columns;
  result->failed = failures.null_on_error ? output.failed : 0;
  result->refused += failures.refused;
  return true;
}

bool view_functions_run(ViewFunctions *it, const ViewRows *rows, ViewRowsResult *result, Error *err)
{
  *result = (ViewRowsResult){0};
  return (!it->filter || run_filter(it, rows, result, err))
         && (!it->transform || run_transform(it, rows, result, err));
}

// --- Filters ---

static bool same_inputs(const Function *a, const Function *b)
{
  bool same = a->input_count == b->input_count;
  for (size_t i = 0; same && i < a->input_count; i++) {
    same = strcmp(a->inputs[i].name, b->inputs[i].name) == 0
           && strcmp(a->inputs[i].column, b->inputs[i].column) == 0
           && type_equal(a->inputs[i].type, b->inputs[i].type);
  }
  return same;
}

bool view_functions_same_filter(const View *a, const View *b)
{
  if (a == b || (!a->filter.at && !b->filter.at)) {
    return true;
  }
  return a->filter.at && b->filter.at && strcmp(a->filter.code, b->filter.code) == 0
         && same_inputs(&a->filter, &b->filter);
}
