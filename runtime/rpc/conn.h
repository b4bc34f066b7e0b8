#pragma once
// One connection: its left-over input, the answers it has not taken yet, and when it ends.

#include "rpc/loop.h"

// Accepts what waits on the loop's listener. One connection too many is closed at once.
void conn_accept(ServerLoop *loop);

// Answers what was received, then closes. For a server that stops.
void conn_finish(Conn *conn);

// Closes now; waiting answers are lost. May be called twice.
void conn_close(Conn *conn);

// Closes it if it has been silent or refused for too long.
void conn_tick(Conn *conn);

Conn *conn_next(const Conn *conn);
