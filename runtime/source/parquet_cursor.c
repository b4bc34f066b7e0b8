#include "source/parquet_cursor.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "source/parquet_page.h"
#include "source/text.h"

enum { BATCH_ROWS = 4096 };

#define US_PER_DAY INT64_C(86400000000)

// How a stored value becomes ours. Anything that is not in the table is DuckDB's to convert.
typedef enum {
  CONVERT_NONE,
  CONVERT_NULL,  // nothing is read
  CONVERT_COPY1,
  CONVERT_COPY4,
  CONVERT_COPY8,
  CONVERT_INT32_INT64,
  CONVERT_UINT32_INT64,
  CONVERT_INT32_FLOAT64,
  CONVERT_FLOAT32_FLOAT64,
  CONVERT_FLOAT64_FLOAT32,
  CONVERT_DATE,
  CONVERT_TIME_MS,
  CONVERT_TIME_US,
  CONVERT_TIME_NS,
  CONVERT_UNIT_S,  // integers whose unit the source names: the ends of their range are no
                   // infinities
  CONVERT_UNIT_MS,
  CONVERT_UNIT_US,
  CONVERT_UNIT_NS,
  CONVERT_TEXT,
  CONVERT_BYTES,
} Conversion;

static const struct {
  ParquetPhysical physical;
  ParquetLogical logical;
  TypeKind kind;
  Conversion conversion;
} CONVERSIONS[] = {
    {PARQUET_BOOLEAN, PARQUET_PLAIN_TYPE, TYPE_BOOL, CONVERT_COPY1},
    {PARQUET_INT32, PARQUET_PLAIN_TYPE, TYPE_INT32, CONVERT_COPY4},
    {PARQUET_INT32, PARQUET_SIGNED, TYPE_INT32, CONVERT_COPY4},
    {PARQUET_INT32, PARQUET_PLAIN_TYPE, TYPE_INT64, CONVERT_INT32_INT64},
    {PARQUET_INT32, PARQUET_SIGNED, TYPE_INT64, CONVERT_INT32_INT64},
    {PARQUET_INT32, PARQUET_UNSIGNED, TYPE_INT64, CONVERT_UINT32_INT64},
    {PARQUET_INT32, PARQUET_PLAIN_TYPE, TYPE_FLOAT64, CONVERT_INT32_FLOAT64},
    {PARQUET_INT32, PARQUET_SIGNED, TYPE_FLOAT64, CONVERT_INT32_FLOAT64},
    {PARQUET_INT32, PARQUET_DATE, TYPE_TIMESTAMP, CONVERT_DATE},
    {PARQUET_INT64, PARQUET_PLAIN_TYPE, TYPE_INT64, CONVERT_COPY8},
    {PARQUET_INT64, PARQUET_SIGNED, TYPE_INT64, CONVERT_COPY8},
    {PARQUET_INT64, PARQUET_TIME_MS, TYPE_TIMESTAMP, CONVERT_TIME_MS},
    {PARQUET_INT64, PARQUET_TIME_US, TYPE_TIMESTAMP, CONVERT_TIME_US},
    {PARQUET_INT64, PARQUET_TIME_NS, TYPE_TIMESTAMP, CONVERT_TIME_NS},
    {PARQUET_FLOAT, PARQUET_PLAIN_TYPE, TYPE_FLOAT32, CONVERT_COPY4},
    {PARQUET_FLOAT, PARQUET_PLAIN_TYPE, TYPE_FLOAT64, CONVERT_FLOAT32_FLOAT64},
    {PARQUET_DOUBLE, PARQUET_PLAIN_TYPE, TYPE_FLOAT64, CONVERT_COPY8},
    {PARQUET_DOUBLE, PARQUET_PLAIN_TYPE, TYPE_FLOAT32, CONVERT_FLOAT64_FLOAT32},
    {PARQUET_BYTE_ARRAY, PARQUET_TEXT, TYPE_STRING, CONVERT_TEXT},
    {PARQUET_BYTE_ARRAY, PARQUET_PLAIN_TYPE, TYPE_BYTES, CONVERT_BYTES},
};

typedef struct {
  const ReaderColumn *wanted;
  size_t place;  // among the file's leaves
  Conversion conversion;
  size_t width;  // of a value as stored; 0: byte array
  ParquetPages pages;
  uint32_t at[BATCH_ROWS];  // per row of the batch: place of its value in the page or dictionary
  uint64_t valid[BATCH_ROWS / 64];
  union {
    uint64_t values[BATCH_ROWS];
    Slice texts[BATCH_ROWS];
  };
} CursorColumn;

