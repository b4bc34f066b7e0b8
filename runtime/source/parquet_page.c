#include "source/parquet_page.h"

#include <errno.h>
#include <snappy-c.h>
#include <unistd.h>
#include <zstd.h>

#include "source/thrift.h"

enum { PAGE_DATA = 0, PAGE_DICTIONARY = 2, PAGE_DATA_V2 = 3 };
enum {
  ENCODING_PLAIN = 0,
  ENCODING_PLAIN_DICTIONARY = 2,
  ENCODING_RLE = 3,
  ENCODING_RLE_DICTIONARY = 8
};
enum {
  HEADER_WINDOW = 4096,
  HEADER_LIMIT = 16 << 20,
  PAGE_LIMIT = 1 << 30,  // bytes, uncompressed
  PAGE_ROWS_LIMIT = 1 << 26,
};

typedef struct {
  int type;
  uint32_t size;  // uncompressed
  uint32_t compressed_size;
  uint32_t values;  // rows of a flat column's data page
  int encoding;
  int levels_encoding;
  uint32_t levels_size;      // v2: bytes of definition levels, never compressed
  uint32_t repetition_size;  // v2
  bool compressed;           // v2 may say no
} PageHeader;

size_t parquet_width(ParquetPhysical physical)
{
  switch (physical) {
  case PARQUET_BOOLEAN:
    return 1;  // after unpacking
  case PARQUET_INT32:
  case PARQUET_FLOAT:
    return 4;
  case PARQUET_INT64:
  case PARQUET_DOUBLE:
    return 8;
  case PARQUET_INT96:
    return 12;
  case PARQUET_BYTE_ARRAY:
  case PARQUET_FIXED:
    break;
  }
  return 0;
}

bool parquet_can_decode(const ParquetColumn *column, const ParquetChunk *chunk)
{
  uint32_t known = 1u << ENCODING_PLAIN | 1u << ENCODING_PLAIN_DICTIONARY | 1u << ENCODING_RLE
                   | 1u << ENCODING_RLE_DICTIONARY;
  bool codec =
      chunk->codec == PARQUET_RAW || chunk->codec == PARQUET_SNAPPY || chunk->codec == PARQUET_ZSTD;
  return codec && !(chunk->encodings & ~known) && column->physical != PARQUET_FIXED
         && (column->physical <= PARQUET_FIXED);
}

static bool damaged(const ParquetPages *pages, const char *what, Error *err)
{
  return error_set(err, ERR_DATA, "damaged Parquet file: column \"%s\": %s", pages->column->name,
                   what);
}

// --- Page headers ---

#define EACH_FIELD(thrift, field)                                              \
  for (ThriftField field = thrift_field(thrift, 0); field.type != THRIFT_STOP; \
       field = thrift_field(thrift, field.id))

// Data page (v1) and dictionary page headers have the same first two fields.
static void read_page_v1(Thrift *thrift, PageHeader *header)
{
  EACH_FIELD(thrift, field)
  {
    switch (field.id) {
    case 1:
      header->values = (uint32_t)thrift_int(thrift);
      break;
    case 2:
      header->encoding = (int)thrift_int(thrift);
      break;
    case 3:
      if (field.type == THRIFT_I32) {
        header->levels_encoding = (int)thrift_int(thrift);
        break;
      }
      thrift_skip(thrift, field.type);
      break;
    default:
      thrift_skip(thrift, field.type);
    }
  }
}

static void read_page_v2(Thrift *thrift, PageHeader *header)
{
  EACH_FIELD(thrift, field)
  {
    switch (field.id) {
    case 1:
      header->values = (uint32_t)thrift_int(thrift);
      break;
    case 4:
      header->encoding = (int)thrift_int(thrift);
      break;
    case 5:
      header->levels_size = (uint32_t)thrift_int(thrift);
      break;
    case 6:
      header->repetition_size = (uint32_t)thrift_int(thrift);
      break;
    case 7:
      header->compressed = thrift_bool(field);
      break;
    default:
      thrift_skip(thrift, field.type);
    }
  }
}

static PageHeader read_header(Thrift *thrift)
{
  PageHeader header = {.type = -1, .levels_encoding = ENCODING_RLE, .compressed = true};
  EACH_FIELD(thrift, field)
  {
    if (field.id == 1) {
      header.type = (int)thrift_int(thrift);
    } else if (field.id == 2) {
      header.size = (uint32_t)thrift_int(thrift);
    } else if (field.id == 3) {
      header.compressed_size = (uint32_t)thrift_int(thrift);
    } else if ((field.id == 5 || field.id == 7) && field.type == THRIFT_STRUCT) {
      read_page_v1(thrift, &header);
    } else if (field.id == 8 && field.type == THRIFT_STRUCT) {
      read_page_v2(thrift, &header);
    } else {
      thrift_skip(thrift, field.type);
    }
  }
  return header;
}

