#include "store/marks.h"

#include "base/bytes.h"
#include "store/db_private.h"

enum { MARK_VERSION = 1, MARK_KEY_SIZE = 2 };

// A mark on disk, little-endian.
typedef struct {
  uint64_t version;
  int64_t materialized_from;
  int64_t materialized_to;
  int64_t created_to;
  int64_t updated_at;
  uint64_t rows_read;
  uint64_t rows_written;
} StoredMark;
_Static_assert(sizeof(StoredMark) == 56, "marks are on disk");

bool marks_get(DbRead *read, uint16_t view_id, Mark *mark, bool *found, Error *err)
{
  uint8_t key[MARK_KEY_SIZE];
  bytes_store_be16(key, view_id);
  Slice value;
  *mark = (Mark){.materialized_from = TIME_NULL,
                 .materialized_to = TIME_NULL,
                 .created_to = TIME_NULL,
                 .updated_at = TIME_NULL};
  const Db *db = read->db;
  if (!db_get(db, read->txn, db->marks, slice_of(key, sizeof(key)), &value, found, err)) {
    return false;
  }
  if (!*found) {
    return true;
  }
  StoredMark stored;
  if (value.size == sizeof(stored)) {
    memcpy(&stored, value.data, sizeof(stored));
  }
  if (value.size != sizeof(stored) || stored.version != MARK_VERSION) {
    return error_set(err, ERR_STORE,
                     "the mark of view %u in the store %s is damaged, or of another version",
                     view_id, db->path);
  }
  *mark = (Mark){
      .materialized_from = stored.materialized_from,
      .materialized_to = stored.materialized_to,
      .created_to = stored.created_to,
      .updated_at = stored.updated_at,
      .rows_read = stored.rows_read,
      .rows_written = stored.rows_written,
  };
  return true;
}

bool marks_put(DbWrite *write, uint16_t view_id, const Mark *mark, Error *err)
{
  uint8_t key[MARK_KEY_SIZE];
  bytes_store_be16(key, view_id);
  StoredMark stored = {
      .version = MARK_VERSION,
      .materialized_from = mark->materialized_from,
      .materialized_to = mark->materialized_to,
      .created_to = mark->created_to,
      .updated_at = mark->updated_at,
      .rows_read = mark->rows_read,
      .rows_written = mark->rows_written,
  };
  return db_put(write, write->db->marks, slice_of(key, sizeof(key)),
                slice_of(&stored, sizeof(stored)), err);
}
