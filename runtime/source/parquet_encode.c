#include "source/parquet_encode.h"

#include <assert.h>
#include <zstd.h>

#include "source/parquet_file.h"

enum { PAGE_DATA = 0, ENCODING_PLAIN = 0, ENCODING_RLE = 3, REPETITION_OPTIONAL = 1 };
enum { ZSTD_LEVEL = 1 };

// How our types are stored (parquet.thrift: Type, ConvertedType, LogicalType); -1: no converted
// type.
static const struct {
  TypeKind kind;
  ParquetPhysical physical;
  int converted;
  int logical;  // field id of the union; 0: none
} STORED[] = {
    {TYPE_BOOL, PARQUET_BOOLEAN, -1, 0},     {TYPE_INT32, PARQUET_INT32, -1, 0},
    {TYPE_INT64, PARQUET_INT64, -1, 0},      {TYPE_FLOAT32, PARQUET_FLOAT, -1, 0},
    {TYPE_FLOAT64, PARQUET_DOUBLE, -1, 0},   {TYPE_STRING, PARQUET_BYTE_ARRAY, 0, 1},
    {TYPE_BYTES, PARQUET_BYTE_ARRAY, -1, 0}, {TYPE_TIMESTAMP, PARQUET_INT64, 10, 8},
};
enum { STORED_COUNT = sizeof(STORED) / sizeof(STORED[0]) };

static size_t stored_as(Type type)
{
  size_t place = 0;
  while (place < STORED_COUNT && STORED[place].kind != (TypeKind)type.kind) {
    place++;
  }
  return place;
}

bool parquet_can_encode(Type type)
{
  return stored_as(type) < STORED_COUNT;
}

// --- Values ---

static void add_fixed(ParquetEncoder *encoder, const Column *column, size_t first, size_t count)
{
  size_t width = type_width(column->type);
  const uint8_t *data = (const uint8_t *)column->data + first * width;
  if (!column->valid) {
    buf_put(&encoder->values, data, count * width);
    return;
  }
  buf_reserve(&encoder->values, count * width);
  for (size_t i = 0; i < count; i++) {
    memcpy(encoder->values.data + encoder->values.size, data + i * width, width);
    encoder->values.size += column_has(column, first + i) ? width : 0;
  }
}

static void add_texts(ParquetEncoder *encoder, const Column *column, size_t first, size_t count)
{
  for (size_t i = first; i < first + count; i++) {
    if (column_has(column, i)) {
      uint32_t size = (uint32_t)column->slices[i].size;
      buf_put(&encoder->values, &size, sizeof(size));
      buf_put_slice(&encoder->values, column->slices[i]);
    }
  }
}

void parquet_encode_add(ParquetEncoder *encoder, const Column *column, size_t first, size_t count)
{
  assert(type_equal(encoder->type, column->type));
  buf_reserve(&encoder->there, count);
  uint8_t *there = encoder->there.data + encoder->there.size;
  memset(there, 1, count);
  for (size_t i = 0; column->valid && i < count; i++) {
    there[i] = column_has(column, first + i);
    encoder->nulls += !there[i];
  }
  encoder->there.size += count;
  bool text = encoder->type.kind == TYPE_STRING || encoder->type.kind == TYPE_BYTES;
  if (text) {
    add_texts(encoder, column, first, count);
  } else {
    add_fixed(encoder, column, first, count);
  }
  encoder->rows += (uint32_t)count;
}

// --- Pages ---

static void put_bits(Buf *out, const uint8_t *bytes, size_t count)
{
  for (size_t i = 0; i < count; i += 8) {
    uint8_t bits = 0;
    for (size_t k = 0; k < 8 && i + k < count; k++) {
      bits |= (uint8_t)((bytes[i + k] & 1) << k);
    }
    buf_put_byte(out, bits);
  }
}

static void put_run_header(Buf *out, uint64_t header)
{
  for (; header >= 0x80; header >>= 7) {
    buf_put_byte(out, (uint8_t)(header | 0x80));
  }
  buf_put_byte(out, (uint8_t)header);
}

// Definition levels in the hybrid of run-length and bit-packed, with their length in front: one run
// of ones, or one bit-packed run of them all.
static void put_levels(const ParquetEncoder *encoder, Buf *out)
{
  size_t start = out->size;
  uint32_t size = 0;
  buf_put(out, &size, sizeof(size));
  if (!encoder->nulls) {
    put_run_header(out, (uint64_t)encoder->rows << 1);
    buf_put_byte(out, 1);
  } else {
    uint64_t groups = ((uint64_t)encoder->rows + 7) / 8;
    put_run_header(out, groups << 1 | 1);
    put_bits(out, encoder->there.data, encoder->rows);
  }
  size = (uint32_t)(out->size - start - sizeof(size));
  memcpy(out->data + start, &size, sizeof(size));
}

static void put_page_header(const ParquetEncoder *encoder, size_t size, size_t compressed, Buf *out)
{
  ThriftStruct header = {.out = out};
  thrift_put_int_field(&header, 1, THRIFT_I32, PAGE_DATA);
  thrift_put_int_field(&header, 2, THRIFT_I32, (int64_t)size);
  thrift_put_int_field(&header, 3, THRIFT_I32, (int64_t)compressed);
  thrift_put_field(&header, 5, THRIFT_STRUCT);
  ThriftStruct page = {.out = out};
  thrift_put_int_field(&page, 1, THRIFT_I32, encoder->rows);
  thrift_put_int_field(&page, 2, THRIFT_I32, ENCODING_PLAIN);
  thrift_put_int_field(&page, 3, THRIFT_I32, ENCODING_RLE);
  thrift_put_int_field(&page, 4, THRIFT_I32, ENCODING_RLE);
  thrift_put_end(&page);
  thrift_put_end(&header);
}

