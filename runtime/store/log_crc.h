#pragma once
// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78, as in RFC 3720): the checksum of log
// records. By the processor's instruction where there is one, by tables otherwise.

#include <stdint.h>

#include "base/slice.h"

// Continues `crc` (0 at the start) over `bytes`.
uint32_t log_crc(uint32_t crc, Slice bytes);

// The same without the instruction: what specs compare with.
uint32_t log_crc_by_table(uint32_t crc, Slice bytes);
