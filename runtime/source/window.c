#include "source/window.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

enum { FIRST_CAPACITY = 1 << 20 };

void window_init(Window *window)
{
  *window = (Window){.fd = -1, .capacity = FIRST_CAPACITY};
  window->bytes = mem_alloc(window->capacity);
}

void window_deinit(Window *window)
{
  window_close(window);
  free(window->bytes);
  *window = (Window){.fd = -1};
}

bool window_open(Window *window, const char *path, const char *name, Error *err)
{
  window->name = name;
  window->fd = open(path, O_RDONLY | O_CLOEXEC);
  if (window->fd < 0) {
    return error_set(err, ERR_IO, "cannot open %s: %m", name);
  }
  window->ended = false;
  window->start = window->end = 0;
  return true;
}

void window_close(Window *window)
{
  if (window->fd >= 0) {
    close(window->fd);
  }
  window->fd = -1;
}

bool window_refill(Window *window, size_t limit, Error *err)
{
  if (window->start > 0) {
    memmove(window->bytes, window->bytes + window->start, window->end - window->start);
    window->end -= window->start;
    window->start = 0;
  }
  if (window->end == window->capacity) {
    if (window->capacity >= limit) {
      return error_set(err, ERR_LIMIT, "a row is longer than %zu MiB", limit >> 20);
    }
    window->capacity *= 2;
    window->bytes = mem_realloc(window->bytes, window->capacity, 1);
  }
  ssize_t got = read(window->fd, window->bytes + window->end, window->capacity - window->end);
  if (got < 0) {
    return error_set(err, ERR_IO, "cannot read %s: %m", window->name);
  }
  window->ended = got == 0;
  window->end += (size_t)got;
  return true;
}
