#pragma once
// Text as UTF-8 (Unicode, table 3-7).

#include <stdbool.h>

#include "base/slice.h"

bool utf8_is_valid(Slice text);
