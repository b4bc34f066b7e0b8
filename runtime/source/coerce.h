#pragma once
// Raw values to typed columns, exactly or not at all (the rules are in reader.h). Pure: bytes in,
// arrays in the caller's arena out. What fits as it lies is not copied.

#include "base/arena.h"
#include "base/clock.h"
#include "source/raw.h"

typedef struct {
  Type type;
  TimeUnit unit;     // of integers that stand for times
  const char *what;  // for messages: `feature "conv_rate" of feature_view "driver_stats"`
  const char *from;  // what the file calls the column's type
} Coercion;

// Whether a column of this kind may hold such values at all; false sets ERR_DATA (or ERR_INVALID
// where a unit is missing).
bool coerce_check(RawKind kind, RawKind element, const Coercion *coercion, Error *err);

// Turns `count` values. On failure *bad is the row.
bool coerce_column(const Raw *raw, size_t count, const Coercion *coercion, Arena *arena,
                   Column *column, size_t *bad, Error *err);

// A number's whole text, as the shortest forms and CSV have them: no spaces, no hex; nan, inf and
// -inf in any case.
bool coerce_float_text(Slice text, double *value);
bool coerce_int_text(Slice text, int64_t *value);

// What a JSON string says, its quotes around it; copied only where it has escapes. False for half
// of a surrogate pair.
bool coerce_json_text(Slice json, Arena *arena, Slice *text);
