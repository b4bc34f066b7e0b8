// The store layer for specs, through the FFI: thin wrappers that take pointers and sizes. `message`
// holds 768 bytes and gets a failure as "code: text".

#include <stdio.h>

#include "store/db.h"
#include "store/marks.h"
#include "store/online.h"
#include "store/registry.h"

enum { MESSAGE_SIZE = 768 };

// Declares and begins a function that is visible outside the binary.
#define EXPORT(...)                                   \
  __attribute__((visibility("default"))) __VA_ARGS__; \
  __VA_ARGS__

static bool report(bool ok, const Error *err, char *message)
{
  if (!ok) {
    snprintf(message, MESSAGE_SIZE, "%s: %s", error_code_name(err->code), err->message);
  }
  return ok;
}

// Database ----------------------------------------------------------------------------------------

EXPORT(Db *tidemark_db_open(const char *path, uint64_t map_size, bool read_only, bool no_sync,
                            char *message))
{
  Error err = {0};
  DbOptions options = {
      .path = path, .map_size = map_size, .read_only = read_only, .no_sync = no_sync};
  Db *db = db_open(&options, &err);
  report(db != NULL, &err, message);
  return db;
}

EXPORT(void tidemark_db_close(Db *db))
{
  db_close(db);
}

// map_size, used, online_rows, readers
EXPORT(bool tidemark_db_stats(Db *db, uint64_t *out, char *message))
{
  Error err = {0};
  DbStats stats;
  bool ok = db_stats(db, &stats, &err);
  out[0] = stats.map_size;
  out[1] = stats.used;
  out[2] = stats.online_rows;
  out[3] = stats.readers;
  return report(ok, &err, message);
}

EXPORT(int tidemark_db_check_readers(Db *db))
{
  return db_check_readers(db);
}

EXPORT(bool tidemark_db_copy(Db *db, const char *path, char *message))
{
  Error err = {0};
  return report(db_copy(db, path, &err), &err, message);
}

EXPORT(DbWrite *tidemark_db_write_begin(Db *db, char *message))
{
  Error err = {0};
  DbWrite *write;
  report(db_write_begin(db, &write, &err), &err, message);
  return write;
}

EXPORT(bool tidemark_db_write_commit(DbWrite *write, char *message))
{
  Error err = {0};
  return report(db_write_commit(write, &err), &err, message);
}

EXPORT(void tidemark_db_write_abort(DbWrite *write))
{
  db_write_abort(write);
}

EXPORT(bool tidemark_db_write_full(const DbWrite *write))
{
  return db_write_full(write);
}

EXPORT(DbRead *tidemark_db_read_new(Db *db, char *message))
{
  Error err = {0};
  DbRead *read = db_read_new(db, &err);
  report(read != NULL, &err, message);
  return read;
}

EXPORT(bool tidemark_db_read_begin(DbRead *read, char *message))
{
  Error err = {0};
  return report(db_read_begin(read, &err), &err, message);
}

EXPORT(void tidemark_db_read_end(DbRead *read))
{
  db_read_end(read);
}

EXPORT(uint64_t tidemark_db_read_snapshot(const DbRead *read))
{
  return db_read_snapshot(read);
}

EXPORT(void tidemark_db_read_free(DbRead *read))
{
  db_read_free(read);
}

// Online rows -------------------------------------------------------------------------------------

// 0: written, 1: stale, -1: failed.
EXPORT(int tidemark_online_put(DbWrite *write, const char *key, size_t key_size, const char *row,
                               size_t row_size, char *message))
{
  Error err = {0};
  RowView view;
  OnlineOutcome outcome = ONLINE_STALE;
  Slice bytes = slice_of(row, row_size);
  bool ok = row_open(bytes, &view, &err)
            && online_put(write, slice_of(key, key_size), bytes, view.rank, &outcome, &err);
  return report(ok, &err, message) ? outcome == ONLINE_STALE : -1;
}

// `rank`: event time, created time, arrival, 1 for a tombstone. 1: found, 0: not, -1: failed.
EXPORT(int tidemark_online_get(DbRead *read, const char *key, size_t key_size, int64_t *rank,
                               const char **values, size_t *size, char *message))
{
  Error err = {0};
  RowView row;
  bool found = false;
  if (!report(online_get(read, slice_of(key, key_size), &row, &found, &err), &err, message)) {
    return -1;
  }
  if (found) {
    rank[0] = row.rank.event_time;
    rank[1] = row.rank.created_time;
    rank[2] = (int64_t)row.rank.arrival;
    rank[3] = row.deleted;
    *values = row.values.data;
    *size = row.values.size;
  }
  return found;
}

