#include "data/type.h"

#include <assert.h>
#include <stdio.h>

#include "data/column.h"

static const struct {
  const char *name;
  size_t width;
} KINDS[] = {
#define X(kind, name, width, ctype) {name, width},
    TYPE_KINDS(X)
#undef X
};

#define EXPECTED \
  "expected bool, int32, int64, float32, float64, string, bytes, timestamp, list(T) or vector(n)"

static bool parse_scalar(Slice text, uint8_t *kind)
{
  for (int i = 0; i < TYPE_LIST; i++) {
    if (slice_is(text, KINDS[i].name)) {
      *kind = (uint8_t)i;
      return true;
    }
  }
  return false;
}

// The text between `name(` and `)`; false when `text` has another form.
static bool parse_argument(Slice text, const char *name, Slice *argument)
{
  size_t size = strlen(name);
  if (text.size < size + 2 || memcmp(text.data, name, size) != 0 || text.data[size] != '('
      || text.data[text.size - 1] != ')') {
    return false;
  }
  *argument = slice_of(text.data + size + 1, text.size - size - 2);
  return true;
}

static bool parse_length(Slice text, uint32_t *length)
{
  if (!text.size || text.size > 5 || text.data[0] == '0') {
    return false;
  }
  uint32_t value = 0;
  for (size_t i = 0; i < text.size; i++) {
    if (text.data[i] < '0' || text.data[i] > '9') {
      return false;
    }
    value = value * 10 + (uint32_t)(text.data[i] - '0');
  }
  *length = value;
  return value <= TYPE_VECTOR_MAX;
}

bool type_parse(Slice text, Type *type, Error *err)
{
  int shown = text.size > 64 ? 64 : (int)text.size;
  *type = (Type){0};
  if (parse_scalar(text, &type->kind)) {
    return true;
  }
  Slice argument;
  if (parse_argument(text, "list", &argument)) {
    type->kind = TYPE_LIST;
    return parse_scalar(argument, &type->element)
           || error_set(err, ERR_INVALID,
                        "type \"%.*s\": a list's elements are bool, int32, int64, float32, "
                        "float64, string, bytes or timestamp",
                        shown, text.data);
  }
  if (parse_argument(text, "vector", &argument)) {
    *type = (Type){.kind = TYPE_VECTOR, .element = TYPE_FLOAT32};
    return parse_length(argument, &type->length)
           || error_set(err, ERR_INVALID, "type \"%.*s\": a vector's length is 1 to %d", shown,
                        text.data, TYPE_VECTOR_MAX);
  }
  return error_set(err, ERR_INVALID, "unknown type \"%.*s\": " EXPECTED, shown,
                   text.data ? text.data : "");
}

const char *type_print(Type type, char *out)
{
  assert(type.kind < TYPE_KIND_COUNT && type.element < TYPE_LIST);
  if (type.kind == TYPE_LIST) {
    snprintf(out, TYPE_TEXT_SIZE, "list(%s)", KINDS[type.element].name);
  } else if (type.kind == TYPE_VECTOR) {
    snprintf(out, TYPE_TEXT_SIZE, "vector(%u)", type.length);
  } else {
    snprintf(out, TYPE_TEXT_SIZE, "%s", KINDS[type.kind].name);
  }
  return out;
}

bool type_equal(Type a, Type b)
{
  return a.kind == b.kind && a.element == b.element && a.length == b.length;
}

bool type_can_be_key(Type type)
{
  return type.kind != TYPE_FLOAT32 && type.kind != TYPE_FLOAT64 && type.kind != TYPE_LIST
         && type.kind != TYPE_VECTOR;
}

bool type_is_time(Type type)
{
  return (type.kind == TYPE_LIST ? type.element : type.kind) == TYPE_TIMESTAMP;
}

size_t type_width(Type type)
{
  assert(type.kind < TYPE_KIND_COUNT);
  if (type.kind == TYPE_LIST) {
    return sizeof(ColumnList);
  }
  if (type.kind == TYPE_VECTOR) {
    return type.length * sizeof(float);
  }
  return KINDS[type.kind].width ? KINDS[type.kind].width : sizeof(Slice);
}
