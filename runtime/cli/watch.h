#pragma once
// Again whenever something is saved.

#include "cli/args.h"

// Runs `step` now, and again after each change of a .lua file below definitions/ or lib/, until
// Ctrl-C ends the process. What a step fails with is printed, and the next change is waited for.
// Returns only when that itself is impossible, or when the step was interrupted.
bool watch_run(Args *args, bool (*step)(Args *args, Error *err), Error *err);