// Reads `size` bytes at `offset` of the file into `raw`, keeping what is there already.
static bool read_bytes(ParquetPages *pages, uint64_t offset, size_t size, Error *err)
{
  buf_reserve(&pages->raw, size > pages->raw.size ? size - pages->raw.size : 0);
  while (pages->raw.size < size) {
    ssize_t count = pread(pages->file->handle, pages->raw.data + pages->raw.size,
                          size - pages->raw.size, (off_t)(offset + pages->raw.size));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return error_set(err, ERR_IO, "reading a page: %s",
                       count < 0 ? strerror(errno) : "the file ends too early");
    }
    pages->raw.size += (size_t)count;
  }
  return true;
}

// Reads the header at pages->offset. *size is its length in bytes. Most headers fit the first
// window.
static bool next_header(ParquetPages *pages, PageHeader *header, size_t *size, Error *err)
{
  uint64_t left = pages->end - pages->offset;
  buf_reset(&pages->raw);
  for (size_t window = HEADER_WINDOW;; window *= 16) {
    size_t wanted = window < left ? window : (size_t)left;
    if (!read_bytes(pages, pages->offset, wanted, err)) {
      return false;
    }
    Thrift thrift = {pages->raw.data, pages->raw.data + pages->raw.size, false};
    *header = read_header(&thrift);
    if (!thrift.bad) {
      *size = (size_t)(thrift.at - pages->raw.data);
      break;
    }
    if (wanted == left || window > HEADER_LIMIT) {
      return damaged(pages, "a page header does not end", err);
    }
  }
  if (header->size > PAGE_LIMIT || header->compressed_size > left - *size) {
    return damaged(pages, "a page is larger than its column", err);
  }
  return true;
}

// --- Bytes of a page ---

static bool decompress(ParquetPages *pages, const uint8_t *from, size_t size, uint8_t *to,
                       size_t to_size, Error *err)
{
  if (pages->chunk->codec == PARQUET_SNAPPY) {
    size_t length = to_size;
    size_t real = 0;
    if (snappy_uncompressed_length((const char *)from, size, &real) != SNAPPY_OK || real != to_size
        || snappy_uncompress((const char *)from, size, (char *)to, &length) != SNAPPY_OK) {
      return damaged(pages, "a page does not decompress (snappy)", err);
    }
    return true;
  }
  size_t length = ZSTD_decompress(to, to_size, from, size);
  if (ZSTD_isError(length) || length != to_size) {
    return damaged(pages, "a page does not decompress (zstd)", err);
  }
  return true;
}

// The uncompressed bytes of the page whose header takes `header_size` bytes: in `raw` when nothing
// was compressed, in `body` otherwise. Version 2 keeps its levels outside of the compression.
static bool page_bytes(ParquetPages *pages, const PageHeader *header, size_t header_size, Buf *body,
                       Slice *bytes, Error *err)
{
  if (!read_bytes(pages, pages->offset, header_size + header->compressed_size, err)) {
    return false;
  }
  const uint8_t *from = pages->raw.data + header_size;
  bool packed = pages->chunk->codec != PARQUET_RAW && header->compressed;
  if (!packed) {
    if (header->size != header->compressed_size) {
      return damaged(pages, "a page has two sizes", err);
    }
    *bytes = slice_of(from, header->size);
    return true;
  }
  uint64_t plain = (uint64_t)header->levels_size + header->repetition_size;
  if (plain > header->size || plain > header->compressed_size) {
    return damaged(pages, "levels are larger than their page", err);
  }
  buf_reset(body);
  buf_reserve(body, (size_t)header->size + 8);
  buf_put(body, from, (size_t)plain);
  *bytes = slice_of(body->data, header->size);
  return header->size == plain
         || decompress(pages, from + plain, header->compressed_size - (size_t)plain,
                       body->data + plain, header->size - (size_t)plain, err);
}

// --- Runs: the hybrid of run-length and bit-packed (Encodings.md, RLE = 3) ---

// Unpacks `count` numbers of `width` bits, least significant bit first.
static void unpack_bits(const uint8_t *from, const uint8_t *end, unsigned width, uint32_t *to,
                        size_t count)
{
  uint64_t mask = (UINT64_C(1) << width) - 1;
  uint64_t bit = 0;
  for (size_t i = 0; i < count; i++, bit += width) {
    const uint8_t *at = from + (bit >> 3);
    uint64_t word = 0;
    size_t left = (size_t)(end - at);
    if (__builtin_expect(left >= 8, 1)) {
      memcpy(&word, at, 8);
    } else {
      memcpy(&word, at, left);
    }
    to[i] = (uint32_t)(word >> (bit & 7) & mask);
  }
}

