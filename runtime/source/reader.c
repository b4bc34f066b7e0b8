#include "source/reader.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "data/build.h"
#include "source/coerce.h"
#include "source/csv.h"
#include "source/duck_inner.h"
#include "source/packed.h"
#include "source/parquet_scan.h"
#include "source/reader_inner.h"

typedef struct {
  const char *name;
  Coercion coercion;
  RawKind kind;     // what DuckDB or the file gives
  RawKind element;  // of a list's elements
  const TablePartition
      *partition;  // NULL: a column of the files; used where we read them ourselves
} Source;

struct Reader {
  Duck *duck;
  TableFiles own;  // empty when the files are the caller's
  const TableFiles *files;
  size_t count;
  Source *sources;
  Column *columns;
  uint64_t rows;  // given so far
  RawRows last;   // where the rows of the last batch are from; without its columns
  bool counted;
  uint64_t total;
  ReaderFilter filter;
  uint64_t *bad;     // bits of the batch's rows; in scratch, NULL without bad ones
  uint32_t *picked;  // wanted rows of a batch; room for picked_capacity
  size_t picked_capacity;
  Raw *raws;            // of files we read ourselves, partition columns among them
  ReaderShare *first;   // of reader_next
  atomic_bool claimed;  // some share reads what cannot be shared
  // One of these five.
  ParquetScan *parquet;
  DuckStream stream;
  Csv *csv;
  Packed *packed;
  Json *json;
  Arena arena;    // lives as long as the reader
  Arena scratch;  // of one batch
};

// What DuckDB is asked for
// ----------------------------------------------------------------------------

// Kind of a scalar column by its DuckDB type; `as_text`: it must be cast to text first.
static bool scalar_kind(Slice text, RawKind *kind, bool *as_text)
{
  static const struct {
    const char *name;
    RawKind kind;
    bool as_text;
  } KINDS[] = {
      {"BOOLEAN", RAW_BOOL, false},
      {"TINYINT", RAW_INT8, false},
      {"SMALLINT", RAW_INT16, false},
      {"INTEGER", RAW_INT32, false},
      {"BIGINT", RAW_INT64, false},
      {"UTINYINT", RAW_UINT8, false},
      {"USMALLINT", RAW_UINT16, false},
      {"UINTEGER", RAW_UINT32, false},
      {"UBIGINT", RAW_UINT64, false},
      {"FLOAT", RAW_FLOAT32, false},
      {"DOUBLE", RAW_FLOAT64, false},
      {"DATE", RAW_DATE, false},
      {"TIMESTAMP_S", RAW_TIME_S, false},
      {"TIMESTAMP_MS", RAW_TIME_MS, false},
      {"TIMESTAMP", RAW_TIME_US, false},
      {"TIMESTAMP WITH TIME ZONE", RAW_TIME_US, false},
      {"TIMESTAMP_NS", RAW_TIME_NS, false},
      {"BLOB", RAW_BYTES, false},
      {"VARCHAR", RAW_TEXT, false},
      {"JSON", RAW_TEXT, true},
      {"UUID", RAW_TEXT, true},
      {"HUGEINT", RAW_DECIMAL, true},
      {"UHUGEINT", RAW_DECIMAL, true},
      {"BIGNUM", RAW_DECIMAL, true},
      {"NULL", RAW_TEXT, true},
  };
  for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++) {
    if (slice_is(text, KINDS[i].name)) {
      *kind = KINDS[i].kind;
      *as_text = KINDS[i].as_text;
      return true;
    }
  }
  *as_text = true;
  bool decimal = text.size > 8 && memcmp(text.data, "DECIMAL(", 8) == 0;
  *kind = decimal ? RAW_DECIMAL : RAW_TEXT;
  return decimal || (text.size > 5 && memcmp(text.data, "ENUM(", 5) == 0);
}

