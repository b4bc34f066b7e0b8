#include "engine/test.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "data/row.h"
#include "engine/function_pool.h"
#include "engine/history.h"
#include "engine/push_value.h"
#include "engine/try.h"
#include "source/reader.h"

// A column of the file that given rows become.
typedef struct {
  const char *column;
  const char *alias;  // another name it may have in a row; NULL: none
  bool needed;        // with `at`: a row without it would match nothing
} GivenColumn;

// A value that may be expected.
typedef struct {
  const char *name;
  Type type;
} Known;

typedef struct {
  Engine *engine;
  const TestRequest *request;
  Arena *arena;
  const char *folder;  // temporary files
  // The test at hand.
  TestOutcome *outcome;
  const View *view;
  const OnDemand *on_demand;
  MpReader given;  // lists of maps
  MpReader expect;
  bool has_time;
  Time time;
  double tolerance;
} Tests;

// --- Differences ---

static TestDifference *add_difference(Tests *tests)
{
  TestOutcome *outcome = tests->outcome;
  if ((outcome->count & (outcome->count - 1)) == 0) {
    size_t capacity = outcome->count ? outcome->count * 2 : 1;
    TestDifference *items = arena_zalloc(tests->arena, capacity, sizeof(*items));
    if (outcome->count) {
      memcpy(items, outcome->differences, outcome->count * sizeof(*items));
    }
    outcome->differences = items;
  }
  TestDifference *difference = &outcome->differences[outcome->count++];
  *difference = (TestDifference){0};
  return difference;
}

static void add_message(Tests *tests, size_t row, const char *field, const char *message)
{
  TestDifference *difference = add_difference(tests);
  difference->row = row;
  difference->field = field;
  difference->message = message;
}

static void add_error(Tests *tests, const Error *err)
{
  const char *message = *err->where ? arena_print(tests->arena, "%s: %s", err->where, err->message)
                                    : arena_text(tests->arena, slice_text(err->message));
  add_message(tests, 0, NULL, message);
}

// --- Rows ---

static MpReader reader_of(Slice bytes)
{
  const uint8_t *start = (const uint8_t *)bytes.data;
  return (MpReader){start, start + bytes.size};
}

// Steps over the value that the cursor stands on.
static Slice take_bytes(MpReader *reader)
{
  const uint8_t *start = reader->at;
  MpStatus status = mp_skip(reader, (MpLimits){MP_DEPTH_MAX, UINT64_MAX});
  assert(status == MP_OK);
  (void)status;
  return slice_of(start, (size_t)(reader->at - start));
}

static uint32_t count_rows(MpReader list)
{
  return mp_take(&list).count;
}

static bool is_nil(MpReader value)
{
  return mp_take(&value).kind == MP_NIL;
}

static bool find_value(MpReader row, const GivenColumn *column, MpReader *value)
{
  return mp_map_get(row, column->column, value)
         || (column->alias && mp_map_get(row, column->alias, value));
}

// --- What given rows may hold ---

static void add_given(GivenColumn *columns, size_t *count, const char *column, const char *alias,
                      bool needed)
{
  for (size_t i = 0; i < *count; i++) {
    if (strcmp(columns[i].column, column) == 0) {
      return;
    }
  }
  columns[(*count)++] = (GivenColumn){column, alias, needed};
}

static void add_inputs(GivenColumn *columns, size_t *count, const Function *function,
                       bool on_demand)
{
  for (size_t i = 0; i < function->input_count; i++) {
    const Field *input = &function->inputs[i];
    add_given(columns, count, on_demand ? input->name : input->column, NULL, false);
  }
}

