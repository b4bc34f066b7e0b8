// Requests of connections, and their answers.

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "rpc/conn_private.h"
#include "rpc/methods.h"
#include "rpc/pack.h"
#include "rpc/pattern.h"

// Answering ------------------------------------------------------------------------------------

static void put_error(Buf *reply, uint32_t id, const Error *err)
{
  msgpack_packer packer = mp_packer(reply);
  msgpack_pack_array(&packer, 4);
  msgpack_pack_int(&packer, FRAME_RESPONSE);
  msgpack_pack_uint32(&packer, id);
  pack_error(reply, err);
  msgpack_pack_nil(&packer);
}

static void put_head(Buf *reply, uint32_t id)
{
  msgpack_packer packer = mp_packer(reply);
  msgpack_pack_array(&packer, 4);
  msgpack_pack_int(&packer, FRAME_RESPONSE);
  msgpack_pack_uint32(&packer, id);
  msgpack_pack_nil(&packer);
}

static bool check_size(const Conn *conn, size_t start, Error *err)
{
  uint64_t most = conn->loop->limits.max_output;
  return conn->loop->reply.size - start <= most
         || error_set(err, ERR_LIMIT, "the answer is larger than %" PRIu64 " bytes: ask for less",
                      most);
}

// Whether the request is worth beginning: whoever sent it may have given up.
static bool check_age(const Conn *conn, Error *err)
{
  const ServerLoop *loop = conn->loop;
  if (loop->now <= conn->received || loop->now - conn->received <= loop->limits.wait_ns) {
    return true;
  }
  counter_add(&loop->metrics->counters.overdue, 1);
  return error_set(err, ERR_UNAVAILABLE,
                   "the request had to wait longer than %" PRIu64 " ms: the server is busy, or "
                   "answers are not taken; send less at a time",
                   loop->limits.wait_ns / 1000000);
}

// The answer's head goes in front; the result is put behind it as it is made.
static bool put_result(Conn *conn, const Frame *frame, Error *err)
{
  CallContext *context = conn->loop->context;
  Slice params;
  if (conn->state == CONN_FULL) {
    return error_set(err, ERR_LIMIT,
                     "the server has as many connections as it may have: try "
                     "again later, or use fewer");
  }
  if (!check_age(conn, err) || !frame_params(frame, &params, err)) {
    return false;
  }
  size_t start = conn->loop->reply.size;
  put_head(&conn->loop->reply, frame->id);
  context->defer_host = conn;
  context->defer_id = frame->id;
  context->defer_silent = frame->kind == FRAME_NOTIFICATION;
  context->rest = frame->rest;
  return call_method(context, frame->method, params, &conn->loop->reply, err)
         && check_size(conn, start, err);
}

// Times a request. Requests of one read are timed one from the other's end: one look at the clock
// each.
static void count_request(ServerLoop *loop, uint32_t method, uint64_t begun, bool ok,
                          const Error *err)
{
  MethodMetrics *metrics = &loop->metrics->methods[method];
  histogram_add(&metrics->time, loop->now - begun);
  if (!ok) {
    counter_add(&metrics->errors[err->code], 1);
  }
}

static void answer_frame(Conn *conn, const Frame *frame)
{
  ServerLoop *loop = conn->loop;
  CallContext *context = loop->context;
  size_t start = loop->reply.size;
  uint64_t begun = loop->now;
  Error err = {0};
  context->method = (uint32_t)METHOD_COUNT;
  context->deferred = false;
  bool ok = put_result(conn, frame, &err);
  loop->now = clock_monotonic_ns();
  if (frame->kind == FRAME_NOTIFICATION) {
    counter_add(&loop->metrics->counters.notifications, 1);
    loop->reply.size = start;  // nobody waits for it
  } else if (ok && context->deferred) {
    loop->reply.size = start;  // it comes later
  } else if (!ok) {
    loop->reply.size = start;
    put_error(&loop->reply, frame->id, &err);
  }
  if (!ok || !context->deferred) {
    count_request(loop, context->method, begun, ok, &err);
  }
  if (ok && context->service) {
    histogram_add(&context->service->time, loop->now - begun);
  }
  context->service = NULL;
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
  if (status < 0) {
    conn_close_broken(request->data);
  }
}

static void end_side(Conn *conn)
{
  conn->active = uv_now(&conn->loop->uv);
  conn->shutdown.data = conn;
  if (uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->handle, on_shutdown) < 0) {
    conn_close_broken(conn);
  }
}

// Answers that come later ------------------------------------------------------------------------

static void answer_later(ServerLoop *loop, LoopTask *task);

static Later *later_of(LoopTask *task)
{
  return (Later *)(void *)((char *)task - offsetof(Later, task));
}

// Whether the task that comes next puts an answer behind this one's.
static bool goes_on(const ServerLoop *loop, const Conn *conn, LoopTask *next)
{
  return next && next->run == answer_later && later_of(next)->conn == conn
         && loop->reply.size < LOOP_REPLY_SIZE;
}

// False: nobody waits for the connection any more, and it is gone.
static bool leave_later(Conn *conn)
{
  conn->loop->later--;
  conn->later--;
  if (conn->closed && conn->later == 0) {
    conn_free(conn);
    return false;
  }
  return true;
}

