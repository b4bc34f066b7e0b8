#include "base/utf8.h"

#include "base/bytes.h"

static size_t ascii_prefix(const uint8_t *at, size_t size)
{
  size_t done = 0;
  while (size - done >= 8 && !(bytes_load_u64(at + done) & UINT64_C(0x8080808080808080))) {
    done += 8;
  }
  while (done < size && at[done] < 0x80) {
    done++;
  }
  return done;
}

// Of what is not ASCII (Unicode, table 3-7).
static size_t sequence_size(const uint8_t *at, size_t left)
{
  uint8_t lead = at[0];
  size_t size = lead >= 0xc2 && lead <= 0xdf   ? 2
                : lead >= 0xe0 && lead <= 0xef ? 3
                : lead >= 0xf0 && lead <= 0xf4 ? 4
                                               : 0;
  if (size == 0 || size > left) {
    return 0;
  }
  uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (at[1] < low || at[1] > high) {
    return 0;
  }
  for (size_t i = 2; i < size; i++) {
    if ((at[i] & 0xc0) != 0x80) {
      return 0;
    }
  }
  return size;
}

size_t utf8_size(const uint8_t *at, size_t left)
{
  return at[0] < 0x80 ? 1 : sequence_size(at, left);
}

bool utf8_is_valid(Slice text)
{
  const uint8_t *bytes = (const uint8_t *)text.data;
  size_t at = 0;
  while (at < text.size) {
    at += ascii_prefix(bytes + at, text.size - at);
    if (at == text.size) {
      return true;
    }
    size_t size = sequence_size(bytes + at, text.size - at);
    if (size == 0) {
      return false;
    }
    at += size;
  }
  return true;
}
