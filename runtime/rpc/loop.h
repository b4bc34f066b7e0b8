#pragma once
// One event loop and everything that one thread of the server owns, private to rpc/. Nothing here
// is shared: several loops are several of these, each with a listener of its own.

#include <uv.h>

#include "base/buf.h"
#include "rpc/call.h"
#include "rpc/frame.h"

enum {
  LOOP_READ_SIZE = 64 << 10,  // bytes of one read
  LOOP_REPLY_SIZE = 1 << 20,  // answers gathered before they are written in any case
  LOOP_REPLY_KEEP = 4 << 20,  // capacity of that buffer that is not given back
  LOOP_TICK_MS = 500,         // how often silent connections are looked for
  LOOP_LINGER_MS = 2000,      // a refused peer may take this long to read why
  LOOP_DRAIN_MS = 5000,       // and the last answers of a stopping server this long to be taken
};

typedef struct {
  FrameLimits frame;
  uint32_t max_connections;
  uint64_t max_output;    // bytes waiting for one connection
  uint64_t pause_output;  // from here on nothing more is read from it
  uint64_t idle_ms;       // 0: never
} LoopLimits;

typedef struct Conn Conn;

typedef struct {
  uv_loop_t uv;
  uv_tcp_t listener;
  uv_timer_t tick;
  LoopLimits limits;
  CallContext *context;
  Conn *conns;  // newest first
  size_t conn_count;
  size_t refused;  // of these: those that only get time to read why
  Buf reply;       // answers of the read under way
  char *scratch;   // LOOP_READ_SIZE bytes that connections without left-overs read into
} ServerLoop;

// Makes the loop ready and starts to listen. After a failure loop_deinit still has to be called.
bool loop_init(ServerLoop *loop, Engine *engine, const LoopLimits *limits, Error *err);
bool loop_listen(ServerLoop *loop, const char *address, char *bound, Error *err);

// Takes what has been received already and stops listening and reading; connections close when
// their answers are written.
void loop_drain(ServerLoop *loop);

// Closes everything that is still open and frees it.
void loop_deinit(ServerLoop *loop);

// Starts the timer when something waits for it.
void loop_need_tick(ServerLoop *loop);
