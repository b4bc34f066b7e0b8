#pragma once
// The command line: argv in, exit status out (0 done, 1 failed, 2 used wrongly). Results go to
// stdout, everything else to stderr.

#include "cli/args.h"

int cli_run(int argc, char **argv);

// Goes to the folder of --project, if there is one.
bool cli_enter_project(const Args *args, Error *err);
