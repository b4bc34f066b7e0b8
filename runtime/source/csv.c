#include "source/csv.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "source/text.h"
#include "source/window.h"

struct Csv {
  const TableFiles *files;
  size_t file;  // the one being read, or to be opened next
  Window window;
  uint64_t row;   // position of the next row in the file
  char **header;  // of the first file; NULL before
  size_t header_count;
  Slice *fields;  // of one row, header_count
  bool *there;
  const size_t *wanted;
  size_t wanted_count;
  Slice **slices;  // per wanted column, CSV_BATCH_ROWS
  uint64_t **valid;
  Raw *raws;
  Arena arena;  // headers and arrays
};

// Bytes
// -----------------------------------------------------------------------------------------------

static const char *file_name(const Csv *csv)
{
  return csv->files->names[csv->file];
}

// Reads on for the next row.
static bool refill(Csv *csv, Error *err)
{
  if (window_refill(&csv->window, CSV_ROW_MAX, err)) {
    return true;
  }
  return error_at(err, "%s:row %llu", file_name(csv), (unsigned long long)csv->row + 1);
}

// The byte behind the row that starts at `row`: a line end with an even number of quotes before it.
// NULL when it is not in the buffer.
static char *find_row_end(char *row, char *end)
{
  bool quoted = false;
  char *from = row;
  for (;;) {
    char *line = memchr(from, '\n', (size_t)(end - from));
    if (!line) {
      return NULL;
    }
    char *quote = from;
    while ((quote = memchr(quote, '"', (size_t)(line - quote)))) {
      quoted = !quoted;
      quote++;
    }
    from = line + 1;
    if (!quoted) {
      return from;
    }
  }
}

// Fields
// ----------------------------------------------------------------------------------------------

// Reads the quoted field that starts behind its quote, halving doubled quotes in place. Gives the
// byte behind the closing quote, or NULL when there is none.
static char *take_quoted(char *at, char *end, Slice *field)
{
  char *out = at;
  char *first = at;
  while (at < end) {
    char *quote = memchr(at, '"', (size_t)(end - at));
    if (!quote) {
      return NULL;
    }
    if (out != at) {
      memmove(out, at, (size_t)(quote - at));
    }
    out += quote - at;
    if (quote + 1 == end || quote[1] != '"') {
      *field = slice_of(first, (size_t)(out - first));
      return quote + 1;
    }
    *out++ = '"';
    at = quote + 2;
  }
  return NULL;
}

// Splits the row [at, end), without its line end, into at most `limit` fields; counts them all.
// Gives NULL or what is wrong.
static const char *split_row(char *at, char *end, Slice *fields, bool *there, size_t limit,
                             size_t *count)
{
  *count = 0;
  for (;;) {
    Slice field;
    bool quoted = at < end && *at == '"';
    if (quoted) {
      at = take_quoted(at + 1, end, &field);
      if (!at) {
        return "a quoted field is not closed";
      }
      if (at < end && *at != ',') {
        return "there is text behind a closing quote";
      }
    } else {
      char *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
      char *stop = comma ? comma : end;
      field = slice_of(at, (size_t)(stop - at));
      if (field.size && memchr(field.data, '"', field.size)) {
        return "there is a quote inside an unquoted field";
      }
      at = stop;
    }
    if (*count < limit) {
      fields[*count] = field;
      there[*count] = quoted || field.size > 0;
    }
    (*count)++;
    if (at == end) {
      return NULL;
    }
    at++;
  }
}

// Finds the next row; *at is NULL when the file has no more, or when `stay` and more bytes would
// have to be read.
static bool next_row(Csv *csv, bool stay, char **at, char **end, Error *err)
{
  *at = NULL;
  for (;;) {
    char *first = csv->window.bytes + csv->window.start;
    char *last = csv->window.bytes + csv->window.end;
    char *behind = find_row_end(first, last);
    if (!behind && csv->window.ended) {
      behind = last;
    }
    if (behind && behind > first) {
      *at = first;
      *end = behind;
      *end -= (*end)[-1] == '\n';
      *end -= *end > first && (*end)[-1] == '\r';
      csv->window.start += (size_t)(behind - first);
      return true;
    }
    if (csv->window.ended || stay) {
      return true;
    }
    if (!refill(csv, err)) {
      return false;
    }
  }
}

