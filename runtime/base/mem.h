#pragma once
// Heap allocation that cannot fail: running out of memory aborts with one line on stderr. Limits
// that users can reach are errors, and are checked before anything is allocated.

#include <stddef.h>

void *mem_alloc(size_t size);
void *mem_zalloc(size_t count, size_t size);  // zeroed; aborts when count*size overflows
void *mem_realloc(void *old, size_t count, size_t size);  // aborts when count*size overflows
char *mem_strdup(const char *text);
