#include "rpc/loop.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rpc/conn.h"

static void on_tick(uv_timer_t *tick)
{
  ServerLoop *loop = tick->data;
  bool again = false;
  for (Conn *conn = loop->conns, *next; conn; conn = next) {
    next = conn_next(conn);
    again = conn_tick(conn) || again;
  }
  context_prepare(loop->context);
  if (!again && !loop->limits.idle_ms) {
    uv_timer_stop(tick);
  }
}

void loop_need_tick(ServerLoop *loop)
{
  if (!uv_is_active((uv_handle_t *)&loop->tick)) {
    uv_timer_start(&loop->tick, on_tick, LOOP_TICK_MS, LOOP_TICK_MS);
  }
}

// One connection at a time: between two of them the loop looks at all others.
static void on_turn(uv_idle_t *turn)
{
  ServerLoop *loop = turn->data;
  if (loop->first_waiting) {
    conn_take_turn(loop->first_waiting);
  }
  if (!loop->first_waiting) {
    uv_idle_stop(turn);
  }
}

void loop_need_turn(ServerLoop *loop)
{
  uv_idle_start(&loop->turn, on_turn);
}

static void on_check(uv_check_t *check)
{
  conn_answer_ready(check->data);
}

// Tasks ----------------------------------------------------------------------------------------
//
// An eventfd of our own instead of uv_async: that one's receiver spins while the sender, which it
// has just preempted, has not returned. On few processors most do.

static _Thread_local const ServerLoop *this_loop;

static void run_inbox(ServerLoop *loop)
{
  pthread_mutex_lock(&loop->lock);
  LoopTask *task = loop->inbox;
  loop->inbox = loop->inbox_end = NULL;
  pthread_mutex_unlock(&loop->lock);
  while (task) {
    LoopTask *next = task->next;  // who runs it may free it
    task->run(loop, task);
    task = next;
  }
}

static void on_wake(uv_poll_t *wake, int status, int events)
{
  ServerLoop *loop = wake->data;
  uint64_t count;
  (void)status;
  (void)events;
  if (read(loop->bell, &count, sizeof(count)) > 0) {
    run_inbox(loop);
  }
}

static void on_own(uv_idle_t *own)
{
  loop_run_own(own->data);
}

// Once: a task that posts another one leaves that to the next turn.
void loop_run_own(ServerLoop *loop)
{
  if (uv_is_active((uv_handle_t *)&loop->own)) {
    uv_idle_stop(&loop->own);
    run_inbox(loop);
  }
}

void loop_post(ServerLoop *loop, LoopTask *task)
{
  task->next = NULL;
  loop_post_all(loop, task);
}

static void ring(const ServerLoop *loop)
{
  uint64_t one = 1;
  ssize_t written = write(loop->bell, &one, sizeof(one));
  assert(written == sizeof(one));
  (void)written;
}

// Who finds something in the inbox knows that the bell has been rung for it. The loop may have run
// the tasks before that is done, but does not end before.
void loop_post_all(ServerLoop *loop, LoopTask *first)
{
  LoopTask *last = first;
  while (last->next) {
    last = last->next;
  }
  atomic_fetch_add(&loop->posting, 1);
  pthread_mutex_lock(&loop->lock);
  bool empty = !loop->inbox;
  *(loop->inbox_end ? &loop->inbox_end->next : &loop->inbox) = first;
  loop->inbox_end = last;
  pthread_mutex_unlock(&loop->lock);
  if (this_loop == loop) {
    uv_idle_start(&loop->own, on_own);
  } else if (empty) {
    ring(loop);
  }
  atomic_fetch_sub(&loop->posting, 1);
}

// Life -----------------------------------------------------------------------------------------

bool loop_init(ServerLoop *loop, Engine *engine, const LoopLimits *limits, Error *err)
{
  *loop = (ServerLoop){.limits = *limits};
  loop->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  int rc = loop->bell < 0 ? uv_translate_sys_error(errno) : uv_loop_init(&loop->uv);
  if (rc == 0) {
    rc = uv_poll_init(&loop->uv, &loop->wake, loop->bell);
    if (rc) {
      uv_loop_close(&loop->uv);
    }
  }
  if (rc) {
    if (loop->bell >= 0) {
      close(loop->bell);
    }
    return error_set(err, rc == UV_EMFILE ? ERR_LIMIT : ERR_INTERNAL, "start an event loop: %s%s",
                     uv_strerror(rc), rc == UV_EMFILE ? "; raise `ulimit -n`" : "");
  }
  pthread_mutex_init(&loop->lock, NULL);
  loop->scratch = mem_alloc(LOOP_SCRATCH_SIZE);
  loop->metrics = metrics_new();
  loop->context = call_context_new(engine, CALL_REMOTE);
  uv_timer_init(&loop->uv, &loop->tick);
  uv_timer_init(&loop->uv, &loop->deadline);
  uv_idle_init(&loop->uv, &loop->turn);
  uv_idle_init(&loop->uv, &loop->own);
  uv_check_init(&loop->uv, &loop->check);
  uv_check_start(&loop->check, on_check);
  loop->check.data = loop->wake.data = loop->own.data = loop;
  loop->tick.data = loop->deadline.data = loop->turn.data = loop;
  uv_poll_start(&loop->wake, UV_READABLE, on_wake);
  if (limits->idle_ms) {
    loop_need_tick(loop);
  }
  return true;
}

static void on_deadline(uv_timer_t *timer)
{
  ((ServerLoop *)timer->data)->late = true;
}

// Runs until every connection has its answers, time is up, or someone insists.
static void drain(ServerLoop *loop)
{
  uv_timer_start(&loop->deadline, on_deadline, LOOP_DRAIN_MS, 0);
  do {  // what connections have sent already; those whose turn has still to come do not read
    uv_run(&loop->uv, UV_RUN_NOWAIT);
  } while (loop->first_waiting && !loop->late);
  for (Conn *conn = loop->conns, *next; conn; conn = next) {
    next = conn_next(conn);
    conn_finish(conn);
  }
  while (loop->conns && !loop->late) {
    uv_run(&loop->uv, UV_RUN_ONCE);
  }
}

void loop_run(ServerLoop *loop)
{
  this_loop = loop;
  context_prepare(loop->context);
  while (!loop->stopping) {
    uv_run(&loop->uv, UV_RUN_DEFAULT);
  }
  drain(loop);
}

static void close_handle(uv_handle_t *handle, void *unused)
{
  (void)unused;
  if (!uv_is_closing(handle)) {
    uv_close(handle, NULL);
  }
}

void loop_deinit(ServerLoop *loop)
{
  run_inbox(loop);  // what was posted after it had ended
  for (Conn *conn = loop->conns, *next; conn; conn = next) {
    next = conn_next(conn);
    conn_close(conn);
  }
  while (loop->later) {  // other threads still have answers for closed connections
    uv_run(&loop->uv, UV_RUN_ONCE);
  }
  uv_walk(&loop->uv, close_handle, NULL);
  while (uv_loop_close(&loop->uv) == UV_EBUSY) {
    uv_run(&loop->uv, UV_RUN_DEFAULT);
  }
  assert(!loop->conns && !loop->inbox);
  while (atomic_load(&loop->posting)) {
    sched_yield();
  }
  close(loop->bell);
  pthread_mutex_destroy(&loop->lock);
  call_context_free(loop->context);
  metrics_free(loop->metrics);
  buf_deinit(&loop->reply);
  free(loop->scratch);
}
