#pragma once
// Entity keys as bytes. The encoding is canonical (equal keys, equal bytes, whatever width the file
// or client used), injective for a given list of key types, and sorts like the values do (strings
// by length first, then by bytes).
//
//   online key    [view id: u16 BE][value]...
//   int32, int64, timestamp   8 bytes, big-endian, sign bit flipped: integers compare by value
//   bool                      1 byte, 0 or 1
//   string, bytes             [length: u32 BE][bytes]
//
// LMDB keys end at 511 bytes. A longer one is cut to its first 479 bytes followed by 32 bytes of
// digest (key_store_form); the row then carries the whole key, and readers compare it.

#include "base/arena.h"
#include "base/buf.h"
#include "data/column.h"
#include "data/msgpack.h"

enum { KEY_STORE_MAX = 511, KEY_DIGEST_SIZE = 32, KEY_VIEW_SIZE = 2 };

// Appends value `row` of a key column. False (nothing appended) when it is null.
bool key_put_column(Buf *out, const Column *column, size_t row);

// Appends a value that a client sent, checked against the key's type. *null is set and nothing is
// appended when it is nil. Timestamps are microseconds or ISO-8601 text; str is taken for bytes. An
// integer beyond int32 is a legal value for an int32 key: it equals none that is stored. Fails on
// another type: "expected int64, got string".
bool key_put_msgpack(Buf *out, Type type, const MpToken *value, bool *null, Error *err);

void key_put_view(Buf *out, uint16_t view_id);

// `key` (with its view id) as LMDB stores it: itself, or the digest form written into `space`
// (KEY_STORE_MAX bytes). *cut says whether the row has to carry the whole key.
Slice key_store_form(Slice key, uint8_t *space, bool *cut);
