#pragma once
// A file's rows as the columns that push takes, a few at a time.

#include "base/arena.h"
#include "engine/engine.h"
#include "source/reader.h"

// A field of a view that the file may have.
typedef struct {
  const char *name;    // in the push
  const char *column;  // in the file; where that is missing, `name` is looked for
  Type type;
  bool required;
} PushColumn;

typedef struct {
  const char *path;
  const char *view;  // for messages
  const PushColumn *columns;
  size_t column_count;
  bool has_inputs;  // columns are inputs of functions too: what is required says enough
  TimeUnit unit;    // of integers that stand for times
  Table source;     // of the view: what else it has, a file may have too
  // A value that is not of its type: the row is left out. False ends the reading.
  BadValues bad;
} PushFileRequest;

typedef struct PushFile PushFile;

// Columns that the file lacks are left out, so that features keep their values; without a required
// one it fails, and with nothing but those too. So it does with a column that is neither the view's
// nor its source's: mostly it is a name that was mistyped. The request must outlive the file.
PushFile *push_file_open(Engine *engine, const PushFileRequest *request, Error *err);

// Some rows of the file, those without bad values.
typedef struct {
  Buf rows;  // a msgpack map of columns
  size_t count;
  const uint64_t *numbers;  // of each row in the file, from 1
  size_t read;              // rows of the file that these were chosen from; 0 at the end
} PushPart;

// The next rows, put in place of what `part` held. Also reports progress.
bool push_file_next(PushFile *file, PushPart *part, Error *err);
void push_file_close(PushFile *file);  // NULL is allowed
