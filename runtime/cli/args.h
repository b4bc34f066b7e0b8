#pragma once
// Arguments as data: what a command takes, and what one invocation gave. Parsing, help, the
// reference page and shell completion all read the same tables (cli/commands.c).

#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

typedef enum { FORMAT_TABLE, FORMAT_JSON, FORMAT_CSV } Format;

typedef enum {
  VALUE_TEXT,
  VALUE_NUMBER,   // a whole one, from `least` to `most`
  VALUE_SIZE,     // of so many bytes: "64MiB", "64M", "1024"
  VALUE_TIME,     // ISO-8601, an integer of microseconds, or `now`
  VALUE_ADDRESS,  // "127.0.0.1:6570"
} ValueKind;

// Names that shells complete.
typedef enum {
  NAMES_NONE,
  NAMES_COMMANDS,
  NAMES_DECLARED,  // views of the definitions folder
  NAMES_VIEWS,     // feature views that were applied
  NAMES_SERVICES,
} Names;

// What a value has to be is checked when the command line is read, before anything is opened.
typedef struct {
  const char *name;            // long form without its dashes; NULL ends a list
  const char *metavar;         // name of its value; NULL: a switch
  const char *help;            // lower case, no full stop
  const char *const *choices;  // NULL-terminated values it may have; NULL: any
  char letter;                 // short form, '\0' for none
  bool repeatable;             // every value counts, not only the last one
  ValueKind value;
  Names names;
  uint64_t least;  // of numbers and sizes
  uint64_t most;   // 0: UINT32_MAX of numbers, any size
} Option;

// What belongs to somebody else, unparsed.
typedef enum {
  REST_OURS,
  REST_AFTER_FIRST,  // all that follows the first argument: a script's
  REST_ALL,          // all that follows the command's name
} Rest;

typedef struct Args Args;

typedef struct {
  const char *name;       // NULL ends a list
  const char *arguments;  // "START END"; "" for none
  size_t least;           // arguments
  size_t most;
  const char *summary;          // one line, lower case, no full stop
  const char *details;          // sentences for --help; NULL: none
  const Option *options;        // NULL: only the global ones
  const char *const *examples;  // NULL-terminated
  const char *const *choices;   // of the first argument, NULL-terminated; NULL: any
  Names names;                  // of the first argument
  Rest rest;
  // Runs it. Sets args->status where a done command's exit status is not 0.
  bool (*run)(Args *args, Error *err);
} Command;

typedef struct {
  const Option *option;
  const char *value;  // NULL for a switch
} Given;

struct Args {
  const Command *command;  // NULL: none was named
  const char **arguments;
  size_t argument_count;
  Given *given;
  size_t given_count;
  Format format;
  bool quiet;
  bool help;
  bool version;
  int status;
  Arena *arena;  // everything here, and what commands make
};

// Reads argv. On failure what was understood so far is there, so that the message can point to the
// command's help. Texts are borrowed from argv.
bool args_parse(Args *args, int argc, char **argv, Arena *arena, Error *err);

// Whether as many arguments are there as the command takes, and each says something.
bool args_check_arguments(const Args *args, Error *err);

// An option that may stand on this line, by its name or its letter; NULL when there is none.
const Option *args_option(const Args *args, Slice name, char letter);

bool args_has(const Args *args, const char *name);
const char *args_value(const Args *args, const char *name);  // the last one; NULL when not given

typedef struct {
  const char **items;
  size_t count;
} TextList;

// Every value of a repeatable option, in order.
TextList args_values(const Args *args, const char *name);

// The same, where one value may list several, parted by commas: `-f a:x,a:y -f b:z`.
TextList args_listed(const Args *args, const char *name);

// References to features, `view:feature` or `view:*`: those of --features, then the arguments.
bool args_references(const Args *args, TextList *out, Error *err);

// Splits at commas; empty parts are dropped.
void args_split(const char *text, TextList *out, Arena *arena);

// Values of options of that kind; `fallback` when the option was not given.
uint64_t args_number(const Args *args, const char *name, uint64_t fallback);
uint64_t args_size(const Args *args, const char *name, uint64_t fallback);

// The same of a time; false when it was not given.
bool args_time(const Args *args, const char *name, int64_t *time);

// An argument as such a time. `what` is for messages.
bool args_parse_time(const char *text, const char *what, int64_t *time, Error *err);
