#pragma once
// What calls of one thread share, private to rpc/: the read transaction, the catalog of its
// snapshot and the requests already resolved against that catalog.

#include "engine/online_get.h"
#include "engine/writer.h"
#include "host/functions.h"
#include "rpc/call.h"
#include "rpc/metrics.h"
#include "rpc/pattern.h"

enum {
  CONTEXT_PLANS = 256,            // resolved requests kept; one more forgets them all
  CONTEXT_PLACES = 512,           // of the table that finds them; always half of them are free
  CONTEXT_PLAN_BYTES = 16 << 20,  // of what they point to, left-overs of failed ones included
};

// A request for online features, resolved.
struct CachedPlan {
  ServiceMetrics *metrics;  // of its service; NULL for other requests and where nothing is counted
  uint64_t hash;
  Slice key;  // what the request said, in the context's plan arena
  OnlinePlan *plan;
  Slice names;  // of its columns, a msgpack array
  Slice head;   // of its answers, from behind the id up to the rows
  const OnlineKey *keys;
  size_t key_count;
};

struct CallContext {
  Engine *engine;
  CallOrigin origin;
  CallLimits limits;
  uint64_t started;                  // clock_monotonic_ns
  Arena arena;                       // of the call under way
  DbRead *read;                      // NULL until something was applied
  bool reading;                      // the transaction is open
  bool batch;                        // it is kept open between calls
  Catalog *catalog;                  // NULL until it is first needed
  uint64_t snapshot;                 // of the store, that `catalog` was read from
  Functions *functions;              // of definitions; NULL until they are needed
  Catalog *functions_catalog;        // whose they are
  CachedPlan plans[CONTEXT_PLACES];  // open addressing; a free place has no plan
  size_t plan_count;
  Arena plan_arena;    // what plans and their keys point to
  Buf key;             // scratch: the key being looked up
  Patterns *patterns;  // of the plans; NULL unless this is a server's
  Slice rest;          // of the request under way, what follows its id; empty: not known

  Writer *writer;  // of these pushes
  Push *pushes;    // of the batch under way, handed over at its end
  Push **last_push;

  // Of a server. What takes answers that come later; NULL where they have to come at once.
  void (*defer)(void *host, Later *later);
  void *defer_host;
  uint32_t defer_id;         // of the request under way
  bool defer_silent;         // it wants no answer
  bool deferred;             // the last call is answered later
  uint32_t method;           // of the last call: its place in METHODS, METHOD_COUNT for no such one
  ServiceMetrics *service;   // the last call asked for; NULL: none
  Metrics *metrics;          // this thread's; NULL: nothing is counted
  const Observer *observer;  // everyone's; NULL: none
};

// Makes it a server's: answers may come later, calls are counted, and `metrics` tells everyone's
// numbers.
void call_context_serve(CallContext *context, void (*defer)(void *host, Later *later),
                        Metrics *metrics, const Observer *observer);

// Opens the read transaction. Without a store: ERR_NOT_FOUND, "nothing has been applied yet: …".
bool context_read(CallContext *context, Error *err);

// The same, and makes context->catalog the snapshot's; plans of an older catalog are dropped.
bool context_catalog(CallContext *context, Error *err);

// Functions of the definitions of context->catalog, which is there. They are opened when they are
// first asked for, and again after an apply.
Functions *context_functions(CallContext *context, Error *err);

// Opens the read transaction and says whether requests that fit a pattern may be taken in it.
bool context_patterns(CallContext *context);

// Hands a push over: in a batch at its end, with all others of it.
void context_add_push(CallContext *context, Writer *writer, Push *push);

// Opens them ahead of the first request that needs them, where the catalog has on-demand views.
// With no call under way.
void context_prepare(CallContext *context);

// Ends the read transaction, if one is open.
void context_end_read(CallContext *context);

// The cached plan of `key`, NULL when there is none.
CachedPlan *context_find_plan(CallContext *context, Slice key);

// Keeps a plan (and owns it from here on); `key` is copied.
CachedPlan *context_put_plan(CallContext *context, Slice key, OnlinePlan *plan);

// Makes room for one more plan. Called before a plan is resolved, since that puts things into the
// plan arena.
void context_make_room(CallContext *context);
