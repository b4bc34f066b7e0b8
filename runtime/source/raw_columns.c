#include "source/raw_columns.h"

#include <string.h>

void raw_columns_init(RawColumns *columns, const char *const *names, size_t count,
                      size_t batch_rows, Arena *arena)
{
  *columns = (RawColumns){.names = names, .count = count};
  columns->firsts = arena_zalloc(arena, count + 1, sizeof(*columns->firsts));
  columns->slices = arena_zalloc(arena, count + 1, sizeof(Slice *));
  columns->valid = arena_zalloc(arena, count + 1, sizeof(uint64_t *));
  columns->raws = arena_zalloc(arena, count + 1, sizeof(Raw));
  for (size_t i = 0; i < count; i++) {
    while (strcmp(names[columns->firsts[i]], names[i]) != 0) {
      columns->firsts[i]++;
    }
    columns->slices[i] = arena_alloc(arena, batch_rows * sizeof(Slice));
    columns->valid[i] = arena_zalloc(arena, column_valid_words(batch_rows), sizeof(uint64_t));
    columns->raws[i] = (Raw){.valid = columns->valid[i], .data = columns->slices[i]};
  }
}

void raw_columns_begin_row(const RawColumns *columns, size_t row)
{
  for (size_t i = 0; i < columns->count; i++) {
    column_set_valid(columns->valid[i], row, false);
  }
}

size_t raw_columns_find(const RawColumns *columns, Slice name, size_t *hint)
{
  for (size_t i = 0; i < columns->count; i++) {
    size_t at = (*hint + i) % columns->count;
    if (columns->firsts[at] == at && slice_is(name, columns->names[at])) {
      *hint = at + 1;
      return at;
    }
  }
  return columns->count;
}

void raw_columns_put(const RawColumns *columns, size_t at, size_t row, Slice value)
{
  columns->slices[at][row] = value;
  column_set_valid(columns->valid[at], row, true);
}

void raw_columns_end_row(const RawColumns *columns, size_t row)
{
  for (size_t i = 0; i < columns->count; i++) {
    size_t first = columns->firsts[i];
    if (first != i && columns->valid[first][row / 64] >> (row % 64) & 1) {
      raw_columns_put(columns, i, row, columns->slices[first][row]);
    }
  }
}
