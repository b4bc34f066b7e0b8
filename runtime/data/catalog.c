#include "data/catalog.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "data/msgpack.h"

// What is really allocated: the catalog that others see comes first.
typedef struct {
  Catalog catalog;
  atomic_uint references;
  Arena arena;  // everything the catalog points to
} Shared;

// Least bytes that an element of a list can have: a count that the bytes cannot hold is refused
// before anything is allocated for it, and what is allocated stays in proportion to the bytes.
enum {
  LEAST_DECLARED = 24,
  LEAST_FIELD = 12,
  LEAST_REFERENCE = 15,
  LEAST_NAME = 2,
  LEAST_PAIR = 4
};

#define DAMAGED "damaged catalog, or one of a newer tidemark: "

_Static_assert(CATALOG_KEYS_MAX == 64, "messages name the number");

enum { CATALOG_DEPTH = 16 };
static const MpLimits CHECKED = {CATALOG_DEPTH, UINT64_MAX};

typedef struct {
  Arena *arena;
  Catalog *catalog;
  char where[160];  // "views[3].features[0]", for messages
  Error *err;
} Decoder;

// A list or map being read.
typedef struct {
  MpReader at;
  size_t count;
} Items;

static bool damaged(Decoder *decoder, const char *key, const char *what)
{
  return error_set(decoder->err, ERR_STORE, DAMAGED "%s%s%s: %s", decoder->where,
                   *decoder->where && *key ? "." : "", key, what);
}

static bool unknown(Decoder *decoder, const char *key, const char *kind, const char *name)
{
  return error_set(decoder->err, ERR_STORE, DAMAGED "%s.%s: no %s \"%.64s\"", decoder->where, key,
                   kind, name);
}

// The value of `key`, and its first token; false when it is missing or nil.
static bool find(MpReader map, const char *key, MpReader *value, MpToken *token)
{
  if (!mp_map_get(map, key, value)) {
    return false;
  }
  MpReader first = *value;
  *token = mp_take(&first);
  return token->kind != MP_NIL;
}

static bool keep_text(Decoder *decoder, const char *key, const MpToken *token, const char **text)
{
  if (token->kind != MP_STR) {
    return damaged(decoder, key, "expected text");
  }
  if (token->bytes.size && memchr(token->bytes.data, '\0', token->bytes.size)) {
    return damaged(decoder, key, "a zero byte in text");
  }
  *text = arena_text(decoder->arena, token->bytes);
  return true;
}

static bool get_text(Decoder *decoder, MpReader map, const char *key, const char *absent,
                     const char **text)
{
  MpReader value;
  MpToken token;
  *text = absent;
  return !find(map, key, &value, &token) || keep_text(decoder, key, &token, text);
}

static bool need_text(Decoder *decoder, MpReader map, const char *key, const char **text)
{
  if (!get_text(decoder, map, key, "", text)) {
    return false;
  }
  return **text || damaged(decoder, key, "is missing");
}

// An integer of 0 to `most`; `absent` below 0 makes it required.
static bool get_integer(Decoder *decoder, MpReader map, const char *key, int64_t absent,
                        int64_t most, int64_t *integer)
{
  MpReader value;
  MpToken token;
  *integer = absent;
  if (!find(map, key, &value, &token)) {
    return absent >= 0 || damaged(decoder, key, "is missing");
  }
  if (token.kind != MP_INT || token.integer < 0 || token.integer > most) {
    return damaged(decoder, key, "not an integer that it may be");
  }
  *integer = token.integer;
  return true;
}

static bool get_bool(Decoder *decoder, MpReader map, const char *key, bool absent, bool *out)
{
  MpReader value;
  MpToken token;
  *out = absent;
  if (!find(map, key, &value, &token)) {
    return true;
  }
  *out = token.integer;
  return token.kind == MP_BOOL || damaged(decoder, key, "expected true or false");
}

