#include "cli/commands.h"

#include <stdint.h>
#include <string.h>

#include "base/parallel.h"
#include "engine/engine.h"
#include "rpc/frame.h"

enum {
  LEAST_FRAME = 64,     // bytes: no request is smaller
  LEAST_OUTPUT = 1024,  // an error has to fit
  LIMIT_MOST = 100000,  // rows that `try` shows
  MOST = 1000000000,    // of anything else that is counted
};
#define MOST_BYTES (UINT64_C(1) << 40)

static const char *const FORMATS[] = {"table", "json", "csv", NULL};
static const char *const TIME_UNITS[] = {"s", "ms", "us", "ns", NULL};
static const char *const BAD_ROWS[] = {"fail", "reject", NULL};
static const char *const SHELLS[] = {"bash", "zsh", "fish", NULL};
static const char *const CATALOGUE_ACTIONS[] = {"list", "describe", NULL};

const Option GLOBAL_OPTIONS[] = {
    {.name = "project",
     .letter = 'C',
     .metavar = "DIR",
     .help = "work in this folder; paths on the command line start there too"},
    {.name = "store",
     .metavar = "DIR",
     .help = "folder of the store (default: $TIDEMARK_STORE, then .tidemark/store)"},
    {.name = "map-size",
     .metavar = "SIZE",
     .value = VALUE_SIZE,
     .least = ENGINE_MAP_LEAST,
     .help = "bytes that the store may grow to (default: $TIDEMARK_MAP_SIZE, then 256GiB, or more "
             "where the store was given more)"},
    {.name = "format",
     .metavar = "FORMAT",
     .help = "how data is printed: table, json or csv",
     .choices = FORMATS},
    {.name = "quiet", .letter = 'q', .help = "print results and errors only"},
    {.name = "help", .letter = 'h', .help = "show help, of a command where one is named"},
    {.name = "version", .help = "show the version"},
    {0},
};

#define OPTION_CONNECT                                                 \
  {                                                                    \
    .name = "connect", .metavar = "HOST:PORT", .value = VALUE_ADDRESS, \
    .help = "ask a server instead of the local store"                  \
  }
#define OPTION_SERVICE                                                            \
  {                                                                               \
    .name = "service", .letter = 's', .metavar = "NAME", .names = NAMES_SERVICES, \
    .help = "features of a feature_service"                                       \
  }
#define OPTION_FULL_NAMES                                                \
  {                                                                      \
    .name = "full-feature-names",                                        \
    .help = "name every column view__feature, not only where it must be" \
  }
#define OPTION_VIEW                                                         \
  {                                                                         \
    .name = "view", .letter = 'v', .metavar = "VIEW", .names = NAMES_VIEWS, \
    .help = "only this view; may be repeated", .repeatable = true           \
  }
#define OPTION_MEMORY                                                                       \
  {                                                                                         \
    .name = "memory", .metavar = "SIZE", .value = VALUE_SIZE, .least = ENGINE_MEMORY_LEAST, \
    .help = "memory for the job (default: 1GiB)"                                            \
  }
#define OPTION_THREADS                                                                          \
  {                                                                                             \
    .name = "threads", .metavar = "N", .value = VALUE_NUMBER, .least = 1, .most = PARALLEL_MAX, \
    .help = "threads for the job (default: all there are)"                                      \
  }

#define OPTIONS_BAD_ROWS                                                                   \
  {.name = "on-bad-row",                                                                   \
   .metavar = "WHAT",                                                                      \
   .help = "what becomes of a source's row with a value that does not fit its type: fail " \
           "(default), or reject: it is counted and left out",                             \
   .choices = BAD_ROWS},                                                                   \
  {                                                                                        \
    .name = "rejects", .metavar = "FILE", .help = "write those values to a .jsonl file"    \
  }

static const Option APPLY_OPTIONS[] = {
    {.name = "allow-incompatible",
     .help = "also make changes that break what reads the old definitions, or that drop data"},
    {0},
};

#define OPTION_WATCH                                                                     \
  {                                                                                      \
    .name = "watch", .help = "again whenever a file below definitions/ or lib/ is saved" \
  }

