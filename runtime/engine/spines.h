#pragma once
// The spine of a training set, read once: its times, and for each distinct tuple of key columns the
// rows' key numbers and the index that joins share.

#include "base/arena.h"
#include "engine/engine.h"
#include "join/asof.h"
#include "source/reader.h"

// One tuple of key columns that some view joins on.
typedef struct {
  const char *const *columns;  // of the spine
  const Type *types;           // the view's key types
  size_t count;
  KeySet *keys;
  uint32_t *numbers;  // per spine row
  Spine index;
} SpineKeys;

typedef struct {
  size_t rows;
  Time *times;  // per spine row, TIME_NULL where the file has none
  SpineKeys *keys;
  size_t key_count;
  size_t capacity;  // rows the arrays have room for
} Spines;

typedef struct {
  const char *path;
  const char *time_column;
  TimeUnit time_unit;
} SpineFile;

// Reads the file and builds an index per tuple. `keys[..].columns/types/count` are given.
bool spines_read(Engine *engine, const SpineFile *file, SpineKeys *keys, size_t key_count,
                 Spines *spines, Error *err);
void spines_deinit(Spines *spines);
