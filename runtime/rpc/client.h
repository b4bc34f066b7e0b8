#pragma once
// A blocking client of one connection: for the command line (--connect), Lua scripts and specs.

#include "base/buf.h"
#include "base/error.h"

typedef struct Client Client;

// `address`: "host:port". Fails after `timeout_ms` (0: 10 s); the same bound holds for each call.
Client *client_open(const char *address, unsigned timeout_ms, Error *err);
void client_close(Client *client);

// Sends one request and waits for its answer. A server's error becomes *err with its code and
// place.
bool client_call(Client *client, Slice method, Slice params, Buf *result, Error *err);
