#include "cli/args.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/size.h"
#include "cli/commands.h"
#include "data/catalog.h"
#include "rpc/address.h"

#define YEAR (INT64_C(365) * 86400 * 1000000)  // microseconds

// Where parsing stands in argv.
typedef struct {
  char **argv;
  size_t count;
  size_t at;
  bool only_arguments;  // after `--`
} Cursor;

static size_t count_options(const Option *options)
{
  size_t count = 0;
  while (options && options[count].name) {
    count++;
  }
  return count;
}

static const Option *find_in(const Option *options, Slice name, char letter)
{
  for (size_t i = 0; options && options[i].name; i++) {
    if (letter ? options[i].letter == letter : slice_is(name, options[i].name)) {
      return &options[i];
    }
  }
  return NULL;
}

// The command's own options come first: they may use a global one's letter.
const Option *args_option(const Args *args, Slice name, char letter)
{
  const Option *own = args->command ? args->command->options : NULL;
  const Option *found = find_in(own, name, letter);
  return found ? found : find_in(GLOBAL_OPTIONS, name, letter);
}

static bool unknown_option(const Args *args, Slice name, Error *err)
{
  const Option *lists[] = {args->command ? args->command->options : NULL, GLOBAL_OPTIONS};
  size_t most = count_options(lists[0]) + count_options(lists[1]);
  const char **known = arena_zalloc(args->arena, most + 1, sizeof(*known));
  size_t count = 0;
  for (size_t list = 0; list < 2; list++) {
    for (const Option *option = lists[list]; option && option->name; option++) {
      known[count++] = option->name;
    }
  }
  const char *near = catalog_suggest(name, known, count);
  const char *where = args->command ? "" : " before the command";
  if (near) {
    return error_set(err, ERR_USAGE, "unknown option \"--%.*s\"%s, did you mean \"--%s\"?",
                     (int)name.size, name.data, where, near);
  }
  return error_set(err, ERR_USAGE, "unknown option \"--%.*s\"%s", (int)name.size, name.data, where);
}

static bool unknown_command(const char *name, Error *err)
{
  const char *known[64];
  size_t count = 0;
  for (; COMMANDS[count].name && count < sizeof(known) / sizeof(known[0]); count++) {
    known[count] = COMMANDS[count].name;
  }
  const char *near = catalog_suggest(slice_text(name), known, count);
  if (near) {
    return error_set(err, ERR_USAGE, "unknown command \"%s\", did you mean \"%s\"?", name, near);
  }
  return error_set(err, ERR_USAGE, "unknown command \"%s\": `tidemark help` lists them", name);
}

static bool check_choice(const Option *option, const char *value, Error *err)
{
  if (!option->choices) {
    return true;
  }
  char listed[128] = "";
  for (size_t i = 0; option->choices[i]; i++) {
    if (strcmp(option->choices[i], value) == 0) {
      return true;
    }
    strncat(listed, i ? ", " : "", sizeof(listed) - strlen(listed) - 1);
    strncat(listed, option->choices[i], sizeof(listed) - strlen(listed) - 1);
  }
  return error_set(err, ERR_USAGE, "--%s: unknown value \"%s\", expected one of %s", option->name,
                   value, listed);
}

// Digits only: strtoull alone would take signs and spaces.
static bool parse_number(const char *text, uint64_t *value)
{
  errno = 0;
  *value = strtoull(text, NULL, 10);
  return *text && !text[strspn(text, "0123456789")] && errno == 0;
}

// False for what is no integer.
static bool parse_microseconds(const char *text, int64_t *time)
{
  const char *digits = text + (*text == '-');
  if (!*digits || digits[strspn(digits, "0123456789")]) {
    return false;
  }
  errno = 0;
  *time = strtoll(text, NULL, 10);
  return errno == 0 && *time != TIME_NULL;
}

