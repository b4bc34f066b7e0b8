#include "engine/copy.h"

#include "source/writer.h"

bool engine_copy_file(Engine *engine, const char *from, const char *to, uint64_t *rows, Error *err)
{
  Duck *duck = engine_duck(engine, err);
  Table table = {.path = from};
  return duck && write_file(duck, to, &table, NULL, NULL, rows, err);
}
