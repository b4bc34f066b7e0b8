#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rpc/conn_private.h"

// A write that the socket did not take at once. Owns its bytes.
typedef struct {
  uv_write_t request;
  Conn *conn;
  Buf bytes;
} Write;

// Closing --------------------------------------------------------------------------------------

void conn_free(Conn *conn)
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
    conn_free(conn);
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

void conn_join_turns(Conn *conn)
{
  ServerLoop *loop = conn->loop;
  conn->waiting_turn = true;
  conn->turn_previous = loop->last_waiting;
  *(loop->last_waiting ? &loop->last_waiting->turn_next : &loop->first_waiting) = conn;
  loop->last_waiting = conn;
  loop_need_turn(loop);
}

void conn_close_because(Conn *conn, Counter *reason)
{
  if (conn->state == CONN_CLOSING) {
    return;
  }
  leave_turns(conn);
  conn->loop->refused -= conn_is_refused(conn);
  conn->state = CONN_CLOSING;
  counter_add(conn->reason ? conn->reason : reason, 1);
  uv_close((uv_handle_t *)&conn->handle, on_closed);
}

void conn_close(Conn *conn)
{
  conn_close_because(conn, &conn->loop->metrics->counters.closed_stop);
}

void conn_close_broken(Conn *conn)
{
  conn_close_because(conn, &conn->loop->metrics->counters.closed_error);
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

void conn_go_on(Conn *conn)
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
    conn_close_broken(conn);
    return;
  }
  conn->active = uv_now(&conn->loop->uv);
  conn_go_on(conn);
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
    conn_close_broken(conn);
  }
}

void conn_flush(Conn *conn)
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
    conn_close_broken(conn);
  } else if (written < 0 || (size_t)written < loop->reply.size) {
    write_later(conn, written < 0 ? 0 : (size_t)written);
  }
  buf_reset(&loop->reply);
  if (loop->reply.capacity > LOOP_REPLY_KEEP) {
    buf_deinit(&loop->reply);
  }
  if (conn->waiting > loop->limits.max_output) {
    conn_close_because(conn, &loop->metrics->counters.closed_slow);
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

void conn_update_reading(Conn *conn)
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
  conn_answer(conn->loop, &conn, 1);
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
  } else if (!conn->waiting && !conn->later) {
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
    conn_answer(loop, &conn, 1);
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
    conn_close_broken(conn);
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
    conn_close_broken(conn);
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
    conn_close_broken(conn);
  }
}

void conn_finish(Conn *conn)
{
  if (conn->state == CONN_CLOSING) {
    return;
  }
  conn->loop->refused -= conn_is_refused(conn);
  conn->state = CONN_FINISHING;
  conn_update_reading(conn);
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
  if (conn_is_refused(conn) && silent >= LOOP_LINGER_MS && !conn->later) {
    conn_close(conn);
  } else if (conn->waiting && silent >= limits->stall_ms) {
    conn_close_because(conn, &counters->closed_slow);
  } else if (limits->idle_ms && silent >= limits->idle_ms && !conn->later) {
    conn_close_because(conn, conn->waiting ? &counters->closed_slow : &counters->closed_idle);
  }
  return limits->idle_ms || conn_is_refused(conn) || conn->waiting;
}

Conn *conn_next(const Conn *conn)
{
  return conn->next;
}