static bool read_run_header(const uint8_t **at, const uint8_t *end, uint64_t *header)
{
  *header = 0;
  for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
    uint8_t byte = *(*at)++;
    *header |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) {
      return true;
    }
  }
  return false;
}

// Decodes `count` numbers of `width` bits. False when the runs end too early. Numbers of no bits,
// the places in a dictionary of one value, are zeros whatever the runs; a packed one has no bytes.
static bool read_runs(Slice bytes, unsigned width, uint32_t *to, size_t count)
{
  if (width == 0) {
    memset(to, 0, count * sizeof(*to));
    return true;
  }
  const uint8_t *at = (const uint8_t *)bytes.data;
  const uint8_t *end = at + bytes.size;
  size_t value_bytes = (width + 7) / 8;
  size_t done = 0;
  while (done < count) {
    uint64_t header;
    if (width > 32 || !read_run_header(&at, end, &header)) {
      return false;
    }
    uint64_t length = header >> 1;
    if (header & 1) {
      if (length > (uint64_t)(end - at)) {
        return false;
      }
      uint64_t bytes_used = length * width;
      if (bytes_used > (uint64_t)(end - at)) {
        bytes_used = (uint64_t)(end - at);  // the last group may be cut
      }
      uint64_t numbers = bytes_used * 8 / width;
      numbers = numbers < length * 8 ? numbers : length * 8;
      size_t taken = numbers < count - done ? (size_t)numbers : count - done;
      if (!taken) {
        return false;
      }
      unpack_bits(at, end, width, to + done, taken);
      at += bytes_used;
      done += taken;
    } else {
      if (value_bytes > (size_t)(end - at) || !length) {
        return false;
      }
      uint32_t value = 0;
      memcpy(&value, at, value_bytes);
      at += value_bytes;
      size_t taken = length < count - done ? (size_t)length : count - done;
      for (size_t i = 0; i < taken; i++) {
        to[done + i] = value;
      }
      done += taken;
    }
  }
  return true;
}

// --- Levels: which rows have a value ---

// What most columns have: no null in the whole page.
static bool is_one_run_of_ones(Slice levels, uint32_t rows)
{
  const uint8_t *at = (const uint8_t *)levels.data;
  const uint8_t *end = at + levels.size;
  uint64_t header;
  return read_run_header(&at, end, &header) && !(header & 1) && header >> 1 >= rows && at < end
         && *at == 1;
}

static void set_validity(ParquetPages *pages, uint32_t rows)
{
  size_t words = ((size_t)rows + 63) / 64;
  const uint32_t *levels = (const uint32_t *)pages->places.data;
  uint64_t *valid = (uint64_t *)pages->valid.data;
  uint32_t *ranks = (uint32_t *)pages->ranks.data;
  uint32_t count = 0;
  for (size_t word = 0; word < words; word++) {
    size_t first = word * 64;
    size_t last = rows - first < 64 ? rows - first : 64;
    uint64_t bits = 0;
    for (size_t i = 0; i < last; i++) {
      bits |= (uint64_t)(levels[first + i] & 1) << i;
    }
    ranks[word] = count;
    valid[word] = bits;
    count += (uint32_t)__builtin_popcountll(bits);
  }
  pages->page.value_count = count;
  bool all = count == rows;
  pages->page.valid = all ? NULL : valid;
  pages->page.ranks = all ? NULL : ranks;
}

// Takes the definition levels off the front of `bytes`.
static bool read_levels(ParquetPages *pages, const PageHeader *header, Slice *bytes, Error *err)
{
  pages->page.value_count = header->values;
  pages->page.valid = NULL;
  bool v2 = header->type == PAGE_DATA_V2;
  uint32_t size = header->levels_size;
  if (v2 && (uint64_t)header->repetition_size + size > bytes->size) {
    return damaged(pages, "levels are larger than their page", err);
  }
  if (v2) {
    *bytes = slice_of(bytes->data + header->repetition_size, bytes->size - header->repetition_size);
  }
  if (!pages->column->optional) {
    return true;
  }
  if (!v2) {
    if (bytes->size < sizeof(size)) {
      return damaged(pages, "a page has no levels", err);
    }
    memcpy(&size, bytes->data, sizeof(size));
    *bytes = slice_of(bytes->data + sizeof(size), bytes->size - sizeof(size));
  }
  if (size > bytes->size || header->levels_encoding != ENCODING_RLE) {
    return damaged(pages, "levels are larger than their page", err);
  }
  Slice levels = slice_of(bytes->data, size);
  *bytes = slice_of(bytes->data + size, bytes->size - size);
  if (is_one_run_of_ones(levels, header->values)) {
    return true;
  }
  size_t words = ((size_t)header->values + 63) / 64;
  buf_reset(&pages->places);
  buf_reset(&pages->valid);
  buf_reset(&pages->ranks);
  buf_reserve(&pages->places, ((size_t)header->values + 8) * sizeof(uint32_t));
  buf_reserve(&pages->valid, words * sizeof(uint64_t));
  buf_reserve(&pages->ranks, words * sizeof(uint32_t));
  if (!read_runs(levels, 1, (uint32_t *)pages->places.data, header->values)) {
    return damaged(pages, "levels end too early", err);
  }
  set_validity(pages, header->values);
  return true;
}

