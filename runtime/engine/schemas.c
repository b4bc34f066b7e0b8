#include "engine/schemas.h"

#include "data/msgpack.h"
#include "source/table.h"

typedef struct {
  Engine *engine;
  msgpack_packer packer;
  Arena arena;  // of one source
} Schemas;

static const char *get_text(Schemas *schemas, MpReader map, const char *key)
{
  MpReader value;
  if (!mp_map_get(map, key, &value)) {
    return NULL;
  }
  MpToken token = mp_take(&value);
  return token.kind == MP_STR ? arena_text(&schemas->arena, token.bytes) : NULL;
}

static void put_columns(Schemas *schemas, const TableFiles *files, const TableColumn *columns,
                        size_t count)
{
  msgpack_packer *packer = &schemas->packer;
  bool typed = files->sql || (files->format != FORMAT_CSV && files->format != FORMAT_PACKED);
  msgpack_pack_map(packer, 2);
  mp_put_text(packer, "typed");
  typed ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
  mp_put_text(packer, "columns");
  msgpack_pack_array(packer, count);
  for (size_t i = 0; i < count; i++) {
    char type[TYPE_TEXT_SIZE];
    msgpack_pack_map(packer, columns[i].known ? 3 : 2);
    mp_put_text(packer, "name");
    mp_put_text(packer, columns[i].name);
    mp_put_text(packer, "type_text");
    mp_put_text(packer, columns[i].type_text);
    if (columns[i].known) {
      mp_put_text(packer, "type");
      mp_put_text(packer, type_print(columns[i].type, type));
    }
  }
}

static void put_error(Schemas *schemas, const Error *error)
{
  msgpack_pack_map(&schemas->packer, 1);
  mp_put_text(&schemas->packer, "error");
  mp_put_text(&schemas->packer, error->message);
}

// A source that cannot be opened is no error here: the definitions may do without it.
static void put_schema(Schemas *schemas, Duck *duck, const Table *table)
{
  TableFiles files;
  TableColumn *columns;
  size_t count;
  Error error = {0};
  if (!table_open(&files, duck, table, false, &error)) {
    put_error(schemas, &error);
    return;
  }
  if (table_columns(&files, duck, &columns, &count, &schemas->arena, &error)) {
    put_columns(schemas, &files, columns, count);
  } else {
    put_error(schemas, &error);
  }
  table_close(&files);
}

bool schemas_describe(Engine *engine, Slice wanted, Buf *out, Error *err)
{
  Duck *duck = engine_duck(engine, err);
  if (!duck) {
    return false;
  }
  Schemas schemas = {.engine = engine, .packer = mp_packer(out)};
  MpReader items = {(const uint8_t *)wanted.data, (const uint8_t *)wanted.data + wanted.size};
  uint32_t count = mp_take(&items).count;
  msgpack_pack_map(&schemas.packer, count);
  for (uint32_t i = 0; i < count; i++) {
    MpReader source = items;
    MpStatus status = mp_skip(&items, (MpLimits){16, UINT64_MAX});
    source.end = items.at;
    Table table = {
        .path = get_text(&schemas, source, "path"),
        .sql = get_text(&schemas, source, "sql"),
        .name = get_text(&schemas, source, "sql") ? "sql" : NULL,
    };
    const char *name = get_text(&schemas, source, "name");
    if (status != MP_OK || !name || !table.path == !table.sql) {
      arena_deinit(&schemas.arena);
      return error_set(err, ERR_INTERNAL, "a source that was just declared is not one");
    }
    mp_put_text(&schemas.packer, name);
    put_schema(&schemas, duck, &table);
    arena_deinit(&schemas.arena);
  }
  return true;
}