// Lua has one empty table: an empty map is an empty list, and the other way round.
static bool open_items(Decoder *decoder, const char *key, MpReader value, MpKind kind, size_t least,
                       Items *items)
{
  MpToken token = mp_take(&value);
  bool is_empty = (token.kind == MP_ARRAY || token.kind == MP_MAP) && token.count == 0;
  *items = (Items){value, token.count};
  if (token.kind != kind && !is_empty) {
    return damaged(decoder, key, kind == MP_ARRAY ? "expected a list" : "expected a map");
  }
  return token.count <= (size_t)(value.end - value.at) / least
         || damaged(decoder, key, "its elements are incomplete");
}

static bool get_items(Decoder *decoder, MpReader map, const char *key, MpKind kind, size_t least,
                      Items *items)
{
  MpReader value;
  MpToken token;
  *items = (Items){0};
  return !find(map, key, &value, &token) || open_items(decoder, key, value, kind, least, items);
}

// The next object of a list; a map gives keys and values by turns.
static MpReader next_item(Items *items)
{
  MpReader start = items->at;
  MpStatus status = mp_skip(&items->at, CHECKED);
  assert(status == MP_OK);
  (void)status;
  return (MpReader){start.at, items->at.at};
}

static bool next_text(Decoder *decoder, const char *key, Items *items, const char **text)
{
  MpReader item = next_item(items);
  MpToken token = mp_take(&item);
  return keep_text(decoder, key, &token, text);
}

// Enters element `index` of a list, for messages. Returns where that path has to be cut again.
static size_t enter(Decoder *decoder, const char *list, size_t index)
{
  size_t length = strlen(decoder->where);
  snprintf(decoder->where + length, sizeof(decoder->where) - length, "%s%s[%zu]", length ? "." : "",
           list, index);
  return length;
}

// Enters the map under a key.
static size_t enter_map(Decoder *decoder, const char *key)
{
  size_t length = strlen(decoder->where);
  snprintf(decoder->where + length, sizeof(decoder->where) - length, ".%s", key);
  return length;
}

static void leave(Decoder *decoder, size_t length)
{
  decoder->where[length] = '\0';
}

// A map of texts.
static bool get_tags(Decoder *decoder, MpReader map, const char *key, const Tag **tags,
                     size_t *count)
{
  Items items;
  if (!get_items(decoder, map, key, MP_MAP, LEAST_NAME, &items)) {
    return false;
  }
  Tag *list = arena_zalloc(decoder->arena, items.count, sizeof(Tag));
  for (size_t i = 0; i < items.count; i++) {
    if (!next_text(decoder, key, &items, &list[i].key)
        || !next_text(decoder, key, &items, &list[i].value)) {
      return false;
    }
  }
  *tags = list;
  *count = items.count;
  return true;
}

static bool get_declared(Decoder *decoder, MpReader map, const char *kind, Declared *declared)
{
  declared->kind = kind;
  return need_text(decoder, map, "name", &declared->name)
         && get_text(decoder, map, "doc", "", &declared->doc)
         && get_text(decoder, map, "at", "", &declared->at)
         && get_tags(decoder, map, "tags", &declared->tags, &declared->tag_count);
}

static bool get_field(Decoder *decoder, MpReader map, Field *field)
{
  const char *type;
  if (!need_text(decoder, map, "name", &field->name)
      || !get_text(decoder, map, "doc", "", &field->doc)
      || !get_text(decoder, map, "column", field->name, &field->column)
      || !need_text(decoder, map, "type", &type)) {
    return false;
  }
  return type_parse(slice_text(type), &field->type, NULL)
         || damaged(decoder, "type", "no type that this tidemark knows");
}

static bool decode_entity(Decoder *decoder, MpReader map, void *out)
{
  Entity *entity = out;
  Items items;
  if (!get_declared(decoder, map, "entity", &entity->declared)
      || !get_items(decoder, map, "keys", MP_ARRAY, LEAST_FIELD, &items)) {
    return false;
  }
  Field *keys = arena_zalloc(decoder->arena, items.count, sizeof(Field));
  for (size_t i = 0; i < items.count; i++) {
    size_t outer = enter(decoder, "keys", i);
    if (!get_field(decoder, next_item(&items), &keys[i])) {
      return false;
    }
    if (!type_can_be_key(keys[i].type)) {
      return damaged(decoder, "type", "no type of keys");
    }
    leave(decoder, outer);
  }
  entity->keys = keys;
  entity->key_count = items.count;
  return (items.count && items.count <= CATALOG_KEYS_MAX)
         || damaged(decoder, "keys", "expected 1 to 64 of them");
}

