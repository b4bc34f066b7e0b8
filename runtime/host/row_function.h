#pragma once
// Inside of functions of definitions: the arrays that generated loops work on, and a function that
// runs over them. host/functions.h is what others see.

#include "host/files.h"
#include "host/functions.h"
#include "host/state.h"

// The arrays of an input and of an output, as the loops have them (lua/tidemark/rows.lua declares
// the same).
typedef struct {
  const void *data;
  const uint64_t *valid;       // NULL: all are there
  const void *items;           // of a list: its elements; of a vector: its floats
  const uint64_t *item_valid;  // NULL: all are there
} RowsInput;

typedef struct {
  void *data;           // texts are places in `bytes` until the run ends
  uint8_t *nulls;       // per row; 1 for null
  void *items;          // elements of lists, floats of vectors
  uint8_t *item_nulls;  // per element of a list
  uint8_t *bytes;       // of all texts
  int32_t item_count;
  int32_t item_capacity;
  int32_t byte_count;
  int32_t byte_capacity;
} RowsOutput;

// What a state of functions and C tell each other (lua/tidemark/runner.lua declares the same).
typedef struct {
  int32_t (*is_late)(void *functions);
  int32_t (*grow)(void *function, int32_t output, int32_t items, int32_t bytes);
  void *functions;
  int32_t max_steps;  // of one row
  int32_t reached;    // RowsReached
} RowsHost;

typedef enum { REACHED_NONE, REACHED_STEPS, REACHED_TIME, REACHED_SIZE } RowsReached;

// An output's bits, made of its arrays when a run ends.
typedef struct {
  uint64_t *valid;
  uint64_t *item_valid;
  Column child;
} RowsBits;

struct RowFunction {
  Functions *functions;
  RowFunction *next;  // of the same Functions
  const char *word;   // "feature_view", "on_demand_feature_view"
  const char *what;   // "filter", "transform"
  const char *name;
  const Function *function;
  const Field *outputs;
  size_t output_count;

  uint64_t epoch;  // of the state that the references belong to; 0: of none
  int step;        // references
  int run;
  int run_block;
  char note[256];  // why it is not compiled; "" when it is

  void *slots;  // what the loops are given: a pointer to `skip`, the inputs, the outputs
  RowsInput *inputs;
  void **numbers;  // per input: room for its values (host/row_numbers.h)
  RowsOutput *arrays;
  RowsBits *bits;
  Column *columns;
  uint64_t *errors;  // rows that failed
  size_t capacity;   // rows that there is room for
  size_t failed;

  // How it runs: one compiled loop, or in blocks where that is slow.
  bool in_blocks;
  bool decided;
  unsigned slow;         // stretches of rows in turn that were slow
  uint64_t compiled_ns;  // what the last of them took per 1000 rows
};

// Arrays ------------------------------------------------------------------------------------------

void row_arrays_init(RowFunction *function);
void row_arrays_deinit(RowFunction *function);
// Room for the input's rows, and outputs that are all zero.
void row_arrays_start(RowFunction *function, const RowInput *input);
// Room for that many more elements and bytes of an output. 0 when that is too much for a run.
int32_t row_arrays_grow(void *function, int32_t output, int32_t items, int32_t bytes);
// A row that failed: nulls with errors.
void row_arrays_fail(RowFunction *function, size_t row);
// The first row from `row` on that has text which is not UTF-8, below `end`; `end` when there is
// none. Says which output it is of.
size_t row_arrays_find_bad_text(const RowFunction *function, size_t row, size_t end,
                                size_t *output);
// The outputs as columns.
void row_arrays_finish(RowFunction *function, size_t count);

// State -------------------------------------------------------------------------------------------

// Where an error of definitions happened, noted before the stack unwinds.
typedef struct {
  char message[400];
  char file[200];
  int line;  // 0: not known
} RowsFailure;

struct Functions {
  const Catalog *catalog;
  StateLimits limits;
  lua_State *state;  // NULL: to be opened (again)
  bool interpreted;
  uint64_t epoch;  // counts opened states
  RowsHost host;
  Arena arena;  // of the files
  DefinitionFiles files;
  RowsFailure failure;
  uint64_t budget_ns;    // processor time of the run that goes on
  uint64_t deadline_ns;  // of this thread's processor time; 0: nobody has asked yet
  uint64_t began_ns;     // by the wall, when somebody first asked
  int handler;           // references
  int make;
  int position;
  RowFunction *all;
};

// Opens the state unless it is open. Lua code of ours and of the definitions runs.
bool functions_state_open(Functions *functions, Error *err);
void functions_state_close(Functions *functions);
// Compiles a function in the current state unless it is.
bool functions_compile(RowFunction *function, Error *err);
