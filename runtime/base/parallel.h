#pragma once
// The same work on several threads, and one answer.

#include "base/error.h"

enum { PARALLEL_MAX = 64 };

// Number of threads to use for `wanted` (0: as many as there are processors), 1 to PARALLEL_MAX.
unsigned parallel_threads(unsigned wanted);

// Calls work(context, thread, err) on `threads` threads, thread 0 being the caller's, and waits for
// all of them. Fails with the error of the lowest thread that failed.
bool parallel_run(unsigned threads, bool (*work)(void *context, unsigned thread, Error *err),
                  void *context, Error *err);
