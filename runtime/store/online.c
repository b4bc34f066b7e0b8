#include "store/online.h"

#include <assert.h>

#include "base/bytes.h"
#include "data/key.h"
#include "store/db_private.h"
#include "store/log.h"
#include "store/versions.h"

// What is told about a row that cannot be read.
static bool fail_row(const Db *db, Slice key, Error *err)
{
  return error_wrap(err, "an online row of view %u in the store %s is damaged",
                    key.size >= KEY_VIEW_SIZE ? bytes_load_be16(key.data) : 0, db->path);
}

_Static_assert((int)ONLINE_BLOCK <= (int)OVERLAY_BLOCK, "and one to the overlay");
_Static_assert((int)ONLINE_BLOCK <= (int)ROW_CACHE_BLOCK, "a block is one question to the cache");

static Slice without_view(Slice key)
{
  return slice_of(key.data + KEY_VIEW_SIZE, key.size - KEY_VIEW_SIZE);
}

// Whether a stored row is that of `key`. A cut key's row says whose it is; and a whole key as long
// as a cut one could, by a great accident, have the same bytes.
static bool is_row_of(const RowView *row, Slice key, bool cut)
{
  return cut ? slice_equal(row->key, without_view(key)) : row->key.size == 0;
}

static bool check_carried_key(Slice key, Slice row, Error *err)
{
  RowView view;
  if (!row_open(row, &view, err)) {
    return error_wrap(err, "a row to be stored is not one");
  }
  if (!is_row_of(&view, key, true)) {
    return error_set(err, ERR_INTERNAL,
                     "a key of %zu bytes is stored as a digest, and its row does not carry it",
                     key.size);
  }
  return true;
}

// A row to be put, and whether it may replace what an earlier reading of its source put.
typedef struct {
  Slice bytes;
  RowRank rank;
  bool reread;
} NewRow;

// Positions in two readings of a source say nothing about each other: rows were added in front, or
// the files are others. Only within one reading do they break ties, and the loader has done that.
static bool is_reread(const NewRow *row, Slice stored, RowRank old)
{
  return row->reread && row->rank.event_time == old.event_time
         && row->rank.created_time == old.created_time && old.arrival < LOG_ARRIVAL_BASE
         && !row_same_content(row->bytes, stored);
}

// Compares the new row with the stored one. A digest that two keys share is never overwritten.
static bool compare_stored(const Db *db, Slice key, bool cut, Slice stored, const NewRow *row,
                           bool *wins, Error *err)
{
  RowView old;
  if (!row_open(stored, &old, err)) {
    return fail_row(db, key, err);
  }
  if (!is_row_of(&old, key, cut)) {
    return error_set(err, ERR_STORE,
                     "two keys of view %u have the same digest; the row was not written",
                     bytes_load_be16(key.data));
  }
  *wins = row_rank_compare(row->rank, old.rank) > 0 || is_reread(row, stored, old.rank);
  return true;
}

// Writes the row where the cursor stands.
static int write_row(DbWrite *write, Slice key, Slice form, Slice row, unsigned flags)
{
  MDB_val at = db_value(form);
  MDB_val value = {.mv_size = row.size};
  int rc = mdb_cursor_put(write->online, &at, &value, flags | MDB_RESERVE);
  if (rc == 0) {
    memcpy(value.mv_data, row.data, row.size);
    versions_touch(write, key);
    db_count_pages(write, value.mv_data, row.size);
  }
  return rc;
}

