// Looking after a store: statistics, readers of dead processes, copies.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/db_private.h"

static int count_line(const char *line, void *context)
{
  // One heading, then one line for each reader: `  pid  thread  txnid`.
  uint32_t *count = context;
  *count += strtoul(line, NULL, 10) != 0;
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
  if (db_forked(db, err) || !db_make_folder(path, err) || !is_empty_folder(path, err)) {
    return false;
  }
  db_enter(db);
  int rc = mdb_env_copy2(db->env, path, MDB_CP_COMPACT);
  db_leave(db);
  if (rc) {
    unlink(file);
    db_fail(db, rc, "copy it", err);
    return error_wrap(err, "copy to %s", path);
  }
  return sync_file(file, err);
}
