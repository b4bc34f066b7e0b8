#pragma once
// --map VIEW.KEY=COLUMN: another name for the key of a view or role.

#include "cli/params.h"

typedef struct {
  Slice view;  // or role
  Slice key;
  Slice column;
} Mapping;

typedef struct {
  Mapping *items;
  size_t count;
} MappingList;

bool mapping_parse(const Args *args, MappingList *out, Error *err);

// As a list of { view, key, column } under "maps", and as { view = { key = column } } under
// "roles". Nothing when there are none.
void mapping_put_maps(MappingList list, Params *params);
void mapping_put_roles(MappingList list, Params *params);
