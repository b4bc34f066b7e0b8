#include "cli/values.h"

#include <stdint.h>

// A part of a text that is read from its start.
typedef struct {
  const char *at;
  const char *end;
} Cursor;

static bool is_at(const Cursor *cursor, char byte)
{
  return cursor->at < cursor->end && *cursor->at == byte;
}

static bool is_in(const char *set, char byte)
{
  return byte && strchr(set, byte);
}

static void skip_spaces(Cursor *cursor)
{
  while (cursor->at < cursor->end && is_in(" \t\r\n", *cursor->at)) {
    cursor->at++;
  }
}

// A value of a record from its opening quote on; a doubled quote stands for one.
static bool take_quoted(Cursor *cursor, Value *value, Arena *arena)
{
  char *text = arena_alloc(arena, (size_t)(cursor->end - cursor->at));
  size_t size = 0;
  for (cursor->at++; cursor->at < cursor->end; cursor->at++) {
    if (*cursor->at == '"') {
      if (cursor->at + 1 == cursor->end || cursor->at[1] != '"') {
        cursor->at++;
        *value = (Value){slice_of(text, size), true};
        return true;
      }
      cursor->at++;
    }
    text[size++] = *cursor->at;
  }
  return false;
}

static int hex_digit(char byte)
{
  return byte >= '0' && byte <= '9'   ? byte - '0'
         : byte >= 'a' && byte <= 'f' ? byte - 'a' + 10
         : byte >= 'A' && byte <= 'F' ? byte - 'A' + 10
                                      : -1;
}

// The four digits after \u.
static bool take_unit(Cursor *cursor, uint32_t *unit)
{
  *unit = 0;
  for (int i = 0; i < 4; i++) {
    int digit = cursor->at < cursor->end ? hex_digit(*cursor->at++) : -1;
    if (digit < 0) {
      return false;
    }
    *unit = *unit << 4 | (uint32_t)digit;
  }
  return true;
}

static size_t put_utf8(uint32_t point, char *out)
{
  if (point < 0x80) {
    out[0] = (char)point;
    return 1;
  }
  size_t more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
  static const uint8_t FIRST[] = {0, 0xc0, 0xe0, 0xf0};
  for (size_t i = more; i > 0; i--) {
    out[i] = (char)(0x80 | (point & 0x3f));
    point >>= 6;
  }
  out[0] = (char)(FIRST[more] | point);
  return more + 1;
}

// \uXXXX behind its u; two of them make one character beyond the first 65536.
static bool take_code_point(Cursor *cursor, char *out, size_t *size)
{
  uint32_t point;
  uint32_t low;
  if (!take_unit(cursor, &point)) {
    return false;
  }
  if (point >= 0xd800 && point < 0xdc00) {
    bool pair = cursor->end - cursor->at >= 6 && cursor->at[0] == '\\' && cursor->at[1] == 'u';
    cursor->at += pair ? 2 : 0;
    if (!pair || !take_unit(cursor, &low) || low < 0xdc00 || low > 0xdfff) {
      return false;
    }
    point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
  } else if (point >= 0xdc00 && point < 0xe000) {
    return false;
  }
  *size += put_utf8(point, out + *size);
  return true;
}

static bool take_escape(Cursor *cursor, char *out, size_t *size)
{
  static const char LETTERS[] = "\"\\/bfnrt";
  static const char MEANINGS[] = "\"\\/\b\f\n\r\t";
  char letter = cursor->at < cursor->end ? *cursor->at++ : '\0';
  if (letter == 'u') {
    return take_code_point(cursor, out, size);
  }
  const char *found = letter ? strchr(LETTERS, letter) : NULL;
  if (found) {
    out[(*size)++] = MEANINGS[found - LETTERS];
  }
  return found != NULL;
}

// A string of JSON from its opening quote on. No escape is shorter than what it stands for.
static bool take_string(Cursor *cursor, Value *value, Arena *arena)
{
  char *text = arena_alloc(arena, (size_t)(cursor->end - cursor->at));
  size_t size = 0;
  cursor->at++;
  while (cursor->at < cursor->end) {
    char byte = *cursor->at++;
    if (byte == '"') {
      *value = (Value){slice_of(text, size), true};
      return true;
    }
    if (byte != '\\') {
      text[size++] = byte;
    } else if (!take_escape(cursor, text, &size)) {
      return false;
    }
  }
  return false;
}

static bool take_element(Cursor *cursor, Value *value, Arena *arena)
{
  if (is_at(cursor, '"')) {
    return take_string(cursor, value, arena);
  }
  const char *start = cursor->at;
  while (cursor->at < cursor->end && !is_in("[],\" \t\r\n", *cursor->at)) {
    cursor->at++;
  }
  Slice word = slice_of(start, (size_t)(cursor->at - start));
  *value = slice_is(word, "null") ? (Value){0} : (Value){word, false};
  return word.size > 0;
}

static ValueList room_for(Cursor cursor, Arena *arena)
{
  size_t most = 1;
  for (; cursor.at < cursor.end; cursor.at++) {
    most += *cursor.at == ',';
  }
  return (ValueList){.items = arena_zalloc(arena, most, sizeof(Value))};
}

// An array from its bracket on.
static bool take_list(Cursor *cursor, ValueList *out, Arena *arena)
{
  *out = room_for(*cursor, arena);
  cursor->at++;
  skip_spaces(cursor);
  bool more = !is_at(cursor, ']');
  while (more) {
    skip_spaces(cursor);
    if (!take_element(cursor, &out->items[out->count++], arena)) {
      return false;
    }
    skip_spaces(cursor);
    more = is_at(cursor, ',');
    cursor->at += more;
  }
  bool closed = is_at(cursor, ']');
  cursor->at += closed;
  return closed;
}

static bool take_value(Cursor *cursor, bool lists, Value *value, Arena *arena)
{
  const char *start = cursor->at;
  if (is_at(cursor, '"')) {
    return take_quoted(cursor, value, arena);
  }
  if (lists && is_at(cursor, '[')) {
    ValueList ignored;
    bool good = take_list(cursor, &ignored, arena);
    *value = (Value){slice_of(start, (size_t)(cursor->at - start)), false};
    return good;
  }
  while (cursor->at < cursor->end && *cursor->at != ',') {
    cursor->at++;
  }
  size_t size = (size_t)(cursor->at - start);
  *value = size ? (Value){slice_of(start, size), false} : (Value){0};
  return true;
}

bool values_split(const char *text, bool lists, ValueList *out, Arena *arena)
{
  Cursor cursor = {text, text + strlen(text)};
  *out = room_for(cursor, arena);
  bool more = true;
  while (more) {
    if (!take_value(&cursor, lists, &out->items[out->count++], arena)) {
      return false;
    }
    more = is_at(&cursor, ',');
    cursor.at += more;
  }
  return cursor.at == cursor.end;
}

bool values_elements(Slice list, ValueList *out, Arena *arena)
{
  Cursor cursor = {list.data, list.data + list.size};
  skip_spaces(&cursor);
  if (!is_at(&cursor, '[') || !take_list(&cursor, out, arena)) {
    return false;
  }
  skip_spaces(&cursor);
  return cursor.at == cursor.end;
}
