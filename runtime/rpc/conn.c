#include "rpc/conn.h"

#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rpc/methods.h"
#include "rpc/pack.h"
#include "rpc/pattern.h"

typedef enum {
  CONN_OPEN,       // reads requests
  CONN_FULL,       // one too many: its first request is answered by an error
  CONN_FINISHING,  // reads no more; closes when everything received is answered and written
  CONN_REFUSED,    // sent what is no request: our side is shut, and what still comes is dropped
  CONN_CLOSING,    // uv_close was called
} ConnState;

struct Conn {
  uv_tcp_t handle;
  uv_shutdown_t shutdown;
  ServerLoop *loop;
  Conn *previous;
  Conn *next;
  ConnState state;
  bool paused;        // too many answers wait: nothing is read until some are taken
  bool waiting_turn;  // was answered for long enough; the rest of its input comes when it is its
                      // turn
  bool extra;         // beyond the bound on connections: loop->load does not count it
  bool closed;        // and only here until the last answer that comes later has come
  Counter *reason;    // why it will be closed, where that is decided before; else NULL
  Conn *turn_previous;
  Conn *turn_next;
  size_t later;        // answers under way on other threads
  Buf input;           // what was received and not answered yet: nearly always nothing
  FrameScan scan;      // of the frame that `input` starts with
  size_t queued;       // of `waiting`, when last looked at: what libuv still has
  uint64_t waiting;    // bytes given to libuv and not written yet
  uint64_t active;     // loop time in ms of the last byte in or out
  uint64_t received;   // clock_monotonic_ns of the last byte in
  bool ready;          // among loop->ready, with `fresh`
  Slice fresh;         // what was just read, in loop->scratch
  size_t first_taken;  // of the requests taken from what is being answered (pattern.h)
  size_t taken;
};

// A write that the socket did not take at once. Owns its bytes.
typedef struct {
  uv_write_t request;
  Conn *conn;
  Buf bytes;
} Write;

// Closing --------------------------------------------------------------------------------------

static void free_conn(Conn *conn)
{
  buf_deinit(&conn->input);
  free(conn);
}

static void on_closed(uv_handle_t *handle)
{
  Conn *conn = handle->data;
  ServerLoop *loop = conn->loop;
  if (conn->previous) {
    conn->previous->next = conn->next;
  } else {
    loop->conns = conn->next;
  }
  if (conn->next) {
    conn->next->previous = conn->previous;
  }
  if (!conn->extra) {
    atomic_fetch_sub(&loop->load, 1);
  }
  conn->closed = true;
  if (conn->later == 0) {
    free_conn(conn);
  }
}

static void leave_turns(Conn *conn)
{
  ServerLoop *loop = conn->loop;
  if (!conn->waiting_turn) {
    return;
  }
  *(conn->turn_previous ? &conn->turn_previous->turn_next : &loop->first_waiting) = conn->turn_next;
  *(conn->turn_next ? &conn->turn_next->turn_previous : &loop->last_waiting) = conn->turn_previous;
  conn->turn_previous = conn->turn_next = NULL;
  conn->waiting_turn = false;
}

static void join_turns(Conn *conn)
{
  ServerLoop *loop = conn->loop;
  conn->waiting_turn = true;
  conn->turn_previous = loop->last_waiting;
  *(loop->last_waiting ? &loop->last_waiting->turn_next : &loop->first_waiting) = conn;
  loop->last_waiting = conn;
  loop_need_turn(loop);
}

static bool is_refused(const Conn *conn)
{
  return conn->state == CONN_REFUSED || conn->state == CONN_FULL;
}

// `reason`: the counter of connections that are closed for it.
static void close_because(Conn *conn, Counter *reason)
{
  if (conn->state == CONN_CLOSING) {
    return;
  }
  leave_turns(conn);
  conn->loop->refused -= is_refused(conn);
  conn->state = CONN_CLOSING;
  counter_add(conn->reason ? conn->reason : reason, 1);
  uv_close((uv_handle_t *)&conn->handle, on_closed);
}

void conn_close(Conn *conn)
{
  close_because(conn, &conn->loop->metrics->counters.closed_stop);
}

static void close_broken(Conn *conn)
{
  close_because(conn, &conn->loop->metrics->counters.closed_error);
}

