#include "cli/session.h"

#include <signal.h>

// What SIGINT ends: the engine of the one open session.
static Engine *volatile interruptible;

static void on_interrupt(int signal_number)
{
  (void)signal_number;
  if (interruptible) {
    engine_cancel(interruptible);
  }
}

// A second SIGINT ends the process, in case the job is stuck.
static void catch_interrupt(Engine *engine)
{
  interruptible = engine;
  struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
  sigaction(SIGINT, &action, NULL);
}

static void release_interrupt(void)
{
  signal(SIGINT, SIG_DFL);
  interruptible = NULL;
}

Engine *session_engine_open(const Args *args, Error *err)
{
  const char *durability = args_value(args, "durability");
  EngineOptions options = {
      .project = ".",  // cli_run has moved to --project
      .store = args_value(args, "store"),
      .memory_limit = args_size(args, "memory", 0),
      .threads = (unsigned)args_number(args, "threads", 0),
      .map_size = args_size(args, "map-size", 0),
      .queue_bytes = args_size(args, "max-queue", 0),
      .relaxed = durability && strcmp(durability, "relaxed") == 0,
  };
  return engine_open(&options, err);
}

bool session_open(Session *session, const Args *args, Error *err)
{
  *session = (Session){0};
  progress_init(&session->bar, args->quiet);
  const char *address = args_value(args, "connect");
  if (address) {
    signal(SIGPIPE, SIG_IGN);  // a server that went away is an error, not a signal
    session->client = client_open(address, 0, err);
    return session->client != NULL;
  }
  session->engine = session_engine_open(args, err);
  if (!session->engine) {
    return false;
  }
  session->context = call_context_new(session->engine, CALL_LOCAL);
  engine_on_progress(session->engine, progress_update, &session->bar);
  catch_interrupt(session->engine);
  return true;
}

void session_close(Session *session)
{
  progress_clear(&session->bar);
  if (session->client) {
    client_close(session->client);
  }
  if (session->engine) {
    release_interrupt();
    call_context_free(session->context);
    engine_close(session->engine);
  }
  *session = (Session){0};
}

bool session_call(Session *session, const char *method, const Params *params, Buf *bytes,
                  MpReader *result, Error *err)
{
  static const Params NONE = {0};
  Buf encoded = {0};
  params_encode(params ? params : &NONE, &encoded);
  Slice name = slice_text(method);
  bool good = session->client
                  ? client_call(session->client, name, buf_slice(&encoded), bytes, err)
                  : call_method(session->context, name, buf_slice(&encoded), bytes, err);
  buf_deinit(&encoded);
  progress_clear(&session->bar);
  return good && result_open(bytes, result, err);
}
