#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

void buf_reserve(Buf *buf, size_t extra)
{
  size_t needed;
  bool overflow = __builtin_add_overflow(buf->size, extra, &needed);
  assert(!overflow);
  if (needed <= buf->capacity) {
    return;
  }
  size_t capacity = buf->capacity ? buf->capacity * 2 : 256;
  if (capacity < needed) {
    capacity = needed;
  }
  buf->data = mem_realloc(buf->data, capacity, 1);
  buf->capacity = capacity;
}

void buf_print(Buf *buf, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  assert(length >= 0);
  buf_reserve(buf, (size_t)length + 1);
  vsnprintf((char *)buf->data + buf->size, (size_t)length + 1, format, again);
  va_end(again);
  buf->size += (size_t)length;
}

void buf_deinit(Buf *buf)
{
  free(buf->data);
  *buf = (Buf){0};
}
