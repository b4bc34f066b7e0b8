#include "engine/try.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "data/row.h"
#include "engine/snapshot.h"

enum { NOWHERE = -1 };

#define ABSENT SIZE_MAX  // place of an input that the rows do not have: null

// What to read: a column per key, time, input and feature. A column that is wanted for two reasons
// is read twice, because the types may differ.
typedef struct {
  const View *view;           // NULL with on_demand
  const OnDemand *on_demand;  // NULL with view
  const Declared *declared;
  const Function *filter;     // NULL: none
  const Function *transform;  // NULL: the features are columns
  const bool *absent;         // per input of an on-demand view; NULL: all are there
  ReaderColumn *columns;
  size_t count;
  int deleted;               // place of the column; NOWHERE: none
  size_t *filter_places;     // of the filter's inputs
  size_t *transform_places;  // of the transform's inputs, or of the features
  const Field **shown;       // what is shown of each row,
  size_t *shown_places;      // and the columns it stands in
  size_t shown_count;
} Layout;

typedef struct {
  uint64_t row;  // of its file, from 1
  const char *message;
} Refused;

typedef struct {
  Engine *engine;
  const TryRequest *request;
  TryResult *result;
  Arena *arena;
  Layout layout;
  RowFunction *filter;
  RowFunction *transform;
  const char *rows_of;

  // The batch at hand.
  Arena batch;
  const char **messages;  // per row; NULL: it did not fail
  uint8_t *skip;          // 1: the functions do not see it
  TryOutcome *outcomes;
  Refused *refused;  // values that do not fit their types, in the order they came
  size_t refused_count;
} Try;

const char *try_outcome_name(TryOutcome outcome)
{
  static const char *const NAMES[] = {
      [TRY_KEPT] = "kept",
      [TRY_FILTERED] = "filtered",
      [TRY_FAILED] = "failed",
      [TRY_DELETED] = "deleted",
  };
  return NAMES[outcome];
}

// --- What to read ---

static size_t add_column(Layout *layout, const char *column, Type type, TimeUnit unit,
                         const char *what)
{
  layout->columns[layout->count] =
      (ReaderColumn){.column = column, .type = type, .unit = unit, .what = what};
  return layout->count++;
}

// A field of the same name and type is shown once.
static void show(Layout *layout, const Field *field, size_t place)
{
  for (size_t i = 0; i < layout->shown_count; i++) {
    if (strcmp(layout->shown[i]->name, field->name) == 0
        && type_equal(layout->shown[i]->type, field->type)) {
      return;
    }
  }
  layout->shown[layout->shown_count] = field;
  layout->shown_places[layout->shown_count++] = place;
}

// The places of the fields. Those of `absent` columns are ABSENT.
static size_t *add_fields(Layout *layout, const Field *fields, size_t count, const char *word,
                          Arena *arena)
{
  const Source *source = layout->view ? layout->view->source : NULL;
  size_t *places = arena_zalloc(arena, count, sizeof(*places));
  for (size_t i = 0; i < count; i++) {
    const char *what = arena_print(arena, "%s \"%s\" of %s \"%s\"", word, fields[i].name,
                                   layout->declared->kind, layout->declared->name);
    const char *column = source ? fields[i].column : fields[i].name;
    bool absent = layout->absent && layout->absent[i];
    places[i] = absent ? ABSENT
                       : add_column(layout, column, fields[i].type,
                                    source ? source->time_unit : UNIT_NONE, what);
  }
  return places;
}

static void show_fields(Layout *layout, const Field *fields, size_t count, const size_t *places)
{
  for (size_t i = 0; i < count; i++) {
    show(layout, &fields[i], places[i]);
  }
}

static size_t *add_inputs(Layout *layout, const Function *function, Arena *arena)
{
  size_t *places = add_fields(layout, function->inputs, function->input_count, "input", arena);
  show_fields(layout, function->inputs, function->input_count, places);
  return places;
}

static void add_time(Layout *layout, Arena *arena)
{
  const Source *source = layout->view->source;
  Field *field = arena_zalloc(arena, 1, sizeof(*field));
  *field = (Field){.name = source->event_time,
                   .doc = "",
                   .column = source->event_time,
                   .type = {.kind = TYPE_TIMESTAMP}};
  const char *what = arena_print(arena, "event_time of source \"%s\"", source->declared.name);
  show(layout, field, add_column(layout, field->column, field->type, source->time_unit, what));
}

