#include "source/parquet_append.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/parallel.h"
#include "source/feed.h"
#include "source/parquet_encode.h"
#include "source/parquet_file.h"

enum { COPY_SIZE = 1 << 20, WRITE_THREADS = 2 };

// New columns of one row group that are held in memory before they are written: at most this, at
// eight bytes a value.
#define GROUP_BYTES_MAX (UINT64_C(512) << 20)

typedef struct {
  ParquetFile from;
  int to;
  uint64_t offset;  // bytes written
  ParquetEncoder *encoders;
  size_t count;
  Feed feed;
  Buf groups;  // entries of the footer's row groups
  uint64_t rows;
  Buf copy;
} Append;

// --- Bytes ---

static bool put_bytes(Append *append, const void *bytes, size_t size, Error *err)
{
  const char *at = bytes;
  append->offset += size;
  while (size) {
    ssize_t written = write(append->to, at, size);
    if (written < 0 && errno != EINTR) {
      return error_set(err, ERR_IO, "cannot write: %s", strerror(errno));
    }
    at += written > 0 ? written : 0;
    size -= written > 0 ? (size_t)written : 0;
  }
  return true;
}

static bool copy_bytes(Append *append, uint64_t offset, uint64_t size, Error *err)
{
  buf_reserve(&append->copy, COPY_SIZE);
  while (size) {
    size_t wanted = size < COPY_SIZE ? (size_t)size : COPY_SIZE;
    ssize_t count = pread(append->from.handle, append->copy.data, wanted, (off_t)offset);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return error_set(err, ERR_IO, "cannot read the table again: %s",
                       count < 0 ? strerror(errno) : "it has become shorter");
    }
    if (!put_bytes(append, append->copy.data, (size_t)count, err)) {
      return false;
    }
    offset += (uint64_t)count;
    size -= (uint64_t)count;
  }
  return true;
}

// --- The footer's structures, copied with changes ---

#define EACH_FIELD(thrift, field)                                              \
  for (ThriftField field = thrift_field(thrift, 0); field.type != THRIFT_STOP; \
       field = thrift_field(thrift, field.id))

static void copy_field(Thrift *from, ThriftField field, ThriftStruct *to)
{
  const uint8_t *start = from->at;
  thrift_skip(from, field.type);
  thrift_put_field(to, field.id, field.type);
  buf_put(to->out, start, (size_t)(from->at - start));
}

// ColumnMetaData, moved by `shift` bytes. Indexes and Bloom filters stay behind: they are outside
// of the chunk.
static void move_metadata(Thrift *from, int64_t shift, ThriftStruct *to)
{
  enum { DATA_PAGE = 9, INDEX_PAGE = 10, DICTIONARY_PAGE = 11, BLOOM_FILTER = 14, BLOOM_SIZE = 15 };
  EACH_FIELD(from, field)
  {
    if (field.id == DATA_PAGE || field.id == DICTIONARY_PAGE) {
      int64_t offset = thrift_int(from);
      if (field.id == DATA_PAGE || offset > 0) {
        thrift_put_int_field(to, field.id, field.type, offset + shift);
      }
    } else if (field.id == INDEX_PAGE || field.id == BLOOM_FILTER || field.id == BLOOM_SIZE) {
      thrift_skip(from, field.type);
    } else {
      copy_field(from, field, to);
    }
  }
  thrift_put_end(to);
}

// ColumnChunk: only its metadata, at the new place.
static void move_chunk(Thrift *from, int64_t shift, uint64_t offset, Buf *out)
{
  ThriftStruct chunk = {.out = out};
  thrift_put_int_field(&chunk, 2, THRIFT_I64, (int64_t)offset);
  EACH_FIELD(from, field)
  {
    if (field.id == 3 && field.type == THRIFT_STRUCT) {
      thrift_put_field(&chunk, 3, THRIFT_STRUCT);
      ThriftStruct data = {.out = out};
      move_metadata(from, shift, &data);
    } else {
      thrift_skip(from, field.type);
    }
  }
  thrift_put_end(&chunk);
}

// Copies the chunks of a row group and lists them, with room for the new ones.
static bool copy_chunks(Append *append, Thrift *from, const ParquetGroup *group, Error *err)
{
  ThriftType type;
  uint32_t count = thrift_list(from, &type);
  thrift_put_list(&append->groups, THRIFT_STRUCT, count + (uint32_t)append->count);
  for (uint32_t i = 0; i < count; i++) {
    const ParquetChunk *chunk = &group->chunks[i];
    uint64_t offset = append->offset;
    move_chunk(from, (int64_t)(offset - chunk->offset), offset, &append->groups);
    if (!copy_bytes(append, chunk->offset, chunk->size, err)) {
      return false;
    }
  }
  return true;
}

// --- New columns ---

