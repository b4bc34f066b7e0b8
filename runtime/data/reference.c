// Names that people type: references to features, and the known name that an unknown one was
// probably meant to be.

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "data/catalog.h"

// Longer names are not compared; nobody mistypes one letter of a name that long.
enum { NAME_MAX_COMPARED = 64 };

static size_t least(size_t a, size_t b)
{
  return a < b ? a : b;
}

// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`: the optimal
// string alignment distance, with three rows of its table.
static size_t edit_distance(Slice a, Slice b)
{
  size_t rows[3][NAME_MAX_COMPARED + 1];
  size_t *before = rows[0];
  size_t *previous = rows[1];
  size_t *current = rows[2];
  assert(b.size <= NAME_MAX_COMPARED);
  for (size_t j = 0; j <= b.size; j++) {
    previous[j] = j;
  }
  for (size_t i = 1; i <= a.size; i++) {
    current[0] = i;
    for (size_t j = 1; j <= b.size; j++) {
      size_t replaced = previous[j - 1] + (a.data[i - 1] != b.data[j - 1]);
      current[j] = least(replaced, least(previous[j], current[j - 1]) + 1);
      if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1]) {
        current[j] = least(current[j], before[j - 2] + 1);
      }
    }
    size_t *oldest = before;
    before = previous;
    previous = current;
    current = oldest;
  }
  return previous[b.size];
}

const char *catalog_suggest(Slice name, const char *const *known, size_t count)
{
  const char *nearest = NULL;
  // A third of the letters may be wrong: more than that is another word.
  size_t best = name.size / 3 + 2;
  for (size_t i = 0; i < count; i++) {
    Slice candidate = slice_text(known[i]);
    if (name.size == 0 || name.size > NAME_MAX_COMPARED || candidate.size > NAME_MAX_COMPARED) {
      continue;
    }
    size_t distance = edit_distance(name, candidate);
    if (distance < best && distance < least(name.size, candidate.size)) {
      best = distance;
      nearest = known[i];
    }
  }
  return nearest;
}

static int shown(Slice text)
{
  return (int)least(text.size, NAME_MAX_COMPARED);
}

static bool unknown_name(Error *err, const char *what, Slice name, const char *nearest)
{
  return error_set(err, ERR_NOT_FOUND, "unknown %s \"%.*s\"%s%s%s", what, shown(name), name.data,
                   nearest ? ", did you mean \"" : "", nearest ? nearest : "",
                   nearest ? "\"?" : "");
}

const View *catalog_find_view(const Catalog *catalog, Slice name, Error *err)
{
  const View *view = catalog_view(catalog, name);
  if (!view && catalog_on_demand(catalog, name)) {
    error_set(
        err, ERR_INVALID,
        "\"%.*s\" is an on_demand_feature_view: it is computed when it is asked for and has no "
        "rows of its own",
        shown(name), name.data);
  } else if (!view) {
    const char **names = mem_zalloc(catalog->view_count, sizeof(*names));
    for (size_t i = 0; i < catalog->view_count; i++) {
      names[i] = catalog->views[i].declared.name;
    }
    unknown_name(err, "feature_view", name, catalog_suggest(name, names, catalog->view_count));
    free(names);
  }
  return view;
}

const Service *catalog_find_service(const Catalog *catalog, Slice name, Error *err)
{
  const Service *service = catalog_service(catalog, name);
  if (!service) {
    const char **names = mem_zalloc(catalog->service_count, sizeof(*names));
    for (size_t i = 0; i < catalog->service_count; i++) {
      names[i] = catalog->services[i].declared.name;
    }
    unknown_name(err, "feature_service", name,
                 catalog_suggest(name, names, catalog->service_count));
    free(names);
  }
  return service;
}

static bool unknown_feature(const Declared *view, const Field *features, size_t count, Slice name,
                            Arena *arena, Error *err)
{
  const char **names = arena_alloc(arena, count * sizeof(char *) + 1);
  for (size_t i = 0; i < count; i++) {
    names[i] = features[i].name;
  }
  unknown_name(err, "feature", name, catalog_suggest(name, names, count));
  return error_wrap(err, "%s \"%s\"", view->kind, view->name);
}

