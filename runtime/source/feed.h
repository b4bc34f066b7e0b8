#pragma once
// A stream of batches read a few rows at a time: writers walk two of them in step.

#include "data/column.h"

typedef struct {
  bool (*next)(void *context, Batch *batch, Error *err);
  void *context;
  const Type *types;
  size_t count;  // columns
  Batch batch;
  size_t at;  // rows of the batch that were used
  bool ended;
} Feed;

// How many rows can be taken now; 0 only at the end.
bool feed_available(Feed *feed, size_t *rows, Error *err);