static bool put(DbWrite *write, Slice key, const NewRow *row, OnlineOutcome *outcome, Error *err)
{
  assert(key.size >= KEY_VIEW_SIZE && row->bytes.size >= ROW_HEADER);
  uint8_t space[KEY_STORE_MAX];
  bool cut;
  Slice form = key_store_form(key, space, &cut);
  MDB_cursor *cursor = db_online_cursor(write, err);
  if (!cursor || (cut && !check_carried_key(key, row->bytes, err))) {
    return false;
  }
  *outcome = ONLINE_WRITTEN;
  // Past the last key of all, MDB_APPEND fills pages to the end. After one such key mostly comes
  // another, and LMDB says when it does not.
  if (write->appending) {
    int rc = write_row(write, key, form, row->bytes, MDB_APPEND);
    if (rc != MDB_KEYEXIST) {
      return rc ? db_fail(write->db, rc, "write a row", err) : true;
    }
    write->appending = false;
  }

  // One walk of the tree: the cursor stays on the page, where the put finds it again.
  MDB_val at = db_value(form);
  MDB_val value;
  unsigned flags = 0;
  int rc = mdb_cursor_get(cursor, &at, &value, MDB_SET_RANGE);
  if (rc == MDB_NOTFOUND) {
    flags = MDB_APPEND;
    write->appending = true;
  } else if (rc) {
    return db_fail(write->db, rc, "look a row up", err);
  } else if (slice_equal(db_slice(at), form)) {
    bool wins = false;
    if (!compare_stored(write->db, key, cut, db_slice(value), row, &wins, err)) {
      return false;
    }
    if (!wins) {
      *outcome = ONLINE_STALE;
      return true;
    }
  }
  rc = write_row(write, key, form, row->bytes, flags);
  return rc ? db_fail(write->db, rc, "write a row", err) : true;
}

bool online_put(DbWrite *write, Slice key, Slice row, RowRank rank, OnlineOutcome *outcome,
                Error *err)
{
  return put(write, key, &(NewRow){.bytes = row, .rank = rank}, outcome, err);
}

bool online_load(DbWrite *write, Slice key, Slice row, RowRank rank, OnlineOutcome *outcome,
                 Error *err)
{
  return put(write, key, &(NewRow){.bytes = row, .rank = rank, .reread = true}, outcome, err);
}

// The stored bytes of a key; data is NULL when there is none.
static bool find_row(DbRead *read, Slice key, Slice *bytes, Error *err)
{
  uint8_t space[KEY_STORE_MAX];
  bool cut;
  bool found;
  Slice form = key_store_form(key, space, &cut);
  if (!db_get(read->db, read->txn, read->db->online, form, bytes, &found, err)) {
    return false;
  }
  if (found && form.size == KEY_STORE_MAX) {
    RowView row;
    if (!row_open(*bytes, &row, err)) {
      return fail_row(read->db, key, err);
    }
    if (!is_row_of(&row, key, cut)) {
      *bytes = (Slice){0};  // another key's row, under the same digest
    }
  }
  __builtin_prefetch(bytes->data);
  __builtin_prefetch(bytes->data + bytes->size / 2);
  return true;
}

bool online_get(DbRead *read, Slice key, RowView *row, bool *found, Error *err)
{
  assert(key.size >= KEY_VIEW_SIZE);
  return online_get_many(read, &key, 1, row, found, err);
}

// Looks into the row cache, and for what that does not know into the tree.
static bool find_rows(DbRead *read, const Slice *keys, size_t count, Slice *bytes, Error *err)
{
  RowCacheAnswer answers[ONLINE_BLOCK];
  row_cache_find(read->cache, keys, count, answers);
  for (size_t i = 0; i < count; i++) {
    bytes[i] = (Slice){0};
    if (keys[i].size == 0) {
      continue;
    }
    if (answers[i].known) {
      bytes[i] = answers[i].row;
    } else if (find_row(read, keys[i], &bytes[i], err)) {
      row_cache_add(read->cache, keys[i], &answers[i].place, bytes[i]);
    } else {
      return false;
    }
  }
  return true;
}

static bool walk_rows(DbRead *read, const Slice *keys, size_t count, Slice *bytes, Error *err)
{
  for (size_t i = 0; i < count; i++) {
    bytes[i] = (Slice){0};
    if (keys[i].size && !find_row(read, keys[i], &bytes[i], err)) {
      return false;
    }
  }
  return true;
}

// All look-ups first and all rows after: while the tree is walked for one key, the row of the one
// before it comes into the processor's cache.
static bool get_block(DbRead *read, const Slice *keys, size_t count, RowView *rows, bool *found,
                      Error *err)
{
  Slice bytes[ONLINE_BLOCK];
  bool ok = read->cache ? find_rows(read, keys, count, bytes, err)
                        : walk_rows(read, keys, count, bytes, err);
  if (!ok) {
    return false;
  }
  for (size_t i = 0; i < count; i++) {
    found[i] = bytes[i].size != 0;
  }
  for (size_t i = 0; i < count; i++) {
    if (found[i] && !row_open(bytes[i], &rows[i], err)) {
      return fail_row(read->db, keys[i], err);
    }
  }
  return true;
}

