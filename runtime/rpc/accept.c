#include "rpc/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "rpc/address.h"
#include "rpc/conn.h"

enum {
  BACKLOG = 1024,
  BURST = 64,      // connections accepted at one time, before the loop looks at others
  PAUSE_MS = 100,  // before accepting is tried again when it was refused
};

// A socket on its way to another loop.
typedef struct {
  LoopTask task;
  int socket;
} Handoff;

static void take_over(ServerLoop *loop, LoopTask *task)
{
  Handoff *handoff = (Handoff *)task;
  conn_open(loop, handoff->socket, false);
  free(handoff);
}

// The loop with the fewest connections, and how many all have.
static ServerLoop *choose_loop(const Acceptor *acceptor, size_t *connections)
{
  ServerLoop *best = acceptor->loops[0];
  *connections = 0;
  for (size_t i = 0; i < acceptor->loop_count; i++) {
    unsigned load = atomic_load(&acceptor->loops[i]->load);
    *connections += load;
    best = load < atomic_load(&best->load) ? acceptor->loops[i] : best;
  }
  return best;
}

static void hand_over(Acceptor *acceptor, int socket)
{
  size_t connections;
  ServerLoop *loop = choose_loop(acceptor, &connections);
  if (connections >= acceptor->max_connections) {
    conn_open(acceptor->loops[0], socket, true);
    return;
  }
  atomic_fetch_add(&loop->load, 1);
  if (loop == acceptor->loops[0]) {
    conn_open(loop, socket, false);
    return;
  }
  Handoff *handoff = mem_zalloc(1, sizeof(*handoff));
  *handoff = (Handoff){.task.run = take_over, .socket = socket};
  loop_post(loop, &handoff->task);
}

static int open_spare(void)
{
  return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *pause)
{
  Acceptor *acceptor = pause->data;
  if (acceptor->spare < 0) {
    acceptor->spare = open_spare();
  }
  uv_poll_start(&acceptor->poll, UV_READABLE, on_readable);
}

// No descriptors or no memory are left. Whoever waits is turned away with the spare descriptor, so
// that it does not wait for ever; then accepting rests, so that it does not spin.
static void turn_away(Acceptor *acceptor, int failure)
{
  counter_add(&acceptor->loops[0]->metrics->counters.accept_failures, 1);
  if ((failure == EMFILE || failure == ENFILE) && acceptor->spare >= 0) {
    close(acceptor->spare);
    int socket = accept4(acceptor->socket, NULL, NULL, SOCK_CLOEXEC);
    if (socket >= 0) {
      close(socket);
    }
    acceptor->spare = open_spare();
  }
  uv_poll_stop(&acceptor->poll);
  uv_timer_start(&acceptor->pause, on_pause_over, PAUSE_MS, 0);
}

// Whether it is only the connection that failed, before it was accepted (accept(2)).
static bool is_lost(int failure)
{
  static const int LOST[] = {EINTR,     ECONNABORTED, EPROTO,       ENETDOWN,    ENOPROTOOPT,
                             EHOSTDOWN, ENONET,       EHOSTUNREACH, ENETUNREACH, EOPNOTSUPP};
  for (size_t i = 0; i < sizeof(LOST) / sizeof(LOST[0]); i++) {
    if (failure == LOST[i]) {
      return true;
    }
  }
  return false;
}

// Takes up to `most` connections; returns how many there were.
static size_t take_waiting(Acceptor *acceptor, size_t most)
{
  size_t taken = 0;
  while (taken < most) {
    int socket = accept4(acceptor->socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (socket >= 0) {
      hand_over(acceptor, socket);
      taken++;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (!is_lost(errno)) {
      turn_away(acceptor, errno);
      break;
    }
  }
  return taken;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
  (void)events;
  if (status == 0) {
    take_waiting(poll->data, BURST);
  }
}

// Listening ------------------------------------------------------------------------------------

// A listening socket, or -1 and errno.
static int listen_on(const struct addrinfo *address)
{
  int listener = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int on = 1;
  if (listener >= 0
      && (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0
          || bind(listener, address->ai_addr, address->ai_addrlen) != 0
          || listen(listener, BACKLOG) != 0)) {
    int failure = errno;
    close(listener);
    errno = failure;
    return -1;
  }
  return listener;
}

static void print_bound(int listener, char *bound)
{
  struct sockaddr_storage name = {0};
  socklen_t size = sizeof(name);
  getsockname(listener, (struct sockaddr *)&name, &size);
  address_print((const struct sockaddr *)&name, bound);
}

bool acceptor_open(Acceptor *acceptor, const char *address, char *bound, Error *err)
{
  Address parsed;
  struct addrinfo *list = NULL;
  acceptor->socket = acceptor->spare = -1;
  if (!address_parse(address, &parsed, err) || !address_resolve(&parsed, true, &list, err)) {
    return false;
  }
  int failure = EADDRNOTAVAIL;
  for (const struct addrinfo *at = list; at && acceptor->socket < 0; at = at->ai_next) {
    acceptor->socket = listen_on(at);
    failure = errno;
  }
  freeaddrinfo(list);
  if (acceptor->socket < 0) {
    return error_set(err, ERR_IO, "listen on %s: %s", address,
                     uv_strerror(uv_translate_sys_error(failure)));
  }
  print_bound(acceptor->socket, bound);
  return true;
}

bool acceptor_start(Acceptor *acceptor, Error *err)
{
  uv_loop_t *uv = &acceptor->loops[0]->uv;
  int rc = uv_poll_init(uv, &acceptor->poll, acceptor->socket);
  if (rc) {
    close(acceptor->socket);
    acceptor->socket = -1;
    return error_set(err, ERR_INTERNAL, "watch the listening socket: %s", uv_strerror(rc));
  }
  uv_timer_init(uv, &acceptor->pause);
  acceptor->poll.data = acceptor->pause.data = acceptor;
  acceptor->spare = open_spare();
  uv_poll_start(&acceptor->poll, UV_READABLE, on_readable);
  return true;
}

void acceptor_stop(Acceptor *acceptor)
{
  if (acceptor->socket < 0) {
    return;
  }
  take_waiting(acceptor, BACKLOG);
  uv_timer_stop(&acceptor->pause);
  uv_poll_stop(&acceptor->poll);
  uv_close((uv_handle_t *)&acceptor->pause, NULL);
  uv_close((uv_handle_t *)&acceptor->poll, NULL);
  close(acceptor->socket);
  if (acceptor->spare >= 0) {
    close(acceptor->spare);
  }
  acceptor->socket = acceptor->spare = -1;
}