static void add_view_columns(const Tests *tests, GivenColumn *columns, size_t *count)
{
  const View *view = tests->view;
  const Source *source = view->source;
  for (size_t i = 0; i < view->key_count; i++) {
    add_given(columns, count, view->keys[i].column, view->keys[i].name, tests->has_time);
  }
  add_given(columns, count, source->event_time, NULL, tests->has_time);
  if (source->created_time) {
    add_given(columns, count, source->created_time, NULL, false);
  }
  if (source->deleted) {
    add_given(columns, count, source->deleted, NULL, false);
  }
  add_inputs(columns, count, &view->filter, false);
  add_inputs(columns, count, &view->transform, false);
  for (size_t i = 0; !view->transform.at && i < view->feature_count; i++) {
    add_given(columns, count, view->features[i].column, NULL, false);
  }
}

static size_t list_given(const Tests *tests, GivenColumn **columns)
{
  size_t most = 3;
  if (tests->view) {
    const View *view = tests->view;
    most += view->key_count + view->feature_count + view->filter.input_count
            + view->transform.input_count;
  } else {
    most += tests->on_demand->transform.input_count;
  }
  *columns = arena_zalloc(tests->arena, most, sizeof(**columns));
  size_t count = 0;
  if (tests->view) {
    add_view_columns(tests, *columns, &count);
  } else {
    add_inputs(*columns, &count, &tests->on_demand->transform, true);
  }
  return count;
}

static const char *did_you_mean(Tests *tests, Slice name, const char *const *known, size_t count)
{
  const char *near = catalog_suggest(name, known, count);
  return near ? arena_print(tests->arena, ", did you mean \"%s\"?", near) : "";
}

static bool check_given_names(Tests *tests, MpReader row, uint32_t number,
                              const GivenColumn *columns, size_t count, Error *err)
{
  uint32_t fields = mp_take(&row).count;
  for (uint32_t i = 0; i < fields; i++) {
    Slice name = mp_take(&row).bytes;
    take_bytes(&row);
    bool known = false;
    const char **names = arena_zalloc(tests->arena, 2 * count, sizeof(*names));
    size_t name_count = 0;
    for (size_t c = 0; c < count; c++) {
      names[name_count++] = columns[c].column;
      if (columns[c].alias) {
        names[name_count++] = columns[c].alias;
      }
    }
    for (size_t c = 0; c < name_count && !known; c++) {
      known = slice_is(name, names[c]);
    }
    if (!known) {
      return error_set(err, ERR_INVALID, "given, row %u: the view reads no \"%.*s\"%s", number,
                       (int)name.size, name.data, did_you_mean(tests, name, names, name_count));
    }
  }
  return true;
}

static bool check_needed(MpReader row, uint32_t number, const GivenColumn *columns, size_t count,
                         Error *err)
{
  for (size_t c = 0; c < count; c++) {
    MpReader value;
    if (columns[c].needed && (!find_value(row, &columns[c], &value) || is_nil(value))) {
      return error_set(err, ERR_INVALID,
                       "given, row %u: \"%s\" is missing: with `at`, rows need their keys and "
                       "their time",
                       number, columns[c].alias ? columns[c].alias : columns[c].column);
    }
  }
  return true;
}

// --- Files ---

static bool write_bytes(const char *path, const Buf *bytes, Error *err)
{
  FILE *file = fopen(path, "wb");
  bool good = file && fwrite(bytes->data, 1, bytes->size, file) == bytes->size;
  good = file && fclose(file) == 0 && good;
  return good || error_set(err, ERR_IO, "cannot write %s: %s", path, strerror(errno));
}

// Every column in every row: a file has the columns that some row has.
static void put_given_row(Buf *out, MpReader row, const GivenColumn *columns, size_t count)
{
  msgpack_packer packer = mp_packer(out);
  msgpack_pack_map(&packer, count);
  for (size_t c = 0; c < count; c++) {
    mp_put_text(&packer, columns[c].column);
    MpReader value;
    if (find_value(row, &columns[c], &value)) {
      buf_put_slice(out, take_bytes(&value));
    } else {
      msgpack_pack_nil(&packer);
    }
  }
}

