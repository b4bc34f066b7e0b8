#pragma once
// A feature view's functions at work: which rows its filter leaves out, and what its transform
// makes of the others. Files that are read and rows that are pushed both come through here.

#include "host/functions.h"

// What becomes of a row. Only ROW_TAKEN ones have features.
typedef enum {
  ROW_TAKEN,
  ROW_PASSED,    // no function looks at it: a tombstone, or wrong already
  ROW_FILTERED,  // the filter did not say true
  ROW_REFUSED,   // a function failed, and the row with it
} RowFate;

// One thread's. Functions that the view does not have, or that are not wanted, are NULL.
typedef struct {
  const View *view;
  RowFunction *filter;
  RowFunction *transform;
  uint8_t *skip;  // for room of `capacity` rows
  size_t capacity;
} ViewFunctions;

typedef struct {
  size_t count;
  const Column *const *filter_inputs;     // as the view's functions have them; not used where that
  const Column *const *transform_inputs;  // function is NULL
  uint8_t *fates;                         // RowFate of each: ROW_TAKEN or ROW_PASSED, and then what
                                          // came of it
  uint64_t first_row;                     // for messages, as in RowInput
  const char *rows_of;
  const uint64_t
      *wanted;  // NULL, or the rows are not all: bit i, row i, and first_row counts from 0

  // Takes a row that is refused because a function failed; false ends with that failure or, where
  // it is set, with `err`. NULL: all end. Failures that make nulls (on_error) are not told.
  bool (*refuse)(void *context, size_t row, const char *message, Error *err);
  void *context;
} ViewRows;

typedef struct {
  const Column *features;  // the view's, until the next run; NULL without a transform
  size_t filtered;
  size_t refused;
  size_t failed;  // rows whose features are null because the transform failed
} ViewRowsResult;

// Compiles the functions of `view` that are wanted.
bool view_functions_init(ViewFunctions *it, Functions *functions, const View *view, bool filter,
                         bool transform, Error *err);
void view_functions_deinit(ViewFunctions *it);

bool view_functions_run(ViewFunctions *it, const ViewRows *rows, ViewRowsResult *result,
                        Error *err);

// Whether two views leave the same rows of a source out.
bool view_functions_same_filter(const View *a, const View *b);