// A year, a date without its dashes, seconds or milliseconds: as microseconds all of them lie in
// 1970, where nobody's data does.
static bool refuse_small(const char *text, const char *what, int64_t time, Error *err)
{
  char printed[CLOCK_TEXT_SIZE];
  size_t size = clock_print(time, printed);
  return error_set(err, ERR_USAGE,
                   "%s: %s microseconds are %.*s: write the time as 2021-04-12 or "
                   "2021-04-12T07:00:00Z",
                   what, text, (int)size, printed);
}

bool args_parse_time(const char *text, const char *what, int64_t *time, Error *err)
{
  Error inner = {0};
  if (strcmp(text, "now") == 0) {
    *time = clock_now();
    return true;
  }
  if (parse_microseconds(text, time)) {
    return *time == 0 || *time <= -YEAR || *time >= YEAR || refuse_small(text, what, *time, err);
  }
  return clock_parse(slice_text(text), time, &inner)
         || error_set(err, ERR_USAGE, "%s: %s", what, inner.message);
}

static bool check_number(const Option *option, const char *value, Error *err)
{
  uint64_t most = option->most ? option->most : UINT32_MAX;
  uint64_t number;
  return (parse_number(value, &number) && number >= option->least && number <= most)
         || error_set(err, ERR_USAGE, "--%s: expected a whole number from %llu to %llu, got \"%s\"",
                      option->name, (unsigned long long)option->least, (unsigned long long)most,
                      value);
}

// Where 0 is allowed it stands for none at all.
static bool parse_size(const char *text, uint64_t *value)
{
  *value = 0;
  return strcmp(text, "0") == 0 || size_parse(text, value);
}

static bool check_size(const Option *option, const char *value, Error *err)
{
  uint64_t size;
  if (!parse_size(value, &size) || (size == 0 && option->least)) {
    return error_set(err, ERR_USAGE, "--%s: expected a size such as 1048576 or 64MiB, got \"%s\"",
                     option->name, value);
  }
  if (size < option->least) {
    bool mib = option->least >> 20 > 0;
    return error_set(err, ERR_USAGE, "--%s: expected a size of %llu %s or more, got \"%s\"",
                     option->name, (unsigned long long)(mib ? option->least >> 20 : option->least),
                     mib ? "MiB" : "bytes", value);
  }
  return !option->most || size <= option->most
         || error_set(err, ERR_USAGE, "--%s: expected a size of at most %llu GiB, got \"%s\"",
                      option->name, (unsigned long long)option->most >> 30, value);
}

static bool check_time(const Option *option, const char *value, Error *err)
{
  int64_t ignored;
  char what[64];
  snprintf(what, sizeof(what), "--%s", option->name);
  return args_parse_time(value, what, &ignored, err);
}

static bool check_address(const Option *option, const char *value, Error *err)
{
  Address ignored;
  Error inner = {0};
  return address_parse(value, &ignored, &inner)
         || error_set(err, ERR_USAGE, "--%s: %s", option->name, inner.message);
}

static bool check_value(const Option *option, const char *value, Error *err)
{
  switch (option->value) {
  case VALUE_TEXT:
    return check_choice(option, value, err);
  case VALUE_NUMBER:
    return check_number(option, value, err);
  case VALUE_SIZE:
    return check_size(option, value, err);
  case VALUE_TIME:
    return check_time(option, value, err);
  case VALUE_ADDRESS:
    return check_address(option, value, err);
  }
  return true;
}

static bool add_given(Args *args, const Option *option, const char *value, Error *err)
{
  // `--view "$VIEW"` of a variable that is not set does not mean all views.
  if (value && !*value) {
    return error_set(err, ERR_USAGE, "--%s: its value is empty, expected %s", option->name,
                     option->metavar);
  }
  if (value && !check_value(option, value, err)) {
    return false;
  }
  args->given[args->given_count++] = (Given){option, value};
  return true;
}