// On the loop's thread: another thread has done what the answer waited for. Answers to one
// connection that come one after the other are written together.
static void answer_later(ServerLoop *loop, LoopTask *task)
{
  Later *later = later_of(task);
  Later told = *later;  // `finish` frees it
  Conn *conn = told.conn;
  Buf *reply = &loop->reply;
  size_t start = reply->size;
  loop->now = clock_monotonic_ns();
  Error err = {0};
  put_head(reply, told.id);
  bool ok = later->finish(later, reply, &err) && check_size(conn, start, &err);
  count_request(loop, told.method, told.begun, ok, &err);
  if (conn->closed || told.silent || !ok) {
    reply->size = start;
  }
  if (!conn->closed && !told.silent && !ok) {
    put_error(reply, told.id, &err);
  }
  bool more = goes_on(loop, conn, told.task.next);
  if (!more && !conn->closed) {
    conn_flush(conn);
  }
  if (leave_later(conn) && !more && conn->state != CONN_CLOSING) {
    conn_go_on(conn);
    if (conn->state == CONN_REFUSED && !conn->later) {
      end_side(conn);
    }
  }
}

static void post_later(Later *later)
{
  Conn *conn = later->conn;
  loop_post_all(conn->loop, &later->task);
}

void conn_defer(void *host, Later *later)
{
  Conn *conn = host;
  const CallContext *context = conn->loop->context;
  later->task.run = answer_later;
  later->task.next = NULL;
  later->ready = post_later;
  later->conn = conn;
  later->begun = conn->loop->now;
  later->id = context->defer_id;
  later->method = context->method;
  later->silent = context->defer_silent;
  conn->later++;
  conn->loop->later++;
}

// Refusing ---------------------------------------------------------------------------------------

// Ends our side, as soon as answers under way on other threads are written too. The socket stays
// for a while, since closing one with unread input would make the system drop the answer that is on
// its way.
static void shut_down(Conn *conn, Counter *reason)
{
  conn_flush(conn);
  if (conn->state == CONN_CLOSING) {
    return;
  }
  conn->loop->refused += !conn_is_refused(conn);
  conn->state = CONN_REFUSED;
  conn->reason = reason;
  conn->active = uv_now(&conn->loop->uv);
  loop_need_tick(conn->loop);
  if (!conn->later) {
    end_side(conn);
  }
}

// The stream makes no sense any more: says so where someone waits for an answer, and ends it.
static void refuse(Conn *conn, const Frame *frame, const Error *err)
{
  if (frame->has_id && frame->kind == FRAME_REQUEST) {
    put_error(&conn->loop->reply, frame->id, err);
  }
  shut_down(conn, &conn->loop->metrics->counters.closed_bad);
}

// Answering what came ----------------------------------------------------------------------------

// Answers one frame, or says why there is none (FRAME_MORE) or cannot be one (FRAME_BAD).
static FrameStatus answer_next(Conn *conn, Slice bytes, size_t *size)
{
  ServerLoop *loop = conn->loop;
  Frame frame;
  Error err = {0};
  FrameStatus status = frame_next(&conn->scan, bytes, &loop->limits.frame, &frame, size, &err);
  if (status == FRAME_OK && frame.kind == FRAME_RESPONSE) {
    status = FRAME_BAD;  // an answer to nothing; it has no one to tell either
  }
  if (status == FRAME_BAD) {
    refuse(conn, &frame, &err);
  } else if (status == FRAME_OK) {
    answer_frame(conn, &frame);
    if (conn->state == CONN_FULL) {
      shut_down(conn, &loop->metrics->counters.closed_refused);
    }
  }
  return status;
}

// Requests that fit a pattern -------------------------------------------------------------------

// Takes such requests from the front of what is left of `bytes`. Those that are too old, or one too
// many, hear why in the general way.
static void take_requests(Conn *conn, Slice bytes)
{
  ServerLoop *loop = conn->loop;
  const Patterns *patterns = loop->context->patterns;
  const FrameLimits *limits = &loop->limits.frame;
  size_t limit = limits->size < limits->elements ? limits->size : limits->elements;
  size_t used = 0;
  size_t size;
  conn->first_taken = patterns->taken_count;
  conn->taken = 0;
  if (conn->state == CONN_FULL || conn->scan.scanned || conn_is_paused(conn)
      || loop->now - conn->received > loop->limits.wait_ns) {
    return;
  }
  while ((size = pattern_take(loop->context, slice_of(bytes.data + used, bytes.size - used), limit))
         != 0) {
    used += size;
    conn->taken++;
  }
}

static void answer_one_taken(Conn *conn, size_t number)
{
  ServerLoop *loop = conn->loop;
  const Taken *taken = &loop->context->patterns->taken[number];
  size_t start = loop->reply.size;
  Error err = {0};
  pattern_answer(loop->context, number, &loop->reply);
  if (!check_size(conn, start, &err)) {
    loop->reply.size = start;
    put_error(&loop->reply, taken->id, &err);
    counter_add(&loop->metrics->methods[taken->pattern->method].errors[err.code], 1);
  }
}

