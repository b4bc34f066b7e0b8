#pragma once
// One view (under one role) of a training set: which of its rows each row of a part of the spine
// gets, and the wanted features of those rows gathered in memory.

#include "engine/bad_rows.h"
#include "engine/gather.h"
#include "engine/scan.h"
#include "engine/snapshot.h"
#include "engine/spines.h"
#include "join/winners.h"

typedef struct {
  const View *view;
  const char *role;        // "" for none
  const SpineKeys *keys;   // the spine's index over this view's key columns
  const Field **features;  // wanted ones, each once
  size_t feature_count;

  // Of the part at hand. A row's place is that of its values among the gathered ones, UINT32_MAX
  // where there are none.
  size_t rows;
  AsofMatches matches;  // per spine row; no arrivals once the features are gathered; event times
                        // and statuses where they are asked for
  uint32_t *places;
  Gather **values;  // per feature: one value per winner, in the source's order

  // Of all parts.
  uint64_t read;    // rows of the view
  uint64_t bad;     // of these: left out for their values
  uint64_t failed;  // spine rows whose features are null because the transform failed
  uint64_t statuses[STATUS_ERROR + 1];
} ViewJoin;

// What all joins of a part have in common.
typedef struct {
  Engine *engine;
  Snapshots *snapshots;
  FunctionPool *functions;
  BadRows *bad;        // NULL: a bad value is an error
  bool first;          // part
  size_t rows;         // of the part
  Time as_of_created;  // TIME_MAX: no limit
  bool need_statuses;  // rows that are too old have to be told from rows that are not there
  bool need_times;     // the winners' event times are asked for
} JoinPart;

enum { JOIN_GROUP_MAX = 8 };  // joins that share a pass

// Whether two joins can share the first pass over their source.
bool view_join_can_share(const ViewJoin *a, const ViewJoin *b);

// First pass over the source of joins that share it (one with itself, at most JOIN_GROUP_MAX): keys
// and times decide.
bool view_join_match(ViewJoin *const *joins, size_t count, const JoinPart *part, Error *err);

// Second pass: the winners' features. Afterwards all is there that the output needs.
bool view_join_gather(ViewJoin *join, const JoinPart *part, Error *err);

void view_join_reset(ViewJoin *join);  // forgets the part
void view_join_deinit(ViewJoin *join);

// Bytes per spine row that a join takes: while it is being matched by `threads`, and from then on.
// Texts and lists are guessed.
size_t view_join_match_bytes(const ViewJoin *join, unsigned threads);
size_t view_join_kept_bytes(const ViewJoin *join, bool need_times);
size_t view_join_gathered_bytes(const ViewJoin *join);  // what features of the part really take
