#pragma once
// Named values of some rows, as a request brings them: a map of columns, { name = [values] } or
// { name = value } for one row, or a list of maps, [{ name = value }]. Every name has to be one of
// those that are wanted, and all of these have to be there.

#include "data/msgpack.h"
#include "engine/online_get.h"

// What has said how many rows there are; shared by all that has to have as many.
typedef struct {
  bool known;
  size_t count;
  const char *by;  // the column, or parameter, that said so
} GivenRows;

typedef struct {
  const char *parameter;   // "entities", for messages
  const char *column;      // "entity column"
  const OnlineKey *names;  // that are wanted
  size_t name_count;
  const char *elsewhere;    // the parameter that brings
  const OnlineKey *others;  // these
  size_t other_count;
  size_t max_rows;
  GivenRows *rows;
  // One of the two is filled, a column per name.
  bool scalar;
  MpToken **tokens;   // with scalar: lists and maps are refused
  MpReader **values;  // otherwise: each stands on its value
} Given;

// `raw` was checked by mp_skip. With no data it counts as an empty map.
bool given_take(Given *given, Slice raw, Arena *arena, Error *err);
