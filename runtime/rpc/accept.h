#pragma once
// The listening socket of a server. One loop accepts and hands connections to the loop that has the
// fewest, so that a few busy clients spread over all threads; the system's own sharing
// (SO_REUSEPORT) goes by a hash of addresses, which leaves some threads idle.

#include "rpc/loop.h"

typedef struct {
  int socket;        // -1: not listening
  int spare;         // a descriptor to give up when there are no others
  uv_poll_t poll;    // of loops[0]
  uv_timer_t pause;  // after the system refused to accept
  ServerLoop **loops;
  size_t loop_count;
  uint32_t max_connections;
} Acceptor;

// Listens; `bound` holds ADDRESS_TEXT_SIZE bytes. After a failure there is nothing to undo.
bool acceptor_open(Acceptor *acceptor, const char *address, char *bound, Error *err);

// Starts to accept. On the thread of loops[0], as all that follows.
bool acceptor_start(Acceptor *acceptor, Error *err);

// Hands over what waits to be accepted, and stops listening. Harmless twice.
void acceptor_stop(Acceptor *acceptor);
