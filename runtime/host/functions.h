#pragma once
// Functions of definition files, run over columns: filters and transforms of feature views,
// transforms of on-demand views. The same compiled code serves training, materialize, push and
// serving, for one row or a million.
//
// The definitions are run once more in a bounded state of their own, with the same words and texts
// as at apply, and the functions are taken from there with all that they refer to. A loop in Lua,
// generated for the function's inputs and outputs, goes over the columns through the FFI, so that
// the JIT compiles loop and function together and nothing crosses into C per row
// (lua/tidemark/rows.lua).
//
// What a row is to a function: a table with a field per input.
//   bool → boolean; int32, int64, float32, float64 → number; timestamp → number of microseconds;
//   string, bytes → string; list, vector → array with its length in `n`; null → nil
// A whole number beyond 2^53 is no Lua number: such a row fails rather than lose digits. What a
// function returns is checked against the declared features the same way back: a whole number in
// range for integer types, UTF-8 for strings, `n` (or #) values for lists; nil is null; a field
// that is not declared is a failure.

#include "base/arena.h"
#include "base/error.h"
#include "data/catalog.h"
#include "data/column.h"

// Bounds of one thread's functions, and of one row.
enum { FUNCTIONS_MEMORY_LIMIT = 256 << 20, FUNCTIONS_STEPS_LIMIT = 10000000 };

// All functions of one catalog, for one thread.
typedef struct Functions Functions;

// Compiles nothing yet. Fails when the texts no longer load, which apply has ruled out. The catalog
// is borrowed.
Functions *functions_open(const Catalog *catalog, Error *err);
void functions_close(Functions *functions);           // NULL is allowed
size_t functions_memory(const Functions *functions);  // bytes of Lua memory in use

typedef struct RowFunction RowFunction;  // until functions_close

// Each is compiled when it is first asked for. The view is one of the catalog.
RowFunction *functions_filter(Functions *functions, const View *view, Error *err);
RowFunction *functions_transform(Functions *functions, const View *view, Error *err);
RowFunction *functions_on_demand(Functions *functions, const OnDemand *view, Error *err);

// Compiles nothing to machine code any more, to compare with. Results are the same, but slow.
void functions_interpret(Functions *functions);

// Why the function runs interpreted, for its author; NULL where nothing keeps it from being
// compiled.
const char *functions_note(const RowFunction *function);

typedef struct {
  size_t count;
  const Column *const *inputs;  // as the function's inputs; borrowed for the call
  const uint8_t *skip;          // 1: the row is not looked at, its outputs are null; NULL: none
  uint64_t first_row;           // number of row 0, for messages
  const char *rows_of;          // what that number counts: `source "x"`, `the request`; NULL:
                                // messages do not name rows
  uint64_t (*number)(void *context, size_t row);  // of rows that do not count up; NULL: they do

  // Told of each row that fails, with a message that has the function's place and the row's number:
  // true to go on, the row's outputs being null with `errors` set; false to end with that failure
  // as the error. NULL: every failure ends the run. Going beyond a limit always does.
  bool (*failed)(void *context, size_t row, const char *message);
  void *context;
} RowInput;

typedef struct {
  const Column *columns;  // as the view's features; of a filter: one of bools, without nulls
  size_t failed;          // rows
} RowOutput;              // until the next run of the same function

bool functions_run(RowFunction *function, const RowInput *input, RowOutput *output, Error *err);
