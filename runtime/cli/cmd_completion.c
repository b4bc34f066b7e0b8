// completion: scripts for shells, made from the command table.

#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/print.h"

static void put_options(const Option *options, Buf *out)
{
  for (size_t i = 0; options && options[i].name; i++) {
    buf_print(out, " --%s", options[i].name);
    if (options[i].letter) {
      buf_print(out, " -%c", options[i].letter);
    }
  }
}

static void put_choices(const char *const *choices, Buf *out)
{
  for (size_t i = 0; choices[i]; i++) {
    buf_print(out, "%s%s", i ? " " : "", choices[i]);
  }
}

// Cases for the values of options that list them.
static void put_bash_values(const Option *options, Buf *out)
{
  for (size_t i = 0; options && options[i].name; i++) {
    if (options[i].choices) {
      buf_print(out, "    --%s) COMPREPLY=($(compgen -W '", options[i].name);
      put_choices(options[i].choices, out);
      buf_print(out, "' -- \"$word\")); return ;;\n");
    }
  }
}

static void put_command_names(Buf *out)
{
  for (size_t i = 0; COMMANDS[i].name; i++) {
    buf_print(out, "%s%s", i ? " " : "", COMMANDS[i].name);
  }
}

static void put_bash_command(const Command *command, Buf *out)
{
  buf_print(out, "    %s) options='", command->name);
  put_options(command->options, out);
  buf_print(out, "'; choices='");
  if (command->choices) {
    put_choices(command->choices, out);
  } else if (strcmp(command->name, "help") == 0) {
    put_command_names(out);
  }
  buf_print(out, "' ;;\n");
}

// What was applied is asked for when it is needed, from the project that the line names. What is
// tried and tested may not be applied yet: those names are looked for in the definitions.
static const char BASH_HEAD[] =
    "# tidemark completion for bash: source <(tidemark completion bash)\n"
    "_tidemark_names() {\n"
    "  tidemark \"$@\" list --format csv 2> /dev/null | tail -n +2 | cut -d, -f1\n"
    "}\n"
    "_tidemark_views() {\n"
    "  grep -rhoE --include='*.lua' \"^(on_demand_)?feature_view ['\\\"][A-Za-z0-9_]+\" "
    "\"$1/definitions\" 2> /dev/null |\n"
    "    tr -d '\\\"' | cut -d' ' -f2 | tr -d \"'\" | sort\n"
    "}\n"
    "_tidemark() {\n"
    "  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
    "  local command='' options='' choices='' i\n"
    "  local folder=.\n"
    "  local -a project=()\n"
    "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "    case ${COMP_WORDS[i]} in\n"
    "    -C|--project) folder=${COMP_WORDS[i+1]} ;;&\n"
    "    -C|--project|--store) project+=(\"${COMP_WORDS[i]}\" \"${COMP_WORDS[++i]}\") ;;\n"
    "    --format) ((i++)) ;;\n"
    "    -*) ;;\n"
    "    *) command=${COMP_WORDS[i]}; break ;;\n"
    "    esac\n"
    "  done\n"
    "  [[ $previous == '=' ]] && previous=${COMP_WORDS[COMP_CWORD-2]}\n"
    "  local names=''\n"
    "  case $previous in\n"
    "    --view|-v) names=feature-views ;;\n"
    "    --service|-s) names=feature-services ;;\n"
    "    describe) names=$command ;;\n"
    "  esac\n"
    "  case $command in\n"
    "    try|test) [[ $word == -* || $previous == -* ]] || {\n"
    "      COMPREPLY=($(compgen -W \"$(_tidemark_views \"$folder\")\" -- \"$word\"))\n"
    "      return\n"
    "    } ;;\n"
    "  esac\n"
    "  if [[ -n $names ]]; then\n"
    "    COMPREPLY=($(compgen -W \"$(_tidemark_names \"${project[@]}\" \"$names\")\" -- "
    "\"$word\"))\n"
    "    return\n"
    "  fi\n"
    "  case $previous in\n";

static void put_bash(Buf *out)
{
  buf_print(out, "%s", BASH_HEAD);
  put_bash_values(GLOBAL_OPTIONS, out);
  for (size_t i = 0; COMMANDS[i].name; i++) {
    put_bash_values(COMMANDS[i].options, out);
  }
  buf_print(out, "  esac\n  case $command in\n    '') choices='");
  put_command_names(out);
  buf_print(out, "' ;;\n");
  for (size_t i = 0; COMMANDS[i].name; i++) {
    put_bash_command(&COMMANDS[i], out);
  }
  buf_print(out, "  esac\n"
                 "  if [[ $word == -* ]]; then\n"
                 "    COMPREPLY=($(compgen -W \"$options");
  put_options(GLOBAL_OPTIONS, out);
  buf_print(out, "\" -- \"$word\"))\n"
                 "  elif [[ $previous != -* && -n $choices ]]; then\n"
                 "    COMPREPLY=($(compgen -W \"$choices\" -- \"$word\"))\n"
                 "  fi\n"
                 "}\n"
                 "complete -o default -F _tidemark tidemark\n");
}

// Text inside single quotes; zsh's _arguments also gives a meaning to brackets and colons.
static void put_quoted(const char *text, bool zsh, Buf *out)
{
  for (; *text; text++) {
    if (*text == '\'') {
      buf_print(out, "'\\''");
    } else {
      if (zsh && strchr("[]:\\", *text)) {
        buf_print(out, "\\");
      }
      buf_put_byte(out, (uint8_t)*text);
    }
  }
}

