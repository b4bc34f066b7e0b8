#pragma once
// Rows that a client pushes, checked and encoded for the writer.
//
// A row has the view's keys and features by their names, and
//   event_time    when it holds; the request's `now` where it gives none
//   created_time  when it came to be known; the time of arrival where it gives none
//   deleted       true: a tombstone, its features do not count
// The source's own names for these three are understood too, and a key or feature of such a name
// comes first. Features that a row does not give are those of the newest row that is known, if the
// pushed one wins over it (contract rule 3) and that is no tombstone, and null otherwise; a feature
// given as nil becomes null.
//
// Rows of a view with functions give what these take, by the source's names of the columns, and may
// name keys as the source does. A column that is missing is no null: such a row is rejected; other
// columns of the source do not matter where a transform makes the features. The filter leaves rows
// out, and the transform makes the features. Where a row gives no time, functions see the one that
// counts.
//
// Rows that are wrong are rejected one by one and do not hinder the others.

#include "base/arena.h"
#include "data/msgpack.h"
#include "engine/writer.h"
#include "host/functions.h"

typedef struct {
  const View *view;
  MpReader rows;         // checked by mp_skip: a list of maps, or a map of columns
  uint8_t to;            // PUSH_ONLINE, PUSH_OFFLINE or both
  Time now;              // event time of rows that give none; TIME_NULL: those are rejected
  Time arrived;          // created time of rows that give none
  Functions *functions;  // of the view's catalog; may be NULL where the view has none
} PushRequest;

typedef struct {
  uint32_t row;       // its number in the request, from 0
  const char *field;  // "" when it is the row as a whole
  const char *reason;
} PushRejection;

typedef struct {
  PushRejection *items;
  size_t count;
  size_t capacity;
  uint64_t filtered;  // rows that are right, and that the view's filter leaves out
} PushRejections;     // arena memory; in the order of rows

// Adds the good rows to `push`. Fails when the request as a whole is wrong: a view that is not kept
// online, an unknown column, columns of different lengths.
bool push_encode(const PushRequest *request, Push *push, PushRejections *rejections, Arena *arena,
                 Error *err);

// Adds one; `field` lives as long as the arena, the reason is copied.
void push_reject(PushRejections *rejections, uint32_t row, const char *field, const char *reason,
                 Arena *arena);

// At most how many bytes of the log a row takes, its features being `bytes`.
size_t push_row_bytes(Slice key, size_t slots, size_t bytes);

// The key that the row itself has to carry (data/key.h); empty mostly.
Slice push_row_carried(Slice key);

// Adds what the writer had to reject, once the push is done.
void push_reject_large(const Push *push, PushRejections *rejections, Arena *arena);

// How many rows a request has; columns of different lengths are an error of push_encode.
size_t push_count(MpReader rows);
