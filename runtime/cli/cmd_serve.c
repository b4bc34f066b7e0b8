// serve: the server, until it is told to stop.

#include <signal.h>
#include <stdio.h>

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/session.h"
#include "rpc/server.h"

// The line that scripts wait for.
static void print_ready(void *context, const char *address)
{
  (void)context;
  printf("ready %s\n", address);
  fflush(stdout);
}

static bool read_options(const Args *args, ServerOptions *options, Error *err)
{
  uint64_t depth;
  uint64_t connections;
  uint64_t idle;
  *options = (ServerOptions){.listen = args_value(args, "listen"), .ready = print_ready};
  bool good = args_size(args, "max-frame", 0, &options->max_frame, err)
              && args_size(args, "max-output", 0, &options->max_output, err)
              && args_number(args, "max-depth", 1, 0, &depth, err)
              && args_number(args, "max-connections", 1, 0, &connections, err)
              && args_number(args, "idle-seconds", 1, 0, &idle, err);
  if (good) {
    options->max_depth = (uint32_t)depth;
    options->max_connections = (uint32_t)connections;
    options->idle_seconds = (uint32_t)idle;
  }
  return good;
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
  bool good = server_run(engine, &options, err);
  engine_close(engine);
  if (good) {
    print_note(args, "stopped");
  }
  return good;
}