static const Option TRY_OPTIONS[] = {
    {.name = "rows",
     .metavar = "FILE",
     .help =
         "rows to try it on, in the columns of the view's source; an on-demand view needs them, "
         "in the columns of its inputs and request"},
    {.name = "limit",
     .metavar = "N",
     .value = VALUE_NUMBER,
     .least = 1,
     .most = LIMIT_MOST,
     .help = "rows that are shown (default: 10)"},
    {.name = "where-failed", .help = "only rows that the functions fail on"},
    OPTION_WATCH,
    {0},
};

static const Option TEST_OPTIONS[] = {OPTION_WATCH, {0}};

static const Option HISTORY_OPTIONS[] = {
    {.name = "spine",
     .metavar = "FILE",
     .help = "rows to find features for: .parquet, .csv, .json, .jsonl or .msgpack"},
    {.name = "features",
     .letter = 'f',
     .metavar = "REF[,REF...]",
     .help = "features as view:feature or view:*; may be repeated",
     .repeatable = true},
    OPTION_SERVICE,
    {.name = "output",
     .letter = 'o',
     .metavar = "FILE",
     .help = "training set to write; its extension says the format"},
    {.name = "timestamp",
     .metavar = "COLUMN",
     .help = "the spine's time column (default: event_timestamp)"},
    {.name = "time-unit",
     .metavar = "UNIT",
     .help = "unit of that column where it is an integer: s, ms, us or ns",
     .choices = TIME_UNITS},
    {.name = "map",
     .metavar = "VIEW.KEY=COLUMN",
     .help = "spine column that a view (or role) takes its key from; may be repeated",
     .repeatable = true},
    {.name = "as-of-created",
     .metavar = "TIME",
     .value = VALUE_TIME,
     .help = "ignore rows created later: the training set as it would have been then"},
    OPTION_FULL_NAMES,
    {.name = "statuses", .help = "add a column <feature>__status after each feature"},
    {.name = "event-timestamps", .help = "add a column <view>__event_timestamp after each view"},
    OPTIONS_BAD_ROWS,
    OPTION_MEMORY,
    OPTION_THREADS,
    {0},
};

static const Option MATERIALIZE_OPTIONS[] = {
    OPTION_VIEW, OPTIONS_BAD_ROWS, OPTION_MEMORY, OPTION_THREADS, {0},
};

static const Option ONLINE_OPTIONS[] = {
    {.name = "entity",
     .letter = 'e',
     .metavar = "KEY=VALUE[,VALUE...]",
     .help = "values of a key, one per row; may be repeated",
     .repeatable = true},
    {.name = "request",
     .letter = 'r',
     .metavar = "NAME=VALUE[,VALUE...]",
     .help = "request columns of on-demand views, one value per row; may be repeated",
     .repeatable = true},
    {.name = "features",
     .letter = 'f',
     .metavar = "REF[,REF...]",
     .help = "features as view:feature or view:*; may be repeated",
     .repeatable = true},
    OPTION_SERVICE,
    {.name = "now",
     .metavar = "TIME",
     .value = VALUE_TIME,
     .help = "time at which ttl is judged (default: now)"},
    {.name = "statuses", .help = "add a column <feature>__status after each feature"},
    {.name = "event-timestamps",
     .help = "add a column <feature>__event_timestamp after each feature"},
    OPTION_FULL_NAMES,
    {.name = "map",
     .metavar = "VIEW.KEY=COLUMN",
     .help = "name under which -e gives the key of a view (or role); may be repeated",
     .repeatable = true},
    OPTION_CONNECT,
    {0},
};

static const char *const PUSH_TARGETS[] = {"online", "offline", "both", NULL};
static const char *const DURABILITIES[] = {"full", "relaxed", NULL};

#define OPTION_DURABILITY                                                   \
  {                                                                         \
    .name = "durability", .metavar = "MODE", .choices = DURABILITIES,       \
    .help = "answer pushes once on the disk (full) or before it (relaxed; " \
            "default: full)"                                                \
  }

static const Option PUSH_OPTIONS[] = {
    {.name = "to",
     .metavar = "WHERE",
     .choices = PUSH_TARGETS,
     .help = "what the rows are for: online, offline or both (default: both)"},
    {.name = "connect",
     .metavar = "HOST:PORT",
     .value = VALUE_ADDRESS,
     .help = "push through a server; needed while one serves the store"},
    OPTION_DURABILITY,
    {0},
};

