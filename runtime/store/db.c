#include "store/db.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/db_private.h"

#define DEFAULT_MAP_SIZE (UINT64_C(256) << 30)

enum {
  FOLDER_MODE = 0775,
  FILE_MODE = 0664,
  TABLE_COUNT = 3,
  GROW_TRIES = 2000,  // of a millisecond each
  // LMDB keeps at most 131072 dirty pages in memory and spills beyond, which 0.9.24 does badly.
  WRITE_PAGES_MAX = 24576,
  PAGE_SIZE_LEAST = 4096,
};

static const char FORMAT_KEY[] = "format";

// The first record of `meta`: what wrote this store.
typedef struct {
  char magic[8];
  uint32_t format;
  uint8_t pointer_size;
  uint8_t little_endian;
  uint8_t unused[2];
} Format;
_Static_assert(sizeof(Format) == 16, "the format record is on disk");

// Open stores and forks of this process -----------------------------------------------------------

static pthread_mutex_t open_mutex = PTHREAD_MUTEX_INITIALIZER;
static Db *open_list;
static unsigned fork_count;  // changes in children only, before they have threads
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static _Thread_local char this_thread;  // its address names the thread

static void count_fork(void)
{
  fork_count++;
}

static void watch_forks(void)
{
  pthread_atfork(NULL, NULL, count_fork);
}

static bool forked(const Db *db, Error *err)
{
  if (db->forks == fork_count) {
    return false;
  }
  error_set(err, ERR_INTERNAL,
            "the store %s was opened before a fork: a child process has to open it itself",
            db->path);
  return true;
}

static bool join_open_list(Db *db, Error *err)
{
  for (const Db *other = open_list; other; other = other->next_open) {
    if (other->device == db->device && other->inode == db->inode && other->forks == fork_count) {
      return error_set(err, ERR_STORE,
                       "the store %s is open in this process already: open it once and share it",
                       db->path);
    }
  }
  db->next_open = open_list;
  open_list = db;
  return true;
}

static void leave_open_list(const Db *db)
{
  Db **link = &open_list;
  while (*link && *link != db) {
    link = &(*link)->next_open;
  }
  if (*link) {
    *link = db->next_open;
  }
}

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
                     "larger map size, or drop views",
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
    return error_set(err, ERR_STORE,
                     "cannot %s: the disk of the store %s is full; nothing was changed, free some "
                     "space and run it again",
                     doing, db->path);
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
                     "it with a smaller map size",
                     doing, db->path);
  default:
    return error_set(err, ERR_STORE, "cannot %s in the store %s: %s", doing, db->path,
                     mdb_strerror(code));
  }
}

// Growing: another process with a larger map has written beyond ours
// --------------------------------

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

static void enter(Db *db)
{
  atomic_fetch_add(&db->users, 1);
  while (atomic_load(&db->growing)) {
    atomic_fetch_sub(&db->users, 1);
    wait_for_growth(db);
    atomic_fetch_add(&db->users, 1);
  }
}

static void leave(Db *db)
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

// Opening -----------------------------------------------------------------------------------------

static bool make_folder(const char *path, Error *err)
{
  char *prefix = mem_strdup(path);
  bool ok = true;
  for (char *at = prefix + 1; ok && *prefix; at++) {
    char byte = *at;
    if (byte == '/' || byte == '\0') {
      *at = '\0';
      ok = mkdir(prefix, FOLDER_MODE) == 0 || errno == EEXIST;
      *at = byte;
    }
    if (byte == '\0') {
      break;
    }
  }
  int failure = errno;
  free(prefix);
  if (!ok) {
    return error_set(err, ERR_IO, "cannot make the folder %s: %s", path, strerror(failure));
  }
  return true;
}

static bool check_exists(const Db *db, Error *err)
{
  char file[PATH_MAX];
  int length = snprintf(file, sizeof(file), "%s/data.mdb", db->path);
  if (length < 0 || (size_t)length >= sizeof(file) || access(file, F_OK) != 0) {
    return error_set(err, ERR_NOT_FOUND, "there is no store in %s: run `tidemark apply` first",
                     db->path);
  }
  return true;
}

