#include "store/db.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/db_private.h"
#include "store/versions.h"

enum {
  GROW_TRIES = 2000,  // of a millisecond each
  // LMDB keeps at most 131072 dirty pages in memory and spills beyond, which 0.9.24 does badly.
  // Measured: the fewest seconds for many large rows are at 64 MiB.
  WRITE_PAGES_MAX = 16384,
  PAGE_SIZE_LEAST = 4096,
};

static _Thread_local char this_thread;  // its address names the thread

// Codes -------------------------------------------------------------------------------------------

static unsigned long long map_size(const Db *db)
{
  MDB_envinfo info = {0};
  mdb_env_info(db->env, &info);
  return (unsigned long long)info.me_mapsize;
}

bool db_fail(const Db *db, int code, const char *doing, Error *err)
{
  switch (code) {
  case MDB_MAP_FULL:
    return error_set(err, ERR_LIMIT,
                     "cannot %s: the store %s has filled its map of %llu bytes; open it with a "
                     "larger one (--map-size SIZE), or drop views",
                     doing, db->path, map_size(db));
  case MDB_TXN_FULL:
    return error_set(err, ERR_LIMIT,
                     "cannot %s in %s: the transaction has too many changes; commit more often",
                     doing, db->path);
  case MDB_READERS_FULL:
    return error_set(err, ERR_LIMIT,
                     "cannot %s: all %d reader slots of the store %s are taken; close readers or "
                     "processes",
                     doing, DB_READERS, db->path);
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
  case EIO:  // what LMDB makes of a write that was cut short
    return error_set(err, ERR_STORE,
                     "cannot %s: the disk of the store %s is full or failing (%s); nothing was "
                     "changed, make room and run it again",
                     doing, db->path, mdb_strerror(code));
  case MDB_INVALID:
  case MDB_VERSION_MISMATCH:
    return error_set(err, ERR_STORE,
                     "cannot %s: %s/data.mdb is not a store, or was written by another kind of "
                     "machine or LMDB; move it away and materialize again, or restore a backup",
                     doing, db->path);
  case MDB_CORRUPTED:
  case MDB_PAGE_NOTFOUND:
  case MDB_PANIC:
    return error_set(err, ERR_STORE,
                     "cannot %s: the store %s is damaged (%s); restore a backup, or move it away, "
                     "apply and materialize again",
                     doing, db->path, mdb_strerror(code));
  case EACCES:
  case EPERM:
  case EROFS:
    return error_set(err, ERR_IO, "cannot %s in %s: %s; check the folder's owner and mode", doing,
                     db->path, mdb_strerror(code));
  case ENOMEM:
    return error_set(err, ERR_LIMIT,
                     "cannot %s: no address space to map the store %s; raise `ulimit -v` or open "
                     "it with a smaller map (--map-size SIZE)",
                     doing, db->path);
  default:
    return error_set(err, ERR_STORE, "cannot %s (the store is %s): %s", doing, db->path,
                     mdb_strerror(code));
  }
}

// Tables ------------------------------------------------------------------------------------------

bool db_get(const Db *db, MDB_txn *txn, MDB_dbi table, Slice key, Slice *value, bool *found,
            Error *err)
{
  MDB_val wanted = db_value(key);
  MDB_val data;
  int rc = mdb_get(txn, table, &wanted, &data);
  *found = rc == 0;
  if (rc && rc != MDB_NOTFOUND) {
    return db_fail(db, rc, "read", err);
  }
  *value = *found ? db_slice(data) : (Slice){0};
  return true;
}

bool db_put(DbWrite *write, MDB_dbi table, Slice key, Slice value, Error *err)
{
  MDB_val wanted = db_value(key);
  MDB_val data = db_value(value);
  int rc = mdb_put(write->txn, table, &wanted, &data, 0);
  write->dirty_pages += 1 + value.size / PAGE_SIZE_LEAST;
  return rc ? db_fail(write->db, rc, "write", err) : true;
}

bool db_del(DbWrite *write, MDB_dbi table, Slice key, Error *err)
{
  MDB_val wanted = db_value(key);
  int rc = mdb_del(write->txn, table, &wanted, NULL);
  write->dirty_pages++;
  return rc && rc != MDB_NOTFOUND ? db_fail(write->db, rc, "delete", err) : true;
}

// Growing -----------------------------------------------------------------------------------------
//
// Another process with a larger map may have written beyond ours: then it has to be mapped anew.

