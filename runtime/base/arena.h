#pragma once
// Bump allocation for things that die together: a request, an apply, a chunk of a job. Blocks are
// kept by arena_reset and reused. Under AddressSanitizer every allocation is a malloc of its own,
// so that arenas do not blind it.

#include "base/slice.h"

typedef struct ArenaBlock ArenaBlock;

typedef struct {
  ArenaBlock *blocks;  // newest first; NULL when nothing was allocated yet
  size_t used;         // bytes handed out since the last reset
} Arena;               // the zero value is an empty arena

void *arena_alloc(Arena *arena, size_t size);  // 16-byte aligned, not zeroed, never NULL
void *arena_zalloc(Arena *arena, size_t count, size_t size);
char *arena_print(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_text(Arena *arena, Slice bytes);  // NUL-terminated copy
Slice arena_copy(Arena *arena, Slice bytes);
void arena_reset(Arena *arena);   // forgets everything, keeps one block
void arena_deinit(Arena *arena);  // frees everything; the arena is empty again
