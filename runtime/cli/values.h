#pragma once
// Values as people write them on a command line: a record of RFC 4180 (1,,"a,b"), where a list may
// stand as it is in JSON: [0.5,1],[2,3].

#include "base/arena.h"

typedef struct {
  Slice text;   // without quotes and escapes; no data: null
  bool quoted;  // as a string, in a list
} Value;

typedef struct {
  Value *items;
  size_t count;
} ValueList;

// Splits at commas; `lists`: a value that begins with a bracket goes to its end. Nothing between
// two commas is null, "" is the empty string. False when a quote or bracket stays open, or
// something follows it. Texts are borrowed or in the arena.
bool values_split(const char *text, bool lists, ValueList *out, Arena *arena);

// The elements of one JSON array of scalars; what has no quotes is not looked at. False when it is
// none.
bool values_elements(Slice list, ValueList *out, Arena *arena);
