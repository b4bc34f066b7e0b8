#include "source/duck.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "source/duck_inner.h"

static const uint64_t DEFAULT_MEMORY = UINT64_C(1) << 30;

// What DuckDB calls a failure, and what it is to us. Other classes are about the data.
static const struct {
  const char *prefix;
  ErrorCode code;
} CLASSES[] = {
    {"IO Error: ", ERR_IO},
    {"Catalog Error: ", ERR_NOT_FOUND},
    {"Binder Error: ", ERR_INVALID},
    {"Parser Error: ", ERR_INVALID},
    {"Syntax Error: ", ERR_INVALID},
    {"Permission Error: ", ERR_IO},
    {"Out of Memory Error: ", ERR_LIMIT},
    {"INTERNAL Error: ", ERR_INTERNAL},
    {"INTERRUPT Error: ", ERR_CANCELLED},
    {"Missing Extension Error: ", ERR_UNAVAILABLE},
    {"Invalid Input Error: ", ERR_DATA},
    {"Conversion Error: ", ERR_DATA},
    {"Out of Range Error: ", ERR_DATA},
    {"Invalid Error: ", ERR_DATA},
    {"Not implemented Error: ", ERR_DATA},
};

bool duck_failed(Error *err, const char *message)
{
  if (!message) {
    return error_set(err, ERR_INTERNAL, "DuckDB failed without a message");
  }
  ErrorCode code = ERR_DATA;
  for (size_t i = 0; i < sizeof(CLASSES) / sizeof(CLASSES[0]); i++) {
    size_t length = strlen(CLASSES[i].prefix);
    if (strncmp(message, CLASSES[i].prefix, length) == 0) {
      code = CLASSES[i].code;
      message += length;
      break;
    }
  }
  int length = (int)strcspn(message, "\n");
  return error_set(err, code, "%.*s", length, message);
}

void duck_put_text(Buf *sql, const char *text)
{
  buf_put_byte(sql, '\'');
  for (; *text; text++) {
    buf_put(sql, "''", *text == '\'' ? 2 : 0);
    if (*text != '\'') {
      buf_put_byte(sql, (uint8_t)*text);
    }
  }
  buf_put_byte(sql, '\'');
}

void duck_put_name(Buf *sql, const char *name)
{
  buf_put_byte(sql, '"');
  for (; *name; name++) {
    buf_put(sql, "\"\"", *name == '"' ? 2 : 0);
    if (*name != '"') {
      buf_put_byte(sql, (uint8_t)*name);
    }
  }
  buf_put_byte(sql, '"');
}

const char *duck_path(const Duck *duck, const char *path, Arena *arena)
{
  if (!duck->folder || path[0] == '/') {
    return arena_print(arena, "%s", path);
  }
  return arena_print(arena, "%s/%s", duck->folder, path);
}

static bool run(Duck *duck, const char *sql, Error *err)
{
  DuckResult result;
  bool ok = duck->api.query(duck->connection, sql, &result) == DUCK_SUCCESS;
  if (!ok) {
    duck_failed(err, duck->api.result_error(&result));
  }
  duck->api.destroy_result(&result);
  return ok;
}

bool duck_run(Duck *duck, const char *sql, Error *err)
{
  return duck_load(duck, err) && run(duck, sql, err);
}

// Copies a chunk's text into values[rows * columns …].
static void take_text(Duck *duck, DuckChunk chunk, size_t columns, const char **values,
                      Arena *arena)
{
  size_t count = duck->api.data_chunk_get_size(chunk);
  for (size_t column = 0; column < columns; column++) {
    DuckVector vector = duck->api.data_chunk_get_vector(chunk, column);
    const DuckString *strings = duck->api.vector_get_data(vector);
    const uint64_t *valid = duck->api.vector_get_validity(vector);
    for (size_t row = 0; row < count; row++) {
      bool there = !valid || (valid[row >> 6] >> (row & 63) & 1);
      values[row * columns + column] = there ? arena_text(arena, duck_string(strings, row)) : NULL;
    }
  }
}

