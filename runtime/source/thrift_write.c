#include "source/thrift_write.h"

#include <assert.h>

enum { SHORT_DELTA = 15, SHORT_LIST = 15 };

static void put_varint(Buf *out, uint64_t value)
{
  for (; value >= 0x80; value >>= 7) {
    buf_put_byte(out, (uint8_t)(value | 0x80));
  }
  buf_put_byte(out, (uint8_t)value);
}

void thrift_put_int(Buf *out, int64_t value)
{
  put_varint(out, ((uint64_t)value << 1) ^ (uint64_t)(value >> 63));
}

void thrift_put_field(ThriftStruct *structure, int id, ThriftType type)
{
  int delta = id - structure->last;
  assert(delta > 0);
  if (delta <= SHORT_DELTA) {
    buf_put_byte(structure->out, (uint8_t)(delta << 4 | (int)type));
  } else {
    buf_put_byte(structure->out, (uint8_t)type);
    thrift_put_int(structure->out, id);
  }
  structure->last = id;
}

void thrift_put_end(ThriftStruct *structure)
{
  buf_put_byte(structure->out, THRIFT_STOP);
}

void thrift_put_binary(Buf *out, Slice bytes)
{
  put_varint(out, bytes.size);
  buf_put_slice(out, bytes);
}

void thrift_put_list(Buf *out, ThriftType element, uint32_t count)
{
  if (count < SHORT_LIST) {
    buf_put_byte(out, (uint8_t)(count << 4 | (uint32_t)element));
  } else {
    buf_put_byte(out, (uint8_t)(SHORT_LIST << 4 | (uint32_t)element));
    put_varint(out, count);
  }
}
