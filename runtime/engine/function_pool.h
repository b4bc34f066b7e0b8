#pragma once
// What functions of definitions run in, kept for the length of a job: opening one means running the
// definitions again, and a job reads a source more than once.

#include <pthread.h>

#include "base/parallel.h"
#include "host/functions.h"

typedef struct FunctionPool FunctionPool;
struct FunctionPool {
  const Catalog *catalog;  // borrowed
  FunctionPool *lender;  // of the same catalog, asked before one is opened; it gets back what this
                         // pool has in the end. NULL: none
  pthread_mutex_t lock;
  Functions *idle[PARALLEL_MAX];
  size_t count;
};

void function_pool_init(FunctionPool *pool, const Catalog *catalog, FunctionPool *lender);
void function_pool_deinit(FunctionPool *pool);  // all were given back

// The caller's alone until it gives it back. Any thread.
Functions *function_pool_take(FunctionPool *pool, Error *err);
void function_pool_give(FunctionPool *pool, Functions *functions);  // NULL is allowed