static void wait_for_growth(Db *db)
{
  pthread_mutex_lock(&db->gate);
  pthread_mutex_unlock(&db->gate);
}

// A reader raises its flag and then looks whether somebody grows; who grows says so and then looks
// at the flags: one of the two sees the other.
static void enter_read(DbRead *read)
{
  atomic_store(&read->busy, true);
  while (atomic_load(&read->db->growing)) {
    atomic_store(&read->busy, false);
    wait_for_growth(read->db);
    atomic_store(&read->busy, true);
  }
}

void db_enter(Db *db)
{
  atomic_fetch_add(&db->users, 1);
  while (atomic_load(&db->growing)) {
    atomic_fetch_sub(&db->users, 1);
    wait_for_growth(db);
    atomic_fetch_add(&db->users, 1);
  }
}

void db_leave(Db *db)
{
  atomic_fetch_sub(&db->users, 1);
}

static bool nobody_inside(const Db *db)
{
  if (atomic_load(&db->users)) {
    return false;
  }
  for (const DbRead *read = db->reads; read; read = read->next) {
    if (atomic_load(&read->busy)) {
      return false;
    }
  }
  return true;
}

// Maps the store at the size that the other process gave it. LMDB allows that only while this
// process has no transaction, and does not check: so wait until there is none.
static bool grow(Db *db, Error *err)
{
  pthread_mutex_lock(&db->gate);
  atomic_store(&db->growing, true);
  bool idle = nobody_inside(db);
  for (int i = 0; !idle && i < GROW_TRIES; i++) {
    usleep(1000);
    idle = nobody_inside(db);
  }
  int rc = idle ? mdb_env_set_mapsize(db->env, 0) : 0;
  atomic_store(&db->growing, false);
  pthread_mutex_unlock(&db->gate);
  if (!idle) {
    return error_set(err, ERR_UNAVAILABLE,
                     "another process has made the store %s larger, and a transaction of this "
                     "process keeps it from following; try again",
                     db->path);
  }
  return rc ? db_fail(db, rc, "follow the store's growth", err) : true;
}

// Writing -----------------------------------------------------------------------------------------

bool db_write_begin(Db *db, DbWrite **write, Error *err)
{
  *write = NULL;
  if (db_forked(db, err)) {
    return false;
  }
  if (db->read_only) {
    return error_set(err, ERR_STORE, "the store %s was opened for reading only", db->path);
  }
  if (atomic_load(&db->writer) == &this_thread) {
    return error_set(err, ERR_INTERNAL, "this thread is writing to the store %s already", db->path);
  }
  MDB_txn *txn = NULL;
  db_enter(db);
  int rc = mdb_txn_begin(db->env, NULL, 0, &txn);
  while (rc == MDB_MAP_RESIZED) {
    db_leave(db);
    if (!grow(db, err)) {
      return false;
    }
    db_enter(db);
    rc = mdb_txn_begin(db->env, NULL, 0, &txn);
  }
  if (rc) {
    db_leave(db);
    return db_fail(db, rc, "begin writing", err);
  }
  atomic_store(&db->writer, &this_thread);
  *write = mem_zalloc(1, sizeof(**write));
  (*write)->db = db;
  (*write)->txn = txn;
  return true;
}

// What is the same for commit and abort, up to the transaction itself.
static MDB_txn *end_write(DbWrite *write)
{
  assert(atomic_load(&write->db->writer) == &this_thread);
  if (write->online) {
    mdb_cursor_close(write->online);
  }
  versions_forget(write);
  atomic_store(&write->db->writer, NULL);
  return write->txn;
}

bool db_write_commit(DbWrite *write, Error *err)
{
  Db *db = write->db;
  if (!versions_flush(write, err)) {
    db_write_abort(write);
    return false;
  }
  int rc = mdb_txn_commit(end_write(write));
  db_leave(db);
  free(write);
  return rc ? db_fail(db, rc, "commit", err) : true;
}

void db_write_abort(DbWrite *write)
{
  if (write) {
    Db *db = write->db;
    mdb_txn_abort(end_write(write));
    db_leave(db);
    free(write);
  }
}

bool db_write_full(const DbWrite *write)
{
  return write->dirty_pages >= WRITE_PAGES_MAX;
}

uint64_t db_write_snapshot(const DbWrite *write)
{
  return mdb_txn_id(write->txn);
}