struct ParquetCursor {
  const ParquetFile *file;
  const char *path;
  CursorColumn *columns;
  Column *out;
  size_t count;
  size_t group;
  uint64_t base;  // the table's row number of the group's first row
  uint64_t row;   // next one, in the group
  uint32_t picked[BATCH_ROWS];
  const BadValues *on_bad;  // NULL: a bad value is an error
  uint64_t bad[BATCH_ROWS / 64];
  bool has_bad;
};

// --- Describing ---

// What a stored column is to us, and what DuckDB calls it.
static const struct {
  ParquetPhysical physical;
  ParquetLogical logical;
  TypeKind kind;
  const char *text;
} DESCRIBED[] = {
    {PARQUET_BOOLEAN, PARQUET_PLAIN_TYPE, TYPE_BOOL, "BOOLEAN"},
    {PARQUET_INT32, PARQUET_PLAIN_TYPE, TYPE_INT32, "INTEGER"},
    {PARQUET_INT64, PARQUET_PLAIN_TYPE, TYPE_INT64, "BIGINT"},
    {PARQUET_INT64, PARQUET_SIGNED, TYPE_INT64, "BIGINT"},
    {PARQUET_INT32, PARQUET_DATE, TYPE_TIMESTAMP, "DATE"},
    {PARQUET_INT64, PARQUET_TIME_US, TYPE_TIMESTAMP, "TIMESTAMP"},
    {PARQUET_FLOAT, PARQUET_PLAIN_TYPE, TYPE_FLOAT32, "FLOAT"},
    {PARQUET_DOUBLE, PARQUET_PLAIN_TYPE, TYPE_FLOAT64, "DOUBLE"},
    {PARQUET_BYTE_ARRAY, PARQUET_TEXT, TYPE_STRING, "VARCHAR"},
    {PARQUET_INT32, PARQUET_NULL, TYPE_STRING, "NULL"},
};

static bool describe_column(const ParquetColumn *column, TableColumn *described, Arena *arena)
{
  if (column->logical == PARQUET_TIME_US && !column->has_zone) {
    return false;  // an old file; what it means is DuckDB's to say
  }
  for (size_t i = 0; column->name && i < sizeof(DESCRIBED) / sizeof(DESCRIBED[0]); i++) {
    if (DESCRIBED[i].physical == column->physical && DESCRIBED[i].logical == column->logical) {
      *described = (TableColumn){
          .name = arena_text(arena, slice_text(column->name)),
          .type_text = column->utc ? "TIMESTAMP WITH TIME ZONE" : DESCRIBED[i].text,
          .type = {.kind = (uint8_t)DESCRIBED[i].kind},
          .known = true,
      };
      return true;
    }
  }
  return false;
}

bool parquet_describe(const char *path, TableColumn **columns, size_t *count, Arena *arena)
{
  ParquetFile file;
  bool handled;
  if (!parquet_open(&file, path, &handled, NULL) || !handled) {
    return false;
  }
  *count = file.column_count;
  *columns = arena_zalloc(arena, *count + 1, sizeof(**columns));
  for (size_t i = 0; i < *count && handled; i++) {
    handled = describe_column(&file.columns[i], &(*columns)[i], arena)
              && parquet_find(&file, file.columns[i].name) == (int)i;
  }
  parquet_close(&file);
  return handled;
}

// --- Opening ---

static Conversion time_from_unit(TimeUnit unit)
{
  switch (unit) {
  case UNIT_S:
    return CONVERT_UNIT_S;
  case UNIT_MS:
    return CONVERT_UNIT_MS;
  case UNIT_US:
    return CONVERT_UNIT_US;
  case UNIT_NS:
    return CONVERT_UNIT_NS;
  case UNIT_NONE:
    break;
  }
  return CONVERT_NONE;
}

static bool is_time(Conversion conversion)
{
  return conversion >= CONVERT_DATE && conversion <= CONVERT_UNIT_NS;
}

static bool has_unit(Conversion conversion)
{
  return conversion >= CONVERT_UNIT_S && conversion <= CONVERT_UNIT_NS;
}