// Headers
// ---------------------------------------------------------------------------------------------

static bool check_header(const Csv *csv, const Slice *fields, size_t count, Error *err)
{
  for (size_t i = 0; i < count; i++) {
    for (size_t j = 0; j < i; j++) {
      if (slice_equal(fields[i], fields[j])) {
        return error_set(err, ERR_DATA, "the column \"%.*s\" is there twice", (int)fields[i].size,
                         fields[i].data);
      }
    }
  }
  if (!csv->header) {
    return true;
  }
  bool same = count == csv->header_count;
  for (size_t i = 0; same && i < count; i++) {
    same = slice_is(fields[i], csv->header[i]);
  }
  return same
         || error_set(err, ERR_DATA, "the columns are not those of %s, in their order",
                      csv->files->names[0]);
}

static void keep_header(Csv *csv, const Slice *fields, size_t count)
{
  csv->header = arena_alloc(&csv->arena, count * sizeof(char *));
  csv->header_count = count;
  for (size_t i = 0; i < count; i++) {
    csv->header[i] = arena_text(&csv->arena, fields[i]);
  }
}

static bool take_header(Csv *csv, char *at, char *end, Error *err)
{
  size_t limit = 1;
  for (const char *byte = at; byte < end; byte++) {
    limit += *byte == ',';
  }
  Slice *fields = mem_zalloc(limit, sizeof(Slice));
  bool *there = mem_zalloc(limit, sizeof(bool));
  size_t count;
  bool ok = false;
  if (!utf8_is_valid(slice_of(at, (size_t)(end - at)))) {
    error_set(err, ERR_DATA, "the header is not UTF-8");
    goto out;
  }
  const char *wrong = split_row(at, end, fields, there, limit, &count);
  // A carriage return in an unquoted name: rows that end with it alone are all one line.
  for (size_t i = 0; !wrong && i < count; i++) {
    bool quoted = fields[i].data > at && fields[i].data[-1] == '"';
    if (!quoted && memchr(fields[i].data, '\r', fields[i].size)) {
      wrong = "its lines end with CR alone: end them with LF or CRLF";
    }
  }
  if (wrong) {
    error_set(err, ERR_DATA, "%s", wrong);
    goto out;
  }
  ok = check_header(csv, fields, count, err);
  if (ok && !csv->header) {
    keep_header(csv, fields, count);
  }
out:
  free(fields);
  free(there);
  return ok;
}

static bool read_header(Csv *csv, Error *err)
{
  char *at;
  char *end;
  do {  // empty lines may come first
    if (!next_row(csv, false, &at, &end, err)) {
      return false;
    }
  } while (at && at == end);
  if (!at) {
    error_set(err, ERR_DATA, "the file is empty: it needs a header");
    return error_at(err, "%s", file_name(csv));
  }
  if (end - at >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) {
    at += 3;
  }
  return take_header(csv, at, end, err) || error_at(err, "%s:header", file_name(csv));
}

static bool open_file(Csv *csv, Error *err)
{
  csv->row = 0;
  return window_open(&csv->window, csv->files->paths[csv->file], file_name(csv), err)
         && read_header(csv, err);
}

static Csv *open_first(const TableFiles *files, Error *err)
{
  Csv *csv = mem_zalloc(1, sizeof(*csv));
  csv->files = files;
  window_init(&csv->window);
  if (!open_file(csv, err)) {
    csv_close(csv);
    return NULL;
  }
  return csv;
}

