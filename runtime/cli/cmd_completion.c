// completion: a script for each shell, which asks this program what could complete the words of a
// line. What can stand where is read from the command table, names from what was applied.

#include <stdlib.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/session.h"
#include "host/files.h"

// Each calls "tidemark completion SHELL WORD..." with the words up to the cursor, an empty one
// where it stands behind a space, and offers files where nothing comes.
static const struct {
  const char *name;
  const char *script;
  const char *separator;  // before a description; NULL: none is shown
} SHELLS[] = {
    {"bash",
     "# tidemark completion for bash: source <(tidemark completion bash)\n"
     "_tidemark() {\n"
     "  mapfile -t COMPREPLY < <(\"$1\" completion bash \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
     "2> /dev/null)\n"
     "}\n"
     "complete -o default -F _tidemark tidemark\n",
     NULL},
    {"zsh",
     "#compdef tidemark\n"
     "_tidemark() {\n"
     "  local -a found\n"
     "  found=(${(f)\"$(${(Q)words[1]} completion zsh \"${(@Q)words[2,CURRENT]}\" "
     "2> /dev/null)\"})\n"
     "  if (( $#found )); then\n"
     "    _describe tidemark found\n"
     "  else\n"
     "    _files\n"
     "  fi\n"
     "}\n"
     "if [[ $funcstack[1] == _tidemark ]]; then\n"
     "  _tidemark \"$@\"\n"
     "else\n"
     "  compdef _tidemark tidemark\n"
     "fi\n",
     ":"},
    {"fish",
     "# tidemark completion for fish\n"
     "function __tidemark\n"
     "  set -l words (commandline -opc)\n"
     "  set -l last (commandline -ct)\n"
     "  set -l found ($words[1] completion fish $words[2..] \"$last\" 2> /dev/null)\n"
     "  if set -q found[1]\n"
     "    printf '%s\\n' $found\n"
     "  else\n"
     "    __fish_complete_path $last\n"
     "  end\n"
     "end\n"
     "complete -c tidemark -f -a '(__tidemark)'\n",
     "\t"},
};

typedef struct {
  const char *separator;
  const char *shell;
  const char *word;    // what stands there of the one that is completed
  const char *prefix;  // "--format=" where that is an option with its value; "" otherwise
  Args line;           // the words before it
  Buf out;
} Completing;

static void offer(Completing *it, const char *text, const char *description)
{
  if (strncmp(text, it->word, strlen(it->word)) != 0) {
    return;
  }
  buf_print(&it->out, "%s%s", it->prefix, text);
  if (it->separator && description && *description) {
    buf_print(&it->out, "%s%.*s", it->separator, (int)strcspn(description, "\n"), description);
  }
  buf_print(&it->out, "\n");
}

static void offer_choices(Completing *it, const char *const *choices)
{
  for (size_t i = 0; choices && choices[i]; i++) {
    offer(it, choices[i], NULL);
  }
}

static void offer_commands(Completing *it)
{
  for (size_t i = 0; COMMANDS[i].name; i++) {
    offer(it, COMMANDS[i].name, COMMANDS[i].summary);
  }
}

static void offer_options(Completing *it, const Option *options)
{
  for (size_t i = 0; options && options[i].name; i++) {
    offer(it, arena_print(it->line.arena, "--%s", options[i].name), options[i].help);
  }
}

// What was applied, of one kind: from the project, the store or the server that the line names.
static void offer_applied(Completing *it, const char *kind)
{
  Session session;
  Error ignored = {0};
  Params params = {0};
  Buf bytes = {0};
  MpReader answer;
  params_put_text(&params, "kind", kind);
  if (cli_enter_project(&it->line, &ignored) && session_open(&session, &it->line, &ignored)
      && session_call(&session, "list", &params, &bytes, &answer, &ignored)) {
    MpReader items;
    uint32_t count = result_list(answer, "items", &items);
    for (uint32_t i = 0; i < count; i++) {
      MpReader item = result_reader(result_take(&items));
      offer(it, arena_text(it->line.arena, result_text(item, "name")),
            arena_text(it->line.arena, result_text(item, "doc")));
    }
  }
  session_close(&session);
  params_deinit(&params);
  buf_deinit(&bytes);
}

// The view that a line of a definition declares; empty when it declares none.
static Slice declared_view(Slice line)
{
  static const char ON_DEMAND[] = "on_demand_";
  static const char WORD[] = "feature_view";
  const char *at = line.data;
  const char *end = line.data + line.size;
  at += strncmp(at, ON_DEMAND, sizeof(ON_DEMAND) - 1) == 0 ? sizeof(ON_DEMAND) - 1 : 0;
  if (strncmp(at, WORD, sizeof(WORD) - 1) != 0) {
    return (Slice){0};
  }
  at += sizeof(WORD) - 1;
  at += strspn(at, " (");
  if (at >= end || (*at != '\'' && *at != '"')) {
    return (Slice){0};
  }
  size_t size = strcspn(at + 1, "'\"\n");
  return at + 1 + size < end ? slice_of(at + 1, size) : (Slice){0};
}

// What is tried and tested need not be applied, nor be without mistakes: the files are not run.
static void offer_declared(Completing *it)
{
  DefinitionFiles files = {0};
  Error ignored = {0};
  if (!cli_enter_project(&it->line, &ignored)
      || !files_read(".", &files, it->line.arena, &ignored)) {
    return;
  }
  for (size_t i = 0; i < files.count; i++) {
    // A copy ends with a zero, which the text need not.
    const char *at = arena_text(it->line.arena, files.items[i].text);
    while (*at) {
      size_t size = strcspn(at, "\n");
      Slice name = declared_view(slice_of(at, size));
      if (name.size) {
        offer(it, arena_text(it->line.arena, name), NULL);
      }
      at += size + (at[size] == '\n');
    }
  }
}

