#include "engine/copy.h"

#include "source/writer.h"

bool engine_copy_file(Engine *engine, const char *from, const char *to, uint64_t *rows, Error *err)
{
  Duck *duck = engine_duck(engine, err);
  Table table = {.path = from};
  Producer nothing = {0};  // no columns are added
  return duck && write_file(duck, to, &table, NULL, &nothing, rows, err);
}
