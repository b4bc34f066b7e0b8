#include "rpc/loop.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "rpc/address.h"
#include "rpc/conn.h"

enum { BACKLOG = 1024 };

static void on_connection(uv_stream_t *listener, int status)
{
  if (status == 0) {
    conn_accept(listener->data);
  }
}

static void on_tick(uv_timer_t *tick)
{
  ServerLoop *loop = tick->data;
  for (Conn *conn = loop->conns, *next; conn; conn = next) {
    next = conn_next(conn);
    conn_tick(conn);
  }
  if (!loop->refused && !loop->limits.idle_ms) {
    uv_timer_stop(tick);
  }
}

void loop_need_tick(ServerLoop *loop)
{
  if (!uv_is_active((uv_handle_t *)&loop->tick)) {
    uv_timer_start(&loop->tick, on_tick, LOOP_TICK_MS, LOOP_TICK_MS);
  }
}

bool loop_init(ServerLoop *loop, Engine *engine, const LoopLimits *limits, Error *err)
{
  *loop = (ServerLoop){.limits = *limits};
  int rc = uv_loop_init(&loop->uv);
  if (rc) {
    return error_set(err, ERR_INTERNAL, "start an event loop: %s", uv_strerror(rc));
  }
  loop->scratch = mem_alloc(LOOP_READ_SIZE);
  loop->context = call_context_new(engine, CALL_REMOTE);
  uv_timer_init(&loop->uv, &loop->tick);
  loop->tick.data = loop;
  if (limits->idle_ms) {
    loop_need_tick(loop);
  }
  return true;
}

static void on_listener_closed(uv_handle_t *listener)
{
  *(bool *)listener->data = true;
}

// libuv reports an address in use only when listening, after which the handle cannot be used again.
static int listen_on(ServerLoop *loop, const struct sockaddr *address)
{
  uv_stream_t *listener = (uv_stream_t *)&loop->listener;
  int rc = uv_tcp_init(&loop->uv, &loop->listener);
  if (rc) {
    return rc;
  }
  loop->listener.data = loop;
  rc = uv_tcp_bind(&loop->listener, address, 0);
  rc = rc ? rc : uv_listen(listener, BACKLOG, on_connection);
  if (rc) {
    bool closed = false;
    listener->data = &closed;
    uv_close((uv_handle_t *)listener, on_listener_closed);
    while (!closed) {
      uv_run(&loop->uv, UV_RUN_NOWAIT);
    }
  }
  return rc;
}

static void print_bound(const ServerLoop *loop, char *bound)
{
  struct sockaddr_storage name = {0};
  int size = sizeof(name);
  uv_tcp_getsockname(&loop->listener, (struct sockaddr *)&name, &size);
  address_print((const struct sockaddr *)&name, bound);
}

bool loop_listen(ServerLoop *loop, const char *address, char *bound, Error *err)
{
  Address parsed;
  struct addrinfo *list = NULL;
  if (!address_parse(address, &parsed, err) || !address_resolve(&parsed, true, &list, err)) {
    return false;
  }
  int rc = UV_EADDRNOTAVAIL;
  for (struct addrinfo *at = list; at && rc; at = at->ai_next) {
    rc = listen_on(loop, at->ai_addr);
  }
  freeaddrinfo(list);
  if (rc) {
    return error_set(err, ERR_IO, "listen on %s: %s", address, uv_strerror(rc));
  }
  print_bound(loop, bound);
  return true;
}

void loop_drain(ServerLoop *loop)
{
  // Once for connections that wait to be accepted, once for what those have sent.
  uv_run(&loop->uv, UV_RUN_NOWAIT);
  uv_close((uv_handle_t *)&loop->listener, NULL);
  uv_run(&loop->uv, UV_RUN_NOWAIT);
  for (Conn *conn = loop->conns, *next; conn; conn = next) {
    next = conn_next(conn);
    conn_finish(conn);
  }
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
  for (Conn *conn = loop->conns, *next; conn; conn = next) {
    next = conn_next(conn);
    conn_close(conn);
  }
  uv_walk(&loop->uv, close_handle, NULL);
  uv_run(&loop->uv, UV_RUN_DEFAULT);
  uv_loop_close(&loop->uv);
  call_context_free(loop->context);
  buf_deinit(&loop->reply);
  free(loop->scratch);
}
