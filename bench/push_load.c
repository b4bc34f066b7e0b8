// Pushes rows to a server, or the same rows to Redis as pipelined HSETs, and prints rows per
// second.
//
//   cc -O2 -D_GNU_SOURCE -o build/push_load bench/push_load.c -lpthread
//   build/push_load tidemark 127.0.0.1:6570 VIEW [--rows N] [--batch N] [--connections N]
//                   [--keys N] [--columns]
//   build/push_load redis 127.0.0.1:6379 - ...
//
// A row has an int64 key `driver_id` and 11 string features f0 .. f10 of 80 bytes, about 950 bytes
// in all; keys are uniform random. Each connection has two requests under way. The view:
//
//   feature_view 'wide' { entity = 'driver', source = ..., features = { string 'f0', ... } }

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FEATURES = 11, VALUE_SIZE = 80, DEPTH = 2, EVENT_TIME = 1735689600 };

typedef struct {
  bool redis;
  const char *host;
  int port;
  const char *view;
  long rows;
  long batch;
  long connections;
  long keys;
  bool columns;
} Options;

typedef struct {
  const Options *options;
  uint64_t seed;
  long rows;
  long lines;  // of Redis's answers that came before they were waited for
  pthread_t thread;
} Worker;

typedef struct {
  char *data;
  size_t size;
  size_t capacity;
} Bytes;

static void fail(const char *what)
{
  perror(what);
  exit(1);
}

static void put(Bytes *out, const void *data, size_t size)
{
  if (out->size + size > out->capacity) {
    out->capacity = 2 * (out->size + size);
    out->data = realloc(out->data, out->capacity);
  }
  memcpy(out->data + out->size, data, size);
  out->size += size;
}

static void put_text(Bytes *out, const char *text)
{
  uint8_t head[2] = {0xd9, (uint8_t)strlen(text)};
  put(out, head, 2);
  put(out, text, head[1]);
}

static void put_head(Bytes *out, uint8_t format, uint32_t count)
{
  uint8_t head[5] = {format, (uint8_t)(count >> 24), (uint8_t)(count >> 16), (uint8_t)(count >> 8),
                     (uint8_t)count};
  put(out, head, 5);
}

static void put_u64(Bytes *out, uint64_t value)
{
  uint8_t bytes[9] = {0xcf};
  for (int i = 0; i < 8; i++) {
    bytes[1 + i] = (uint8_t)(value >> (56 - 8 * i));
  }
  put(out, bytes, 9);
}

static uint64_t next_random(uint64_t *seed)
{
  *seed ^= *seed << 13;
  *seed ^= *seed >> 7;
  *seed ^= *seed << 17;
  return *seed;
}

static void fill_value(char *value, uint64_t *seed)
{
  memset(value, 'a' + (int)(next_random(seed) % 26), VALUE_SIZE);
  value[VALUE_SIZE] = '\0';
}

static void put_params(Bytes *out, const Options *options)
{
  static const uint8_t REQUEST[] = {0x94, 0x00};
  put(out, REQUEST, sizeof(REQUEST));
  put_head(out, 0xce, 1);  // the id
  put_text(out, "push");
  put(out, "\x91\x82", 2);
  put_text(out, "view");
  put_text(out, options->view);
  put_text(out, "rows");
}

static void make_maps(Bytes *out, const Options *options, uint64_t *seed)
{
  char value[VALUE_SIZE + 1];
  put_params(out, options);
  put_head(out, 0xdd, (uint32_t)options->batch);
  for (long row = 0; row < options->batch; row++) {
    put_head(out, 0xdf, FEATURES + 2);
    put_text(out, "driver_id");
    put_u64(out, next_random(seed) % (uint64_t)options->keys);
    put_text(out, "event_time");
    put_u64(out, UINT64_C(1000000) * EVENT_TIME);
    for (int i = 0; i < FEATURES; i++) {
      char name[8];
      snprintf(name, sizeof(name), "f%d", i);
      fill_value(value, seed);
      put_text(out, name);
      put_text(out, value);
    }
  }
}

static void make_columns(Bytes *out, const Options *options, uint64_t *seed)
{
  char value[VALUE_SIZE + 1];
  put_params(out, options);
  put_head(out, 0xdf, FEATURES + 2);
  put_text(out, "driver_id");
  put_head(out, 0xdd, (uint32_t)options->batch);
  for (long row = 0; row < options->batch; row++) {
    put_u64(out, next_random(seed) % (uint64_t)options->keys);
  }
  put_text(out, "event_time");
  put_head(out, 0xdd, (uint32_t)options->batch);
  for (long row = 0; row < options->batch; row++) {
    put_u64(out, UINT64_C(1000000) * EVENT_TIME);
  }
  for (int i = 0; i < FEATURES; i++) {
    char name[8];
    snprintf(name, sizeof(name), "f%d", i);
    put_text(out, name);
    put_head(out, 0xdd, (uint32_t)options->batch);
    for (long row = 0; row < options->batch; row++) {
      fill_value(value, seed);
      put_text(out, value);
    }
  }
}