static bool decode_source(Decoder *decoder, MpReader map, void *out)
{
  Source *source = out;
  const char *unit;
  if (!get_declared(decoder, map, "source", &source->declared)
      || !get_text(decoder, map, "path", NULL, &source->path)
      || !get_text(decoder, map, "sql", NULL, &source->sql)
      || !need_text(decoder, map, "event_time", &source->event_time)
      || !get_text(decoder, map, "created_time", NULL, &source->created_time)
      || !get_text(decoder, map, "deleted", NULL, &source->deleted)
      || !get_text(decoder, map, "time_unit", NULL, &unit)
      || !get_tags(decoder, map, "keys", &source->key_columns, &source->key_column_count)) {
    return false;
  }
  if (!source->path == !source->sql) {
    return damaged(decoder, "path", "expected either a path or sql");
  }
  return !unit || clock_parse_unit(slice_text(unit), &source->time_unit)
         || damaged(decoder, "time_unit", "expected s, ms, us or ns");
}

static const char *source_column(const Source *source, const char *key)
{
  for (size_t i = 0; i < source->key_column_count; i++) {
    if (strcmp(source->key_columns[i].key, key) == 0) {
      return source->key_columns[i].value;
    }
  }
  return key;
}

// The keys of all entities in order, under the names that the source has for them.
static void join_keys(Decoder *decoder, View *view)
{
  Field *keys = arena_zalloc(decoder->arena, view->key_count, sizeof(Field));
  view->keys = keys;
  for (size_t i = 0; i < view->entity_count; i++) {
    for (size_t key = 0; key < view->entities[i]->key_count; key++) {
      *keys = view->entities[i]->keys[key];
      keys->column = source_column(view->source, keys->name);
      keys++;
    }
  }
}

static bool decode_view_links(Decoder *decoder, MpReader map, View *view)
{
  const char *name;
  if (!need_text(decoder, map, "source", &name)) {
    return false;
  }
  view->source = catalog_source(decoder->catalog, slice_text(name));
  if (!view->source) {
    return unknown(decoder, "source", "source", name);
  }
  Items items;
  if (!get_items(decoder, map, "entities", MP_ARRAY, LEAST_NAME, &items)) {
    return false;
  }
  const Entity **entities = arena_zalloc(decoder->arena, items.count, sizeof(Entity *));
  for (size_t i = 0; i < items.count; i++) {
    if (!next_text(decoder, "entities", &items, &name)) {
      return false;
    }
    entities[i] = catalog_entity(decoder->catalog, slice_text(name));
    if (!entities[i]) {
      return unknown(decoder, "entities", "entity", name);
    }
    for (size_t other = 0; other < i; other++) {
      if (entities[other] == entities[i]) {
        return damaged(decoder, "entities", "the same entity twice");
      }
    }
  }
  view->entities = entities;
  view->entity_count = items.count;
  for (size_t i = 0; i < items.count; i++) {
    view->key_count += entities[i]->key_count;
  }
  if (view->key_count == 0 || view->key_count > CATALOG_KEYS_MAX) {
    return damaged(decoder, "entities", "expected 1 to 64 keys in all");
  }
  join_keys(decoder, view);
  return true;
}

static int compare_names(const void *a, const void *b)
{
  return strcmp((*(const Field *const *)a)->name, (*(const Field *const *)b)->name);
}

static int compare_slots(const void *a, const void *b)
{
  uint32_t left = (*(const Field *const *)a)->slot;
  uint32_t right = (*(const Field *const *)b)->slot;
  return (left > right) - (left < right);
}

static bool all_differ(Decoder *decoder, const Field *fields, size_t count,
                       int (*compare)(const void *, const void *))
{
  const Field **sorted = arena_zalloc(decoder->arena, count, sizeof(Field *));
  for (size_t i = 0; i < count; i++) {
    sorted[i] = &fields[i];
  }
  qsort(sorted, count, sizeof(Field *), compare);
  for (size_t i = 1; i < count; i++) {
    if (compare(&sorted[i - 1], &sorted[i]) == 0) {
      return false;
    }
  }
  return true;
}

