// serve: the server, until it is told to stop.

#include <signal.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/session.h"
#include "rpc/server.h"

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

static ServerOptions read_options(const Args *args)
{
  return (ServerOptions){
      .listen = args_value(args, "listen"),
      .metrics = args_value(args, "metrics"),
      .threads = (unsigned)args_number(args, "threads", 0),
      .max_frame = args_size(args, "max-frame", 0),
      .max_output = args_size(args, "max-output", 0),
      .cache = args_size(args, "cache", SERVER_CACHE),
      .max_depth = (uint32_t)args_number(args, "max-depth", 0),
      .max_connections = (uint32_t)args_number(args, "max-connections", 0),
      .max_rows = (uint32_t)args_number(args, "max-rows", 0),
      .max_wait_ms = (uint32_t)args_number(args, "max-wait-ms", 0),
      .idle_seconds = (uint32_t)args_number(args, "idle-seconds", 0),
      .stall_seconds = (uint32_t)args_number(args, "stall-seconds", 0),
      .ready = print_ready,
  };
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
  ServerOptions options = read_options(args);
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
