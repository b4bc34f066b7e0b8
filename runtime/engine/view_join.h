#pragma once
// One view (under one role) of a training set: which of its rows each spine row gets, and the
// wanted features of those rows gathered in memory.

#include "engine/gather.h"
#include "engine/scan.h"
#include "engine/spines.h"
#include "join/winners.h"

typedef struct {
  const View *view;
  const char *role;        // "" for none
  const SpineKeys *keys;   // the spine's index over this view's key columns
  const Field **features;  // wanted ones, each once
  size_t feature_count;

  AsofMatches matches;  // per spine row
  Winners winners;
  Gather **values;  // per feature: one value per winner, in the source's order
  uint64_t read;    // rows of the view
} ViewJoin;

// First pass over the view: keys and times decide. `rows` are the spine's. `need_statuses`: rows
// that are too old have to be told from rows that are not there.
bool view_join_match(ViewJoin *join, Engine *engine, Time as_of_created, size_t rows,
                     bool need_statuses, Error *err);
// Second pass: the winners' features.
bool view_join_gather(ViewJoin *join, Engine *engine, size_t rows, Error *err);
void view_join_deinit(ViewJoin *join);

// Places of the values of spine rows [first, first + count) in the gathered columns; UINT32_MAX
// where there is none.
void view_join_places(const ViewJoin *join, size_t first, size_t count, uint32_t *places);