static void append(ReferenceList *list, Reference reference, Arena *arena)
{
  if (list->count == list->capacity) {
    size_t capacity = list->capacity ? list->capacity * 2 : 16;
    Reference *items = arena_alloc(arena, capacity * sizeof(Reference));
    if (list->count) {
      memcpy(items, list->items, list->count * sizeof(Reference));
    }
    list->items = items;
    list->capacity = capacity;
  }
  list->items[list->count++] = reference;
}

typedef struct {
  Slice view;
  Slice role;  // empty: none
  Slice feature;
} Parts;

// `view:feature` or `view@role:feature`; false when a part is missing.
static bool split(Slice text, Parts *parts)
{
  const char *colon = text.size ? memchr(text.data, ':', text.size) : NULL;
  if (!colon) {
    return false;
  }
  size_t before = (size_t)(colon - text.data);
  parts->view = slice_of(text.data, before);
  parts->role = slice_of("", 0);
  parts->feature = slice_of(colon + 1, text.size - before - 1);
  const char *at = before ? memchr(text.data, '@', before) : NULL;
  if (at) {
    parts->view.size = (size_t)(at - text.data);
    parts->role = slice_of(at + 1, before - parts->view.size - 1);
  }
  return parts->view.size && parts->feature.size && (!at || parts->role.size);
}

// A view of either kind, with the error that says so.
static bool find_either(const Catalog *catalog, Slice name, Reference *reference, Arena *arena,
                        Error *err)
{
  reference->view = catalog_view(catalog, name);
  reference->on_demand = reference->view ? NULL : catalog_on_demand(catalog, name);
  if (reference->view || reference->on_demand) {
    return true;
  }
  size_t count = catalog->view_count + catalog->on_demand_count;
  const char **names = arena_alloc(arena, count * sizeof(char *) + 1);
  for (size_t i = 0; i < catalog->view_count; i++) {
    names[i] = catalog->views[i].declared.name;
  }
  for (size_t i = 0; i < catalog->on_demand_count; i++) {
    names[catalog->view_count + i] = catalog->on_demands[i].declared.name;
  }
  return unknown_name(err, "feature_view", name, catalog_suggest(name, names, count));
}

// Of a view of either kind.
typedef struct {
  const Declared *declared;
  const Field *items;
  size_t count;
} Features;

static Features features_of(const Reference *reference)
{
  if (reference->view) {
    const View *view = reference->view;
    return (Features){&view->declared, view->features, view->feature_count};
  }
  const OnDemand *view = reference->on_demand;
  assert(view);
  return (Features){&view->declared, view->features, view->feature_count};
}

static bool append_features(Reference reference, Slice name, ReferenceList *out, Arena *arena,
                            Error *err)
{
  Features features = features_of(&reference);
  bool all = slice_is(name, "*");
  for (size_t i = 0; i < features.count; i++) {
    if (all || slice_is(name, features.items[i].name)) {
      reference.feature = &features.items[i];
      append(out, reference, arena);
    }
  }
  return all || reference.feature
         || unknown_feature(features.declared, features.items, features.count, name, arena, err);
}

bool catalog_reference(const Catalog *catalog, Slice text, ReferenceList *out, Arena *arena,
                       Error *err)
{
  Parts parts;
  if (!split(text, &parts)) {
    return error_set(err, ERR_INVALID,
                     "\"%.*s\" is no reference to features: expected view:feature, "
                     "view@role:feature or view:*",
                     shown(text), text.size ? text.data : "");
  }
  Reference reference = {.role = ""};
  if (!find_either(catalog, parts.view, &reference, arena, err)) {
    return false;
  }
  if (parts.role.size) {
    if (reference.on_demand) {
      return error_set(err, ERR_INVALID,
                       "\"%.*s\": on_demand_feature_view \"%s\" has no roles; the views among its "
                       "inputs are joined under their own keys",
                       shown(text), text.data, reference.on_demand->declared.name);
    }
    reference.role = arena_text(arena, parts.role);
  }
  return append_features(reference, parts.feature, out, arena, err);
}