// --- Values ---

// PLAIN byte arrays: [length: u32 LE][bytes], one after the other.
static bool read_texts(ParquetPages *pages, Slice bytes, uint32_t count, Buf *out, Error *err)
{
  if (!bytes.size) {
    return !count || damaged(pages, "values end too early", err);
  }
  buf_reset(out);
  buf_reserve(out, (size_t)count * sizeof(Slice));
  Slice *texts = (Slice *)out->data;
  const char *at = bytes.data;
  const char *end = bytes.data + bytes.size;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t size;
    if ((size_t)(end - at) < sizeof(size)) {
      return damaged(pages, "values end too early", err);
    }
    memcpy(&size, at, sizeof(size));
    at += sizeof(size);
    if (size > (size_t)(end - at)) {
      return damaged(pages, "a text is longer than its page", err);
    }
    texts[i] = slice_of(at, size);
    at += size;
  }
  return true;
}

// PLAIN booleans are bits; a byte each is what columns have.
static bool read_booleans(ParquetPages *pages, Slice bytes, bool runs, uint32_t count, Error *err)
{
  buf_reset(&pages->places);
  buf_reserve(&pages->places, ((size_t)count + 8) * sizeof(uint32_t));
  uint32_t *numbers = (uint32_t *)pages->places.data;
  if (runs) {  // RLE with a length in front
    bool good =
        bytes.size >= 4 && read_runs(slice_of(bytes.data + 4, bytes.size - 4), 1, numbers, count);
    if (!good) {
      return damaged(pages, "values end too early", err);
    }
  } else {
    if (bytes.size * 8 < count) {
      return damaged(pages, "values end too early", err);
    }
    unpack_bits((const uint8_t *)bytes.data, (const uint8_t *)bytes.data + bytes.size, 1, numbers,
                count);
  }
  buf_reset(&pages->texts);
  buf_reserve(&pages->texts, (size_t)count + 1);
  for (uint32_t i = 0; i < count; i++) {
    pages->texts.data[i] = (uint8_t)numbers[i];
  }
  pages->page.fixed = pages->texts.data;
  return true;
}

static bool read_places(ParquetPages *pages, Slice bytes, uint32_t count, Error *err)
{
  buf_reset(&pages->places);
  buf_reserve(&pages->places, ((size_t)count + 8) * sizeof(uint32_t));
  uint32_t *places = (uint32_t *)pages->places.data;
  if (count && bytes.size < 1) {
    return damaged(pages, "values end too early", err);
  }
  unsigned width = count ? (uint8_t)bytes.data[0] : 0;
  if (count && !read_runs(slice_of(bytes.data + 1, bytes.size - 1), width, places, count)) {
    return damaged(pages, "values end too early", err);
  }
  uint32_t most = 0;
  for (uint32_t i = 0; i < count; i++) {
    most = places[i] > most ? places[i] : most;
  }
  if (count && most >= pages->dictionary.count) {
    return damaged(pages, "a value is not in the dictionary", err);
  }
  pages->page.places = places;
  return true;
}

// Whether the bytes hold as many values of a fixed width.
static bool has_fixed(const ParquetPages *pages, Slice bytes, uint32_t count)
{
  uint64_t width = parquet_width(pages->column->physical);
  return width && bytes.size >= width * count;
}

