#include "store/registry.h"

#include <assert.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "data/key.h"
#include "data/msgpack.h"
#include "store/db_private.h"
#include "store/versions.h"

// Keys in `meta`: a word, a slash, a big-endian number; so a word's records stand together in
// order.
#define GENERATION "generation/"
#define DROPPED "dropped/"

enum {
  GENERATION_PREFIX = sizeof(GENERATION) - 1,
  GENERATION_KEY_SIZE = GENERATION_PREFIX + 8,
  DROPPED_PREFIX = sizeof(DROPPED) - 1,
  DROPPED_KEY_SIZE = DROPPED_PREFIX + 2,
};

static const MpLimits RECORD_LIMITS = {.depth = 4, .elements = 64};

static Slice generation_key(uint8_t *space, uint64_t generation)
{
  memcpy(space, GENERATION, GENERATION_PREFIX);
  bytes_store_be64(space + GENERATION_PREFIX, generation);
  return slice_of(space, GENERATION_KEY_SIZE);
}

static Slice dropped_key(uint8_t *space, uint16_t view_id)
{
  memcpy(space, DROPPED, DROPPED_PREFIX);
  bytes_store_be16(space + DROPPED_PREFIX, view_id);
  return slice_of(space, DROPPED_KEY_SIZE);
}

static bool has_prefix(MDB_val key, const char *prefix, size_t key_size)
{
  return key.mv_size == key_size && memcmp(key.mv_data, prefix, strlen(prefix)) == 0;
}

