#pragma once
// Inside of the store layer: LMDB's handles behind Db, DbWrite and DbRead. Included by store/*.c
// only.

#include <lmdb.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "store/db.h"
#include "store/row_cache.h"

struct Db {
  MDB_env *env;
  MDB_dbi meta;
  MDB_dbi online;
  MDB_dbi marks;
  MDB_dbi versions;
  char *path;
  bool read_only;
  unsigned forks;  // of the process when it was opened
  dev_t device;    // identity of the folder, for the list of open stores
  ino_t inode;
  Db *next_open;

  // What keeps growth away from running transactions: readers raise their own flag, everything
  // else is counted here.
  atomic_bool growing;
  atomic_uint users;
  pthread_mutex_t gate;  // guards `reads`, held while growing
  DbRead *reads;

  _Atomic(Overlay *) overlay;  // what readers see on top of the tables; NULL: nothing

  _Atomic(const void *) writer;  // a thread-local address of the thread that writes; NULL: nobody
};

typedef struct VersionMarks VersionMarks;

struct DbWrite {
  Db *db;
  MDB_txn *txn;
  MDB_cursor *online;      // opened at first use
  bool appending;          // the last online row put was behind all others
  const uint8_t *page;     // where the last value was written
  size_t dirty_pages;      // upper estimate
  VersionMarks *versions;  // touched so far (versions.h)
};

struct DbRead {
  Db *db;
  MDB_txn *txn;  // reset between db_read_end and db_read_begin
  DbRead *next;
  atomic_bool busy;
  OverlayPin pin;   // while it is begun
  RowCache *cache;  // NULL: none
  char apart[64];   // from the flag of another thread's reader
};

static inline MDB_val db_value(Slice bytes)
{
  return (MDB_val){.mv_size = bytes.size, .mv_data = (void *)bytes.data};
}

static inline Slice db_slice(MDB_val value)
{
  return slice_of(value.mv_data, value.mv_size);
}

// Records what LMDB's code means while `doing` something ("read a mark"). Returns false.
bool db_fail(const Db *db, int code, const char *doing, Error *err);

// Whether this is a child of the process that opened the store; an error says so.
bool db_forked(const Db *db, Error *err);

// Makes a folder with its parents.
bool db_make_folder(const char *path, Error *err);

// Around a transaction that no DbRead stands for, so that the map stays where it is.
void db_enter(Db *db);
void db_leave(Db *db);

// Looks `key` up; *found is false when there is none.
bool db_get(const Db *db, MDB_txn *txn, MDB_dbi table, Slice key, Slice *value, bool *found,
            Error *err);

// Puts `value`, in place of what is there.
bool db_put(DbWrite *write, MDB_dbi table, Slice key, Slice value, Error *err);

// Deletes `key` if it is there.
bool db_del(DbWrite *write, MDB_dbi table, Slice key, Error *err);

// The write's cursor on the online table; NULL with an error.
MDB_cursor *db_online_cursor(DbWrite *write, Error *err);

// Counts the pages that a value of `size` bytes at `at` has made dirty.
void db_count_pages(DbWrite *write, const void *at, size_t size);
