#include "rpc/http.h"

#include <assert.h>
#include <http_parser.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "rpc/address.h"
#include "rpc/expose.h"

enum { BACKLOG = 64, READ_SIZE = 4096, TICK_MS = 1000 };

typedef struct Peer Peer;

struct Http {
  ServerLoop *loop;
  uv_tcp_t listener;
  uv_timer_t tick;
  Peer *peers;  // newest first
  size_t peer_count;
};

// One connection. While an answer is written nothing is read, and what came already waits.
struct Peer {
  uv_tcp_t handle;
  uv_write_t write;
  Http *http;
  Peer *previous;
  Peer *next;
  http_parser parser;
  uint64_t since;  // loop time in ms that the timeout counts from
  Buf url;
  Buf answer;     // being written
  size_t used;    // bytes of `input` that were parsed
  size_t size;    // bytes of `input`
  bool complete;  // a request is there
  bool writing;
  bool last;  // close when the answer is written
  char input[READ_SIZE];
};

// Closing --------------------------------------------------------------------------------------

static void on_closed(uv_handle_t *handle)
{
  Peer *peer = handle->data;
  Http *http = peer->http;
  *(peer->previous ? &peer->previous->next : &http->peers) = peer->next;
  if (peer->next) {
    peer->next->previous = peer->previous;
  }
  http->peer_count--;
  buf_deinit(&peer->url);
  buf_deinit(&peer->answer);
  free(peer);
}

static void close_peer(Peer *peer)
{
  if (!uv_is_closing((uv_handle_t *)&peer->handle)) {
    uv_close((uv_handle_t *)&peer->handle, on_closed);
  }
}

static void on_tick(uv_timer_t *tick)
{
  Http *http = tick->data;
  uint64_t now = uv_now(&http->loop->uv);
  for (Peer *peer = http->peers, *next; peer; peer = next) {
    next = peer->next;
    if (now - peer->since >= HTTP_TIMEOUT_MS) {
      close_peer(peer);
    }
  }
  if (!http->peers) {
    uv_timer_stop(tick);
  }
}

// Answering ------------------------------------------------------------------------------------

static void go_on(Peer *peer);

static void on_written(uv_write_t *write, int status)
{
  Peer *peer = write->data;
  peer->writing = false;
  if (status < 0 || peer->last) {
    close_peer(peer);
    return;
  }
  go_on(peer);
}

typedef struct {
  int status;
  const char *reason;
  const char *type;
  const char *more;  // header lines, each with its end
  Slice body;
} Response;

static void respond(Peer *peer, const Response *response)
{
  Buf *answer = &peer->answer;
  buf_reset(answer);
  buf_print(answer,
            "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s"
            "Cache-Control: no-store\r\nConnection: %s\r\n\r\n",
            response->status, response->reason, response->type, response->body.size, response->more,
            peer->last ? "close" : "keep-alive");
  if (peer->parser.method != HTTP_HEAD) {
    buf_put_slice(answer, response->body);
  }
  uv_read_stop((uv_stream_t *)&peer->handle);
  peer->writing = true;
  peer->write.data = peer;
  uv_buf_t chunk = {.base = (char *)answer->data, .len = answer->size};
  if (uv_write(&peer->write, (uv_stream_t *)&peer->handle, &chunk, 1, on_written) < 0) {
    close_peer(peer);
  }
}

static void respond_text(Peer *peer, int status, const char *reason, const char *more,
                         const char *text)
{
  respond(peer, &(Response){.status = status,
                            .reason = reason,
                            .type = "text/plain; charset=utf-8",
                            .more = more,
                            .body = slice_text(text)});
}

static void respond_metrics(Peer *peer)
{
  Buf text = {0};
  expose_metrics(peer->http->loop->context, &text);
  respond(peer, &(Response){.status = 200,
                            .reason = "OK",
                            .type = "text/plain; version=0.0.4; charset=utf-8",
                            .more = "",
                            .body = buf_slice(&text)});
  buf_deinit(&text);
}

static void respond_health(Peer *peer)
{
  Error err = {0};
  if (peer->http->loop->stopping) {
    error_set(&err, ERR_UNAVAILABLE, "the server stops");
  }
  if (err.code == ERR_NONE && expose_health(peer->http->loop->context, &err)) {
    respond_text(peer, 200, "OK", "", "ok\n");
    return;
  }
  char text[sizeof(err.message) + 2];
  snprintf(text, sizeof(text), "%s\n", err.message);
  respond_text(peer, 503, "Service Unavailable", "", text);
}

// What is asked for, without its query.
static Slice path_of(const Peer *peer)
{
  if (!peer->url.data) {
    return slice_text("");
  }
  Slice url = buf_slice(&peer->url);
  const char *query = memchr(url.data, '?', url.size);
  return query ? slice_of(url.data, (size_t)(query - url.data)) : url;
}

static void answer_request(Peer *peer)
{
  Slice path = path_of(peer);
  peer->complete = false;
  peer->since = uv_now(&peer->http->loop->uv);
  peer->last = peer->last || !http_should_keep_alive(&peer->parser);
  if (peer->parser.http_major != 1) {
    peer->last = true;
    respond_text(peer, 505, "HTTP Version Not Supported", "", "only HTTP/1.0 and 1.1 are spoken\n");
  } else if (peer->parser.method != HTTP_GET && peer->parser.method != HTTP_HEAD) {
    peer->last = true;
    respond_text(peer, 405, "Method Not Allowed", "Allow: GET, HEAD\r\n",
                 "only GET and HEAD are answered\n");
  } else if (slice_is(path, "/metrics")) {
    respond_metrics(peer);
  } else if (slice_is(path, "/healthz")) {
    respond_health(peer);
  } else {
    respond_text(peer, 404, "Not Found", "", "there are /metrics and /healthz\n");
  }
}

