#include "store/versions.h"

#include <assert.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "data/key.h"
#include "store/db_private.h"

enum {
  WORD_BITS = 64,
  PAGE_BYTES = VERSION_SLOTS * sizeof(uint32_t),
  PAGE_WORDS = (VERSION_SLOTS + WORD_BITS - 1) / WORD_BITS,
  KEY_SIZE = 3,
};

// What a transaction has touched of one view.
struct VersionMarks {
  VersionMarks *next;
  uint16_t view_id;
  uint64_t bits[VERSION_PAGES][PAGE_WORDS];
};

static const uint8_t ZEROS[PAGE_BYTES];

static uint64_t fold(uint64_t a, uint64_t b)
{
  __uint128_t product = (__uint128_t)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

// Multiply and fold, eight bytes at a time. Of a key that is stored with a digest only the bytes
// that its stored form keeps are looked at.
VersionPlace version_place(Slice key)
{
  static const uint64_t FIRST = UINT64_C(0x9e3779b97f4a7c15);
  static const uint64_t SECOND = UINT64_C(0xd1b54a32d192ed03);
  assert(key.size >= KEY_VIEW_SIZE);
  size_t size = key.size < KEY_STORE_MAX ? key.size : KEY_STORE_MAX - KEY_DIGEST_SIZE;
  const char *at = key.data;
  uint64_t state = FIRST ^ size;
  for (; size > 8; size -= 8, at += 8) {
    state = fold(state ^ bytes_load_u64(at), SECOND);
  }
  uint64_t tail = 0;
  memcpy(&tail, at, size);
  state = fold(fold(state ^ tail, SECOND), FIRST);
  return (VersionPlace){
      .hash = state,
      .view_id = bytes_load_be16(key.data),
      .page = (uint8_t)(state % VERSION_PAGES),
      .slot = (uint16_t)((state >> 32) * VERSION_SLOTS >> 32),
  };
}

static VersionMarks *marks_of(DbWrite *write, uint16_t view_id)
{
  VersionMarks *marks = write->versions;
  while (marks && marks->view_id != view_id) {
    marks = marks->next;
  }
  if (!marks) {
    marks = mem_zalloc(1, sizeof(*marks));
    marks->view_id = view_id;
    marks->next = write->versions;
    write->versions = marks;
  }
  return marks;
}

void versions_touch(DbWrite *write, Slice key)
{
  VersionPlace place = version_place(key);
  VersionMarks *marks = marks_of(write, place.view_id);
  marks->bits[place.page][place.slot / WORD_BITS] |= UINT64_C(1) << (place.slot % WORD_BITS);
}

static Slice page_key(uint8_t *space, uint16_t view_id, uint8_t page)
{
  bytes_store_be16(space, view_id);
  space[2] = page;
  return slice_of(space, KEY_SIZE);
}

static bool get_page(const Db *db, MDB_txn *txn, Slice key, const uint8_t **counters, Error *err)
{
  Slice value;
  bool found;
  if (!db_get(db, txn, db->versions, key, &value, &found, err)) {
    return false;
  }
  if (found && value.size != PAGE_BYTES) {
    return error_set(err, ERR_STORE,
                     "the versions of view %u in the store %s are damaged: restore a backup, or "
                     "move the store away, apply and materialize again",
                     bytes_load_be16(key.data), db->path);
  }
  *counters = found ? (const uint8_t *)value.data : ZEROS;
  return true;
}

static bool flush_page(DbWrite *write, Slice key, const uint64_t *bits, Error *err)
{
  const uint8_t *old = ZEROS;
  if (!get_page(write->db, write->txn, key, &old, err)) {
    return false;
  }
  uint8_t counters[PAGE_BYTES];
  memcpy(counters, old, sizeof(counters));
  for (size_t word = 0; word < PAGE_WORDS; word++) {
    for (uint64_t left = bits[word]; left; left &= left - 1) {
      uint8_t *at =
          counters + (word * WORD_BITS + (size_t)__builtin_ctzll(left)) * sizeof(uint32_t);
      uint32_t version;
      memcpy(&version, at, sizeof(version));
      version++;
      memcpy(at, &version, sizeof(version));
    }
  }
  return db_put(write, write->db->versions, key, slice_of(counters, sizeof(counters)), err);
}

static bool any_bit(const uint64_t *bits)
{
  uint64_t all = 0;
  for (size_t word = 0; word < PAGE_WORDS; word++) {
    all |= bits[word];
  }
  return all != 0;
}

bool versions_flush(DbWrite *write, Error *err)
{
  for (const VersionMarks *marks = write->versions; marks; marks = marks->next) {
    for (size_t page = 0; page < VERSION_PAGES; page++) {
      uint8_t space[KEY_SIZE];
      if (any_bit(marks->bits[page])
          && !flush_page(write, page_key(space, marks->view_id, (uint8_t)page), marks->bits[page],
                         err)) {
        return false;
      }
    }
  }
  return true;
}

void versions_forget(DbWrite *write)
{
  while (write->versions) {
    VersionMarks *next = write->versions->next;
    free(write->versions);
    write->versions = next;
  }
}

bool versions_page(DbRead *read, uint16_t view_id, uint8_t page, const uint8_t **counters,
                   Error *err)
{
  uint8_t space[KEY_SIZE];
  return get_page(read->db, read->txn, page_key(space, view_id, page), counters, err);
}

bool versions_drop_view(DbWrite *write, uint16_t view_id, Error *err)
{
  VersionMarks **link = &write->versions;
  while (*link && (*link)->view_id != view_id) {
    link = &(*link)->next;
  }
  if (*link) {
    VersionMarks *dropped = *link;
    *link = dropped->next;
    free(dropped);
  }
  for (size_t page = 0; page < VERSION_PAGES; page++) {
    uint8_t space[KEY_SIZE];
    if (!db_del(write, write->db->versions, page_key(space, view_id, (uint8_t)page), err)) {
      return false;
    }
  }
  return true;
}