static bool write_given(Tests *tests, const char *path, Error *err)
{
  GivenColumn *columns;
  size_t count = list_given(tests, &columns);
  MpReader rows = tests->given;
  uint32_t row_count = mp_take(&rows).count;
  Buf bytes = {0};
  bool good = true;
  for (uint32_t i = 1; good && i <= row_count; i++) {
    MpReader row = rows;
    take_bytes(&rows);
    good = check_given_names(tests, row, i, columns, count, err)
           && check_needed(row, i, columns, count, err);
    if (good) {
      put_given_row(&bytes, row, columns, count);
    }
  }
  good = good && write_bytes(path, &bytes, err);
  buf_deinit(&bytes);
  return good;
}

// --- Comparing ---

static bool same_float(double expected, double got, double tolerance)
{
  return expected == got || (isnan(expected) && isnan(got)) || fabs(expected - got) <= tolerance;
}

// Two values of one type, as rows have them.
static bool same_value(MpReader *expected, MpReader *got, double tolerance)
{
  MpToken a = mp_take(expected);
  MpToken b = mp_take(got);
  if (a.kind != b.kind) {
    return false;
  }
  switch (a.kind) {
  case MP_NIL:
    return true;
  case MP_FLOAT:
    return same_float(a.real, b.real, tolerance);
  case MP_STR:
  case MP_BIN:
    return slice_equal(a.bytes, b.bytes);
  case MP_ARRAY: {
    bool same = a.count == b.count;
    for (uint32_t i = 0; same && i < a.count; i++) {
      same = same_value(expected, got, tolerance);
    }
    return same;
  }
  default:
    return a.integer == b.integer
           || (tolerance > 0 && fabs((double)a.integer - (double)b.integer) <= tolerance);
  }
}

static void compare_value(Tests *tests, size_t row, const Known *known, MpReader expected,
                          Slice got)
{
  Buf value = {0};
  Error err = {0};
  if (!push_value_put(&value, known->type, &expected, &err)) {
    add_message(tests, row, known->name,
                arena_print(tests->arena, "cannot be what is expected: %s", err.message));
  } else {
    MpReader a = reader_of(buf_slice(&value));
    MpReader b = reader_of(got);
    if (!same_value(&a, &b, tests->tolerance)) {
      TestDifference *difference = add_difference(tests);
      difference->row = row;
      difference->field = known->name;
      difference->expected = arena_copy(tests->arena, buf_slice(&value));
      difference->got = arena_copy(tests->arena, got);
      difference->time = type_is_time(known->type);
    }
  }
  buf_deinit(&value);
}

// Values of one row that came out, in the order of what may be expected.
static void compare_row(Tests *tests, size_t row, const Known *known, size_t count,
                        const Slice *values, MpReader expected)
{
  uint32_t fields = mp_take(&expected).count;
  for (uint32_t i = 0; i < fields; i++) {
    Slice name = mp_take(&expected).bytes;
    MpReader value = expected;
    take_bytes(&expected);
    size_t place = 0;
    while (place < count && !slice_is(name, known[place].name)) {
      place++;
    }
    if (place < count) {
      compare_value(tests, row, &known[place], value, values[place]);
    }
  }
}

// Names of expected rows that nothing can have are mistakes of the test. `keys` come first in
// `known`.
static bool check_expected(Tests *tests, const Known *known, size_t count, size_t keys, Error *err)
{
  MpReader rows = tests->expect;
  uint32_t row_count = mp_take(&rows).count;
  const char **names = arena_zalloc(tests->arena, count, sizeof(*names));
  for (size_t i = 0; i < count; i++) {
    names[i] = known[i].name;
  }
  for (uint32_t row = 1; row <= row_count; row++) {
    MpReader map = rows;
    for (size_t i = 0; i < keys; i++) {
      MpReader value;
      if (!mp_map_get(map, names[i], &value) || is_nil(value)) {
        return error_set(err, ERR_INVALID,
                         "expect, row %u: \"%s\" is missing: with `at`, a row says whom it is "
                         "about",
                         row, names[i]);
      }
    }
    uint32_t fields = mp_take(&rows).count;
    for (uint32_t i = 0; i < fields; i++) {
      Slice name = mp_take(&rows).bytes;
      take_bytes(&rows);
      bool found = false;
      for (size_t k = 0; k < count && !found; k++) {
        found = slice_is(name, names[k]);
      }
      if (!found) {
        return error_set(err, ERR_INVALID, "expect, row %u: the view has no feature \"%.*s\"%s",
                         row, (int)name.size, name.data, did_you_mean(tests, name, names, count));
      }
    }
  }
  return true;
}

