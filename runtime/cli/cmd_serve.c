// serve: the server, until it is told to stop.

#include <signal.h>
#include <stdio.h>

#include "base/parallel.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/session.h"
#include "rpc/frame.h"
#include "rpc/server.h"

enum {
  LEAST_FRAME = 64,     // bytes: no request is smaller
  LEAST_OUTPUT = 1024,  // an error has to fit
  MOST = 1000000000,    // of anything that is counted
};
static const uint64_t MOST_BYTES = UINT64_C(1) << 40;

// The lines that scripts wait for.
static void print_ready(void *context, const char *address, const char *metrics)
{
  (void)context;
  printf("ready %s\n", address);
  if (metrics) {
    printf("metrics %s\n", metrics);
  }
  fflush(stdout);
}

// A whole number from 1 to `most`; 0 when it is not given.
static bool read_number(const Args *args, const char *name, uint32_t most, uint32_t *value,
                        Error *err)
{
  uint64_t number;
  if (!args_number(args, name, 1, 0, &number, err)) {
    return false;
  }
  *value = (uint32_t)number;
  return number <= most
         || error_set(err, ERR_USAGE, "--%s: expected a whole number from 1 to %u, got \"%s\"",
                      name, (unsigned)most, args_value(args, name));
}

static bool read_size(const Args *args, const char *name, uint64_t least, uint64_t *value,
                      Error *err)
{
  if (!args_size(args, name, 0, value, err)) {
    return false;
  }
  return *value == 0 || (*value >= least && *value <= MOST_BYTES)
         || error_set(err, ERR_USAGE, "--%s: expected a size from %llu to %llu bytes, got \"%s\"",
                      name, (unsigned long long)least, (unsigned long long)MOST_BYTES,
                      args_value(args, name));
}

static bool read_cache(const Args *args, uint64_t *bytes, Error *err)
{
  const char *text = args_value(args, "cache");
  *bytes = 0;
  return (text && strcmp(text, "0") == 0) || args_size(args, "cache", SERVER_CACHE, bytes, err);
}

static bool read_options(const Args *args, ServerOptions *options, Error *err)
{
  uint32_t threads;
  *options = (ServerOptions){
      .listen = args_value(args, "listen"),
      .metrics = args_value(args, "metrics"),
      .ready = print_ready,
  };
  bool good = read_number(args, "threads", PARALLEL_MAX, &threads, err)
              && read_size(args, "max-frame", LEAST_FRAME, &options->max_frame, err)
              && read_size(args, "max-output", LEAST_OUTPUT, &options->max_output, err)
              && read_cache(args, &options->cache, err)
              && read_number(args, "max-depth", FRAME_DEPTH_MAX, &options->max_depth, err)
              && read_number(args, "max-connections", MOST, &options->max_connections, err)
              && read_number(args, "max-rows", MOST, &options->max_rows, err)
              && read_number(args, "max-wait-ms", MOST, &options->max_wait_ms, err)
              && read_number(args, "idle-seconds", MOST, &options->idle_seconds, err)
              && read_number(args, "stall-seconds", MOST, &options->stall_seconds, err);
  if (good) {
    options->threads = threads;
  }
  return good;
}

// Applies what a crash has left in the log, so that the first request sees it, and keeps the log
// for what is pushed. Without a store yet, or while another process has the log, that comes with
// the first push.
static bool open_writer(const Args *args, Engine *engine, Error *err)
{
  Error failure = {0};
  if (engine_writer(engine, &failure)) {
    return true;
  }
  if (failure.code == ERR_NOT_FOUND || failure.code == ERR_UNAVAILABLE) {
    print_note(args, "note: %s", failure.message);
    return true;
  }
  *err = failure;
  return false;
}

bool cmd_serve_run(Args *args, Error *err)
{
  ServerOptions options;
  if (!read_options(args, &options, err)) {
    return false;
  }
  Engine *engine = session_engine_open(args, err);
  if (!engine) {
    return false;
  }
  signal(SIGPIPE, SIG_IGN);  // a peer that went away ends its connection, not the server
  bool good = open_writer(args, engine, err) && server_run(engine, &options, err)
              && engine_finish(engine, err);
  engine_close(engine);
  if (good) {
    print_note(args, "stopped");
  }
  return good;
}
