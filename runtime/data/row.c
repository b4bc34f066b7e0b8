#include "data/row.h"

#include <assert.h>

#include "base/bytes.h"

static const char *const STATUS_NAMES[] = {
#define X(code, name) name,
    VALUE_STATUSES(X)
#undef X
};
enum { MP_NIL_BYTE = 0xc0 };

const char *status_name(ValueStatus status)
{
  assert((size_t)status < sizeof(STATUS_NAMES) / sizeof(STATUS_NAMES[0]));
  return STATUS_NAMES[status];
}

// The first 32 bytes as they lie in the store.
typedef struct {
  uint8_t version;
  uint8_t flags;
  uint16_t count;
  uint32_t size;
  int64_t event_time;
  int64_t created_time;
  uint64_t arrival;
} Header;
_Static_assert(sizeof(Header) == ROW_HEADER, "the header is written as one block");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are little-endian");

// Offsets may lie at any address: LMDB promises no alignment.
static size_t load_offset(const uint8_t *offsets, bool wide, size_t index)
{
  if (wide) {
    uint32_t offset;
    memcpy(&offset, offsets + index * sizeof(offset), sizeof(offset));
    return offset;
  }
  uint16_t offset;
  memcpy(&offset, offsets + index * sizeof(offset), sizeof(offset));
  return offset;
}

// Whether every value has at least one byte, which is what makes spans whole. Without branches in
// the loop, so that the compiler can use vectors.
static bool offsets_ascend(const uint8_t *offsets, bool wide, size_t count)
{
  bool bad = load_offset(offsets, wide, 0) != 0;
  if (wide) {
    for (size_t i = 0; i < count; i++) {
      bad |= load_offset(offsets, true, i) >= load_offset(offsets, true, i + 1);
    }
  } else {
    for (size_t i = 0; i < count; i++) {
      bad |= load_offset(offsets, false, i) >= load_offset(offsets, false, i + 1);
    }
  }
  return !bad;
}

static bool damaged(Error *err, Slice bytes, const char *what)
{
  return error_set(err, ERR_STORE, "damaged online row of %zu bytes: %s", bytes.size, what);
}

bool row_open(Slice bytes, RowView *row, Error *err)
{
  Header header;
  if (bytes.size < sizeof(header)) {
    return damaged(err, bytes, "too short for a header");
  }
  memcpy(&header, bytes.data, sizeof(header));
  if (header.version != ROW_VERSION) {
    return error_set(err, ERR_STORE, "online row of version %u: this tidemark reads version %d",
                     header.version, ROW_VERSION);
  }
  bool wide = header.flags & ROW_WIDE;
  size_t at = sizeof(header) + ((size_t)header.count + 1) * (wide ? 4 : 2);
  if (header.size != bytes.size || at > bytes.size || header.event_time == TIME_NULL) {
    return damaged(err, bytes, "its header does not fit it");
  }
  const uint8_t *start = (const uint8_t *)bytes.data;
  const uint8_t *offsets = start + sizeof(header);
  size_t values_size = load_offset(offsets, wide, header.count);
  size_t errors_size = header.flags & ROW_ERRORS ? ((size_t)header.count + 7) / 8 : 0;
  if (values_size + errors_size > bytes.size - at || !offsets_ascend(offsets, wide, header.count)) {
    return damaged(err, bytes, "its values do not fit it");
  }
  size_t key_at = at + values_size + errors_size;
  bool has_key = header.flags & ROW_HAS_KEY;
  bool deleted = header.flags & ROW_DELETED;
  if ((!has_key && key_at != bytes.size) || (deleted && header.count)) {
    return damaged(err, bytes, "it holds more than its header says");
  }
  *row = (RowView){
      .rank = {header.event_time, header.created_time, header.arrival},
      .deleted = deleted,
      .count = header.count,
      .wide = wide,
      .offsets = offsets,
      .values = slice_of(start + at, values_size),
      .errors = errors_size ? start + at + values_size : NULL,
      .key = slice_of(start + key_at, bytes.size - key_at),
  };
  return true;
}

Slice row_span(const RowView *row, uint32_t first, uint32_t count, uint32_t *present)
{
  uint32_t there = first < row->count ? row->count - first : 0;
  *present = there < count ? there : count;
  if (*present == 0) {
    return slice_of(NULL, 0);
  }
  size_t start = load_offset(row->offsets, row->wide, first);
  size_t end = load_offset(row->offsets, row->wide, first + *present);
  return slice_of(row->values.data + start, end - start);
}

ValueStatus row_slot_status(const RowView *row, uint32_t slot)
{
  if (slot >= row->count) {
    return STATUS_NOT_FOUND;
  }
  if (row->errors && (row->errors[slot / 8] >> (slot % 8) & 1)) {
    return STATUS_ERROR;
  }
  size_t offset = load_offset(row->offsets, row->wide, slot);
  return (uint8_t)row->values.data[offset] == MP_NIL_BYTE ? STATUS_NULL_VALUE : STATUS_PRESENT;
}

