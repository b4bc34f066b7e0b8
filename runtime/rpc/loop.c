#include "rpc/loop.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

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

static void on_wake(uv_async_t *wake)
{
  ServerLoop *loop = wake->data;
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

void loop_post(ServerLoop *loop, LoopTask *task)
{
  task->next = NULL;
  loop_post_all(loop, task);
}

void loop_post_all(ServerLoop *loop, LoopTask *first)
{
  LoopTask *last = first;
  while (last->next) {
    last = last->next;
  }
  pthread_mutex_lock(&loop->lock);
  if (loop->inbox_end) {
    loop->inbox_end->next = first;
  } else {
    loop->inbox = first;
  }
  loop->inbox_end = last;
  uv_async_send(&loop->wake);  // inside, so that the loop cannot end before this returns
  pthread_mutex_unlock(&loop->lock);
}

// Life -----------------------------------------------------------------------------------------

bool loop_init(ServerLoop *loop, Engine *engine, const LoopLimits *limits, Error *err)
{
  *loop = (ServerLoop){.limits = *limits};
  int rc = uv_loop_init(&loop->uv);
  if (rc == 0) {
    rc = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (rc) {
      uv_loop_close(&loop->uv);
    }
  }
  if (rc) {
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
  uv_check_init(&loop->uv, &loop->check);
  uv_check_start(&loop->check, on_check);
  loop->check.data = loop->wake.data = loop->tick.data = loop->deadline.data = loop->turn.data =
      loop;
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
  on_wake(&loop->wake);  // what was posted after it had ended
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
  pthread_mutex_destroy(&loop->lock);
  call_context_free(loop->context);
  metrics_free(loop->metrics);
  buf_deinit(&loop->reply);
  free(loop->scratch);
}
