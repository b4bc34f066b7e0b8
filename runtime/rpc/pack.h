#pragma once
// Answers as msgpack, field by field. A map is opened before its size is known; closing it writes
// the count.

#include "base/clock.h"
#include "data/msgpack.h"

typedef struct {
  Buf *out;
  size_t at;       // where its header is
  uint32_t count;  // fields so far
} PackMap;

PackMap pack_map_begin(Buf *out);
void pack_map_end(PackMap *map);

// One field each.
void pack_text(PackMap *map, const char *key, const char *value);  // NULL: nil
void pack_integer(PackMap *map, const char *key, int64_t value);
void pack_count(PackMap *map, const char *key, uint64_t value);
void pack_flag(PackMap *map, const char *key, bool value);
void pack_time(PackMap *map, const char *key, Time value);         // TIME_NULL and TIME_MIN: nil
void pack_duration(PackMap *map, const char *key, int64_t value);  // 0: nil
void pack_raw(PackMap *map, const char *key, Slice msgpack);       // empty: an empty array

// A field whose value the caller puts next.
void pack_key(PackMap *map, const char *key);

void pack_array(Buf *out, size_t count);  // its elements follow
void pack_nil(Buf *out);
void pack_string(Buf *out, const char *text);

// [code, message, { where = … }], always valid UTF-8.
void pack_error(Buf *out, const Error *err);

// Reads what pack_error writes; any other value becomes ERR_INTERNAL with that value as its text.
void pack_read_error(Slice msgpack, Error *err);
