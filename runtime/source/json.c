#include "source/json.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "source/coerce.h"
#include "source/narrow.h"
#include "source/raw_columns.h"
#include "source/window.h"

// Syntax: RFC 8259
// ------------------------------------------------------------------------------------------------

// Text that is stepped through. A step that fails without `wrong` needs more bytes.
typedef struct {
  const char *at;
  const char *end;
  const char *wrong;
} Text;

static bool bad(Text *text, const char *wrong)
{
  text->wrong = wrong;
  return false;
}

static bool is_space(char byte)
{
  return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

// Whether something stands behind the space.
static bool skip_space(Text *text)
{
  while (text->at < text->end && is_space(*text->at)) {
    text->at++;
  }
  return text->at < text->end;
}

static bool skip_escape(Text *text)
{
  if (text->at == text->end) {
    return false;
  }
  char byte = *text->at++;
  if (byte != 'u') {
    return (byte && strchr("\"\\/bfnrt", byte)) || bad(text, "a string has an unknown escape");
  }
  if (text->end - text->at < 4) {
    return false;
  }
  for (int i = 0; i < 4; i++) {
    if (!isxdigit((unsigned char)*text->at++)) {
      return bad(text, "a string has an unknown escape");
    }
  }
  return true;
}

// Steps behind a string whose first quote `at` is at.
static bool skip_string(Text *text)
{
  text->at++;
  while (text->at < text->end) {
    char byte = *text->at++;
    if (byte == '"') {
      return true;
    }
    if (byte == '\\' && !skip_escape(text)) {
      return false;
    }
    if ((unsigned char)byte < 0x20) {
      return bad(text, "a string has a control character: write it as \\u00XX");
    }
  }
  return false;
}

static bool skip_digits(Text *text)
{
  if (text->at < text->end && !isdigit((unsigned char)*text->at)) {
    return bad(text, "a number lacks digits");
  }
  while (text->at < text->end && isdigit((unsigned char)*text->at)) {
    text->at++;
  }
  return text->at < text->end;  // the number may go on
}

static bool skip_number(Text *text)
{
  text->at += *text->at == '-';
  bool zero = text->at < text->end && *text->at == '0';
  const char *first = text->at;
  if (!skip_digits(text)) {
    return false;
  }
  if (zero && text->at - first > 1) {
    return bad(text, "a number begins with zero");
  }
  if (*text->at == '.') {
    text->at++;
    if (!skip_digits(text)) {
      return false;
    }
  }
  if (*text->at == 'e' || *text->at == 'E') {
    text->at++;
    text->at += text->at < text->end && (*text->at == '-' || *text->at == '+');
    return skip_digits(text);
  }
  return true;
}

static bool skip_word(Text *text, const char *word)
{
  size_t size = strlen(word);
  size_t left = (size_t)(text->end - text->at);
  if (memcmp(text->at, word, left < size ? left : size) != 0) {
    return bad(text, "expected a value");
  }
  text->at += left < size ? left : size;
  return left >= size;
}

static bool skip_value(Text *text, int depth);

// Steps behind the comma or the closing byte that follows a member; *closed tells which it was.
static bool skip_behind(Text *text, char close, bool *closed)
{
  if (!skip_space(text)) {
    return false;
  }
  *closed = *text->at == close;
  if (!*closed && *text->at != ',') {
    return bad(text, close == '}' ? "expected a comma or } behind a value"
                                  : "expected a comma or ] behind a value");
  }
  text->at++;
  return *closed || skip_space(text);
}

// Steps behind a name and its colon; *name is what stands between the quotes.
static bool skip_name(Text *text, Slice *name)
{
  if (*text->at != '"') {
    return bad(text, "expected a name in double quotes");
  }
  const char *first = text->at + 1;
  if (!skip_string(text)) {
    return false;
  }
  *name = slice_of(first, (size_t)(text->at - first) - 1);
  if (!skip_space(text)) {
    return false;
  }
  return *text->at++ == ':' ? skip_space(text) : bad(text, "expected a colon behind a name");
}

typedef struct {
  Slice name;  // as it is written, between the quotes
  Slice value;
} Pair;

// Steps behind an object; its members go to `pairs` where that is not NULL.
static bool skip_object(Text *text, int depth, Buf *pairs)
{
  text->at++;
  if (!skip_space(text)) {
    return false;
  }
  bool closed = *text->at == '}';
  text->at += closed;
  while (!closed) {
    Pair pair;
    if (!skip_name(text, &pair.name)) {
      return false;
    }
    const char *first = text->at;
    if (!skip_value(text, depth)) {
      return false;
    }
    pair.value = slice_of(first, (size_t)(text->at - first));
    if (pairs) {
      buf_put(pairs, &pair, sizeof(pair));
    }
    if (!skip_behind(text, '}', &closed)) {
      return false;
    }
  }
  return true;
}

static bool skip_array(Text *text, int depth)
{
  text->at++;
  if (!skip_space(text)) {
    return false;
  }
  bool closed = *text->at == ']';
  text->at += closed;
  while (!closed) {
    if (!skip_value(text, depth) || !skip_behind(text, ']', &closed)) {
      return false;
    }
  }
  return true;
}

// Steps behind a value, which begins at `at`.
static bool skip_value(Text *text, int depth)
{
  bool nested = *text->at == '{' || *text->at == '[';
  if (nested && depth == JSON_DEPTH_MAX) {
    return bad(text, "the values are nested too deeply");
  }
  switch (*text->at) {
  case '{':
    return skip_object(text, depth + 1, NULL);
  case '[':
    return skip_array(text, depth + 1);
  case '"':
    return skip_string(text);
  case 't':
    return skip_word(text, "true");
  case 'f':
    return skip_word(text, "false");
  case 'n':
    return skip_word(text, "null");
  case 'N':
    return skip_word(text, "NaN");
  case 'I':
    return skip_word(text, "Infinity");
  case '-':
    if (text->end - text->at > 1 && text->at[1] == 'I') {
      return skip_word(text, "-Infinity");
    }
    return skip_number(text);
  default:
    return isdigit((unsigned char)*text->at) ? skip_number(text) : bad(text, "expected a value");
  }
}

// Rows
// ------------------------------------------------------------------------------------------------

// Rows of all files.
typedef struct {
  const TableFiles *files;
  size_t file;  // the one being read, or to be opened next
  Window window;
  uint64_t row;   // position of the next row in the file
  bool begun;     // something was read of the file
  bool in_array;  // of rows,
  bool comma;     // behind one of which a comma was read,
  bool closed;    // or the end of it
  Buf pairs;      // of the row at hand
} Rows;

static void rows_open(Rows *rows, const TableFiles *files)
{
  *rows = (Rows){.files = files};
  window_init(&rows->window);
}

static void rows_close(Rows *rows)
{
  window_deinit(&rows->window);
  buf_deinit(&rows->pairs);
}

static bool broken(const Rows *rows, const char *wrong, Error *err)
{
  error_set(err, ERR_DATA, "%s", wrong);
  return error_at(err, "%s:row %llu", rows->files->names[rows->file],
                  (unsigned long long)rows->row + 1);
}

static bool open_file(Rows *rows, Error *err)
{
  rows->row = 0;
  rows->begun = rows->in_array = rows->comma = rows->closed = false;
  size_t file = rows->file;
  return window_open(&rows->window, rows->files->paths[file], rows->files->names[file], err);
}

// Takes what stands around rows, a byte of it. False where a row has to follow.
static bool take_around(Rows *rows, Text *text)
{
  char byte = *text->at;
  if (rows->closed) {
    return bad(text, "there is something behind the list of rows");
  }
  if (byte == '[' && !rows->begun && rows->files->format == FORMAT_JSON) {
    rows->in_array = true;
  } else if (byte == ']' && rows->in_array && !rows->comma) {
    rows->closed = true;
  } else if (byte == ',' && rows->in_array && rows->row && !rows->comma) {
    rows->comma = true;
  } else if (rows->in_array && rows->row && !rows->comma) {
    return bad(text, "expected a comma before the row, or the end of the list");
  } else if (byte != '{') {
    return bad(text, "expected an object from column names to values");
  } else {
    return false;
  }
  rows->begun = true;
  text->at++;
  return true;
}

// Takes a row; false when there is none in the text, or a part of one.
static bool take_row(Rows *rows, Text *text)
{
  while (skip_space(text) && take_around(rows, text)) {
    rows->window.start = (size_t)(text->at - rows->window.bytes);
  }
  if (text->wrong || text->at == text->end) {
    return false;
  }
  const char *first = text->at;
  buf_reset(&rows->pairs);
  if (!skip_object(text, 1, &rows->pairs)) {
    return false;
  }
  rows->begun = true;
  rows->comma = false;
  rows->window.start = (size_t)(text->at - rows->window.bytes);
  return utf8_is_valid(slice_of(first, (size_t)(text->at - first)))
         || bad(text, "the row is not UTF-8");
}

// What is wrong with a file that ends where the text does; NULL when nothing is.
static const char *wrong_at_end(const Rows *rows, const Text *text)
{
  Text rest = {rows->window.bytes + rows->window.start, text->end, NULL};
  return skip_space(&rest)                 ? "the file ends in the middle of a value"
         : rows->in_array && !rows->closed ? "the list of rows is not closed"
                                           : NULL;
}

// The next row of the open file into rows->pairs; *found is false at its end, and when `stay` and
// more bytes would have to be read.
static bool next_row(Rows *rows, bool stay, bool *found, Error *err)
{
  Window *window = &rows->window;
  for (;;) {
    bool start = !rows->begun && window->end - window->start >= 3;
    if (start && memcmp(window->bytes + window->start, "\xef\xbb\xbf", 3) == 0) {
      window->start += 3;
    }
    Text text = {window->bytes + window->start, window->bytes + window->end, NULL};
    *found = take_row(rows, &text);
    if (!text.wrong && window->ended && !*found) {
      text.wrong = wrong_at_end(rows, &text);
    }
    if (text.wrong) {
      return broken(rows, text.wrong, err);
    }
    if (*found || stay || window->ended) {
      return true;
    }
    if (!window_refill(window, JSON_ROW_MAX, err)) {
      return error_at(err, "%s:row %llu", rows->files->names[rows->file],
                      (unsigned long long)rows->row + 1);
    }
  }
}

bool json_is_empty(const TableFiles *files, bool *empty, Error *err)
{
  Rows rows;
  rows_open(&rows, files);
  bool found = false;
  bool ok = true;
  for (; ok && !found && rows.file < files->count; rows.file++) {
    ok = open_file(&rows, err) && next_row(&rows, false, &found, err);
    window_close(&rows.window);
  }
  *empty = !found;
  rows_close(&rows);
  return ok;
}

// A name as it is meant.
static bool decode_name(const Rows *rows, const Pair *pair, Arena *arena, Slice *name, Error *err)
{
  *name = pair->name;
  if (!memchr(pair->name.data, '\\', pair->name.size)) {
    return true;
  }
  Slice quoted = slice_of(pair->name.data - 1, pair->name.size + 2);
  bool good = coerce_json_text(quoted, arena, name) && !memchr(name->data, '\0', name->size);
  return good || broken(rows, "the name of a column is no text", err);
}

// Describing
// ------------------------------------------------------------------------------------------------

enum { IS_BOOL = 1, IS_INT = 2, IS_FLOAT = 4, IS_TEXT = 8, IS_LIST = 16, IS_OBJECT = 32 };

typedef struct {
  Slice name;
  uint64_t row;       // the last one that has it, from 1, of all files
  unsigned kinds;     // of the values that are not null
  unsigned elements;  // of those in lists
  bool times;         // all text is times
  bool exact_ints;    // all numbers fit int64
  bool exact_floats;  // all numbers fit a double
} Key;

typedef struct {
  Buf keys;  // Key
  Arena *arena;
  bool exact;
  uint64_t row;
} Keys;

static Key *find_key(Keys *keys, Slice name, size_t *hint)
{
  Key *all = (Key *)keys->keys.data;
  size_t count = keys->keys.size / sizeof(Key);
  for (size_t i = 0; i < count; i++) {
    size_t at = (*hint + i) % count;
    if (slice_equal(all[at].name, name)) {
      *hint = at + 1;
      return &all[at];
    }
  }
  Key fresh = {
      .name = arena_copy(keys->arena, name),
      .times = true,
      .exact_ints = true,
      .exact_floats = true,
  };
  buf_put(&keys->keys, &fresh, sizeof(fresh));
  return (Key *)keys->keys.data + count;
}

static unsigned number_kind(const Keys *keys, Key *key, Slice text)
{
  bool word = text.data[text.size - 1] == 'y' || text.data[0] == 'N';
  bool integer = !word && !slice_is(text, "-0");
  for (size_t i = 0; integer && i < text.size; i++) {
    integer = isdigit((unsigned char)text.data[i]) || text.data[i] == '-';
  }
  if (keys->exact && !word) {
    int64_t ignored;
    key->exact_ints = key->exact_ints && integer && coerce_int_text(text, &ignored);
    key->exact_floats = key->exact_floats && narrow_is_float(text);
  }
  return integer ? IS_INT : IS_FLOAT;
}

// The kind of a value; 0 for null.
static unsigned value_kind(const Keys *keys, Key *key, Slice value)
{
  Time ignored;
  switch (value.data[0]) {
  case 'n':
    return 0;
  case 't':
  case 'f':
    return IS_BOOL;
  case '"':
    key->times =
        key->times && clock_parse(slice_of(value.data + 1, value.size - 2), &ignored, NULL);
    return IS_TEXT;
  case '[':
    return IS_LIST;
  case '{':
    return IS_OBJECT;
  default:
    return number_kind(keys, key, value);
  }
}

static void note_value(const Keys *keys, Key *key, Slice value)
{
  unsigned kind = value_kind(keys, key, value);
  key->kinds |= kind;
  if (kind != IS_LIST) {
    return;
  }
  Text text = {value.data + 1, value.data + value.size, NULL};
  bool closed = skip_space(&text) && *text.at == ']';
  while (!closed) {
    const char *first = text.at;
    skip_value(&text, 1);
    key->elements |= value_kind(keys, key, slice_of(first, (size_t)(text.at - first)));
    skip_behind(&text, ']', &closed);
  }
}

static bool note_row(const Rows *rows, Keys *keys, Arena *scratch, Error *err)
{
  const Pair *pairs = (const Pair *)rows->pairs.data;
  size_t count = rows->pairs.size / sizeof(Pair);
  size_t hint = 0;
  arena_reset(scratch);
  keys->row++;
  for (size_t i = 0; i < count; i++) {
    Slice name;
    if (!decode_name(rows, &pairs[i], scratch, &name, err)) {
      return false;
    }
    Key *key = find_key(keys, name, &hint);
    if (key->row == keys->row) {
      error_set(err, ERR_DATA, "the name \"%.*s\" is there twice", (int)name.size, name.data);
      return error_at(err, "%s:row %llu", rows->files->names[rows->file],
                      (unsigned long long)rows->row + 1);
    }
    key->row = keys->row;
    note_value(keys, key, pairs[i].value);
  }
  return true;
}

static bool scan_keys(const TableFiles *files, Keys *keys, Error *err)
{
  Rows rows;
  Arena scratch = {0};
  rows_open(&rows, files);
  bool ok = true;
  for (; ok && rows.file < files->count; rows.file += ok) {
    ok = open_file(&rows, err);
    for (bool found = true; ok && found; rows.row++) {
      ok = next_row(&rows, false, &found, err) && (!found || note_row(&rows, keys, &scratch, err));
    }
    window_close(&rows.window);
  }
  rows_close(&rows);
  arena_deinit(&scratch);
  return ok;
}

// The type of values of these kinds that are not lists; false when there is none.
static bool scalar_type(unsigned kinds, TypeKind *kind)
{
  *kind = kinds == IS_BOOL             ? TYPE_BOOL
          : kinds == IS_INT            ? TYPE_INT64
          : kinds == IS_TEXT || !kinds ? TYPE_STRING
                                       : TYPE_FLOAT64;
  return !(kinds & (kinds - 1)) ? !(kinds & (IS_LIST | IS_OBJECT))
                                : !(kinds & ~(IS_INT | IS_FLOAT));
}

static TableColumn column_of(const Keys *keys, const Key *key)
{
  bool list = key->kinds == IS_LIST;
  TypeKind kind;
  TableColumn column = {
      .name = arena_text(keys->arena, key->name),
      .type_text = key->kinds == IS_OBJECT ? "object" : "mixed",
      .type = {.kind = TYPE_STRING},
      .known = scalar_type(list ? key->elements : key->kinds, &kind),
  };
  bool wide =
      (kind == TYPE_INT64 && !key->exact_ints) || (kind == TYPE_FLOAT64 && !key->exact_floats);
  if (column.known && wide) {
    column.known = false;
    column.type_text = "wide number";
  }
  if (column.known) {
    bool times = kind == TYPE_STRING && key->kinds && key->times && !list;
    kind = times ? TYPE_TIMESTAMP : kind;
    column.type =
        list ? (Type){.kind = TYPE_LIST, .element = (uint8_t)kind} : (Type){.kind = (uint8_t)kind};
    char name[TYPE_TEXT_SIZE];
    column.type_text = arena_print(keys->arena, "%s", type_print(column.type, name));
  }
  return column;
}

bool json_describe(const TableFiles *files, bool exact, TableColumn **columns, size_t *count,
                   Arena *arena, Error *err)
{
  Keys keys = {.arena = arena, .exact = exact};
  bool ok = scan_keys(files, &keys, err);
  *count = keys.keys.size / sizeof(Key);
  *columns = arena_zalloc(arena, *count + 1, sizeof(TableColumn));
  for (size_t i = 0; i < *count; i++) {
    (*columns)[i] = column_of(&keys, (const Key *)keys.keys.data + i);
  }
  buf_deinit(&keys.keys);
  return ok;
}

// Reading
// ------------------------------------------------------------------------------------------------

struct Json {
  Rows rows;
  const JsonAs *as;  // per wanted name
  RawColumns columns;
  Arena arena;
  Arena scratch;  // of a batch: text that had escapes
};

Json *json_open(const TableFiles *files, const char *const *names, const JsonAs *as, size_t count)
{
  Json *json = mem_zalloc(1, sizeof(*json));
  rows_open(&json->rows, files);
  json->as = as;
  raw_columns_init(&json->columns, names, count, JSON_BATCH_ROWS, &json->arena);
  for (size_t i = 0; i < count; i++) {
    json->columns.raws[i].kind = as[i] == JSON_VALUE ? RAW_JSON : RAW_TEXT;
  }
  return json;
}

void json_close(Json *json)
{
  if (!json) {
    return;
  }
  rows_close(&json->rows);
  arena_deinit(&json->scratch);
  arena_deinit(&json->arena);
  free(json);
}

// A value as CSV has it.
static bool plain_text(Json *json, Slice value, Slice *text, Error *err)
{
  static const struct {
    const char *json;
    const char *csv;
  } WORDS[] = {{"NaN", "nan"}, {"Infinity", "inf"}, {"-Infinity", "-inf"}};
  *text = value;
  for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
    if (slice_is(value, WORDS[i].json)) {
      *text = slice_text(WORDS[i].csv);
    }
  }
  return value.data[0] != '"' || coerce_json_text(value, &json->scratch, text)
         || broken(&json->rows, "a string has half of a surrogate pair", err);
}

