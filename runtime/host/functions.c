// Functions of definitions over columns: handles, and the run of one over a chunk.

#include "host/functions.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "host/row_function.h"

// How long a run may take, and when a function counts as slow.
enum {
  RUN_NS = 1000000000,  // of processor time, and
  ROW_NS = 1000000,     // for each of its rows
  STRETCH = 1024,       // rows between two looks at how fast it is
  LEAST_STRETCH = 256,  // rows that say something about it
  SLOW_ROW_NS = 400,
  SLOW_STRETCHES = 3,
  BLOCK = 256,              // rows that are tables at the same time
  COLLECT_BYTES = 16 << 20  // of Lua memory after a run: garbage, mostly
};

static const Field FILTER_OUTPUT = {.name = "", .doc = "", .column = "", .type = {TYPE_BOOL, 0, 0}};

// Handles
// -----------------------------------------------------------------------------------------

Functions *functions_open(const Catalog *catalog, Error *err)
{
  Functions *functions = mem_zalloc(1, sizeof(*functions));
  functions->catalog = catalog;
  functions->limits = (StateLimits){.memory_limit = FUNCTIONS_MEMORY_LIMIT, .compiled = true};
  if (!files_from_texts(catalog->texts, &functions->files, &functions->arena, err)
      || !functions_state_open(functions, err)) {
    functions_close(functions);
    return NULL;
  }
  return functions;
}

void functions_close(Functions *functions)
{
  if (!functions) {
    return;
  }
  functions_state_close(functions);
  while (functions->all) {
    RowFunction *function = functions->all;
    functions->all = function->next;
    row_arrays_deinit(function);
    free(function);
  }
  arena_deinit(&functions->arena);
  free(functions);
}

size_t functions_memory(const Functions *functions)
{
  return functions->limits.memory_used;
}

static RowFunction *find_or_add(Functions *functions, const Function *wanted)
{
  for (RowFunction *function = functions->all; function; function = function->next) {
    if (function->function == wanted) {
      return function;
    }
  }
  RowFunction *function = mem_zalloc(1, sizeof(*function));
  *function = (RowFunction){.functions = functions, .next = functions->all, .function = wanted};
  functions->all = function;
  return function;
}

static RowFunction *get_compiled(RowFunction *function, Error *err)
{
  if (!function->slots) {
    row_arrays_init(function);
  }
  bool ok = functions_state_open(function->functions, err) && functions_compile(function, err);
  return ok ? function : NULL;
}

RowFunction *functions_filter(Functions *functions, const View *view, Error *err)
{
  assert(view->filter.at);
  RowFunction *function = find_or_add(functions, &view->filter);
  function->word = view->declared.kind;
  function->what = "filter";
  function->name = view->declared.name;
  function->outputs = &FILTER_OUTPUT;
  function->output_count = 1;
  return get_compiled(function, err);
}

RowFunction *functions_transform(Functions *functions, const View *view, Error *err)
{
  assert(view->transform.at);
  RowFunction *function = find_or_add(functions, &view->transform);
  function->word = view->declared.kind;
  function->what = "transform";
  function->name = view->declared.name;
  function->outputs = view->features;
  function->output_count = view->feature_count;
  return get_compiled(function, err);
}

RowFunction *functions_on_demand(Functions *functions, const OnDemand *view, Error *err)
{
  RowFunction *function = find_or_add(functions, &view->transform);
  function->word = view->declared.kind;
  function->what = "transform";
  function->name = view->declared.name;
  function->outputs = view->features;
  function->output_count = view->feature_count;
  return get_compiled(function, err);
}

void functions_interpret(Functions *functions)
{
  functions->interpreted = true;
  functions_state_close(functions);
}

const char *functions_note(const RowFunction *function)
{
  return function->note[0] ? function->note : NULL;
}

// Failures
// ----------------------------------------------------------------------------------------

// "row 17 of source "s": "
static void print_row(const RowInput *input, size_t row, char *out, size_t size)
{
  out[0] = '\0';
  if (input->rows_of) {
    uint64_t number = input->number ? input->number(input->context, row) : input->first_row + row;
    snprintf(out, size, "row %llu of %s: ", (unsigned long long)number, input->rows_of);
  }
}

