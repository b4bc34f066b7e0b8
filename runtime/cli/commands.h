#pragma once
// Every command and option, as data. Adding a command is a row in commands.c and a cmd_*.c.

#include "cli/args.h"

extern const Command COMMANDS[];       // in the order help shows them; ends with a NULL name
extern const Option GLOBAL_OPTIONS[];  // understood everywhere; ends with a NULL name

const Command *commands_find(const char *name);  // NULL when there is none

// A command's name as the methods have it: "feature_views".
const char *commands_kind(const Command *command, Arena *arena);

bool cmd_init_run(Args *args, Error *err);
bool cmd_plan_run(Args *args, Error *err);
bool cmd_apply_run(Args *args, Error *err);
bool cmd_try_run(Args *args, Error *err);
bool cmd_test_run(Args *args, Error *err);
bool cmd_stubs_run(Args *args, Error *err);
bool cmd_history_run(Args *args, Error *err);
bool cmd_materialize_run(Args *args, Error *err);
bool cmd_materialize_incremental_run(Args *args, Error *err);
bool cmd_online_run(Args *args, Error *err);
bool cmd_push_run(Args *args, Error *err);
bool cmd_serve_run(Args *args, Error *err);
bool cmd_run_run(Args *args, Error *err);
bool cmd_lua_run(Args *args, Error *err);
bool cmd_catalogue_run(Args *args, Error *err);
bool cmd_contract_run(Args *args, Error *err);
bool cmd_doctor_run(Args *args, Error *err);
bool cmd_completion_run(Args *args, Error *err);
bool cmd_version_run(Args *args, Error *err);
bool cmd_help_run(Args *args, Error *err);