bool duck_select(Duck *duck, const char *sql, const char ***values, size_t *rows, size_t *columns,
                 Arena *arena, Error *err)
{
  DuckStream stream = {0};
  Buf all = {0};
  bool ok = duck_stream_open(&stream, duck, sql, err);
  *rows = 0;
  while (ok) {
    size_t count;
    *columns = duck->api.column_count(&stream.result);
    ok = duck_stream_next(&stream, &count, err);
    if (!ok || count == 0) {
      break;
    }
    size_t bytes = count * *columns * sizeof(char *);
    buf_reserve(&all, bytes);
    take_text(duck, stream.chunk, *columns, (const char **)(all.data + all.size), arena);
    all.size += bytes;
    *rows += count;
  }
  duck_stream_close(&stream);
  *values = arena_alloc(arena, all.size + 1);
  if (all.size) {
    memcpy(*values, all.data, all.size);
  }
  buf_deinit(&all);
  return ok;
}

bool duck_stream_open(DuckStream *stream, Duck *duck, const char *sql, Error *err)
{
  *stream = (DuckStream){0};
  if (!duck_load(duck, err)) {
    return false;
  }
  stream->duck = duck;
  DuckApi *api = &duck->api;
  if (api->connect(duck->database, &stream->connection) != DUCK_SUCCESS) {
    return error_set(err, ERR_INTERNAL, "DuckDB gave no connection");
  }
  bool ok = api->prepare(stream->connection, sql, &stream->statement) == DUCK_SUCCESS;
  if (!ok) {
    duck_failed(err, api->prepare_error(stream->statement));
  } else {
    ok = api->execute_prepared_streaming(stream->statement, &stream->result) == DUCK_SUCCESS;
    stream->has_result = true;
    if (!ok) {
      duck_failed(err, api->result_error(&stream->result));
    }
  }
  if (!ok) {
    duck_stream_close(stream);
  }
  return ok;
}

bool duck_stream_next(DuckStream *stream, size_t *rows, Error *err)
{
  DuckApi *api = &stream->duck->api;
  *rows = 0;
  do {
    if (stream->chunk) {
      api->destroy_data_chunk(&stream->chunk);
    }
    stream->chunk = api->fetch_chunk(stream->result);
    if (!stream->chunk) {
      const char *message = api->result_error(&stream->result);
      return message ? duck_failed(err, message) : true;
    }
    *rows = api->data_chunk_get_size(stream->chunk);
  } while (*rows == 0);
  return true;
}

void duck_stream_close(DuckStream *stream)
{
  if (!stream->duck) {
    return;
  }
  DuckApi *api = &stream->duck->api;
  if (stream->chunk) {
    api->destroy_data_chunk(&stream->chunk);
  }
  if (stream->has_result) {
    api->destroy_result(&stream->result);
  }
  if (stream->statement) {
    api->destroy_prepare(&stream->statement);
  }
  if (stream->connection) {
    api->disconnect(&stream->connection);
  }
  *stream = (DuckStream){0};
}

static bool set(Duck *duck, DuckConfig config, const char *name, const char *value, Error *err)
{
  if (duck->api.set_config(config, name, value) != DUCK_SUCCESS) {
    return error_set(err, ERR_UNAVAILABLE, "DuckDB %s does not know the setting %s = %s",
                     duck->api.library_version(), name, value);
  }
  return true;
}

static bool configure(Duck *duck, DuckConfig config, Error *err)
{
  // A folder of its own: DuckDB's temporary files have the same names in every process. It makes
  // the folder when it needs one, and removes it.
  char spill[PATH_MAX];
  snprintf(spill, sizeof(spill), "%s/tidemark-%ld-%p", duck->temp_folder, (long)getpid(),
           (void *)duck);
  char memory[32];
  uint64_t limit = duck->memory_limit ? duck->memory_limit : DEFAULT_MEMORY;
  snprintf(memory, sizeof(memory), "%lluB", (unsigned long long)limit);
  char threads[16];
  snprintf(threads, sizeof(threads), "%u", duck->threads);

  return set(duck, config, "memory_limit", memory, err)
         && (duck->threads == 0 || set(duck, config, "threads", threads, err))
         && set(duck, config, "temp_directory", spill, err)
         && set(duck, config, "preserve_insertion_order", "true", err)
         && set(duck, config, "autoinstall_known_extensions", "false", err)
         && set(duck, config, "autoload_known_extensions", "false", err);
}

