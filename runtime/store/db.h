#pragma once
// The store's file: an LMDB environment, its tables, and transactions. store/ is the only layer
// that sees LMDB, and db.c the only file that turns its codes into Errors.
//
// Tables: `meta` (format, registry), `online` (rows), `marks`, `versions`. One process opens a path
// once; several processes may have it open. Writers take turns (LMDB's lock); readers never wait. A
// child made by fork() must not use its parent's Db: it is refused, and the child opens the store
// itself. Files belong to one kind of machine (64-bit, little-endian); others refuse them.

#include "base/error.h"
#include "base/slice.h"
#include "store/overlay.h"

typedef struct Db Db;
typedef struct DbWrite DbWrite;  // the one write transaction; begin, use and end on one thread
typedef struct DbRead DbRead;    // a reader of one thread, reused: renewed and reset per request

enum { DB_FORMAT = 1, DB_READERS = 1024 };

typedef struct {
  const char *path;   // folder; made when it is missing (unless read_only)
  uint64_t map_size;  // bytes of address space, the store's upper bound; 0: 256 GiB, or what a
                      // process that gave more has left it with
  bool read_only;     // fails when the store does not exist
  bool no_sync;       // tests and bulk loads that can be repeated: a power cut may lose commits
} DbOptions;

Db *db_open(const DbOptions *options, Error *err);
void db_close(Db *db);  // every transaction must have ended; NULL is allowed

bool db_write_begin(Db *db, DbWrite **write, Error *err);
bool db_write_commit(DbWrite *write, Error *err);  // ends it, whatever comes back
void db_write_abort(DbWrite *write);               // NULL is allowed
// Whether it has changed as much as one transaction should (about 64 MiB of pages): commit and
// begin another.
bool db_write_full(const DbWrite *write);
uint64_t db_write_snapshot(const DbWrite *write);  // what db_read_snapshot says after the commit

DbRead *db_read_new(Db *db, Error *err);
bool db_read_begin(DbRead *read, Error *err);   // a snapshot of what is committed now
void db_read_end(DbRead *read);                 // never keep one open over a wait: pages pile up
uint64_t db_read_snapshot(const DbRead *read);  // changes with every commit by anyone
void db_read_free(DbRead *read);

// Keeps up to so many bytes of rows (and of keys without one) that this reader has found, exactly
// as any snapshot has them (row_cache.h); 0 forgets them. Not while the read is begun.
void db_read_cache(DbRead *read, uint64_t bytes);

// From here on, reads of online rows see those of `overlay` too: each read pins it when it begins.
// NULL takes it away again; then no read may be under way.
void db_set_overlay(Db *db, struct Overlay *overlay);

typedef struct {
  uint64_t map_size;
  uint64_t used;  // bytes of the map in use
  uint64_t online_rows;
  uint32_t readers;
} DbStats;

bool db_stats(Db *db, DbStats *stats, Error *err);

// Frees reader slots of processes that died; returns how many.
int db_check_readers(Db *db);

// A consistent, compacted copy into folder `path`, which must be empty or missing.
bool db_copy(Db *db, const char *path, Error *err);
