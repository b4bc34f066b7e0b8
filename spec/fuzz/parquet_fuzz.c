// Parquet files from anywhere: whatever the bytes, reading ends in rows or in an error.
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "source/parquet_cursor.h"

enum { COLUMN_LIMIT = 16, BATCH_LIMIT = 1000 };

static const TypeKind KINDS[] = {
    TYPE_INT64, TYPE_FLOAT64, TYPE_STRING,  TYPE_TIMESTAMP,
    TYPE_BOOL,  TYPE_INT32,   TYPE_FLOAT32, TYPE_BYTES,
};

static volatile uint64_t sink;  // keeps the compiler from leaving the reads out

// Sums what a batch holds, so that every byte of it is touched.
static uint64_t touch(const Batch *batch)
{
  uint64_t sum = 0;
  for (size_t i = 0; i < batch->column_count; i++) {
    const Column *column = &batch->columns[i];
    bool texts = column->type.kind == TYPE_STRING || column->type.kind == TYPE_BYTES;
    for (size_t row = 0; row < batch->count; row++) {
      Slice text = texts && column_has(column, row) ? column->slices[row] : slice_of(NULL, 0);
      sum += text.size ? (uint8_t)text.data[text.size - 1] : 0;
      sum += texts ? 0 : ((const uint8_t *)column->data)[row * type_width(column->type)];
    }
  }
  return sum;
}

static void read_column(const ParquetFile *file, const ReaderColumn *column, bool some)
{
  Error err = {0};
  ParquetCursor *cursor = parquet_cursor_new(file, "fuzz.parquet", column, 1);
  // Half of the rows, where the file does not claim more of them than it can have bytes.
  uint64_t *wanted = some && file->rows < (1 << 20) ? calloc(file->rows / 64 + 1, 8) : NULL;
  for (uint64_t row = 0; wanted && row < file->rows; row += 2) {
    wanted[row / 64] |= UINT64_C(1) << (row % 64);
  }
  for (size_t group = 0; cursor && group < file->group_count && group < 8; group++) {
    Batch batch = {.count = 1};
    bool ok = parquet_cursor_start(cursor, group, 0, &err);
    for (int i = 0; ok && batch.count && i < BATCH_LIMIT; i++) {
      ok = parquet_cursor_next(cursor, wanted, &batch, &err);
      sink += ok ? touch(&batch) : 0;
    }
  }
  free(wanted);
  parquet_cursor_free(cursor);
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
  Error err = {0};
  ParquetFile file;
  bool handled;
  if (parquet_open(&file, path, &handled, &err) && handled) {
    for (size_t i = 0; i < file.column_count && i < COLUMN_LIMIT; i++) {
      for (size_t k = 0; file.columns[i].name && k < sizeof(KINDS) / sizeof(KINDS[0]); k++) {
        ReaderColumn column = {file.columns[i].name, {.kind = (uint8_t)KINDS[k]}, UNIT_MS, "it"};
        read_column(&file, &column, k % 2);
      }
    }
    parquet_close(&file);
  }
  close(handle);
  return 0;
}