static void offer_names(Completing *it, Names names)
{
  switch (names) {
  case NAMES_NONE:
    return;
  case NAMES_COMMANDS:
    offer_commands(it);
    return;
  case NAMES_DECLARED:
    offer_declared(it);
    return;
  case NAMES_VIEWS:
    offer_applied(it, "feature_views");
    return;
  case NAMES_SERVICES:
    offer_applied(it, "feature_services");
    return;
  }
}

static void offer_argument(Completing *it)
{
  const Command *command = it->line.command;
  const char *first = it->line.argument_count ? it->line.arguments[0] : NULL;
  if (!first) {
    offer_choices(it, command->choices);
  }
  if (!first || (command->names == NAMES_DECLARED && command->most > 1)) {
    offer_names(it, command->names);
  } else if (command->run == cmd_catalogue_run && strcmp(first, "describe") == 0
             && it->line.argument_count == 1) {
    offer_applied(it, commands_kind(command, it->line.arena));
  }
}

// The option whose value comes next, behind `word`; NULL when none is wanted.
static const Option *option_before(const Completing *it, const char *word)
{
  const Option *option = NULL;
  if (strncmp(word, "--", 2) == 0) {
    option = args_option(&it->line, slice_text(word + 2), '\0');
  } else if (word[0] == '-' && word[1]) {
    option = args_option(&it->line, (Slice){0}, word[strlen(word) - 1]);
  }
  return option && option->metavar ? option : NULL;
}

// `option`: what the word is a value of; NULL where it is none.
static void offer_all(Completing *it, const Option *option)
{
  const Command *command = it->line.command;
  if (option) {
    offer_choices(it, option->choices);
    offer_names(it, option->names);
  } else if (command && command->rest != REST_OURS
             && (command->rest == REST_ALL || it->line.argument_count)) {
    return;  // a script's own
  } else if (it->word[0] == '-') {
    offer_options(it, command ? command->options : NULL);
    offer_options(it, GLOBAL_OPTIONS);
  } else if (command) {
    offer_argument(it);
  } else {
    offer_commands(it);
  }
}

// `--format=js`: its value is completed. To bash that is a word of its own.
static const Option *split_at_equals(Completing *it)
{
  const char *equals = strncmp(it->word, "--", 2) == 0 ? strchr(it->word, '=') : NULL;
  if (!equals) {
    return NULL;
  }
  Slice name = slice_of(it->word + 2, (size_t)(equals - it->word) - 2);
  bool bash = strcmp(it->shell, "bash") == 0;
  it->prefix = bash ? "" : arena_text(it->line.arena, slice_of(it->word, name.size + 3));
  it->word = equals + 1;
  return args_option(&it->line, name, '\0');
}

// bash gives `--format=json` as three words.
static size_t join_at_equals(char **words, size_t count, Arena *arena)
{
  size_t kept = 1;
  for (size_t i = 1; i < count; i++) {
    bool follows = strcmp(words[i], "=") == 0 && strncmp(words[kept - 1], "--", 2) == 0;
    if (follows) {
      const char *value = i + 1 < count ? words[++i] : "";
      words[kept - 1] =
          arena_text(arena, slice_text(arena_print(arena, "%s=%s", words[kept - 1], value)));
    } else {
      words[kept++] = words[i];
    }
  }
  return kept;
}

// A path is as it was typed: the shell has not made it one yet.
static void open_home(Args *line)
{
  const char *home = getenv("HOME");
  for (size_t i = 0; i < line->given_count; i++) {
    const char *value = line->given[i].value;
    if (home && value && strncmp(value, "~/", 2) == 0) {
      line->given[i].value = arena_print(line->arena, "%s%s", home, value + 1);
    }
  }
}

static void complete(Completing *it, const Args *args)
{
  size_t count = args->argument_count;
  char **words = arena_zalloc(args->arena, count + 1, sizeof(*words));
  words[0] = arena_text(args->arena, slice_text("tidemark"));
  for (size_t i = 1; i < count; i++) {
    words[i] = arena_text(args->arena, slice_text(args->arguments[i]));
  }
  count = join_at_equals(words, count, args->arena);
  it->word = words[count - 1];
  Error ignored = {0};
  bool good = args_parse(&it->line, (int)count - 1, words, args->arena, &ignored);
  open_home(&it->line);
  // Of a line that is right so far only the last option's value can be missing.
  const Option *option = good ? split_at_equals(it) : option_before(it, words[count - 2]);
  if (good || option) {
    offer_all(it, option);
  }
}

bool cmd_completion_run(Args *args, Error *err)
{
  for (size_t i = 0; i < sizeof(SHELLS) / sizeof(SHELLS[0]); i++) {
    if (strcmp(args->arguments[0], SHELLS[i].name) != 0) {
      continue;
    }
    Completing it = {
        .shell = SHELLS[i].name, .separator = SHELLS[i].separator, .prefix = "", .word = ""};
    if (args->argument_count > 1) {
      complete(&it, args);
    } else {
      buf_print(&it.out, "%s", SHELLS[i].script);
    }
    print_out(stdout, &it.out);
    buf_deinit(&it.out);
    return true;
  }
  return error_set(err, ERR_USAGE, "completion: unknown shell \"%s\", expected bash, zsh or fish",
                   args->arguments[0]);
}
