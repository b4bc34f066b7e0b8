#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

enum { ALIGNMENT = 16, BLOCK_SIZE = 16 << 10 };

struct ArenaBlock {
  ArenaBlock *older;
  size_t used;
  size_t size;
  _Alignas(ALIGNMENT) char bytes[];
};

static ArenaBlock *push_block(Arena *arena, size_t size)
{
  ArenaBlock *block = mem_alloc(sizeof(ArenaBlock) + size);
  block->older = arena->blocks;
  block->used = 0;
  block->size = size;
  arena->blocks = block;
  return block;
}

static size_t block_size(const Arena *arena, size_t wanted)
{
#ifdef TIDEMARK_ASAN
  (void)arena;
  return wanted;  // one block per allocation: an overrun meets a red zone
#else
  // Doubling keeps the number of blocks small however much is asked for.
  size_t size = arena->blocks ? arena->blocks->size * 2 : BLOCK_SIZE;
  if (size > (8u << 20)) {
    size = 8u << 20;
  }
  return size < wanted ? wanted : size;
#endif
}

void *arena_alloc(Arena *arena, size_t size)
{
  size_t rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
  assert(rounded >= size);

  ArenaBlock *block = arena->blocks;
  if (!block || block->size - block->used < rounded) {
#ifdef TIDEMARK_ASAN
    rounded = size;
#endif
    block = push_block(arena, block_size(arena, rounded));
  }
  void *memory = block->bytes + block->used;
  block->used += rounded;
  arena->used += rounded;
  return memory;
}

void *arena_zalloc(Arena *arena, size_t count, size_t size)
{
  size_t bytes;
  bool overflow = __builtin_mul_overflow(count, size, &bytes);
  assert(!overflow);
  void *memory = arena_alloc(arena, bytes);
  return bytes ? memset(memory, 0, bytes) : memory;
}

char *arena_print(Arena *arena, const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(NULL, 0, format, arguments);
  va_end(arguments);
  assert(length >= 0);
  char *text = arena_alloc(arena, (size_t)length + 1);
  vsnprintf(text, (size_t)length + 1, format, again);
  va_end(again);
  return text;
}

char *arena_text(Arena *arena, Slice bytes)
{
  char *text = arena_alloc(arena, bytes.size + 1);
  if (bytes.size) {
    memcpy(text, bytes.data, bytes.size);
  }
  text[bytes.size] = '\0';
  return text;
}

Slice arena_copy(Arena *arena, Slice bytes)
{
  return slice_of(arena_text(arena, bytes), bytes.size);
}

static void free_blocks(ArenaBlock *block)
{
  while (block) {
    ArenaBlock *older = block->older;
    free(block);
    block = older;
  }
}

void arena_reset(Arena *arena)
{
  arena->used = 0;
#ifdef TIDEMARK_ASAN
  free_blocks(arena->blocks);
  arena->blocks = NULL;
#else
  // The newest block is the largest: keep it, unless one huge request made it so.
  enum { KEEP_LIMIT = 1 << 20 };
  ArenaBlock *newest = arena->blocks;
  if (!newest) {
    return;
  }
  if (newest->size > KEEP_LIMIT) {
    free_blocks(newest);
    arena->blocks = NULL;
    return;
  }
  free_blocks(newest->older);
  newest->older = NULL;
  newest->used = 0;
#endif
}

void arena_deinit(Arena *arena)
{
  free_blocks(arena->blocks);
  *arena = (Arena){0};
}