static bool put_page(ParquetEncoder *encoder, Slice body, Error *err)
{
  Buf packed = {0};
  buf_reserve(&packed, ZSTD_compressBound(body.size));
  size_t size = ZSTD_compress(packed.data, packed.capacity, body.data, body.size, ZSTD_LEVEL);
  if (ZSTD_isError(size)) {
    buf_deinit(&packed);
    return error_set(err, ERR_INTERNAL, "zstd: %s", ZSTD_getErrorName(size));
  }
  size_t before = encoder->pages.size;
  put_page_header(encoder, body.size, size, &encoder->pages);
  encoder->plain_size += encoder->pages.size - before + body.size;
  buf_put(&encoder->pages, packed.data, size);
  buf_deinit(&packed);
  return true;
}

bool parquet_encode_page(ParquetEncoder *encoder, Error *err)
{
  if (!encoder->rows) {
    return true;
  }
  Buf body = {0};
  put_levels(encoder, &body);
  if (encoder->type.kind == TYPE_BOOL) {
    put_bits(&body, encoder->values.data, encoder->values.size);
  } else {
    buf_put_slice(&body, buf_slice(&encoder->values));
  }
  bool ok =
      body.size < UINT32_MAX / 2
      || error_set(err, ERR_LIMIT, "the values of \"%s\" are too long for a page", encoder->name);
  ok = ok && put_page(encoder, buf_slice(&body), err);
  buf_deinit(&body);
  encoder->chunk_rows += encoder->rows;
  encoder->rows = 0;
  encoder->nulls = 0;
  buf_reset(&encoder->values);
  buf_reset(&encoder->there);
  return ok;
}

// --- Metadata ---

void parquet_encode_chunk(const ParquetEncoder *encoder, uint64_t offset, Buf *out)
{
  size_t stored = stored_as(encoder->type);
  ThriftStruct chunk = {.out = out};
  thrift_put_int_field(&chunk, 2, THRIFT_I64, (int64_t)offset);
  thrift_put_field(&chunk, 3, THRIFT_STRUCT);
  ThriftStruct data = {.out = out};
  thrift_put_int_field(&data, 1, THRIFT_I32, STORED[stored].physical);
  thrift_put_field(&data, 2, THRIFT_LIST);
  thrift_put_list(out, THRIFT_I32, 2);
  thrift_put_int(out, ENCODING_PLAIN);
  thrift_put_int(out, ENCODING_RLE);
  thrift_put_field(&data, 3, THRIFT_LIST);
  thrift_put_list(out, THRIFT_BINARY, 1);
  thrift_put_binary(out, slice_text(encoder->name));
  thrift_put_int_field(&data, 4, THRIFT_I32, PARQUET_ZSTD);
  thrift_put_int_field(&data, 5, THRIFT_I64, (int64_t)encoder->chunk_rows);
  thrift_put_int_field(&data, 6, THRIFT_I64, (int64_t)encoder->plain_size);
  thrift_put_int_field(&data, 7, THRIFT_I64, (int64_t)encoder->pages.size);
  thrift_put_int_field(&data, 9, THRIFT_I64, (int64_t)offset);
  thrift_put_end(&data);
  thrift_put_end(&chunk);
}

// LogicalType is a union: a structure with the one field that is meant.
static void put_logical(ThriftStruct *element, int logical, Buf *out)
{
  thrift_put_field(element, 10, THRIFT_STRUCT);
  ThriftStruct kind = {.out = out};
  thrift_put_field(&kind, logical, THRIFT_STRUCT);
  ThriftStruct detail = {.out = out};
  if (logical == 8) {  // TIMESTAMP { isAdjustedToUTC, unit = MICROS }
    thrift_put_field(&detail, 1, THRIFT_TRUE);
    thrift_put_field(&detail, 2, THRIFT_STRUCT);
    ThriftStruct unit = {.out = out};
    thrift_put_field(&unit, 2, THRIFT_STRUCT);
    ThriftStruct micros = {.out = out};
    thrift_put_end(&micros);
    thrift_put_end(&unit);
  }
  thrift_put_end(&detail);
  thrift_put_end(&kind);
}

void parquet_encode_schema(const ParquetEncoder *encoder, Buf *out)
{
  size_t stored = stored_as(encoder->type);
  ThriftStruct element = {.out = out};
  thrift_put_int_field(&element, 1, THRIFT_I32, STORED[stored].physical);
  thrift_put_int_field(&element, 3, THRIFT_I32, REPETITION_OPTIONAL);
  thrift_put_field(&element, 4, THRIFT_BINARY);
  thrift_put_binary(out, slice_text(encoder->name));
  if (STORED[stored].converted >= 0) {
    thrift_put_int_field(&element, 6, THRIFT_I32, STORED[stored].converted);
  }
  if (STORED[stored].logical) {
    put_logical(&element, STORED[stored].logical, out);
  }
  thrift_put_end(&element);
}

void parquet_encode_reset(ParquetEncoder *encoder)
{
  assert(encoder->rows == 0);
  buf_reset(&encoder->pages);
  encoder->chunk_rows = 0;
  encoder->plain_size = 0;
}

void parquet_encode_deinit(ParquetEncoder *encoder)
{
  buf_deinit(&encoder->values);
  buf_deinit(&encoder->there);
  buf_deinit(&encoder->pages);
}