// Fields of different names, without slots.
static bool get_fields(Decoder *decoder, MpReader map, const char *key, const Field **fields,
                       size_t *count)
{
  Items items;
  if (!get_items(decoder, map, key, MP_ARRAY, LEAST_FIELD, &items)) {
    return false;
  }
  Field *list = arena_zalloc(decoder->arena, items.count, sizeof(Field));
  for (size_t i = 0; i < items.count; i++) {
    size_t outer = enter(decoder, key, i);
    if (!get_field(decoder, next_item(&items), &list[i])) {
      return false;
    }
    leave(decoder, outer);
  }
  *fields = list;
  *count = items.count;
  return all_differ(decoder, list, items.count, compare_names)
         || damaged(decoder, key, "two have one name");
}

static bool decode_function(Decoder *decoder, MpReader map, Function *function)
{
  const char *on_error;
  if (!need_text(decoder, map, "at", &function->at)
      || !need_text(decoder, map, "code", &function->code)
      || !get_text(decoder, map, "on_error", "error", &on_error)
      || !get_fields(decoder, map, "inputs", &function->inputs, &function->input_count)) {
    return false;
  }
  function->null_on_error = strcmp(on_error, "null") == 0;
  return function->null_on_error || strcmp(on_error, "error") == 0
         || damaged(decoder, "on_error", "expected error or null");
}

// A function of a view; none where the key is missing.
static bool get_function(Decoder *decoder, MpReader map, const char *key, Function *function)
{
  MpReader value;
  MpToken token;
  Items fields;
  *function = (Function){0};
  if (!find(map, key, &value, &token)) {
    return true;
  }
  if (!open_items(decoder, key, value, MP_MAP, LEAST_PAIR, &fields)) {
    return false;
  }
  size_t outer = enter_map(decoder, key);
  if (!decode_function(decoder, value, function)) {
    return false;
  }
  leave(decoder, outer);
  return true;
}

static bool decode_features(Decoder *decoder, MpReader map, View *view)
{
  Items items;
  if (!get_items(decoder, map, "features", MP_ARRAY, LEAST_FIELD, &items)) {
    return false;
  }
  Field *features = arena_zalloc(decoder->arena, items.count, sizeof(Field));
  for (size_t i = 0; i < items.count; i++) {
    size_t outer = enter(decoder, "features", i);
    MpReader item = next_item(&items);
    int64_t slot;
    if (!get_field(decoder, item, &features[i])
        || !get_integer(decoder, item, "slot", -1, (int64_t)view->slot_count - 1, &slot)) {
      return false;
    }
    features[i].slot = (uint32_t)slot;
    leave(decoder, outer);
  }
  view->features = features;
  view->feature_count = items.count;
  return (all_differ(decoder, features, items.count, compare_names)
          && all_differ(decoder, features, items.count, compare_slots))
         || damaged(decoder, "features", "two have one name or one slot");
}

static bool decode_view(Decoder *decoder, MpReader map, void *out)
{
  View *view = out;
  const char *bound;
  int64_t id;
  int64_t slots;
  if (!get_declared(decoder, map, "feature_view", &view->declared)
      || !get_integer(decoder, map, "id", -1, UINT16_MAX, &id)
      || !get_integer(decoder, map, "slots", -1, CATALOG_SLOTS_MAX, &slots)
      || !get_integer(decoder, map, "ttl", 0, INT64_MAX, &view->ttl)
      || !get_integer(decoder, map, "delay", 0, INT64_MAX, &view->delay)
      || !get_bool(decoder, map, "as_known", false, &view->as_known)
      || !get_bool(decoder, map, "online", true, &view->online)
      || !get_text(decoder, map, "bound", "<=", &bound)) {
    return false;
  }
  view->id = (uint16_t)id;
  view->slot_count = (uint32_t)slots;
  view->as_known = view->as_known || view->delay > 0;
  view->strict = strcmp(bound, "<") == 0;
  if (!view->strict && strcmp(bound, "<=") != 0) {
    return damaged(decoder, "bound", "expected < or <=");
  }
  return decode_view_links(decoder, map, view) && decode_features(decoder, map, view)
         && get_function(decoder, map, "filter", &view->filter)
         && get_function(decoder, map, "transform", &view->transform);
}

