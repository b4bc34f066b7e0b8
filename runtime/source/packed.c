#include "source/packed.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "data/msgpack.h"
#include "source/raw_columns.h"
#include "source/window.h"

static const MpLimits LIMITS = {.depth = 16, .elements = 1 << 24};

// Rows of all files as maps.
typedef struct {
  const TableFiles *files;
  size_t file;  // the one being read, or to be opened next
  Window window;
  uint64_t row;       // position of the next row in the file
  uint32_t in_array;  // maps still to come in an array around them
} Maps;

struct Packed {
  Maps maps;
  RawColumns columns;
  Arena arena;
};

// Maps
// ------------------------------------------------------------------------------------------------

static void maps_open(Maps *maps, const TableFiles *files)
{
  *maps = (Maps){.files = files};
  window_init(&maps->window);
}

static bool broken(const Maps *maps, const char *problem, Error *err)
{
  error_set(err, ERR_DATA, "%s", problem);
  return error_at(err, "%s:row %llu", maps->files->names[maps->file],
                  (unsigned long long)maps->row + 1);
}

static bool refill(Maps *maps, Error *err)
{
  bool had = maps->window.ended;
  if (had) {
    return broken(maps, "the file ends in the middle of a value", err);
  }
  return window_refill(&maps->window, PACKED_ROW_MAX, err)
         || error_at(err, "%s:row %llu", maps->files->names[maps->file],
                     (unsigned long long)maps->row + 1);
}

static MpReader unread(const Maps *maps)
{
  const uint8_t *bytes = (const uint8_t *)maps->window.bytes;
  return (MpReader){bytes + maps->window.start, bytes + maps->window.end};
}

// Steps into an array that stands where a map could.
static MpStatus enter_array(Maps *maps, MpReader *reader)
{
  MpReader peek = *reader;
  MpToken token;
  MpStatus status = mp_next(&peek, &token);
  if (status == MP_OK && token.kind == MP_ARRAY && maps->in_array == 0) {
    maps->in_array = token.count;
    maps->window.start += (size_t)(peek.at - reader->at);
    *reader = peek;
    if (token.count == 0) {
      return MP_MORE;
    }
    status = mp_next(&peek, &token);
  }
  return status == MP_OK && token.kind != MP_MAP ? MP_BAD : status;
}

// The next map of the open file, checked; an empty slice at its end, and when `stay` and more bytes
// would have to be read.
static bool next_map(Maps *maps, bool stay, Slice *map, Error *err)
{
  *map = (Slice){0};
  for (;;) {
    bool nothing = maps->window.start == maps->window.end;
    if (nothing && maps->window.ended && maps->in_array == 0) {
      return true;
    }
    MpReader reader = unread(maps);
    MpStatus status = nothing ? MP_MORE : enter_array(maps, &reader);
    const uint8_t *first = reader.at;
    if (status == MP_OK) {
      status = mp_skip(&reader, LIMITS);
    }
    switch (status) {
    case MP_OK:
      *map = slice_of(first, (size_t)(reader.at - first));
      maps->window.start += map->size;
      maps->in_array -= maps->in_array > 0;
      return true;
    case MP_BAD:
      return broken(maps, "expected a map from column names to values", err);
    case MP_LIMIT:
      return broken(maps, "the map is nested too deeply or too large", err);
    case MP_MORE:
      break;
    }
    bool at_end = maps->window.start == maps->window.end && maps->in_array == 0;
    if (stay || (at_end && maps->window.ended)) {
      return true;
    }
    if (!refill(maps, err)) {
      return false;
    }
  }
}

static bool open_file(Maps *maps, Error *err)
{
  maps->row = 0;
  maps->in_array = 0;
  size_t file = maps->file;
  return window_open(&maps->window, maps->files->paths[file], maps->files->names[file], err);
}

bool packed_is_empty(const TableFiles *files, bool *empty, Error *err)
{
  Maps maps;
  maps_open(&maps, files);
  Slice map = {0};
  bool ok = true;
  for (; ok && !map.size && maps.file < files->count; maps.file++) {
    ok = open_file(&maps, err) && next_map(&maps, false, &map, err);
    window_close(&maps.window);
  }
  *empty = !map.size;
  window_deinit(&maps.window);
  return ok;
}

// Describing
// ------------------------------------------------------------------------------------------

