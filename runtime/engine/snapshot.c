#include "engine/snapshot.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"

static const Snapshot *find(const Snapshots *snapshots, const Source *source)
{
  for (size_t i = 0; i < snapshots->count; i++) {
    if (snapshots->items[i].source == source) {
      return &snapshots->items[i];
    }
  }
  return NULL;
}

static const Snapshot *add(Snapshots *snapshots, Engine *engine, const Source *source, Error *err)
{
  Duck *duck = engine_duck(engine, err);
  const char *path;
  if (!duck || !table_snapshot(duck, source->sql, &path, &snapshots->arena, err)) {
    error_wrap(err, "source \"%s\" (%s)", source->declared.name, source->declared.at);
    return NULL;
  }
  if (snapshots->count == snapshots->capacity) {
    snapshots->capacity = snapshots->capacity * 2 + 4;
    snapshots->items =
        mem_realloc(snapshots->items, snapshots->capacity, sizeof(*snapshots->items));
  }
  snapshots->items[snapshots->count] = (Snapshot){source, path};
  return &snapshots->items[snapshots->count++];
}

bool snapshots_table(Snapshots *snapshots, Engine *engine, const Source *source, Table *table,
                     Error *err)
{
  *table = (Table){.path = engine_source_path(engine, source)};
  if (table->path) {
    return true;
  }
  const Snapshot *snapshot = find(snapshots, source);
  snapshot = snapshot ? snapshot : add(snapshots, engine, source, err);
  if (snapshot) {
    *table = (Table){.path = snapshot->path, .name = "sql"};
  }
  return snapshot != NULL;
}

void snapshots_deinit(Snapshots *snapshots)
{
  for (size_t i = 0; i < snapshots->count; i++) {
    unlink(snapshots->items[i].path);
  }
  free(snapshots->items);
  arena_deinit(&snapshots->arena);
  *snapshots = (Snapshots){0};
}
