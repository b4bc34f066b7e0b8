#pragma once
// Which rows of a stream are wanted, and where each of them ends up. A join decides on keys and
// times alone; only then are the winners' other columns read, in a second pass over the stream. One
// bit per row of the stream says whether it won; its rank among the set bits is its place in the
// gathered columns (a rank directory after Jacobson, "Succinct static data structures", 1989).

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint64_t *bits;    // bit i: row i of the stream is wanted
  uint32_t *before;  // wanted rows before each block of 512; made by winners_seal
  uint64_t rows;     // rows of the stream
  uint32_t count;    // wanted ones; known after winners_seal
} Winners;

#define WINNERS_NONE UINT32_MAX

void winners_init(Winners *winners, uint64_t rows);
void winners_deinit(Winners *winners);

// Marks rows[0..count); UINT64_MAX entries are skipped.
void winners_mark(Winners *winners, const uint64_t *rows, size_t count);
void winners_seal(Winners *winners);

// Place of a marked row among the wanted ones.
uint32_t winners_rank(const Winners *winners, uint64_t row);

// The first marked row after `row`; winners->rows when there is none.
uint64_t winners_next(const Winners *winners, uint64_t row);
