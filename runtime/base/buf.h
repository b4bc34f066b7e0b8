#pragma once
// A growable byte buffer: replies, encoded rows, text being built.

#include "base/slice.h"

typedef struct {
  uint8_t *data;  // heap; NULL while capacity is 0
  size_t size;
  size_t capacity;
} Buf;  // the zero value is an empty buffer

void buf_reserve(Buf *buf, size_t extra);  // room for `extra` more bytes
void buf_print(Buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_deinit(Buf *buf);

static inline void buf_put(Buf *buf, const void *data, size_t size)
{
  if (buf->capacity - buf->size < size) {
    buf_reserve(buf, size);
  }
  if (size) {
    memcpy(buf->data + buf->size, data, size);
  }
  buf->size += size;
}

static inline void buf_put_byte(Buf *buf, uint8_t byte)
{
  buf_put(buf, &byte, 1);
}

static inline void buf_put_slice(Buf *buf, Slice bytes)
{
  buf_put(buf, bytes.data, bytes.size);
}

static inline Slice buf_slice(const Buf *buf)
{
  return slice_of(buf->data, buf->size);
}

static inline void buf_reset(Buf *buf)
{
  buf->size = 0;
}
