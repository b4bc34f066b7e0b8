#pragma once
// Reading what a method answered. Every function takes bytes that result_open has checked; a field
// that is missing or of another kind reads as its zero value, because servers may be older or
// newer.

#include "data/msgpack.h"

// A cursor over a whole msgpack value, after a check of all its bounds.
bool result_open(const Buf *bytes, MpReader *result, Error *err);

Slice result_text(MpReader map, const char *key);
int64_t result_int(MpReader map, const char *key);
bool result_bool(MpReader map, const char *key);
// Elements of the list under `key`; *items stands on the first one. 0 when there is none.
uint32_t result_list(MpReader map, const char *key, MpReader *items);

// The bytes of the value the cursor stands on, and past it.
Slice result_take(MpReader *reader);
MpReader result_reader(Slice bytes);
