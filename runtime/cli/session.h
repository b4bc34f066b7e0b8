#pragma once
// The one road of data commands: parameters in, a method's answer out, from this process or from a
// server (--connect).

#include "cli/args.h"
#include "cli/params.h"
#include "cli/progress.h"
#include "cli/result.h"
#include "rpc/call.h"
#include "rpc/client.h"

typedef struct {
  Engine *engine;        // NULL with a server
  CallContext *context;  // NULL with a server
  Client *client;        // NULL without one
  ProgressBar bar;
} Session;

// Opens the project, or the connection. SIGINT ends running jobs until session_close.
bool session_open(Session *session, const Args *args, Error *err);
void session_close(Session *session);

// Calls `method`; `params` NULL: an empty map. The answer is appended to `bytes`, which must be
// empty and lives longer than the cursor in *result.
bool session_call(Session *session, const char *method, const Params *params, Buf *bytes,
                  MpReader *result, Error *err);

// The project's engine with the options of the command line.
Engine *session_engine_open(const Args *args, Error *err);