static bool decode_reference(Decoder *decoder, MpReader map, Reference *reference)
{
  const char *view;
  const char *feature;
  if (!need_text(decoder, map, "view", &view) || !need_text(decoder, map, "feature", &feature)
      || !get_text(decoder, map, "role", "", &reference->role)) {
    return false;
  }
  reference->view = catalog_view(decoder->catalog, slice_text(view));
  reference->on_demand =
      reference->view ? NULL : catalog_on_demand(decoder->catalog, slice_text(view));
  if (reference->view) {
    reference->feature = view_feature(reference->view, slice_text(feature));
  } else if (reference->on_demand) {
    reference->feature = on_demand_feature(reference->on_demand, slice_text(feature));
  } else {
    return unknown(decoder, "view", "feature_view", view);
  }
  if (reference->on_demand && *reference->role) {
    return damaged(decoder, "role", "an on-demand view has no roles");
  }
  return reference->feature || unknown(decoder, "feature", "feature", feature);
}

static bool get_references(Decoder *decoder, MpReader map, const char *key,
                           const Reference **references, size_t *count)
{
  Items items;
  if (!get_items(decoder, map, key, MP_ARRAY, LEAST_REFERENCE, &items)) {
    return false;
  }
  Reference *list = arena_zalloc(decoder->arena, items.count, sizeof(Reference));
  for (size_t i = 0; i < items.count; i++) {
    size_t outer = enter(decoder, key, i);
    if (!decode_reference(decoder, next_item(&items), &list[i])) {
      return false;
    }
    leave(decoder, outer);
  }
  *references = list;
  *count = items.count;
  return true;
}

// Everything but what it refers to: that may be an on-demand view that comes later.
static bool decode_on_demand(Decoder *decoder, MpReader map, void *out)
{
  OnDemand *view = out;
  int64_t level;
  if (!get_declared(decoder, map, "on_demand_feature_view", &view->declared)
      || !get_integer(decoder, map, "level", 0, CATALOG_LEVELS_MAX, &level)
      || !get_function(decoder, map, "transform", &view->transform)
      || !get_fields(decoder, map, "features", &view->features, &view->feature_count)) {
    return false;
  }
  view->level = (uint32_t)level;
  if (!view->transform.at) {
    return damaged(decoder, "transform", "is missing");
  }
  return !catalog_view(decoder->catalog, slice_text(view->declared.name))
         || damaged(decoder, "name", "is that of a feature_view as well");
}

// What a function gets is what its references give. The levels rule circles out.
static bool check_on_demand(Decoder *decoder, const OnDemand *view)
{
  if (view->reference_count > view->transform.input_count || view->transform.input_count == 0) {
    return damaged(decoder, "inputs", "not those that the function has");
  }
  for (size_t i = 0; i < view->reference_count; i++) {
    const Reference *reference = &view->references[i];
    if (*reference->role) {
      return damaged(decoder, "inputs", "have no roles");
    }
    if (reference->on_demand && reference->on_demand->level >= view->level) {
      return damaged(decoder, "level", "not above that of its inputs");
    }
    if (!type_equal(view->transform.inputs[i].type, reference->feature->type)) {
      return damaged(decoder, "inputs", "not of the types that the function has");
    }
  }
  return true;
}

static bool link_on_demand(Decoder *decoder, MpReader map)
{
  Items items;
  if (!get_items(decoder, map, "on_demand", MP_ARRAY, LEAST_DECLARED, &items)) {
    return false;
  }
  assert(items.count == decoder->catalog->on_demand_count);
  for (size_t i = 0; i < items.count; i++) {
    OnDemand *view = (OnDemand *)&decoder->catalog->on_demands[i];
    size_t outer = enter(decoder, "on_demand", i);
    if (!get_references(decoder, next_item(&items), "inputs", &view->references,
                        &view->reference_count)
        || !check_on_demand(decoder, view)) {
      return false;
    }
    leave(decoder, outer);
  }
  return true;
}

