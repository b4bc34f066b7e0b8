// Opening a store: its folder, its format, and the list of what this process has open.

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/db_private.h"

#define DEFAULT_MAP_SIZE (UINT64_C(256) << 30)

enum { FOLDER_MODE = 0775, FILE_MODE = 0664, TABLE_COUNT = 4, MAP_STEP = 4096 };

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

static void count_fork(void)
{
  fork_count++;
}

static void watch_forks(void)
{
  pthread_atfork(NULL, NULL, count_fork);
}

bool db_forked(const Db *db, Error *err)
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

// Opening -----------------------------------------------------------------------------------------

bool db_make_folder(const char *path, Error *err)
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
  if (!db->read_only && !db_make_folder(db->path, err)) {
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

// A process that does not say how large the store may become takes what it was given before, if
// that is more than the default: whoever enlarged it had a reason.
static int adopt_size(MDB_env *env)
{
  MDB_envinfo info = {0};
  int rc = mdb_env_set_mapsize(env, 0);  // nobody of this process is inside yet
  if (!rc) {
    rc = mdb_env_info(env, &info);
  }
  return rc || info.me_mapsize >= DEFAULT_MAP_SIZE ? rc
                                                   : mdb_env_set_mapsize(env, DEFAULT_MAP_SIZE);
}

static bool open_env(Db *db, const DbOptions *options, Error *err)
{
  uint64_t size = options->map_size ? options->map_size : DEFAULT_MAP_SIZE;
  size = (size + MAP_STEP - 1) & ~(uint64_t)(MAP_STEP - 1);
  unsigned flags = MDB_NOTLS;
  flags |= options->read_only ? MDB_RDONLY : 0;
  flags |= options->no_sync ? MDB_NOSYNC : 0;

  int rc = mdb_env_create(&db->env);
  assert(!rc || rc == ENOMEM);
  if (rc) {
    return db_fail(db, rc, "open the store", err);
  }
  rc = mdb_env_set_mapsize(db->env, size);
  rc = rc ? rc : mdb_env_set_maxdbs(db->env, TABLE_COUNT);
  rc = rc ? rc : mdb_env_set_maxreaders(db->env, DB_READERS);
  rc = rc ? rc : mdb_env_open(db->env, db->path, flags, FILE_MODE);
  rc = rc || options->map_size ? rc : adopt_size(db->env);
  if (rc) {
    return db_fail(db, rc, "open the store", err);
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
  rc = rc ? rc : mdb_dbi_open(txn, "marks", flags, &db->marks);
  return rc ? rc : mdb_dbi_open(txn, "versions", flags, &db->versions);
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
