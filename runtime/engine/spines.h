#pragma once
// The spine of a training set, read in parts of consecutive rows: its times, for each distinct
// tuple of key columns the rows' key numbers and the index that joins share, and what on-demand
// views take from it.

#include "base/arena.h"
#include "data/build.h"
#include "engine/engine.h"
#include "join/asof.h"
#include "source/reader.h"

// One tuple of key columns that some view joins on.
typedef struct {
  const char *const *columns;  // of the spine
  const Type *types;           // the view's key types
  size_t count;
  KeySet *keys;
  uint32_t *numbers;  // per row of the part
  Spine index;
} SpineKeys;

typedef struct {
  const char *path;
  const char *time_column;
  TimeUnit time_unit;
  const Field *const *values;  // columns whose values are kept; `column` is the spine's
  size_t value_count;
} SpineFile;

typedef struct {
  // The part at hand.
  size_t rows;
  Time *times;  // TIME_NULL where the file has none
  SpineKeys *keys;
  size_t key_count;
  Builder **values;  // per column that is kept
  size_t value_count;

  Engine *engine;
  const char *path;
  Reader *reader;
  Batch pending;  // the next part's first rows, when a part was full; count 0: none
  bool ended;
  uint64_t before;  // rows of earlier parts
  uint64_t total;   // of all, 0 where it is not known
  size_t capacity;  // rows the arrays have room for
  Arena arena;
} Spines;  // the zero value is closed

// Opens the file. `keys[..].columns/types/count` are given; the rest belongs to the spines.
bool spines_open(Spines *spines, Engine *engine, const SpineFile *file, SpineKeys *keys,
                 size_t key_count, Error *err);

// Reads the next part and builds an index per tuple: as many rows as fit `budget` bytes, with
// `row_bytes` for each of them beside what is kept here, but some hundreds at least. rows is 0 at
// the end.
bool spines_next(Spines *spines, uint64_t budget, size_t row_bytes, Error *err);
void spines_close(Spines *spines);