typedef struct {
  Slice name;
  bool seen;  // a value that is not nil
  bool mixed;
  bool list;  // a list, if only an empty one
  Type type;
  uint64_t map;  // the last one that had it
} Key;

typedef struct {
  Buf keys;       // Key
  uint64_t maps;  // that were looked at, of all files
  Arena *arena;
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
  Key fresh = {.name = arena_copy(keys->arena, name)};
  buf_put(&keys->keys, &fresh, sizeof(fresh));
  return (Key *)keys->keys.data + count;
}

// The type of one scalar; false for what has none.
static bool scalar_kind(MpToken token, TypeKind *kind)
{
  switch (token.kind) {
  case MP_BOOL:
    *kind = TYPE_BOOL;
    return true;
  case MP_INT:
  case MP_UINT:
    *kind = TYPE_INT64;
    return true;
  case MP_FLOAT:
    *kind = token.narrow ? TYPE_FLOAT32 : TYPE_FLOAT64;
    return true;
  case MP_STR:
    *kind = TYPE_STRING;
    return true;
  case MP_BIN:
    *kind = TYPE_BYTES;
    return true;
  case MP_EXT:
    *kind = TYPE_TIMESTAMP;
    return token.ext_type == -1;
  default:
    return false;
  }
}

static bool is_number(TypeKind kind)
{
  return kind == TYPE_INT64 || kind == TYPE_FLOAT32 || kind == TYPE_FLOAT64;
}

// The narrowest kind that holds values of both; false when there is none.
static bool join_kinds(TypeKind a, TypeKind b, TypeKind *both)
{
  *both = a == b ? a : TYPE_FLOAT64;
  return a == b || (is_number(a) && is_number(b));
}

static void join_type(Key *key, Type type)
{
  if (!key->seen) {
    key->seen = true;
    key->type = type;
    return;
  }
  bool lists = type.kind == TYPE_LIST && key->type.kind == TYPE_LIST;
  TypeKind both;
  bool ok = lists ? join_kinds(type.element, key->type.element, &both)
                  : join_kinds(type.kind, key->type.kind, &both);
  if (!ok || (!lists && type.kind == TYPE_LIST)) {
    key->mixed = true;
  } else if (lists) {
    key->type.element = (uint8_t)both;
  } else {
    key->type.kind = (uint8_t)both;
  }
}

// Notes the type of the value that `reader` stands on, and steps over it.
static void note_value(Key *key, MpReader *reader)
{
  MpReader inside = *reader;
  MpToken token = mp_take(&inside);
  mp_skip(reader, LIMITS);
  TypeKind kind;
  if (token.kind == MP_NIL) {
    return;
  }
  if (token.kind != MP_ARRAY) {
    bool known = scalar_kind(token, &kind);
    key->mixed |= !known;
    if (known) {
      join_type(key, (Type){.kind = (uint8_t)kind});
    }
    return;
  }
  key->list = true;
  for (uint32_t i = 0; i < token.count && !key->mixed; i++) {
    MpToken element = mp_take(&inside);
    bool known = scalar_kind(element, &kind);
    key->mixed |= !known && element.kind != MP_NIL;
    if (known) {
      join_type(key, (Type){.kind = TYPE_LIST, .element = (uint8_t)kind});
    }
  }
}

// Returns what is wrong with the map's names, NULL when nothing is.
static const char *note_map(Keys *keys, Slice map)
{
  MpReader reader = {(const uint8_t *)map.data, (const uint8_t *)map.data + map.size};
  uint32_t pairs = mp_take(&reader).count;
  size_t hint = 0;
  keys->maps++;
  for (uint32_t i = 0; i < pairs; i++) {
    MpReader name = reader;
    MpToken token = mp_take(&name);
    mp_skip(&reader, LIMITS);
    if ((token.kind != MP_STR && token.kind != MP_BIN) || !utf8_is_valid(token.bytes)) {
      return "the name of a column is no text";
    }
    Key *key = find_key(keys, token.bytes, &hint);
    if (key->map == keys->maps) {
      return arena_print(keys->arena, "the name \"%s\" is there twice",
                         arena_text(keys->arena, key->name));
    }
    key->map = keys->maps;
    note_value(key, &reader);
  }
  return NULL;
}

