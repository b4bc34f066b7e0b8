#include "cli/mapping.h"

static bool parse_one(const char *text, Mapping *out, Error *err)
{
  const char *equals = strchr(text, '=');
  const char *dot = equals ? memchr(text, '.', (size_t)(equals - text)) : NULL;
  if (!dot || dot == text || dot + 1 == equals || !equals[1]) {
    return error_set(err, ERR_USAGE, "--map: expected VIEW.KEY=COLUMN, got \"%s\"", text);
  }
  *out = (Mapping){
      .view = slice_of(text, (size_t)(dot - text)),
      .key = slice_of(dot + 1, (size_t)(equals - dot - 1)),
      .column = slice_text(equals + 1),
  };
  return true;
}

bool mapping_parse(const Args *args, MappingList *out, Error *err)
{
  TextList given = args_values(args, "map");
  *out = (MappingList){arena_zalloc(args->arena, given.count + 1, sizeof(Mapping)), given.count};
  for (size_t i = 0; i < given.count; i++) {
    if (!parse_one(given.items[i], &out->items[i], err)) {
      return false;
    }
  }
  return true;
}

void mapping_put_maps(MappingList list, Params *params)
{
  if (!list.count) {
    return;
  }
  msgpack_packer packer = params_put(params, "maps");
  msgpack_pack_array(&packer, list.count);
  for (size_t i = 0; i < list.count; i++) {
    msgpack_pack_map(&packer, 3);
    mp_put_text(&packer, "view");
    mp_put_str(&packer, list.items[i].view);
    mp_put_text(&packer, "key");
    mp_put_str(&packer, list.items[i].key);
    mp_put_text(&packer, "column");
    mp_put_str(&packer, list.items[i].column);
  }
}

static bool is_first_of_view(MappingList list, size_t index)
{
  for (size_t i = 0; i < index; i++) {
    if (slice_equal(list.items[i].view, list.items[index].view)) {
      return false;
    }
  }
  return true;
}

// The keys of one view as a map; returns how many there are.
static size_t put_keys(MappingList list, Slice view, msgpack_packer *packer)
{
  size_t count = 0;
  for (size_t i = 0; i < list.count; i++) {
    if (!slice_equal(list.items[i].view, view)) {
      continue;
    }
    count++;
    if (packer) {
      mp_put_str(packer, list.items[i].key);
      mp_put_str(packer, list.items[i].column);
    }
  }
  return count;
}

void mapping_put_roles(MappingList list, Params *params)
{
  if (!list.count) {
    return;
  }
  size_t views = 0;
  for (size_t i = 0; i < list.count; i++) {
    views += is_first_of_view(list, i);
  }
  msgpack_packer packer = params_put(params, "roles");
  msgpack_pack_map(&packer, views);
  for (size_t i = 0; i < list.count; i++) {
    if (is_first_of_view(list, i)) {
      mp_put_str(&packer, list.items[i].view);
      msgpack_pack_map(&packer, put_keys(list, list.items[i].view, NULL));
      put_keys(list, list.items[i].view, &packer);
    }
  }
}
