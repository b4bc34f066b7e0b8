#include "base/parallel.h"

#include <assert.h>
#include <pthread.h>
#include <unistd.h>

typedef struct {
  bool (*work)(void *context, unsigned thread, Error *err);
  void *context;
  unsigned thread;
  pthread_t handle;
  bool started;
  bool ok;
  Error error;
} Task;

unsigned parallel_threads(unsigned wanted)
{
  long processors = sysconf(_SC_NPROCESSORS_ONLN);
  unsigned threads = wanted ? wanted : processors > 0 ? (unsigned)processors : 1;
  return threads > PARALLEL_MAX ? PARALLEL_MAX : threads;
}

static void *run_task(void *context)
{
  Task *task = context;
  task->ok = task->work(task->context, task->thread, &task->error);
  return NULL;
}

bool parallel_run(unsigned threads, bool (*work)(void *context, unsigned thread, Error *err),
                  void *context, Error *err)
{
  assert(threads >= 1 && threads <= PARALLEL_MAX);
  Task tasks[PARALLEL_MAX];
  for (unsigned i = 0; i < threads; i++) {
    tasks[i] = (Task){.work = work, .context = context, .thread = i};
  }
  for (unsigned i = 1; i < threads; i++) {
    tasks[i].started = pthread_create(&tasks[i].handle, NULL, run_task, &tasks[i]) == 0;
  }
  run_task(&tasks[0]);
  for (unsigned i = 1; i < threads; i++) {
    if (tasks[i].started) {
      pthread_join(tasks[i].handle, NULL);
    } else {
      run_task(&tasks[i]);  // no thread to be had: the caller does its share
    }
  }
  for (unsigned i = 0; i < threads; i++) {
    if (!tasks[i].ok) {
      if (err) {
        *err = tasks[i].error;
      }
      return false;
    }
  }
  return true;
}