// "feature_view "v": row 17 of source "s": MESSAGE (definitions/a.lua:12)".
static void print_failure(const RowFunction *function, const RowInput *input, size_t row,
                          const char *message, char *out, size_t size)
{
  const RowsFailure *failure = &function->functions->failure;
  char name[200];
  print_row(input, row, name, sizeof(name));
  int used = snprintf(out, size, "%s \"%s\": %s%s%s", function->word, function->name,
                      function->outputs == &FILTER_OUTPUT ? "filter: " : "", name, message);
  size_t at = used < 0 ? 0 : (size_t)used;
  char place[256];
  if (failure->line) {
    snprintf(place, sizeof(place), " (%s:%d)", failure->file, failure->line);
  } else {
    snprintf(place, sizeof(place), " (%s)", function->function->at);
  }
  // The place is what matters: a message that is too long gives way to it.
  size_t length = strlen(place);
  if (at + length >= size) {
    at = size - length - 1;
  }
  memcpy(out + at, place, length + 1);
}

static bool report(RowFunction *function, const RowInput *input, size_t row, const char *message,
                   Error *err)
{
  char text[sizeof(err->message)];
  print_failure(function, input, row, message, text, sizeof(text));
  if (input->failed && input->failed(input->context, row, text)) {
    row_arrays_fail(function, row);
    return true;
  }
  return error_set(err, ERR_DATA, "%s", text);
}

// What ended a run for good; NULL for an ordinary failure.
static const char *find_limit(const Functions *functions, int status)
{
  const char *message = functions->failure.message;
  switch (functions->host.reached) {
  case REACHED_STEPS:
    return "stopped after 10000000 steps; does this loop end?";
  case REACHED_TIME:
    return "stopped, having taken too much processor time";
  case REACHED_SIZE:
    return "the lists and texts of one run take more than 256 MiB";
  default:
    break;
  }
  if (functions->limits.reached == LIMIT_TIME) {
    return "stopped, having taken too much processor time";
  }
  if (status == LUA_ERRMEM || strcmp(message, "not enough memory") == 0) {
    return "takes more than 256 MiB of memory";
  }
  if (status == LUA_ERRERR || strstr(message, "stack overflow")) {
    return "stack overflow: the functions call each other too deeply";
  }
  return NULL;
}

_Static_assert(FUNCTIONS_STEPS_LIMIT == 10000000 && FUNCTIONS_MEMORY_LIMIT == 256 << 20,
               "messages name the limits");

// Running
// -----------------------------------------------------------------------------------------

static int call(RowFunction *function, size_t first, size_t end)
{
  Functions *functions = function->functions;
  lua_State *L = functions->state;
  functions->failure.line = 0;
  functions->failure.message[0] = '\0';
  bool one = end - first == 1;
  lua_rawgeti(L, LUA_REGISTRYINDEX, functions->handler);
  lua_rawgeti(L, LUA_REGISTRYINDEX,
              one                   ? function->step
              : function->in_blocks ? function->run_block
                                    : function->run);
  lua_pushinteger(L, (lua_Integer)first);
  if (!one) {
    lua_pushinteger(L, (lua_Integer)end);
  }
  int status = lua_pcall(L, one ? 1 : 2, 0, -3 - !one);
  if (status == LUA_ERRMEM) {
    snprintf(functions->failure.message, sizeof(functions->failure.message), "not enough memory");
  }
  lua_settop(L, 0);
  return status;
}

// The row that was running when a call failed.
static size_t failed_row(Functions *functions)
{
  lua_State *L = functions->state;
  lua_rawgeti(L, LUA_REGISTRYINDEX, functions->position);
  size_t row = 0;
  if (!lua_pcall(L, 0, 1, 0)) {
    row = (size_t)lua_tointeger(L, -1);
  }
  lua_settop(L, 0);
  return row;
}

// Fails rows from `first` below `end` whose text is not UTF-8.
static bool check_texts(RowFunction *function, const RowInput *input, size_t first, size_t end,
                        Error *err)
{
  size_t output;
  while ((first = row_arrays_find_bad_text(function, first, end, &output)) < end) {
    char message[200];
    char type[TYPE_TEXT_SIZE];
    snprintf(message, sizeof(message),
             "feature \"%s\": expected %s, got text that is not UTF-8; declare it as bytes",
             function->outputs[output].name, type_print(function->outputs[output].type, type));
    function->functions->failure.line = 0;
    if (!report(function, input, first, message, err)) {
      return false;
    }
    first++;
  }
  return true;
}

// Ends a run that went beyond a limit, in row `row` or so.
static bool end_run(RowFunction *function, const RowInput *input, size_t row, const char *limit,
                    Error *err)
{
  char text[sizeof(err->message)];
  print_failure(function, input, row, limit, text, sizeof(text));
  functions_state_close(function->functions);
  return error_set(err, ERR_LIMIT, "%s", text);
}