static bool scan_keys(const TableFiles *files, Keys *keys, Error *err)
{
  Maps maps;
  maps_open(&maps, files);
  bool ok = true;
  for (; ok && maps.file < files->count; maps.file++) {
    ok = open_file(&maps, err);
    for (Slice map; ok; maps.row++) {
      ok = next_map(&maps, false, &map, err);
      if (!ok || map.size == 0) {
        break;
      }
      const char *wrong = note_map(keys, map);
      ok = !wrong || broken(&maps, wrong, err);
    }
    window_close(&maps.window);
  }
  window_deinit(&maps.window);
  return ok;
}

bool packed_describe(const TableFiles *files, TableColumn **columns, size_t *count, Arena *arena,
                     Error *err)
{
  Keys keys = {.arena = arena};
  bool ok = scan_keys(files, &keys, err);
  *count = keys.keys.size / sizeof(Key);
  *columns = arena_zalloc(arena, *count + 1, sizeof(TableColumn));
  for (size_t i = 0; i < *count; i++) {
    Key *key = (Key *)keys.keys.data + i;
    if (!key->seen) {
      // Nothing but nil and empty lists.
      key->type = (Type){.kind = key->list ? TYPE_LIST : TYPE_STRING, .element = TYPE_STRING};
    }
    char name[TYPE_TEXT_SIZE];
    (*columns)[i] = (TableColumn){
        .name = arena_text(arena, key->name),
        .type_text = key->mixed ? "mixed" : arena_print(arena, "%s", type_print(key->type, name)),
        .type = key->type,
        .known = !key->mixed,
    };
  }
  buf_deinit(&keys.keys);
  return ok;
}

// Rows
// ------------------------------------------------------------------------------------------------

Packed *packed_open(const TableFiles *files, const char *const *names, size_t count, Error *err)
{
  (void)err;  // files are opened by packed_next
  Packed *packed = mem_zalloc(1, sizeof(*packed));
  maps_open(&packed->maps, files);
  raw_columns_init(&packed->columns, names, count, PACKED_BATCH_ROWS, &packed->arena);
  for (size_t i = 0; i < count; i++) {
    packed->columns.raws[i].kind = RAW_PACKED;
  }
  return packed;
}

void packed_close(Packed *packed)
{
  if (!packed) {
    return;
  }
  window_deinit(&packed->maps.window);
  arena_deinit(&packed->arena);
  free(packed);
}

static void take_map(const RawColumns *columns, Slice map, size_t row)
{
  MpReader reader = {(const uint8_t *)map.data, (const uint8_t *)map.data + map.size};
  uint32_t pairs = mp_take(&reader).count;
  size_t hint = 0;
  raw_columns_begin_row(columns, row);
  for (uint32_t i = 0; i < pairs; i++) {
    MpReader name = reader;
    MpToken token = mp_take(&name);
    mp_skip(&reader, LIMITS);
    const uint8_t *value = reader.at;
    mp_skip(&reader, LIMITS);
    size_t at = raw_columns_find(columns, token.bytes, &hint);
    if (at < columns->count) {
      raw_columns_put(columns, at, row, slice_of(value, (size_t)(reader.at - value)));
    }
  }
  raw_columns_end_row(columns, row);
}

// Rows of the open file that are in the window, reading on only for the first.
static bool take_rows(Packed *packed, RawRows *rows, Error *err)
{
  Maps *maps = &packed->maps;
  rows->first = maps->row;
  rows->name = maps->files->names[maps->file];
  while (rows->count < PACKED_BATCH_ROWS) {
    Slice map;
    if (!next_map(maps, rows->count > 0, &map, err)) {
      return false;
    }
    if (map.size == 0) {
      return true;
    }
    take_map(&packed->columns, map, rows->count++);
    maps->row++;
  }
  return true;
}

bool packed_next(Packed *packed, RawRows *rows, Error *err)
{
  Maps *maps = &packed->maps;
  *rows = (RawRows){.columns = packed->columns.raws};
  while (maps->file < maps->files->count) {
    if (maps->window.fd < 0 && !open_file(maps, err)) {
      return false;
    }
    if (!take_rows(packed, rows, err)) {
      return false;
    }
    if (rows->count) {
      return true;
    }
    window_close(&maps->window);
    maps->file++;
  }
  return true;
}