// Room for a scalar, and the place to write it.
static inline uint8_t *scalar_room(Buf *out)
{
  enum { LONGEST_SCALAR = 9 };
  if (out->capacity - out->size < LONGEST_SCALAR) {
    buf_reserve(out, LONGEST_SCALAR);
  }
  return out->data + out->size;
}

static void put_nil(Buf *out)
{
  *scalar_room(out) = MP_NIL_BYTE;
  out->size++;
}

// A format byte and a big-endian number of `size` bytes.
static inline void put_number(Buf *out, uint8_t format, uint64_t value, size_t size)
{
  uint8_t *at = scalar_room(out);
  at[0] = format;
  switch (size) {
  case 1:
    at[1] = (uint8_t)value;
    break;
  case 2:
    bytes_store_be16(at + 1, (uint16_t)value);
    break;
  case 4:
    bytes_store_be32(at + 1, (uint32_t)value);
    break;
  default:
    bytes_store_be64(at + 1, value);
  }
  out->size += 1 + size;
}

// The shortest form, as msgpack asks for.
static void put_int(Buf *out, int64_t value)
{
  uint64_t bits = (uint64_t)value;
  if (value >= -32 && value <= 127) {
    *scalar_room(out) = (uint8_t)value;
    out->size++;
  } else if (value > 0) {
    if (value <= UINT8_MAX) {
      put_number(out, 0xcc, bits, 1);
    } else if (value <= UINT16_MAX) {
      put_number(out, 0xcd, bits, 2);
    } else if (value <= UINT32_MAX) {
      put_number(out, 0xce, bits, 4);
    } else {
      put_number(out, 0xcf, bits, 8);
    }
  } else if (value >= INT8_MIN) {
    put_number(out, 0xd0, bits, 1);
  } else if (value >= INT16_MIN) {
    put_number(out, 0xd1, bits, 2);
  } else if (value >= INT32_MIN) {
    put_number(out, 0xd2, bits, 4);
  } else {
    put_number(out, 0xd3, bits, 8);
  }
}

static void put_float32(Buf *out, float value)
{
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  put_number(out, 0xca, bits, 4);
}

static void put_float64(Buf *out, double value)
{
  uint64_t bits;
  memcpy(&bits, &value, sizeof(bits));
  put_number(out, 0xcb, bits, 8);
}

// A count or size: `shortest` | size below `below`, then 8 bits (0: the type has none), 16, 32.
static void put_size(Buf *out, uint64_t size, uint8_t below, uint8_t shortest, uint8_t of8,
                     uint8_t of16)
{
  assert(size <= UINT32_MAX);
  if (size < below) {
    *scalar_room(out) = (uint8_t)(shortest | size);
    out->size++;
  } else if (of8 && size <= UINT8_MAX) {
    put_number(out, of8, size, 1);
  } else if (size <= UINT16_MAX) {
    put_number(out, of16, size, 2);
  } else {
    put_number(out, (uint8_t)(of16 + 1), size, 4);
  }
}

static void put_array_size(Buf *out, uint64_t size)
{
  put_size(out, size, 16, 0x90, 0, 0xdc);
}

static void put_vector(Buf *out, const Column *column, size_t row)
{
  uint32_t length = column->type.length;
  const float *values = column->float32s + row * length;
  put_array_size(out, length);
  buf_reserve(out, (size_t)length * 5);
  for (uint32_t i = 0; i < length; i++) {
    put_float32(out, values[i]);
  }
}

// Values of every type but list.
static void put_flat(Buf *out, const Column *column, size_t row)
{
  if (!column_has(column, row)) {
    put_nil(out);
    return;
  }
  switch ((TypeKind)column->type.kind) {
  case TYPE_BOOL:
    *scalar_room(out) = column->bools[row] ? 0xc3 : 0xc2;
    out->size++;
    break;
  case TYPE_INT32:
    put_int(out, column->int32s[row]);
    break;
  case TYPE_INT64:
  case TYPE_TIMESTAMP:
    put_int(out, column->int64s[row]);
    break;
  case TYPE_FLOAT32:
    put_float32(out, column->float32s[row]);
    break;
  case TYPE_FLOAT64:
    put_float64(out, column->float64s[row]);
    break;
  case TYPE_STRING:
    put_size(out, column->slices[row].size, 32, 0xa0, 0xd9, 0xda);
    buf_put_slice(out, column->slices[row]);
    break;
  case TYPE_BYTES:
    put_size(out, column->slices[row].size, 0, 0, 0xc4, 0xc5);
    buf_put_slice(out, column->slices[row]);
    break;
  case TYPE_VECTOR:
    put_vector(out, column, row);
    break;
  default:
    assert(false);  // lists do not nest
  }
}

