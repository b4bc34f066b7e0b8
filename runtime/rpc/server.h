#pragma once
// The server: msgpack-RPC over TCP on libuv, one event loop per thread, and its metrics over HTTP.

#include "engine/engine.h"

// What ServerOptions.cache is when nobody says otherwise.
#define SERVER_CACHE (UINT64_C(256) << 20)

typedef struct {
  const char *listen;        // "host:port"; port 0: any free one. NULL: "127.0.0.1:6570"
  const char *metrics;       // the same for HTTP; NULL: none
  unsigned threads;          // 0: as many as there are processors; at most 64
  uint64_t max_frame;        // bytes of one request; 0: 16 MiB
  uint32_t max_depth;        // nesting of a request; 0: 16, at most 64
  uint32_t max_connections;  // 0: 10000; one more gets an error and is closed
  uint64_t max_output;       // bytes waiting for one slow reader before it is cut off, and the
                             // largest answer; 0: 64 MiB
  uint32_t max_rows;         // entities of one request; 0: 10000
  uint32_t max_wait_ms;      // a request that was not begun so long after it came is refused; 0:
                             // 10 s
  uint64_t cache;            // bytes of rows in memory, shared out among the threads; 0: none
  uint32_t idle_seconds;     // close a silent connection; 0: never
  uint32_t stall_seconds;    // cut off a reader that takes nothing of its answers; 0: 60
  // Listening on these; called once. `metrics` is NULL without.
  void (*ready)(void *context, const char *address, const char *metrics);
  void *context;
} ServerOptions;

// Serves until SIGTERM or SIGINT, then stops listening, answers what was received and returns true.
// A second signal cuts that short.
bool server_run(Engine *engine, const ServerOptions *options, Error *err);
