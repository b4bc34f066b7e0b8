#pragma once
// What try and test begin with: the definitions as they lie in the folder, ready to run, without
// anything being applied.

#include "cli/session.h"
#include "engine/apply.h"
#include "host/functions.h"

typedef struct {
  Session session;
  EngineDeclared declared;
  Functions *functions;  // NULL where nothing is computed
} Trial;

// Mistakes in the definitions are printed. trial_close in any case.
bool trial_open(Trial *trial, const Args *args, Error *err);
void trial_close(Trial *trial);