static bool find_folder(Db *db, Error *err)
{
  struct stat status;
  if (!db->read_only && !make_folder(db->path, err)) {
    return false;
  }
  if (db->read_only && !check_exists(db, err)) {
    return false;
  }
  if (stat(db->path, &status) != 0) {
    return error_set(err, ERR_IO, "cannot open the folder %s: %s", db->path, strerror(errno));
  }
  db->device = status.st_dev;
  db->inode = status.st_ino;
  return true;
}

static bool open_env(Db *db, const DbOptions *options, Error *err)
{
  uint64_t size = options->map_size ? options->map_size : DEFAULT_MAP_SIZE;
  size = (size + PAGE_SIZE_LEAST - 1) & ~(uint64_t)(PAGE_SIZE_LEAST - 1);
  unsigned flags = MDB_NOTLS;
  flags |= options->read_only ? MDB_RDONLY : 0;
  flags |= options->no_sync ? MDB_NOSYNC : 0;

  int rc = mdb_env_create(&db->env);
  assert(!rc || rc == ENOMEM);
  if (rc) {
    return db_fail(db, rc, "open it", err);
  }
  rc = mdb_env_set_mapsize(db->env, size);
  rc = rc ? rc : mdb_env_set_maxdbs(db->env, TABLE_COUNT);
  rc = rc ? rc : mdb_env_set_maxreaders(db->env, DB_READERS);
  rc = rc ? rc : mdb_env_open(db->env, db->path, flags, FILE_MODE);
  if (rc) {
    return db_fail(db, rc, "open it", err);
  }
  int dead;
  mdb_reader_check(db->env, &dead);
  return true;
}

static Format own_format(void)
{
  uint16_t one = 1;
  uint8_t low;
  memcpy(&low, &one, 1);
  return (Format){
      .magic = "tidemark",
      .format = DB_FORMAT,
      .pointer_size = sizeof(void *),
      .little_endian = low,
  };
}

static bool check_format(const Db *db, Slice value, Error *err)
{
  Format own = own_format();
  Format found;
  if (value.size != sizeof(found)) {
    return error_set(err, ERR_STORE, "%s holds a database that is not Tidemark's", db->path);
  }
  memcpy(&found, value.data, sizeof(found));
  if (memcmp(found.magic, own.magic, sizeof(own.magic)) != 0) {
    return error_set(err, ERR_STORE, "%s holds a database that is not Tidemark's", db->path);
  }
  if (found.pointer_size != own.pointer_size || found.little_endian != own.little_endian) {
    return error_set(err, ERR_STORE,
                     "the store %s was written on a %d-bit %s-endian machine: materialize into a "
                     "new store here",
                     db->path, found.pointer_size * 8, found.little_endian ? "little" : "big");
  }
  if (found.format != own.format) {
    return error_set(err, ERR_STORE,
                     "the store %s has format %u and this version reads format %u: use the version "
                     "that wrote it, or apply and materialize into a new store",
                     db->path, found.format, own.format);
  }
  return true;
}

static int open_tables(Db *db, MDB_txn *txn, unsigned flags)
{
  int rc = mdb_dbi_open(txn, "meta", flags, &db->meta);
  rc = rc ? rc : mdb_dbi_open(txn, "online", flags, &db->online);
  return rc ? rc : mdb_dbi_open(txn, "marks", flags, &db->marks);
}

// Opens the tables of a store that is there. *missing: there are none (yet).
static bool open_existing(Db *db, bool *missing, Error *err)
{
  MDB_txn *txn = NULL;
  *missing = false;
  int rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
  if (rc == MDB_MAP_RESIZED) {
    rc = mdb_env_set_mapsize(db->env, 0);  // nobody else can be inside yet
    rc = rc ? rc : mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
  }
  if (rc) {
    return db_fail(db, rc, "begin reading", err);
  }
  bool ok = true;
  rc = open_tables(db, txn, 0);
  if (rc == MDB_NOTFOUND) {
    *missing = true;
  } else if (rc) {
    ok = db_fail(db, rc, "open the tables", err);
  } else {
    Slice value = {0};
    bool found;
    ok = db_get(db, txn, db->meta, slice_text(FORMAT_KEY), &value, &found, err)
         && check_format(db, value, err);
  }
  if (ok && !*missing) {
    mdb_txn_commit(txn);  // keeps the table handles
  } else {
    mdb_txn_abort(txn);
  }
  return ok;
}

