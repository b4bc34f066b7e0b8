#include "base/hash.h"

#include "base/bytes.h"

// Two 8-byte lanes per step, and the last bytes padded with zeros and the length mixed in.
uint64_t hash_bytes(Slice bytes, uint64_t seed)
{
  static const uint64_t FIRST = UINT64_C(0xa0761d6478bd642f);
  static const uint64_t SECOND = UINT64_C(0xe7037ed1a0b428db);

  const char *at = bytes.data;
  size_t left = bytes.size;
  uint64_t state = seed ^ FIRST;
  for (; left >= 16; left -= 16, at += 16) {
    state = hash_mix(bytes_load_u64(at) ^ SECOND, bytes_load_u64(at + 8) ^ state);
  }
  uint64_t tail[2] = {0, 0};
  if (left) {
    memcpy(tail, at, left);
  }
  return hash_mix(SECOND ^ bytes.size, hash_mix(tail[0] ^ SECOND, tail[1] ^ state));
}
