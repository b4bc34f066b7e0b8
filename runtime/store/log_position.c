#include "store/log_position.h"

#include "store/db_private.h"

enum { POSITION_VERSION = 1 };

static const char POSITION_KEY[] = "log";

// On disk, little-endian.
typedef struct {
  uint64_t version;
  uint64_t sequence;
  uint64_t segment;
  uint64_t offset;
} StoredPosition;
_Static_assert(sizeof(StoredPosition) == 32, "the position is on disk");

bool log_position_get(DbRead *read, LogPosition *position, Error *err)
{
  *position = (LogPosition){0};
  Slice value;
  bool found;
  if (!db_get(read->db, read->txn, read->db->meta, slice_text(POSITION_KEY), &value, &found, err)) {
    return false;
  }
  if (!found) {
    return true;
  }
  StoredPosition stored = {0};
  if (value.size == sizeof(stored)) {
    memcpy(&stored, value.data, sizeof(stored));
  }
  if (stored.version != POSITION_VERSION) {
    return error_set(err, ERR_STORE,
                     "the log's position in the store %s is damaged, or of another version",
                     read->db->path);
  }
  *position = (LogPosition){stored.sequence, stored.segment, stored.offset};
  return true;
}

bool log_position_put(DbWrite *write, LogPosition position, Error *err)
{
  StoredPosition stored = {
      .version = POSITION_VERSION,
      .sequence = position.sequence,
      .segment = position.segment,
      .offset = position.offset,
  };
  return db_put(write, write->db->meta, slice_text(POSITION_KEY), slice_of(&stored, sizeof(stored)),
                err);
}