// Makes the tables. Another process may just have done so: then its marker is checked.
static bool open_new(Db *db, Error *err)
{
  MDB_txn *txn = NULL;
  int rc = mdb_txn_begin(db->env, NULL, 0, &txn);
  if (rc) {
    return db_fail(db, rc, "begin writing", err);
  }
  MDB_dbi root;
  MDB_stat status = {0};
  rc = mdb_dbi_open(txn, NULL, 0, &root);
  rc = rc ? rc : mdb_stat(txn, root, &status);
  rc = rc ? rc : open_tables(db, txn, MDB_CREATE);
  if (rc) {
    mdb_txn_abort(txn);
    return db_fail(db, rc, "make the tables", err);
  }
  Slice value = {0};
  bool found;
  Format format = own_format();
  bool ok = db_get(db, txn, db->meta, slice_text(FORMAT_KEY), &value, &found, err);
  if (ok && (found || status.ms_entries)) {
    ok = check_format(db, value, err);
  } else if (ok) {
    DbWrite write = {.db = db, .txn = txn};
    ok = db_put(&write, db->meta, slice_text(FORMAT_KEY), slice_of(&format, sizeof(format)), err);
  }
  if (!ok) {
    mdb_txn_abort(txn);
    return false;
  }
  rc = mdb_txn_commit(txn);
  return rc ? db_fail(db, rc, "make the tables", err) : true;
}

static bool open_store(Db *db, const DbOptions *options, Error *err)
{
  bool missing;
  if (!open_env(db, options, err) || !open_existing(db, &missing, err)) {
    return false;
  }
  if (missing && db->read_only) {
    return error_set(err, ERR_NOT_FOUND, "there is no store in %s: run `tidemark apply` first",
                     db->path);
  }
  return !missing || open_new(db, err);
}

static void free_db(Db *db)
{
  // In a forked child the environment is the parent's: its locks must not be touched.
  if (db->env && db->forks == fork_count) {
    mdb_env_close(db->env);
  }
  pthread_mutex_destroy(&db->gate);
  free(db->path);
  free(db);
}

Db *db_open(const DbOptions *options, Error *err)
{
  assert(options->path);
  pthread_once(&fork_once, watch_forks);

  Db *db = mem_zalloc(1, sizeof(*db));
  db->path = mem_strdup(options->path);
  db->read_only = options->read_only;
  db->forks = fork_count;
  pthread_mutex_init(&db->gate, NULL);

  pthread_mutex_lock(&open_mutex);
  bool ok = find_folder(db, err) && join_open_list(db, err);
  if (ok && !open_store(db, options, err)) {
    leave_open_list(db);
    ok = false;
  }
  if (!ok) {
    free_db(db);
    db = NULL;
  }
  pthread_mutex_unlock(&open_mutex);
  return db;
}

void db_close(Db *db)
{
  if (!db) {
    return;
  }
  assert(!db->reads && !atomic_load(&db->users));
  pthread_mutex_lock(&open_mutex);
  leave_open_list(db);
  free_db(db);
  pthread_mutex_unlock(&open_mutex);
}

// Writing -----------------------------------------------------------------------------------------

