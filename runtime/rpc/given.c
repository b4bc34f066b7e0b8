#include "rpc/given.h"

#include <inttypes.h>

// Names -------------------------------------------------------------------------------------------

static size_t find_name(const Given *given, const MpToken *name)
{
  size_t place = mp_is_text(name) ? 0 : given->name_count;
  while (place < given->name_count && !slice_is(name->bytes, given->names[place].name)) {
    place++;
  }
  return place;
}

static bool unknown_name(const Given *given, const MpToken *name, Arena *arena, Error *err)
{
  if (!mp_is_text(name)) {
    error_set(err, ERR_INVALID, "the name of a column has to be a string");
    return error_at(err, "%s", given->parameter);
  }
  Slice text = name->bytes;
  for (size_t i = 0; i < given->other_count; i++) {
    if (slice_is(text, given->others[i].name)) {
      error_set(err, ERR_INVALID, "\"%s\" belongs into %s", given->others[i].name,
                given->elsewhere);
      return error_at(err, "%s.%s", given->parameter, given->others[i].name);
    }
  }
  const char **known = arena_alloc(arena, given->name_count * sizeof(*known) + 1);
  for (size_t i = 0; i < given->name_count; i++) {
    known[i] = given->names[i].name;
  }
  const char *near = catalog_suggest(text, known, given->name_count);
  Buf all = {0};
  for (size_t i = 0; !near && i < given->name_count; i++) {
    buf_print(&all, "%s\"%s\"", i ? ", " : "", given->names[i].name);
  }
  if (!near && !given->name_count) {
    buf_print(&all, "none");
  }
  error_set(err, ERR_INVALID, "unknown %s \"%.*s\"%s%.*s%s", given->column, slice_quoted(text),
            text.data, near ? ", did you mean \"" : ": these features need ",
            (int)(near ? strlen(near) : all.size), near ? near : (const char *)all.data,
            near ? "\"?" : "");
  buf_deinit(&all);
  return error_at(err, "%s.%.*s", given->parameter, slice_quoted(text), text.data);
}

static bool given_twice(const Given *given, size_t place, Error *err)
{
  const char *name = given->names[place].name;
  error_set(err, ERR_INVALID, "%s \"%s\" is given twice", given->column, name);
  return error_at(err, "%s.%s", given->parameter, name);
}

// All that are missing, the place being the first one's.
static bool missing_names(const Given *given, const bool *there, const char *where, Error *err)
{
  const char *first = NULL;
  size_t count = 0;
  Buf all = {0};
  for (size_t i = 0; i < given->name_count; i++) {
    if (!there[i]) {
      first = first ? first : given->names[i].name;
      buf_print(&all, "%s\"%s\"", count++ ? ", " : "", given->names[i].name);
    }
  }
  if (first) {
    error_set(err, ERR_INVALID, "these features need the %s%s %.*s", given->column,
              count > 1 ? "s" : "", (int)all.size, (const char *)all.data);
    error_at(err, "%s.%s", where, first);
  }
  buf_deinit(&all);
  return !first;
}

// Values ------------------------------------------------------------------------------------------

static bool too_many_rows(const Given *given, size_t rows, Error *err)
{
  error_set(err, ERR_LIMIT, "%zu rows in one request, at most %zu are allowed: send several", rows,
            given->max_rows);
  return error_at(err, "%s", given->parameter);
}

static void reserve(Given *given, size_t place, size_t rows, Arena *arena)
{
  if (given->scalar) {
    given->tokens[place] = arena_alloc(arena, rows * sizeof(MpToken) + 1);
  } else {
    given->values[place] = arena_alloc(arena, rows * sizeof(MpReader) + 1);
  }
}

static bool take_value(Given *given, size_t place, size_t row, MpReader *reader, Error *err)
{
  if (!given->scalar) {
    given->values[place][row] = *reader;
    mp_step(reader);
    return true;
  }
  MpToken *token = &given->tokens[place][row];
  *token = mp_take(reader);
  if (token->kind == MP_ARRAY || token->kind == MP_MAP || token->kind == MP_EXT) {
    return error_set(err, ERR_INVALID, "a key has to be a single value");
  }
  return true;
}

// Columns -----------------------------------------------------------------------------------------

