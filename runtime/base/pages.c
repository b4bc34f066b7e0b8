#include "base/pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

enum { HUGE_PAGE = 2 << 20, LARGE = HUGE_PAGE / 2, LINE = 64 };

// Sizes below LARGE, and under AddressSanitizer all, are ordinary allocations.
static size_t mapped_size(size_t count, size_t size)
{
  size_t bytes;
#ifdef TIDEMARK_ASAN
  (void)bytes;
  (void)count;
  (void)size;
  return 0;
#else
  if (__builtin_mul_overflow(count, size, &bytes) || bytes < LARGE || bytes > SIZE_MAX / 2) {
    return 0;
  }
  return (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
#endif
}

static void *zalloc_lines(size_t count, size_t size)
{
  size_t bytes;
  void *memory = NULL;
  if (__builtin_mul_overflow(count, size, &bytes)
      || posix_memalign(&memory, LINE, bytes ? bytes : 1)) {
    return mem_zalloc(SIZE_MAX, size);  // says so and aborts
  }
  return memset(memory, 0, bytes);
}

void *pages_zalloc(size_t count, size_t size)
{
  size_t bytes = mapped_size(count, size);
  if (!bytes) {
    return zalloc_lines(count, size);
  }
  // One huge page more, so that an aligned stretch of the size lies within; the rest is given back.
  char *mapped =
      mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) {
    return mem_zalloc(SIZE_MAX, size);  // says so and aborts
  }
  size_t before = -(uintptr_t)mapped % HUGE_PAGE;
  if (before) {
    munmap(mapped, before);
  }
  munmap(mapped + before + bytes, HUGE_PAGE - before);
  madvise(mapped + before, bytes, MADV_HUGEPAGE);  // a wish: without it all works, slower
  return mapped + before;
}

void pages_free(void *memory, size_t count, size_t size)
{
  size_t bytes = mapped_size(count, size);
  if (bytes && memory) {
    munmap(memory, bytes);
  } else {
    free(memory);
  }
}