static void put_zsh_action(const Option *option, Buf *out)
{
  if (!option->metavar) {
    return;
  }
  buf_print(out, ":");
  put_quoted(option->metavar, true, out);
  buf_print(out, ":");
  if (option->choices) {
    buf_print(out, "(");
    put_choices(option->choices, out);
    buf_print(out, ")");
  } else if (strcmp(option->metavar, "FILE") == 0) {
    buf_print(out, "_files");
  } else if (strcmp(option->metavar, "DIR") == 0) {
    buf_print(out, "_files -/");
  }
}

// `'*--view[only this view]:VIEW:'`, once for each form of an option.
static void put_zsh_option(const Option *option, Buf *out)
{
  const char *star = option->repeatable ? "*" : "";
  for (int form = option->letter ? 0 : 1; form < 2; form++) {
    buf_print(out, " \\\n      '%s", star);
    if (form == 0) {
      buf_print(out, "-%c[", option->letter);
    } else {
      buf_print(out, "--%s[", option->name);
    }
    put_quoted(option->help, true, out);
    buf_print(out, "]");
    put_zsh_action(option, out);
    buf_print(out, "'");
  }
}

static void put_zsh_arguments(const Command *command, Buf *out)
{
  for (size_t i = 0; command && command->options && command->options[i].name; i++) {
    put_zsh_option(&command->options[i], out);
  }
  for (size_t i = 0; GLOBAL_OPTIONS[i].name; i++) {
    put_zsh_option(&GLOBAL_OPTIONS[i], out);
  }
}

static void put_zsh_command(const Command *command, Buf *out)
{
  buf_print(out, "  %s)\n    _arguments", command->name);
  put_zsh_arguments(command, out);
  if (command->choices) {
    buf_print(out, " \\\n      '1:argument:(");
    put_choices(command->choices, out);
    buf_print(out, ")'");
  }
  buf_print(out, " \\\n      '*:argument:_files' ;;\n");
}

static void put_zsh(Buf *out)
{
  buf_print(out, "#compdef tidemark\n"
                 "_tidemark() {\n"
                 "  local curcontext=$curcontext state line\n"
                 "  local -a commands\n"
                 "  commands=(\n");
  for (size_t i = 0; COMMANDS[i].name; i++) {
    buf_print(out, "    '%s:", COMMANDS[i].name);
    put_quoted(COMMANDS[i].summary, true, out);
    buf_print(out, "'\n");
  }
  buf_print(out, "  )\n  _arguments -C");
  put_zsh_arguments(NULL, out);
  buf_print(out, " \\\n      '1:command:->command' '*::argument:->argument'\n"
                 "  if [[ $state == command ]]; then\n"
                 "    _describe command commands\n"
                 "    return\n"
                 "  fi\n"
                 "  case $line[1] in\n");
  for (size_t i = 0; COMMANDS[i].name; i++) {
    put_zsh_command(&COMMANDS[i], out);
  }
  buf_print(out, "  esac\n}\n"
                 "if [[ $funcstack[1] == _tidemark ]]; then\n"
                 "  _tidemark \"$@\"\n"
                 "else\n"
                 "  compdef _tidemark tidemark\n"
                 "fi\n");
}

static void put_fish_options(const char *command, const Option *options, Buf *out)
{
  for (size_t i = 0; options && options[i].name; i++) {
    buf_print(out, "complete -c tidemark");
    if (command) {
      buf_print(out, " -n '__fish_seen_subcommand_from %s'", command);
    }
    buf_print(out, " -l %s", options[i].name);
    if (options[i].letter) {
      buf_print(out, " -s %c", options[i].letter);
    }
    if (options[i].metavar) {
      buf_print(out, " -r");
    }
    if (options[i].choices) {
      buf_print(out, " -f -a '");
      put_choices(options[i].choices, out);
      buf_print(out, "'");
    }
    buf_print(out, " -d '");
    put_quoted(options[i].help, false, out);
    buf_print(out, "'\n");
  }
}

static void put_fish(Buf *out)
{
  buf_print(out, "# tidemark completion for fish\n");
  put_fish_options(NULL, GLOBAL_OPTIONS, out);
  for (size_t i = 0; COMMANDS[i].name; i++) {
    buf_print(out, "complete -c tidemark -n __fish_use_subcommand -f -a %s -d '", COMMANDS[i].name);
    put_quoted(COMMANDS[i].summary, false, out);
    buf_print(out, "'\n");
  }
  for (size_t i = 0; COMMANDS[i].name; i++) {
    put_fish_options(COMMANDS[i].name, COMMANDS[i].options, out);
    if (COMMANDS[i].choices) {
      buf_print(out, "complete -c tidemark -n '__fish_seen_subcommand_from %s' -f -a '",
                COMMANDS[i].name);
      put_choices(COMMANDS[i].choices, out);
      buf_print(out, "'\n");
    }
  }
}

bool cmd_completion_run(Args *args, Error *err)
{
  static const struct {
    const char *shell;
    void (*put)(Buf *out);
  } SHELLS[] = {{"bash", put_bash}, {"zsh", put_zsh}, {"fish", put_fish}};
  for (size_t i = 0; i < sizeof(SHELLS) / sizeof(SHELLS[0]); i++) {
    if (strcmp(args->arguments[0], SHELLS[i].shell) == 0) {
      Buf out = {0};
      SHELLS[i].put(&out);
      print_out(stdout, &out);
      buf_deinit(&out);
      return true;
    }
  }
  return error_set(err, ERR_USAGE, "completion: unknown shell \"%s\", expected bash, zsh or fish",
                   args->arguments[0]);
}
