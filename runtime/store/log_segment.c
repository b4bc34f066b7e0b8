#include "store/log_segment.h"

#include <assert.h>

#include "base/bytes.h"
#include "store/log_crc.h"

static const char MAGIC[8] = {'t', 'i', 'd', 'e', 'l', 'o', 'g', '\n'};

typedef struct {
  char magic[8];
  uint32_t format;
  uint32_t crc;
  uint64_t first_sequence;
  uint32_t seed;
  uint32_t unused;
} SegmentHeader;
_Static_assert(sizeof(SegmentHeader) == LOG_HEADER_SIZE, "segments are on disk");

typedef struct {
  uint32_t crc;
  uint32_t size;
  uint64_t sequence;
  uint64_t durable;
} RecordHeader;
_Static_assert(sizeof(RecordHeader) == LOG_RECORD_HEADER, "records are on disk");

static uint32_t header_crc(SegmentHeader header)
{
  header.crc = 0;
  uint32_t crc = log_crc(0, slice_of(&header, offsetof(SegmentHeader, crc)));
  return log_crc(crc, slice_of(&header.first_sequence, 16));
}

void log_segment_header(LogSegment segment, uint8_t *out)
{
  SegmentHeader header = {
      .format = LOG_FORMAT, .first_sequence = segment.first_sequence, .seed = segment.seed};
  memcpy(header.magic, MAGIC, sizeof(MAGIC));
  header.crc = header_crc(header);
  memcpy(out, &header, sizeof(header));
}

bool log_segment_open(Slice bytes, LogSegment *segment)
{
  SegmentHeader header;
  if (bytes.size < sizeof(header)) {
    return false;
  }
  memcpy(&header, bytes.data, sizeof(header));
  *segment = (LogSegment){header.first_sequence, header.seed};
  return memcmp(header.magic, MAGIC, sizeof(MAGIC)) == 0 && header.format == LOG_FORMAT
         && header.crc == header_crc(header);
}

void log_segment_seal(uint32_t seed, uint8_t *record, size_t payload_size, uint64_t sequence,
                      uint64_t durable)
{
  assert(payload_size <= LOG_RECORD_MAX);
  RecordHeader header = {.size = (uint32_t)payload_size, .sequence = sequence, .durable = durable};
  memcpy(record, &header, sizeof(header));
  size_t covered = LOG_RECORD_HEADER - sizeof(header.crc) + payload_size;
  header.crc = log_crc(seed, slice_of(record + sizeof(header.crc), covered));
  memcpy(record, &header.crc, sizeof(header.crc));
}

// Whether a whole record begins at `at`.
static bool read_record(uint32_t seed, Slice bytes, size_t at, LogRecord *record)
{
  RecordHeader header;
  if (bytes.size - at < sizeof(header)) {
    return false;
  }
  memcpy(&header, bytes.data + at, sizeof(header));
  if (header.size > LOG_RECORD_MAX || header.size > bytes.size - at - sizeof(header)) {
    return false;
  }
  size_t covered = LOG_RECORD_HEADER - sizeof(header.crc) + header.size;
  *record = (LogRecord){
      .sequence = header.sequence,
      .durable = header.durable,
      .payload = slice_of(bytes.data + at + sizeof(header), header.size),
  };
  return header.crc == log_crc(seed, slice_of(bytes.data + at + sizeof(header.crc), covered));
}

// Whether some record behind `at` was written after the one at `at` had reached the disk. Sequences
// and sizes are looked at first, so that few places are checked in full.
static bool was_durable(uint32_t seed, Slice bytes, size_t at, uint64_t sequence)
{
  for (at++; bytes.size - at >= LOG_RECORD_HEADER; at++) {
    RecordHeader header;
    LogRecord record;
    memcpy(&header, bytes.data + at, sizeof(header));
    bool plausible = header.sequence > sequence && header.sequence - sequence < bytes.size
                     && header.durable >= sequence && header.durable < header.sequence;
    if (plausible && read_record(seed, bytes, at, &record)) {
      return true;
    }
  }
  return false;
}

LogStep log_segment_next(uint32_t seed, Slice bytes, size_t *at, uint64_t expected,
                         LogRecord *record)
{
  assert(*at <= bytes.size);
  if (*at == bytes.size) {
    return LOG_STEP_END;
  }
  if (read_record(seed, bytes, *at, record) && record->sequence == expected) {
    *at += LOG_RECORD_HEADER + record->payload.size;
    return LOG_STEP_RECORD;
  }
  return was_durable(seed, bytes, *at, expected) ? LOG_STEP_DAMAGED : LOG_STEP_CUT;
}
