#pragma once
// Inside of online requests: what a plan holds. Included by engine/online_*.c only.

#include "engine/online_demand.h"
#include "engine/online_get.h"

// Consecutive columns whose values lie one after the other in one stored row: one slice, one copy.
typedef struct {
  size_t lookup;  // where its row comes from
  size_t place;   // among the slices of an answered row
  size_t column;  // the first
  uint32_t slot;  // of the first
  uint32_t count;
} Span;

// Key columns in the order a view has them. Views with the same tuple share its encoding: their
// keys differ in the view id only.
typedef struct {
  const size_t *keys;  // into OnlinePlan.keys
  size_t count;
} Tuple;

// One look-up per requested row: a view under a role.
typedef struct {
  const View *view;
  const char *role;
  size_t tuple;
  const Span *spans;  // its part of OnlinePlan.spans
  size_t span_count;
} Lookup;

struct OnlinePlan {
  Arena arena;  // owns everything but the space
  const Catalog *catalog;
  Reference *asked;  // columns of the answer
  const char **names;
  size_t asked_count;
  Reference *columns;  // that are looked up: the same, unless something is computed
  size_t column_count;
  bool *cuts;            // per looked up column: begins a slice in any case; NULL: none does
  OnlineDemand *demand;  // NULL: nothing is computed
  OnlineKey *keys;
  size_t key_count;
  Tuple *tuples;
  size_t tuple_count;
  Lookup *lookups;
  size_t lookup_count;
  Span *spans;  // by look-up
  size_t span_count;
  Slice nils;         // as many as the widest span has columns
  OnlineKeys *space;  // for the keys of a request that is answered alone
};