static void add_view(Layout *layout, Arena *arena)
{
  const View *view = layout->view;
  const Source *source = view->source;
  size_t *keys = add_fields(layout, view->keys, view->key_count, "key", arena);
  show_fields(layout, view->keys, view->key_count, keys);
  add_time(layout, arena);
  if (source->deleted) {
    const char *what = arena_print(arena, "deleted of source \"%s\"", source->declared.name);
    layout->deleted =
        (int)add_column(layout, source->deleted, (Type){.kind = TYPE_BOOL}, UNIT_NONE, what);
  }
}

static size_t functions_inputs(const Layout *layout)
{
  return (layout->filter ? layout->filter->input_count : 0)
         + (layout->transform ? layout->transform->input_count : 0);
}

static void lay_out(Layout *layout, Arena *arena)
{
  const View *view = layout->view;
  size_t features = view ? view->feature_count : layout->on_demand->feature_count;
  size_t most = (view ? view->key_count + 2 : 0) + functions_inputs(layout) + features;
  layout->columns = arena_zalloc(arena, most, sizeof(*layout->columns));
  layout->shown = arena_zalloc(arena, most, sizeof(*layout->shown));
  layout->shown_places = arena_zalloc(arena, most, sizeof(*layout->shown_places));
  layout->deleted = NOWHERE;
  if (view) {
    add_view(layout, arena);
  }
  layout->transform_places = layout->transform
                                 ? add_inputs(layout, layout->transform, arena)
                                 : add_fields(layout, view->features, features, "feature", arena);
  if (layout->filter) {
    layout->filter_places = add_inputs(layout, layout->filter, arena);
  }
}

static const Function *function_or_null(const Function *function)
{
  return function->at ? function : NULL;
}

