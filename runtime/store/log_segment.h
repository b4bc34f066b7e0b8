#pragma once
// The bytes of one log segment, read without trust. Everything is little-endian.
//
//   header    0  u8[8]  "tidelog\n"
//             8  u32    LOG_FORMAT
//            12  u32    CRC-32C of the other 28 bytes
//            16  u64    sequence of the first record
//            24  u32    seed of the records' checksums: random, so no pushed value passes for one
//            28  u32    0
//   records, one after the other:
//             0  u32    CRC-32C, from the seed on, of everything that follows in the record
//             4  u32    size of the payload
//             8  u64    sequence: one more than the record before it
//            16  u64    the last sequence that was known to be on the disk when this was written
//            24  payload
//
// A record that is cut or damaged ends the log if nothing behind it can have been acknowledged:
// that is how a crash leaves a log. It is damage if a later record says that it was on the disk.
// Behind the records of the segment that is being written there are zeros, which are none.

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum {
  LOG_FORMAT = 1,
  LOG_HEADER_SIZE = 32,
  LOG_RECORD_HEADER = 24,
  LOG_RECORD_MAX = 64 << 20,  // bytes of one payload
};

typedef struct {
  uint64_t sequence;
  uint64_t durable;
  Slice payload;  // points into the segment's bytes
} LogRecord;

typedef enum {
  LOG_STEP_RECORD,
  LOG_STEP_END,      // the bytes end here
  LOG_STEP_CUT,      // what follows was being written when it stopped
  LOG_STEP_DAMAGED,  // what follows was whole once
} LogStep;

typedef struct {
  uint64_t first_sequence;
  uint32_t seed;
} LogSegment;

// Writes a segment's header into `out` (LOG_HEADER_SIZE bytes).
void log_segment_header(LogSegment segment, uint8_t *out);

// False for bytes that are no whole header of this format.
bool log_segment_open(Slice bytes, LogSegment *segment);

// Completes a record whose payload lies behind room for its header.
void log_segment_seal(uint32_t seed, uint8_t *record, size_t payload_size, uint64_t sequence,
                      uint64_t durable);

// The record at *at, whose sequence has to be `expected`; *at moves behind it.
LogStep log_segment_next(uint32_t seed, Slice bytes, size_t *at, uint64_t expected,
                         LogRecord *record);
