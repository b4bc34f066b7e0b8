#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory, size_t count, size_t size)
{
  if (!memory) {
    fprintf(stderr, "tidemark: out of memory: %zu x %zu bytes\n", count, size);
    abort();
  }
  return memory;
}

void *mem_alloc(size_t size)
{
  return checked(malloc(size ? size : 1), 1, size);
}

void *mem_zalloc(size_t count, size_t size)
{
  return checked(calloc(count ? count : 1, size ? size : 1), count, size);
}

void *mem_realloc(void *old, size_t count, size_t size)
{
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) {
    return checked(NULL, count, size);
  }
  return checked(realloc(old, bytes ? bytes : 1), count, size);
}

char *mem_strdup(const char *text)
{
  size_t size = strlen(text) + 1;
  return memcpy(mem_alloc(size), text, size);
}
