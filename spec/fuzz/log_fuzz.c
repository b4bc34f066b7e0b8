// The log of pushed rows: whatever a segment holds, reading it stays inside its bytes, records come
// in order, and what they hold is taken for a pushed row only if it has the form of one.

#include <assert.h>
#include <stdlib.h>

#include "engine/writer.h"
#include "store/log_segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_row(Slice payload)
{
  PushRow row;
  if (push_row_open(payload, &row)) {
    RowView view;
    Error err = {0};
    assert(row.key.data >= payload.data);
    assert(row.row.data + row.row.size == payload.data + payload.size);
    row_open(row.row, &view, &err);
  }
}

// The payloads that the input parts into at its zero bytes, sealed one after the other: they have
// to come back as they were, up to where the input says the file is cut.
static void round_trip(const uint8_t *data, size_t size)
{
  Buf log = {0};
  uint64_t count = 0;
  for (size_t at = 0; at < size; count++) {
    const uint8_t *end = memchr(data + at, 0, size - at);
    size_t payload = end ? (size_t)(end - data) - at : size - at;
    size_t record = log.size;
    buf_reserve(&log, LOG_RECORD_HEADER);
    log.size += LOG_RECORD_HEADER;
    buf_put(&log, data + at, payload);
    log_segment_seal(7, log.data + record, payload, count + 1, count ? count - 1 : 0);
    at += payload + 1;
  }
  size_t at = 0;
  uint64_t next = 1;
  LogRecord record;
  Slice whole = buf_slice(&log);
  while (log_segment_next(7, whole, &at, next, &record) == LOG_STEP_RECORD) {
    assert(record.sequence == next);
    next++;
  }
  assert(next == count + 1 && at == log.size);
  size_t cut = log.size ? data[0] % log.size : 0;
  at = 0;
  next = 1;
  Slice part = slice_of(log.data, cut);
  LogStep step;
  while ((step = log_segment_next(7, part, &at, next, &record)) == LOG_STEP_RECORD) {
    next++;
  }
  assert(step != LOG_STEP_DAMAGED && at <= cut);
  buf_deinit(&log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  Slice bytes = slice_of(data, size);
  LogSegment segment = {.first_sequence = 1};
  bool whole = log_segment_open(bytes, &segment);
  size_t at = whole ? LOG_HEADER_SIZE : 0;
  LogRecord record;
  uint64_t next = segment.first_sequence;
  while (log_segment_next(segment.seed, bytes, &at, next, &record) == LOG_STEP_RECORD) {
    assert(record.payload.data + record.payload.size == (const char *)data + at);
    read_row(record.payload);
    next++;
  }
  assert(at <= size);
  read_row(bytes);
  if (size && size < 4096) {
    round_trip(data, size);
  }
  return 0;
}
