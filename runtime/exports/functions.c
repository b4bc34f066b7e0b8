// What specs and benchmarks reach of functions of definitions through the FFI.

#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "base/mem.h"
#include "host/functions.h"

#define EXPORT __attribute__((visibility("default")))

typedef struct {
  Catalog *catalog;
  Functions *functions;
} SpecFunctions;

typedef struct {
  size_t count;
  const Column *const *inputs;
  const uint8_t *skip;
  uint64_t first_row;
  const char *rows_of;
  int go_on;              // 1: rows that fail are collected in `messages`, a line each
  const Column *columns;  // what came out
  size_t failed;
  Buf messages;
} SpecRun;

static _Thread_local Error error;

EXPORT SpecFunctions *tidemark_functions_open(const char *catalog, size_t size, const char *texts,
                                              size_t texts_size);
EXPORT void tidemark_functions_close(SpecFunctions *opened);
EXPORT size_t tidemark_functions_memory(const SpecFunctions *opened);
EXPORT void tidemark_functions_interpret(const SpecFunctions *opened);
EXPORT RowFunction *tidemark_functions_get(const SpecFunctions *opened, const char *what,
                                           const char *name);
EXPORT const char *tidemark_functions_note(const RowFunction *function);
EXPORT int tidemark_functions_run(RowFunction *function, SpecRun *run);
EXPORT double tidemark_functions_time(RowFunction *function, SpecRun *run, size_t times);
EXPORT const char *tidemark_functions_error(void);
EXPORT int tidemark_functions_error_code(void);

// NULL when that failed.
SpecFunctions *tidemark_functions_open(const char *catalog, size_t size, const char *texts,
                                       size_t texts_size)
{
  error_clear(&error);
  SpecFunctions *opened = mem_zalloc(1, sizeof(*opened));
  opened->catalog = catalog_decode(slice_of(catalog, size), 1, &error);
  if (opened->catalog) {
    catalog_set_texts(opened->catalog, slice_of(texts, texts_size));
    opened->functions = functions_open(opened->catalog, &error);
  }
  if (!opened->functions) {
    tidemark_functions_close(opened);
    return NULL;
  }
  return opened;
}

void tidemark_functions_close(SpecFunctions *opened)
{
  functions_close(opened->functions);
  catalog_unref(opened->catalog);
  free(opened);
}

size_t tidemark_functions_memory(const SpecFunctions *opened)
{
  return functions_memory(opened->functions);
}

void tidemark_functions_interpret(const SpecFunctions *opened)
{
  functions_interpret(opened->functions);
}

// What: "filter", "transform" or "on_demand". NULL when that failed.
RowFunction *tidemark_functions_get(const SpecFunctions *opened, const char *what, const char *name)
{
  error_clear(&error);
  Slice view = slice_text(name);
  if (slice_is(slice_text(what), "on_demand")) {
    return functions_on_demand(opened->functions, catalog_on_demand(opened->catalog, view), &error);
  }
  const View *found = catalog_view(opened->catalog, view);
  return slice_is(slice_text(what), "filter")
             ? functions_filter(opened->functions, found, &error)
             : functions_transform(opened->functions, found, &error);
}

const char *tidemark_functions_note(const RowFunction *function)
{
  return functions_note(function);
}

static bool collect(void *context, size_t row, const char *message)
{
  SpecRun *run = context;
  buf_print(&run->messages, "%zu: %s\n", row, message);
  return true;
}

int tidemark_functions_run(RowFunction *function, SpecRun *run)
{
  error_clear(&error);
  RowInput input = {
      .count = run->count,
      .inputs = run->inputs,
      .skip = run->skip,
      .first_row = run->first_row,
      .rows_of = run->rows_of,
      .failed = run->go_on ? collect : NULL,
      .context = run,
  };
  RowOutput output;
  buf_reset(&run->messages);
  bool ok = functions_run(function, &input, &output, &error);
  run->columns = output.columns;
  run->failed = output.failed;
  return ok;
}

// Seconds that so many runs take; negative when one fails.
double tidemark_functions_time(RowFunction *function, SpecRun *run, size_t times)
{
  struct timespec began;
  struct timespec ended;
  clock_gettime(CLOCK_MONOTONIC, &began);
  for (size_t i = 0; i < times; i++) {
    if (!tidemark_functions_run(function, run)) {
      return -1;
    }
  }
  clock_gettime(CLOCK_MONOTONIC, &ended);
  return (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
}

// What the last call that failed said.
const char *tidemark_functions_error(void)
{
  return error.message;
}

int tidemark_functions_error_code(void)
{
  return error.code;
}
