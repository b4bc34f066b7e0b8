#include "join/winners.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"

enum { WORD_BITS = 64, BLOCK_WORDS = 8, BLOCK_BITS = WORD_BITS * BLOCK_WORDS };

static uint64_t block_count(uint64_t rows)
{
  return rows / BLOCK_BITS + 1;
}

void winners_init(Winners *winners, uint64_t rows)
{
  *winners = (Winners){.rows = rows};
  winners->bits = mem_zalloc(block_count(rows) * BLOCK_WORDS, sizeof(uint64_t));
}

void winners_deinit(Winners *winners)
{
  free(winners->bits);
  free(winners->before);
  *winners = (Winners){0};
}

void winners_mark(Winners *winners, const uint64_t *rows, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    if (rows[i] != UINT64_MAX) {
      assert(rows[i] < winners->rows);
      winners->bits[rows[i] / WORD_BITS] |= UINT64_C(1) << (rows[i] % WORD_BITS);
    }
  }
}

void winners_seal(Winners *winners)
{
  uint64_t blocks = block_count(winners->rows);
  winners->before = mem_zalloc(blocks, sizeof(uint32_t));
  uint64_t total = 0;
  for (uint64_t block = 0; block < blocks; block++) {
    winners->before[block] = (uint32_t)total;
    for (uint64_t word = 0; word < BLOCK_WORDS; word++) {
      total += (uint64_t)__builtin_popcountll(winners->bits[block * BLOCK_WORDS + word]);
    }
  }
  assert(total < WINNERS_NONE);
  winners->count = (uint32_t)total;
}

uint32_t winners_rank(const Winners *winners, uint64_t row)
{
  uint64_t block = row / BLOCK_BITS;
  uint32_t rank = winners->before[block];
  for (uint64_t word = block * BLOCK_WORDS; word < row / WORD_BITS; word++) {
    rank += (uint32_t)__builtin_popcountll(winners->bits[word]);
  }
  uint64_t below = (UINT64_C(1) << (row % WORD_BITS)) - 1;
  return rank + (uint32_t)__builtin_popcountll(winners->bits[row / WORD_BITS] & below);
}

uint64_t winners_next(const Winners *winners, uint64_t row)
{
  uint64_t words = block_count(winners->rows) * BLOCK_WORDS;
  uint64_t word = ++row / WORD_BITS;
  uint64_t bits = winners->bits[word] & ~UINT64_C(0) << (row % WORD_BITS);
  while (!bits && ++word < words) {
    bits = winners->bits[word];
  }
  return bits ? word * WORD_BITS + (uint64_t)__builtin_ctzll(bits) : winners->rows;
}
