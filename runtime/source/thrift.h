#pragma once
// A reader of Thrift's compact protocol, as far as Parquet's metadata needs it. Format:
// github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md. Every read is checked
// against the end; after a failure everything reads as zero and `bad` stays set, so that callers
// check once, at the end of a structure.

#include "base/slice.h"

typedef enum {
  THRIFT_STOP = 0,
  THRIFT_TRUE = 1,
  THRIFT_FALSE = 2,
  THRIFT_BYTE = 3,
  THRIFT_I16 = 4,
  THRIFT_I32 = 5,
  THRIFT_I64 = 6,
  THRIFT_DOUBLE = 7,
  THRIFT_BINARY = 8,
  THRIFT_LIST = 9,
  THRIFT_SET = 10,
  THRIFT_MAP = 11,
  THRIFT_STRUCT = 12,
} ThriftType;

typedef struct {
  const uint8_t *at;
  const uint8_t *end;
  bool bad;
} Thrift;

typedef struct {
  int id;
  ThriftType type;  // THRIFT_STOP at the end of a structure
} ThriftField;

// The next field of a structure; `previous` is the id before it, 0 at the start. The caller reads
// or skips the value.
ThriftField thrift_field(Thrift *thrift, int previous);
int64_t thrift_int(Thrift *thrift);  // i16, i32, i64
Slice thrift_binary(Thrift *thrift);
// A list's header: number of elements, at most the bytes that are left.
uint32_t thrift_list(Thrift *thrift, ThriftType *element);
void thrift_skip(Thrift *thrift, ThriftType type);

static inline bool thrift_bool(ThriftField field)
{
  return field.type == THRIFT_TRUE;
}
