#pragma once
// Parameters of a method call, put together one by one: a msgpack map whose size is known at the
// end.

#include "base/clock.h"
#include "cli/args.h"
#include "data/msgpack.h"

typedef struct {
  Buf entries;
  uint32_t count;
} Params;  // the zero value has no entries

// Writes `key`; the caller writes exactly one value with the packer.
msgpack_packer params_put(Params *params, const char *key);

void params_put_text(Params *params, const char *key, const char *value);  // nothing when NULL
void params_put_flag(Params *params, const char *key, bool value);         // nothing when false
void params_put_time(Params *params, const char *key, Time value);
void params_put_list(Params *params, const char *key, TextList list);  // nothing when empty

// The whole map, appended to `out`.
void params_encode(const Params *params, Buf *out);
void params_deinit(Params *params);
