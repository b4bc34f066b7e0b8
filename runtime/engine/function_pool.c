#include "engine/function_pool.h"

void function_pool_init(FunctionPool *pool, const Catalog *catalog, FunctionPool *lender)
{
  *pool = (FunctionPool){.catalog = catalog, .lender = lender};
  pthread_mutex_init(&pool->lock, NULL);
}

void function_pool_deinit(FunctionPool *pool)
{
  for (size_t i = 0; i < pool->count; i++) {
    pool->lender ? function_pool_give(pool->lender, pool->idle[i]) : functions_close(pool->idle[i]);
  }
  pthread_mutex_destroy(&pool->lock);
}

Functions *function_pool_take(FunctionPool *pool, Error *err)
{
  pthread_mutex_lock(&pool->lock);
  Functions *functions = pool->count ? pool->idle[--pool->count] : NULL;
  pthread_mutex_unlock(&pool->lock);
  if (functions) {
    return functions;
  }
  return pool->lender ? function_pool_take(pool->lender, err) : functions_open(pool->catalog, err);
}

void function_pool_give(FunctionPool *pool, Functions *functions)
{
  pthread_mutex_lock(&pool->lock);
  if (functions && pool->count < PARALLEL_MAX) {
    pool->idle[pool->count++] = functions;
    functions = NULL;
  }
  pthread_mutex_unlock(&pool->lock);
  functions_close(functions);
}
