#include "cli/help.h"

#include <stdio.h>

#include "cli/commands.h"

enum { LINE_WIDTH = 96, OPTION_WIDTH = 34 };

// `-f, --features REF[,REF...]`
static void print_option_form(const Option *option, Buf *out)
{
  if (option->letter) {
    buf_print(out, "-%c, ", option->letter);
  }
  buf_print(out, "--%s", option->name);
  if (option->metavar) {
    buf_print(out, " %s", option->metavar);
  }
}

// Breaks a text into lines of at most LINE_WIDTH, each indented by `indent` spaces.
static void print_wrapped(const char *text, int indent, Buf *out)
{
  size_t room = (size_t)(LINE_WIDTH - indent);
  size_t used = 0;
  for (const char *at = text; *at;) {
    size_t size = strcspn(at, " ");
    if (used && used + 1 + size > room) {
      buf_print(out, "\n");
      used = 0;
    }
    buf_print(out, "%*s%.*s", used ? 1 : indent, "", (int)size, at);
    used += size + (used ? 1 : 0);
    at += size;
    at += strspn(at, " ");
  }
  buf_print(out, "\n");
}

static void print_options(const char *title, const Option *options, Buf *out)
{
  buf_print(out, "\n%s\n", title);
  for (size_t i = 0; options[i].name; i++) {
    size_t start = out->size;
    buf_print(out, options[i].letter ? "  " : "      ");
    print_option_form(&options[i], out);
    size_t width = out->size - start;
    if (width + 2 > OPTION_WIDTH) {
      buf_print(out, "\n%*s%s\n", OPTION_WIDTH, "", options[i].help);
    } else {
      buf_print(out, "%*s%s\n", (int)(OPTION_WIDTH - width), "", options[i].help);
    }
  }
}

static void print_usage(const Command *command, Buf *out)
{
  buf_print(out, "tidemark %s", command->name);
  if (command->options) {
    buf_print(out, " [OPTION...]");
  }
  if (command->arguments[0]) {
    buf_print(out, " %s", command->arguments);
  }
  buf_print(out, "\n");
}

void help_print_overview(Buf *out)
{
  buf_print(out, "tidemark: features for training and serving, defined once\n\n"
                 "usage: tidemark COMMAND [OPTION...]\n\ncommands\n");
  for (size_t i = 0; COMMANDS[i].name; i++) {
    buf_print(out, "  %-26s%s\n", COMMANDS[i].name, COMMANDS[i].summary);
  }
  print_options("options of every command", GLOBAL_OPTIONS, out);
  buf_print(out, "\n`tidemark COMMAND --help` shows what a command takes; `tidemark init DIR` is a "
                 "good start\n");
}

void help_print_command(const Command *command, Buf *out)
{
  buf_print(out, "tidemark %s: %s\n\nusage: ", command->name, command->summary);
  print_usage(command, out);
  if (command->details) {
    buf_print(out, "\n");
    print_wrapped(command->details, 2, out);
  }
  if (command->options) {
    print_options("options", command->options, out);
  }
  print_options("options of every command", GLOBAL_OPTIONS, out);
  buf_print(out, "\nexamples\n");
  for (size_t i = 0; command->examples[i]; i++) {
    buf_print(out, "  %s\n", command->examples[i]);
  }
}

// Text of a table cell: the bar would end it.
static void print_markdown_cell(const char *text, Buf *out)
{
  for (; *text; text++) {
    if (*text == '|') {
      buf_print(out, "\\");
    }
    buf_put_byte(out, (uint8_t)*text);
  }
}

static void print_markdown_options(const Option *options, Buf *out)
{
  buf_print(out, "\n| option | meaning |\n| --- | --- |\n");
  for (size_t i = 0; options[i].name; i++) {
    buf_print(out, "| `");
    print_option_form(&options[i], out);
    buf_print(out, "` | ");
    print_markdown_cell(options[i].help, out);
    buf_print(out, " |\n");
  }
}

static void print_markdown_command(const Command *command, Buf *out)
{
  buf_print(out, "\n## tidemark %s\n\n", command->name);
  buf_print(out, "%c%s.", command->summary[0] - 'a' + 'A', command->summary + 1);
  if (command->details) {
    buf_print(out, " %s", command->details);
  }
  buf_print(out, "\n\n```text\n");
  print_usage(command, out);
  buf_print(out, "```\n");
  if (command->options) {
    print_markdown_options(command->options, out);
  }
  buf_print(out, "\n```text\n");
  for (size_t i = 0; command->examples[i]; i++) {
    buf_print(out, "%s\n", command->examples[i]);
  }
  buf_print(out, "```\n");
}

void help_print_markdown(Buf *out)
{
  buf_print(out,
            "# Command line\n\n"
            "<!-- Made by `tidemark help --markdown` from the command table; do not edit. -->\n\n"
            "Results go to stdout, everything else to stderr. The exit status is 0 when it was "
            "done, 1 when it failed and 2 when the command line was wrong. Every command takes:\n");
  print_markdown_options(GLOBAL_OPTIONS, out);
  buf_print(out, "\nIn tables and CSV, null, NaN and the empty string look different:\n\n"
                 "| value | table | csv | json |\n| --- | --- | --- | --- |\n"
                 "| null | `null` | nothing | `null` |\n"
                 "| NaN | `NaN` | `nan` | `NaN` |\n"
                 "| \"\" | `\"\"` | `\"\"` | `\"\"` |\n"
                 "| the text null | `\"null\"` | `null` | `\"null\"` |\n");
  for (size_t i = 0; COMMANDS[i].name; i++) {
    print_markdown_command(&COMMANDS[i], out);
  }
}
