#pragma once
// Sizes as people write them: 1048576, 64MiB, 64M, 2GiB.

#include <stdbool.h>
#include <stdint.h>

// Bytes; false for what is no size, for 0, and beyond 64 bits. Units are powers of 1024.
bool size_parse(const char *text, uint64_t *bytes);
