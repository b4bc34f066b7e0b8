#include "rpc/status.h"

#include "store/registry.h"

static void fill_rows(ViewStatusLine *line, uint16_t view_id, const ViewRows *rows, size_t count)
{
  for (size_t i = 0; i < count; i++) {
    if (rows[i].view_id == view_id) {
      line->counted = true;
      line->rows = rows[i].rows;
      line->deleted = rows[i].deleted;
    }
  }
}

static bool read_views(CallContext *context, Status *status, Arena *arena, Error *err)
{
  const Catalog *catalog = context->catalog;
  const ViewRows *rows = NULL;
  size_t count = 0;
  status->counted_at = TIME_NULL;
  if (context->observer && context->observer->rows) {
    rows = rowcount_get(context->observer->rows, &count, &status->counted_at, arena);
  }
  status->view_count = catalog->view_count;
  status->views = arena_zalloc(arena, catalog->view_count + 1, sizeof(*status->views));
  for (size_t i = 0; i < catalog->view_count; i++) {
    const View *view = &catalog->views[i];
    ViewStatusLine *line = &status->views[i];
    line->name = arena_text(arena, slice_text(view->declared.name));
    if (!marks_get(context->read, view->id, &line->mark, &line->marked, err)) {
      return false;
    }
    fill_rows(line, view->id, rows, count);
  }
  return true;
}

bool status_read(CallContext *context, Status *status, Arena *arena, Error *err)
{
  *status = (Status){.now = clock_now()};
  if (!context_read(context, err)) {
    if (err->code != ERR_NOT_FOUND) {
      return false;
    }
    error_clear(err);
    return true;
  }
  if (!registry_generation(context->read, &status->generation, err)) {
    return false;
  }
  if (status->generation == 0) {
    return true;
  }
  Writer *writer = engine_writer_now(context->engine);
  status->writing = writer != NULL;
  if (writer) {
    writer_status(writer, &status->writer);
  }
  Db *db = engine_db(context->engine, false, err);
  return context_catalog(context, err) && read_views(context, status, arena, err) && db
         && db_stats(db, &status->store, err);
}

int64_t status_age(const Status *status, const ViewStatusLine *view)
{
  return clock_sub_bounded(status->now, view->mark.materialized_to);
}
