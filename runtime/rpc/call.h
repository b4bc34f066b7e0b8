#pragma once
// One method call, wherever it comes from: a connection, the command line or a script. Methods are
// data (rpc/methods.lua); from that table come the dispatch with its argument checks, the reference
// page and the editor stubs.

#include "base/arena.h"
#include "base/buf.h"
#include "engine/engine.h"
#include "engine/online_get.h"
#include "rpc/task.h"

typedef enum {
  CALL_LOCAL,   // from this process: every method
  CALL_REMOTE,  // from a connection: those that the table marks as remote
} CallOrigin;

// Bounds on one call, and what hello says about the connection's own.
typedef struct {
  uint32_t max_rows;    // entities of one get_online_features; 0: 10000
  uint64_t max_frame;   // bytes of one request; 0: not bounded
  uint32_t max_depth;   // nesting of a request; 0: not bounded
  uint64_t max_output;  // bytes of one answer; 0: not bounded
  uint64_t cache;       // bytes of rows kept in memory for its reads; 0: none
} CallLimits;

enum {
  CALL_MAX_ROWS = 10000,                   // default of CallLimits.max_rows
  CALL_MAX_FEATURES = ONLINE_COLUMNS_MAX,  // columns of one get_online_features
  CALL_MAX_VALUES = 4000000,               // its rows times its columns
};

// What a caller keeps between calls: one thread's reader and its resolved requests.
typedef struct CallContext CallContext;

CallContext *call_context_new(Engine *engine, CallOrigin origin);
void call_context_free(CallContext *context);
void call_context_limit(CallContext *context, const CallLimits *limits);

// An answer that another thread has to do something for. A method that cannot answer at once embeds
// one in what it allocates, sets `finish`, calls call_defer, hands the work over, and returns true
// without a result. The other thread calls later_ready once, whatever happened; then `finish` runs
// on the thread of the call: it appends the result or fails, and frees what the method allocated.
// The params and the call's arena are gone by then.
typedef struct Later Later;
struct Later {
  bool (*finish)(Later *later, Buf *result, Error *err);

  // The caller's.
  LoopTask task;
  void (*ready)(Later *later);
  void *conn;
  uint64_t begun;  // clock_monotonic_ns
  uint32_t id;
  uint32_t method;
  bool silent;  // a notification: nobody waits for the answer
};

// Whether the call under way may be answered later. Calls of this process may not.
bool call_can_defer(const CallContext *context);
void call_defer(CallContext *context, Later *later);

// Any thread; `later` may be gone when it returns.
static inline void later_ready(Later *later)
{
  later->ready(later);
}

// Makes `next` ready with `later`, before that is: then one call of later_ready does for a list.
// Both are of one thread.
static inline void later_chain(Later *later, Later *next)
{
  later->task.next = &next->task;
}

// Calls `method` with `params` (one msgpack map, checked by mp_skip) and appends the result, one
// msgpack value, to `result`. On failure nothing is appended.
bool call_method(CallContext *context, Slice method, Slice params, Buf *result, Error *err);

// Calls between the two see one snapshot of the store and share one read transaction. Keep the time
// between them short.
void call_batch_begin(CallContext *context);
void call_batch_end(CallContext *context);