// Closes a connection that has nothing left to do.
static void close_when_finished(Conn *conn)
{
  if (conn->state == CONN_FINISHING && !conn->waiting && !conn->paused && !conn->waiting_turn
      && !conn->later) {
    conn_close(conn);
  }
}

// Writing --------------------------------------------------------------------------------------

static void answer_input(Conn *conn);

// Some answers were taken, or have come: more may be made.
static void go_on(Conn *conn)
{
  bool room =
      conn->waiting <= conn->loop->limits.pause_output / 2 && conn->later <= LOOP_LATER_MAX / 2;
  if (conn->paused && room) {
    answer_input(conn);
  }
  close_when_finished(conn);
}

static void on_written(uv_write_t *request, int status)
{
  Write *write = (Write *)request;
  Conn *conn = write->conn;
  conn->waiting -= write->bytes.size;
  buf_deinit(&write->bytes);
  free(write);
  if (conn->state == CONN_CLOSING) {
    return;
  }
  if (status < 0) {
    close_broken(conn);
    return;
  }
  conn->active = uv_now(&conn->loop->uv);
  go_on(conn);
}

// Leaves the rest of the reply to libuv. The bytes change hands without a copy when none of them
// could be written.
static void write_later(Conn *conn, size_t written)
{
  ServerLoop *loop = conn->loop;
  Write *write = mem_zalloc(1, sizeof(*write));
  write->conn = conn;
  if (written == 0) {
    write->bytes = loop->reply;
    loop->reply = (Buf){0};
  } else {
    buf_put(&write->bytes, loop->reply.data + written, loop->reply.size - written);
  }
  conn->waiting += write->bytes.size;
  loop_need_tick(loop);
  uv_buf_t chunk = {.base = (char *)write->bytes.data, .len = write->bytes.size};
  if (uv_write(&write->request, (uv_stream_t *)&conn->handle, &chunk, 1, on_written) < 0) {
    conn->waiting -= write->bytes.size;
    buf_deinit(&write->bytes);
    free(write);
    close_broken(conn);
  }
}

// Writes the answers gathered so far: at once what the socket takes, the rest later.
static void flush(Conn *conn)
{
  ServerLoop *loop = conn->loop;
  if (loop->reply.size == 0 || conn->state == CONN_CLOSING) {
    buf_reset(&loop->reply);
    return;
  }
  uv_buf_t chunk = {.base = (char *)loop->reply.data, .len = loop->reply.size};
  counter_add(&loop->metrics->counters.sent, loop->reply.size);
  int written = uv_try_write((uv_stream_t *)&conn->handle, &chunk, 1);
  if (written < 0 && written != UV_EAGAIN) {
    close_broken(conn);
  } else if (written < 0 || (size_t)written < loop->reply.size) {
    write_later(conn, written < 0 ? 0 : (size_t)written);
  }
  buf_reset(&loop->reply);
  if (loop->reply.capacity > LOOP_REPLY_KEEP) {
    buf_deinit(&loop->reply);
  }
  if (conn->waiting > loop->limits.max_output) {
    close_because(conn, &loop->metrics->counters.closed_slow);
  }
}

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
    free_conn(conn);
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
    flush(conn);
  }
  if (leave_later(conn) && !more && conn->state != CONN_CLOSING) {
    go_on(conn);
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

// Refusing
// -----------------------------------------------------------------------------------------

static void on_shutdown(uv_shutdown_t *request, int status)
{
  if (status < 0) {
    close_broken(request->data);
  }
}

// Ends our side. The socket stays for a while, since closing one with unread input would make the
// system drop the answer that is on its way.
static void shut_down(Conn *conn, Counter *reason)
{
  flush(conn);
  if (conn->state == CONN_CLOSING) {
    return;
  }
  conn->loop->refused += !is_refused(conn);
  conn->state = CONN_REFUSED;
  conn->reason = reason;
  conn->active = uv_now(&conn->loop->uv);
  conn->shutdown.data = conn;
  if (uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->handle, on_shutdown) < 0) {
    close_broken(conn);
    return;
  }
  loop_need_tick(conn->loop);
}

// The stream makes no sense any more: says so where someone waits for an answer, and ends it.
static void refuse(Conn *conn, const Frame *frame, const Error *err)
{
  if (frame->has_id && frame->kind == FRAME_REQUEST) {
    put_error(&conn->loop->reply, frame->id, err);
  }
  shut_down(conn, &conn->loop->metrics->counters.closed_bad);
}