// --- Without `at`: row by row ---

// Inputs may be named too, so that a row that was left out shows.
static size_t list_made(Tests *tests, const TryResult *made, Known **known)
{
  size_t count = 0;
  *known = arena_zalloc(tests->arena, made->feature_count + made->input_count, sizeof(**known));
  for (size_t i = 0; i < made->feature_count; i++) {
    (*known)[count++] = (Known){made->features[i].name, made->features[i].type};
  }
  for (size_t i = 0; i < made->input_count; i++) {
    (*known)[count++] = (Known){made->inputs[i]->name, made->inputs[i]->type};
  }
  return count;
}

static bool fails_job(const Tests *tests)
{
  const Function *function = tests->view ? &tests->view->transform : &tests->on_demand->transform;
  return !function->null_on_error;
}

// What became of the rows that did not come out, for a message about their number.
static const char *describe_left_out(Tests *tests, const TryResult *made)
{
  const char *text = "";
  for (size_t i = 0; i < made->row_count; i++) {
    TryOutcome outcome = made->rows[i].outcome;
    if (outcome == TRY_FILTERED || outcome == TRY_DELETED) {
      text = arena_print(tests->arena, "%s%s row %llu was %s", text, *text ? "," : ";",
                         (unsigned long long)made->rows[i].number, try_outcome_name(outcome));
    }
  }
  return text;
}

static void compare_made(Tests *tests, const TryResult *made, const Known *known, size_t count)
{
  MpReader rows = tests->expect;
  uint32_t expected = mp_take(&rows).count;
  uint32_t came = 0;
  for (size_t i = 0; i < made->row_count; i++) {
    const TryRow *row = &made->rows[i];
    if (row->outcome == TRY_FILTERED || row->outcome == TRY_DELETED) {
      continue;
    }
    came++;
    MpReader map = rows;
    if (came <= expected) {
      take_bytes(&rows);
    }
    if (row->outcome == TRY_FAILED && fails_job(tests)) {
      add_message(tests, came, NULL, row->message);
    } else if (came <= expected) {
      Slice *values = arena_zalloc(tests->arena, count, sizeof(*values));
      memcpy(values, row->features, made->feature_count * sizeof(*values));
      memcpy(values + made->feature_count, row->inputs, made->input_count * sizeof(*values));
      compare_row(tests, came, known, count, values, map);
    }
  }
  if (came != expected) {
    add_message(tests, 0, NULL,
                arena_print(tests->arena, "expected %u row%s, got %u%s", expected,
                            expected == 1 ? "" : "s", came, describe_left_out(tests, made)));
  }
}

static bool test_rows(Tests *tests, Error *err)
{
  const char *path = arena_print(tests->arena, "%s/given.msgpack", tests->folder);
  TryRequest request = {
      .catalog = tests->request->catalog,
      .functions = tests->request->functions,
      .view = slice_text(tests->outcome->view),
      .rows = path,
      .rows_name = "given",
      .limit = count_rows(tests->given),
  };
  TryResult made;
  if (!write_given(tests, path, err)
      || !engine_try(tests->engine, &request, &made, tests->arena, err)) {
    return false;
  }
  Known *known;
  size_t count = list_made(tests, &made, &known);
  if (!check_expected(tests, known, count, 0, err)) {
    return false;
  }
  compare_made(tests, &made, known, count);
  return true;
}

// --- With `at`: as of a time ---

