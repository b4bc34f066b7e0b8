// Asks a server for rows as fast as it answers, or at a fixed rate, and checks what comes back. One
// thread, epoll, a number of connections with a number of requests under way on each.
//
//   load csv SHAPE ENTITIES              the rows as CSV
//   load sizes SHAPE BATCH               bytes of a request and of an answer of ours
//   load run --protocol P --shape S --port N [--connections N] [--depth N] [--batch N]
//            [--entities N] [--seconds S] [--warmup S] [--rate R] [--all] [--seed N] [--pid N]
//
// --rate: requests arrive at random times, R a second, whether or not the server keeps up, and a
// latency counts from the moment its request was due. --all: every entity once, in order.
// One line of JSON comes out; any wrong answer ends the run.

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "histogram.h"
#include "protocol.h"

enum {
  REQUEST_NUMBER = 0x10000001,
  FULL_CHECK_EVERY = 256,  // answers; of the others the rows' markers are looked at
  RATE_DEPTH = 64,         // requests under way on a connection at a fixed rate
  SILENCE_MS = 20000,
  EVENTS = 256,
};

typedef struct {
  const Protocol *protocol;
  const Shape *shape;
  int port;
  uint32_t connections;
  uint32_t depth;
  uint32_t batch;
  uint32_t entities;
  double seconds;
  double warmup;
  double rate;
  bool all;
  uint64_t seed;
  int pid;  // of the server, whose processor time is told too; 0: nobody's
} Options;

typedef struct {
  int fd;
  Buf out;
  size_t sent;   // of `out`
  bool blocked;  // the socket is full: the rest goes when there is room
  uint8_t *in;
  size_t received;
  uint32_t *entities;  // of requests under way: a ring of depth * batch
  uint64_t *started;   // and when each was sent, or due
  uint32_t head;
  uint32_t pending;
} Conn;

// A request and its answer, where entities are to be replaced.
typedef struct {
  Buf request;
  size_t *places;  // of the entities in the request; NULL: it is built anew each time
  Buf entity;
  size_t entity_size;
  size_t answer_size;
  size_t *markers;  // in the answer, batch * views of them
  size_t marker_count;
} Template;

typedef struct {
  Options options;
  Template template;
  Conn *conns;
  int epoll;
  uint64_t random;
  uint64_t next_entity;  // with --all
  uint64_t sent_rows;
  bool counting;
  Histogram *latencies;
  uint64_t answers;
  uint64_t checked;  // whole
  double server;     // seconds of its processor time
  Buf expected;
} Load;

static void die(const char *what)
{
  fprintf(stderr, "load: %s\n", what);
  exit(1);
}

