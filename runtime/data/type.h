#pragma once
// Value types. One row here per type: its name in definitions, its width in a column, and what it
// is called in messages. A list or a vector names the type of its elements.

#include "base/error.h"
#include "base/slice.h"

// kind, name, bytes per value in a column (0: a Slice or a list entry), ffi ctype of a column
#define TYPE_KINDS(X)                          \
  X(TYPE_BOOL, "bool", 1, "uint8_t")           \
  X(TYPE_INT32, "int32", 4, "int32_t")         \
  X(TYPE_INT64, "int64", 8, "int64_t")         \
  X(TYPE_FLOAT32, "float32", 4, "float")       \
  X(TYPE_FLOAT64, "float64", 8, "double")      \
  X(TYPE_STRING, "string", 0, "Slice")         \
  X(TYPE_BYTES, "bytes", 0, "Slice")           \
  X(TYPE_TIMESTAMP, "timestamp", 8, "int64_t") \
  X(TYPE_LIST, "list", 0, "ColumnList")        \
  X(TYPE_VECTOR, "vector", 0, "float")

typedef enum {
#define X(kind, name, width, ctype) kind,
  TYPE_KINDS(X)
#undef X
      TYPE_KIND_COUNT
} TypeKind;

typedef struct {
  uint8_t kind;     // TypeKind
  uint8_t element;  // TypeKind of a list's elements, never list or vector; TYPE_FLOAT32 in a vector
  uint32_t length;  // elements of a vector; 0 otherwise
} Type;

enum { TYPE_VECTOR_MAX = 65536, TYPE_TEXT_SIZE = 32 };

// "int64", "list(string)", "vector(128)".
bool type_parse(Slice text, Type *type, Error *err);

// Writes the name as definitions spell it, NUL-terminated; `out` holds TYPE_TEXT_SIZE. Returns out.
const char *type_print(Type type, char *out);

bool type_equal(Type a, Type b);

// Whether an entity may have a key of this type: not floats, lists or vectors.
bool type_can_be_key(Type type);

// Whether its values are times, or lists of them: integers that people want to read as dates.
bool type_is_time(Type type);

// Bytes per value in a column's data array.
size_t type_width(Type type);
