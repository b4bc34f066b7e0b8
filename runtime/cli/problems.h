#pragma once
// Mistakes in the definitions, as compilers print them, so that editors can jump there.

#include "cli/result.h"

// True without any. Otherwise prints them on stderr and fails; `items` stands on the first of
// `count` maps (host/host.h), and `outcome` ends the sentence: what became of the command.
bool problems_refuse(MpReader items, uint32_t count, const char *outcome, Error *err);
