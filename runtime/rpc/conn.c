#include "rpc/conn.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/pack.h"

typedef enum {
  CONN_OPEN,       // reads requests
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
  bool paused;       // too many answers wait: nothing is read until some are taken
  Buf input;         // what was received and not answered yet: nearly always nothing
  FrameScan scan;    // of the frame that `input` starts with
  uint64_t waiting;  // bytes given to libuv and not written yet
  uint64_t active;   // loop time in ms of the last byte in or out
};

// A write that the socket did not take at once. Owns its bytes.
typedef struct {
  uv_write_t request;
  Conn *conn;
  Buf bytes;
} Write;

// Closing --------------------------------------------------------------------------------------

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
  loop->conn_count--;
  buf_deinit(&conn->input);
  free(conn);
}

void conn_close(Conn *conn)
{
  if (conn->state == CONN_CLOSING) {
    return;
  }
  conn->loop->refused -= conn->state == CONN_REFUSED;
  conn->state = CONN_CLOSING;
  uv_close((uv_handle_t *)&conn->handle, on_closed);
}

// Closes a connection that has nothing left to do.
static void close_when_finished(Conn *conn)
{
  if (conn->state == CONN_FINISHING && !conn->waiting && !conn->paused) {
    conn_close(conn);
  }
}

// Writing --------------------------------------------------------------------------------------

