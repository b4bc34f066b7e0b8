#include "source/json_check.h"

#include <string.h>

#include "source/window.h"

enum { DEPTH_MAX = 256, WINDOW_SIZE = 1 << 20 };

typedef struct {
  uint64_t rows;
  uint64_t depth;
  uint64_t base;   // depth at which rows begin: 1 inside of an array
  bool may_array;  // nothing but space was seen, and an array may follow
  bool ended;      // the array was closed
  bool in_string;
  bool escaped;  // the last byte was a backslash in a string
} Look;

// Steps behind the end of a string, or to `end` when it goes on.
static const char *skip_string(Look *look, const char *at, const char *end)
{
  for (; at < end; at++) {
    if (look->escaped) {
      look->escaped = false;
    } else if (*at == '\\') {
      look->escaped = true;
    } else if (*at == '"') {
      look->in_string = false;
      return at + 1;
    }
  }
  return end;
}

static bool is_space(char byte)
{
  return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

// A byte between rows. NULL or what is wrong.
static const char *between_rows(Look *look, char byte)
{
  bool in_array = look->base == 1;
  if (byte == '{' && !look->ended) {
    look->rows++;
    look->depth++;
  } else if (byte == '[' && look->may_array) {
    look->base = look->depth = 1;
  } else if (byte == ']' && in_array && !look->ended) {
    look->ended = true;
  } else if (!is_space(byte) && !(byte == ',' && in_array && !look->ended)) {
    look->rows++;  // the one that is wrong
    return look->ended ? "there is something behind the list of rows"
                       : "expected an object from column names to values";
  }
  look->may_array = look->may_array && is_space(byte);
  return NULL;
}

// A byte inside of a row.
static const char *inside_row(Look *look, char byte)
{
  switch (byte) {
  case '"':
    look->in_string = true;
    break;
  case '{':
  case '[':
    look->depth++;
    break;
  case '}':
  case ']':
    look->depth--;
    break;
  default:
    break;
  }
  return look->depth > DEPTH_MAX ? "the values are nested too deeply" : NULL;
}

static const char *look_at(Look *look, const char *at, const char *end)
{
  const char *wrong = NULL;
  while (!wrong && at < end) {
    if (look->in_string) {
      at = skip_string(look, at, end);
    } else if (look->depth > look->base) {
      wrong = inside_row(look, *at++);
    } else {
      wrong = between_rows(look, *at++);
    }
  }
  return wrong;
}

bool json_check(const TableFiles *files, size_t file, uint64_t *rows, Error *err)
{
  const char *name = files->names[file];
  Look look = {.may_array = files->format == FORMAT_JSON};
  Window window;
  window_init(&window);
  bool ok = window_open(&window, files->paths[file], name, err);
  bool first = true;
  while (ok && !window.ended) {
    ok = window_refill(&window, WINDOW_SIZE, err);
    const char *at = window.bytes + window.start;
    const char *end = window.bytes + window.end;
    if (ok && first && end - at >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) {
      error_set(err, ERR_DATA, "begins with a byte order mark: save it as UTF-8 without one");
      ok = error_at(err, "%s", name);
    }
    const char *wrong = ok ? look_at(&look, at, end) : NULL;
    if (wrong) {
      error_set(err, ERR_DATA, "%s", wrong);
      ok = error_at(err, "%s:row %llu", name, (unsigned long long)look.rows);
    }
    window.start = window.end;
    first = false;
  }
  window_deinit(&window);
  *rows = look.rows;
  return ok;
}