static Conversion find_conversion(const ParquetColumn *column, const ReaderColumn *wanted)
{
  if (column->logical == PARQUET_NULL) {
    bool nested = wanted->type.kind == TYPE_LIST || wanted->type.kind == TYPE_VECTOR;
    return nested ? CONVERT_NONE : CONVERT_NULL;
  }
  bool integer = column->logical == PARQUET_PLAIN_TYPE || column->logical == PARQUET_SIGNED;
  if (column->physical == PARQUET_INT64 && integer && wanted->type.kind == TYPE_TIMESTAMP) {
    return time_from_unit(wanted->unit);
  }
  for (size_t i = 0; i < sizeof(CONVERSIONS) / sizeof(CONVERSIONS[0]); i++) {
    if (CONVERSIONS[i].physical == column->physical && CONVERSIONS[i].logical == column->logical
        && CONVERSIONS[i].kind == (TypeKind)wanted->type.kind) {
      return CONVERSIONS[i].conversion;
    }
  }
  return CONVERT_NONE;
}

static bool can_read(const ParquetFile *file, size_t place)
{
  for (size_t i = 0; i < file->group_count; i++) {
    if (!parquet_can_decode(&file->columns[place], &file->groups[i].chunks[place])) {
      return false;
    }
  }
  return true;
}

ParquetCursor *parquet_cursor_new(const ParquetFile *file, const char *path,
                                  const ReaderColumn *columns, size_t count)
{
  ParquetCursor *cursor = mem_zalloc(1, sizeof(*cursor));
  cursor->file = file;
  cursor->path = path;
  cursor->count = count;
  cursor->columns = mem_zalloc(count, sizeof(*cursor->columns));
  cursor->out = mem_zalloc(count, sizeof(*cursor->out));
  for (size_t i = 0; i < count; i++) {
    int place = parquet_find(file, columns[i].column);
    Conversion conversion =
        place < 0 ? CONVERT_NONE : find_conversion(&file->columns[place], &columns[i]);
    if (conversion == CONVERT_NONE
        || (conversion != CONVERT_NULL && !can_read(file, (size_t)place))) {
      parquet_cursor_free(cursor);
      return NULL;
    }
    CursorColumn *column = &cursor->columns[i];
    column->wanted = &columns[i];
    column->place = (size_t)place;
    column->conversion = conversion;
    column->width = parquet_width(file->columns[place].physical);
  }
  return cursor;
}

void parquet_cursor_free(ParquetCursor *cursor)
{
  if (!cursor) {
    return;
  }
  for (size_t i = 0; i < cursor->count; i++) {
    parquet_pages_deinit(&cursor->columns[i].pages);
  }
  free(cursor->columns);
  free(cursor->out);
  free(cursor);
}

void parquet_cursor_take_bad(ParquetCursor *cursor, const BadValues *bad)
{
  cursor->on_bad = bad;
}

const uint64_t *parquet_cursor_bad(const ParquetCursor *cursor)
{
  return cursor->has_bad ? cursor->bad : NULL;
}

static bool failed_in(const ParquetCursor *cursor, Error *err)
{
  return error_at(err, "%s", cursor->path);
}

bool parquet_cursor_start(ParquetCursor *cursor, size_t group, uint64_t base, Error *err)
{
  cursor->group = group;
  cursor->base = base + cursor->file->groups[group].first_row;
  cursor->row = 0;
  for (size_t i = 0; i < cursor->count; i++) {
    CursorColumn *column = &cursor->columns[i];
    if (!parquet_pages_start(&column->pages, cursor->file, group, column->place, err)) {
      return failed_in(cursor, err);
    }
  }
  return true;
}

// --- Choosing rows ---

// First wanted row at or after `row`, `end` when there is none.
static uint64_t next_wanted(const uint64_t *wanted, uint64_t row, uint64_t end)
{
  while (row < end) {
    uint64_t bits = wanted[row / 64] >> (row % 64);
    if (bits) {
      row += (uint64_t)__builtin_ctzll(bits);
      break;
    }
    row = (row / 64 + 1) * 64;
  }
  return row < end ? row : end;
}

