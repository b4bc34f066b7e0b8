#pragma once
// A file read from front to back through one buffer that grows with the longest row.

#include "base/error.h"

typedef struct {
  int fd;            // -1: none is open
  const char *name;  // for messages; the caller's
  bool ended;        // everything that is left is in the buffer
  char *bytes;       // unread ones are [start, end)
  size_t start;
  size_t end;
  size_t capacity;
} Window;

void window_init(Window *window);
void window_deinit(Window *window);
bool window_open(Window *window, const char *path, const char *name, Error *err);
void window_close(Window *window);

// Reads more bytes behind the unread ones, which may move. Fails with ERR_LIMIT when `limit` bytes
// are there already.
bool window_refill(Window *window, size_t limit, Error *err);