// { role = { key = column } } as one list.
static bool decode_roles(Decoder *decoder, MpReader map, Service *service)
{
  Items roles;
  if (!get_items(decoder, map, "roles", MP_MAP, LEAST_NAME, &roles)) {
    return false;
  }
  size_t most = (size_t)(roles.at.end - roles.at.at) / LEAST_PAIR;
  RoleKey *list = arena_zalloc(decoder->arena, roles.count ? most : 0, sizeof(RoleKey));
  service->roles = list;
  for (size_t i = 0; i < roles.count; i++) {
    const char *role;
    Items keys;
    if (!next_text(decoder, "roles", &roles, &role)
        || !open_items(decoder, role, next_item(&roles), MP_MAP, LEAST_PAIR, &keys)) {
      return false;
    }
    for (size_t key = 0; key < keys.count; key++) {
      RoleKey *item = &list[service->role_count++];
      item->role = role;
      if (!next_text(decoder, role, &keys, &item->key)
          || !next_text(decoder, role, &keys, &item->column)) {
        return false;
      }
    }
  }
  assert(service->role_count <= most || !roles.count);
  return true;
}

static bool decode_service(Decoder *decoder, MpReader map, void *out)
{
  Service *service = out;
  return get_declared(decoder, map, "feature_service", &service->declared)
         && get_references(decoder, map, "features", &service->features, &service->feature_count)
         && decode_roles(decoder, map, service);
}

// One of the lists. Every struct in them starts with a Declared.
typedef struct {
  const char *name;
  size_t size;  // of an element
  bool (*decode)(Decoder *decoder, MpReader map, void *out);
} List;

static bool decode_list(Decoder *decoder, MpReader map, const List *list, void **out, size_t *count)
{
  Items items;
  if (!get_items(decoder, map, list->name, MP_ARRAY, LEAST_DECLARED, &items)) {
    return false;
  }
  *out = arena_zalloc(decoder->arena, items.count, list->size);
  const char *previous = "";
  for (size_t i = 0; i < items.count; i++) {
    char *item = (char *)*out + i * list->size;
    size_t outer = enter(decoder, list->name, i);
    if (!list->decode(decoder, next_item(&items), item)) {
      return false;
    }
    const char *name = ((const Declared *)item)->name;
    if (strcmp(previous, name) >= 0) {
      return damaged(decoder, "name", "not in order, or there twice");
    }
    previous = name;
    leave(decoder, outer);
  }
  *count = items.count;
  return true;
}

_Static_assert(offsetof(Entity, declared) == 0 && offsetof(Source, declared) == 0
                   && offsetof(View, declared) == 0 && offsetof(Service, declared) == 0
                   && offsetof(OnDemand, declared) == 0,
               "decode_list reads a Declared where an element starts");

// Two views with one id would share their online rows.
static bool ids_differ(Decoder *decoder)
{
  uint64_t seen[(UINT16_MAX + 1) / 64] = {0};
  for (size_t i = 0; i < decoder->catalog->view_count; i++) {
    uint16_t id = decoder->catalog->views[i].id;
    if (seen[id / 64] >> (id % 64) & 1) {
      return damaged(decoder, "views", "two have one id");
    }
    seen[id / 64] |= UINT64_C(1) << (id % 64);
  }
  return true;
}

static bool decode_all(Decoder *decoder, MpReader map)
{
  static const List ENTITIES = {"entities", sizeof(Entity), decode_entity};
  static const List SOURCES = {"sources", sizeof(Source), decode_source};
  static const List VIEWS = {"views", sizeof(View), decode_view};
  static const List ON_DEMAND = {"on_demand", sizeof(OnDemand), decode_on_demand};
  static const List SERVICES = {"services", sizeof(Service), decode_service};
  Catalog *catalog = decoder->catalog;
  return decode_list(decoder, map, &ENTITIES, (void **)&catalog->entities, &catalog->entity_count)
         && decode_list(decoder, map, &SOURCES, (void **)&catalog->sources, &catalog->source_count)
         && decode_list(decoder, map, &VIEWS, (void **)&catalog->views, &catalog->view_count)
         && ids_differ(decoder)
         && decode_list(decoder, map, &ON_DEMAND, (void **)&catalog->on_demands,
                        &catalog->on_demand_count)
         && link_on_demand(decoder, map)
         && decode_list(decoder, map, &SERVICES, (void **)&catalog->services,
                        &catalog->service_count);
}