// Puts the expression that gives the column at `position` as `source->kind`; false for types that
// are no values.
static bool put_expression(Buf *sql, const char *type_text, size_t position, Source *source)
{
  Slice text = slice_text(type_text);
  bool list = text.size > 0 && text.data[text.size - 1] == ']';
  bool array = list && text.size > 1 && text.data[text.size - 2] != '[';
  while (list && text.data[text.size - 1] != '[') {
    text.size--;
  }
  text.size -= list;
  RawKind kind;
  bool as_text;
  if (!scalar_kind(text, &kind, &as_text)) {
    return false;
  }
  source->kind = list ? RAW_LIST : kind;
  source->element = kind;
  if (!as_text && !array) {
    table_put_column(sql, position);
    return true;
  }
  buf_print(sql, "CAST(");
  table_put_column(sql, position);
  Slice to = as_text ? slice_text("VARCHAR") : text;
  buf_print(sql, " AS %.*s%s)", (int)to.size, to.data, list ? "[]" : "");
  return true;
}

static bool at_column(const Reader *reader, const Source *source, Error *err)
{
  return error_at(err, "%s:column %s", reader->files->names[0], source->name);
}

static bool put_columns(Reader *reader, const TableColumn *all, const TableColumn *const *found,
                        const LeftColumn *columns, Buf *sql, Error *err)
{
  for (size_t i = 0; i < reader->count; i++) {
    Source *source = &reader->sources[i];
    buf_print(sql, i ? ", " : "SELECT ");
    if (columns[i].expression) {
      buf_print(sql, "%s", columns[i].expression);
      source->kind = RAW_TEXT;
    } else if (!put_expression(sql, found[i]->type_text, (size_t)(found[i] - all), source)) {
      char name[TYPE_TEXT_SIZE];
      error_set(err, ERR_DATA, "%s: %s cannot be read as %s", source->coercion.what,
                found[i]->type_text, type_print(source->coercion.type, name));
      return at_column(reader, source, err);
    }
  }
  return true;
}

static bool open_stream(Reader *reader, const TableColumn *all, size_t all_count,
                        const TableColumn *const *found, const LeftColumn *columns, Error *err)
{
  Buf sql = {0};
  bool ok = put_columns(reader, all, found, columns, &sql, err);
  if (ok) {
    buf_print(&sql, " FROM ");
    table_put_from(reader->files, all_count, &sql);
    buf_put_byte(&sql, '\0');
    ok = duck_stream_open(&reader->stream, reader->duck, (const char *)sql.data, err);
    if (!ok && reader->files->count == 1) {
      error_at(err, "%s", reader->files->names[0]);
    }
  }
  buf_deinit(&sql);
  return ok;
}

// Opening
// ---------------------------------------------------------------------------------------------

static const TableColumn *find_column(const TableColumn *columns, size_t count, const char *name)
{
  for (size_t i = 0; i < count; i++) {
    if (strcmp(columns[i].name, name) == 0) {
      return &columns[i];
    }
  }
  return NULL;
}

static void take_source(Reader *reader, size_t position, const ReaderColumn *column)
{
  Arena *arena = &reader->arena;
  const char *name = arena_print(arena, "%s", column->column);
  const char *what = column->what ? arena_print(arena, "%s", column->what)
                                  : arena_print(arena, "column \"%s\"", name);
  reader->sources[position] = (Source){
      .name = name,
      .coercion = {.type = column->type, .unit = column->unit, .what = what},
      .kind = RAW_TEXT,
  };
}

// Files that we read ourselves. Partition columns are not in them: they are added to each batch.
static bool open_bytes(Reader *reader, const TableColumn *all, const TableColumn *const *found,
                       const LeftColumn *columns, Error *err)
{
  Format format = reader->files->format;
  Arena *arena = &reader->arena;
  size_t *positions = arena_alloc(arena, (reader->count + 1) * sizeof(size_t));
  const char **names = arena_alloc(arena, (reader->count + 1) * sizeof(char *));
  JsonAs *as = arena_alloc(arena, (reader->count + 1) * sizeof(JsonAs));
  size_t count = 0;
  for (size_t i = 0; i < reader->count; i++) {
    Source *source = &reader->sources[i];
    source->partition = table_partition(reader->files, source->name);
    if (!source->partition) {
      bool value = format != FORMAT_CSV && columns[i].as == JSON_VALUE;
      source->kind = !value ? RAW_TEXT : format == FORMAT_PACKED ? RAW_PACKED : RAW_JSON;
      positions[count] = (size_t)(found[i] - all);
      as[count] = columns[i].as;
      names[count++] = source->name;
    }
  }
  reader->raws = arena_alloc(arena, (reader->count + 1) * sizeof(Raw));
  if (format == FORMAT_CSV) {
    reader->csv = csv_open(reader->files, positions, count, err);
    return reader->csv != NULL;
  }
  if (format == FORMAT_PACKED) {
    reader->packed = packed_open(reader->files, names, count, err);
    return reader->packed != NULL;
  }
  reader->json = json_open(reader->files, names, as, count);
  return true;
}