bool db_write_begin(Db *db, DbWrite **write, Error *err)
{
  *write = NULL;
  if (forked(db, err)) {
    return false;
  }
  if (db->read_only) {
    return error_set(err, ERR_STORE, "the store %s was opened for reading only", db->path);
  }
  if (atomic_load(&db->writer) == &this_thread) {
    return error_set(err, ERR_INTERNAL, "this thread is writing to the store %s already", db->path);
  }
  MDB_txn *txn = NULL;
  enter(db);
  int rc = mdb_txn_begin(db->env, NULL, 0, &txn);
  while (rc == MDB_MAP_RESIZED) {
    leave(db);
    if (!grow(db, err)) {
      return false;
    }
    enter(db);
    rc = mdb_txn_begin(db->env, NULL, 0, &txn);
  }
  if (rc) {
    leave(db);
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
  atomic_store(&write->db->writer, NULL);
  return write->txn;
}

bool db_write_commit(DbWrite *write, Error *err)
{
  Db *db = write->db;
  int rc = mdb_txn_commit(end_write(write));
  leave(db);
  free(write);
  return rc ? db_fail(db, rc, "commit", err) : true;
}

void db_write_abort(DbWrite *write)
{
  if (write) {
    Db *db = write->db;
    mdb_txn_abort(end_write(write));
    leave(db);
    free(write);
  }
}

bool db_write_full(const DbWrite *write)
{
  return write->dirty_pages >= WRITE_PAGES_MAX;
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
  if (forked(db, err)) {
    return NULL;
  }
  DbRead *read = mem_zalloc(1, sizeof(*read));
  read->db = db;
  enter(db);
  int rc = begin_first_read(read);
  while (rc == MDB_MAP_RESIZED) {
    leave(db);
    if (!grow(db, err)) {
      free(read);
      return NULL;
    }
    enter(db);
    rc = begin_first_read(read);
  }
  if (!rc) {
    mdb_txn_reset(read->txn);
  }
  leave(db);
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

bool db_read_begin(DbRead *read, Error *err)
{
  assert(!atomic_load(&read->busy));
  if (forked(read->db, err)) {
    return false;
  }
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

void db_read_end(DbRead *read)
{
  assert(atomic_load(&read->busy));
  mdb_txn_reset(read->txn);
  atomic_store_explicit(&read->busy, false, memory_order_release);
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
  if (db->forks == fork_count) {
    mdb_txn_abort(read->txn);
  }
  pthread_mutex_unlock(&db->gate);
  free(read);
}

// Looking after it --------------------------------------------------------------------------------

static int count_line(const char *line, void *context)
{
  // One heading, then one line for each reader: `  pid  thread  txnid`.
  unsigned *count = context;
  unsigned long pid;
  *count += sscanf(line, "%lu", &pid) == 1;
  return 0;
}

bool db_stats(Db *db, DbStats *stats, Error *err)
{
  *stats = (DbStats){0};
  DbRead *read = db_read_new(db, err);
  if (!read || !db_read_begin(read, err)) {
    db_read_free(read);
    return false;
  }
  MDB_envinfo info;
  MDB_stat status = {0};
  mdb_env_info(db->env, &info);
  int rc = mdb_stat(read->txn, db->online, &status);
  stats->map_size = info.me_mapsize;
  stats->used = (uint64_t)(info.me_last_pgno + 1) * status.ms_psize;
  stats->online_rows = status.ms_entries;
  db_read_end(read);
  db_read_free(read);
  mdb_reader_list(db->env, count_line, &stats->readers);
  return rc ? db_fail(db, rc, "read the statistics", err) : true;
}

int db_check_readers(Db *db)
{
  int dead = 0;
  mdb_reader_check(db->env, &dead);
  return dead;
}

static bool is_empty_folder(const char *path, Error *err)
{
  DIR *folder = opendir(path);
  if (!folder) {
    return error_set(err, ERR_IO, "cannot open the folder %s: %s", path, strerror(errno));
  }
  bool empty = true;
  for (const struct dirent *entry = readdir(folder); empty && entry; entry = readdir(folder)) {
    empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
  }
  closedir(folder);
  if (!empty) {
    return error_set(err, ERR_INVALID, "the folder %s is not empty: copy into a new one", path);
  }
  return true;
}

static bool sync_file(const char *path, Error *err)
{
  int file = open(path, O_RDONLY | O_CLOEXEC);
  int failure = file < 0 || fsync(file) != 0 ? errno : 0;
  if (file >= 0) {
    close(file);
  }
  return failure ? error_set(err, ERR_IO, "cannot sync %s: %s", path, strerror(failure)) : true;
}

bool db_copy(Db *db, const char *path, Error *err)
{
  char file[PATH_MAX];
  int length = snprintf(file, sizeof(file), "%s/data.mdb", path);
  if (length < 0 || (size_t)length >= sizeof(file)) {
    return error_set(err, ERR_INVALID, "the path of the copy is too long: %.64s…", path);
  }
  if (forked(db, err) || !make_folder(path, err) || !is_empty_folder(path, err)) {
    return false;
  }
  enter(db);
  int rc = mdb_env_copy2(db->env, path, MDB_CP_COMPACT);
  leave(db);
  if (rc) {
    unlink(file);
    db_fail(db, rc, "copy it", err);
    return error_wrap(err, "copy to %s", path);
  }
  return sync_file(file, err);
}
