#include "source/writer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "data/msgpack.h"
#include "source/duck_inner.h"
#include "source/left.h"
#include "source/parquet_append.h"
#include "source/text.h"

enum { FLUSH_SIZE = 1 << 18 };

typedef struct {
  Duck *duck;
  const char *shown;      // the path as it was given
  const char *path;       // as the process opens it
  const char *temporary;  // beside it; the file being written
  Format format;
  Left left;
  Feed left_feed;
  Feed right;
  bool has_left;
  bool has_right;  // false: nothing is appended
  // Text and msgpack.
  int file;
  Buf out;
  Slice *keys;  // columns' names as JSON writes them, left ones first
  uint64_t rows;
  Arena arena;
} Writer;

// The file
// --------------------------------------------------------------------------------------------

static bool place_file(Writer *writer, const char *path, Error *err)
{
  if (!format_of(path, &writer->format)) {
    return error_set(err, ERR_INVALID,
                     "cannot write \"%s\": use the extension .parquet, .csv, .json, .jsonl or "
                     ".msgpack",
                     path);
  }
  writer->shown = path;
  writer->path = duck_path(writer->duck, path, &writer->arena);
  const char *slash = strrchr(writer->path, '/');
  int folder_size = slash ? (int)(slash - writer->path) : 0;
  const char *folder =
      slash ? arena_print(&writer->arena, "%.*s", folder_size ? folder_size : 1, writer->path)
            : ".";
  struct stat status;
  if (stat(folder, &status) != 0 || !S_ISDIR(status.st_mode)) {
    return error_set(err, ERR_NOT_FOUND, "cannot write \"%s\": there is no folder \"%s\"", path,
                     folder);
  }
  writer->temporary = arena_print(&writer->arena, "%s/.%s.%ld.tmp", folder,
                                  slash ? slash + 1 : writer->path, (long)getpid());
  return true;
}

static bool io_failed(const Writer *writer, Error *err)
{
  return error_set(err, ERR_IO, "cannot write \"%s\": %m", writer->shown);
}

static bool flush(Writer *writer, Error *err)
{
  size_t done = 0;
  while (done < writer->out.size) {
    ssize_t size = write(writer->file, writer->out.data + done, writer->out.size - done);
    if (size < 0 && errno != EINTR) {
      return io_failed(writer, err);
    }
    done += size > 0 ? (size_t)size : 0;
  }
  buf_reset(&writer->out);
  return true;
}

// Makes the written file durable and puts it in its place.
static bool publish(Writer *writer, Error *err)
{
  int file = open(writer->temporary, O_RDONLY | O_CLOEXEC);
  if (file < 0) {
    return io_failed(writer, err);
  }
  bool ok = fsync(file) == 0;
  close(file);
  return (ok && rename(writer->temporary, writer->path) == 0) || io_failed(writer, err);
}

// Rows in step
// ----------------------------------------------------------------------------------------

// How many rows both sides have ready; 0 when both have ended.
static bool next_part(Writer *writer, size_t *count, Error *err)
{
  size_t right = 0;
  size_t left = 0;
  *count = 0;
  if ((writer->has_right && !feed_available(&writer->right, &right, err))
      || (writer->has_left && !feed_available(&writer->left_feed, &left, err))) {
    return false;
  }
  if (!writer->has_left || !writer->has_right) {
    *count = left + right;
    return true;
  }
  if ((left == 0) != (right == 0)) {
    return error_set(err, ERR_INTERNAL, "%s rows were produced than the table has",
                     left ? "fewer" : "more");
  }
  *count = left < right ? left : right;
  return true;
}

typedef void (*PutValue)(Writer *writer, const Column *column, size_t row, bool verbatim);

static size_t column_count(const Writer *writer)
{
  return writer->left.count + writer->right.count;
}

static const char *column_name(const Writer *writer, const Producer *producer, size_t at)
{
  return at < writer->left.count ? writer->left.names[at]
                                 : producer->names[at - writer->left.count];
}

// Value `at` of the row `offset` behind the current one.
static void put_value(Writer *writer, PutValue put, size_t at, size_t offset)
{
  bool is_left = at < writer->left.count;
  const Feed *feed = is_left ? &writer->left_feed : &writer->right;
  const Column *column = &feed->batch.columns[is_left ? at : at - writer->left.count];
  put(writer, column, feed->at + offset, is_left && writer->left.verbatim[at]);
}

// CSV
// -------------------------------------------------------------------------------------------------

