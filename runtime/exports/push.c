// The log, the overlay and the writer for specs, through the FFI. `message` holds 768 bytes and
// gets a failure as "code: text".

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "data/key_sort.h"
#include "engine/push.h"
#include "store/log.h"
#include "store/log_crc.h"

enum { MESSAGE_SIZE = 768 };

// Declares and begins a function that is visible outside the binary.
#define EXPORT(...)                                   \
  __attribute__((visibility("default"))) __VA_ARGS__; \
  __VA_ARGS__

static bool report(bool ok, const Error *err, char *message)
{
  if (!ok) {
    snprintf(message, MESSAGE_SIZE, "%s: %s%s%s", error_code_name(err->code), err->where,
             *err->where ? ": " : "", err->message);
  }
  return ok;
}

// The log -----------------------------------------------------------------------------------------

EXPORT(uint32_t tidemark_log_crc(const char *data, size_t size, bool by_table))
{
  Slice bytes = slice_of(data, size);
  return by_table ? log_crc_by_table(0, bytes) : log_crc(0, bytes);
}

// A log with the records that were found when it was opened.
typedef struct {
  Log *log;
  Buf found;  // each [u64 sequence][u32 size][payload]
} LogHandle;

static bool keep_record(void *context, const LogRecord *record, LogPosition end, Error *err)
{
  (void)end;
  (void)err;
  Buf *found = context;
  uint32_t size = (uint32_t)record->payload.size;
  buf_put(found, &record->sequence, sizeof(record->sequence));
  buf_put(found, &size, sizeof(size));
  buf_put_slice(found, record->payload);
  return true;
}

EXPORT(void tidemark_log_close(LogHandle *handle))
{
  log_close(handle->log);
  buf_deinit(&handle->found);
  free(handle);
}

// `position`: sequence, segment, offset.
EXPORT(LogHandle *tidemark_log_open(const char *store, const uint64_t *position,
                                    uint64_t segment_bytes, uint64_t keep_bytes, char *message))
{
  Error err = {0};
  LogHandle *handle = mem_zalloc(1, sizeof(*handle));
  LogOptions options = {store, segment_bytes, keep_bytes};
  LogPosition from = {position[0], position[1], position[2]};
  handle->log = log_open(&options, from, keep_record, &handle->found, &err);
  if (!report(handle->log != NULL, &err, message)) {
    tidemark_log_close(handle);
    return NULL;
  }
  return handle;
}

EXPORT(const char *tidemark_log_found(const LogHandle *handle, size_t *size))
{
  *size = handle->found.size;
  return (const char *)handle->found.data;
}

EXPORT(uint64_t tidemark_log_put(LogHandle *handle, const char *data, size_t size))
{
  buf_put(log_begin(handle->log), data, size);
  log_end(handle->log);
  return log_next_sequence(handle->log) - 1;
}

EXPORT(bool tidemark_log_write(LogHandle *handle, bool sync, char *message))
{
  Error err = {0};
  bool ok = log_write(handle->log, &err) && (!sync || log_sync(handle->log, &err));
  return report(ok, &err, message);
}

EXPORT(void tidemark_log_position(const LogHandle *handle, uint64_t *position))
{
  LogPosition end = log_end_position(handle->log);
  position[0] = end.sequence;
  position[1] = end.segment;
  position[2] = end.offset;
}

EXPORT(void tidemark_log_trim(LogHandle *handle, uint64_t applied))
{
  log_trim(handle->log, applied);
}

EXPORT(bool tidemark_log_has_more(const char *store, const uint64_t *position))
{
  return log_has_more(store, (LogPosition){position[0], position[1], position[2]});
}

// Pushing -----------------------------------------------------------------------------------------

static void pack_rejections(const PushRejections *rejections, Buf *out)
{
  msgpack_packer packer = mp_packer(out);
  msgpack_pack_array(&packer, rejections->count);
  for (size_t i = 0; i < rejections->count; i++) {
    msgpack_pack_array(&packer, 3);
    msgpack_pack_uint32(&packer, rejections->items[i].row);
    mp_put_text(&packer, rejections->items[i].field);
    mp_put_text(&packer, rejections->items[i].reason);
  }
}

