#pragma once
// Pushed rows of a view with functions. They are held until all rows of a request are there, so
// that each function runs once; then those that the filter lets through go on with the features
// that the transform makes.

#include "data/unpack.h"
#include "engine/push.h"
#include "engine/view_functions.h"

// A value of the functions' rows: each column is held once, whatever it is for.
typedef struct {
  const Field *field;
  Unpack *unpack;
} HeldInput;

typedef struct HeldRow HeldRow;

typedef struct {
  const View *view;
  Arena *arena;
  HeldInput *inputs;
  size_t input_count;
  const Column **filter_inputs;  // into `columns`, as the functions have them
  const Column **transform_inputs;
  Column *columns;  // of inputs
  size_t count;     // rows of the request
  HeldRow *rows;
  uint8_t *fates;
  Buf bytes;  // of keys, rows and inputs
} HeldRows;

void held_init(HeldRows *held, const View *view, size_t count, Arena *arena);
void held_deinit(HeldRows *held);

// Keeps a row that no function looks at, or only the filter.
void held_add_row(HeldRows *held, uint32_t number, const PushRow *row);
// Keeps a row whose features are to be made.
void held_add_open(HeldRows *held, uint32_t number, uint8_t flags, RowRank rank, Slice key);
// The inputs of a row that was added, in order: msgpack as push_value_put makes it.
void held_add_inputs(HeldRows *held, uint32_t number, Slice inputs);

// Forgets a row that turned out to be wrong.
void held_forget(HeldRows *held, uint32_t number);

// Runs the functions and adds the rows that are left to `push`.
bool held_finish(HeldRows *held, Functions *functions, Push *push, PushRejections *rejections,
                 Error *err);