static void put_csv(Writer *writer, const Column *column, size_t row, bool verbatim)
{
  (void)verbatim;
  text_put_csv(&writer->out, column, row);
}

static void put_csv_header(Writer *writer, const Producer *producer)
{
  for (size_t i = 0; i < column_count(writer); i++) {
    Slice name = slice_text(column_name(writer, producer, i));
    buf_put(&writer->out, ",", i > 0);
    if (name.size > 0 || column_count(writer) == 1) {
      text_put_csv_field(&writer->out, name);
    }
  }
  buf_put_byte(&writer->out, '\n');
}

static void put_csv_row(Writer *writer, size_t offset)
{
  for (size_t i = 0; i < column_count(writer); i++) {
    buf_put(&writer->out, ",", i > 0);
    put_value(writer, put_csv, i, offset);
  }
  buf_put_byte(&writer->out, '\n');
}

// JSON
// ------------------------------------------------------------------------------------------------

static void put_json(Writer *writer, const Column *column, size_t row, bool verbatim)
{
  if (verbatim && column_has(column, row)) {
    buf_put_slice(&writer->out, column->slices[row]);
  } else {
    text_put_json(&writer->out, column, row);
  }
}

static void put_json_row(Writer *writer, size_t offset)
{
  if (writer->format == FORMAT_JSON) {
    buf_print(&writer->out, "%s", writer->rows ? ",\n" : "\n");
  }
  buf_put_byte(&writer->out, '{');
  for (size_t i = 0; i < column_count(writer); i++) {
    buf_put(&writer->out, ",", i > 0);
    buf_put_slice(&writer->out, writer->keys[i]);
    buf_put_byte(&writer->out, ':');
    put_value(writer, put_json, i, offset);
  }
  buf_print(&writer->out, writer->format == FORMAT_JSON ? "}" : "}\n");
}

// msgpack
// ---------------------------------------------------------------------------------------------

static void put_packed_time(msgpack_packer *packer, Time time)
{
  int64_t seconds = time / 1000000;
  int64_t rest = time % 1000000;
  seconds -= rest < 0;
  rest += rest < 0 ? 1000000 : 0;
  msgpack_timestamp stamp = {.tv_sec = seconds, .tv_nsec = (uint32_t)(rest * 1000)};
  msgpack_pack_timestamp(packer, &stamp);
}

static void put_packed_value(msgpack_packer *packer, const Column *column, size_t row);

static void put_packed_elements(msgpack_packer *packer, const Column *child, uint64_t offset,
                                uint64_t length)
{
  msgpack_pack_array(packer, length);
  for (uint64_t i = 0; i < length; i++) {
    put_packed_value(packer, child, offset + i);
  }
}

static void put_packed_value(msgpack_packer *packer, const Column *column, size_t row)
{
  if (!column_has(column, row)) {
    msgpack_pack_nil(packer);
    return;
  }
  Column floats = {.type = {.kind = TYPE_FLOAT32}, .data = column->data};
  uint32_t length = column->type.length;
  switch ((TypeKind)column->type.kind) {
  case TYPE_BOOL:
    column->bools[row] ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
    return;
  case TYPE_INT32:
    msgpack_pack_int32(packer, column->int32s[row]);
    return;
  case TYPE_INT64:
    msgpack_pack_int64(packer, column->int64s[row]);
    return;
  case TYPE_FLOAT32:
    msgpack_pack_float(packer, column->float32s[row]);
    return;
  case TYPE_FLOAT64:
    msgpack_pack_double(packer, column->float64s[row]);
    return;
  case TYPE_STRING:
    mp_put_str(packer, column->slices[row]);
    return;
  case TYPE_BYTES:
    mp_put_bin(packer, column->slices[row]);
    return;
  case TYPE_TIMESTAMP:
    put_packed_time(packer, column->int64s[row]);
    return;
  case TYPE_LIST:
    put_packed_elements(packer, column->child, column->lists[row].offset,
                        column->lists[row].length);
    return;
  case TYPE_VECTOR:
    put_packed_elements(packer, &floats, row * length, length);
    return;
  case TYPE_KIND_COUNT:
    break;
  }
  assert(false);
}

static void put_packed(Writer *writer, const Column *column, size_t row, bool verbatim)
{
  (void)verbatim;
  msgpack_packer packer = mp_packer(&writer->out);
  put_packed_value(&packer, column, row);
}