// Moves every column to the page that holds `row`; *end is the first row that some column has only
// in a later page. A batch stays inside one page of each column, so nothing has to be kept.
static bool seek_all(ParquetCursor *cursor, uint64_t row, uint64_t *end, Error *err)
{
  for (size_t i = 0; i < cursor->count; i++) {
    ParquetPages *pages = &cursor->columns[i].pages;
    if (cursor->columns[i].conversion == CONVERT_NULL) {
      continue;
    }
    if (!parquet_pages_seek(pages, row, err)) {
      return failed_in(cursor, err);
    }
    uint64_t page_end = pages->page.first_row + pages->page.rows;
    *end = page_end < *end ? page_end : *end;
  }
  return true;
}

// Fills `picked` with offsets from `row` of the rows to give. Returns how many.
static size_t pick(ParquetCursor *cursor, const uint64_t *wanted, uint64_t row, uint64_t end)
{
  size_t count = 0;
  if (!wanted) {
    count = end - row < BATCH_ROWS ? (size_t)(end - row) : BATCH_ROWS;
    cursor->row = row + count;
    return count;
  }
  uint64_t base = cursor->base;
  uint64_t at = base + row;
  while (count < BATCH_ROWS && (at = next_wanted(wanted, at, base + end)) < base + end) {
    cursor->picked[count++] = (uint32_t)(at - base - row);
    at++;
  }
  cursor->row = at - base;
  return count;
}

// --- Converting ---

// Says what is wrong with a value: as an error, or to those who take note of it.
static bool bad_value(const ParquetCursor *cursor, const CursorColumn *column, size_t place,
                      uint64_t row, Error *err)
{
  char shown[TEXT_FLOAT_SIZE] = "";
  char name[TYPE_TEXT_SIZE];
  const char *got = "a time outside what 64-bit microseconds hold";
  const ParquetPages *pages = &column->pages;
  const uint8_t *from = pages->page.places ? pages->dictionary.fixed : pages->page.fixed;
  if (column->conversion == CONVERT_FLOAT64_FLOAT32) {
    double wide;
    memcpy(&wide, from + (size_t)column->at[place] * sizeof(wide), sizeof(wide));
    text_print_float64(wide, shown);
    got = shown;
  } else if (has_unit(column->conversion)) {
    int64_t value;
    memcpy(&value, from + (size_t)column->at[place] * sizeof(value), sizeof(value));
    snprintf(shown, sizeof(shown), "%lld", (long long)value);
    got = shown;
  } else if (!column->width) {
    got = "a text that is not UTF-8";
  }
  Error failed = {0};
  error_set(&failed, ERR_DATA, "%s: expected %s, got %s", column->wanted->what,
            type_print(column->wanted->type, name), got);
  uint64_t number = cursor->file->groups[cursor->group].first_row + row + 1;  // of the file, from 1
  if (cursor->on_bad) {
    BadValue value = {cursor->path, number, column->wanted->column, failed.message};
    return cursor->on_bad->take(cursor->on_bad->context, &value, err);
  }
  error_set(err, failed.code, "%s", failed.message);
  return error_at(err, "%s:row %llu:column %s", cursor->path, (unsigned long long)number,
                  column->wanted->column);
}

// Tells of value `place` of a batch, which cannot be ours, and makes it null. False ends the
// reading.
static bool forget_value(ParquetCursor *cursor, CursorColumn *column, size_t place, uint64_t row,
                         Error *err)
{
  if (!bad_value(cursor, column, place, row, err)) {
    return false;
  }
  if (!cursor->has_bad) {
    memset(cursor->bad, 0, sizeof(cursor->bad));
  }
  cursor->has_bad = true;
  column_set_valid(cursor->bad, place, true);
  column_set_valid(column->valid, place, false);
  return true;
}

// Where the value of each row lies. Rows without one point at the first value, which is read and
// not used; `valid` tells.
static void locate(const ParquetCursor *cursor, CursorColumn *column, const uint64_t *wanted,
                   uint64_t row, size_t count)
{
  const ParquetPage *page = &column->pages.page;
  uint32_t first = (uint32_t)(row - page->first_row);
  memset(column->valid, 0xff, sizeof(column->valid));
  for (size_t i = 0; i < count; i++) {
    uint32_t at = first + (wanted ? cursor->picked[i] : (uint32_t)i);
    if (__builtin_expect(parquet_page_has(page, at), 1)) {
      uint32_t rank = parquet_page_rank(page, at);
      column->at[i] = page->places ? page->places[rank] : rank;
    } else {
      column->at[i] = 0;
      column_set_valid(column->valid, i, false);
    }
  }
}