// Rows of the feed's batch that go into the pages at hand, and whether these end with them.
typedef struct {
  Append *append;
  size_t count;
  bool end;
} Rows;

static bool encode_rows(void *context, unsigned thread, Error *err)
{
  const Rows *rows = context;
  Append *append = rows->append;
  const Feed *feed = &append->feed;
  for (size_t i = thread; i < append->count; i += WRITE_THREADS) {
    ParquetEncoder *encoder = &append->encoders[i];
    parquet_encode_add(encoder, &feed->batch.columns[i], feed->at, rows->count);
    if (rows->end && !parquet_encode_page(encoder, err)) {
      return false;
    }
  }
  return true;
}

// Takes the rows of a row group from the producer, page by page.
static bool encode_group(Append *append, uint64_t rows, Error *err)
{
  uint64_t left = rows;
  uint64_t in_page = 0;
  while (left) {
    size_t ready;
    if (!feed_available(&append->feed, &ready, err)) {
      return false;
    }
    if (!ready) {
      return error_set(err, ERR_INTERNAL, "fewer rows were produced than the table has");
    }
    uint64_t room = PARQUET_PAGE_ROWS - in_page;
    size_t count = ready < left ? ready : (size_t)left;
    count = count < room ? count : (size_t)room;
    left -= count;
    in_page += count;
    Rows page = {append, count, !left || in_page == PARQUET_PAGE_ROWS};
    if (!parallel_run(WRITE_THREADS, encode_rows, &page, err)) {
      return false;
    }
    append->feed.at += count;
    in_page = page.end ? 0 : in_page;
  }
  return true;
}

static bool put_new_chunks(Append *append, Error *err)
{
  for (size_t i = 0; i < append->count; i++) {
    ParquetEncoder *encoder = &append->encoders[i];
    parquet_encode_chunk(encoder, append->offset, &append->groups);
    if (!put_bytes(append, encoder->pages.data, encoder->pages.size, err)) {
      return false;
    }
    parquet_encode_reset(encoder);
  }
  return true;
}

// --- Row groups and the footer ---

// Has the disk begin with what was written since `start`, so that little is left to wait for when
// the file is made durable at the end. Only a hint: what it could not begin is done then.
static void begin_writeback(const Append *append, uint64_t start)
{
#ifdef SYNC_FILE_RANGE_WRITE
  sync_file_range(append->to, (off_t)start, (off_t)(append->offset - start), SYNC_FILE_RANGE_WRITE);
#endif
}

// RowGroup: its chunks and ours, and sums that fit them.
static bool append_group(Append *append, Thrift *from, const ParquetGroup *group, Error *err)
{
  ThriftStruct to = {.out = &append->groups};
  uint64_t start = append->offset;
  EACH_FIELD(from, field)
  {
    if (field.id == 1 && field.type == THRIFT_LIST) {
      thrift_put_field(&to, 1, THRIFT_LIST);
      if (!copy_chunks(append, from, group, err) || !encode_group(append, group->rows, err)
          || !put_new_chunks(append, err)) {
        return false;
      }
    } else {
      thrift_skip(from, field.type);
    }
  }
  thrift_put_int_field(&to, 2, THRIFT_I64, (int64_t)(append->offset - start));
  thrift_put_int_field(&to, 3, THRIFT_I64, (int64_t)group->rows);
  thrift_put_end(&to);
  begin_writeback(append, start);
  append->rows += group->rows;
  return true;
}

static bool append_groups(Append *append, Error *err)
{
  const uint8_t *start = (const uint8_t *)append->from.footer.data;
  Thrift from = {start, start + append->from.footer.size, false};
  EACH_FIELD(&from, field)
  {
    if (field.id != 4) {
      thrift_skip(&from, field.type);
      continue;
    }
    ThriftType type;
    uint32_t count = thrift_list(&from, &type);
    assert(count == append->from.group_count);
    for (uint32_t i = 0; i < count; i++) {
      if (!append_group(append, &from, &append->from.groups[i], err)) {
        return false;
      }
    }
  }
  return true;
}

// The root of the schema, with more children.
static void put_root(const Append *append, Thrift *from, Buf *out)
{
  ThriftStruct root = {.out = out};
  EACH_FIELD(from, field)
  {
    if (field.id == 5) {
      int64_t children = thrift_int(from);
      thrift_put_int_field(&root, 5, THRIFT_I32, children + (int64_t)append->count);
    } else {
      copy_field(from, field, &root);
    }
  }
  thrift_put_end(&root);
}