bool csv_describe(const TableFiles *files, TableColumn **columns, size_t *count, Arena *arena,
                  Error *err)
{
  Csv *csv = open_first(files, err);
  if (!csv) {
    return false;
  }
  *count = csv->header_count;
  *columns = arena_zalloc(arena, *count, sizeof(TableColumn));
  for (size_t i = 0; i < *count; i++) {
    (*columns)[i] = (TableColumn){.name = arena_text(arena, slice_text(csv->header[i])),
                                  .type_text = "text",
                                  .type = {.kind = TYPE_STRING},
                                  .known = true};
  }
  csv_close(csv);
  return true;
}

// Rows
// ------------------------------------------------------------------------------------------------

Csv *csv_open(const TableFiles *files, const size_t *wanted, size_t count, Error *err)
{
  Csv *csv = open_first(files, err);
  if (!csv) {
    return NULL;
  }
  Arena *arena = &csv->arena;
  csv->fields = arena_zalloc(arena, csv->header_count, sizeof(Slice));
  csv->there = arena_zalloc(arena, csv->header_count, sizeof(bool));
  csv->wanted =
      memcpy(arena_alloc(arena, count * sizeof(size_t) + 1), wanted, count * sizeof(size_t));
  csv->wanted_count = count;
  csv->slices = arena_zalloc(arena, count, sizeof(Slice *));
  csv->valid = arena_zalloc(arena, count, sizeof(uint64_t *));
  csv->raws = arena_zalloc(arena, count, sizeof(Raw));
  for (size_t i = 0; i < count; i++) {
    assert(wanted[i] < csv->header_count);
    csv->slices[i] = arena_alloc(arena, CSV_BATCH_ROWS * sizeof(Slice));
    csv->valid[i] = arena_alloc(arena, CSV_BATCH_ROWS / 8);
    csv->raws[i] = (Raw){.kind = RAW_TEXT, .valid = csv->valid[i], .data = csv->slices[i]};
  }
  return csv;
}

void csv_close(Csv *csv)
{
  if (!csv) {
    return;
  }
  window_deinit(&csv->window);
  arena_deinit(&csv->arena);
  free(csv);
}

static bool take_row(Csv *csv, char *at, char *end, size_t row, Error *err)
{
  size_t count;
  if (!utf8_is_valid(slice_of(at, (size_t)(end - at)))) {
    return error_set(err, ERR_DATA, "the row is not UTF-8");
  }
  const char *wrong = split_row(at, end, csv->fields, csv->there, csv->header_count, &count);
  if (wrong) {
    return error_set(err, ERR_DATA, "%s", wrong);
  }
  if (count != csv->header_count) {
    return error_set(err, ERR_DATA, "expected %zu field%s like the header, got %zu",
                     csv->header_count, csv->header_count == 1 ? "" : "s", count);
  }
  for (size_t i = 0; i < csv->wanted_count; i++) {
    size_t column = csv->wanted[i];
    csv->slices[i][row] = csv->fields[column];
    column_set_valid(csv->valid[i], row, csv->there[column]);
  }
  return true;
}

// Rows of the open file that are in the buffer, reading on only for the first.
static bool take_rows(Csv *csv, RawRows *rows, Error *err)
{
  rows->first = csv->row;
  rows->name = file_name(csv);
  while (rows->count < CSV_BATCH_ROWS) {
    char *at;
    char *end;
    if (!next_row(csv, rows->count > 0, &at, &end, err)) {
      return false;
    }
    if (!at) {
      return true;
    }
    if (at == end && csv->header_count > 1) {
      continue;  // an empty line cannot be a row
    }
    if (!take_row(csv, at, end, rows->count, err)) {
      return error_at(err, "%s:row %llu", file_name(csv), (unsigned long long)csv->row + 1);
    }
    rows->count++;
    csv->row++;
  }
  return true;
}

bool csv_next(Csv *csv, RawRows *rows, Error *err)
{
  *rows = (RawRows){.columns = csv->raws};
  while (csv->file < csv->files->count) {
    if (csv->window.fd < 0 && !open_file(csv, err)) {
      return false;
    }
    if (!take_rows(csv, rows, err)) {
      return false;
    }
    if (rows->count) {
      return true;
    }
    window_close(&csv->window);
    csv->file++;
  }
  return true;
}
