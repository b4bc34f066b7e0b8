#include "rpc/server.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "rpc/accept.h"
#include "rpc/address.h"
#include "rpc/conn.h"
#include "rpc/http.h"
#include "rpc/loop.h"

enum {
  DEFAULT_FRAME = 16 << 20,
  DEFAULT_DEPTH = 16,
  DEFAULT_CONNECTIONS = 10000,
  DEFAULT_OUTPUT = 64 << 20,
  DEFAULT_WAIT_MS = 10000,
  DEFAULT_STALL_SECONDS = 60,
  OTHER_FILES = 64,  // descriptors that are not connections, and some for each loop
};

// A loop's thread, and what is posted to it and when it ends.
typedef struct {
  ServerLoop loop;
  pthread_t thread;
  bool started;
  LoopTask stop;
  LoopTask hurry;
  LoopTask ended;  // to the first loop
  struct Server *server;
} Worker;

// The first loop runs on the caller's thread. It also accepts, gets the signals, and serves HTTP.
typedef struct Server {
  Worker *workers;
  ServerLoop **loops;
  Metrics **metrics;
  size_t count;
  Observer observer;
  Acceptor acceptor;
  Http *http;
  uv_signal_t signals[2];
  unsigned stops;  // signals received
  size_t running;  // threads besides the caller's
} Server;

// Stopping -------------------------------------------------------------------------------------

static void stop_loop(ServerLoop *loop, LoopTask *task)
{
  (void)task;
  loop->stopping = true;
  uv_stop(&loop->uv);
}

static void hurry_loop(ServerLoop *loop, LoopTask *task)
{
  (void)task;
  loop->late = true;
}

static void on_signal(uv_signal_t *handle, int number)
{
  (void)number;
  Server *server = handle->data;
  server->stops++;
  if (server->stops > 2) {
    return;
  }
  acceptor_stop(&server->acceptor);
  for (size_t i = 0; i < server->count; i++) {
    Worker *worker = &server->workers[i];
    loop_post(&worker->loop, server->stops == 1 ? &worker->stop : &worker->hurry);
  }
}

static bool watch_signals(Server *server, Error *err)
{
  static const int NUMBERS[] = {SIGTERM, SIGINT};
  for (size_t i = 0; i < 2; i++) {
    uv_signal_init(&server->loops[0]->uv, &server->signals[i]);
    server->signals[i].data = server;
    int rc = uv_signal_start(&server->signals[i], on_signal, NUMBERS[i]);
    if (rc) {
      return error_set(err, ERR_INTERNAL, "watch for signals: %s", uv_strerror(rc));
    }
  }
  return true;
}

// Options --------------------------------------------------------------------------------------

static LoopLimits loop_limits(const ServerOptions *options)
{
  uint64_t output = options->max_output ? options->max_output : DEFAULT_OUTPUT;
  uint64_t wait = options->max_wait_ms ? options->max_wait_ms : DEFAULT_WAIT_MS;
  uint64_t stall = options->stall_seconds ? options->stall_seconds : DEFAULT_STALL_SECONDS;
  return (LoopLimits){
      .frame = {.size = options->max_frame ? options->max_frame : DEFAULT_FRAME,
                .depth = options->max_depth ? options->max_depth : DEFAULT_DEPTH,
                .elements = FRAME_ELEMENTS},
      .max_output = output,
      .pause_output = output / 4 < LOOP_REPLY_SIZE ? output / 4 + 1 : LOOP_REPLY_SIZE,
      .idle_ms = (uint64_t)options->idle_seconds * 1000,
      .stall_ms = stall * 1000,
      .wait_ns = wait * 1000000,
  };
}

static bool check_options(const ServerOptions *options, Error *err)
{
  if (options->max_depth > FRAME_DEPTH_MAX) {
    return error_set(err, ERR_INVALID, "max_depth is at most %d", FRAME_DEPTH_MAX);
  }
  if (options->threads > PARALLEL_MAX) {
    return error_set(err, ERR_INVALID, "threads are at most %d", PARALLEL_MAX);
  }
  return true;
}

// Asks the system for as many descriptors as the bound on connections needs, as far as it lets us.
// Where it does not, accepting says so when it comes to that.
static void raise_file_limit(const Server *server)
{
  struct rlimit limit;
  rlim_t wanted = (rlim_t)server->acceptor.max_connections + LOOP_REFUSED_MAX
                  + OTHER_FILES * (server->count + 1);
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
}

// Life -----------------------------------------------------------------------------------------

