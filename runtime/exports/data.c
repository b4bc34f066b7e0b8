// The data layer (and the clock) for specs, through the FFI: thin wrappers that take pointers and
// sizes. `message` holds 512 bytes and gets the text of a failure.

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "data/build.h"
#include "data/catalog.h"
#include "data/key.h"
#include "data/msgpack.h"
#include "data/row.h"
#include "data/unpack.h"

// Declares and begins a function that is visible outside the binary.
#define EXPORT(...)                                   \
  __attribute__((visibility("default"))) __VA_ARGS__; \
  __VA_ARGS__

static bool report(bool ok, const Error *err, char *message)
{
  if (!ok) {
    snprintf(message, sizeof(err->message), "%s", err->message);
  }
  return ok;
}

static MpReader reader_of(const void *data, size_t size)
{
  return (MpReader){data, (const uint8_t *)data + size};
}

// Clock -------------------------------------------------------------------------------------------

EXPORT(bool tidemark_clock_parse(const char *text, size_t size, Time *time, char *message))
{
  Error err = {0};
  return report(clock_parse(slice_of(text, size), time, &err), &err, message);
}

EXPORT(bool tidemark_clock_from_unit(int64_t value, const char *unit, Time *time, char *message))
{
  Error err = {0};
  TimeUnit parsed = UNIT_NONE;
  clock_parse_unit(slice_text(unit), &parsed);
  return report(clock_from_unit(value, parsed, time, &err), &err, message);
}

EXPORT(int64_t tidemark_clock_to_unit(Time time, const char *unit))
{
  TimeUnit parsed = UNIT_NONE;
  clock_parse_unit(slice_text(unit), &parsed);
  return clock_to_unit(time, parsed);
}

EXPORT(size_t tidemark_clock_print(Time time, char *out))
{
  return clock_print(time, out);
}

EXPORT(size_t tidemark_clock_print_duration(int64_t microseconds, char *out))
{
  return clock_print_duration(microseconds, out);
}

EXPORT(Time tidemark_clock_add_bounded(Time a, int64_t b))
{
  return clock_add_bounded(a, b);
}

EXPORT(Time tidemark_clock_sub_bounded(Time a, int64_t b))
{
  return clock_sub_bounded(a, b);
}

// Memory ------------------------------------------------------------------------------------------

EXPORT(void tidemark_buf_deinit(Buf *buf))
{
  buf_deinit(buf);
}

EXPORT(Arena *tidemark_arena_new(void))
{
  return mem_zalloc(1, sizeof(Arena));
}

EXPORT(void tidemark_arena_free(Arena *arena))
{
  arena_deinit(arena);
  free(arena);
}

// Types -------------------------------------------------------------------------------------------

EXPORT(bool tidemark_type_parse(const char *text, size_t size, Type *type, char *message))
{
  Error err = {0};
  return report(type_parse(slice_of(text, size), type, &err), &err, message);
}

EXPORT(const char *tidemark_type_print(const Type *type, char *out))
{
  return type_print(*type, out);
}

EXPORT(bool tidemark_type_equal(const Type *a, const Type *b))
{
  return type_equal(*a, *b);
}

EXPORT(bool tidemark_type_can_be_key(const Type *type))
{
  return type_can_be_key(*type);
}

EXPORT(size_t tidemark_type_width(const Type *type))
{
  return type_width(*type);
}

// Columns -----------------------------------------------------------------------------------------

EXPORT(Builder *tidemark_builder_new(const Type *type))
{
  return builder_new(*type);
}

EXPORT(void tidemark_builder_free(Builder *builder))
{
  builder_free(builder);
}

EXPORT(size_t tidemark_builder_count(const Builder *builder))
{
  return builder_count(builder);
}

EXPORT(size_t tidemark_builder_bytes(const Builder *builder))
{
  return builder_bytes(builder);
}

EXPORT(void tidemark_builder_reset(Builder *builder))
{
  builder_reset(builder);
}

EXPORT(void tidemark_builder_add_null(Builder *builder))
{
  builder_add_null(builder);
}

EXPORT(void tidemark_builder_add(Builder *builder, const Column *column, size_t row))
{
  builder_add(builder, column, row);
}

EXPORT(void tidemark_builder_column(Builder *builder, Column *out))
{
  *out = builder_column(builder);
}

EXPORT(void tidemark_column_pick(const Column *from, const uint32_t *rows, size_t count,
                                 Arena *arena, Column *out))
{
  *out = column_pick(from, rows, count, arena);
}

// Keys --------------------------------------------------------------------------------------------

EXPORT(bool tidemark_key_put_column(Buf *out, const Column *column, size_t row))
{
  return key_put_column(out, column, row);
}

EXPORT(bool tidemark_key_put_msgpack(Buf *out, const Type *type, const char *data, size_t size,
                                     bool *null, char *message))
{
  Error err = {0};
  MpReader reader = reader_of(data, size);
  MpToken token = mp_take(&reader);
  return report(key_put_msgpack(out, *type, &token, null, &err), &err, message);
}

EXPORT(void tidemark_key_put_view(Buf *out, uint16_t view_id))
{
  key_put_view(out, view_id);
}

