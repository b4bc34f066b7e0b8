#pragma once
// Help texts, made from the command table.

#include "base/buf.h"
#include "cli/args.h"

void help_print_overview(Buf *out);
void help_print_command(const Command *command, Buf *out);
void help_print_markdown(Buf *out);  // docs/reference/cli.md
