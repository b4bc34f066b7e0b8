#pragma once
// The command line: argv in, exit status out (0 done, 1 failed, 2 used wrongly). Results go to
// stdout, everything else to stderr.

int cli_run(int argc, char **argv);