static bool open_database(Duck *duck, Error *err)
{
  DuckConfig config = NULL;
  if (duck->api.create_config(&config) != DUCK_SUCCESS) {
    return error_set(err, ERR_INTERNAL, "DuckDB gave no configuration");
  }
  bool ok = configure(duck, config, err);
  char *message = NULL;
  if (ok && duck->api.open_ext(NULL, &duck->database, config, &message) != DUCK_SUCCESS) {
    ok = duck_failed(err, message);
  }
  if (message) {
    duck->api.free(message);
  }
  duck->api.destroy_config(&config);
  return ok;
}

static bool set_global(Duck *duck, const char *name, const char *value, Error *err)
{
  Buf sql = {0};
  buf_print(&sql, "SET GLOBAL %s = ", name);
  duck_put_text(&sql, value);
  buf_put_byte(&sql, '\0');
  bool ok = run(duck, (const char *)sql.data, err);
  buf_deinit(&sql);
  return ok;
}

// Settings that only a running database takes.
static bool prepare_session(Duck *duck, Error *err)
{
  if (duck->api.connect(duck->database, &duck->connection) != DUCK_SUCCESS) {
    return error_set(err, ERR_INTERNAL, "DuckDB gave no connection");
  }
  return set_global(duck, "TimeZone", "UTC", err)
         && (!duck->folder || set_global(duck, "file_search_path", duck->folder, err));
}

static const char *system_temp_folder(void)
{
  const char *folder = getenv("TMPDIR");
  return folder && *folder ? folder : "/tmp";
}

// An absolute path: to a relative one DuckDB's globs would put the search path once more.
static char *absolute_folder(const char *folder)
{
  char *absolute = realpath(folder, NULL);
  return absolute ? absolute : mem_strdup(folder);
}

Duck *duck_open(const DuckOptions *options, Error *err)
{
  Duck *duck = mem_zalloc(1, sizeof(*duck));
  duck->folder = options->folder ? absolute_folder(options->folder) : NULL;
  duck->temp_folder =
      mem_strdup(options->temp_folder ? options->temp_folder : system_temp_folder());
  const char *parquet = getenv("TIDEMARK_PARQUET");
  duck->reads_parquet = options->reads_parquet || (parquet && strcmp(parquet, "duckdb") == 0);
  duck->library = options->library ? mem_strdup(options->library) : NULL;
  duck->memory_limit = options->memory_limit;
  duck->threads = options->threads;
  pthread_mutex_init(&duck->lock, NULL);
  if (!options->lazy && !duck_load(duck, err)) {
    duck_close(duck);
    return NULL;
  }
  return duck;
}

bool duck_load(Duck *duck, Error *err)
{
  pthread_mutex_lock(&duck->lock);
  bool ok = duck->loaded;
  if (!ok) {
    ok = duck_api_load(&duck->api, duck->library, err) && open_database(duck, err)
         && prepare_session(duck, err) && rows_register(duck, err);
    duck->loaded = ok;
  }
  pthread_mutex_unlock(&duck->lock);
  return ok;
}

void duck_close(Duck *duck)
{
  if (!duck) {
    return;
  }
  if (duck->connection) {
    duck->api.disconnect(&duck->connection);
  }
  if (duck->database) {
    duck->api.close(&duck->database);
  }
  pthread_mutex_destroy(&duck->lock);
  free(duck->library);
  free(duck->folder);
  free(duck->temp_folder);
  free(duck);
}

const char *duck_version(const Duck *duck)
{
  return duck->api.library_version();
}
