// Definition files of any content: loading ends in a catalog or in problems, never in an error, and
// the catalog that comes out can be planned from nothing. No source can be opened.

#include <stdlib.h>

#include "data/msgpack.h"
#include "host/host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_file(Buf *buf, Slice text)
{
  msgpack_packer packer = mp_packer(buf);
  msgpack_pack_map(&packer, 1);
  mp_put_text(&packer, "definitions/fuzzed.lua");
  mp_put_str(&packer, text);
}

static void require(bool condition)
{
  if (!condition) {
    abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  Buf sources = {0};
  Arena arena = {0};
  Error error = {0};
  HostDefinitions loaded;
  put_file(&sources, slice_of(data, size));
  require(host_load_sources(buf_slice(&sources), &loaded, &arena, &error));
  require((loaded.problem_count == 0) == (loaded.catalog.size > 0));
  if (loaded.wanted.size) {
    require(host_resolve(&loaded, slice_of("\x80", 1), (Slice){0}, &arena, &error));
    require(loaded.problem_count > 0 && loaded.catalog.size == 0);
  }
  if (loaded.catalog.size) {
    HostPlan plan;
    require(host_plan((Slice){0}, loaded.catalog, &plan, &arena, &error));
    require(plan.incompatible_count == 0);
  }
  buf_deinit(&sources);
  arena_deinit(&arena);
  return 0;
}