static bool is_mixed(const TableFiles *files, const char *name)
{
  for (size_t i = 0; i < files->mixed_count; i++) {
    if (strcmp(files->mixed[i], name) == 0) {
      return true;
    }
  }
  return false;
}

// DuckDB would give all files' values the type of the first file, rounding some of them.
static bool check_mixed(Reader *reader, Error *err)
{
  for (size_t i = 0; i < reader->count; i++) {
    Source *source = &reader->sources[i];
    if (is_mixed(reader->files, source->name)) {
      error_set(err, ERR_DATA,
                "%s: the type of the column is not the same in all files: write them alike",
                source->coercion.what);
      return at_column(reader, source, err);
    }
  }
  return true;
}

static bool check_sources(Reader *reader, Error *err)
{
  for (size_t i = 0; i < reader->count; i++) {
    Source *source = &reader->sources[i];
    if (!coerce_check(source->kind, source->element, &source->coercion, err)) {
      return at_column(reader, source, err);
    }
  }
  return true;
}

static bool start(Reader *reader, const LeftColumn *columns, Error *err)
{
  TableColumn *all;
  size_t all_count;
  if (!table_columns(reader->files, reader->duck, &all, &all_count, &reader->arena, err)) {
    return false;
  }
  if (reader->files->blank) {
    return true;  // whatever is asked for, there is nothing to read
  }
  const TableColumn **found = arena_alloc(&reader->arena, (reader->count + 1) * sizeof(void *));
  for (size_t i = 0; i < reader->count; i++) {
    Source *source = &reader->sources[i];
    take_source(reader, i, &columns[i].column);
    found[i] = find_column(all, all_count, source->name);
    if (!found[i]) {
      return table_no_column(reader->files, source->name, all, all_count, source->coercion.what,
                             err);
    }
    source->coercion.from = found[i]->type_text;
  }
  bool duck = reader->files->sql || reader->files->format == FORMAT_PARQUET;
  return check_mixed(reader, err)
         && (duck ? open_stream(reader, all, all_count, found, columns, err)
                  : open_bytes(reader, all, found, columns, err))
         && check_sources(reader, err);
}

static Reader *reader_new(Duck *duck, size_t count)
{
  Reader *reader = mem_zalloc(1, sizeof(*reader));
  reader->duck = duck;
  reader->files = &reader->own;
  reader->count = count;
  reader->sources = arena_zalloc(&reader->arena, count + 1, sizeof(Source));
  reader->columns = arena_zalloc(&reader->arena, count + 1, sizeof(Column));
  return reader;
}

Reader *reader_open_left(Duck *duck, const TableFiles *files, const LeftColumn *columns,
                         size_t count, Error *err)
{
  Reader *reader = reader_new(duck, count);
  reader->files = files;
  if (!start(reader, columns, err)) {
    reader_close(reader);
    return NULL;
  }
  return reader;
}

// Flat Parquet columns are read without DuckDB. Leaves reader->parquet NULL where it has to help.
static bool try_parquet(Reader *reader, const ReaderColumn *columns, Error *err)
{
  if (reader->files->format != FORMAT_PARQUET || !reader->files->count
      || reader->duck->reads_parquet) {
    return true;
  }
  for (size_t i = 0; i < reader->count; i++) {
    if (table_partition(reader->files, columns[i].column)) {
      return true;
    }
  }
  ReaderColumn *kept = arena_alloc(&reader->arena, (reader->count + 1) * sizeof(*kept));
  for (size_t i = 0; i < reader->count; i++) {
    take_source(reader, i, &columns[i]);
    kept[i] = columns[i];
    kept[i].column = reader->sources[i].name;
    kept[i].what = reader->sources[i].coercion.what;
  }
  Error failed = {0};
  reader->parquet =
      parquet_scan_open(reader->files->paths, reader->files->names, reader->files->count, kept,
                        reader->count, &reader->filter, &failed);
  if (failed.code != ERR_NONE) {
    *err = failed;
  }
  return failed.code == ERR_NONE;
}

