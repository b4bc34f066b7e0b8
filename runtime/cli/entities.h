#pragma once
// -e KEY=VALUE[,VALUE...]: the entity columns of an online request, and -r NAME=VALUE[,VALUE...]:
// what on-demand views take from the request. On the command line everything is text; what "007"
// is, a number or a string, is decided by the type of what it is for.

#include "cli/args.h"
#include "cli/params.h"
#include "data/type.h"

typedef struct {
  const char *name;
  Slice *values;  // a null one has no data
  size_t count;
  Type type;
  bool typed;    // false: no view asks for it; sent as text, so that the answer can name it
  Slice *cells;  // its values as msgpack; filled by entities_encode
} EntityColumn;

typedef struct {
  const char *option;  // "-e", for messages
  EntityColumn *columns;
  size_t count;
  size_t rows;  // of the longest column
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
