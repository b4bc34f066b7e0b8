#pragma once
// The state of what is served: how far each view is and how many rows it has, and the store.
// For the method `metrics` and for HTTP.

#include "engine/writer.h"
#include "rpc/context.h"
#include "store/marks.h"

typedef struct {
  const char *name;
  bool marked;  // it was materialized
  Mark mark;
  bool counted;  // rows and deleted are known
  uint64_t rows;
  uint64_t deleted;
} ViewStatusLine;

typedef struct {
  uint64_t generation;  // 0: nothing was applied; nothing else is filled then
  Time now;
  ViewStatusLine *views;  // in the arena, as are the names
  size_t view_count;
  Time counted_at;  // TIME_NULL: rows were not counted yet
  DbStats store;
  bool writing;  // something was pushed, or a server has the log; else `writer` is empty
  WriterStatus writer;
} Status;

// Reads it in the context's snapshot.
bool status_read(CallContext *context, Status *status, Arena *arena, Error *err);

// How old the data of a view is: the time since its mark, in microseconds; negative when the mark
// is ahead.
int64_t status_age(const Status *status, const ViewStatusLine *view);
