#pragma once
// Requests for online features mostly repeat earlier ones with other keys. A pattern is what such a
// request consists of besides its id and its keys, with what that was resolved to: where the same
// bytes come again they mean the same, and there is nothing to parse but the keys.
//
//   94 00 id | "get_online_features" [{ "service": …, "entities": { "driver_id": | [1001] | } }]
//              before                                                              keys    after
//
// Requests that fit a pattern are taken first and looked up together afterwards; everything else
// goes the general way (call.h), which is also where patterns are learnt. A pattern lives as long
// as the plans of its context do.

#include "engine/online_get.h"

typedef struct CallContext CallContext;
typedef struct CachedPlan CachedPlan;

enum {
  PATTERNS = 16,        // of one context; a further one takes the place of the oldest
  PATTERN_BYTES = 512,  // before and after the keys; longer requests are not learnt
  TAKEN_REQUESTS = 256,
  TAKEN_KEYS = 256,  // of all requests taken, unless it is a single one
};

typedef struct {
  const CachedPlan *plan;
  uint32_t method;  // its place in METHODS
  uint32_t before_size;
  uint32_t after_size;
  uint8_t bytes[PATTERN_BYTES];  // before, after
} Pattern;

typedef struct {
  const Pattern *pattern;
  uint32_t id;
  uint32_t size;  // of the request
} Taken;

// What a context knows and has taken.
typedef struct {
  size_t count;  // of patterns
  size_t oldest;
  size_t likely;  // the last one that fitted
  Pattern patterns[PATTERNS];
  OnlineKeys keys;  // of what was taken
  Arena arena;      // of its results
  size_t taken_count;
  Taken taken[TAKEN_REQUESTS];
  OnlineRequest requests[TAKEN_REQUESTS];
} Patterns;

Patterns *patterns_new(void);
void patterns_free(Patterns *patterns);
void patterns_forget(Patterns *patterns);  // the plans go away

// `rest`: a request from the end of its id on; `keys`: the list of keys in it.
void pattern_learn(CallContext *context, const CachedPlan *plan, Slice rest, Slice keys);

// Takes the request that `bytes` starts with; returns its size, 0 when it has to go the general
// way. Between the two calls of call_batch_begin and call_batch_end.
size_t pattern_take(CallContext *context, Slice bytes, size_t size_limit);

// Looks up what was taken. After a failure all of it has to go the general way.
bool pattern_find(CallContext *context);

// Appends the whole answer to request `number` of those that were taken.
void pattern_answer(CallContext *context, size_t number, Buf *reply);

// Counts it, its rows and its time.
void pattern_count(CallContext *context, size_t number, uint64_t nanoseconds);

// What was taken is answered, or goes another way.
void pattern_drop(CallContext *context);