EXPORT(void tidemark_key_store_form(const char *key, size_t size, uint8_t *space, bool *cut,
                                    Slice *form))
{
  *form = key_store_form(slice_of(key, size), space, cut);
}

// Rows --------------------------------------------------------------------------------------------

EXPORT(int tidemark_row_rank_compare(const RowRank *a, const RowRank *b))
{
  return row_rank_compare(*a, *b);
}

EXPORT(void tidemark_row_encode(Buf *out, const RowRank *rank, bool deleted,
                                const Column *const *columns, size_t count, size_t row,
                                const Slice *key))
{
  row_encode(out, *rank, deleted, columns, count, row, *key);
}

EXPORT(void tidemark_row_put_value(Buf *out, const Column *column, size_t row))
{
  row_put_value(out, column, row);
}

// `count` values, one after the other; the column points into `data` and the arena.
EXPORT(bool tidemark_unpack(const Type *type, const char *data, size_t size, size_t count,
                            Arena *arena, Column *out))
{
  Unpack *unpack = unpack_new(*type, count, arena);
  MpReader reader = reader_of(data, size);
  for (size_t row = 0; row < count; row++) {
    if (!unpack_value(unpack, row, &reader)) {
      return false;
    }
  }
  *out = unpack_column(unpack);
  return reader.at == reader.end;
}

EXPORT(bool tidemark_row_open(const char *data, size_t size, RowView *row, char *message))
{
  Error err = {0};
  return report(row_open(slice_of(data, size), row, &err), &err, message);
}

EXPORT(void tidemark_row_span(const RowView *row, uint32_t first, uint32_t count, uint32_t *present,
                              Slice *span))
{
  *span = row_span(row, first, count, present);
}

EXPORT(const char *tidemark_row_slot_status(const RowView *row, uint32_t slot))
{
  return status_name(row_slot_status(row, slot));
}

// msgpack -----------------------------------------------------------------------------------------

// `used`: bytes consumed.
EXPORT(int tidemark_mp_next(const char *data, size_t size, MpToken *token, size_t *used))
{
  MpReader reader = reader_of(data, size);
  MpStatus status = mp_next(&reader, token);
  *used = (size_t)((const char *)reader.at - data);
  return (int)status;
}

EXPORT(int tidemark_mp_skip(const char *data, size_t size, uint32_t depth, uint64_t elements,
                            size_t *used))
{
  MpReader reader = reader_of(data, size);
  MpStatus status = mp_skip(&reader, (MpLimits){depth, elements});
  *used = (size_t)((const char *)reader.at - data);
  return (int)status;
}

EXPORT(bool tidemark_mp_map_get(const char *data, size_t size, const char *key, Slice *value))
{
  MpReader found;
  if (!mp_map_get(reader_of(data, size), key, &found)) {
    return false;
  }
  *value = slice_of(found.at, (size_t)(found.end - found.at));
  return true;
}

EXPORT(void tidemark_mp_print_json(const char *data, size_t size, Buf *out))
{
  MpReader reader = reader_of(data, size);
  mp_print_json(&reader, out);
}

// Catalog -----------------------------------------------------------------------------------------

EXPORT(Catalog *tidemark_catalog_decode(const char *data, size_t size, uint64_t generation,
                                        char *message))
{
  Error err = {0};
  Catalog *catalog = catalog_decode(slice_of(data, size), generation, &err);
  report(catalog != NULL, &err, message);
  return catalog;
}

EXPORT(Catalog *tidemark_catalog_ref(const Catalog *catalog))
{
  return catalog_ref(catalog);
}

EXPORT(void tidemark_catalog_unref(const Catalog *catalog))
{
  catalog_unref(catalog);
}

EXPORT(const View *tidemark_catalog_view(const Catalog *catalog, const char *name))
{
  return catalog_view(catalog, slice_text(name));
}

EXPORT(const Entity *tidemark_catalog_entity(const Catalog *catalog, const char *name))
{
  return catalog_entity(catalog, slice_text(name));
}

EXPORT(const Source *tidemark_catalog_source(const Catalog *catalog, const char *name))
{
  return catalog_source(catalog, slice_text(name));
}

EXPORT(const Service *tidemark_catalog_service(const Catalog *catalog, const char *name))
{
  return catalog_service(catalog, slice_text(name));
}

EXPORT(const OnDemand *tidemark_catalog_on_demand(const Catalog *catalog, const char *name))
{
  return catalog_on_demand(catalog, slice_text(name));
}

EXPORT(void tidemark_catalog_set_texts(Catalog *catalog, const char *data, size_t size))
{
  catalog_set_texts(catalog, slice_of(data, size));
}

EXPORT(const char *tidemark_catalog_suggest(const char *name, size_t size, const char *const *known,
                                            size_t count))
{
  return catalog_suggest(slice_of(name, size), known, count);
}

EXPORT(bool tidemark_catalog_reference(const Catalog *catalog, const char *text, size_t size,
                                       ReferenceList *out, Arena *arena, char *message))
{
  Error err = {0};
  return report(catalog_reference(catalog, slice_of(text, size), out, arena, &err), &err, message);
}
