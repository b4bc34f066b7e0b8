#include "join/keys_dense.h"

#include <string.h>

#include "base/pages.h"

void dense_keys_deinit(DenseKeys *keys)
{
  pages_free(keys->after, keys->span + 1, sizeof(*keys->after));
  *keys = (DenseKeys){0};
}

size_t dense_keys_bytes(const DenseKeys *keys)
{
  return keys->span ? (keys->span + 1) * sizeof(*keys->after) : 0;
}

// A table that grows at least doubles, on the side where it has to, so that values that are counted
// up or down do not move it every time. `wanted`: values from lowest to highest.
static void choose_range(DenseKeys *keys, int64_t lowest, size_t wanted, const DenseKeys *old)
{
  size_t span = wanted > 2 * old->span ? wanted : 2 * old->span;
  uint64_t slack = span - wanted;
  if (old->span && lowest < old->first) {
    uint64_t below = (uint64_t)lowest - (uint64_t)INT64_MIN;
    lowest -= (int64_t)(slack < below ? slack : below);
  }
  uint64_t above = (uint64_t)INT64_MAX - (uint64_t)lowest;
  keys->first = lowest;
  keys->span = span - 1 < above ? span : (size_t)above + 1;
}

bool dense_keys_cover(DenseKeys *keys, int64_t lowest, int64_t highest, size_t most)
{
  DenseKeys old = *keys;
  if (old.span) {
    int64_t last = old.first + (int64_t)(old.span - 1);  // choose_range keeps it a value
    if (lowest >= old.first && highest <= last) {
      return true;
    }
    lowest = lowest < old.first ? lowest : old.first;
    highest = highest > last ? highest : last;
  }
  uint64_t wanted = (uint64_t)highest - (uint64_t)lowest;  // less one
  if (wanted >= most) {
    return false;
  }
  choose_range(keys, lowest, (size_t)wanted + 1, &old);
  keys->after = pages_zalloc(keys->span + 1, sizeof(*keys->after));
  if (old.span) {
    memcpy(dense_keys_at(keys, old.first), old.after, old.span * sizeof(*old.after));
    dense_keys_deinit(&old);
  }
  return true;
}
