#pragma once
// One file as another: the format follows the extension, rows keep their order.

#include "engine/engine.h"

bool engine_copy_file(Engine *engine, const char *from, const char *to, uint64_t *rows, Error *err);
