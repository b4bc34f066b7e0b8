#pragma once
// Zeroed memory for arrays that are read at random: large ones ask for huge pages, because every
// access to another page costs a walk of the page tables otherwise (on virtual machines two). It
// begins on a line of the cache.

#include <stddef.h>

void *pages_zalloc(size_t count, size_t size);             // aborts like mem_zalloc
void pages_free(void *memory, size_t count, size_t size);  // with the numbers it was made with
