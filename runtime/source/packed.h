#pragma once
// msgpack files: a stream of maps, one per row, or one array of maps. A key that a map lacks is
// null.

#include "source/raw.h"
#include "source/table.h"

enum {
  PACKED_BATCH_ROWS = 2048,
  PACKED_ROW_MAX = 64 << 20,  // bytes of one map
};

typedef struct Packed Packed;

// Whether the files hold no row.
bool packed_is_empty(const TableFiles *files, bool *empty, Error *err);

// All keys of all files, in order of their first appearance, with the types that hold every value.
bool packed_describe(const TableFiles *files, TableColumn **columns, size_t *count, Arena *arena,
                     Error *err);

// Reads the values of the named keys. `files` and the names outlive the reader.
Packed *packed_open(const TableFiles *files, const char *const *names, size_t count, Error *err);
void packed_close(Packed *packed);

// The next rows of one file as RAW_PACKED, one Raw per name; valid until the next call.
bool packed_next(Packed *packed, RawRows *rows, Error *err);