// Runs rows one by one from *first on, up to and with one that fails; *first is then behind it.
static bool run_singly(RowFunction *function, const RowInput *input, size_t *first, size_t end,
                       Error *err)
{
  bool failed = false;
  for (; *first < end && !failed; ++*first) {
    int status = call(function, *first, *first + 1);
    const char *limit = status ? find_limit(function->functions, status) : NULL;
    if (limit) {
      return end_run(function, input, *first, limit, err);
    }
    failed = status != 0;
    if (!(failed ? report(function, input, *first, function->functions->failure.message, err)
                 : check_texts(function, input, *first, *first + 1, err))) {
      return false;
    }
  }
  return true;
}

// Runs rows one after the other, and goes on behind those that fail. Where a row fails, those up to
// it are run again one by one: which row it was, compiled code does not always leave behind, and
// functions have no memory of rows.
static bool run_stretch(RowFunction *function, const RowInput *input, size_t first, size_t end,
                        Error *err)
{
  Functions *functions = function->functions;
  while (first < end) {
    int status = call(function, first, end);
    if (!status) {
      return check_texts(function, input, first, end, err);
    }
    const char *limit = find_limit(functions, status);
    if (limit) {
      RowsFailure failure = functions->failure;
      size_t row = failed_row(functions);
      functions->failure = failure;
      row = row < first || row >= end ? first : row;
      return end_run(function, input, row, limit, err);
    }
    if (!run_singly(function, input, &first, end, err)) {
      return false;
    }
  }
  return true;
}

// A block in which a row fails is run once more, row by row: functions have no memory of rows.
static bool run_blocks(RowFunction *function, const RowInput *input, size_t first, size_t end,
                       Error *err)
{
  for (size_t at = first; at < end; at += BLOCK) {
    size_t stop = end - at < BLOCK ? end : at + BLOCK;
    bool ok = stop - at > 1 && call(function, at, stop) == 0;
    if (ok && !check_texts(function, input, at, stop, err)) {
      return false;
    }
    if (!ok) {
      function->in_blocks = false;
      ok = run_stretch(function, input, at, stop, err);
      function->in_blocks = true;
      if (!ok) {
        return false;
      }
    }
  }
  return true;
}

static uint64_t wall_now_ns(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// Tries blocks for a function that is slow as one loop, and stays with what is faster.
static void judge(RowFunction *function, uint64_t ns, size_t rows)
{
  if (function->decided || rows < LEAST_STRETCH) {
    return;
  }
  uint64_t per_thousand = ns * 1000 / rows;
  if (!function->in_blocks) {
    function->slow = per_thousand / 1000 > SLOW_ROW_NS ? function->slow + 1 : 0;
    function->compiled_ns = per_thousand;
    function->in_blocks = function->slow == SLOW_STRETCHES;
    return;
  }
  if (--function->slow == 0) {
    function->decided = true;
    function->in_blocks = per_thousand < function->compiled_ns;
  }
}

static bool run_rows(RowFunction *function, const RowInput *input, Error *err)
{
  if (input->count < LEAST_STRETCH) {
    return run_stretch(function, input, 0, input->count, err);
  }
  for (size_t first = 0; first < input->count; first += STRETCH) {
    size_t end = input->count - first < STRETCH ? input->count : first + STRETCH;
    uint64_t began = wall_now_ns();
    bool ok = function->in_blocks ? run_blocks(function, input, first, end, err)
                                  : run_stretch(function, input, first, end, err);
    if (!ok) {
      return false;
    }
    judge(function, wall_now_ns() - began, end - first);
  }
  return true;
}

static void start_limits(Functions *functions, size_t count)
{
  functions->budget_ns = RUN_NS + (uint64_t)count * ROW_NS;
  functions->deadline_ns = 0;
  functions->host.reached = REACHED_NONE;
  functions->limits.reached = LIMIT_NONE;
}

bool functions_run(RowFunction *function, const RowInput *input, RowOutput *output, Error *err)
{
  Functions *functions = function->functions;
  *output = (RowOutput){0};
  if (!functions_state_open(functions, err) || !functions_compile(function, err)) {
    return false;
  }
  row_arrays_start(function, input);
  start_limits(functions, input->count);
  bool ok = run_rows(function, input, err);
  if (functions->state && functions->limits.memory_used > COLLECT_BYTES) {
    lua_gc(functions->state, LUA_GCCOLLECT, 0);
  }
  if (ok) {
    row_arrays_finish(function, input->count);
    *output = (RowOutput){.columns = function->columns, .failed = function->failed};
  }
  return ok;
}