static bool parse_long(Args *args, Cursor *cursor, Error *err)
{
  const char *text = cursor->argv[cursor->at++] + 2;
  const char *equals = strchr(text, '=');
  Slice name = slice_of(text, equals ? (size_t)(equals - text) : strlen(text));
  const Option *option = args_option(args, name, '\0');
  if (!option) {
    return unknown_option(args, name, err);
  }
  if (!option->metavar) {
    return equals ? error_set(err, ERR_USAGE, "--%s takes no value", option->name)
                  : add_given(args, option, NULL, err);
  }
  if (equals) {
    return add_given(args, option, equals + 1, err);
  }
  if (cursor->at == cursor->count) {
    return error_set(err, ERR_USAGE, "--%s needs a value: --%s %s", option->name, option->name,
                     option->metavar);
  }
  return add_given(args, option, cursor->argv[cursor->at++], err);
}

// `-q`, `-C dir`, `-Cdir`; switches may be joined.
static bool parse_short(Args *args, Cursor *cursor, Error *err)
{
  const char *text = cursor->argv[cursor->at++] + 1;
  for (; *text; text++) {
    const Option *option = args_option(args, (Slice){0}, *text);
    if (!option) {
      return error_set(err, ERR_USAGE, "unknown option \"-%c\"", *text);
    }
    if (!option->metavar) {
      if (!add_given(args, option, NULL, err)) {
        return false;
      }
      continue;
    }
    if (text[1]) {
      return add_given(args, option, text + 1, err);
    }
    if (cursor->at == cursor->count) {
      return error_set(err, ERR_USAGE, "-%c needs a value: -%c %s", *text, *text, option->metavar);
    }
    return add_given(args, option, cursor->argv[cursor->at++], err);
  }
  return true;
}

static void take_rest(Args *args, Cursor *cursor)
{
  while (cursor->at < cursor->count) {
    args->arguments[args->argument_count++] = cursor->argv[cursor->at++];
  }
}

static bool parse_word(Args *args, Cursor *cursor, Error *err)
{
  const char *text = cursor->argv[cursor->at++];
  if (args->command) {
    args->arguments[args->argument_count++] = text;
    if (args->command->rest == REST_AFTER_FIRST) {
      take_rest(args, cursor);
    }
    return true;
  }
  args->command = commands_find(text);
  if (!args->command) {
    return unknown_command(text, err);
  }
  // An interpreter has options of its own; only its help is ours.
  if (args->command->rest == REST_ALL
      && !(cursor->at < cursor->count && strcmp(cursor->argv[cursor->at], "--help") == 0)) {
    take_rest(args, cursor);
  }
  return true;
}

static bool parse_next(Args *args, Cursor *cursor, Error *err)
{
  const char *text = cursor->argv[cursor->at];
  if (cursor->only_arguments || text[0] != '-' || text[1] == '\0') {
    return parse_word(args, cursor, err);
  }
  if (strcmp(text, "--") == 0) {
    cursor->only_arguments = true;
    cursor->at++;
    return true;
  }
  return text[1] == '-' ? parse_long(args, cursor, err) : parse_short(args, cursor, err);
}

bool args_check_arguments(const Args *args, Error *err)
{
  const Command *command = args->command;
  if (!command || args->help || args->version) {
    return true;
  }
  if (args->argument_count < command->least) {
    return error_set(err, ERR_USAGE, "%s: an argument is missing: tidemark %s %s", command->name,
                     command->name, command->arguments);
  }
  if (args->argument_count > command->most && command->rest == REST_OURS) {
    return error_set(err, ERR_USAGE, "%s: unexpected argument \"%s\"", command->name,
                     args->arguments[command->most]);
  }
  // `tidemark init "$DIR"` of a variable that is not set does not mean the root.
  for (size_t i = 0; i < args->argument_count && command->rest == REST_OURS; i++) {
    if (!*args->arguments[i]) {
      return error_set(err, ERR_USAGE, "%s: an argument is empty: tidemark %s %s", command->name,
                       command->name, command->arguments);
    }
  }
  return true;
}