static bool open_table(Reader *reader, const Table *table, const ReaderColumn *columns, Error *err)
{
  if (!table_open(&reader->own, reader->duck, table, true, err)
      || !try_parquet(reader, columns, err)) {
    return false;
  }
  if (reader->parquet) {
    return true;
  }
  LeftColumn *plain = arena_zalloc(&reader->arena, reader->count + 1, sizeof(LeftColumn));
  for (size_t i = 0; i < reader->count; i++) {
    plain[i].column = columns[i];
  }
  return start(reader, plain, err);
}

Reader *reader_open(Duck *duck, const Table *table, const ReaderColumn *columns, size_t count,
                    const ReaderFilter *filter, Error *err)
{
  Reader *reader = reader_new(duck, count);
  reader->filter = filter ? *filter : (ReaderFilter){0};
  if (!open_table(reader, table, columns, err)) {
    reader_close(reader);
    return NULL;
  }
  return reader;
}

void reader_close(Reader *reader)
{
  if (!reader) {
    return;
  }
  reader_share_free(reader->first);
  parquet_scan_close(reader->parquet);
  free(reader->picked);
  duck_stream_close(&reader->stream);
  csv_close(reader->csv);
  packed_close(reader->packed);
  json_close(reader->json);
  table_close(&reader->own);
  arena_deinit(&reader->scratch);
  arena_deinit(&reader->arena);
  free(reader);
}

// Rows
// ------------------------------------------------------------------------------------------------

static bool holds_slices(RawKind kind)
{
  return kind >= RAW_BYTES && kind <= RAW_PACKED;
}

// A vector of DuckDB's as it lies; strings get slices that point into it.
static Raw raw_vector(Reader *reader, DuckVector vector, RawKind kind, RawKind element,
                      size_t count)
{
  const DuckApi *api = &reader->duck->api;
  Raw raw = {
      .kind = kind,
      .valid = api->vector_get_validity(vector),
      .data = api->vector_get_data(vector),
  };
  if (holds_slices(kind)) {
    Slice *slices = arena_alloc(&reader->scratch, (count + 1) * sizeof(Slice));
    for (size_t row = 0; row < count; row++) {
      bool there = !raw.valid || (raw.valid[row >> 6] >> (row & 63) & 1);
      slices[row] = there ? duck_string(raw.data, row) : (Slice){0};
    }
    raw.data = slices;
  }
  if (kind == RAW_LIST) {
    Raw *child = arena_alloc(&reader->scratch, sizeof(Raw));
    raw.child_count = api->list_vector_get_size(vector);
    *child =
        raw_vector(reader, api->list_vector_get_child(vector), element, RAW_BOOL, raw.child_count);
    raw.child = child;
  }
  return raw;
}

static bool next_chunk(Reader *reader, RawRows *rows, Error *err)
{
  *rows = (RawRows){0};
  if (!duck_stream_next(&reader->stream, &rows->count, err)) {
    return reader->files->count == 1 ? error_at(err, "%s", reader->files->names[0]) : false;
  }
  if (rows->count == 0) {
    return true;
  }
  Raw *raws = arena_alloc(&reader->scratch, (reader->count + 1) * sizeof(Raw));
  for (size_t i = 0; i < reader->count; i++) {
    DuckVector vector = reader->duck->api.data_chunk_get_vector(reader->stream.chunk, i);
    raws[i] = raw_vector(reader, vector, reader->sources[i].kind, reader->sources[i].element,
                         rows->count);
  }
  rows->columns = raws;
  return true;
}

// One text for every row of a batch.
static Raw repeat_text(Reader *reader, const char *text, size_t count)
{
  Slice *slices = arena_alloc(&reader->scratch, (count + 1) * sizeof(Slice));
  for (size_t row = 0; row < count; row++) {
    slices[row] = slice_text(text ? text : "");
  }
  Raw raw = {.kind = RAW_TEXT, .data = slices};
  if (!text) {
    raw.valid = arena_zalloc(&reader->scratch, column_valid_words(count), sizeof(uint64_t));
  }
  return raw;
}

