#pragma once
// One connection: its left-over input, the answers it has not taken yet, and when it ends.

#include "rpc/loop.h"

// Serves an accepted socket, which it owns from here on and which loop->load counts already.
// `full`: it is one too many and not counted; its first request is answered by an error.
void conn_open(ServerLoop *loop, int socket, bool full);

// Answers more of what it has sent, after it has waited for its turn.
void conn_take_turn(Conn *conn);

// Answers the connections that were read since the last time. Once per turn of the loop.
void conn_answer_ready(ServerLoop *loop);

// What call_defer does for requests of a connection (the host).
void conn_defer(void *host, Later *later);

// Answers what was received, then closes. For a server that stops.
void conn_finish(Conn *conn);

// Closes now; waiting answers are lost. May be called twice.
void conn_close(Conn *conn);

// Closes it if it has been silent or refused, or has not taken its answers, for too long. Whether
// it has to be looked at again.
bool conn_tick(Conn *conn);

Conn *conn_next(const Conn *conn);
