// Online rows: whatever the store holds, reading a row stays inside its bytes, and its slots and
// its span agree.

#include <assert.h>
#include <stdlib.h>

#include "data/row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_slots(const RowView *row)
{
  size_t total = 0;
  for (uint32_t slot = 0; slot < row->count; slot++) {
    uint32_t present;
    Slice value = row_span(row, slot, 1, &present);
    assert(present == 1 && value.size > 0);
    assert(value.data == row->values.data + total);
    total += value.size;
    ValueStatus status = row_slot_status(row, slot);
    assert(status == STATUS_PRESENT || status == STATUS_NULL_VALUE || status == STATUS_ERROR);
  }
  uint32_t present;
  assert(row_span(row, 0, UINT32_MAX, &present).size == total && present == row->count);
  assert(row_slot_status(row, row->count) == STATUS_NOT_FOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  RowView row;
  Error err = {0};
  if (row_open(slice_of(data, size), &row, &err)) {
    assert(err.code == ERR_NONE);
    read_slots(&row);
  } else {
    assert(err.code == ERR_STORE);
  }
  return 0;
}