// The JSON of a value on one line. Within strings there are no line ends.
static Slice one_line(Json *json, Slice value)
{
  if (!memchr(value.data, '\n', value.size) && !memchr(value.data, '\r', value.size)) {
    return value;
  }
  char *copy = arena_text(&json->scratch, value);
  for (size_t i = 0; i < value.size; i++) {
    copy[i] = copy[i] == '\n' || copy[i] == '\r' ? ' ' : copy[i];
  }
  return slice_of(copy, value.size);
}

static bool put_value(Json *json, size_t column, size_t row, Slice value, Error *err)
{
  if (value.data[0] == 'n') {
    return true;
  }
  Slice put = json->as[column] == JSON_VALUE ? value : one_line(json, value);
  if (json->as[column] == JSON_TEXT && !plain_text(json, put, &put, err)) {
    return false;
  }
  raw_columns_put(&json->columns, column, row, put);
  return true;
}

static bool take_values(Json *json, size_t row, Error *err)
{
  const Pair *pairs = (const Pair *)json->rows.pairs.data;
  size_t count = json->rows.pairs.size / sizeof(Pair);
  size_t hint = 0;
  raw_columns_begin_row(&json->columns, row);
  for (size_t i = 0; i < count; i++) {
    Slice name;
    if (!decode_name(&json->rows, &pairs[i], &json->scratch, &name, err)) {
      return false;
    }
    size_t at = raw_columns_find(&json->columns, name, &hint);
    if (at < json->columns.count && !put_value(json, at, row, pairs[i].value, err)) {
      return false;
    }
  }
  raw_columns_end_row(&json->columns, row);
  return true;
}

// Rows of the open file that are in the window, reading on only for the first.
static bool take_rows(Json *json, RawRows *rows, Error *err)
{
  rows->first = json->rows.row;
  rows->name = json->rows.files->names[json->rows.file];
  while (rows->count < JSON_BATCH_ROWS) {
    bool found;
    if (!next_row(&json->rows, rows->count > 0, &found, err)) {
      return false;
    }
    if (!found) {
      return true;
    }
    if (!take_values(json, rows->count, err)) {
      return false;
    }
    rows->count++;
    json->rows.row++;
  }
  return true;
}

bool json_next(Json *json, RawRows *rows, Error *err)
{
  Rows *all = &json->rows;
  *rows = (RawRows){.columns = json->columns.raws};
  arena_reset(&json->scratch);
  while (all->file < all->files->count) {
    if (all->window.fd < 0 && !open_file(all, err)) {
      return false;
    }
    if (!take_rows(json, rows, err)) {
      return false;
    }
    if (rows->count) {
      return true;
    }
    window_close(&all->window);
    all->file++;
  }
  return true;
}
