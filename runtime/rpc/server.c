#include "rpc/server.h"

#include <signal.h>

#include "rpc/address.h"
#include "rpc/conn.h"
#include "rpc/loop.h"

enum {
  DEFAULT_FRAME = 16 << 20,
  DEFAULT_DEPTH = 16,
  DEFAULT_CONNECTIONS = 10000,
  DEFAULT_OUTPUT = 64 << 20,
};

// One loop now; more of them would each run on a thread of its own, told to stop by a uv_async.
typedef struct {
  ServerLoop loop;
  uv_signal_t signals[2];
  unsigned stops;  // signals received
  uv_timer_t deadline;
  bool late;  // connections did not take their last answers in time
} Server;

static void on_signal(uv_signal_t *handle, int number)
{
  (void)number;
  Server *server = handle->data;
  server->stops++;
  uv_stop(&server->loop.uv);
}

static void on_deadline(uv_timer_t *timer)
{
  ((Server *)timer->data)->late = true;
}

static bool watch_signals(Server *server, Error *err)
{
  static const int NUMBERS[] = {SIGTERM, SIGINT};
  for (size_t i = 0; i < 2; i++) {
    uv_signal_init(&server->loop.uv, &server->signals[i]);
    server->signals[i].data = server;
    int rc = uv_signal_start(&server->signals[i], on_signal, NUMBERS[i]);
    if (rc) {
      return error_set(err, ERR_INTERNAL, "watch for signals: %s", uv_strerror(rc));
    }
  }
  return true;
}

static LoopLimits loop_limits(const ServerOptions *options)
{
  uint64_t output = options->max_output ? options->max_output : DEFAULT_OUTPUT;
  return (LoopLimits){
      .frame = {.size = options->max_frame ? options->max_frame : DEFAULT_FRAME,
                .depth = options->max_depth ? options->max_depth : DEFAULT_DEPTH,
                .elements = FRAME_ELEMENTS},
      .max_connections = options->max_connections ? options->max_connections : DEFAULT_CONNECTIONS,
      .max_output = output,
      .pause_output = output / 4 < LOOP_REPLY_SIZE ? output / 4 + 1 : LOOP_REPLY_SIZE,
      .idle_ms = (uint64_t)options->idle_seconds * 1000,
  };
}

static bool check_options(const ServerOptions *options, Error *err)
{
  if (options->max_depth > FRAME_DEPTH_MAX) {
    return error_set(err, ERR_INVALID, "max_depth is at most %d", FRAME_DEPTH_MAX);
  }
  return true;
}

static bool start(Server *server, const ServerOptions *options, Error *err)
{
  const LoopLimits *limits = &server->loop.limits;
  call_context_limit(server->loop.context, &(CallLimits){
                                               .max_rows = options->max_rows,
                                               .max_frame = limits->frame.size,
                                               .max_depth = limits->frame.depth,
                                               .max_output = limits->max_output,
                                           });
  char bound[ADDRESS_TEXT_SIZE];
  const char *address = options->listen ? options->listen : "127.0.0.1:6570";
  if (!watch_signals(server, err) || !loop_listen(&server->loop, address, bound, err)) {
    return false;
  }
  if (options->ready) {
    options->ready(options->context, bound);
  }
  return true;
}

// Runs until every connection has its answers, time is up, or someone insists.
static void drain(Server *server)
{
  uv_timer_init(&server->loop.uv, &server->deadline);
  server->deadline.data = server;
  uv_timer_start(&server->deadline, on_deadline, LOOP_DRAIN_MS, 0);
  loop_drain(&server->loop);
  while (server->loop.conns && !server->late && server->stops < 2) {
    uv_run(&server->loop.uv, UV_RUN_ONCE);
  }
}

bool server_run(Engine *engine, const ServerOptions *options, Error *err)
{
  Server server = {0};
  LoopLimits limits = loop_limits(options);
  if (!check_options(options, err) || !loop_init(&server.loop, engine, &limits, err)) {
    return false;
  }
  signal(SIGPIPE, SIG_IGN);
  bool ok = start(&server, options, err);
  if (ok) {
    while (server.stops == 0) {
      uv_run(&server.loop.uv, UV_RUN_DEFAULT);
    }
    drain(&server);
  }
  loop_deinit(&server.loop);
  return ok;
}