// Keys first, then each feature and its status.
static size_t list_joined(Tests *tests, Known **known)
{
  const View *view = tests->view;
  size_t count = 0;
  *known = arena_zalloc(tests->arena, view->key_count + 2 * view->feature_count, sizeof(**known));
  for (size_t i = 0; i < view->key_count; i++) {
    (*known)[count++] = (Known){view->keys[i].name, view->keys[i].type};
  }
  for (size_t i = 0; i < view->feature_count; i++) {
    const char *name = view->features[i].name;
    (*known)[count++] = (Known){name, view->features[i].type};
    (*known)[count++] =
        (Known){arena_print(tests->arena, "%s__status", name), (Type){.kind = TYPE_STRING}};
  }
  return count;
}

static bool write_spine(Tests *tests, const char *path, Error *err)
{
  const View *view = tests->view;
  MpReader rows = tests->expect;
  uint32_t count = mp_take(&rows).count;
  Buf bytes = {0};
  char time[CLOCK_TEXT_SIZE];
  size_t time_size = clock_print(tests->time, time);
  for (uint32_t i = 0; i < count; i++) {
    MpReader row = rows;
    take_bytes(&rows);
    msgpack_packer packer = mp_packer(&bytes);
    msgpack_pack_map(&packer, view->key_count + 1);
    for (size_t k = 0; k < view->key_count; k++) {
      MpReader value;
      mp_put_text(&packer, view->keys[k].name);
      bool found = mp_map_get(row, view->keys[k].name, &value);
      assert(found);
      (void)found;
      buf_put_slice(&bytes, take_bytes(&value));
    }
    mp_put_text(&packer, "event_timestamp");
    mp_put_str(&packer, slice_of(time, time_size));
  }
  bool good = write_bytes(path, &bytes, err);
  buf_deinit(&bytes);
  return good;
}

static bool run_join(Tests *tests, const char *spine, const char *output, Error *err)
{
  Slice all = slice_text(arena_print(tests->arena, "%s:*", tests->view->declared.name));
  HistoryRequest request = {
      .spine = spine,
      .output = output,
      .features = &all,
      .feature_count = 1,
      .as_of_created = TIME_NULL,
      .full_feature_names = true,
      .statuses = true,
  };
  HistoryResult result;
  return engine_get_historical_features(tests->engine, &request, &result, tests->arena, err);
}

// The columns of the training set, in the order of list_joined.
static ReaderColumn *joined_columns(Tests *tests, const Known *known, size_t count)
{
  ReaderColumn *columns = arena_zalloc(tests->arena, count, sizeof(*columns));
  for (size_t i = 0; i < count; i++) {
    bool key = i < tests->view->key_count;
    const char *name =
        key ? known[i].name
            : arena_print(tests->arena, "%s__%s", tests->view->declared.name, known[i].name);
    columns[i] = (ReaderColumn){.column = name, .type = known[i].type, .what = name};
  }
  return columns;
}

static void compare_joined(Tests *tests, const Batch *batch, const Known *known, size_t count,
                           MpReader *rows)
{
  Slice *values = arena_zalloc(tests->arena, count, sizeof(*values));
  for (size_t row = 0; row < batch->count; row++) {
    for (size_t i = 0; i < count; i++) {
      Buf value = {0};
      row_put_value(&value, &batch->columns[i], row);
      values[i] = arena_copy(tests->arena, buf_slice(&value));
      buf_deinit(&value);
    }
    MpReader map = *rows;
    take_bytes(rows);
    compare_row(tests, batch->first_row + row + 1, known, count, values, map);
  }
}

static bool read_joined(Tests *tests, const char *path, const Known *known, size_t count,
                        Error *err)
{
  Duck *duck = engine_duck(tests->engine, err);
  Table table = {.path = path};
  ReaderColumn *columns = joined_columns(tests, known, count);
  Reader *reader = duck ? reader_open(duck, &table, columns, count, NULL, err) : NULL;
  if (!reader) {
    return false;
  }
  MpReader rows = tests->expect;
  mp_take(&rows);
  Batch batch;
  bool good;
  while ((good = reader_next(reader, &batch, err)) && batch.count) {
    compare_joined(tests, &batch, known, count, &rows);
  }
  reader_close(reader);
  return good;
}

