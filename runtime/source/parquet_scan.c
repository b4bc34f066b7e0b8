#include "source/parquet_scan.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/buf.h"
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

// Bad values of a group that is read while an earlier one still is.
typedef struct {
  Buf values;  // BadValue
  Arena arena;
  bool done;  // the group was read
} Notes;

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
  // With filter.bad:
  pthread_mutex_t lock;
  Notes *notes;  // per group
  size_t turn;   // the first group that is not done: its bad values are told of at once
};

struct ParquetShare {
  ParquetScan *scan;
  ParquetCursor *cursor;  // over cursor_file
  size_t cursor_file;
  bool in_group;
  size_t group;        // the one at hand
  uint64_t first_row;  // of the last batch, in the file
  BadValues bad;       // of the cursor
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
  pthread_mutex_init(&scan->lock, NULL);
  bool ok = count > 0;
  for (size_t i = 0; ok && i < files; i++) {
    ok = open_file(scan, paths[i], names[i], err);
  }
  if (!ok) {
    parquet_scan_close(scan);
    return NULL;
  }
  list_groups(scan);
  scan->notes = scan->filter.bad ? mem_zalloc(scan->group_count, sizeof(*scan->notes)) : NULL;
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
  for (size_t i = 0; scan->notes && i < scan->group_count; i++) {
    buf_deinit(&scan->notes[i].values);
    arena_deinit(&scan->notes[i].arena);
  }
  pthread_mutex_destroy(&scan->lock);
  free(scan->notes);
  free(scan->files);
  free(scan->groups);
  free(scan);
}

uint64_t parquet_scan_rows(const ParquetScan *scan)
{
  return scan->rows;
}

// --- Bad values, in order ---

static bool note(void *context, const BadValue *bad, Error *err)
{
  ParquetShare *share = context;
  ParquetScan *scan = share->scan;
  bool ok = true;
  pthread_mutex_lock(&scan->lock);
  if (share->group == scan->turn) {
    ok = scan->filter.bad->take(scan->filter.bad->context, bad, err);
  } else {
    Notes *notes = &scan->notes[share->group];
    BadValue kept = *bad;  // names live as long as the scan
    kept.message = arena_text(&notes->arena, slice_text(bad->message));
    buf_put(&notes->values, &kept, sizeof(kept));
  }
  pthread_mutex_unlock(&scan->lock);
  return ok;
}

// Tells of what was noted of the group whose turn it is.
static bool tell(ParquetScan *scan, Error *err)
{
  Notes *notes = &scan->notes[scan->turn];
  const BadValue *values = (const BadValue *)notes->values.data;
  size_t count = notes->values.size / sizeof(*values);
  for (size_t i = 0; i < count; i++) {
    if (!scan->filter.bad->take(scan->filter.bad->context, &values[i], err)) {
      return false;
    }
  }
  return true;
}

// Moves the turn behind a group that was read, and on behind those that follow and were, too.
static bool end_group(ParquetScan *scan, size_t group, Error *err)
{
  if (!scan->notes) {
    return true;
  }
  bool ok = true;
  pthread_mutex_lock(&scan->lock);
  scan->notes[group].done = true;
  while (ok && scan->turn < scan->group_count && scan->notes[scan->turn].done) {
    scan->turn++;
    ok = scan->turn == scan->group_count || tell(scan, err);
  }
  pthread_mutex_unlock(&scan->lock);
  return ok;
}

const uint64_t *parquet_share_bad(const ParquetShare *share)
{
  return share->cursor ? parquet_cursor_bad(share->cursor) : NULL;
}

bool parquet_share_refuse(ParquetShare *share, size_t row, const char *message, Error *err)
{
  assert(share->scan->notes && !share->scan->filter.wanted);
  const ScanFile *file = &share->scan->files[share->cursor_file];
  BadValue value = {.file = file->name, .row = share->first_row + row + 1, .message = message};
  return note(share, &value, err);
}

// --- Shares ---

ParquetShare *parquet_share_new(ParquetScan *scan)
{
  ParquetShare *share = mem_zalloc(1, sizeof(*share));
  share->scan = scan;
  share->bad = (BadValues){.take = note, .context = share};
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
    if (scan->filter.bad) {
      parquet_cursor_take_bad(share->cursor, &share->bad);
    }
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
        share->first_row = rows.first_row - scan->files[share->cursor_file].first_row;
        return true;
      }
      share->in_group = false;
      if (!end_group(scan, share->group, err)) {
        return false;
      }
    }
    size_t next = atomic_fetch_add(&scan->next, 1);
    if (next >= scan->group_count) {
      batch->count = 0;
      return true;
    }
    share->group = next;
    if (!start_group(share, &scan->groups[next], err)
        || (!share->in_group && !end_group(scan, next, err))) {
      return false;
    }
  }
}
