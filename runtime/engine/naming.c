#include "engine/naming.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static int compare_names(const void *a, const void *b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// Whether `name` stands more than once (or, with least = 1, at all) in a sorted list.
static bool stands(const char *const *sorted, size_t count, const char *name, size_t least)
{
  size_t low = 0;
  size_t high = count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (strcmp(sorted[middle], name) < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low + least <= count && strcmp(sorted[low], name) == 0
         && strcmp(sorted[low + least - 1], name) == 0;
}

static bool check_unique(const char *const *names, size_t count, const char *const *taken,
                         size_t taken_count, Error *err)
{
  const char **sorted = mem_zalloc(count + taken_count, sizeof(*sorted));
  for (size_t i = 0; i < count; i++) {
    sorted[i] = names[i];
  }
  for (size_t i = 0; i < taken_count; i++) {
    sorted[count + i] = taken[i];
  }
  qsort(sorted, count + taken_count, sizeof(*sorted), compare_names);
  bool ok = true;
  for (size_t i = 0; i < count && ok; i++) {
    if (stands(sorted, count + taken_count, names[i], 2)) {
      ok = error_set(err, ERR_INVALID,
                     "two columns would be called \"%s\": ask for the feature once, or rename the "
                     "other column",
                     names[i]);
    }
  }
  free(sorted);
  return ok;
}

bool naming_choose(const Reference *references, size_t count, const char *const *taken,
                   size_t taken_count, bool full, const char ***names, Arena *arena, Error *err)
{
  const char **shorts = arena_zalloc(arena, count + taken_count, sizeof(*shorts));
  for (size_t i = 0; i < count; i++) {
    shorts[i] = references[i].feature->name;
  }
  for (size_t i = 0; i < taken_count; i++) {
    shorts[count + i] = taken[i];
  }
  qsort(shorts, count + taken_count, sizeof(*shorts), compare_names);

  *names = arena_zalloc(arena, count, sizeof(**names));
  for (size_t i = 0; i < count; i++) {
    const char *name = references[i].feature->name;
    bool unique = !full && !stands(shorts, count + taken_count, name, 2);
    (*names)[i] = unique ? arena_text(arena, slice_text(name))
                         : arena_print(arena, "%s__%s", naming_prefix(&references[i]), name);
  }
  return check_unique(*names, count, taken, taken_count, err);
}

const char *naming_key_column(const Reference *reference, const char *key, const RoleKey *roles,
                              size_t role_count)
{
  for (size_t i = 0; i < role_count; i++) {
    if (strcmp(roles[i].role, naming_prefix(reference)) == 0 && strcmp(roles[i].key, key) == 0) {
      return roles[i].column;
    }
  }
  return key;
}