static bool test_join(Tests *tests, Error *err)
{
  if (!tests->view) {
    return error_set(err, ERR_INVALID,
                     "`at` is for feature views: an on_demand_feature_view has no past");
  }
  if (!count_rows(tests->expect)) {
    return error_set(err, ERR_INVALID,
                     "`expect` has no rows: with `at` each of them says whom to ask for");
  }
  const char *given = arena_print(tests->arena, "%s/given.msgpack", tests->folder);
  const char *spine = arena_print(tests->arena, "%s/spine.msgpack", tests->folder);
  const char *output = arena_print(tests->arena, "%s/output.msgpack", tests->folder);
  Known *known;
  size_t count = list_joined(tests, &known);
  engine_set_source(tests->engine, tests->view->source, given);
  bool good = check_expected(tests, known, count, tests->view->key_count, err)
              && write_given(tests, given, err) && write_spine(tests, spine, err)
              && run_join(tests, spine, output, err)
              && read_joined(tests, output, known, count, err);
  engine_set_source(tests->engine, NULL, NULL);
  return good;
}

// --- All of them ---

static const char *take_text(const Tests *tests, MpReader map, const char *key)
{
  MpReader value;
  if (!mp_map_get(map, key, &value)) {
    return "";
  }
  return arena_text(tests->arena, mp_take(&value).bytes);
}

static bool open_test(Tests *tests, MpReader map, Error *err)
{
  MpReader value;
  bool complete =
      mp_map_get(map, "given", &tests->given) && mp_map_get(map, "expect", &tests->expect);
  assert(complete);
  (void)complete;
  tests->has_time = mp_map_get(map, "at_time", &value) && !is_nil(value);
  if (tests->has_time) {
    MpToken token = mp_take(&value);
    if (!push_value_time(&token, &tests->time, err)) {
      return error_wrap(err, "at");
    }
  }
  tests->tolerance = 0;
  if (mp_map_get(map, "tolerance", &value)) {
    MpToken token = mp_take(&value);
    tests->tolerance = token.kind == MP_FLOAT ? token.real : (double)token.integer;
  }
  return true;
}

static bool run_test(Tests *tests, MpReader map, Error *err)
{
  Error failure = {0};
  bool good = open_test(tests, map, &failure)
              && try_find_view(tests->request->catalog, slice_text(tests->outcome->view),
                               &tests->view, &tests->on_demand, &failure)
              && (tests->has_time ? test_join(tests, &failure) : test_rows(tests, &failure));
  if (!good && failure.code == ERR_CANCELLED) {
    *err = failure;
    return false;
  }
  if (!good) {
    add_error(tests, &failure);
  }
  return true;
}

static bool is_wanted(const TestRequest *request, const TestOutcome *test, bool *used)
{
  if (!request->name_count) {
    return true;
  }
  bool wanted = false;
  size_t file = strcspn(test->at, ":");
  for (size_t i = 0; i < request->name_count; i++) {
    const char *name = request->names[i];
    name += strncmp(name, "./", 2) == 0 ? 2 : 0;
    if (strcmp(name, test->name) == 0 || strcmp(name, test->view) == 0
        || (strlen(name) == file && strncmp(name, test->at, file) == 0)) {
      used[i] = true;
      wanted = true;
    }
  }
  return wanted;
}