// Puts the rows on their way into the tables in the place of lesser ones.
static bool take_greater(DbRead *read, const Slice *keys, size_t count, const OverlayFound *over,
                         RowView *rows, bool *found, Error *err)
{
  for (size_t i = 0; i < count; i++) {
    RowView row;
    if (over[i].row.size == 0) {
      continue;
    }
    if (!row_open(over[i].row, &row, err)) {
      return fail_row(read->db, keys[i], err);
    }
    if (!found[i] || row_rank_compare(row.rank, rows[i].rank) > 0) {
      rows[i] = row;
      found[i] = true;
    }
  }
  return true;
}

static bool overlay_block(DbRead *read, const Slice *keys, size_t count, uint64_t settled,
                          RowView *rows, bool *found, Error *err)
{
  OverlayFound over[ONLINE_BLOCK];
  Slice wanted[ONLINE_BLOCK];
  overlay_find(&read->pin, keys, count, over);
  for (size_t i = 0; i < count; i++) {
    bool is_settled = over[i].row.size && over[i].sequence >= settled;
    wanted[i] = is_settled ? (Slice){0} : keys[i];
  }
  return get_block(read, wanted, count, rows, found, err)
         && take_greater(read, keys, count, over, rows, found, err);
}

bool online_get_settled(DbRead *read, const Slice *keys, size_t count, uint64_t settled,
                        RowView *rows, bool *found, Error *err)
{
  for (size_t i = 0; i < count; i += ONLINE_BLOCK) {
    size_t block = count - i < ONLINE_BLOCK ? count - i : ONLINE_BLOCK;
    bool ok = read->pin.tables
                  ? overlay_block(read, keys + i, block, settled, rows + i, found + i, err)
                  : get_block(read, keys + i, block, rows + i, found + i, err);
    if (!ok) {
      return false;
    }
  }
  return true;
}

bool online_get_many(DbRead *read, const Slice *keys, size_t count, RowView *rows, bool *found,
                     Error *err)
{
  return online_get_settled(read, keys, count, UINT64_MAX, rows, found, err);
}

static bool scan_from(DbRead *read, MDB_cursor *cursor, uint16_t view_id, Slice after,
                      bool (*visit)(void *context, const OnlineEntry *entry), void *context,
                      Error *err)
{
  Buf key = {0};
  uint8_t space[KEY_STORE_MAX];
  bool cut;
  key_put_view(&key, view_id);
  buf_put_slice(&key, after);
  Slice start = key_store_form(buf_slice(&key), space, &cut);

  MDB_val at = db_value(start);
  MDB_val value;
  int rc = mdb_cursor_get(cursor, &at, &value, MDB_SET_RANGE);
  if (!rc && after.size && slice_equal(db_slice(at), start)) {
    rc = mdb_cursor_get(cursor, &at, &value, MDB_NEXT);
  }
  buf_deinit(&key);
  for (; !rc; rc = mdb_cursor_get(cursor, &at, &value, MDB_NEXT)) {
    if (at.mv_size < KEY_VIEW_SIZE || bytes_load_be16(at.mv_data) != view_id) {
      return true;
    }
    OnlineEntry entry = {.key = without_view(db_slice(at))};
    if (!row_open(db_slice(value), &entry.row, err)) {
      return fail_row(read->db, db_slice(at), err);
    }
    entry.key = entry.row.key.size ? entry.row.key : entry.key;
    if (!visit(context, &entry)) {
      return true;
    }
  }
  return rc == MDB_NOTFOUND ? true : db_fail(read->db, rc, "scan the online rows", err);
}

bool online_scan(DbRead *read, uint16_t view_id, Slice after,
                 bool (*visit)(void *context, const OnlineEntry *entry), void *context, Error *err)
{
  MDB_cursor *cursor;
  int rc = mdb_cursor_open(read->txn, read->db->online, &cursor);
  if (rc) {
    return db_fail(read->db, rc, "scan the online rows", err);
  }
  bool ok = scan_from(read, cursor, view_id, after, visit, context, err);
  mdb_cursor_close(cursor);
  return ok;
}
