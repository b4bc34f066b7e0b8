#pragma once
// Reading msgpack without building objects: a cursor over bytes from outside, with hard bounds.
// Format: github.com/msgpack/msgpack/blob/master/spec.md. Writing is msgpack-c's
// (`msgpack_pack_*` into a Buf with msgpack_buf_packer); names like msgpack_* of ours end here.

#include <msgpack/pack.h>

#include "base/buf.h"
#include "base/error.h"

typedef enum {
  MP_NIL,
  MP_BOOL,   // integer is 0 or 1
  MP_INT,    // integer (negative numbers, and positives that fit)
  MP_UINT,   // uint64 above INT64_MAX: unsigned_integer
  MP_FLOAT,  // real; float32 is widened, `narrow` says so
  MP_STR,    // bytes
  MP_BIN,    // bytes
  MP_ARRAY,  // count elements follow
  MP_MAP,    // count pairs follow
  MP_EXT,    // bytes, ext_type
} MpKind;

typedef struct {
  MpKind kind;
  bool narrow;  // MP_FLOAT: was a float32
  int8_t ext_type;
  uint32_t count;  // MP_ARRAY, MP_MAP
  union {
    int64_t integer;
    uint64_t unsigned_integer;
    double real;
  };
  Slice bytes;  // MP_STR, MP_BIN, MP_EXT: points into what is read
} MpToken;

typedef struct {
  const uint8_t *at;
  const uint8_t *end;
} MpReader;

enum { MP_DEPTH_MAX = 128 };

typedef struct {
  uint32_t depth;     // nesting of arrays and maps; more than MP_DEPTH_MAX counts as that
  uint64_t elements;  // tokens in one object, all levels, those that counts announce included
} MpLimits;

typedef enum { MP_OK, MP_MORE, MP_BAD, MP_LIMIT } MpStatus;

// Reads one token. MP_MORE: the bytes end inside it (nothing is consumed; `bytes.size` is how many
// it has, where that much could be read); MP_BAD: 0xc1.
MpStatus mp_next(MpReader *reader, MpToken *token);

// Steps over one whole object, iteratively, within limits. A declared count larger than the bytes
// that are left can only be MP_MORE or MP_LIMIT: nothing is allocated for it. Consumes nothing
// unless it returns MP_OK.
MpStatus mp_skip(MpReader *reader, MpLimits limits);

// mp_next for bytes that were checked by mp_skip: asserts success.
static inline MpToken mp_take(MpReader *reader)
{
  MpToken token;
  MpStatus status = mp_next(reader, &token);
  __builtin_expect(status != MP_OK, 0) ? __builtin_trap() : (void)0;
  return token;
}

// Steps over one whole object of checked bytes.
static inline void mp_step(MpReader *reader)
{
  MpStatus status = mp_skip(reader, (MpLimits){.depth = UINT32_MAX, .elements = UINT64_MAX});
  __builtin_expect(status != MP_OK, 0) ? __builtin_trap() : (void)0;
}

// Whether a token can be a name: clients whose language has one kind of string send str or bin.
static inline bool mp_is_text(const MpToken *token)
{
  return token->kind == MP_STR || token->kind == MP_BIN;
}

// Whether a token is a whole number of int64, as an integer of any width or as a float: languages
// whose numbers are all floats cannot send it otherwise.
bool mp_whole(const MpToken *token, int64_t *value);

// Looks a key up in a map of checked bytes; `map` stands on the map's header. Keys may be str or
// bin. The last of duplicate keys wins. False when it is not there or this is not a map.
bool mp_map_get(MpReader map, const char *key, MpReader *value);

// One checked object as compact JSON text, for messages and --format json. Floats are the shortest
// text that reads back as the same float (`1.0`, not `1`); NaN and infinities are NaN, Infinity,
// -Infinity; bin is a string, ext null. Bytes that are not UTF-8 become U+FFFD.
void mp_print_json(MpReader *reader, Buf *out);

// A float as mp_print_json prints it.
void mp_print_float(double value, bool narrow, Buf *out);

// A msgpack-c packer that appends to `buf`.
msgpack_packer mp_packer(Buf *buf);
void mp_put_text(msgpack_packer *packer, const char *text);  // str
void mp_put_str(msgpack_packer *packer, Slice text);
void mp_put_bin(msgpack_packer *packer, Slice bytes);
