#include "engine/writer_apply.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "data/key.h"
#include "store/online.h"

enum { VIEW_IDS = 1 << 16 };

// Marks the ids of views whose rows are kept online.
static bool find_views(Engine *engine, DbRead *read, bool *online, Error *err)
{
  if (!db_read_begin(read, err)) {
    return false;
  }
  Catalog *catalog = engine_catalog(engine, read, err);
  db_read_end(read);
  if (!catalog) {
    return false;
  }
  for (size_t i = 0; i < catalog->view_count; i++) {
    online[catalog->views[i].id] = catalog->views[i].online;
  }
  catalog_unref(catalog);
  return true;
}

static bool put_row(DbWrite *write, const OverlayRow *row, Error *err)
{
  RowView view;
  OnlineOutcome outcome;
  return row_open(row->row, &view, err)
         && online_put(write, row->key, row->row, view.rank, &outcome, err);
}

static void commits_add(Commits *commits, uint64_t snapshot)
{
  commits->broken |= commits->first && snapshot != commits->last + 1;
  commits->first = commits->first ? commits->first : snapshot;
  commits->last = snapshot;
}

static bool commit(DbWrite *write, Commits *commits, Error *err)
{
  commits_add(commits, db_write_snapshot(write));
  return db_write_commit(write, err);
}

// Transactions end where LMDB would begin to spill. The position is in the last one: until then a
// crash applies all of the rows again, which changes nothing.
static bool put_rows(Db *db, const OverlayRow *rows, size_t count, const bool *online,
                     LogPosition position, Commits *commits, Error *err)
{
  DbWrite *write;
  if (!db_write_begin(db, &write, err)) {
    return false;
  }
  bool ok = true;
  for (size_t i = 0; ok && i < count; i++) {
    if (db_write_full(write)) {
      if (!commit(write, commits, err) || !db_write_begin(db, &write, err)) {
        return false;
      }
    }
    if (online[bytes_load_be16(rows[i].key.data)]) {
      ok = put_row(write, &rows[i], err);
    }
  }
  if (!ok || !log_position_put(write, position, err)) {
    db_write_abort(write);
    return false;
  }
  return commit(write, commits, err);
}

bool apply_tables(Engine *engine, Db *db, DbRead *read, const ApplyTables *tables, Commits *commits,
                  Error *err)
{
  bool *online = mem_zalloc(VIEW_IDS, sizeof(*online));
  bool ok = find_views(engine, read, online, err);
  if (ok) {
    OverlayRow *rows;
    size_t count = overlay_tables_rows(tables->items, tables->count, &rows);
    ok = put_rows(db, rows, count, online, tables->end, commits, err);
    free(rows);
  }
  free(online);
  return ok;
}

// A log while it is replayed: rows gather in a table, newest per key.
typedef struct {
  Engine *engine;
  Db *db;
  DbRead *read;
  Overlay *overlay;
  LogPosition end;  // behind the last record visited
} Recovery;

static bool apply_gathered(Recovery *recovery, Error *err)
{
  overlay_publish(recovery->overlay, recovery->end.sequence);
  OverlayTable *table = overlay_seal(recovery->overlay);
  if (!table) {
    return true;
  }
  ApplyTables tables = {.items = {table}, .count = 1, .end = recovery->end};
  Commits commits = {0};
  bool ok = apply_tables(recovery->engine, recovery->db, recovery->read, &tables, &commits, err);
  overlay_drop(recovery->overlay, table);
  return ok;
}

static bool visit_record(void *context, const LogRecord *record, LogPosition end, Error *err)
{
  Recovery *recovery = context;
  PushRow row;
  RowView view;
  if (!push_row_open(record->payload, &row) || !row_open(row.row, &view, NULL)) {
    return error_set(err, ERR_STORE,
                     "record %" PRIu64 " of the log is whole but not a row that this tidemark "
                     "knows: it may have been written by a newer one",
                     record->sequence);
  }
  recovery->end = end;
  Slice other;
  RowView newest;
  bool greater = !overlay_active_row(recovery->overlay, row.key, &other)
                 || !row_open(other, &newest, NULL) || row_rank_compare(view.rank, newest.rank) > 0;
  if ((row.flags & PUSH_ONLINE) && greater) {
    overlay_put(recovery->overlay, row.key, row.row, record->sequence);
  }
  return !overlay_active_full(recovery->overlay) || apply_gathered(recovery, err);
}

// Where LMDB stands.
static bool read_position(Db *db, LogPosition *position, Error *err)
{
  DbRead *read = db_read_new(db, err);
  bool ok = read && db_read_begin(read, err);
  if (ok) {
    ok = log_position_get(read, position, err);
    db_read_end(read);
  }
  db_read_free(read);
  return ok;
}

Log *apply_log(Engine *engine, Db *db, Error *err)
{
  LogPosition from;
  if (!read_position(db, &from, err)) {
    return NULL;
  }
  Recovery recovery = {.engine = engine,
                       .db = db,
                       .read = db_read_new(db, err),
                       .overlay = overlay_new(),
                       .end = from};
  LogOptions options = {.store = engine_store(engine)};
  Log *log = recovery.read ? log_open(&options, from, visit_record, &recovery, err) : NULL;
  if (log && !apply_gathered(&recovery, err)) {
    error_wrap(err, "the log could not be applied");
    log_close(log);
    log = NULL;
  }
  db_read_free(recovery.read);
  overlay_free(recovery.overlay);
  return log;
}

bool writer_recover(Engine *engine, Db *db, Error *err)
{
  LogPosition from;
  if (!read_position(db, &from, err)) {
    return false;
  }
  if (!log_has_more(engine_store(engine), from)) {
    return true;
  }
  Error failure = {0};
  Log *log = apply_log(engine, db, &failure);
  log_close(log);
  if (!log && failure.code != ERR_UNAVAILABLE) {
    error_set(err, failure.code, "%s", failure.message);
    return false;
  }
  return true;
}