static size_t file_of(const Reader *reader, const char *name)
{
  size_t file = 0;
  while (file + 1 < reader->files->count && reader->files->names[file] != name) {
    file++;
  }
  return file;
}

// The files' columns and the partitions' in the order that was asked for.
static void add_partitions(Reader *reader, RawRows *rows)
{
  size_t next = 0;
  for (size_t i = 0; i < reader->count; i++) {
    const TablePartition *partition = reader->sources[i].partition;
    reader->raws[i] =
        partition ? repeat_text(reader, partition->values[file_of(reader, rows->name)], rows->count)
                  : rows->columns[next++];
  }
  rows->columns = reader->raws;
}

static bool next_rows(Reader *reader, RawRows *rows, Error *err)
{
  if (reader->files->blank) {
    *rows = (RawRows){0};
    return true;
  }
  if (!reader->csv && !reader->packed && !reader->json) {
    return next_chunk(reader, rows, err);
  }
  bool ok = reader->csv      ? csv_next(reader->csv, rows, err)
            : reader->packed ? packed_next(reader->packed, rows, err)
                             : json_next(reader->json, rows, err);
  if (ok && rows->count && reader->files->partition_count) {
    add_partitions(reader, rows);
  }
  return ok;
}

// The file and the row in it, from 1, of row `bad` of a batch, which is row `at` of the table.
static uint64_t place_row(Reader *reader, const RawRows *rows, size_t bad, uint64_t at,
                          const char **name)
{
  uint64_t position = rows->first + bad;
  *name = rows->name;
  if (!*name) {
    table_place(reader->files, reader->duck, at, name, &position);
  }
  return position + 1;
}

// Makes value `row` null: in a copy of the bits, which may be DuckDB's.
static void forget_value(Reader *reader, Raw *raw, size_t row, size_t count)
{
  size_t words = column_valid_words(count);
  uint64_t *valid = arena_alloc(&reader->scratch, words * sizeof(*valid));
  if (raw->valid) {
    memcpy(valid, raw->valid, words * sizeof(*valid));
  } else {
    memset(valid, 0xff, words * sizeof(*valid));
  }
  column_set_valid(valid, row, false);
  raw->valid = valid;
}

static bool note_bad(Reader *reader, const RawRows *rows, size_t row, const Source *source,
                     const char *message, Error *err)
{
  if (!reader->bad) {
    reader->bad = arena_zalloc(&reader->scratch, column_valid_words(rows->count), sizeof(uint64_t));
  }
  column_set_valid(reader->bad, row, true);
  BadValue value = {.column = source->name, .message = message};
  value.row = place_row(reader, rows, row, reader->rows + row, &value.file);
  return reader->filter.bad->take(reader->filter.bad->context, &value, err);
}

// Coerces a column; where bad values are wanted they are noted and become null, one after the
// other.
static bool take_column(Reader *reader, const RawRows *rows, size_t column, Error *err)
{
  const Source *source = &reader->sources[column];
  Raw raw = rows->columns[column];
  for (;;) {
    size_t bad = 0;
    Error failed = {0};
    if (coerce_column(&raw, rows->count, &source->coercion, &reader->scratch,
                      &reader->columns[column], &bad, &failed)) {
      return true;
    }
    if (!reader->filter.bad) {
      const char *name;
      uint64_t row = place_row(reader, rows, bad, reader->rows + bad, &name);
      error_set(err, failed.code, "%s", failed.message);
      return error_at(err, "%s:row %llu:column %s", name, (unsigned long long)row, source->name);
    }
    if (!note_bad(reader, rows, bad, source, failed.message, err)) {
      return false;
    }
    forget_value(reader, &raw, bad, rows->count);
  }
}

static bool next_batch(Reader *reader, Batch *batch, Error *err)
{
  arena_reset(&reader->scratch);
  reader->bad = NULL;
  *batch =
      (Batch){.column_count = reader->count, .columns = reader->columns, .first_row = reader->rows};
  RawRows rows;
  if (!next_rows(reader, &rows, err)) {
    return false;
  }
  for (size_t i = 0; rows.count && i < reader->count; i++) {
    if (!take_column(reader, &rows, i, err)) {
      return false;
    }
  }
  batch->count = rows.count;
  reader->rows += rows.count;
  reader->last = (RawRows){.count = rows.count, .name = rows.name, .first = rows.first};
  return true;
}

