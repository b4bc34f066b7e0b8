#pragma once
// Names of output columns: `feature` where that is unique among all columns, `view__feature` (or
// `role__feature`) elsewhere and on demand.

#include "base/arena.h"
#include "data/catalog.h"

// `taken`: names that exist already (spine or key columns). Fails when even full names clash. The
// result and its texts are in the arena.
bool naming_choose(const Reference *references, size_t count, const char *const *taken,
                   size_t taken_count, bool full, const char ***names, Arena *arena, Error *err);

// "driver_stats", or the role under which the view is joined.
static inline const char *naming_prefix(const Reference *reference)
{
  if (reference->on_demand) {
    return reference->on_demand->declared.name;
  }
  return *reference->role ? reference->role : reference->view->declared.name;
}

// The column that holds a view's key: `roles` may rename it for the role or, with no role given,
// for the view; otherwise it bears the key's name.
const char *naming_key_column(const Reference *reference, const char *key, const RoleKey *roles,
                              size_t role_count);