static void put_packed_row(Writer *writer, const Producer *producer, size_t offset)
{
  msgpack_packer packer = mp_packer(&writer->out);
  msgpack_pack_map(&packer, column_count(writer));
  for (size_t i = 0; i < column_count(writer); i++) {
    mp_put_text(&packer, column_name(writer, producer, i));
    put_value(writer, put_packed, i, offset);
  }
}

// Text and msgpack files
// ------------------------------------------------------------------------------

static void put_row(Writer *writer, const Producer *producer, size_t offset)
{
  if (writer->format == FORMAT_CSV) {
    put_csv_row(writer, offset);
  } else if (writer->format == FORMAT_PACKED) {
    put_packed_row(writer, producer, offset);
  } else {
    put_json_row(writer, offset);
  }
  writer->rows++;
}

static bool put_rows(Writer *writer, const Producer *producer, Error *err)
{
  for (;;) {
    size_t count;
    if (!next_part(writer, &count, err)) {
      return false;
    }
    if (count == 0) {
      return true;
    }
    for (size_t offset = 0; offset < count; offset++) {
      put_row(writer, producer, offset);
      if (writer->out.size >= FLUSH_SIZE && !flush(writer, err)) {
        return false;
      }
    }
    writer->right.at += writer->has_right ? count : 0;
    writer->left_feed.at += writer->has_left ? count : 0;
  }
}

static void make_keys(Writer *writer, const Producer *producer)
{
  writer->keys = arena_alloc(&writer->arena, (column_count(writer) + 1) * sizeof(Slice));
  Buf key = {0};
  for (size_t i = 0; i < column_count(writer); i++) {
    buf_reset(&key);
    text_put_json_string(&key, slice_text(column_name(writer, producer, i)));
    writer->keys[i] = arena_copy(&writer->arena, buf_slice(&key));
  }
  buf_deinit(&key);
}

static bool write_bytes(Writer *writer, const Producer *producer, Error *err)
{
  writer->file = open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (writer->file < 0) {
    return io_failed(writer, err);
  }
  make_keys(writer, producer);
  if (writer->format == FORMAT_CSV) {
    put_csv_header(writer, producer);
  } else if (writer->format == FORMAT_JSON) {
    buf_put_byte(&writer->out, '[');
  }
  bool ok = put_rows(writer, producer, err);
  if (ok && writer->format == FORMAT_JSON) {
    buf_print(&writer->out, "\n]\n");
  }
  ok = ok && flush(writer, err);
  return (close(writer->file) == 0 || !ok) ? ok : io_failed(writer, err);
}

// Parquet
// ---------------------------------------------------------------------------------------------

// Rows of a row group: DuckDB holds one in memory, so it has fewer rows where there are many
// columns.
static size_t group_rows(const Writer *writer)
{
  enum { MOST = 122880, LEAST = 2048, GROUP_BYTES = 32 << 20, VALUE_BYTES = 16 };
  size_t rows = GROUP_BYTES / VALUE_BYTES / (column_count(writer) + 1);
  return rows > MOST ? MOST : rows < LEAST ? LEAST : rows;
}

static void put_copy(const Writer *writer, const Producer *producer, int number, Buf *sql)
{
  buf_print(sql, "COPY (SELECT ");
  for (size_t i = 0; i < column_count(writer); i++) {
    const char *name = column_name(writer, producer, i);
    buf_print(sql, "%sc%zu AS ", i ? ", " : "", i);
    char unnamed[32];
    snprintf(unnamed, sizeof(unnamed), "column%zu", i);
    duck_put_name(sql, *name ? name : unnamed);  // SQL has no empty names
  }
  buf_print(sql, " FROM tidemark_rows(%d)) TO ", number);
  duck_put_text(sql, writer->temporary);
  buf_print(sql, " (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE %zu)", group_rows(writer));
  buf_put_byte(sql, '\0');
}

static bool write_parquet(Writer *writer, const Producer *producer, Error *err)
{
  RowsSource source = {
      .stream = writer->left.stream,
      .stream_columns = writer->left.stream ? writer->left.count : 0,
      .stream_types = writer->left.stream_types,
      .left = writer->left.reader ? &writer->left_feed : NULL,
      .right = writer->has_right ? &writer->right : NULL,
  };
  int number;
  if (!rows_lend(writer->duck, &source, &number, err)) {
    return false;
  }
  Buf sql = {0};
  put_copy(writer, producer, number, &sql);
  Error failure = {0};
  bool ok = duck_run(writer->duck, (const char *)sql.data, &failure);
  if (!ok && source.error.code == ERR_NONE && failure.code != ERR_CANCELLED) {
    error_wrap(&failure, "cannot write \"%s\"", writer->shown);  // it names a temporary file
  }
  if (!ok && err) {
    *err = source.error.code != ERR_NONE ? source.error : failure;
  }
  buf_deinit(&sql);
  rows_return(writer->duck, number);
  writer->rows = source.rows;
  return ok;
}