static bool read_values(ParquetPages *pages, const PageHeader *header, Slice bytes, Error *err)
{
  uint32_t count = pages->page.value_count;
  pages->page.places = NULL;
  pages->page.fixed = NULL;
  pages->page.texts = NULL;
  switch (header->encoding) {
  case ENCODING_PLAIN_DICTIONARY:
  case ENCODING_RLE_DICTIONARY:
    return read_places(pages, bytes, count, err);
  case ENCODING_RLE:
    if (pages->column->physical == PARQUET_BOOLEAN) {
      return read_booleans(pages, bytes, true, count, err);
    }
    break;
  case ENCODING_PLAIN:
    if (pages->column->physical == PARQUET_BOOLEAN) {
      return read_booleans(pages, bytes, false, count, err);
    }
    if (pages->column->physical == PARQUET_BYTE_ARRAY) {
      bool good = read_texts(pages, bytes, count, &pages->texts, err);
      pages->page.texts = (const Slice *)pages->texts.data;
      return good;
    }
    if (!has_fixed(pages, bytes, count)) {
      return damaged(pages, "values end too early", err);
    }
    pages->page.fixed = (const uint8_t *)bytes.data;
    return true;
  default:
    break;
  }
  return damaged(pages, "a page has an encoding that the footer does not list", err);
}

static bool read_dictionary(ParquetPages *pages, const PageHeader *header, size_t header_size,
                            Error *err)
{
  Slice bytes = {0};
  if (!page_bytes(pages, header, header_size, &pages->dictionary_body, &bytes, err)) {
    return false;
  }
  if (bytes.data != (const char *)pages->dictionary_body.data) {
    // Not compressed, so the bytes lie in `raw`, which the next page overwrites.
    buf_reset(&pages->dictionary_body);
    buf_put_slice(&pages->dictionary_body, bytes);
    bytes = buf_slice(&pages->dictionary_body);
  }
  pages->dictionary = (ParquetDictionary){.count = header->values};
  if (pages->column->physical == PARQUET_BYTE_ARRAY) {
    bool good = read_texts(pages, bytes, header->values, &pages->dictionary_texts, err);
    pages->dictionary.texts = (const Slice *)pages->dictionary_texts.data;
    return good;
  }
  if (pages->column->physical == PARQUET_BOOLEAN || !has_fixed(pages, bytes, header->values)) {
    return damaged(pages, "the dictionary ends too early", err);
  }
  pages->dictionary.fixed = (const uint8_t *)bytes.data;
  return true;
}

static bool read_data(ParquetPages *pages, const PageHeader *header, size_t header_size, Error *err)
{
  Slice bytes = {0};
  pages->page.first_row = pages->next_row;
  pages->page.rows = header->values;
  return page_bytes(pages, header, header_size, &pages->body, &bytes, err)
         && read_levels(pages, header, &bytes, err) && read_values(pages, header, bytes, err);
}

// --- Walking ---

bool parquet_pages_start(ParquetPages *pages, const ParquetFile *file, size_t group, size_t place,
                         Error *err)
{
  pages->file = file;
  pages->column = &file->columns[place];
  pages->chunk = &file->groups[group].chunks[place];
  pages->offset = pages->chunk->offset;
  pages->end = pages->offset + pages->chunk->size;
  pages->next_row = 0;
  pages->page = (ParquetPage){0};
  pages->dictionary = (ParquetDictionary){0};
  if (pages->chunk->values != file->groups[group].rows) {
    return damaged(pages, "it has another number of rows than its row group", err);
  }
  return true;
}

bool parquet_pages_seek(ParquetPages *pages, uint64_t row, Error *err)
{
  while (row >= pages->next_row) {
    if (pages->offset >= pages->end) {
      return damaged(pages, "it has fewer rows than its row group", err);
    }
    PageHeader header;
    size_t header_size = 0;
    if (!next_header(pages, &header, &header_size, err)) {
      return false;
    }
    bool data = header.type == PAGE_DATA || header.type == PAGE_DATA_V2;
    uint64_t rows_left = pages->chunk->values - pages->next_row;
    if (header.values > PAGE_ROWS_LIMIT || (data && header.values > rows_left)) {
      return damaged(pages, "a page has more rows than its row group", err);
    }
    if (header.type == PAGE_DICTIONARY && !read_dictionary(pages, &header, header_size, err)) {
      return false;
    }
    if (data && row < pages->next_row + header.values
        && !read_data(pages, &header, header_size, err)) {
      return false;
    }
    pages->next_row += data ? header.values : 0;
    pages->offset += header_size + header.compressed_size;
  }
  return true;
}

void parquet_pages_deinit(ParquetPages *pages)
{
  buf_deinit(&pages->raw);
  buf_deinit(&pages->body);
  buf_deinit(&pages->dictionary_body);
  buf_deinit(&pages->dictionary_texts);
  buf_deinit(&pages->valid);
  buf_deinit(&pages->ranks);
  buf_deinit(&pages->texts);
  buf_deinit(&pages->places);
}