Catalog *catalog_decode(Slice msgpack, uint64_t generation, Error *err)
{
  const uint8_t *start = (const uint8_t *)msgpack.data;
  size_t size = msgpack.size;
  MpReader whole = {start, size ? start + size : start};
  MpReader end = whole;
  if (mp_skip(&end, (MpLimits){CATALOG_DEPTH, size}) != MP_OK || end.at != end.end) {
    error_set(err, ERR_STORE, DAMAGED "%zu bytes that are not one msgpack map", size);
    return NULL;
  }
  Shared *shared = mem_zalloc(1, sizeof(Shared));
  atomic_init(&shared->references, 1);
  shared->catalog.generation = generation;
  Decoder decoder = {.arena = &shared->arena, .catalog = &shared->catalog, .err = err};
  Items items;
  if (!open_items(&decoder, "", whole, MP_MAP, LEAST_NAME, &items)
      || !decode_all(&decoder, whole)) {
    catalog_unref(&shared->catalog);
    return NULL;
  }
  return &shared->catalog;
}

static bool has_functions(const Catalog *catalog)
{
  for (size_t i = 0; i < catalog->view_count; i++) {
    if (catalog->views[i].filter.at || catalog->views[i].transform.at) {
      return true;
    }
  }
  return catalog->on_demand_count > 0;
}

static Shared *shared_of(const Catalog *catalog)
{
  return (Shared *)catalog;  // the count is not part of what is constant
}

void catalog_set_texts(Catalog *catalog, Slice texts)
{
  Shared *shared = shared_of(catalog);
  assert(atomic_load_explicit(&shared->references, memory_order_relaxed) == 1);
  catalog->texts = has_functions(catalog) ? arena_copy(&shared->arena, texts) : (Slice){0};
}

Catalog *catalog_ref(const Catalog *catalog)
{
  Shared *shared = shared_of(catalog);
  atomic_fetch_add_explicit(&shared->references, 1, memory_order_relaxed);
  return &shared->catalog;
}

void catalog_unref(const Catalog *catalog)
{
  if (!catalog) {
    return;
  }
  Shared *shared = shared_of(catalog);
  unsigned before = atomic_fetch_sub_explicit(&shared->references, 1, memory_order_acq_rel);
  assert(before > 0);
  if (before == 1) {
    arena_deinit(&shared->arena);
    free(shared);
  }
}

// Binary search in a list whose elements start with a Declared.
static const void *find_declared(const void *items, size_t count, size_t size, Slice name)
{
  size_t low = 0;
  size_t high = count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    const Declared *declared = (const void *)((const char *)items + middle * size);
    int order = slice_compare(slice_text(declared->name), name);
    if (order == 0) {
      return declared;
    }
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return NULL;
}

const Entity *catalog_entity(const Catalog *catalog, Slice name)
{
  return find_declared(catalog->entities, catalog->entity_count, sizeof(Entity), name);
}

const Source *catalog_source(const Catalog *catalog, Slice name)
{
  return find_declared(catalog->sources, catalog->source_count, sizeof(Source), name);
}

const View *catalog_view(const Catalog *catalog, Slice name)
{
  return find_declared(catalog->views, catalog->view_count, sizeof(View), name);
}

const Service *catalog_service(const Catalog *catalog, Slice name)
{
  return find_declared(catalog->services, catalog->service_count, sizeof(Service), name);
}

const OnDemand *catalog_on_demand(const Catalog *catalog, Slice name)
{
  return find_declared(catalog->on_demands, catalog->on_demand_count, sizeof(OnDemand), name);
}

static const Field *find_field(const Field *fields, size_t count, Slice name)
{
  for (size_t i = 0; i < count; i++) {
    if (slice_is(name, fields[i].name)) {
      return &fields[i];
    }
  }
  return NULL;
}

const Field *view_feature(const View *view, Slice name)
{
  return find_field(view->features, view->feature_count, name);
}

const Field *on_demand_feature(const OnDemand *view, Slice name)
{
  return find_field(view->features, view->feature_count, name);
}