static const Option SERVE_OPTIONS[] = {
    OPTION_DURABILITY,
    {.name = "listen",
     .metavar = "HOST:PORT",
     .value = VALUE_ADDRESS,
     .help = "address; port 0 takes a free one (default: 127.0.0.1:6570)"},
    {.name = "metrics",
     .metavar = "HOST:PORT",
     .value = VALUE_ADDRESS,
     .help = "serve /metrics and /healthz over HTTP there (default: no)"},
    {.name = "threads",
     .metavar = "N",
     .value = VALUE_NUMBER,
     .least = 1,
     .most = PARALLEL_MAX,
     .help = "threads that answer requests (default: one per processor)"},
    {.name = "cache",
     .metavar = "SIZE",
     .value = VALUE_SIZE,
     .most = MOST_BYTES,
     .help = "memory for rows that are asked for often, all threads together; 0 for none "
             "(default: 256MiB)"},
    {.name = "max-frame",
     .metavar = "SIZE",
     .value = VALUE_SIZE,
     .least = LEAST_FRAME,
     .most = MOST_BYTES,
     .help = "largest request (default: 16MiB)"},
    {.name = "max-depth",
     .metavar = "N",
     .value = VALUE_NUMBER,
     .least = 1,
     .most = FRAME_DEPTH_MAX,
     .help = "deepest nesting of a request (default: 16)"},
    {.name = "max-rows",
     .metavar = "N",
     .value = VALUE_NUMBER,
     .least = 1,
     .most = MOST,
     .help = "entities of one request (default: 10000)"},
    {.name = "max-connections",
     .metavar = "N",
     .value = VALUE_NUMBER,
     .least = 1,
     .most = MOST,
     .help = "connections at one time (default: 10000)"},
    {.name = "max-output",
     .metavar = "SIZE",
     .value = VALUE_SIZE,
     .least = LEAST_OUTPUT,
     .most = MOST_BYTES,
     .help = "largest answer, and answers waiting for a slow reader before it is cut off "
             "(default: 64MiB)"},
    {.name = "max-queue",
     .metavar = "SIZE",
     .value = VALUE_SIZE,
     .least = 1,
     .most = MOST_BYTES,
     .help = "pushes that wait for the disk before more are refused (default: 256MiB)"},
    {.name = "max-wait-ms",
     .metavar = "N",
     .value = VALUE_NUMBER,
     .least = 1,
     .most = MOST,
     .help = "refuse requests that were not begun so long after they came (default: 10000)"},
    {.name = "idle-seconds",
     .metavar = "N",
     .value = VALUE_NUMBER,
     .least = 1,
     .most = MOST,
     .help = "close connections that were silent for so long (default: never)"},
    {.name = "stall-seconds",
     .metavar = "N",
     .value = VALUE_NUMBER,
     .least = 1,
     .most = MOST,
     .help = "cut off readers that take nothing of their answers for so long (default: 60)"},
    {0},
};

static const Option CATALOGUE_OPTIONS[] = {OPTION_CONNECT, {0}};

static const Option HELP_OPTIONS[] = {
    {.name = "markdown", .help = "print the whole reference page"},
    {0},
};

static const char *const INIT_EXAMPLES[] = {"tidemark init my-features", NULL};
static const char *const PLAN_EXAMPLES[] = {"tidemark plan", "tidemark plan --format json", NULL};
static const char *const APPLY_EXAMPLES[] = {"tidemark apply",
                                             "tidemark apply --allow-incompatible", NULL};
static const char *const TRY_EXAMPLES[] = {
    "tidemark try driver_quality --limit 5", "tidemark try driver_quality --where-failed",
    "tidemark try trip_offer --rows offers.csv --watch", NULL};
static const char *const TEST_EXAMPLES[] = {"tidemark test", "tidemark test driver_quality --watch",
                                            "tidemark test definitions/driver.lua --format json",
                                            NULL};
static const char *const HISTORY_EXAMPLES[] = {
    "tidemark get-historical-features --spine orders.parquet --service driver_ranking "
    "-o training.parquet",
    "tidemark get-historical-features --spine orders.csv --timestamp ordered_at --time-unit ms "
    "-f driver_hourly_stats:conv_rate,driver_hourly_stats:acc_rate -o training.csv",
    NULL};
static const char *const MATERIALIZE_EXAMPLES[] = {
    "tidemark materialize 2025-01-01 2025-02-01",
    "tidemark materialize 2025-01-01T00:00:00Z 2025-01-02T00:00:00Z -v driver_hourly_stats", NULL};
