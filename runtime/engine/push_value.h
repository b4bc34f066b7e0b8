#pragma once
// A value that a client pushed, checked against its type and written as rows have it. Coercions are
// exact or an error, as those of files are (source/reader.h): integers and floats become each other
// where the value is the same, floats become the nearest float of the declared width, times may be
// text.

#include "data/msgpack.h"
#include "data/type.h"

// Appends the value that `reader` stands on, which was checked by mp_skip, and moves past it. A nil
// is a null. Fails with "expected int64, got string".
bool push_value_put(Buf *out, Type type, MpReader *reader, Error *err);

// A time: microseconds or ISO-8601 text.
bool push_value_time(const MpToken *token, int64_t *time, Error *err);