void row_put_value(Buf *out, const Column *column, size_t row)
{
  if (column->type.kind != TYPE_LIST || !column_has(column, row)) {
    put_flat(out, column, row);
    return;
  }
  ColumnList list = column->lists[row];
  put_array_size(out, list.length);
  for (uint64_t i = 0; i < list.length; i++) {
    put_flat(out, column->child, list.offset + i);
  }
}

// Appends offsets and values. False when they do not fit narrow offsets; then the buffer holds a
// part of them.
static bool put_values(Buf *out, const Column *const *columns, size_t count, size_t row, bool wide)
{
  size_t offset_size = wide ? sizeof(uint32_t) : sizeof(uint16_t);
  size_t offsets_at = out->size;
  buf_reserve(out, (count + 1) * offset_size + count * 9);
  size_t values_at = out->size += (count + 1) * offset_size;
  size_t limit = wide ? UINT32_MAX : UINT16_MAX;
  for (size_t i = 0; i <= count; i++) {
    size_t offset = out->size - values_at;
    if (offset > limit) {
      return false;
    }
    // A little-endian number's first bytes are its low ones: this writes either width.
    uint32_t stored = (uint32_t)offset;
    memcpy(out->data + offsets_at + i * offset_size, &stored, offset_size);
    if (i == count) {
      break;
    }
    if (columns[i]) {
      row_put_value(out, columns[i], row);
    } else {
      put_nil(out);
    }
  }
  return true;
}

static uint8_t flags_of(bool deleted, bool wide, bool errors, Slice key)
{
  return (uint8_t)((deleted ? ROW_DELETED : 0) | (wide ? ROW_WIDE : 0) | (errors ? ROW_ERRORS : 0)
                   | (key.size ? ROW_HAS_KEY : 0));
}

// Appends the bits of values that failed, where there are any.
static bool put_errors(Buf *out, const Column *const *columns, size_t count, size_t row)
{
  bool any = false;
  for (size_t i = 0; i < count; i++) {
    if (!columns[i] || !column_failed(columns[i], row)) {
      continue;
    }
    size_t bytes = (count + 7) / 8;
    if (!any) {
      any = true;
      buf_reserve(out, bytes);
      memset(out->data + out->size, 0, bytes);
      out->size += bytes;
    }
    out->data[out->size - bytes + i / 8] |= (uint8_t)(1U << (i % 8));
  }
  return any;
}

// Completes the row that begins at `start`.
static void put_header(Buf *out, size_t start, RowRank rank, uint8_t flags, size_t count)
{
  assert(out->size - start <= UINT32_MAX);
  Header header = {
      .version = ROW_VERSION,
      .flags = flags,
      .count = (uint16_t)count,
      .size = (uint32_t)(out->size - start),
      .event_time = rank.event_time,
      .created_time = rank.created_time,
      .arrival = rank.arrival,
  };
  memcpy(out->data + start, &header, sizeof(header));
}

void row_encode(Buf *out, RowRank rank, bool deleted, const Column *const *columns, size_t count,
                size_t row, Slice key)
{
  count = deleted ? 0 : count;
  assert(count <= UINT16_MAX);
  assert(rank.event_time != TIME_NULL);
  size_t start = out->size;
  buf_reserve(out, ROW_HEADER);
  out->size += ROW_HEADER;
  bool wide = !put_values(out, columns, count, row, false);
  if (wide) {
    out->size = start + ROW_HEADER;
    bool fits = put_values(out, columns, count, row, true);
    assert(fits);
  }
  bool errors = put_errors(out, columns, count, row);
  buf_put_slice(out, key);
  put_header(out, start, rank, flags_of(deleted, wide, errors, key), count);
}

void row_encode_values(Buf *out, RowRank rank, bool deleted, const RowValues *values, Slice key)
{
  size_t count = deleted ? 0 : values->count;
  size_t size = count ? values->bytes.size : 0;
  size_t errors_size = count && values->errors ? (count + 7) / 8 : 0;
  bool wide = size > UINT16_MAX;
  size_t offset_size = wide ? sizeof(uint32_t) : sizeof(uint16_t);
  assert(count <= UINT16_MAX);
  assert(rank.event_time != TIME_NULL);
  size_t start = out->size;
  buf_reserve(out, ROW_HEADER + (count + 1) * offset_size + size + errors_size + key.size);
  uint8_t *at = out->data + start + ROW_HEADER;
  for (size_t i = 0; i <= count; i++, at += offset_size) {
    uint32_t offset = i ? values->ends[i - 1] : 0;
    memcpy(at, &offset, offset_size);  // little-endian: its first bytes are the low ones
  }
  out->size = (size_t)(at - out->data);
  buf_put(out, values->bytes.data, size);
  buf_put(out, values->errors, errors_size);
  buf_put_slice(out, key);
  put_header(out, start, rank, flags_of(deleted, wide, errors_size != 0, key), count);
}