#define LOOP(stored, ours, expression)                                               \
  do {                                                                               \
    ours *to = (ours *)column->values;                                               \
    for (size_t i = 0; i < count; i++) {                                             \
      stored value;                                                                  \
      memcpy(&value, from + (size_t)column->at[i] * sizeof(stored), sizeof(stored)); \
      to[i] = (expression);                                                          \
    }                                                                                \
  } while (0)

static void convert_numbers(CursorColumn *column, const uint8_t *from, size_t count)
{
  switch (column->conversion) {
  case CONVERT_COPY1:
    LOOP(uint8_t, uint8_t, value);
    break;
  case CONVERT_COPY4:
    LOOP(uint32_t, uint32_t, value);
    break;
  case CONVERT_COPY8:
    LOOP(uint64_t, uint64_t, value);
    break;
  case CONVERT_INT32_INT64:
    LOOP(int32_t, int64_t, value);
    break;
  case CONVERT_UINT32_INT64:
    LOOP(uint32_t, int64_t, (int64_t)value);
    break;
  case CONVERT_INT32_FLOAT64:
    LOOP(int32_t, double, (double)value);
    break;
  case CONVERT_FLOAT32_FLOAT64:
    LOOP(float, double, (double)value);
    break;
  case CONVERT_FLOAT64_FLOAT32:
    LOOP(double, float, (float)value);
    break;
  case CONVERT_DATE:
    LOOP(int32_t, int64_t, value);
    break;
  case CONVERT_TIME_MS:
  case CONVERT_TIME_US:
  case CONVERT_TIME_NS:
  case CONVERT_UNIT_S:
  case CONVERT_UNIT_MS:
  case CONVERT_UNIT_US:
  case CONVERT_UNIT_NS:
    LOOP(int64_t, int64_t, value);
    break;
  default:
    break;
  }
}

static TimeUnit unit_of(Conversion conversion)
{
  switch (conversion) {
  case CONVERT_UNIT_S:
    return UNIT_S;
  case CONVERT_TIME_MS:
  case CONVERT_UNIT_MS:
    return UNIT_MS;
  case CONVERT_TIME_NS:
  case CONVERT_UNIT_NS:
    return UNIT_NS;
  default:
    return UNIT_US;
  }
}

static bool to_time(Conversion conversion, int64_t value, Time *time)
{
  if (conversion == CONVERT_DATE) {
    return !__builtin_mul_overflow(value, US_PER_DAY, time);
  }
  // DuckDB and PostgreSQL write infinity as the two ends of the range.
  bool infinite = !has_unit(conversion) && (value == INT64_MAX || value <= -INT64_MAX);
  if (conversion == CONVERT_TIME_US) {
    *time = value;  // by far the most usual
    return !infinite;
  }
  return !infinite && clock_from_unit(value, unit_of(conversion), time, NULL);
}

// Values from `first` on that were copied as they are and have to be checked or scaled. Returns the
// row that cannot be ours, `count` when all can.
static size_t finish_numbers(CursorColumn *column, const uint8_t *from, size_t first, size_t count)
{
  for (size_t i = first; is_time(column->conversion) && i < count; i++) {
    Time time;
    bool there = column->valid[i / 64] >> (i % 64) & 1;
    if (there && !to_time(column->conversion, (int64_t)column->values[i], &time)) {
      return i;
    }
    column->values[i] = there ? (uint64_t)time : 0;
  }
  for (size_t i = first; column->conversion == CONVERT_FLOAT64_FLOAT32 && i < count; i++) {
    double wide;
    memcpy(&wide, from + (size_t)column->at[i] * sizeof(wide), sizeof(wide));
    bool there = column->valid[i / 64] >> (i % 64) & 1;
    if (there && isinf(((float *)column->values)[i]) && !isinf(wide)) {
      return i;
    }
  }
  return count;
}

static size_t convert_texts(CursorColumn *column, const Slice *from, size_t first, size_t count)
{
  for (size_t i = first; i < count; i++) {
    bool there = column->valid[i / 64] >> (i % 64) & 1;
    column->texts[i] = there ? from[column->at[i]] : slice_of(NULL, 0);
    if (column->conversion == CONVERT_TEXT && !utf8_is_valid(column->texts[i])) {
      return i;
    }
  }
  return count;
}