static uint64_t now_ns(void)
{
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

// Processor time of the server so far.
static double server_seconds(const Load *load)
{
  clockid_t clock;
  struct timespec time = {0};
  if (load->options.pid && clock_getcpuclockid(load->options.pid, &clock) == 0) {
    clock_gettime(clock, &time);
  }
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t next_random(Load *load)
{
  load->random += UINT64_C(0x9e3779b97f4a7c15);
  return hash_u64(load->random);
}

// Templates ---------------------------------------------------------------------------------------

static size_t find_bytes(const Buf *in, size_t from, const void *bytes, size_t size)
{
  const uint8_t *at = memmem(in->data + from, in->size - from, bytes, size);
  if (!at) {
    die("an entity is not in the bytes that should name it");
  }
  return (size_t)(at - in->data);
}

static void find_places(Template *template, const Request *request, const Protocol *protocol)
{
  template->places = mem_alloc(request->count * sizeof(*template->places));
  size_t from = 0;
  for (uint32_t i = 0; i < request->count; i++) {
    buf_reset(&template->entity);
    protocol->put_entity(&template->entity, request->entities[i]);
    template->entity_size = template->entity.size;
    from = find_bytes(&template->request, from, template->entity.data, template->entity.size);
    template->places[i] = from;
  }
}

static void find_markers(Template *template, const Request *request, const Buf *answer)
{
  size_t count = (size_t)request->count * request->shape->views;
  template->markers = mem_alloc(count * sizeof(*template->markers));
  template->marker_count = count;
  size_t from = 0;
  for (size_t i = 0; i < count; i++) {
    uint8_t marker[MARKER_SIZE];
    shape_marker(request->entities[i / request->shape->views], marker);
    template->markers[i] = from = find_bytes(answer, from, marker, sizeof(marker));
    from += sizeof(marker);
  }
}

static void make_template(Template *template, const Options *options)
{
  uint32_t *entities = mem_alloc(options->batch * sizeof(*entities));
  for (uint32_t i = 0; i < options->batch; i++) {
    entities[i] = ENTITY_FIRST + 1234567 + i * 1001;
  }
  Request request = {options->shape, entities, options->batch, REQUEST_NUMBER};
  Buf answer = {0};
  options->protocol->put_request(&template->request, &request);
  options->protocol->put_answer(&answer, &request);
  template->answer_size = answer.size;
  if (!options->protocol->writes) {
    find_places(template, &request, options->protocol);
    if (options->protocol->unit_head != UINT32_MAX) {
      find_markers(template, &request, &answer);
    }
  }
  buf_deinit(&answer);
  free(entities);
}

// Sending -----------------------------------------------------------------------------------------

static void watch(Load *load, Conn *conn, int operation)
{
  struct epoll_event event = {.events = EPOLLIN | (conn->blocked ? EPOLLOUT : 0), .data.ptr = conn};
  if (epoll_ctl(load->epoll, operation, conn->fd, &event) < 0) {
    die("epoll_ctl failed");
  }
}

static void flush(Load *load, Conn *conn)
{
  bool blocked = false;
  while (conn->sent < conn->out.size && !blocked) {
    ssize_t count = write(conn->fd, conn->out.data + conn->sent, conn->out.size - conn->sent);
    if (count < 0 && errno != EAGAIN) {
      die("the server closed a connection");
    }
    blocked = count < 0;
    conn->sent += count > 0 ? (size_t)count : 0;
  }
  if (!blocked) {
    buf_reset(&conn->out);
    conn->sent = 0;
  }
  if (blocked != conn->blocked) {
    conn->blocked = blocked;
    watch(load, conn, EPOLL_CTL_MOD);
  }
}

static uint32_t choose_entity(Load *load)
{
  uint64_t number =
      load->options.all
          ? load->next_entity++
          : (uint64_t)(((__uint128_t)next_random(load) * load->options.entities) >> 64);
  return ENTITY_FIRST + (uint32_t)number;
}

// Reads may ask for an entity twice; what one request writes are different ones.
static void choose_entities(Load *load, uint32_t *entities)
{
  const Options *options = &load->options;
  for (uint32_t i = 0; i < options->batch; i++) {
    entities[i] =
        !i || options->all || !options->protocol->writes
            ? choose_entity(load)
            : ENTITY_FIRST
                  + (entities[0] - ENTITY_FIRST + i * (options->entities / options->batch))
                        % options->entities;
  }
}

static void put_entities(Load *load, Buf *out, const uint32_t *entities)
{
  Template *template = &load->template;
  size_t start = out->size;
  buf_put(out, template->request.data, template->request.size);
  for (uint32_t i = 0; i < load->options.batch; i++) {
    uint8_t *place = out->data + start + template->places[i];
    if (template->entity_size == ENTITY_DIGITS) {
      uint32_t number = entities[i];
      for (int digit = ENTITY_DIGITS - 1; digit >= 0; digit--, number /= 10) {
        place[digit] = (uint8_t)('0' + number % 10);
      }
    } else {
      bytes_store_be32(place + 1, entities[i]);
    }
  }
}

// Adds one request to what is to be sent.
static void put_request(Load *load, Conn *conn, uint64_t started)
{
  const Options *options = &load->options;
  uint32_t slot = (conn->head + conn->pending++) % options->depth;
  uint32_t *entities = conn->entities + (size_t)slot * options->batch;
  choose_entities(load, entities);
  conn->started[slot] = started;
  load->sent_rows += options->batch;
  if (load->template.places) {
    put_entities(load, &conn->out, entities);
  } else {
    Request request = {options->shape, entities, options->batch, REQUEST_NUMBER};
    options->protocol->put_request(&conn->out, &request);
  }
}

static bool more_to_send(const Load *load)
{
  return !load->options.all || load->sent_rows < load->options.entities;
}

// Answers -----------------------------------------------------------------------------------------

static void wrong(const Load *load, const uint8_t *answer, size_t at)
{
  fprintf(stderr, "load: an answer of %s is not what was written, from byte %zu of %zu on:\n",
          load->options.protocol->name, at, load->template.answer_size);
  for (size_t i = at > 16 ? at - 16 : 0; i < at + 48 && i < load->template.answer_size; i++) {
    fprintf(stderr, answer[i] >= ' ' && answer[i] < 127 ? "%c" : "\\x%02x", answer[i]);
  }
  fputc('\n', stderr);
  exit(1);
}

static void check_whole(Load *load, const uint8_t *answer, const uint32_t *entities)
{
  const Options *options = &load->options;
  Request request = {options->shape, entities, options->batch, REQUEST_NUMBER};
  buf_reset(&load->expected);
  options->protocol->put_answer(&load->expected, &request);
  size_t unit = load->template.answer_size / options->batch;
  for (size_t i = 0; i < load->template.answer_size; i++) {
    bool looked_at = !options->protocol->unit_head || i % unit >= options->protocol->unit_head;
    if (looked_at && answer[i] != load->expected.data[i]) {
      wrong(load, answer, i);
    }
  }
  load->checked++;
}

static void check_markers(const Load *load, const uint8_t *answer, const uint32_t *entities)
{
  const Template *template = &load->template;
  uint32_t views = load->options.shape->views;
  for (size_t i = 0; i < template->marker_count; i++) {
    uint8_t marker[MARKER_SIZE];
    shape_marker(entities[i / views], marker);
    if (memcmp(answer + template->markers[i], marker, sizeof(marker)) != 0) {
      wrong(load, answer, template->markers[i]);
    }
  }
}

static void take_answer(Load *load, Conn *conn, const uint8_t *answer, uint64_t now)
{
  if (conn->pending == 0) {
    die("an answer to nothing");
  }
  const uint32_t *entities = conn->entities + (size_t)conn->head * load->options.batch;
  if (load->options.protocol->unit_head != UINT32_MAX) {
    check_markers(load, answer, entities);
    if (load->answers % FULL_CHECK_EVERY == 0) {
      check_whole(load, answer, entities);
    }
  }
  load->answers++;
  if (load->counting) {
    histogram_add(load->latencies, now - conn->started[conn->head]);
  }
  conn->head = (conn->head + 1) % load->options.depth;
  conn->pending--;
}

// Reads what is there; returns how many answers were complete.
static uint32_t receive(Load *load, Conn *conn)
{
  size_t size = load->template.answer_size;
  size_t capacity = size * load->options.depth;
  ssize_t count = read(conn->fd, conn->in + conn->received, capacity - conn->received);
  if (count <= 0) {
    if (count < 0 && errno == EAGAIN) {
      return 0;
    }
    fwrite(conn->in, 1, conn->received < 300 ? conn->received : 300, stderr);
    die("the server closed a connection");
  }
  conn->received += (size_t)count;
  uint64_t now = now_ns();
  uint32_t complete = 0;
  size_t used = 0;
  for (; conn->received - used >= size; used += size, complete++) {
    take_answer(load, conn, conn->in + used, now);
  }
  memmove(conn->in, conn->in + used, conn->received - used);
  conn->received -= used;
  return complete;
}

// Running -----------------------------------------------------------------------------------------

static Conn *open_conns(Load *load)
{
  const Options *options = &load->options;
  Conn *conns = mem_zalloc(options->connections, sizeof(*conns));
  for (uint32_t i = 0; i < options->connections; i++) {
    Conn *conn = &conns[i];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    conn->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(conn->fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
      die("cannot connect");
    }
    if (strncmp(options->protocol->name, "tarantool", 9) == 0) {
      char greeting[128];
      if (recv(conn->fd, greeting, sizeof(greeting), MSG_WAITALL) != sizeof(greeting)) {
        die("no greeting from the server");
      }
    }
    int on = 1;
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    fcntl(conn->fd, F_SETFL, O_NONBLOCK);
    conn->in = mem_alloc(load->template.answer_size * options->depth);
    conn->entities = mem_alloc((size_t)options->depth * options->batch * sizeof(uint32_t));
    conn->started = mem_alloc(options->depth * sizeof(uint64_t));
  }
  return conns;
}

// Sends what is due at a fixed rate; returns when the next request is.
static uint64_t send_due(Load *load, uint64_t due, uint64_t now)
{
  static uint32_t turn;
  uint32_t full = 0;
  while (due <= now && full < load->options.connections) {
    Conn *conn = &load->conns[turn++ % load->options.connections];
    if (conn->pending == load->options.depth || conn->blocked) {
      full++;
      continue;
    }
    full = 0;
    put_request(load, conn, due);
    flush(load, conn);
    double share = ((double)(next_random(load) >> 11) + 1) / 9007199254740993.0;
    due += (uint64_t)(-log(share) / load->options.rate * 1e9);
  }
  return due;
}

static void handle(Load *load, Conn *conn, uint32_t events, bool closed_loop)
{
  if (events & EPOLLOUT) {
    flush(load, conn);
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
    uint32_t complete = receive(load, conn);
    for (uint32_t i = 0; closed_loop && i < complete && more_to_send(load); i++) {
      put_request(load, conn, now_ns());
    }
    if (conn->out.size) {
      flush(load, conn);
    }
  }
}

static bool any_pending(const Load *load)
{
  for (uint32_t i = 0; i < load->options.connections; i++) {
    if (load->conns[i].pending) {
      return true;
    }
  }
  return false;
}

static void start_conns(Load *load)
{
  for (uint32_t i = 0; i < load->options.connections; i++) {
    Conn *conn = &load->conns[i];
    watch(load, conn, EPOLL_CTL_ADD);
    while (load->options.rate == 0 && conn->pending < load->options.depth && more_to_send(load)) {
      put_request(load, conn, now_ns());
    }
    flush(load, conn);
  }
}

// Returns the seconds that were counted.
static double run(Load *load)
{
  const Options *options = &load->options;
  uint64_t start = now_ns();
  uint64_t begin = start + (uint64_t)(options->warmup * 1e9);
  uint64_t end = begin + (uint64_t)(options->seconds * 1e9);
  uint64_t due = start;
  uint64_t now = start;
  start_conns(load);
  while (options->all ? any_pending(load) || more_to_send(load) : now < end) {
    struct epoll_event events[EVENTS];
    int count = epoll_wait(load->epoll, events, EVENTS, options->rate > 0 ? 0 : SILENCE_MS);
    if (count == 0 && options->rate == 0) {
      fwrite(load->conns[0].in, 1, load->conns[0].received, stderr);
      die("the server has been silent for too long; above is what it said");
    }
    for (int i = 0; i < count; i++) {
      handle(load, events[i].data.ptr, events[i].events, options->rate == 0);
    }
    now = now_ns();
    if (!load->counting && now >= begin) {
      load->counting = true;
      load->server = -server_seconds(load);
      begin = now;
    }
    due = options->rate > 0 ? send_due(load, due, now) : due;
  }
  load->server += server_seconds(load);
  return (double)(now - begin) / 1e9;
}

static void print_result(const Load *load, double seconds)
{
  const Histogram *latencies = load->latencies;
  double requests = (double)latencies->total / seconds;
  printf("{\"requests_per_s\": %.1f, \"rows_per_s\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
         "\"p999_us\": %.1f, \"max_us\": %.1f, \"requests\": %llu, \"checked\": %llu, "
         "\"answer_bytes\": %zu, \"seconds\": %.2f, \"server_ns_per_row\": %.1f}\n",
         requests, requests * load->options.batch, (double)histogram_quantile(latencies, 0.5) / 1e3,
         (double)histogram_quantile(latencies, 0.99) / 1e3,
         (double)histogram_quantile(latencies, 0.999) / 1e3, (double)latencies->most / 1e3,
         (unsigned long long)latencies->total, (unsigned long long)load->checked,
         load->template.answer_size, seconds,
         load->server * 1e9 / ((double)latencies->total * load->options.batch));
}

// Options -----------------------------------------------------------------------------------------

static int usage(void)
{
  fprintf(stderr, "usage: load csv SHAPE ENTITIES | load sizes SHAPE BATCH | load run OPTIONS\n"
                  "protocols:");
  protocol_print_names();
  fputc('\n', stderr);
  return 2;
}

static bool take_option(Options *options, const char *name, const char *value)
{
  double number = atof(value);
  if (strcmp(name, "protocol") == 0) {
    options->protocol = protocol_find(value);
    return options->protocol != NULL;
  }
  if (strcmp(name, "shape") == 0) {
    options->shape = shape_find(value);
    return options->shape != NULL;
  }
  struct {
    const char *name;
    uint32_t *field;
  } counts[] = {
      {"connections", &options->connections},
      {"depth", &options->depth},
      {"batch", &options->batch},
      {"entities", &options->entities},
  };
  for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
    if (strcmp(name, counts[i].name) == 0) {
      *counts[i].field = (uint32_t)number;
      return number >= 1;
    }
  }
  if (strcmp(name, "pid") == 0) {
    options->pid = (int)number;
  } else if (strcmp(name, "port") == 0) {
    options->port = (int)number;
  } else if (strcmp(name, "seconds") == 0) {
    options->seconds = number;
  } else if (strcmp(name, "warmup") == 0) {
    options->warmup = number;
  } else if (strcmp(name, "rate") == 0) {
    options->rate = number;
  } else {
    options->seed = (uint64_t)number;
  }
  return true;
}

static bool read_options(int argc, char **argv, Options *options)
{
  static const char *const NAMES[] = {"protocol", "shape", "connections", "depth",  "batch",
                                      "entities", "port",  "seconds",     "warmup", "rate",
                                      "seed",     "pid",   NULL};
  for (int i = 2; i < argc; i++) {
    if (strcmp(argv[i], "--all") == 0) {
      options->all = true;
      continue;
    }
    int name = 0;
    while (NAMES[name]
           && (strncmp(argv[i], "--", 2) != 0 || strcmp(argv[i] + 2, NAMES[name]) != 0)) {
      name++;
    }
    if (!NAMES[name] || i + 1 == argc || !take_option(options, NAMES[name], argv[++i])) {
      fprintf(stderr, "load: cannot use %s\n", argv[i]);
      return false;
    }
  }
  options->depth = options->rate > 0 ? RATE_DEPTH : options->depth;
  return options->protocol && options->shape && options->port;
}

static int run_load(int argc, char **argv)
{
  Load load = {.options = {.connections = 1,
                           .depth = 1,
                           .batch = 1,
                           .entities = 1000000,
                           .seconds = 3,
                           .warmup = 0.5,
                           .seed = 1}};
  if (!read_options(argc, argv, &load.options)) {
    return usage();
  }
  if (load.options.all) {
    load.options.warmup = 0;
    load.server = -server_seconds(&load);
    load.counting = true;
  }
  load.random = load.options.seed;
  load.latencies = mem_zalloc(1, sizeof(*load.latencies));
  make_template(&load.template, &load.options);
  load.epoll = epoll_create1(0);
  load.conns = open_conns(&load);
  print_result(&load, run(&load));
  return 0;
}

static int print_sizes(const Shape *shape, uint32_t batch)
{
  Load load = {.options = {.protocol = protocol_find("tidemark"), .shape = shape, .batch = batch}};
  make_template(&load.template, &load.options);
  printf("%zu %zu\n", load.template.request.size, load.template.answer_size);
  return 0;
}

int main(int argc, char **argv)
{
  const Shape *shape = argc == 4 ? shape_find(argv[2]) : NULL;
  if (shape && strcmp(argv[1], "csv") == 0) {
    shape_print_csv(shape, (uint32_t)atoi(argv[3]));
    return 0;
  }
  if (shape && strcmp(argv[1], "sizes") == 0) {
    return print_sizes(shape, (uint32_t)atoi(argv[3]));
  }
  return argc > 2 && strcmp(argv[1], "run") == 0 ? run_load(argc, argv) : usage();
}