bool args_parse(Args *args, int argc, char **argv, Arena *arena, Error *err)
{
  size_t count = argc > 0 ? (size_t)argc : 0;
  *args = (Args){
      .arguments = arena_zalloc(arena, count + 1, sizeof(*args->arguments)),
      // A word of joined switches may give more options than argv has words.
      .arena = arena,
  };
  size_t most_given = count;
  for (size_t i = 1; i < count; i++) {
    most_given += strlen(argv[i]);
  }
  args->given = arena_zalloc(arena, most_given + 1, sizeof(*args->given));

  Cursor cursor = {.argv = argv, .count = count, .at = 1};
  bool good = true;
  while (good && cursor.at < cursor.count) {
    good = parse_next(args, &cursor, err);
  }
  args->help = args_has(args, "help");
  args->version = args_has(args, "version");
  args->quiet = args_has(args, "quiet");
  const char *format = args_value(args, "format");
  args->format = !format                       ? FORMAT_TABLE
                 : strcmp(format, "json") == 0 ? FORMAT_JSON
                 : strcmp(format, "csv") == 0  ? FORMAT_CSV
                                               : FORMAT_TABLE;
  return good;
}

bool args_has(const Args *args, const char *name)
{
  for (size_t i = 0; i < args->given_count; i++) {
    if (strcmp(args->given[i].option->name, name) == 0) {
      return true;
    }
  }
  return false;
}

const char *args_value(const Args *args, const char *name)
{
  for (size_t i = args->given_count; i-- > 0;) {
    if (strcmp(args->given[i].option->name, name) == 0) {
      return args->given[i].value;
    }
  }
  return NULL;
}

TextList args_values(const Args *args, const char *name)
{
  TextList list = {arena_zalloc(args->arena, args->given_count + 1, sizeof(*list.items)), 0};
  for (size_t i = 0; i < args->given_count; i++) {
    if (strcmp(args->given[i].option->name, name) == 0) {
      list.items[list.count++] = args->given[i].value;
    }
  }
  return list;
}

void args_split(const char *text, TextList *out, Arena *arena)
{
  size_t parts = 1;
  for (const char *at = text; *at; at++) {
    parts += *at == ',';
  }
  const char **items = arena_zalloc(arena, out->count + parts, sizeof(*items));
  if (out->count) {
    memcpy(items, out->items, out->count * sizeof(*items));
  }
  out->items = items;
  for (const char *at = text;; at++) {
    size_t size = strcspn(at, ",");
    if (size) {
      out->items[out->count++] = arena_text(arena, slice_of(at, size));
    }
    at += size;
    if (!*at) {
      return;
    }
  }
}

TextList args_listed(const Args *args, const char *name)
{
  TextList given = args_values(args, name);
  TextList list = {0};
  for (size_t i = 0; i < given.count; i++) {
    args_split(given.items[i], &list, args->arena);
  }
  return list;
}

bool args_references(const Args *args, TextList *out, Error *err)
{
  *out = args_listed(args, "features");
  for (size_t i = 0; i < args->argument_count; i++) {
    args_split(args->arguments[i], out, args->arena);
  }
  for (size_t i = 0; i < out->count; i++) {
    const char *colon = strchr(out->items[i], ':');
    if (!colon || colon == out->items[i] || !colon[1]) {
      return error_set(err, ERR_USAGE, "\"%s\" is no feature: expected view:feature or view:*",
                       out->items[i]);
    }
  }
  return true;
}

uint64_t args_number(const Args *args, const char *name, uint64_t fallback)
{
  const char *text = args_value(args, name);
  uint64_t value = 0;
  return text && parse_number(text, &value) ? value : fallback;
}

uint64_t args_size(const Args *args, const char *name, uint64_t fallback)
{
  const char *text = args_value(args, name);
  uint64_t value = 0;
  return text && parse_size(text, &value) ? value : fallback;
}

bool args_time(const Args *args, const char *name, int64_t *time)
{
  const char *text = args_value(args, name);
  Error checked = {0};
  return text && args_parse_time(text, name, time, &checked);
}
