#pragma once
// The tidemarks: how far each view has been materialized. Written in the transaction that writes
// the rows they speak for.

#include "base/clock.h"
#include "store/db.h"

typedef struct {
  Time materialized_from;  // start of the unbroken stretch; TIME_MIN when it has no start
  Time materialized_to;    // its end, exclusive: the mark
  Time created_to;         // greatest created_time read so far, TIME_NULL when there was none: rows
                           // created after it are late and still have to be looked at
  Time updated_at;         // wall clock
  uint64_t rows_read;      // since the view was applied
  uint64_t rows_written;
} Mark;

bool marks_get(DbRead *read, uint16_t view_id, Mark *mark, bool *found, Error *err);
bool marks_put(DbWrite *write, uint16_t view_id, const Mark *mark, Error *err);
