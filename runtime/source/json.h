#pragma once
// JSON files: an object per row, one after the other, or in .json files in one array. A name that
// an object lacks is null. NaN, Infinity and -Infinity are numbers here, as our writer spells them.

#include "source/raw.h"
#include "source/table.h"

enum {
  JSON_BATCH_ROWS = 2048,
  JSON_ROW_MAX = 64 << 20,  // bytes of one object
  JSON_DEPTH_MAX = 256,
};

typedef struct Json Json;

// What a column's values come as.
typedef enum {
  JSON_VALUE,     // RAW_JSON, to be coerced
  JSON_TEXT,      // RAW_TEXT as CSV has it: what a string says, numbers as they are written
  JSON_VERBATIM,  // RAW_TEXT: the JSON itself, on one line
} JsonAs;

// Whether the files hold no row.
bool json_is_empty(const TableFiles *files, bool *empty, Error *err);

// All names of all files, in order of their first appearance, with the types that hold every value;
// text is a timestamp where all of it is. With `exact`, numbers that would lose digits have no type
// of ours: integers beyond int64, decimals that no double is.
bool json_describe(const TableFiles *files, bool exact, TableColumn **columns, size_t *count,
                   Arena *arena, Error *err);

// Reads the values of the named columns. `files` and the arrays outlive the reader.
Json *json_open(const TableFiles *files, const char *const *names, const JsonAs *as, size_t count);
void json_close(Json *json);

// The next rows of one file, one Raw per name; valid until the next call.
bool json_next(Json *json, RawRows *rows, Error *err);