// Parsing --------------------------------------------------------------------------------------

static int on_begin(http_parser *parser)
{
  buf_reset(&((Peer *)parser->data)->url);
  return 0;
}

static int on_url(http_parser *parser, const char *at, size_t size)
{
  Peer *peer = parser->data;
  buf_put(&peer->url, at, size);
  return peer->url.size > HTTP_URL_MAX;
}

// Requests with a body are none of ours: their ends need not be found.
static int on_headers(http_parser *parser)
{
  Peer *peer = parser->data;
  bool has_body = (parser->flags & F_CHUNKED)
                  || (parser->content_length && parser->content_length != UINT64_MAX);
  peer->last = has_body || parser->upgrade;
  return 0;
}

// Stops the parser: one request at a time.
static int on_complete(http_parser *parser)
{
  ((Peer *)parser->data)->complete = true;
  http_parser_pause(parser, 1);
  return 0;
}

static const http_parser_settings SETTINGS = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_headers_complete = on_headers,
    .on_message_complete = on_complete,
};

static void refuse(Peer *peer)
{
  enum http_errno failure = HTTP_PARSER_ERRNO(&peer->parser);
  peer->last = true;
  peer->used = peer->size;
  if (failure == HPE_CB_url) {
    respond_text(peer, 414, "URI Too Long", "", "the address is too long\n");
  } else if (failure == HPE_HEADER_OVERFLOW) {
    respond_text(peer, 431, "Request Header Fields Too Large", "", "the headers are too long\n");
  } else {
    respond_text(peer, 400, "Bad Request", "", "this is not HTTP/1.1\n");
  }
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
  (void)suggested;
  Peer *peer = handle->data;
  *room = (uv_buf_t){.base = peer->input, .len = READ_SIZE};
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room)
{
  (void)room;
  Peer *peer = stream->data;
  if (count < 0) {
    close_peer(peer);
  } else if (count > 0) {
    peer->used = 0;
    peer->size = (size_t)count;
    go_on(peer);
  }
}

// Parses what has come up to the end of a request and answers it; without one, reads more.
static void go_on(Peer *peer)
{
  http_parser_pause(&peer->parser, 0);
  if (peer->used < peer->size) {  // none would mean the end to the parser
    peer->used += http_parser_execute(&peer->parser, &SETTINGS, peer->input + peer->used,
                                      peer->size - peer->used);
  }
  if (peer->complete || (peer->last && peer->parser.http_errno == HPE_OK)) {
    answer_request(peer);
  } else if (HTTP_PARSER_ERRNO(&peer->parser) != HPE_OK) {
    refuse(peer);
  } else {
    int rc = uv_read_start((uv_stream_t *)&peer->handle, on_room, on_read);
    if (rc < 0 && rc != UV_EALREADY) {
      close_peer(peer);
    }
  }
}

// Life -----------------------------------------------------------------------------------------

static void on_connection(uv_stream_t *listener, int status)
{
  Http *http = listener->data;
  if (status < 0) {
    return;
  }
  Peer *peer = mem_zalloc(1, sizeof(*peer));
  peer->http = http;
  peer->handle.data = peer->parser.data = peer;
  peer->since = uv_now(&http->loop->uv);
  http_parser_init(&peer->parser, HTTP_REQUEST);
  uv_tcp_init(&http->loop->uv, &peer->handle);
  peer->next = http->peers;
  if (peer->next) {
    peer->next->previous = peer;
  }
  http->peers = peer;
  http->peer_count++;
  if (uv_accept(listener, (uv_stream_t *)&peer->handle) < 0
      || http->peer_count > HTTP_CONNECTIONS) {
    close_peer(peer);
    return;
  }
  uv_tcp_nodelay(&peer->handle, 1);
  uv_timer_start(&http->tick, on_tick, TICK_MS, TICK_MS);
  go_on(peer);
}

static int listen_on(Http *http, const struct sockaddr *address)
{
  int rc = uv_tcp_bind(&http->listener, address, 0);
  return rc ? rc : uv_listen((uv_stream_t *)&http->listener, BACKLOG, on_connection);
}

static void print_bound(const Http *http, char *bound)
{
  struct sockaddr_storage name = {0};
  int size = sizeof(name);
  uv_tcp_getsockname(&http->listener, (struct sockaddr *)&name, &size);
  address_print((const struct sockaddr *)&name, bound);
}

bool http_open(Http **opened, ServerLoop *loop, const char *address, char *bound, Error *err)
{
  Address parsed;
  struct addrinfo *list = NULL;
  if (!address_parse(address, &parsed, err) || !address_resolve(&parsed, true, &list, err)) {
    return false;
  }
  http_parser_set_max_header_size(HTTP_HEADERS_MAX);
  Http *http = mem_zalloc(1, sizeof(*http));
  http->loop = loop;
  http->listener.data = http->tick.data = http;
  uv_tcp_init(&loop->uv, &http->listener);
  uv_timer_init(&loop->uv, &http->tick);
  *opened = http;
  int rc = listen_on(http, list->ai_addr);
  freeaddrinfo(list);
  if (rc) {
    return error_set(err, ERR_IO, "serve metrics on %s: %s", address, uv_strerror(rc));
  }
  print_bound(http, bound);
  return true;
}

void http_close(Http *http)
{
  if (!http) {
    return;
  }
  uv_close((uv_handle_t *)&http->listener, NULL);
  uv_close((uv_handle_t *)&http->tick, NULL);
  for (Peer *peer = http->peers; peer; peer = peer->next) {
    close_peer(peer);
  }
}

void http_free(Http *http)
{
  assert(!http || !http->peers);
  free(http);
}
