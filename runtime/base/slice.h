#pragma once
// Borrowed bytes. A slice owns nothing: it is valid until its owner moves, and the header of
// whoever returns one says who that is.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
  const char *data;  // may be NULL only when size is 0
  size_t size;       // bytes
} Slice;

static inline Slice slice_of(const void *data, size_t size)
{
  return (Slice){(const char *)data, size};
}

static inline Slice slice_text(const char *text)
{
  return (Slice){text, strlen(text)};
}

static inline bool slice_equal(Slice a, Slice b)
{
  return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_is(Slice a, const char *text)
{
  return slice_equal(a, slice_text(text));
}

// How many bytes of somebody's text a message repeats, for "%.*s".
static inline int slice_quoted(Slice text)
{
  enum { QUOTED = 64 };
  return text.size < QUOTED ? (int)text.size : QUOTED;
}

// Byte order, shorter first when one is the prefix of the other: LMDB's key order.
static inline int slice_compare(Slice a, Slice b)
{
  size_t shorter = a.size < b.size ? a.size : b.size;
  int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
  return order ? order : (a.size > b.size) - (a.size < b.size);
}