static bool open_functions(const Catalog *catalog, PushRequest *request, Error *err)
{
  bool needed = request->view->filter.at || request->view->transform.at;
  request->functions = needed ? functions_open(catalog, err) : NULL;
  return request->functions || !needed;
}

// `counts` gets written and stale; `rejected` the msgpack of [row, field, reason], to be freed.
// `times`: now and arrived.
EXPORT(bool tidemark_push(Engine *engine, const char *view, const char *rows, size_t size,
                          const int64_t *times, uint64_t *counts, Buf *rejected, char *message))
{
  Error err = {0};
  Arena arena = {0};
  Push push = {0};
  PushRejections rejections = {0};
  Catalog *catalog = NULL;
  PushRequest request = {
      .rows = {(const uint8_t *)rows, (const uint8_t *)rows + size},
      .to = PUSH_ONLINE | PUSH_OFFLINE,
      .now = times[0],
      .arrived = times[1],
  };
  bool ok = engine_pin(engine, &catalog, &err);
  request.view = ok ? catalog_find_view(catalog, slice_text(view), &err) : NULL;
  ok = request.view && open_functions(catalog, &request, &err)
       && push_encode(&request, &push, &rejections, &arena, &err);
  functions_close(request.functions);
  Writer *writer = ok ? engine_writer(engine, &err) : NULL;
  ok = writer && writer_push(writer, &push, &err);
  if (ok) {
    push_reject_large(&push, &rejections, &arena);
    pack_rejections(&rejections, rejected);
    counts[0] = push.written;
    counts[1] = push.stale;
  }
  catalog_unref(catalog);
  push_deinit(&push);
  arena_deinit(&arena);
  return report(ok, &err, message);
}

EXPORT(Engine *tidemark_engine_open(const char *project, const char *store, bool relaxed,
                                    char *message))
{
  Error err = {0};
  EngineOptions options = {.project = project, .store = store, .relaxed = relaxed};
  Engine *engine = engine_open(&options, &err);
  report(engine != NULL, &err, message);
  return engine;
}

EXPORT(void tidemark_engine_close(Engine *engine))
{
  engine_close(engine);
}

EXPORT(void tidemark_push_free(Buf *rejected))
{
  buf_deinit(rejected);
}

EXPORT(Db *tidemark_engine_db(Engine *engine, char *message))
{
  Error err = {0};
  Db *db = engine_db(engine, false, &err);
  report(db != NULL, &err, message);
  return db;
}

// A read of the engine's store, begun.
EXPORT(DbRead *tidemark_engine_read(Engine *engine, char *message))
{
  Error err = {0};
  Db *db = engine_db(engine, false, &err);
  DbRead *read = db ? db_read_new(db, &err) : NULL;
  if (read && !db_read_begin(read, &err)) {
    db_read_free(read);
    read = NULL;
  }
  report(read != NULL, &err, message);
  return read;
}

static Slice slice_itself(const void *item)
{
  return *(const Slice *)item;
}

// Keys lie one after the other; `order` gets their numbers as they are sorted.
EXPORT(void tidemark_key_sort(const char *bytes, const uint32_t *sizes, size_t count, size_t skip,
                              uint32_t *order))
{
  Slice *keys = mem_alloc((count + 1) * sizeof(*keys));
  KeyEntry *entries = mem_alloc((count + 1) * sizeof(*entries));
  KeyEntry *room = mem_alloc((count + 1) * sizeof(*room));
  for (size_t i = 0; i < count; bytes += sizes[i++]) {
    keys[i] = slice_of(bytes, sizes[i]);
    entries[i] = (KeyEntry){key_prefix(keys[i], skip), &keys[i]};
  }
  const KeyEntry *sorted = key_sort(entries, room, count, skip, slice_itself);
  for (size_t i = 0; i < count; i++) {
    order[i] = (uint32_t)((const Slice *)sorted[i].item - keys);
  }
  free(keys);
  free(entries);
  free(room);
}