static const char *const INCREMENTAL_EXAMPLES[] = {
    "tidemark materialize-incremental 2025-02-01T00:00:00Z",
    "tidemark materialize-incremental now -v driver_hourly_stats", NULL};
static const char *const ONLINE_EXAMPLES[] = {
    "tidemark get-online-features -e driver_id=1001,1002 --service driver_ranking",
    "tidemark get-online-features -e driver_id=1001 -f 'driver_hourly_stats:*' --statuses "
    "--connect 127.0.0.1:6570",
    "tidemark get-online-features -e driver_id=1001 -r distance_km=3.2 -f 'trip_fare:*'", NULL};
static const char *const PUSH_EXAMPLES[] = {
    "tidemark push driver_hourly_stats new_rows.parquet --connect 127.0.0.1:6570", NULL};
static const char *const SERVE_EXAMPLES[] = {"tidemark serve",
                                             "tidemark serve --listen 0.0.0.0:6570 "
                                             "--metrics 0.0.0.0:9570",
                                             NULL};
static const char *const RUN_EXAMPLES[] = {"tidemark run backfill.lua 2025-01-01 2025-02-01", NULL};
static const char *const LUA_EXAMPLES[] = {"tidemark lua", "tidemark lua script.lua argument",
                                           NULL};
static const char *const ENTITIES_EXAMPLES[] = {"tidemark entities list",
                                                "tidemark entities describe driver", NULL};
static const char *const SOURCES_EXAMPLES[] = {"tidemark sources describe driver_stats", NULL};
static const char *const VIEWS_EXAMPLES[] = {
    "tidemark feature-views list --format json",
    "tidemark feature-views describe driver_hourly_stats --connect 127.0.0.1:6570", NULL};
static const char *const ON_DEMAND_EXAMPLES[] = {
    "tidemark on-demand-feature-views describe trip_fare", NULL};
static const char *const SERVICES_EXAMPLES[] = {"tidemark feature-services describe driver_ranking",
                                                NULL};
static const char *const COMPLETION_EXAMPLES[] = {
    "source <(tidemark completion bash)", "tidemark completion zsh > \"${fpath[1]}/_tidemark\"",
    "tidemark completion fish > ~/.config/fish/completions/tidemark.fish", NULL};
static const char *const STUBS_EXAMPLES[] = {"tidemark stubs", NULL};
static const char *const DOCTOR_EXAMPLES[] = {"tidemark doctor", NULL};
static const char *const CONTRACT_EXAMPLES[] = {"tidemark contract", NULL};
static const char *const VERSION_EXAMPLES[] = {"tidemark version", NULL};
static const char *const HELP_EXAMPLES[] = {"tidemark help materialize", NULL};

static const char CATALOGUE_DETAILS[] =
    "Shows what was applied, not what lies in the definitions folder.";
static const char VIEWS_DETAILS[] =
    "Shows what was applied, not what lies in the definitions folder; `describe` also how far a "
    "view has been brought online.";

