// contract, version and help: texts.

#include <stdio.h>

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/print.h"
#include "cli/texts.h"

bool cmd_contract_run(Args *args, Error *err)
{
  (void)args;
  (void)err;
  for (const CliText *text = CLI_TEXTS; text->name; text++) {
    if (strcmp(text->name, "contract") == 0) {
      fwrite(text->text, 1, text->size, stdout);
    }
  }
  return true;
}

bool cmd_version_run(Args *args, Error *err)
{
  (void)args;
  (void)err;
  puts("tidemark " TIDEMARK_VERSION);
  return true;
}

bool cmd_help_run(Args *args, Error *err)
{
  Buf out = {0};
  const char *name = args->argument_count ? args->arguments[0] : NULL;
  const Command *command = name ? commands_find(name) : NULL;
  if (args_has(args, "markdown")) {
    help_print_markdown(&out);
  } else if (command) {
    help_print_command(command, &out);
  } else if (name) {
    return error_set(err, ERR_USAGE, "unknown command \"%s\": `tidemark help` lists them", name);
  } else {
    help_print_overview(&out);
  }
  print_out(stdout, &out);
  buf_deinit(&out);
  return true;
}