// Answers what was taken from `bytes`; returns how much of them that was.
static size_t answer_taken(Conn *conn, uint64_t begun)
{
  ServerLoop *loop = conn->loop;
  const Patterns *patterns = loop->context->patterns;
  size_t used = 0;
  size_t done = 0;
  while (done < conn->taken && conn->state <= CONN_FINISHING && !conn_is_paused(conn)) {
    size_t number = conn->first_taken + done++;
    answer_one_taken(conn, number);
    used += patterns->taken[number].size;
    if (loop->reply.size >= LOOP_REPLY_SIZE) {
      conn_flush(conn);
    }
  }
  loop->now = clock_monotonic_ns();
  for (size_t i = 0; i < done; i++) {
    pattern_count(loop->context, conn->first_taken + i, loop->now - begun);
  }
  conn->taken = 0;
  return used;
}

// Takes, looks up and answers as many requests as it can in one go.
static size_t answer_alike(Conn *conn, Slice bytes)
{
  ServerLoop *loop = conn->loop;
  CallContext *context = loop->context;
  size_t used = 0;
  if (context_patterns(context)) {
    uint64_t begun = loop->now;
    take_requests(conn, bytes);
    if (conn->taken && pattern_find(context)) {
      used = answer_taken(conn, begun);
    }
    pattern_drop(context);
  }
  return used;
}

// Answers the complete frames of `bytes`, until too many answers wait or it is others' turn.
// Returns the bytes used up.
static size_t answer_frames(Conn *conn, Slice bytes)
{
  ServerLoop *loop = conn->loop;
  uint64_t end = loop->now + UINT64_C(1000000) * LOOP_TURN_MS;
  size_t used = 0;
  while (conn->state <= CONN_FINISHING && used < bytes.size && !conn_is_paused(conn)) {
    if (loop->now > end) {
      conn_join_turns(conn);
      break;
    }
    Slice left = slice_of(bytes.data + used, bytes.size - used);
    size_t size = answer_alike(conn, left);
    FrameStatus status = size ? FRAME_OK : answer_next(conn, left, &size);
    if (status == FRAME_MORE) {
      break;
    }
    if (conn->state > CONN_FINISHING) {
      return bytes.size;
    }
    used += size;
    if (loop->reply.size >= LOOP_REPLY_SIZE) {
      conn_flush(conn);
    }
  }
  return used;
}

// Several connections at once -------------------------------------------------------------------
//
// Connections that were read in one turn of the loop are answered together: the requests of all of
// them that fit a pattern are looked up in one go, and one snapshot does for all.

static Slice unanswered(const Conn *conn)
{
  return conn->ready ? conn->fresh : buf_slice(&conn->input);
}

static void drop_front(Buf *buf, size_t used)
{
  if (used == buf->size) {
    buf_deinit(buf);
  } else if (used) {
    memmove(buf->data, buf->data + used, buf->size - used);
    buf->size -= used;
  }
}

// What was not used up waits in `input`.
static void settle(Conn *conn, Slice bytes, size_t used)
{
  conn_flush(conn);
  conn->paused = conn_is_paused(conn);
  if (!conn->ready) {
    drop_front(&conn->input, used);
  } else if (conn->state != CONN_CLOSING) {
    buf_put(&conn->input, bytes.data + used, bytes.size - used);
  }
  conn->ready = false;
  conn_update_reading(conn);
}

// The first step: what all connections ask alike. Says in `used` how much of each was answered.
static void answer_alike_all(ServerLoop *loop, Conn *const *conns, size_t count, size_t *used)
{
  CallContext *context = loop->context;
  uint64_t begun = loop->now;
  memset(used, 0, count * sizeof(*used));
  if (!context_patterns(context)) {
    return;
  }
  for (size_t i = 0; i < count; i++) {
    take_requests(conns[i], unanswered(conns[i]));
  }
  if (context->patterns->taken_count && pattern_find(context)) {
    for (size_t i = 0; i < count; i++) {
      if (conns[i]->taken) {
        used[i] = answer_taken(conns[i], begun);
        conn_flush(conns[i]);
      }
    }
  }
  pattern_drop(context);
}

void conn_answer(ServerLoop *loop, Conn *const *conns, size_t count)
{
  size_t used[LOOP_READY];
  assert(loop->reply.size == 0 && count <= LOOP_READY);
  call_batch_begin(loop->context);
  answer_alike_all(loop, conns, count, used);
  for (size_t i = 0; i < count; i++) {
    Slice bytes = unanswered(conns[i]);
    Slice left = slice_of(bytes.data + used[i], bytes.size - used[i]);
    used[i] += answer_frames(conns[i], left);
    settle(conns[i], bytes, used[i]);
  }
  call_batch_end(loop->context);
}

void conn_answer_ready(ServerLoop *loop)
{
  size_t count = loop->ready_count;
  if (count) {
    loop->ready_count = 0;
    loop->scratch_used = 0;
    loop->now = clock_monotonic_ns();
    conn_answer(loop, loop->ready, count);
    loop_run_own(loop);
  }
}
