// JSON files from anywhere: whatever the bytes, reading ends in rows or in an error, and what can
// be described can be read.
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "source/coerce.h"
#include "source/json.h"

static const Type TYPES[] = {
    {.kind = TYPE_INT64},     {.kind = TYPE_FLOAT64},
    {.kind = TYPE_STRING},    {.kind = TYPE_BOOL},
    {.kind = TYPE_TIMESTAMP}, {.kind = TYPE_LIST, .element = TYPE_STRING},
    {.kind = TYPE_BYTES},     {.kind = TYPE_VECTOR, .element = TYPE_FLOAT32, .length = 2},
};
enum { TYPE_COUNT = sizeof(TYPES) / sizeof(TYPES[0]) };

// Coerces a column to every type; what fits none is an error, too.
static void coerce_all(const Raw *raw, size_t count, Arena *arena)
{
  for (size_t i = 0; i < TYPE_COUNT; i++) {
    Coercion coercion = {.type = TYPES[i], .unit = UNIT_MS, .what = "it", .from = "JSON"};
    Column column;
    size_t bad;
    Error err = {0};
    if (coerce_check(raw->kind, RAW_BOOL, &coercion, &err)) {
      coerce_column(raw, count, &coercion, arena, &column, &bad, &err);
    }
  }
}

static void read_all(const TableFiles *files, const TableColumn *columns, size_t count)
{
  Arena arena = {0};
  const char **names = mem_zalloc(count + 1, sizeof(*names));
  JsonAs *as = mem_zalloc(count + 1, sizeof(*as));
  for (size_t i = 0; i < count; i++) {
    names[i] = columns[i].name;
    as[i] = (JsonAs)(i % 3);
  }
  Json *json = json_open(files, names, as, count);
  RawRows rows = {.count = 1};
  Error err = {0};
  while (rows.count && json_next(json, &rows, &err)) {
    for (size_t i = 0; i < count; i++) {
      coerce_all(&rows.columns[i], rows.count, &arena);
    }
    arena_reset(&arena);
  }
  json_close(json);
  free(names);
  free(as);
  arena_deinit(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  int handle = memfd_create("fuzz", MFD_CLOEXEC);
  if (handle < 0 || write(handle, data, size) != (ssize_t)size) {
    abort();
  }
  char path[64];
  snprintf(path, sizeof(path), "/proc/self/fd/%d", handle);
  const char *paths[] = {path};
  const char *names[] = {"fuzz.json"};
  bool lines = size % 2;
  TableFiles files = {.format = lines ? FORMAT_JSONL : FORMAT_JSON, paths, names, 1};
  TableColumn *columns;
  size_t count;
  Arena arena = {0};
  Error err = {0};
  bool empty = false;
  if (json_describe(&files, true, &columns, &count, &arena, &err)) {
    bool again = json_is_empty(&files, &empty, &err);
    assert(again && (!empty || !count));
    read_all(&files, columns, count);
  }
  arena_deinit(&arena);
  close(handle);
  return 0;
}
