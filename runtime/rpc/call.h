#pragma once
// One method call, wherever it comes from: a connection, the command line or a script. Methods are
// data (rpc/methods.lua); from that table come the dispatch with its argument checks, the reference
// page and the editor stubs.

#include "base/arena.h"
#include "base/buf.h"
#include "engine/engine.h"

typedef enum {
  CALL_LOCAL,   // from this process: every method
  CALL_REMOTE,  // from a connection: those that the table marks as remote
} CallOrigin;

// What a caller keeps between calls: one thread's reader and its resolved requests.
typedef struct CallContext CallContext;

CallContext *call_context_new(Engine *engine, CallOrigin origin);
void call_context_free(CallContext *context);

// Calls `method` with `params` (one msgpack map, checked by mp_skip) and appends the result, one
// msgpack value, to `result`. On failure nothing is appended.
bool call_method(CallContext *context, Slice method, Slice params, Buf *result, Error *err);