bool try_find_view(const Catalog *catalog, Slice name, const View **view,
                   const OnDemand **on_demand, Error *err)
{
  *view = catalog_view(catalog, name);
  *on_demand = catalog_on_demand(catalog, name);
  if (*view || *on_demand) {
    return true;
  }
  size_t count = catalog->view_count + catalog->on_demand_count;
  const char **known = mem_zalloc(count + 1, sizeof(*known));
  for (size_t i = 0; i < catalog->view_count; i++) {
    known[i] = catalog->views[i].declared.name;
  }
  for (size_t i = 0; i < catalog->on_demand_count; i++) {
    known[catalog->view_count + i] = catalog->on_demands[i].declared.name;
  }
  const char *near = catalog_suggest(name, known, count);
  error_set(err, ERR_NOT_FOUND, "the definitions have no view \"%.*s\"%s%s%s", (int)name.size,
            name.data, near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
  free(known);
  return false;
}

static bool find_view(Try *try, Error *err)
{
  Layout *layout = &try->layout;
  if (!try_find_view(try->request->catalog, try->request->view, &layout->view, &layout->on_demand,
                     err)) {
    return false;
  }
  if (layout->on_demand) {
    layout->declared = &layout->on_demand->declared;
    layout->transform = &layout->on_demand->transform;
    try->result->features = layout->on_demand->features;
    try->result->feature_count = layout->on_demand->feature_count;
    return true;
  }
  layout->declared = &layout->view->declared;
  layout->filter = function_or_null(&layout->view->filter);
  layout->transform = function_or_null(&layout->view->transform);
  try->result->features = layout->view->features;
  try->result->feature_count = layout->view->feature_count;
  return true;
}

static bool open_functions(Try *try, Error *err)
{
  const Layout *layout = &try->layout;
  Functions *functions = try->request->functions;
  if (layout->filter) {
    try->filter = functions_filter(functions, layout->view, err);
    if (!try->filter) {
      return false;
    }
  }
  if (layout->transform) {
    try->transform = layout->view ? functions_transform(functions, layout->view, err)
                                  : functions_on_demand(functions, layout->on_demand, err);
  }
  return try->transform || !layout->transform;
}

// --- Running the functions ---

static bool note_failure(void *context, size_t row, const char *message)
{
  Try *try = context;
  if (!try->messages[row]) {
    try->messages[row] = arena_text(&try->batch, slice_text(message));
  }
  return true;
}

static const Column *null_column(Try *try, Type type, size_t count)
{
  Column *column = arena_zalloc(&try->batch, 1, sizeof(*column));
  *column = (Column){
      .type = type,
      .valid = arena_zalloc(&try->batch, column_valid_words(count), sizeof(*column->valid)),
      .data = arena_zalloc(&try->batch, count, type_width(type)),
  };
  return column;
}

static const Column *const *inputs_of(Try *try, const Batch *batch, const Function *function,
                                      const size_t *places)
{
  const Column **inputs = arena_zalloc(&try->batch, function->input_count + 1, sizeof(*inputs));
  for (size_t i = 0; i < function->input_count; i++) {
    inputs[i] = places[i] == ABSENT ? null_column(try, function->inputs[i].type, batch->count)
                                    : &batch->columns[places[i]];
  }
  return inputs;
}

static bool run(Try *try, RowFunction *function, const Batch *batch, const Column *const *inputs,
                RowOutput *output, Error *err)
{
  RowInput input = {
      .count = batch->count,
      .inputs = inputs,
      .skip = try->skip,
      .first_row = batch->first_row + 1,
      .rows_of = try->rows_of,
      .failed = note_failure,
      .context = try,
  };
  uint64_t start = clock_monotonic_ns();
  bool ok = functions_run(function, &input, output, err);
  try->result->run_ns += clock_monotonic_ns() - start;
  return ok;
}

static void leave_out(Try *try, size_t row, TryOutcome outcome)
{
  try->skip[row] = 1;
  try->outcomes[row] = outcome;
}

static void leave_failed_out(Try *try, size_t count)
{
  for (size_t row = 0; row < count; row++) {
    if (try->messages[row]) {
      leave_out(try, row, TRY_FAILED);
    }
  }
}

static bool run_filter(Try *try, const Batch *batch, Error *err)
{
  RowOutput output;
  const Column *const *inputs =
      inputs_of(try, batch, try->layout.filter, try->layout.filter_places);
  if (!run(try, try->filter, batch, inputs, &output, err)) {
    return false;
  }
  leave_failed_out(try, batch->count);
  for (size_t row = 0; row < batch->count; row++) {
    if (!try->skip[row] && !(column_has(output.columns, row) && output.columns->bools[row])) {
      leave_out(try, row, TRY_FILTERED);
    }
  }
  return true;
}

// *features: a column per feature, valid until the next batch.
static bool run_functions(Try *try, const Batch *batch, const Column **features, Error *err)
{
  const Layout *layout = &try->layout;
  if (layout->filter && !run_filter(try, batch, err)) {
    return false;
  }
  if (!layout->transform) {
    *features = batch->columns + layout->transform_places[0];  // they stand in a row
    try->result->run_rows += batch->count;
    return true;
  }
  RowOutput output;
  const Column *const *inputs = inputs_of(try, batch, layout->transform, layout->transform_places);
  if (!run(try, try->transform, batch, inputs, &output, err)) {
    return false;
  }
  *features = output.columns;
  leave_failed_out(try, batch->count);
  try->result->run_rows += batch->count;
  return true;
}

// --- Rows ---

static bool take_refused(void *context, const BadValue *bad, Error *err)
{
  (void)err;
  Try *try = context;
  if (try->refused_count % 64 == 0) {
    try->refused = mem_realloc(try->refused, try->refused_count + 64, sizeof(*try->refused));
  }
  try->refused[try->refused_count++] = (Refused){
      .row = bad->row,
      .message = arena_print(try->arena, "%s, row %llu, column \"%s\": %s", bad->file,
                             (unsigned long long)bad->row, bad->column, bad->message),
  };
  return true;
}

// Bad values tell the row of their file, batches that of the whole table: in one file they agree.
static const char *refusal_of(const Try *try, uint64_t row)
{
  for (size_t i = 0; i < try->refused_count; i++) {
    if (try->refused[i].row == row) {
      return try->refused[i].message;
    }
  }
  return "a value does not fit its type";
}

static void begin_batch(Try *try, const Batch *batch, const uint64_t *bad)
{
  arena_reset(&try->batch);
  try->messages = arena_zalloc(&try->batch, batch->count, sizeof(*try->messages));
  try->skip = arena_zalloc(&try->batch, batch->count, sizeof(*try->skip));
  try->outcomes = arena_zalloc(&try->batch, batch->count, sizeof(*try->outcomes));
  for (size_t row = 0; row < batch->count; row++) {
    if (bad && (bad[row >> 6] >> (row & 63) & 1)) {
      try->messages[row] = refusal_of(try, batch->first_row + row + 1);
      leave_out(try, row, TRY_FAILED);
      continue;
    }
    const Column *deleted =
        try->layout.deleted == NOWHERE ? NULL : &batch->columns[try->layout.deleted];
    if (deleted && column_has(deleted, row) && deleted->bools[row]) {
      leave_out(try, row, TRY_DELETED);
    }
  }
}

static Slice take_value(Try *try, const Column *column, size_t row)
{
  Buf value = {0};
  row_put_value(&value, column, row);
  Slice copy = arena_copy(try->arena, buf_slice(&value));
  buf_deinit(&value);
  return copy;
}

static void add_row(Try *try, const Batch *batch, const Column *features, size_t row)
{
  static const char NIL[] = "\xc0";
  TryResult *result = try->result;
  const Layout *layout = &try->layout;
  Slice *inputs = arena_zalloc(try->arena, layout->shown_count, sizeof(*inputs));
  Slice *values = arena_zalloc(try->arena, result->feature_count, sizeof(*values));
  for (size_t i = 0; i < layout->shown_count; i++) {
    size_t place = layout->shown_places[i];
    inputs[i] = place == ABSENT ? slice_of(NIL, 1) : take_value(try, &batch->columns[place], row);
  }
  bool made = try->outcomes[row] == TRY_KEPT;
  for (size_t i = 0; i < result->feature_count; i++) {
    values[i] = made ? take_value(try, &features[i], row) : slice_of(NIL, 1);
  }
  const char *message = try->messages[row];
  result->rows[result->row_count++] = (TryRow){
      .number = batch->first_row + row + 1,
      .outcome = try->outcomes[row],
      .message = message ? arena_text(try->arena, slice_text(message)) : NULL,
      .inputs = inputs,
      .features = values,
  };
}

static void take_rows(Try *try, const Batch *batch, const Column *features)
{
  TryResult *result = try->result;
  for (size_t row = 0; row < batch->count; row++) {
    TryOutcome outcome = try->outcomes[row];
    result->filtered += outcome == TRY_FILTERED;
    result->failed += outcome == TRY_FAILED;
    result->deleted += outcome == TRY_DELETED;
    bool wanted = !try->request->failed_only || outcome == TRY_FAILED;
    if (wanted && result->row_count < try->request->limit) {
      add_row(try, batch, features, row);
    }
  }
  result->seen += batch->count;
}

// The first rows wait for the compiler: they run once more, and that time counts.
static bool warm_up(Try *try, const Batch *batch, const uint64_t *bad, Error *err)
{
  const Column *features;
  begin_batch(try, batch, bad);
  if (try->result->seen == 0 && !run_functions(try, batch, &features, err)) {
    return false;
  }
  if (try->result->seen == 0) {
    try->result->run_ns = 0;
    try->result->run_rows = 0;
    begin_batch(try, batch, bad);
  }
  return true;
}

static bool read_batches(Try *try, ReaderShare *share, Error *err)
{
  TryResult *result = try->result;
  while (result->row_count < try->request->limit) {
    Batch batch;
    if (!reader_share_next(share, &batch, err)) {
      return false;
    }
    if (!batch.count) {
      return true;
    }
    const Column *features;
    if (!engine_progress(try->engine, &(Progress){"trying rows", result->seen, 0}, err)
        || !warm_up(try, &batch, reader_share_bad(share), err)
        || !run_functions(try, &batch, &features, err)) {
      return false;
    }
    take_rows(try, &batch, features);
  }
  return true;
}

static bool read_table(Try *try, const Table *table, Error *err)
{
  Duck *duck = engine_duck(try->engine, err);
  BadValues bad = {take_refused, try};
  ReaderFilter filter = {.bad = &bad};
  Reader *reader =
      duck ? reader_open(duck, table, try->layout.columns, try->layout.count, &filter, err) : NULL;
  if (!reader) {
    return false;
  }
  ReaderShare *share = reader_share_new(reader);
  bool ok = read_batches(try, share, err);
  reader_share_free(share);
  reader_close(reader);
  return ok;
}

// --- Where rows come from ---

static bool needs_rows(const Try *try, Error *err)
{
  const Function *function = try->layout.transform;
  const char *names = "";
  for (size_t i = 0; i < function->input_count; i++) {
    names = arena_print(try->arena, "%s%s%s", names, i ? ", " : "", function->inputs[i].name);
  }
  return error_set(err, ERR_INVALID,
                   "on_demand_feature_view \"%s\" has no rows of its own: give it some with "
                   "--rows FILE, in columns %s",
                   try->layout.declared->name, names);
}

// Stored features that the rows do not have are null, as they are of an entity that has none.
static bool find_absent(Try *try, const Table *table, Error *err)
{
  const OnDemand *view = try->layout.on_demand;
  Duck *duck = engine_duck(try->engine, err);
  TableColumn *columns;
  size_t count;
  if (!duck || !table_describe(duck, table, &columns, &count, try->arena, err)) {
    return false;
  }
  bool *absent = arena_zalloc(try->arena, view->transform.input_count + 1, sizeof(*absent));
  const char *names = NULL;
  for (size_t i = 0; i < view->reference_count; i++) {
    const char *name = view->transform.inputs[i].name;
    absent[i] = true;
    for (size_t c = 0; c < count && absent[i]; c++) {
      absent[i] = strcmp(columns[c].name, name) != 0;
    }
    if (absent[i]) {
      names = names ? arena_print(try->arena, "%s, %s", names, name) : name;
    }
  }
  try->layout.absent = absent;
  try->result->absent = names;
  return true;
}

static bool read_file(Try *try, Error *err)
{
  const TryRequest *request = try->request;
  Table table = {.path = request->rows, .name = request->rows_name};
  try->rows_of = request->rows_name ? request->rows_name : request->rows;
  if (try->layout.on_demand && !find_absent(try, &table, err)) {
    return false;
  }
  lay_out(&try->layout, try->arena);
  return read_table(try, &table, err);
}

static bool read_rows(Try *try, Error *err)
{
  if (try->request->rows) {
    return read_file(try, err);
  }
  if (try->layout.on_demand) {
    return needs_rows(try, err);
  }
  lay_out(&try->layout, try->arena);
  const Source *source = try->layout.view->source;
  try->rows_of = arena_print(try->arena, "source \"%s\"", source->declared.name);
  Snapshots snapshots = {0};
  Table table;
  bool ok = snapshots_table(&snapshots, try->engine, source, &table, err)
            && (read_table(try, &table, err) || error_wrap(err, "%s", try->rows_of));
  snapshots_deinit(&snapshots);
  return ok;
}

static const char *find_note(const Try *try)
{
  const char *note = try->filter ? functions_note(try->filter) : NULL;
  return note || !try->transform ? note : functions_note(try->transform);
}

bool engine_try(Engine *engine, const TryRequest *request, TryResult *result, Arena *arena,
                Error *err)
{
  *result = (TryResult){0};
  Try try = {.engine = engine, .request = request, .result = result, .arena = arena};
  if (!find_view(&try, err)) {
    return false;
  }
  result->view = try.layout.declared->name;
  result->computed = try.layout.filter || try.layout.transform;
  result->rows = arena_zalloc(arena, request->limit, sizeof(*result->rows));
  bool ok = open_functions(&try, err) && read_rows(&try, err);
  result->rows_of = try.rows_of;
  result->inputs = try.layout.shown;
  result->input_count = try.layout.shown_count;
  const char *note = ok ? find_note(&try) : NULL;
  result->note = note ? arena_text(arena, slice_text(note)) : NULL;
  arena_deinit(&try.batch);
  free(try.refused);
  return ok;
}
