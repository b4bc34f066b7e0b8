#pragma once
// Inside of a connection: what conn.c (reading, writing, closing) and conn_answer.c (requests to
// answers) share.

#include "rpc/conn.h"

typedef enum {
  CONN_OPEN,       // reads requests
  CONN_FULL,       // one too many: its first request is answered by an error
  CONN_FINISHING,  // reads no more; closes when everything received is answered and written
  CONN_REFUSED,    // sent what is no request: our side is shut, and what still comes is dropped
  CONN_CLOSING,    // uv_close was called
} ConnState;

struct Conn {
  uv_tcp_t handle;
  uv_shutdown_t shutdown;
  ServerLoop *loop;
  Conn *previous;
  Conn *next;
  ConnState state;
  bool paused;        // too many answers wait: nothing is read until some are taken
  bool waiting_turn;  // was answered for long enough; the rest of its input comes when it is its
                      // turn
  bool extra;         // beyond the bound on connections: loop->load does not count it
  bool closed;        // and only here until the last answer that comes later has come
  Counter *reason;    // why it will be closed, where that is decided before; else NULL
  Conn *turn_previous;
  Conn *turn_next;
  size_t later;        // answers under way on other threads
  Buf input;           // what was received and not answered yet: nearly always nothing
  FrameScan scan;      // of the frame that `input` starts with
  size_t queued;       // of `waiting`, when last looked at: what libuv still has
  uint64_t waiting;    // bytes given to libuv and not written yet
  uint64_t active;     // loop time in ms of the last byte in or out
  uint64_t received;   // clock_monotonic_ns of the last byte in
  bool ready;          // among loop->ready, with `fresh`
  Slice fresh;         // what was just read, in loop->scratch
  size_t first_taken;  // of the requests taken from what is being answered (pattern.h)
  size_t taken;
};

static inline bool conn_is_refused(const Conn *conn)
{
  return conn->state == CONN_REFUSED || conn->state == CONN_FULL;
}

static inline bool conn_is_paused(const Conn *conn)
{
  return conn->waiting >= conn->loop->limits.pause_output || conn->later >= LOOP_LATER_MAX;
}

// Closing ----------------------------------------------------------------------------------------

// `reason`: the counter of connections that are closed for it.
void conn_close_because(Conn *conn, Counter *reason);
void conn_close_broken(Conn *conn);
void conn_free(Conn *conn);  // it is closed, and no answer of it is under way

// Reading and writing -----------------------------------------------------------------------------

// Writes the answers gathered so far: at once what the socket takes, the rest later.
void conn_flush(Conn *conn);

// Some answers were taken, or have come: more may be made.
void conn_go_on(Conn *conn);

// Reads while the connection may be read from, stops where not.
void conn_update_reading(Conn *conn);

// The rest of its input waits until others had their turn.
void conn_join_turns(Conn *conn);

// Answering ---------------------------------------------------------------------------------------

// Answers what it can of what the connections have sent, at most LOOP_READY of them, in one
// snapshot and mostly one write each; loop->now is now.
void conn_answer(ServerLoop *loop, Conn *const *conns, size_t count);