static void answer_input(Conn *conn);

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
    conn_close(conn);
    return;
  }
  conn->active = uv_now(&conn->loop->uv);
  if (conn->paused && conn->waiting <= conn->loop->limits.pause_output / 2) {
    answer_input(conn);
  }
  close_when_finished(conn);
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
  uv_buf_t chunk = {.base = (char *)write->bytes.data, .len = write->bytes.size};
  if (uv_write(&write->request, (uv_stream_t *)&conn->handle, &chunk, 1, on_written) < 0) {
    conn->waiting -= write->bytes.size;
    buf_deinit(&write->bytes);
    free(write);
    conn_close(conn);
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
  int written = uv_try_write((uv_stream_t *)&conn->handle, &chunk, 1);
  if (written < 0 && written != UV_EAGAIN) {
    conn_close(conn);
  } else if (written < 0 || (size_t)written < loop->reply.size) {
    write_later(conn, written < 0 ? 0 : (size_t)written);
  }
  buf_reset(&loop->reply);
  if (loop->reply.capacity > LOOP_REPLY_KEEP) {
    buf_deinit(&loop->reply);
  }
  if (conn->waiting > loop->limits.max_output) {
    conn_close(conn);
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

// The answer's head goes in front; the result is put behind it as it is made.
static bool put_result(Conn *conn, const Frame *frame, Slice params, Error *err)
{
  Buf *reply = &conn->loop->reply;
  size_t start = reply->size;
  msgpack_packer packer = mp_packer(reply);
  msgpack_pack_array(&packer, 4);
  msgpack_pack_int(&packer, FRAME_RESPONSE);
  msgpack_pack_uint32(&packer, frame->id);
  msgpack_pack_nil(&packer);
  if (!call_method(conn->loop->context, frame->method, params, reply, err)) {
    return false;
  }
  uint64_t most = conn->loop->limits.max_output;
  return reply->size - start <= most
         || error_set(err, ERR_LIMIT, "the answer is larger than %" PRIu64 " bytes: ask for less",
                      most);
}

static void answer_frame(Conn *conn, const Frame *frame)
{
  Buf *reply = &conn->loop->reply;
  size_t start = reply->size;
  Error err = {0};
  Slice params;
  bool ok = frame_params(frame, &params, &err) && put_result(conn, frame, params, &err);
  if (frame->kind == FRAME_NOTIFICATION) {
    reply->size = start;  // nobody waits for it
  } else if (!ok) {
    reply->size = start;
    put_error(reply, frame->id, &err);
  }
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
  if (status < 0) {
    conn_close(request->data);
  }
}

// The stream makes no sense any more: says so where someone waits for an answer, and ends it. The
// socket stays for a while, since closing one with unread input would make the system drop the
// answer that is on its way.
static void refuse(Conn *conn, const Frame *frame, const Error *err)
{
  if (frame->has_id && frame->kind == FRAME_REQUEST) {
    put_error(&conn->loop->reply, frame->id, err);
  }
  flush(conn);
  if (conn->state == CONN_CLOSING) {
    return;
  }
  conn->state = CONN_REFUSED;
  conn->loop->refused++;
  conn->active = uv_now(&conn->loop->uv);
  conn->shutdown.data = conn;
  if (uv_shutdown(&conn->shutdown, (uv_stream_t *)&conn->handle, on_shutdown) < 0) {
    conn_close(conn);
    return;
  }
  loop_need_tick(conn->loop);
}

// Answers the complete frames of `bytes`, until too many answers wait. Returns the bytes used up.
static size_t answer_frames(Conn *conn, Slice bytes)
{
  const LoopLimits *limits = &conn->loop->limits;
  size_t used = 0;
  while (conn->state <= CONN_FINISHING && used < bytes.size) {
    Frame frame;
    size_t size = 0;
    Error err = {0};
    Slice rest = slice_of(bytes.data + used, bytes.size - used);
    FrameStatus status = frame_next(&conn->scan, rest, &limits->frame, &frame, &size, &err);
    if (status == FRAME_MORE) {
      break;
    }
    if (status == FRAME_OK && frame.kind == FRAME_RESPONSE) {
      status = FRAME_BAD;  // an answer to nothing; it has no one to tell either
    }
    if (status == FRAME_BAD) {
      refuse(conn, &frame, &err);
      return bytes.size;
    }
    answer_frame(conn, &frame);
    used += size;
    if (conn->loop->reply.size >= LOOP_REPLY_SIZE) {
      flush(conn);
    }
    if (conn->waiting >= limits->pause_output) {
      break;
    }
  }
  return used;
}

// Answers what it can of `bytes` in one snapshot and mostly one write. Returns the bytes used up.
static size_t answer(Conn *conn, Slice bytes)
{
  assert(conn->loop->reply.size == 0);
  call_batch_begin(conn->loop->context);
  size_t used = answer_frames(conn, bytes);
  call_batch_end(conn->loop->context);
  flush(conn);
  conn->paused = conn->waiting >= conn->loop->limits.pause_output;
  return used;
}

// Reading --------------------------------------------------------------------------------------

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
  (void)suggested;
  Conn *conn = handle->data;
  if (conn->input.size == 0) {
    *room = (uv_buf_t){.base = conn->loop->scratch, .len = LOOP_READ_SIZE};
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
  if (conn->state == CONN_REFUSED || (conn->state == CONN_OPEN && !conn->paused)) {
    uv_read_start(stream, on_room, on_read);  // has no effect when it reads already
  } else {
    uv_read_stop(stream);
  }
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

// Answers what was left over when the connection was paused.
static void answer_input(Conn *conn)
{
  drop_front(&conn->input, answer(conn, buf_slice(&conn->input)));
  update_reading(conn);
}

// The peer has sent everything; it may still be reading.
static void on_end(Conn *conn)
{
  uv_read_stop((uv_stream_t *)&conn->handle);
  if (conn->state == CONN_OPEN) {
    conn->state = CONN_FINISHING;
    close_when_finished(conn);
  } else if (!conn->waiting) {
    conn_close(conn);
  }
}

static void on_bytes(Conn *conn, const char *data, size_t size)
{
  bool direct = data == conn->loop->scratch;
  if (direct) {
    size_t used = answer(conn, slice_of(data, size));
    if (conn->state != CONN_CLOSING) {
      buf_put(&conn->input, data + used, size - used);
    }
  } else {
    conn->input.size += size;
    drop_front(&conn->input, answer(conn, buf_slice(&conn->input)));
  }
  update_reading(conn);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room)
{
  Conn *conn = stream->data;
  if (count == 0 || conn->state == CONN_CLOSING) {
    return;
  }
  if (count == UV_EOF) {
    on_end(conn);
  } else if (count < 0) {
    conn_close(conn);
  } else if (conn->state == CONN_OPEN) {
    conn->active = uv_now(&conn->loop->uv);
    on_bytes(conn, room->base, (size_t)count);
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
  loop->conn_count++;
  return conn;
}

void conn_accept(ServerLoop *loop)
{
  Conn *conn = conn_new(loop);
  uv_stream_t *stream = (uv_stream_t *)&conn->handle;
  if (uv_accept((uv_stream_t *)&loop->listener, stream) < 0
      || loop->conn_count > loop->limits.max_connections) {
    conn_close(conn);
    return;
  }
  uv_tcp_nodelay(&conn->handle, 1);
  if (uv_read_start(stream, on_room, on_read) < 0) {
    conn_close(conn);
  }
}

void conn_finish(Conn *conn)
{
  if (conn->state == CONN_CLOSING) {
    return;
  }
  conn->loop->refused -= conn->state == CONN_REFUSED;
  conn->state = CONN_FINISHING;
  update_reading(conn);
  close_when_finished(conn);
}

void conn_tick(Conn *conn)
{
  const LoopLimits *limits = &conn->loop->limits;
  uint64_t silent = uv_now(&conn->loop->uv) - conn->active;
  bool idle = limits->idle_ms && silent >= limits->idle_ms;
  if (idle || (conn->state == CONN_REFUSED && silent >= LOOP_LINGER_MS)) {
    conn_close(conn);
  }
}

Conn *conn_next(const Conn *conn)
{
  return conn->next;
}