// All
// -------------------------------------------------------------------------------------------------

static bool next_left(void *context, Batch *batch, Error *err)
{
  return reader_next(context, batch, err);
}

// DuckDB writes Parquet, and to SQL names that differ in case only are the same: it would rename
// one.
static bool is_name_taken(const Writer *writer, const char *name, const char *other)
{
  return writer->format == FORMAT_PARQUET ? strcasecmp(name, other) == 0 : strcmp(name, other) == 0;
}

static bool check_names(const Writer *writer, const Producer *producer, Error *err)
{
  size_t count = column_count(writer);
  if (count == 0) {
    return error_set(err, ERR_INVALID, "cannot write \"%s\": there are no columns", writer->shown);
  }
  for (size_t i = 0; i < count; i++) {
    const char *name = column_name(writer, producer, i);
    for (size_t j = i + 1; j < count; j++) {
      const char *other = column_name(writer, producer, j);
      if (is_name_taken(writer, name, other)) {
        bool same = strcmp(name, other) == 0;
        return error_set(err, ERR_INVALID,
                         "cannot write \"%s\": two columns are named \"%s\"%s%s%s", writer->shown,
                         name, same ? "" : " and \"", same ? "" : other,
                         same ? "" : "\": rename one");
      }
    }
  }
  return true;
}

static bool open_sides(Writer *writer, const Table *left, const Passthrough *passthrough,
                       const Producer *producer, Error *err)
{
  writer->right = (Feed){.next = producer->next,
                         .context = producer->context,
                         .types = producer->types,
                         .count = producer->count};
  writer->has_right = producer->count > 0;
  if (left && !left_open(&writer->left, writer->duck, left, writer->format, passthrough, err)) {
    return false;
  }
  writer->has_left = left && !writer->left.files.blank;
  writer->left_feed = (Feed){.next = next_left,
                             .context = writer->left.reader,
                             .types = writer->left.types,
                             .count = writer->left.count};
  return check_names(writer, producer, err);
}

// Parquet onto Parquet without DuckDB: the left columns are copied as bytes.
static bool try_append(Writer *writer, const Table *left, const Producer *producer, bool *handled,
                       Error *err)
{
  Format format;
  *handled = false;
  if (writer->format != FORMAT_PARQUET || !left || !left->path || !format_of(left->path, &format)
      || format != FORMAT_PARQUET) {
    return true;
  }
  TableFiles files = {0};
  bool ok = table_open(&files, writer->duck, left, false, err);
  if (ok && files.count == 1) {
    int to = open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    ok = to >= 0 ? parquet_append(files.paths[0], to, producer, &writer->rows, handled, err)
                 : io_failed(writer, err);
    ok = (to < 0 || close(to) == 0 || io_failed(writer, err)) && ok;
  }
  table_close(&files);
  return ok;
}

static bool write_through_duck(Writer *writer, const Table *left, const Passthrough *passthrough,
                               const Producer *producer, Error *err)
{
  return open_sides(writer, left, passthrough, producer, err)
         && (writer->format == FORMAT_PARQUET ? write_parquet(writer, producer, err)
                                              : write_bytes(writer, producer, err));
}

bool write_file(Duck *duck, const char *path, const Table *left, const Passthrough *passthrough,
                const Producer *producer, uint64_t *rows, Error *err)
{
  Writer writer = {.duck = duck, .file = -1};
  bool ok = place_file(&writer, path, err) && (!left || table_refuse_over(duck, left, path, err));
  if (ok) {
    bool handled;
    ok = try_append(&writer, left, producer, &handled, err)
         && (handled || write_through_duck(&writer, left, passthrough, producer, err))
         && publish(&writer, err);
    if (!ok) {
      unlink(writer.temporary);
    }
  }
  if (ok && rows) {
    *rows = writer.rows;
  }
  left_close(&writer.left);
  buf_deinit(&writer.out);
  arena_deinit(&writer.arena);
  return ok;
}
