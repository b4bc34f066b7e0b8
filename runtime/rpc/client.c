#include "rpc/client.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "rpc/address.h"
#include "rpc/frame.h"
#include "rpc/pack.h"

enum { DEFAULT_TIMEOUT_MS = 10000, READ_SIZE = 64 << 10, ANSWER_MAX = 1 << 30 };

static const FrameLimits LIMITS = {
    .size = ANSWER_MAX, .depth = FRAME_DEPTH_MAX, .elements = UINT32_MAX};

struct Client {
  int socket;  // -1 after a failure: what is on the wire is not known any more
  unsigned timeout_ms;
  uint32_t last_id;
  Buf input;
  Buf output;
  char address[ADDRESS_TEXT_SIZE];  // as it was given
};

typedef struct {
  uint64_t at;  // monotonic ns
} Deadline;

static Deadline deadline_in(unsigned milliseconds)
{
  return (Deadline){clock_monotonic_ns() + (uint64_t)milliseconds * 1000000};
}

static int milliseconds_left(Deadline deadline)
{
  uint64_t now = clock_monotonic_ns();
  return now >= deadline.at ? 0 : (int)((deadline.at - now) / 1000000) + 1;
}

// Waits until the socket can be read from or written to.
static bool wait_for(const Client *client, short events, Deadline deadline, Error *err)
{
  struct pollfd poller = {.fd = client->socket, .events = events};
  for (;;) {
    int rc = poll(&poller, 1, milliseconds_left(deadline));
    if (rc > 0) {
      return true;
    }
    if (rc == 0) {
      return error_set(err, ERR_IO, "%s did not answer within %u ms", client->address,
                       client->timeout_ms);
    }
    if (errno != EINTR) {
      return error_set(err, ERR_IO, "wait for %s: %s", client->address, strerror(errno));
    }
  }
}

// Connecting -----------------------------------------------------------------------------------

static bool refuse_connect(const Client *client, int failure, Error *err)
{
  const char *remedy =
      failure == ECONNREFUSED ? "; is `tidemark serve` running, and at this address?" : "";
  return error_set(err, ERR_IO, "connect to %s: %s%s", client->address, strerror(failure), remedy);
}

static bool connected(const Client *client, Deadline deadline, Error *err)
{
  if (!wait_for(client, POLLOUT, deadline, err)) {
    return false;
  }
  int failure = 0;
  socklen_t size = sizeof(failure);
  getsockopt(client->socket, SOL_SOCKET, SO_ERROR, &failure, &size);
  return failure == 0 || refuse_connect(client, failure, err);
}

static void close_socket(Client *client)
{
  if (client->socket >= 0) {
    close(client->socket);
    client->socket = -1;
  }
}

static bool connect_to(Client *client, const struct addrinfo *to, Deadline deadline, Error *err)
{
  int type = to->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC;
  client->socket = socket(to->ai_family, type, to->ai_protocol);
  if (client->socket < 0) {
    return refuse_connect(client, errno, err);
  }
  bool ok = connect(client->socket, to->ai_addr, to->ai_addrlen) == 0;
  if (!ok && errno != EINPROGRESS) {
    refuse_connect(client, errno, err);
  } else {
    ok = ok || connected(client, deadline, err);
  }
  if (!ok) {
    close_socket(client);
    return false;
  }
  int on = 1;
  setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return true;
}

Client *client_open(const char *address, unsigned timeout_ms, Error *err)
{
  Address parsed;
  struct addrinfo *list = NULL;
  if (!address_parse(address, &parsed, err) || !address_resolve(&parsed, false, &list, err)) {
    return NULL;
  }
  Client *client = mem_zalloc(1, sizeof(*client));
  client->socket = -1;
  client->timeout_ms = timeout_ms ? timeout_ms : DEFAULT_TIMEOUT_MS;
  snprintf(client->address, sizeof(client->address), "%s", address);
  Deadline deadline = deadline_in(client->timeout_ms);
  Error failure = {0};  // of the last address tried
  for (const struct addrinfo *at = list; at && client->socket < 0; at = at->ai_next) {
    error_clear(&failure);
    connect_to(client, at, deadline, &failure);
  }
  freeaddrinfo(list);
  if (client->socket < 0) {
    error_set(err, failure.code ? failure.code : ERR_IO, "%s", failure.message);
    client_close(client);
    return NULL;
  }
  return client;
}

