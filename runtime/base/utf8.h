#pragma once
// Text as UTF-8 (Unicode, table 3-7).

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

bool utf8_is_valid(Slice text);

// Bytes of the character at `at`, which has `left` > 0 bytes; 0 when it is none.
size_t utf8_size(const uint8_t *at, size_t left);
