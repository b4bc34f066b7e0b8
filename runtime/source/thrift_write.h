#pragma once
// A writer of Thrift's compact protocol, the counterpart of thrift.h.

#include "base/buf.h"
#include "source/thrift.h"

// A structure being written: fields must come with rising ids.
typedef struct {
  Buf *out;
  int last;  // id of the field before; 0 at the start
} ThriftStruct;

void thrift_put_field(ThriftStruct *structure, int id, ThriftType type);
void thrift_put_end(ThriftStruct *structure);
void thrift_put_int(Buf *out, int64_t value);  // i16, i32, i64
void thrift_put_binary(Buf *out, Slice bytes);
void thrift_put_list(Buf *out, ThriftType element, uint32_t count);

static inline void thrift_put_int_field(ThriftStruct *structure, int id, ThriftType type,
                                        int64_t value)
{
  thrift_put_field(structure, id, type);
  thrift_put_int(structure->out, value);
}
