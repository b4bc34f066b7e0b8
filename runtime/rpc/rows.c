#include "rpc/rows.h"

#include <assert.h>

#include "rpc/pack.h"

// The header of an array, written once and copied for every row.
typedef struct {
  uint8_t bytes[8];
  size_t size;
} ArrayHeader;

static ArrayHeader array_header(size_t count, Buf *scratch)
{
  size_t start = scratch->size;
  pack_array(scratch, count);
  ArrayHeader header = {.size = scratch->size - start};
  assert(header.size <= sizeof(header.bytes));
  memcpy(header.bytes, scratch->data + start, header.size);
  scratch->size = start;
  return header;
}

static inline uint8_t *put(uint8_t *at, const void *data, size_t size)
{
  memcpy(at, data, size);
  return at + size;
}

// Rows are copied slice by slice into room that was reserved once.
void rows_pack(Buf *out, const OnlineResult *found, size_t columns)
{
  pack_array(out, found->rows);
  ArrayHeader header = array_header(columns, out);
  size_t slices = found->rows * found->spans;
  size_t size = found->rows * header.size;
  for (size_t i = 0; i < slices; i++) {
    size += found->slices[i].size;
  }
  buf_reserve(out, size);

  uint8_t *at = out->data + out->size;
  const Slice *slice = found->slices;
  for (size_t row = 0; row < found->rows; row++) {
    at = put(at, header.bytes, header.size);
    for (size_t span = 0; span < found->spans; span++, slice++) {
      if (slice->size) {
        at = put(at, slice->data, slice->size);
      }
    }
  }
  out->size += size;
  assert(at == out->data + out->size);
}

void rows_count(Metrics *metrics, const CachedPlan *plan, const OnlineResult *found)
{
  Counters *counters = &metrics->counters;
  counter_add(&counters->rows, found->rows);
  counter_add(&counters->present, found->lookups[STATUS_PRESENT]);
  counter_add(&counters->not_found, found->lookups[STATUS_NOT_FOUND]);
  counter_add(&counters->outside_max_age, found->lookups[STATUS_OUTSIDE_MAX_AGE]);
  counter_add(&counters->deleted, found->lookups[STATUS_DELETED]);
  counter_add(&counters->failed, found->failed);
  if (plan->metrics) {
    counter_add(&plan->metrics->rows, found->rows);
  }
}
