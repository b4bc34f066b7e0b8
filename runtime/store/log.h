#pragma once
// The append-only log of pushed rows, in the folder `log` of a store: what is in it is durable, and
// LMDB is the index that is built behind it. Segments are named after their first sequence
// (log_segment.h has their format); sequences start at 1 and only grow.
//
// One process at a time has it open (a lock on the file `log/lock`), and one thread uses it.

#include "base/buf.h"
#include "base/error.h"
#include "store/log_position.h"
#include "store/log_segment.h"

#define LOG_SEGMENT_BYTES (UINT64_C(64) << 20)  // a segment that is larger gets a successor
#define LOG_KEEP_BYTES (UINT64_C(1) << 30)      // of segments kept after they were applied

// Arrival of a pushed row by contract rule 3 is this plus its sequence: at equal times it wins over
// a row of a file.
#define LOG_ARRIVAL_BASE (UINT64_C(1) << 62)

typedef struct Log Log;

typedef struct {
  const char *store;       // the store's folder
  uint64_t segment_bytes;  // 0: LOG_SEGMENT_BYTES
  uint64_t keep_bytes;     // 0: LOG_KEEP_BYTES
} LogOptions;

// Called for a record of the log; `end` is the position behind it.
typedef bool (*LogVisit)(void *context, const LogRecord *record, LogPosition end, Error *err);

// Opens the log, visits every record after `from` in order, and cuts off what a crash left half
// written. Fails with ERR_UNAVAILABLE when another process has it open, and on damage.
Log *log_open(const LogOptions *options, LogPosition from, LogVisit visit, void *context,
              Error *err);
void log_close(Log *log);  // NULL is allowed

// Whether there may be records after `from`. Looks at names, sizes and a few bytes, without the
// lock.
bool log_has_more(const char *store, LogPosition from);

// Whether it can still be written to: not after a failed sync.
bool log_usable(const Log *log, Error *err);

// A record is put together in the log's group: the caller appends its payload to the returned
// buffer, at most LOG_RECORD_MAX bytes, and ends it.
uint64_t log_next_sequence(const Log *log);
Buf *log_begin(Log *log);
void log_end(Log *log);
size_t log_group_bytes(const Log *log);

// Whether the group can be written without waiting for the disk: no segment has to be begun.
bool log_has_room(const Log *log);

// Where the group stands, to take back what is put into it from here on: only between records.
typedef struct {
  size_t size;
  uint64_t next;
} LogMark;

LogMark log_mark(const Log *log);
void log_rewind(Log *log, LogMark mark);

// Writes the group. After a failure (a full disk, say) it is gone as if it had never been put
// together, and its sequences are used again.
bool log_write(Log *log, Error *err);
void log_discard(Log *log);  // forgets the group

// Brings what was written to the disk. A failure cannot be repaired in this process: every later
// write fails.
bool log_sync(Log *log, Error *err);

// The same in three steps, of which the one in the middle, that waits for the disk, leaves the log
// to others. False: there is nothing to wait for, or no descriptor to do so.
typedef struct {
  int file;
  uint64_t last;  // sequence
} LogSync;

bool log_sync_begin(const Log *log, LogSync *sync);
bool log_sync_wait(const LogSync *sync);  // on any thread
void log_sync_end(Log *log, LogSync *sync, bool synced);

LogPosition log_end_position(const Log *log);  // behind what was written
uint64_t log_durable(const Log *log);          // the last sequence that is on the disk

// Drops the oldest segments, as long as more than keep_bytes of them have only records up to
// `applied`.
void log_trim(Log *log, uint64_t applied);