static void make_redis(Bytes *out, const Options *options, uint64_t *seed)
{
  char value[VALUE_SIZE + 1];
  char line[160];
  for (long row = 0; row < options->batch; row++) {
    char key[32];
    snprintf(key, sizeof(key), "driver:%llu",
             (unsigned long long)(next_random(seed) % (uint64_t)options->keys));
    int size = snprintf(line, sizeof(line), "*%d\r\n$4\r\nHSET\r\n$%zu\r\n%s\r\n", 2 + 2 * FEATURES,
                        strlen(key), key);
    put(out, line, (size_t)size);
    for (int i = 0; i < FEATURES; i++) {
      char name[8];
      snprintf(name, sizeof(name), "f%d", i);
      fill_value(value, seed);
      size = snprintf(line, sizeof(line), "$%zu\r\n%s\r\n$%d\r\n%s\r\n", strlen(name), name,
                      VALUE_SIZE, value);
      put(out, line, (size_t)size);
    }
  }
}

static void make_request(Bytes *out, const Options *options, uint64_t *seed)
{
  if (options->redis) {
    make_redis(out, options, seed);
  } else if (options->columns) {
    make_columns(out, options, seed);
  } else {
    make_maps(out, options, seed);
  }
}

static int connect_to(const Options *options)
{
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options->port)};
  inet_pton(AF_INET, options->host, &address.sin_addr);
  int file = socket(AF_INET, SOCK_STREAM, 0);
  if (file < 0 || connect(file, (struct sockaddr *)&address, sizeof(address)) != 0) {
    fail("connect");
  }
  int on = 1;
  setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return file;
}

static void send_all(int file, const Bytes *bytes)
{
  for (size_t at = 0; at < bytes->size;) {
    ssize_t count = send(file, bytes->data + at, bytes->size - at, MSG_NOSIGNAL);
    if (count <= 0) {
      fail("send");
    }
    at += (size_t)count;
  }
}

// Reads one answer: a line per row from Redis; from us [1, id, error, result], of which only the
// error matters and whose result ends in the empty list of rejected rows.
static void take_answer(int file, Worker *worker)
{
  const Options *options = worker->options;
  char buffer[65536];
  size_t size = 0;
  for (;;) {
    if (options->redis && worker->lines >= options->batch) {
      worker->lines -= options->batch;
      return;
    }
    ssize_t count = recv(file, buffer + size, options->redis ? sizeof(buffer) : 1, 0);
    if (count <= 0) {
      fail("receive");
    }
    if (options->redis) {
      for (ssize_t i = 0; i < count; i++) {
        worker->lines += buffer[i] == '\n';
      }
      continue;
    }
    size += (size_t)count;
    static const char END[] = "\xa8rejected\x90";
    size_t end = sizeof(END) - 1;
    if (size > end && memcmp(buffer + size - end, END, end) == 0) {
      return;
    }
    if (size == sizeof(buffer)
        || (size > 8 && (uint8_t)buffer[0] == 0x94 && buffer[2] == 1
            && (uint8_t)buffer[3] != 0xc0)) {
      fprintf(stderr, "the server answered with an error: %.*s\n", (int)size, buffer);
      exit(1);
    }
  }
}

static void *work(void *argument)
{
  Worker *worker = argument;
  const Options *options = worker->options;
  Bytes request = {0};
  int file = connect_to(options);
  long under_way = 0;
  long sent = 0;
  for (long done = 0; done < worker->rows; done += options->batch) {
    while (under_way < DEPTH && sent < worker->rows) {
      request.size = 0;
      make_request(&request, options, &worker->seed);
      send_all(file, &request);
      sent += options->batch;
      under_way++;
    }
    take_answer(file, worker);
    under_way--;
  }
  close(file);
  free(request.data);
  return NULL;
}

static double seconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static Options read_options(int argc, char **argv)
{
  if (argc < 4) {
    fprintf(stderr, "usage: push_load tidemark|redis HOST:PORT VIEW [OPTION...]\n");
    exit(2);
  }
  Options options = {.redis = strcmp(argv[1], "redis") == 0,
                     .host = argv[2],
                     .view = argv[3],
                     .rows = 1000000,
                     .batch = 1000,
                     .connections = 4,
                     .keys = 1000000};
  char *colon = strrchr(argv[2], ':');
  if (!colon) {
    fprintf(stderr, "expected HOST:PORT, got %s\n", argv[2]);
    exit(2);
  }
  *colon = '\0';
  options.port = atoi(colon + 1);
  for (int i = 4; i < argc; i++) {
    long *number = strcmp(argv[i], "--rows") == 0          ? &options.rows
                   : strcmp(argv[i], "--batch") == 0       ? &options.batch
                   : strcmp(argv[i], "--connections") == 0 ? &options.connections
                   : strcmp(argv[i], "--keys") == 0        ? &options.keys
                                                           : NULL;
    options.columns |= strcmp(argv[i], "--columns") == 0;
    if (number && i + 1 < argc) {
      *number = atol(argv[++i]);
    }
  }
  return options;
}

int main(int argc, char **argv)
{
  Options options = read_options(argc, argv);
  Worker *workers = calloc((size_t)options.connections, sizeof(*workers));
  double start = seconds();
  for (long i = 0; i < options.connections; i++) {
    workers[i] = (Worker){&options, 88172645463325252u + (uint64_t)i * 7919,
                          options.rows / options.connections, 0, 0};
    if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
      fail("thread");
    }
  }
  for (long i = 0; i < options.connections; i++) {
    pthread_join(workers[i].thread, NULL);
  }
  double taken = seconds() - start;
  printf("%.0f rows/s, %ld rows in %.2f s\n", (double)options.rows / taken, options.rows, taken);
  free(workers);
  return 0;
}
