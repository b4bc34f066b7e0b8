#include "engine/spines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/parallel.h"

// Bytes per row and tuple: its number, and in the index its start, time, order and coarse time.
// What sorting takes for a moment is less than what joins take afterwards.
enum { INDEX_BYTES = 4 + 4 + 8 + 4 + 2 };

// Key columns of all tuples, one after the other, then the time column, then values.
static size_t column_count(const Spines *spines)
{
  size_t count = 1 + spines->value_count;
  for (size_t i = 0; i < spines->key_count; i++) {
    count += spines->keys[i].count;
  }
  return count;
}

static Reader *open_reader(Spines *spines, Duck *duck, const SpineFile *file, Error *err)
{
  Arena *arena = &spines->arena;
  ReaderColumn *columns = arena_zalloc(arena, column_count(spines), sizeof(*columns));
  size_t count = 0;
  for (size_t i = 0; i < spines->key_count; i++) {
    const SpineKeys *keys = &spines->keys[i];
    for (size_t k = 0; k < keys->count; k++) {
      const char *what = arena_print(arena, "key column \"%s\" of the spine", keys->columns[k]);
      columns[count++] = (ReaderColumn){keys->columns[k], keys->types[k], file->time_unit, what};
    }
  }
  columns[count++] = (ReaderColumn){file->time_column, (Type){.kind = TYPE_TIMESTAMP},
                                    file->time_unit, "time column of the spine"};
  for (size_t i = 0; i < file->value_count; i++) {
    const Field *field = file->values[i];
    const char *what = arena_print(arena, "request column \"%s\" of the spine", field->column);
    columns[count++] = (ReaderColumn){field->column, field->type, file->time_unit, what};
  }
  Table table = {.path = file->path};
  return reader_open(duck, &table, columns, count, NULL, err);
}

bool spines_open(Spines *spines, Engine *engine, const SpineFile *file, SpineKeys *keys,
                 size_t key_count, Error *err)
{
  *spines = (Spines){
      .engine = engine,
      .path = file->path,
      .keys = keys,
      .key_count = key_count,
      .value_count = file->value_count,
  };
  spines->values = arena_zalloc(&spines->arena, file->value_count, sizeof(*spines->values));
  for (size_t i = 0; i < file->value_count; i++) {
    spines->values[i] = builder_new(file->values[i]->type);
  }
  Duck *duck = engine_duck(engine, err);
  spines->reader = duck ? open_reader(spines, duck, file, err) : NULL;
  if (!spines->reader) {
    spines_close(spines);
    return false;
  }
  spines->total = reader_total(spines->reader);
  return true;
}

// --- Rows ---

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

static void add_batch(Spines *spines, const Batch *batch)
{
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
  for (size_t i = 0; i < spines->value_count; i++) {
    column++;
    for (size_t row = 0; row < batch->count; row++) {
      builder_add(spines->values[i], column, row);
    }
  }
  spines->rows += batch->count;
}

// Whether the part takes more memory than it may with so many rows more.
static bool is_full(const Spines *spines, uint64_t budget, size_t row_bytes, size_t more)
{
  if (spines->rows + more >= KEY_NONE) {
    return true;
  }
  uint64_t bytes = 0;
  for (size_t i = 0; i < spines->key_count; i++) {
    bytes += key_set_bytes(spines->keys[i].keys);
  }
  for (size_t i = 0; i < spines->value_count; i++) {
    bytes += builder_bytes(spines->values[i]);
  }
  uint64_t each = sizeof(Time) + spines->key_count * INDEX_BYTES + row_bytes;
  return bytes + (spines->rows + more) * each > budget;
}

static bool read_part(Spines *spines, uint64_t budget, size_t row_bytes, Error *err)
{
  char line[256];
  snprintf(line, sizeof(line), "%s: reading", spines->path);
  for (;;) {
    bool need = !spines->pending.count && !spines->ended;
    if (need && !reader_next(spines->reader, &spines->pending, err)) {
      return false;
    }
    size_t count = spines->pending.count;
    spines->ended = !count;
    if (!count || (spines->rows && is_full(spines, budget, row_bytes, count))) {
      return true;
    }
    add_batch(spines, &spines->pending);
    spines->pending.count = 0;
    Progress progress = {line, spines->before + spines->rows, spines->total};
    if (!engine_progress(spines->engine, &progress, err)) {
      return false;
    }
  }
}

static void forget_part(Spines *spines)
{
  for (size_t i = 0; i < spines->key_count; i++) {
    SpineKeys *keys = &spines->keys[i];
    spine_deinit(&keys->index);
    key_set_free(keys->keys);
    keys->keys = NULL;
  }
  for (size_t i = 0; i < spines->value_count; i++) {
    builder_reset(spines->values[i]);
  }
  spines->before += spines->rows;
  spines->rows = 0;
}

bool spines_next(Spines *spines, uint64_t budget, size_t row_bytes, Error *err)
{
  forget_part(spines);
  for (size_t i = 0; i < spines->key_count; i++) {
    spines->keys[i].keys = key_set_new(spines->keys[i].types, spines->keys[i].count);
  }
  unsigned threads = parallel_threads(engine_threads(spines->engine));
  bool ok = read_part(spines, budget, row_bytes, err);
  for (size_t i = 0; ok && i < spines->key_count; i++) {
    SpineKeys *keys = &spines->keys[i];
    ok = spine_init(&keys->index, keys->numbers, key_set_count(keys->keys), spines->times,
                    spines->rows, threads)
         || error_set(err, ERR_LIMIT, "a part of the spine has too many rows");
  }
  return ok;
}

void spines_close(Spines *spines)
{
  forget_part(spines);
  for (size_t i = 0; i < spines->key_count; i++) {
    free(spines->keys[i].numbers);
    spines->keys[i].numbers = NULL;
  }
  for (size_t i = 0; i < spines->value_count; i++) {
    builder_free(spines->values[i]);
  }
  free(spines->times);
  reader_close(spines->reader);
  arena_deinit(&spines->arena);
  *spines = (Spines){0};
}
