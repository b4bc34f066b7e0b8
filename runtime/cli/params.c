#include "cli/params.h"

msgpack_packer params_put(Params *params, const char *key)
{
  msgpack_packer packer = mp_packer(&params->entries);
  mp_put_text(&packer, key);
  params->count++;
  return packer;
}

void params_put_text(Params *params, const char *key, const char *value)
{
  if (value) {
    msgpack_packer packer = params_put(params, key);
    mp_put_text(&packer, value);
  }
}

void params_put_flag(Params *params, const char *key, bool value)
{
  if (value) {
    msgpack_packer packer = params_put(params, key);
    msgpack_pack_true(&packer);
  }
}

void params_put_time(Params *params, const char *key, Time value)
{
  msgpack_packer packer = params_put(params, key);
  msgpack_pack_int64(&packer, value);
}

void params_put_list(Params *params, const char *key, TextList list)
{
  if (!list.count) {
    return;
  }
  msgpack_packer packer = params_put(params, key);
  msgpack_pack_array(&packer, list.count);
  for (size_t i = 0; i < list.count; i++) {
    mp_put_text(&packer, list.items[i]);
  }
}

void params_encode(const Params *params, Buf *out)
{
  msgpack_packer packer = mp_packer(out);
  msgpack_pack_map(&packer, params->count);
  buf_put_slice(out, buf_slice(&params->entries));
}

void params_deinit(Params *params)
{
  buf_deinit(&params->entries);
  *params = (Params){0};
}