const Command COMMANDS[] = {
    {.name = "init",
     .arguments = "DIR",
     .least = 1,
     .most = 1,
     .summary = "make a small project that runs end to end",
     .details =
         "Writes definitions, a few rows of data and the editor's stubs into DIR, which must "
         "be empty or missing.",
     .examples = INIT_EXAMPLES,
     .run = cmd_init_run},
    {.name = "plan",
     .arguments = "",
     .summary = "show what apply would change",
     .details =
         "Compares the definitions folder with what was applied. Mistakes in the definitions "
         "are all listed, each with its file, line and column.",
     .examples = PLAN_EXAMPLES,
     .run = cmd_plan_run},
    {.name = "apply",
     .arguments = "",
     .summary = "make the registry what the definitions say",
     .details = "All or nothing. Changes that break readers of the old definitions, or drop data, "
                "need --allow-incompatible. A running server picks the change up by itself.",
     .options = APPLY_OPTIONS,
     .examples = APPLY_EXAMPLES,
     .run = cmd_apply_run},
    {.name = "try",
     .arguments = "VIEW",
     .least = 1,
     .most = 1,
     .summary = "show what a view makes of some rows, before it is applied",
     .details =
         "Reads the view from the definitions folder and rows from its source, and shows inputs "
         "and "
         "features side by side. A row that the filter leaves out, or that a function fails on, "
         "says so in its place. Nothing is written.",
     .options = TRY_OPTIONS,
     .examples = TRY_EXAMPLES,
     .names = NAMES_DECLARED,
     .run = cmd_try_run},
    {.name = "test",
     .arguments = "[NAME|FILE...]",
     .most = SIZE_MAX,
     .summary = "run the tests of the definitions",
     .details =
         "Each `test` of the definitions folder gives rows to a view and compares what comes out. "
         "NAME is that of a test or of a view, FILE a definition file; without any, all tests are "
         "run. Nothing is written. Exit status 1 when a test fails.",
     .options = TEST_OPTIONS,
     .examples = TEST_EXAMPLES,
     .names = NAMES_DECLARED,
     .run = cmd_test_run},
    {.name = "get-historical-features",
     .arguments = "",
     .summary = "build a point-in-time training set",
     .details = "Adds to every row of the spine the features as they were at the row's time. The "
                "rows, their order and their other columns stay as they are.",
     .options = HISTORY_OPTIONS,
     .examples = HISTORY_EXAMPLES,
     .run = cmd_history_run},
    {.name = "materialize",
     .arguments = "START END",
     .least = 2,
     .most = 2,
     .summary = "bring the newest rows of an interval online",
     .details = "Covers START (inclusive) to END (exclusive) by event time. Times are ISO-8601, "
                "UTC unless they carry an offset; `now` is one too. Running it again is harmless.",
     .options = MATERIALIZE_OPTIONS,
     .examples = MATERIALIZE_EXAMPLES,
     .run = cmd_materialize_run},
    {.name = "materialize-incremental",
     .arguments = "END",
     .least = 1,
     .most = 1,
     .summary = "bring online what is new since the last time",
     .details = "Covers each view from its mark to END (exclusive), and rows that arrived late.",
     .options = MATERIALIZE_OPTIONS,
     .examples = INCREMENTAL_EXAMPLES,
     .run = cmd_materialize_incremental_run},
    {.name = "get-online-features",
     .arguments = "[REF...]",
     .most = SIZE_MAX,
     .summary = "ask the online store, or a server, for features",
     .details =
         "Values of -e and -r are written as in a CSV file: commas part them, nothing between two "
         "commas is null, \"\" is the empty string, and a value with commas stands in double "
         "quotes. Lists and vectors are JSON arrays: -r 'words=[\"a\",\"b\"],[]' are two of them.",
     .options = ONLINE_OPTIONS,
     .examples = ONLINE_EXAMPLES,
     .run = cmd_online_run},
    {.name = "push",
     .arguments = "VIEW FILE",
     .least = 2,
     .most = 2,
     .summary = "put a file's rows into the log and online",
     .details =
         "The file has the columns of the view's source; features that it lacks keep their values, "
         "but what a transform or filter takes must be there. A column that neither the view nor "
         "its source has is an error. A row goes online unless a newer one is there. Rows that are "
         "wrong are rejected, each with its reason, and make the exit status 1; the others are "
         "taken, unless the view's filter leaves them out.",
     .options = PUSH_OPTIONS,
     .examples = PUSH_EXAMPLES,
     .names = NAMES_VIEWS,
     .run = cmd_push_run},
    {.name = "serve",
     .arguments = "",
     .summary = "serve features by msgpack-RPC over TCP",
     .details =
         "Prints `ready HOST:PORT` when it listens. Stops at SIGTERM or SIGINT, after it has "
         "answered what it received.",
     .options = SERVE_OPTIONS,
     .examples = SERVE_EXAMPLES,
     .run = cmd_serve_run},
    {.name = "run",
     .arguments = "SCRIPT [ARG...]",
     .least = 1,
     .most = SIZE_MAX,
     .summary = "run a Lua script with require 'tidemark'",
     .details = "Everything after SCRIPT is the script's.",
     .examples = RUN_EXAMPLES,
     .rest = REST_AFTER_FIRST,
     .run = cmd_run_run},
    {.name = "lua",
     .arguments = "[SCRIPT [ARG...]]",
     .most = SIZE_MAX,
     .summary = "the built-in Lua interpreter",
     .details = "Without a script it reads and runs what is typed. Everything after `lua` is the "
                "interpreter's, so global options stand before it.",
     .examples = LUA_EXAMPLES,
     .rest = REST_ALL,
     .run = cmd_lua_run},
    {.name = "entities",
     .arguments = "list | describe NAME",
     .least = 1,
     .most = 2,
     .summary = "the entities that were applied",
     .details = CATALOGUE_DETAILS,
     .options = CATALOGUE_OPTIONS,
     .examples = ENTITIES_EXAMPLES,
     .choices = CATALOGUE_ACTIONS,
     .run = cmd_catalogue_run},
    {.name = "sources",
     .arguments = "list | describe NAME",
     .least = 1,
     .most = 2,
     .summary = "the sources that were applied",
     .details = CATALOGUE_DETAILS,
     .options = CATALOGUE_OPTIONS,
     .examples = SOURCES_EXAMPLES,
     .choices = CATALOGUE_ACTIONS,
     .run = cmd_catalogue_run},
    {.name = "feature-views",
     .arguments = "list | describe NAME",
     .least = 1,
     .most = 2,
     .summary = "the feature views that were applied",
     .details = VIEWS_DETAILS,
     .options = CATALOGUE_OPTIONS,
     .examples = VIEWS_EXAMPLES,
     .choices = CATALOGUE_ACTIONS,
     .run = cmd_catalogue_run},
    {.name = "on-demand-feature-views",
     .arguments = "list | describe NAME",
     .least = 1,
     .most = 2,
     .summary = "the on-demand feature views that were applied",
     .details = CATALOGUE_DETAILS,
     .options = CATALOGUE_OPTIONS,
     .examples = ON_DEMAND_EXAMPLES,
     .choices = CATALOGUE_ACTIONS,
     .run = cmd_catalogue_run},
    {.name = "feature-services",
     .arguments = "list | describe NAME",
     .least = 1,
     .most = 2,
     .summary = "the feature services that were applied",
     .details = CATALOGUE_DETAILS,
     .options = CATALOGUE_OPTIONS,
     .examples = SERVICES_EXAMPLES,
     .choices = CATALOGUE_ACTIONS,
     .run = cmd_catalogue_run},
    {.name = "stubs",
     .arguments = "",
     .summary = "write what an editor needs to complete the definitions",
     .details =
         "Writes .tidemark/stubs for lua-language-server: the words of definitions, the library, "
         "and "
         "for each view with functions the classes VIEW.row and VIEW.features, so that "
         "`---@param row VIEW.row` above a function completes its fields. apply keeps these fresh.",
     .examples = STUBS_EXAMPLES,
     .run = cmd_stubs_run},
    {.name = "doctor",
     .arguments = "",
     .summary = "check that everything needed is there and works",
     .details = "Exit status 1 when something is not as it should be.",
     .examples = DOCTOR_EXAMPLES,
     .run = cmd_doctor_run},
    {.name = "contract",
     .arguments = "",
     .summary = "the rules that results follow",
     .examples = CONTRACT_EXAMPLES,
     .run = cmd_contract_run},
    {.name = "completion",
     .arguments = "bash | zsh | fish [WORD...]",
     .least = 1,
     .most = SIZE_MAX,
     .summary = "print a shell's completion script",
     .details = "With WORDs, what could stand in the place of the last of them: that is what the "
                "scripts ask.",
     .rest = REST_AFTER_FIRST,
     .examples = COMPLETION_EXAMPLES,
     .choices = SHELLS,
     .run = cmd_completion_run},
    {.name = "version",
     .arguments = "",
     .summary = "print the version",
     .examples = VERSION_EXAMPLES,
     .run = cmd_version_run},
    {.name = "help",
     .arguments = "[COMMAND]",
     .most = 1,
     .summary = "show all commands, or what one takes",
     .options = HELP_OPTIONS,
     .examples = HELP_EXAMPLES,
     .names = NAMES_COMMANDS,
     .run = cmd_help_run},
    {0},
};

const Command *commands_find(const char *name)
{
  for (size_t i = 0; COMMANDS[i].name; i++) {
    if (strcmp(COMMANDS[i].name, name) == 0) {
      return &COMMANDS[i];
    }
  }
  return NULL;
}

const char *commands_kind(const Command *command, Arena *arena)
{
  char *kind = arena_text(arena, slice_text(command->name));
  for (char *at = kind; *at; at++) {
    *at = *at == '-' ? '_' : *at;
  }
  return kind;
}
