#include "source/parquet_scan.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"

typedef struct {
  ParquetFile file;
  const char *name;
  uint64_t first_row;  // of the table
} ScanFile;

typedef struct {
  size_t file;
  size_t group;
} ScanGroup;

struct ParquetScan {
  ScanFile *files;
  size_t file_count;
  ScanGroup *groups;  // in the table's order
  size_t group_count;
  uint64_t rows;
  const ReaderColumn *columns;
  size_t column_count;
  ReaderFilter filter;
  atomic_size_t next;  // group to be dealt out
};

struct ParquetShare {
  ParquetScan *scan;
  ParquetCursor *cursor;  // over cursor_file
  size_t cursor_file;
  bool in_group;
};

static bool open_file(ParquetScan *scan, const char *path, const char *name, Error *err)
{
  ScanFile *file = &scan->files[scan->file_count];
  bool handled;
  if (!parquet_open(&file->file, path, &handled, err) || !handled) {
    return false;
  }
  file->name = name;
  file->first_row = scan->rows;
  scan->rows += file->file.rows;
  scan->file_count++;
  ParquetCursor *cursor = parquet_cursor_new(&file->file, name, scan->columns, scan->column_count);
  parquet_cursor_free(cursor);
  return cursor != NULL;
}

static void list_groups(ParquetScan *scan)
{
  size_t count = 0;
  for (size_t i = 0; i < scan->file_count; i++) {
    count += scan->files[i].file.group_count;
  }
  scan->groups = mem_zalloc(count, sizeof(*scan->groups));
  for (size_t i = 0; i < scan->file_count; i++) {
    for (size_t group = 0; group < scan->files[i].file.group_count; group++) {
      scan->groups[scan->group_count++] = (ScanGroup){i, group};
    }
  }
}

ParquetScan *parquet_scan_open(const char *const *paths, const char *const *names, size_t files,
                               const ReaderColumn *columns, size_t count,
                               const ReaderFilter *filter, Error *err)
{
  ParquetScan *scan = mem_zalloc(1, sizeof(*scan));
  scan->files = mem_zalloc(files, sizeof(*scan->files));
  scan->columns = columns;
  scan->column_count = count;
  scan->filter = filter ? *filter : (ReaderFilter){0};
  bool ok = count > 0;
  for (size_t i = 0; ok && i < files; i++) {
    ok = open_file(scan, paths[i], names[i], err);
  }
  if (!ok) {
    parquet_scan_close(scan);
    return NULL;
  }
  list_groups(scan);
  return scan;
}

void parquet_scan_close(ParquetScan *scan)
{
  if (!scan) {
    return;
  }
  for (size_t i = 0; i < scan->file_count; i++) {
    parquet_close(&scan->files[i].file);
  }
  free(scan->files);
  free(scan->groups);
  free(scan);
}

uint64_t parquet_scan_rows(const ParquetScan *scan)
{
  return scan->rows;
}

ParquetShare *parquet_share_new(ParquetScan *scan)
{
  ParquetShare *share = mem_zalloc(1, sizeof(*share));
  share->scan = scan;
  return share;
}

void parquet_share_free(ParquetShare *share)
{
  if (share) {
    parquet_cursor_free(share->cursor);
    free(share);
  }
}

// Whether some row of the group is wanted.
static bool any_wanted(const ReaderFilter *filter, uint64_t first, uint64_t rows)
{
  if (!filter->wanted) {
    return true;
  }
  if (first >= filter->wanted_rows) {
    return false;
  }
  uint64_t end = filter->wanted_rows - first < rows ? filter->wanted_rows : first + rows;
  for (uint64_t row = first; row < end; row = (row / 64 + 1) * 64) {
    uint64_t bits = filter->wanted[row / 64] >> (row % 64);
    uint64_t left = end - row;
    if (left < 64) {
      bits &= (UINT64_C(1) << left) - 1;
    }
    if (bits) {
      return true;
    }
  }
  return false;
}

static bool start_group(ParquetShare *share, const ScanGroup *group, Error *err)
{
  ParquetScan *scan = share->scan;
  ScanFile *file = &scan->files[group->file];
  const ParquetGroup *rows = &file->file.groups[group->group];
  uint64_t first = file->first_row + rows->first_row;
  if (scan->filter.wanted && first < scan->filter.wanted_rows
      && scan->filter.wanted_rows - first < rows->rows) {
    return error_set(err, ERR_IO, "\"%s\" changed while it was read: run it again", file->name);
  }
  if (!any_wanted(&scan->filter, first, rows->rows)) {
    return true;
  }
  if (!share->cursor || share->cursor_file != group->file) {
    parquet_cursor_free(share->cursor);
    share->cursor = parquet_cursor_new(&file->file, file->name, scan->columns, scan->column_count);
    share->cursor_file = group->file;
  }
  const ReaderFilter *filter = &scan->filter;
  if (filter->has_times
      && parquet_cursor_outside(share->cursor, group->group, filter->time_column, filter->oldest,
                                filter->newest)) {
    return true;
  }
  share->in_group = parquet_cursor_start(share->cursor, group->group, file->first_row, err);
  return share->in_group;
}

bool parquet_share_next(ParquetShare *share, Batch *batch, Error *err)
{
  ParquetScan *scan = share->scan;
  for (;;) {
    if (share->in_group) {
      Batch rows;
      if (!parquet_cursor_next(share->cursor, scan->filter.wanted, &rows, err)) {
        return false;
      }
      if (rows.count) {
        *batch = rows;
        return true;
      }
      share->in_group = false;
    }
    size_t next = atomic_fetch_add(&scan->next, 1);
    if (next >= scan->group_count) {
      batch->count = 0;
      return true;
    }
    if (!start_group(share, &scan->groups[next], err)) {
      return false;
    }
  }
}
