#pragma once
// Rows of online features into an answer, private to rpc/.

#include "rpc/context.h"

// The array of all rows, each an array of its values.
void rows_pack(Buf *out, const OnlineResult *found, size_t columns);

// Counts them.
void rows_count(Metrics *metrics, const CachedPlan *plan, const OnlineResult *found);
