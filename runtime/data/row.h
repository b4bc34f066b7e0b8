#pragma once
// An online row: a small header, and the features already encoded as msgpack, so that an answer is
// made by copying slices. Little-endian; written and read on one kind of machine.
//
//    0  u8   version (ROW_VERSION)
//    1  u8   flags: ROW_DELETED, ROW_WIDE, ROW_ERRORS, ROW_HAS_KEY
//    2  u16  count of features
//    4  u32  size of the whole row in bytes
//    8  i64  event time, microseconds
//   16  i64  created time, TIME_NULL when there is none
//   24  u64  arrival: position in the file, or the log's sequence
//   32  offsets: count + 1 of u16 (u32 with ROW_WIDE), from the start of the values; the last one
//       is the size of the values
//       values: msgpack, one after the other; a null is nil (0xc0)
//       errors: with ROW_ERRORS (count + 7) / 8 bytes, bit set: the value is nil because its
//       transform failed
//       key: with ROW_HAS_KEY the whole entity key, to the end of the row
//
// Features stand in slot order; a slot keeps its place for as long as the view lives, so a row
// written before a feature was added has fewer slots, and the missing ones read as NOT_FOUND.

#include "base/buf.h"
#include "base/clock.h"
#include "data/column.h"

enum { ROW_VERSION = 1, ROW_HEADER = 32 };
enum { ROW_DELETED = 1, ROW_WIDE = 2, ROW_ERRORS = 4, ROW_HAS_KEY = 8 };

// Rule 3's order: event time, created time (TIME_NULL lowest), arrival.
typedef struct {
  Time event_time;
  Time created_time;
  uint64_t arrival;
} RowRank;

// Positive when `a` wins over `b`.
static inline int row_rank_compare(RowRank a, RowRank b)
{
  if (a.event_time != b.event_time) {
    return a.event_time > b.event_time ? 1 : -1;
  }
  if (a.created_time != b.created_time) {
    return a.created_time > b.created_time ? 1 : -1;
  }
  return (a.arrival > b.arrival) - (a.arrival < b.arrival);
}

// What every value carries (contract rule 11). The names are the wire's.
#define VALUE_STATUSES(X)                      \
  X(STATUS_PRESENT, "PRESENT")                 \
  X(STATUS_NULL_VALUE, "NULL_VALUE")           \
  X(STATUS_NOT_FOUND, "NOT_FOUND")             \
  X(STATUS_OUTSIDE_MAX_AGE, "OUTSIDE_MAX_AGE") \
  X(STATUS_DELETED, "DELETED")                 \
  X(STATUS_ERROR, "ERROR")

typedef enum {
#define X(code, name) code,
  VALUE_STATUSES(X)
#undef X
} ValueStatus;

const char *status_name(ValueStatus status);

// A row taken apart without decoding; slices point into the row.
typedef struct {
  RowRank rank;
  bool deleted;
  uint16_t count;
  bool wide;
  const uint8_t *offsets;
  Slice values;
  const uint8_t *errors;  // NULL when there are none
  Slice key;              // empty unless the row carries it
} RowView;

// Checks the header and every bound. Fails on bytes that are not a row of this version.
bool row_open(Slice bytes, RowView *row, Error *err);

// The msgpack of slots [first, first + count), contiguous; slots the row does not have are not
// included. `present` tells how many are.
Slice row_span(const RowView *row, uint32_t first, uint32_t count, uint32_t *present);

// Status of one slot of a row that is neither deleted nor out of age.
ValueStatus row_slot_status(const RowView *row, uint32_t slot);

// Appends an encoded row. `columns[i]` is slot i at position `row`, or NULL for a slot that is not
// given (nil). Values that failed (Column.errors) are nil and marked. `key` is empty unless the
// stored key is a digest. A deleted row has no features. The event time is not null, and a row ends
// at 4 GiB: both are asserted, so callers check what they read.
void row_encode(Buf *out, RowRank rank, bool deleted, const Column *const *columns, size_t count,
                size_t row, Slice key);

// Values that are msgpack already, in slot order.
typedef struct {
  Slice bytes;           // one after the other
  const uint32_t *ends;  // of each, in `bytes`
  size_t count;
  const uint8_t *errors;  // (count + 7) / 8 bytes as in a row; NULL when there are none
} RowValues;

// The same from such values.
void row_encode_values(Buf *out, RowRank rank, bool deleted, const RowValues *values, Slice key);

// Whether two encoded rows differ in their arrival at most.
static inline bool row_same_content(Slice a, Slice b)
{
  enum { ARRIVAL_AT = 24 };
  return a.size == b.size && memcmp(a.data, b.data, ARRIVAL_AT) == 0
         && memcmp(a.data + ROW_HEADER, b.data + ROW_HEADER, a.size - ROW_HEADER) == 0;
}

// The rank of an encoded row.
static inline RowRank row_rank(Slice row)
{
  enum { RANK_AT = 8 };
  RowRank rank;
  _Static_assert(sizeof(rank) == 24, "a row has it as it is");
  memcpy(&rank, row.data + RANK_AT, sizeof(rank));
  return rank;
}

// Changes the arrival of an encoded row in place.
static inline void row_set_arrival(void *row, uint64_t arrival)
{
  enum { ARRIVAL_AT = 24 };
  memcpy((uint8_t *)row + ARRIVAL_AT, &arrival, sizeof(arrival));
}

// Appends one value of a column as msgpack, as answers and rows have it: timestamps as integers in
// microseconds, float32 as float 32, bytes as bin, lists and vectors as arrays.
void row_put_value(Buf *out, const Column *column, size_t row);