void client_close(Client *client)
{
  if (!client) {
    return;
  }
  close_socket(client);
  buf_deinit(&client->input);
  buf_deinit(&client->output);
  free(client);
}

// Calling --------------------------------------------------------------------------------------

static bool send_all(Client *client, Slice bytes, Deadline deadline, Error *err)
{
  while (bytes.size) {
    ssize_t count = send(client->socket, bytes.data, bytes.size, MSG_NOSIGNAL);
    if (count >= 0) {
      bytes = slice_of(bytes.data + count, bytes.size - (size_t)count);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_for(client, POLLOUT, deadline, err)) {
        return false;
      }
    } else if (errno != EINTR) {
      return error_set(err, ERR_IO, "send to %s: %s", client->address, strerror(errno));
    }
  }
  return true;
}

// Reads what there is, waiting for the first byte.
static bool receive(Client *client, Deadline deadline, Error *err)
{
  buf_reserve(&client->input, READ_SIZE);
  for (;;) {
    uint8_t *room = client->input.data + client->input.size;
    ssize_t count = recv(client->socket, room, READ_SIZE, 0);
    if (count > 0) {
      client->input.size += (size_t)count;
      return true;
    }
    if (count == 0) {
      return error_set(err, ERR_IO, "%s closed the connection before it answered", client->address);
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (!wait_for(client, POLLIN, deadline, err)) {
        return false;
      }
    } else if (errno != EINTR) {
      return error_set(err, ERR_IO, "receive from %s: %s", client->address, strerror(errno));
    }
  }
}

// The next whole frame in client->input, which starts with it.
static bool receive_frame(Client *client, Deadline deadline, Frame *frame, size_t *size, Error *err)
{
  FrameScan scan = {0};
  for (;;) {
    FrameStatus status = frame_next(&scan, buf_slice(&client->input), &LIMITS, frame, size, err);
    if (status == FRAME_OK) {
      return true;
    }
    if (status == FRAME_BAD) {
      return error_wrap(err, "%s sent what is no answer", client->address);
    }
    if (!receive(client, deadline, err)) {
      return false;
    }
  }
}

static void drop_front(Buf *buf, size_t size)
{
  memmove(buf->data, buf->data + size, buf->size - size);
  buf->size -= size;
}

// The answer to request `id`; other frames (a server may notify) are passed over. `result` is
// appended to, or *err has what the server said and *answered is set.
static bool receive_answer(Client *client, uint32_t id, Deadline deadline, Buf *result,
                           bool *answered, Error *err)
{
  for (;;) {
    Frame frame;
    size_t size = 0;
    if (!receive_frame(client, deadline, &frame, &size, err)) {
      return false;
    }
    bool wanted = frame.kind == FRAME_RESPONSE && frame.id == id;
    bool failed = wanted && *(const uint8_t *)frame.error.data != 0xc0;
    if (failed) {
      pack_read_error(frame.error, err);
    } else if (wanted) {
      buf_put_slice(result, frame.result);
    }
    drop_front(&client->input, size);
    if (wanted) {
      *answered = true;
      return !failed;
    }
  }
}

static Slice pack_request(Client *client, uint32_t id, Slice method, Slice params)
{
  Buf *out = &client->output;
  buf_reset(out);
  msgpack_packer packer = mp_packer(out);
  msgpack_pack_array(&packer, 4);
  msgpack_pack_int(&packer, FRAME_REQUEST);
  msgpack_pack_uint32(&packer, id);
  mp_put_str(&packer, method);
  msgpack_pack_array(&packer, 1);
  buf_put_slice(out, params);
  return buf_slice(out);
}

bool client_call(Client *client, Slice method, Slice params, Buf *result, Error *err)
{
  if (client->socket < 0) {
    return error_set(err, ERR_IO, "the connection to %s is closed: open it again", client->address);
  }
  Deadline deadline = deadline_in(client->timeout_ms);
  uint32_t id = ++client->last_id;
  Slice request = pack_request(client, id, method, params);
  bool answered = false;
  bool ok = send_all(client, request, deadline, err)
            && receive_answer(client, id, deadline, result, &answered, err);
  if (!answered) {
    close_socket(client);
  }
  return ok;
}