// The last generation of a transaction's snapshot: the record before the first key after them all.
static bool last_generation(const Db *db, MDB_txn *txn, uint64_t *generation, Error *err)
{
  *generation = 0;
  MDB_cursor *cursor;
  int rc = mdb_cursor_open(txn, db->meta, &cursor);
  if (rc) {
    return db_fail(db, rc, "read the registry", err);
  }
  uint8_t space[GENERATION_KEY_SIZE];
  MDB_val key = db_value(generation_key(space, UINT64_MAX));
  MDB_val value;
  rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
  rc = mdb_cursor_get(cursor, &key, &value, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
  if (!rc && has_prefix(key, GENERATION, GENERATION_KEY_SIZE)) {
    *generation = bytes_load_be64((const uint8_t *)key.mv_data + GENERATION_PREFIX);
  }
  mdb_cursor_close(cursor);
  return rc && rc != MDB_NOTFOUND ? db_fail(db, rc, "read the registry", err) : true;
}

bool registry_generation(DbRead *read, uint64_t *generation, Error *err)
{
  return last_generation(read->db, read->txn, generation, err);
}

static bool take_int(MpReader map, const char *key, int64_t *value)
{
  MpReader at;
  MpToken token;
  if (!mp_map_get(map, key, &at) || mp_next(&at, &token) != MP_OK || token.kind != MP_INT) {
    return false;
  }
  *value = token.integer;
  return true;
}

static bool take_bin(MpReader map, const char *key, Slice *value, Arena *arena)
{
  MpReader at;
  MpToken token;
  if (!mp_map_get(map, key, &at) || mp_next(&at, &token) != MP_OK || token.kind != MP_BIN) {
    return false;
  }
  *value = arena_copy(arena, token.bytes);
  return true;
}

static bool decode_record(Slice value, Generation *out, Arena *arena)
{
  MpReader map = {(const uint8_t *)value.data, (const uint8_t *)value.data + value.size};
  MpReader whole = map;
  return mp_skip(&whole, RECORD_LIMITS) == MP_OK && whole.at == whole.end
         && take_int(map, "applied_at", &out->applied_at)
         && take_bin(map, "catalog", &out->catalog, arena)
         && take_bin(map, "sources", &out->sources, arena)
         && take_bin(map, "changes", &out->changes, arena);
}

bool registry_get(DbRead *read, uint64_t generation, Generation *out, bool *found, Arena *arena,
                  Error *err)
{
  *found = false;
  if (!generation && !last_generation(read->db, read->txn, &generation, err)) {
    return false;
  }
  *out = (Generation){.generation = generation};
  uint8_t space[GENERATION_KEY_SIZE];
  Slice value;
  if (!db_get(read->db, read->txn, read->db->meta, generation_key(space, generation), &value, found,
              err)) {
    return false;
  }
  if (*found && !decode_record(value, out, arena)) {
    *found = false;
    return error_set(err, ERR_STORE, "generation %llu of the registry in the store %s is damaged",
                     (unsigned long long)generation, read->db->path);
  }
  return true;
}

static void encode_record(Buf *out, const Generation *generation)
{
  msgpack_packer packer = mp_packer(out);
  msgpack_pack_map(&packer, 4);
  mp_put_text(&packer, "applied_at");
  msgpack_pack_int64(&packer, generation->applied_at);
  mp_put_text(&packer, "catalog");
  mp_put_bin(&packer, generation->catalog);
  mp_put_text(&packer, "sources");
  mp_put_bin(&packer, generation->sources);
  mp_put_text(&packer, "changes");
  mp_put_bin(&packer, generation->changes);
}

bool registry_put(DbWrite *write, const Generation *generation, Error *err)
{
  uint64_t current;
  if (!last_generation(write->db, write->txn, &current, err)) {
    return false;
  }
  if (generation->generation != current + 1) {
    return error_set(err, ERR_CONFLICT,
                     "someone else has applied meanwhile: generation %llu is current, this would "
                     "be %llu; look at the plan again and apply",
                     (unsigned long long)current, (unsigned long long)generation->generation);
  }
  Buf record = {0};
  uint8_t space[GENERATION_KEY_SIZE];
  encode_record(&record, generation);
  bool ok = db_put(write, write->db->meta, generation_key(space, generation->generation),
                   buf_slice(&record), err);
  buf_deinit(&record);
  return ok;
}

bool registry_add_dropped(DbWrite *write, uint16_t view_id, Error *err)
{
  uint8_t space[DROPPED_KEY_SIZE];
  return db_put(write, write->db->meta, dropped_key(space, view_id), slice_of("", 0), err);
}

// The first view that waits to be swept.
static bool next_dropped(DbWrite *write, uint16_t *view_id, bool *found, Error *err)
{
  *found = false;
  MDB_cursor *cursor;
  int rc = mdb_cursor_open(write->txn, write->db->meta, &cursor);
  if (rc) {
    return db_fail(write->db, rc, "read the dropped views", err);
  }
  MDB_val key = db_value(slice_text(DROPPED));
  MDB_val value;
  rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
  if (!rc && has_prefix(key, DROPPED, DROPPED_KEY_SIZE)) {
    *view_id = bytes_load_be16((const uint8_t *)key.mv_data + DROPPED_PREFIX);
    *found = true;
  }
  mdb_cursor_close(cursor);
  return rc && rc != MDB_NOTFOUND ? db_fail(write->db, rc, "read the dropped views", err) : true;
}

// Deletes rows of a view while *left and the transaction last. *empty: none are left.
static bool sweep_rows(DbWrite *write, uint16_t view_id, size_t *left, bool *empty, Error *err)
{
  MDB_cursor *cursor = db_online_cursor(write, err);
  if (!cursor) {
    return false;
  }
  uint8_t prefix[KEY_VIEW_SIZE];
  bytes_store_be16(prefix, view_id);
  *empty = false;
  while (!*empty && *left && !db_write_full(write)) {
    MDB_val key = db_value(slice_of(prefix, sizeof(prefix)));
    MDB_val value;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    *empty = rc == MDB_NOTFOUND || (!rc && bytes_load_be16(key.mv_data) != view_id);
    if (!rc && !*empty) {
      db_count_pages(write, value.mv_data, value.mv_size);
      versions_touch(write, db_slice(key));
      rc = mdb_cursor_del(cursor, 0);
      *left -= 1;
    }
    if (rc && rc != MDB_NOTFOUND) {
      return db_fail(write->db, rc, "delete the rows of a dropped view", err);
    }
  }
  return true;
}

bool registry_sweep(DbWrite *write, size_t limit, uint64_t *deleted, bool *done, Error *err)
{
  assert(limit > 0);
  size_t left = limit;
  bool ok = true;
  *deleted = 0;
  *done = false;
  while (ok && left && !db_write_full(write)) {
    uint16_t view_id;
    bool found;
    bool empty = false;
    ok = next_dropped(write, &view_id, &found, err);
    if (!ok || !found) {
      *done = ok;
      break;
    }
    ok = sweep_rows(write, view_id, &left, &empty, err);
    if (ok && empty) {
      uint8_t key[KEY_VIEW_SIZE];
      uint8_t space[DROPPED_KEY_SIZE];
      bytes_store_be16(key, view_id);
      ok = db_del(write, write->db->marks, slice_of(key, sizeof(key)), err)
           && versions_drop_view(write, view_id, err)
           && db_del(write, write->db->meta, dropped_key(space, view_id), err);
    }
  }
  *deleted = limit - left;
  return ok;
}
