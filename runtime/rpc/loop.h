#pragma once
// One event loop and everything that one thread of the server owns, private to rpc/. Loops share
// nothing but the engine; what one wants of another it posts as a task.

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/buf.h"
#include "rpc/context.h"
#include "rpc/frame.h"
#include "rpc/metrics.h"
#include "rpc/task.h"

enum {
  LOOP_READ_SIZE = 64 << 10,      // bytes of one read
  LOOP_SCRATCH_SIZE = 256 << 10,  // of all reads that are answered together
  LOOP_READY = 64,                // connections that are answered together
  LOOP_REPLY_SIZE = 1 << 20,      // answers gathered before they are written in any case
  LOOP_REPLY_KEEP = 4 << 20,      // capacity of that buffer that is not given back
  LOOP_TICK_MS = 500,             // how often silent connections are looked for
  LOOP_LINGER_MS = 2000,          // a refused peer may take this long to read why
  LOOP_DRAIN_MS = 5000,           // and the last answers of a stopping server this long to be taken
  LOOP_TURN_MS = 5,               // one connection is answered this long, then it is others' turn
  LOOP_REFUSED_MAX = 256,         // refused peers that are told why at one time
  LOOP_LATER_MAX = 1024,          // answers to one connection that come later; more are not begun
};

typedef struct {
  FrameLimits frame;
  uint64_t max_output;    // bytes waiting for one connection
  uint64_t pause_output;  // from here on nothing more is read from it
  uint64_t idle_ms;       // 0: never
  uint64_t stall_ms;      // a peer that takes nothing of its answers is cut off after this long
  uint64_t wait_ns;       // a request that was not begun this long after it came is refused
} LoopLimits;

typedef struct Conn Conn;

struct ServerLoop {
  uv_loop_t uv;
  uv_timer_t tick;
  uv_timer_t deadline;  // of draining
  uv_idle_t turn;       // runs while connections wait for their next turn
  LoopLimits limits;
  CallContext *context;
  Metrics *metrics;
  uint64_t now;         // clock_monotonic_ns, as of the last request
  Conn *conns;          // newest first
  size_t refused;       // of these: those that only get time to read why
  size_t later;         // answers that come later, of all connections, closed ones included
  Conn *first_waiting;  // connections that used up their turn, longest waiting first
  Conn *last_waiting;
  Buf reply;                // answers of the read under way
  uv_check_t check;         // after all connections with something to read were read
  Conn *ready[LOOP_READY];  // these, while they wait for their answers
  size_t ready_count;
  char *scratch;        // LOOP_SCRATCH_SIZE bytes that connections without left-overs read into
  size_t scratch_used;  // by those that are ready
  bool stopping;        // drain and end
  bool late;            // do not wait for peers any longer

  atomic_uint load;     // connections, those on their way here included
  int bell;             // an eventfd: something is in the inbox
  uv_poll_t wake;       // its
  uv_idle_t own;        // runs while there is something in it that came from the loop itself
  atomic_uint posting;  // threads that may still ring the bell
  pthread_mutex_t lock;
  LoopTask *inbox;  // guarded by lock, oldest first
  LoopTask *inbox_end;
};

// Makes the loop ready. After a failure there is nothing to undo.
bool loop_init(ServerLoop *loop, Engine *engine, const LoopLimits *limits, Error *err);

// Runs the task on the loop's thread, after those posted before. Any thread, until loop_deinit.
void loop_post(ServerLoop *loop, LoopTask *task);
void loop_post_all(ServerLoop *loop, LoopTask *first);  // a list (->next), in its order

// Runs what the loop has posted to itself.
void loop_run_own(ServerLoop *loop);

// Answers until loop->stopping is set and uv_stop was called (by a task), then takes what has been
// received already, and returns when its connections have their answers, or took too long.
void loop_run(ServerLoop *loop);

// Closes everything that is still open and frees it. Tasks that were posted have run.
void loop_deinit(ServerLoop *loop);

// Starts the timer, and the turns, when something waits for them.
void loop_need_tick(ServerLoop *loop);
void loop_need_turn(ServerLoop *loop);
