#include "store/log_crc.h"

#include <pthread.h>
#include <stdbool.h>

#include "base/bytes.h"

enum { LANES = 8, BYTE_VALUES = 256 };

static const uint32_t POLYNOMIAL = 0x82f63b78;

// tables[k][b]: what byte b followed by k zero bytes does to the checksum.
static uint32_t tables[LANES][BYTE_VALUES];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
  for (uint32_t byte = 0; byte < BYTE_VALUES; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) {
      crc = (crc >> 1) ^ (crc & 1 ? POLYNOMIAL : 0);
    }
    tables[0][byte] = crc;
  }
  for (int lane = 1; lane < LANES; lane++) {
    for (uint32_t byte = 0; byte < BYTE_VALUES; byte++) {
      uint32_t before = tables[lane - 1][byte];
      tables[lane][byte] = (before >> 8) ^ tables[0][before & 0xff];
    }
  }
}

static uint32_t step(uint32_t crc, uint8_t byte)
{
  return (crc >> 8) ^ tables[0][(crc ^ byte) & 0xff];
}

uint32_t log_crc_by_table(uint32_t crc, Slice bytes)
{
  pthread_once(&tables_once, fill_tables);
  const uint8_t *at = (const uint8_t *)bytes.data;
  size_t left = bytes.size;
  crc = ~crc;
  for (; left >= LANES; left -= LANES, at += LANES) {
    uint64_t word = bytes_load_u64(at) ^ crc;
    crc = 0;
    for (int lane = 0; lane < LANES; lane++) {
      crc ^= tables[LANES - 1 - lane][(word >> (8 * lane)) & 0xff];
    }
  }
  for (; left; left--, at++) {
    crc = step(crc, *at);
  }
  return ~crc;
}

#if defined(__x86_64__)

__attribute__((target("sse4.2"))) static uint32_t crc_by_instruction(uint32_t crc, Slice bytes)
{
  const uint8_t *at = (const uint8_t *)bytes.data;
  size_t left = bytes.size;
  uint64_t state = (uint32_t)~crc;
  for (; left >= sizeof(uint64_t); left -= sizeof(uint64_t), at += sizeof(uint64_t)) {
    state = __builtin_ia32_crc32di(state, bytes_load_u64(at));
  }
  uint32_t tail = (uint32_t)state;
  for (; left; left--, at++) {
    tail = __builtin_ia32_crc32qi(tail, *at);
  }
  return ~tail;
}

uint32_t log_crc(uint32_t crc, Slice bytes)
{
  return __builtin_cpu_supports("sse4.2") ? crc_by_instruction(crc, bytes)
                                          : log_crc_by_table(crc, bytes);
}

#else

uint32_t log_crc(uint32_t crc, Slice bytes)
{
  return log_crc_by_table(crc, bytes);
}

#endif