void db_count_pages(DbWrite *write, const void *at, size_t size)
{
  // Values written one after the other in key order mostly share pages; a jump means another page,
  // and its neighbours above in the tree are few.
  const uint8_t *bytes = at;
  ptrdiff_t jump = bytes - write->page;
  if (!write->page || jump >= PAGE_SIZE_LEAST || jump <= -PAGE_SIZE_LEAST) {
    write->dirty_pages++;
    write->page = bytes;
  }
  write->dirty_pages += size / PAGE_SIZE_LEAST;
}

MDB_cursor *db_online_cursor(DbWrite *write, Error *err)
{
  if (!write->online) {
    int rc = mdb_cursor_open(write->txn, write->db->online, &write->online);
    if (rc) {
      write->online = NULL;
      db_fail(write->db, rc, "open the online table", err);
    }
  }
  return write->online;
}

// Reading -----------------------------------------------------------------------------------------

// Begins a read transaction of `read`; slots of processes that died are taken back when all are
// used.
static int begin_first_read(DbRead *read)
{
  MDB_env *env = read->db->env;
  int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &read->txn);
  if (rc == MDB_READERS_FULL) {
    int dead = 0;
    mdb_reader_check(env, &dead);
    rc = dead ? mdb_txn_begin(env, NULL, MDB_RDONLY, &read->txn) : rc;
  }
  return rc;
}

DbRead *db_read_new(Db *db, Error *err)
{
  if (db_forked(db, err)) {
    return NULL;
  }
  DbRead *read = mem_zalloc(1, sizeof(*read));
  read->db = db;
  db_enter(db);
  int rc = begin_first_read(read);
  while (rc == MDB_MAP_RESIZED) {
    db_leave(db);
    if (!grow(db, err)) {
      free(read);
      return NULL;
    }
    db_enter(db);
    rc = begin_first_read(read);
  }
  if (!rc) {
    mdb_txn_reset(read->txn);
  }
  db_leave(db);
  if (rc) {
    free(read);
    db_fail(db, rc, "begin reading", err);
    return NULL;
  }
  pthread_mutex_lock(&db->gate);
  read->next = db->reads;
  db->reads = read;
  pthread_mutex_unlock(&db->gate);
  return read;
}

static bool renew_read(DbRead *read, Error *err)
{
  for (;;) {
    enter_read(read);
    int rc = mdb_txn_renew(read->txn);
    if (!rc) {
      return true;
    }
    atomic_store(&read->busy, false);
    if (rc != MDB_MAP_RESIZED) {
      return db_fail(read->db, rc, "begin reading", err);
    }
    if (!grow(read->db, err)) {
      return false;
    }
  }
}

bool db_read_begin(DbRead *read, Error *err)
{
  assert(!atomic_load(&read->busy));
  if (db_forked(read->db, err)) {
    return false;
  }
  // First the rows on their way into the tables, then the tables: overlay.h says why.
  Overlay *overlay = atomic_load_explicit(&read->db->overlay, memory_order_acquire);
  read->pin = overlay ? overlay_pin(overlay) : (OverlayPin){0};
  if (!renew_read(read, err)) {
    overlay_unpin(&read->pin);
    return false;
  }
  if (read->cache) {
    row_cache_begin(read->cache, read);
  }
  return true;
}

void db_read_end(DbRead *read)
{
  assert(atomic_load(&read->busy));
  if (read->cache) {
    row_cache_end(read->cache);
  }
  mdb_txn_reset(read->txn);
  atomic_store_explicit(&read->busy, false, memory_order_release);
  overlay_unpin(&read->pin);
}

void db_set_overlay(Db *db, Overlay *overlay)
{
  atomic_store_explicit(&db->overlay, overlay, memory_order_release);
}

uint64_t db_read_snapshot(const DbRead *read)
{
  return mdb_txn_id(read->txn);
}

void db_read_free(DbRead *read)
{
  if (!read) {
    return;
  }
  Db *db = read->db;
  pthread_mutex_lock(&db->gate);
  DbRead **link = &db->reads;
  while (*link != read) {
    link = &(*link)->next;
  }
  *link = read->next;
  if (!db_forked(db, NULL)) {
    mdb_txn_abort(read->txn);
  }
  pthread_mutex_unlock(&db->gate);
  row_cache_free(read->cache);
  free(read);
}

void db_read_cache(DbRead *read, uint64_t bytes)
{
  assert(!atomic_load(&read->busy));
  row_cache_free(read->cache);
  read->cache = bytes ? row_cache_new(bytes) : NULL;
}
