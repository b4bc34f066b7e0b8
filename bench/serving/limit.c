// The most that a server on libuv could do: counts the bytes of requests that all have one size and
// answers each with as many zeros as a real answer has, without reading or looking up anything. The
// zeros lie in memory of their own, as an answer does.
//
//   limit REQUEST_SIZE ANSWER_SIZE     prints `ready PORT`

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum { READ_SIZE = 64 << 10, ANSWERS_AT_ONCE = 512 };

typedef struct {
  uv_tcp_t handle;
  size_t received;  // of requests that were not answered
} Conn;

static size_t request_size;
static size_t answer_size;
static char *answers;
static char room_for_all[READ_SIZE];

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room)
{
  (void)handle;
  (void)suggested;
  *room = uv_buf_init(room_for_all, sizeof(room_for_all));
}

static void on_written(uv_write_t *request, int status)
{
  (void)status;
  free(request);
}

static void put_answers(uv_stream_t *stream, size_t count)
{
  uv_buf_t chunk = uv_buf_init(answers, (unsigned)(count * answer_size));
  int written = uv_try_write(stream, &chunk, 1);
  written = written < 0 ? 0 : written;
  if ((size_t)written < count * answer_size) {
    chunk = uv_buf_init(answers, (unsigned)(count * answer_size - (size_t)written));
    uv_write_t *request = malloc(sizeof(*request));
    if (!request || uv_write(request, stream, &chunk, 1, on_written) < 0) {
      abort();
    }
  }
}

static void on_closed(uv_handle_t *handle)
{
  free(handle);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *room)
{
  (void)room;
  Conn *conn = (Conn *)stream;
  if (count < 0) {
    uv_close((uv_handle_t *)stream, on_closed);
    return;
  }
  conn->received += (size_t)count;
  size_t complete = conn->received / request_size;
  conn->received %= request_size;
  while (complete) {
    size_t some = complete < ANSWERS_AT_ONCE ? complete : ANSWERS_AT_ONCE;
    put_answers(stream, some);
    complete -= some;
  }
}

static void on_connection(uv_stream_t *listener, int status)
{
  Conn *conn = calloc(1, sizeof(*conn));
  if (status < 0 || !conn) {
    abort();
  }
  uv_tcp_init(listener->loop, &conn->handle);
  uv_accept(listener, (uv_stream_t *)&conn->handle);
  uv_tcp_nodelay(&conn->handle, 1);
  uv_read_start((uv_stream_t *)&conn->handle, on_room, on_read);
}

int main(int argc, char **argv)
{
  if (argc != 3) {
    fprintf(stderr, "usage: limit REQUEST_SIZE ANSWER_SIZE\n");
    return 2;
  }
  request_size = strtoul(argv[1], NULL, 10);
  answer_size = strtoul(argv[2], NULL, 10);
  answers = malloc(ANSWERS_AT_ONCE * answer_size);
  if (answers) {
    memset(answers, 0, ANSWERS_AT_ONCE * answer_size);  // calloc's are one page, mapped many times
  }
  uv_loop_t *loop = uv_default_loop();
  uv_tcp_t listener;
  struct sockaddr_storage name;
  int size = sizeof(name);
  uv_tcp_init(loop, &listener);
  uv_ip4_addr("127.0.0.1", 0, (struct sockaddr_in *)&name);
  uv_tcp_bind(&listener, (const struct sockaddr *)&name, 0);
  if (!answers || uv_listen((uv_stream_t *)&listener, 128, on_connection) < 0) {
    return 1;
  }
  uv_tcp_getsockname(&listener, (struct sockaddr *)&name, &size);
  printf("ready %d\n", ntohs(((struct sockaddr_in *)&name)->sin_port));
  fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
