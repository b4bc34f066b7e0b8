#pragma once
// A file's rows as the columns that push takes, a few at a time.

#include "base/arena.h"
#include "engine/engine.h"

// A field of a view that the file may have.
typedef struct {
  const char *name;    // in the push
  const char *column;  // in the file; where that is missing, `name` is looked for
  Type type;
  bool required;
} PushColumn;

typedef struct PushFile PushFile;

// `unit`: of integers that stand for times. Columns that the file lacks are left out, so that
// features keep their values; without a required one it fails, and with nothing but those too.
PushFile *push_file_open(Engine *engine, const char *path, const PushColumn *columns, size_t count,
                         TimeUnit unit, Error *err);

// The next rows: a msgpack map of columns, put in place of what `rows` held. *count is 0 at the
// end. Also reports progress.
bool push_file_next(PushFile *file, Buf *rows, size_t *count, Error *err);
void push_file_close(PushFile *file);  // NULL is allowed