// A page whose values are ours as they lie: no nulls, no dictionary, no conversion, aligned.
static const uint8_t *as_it_lies(const CursorColumn *column, const uint64_t *wanted, uint64_t row)
{
  const ParquetPage *page = &column->pages.page;
  bool plain = !wanted && !page->valid && !page->places && page->fixed
               && (column->conversion == CONVERT_COPY8 || column->conversion == CONVERT_COPY4);
  const uint8_t *at = plain ? page->fixed + (row - page->first_row) * column->width : NULL;
  return (uintptr_t)at % column->width == 0 ? at : NULL;
}

// Converts the values of rows that are located. *good is false when some were not ours, and are
// null now.
static bool convert_values(ParquetCursor *cursor, CursorColumn *column, const uint64_t *wanted,
                           uint64_t row, size_t count, bool *good, Error *err)
{
  static const uint8_t NO_VALUES[16];
  static const Slice NO_TEXTS[1];
  const ParquetPage *page = &column->pages.page;
  const ParquetDictionary *dictionary = &column->pages.dictionary;
  const uint8_t *numbers = page->places ? dictionary->fixed : page->fixed;
  const Slice *texts = page->places ? dictionary->texts : page->texts;
  numbers = page->value_count ? numbers : NO_VALUES;
  texts = page->value_count ? texts : NO_TEXTS;
  if (column->width) {
    convert_numbers(column, numbers, count);
  }
  *good = true;
  for (size_t at = 0;;) {
    at = column->width ? finish_numbers(column, numbers, at, count)
                       : convert_texts(column, texts, at, count);
    if (at == count) {
      return true;
    }
    *good = false;
    if (!forget_value(cursor, column, at, row + (wanted ? cursor->picked[at] : at), err)) {
      return false;
    }
  }
}

static bool convert(ParquetCursor *cursor, CursorColumn *column, const uint64_t *wanted,
                    uint64_t row, size_t count, Column *out, Error *err)
{
  const ParquetPage *page = &column->pages.page;
  *out = (Column){.type = column->wanted->type};
  if (column->conversion == CONVERT_NULL) {
    out->data = column->texts;  // zeros, as the bits are
    out->valid = column->valid;
    return true;
  }
  out->data = column->width ? as_it_lies(column, wanted, row) : NULL;
  if (out->data) {
    return true;
  }
  locate(cursor, column, wanted, row, count);
  bool good;
  if (!convert_values(cursor, column, wanted, row, count, &good, err)) {
    return false;
  }
  out->data = column->values;
  out->valid = page->valid || !good ? column->valid : NULL;
  return true;
}

bool parquet_cursor_next(ParquetCursor *cursor, const uint64_t *wanted, Batch *batch, Error *err)
{
  const ParquetGroup *group = &cursor->file->groups[cursor->group];
  *batch = (Batch){.column_count = cursor->count, .columns = cursor->out};
  cursor->has_bad = false;
  uint64_t row = cursor->row;
  if (wanted) {
    uint64_t end = cursor->base + group->rows;
    row = next_wanted(wanted, cursor->base + row, end) - cursor->base;
  }
  uint64_t end = group->rows;
  if (row >= end || !cursor->count) {
    cursor->row = end;
    return true;
  }
  if (!seek_all(cursor, row, &end, err)) {
    return false;
  }
  size_t count = pick(cursor, wanted, row, end);
  for (size_t i = 0; i < cursor->count; i++) {
    if (!convert(cursor, &cursor->columns[i], wanted, row, count, &cursor->out[i], err)) {
      return false;
    }
  }
  batch->count = count;
  batch->first_row = cursor->base + row;
  return true;
}

// --- Statistics ---

bool parquet_cursor_outside(const ParquetCursor *cursor, size_t group, size_t place, Time oldest,
                            Time newest)
{
  const CursorColumn *column = &cursor->columns[place];
  const ParquetChunk *chunk = &cursor->file->groups[group].chunks[column->place];
  bool scaled = is_time(column->conversion) && column->conversion != CONVERT_DATE;
  if (!scaled || chunk->min.size != 8 || chunk->max.size != 8) {
    return false;
  }
  int64_t stored_min;
  int64_t stored_max;
  memcpy(&stored_min, chunk->min.data, sizeof(stored_min));
  memcpy(&stored_max, chunk->max.data, sizeof(stored_max));
  Time min;
  Time max;
  return to_time(column->conversion, stored_min, &min)
         && to_time(column->conversion, stored_max, &max) && (max < oldest || min > newest);
}