static bool is_wanted(const ReaderFilter *filter, uint64_t row)
{
  return row < filter->wanted_rows && (filter->wanted[row / 64] >> (row % 64) & 1);
}

// The bits of the picked rows, NULL where none is set.
static uint64_t *pick_bits(const uint64_t *bits, const uint32_t *rows, size_t count, Arena *arena)
{
  uint64_t *picked = NULL;
  for (size_t i = 0; bits && i < count; i++) {
    if (bits[rows[i] / 64] >> (rows[i] % 64) & 1) {
      picked = picked ? picked : arena_zalloc(arena, column_valid_words(count), sizeof(*picked));
      column_set_valid(picked, i, true);
    }
  }
  return picked;
}

// Leaves only the wanted rows of a batch.
static void keep_wanted(Reader *reader, Batch *batch)
{
  if (batch->count > reader->picked_capacity) {
    reader->picked_capacity = batch->count;
    reader->picked = mem_realloc(reader->picked, batch->count, sizeof(*reader->picked));
  }
  size_t count = 0;
  for (size_t i = 0; i < batch->count; i++) {
    reader->picked[count] = (uint32_t)i;
    count += is_wanted(&reader->filter, batch->first_row + i);
  }
  for (size_t i = 0; count && i < batch->column_count; i++) {
    batch->columns[i] = column_pick(&batch->columns[i], reader->picked, count, &reader->scratch);
  }
  reader->bad = pick_bits(reader->bad, reader->picked, count, &reader->scratch);
  batch->first_row += count ? reader->picked[0] : 0;
  batch->count = count;
}

static bool next_wanted(Reader *reader, Batch *batch, Error *err)
{
  do {
    if (!next_batch(reader, batch, err)) {
      return false;
    }
    if (!batch->count || !reader->filter.wanted) {
      return true;
    }
    keep_wanted(reader, batch);
  } while (!batch->count);
  return true;
}

// Shares ---

struct ReaderShare {
  Reader *reader;
  ParquetShare *parquet;
  bool owner;  // of a stream that cannot be shared
};

ReaderShare *reader_share_new(Reader *reader)
{
  ReaderShare *share = mem_zalloc(1, sizeof(*share));
  share->reader = reader;
  share->parquet = reader->parquet ? parquet_share_new(reader->parquet) : NULL;
  return share;
}

void reader_share_free(ReaderShare *share)
{
  if (share) {
    parquet_share_free(share->parquet);
    free(share);
  }
}

bool reader_share_next(ReaderShare *share, Batch *batch, Error *err)
{
  Reader *reader = share->reader;
  *batch = (Batch){.column_count = reader->count, .columns = reader->columns};
  if (share->parquet) {
    batch->first_row = parquet_scan_rows(reader->parquet);
    return parquet_share_next(share->parquet, batch, err);
  }
  share->owner = share->owner || !atomic_exchange(&reader->claimed, true);
  return !share->owner || next_wanted(reader, batch, err);
}

const uint64_t *reader_share_bad(const ReaderShare *share)
{
  return share->parquet ? parquet_share_bad(share->parquet)
         : share->owner ? share->reader->bad
                        : NULL;
}

bool reader_share_refuse(ReaderShare *share, size_t row, const char *message, Error *err)
{
  if (share->parquet) {
    return parquet_share_refuse(share->parquet, row, message, err);
  }
  Reader *reader = share->reader;
  assert(share->owner && !reader->filter.wanted);
  uint64_t at = reader->rows - reader->last.count + row;
  BadValue value = {.message = message};
  value.row = place_row(reader, &reader->last, row, at, &value.file);
  return reader->filter.bad->take(reader->filter.bad->context, &value, err);
}

bool reader_next(Reader *reader, Batch *batch, Error *err)
{
  if (!reader->first) {
    reader->first = reader_share_new(reader);
  }
  return reader_share_next(reader->first, batch, err);
}

uint64_t reader_total(Reader *reader)
{
  if (reader->parquet) {
    return parquet_scan_rows(reader->parquet);
  }
  if (!reader->counted && reader->files->format == FORMAT_PARQUET) {
    reader->total = table_count_rows(reader->files, reader->duck);
  }
  reader->counted = true;
  return reader->total;
}
