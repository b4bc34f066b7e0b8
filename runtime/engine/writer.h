#pragma once
// The one writer of pushed rows of a process. A push is encoded rows; it is answered when they are
// in the log and on the disk, and from then on every read of this process sees them.
//
//   submit ──> queue ──> log thread: compares with the newest row, merges, appends a group of
//                        pushes to the log, syncs once, publishes, calls `done` (a small group that
//                        need not be synced is written by who submits it)
//                             │ tables of the overlay
//                             v
//                        apply thread: puts them into LMDB in key order, in large transactions that
//                        commit the log's position with the rows
//
// Other processes see a pushed row once it is applied, a fraction of a second later. The queue is
// bounded, and so are the rows that wait to be applied: whoever pushes faster than the disk waits.

#include "base/buf.h"
#include "data/row.h"
#include "engine/engine.h"

typedef enum {
  DURABILITY_FULL,     // a push is answered when it is on the disk
  DURABILITY_RELAXED,  // and when it was handed to the system: a crash of the machine (not of the
                       // process) may lose what was pushed in the last WRITER_SYNC_MS
} Durability;

enum {
  WRITER_QUEUE_BYTES = 256 << 20,  // pushes waiting for the log, bytes; unless told otherwise
  WRITER_QUEUE_PUSHES = 1 << 16,   // and how many
  WRITER_GROUP_BYTES = 8 << 20,    // of pushes that share one sync
  WRITER_NOW_BYTES = 64 << 10,     // relaxed: a group that is written by who hands it over
  WRITER_SYNC_MS = 100,            // relaxed: as much is not synced yet, at most
  WRITER_APPLY_MS = 100,           // rows wait this long for others before they are applied
  WRITER_REST_MS = 1000,           // and at most this long after many were applied
  WRITER_SPARE_MS = 10000,         // memory of applied rows is kept this long for the next ones
  WRITER_TABLES = 8,               // of the overlay that may wait to be applied
  WRITER_TABLES_HELD = 4,          // that many are applied, however short the rest has been
};

// What a pushed row is for, and what it gives. On disk in the log.
enum {
  PUSH_ONLINE = 1,   // goes online
  PUSH_OFFLINE = 2,  // is part of the offline history
  PUSH_PARTIAL = 4,  // gives some features; the others are the newest row's if it wins
};

// A record's payload, little-endian:
//   0  u8   PUSH_VERSION
//   1  u8   flags
//   2  u16  bytes of `given`; 0 unless PUSH_PARTIAL
//   4  u32  bytes of the key
//   8  key with its view id (data/key.h), given (bit per slot), row (data/row.h, features that are
//      not given are filled in or nil)
enum { PUSH_VERSION = 1, PUSH_HEADER = 8 };

typedef struct {
  uint8_t flags;
  Slice key;
  Slice given;
  Slice row;  // its arrival is set by the writer
} PushRow;

void push_row_put(Buf *out, const PushRow *row);
// False for bytes that are no such payload.
bool push_row_open(Slice payload, PushRow *row);

// Rows on their way. The submitter owns it again when `done` is called.
typedef struct Push Push;
struct Push {
  Buf rows;  // each its size and its number in the request as u32, and what push_row_put makes
  size_t count;
  // On the writer's thread: keep it short. It is told of this push and of those behind it (->next)
  // that are done too and have the same owner.
  void (*done)(Push *first);
  const void *owner;
  void *context;

  // Filled when done.
  bool ok;
  Error err;
  uint64_t written;  // became the newest row, or went offline only
  uint64_t stale;    // a row as great or greater was there
  Buf too_large;     // u32 each: numbers of rows that became larger than LOG_RECORD_MAX by merging
  Push *next;
};

void push_add(Push *push, uint32_t number, const PushRow *row);
void push_deinit(Push *push);  // its buffers

typedef struct Writer Writer;

typedef struct {
  Durability durability;
  uint64_t queue_bytes;  // of pushes that wait for the log; 0: WRITER_QUEUE_BYTES
} WriterOptions;

// Takes the store's log, applies what a crash left in it, and starts. Fails with ERR_UNAVAILABLE
// while another process has the log.
Writer *writer_open(Engine *engine, const WriterOptions *options, Error *err);

// Finishes what was submitted, applies it and ends. False when not everything could be applied: it
// is in the log and will be when the store is opened again.
bool writer_close(Writer *writer, Error *err);

typedef struct {
  uint64_t queued_pushes;  // waiting for the log
  uint64_t queued_bytes;
  uint64_t unapplied_tables;  // of at most WRITER_TABLES: logged, waiting to be put into LMDB
  Error apply_error;          // why that fails; code 0: it does not
} WriterStatus;

void writer_status(Writer *writer, WriterStatus *status);  // any thread

// Hands a push over; `done` will be called. With `wait`, waits until the queue has room; without, a
// full queue is ERR_LIMIT. Any thread.
bool writer_submit(Writer *writer, Push *push, bool wait, Error *err);

// Hands over a list (->next) without waiting: pushes that find the queue full are done at once,
// with that error. Rows that are handed over together mostly share a sync.
void writer_submit_all(Writer *writer, Push *first);

// The same, and waits until it is done: its error is returned.
bool writer_push(Writer *writer, Push *push, Error *err);

// Applies what a crash left in the log, unless a living process has it. Does nearly nothing when
// there is nothing to do.
bool writer_recover(Engine *engine, Db *db, Error *err);
