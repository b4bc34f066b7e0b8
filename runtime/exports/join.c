// The join kernels for specs, through the FFI: thin wrappers that own nothing.

#include <stdlib.h>

#include "base/mem.h"
#include "join/asof.h"
#include "join/keys.h"
#include "join/latest.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT KeySet *tidemark_key_set_new(const Type *types, size_t key_count);
EXPORT KeySet *tidemark_key_set_new(const Type *types, size_t key_count)
{
  return key_set_new(types, key_count);
}

EXPORT void tidemark_key_set_free(KeySet *set);
EXPORT void tidemark_key_set_free(KeySet *set)
{
  key_set_free(set);
}

EXPORT size_t tidemark_key_set_count(const KeySet *set);
EXPORT size_t tidemark_key_set_count(const KeySet *set)
{
  return key_set_count(set);
}

EXPORT size_t tidemark_key_set_bytes(const KeySet *set);
EXPORT size_t tidemark_key_set_bytes(const KeySet *set)
{
  return key_set_bytes(set);
}

EXPORT void tidemark_key_set_add(KeySet *set, const Column *keys, size_t rows, uint32_t *numbers);
EXPORT void tidemark_key_set_add(KeySet *set, const Column *keys, size_t rows, uint32_t *numbers)
{
  key_set_add(set, keys, rows, numbers);
}

EXPORT void tidemark_key_set_find(const KeySet *set, const Column *keys, size_t rows,
                                  uint32_t *numbers);
EXPORT void tidemark_key_set_find(const KeySet *set, const Column *keys, size_t rows,
                                  uint32_t *numbers)
{
  key_set_find(set, keys, rows, numbers);
}

// The key's bytes; *size tells how many. `space` holds 16.
EXPORT const char *tidemark_key_set_key(const KeySet *set, uint32_t number, uint8_t *space,
                                        size_t *size);
EXPORT const char *tidemark_key_set_key(const KeySet *set, uint32_t number, uint8_t *space,
                                        size_t *size)
{
  Slice key = key_set_key(set, number, space);
  *size = key.size;
  return key.data;
}

EXPORT Spine *tidemark_spine_new(const uint32_t *numbers, size_t key_count, const Time *times,
                                 size_t rows, unsigned threads);
EXPORT Spine *tidemark_spine_new(const uint32_t *numbers, size_t key_count, const Time *times,
                                 size_t rows, unsigned threads)
{
  Spine *spine = mem_zalloc(1, sizeof(*spine));
  if (!spine_init(spine, numbers, key_count, times, rows, threads)) {
    free(spine);
    return NULL;
  }
  return spine;
}

EXPORT void tidemark_spine_free(Spine *spine);
EXPORT void tidemark_spine_free(Spine *spine)
{
  spine_deinit(spine);
  free(spine);
}

EXPORT AsofSlots *tidemark_asof_new(const Spine *spine, const AsofRule *rule);
EXPORT AsofSlots *tidemark_asof_new(const Spine *spine, const AsofRule *rule)
{
  return asof_new(spine, *rule);
}

EXPORT void tidemark_asof_free(AsofSlots *slots);
EXPORT void tidemark_asof_free(AsofSlots *slots)
{
  asof_free(slots);
}

EXPORT void tidemark_asof_add(AsofSlots *slots, const AsofBlock *block);
EXPORT void tidemark_asof_add(AsofSlots *slots, const AsofBlock *block)
{
  asof_add(slots, block);
}

EXPORT void tidemark_asof_finish(AsofSlots **sets, size_t count, unsigned threads,
                                 AsofMatches *matches);
EXPORT void tidemark_asof_finish(AsofSlots **sets, size_t count, unsigned threads,
                                 AsofMatches *matches)
{
  asof_finish(sets, count, threads, matches);
}

// bounds[0] is the oldest time that matters, bounds[1] the newest.
EXPORT void tidemark_asof_bounds(const Spine *spine, const AsofRule *rule, Time *bounds);
EXPORT void tidemark_asof_bounds(const Spine *spine, const AsofRule *rule, Time *bounds)
{
  asof_bounds(spine, *rule, &bounds[0], &bounds[1]);
}

EXPORT Latest *tidemark_latest_new(const LatestRule *rule);
EXPORT Latest *tidemark_latest_new(const LatestRule *rule)
{
  return latest_new(*rule);
}

EXPORT void tidemark_latest_free(Latest *latest);
EXPORT void tidemark_latest_free(Latest *latest)
{
  latest_free(latest);
}

// The block is AsofBlock's, which has the same arrays.
EXPORT void tidemark_latest_add(Latest *latest, const AsofBlock *block);
EXPORT void tidemark_latest_add(Latest *latest, const AsofBlock *block)
{
  latest_add(latest, block->count, block->keys, block->event_times, block->created_times,
             block->deleted, block->first_arrival);
}

EXPORT size_t tidemark_latest_count(const Latest *latest);
EXPORT size_t tidemark_latest_count(const Latest *latest)
{
  return latest_count(latest);
}

EXPORT bool tidemark_latest_get(const Latest *latest, uint32_t key, LatestRow *row);
EXPORT bool tidemark_latest_get(const Latest *latest, uint32_t key, LatestRow *row)
{
  return latest_get(latest, key, row);
}

EXPORT void tidemark_latest_counts(const Latest *latest, LatestCounts *counts);
EXPORT void tidemark_latest_counts(const Latest *latest, LatestCounts *counts)
{
  *counts = latest_counts(latest);
}