// `by`, a column or the parameter, says how many rows there are, or has as many as are known.
static bool count_rows(Given *given, const char *by, size_t rows, Error *err)
{
  GivenRows *known = given->rows;
  if (rows > given->max_rows) {
    return too_many_rows(given, rows, err);
  }
  if (!known->known) {
    *known = (GivenRows){true, rows, by};
    return true;
  }
  if (rows == known->count) {
    return true;
  }
  bool column = by != given->parameter;
  error_set(err, ERR_INVALID, "%s\"%s\" has %zu row%s, but \"%s\" has %zu", column ? "column " : "",
            by, rows, rows == 1 ? "" : "s", known->by, known->count);
  return error_at(err, "%s%s%s", given->parameter, column ? "." : "", column ? by : "");
}

// One column: a list of values, or a single value.
static bool take_column(Given *given, size_t place, MpReader reader, Arena *arena, Error *err)
{
  const char *name = given->names[place].name;
  MpReader single = reader;
  MpToken list = mp_take(&reader);
  if (list.kind != MP_ARRAY) {
    list.count = 1;
    reader = single;
  }
  if (!count_rows(given, name, list.count, err)) {
    return false;
  }
  reserve(given, place, list.count, arena);
  for (uint32_t i = 0; i < list.count; i++) {
    if (!take_value(given, place, i, &reader, err)) {
      return error_at(err, "%s.%s[%" PRIu32 "]", given->parameter, name, i);
    }
  }
  return true;
}

static bool take_columns(Given *given, MpReader reader, uint32_t count, bool *there, Arena *arena,
                         Error *err)
{
  for (uint32_t i = 0; i < count; i++) {
    MpToken name = mp_take(&reader);
    size_t place = find_name(given, &name);
    if (place == given->name_count) {
      return unknown_name(given, &name, arena, err);
    }
    if (there[place]) {
      return given_twice(given, place, err);
    }
    if (!take_column(given, place, reader, arena, err)) {
      return false;
    }
    mp_step(&reader);
    there[place] = true;
  }
  return missing_names(given, there, given->parameter, err);
}

// Maps --------------------------------------------------------------------------------------------

// One map of a list of maps. A name that is not there is a mistake; one that is nil is null.
static bool take_row(Given *given, size_t row, MpReader *reader, bool *there, Arena *arena,
                     Error *err)
{
  MpToken map = mp_take(reader);
  if (map.kind != MP_MAP) {
    error_set(err, ERR_INVALID, "%s has to be a map of columns or a list of maps",
              given->parameter);
    return error_at(err, "%s[%zu]", given->parameter, row);
  }
  memset(there, 0, given->name_count);
  for (uint32_t i = 0; i < map.count; i++) {
    MpToken name = mp_take(reader);
    size_t place = find_name(given, &name);
    if (place == given->name_count) {
      return unknown_name(given, &name, arena, err);
    }
    if (there[place]) {
      return given_twice(given, place, err);
    }
    if (!take_value(given, place, row, reader, err)) {
      return error_at(err, "%s[%zu].%s", given->parameter, row, given->names[place].name);
    }
    there[place] = true;
  }
  return missing_names(given, there, arena_print(arena, "%s[%zu]", given->parameter, row), err);
}

static bool take_rows(Given *given, MpReader reader, uint32_t count, bool *there, Arena *arena,
                      Error *err)
{
  if (!count && !given->name_count) {
    return true;  // an empty list of a language that cannot tell it from an empty map
  }
  if (!count_rows(given, given->parameter, count, err)) {
    return false;
  }
  for (size_t place = 0; place < given->name_count; place++) {
    reserve(given, place, count, arena);
  }
  for (uint32_t row = 0; row < count; row++) {
    if (!take_row(given, row, &reader, there, arena, err)) {
      return false;
    }
  }
  return true;
}

bool given_take(Given *given, Slice raw, Arena *arena, Error *err)
{
  static const uint8_t EMPTY_MAP = 0x80;
  const uint8_t *start = raw.data ? (const uint8_t *)raw.data : &EMPTY_MAP;
  MpReader reader = {start, start + (raw.data ? raw.size : 1)};
  given->tokens = arena_zalloc(arena, given->name_count + 1, sizeof(MpToken *));
  given->values = arena_zalloc(arena, given->name_count + 1, sizeof(MpReader *));
  bool *there = arena_zalloc(arena, given->name_count + 1, sizeof(*there));
  MpToken token = mp_take(&reader);
  return token.kind == MP_MAP ? take_columns(given, reader, token.count, there, arena, err)
                              : take_rows(given, reader, token.count, there, arena, err);
}
