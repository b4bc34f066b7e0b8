#include "cli/wanted.h"

// One requested feature, `*` for all of a view.
typedef struct {
  Slice view;
  Slice role;  // the view's name where it has none
  Slice feature;
} Asked;

typedef struct {
  Session *session;
  MappingList mappings;
  Entities *entities;
  Entities *given;
  Wanted *wanted;
  size_t capacity;
  Slice described_view;  // the last view asked about, and the answer
  Buf described;
  Buf service;
  Arena *arena;
} Search;

static bool parse_reference(Slice text, Asked *out, Error *err)
{
  const char *colon = memchr(text.data, ':', text.size);
  if (!colon || colon == text.data) {
    return error_set(err, ERR_USAGE, "\"%.*s\" is no feature: expected view:feature or view:*",
                     (int)text.size, text.data);
  }
  Slice left = slice_of(text.data, (size_t)(colon - text.data));
  out->feature = slice_of(colon + 1, text.size - left.size - 1);
  const char *at = memchr(left.data, '@', left.size);
  out->view = at ? slice_of(left.data, (size_t)(at - left.data)) : left;
  out->role = at ? slice_of(at + 1, left.size - out->view.size - 1) : left;
  return true;
}

static bool describe(Search *search, const char *kind, Slice name, Buf *bytes, MpReader *result,
                     Error *err)
{
  Params params = {0};
  msgpack_packer packer = params_put(&params, "name");
  mp_put_str(&packer, name);
  params_put_text(&params, "kind", kind);
  buf_reset(bytes);
  bool good = session_call(search->session, "describe", &params, bytes, result, err);
  if (!good && err->code == ERR_NOT_FOUND) {
    err->where[0] = '\0';  // "name", a parameter of the method and not of the command
  }
  params_deinit(&params);
  return good;
}

// Views come in runs, so remembering the last one saves most calls.
static bool describe_view(Search *search, Slice view, MpReader *result, Error *err)
{
  if (search->described_view.size && slice_equal(search->described_view, view)) {
    return result_open(&search->described, result, err);
  }
  search->described_view = (Slice){0};
  if (!describe(search, "feature_view", view, &search->described, result, err)) {
    Error other = {0};  // that it is no feature_view says more
    if (err->code != ERR_NOT_FOUND
        || !describe(search, "on_demand_feature_view", view, &search->described, result, &other)) {
      return false;
    }
    error_clear(err);
  }
  search->described_view = view;
  return true;
}

// Without a role, whatever view the key is of: an on-demand view has keys of several.
static Slice mapped_column(const Search *search, Slice role, Slice key)
{
  for (size_t i = 0; i < search->mappings.count; i++) {
    const Mapping *mapping = &search->mappings.items[i];
    if (slice_equal(mapping->key, key) && (!role.size || slice_equal(mapping->view, role))) {
      return mapping->column;
    }
  }
  return key;
}

static void type_keys(Search *search, const Asked *reference, MpReader view)
{
  bool on_demand = slice_is(result_text(view, "kind"), "on_demand_feature_view");
  MpReader keys;
  uint32_t count = result_list(view, "keys", &keys);
  for (uint32_t i = 0; i < count; i++) {
    MpReader key = result_reader(result_take(&keys));
    Type type;
    Error ignored = {0};
    if (type_parse(result_text(key, "type"), &type, &ignored)) {
      Slice role = on_demand ? (Slice){0} : reference->role;
      Slice column = mapped_column(search, role, result_text(key, "name"));
      entities_set_type(search->entities, column, type);
    }
  }
}

// Columns that a description lists under `list`: their values are read by their types from now on.
static void type_columns(MpReader described, const char *list, Entities *entities)
{
  MpReader columns;
  uint32_t count = result_list(described, list, &columns);
  for (uint32_t i = 0; i < count; i++) {
    MpReader column = result_reader(result_take(&columns));
    Type type;
    Error ignored = {0};
    if (type_parse(result_text(column, "type"), &type, &ignored)) {
      entities_set_type(entities, result_text(column, "name"), type);
    }
  }
}

static void add_time(Search *search, bool time)
{
  Wanted *wanted = search->wanted;
  if (wanted->count == search->capacity) {
    search->capacity = search->capacity ? search->capacity * 2 : 64;
    bool *times = arena_zalloc(search->arena, search->capacity, sizeof(*times));
    if (wanted->count) {
      memcpy(times, wanted->times, wanted->count * sizeof(*times));
    }
    wanted->times = times;
  }
  wanted->times[wanted->count++] = time;
}

static void note_features(Search *search, const Asked *reference, MpReader view)
{
  MpReader features;
  uint32_t count = result_list(view, "features", &features);
  bool all = slice_is(reference->feature, "*");
  for (uint32_t i = 0; i < count; i++) {
    MpReader feature = result_reader(result_take(&features));
    if (all || slice_equal(result_text(feature, "name"), reference->feature)) {
      Type type;
      Error ignored = {0};
      add_time(search,
               type_parse(result_text(feature, "type"), &type, &ignored) && type_is_time(type));
    }
  }
}

static bool add_reference(Search *search, Asked reference, Error *err)
{
  MpReader view;
  if (!describe_view(search, reference.view, &view, err)) {
    return false;
  }
  type_keys(search, &reference, view);
  type_columns(view, "request", search->given);
  note_features(search, &reference, view);
  return true;
}

static bool add_service(Search *search, const char *name, Error *err)
{
  MpReader service;
  if (!describe(search, "feature_service", slice_text(name), &search->service, &service, err)) {
    return false;
  }
  type_columns(service, "keys", search->entities);  // a service says itself which it needs
  MpReader features;
  uint32_t count = result_list(service, "features", &features);
  for (uint32_t i = 0; i < count; i++) {
    MpReader feature = result_reader(result_take(&features));
    Asked asked;
    MpToken text = mp_take(&feature);
    if (!parse_reference(text.bytes, &asked, err) || !add_reference(search, asked, err)) {
      return false;
    }
  }
  return true;
}

bool wanted_find(Session *session, TextList references, const char *service, MappingList mappings,
                 Entities *entities, Entities *given, Wanted *out, Arena *arena, Error *err)
{
  *out = (Wanted){0};
  Search search = {
      .session = session,
      .mappings = mappings,
      .entities = entities,
      .given = given,
      .wanted = out,
      .arena = arena,
  };
  bool good = !service || add_service(&search, service, err);
  for (size_t i = 0; i < references.count && good; i++) {
    Asked reference;
    good = parse_reference(slice_text(references.items[i]), &reference, err)
           && add_reference(&search, reference, err);
  }
  buf_deinit(&search.described);
  buf_deinit(&search.service);
  return good;
}