static bool check_used(const Tests *tests, const bool *used, const char *const *known, size_t count,
                       Error *err)
{
  for (size_t i = 0; i < tests->request->name_count; i++) {
    if (!used[i]) {
      const char *name = tests->request->names[i];
      const char *near = catalog_suggest(slice_text(name), known, count);
      return error_set(err, ERR_NOT_FOUND,
                       "no test, and no view or file with tests, is \"%s\"%s%s%s", name,
                       near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
  }
  return true;
}

typedef struct {
  TestOutcome outcome;
  MpReader map;
} Chosen;

// By file and line, as one reads them.
static int compare_places(const void *left, const void *right)
{
  const char *a = ((const Chosen *)left)->outcome.at;
  const char *b = ((const Chosen *)right)->outcome.at;
  size_t a_file = strcspn(a, ":");
  size_t b_file = strcspn(b, ":");
  int order = strncmp(a, b, a_file > b_file ? a_file : b_file);
  if (order) {
    return order;
  }
  long a_line = strtol(a + a_file + 1, NULL, 10);
  long b_line = strtol(b + b_file + 1, NULL, 10);
  return (a_line > b_line) - (a_line < b_line);
}

// Takes the tests that are wanted.
static bool choose(Tests *tests, Chosen *chosen, size_t *chosen_count, Error *err)
{
  MpReader list = reader_of(tests->request->tests);
  uint32_t count = tests->request->tests.size ? mp_take(&list).count : 0;
  bool *used = arena_zalloc(tests->arena, tests->request->name_count + 1, sizeof(*used));
  const char **known = arena_zalloc(tests->arena, 2 * (size_t)count + 1, sizeof(*known));
  size_t known_count = 0;
  for (uint32_t i = 0; i < count; i++) {
    MpReader map = list;
    take_bytes(&list);
    TestOutcome outcome = {
        .name = take_text(tests, map, "name"),
        .at = take_text(tests, map, "at"),
        .view = take_text(tests, map, "view"),
    };
    known[known_count++] = outcome.name;
    known[known_count++] = outcome.view;
    if (is_wanted(tests->request, &outcome, used)) {
      chosen[(*chosen_count)++] = (Chosen){outcome, map};
    }
  }
  qsort(chosen, *chosen_count, sizeof(*chosen), compare_places);
  return check_used(tests, used, known, known_count, err);
}

static bool run_all(Tests *tests, const Chosen *chosen, size_t count, TestResult *result,
                    Error *err)
{
  for (size_t i = 0; i < count; i++) {
    tests->outcome = &result->items[result->count++];
    *tests->outcome = chosen[i].outcome;
    if (!engine_progress(tests->engine, &(Progress){"running tests", i, count}, err)
        || !run_test(tests, chosen[i].map, err)) {
      return false;
    }
    result->failed += tests->outcome->count > 0;
  }
  return true;
}

static bool make_folder(Tests *tests, Error *err)
{
  const char *base = getenv("TMPDIR");
  char *folder =
      arena_print(tests->arena, "%s/tidemark-test-XXXXXX", base && *base ? base : "/tmp");
  tests->folder = mkdtemp(folder);
  return tests->folder
         || error_set(err, ERR_IO, "cannot make a temporary folder %s: %s", folder,
                      strerror(errno));
}

static void remove_folder(const Tests *tests)
{
  static const char *const FILES[] = {"given.msgpack", "spine.msgpack", "output.msgpack"};
  for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++) {
    unlink(arena_print(tests->arena, "%s/%s", tests->folder, FILES[i]));
  }
  rmdir(tests->folder);
}

bool engine_test(Engine *engine, const TestRequest *request, TestResult *result, Arena *arena,
                 Error *err)
{
  *result = (TestResult){0};
  Tests tests = {.engine = engine, .request = request, .arena = arena};
  MpReader list = reader_of(request->tests);
  size_t most = request->tests.size ? mp_take(&list).count : 0;
  size_t count = 0;
  Chosen *chosen = arena_zalloc(arena, most + 1, sizeof(*chosen));
  result->items = arena_zalloc(arena, most + 1, sizeof(*result->items));
  if (!choose(&tests, chosen, &count, err) || !make_folder(&tests, err)) {
    return false;
  }
  FunctionPool functions;
  function_pool_init(&functions, request->catalog, NULL);
  engine_set_catalog(engine, request->catalog, &functions);
  bool ok = run_all(&tests, chosen, count, result, err);
  engine_set_catalog(engine, NULL, NULL);
  function_pool_deinit(&functions);
  remove_folder(&tests);
  return ok;
}