static bool init_worker(Server *server, Engine *engine, const ServerOptions *options, Error *err)
{
  Worker *worker = &server->workers[server->count];
  LoopLimits limits = loop_limits(options);
  if (!loop_init(&worker->loop, engine, &limits, err)) {
    return false;
  }
  worker->server = server;
  worker->stop.run = stop_loop;
  worker->hurry.run = hurry_loop;
  call_context_limit(worker->loop.context,
                     &(CallLimits){
                         .max_rows = options->max_rows,
                         .max_frame = limits.frame.size,
                         .max_depth = limits.frame.depth,
                         .max_output = limits.max_output,
                         .cache = options->cache / parallel_threads(options->threads),
                     });
  call_context_serve(worker->loop.context, conn_defer, worker->loop.metrics, &server->observer);
  server->loops[server->count] = &worker->loop;
  server->metrics[server->count] = worker->loop.metrics;
  server->count++;
  return true;
}

static bool init_workers(Server *server, Engine *engine, const ServerOptions *options, Error *err)
{
  unsigned threads = parallel_threads(options->threads);
  server->workers = mem_zalloc(threads, sizeof(*server->workers));
  server->loops = mem_zalloc(threads, sizeof(*server->loops));
  server->metrics = mem_zalloc(threads, sizeof(*server->metrics));
  bool ok = true;
  while (ok && server->count < threads) {
    ok = init_worker(server, engine, options, err);
  }
  server->observer.loops = server->metrics;
  server->observer.count = server->count;
  return ok;
}

static void count_ended(ServerLoop *loop, LoopTask *task)
{
  (void)loop;
  Worker *worker = (Worker *)(void *)((char *)task - offsetof(Worker, ended));
  worker->server->running--;
}

static void *run_worker(void *context)
{
  Worker *worker = context;
  loop_run(&worker->loop);
  worker->ended.run = count_ended;
  loop_post(worker->server->loops[0], &worker->ended);
  return NULL;
}

// Signals are the first thread's.
static bool start_threads(Server *server, Error *err)
{
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = 0;
  for (size_t i = 1; i < server->count && rc == 0; i++) {
    Worker *worker = &server->workers[i];
    rc = pthread_create(&worker->thread, NULL, run_worker, worker);
    worker->started = rc == 0;
    server->running += worker->started;
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc == 0 || error_set(err, ERR_LIMIT, "cannot start a thread: %s", strerror(rc));
}

static bool start(Server *server, Engine *engine, const ServerOptions *options, Error *err)
{
  char bound[ADDRESS_TEXT_SIZE];
  char metrics[ADDRESS_TEXT_SIZE];
  const char *address = options->listen ? options->listen : "127.0.0.1:6570";
  server->acceptor.loops = server->loops;
  server->acceptor.loop_count = server->count;
  server->acceptor.max_connections =
      options->max_connections ? options->max_connections : DEFAULT_CONNECTIONS;
  raise_file_limit(server);
  if (!watch_signals(server, err) || !acceptor_open(&server->acceptor, address, bound, err)
      || !acceptor_start(&server->acceptor, err)) {
    return false;
  }
  if (options->metrics
      && !http_open(&server->http, server->loops[0], options->metrics, metrics, err)) {
    return false;
  }
  server->observer.rows = rowcount_start(engine, err);
  if (!server->observer.rows || !start_threads(server, err)) {
    return false;
  }
  if (options->ready) {
    options->ready(options->context, bound, options->metrics ? metrics : NULL);
  }
  return true;
}

// Waits for the threads. Those that were started are told to stop, unless a signal has done so.
static void join_threads(Server *server)
{
  if (server->stops == 0) {
    acceptor_stop(&server->acceptor);
    for (size_t i = 1; i < server->count; i++) {
      loop_post(&server->workers[i].loop, &server->workers[i].stop);
    }
  }
  while (server->running) {
    uv_run(&server->loops[0]->uv, UV_RUN_ONCE);
  }
  for (size_t i = 1; i < server->count; i++) {
    if (server->workers[i].started) {
      pthread_join(server->workers[i].thread, NULL);
    }
  }
}

static void server_deinit(Server *server)
{
  rowcount_stop(server->observer.rows);
  http_close(server->http);
  for (size_t i = server->count; i > 0; i--) {
    loop_deinit(server->loops[i - 1]);
  }
  http_free(server->http);
  free(server->workers);
  free(server->loops);
  free(server->metrics);
}

bool server_run(Engine *engine, const ServerOptions *options, Error *err)
{
  Server server = {.acceptor = {.socket = -1}, .observer.started = clock_monotonic_ns()};
  if (!check_options(options, err)) {
    return false;
  }
  signal(SIGPIPE, SIG_IGN);
  bool ok = init_workers(&server, engine, options, err) && start(&server, engine, options, err);
  if (ok) {
    loop_run(server.loops[0]);
  }
  if (server.count) {
    join_threads(&server);
  }
  server_deinit(&server);
  return ok;
}