// Answering what came
// ------------------------------------------------------------------------------

static bool is_paused(const Conn *conn)
{
  return conn->waiting >= conn->loop->limits.pause_output || conn->later >= LOOP_LATER_MAX;
}

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
  if (conn->state == CONN_FULL || conn->scan.scanned || is_paused(conn)
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
  while (done < conn->taken && conn->state <= CONN_FINISHING && !is_paused(conn)) {
    size_t number = conn->first_taken + done++;
    answer_one_taken(conn, number);
    used += patterns->taken[number].size;
    if (loop->reply.size >= LOOP_REPLY_SIZE) {
      flush(conn);
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
  while (conn->state <= CONN_FINISHING && used < bytes.size && !is_paused(conn)) {
    if (loop->now > end) {
      join_turns(conn);
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
      flush(conn);
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

static void update_reading(Conn *conn);

// What was not used up waits in `input`.
static void settle(Conn *conn, Slice bytes, size_t used)
{
  flush(conn);
  conn->paused = is_paused(conn);
  if (!conn->ready) {
    drop_front(&conn->input, used);
  } else if (conn->state != CONN_CLOSING) {
    buf_put(&conn->input, bytes.data + used, bytes.size - used);
  }
  conn->ready = false;
  update_reading(conn);
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
        flush(conns[i]);
      }
    }
  }
  pattern_drop(context);
}

// Answers what it can of what the connections have sent, in one snapshot and mostly one write each;
// loop->now is now.
static void answer(ServerLoop *loop, Conn *const *conns, size_t count)
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
    answer(loop, loop->ready, count);
  }
}

// Reading --------------------------------------------------------------------------------------

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
  (void)suggested;
  Conn *conn = handle->data;
  ServerLoop *loop = conn->loop;
  if (conn->input.size == 0) {
    assert(loop->scratch_used + LOOP_READ_SIZE <= LOOP_SCRATCH_SIZE);
    *room = (uv_buf_t){.base = loop->scratch + loop->scratch_used, .len = LOOP_READ_SIZE};
    return;
  }
  // A frame that comes in pieces: room grows with what has come, not with what was announced.
  size_t extra = conn->input.size < 4096 ? 4096 : conn->input.size;
  extra = extra < LOOP_READ_SIZE ? extra : LOOP_READ_SIZE;
  buf_reserve(&conn->input, extra);
  *room = (uv_buf_t){.base = (char *)conn->input.data + conn->input.size, .len = extra};
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room);

// Reads while the connection may be read from, stops where not.
static void update_reading(Conn *conn)
{
  uv_stream_t *stream = (uv_stream_t *)&conn->handle;
  if (conn->state == CONN_CLOSING) {
    return;
  }
  bool open = conn->state == CONN_OPEN || conn->state == CONN_FULL;
  if (conn->state == CONN_REFUSED || (open && !conn->paused && !conn->waiting_turn)) {
    uv_read_start(stream, on_room, on_read);  // has no effect when it reads already
  } else {
    uv_read_stop(stream);
  }
}

// Answers what was left over when the connection was paused.
static void answer_input(Conn *conn)
{
  assert(!conn->ready);
  leave_turns(conn);
  conn->loop->now = clock_monotonic_ns();
  answer(conn->loop, &conn, 1);
}

void conn_take_turn(Conn *conn)
{
  answer_input(conn);
  close_when_finished(conn);
}

// The peer has sent everything; it may still be reading.
static void on_end(Conn *conn)
{
  uv_read_stop((uv_stream_t *)&conn->handle);
  if (conn->state == CONN_OPEN || conn->state == CONN_FULL) {
    conn->loop->refused -= conn->state == CONN_FULL;
    conn->reason = &conn->loop->metrics->counters.closed_peer;
    conn->state = CONN_FINISHING;
    close_when_finished(conn);
  } else if (!conn->waiting) {
    conn_close(conn);
  }
}

