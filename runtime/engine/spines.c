#include "engine/spines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

// Key columns of all tuples, one after the other, then the time column.
static size_t column_count(const SpineKeys *keys, size_t key_count)
{
  size_t count = 1;
  for (size_t i = 0; i < key_count; i++) {
    count += keys[i].count;
  }
  return count;
}

static Reader *open_reader(Duck *duck, const SpineFile *file, const SpineKeys *keys,
                           size_t key_count, Arena *arena, Error *err)
{
  ReaderColumn *columns = arena_zalloc(arena, column_count(keys, key_count), sizeof(*columns));
  size_t count = 0;
  for (size_t i = 0; i < key_count; i++) {
    for (size_t k = 0; k < keys[i].count; k++) {
      const char *what = arena_print(arena, "key column \"%s\" of the spine", keys[i].columns[k]);
      columns[count++] =
          (ReaderColumn){keys[i].columns[k], keys[i].types[k], file->time_unit, what};
    }
  }
  columns[count++] = (ReaderColumn){file->time_column, (Type){.kind = TYPE_TIMESTAMP},
                                    file->time_unit, "time column of the spine"};
  Table table = {.path = file->path};
  return reader_open(duck, &table, columns, count, NULL, err);
}

static void reserve(Spines *spines, size_t rows)
{
  if (rows <= spines->capacity) {
    return;
  }
  size_t capacity = spines->capacity ? spines->capacity * 2 : 4096;
  spines->capacity = capacity < rows ? rows : capacity;
  spines->times = mem_realloc(spines->times, spines->capacity, sizeof(Time));
  for (size_t i = 0; i < spines->key_count; i++) {
    spines->keys[i].numbers =
        mem_realloc(spines->keys[i].numbers, spines->capacity, sizeof(uint32_t));
  }
}

static bool add_batch(Spines *spines, const Batch *batch, Error *err)
{
  if (spines->rows + batch->count >= KEY_NONE) {
    return error_set(err, ERR_LIMIT, "the spine has more than %u rows: split it", KEY_NONE - 1);
  }
  reserve(spines, spines->rows + batch->count);
  const Column *column = batch->columns;
  for (size_t i = 0; i < spines->key_count; i++) {
    SpineKeys *keys = &spines->keys[i];
    key_set_add(keys->keys, column, batch->count, keys->numbers + spines->rows);
    column += keys->count;
  }
  for (size_t row = 0; row < batch->count; row++) {
    spines->times[spines->rows + row] = column_has(column, row) ? column->int64s[row] : TIME_NULL;
  }
  spines->rows += batch->count;
  return true;
}

static bool read_all(Engine *engine, Reader *reader, const char *path, Spines *spines, Error *err)
{
  uint64_t total = reader_total(reader);
  char line[256];
  snprintf(line, sizeof(line), "%s: reading", path);
  for (;;) {
    Batch batch;
    if (!reader_next(reader, &batch, err)) {
      return false;
    }
    if (!batch.count) {
      return true;
    }
    if (!add_batch(spines, &batch, err)
        || !engine_progress(engine, &(Progress){line, spines->rows, total}, err)) {
      return false;
    }
  }
}

bool spines_read(Engine *engine, const SpineFile *file, SpineKeys *keys, size_t key_count,
                 Spines *spines, Error *err)
{
  *spines = (Spines){.keys = keys, .key_count = key_count};
  for (size_t i = 0; i < key_count; i++) {
    keys[i].keys = key_set_new(keys[i].types, keys[i].count);
  }
  Arena arena = {0};
  Duck *duck = engine_duck(engine, err);
  Reader *reader = duck ? open_reader(duck, file, keys, key_count, &arena, err) : NULL;
  bool ok = reader && read_all(engine, reader, file->path, spines, err);
  if (reader) {
    reader_close(reader);
  }
  arena_deinit(&arena);
  for (size_t i = 0; ok && i < key_count; i++) {
    ok = spine_init(&keys[i].index, keys[i].numbers, key_set_count(keys[i].keys), spines->times,
                    spines->rows);
  }
  return ok;
}

void spines_deinit(Spines *spines)
{
  for (size_t i = 0; i < spines->key_count; i++) {
    spine_deinit(&spines->keys[i].index);
    key_set_free(spines->keys[i].keys);
    free(spines->keys[i].numbers);
  }
  free(spines->times);
  *spines = (Spines){0};
}
