#pragma once
// The server's numbers over HTTP: GET and HEAD of /metrics (Prometheus text) and /healthz. On the
// first loop; small, bounded, and the same answers for everyone who may connect.

#include "rpc/loop.h"

enum {
  HTTP_CONNECTIONS = 64,        // at one time; one more is closed
  HTTP_URL_MAX = 8 << 10,       // bytes
  HTTP_HEADERS_MAX = 16 << 10,  // bytes of the request line and the headers
  HTTP_TIMEOUT_MS = 10000,      // from one request to the end of the next one's headers
};

typedef struct Http Http;

// Listens; `bound` holds ADDRESS_TEXT_SIZE bytes. *http may be there after a failure too.
bool http_open(Http **http, ServerLoop *loop, const char *address, char *bound, Error *err);

// Closes everything, before loop_deinit; http_free after it. NULL is allowed for both.
void http_close(Http *http);
void http_free(Http *http);