// Mostly the answer waits until the others that have sent something were read too. What fills its
// room goes at once, since more of it may come before the loop's turn is over.
static void on_bytes(Conn *conn, const uv_buf_t *room, size_t size)
{
  ServerLoop *loop = conn->loop;
  bool in_scratch = room->base >= loop->scratch && room->base < loop->scratch + LOOP_SCRATCH_SIZE;
  if (conn->input.size) {
    if (in_scratch) {
      buf_put(&conn->input, room->base, size);
    } else {
      conn->input.size += size;
    }
    loop->now = conn->received;
    answer(loop, &conn, 1);
    return;
  }
  assert(in_scratch);
  conn->ready = true;
  conn->fresh = slice_of(room->base, size);
  loop->ready[loop->ready_count++] = conn;
  loop->scratch_used = (size_t)(room->base - loop->scratch) + size;
  if (size == room->len || loop->ready_count == LOOP_READY
      || loop->scratch_used + LOOP_READ_SIZE > LOOP_SCRATCH_SIZE) {
    conn_answer_ready(loop);
  }
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room)
{
  Conn *conn = stream->data;
  ServerLoop *loop = conn->loop;
  if (conn->ready) {
    conn_answer_ready(loop);  // first what came before
  }
  if (count == 0 || conn->state == CONN_CLOSING) {
    return;
  }
  if (count == UV_EOF) {
    on_end(conn);
  } else if (count < 0) {
    close_broken(conn);
  } else if (conn->state != CONN_REFUSED) {
    if (conn->state == CONN_OPEN) {
      conn->active = uv_now(&loop->uv);
    }
    conn->received = loop->ready_count ? loop->ready[0]->received : clock_monotonic_ns();
    counter_add(&loop->metrics->counters.received, (uint64_t)count);
    on_bytes(conn, room, (size_t)count);
  }
}

// Life -----------------------------------------------------------------------------------------

static Conn *conn_new(ServerLoop *loop)
{
  Conn *conn = mem_zalloc(1, sizeof(*conn));
  conn->loop = loop;
  conn->handle.data = conn;
  uv_tcp_init(&loop->uv, &conn->handle);
  conn->active = uv_now(&loop->uv);
  conn->next = loop->conns;
  if (conn->next) {
    conn->next->previous = conn;
  }
  loop->conns = conn;
  return conn;
}

void conn_open(ServerLoop *loop, int socket, bool full)
{
  Conn *conn = conn_new(loop);
  conn->extra = full;
  Counters *counters = &loop->metrics->counters;
  counter_add(&counters->connections, 1);
  if (uv_tcp_open(&conn->handle, socket) < 0) {
    close(socket);
    close_broken(conn);
    return;
  }
  if (full) {
    counter_add(&counters->refused, 1);
    conn->reason = &counters->closed_refused;
    conn->state = CONN_FULL;
    loop_need_tick(loop);
    if (++loop->refused > LOOP_REFUSED_MAX) {
      conn_close(conn);
      return;
    }
  }
  uv_tcp_nodelay(&conn->handle, 1);
  if (uv_read_start((uv_stream_t *)&conn->handle, on_room, on_read) < 0) {
    close_broken(conn);
  }
}

void conn_finish(Conn *conn)
{
  if (conn->state == CONN_CLOSING) {
    return;
  }
  conn->loop->refused -= is_refused(conn);
  conn->state = CONN_FINISHING;
  update_reading(conn);
  close_when_finished(conn);
}

// Whether the peer takes anything of what waits for it. One write may be large, so looking at its
// end is not enough.
static void note_progress(Conn *conn)
{
  size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&conn->handle);
  if (queued != conn->queued) {
    conn->queued = queued;
    conn->active = uv_now(&conn->loop->uv);
  }
}

bool conn_tick(Conn *conn)
{
  const LoopLimits *limits = &conn->loop->limits;
  Counters *counters = &conn->loop->metrics->counters;
  note_progress(conn);
  uint64_t silent = uv_now(&conn->loop->uv) - conn->active;
  if (is_refused(conn) && silent >= LOOP_LINGER_MS) {
    conn_close(conn);
  } else if (conn->waiting && silent >= limits->stall_ms) {
    close_because(conn, &counters->closed_slow);
  } else if (limits->idle_ms && silent >= limits->idle_ms && !conn->later) {
    close_because(conn, conn->waiting ? &counters->closed_slow : &counters->closed_idle);
  }
  return limits->idle_ms || is_refused(conn) || conn->waiting;
}

Conn *conn_next(const Conn *conn)
{
  return conn->next;
}
