#pragma once
// -e KEY=VALUE[,VALUE...]: the entity columns of an online request, and -r NAME=VALUE[,VALUE...]:
// what on-demand views take from the request. On the command line everything is text; what "007"
// is, a number or a string, is decided by the type of what it is for. Lists are written as JSON.

#include "cli/args.h"
#include "cli/params.h"
#include "data/type.h"

typedef struct {
  const char *name;
  TextList texts;  // as they were given, each some values
  Type type;
  bool typed;    // false: no view asks for it; sent as text, so that the answer can name it
  Slice *cells;  // its values as msgpack, empty for null; filled by entities_encode
  size_t count;
} EntityColumn;

typedef struct {
  const char *option;  // "-e", for messages
  EntityColumn *columns;
  size_t count;
} Entities;

// Reads every value of an option, -e or -r; the same name again appends values.
bool entities_parse(const Args *args, const char *name, const char *option, Entities *out,
                    Error *err);

// Says what a column's values are.
void entities_set_type(Entities *entities, Slice name, Type type);

// Turns the texts into values of their types: `-e driver_id[2]: expected int64, got "x"`.
bool entities_encode(Entities *entities, Arena *arena, Error *err);

// { name = [value, ...] } under `parameter`.
void entities_put(const Entities *entities, const char *parameter, Params *params);