// The schema lists elements depth first, so new columns go to its end.
static void put_schema(const Append *append, Thrift *from, Buf *out)
{
  ThriftType type;
  uint32_t count = thrift_list(from, &type);
  thrift_put_list(out, THRIFT_STRUCT, count + (uint32_t)append->count);
  put_root(append, from, out);
  for (uint32_t i = 1; i < count; i++) {
    const uint8_t *start = from->at;
    thrift_skip(from, THRIFT_STRUCT);
    buf_put(out, start, (size_t)(from->at - start));
  }
  for (size_t i = 0; i < append->count; i++) {
    parquet_encode_schema(&append->encoders[i], out);
  }
}

// The order that minima and maxima are meant in, per leaf: the one that its type defines. Without
// this list readers may not trust the statistics that were copied.
static void put_orders(const Append *append, ThriftStruct *file)
{
  uint32_t leaves = (uint32_t)(append->from.column_count + append->count);
  thrift_put_field(file, 7, THRIFT_LIST);
  thrift_put_list(file->out, THRIFT_STRUCT, leaves);
  for (uint32_t i = 0; i < leaves; i++) {
    ThriftStruct order = {.out = file->out};
    thrift_put_field(&order, 1, THRIFT_STRUCT);
    ThriftStruct defined = {.out = file->out};
    thrift_put_end(&defined);
    thrift_put_end(&order);
  }
}

// FileMetaData. Key-value metadata stay behind: what pandas and Arrow keep there describes all
// columns of a file, and these are more.
static void put_metadata(const Append *append, Buf *out)
{
  const uint8_t *start = (const uint8_t *)append->from.footer.data;
  Thrift from = {start, start + append->from.footer.size, false};
  ThriftStruct file = {.out = out};
  thrift_put_int_field(&file, 1, THRIFT_I32, 1);
  bool has_orders = false;
  EACH_FIELD(&from, field)
  {
    if (field.id == 2 && field.type == THRIFT_LIST) {
      thrift_put_field(&file, 2, THRIFT_LIST);
      put_schema(append, &from, out);
    } else {
      has_orders |= field.id == 7;
      thrift_skip(&from, field.type);
    }
  }
  thrift_put_int_field(&file, 3, THRIFT_I64, (int64_t)append->rows);
  thrift_put_field(&file, 4, THRIFT_LIST);
  thrift_put_list(out, THRIFT_STRUCT, (uint32_t)append->from.group_count);
  buf_put_slice(out, buf_slice(&append->groups));
  thrift_put_field(&file, 6, THRIFT_BINARY);
  thrift_put_binary(out, slice_text("tidemark version " TIDEMARK_VERSION));
  if (has_orders) {
    put_orders(append, &file);
  }
  thrift_put_end(&file);
}

static bool append_all(Append *append, Error *err)
{
  size_t ready;
  if (!put_bytes(append, "PAR1", 4, err) || !append_groups(append, err)
      || !feed_available(&append->feed, &ready, err)) {
    return false;
  }
  if (ready) {
    return error_set(err, ERR_INTERNAL, "more rows were produced than the table has");
  }
  Buf footer = {0};
  put_metadata(append, &footer);
  uint32_t size = (uint32_t)footer.size;
  buf_put(&footer, &size, sizeof(size));
  buf_put(&footer, "PAR1", 4);
  bool ok = put_bytes(append, footer.data, footer.size, err);
  buf_deinit(&footer);
  return ok;
}

// --- Whether it can be done ---

static bool can_append(const ParquetFile *from, const Producer *producer)
{
  for (size_t i = 0; i < producer->count; i++) {
    if (!parquet_can_encode(producer->types[i])) {
      return false;
    }
  }
  for (size_t i = 0; i < from->group_count; i++) {
    if (from->groups[i].rows > GROUP_BYTES_MAX / 8 / (producer->count + 1)) {
      return false;
    }
  }
  return producer->count > 0;
}

bool parquet_append(const char *from, int to, const Producer *producer, uint64_t *rows,
                    bool *handled, Error *err)
{
  Append append = {.to = to, .count = producer->count};
  if (!parquet_open(&append.from, from, handled, err)) {
    return false;
  }
  if (!*handled) {
    return true;
  }
  *handled = can_append(&append.from, producer);
  if (!*handled) {
    parquet_close(&append.from);
    return true;
  }
  append.encoders = mem_zalloc(append.count, sizeof(*append.encoders));
  for (size_t i = 0; i < append.count; i++) {
    append.encoders[i].name = producer->names[i];
    append.encoders[i].type = producer->types[i];
  }
  append.feed =
      (Feed){producer->next, producer->context, producer->types, producer->count, {0}, 0, false};
  bool ok = append_all(&append, err);
  *rows = append.rows;
  for (size_t i = 0; i < append.count; i++) {
    parquet_encode_deinit(&append.encoders[i]);
  }
  free(append.encoders);
  buf_deinit(&append.groups);
  buf_deinit(&append.copy);
  parquet_close(&append.from);
  return ok;
}
