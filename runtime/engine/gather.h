#pragma once
// A column whose values arrive in pieces from several threads, each piece with its place. What the
// winners of a join are collected in.

#include "base/arena.h"
#include "data/build.h"

typedef struct Gather Gather;

// Room for `count` values; until they are put, they are null.
Gather *gather_new(Type type, size_t count, unsigned threads);
void gather_free(Gather *gather);           // NULL is allowed
size_t gather_bytes(const Gather *gather);  // heap bytes held, for memory limits

// Puts values [0, count) of `column` at places [first, first + count). Threads may put at the same
// time, at different places; bytes are copied. Lists must be put in order, by one thread.
void gather_put(Gather *gather, unsigned thread, size_t first, const Column *column, size_t count);

// The whole column, valid until gather_free. Nothing may be put afterwards.
Column gather_column(Gather *gather);
