#include "source/thrift.h"

enum { DEPTH_LIMIT = 32 };

static uint8_t next_byte(Thrift *thrift)
{
  if (thrift->at >= thrift->end) {
    thrift->bad = true;
    return 0;
  }
  return *thrift->at++;
}

static uint64_t varint(Thrift *thrift)
{
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    uint8_t byte = next_byte(thrift);
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) {
      return value;
    }
  }
  thrift->bad = true;
  return 0;
}

int64_t thrift_int(Thrift *thrift)
{
  uint64_t zigzag = varint(thrift);
  return (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
}

static void skip_bytes(Thrift *thrift, uint64_t size)
{
  if (size > (uint64_t)(thrift->end - thrift->at)) {
    thrift->bad = true;
    thrift->at = thrift->end;
    return;
  }
  thrift->at += size;
}

ThriftField thrift_field(Thrift *thrift, int previous)
{
  uint8_t header = next_byte(thrift);
  ThriftField field = {.type = header & 0x0f};
  if (thrift->bad || field.type == THRIFT_STOP) {
    return (ThriftField){0, THRIFT_STOP};
  }
  int delta = header >> 4;
  field.id = delta ? previous + delta : (int)thrift_int(thrift);
  return field;
}

Slice thrift_binary(Thrift *thrift)
{
  uint64_t size = varint(thrift);
  const uint8_t *start = thrift->at;
  skip_bytes(thrift, size);
  return thrift->bad ? slice_of(NULL, 0) : slice_of(start, (size_t)size);
}

uint32_t thrift_list(Thrift *thrift, ThriftType *element)
{
  uint8_t header = next_byte(thrift);
  *element = header & 0x0f;
  uint64_t count = header >> 4;
  if (count == 15) {
    count = varint(thrift);
  }
  // Every element takes a byte at least: a larger count is a lie.
  if (count > (uint64_t)(thrift->end - thrift->at)) {
    thrift->bad = true;
    return 0;
  }
  return (uint32_t)count;
}

static void skip_value(Thrift *thrift, ThriftType type, int depth);

static void skip_elements(Thrift *thrift, uint64_t count, ThriftType type, int depth)
{
  for (uint64_t i = 0; i < count && !thrift->bad; i++) {
    if (type == THRIFT_TRUE || type == THRIFT_FALSE) {
      next_byte(thrift);  // inside a list a bool is a byte of its own
    } else {
      skip_value(thrift, type, depth);
    }
  }
}

static void skip_struct(Thrift *thrift, int depth)
{
  for (int id = 0; !thrift->bad;) {
    ThriftField field = thrift_field(thrift, id);
    if (field.type == THRIFT_STOP) {
      return;
    }
    id = field.id;
    skip_value(thrift, field.type, depth);
  }
}

static void skip_map(Thrift *thrift, int depth)
{
  uint64_t count = varint(thrift);
  uint8_t types = count ? next_byte(thrift) : 0;
  for (uint64_t i = 0; i < count && !thrift->bad; i++) {
    skip_elements(thrift, 1, types >> 4, depth);
    skip_elements(thrift, 1, types & 0x0f, depth);
  }
}

static void skip_value(Thrift *thrift, ThriftType type, int depth)
{
  if (depth > DEPTH_LIMIT) {
    thrift->bad = true;
    return;
  }
  ThriftType element;
  switch (type) {
  case THRIFT_TRUE:
  case THRIFT_FALSE:
    break;
  case THRIFT_BYTE:
    next_byte(thrift);
    break;
  case THRIFT_I16:
  case THRIFT_I32:
  case THRIFT_I64:
    varint(thrift);
    break;
  case THRIFT_DOUBLE:
    skip_bytes(thrift, 8);
    break;
  case THRIFT_BINARY:
    thrift_binary(thrift);
    break;
  case THRIFT_LIST:
  case THRIFT_SET: {
    uint32_t count = thrift_list(thrift, &element);
    skip_elements(thrift, count, element, depth + 1);
    break;
  }
  case THRIFT_MAP:
    skip_map(thrift, depth + 1);
    break;
  case THRIFT_STRUCT:
    skip_struct(thrift, depth + 1);
    break;
  default:
    thrift->bad = true;
  }
}

void thrift_skip(Thrift *thrift, ThriftType type)
{
  skip_value(thrift, type, 0);
}