typedef struct {
  char *at;
  char *end;
} Page;

// [u32 key size][key][i64 event time]; stops where the page is full.
static bool visit_entry(void *context, const OnlineEntry *entry)
{
  Page *page = context;
  uint32_t size = (uint32_t)entry->key.size;
  if ((size_t)(page->end - page->at) < sizeof(size) + size + sizeof(int64_t)) {
    return false;
  }
  memcpy(page->at, &size, sizeof(size));
  memcpy(page->at + sizeof(size), entry->key.data, size);
  memcpy(page->at + sizeof(size) + size, &entry->row.rank.event_time, sizeof(int64_t));
  page->at += sizeof(size) + size + sizeof(int64_t);
  return true;
}

// Fills `out` with as many entries as it holds; returns the bytes used, -1 on failure.
EXPORT(int64_t tidemark_online_scan(DbRead *read, uint16_t view_id, const char *after,
                                    size_t after_size, char *out, size_t capacity, char *message))
{
  Error err = {0};
  Page page = {out, out + capacity};
  bool ok = online_scan(read, view_id, slice_of(after, after_size), visit_entry, &page, &err);
  return report(ok, &err, message) ? page.at - out : -1;
}

// Marks -------------------------------------------------------------------------------------------

enum { MARK_FIELDS = 6 };

static void fill_mark(const Mark *mark, int64_t *out)
{
  int64_t fields[MARK_FIELDS] = {mark->materialized_from,  mark->materialized_to,
                                 mark->created_to,         mark->updated_at,
                                 (int64_t)mark->rows_read, (int64_t)mark->rows_written};
  memcpy(out, fields, sizeof(fields));
}

// 1: found, 0: not, -1: failed.
EXPORT(int tidemark_marks_get(DbRead *read, uint16_t view_id, int64_t *out, char *message))
{
  Error err = {0};
  Mark mark;
  bool found = false;
  bool ok = marks_get(read, view_id, &mark, &found, &err);
  fill_mark(&mark, out);
  return report(ok, &err, message) ? found : -1;
}

EXPORT(bool tidemark_marks_put(DbWrite *write, uint16_t view_id, const int64_t *fields,
                               char *message))
{
  Error err = {0};
  Mark mark = {
      .materialized_from = fields[0],
      .materialized_to = fields[1],
      .created_to = fields[2],
      .updated_at = fields[3],
      .rows_read = (uint64_t)fields[4],
      .rows_written = (uint64_t)fields[5],
  };
  return report(marks_put(write, view_id, &mark, &err), &err, message);
}

// Registry ----------------------------------------------------------------------------------------

EXPORT(bool tidemark_registry_generation(DbRead *read, uint64_t *generation, char *message))
{
  Error err = {0};
  return report(registry_generation(read, generation, &err), &err, message);
}

// `parts`: catalog, sources, changes; they live in the arena. 1: found, 0: not, -1: failed.
EXPORT(int tidemark_registry_get(DbRead *read, uint64_t *generation, int64_t *applied_at,
                                 const char **parts, size_t *sizes, Arena *arena, char *message))
{
  Error err = {0};
  Generation record = {0};
  bool found = false;
  bool ok = registry_get(read, *generation, &record, &found, arena, &err);
  const Slice slices[] = {record.catalog, record.sources, record.changes};
  for (size_t i = 0; i < sizeof(slices) / sizeof(slices[0]); i++) {
    parts[i] = slices[i].data;
    sizes[i] = slices[i].size;
  }
  *generation = record.generation;
  *applied_at = record.applied_at;
  return report(ok, &err, message) ? found : -1;
}

EXPORT(bool tidemark_registry_put(DbWrite *write, uint64_t generation, int64_t applied_at,
                                  const char *const *parts, const size_t *sizes, char *message))
{
  Error err = {0};
  Generation record = {
      .generation = generation,
      .applied_at = applied_at,
      .catalog = slice_of(parts[0], sizes[0]),
      .sources = slice_of(parts[1], sizes[1]),
      .changes = slice_of(parts[2], sizes[2]),
  };
  return report(registry_put(write, &record, &err), &err, message);
}

EXPORT(bool tidemark_registry_add_dropped(DbWrite *write, uint16_t view_id, char *message))
{
  Error err = {0};
  return report(registry_add_dropped(write, view_id, &err), &err, message);
}

EXPORT(bool tidemark_registry_sweep(DbWrite *write, size_t limit, uint64_t *deleted, bool *done,
                                    char *message))
{
  Error err = {0};
  return report(registry_sweep(write, limit, deleted, done, &err), &err, message);
}
