#include "engine/engine.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/size.h"
#include "engine/writer.h"
#include "store/registry.h"

enum { PROGRESS_INTERVAL_MS = 50 };

// How a job's memory is divided. What is the same for every job (code, stacks, pages being read and
// written, the store's dirty pages) comes off first, then DuckDB's share, which has to be enough to
// write a row group; the job has the rest.
static const uint64_t MEMORY_DEFAULT = UINT64_C(1) << 30;
static const uint64_t MEMORY_FIXED = UINT64_C(64) << 20;
static const uint64_t DUCK_LEAST = UINT64_C(64) << 20;
enum { DUCK_SHARE = 4 };  // one in so many bytes

struct Engine {
  char *project;
  char *store;
  uint64_t map_size;  // 0: the default
  uint64_t memory_limit;
  unsigned threads;
  pthread_mutex_t db_lock;
  Db *db;      // NULL until it is first needed
  Duck *duck;  // NULL until a file is touched

  pthread_mutex_t writer_lock;
  Writer *writer;  // NULL until something is pushed
  WriterOptions writing;

  pthread_mutex_t catalog_lock;
  Catalog *catalog;  // of the newest generation anyone has asked for; one reference is ours

  const Catalog *tried;     // instead of the store's; NULL: none. One reference is ours
  FunctionPool *functions;  // of that catalog
  const Source *replaced;   // whose rows come from `replacement`; NULL: none
  const char *replacement;

  ProgressFunction progress;
  void *progress_context;
  uint64_t progress_at;  // monotonic ns of the last report
  atomic_bool cancelled;
};

static bool is_folder(const char *path)
{
  struct stat status;
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static char *store_path(const EngineOptions *options, const char *project)
{
  const char *chosen = options->store ? options->store : getenv("TIDEMARK_STORE");
  if (chosen && *chosen) {
    return mem_strdup(chosen);
  }
  Buf path = {0};
  buf_print(&path, "%s/.tidemark/store", project);
  return (char *)path.data;  // buf_print ends it with a NUL
}

static bool find_map_size(const EngineOptions *options, uint64_t *size, Error *err)
{
  const char *text = getenv("TIDEMARK_MAP_SIZE");
  *size = options->map_size;
  if (*size == 0 && text && *text && !size_parse(text, size)) {
    return error_set(err, ERR_INVALID,
                     "TIDEMARK_MAP_SIZE: expected a size such as 512GiB, got \"%s\"", text);
  }
  return *size == 0 || *size >= ENGINE_MAP_LEAST
         || error_set(err, ERR_INVALID,
                      "a map size of %llu bytes is too small: give at least %llu MiB",
                      (unsigned long long)*size, (unsigned long long)ENGINE_MAP_LEAST >> 20);
}

Engine *engine_open(const EngineOptions *options, Error *err)
{
  const char *project = options->project ? options->project : ".";
  if (!is_folder(project)) {
    error_set(err, ERR_NOT_FOUND, "project folder \"%s\" does not exist: name it with -C DIR",
              project);
    return NULL;
  }
  if (options->memory_limit && options->memory_limit < ENGINE_MEMORY_LEAST) {
    error_set(err, ERR_INVALID, "a memory limit of %llu bytes is too small: give at least %llu MiB",
              (unsigned long long)options->memory_limit,
              (unsigned long long)ENGINE_MEMORY_LEAST >> 20);
    return NULL;
  }
  uint64_t map_size;
  if (!find_map_size(options, &map_size, err)) {
    return NULL;
  }
  Engine *engine = mem_zalloc(1, sizeof(*engine));
  engine->map_size = map_size;
  engine->project = mem_strdup(project);
  engine->store = store_path(options, project);
  engine->memory_limit = options->memory_limit ? options->memory_limit : MEMORY_DEFAULT;
  engine->threads = options->threads;
  engine->writing = (WriterOptions){
      .durability = options->relaxed ? DURABILITY_RELAXED : DURABILITY_FULL,
      .queue_bytes = options->queue_bytes,
  };
  pthread_mutex_init(&engine->writer_lock, NULL);
  pthread_mutex_init(&engine->db_lock, NULL);
  pthread_mutex_init(&engine->catalog_lock, NULL);
  return engine;
}

void engine_close(Engine *engine)
{
  if (!engine) {
    return;
  }
  engine_finish(engine, NULL);
  catalog_unref(engine->catalog);
  catalog_unref(engine->tried);
  if (engine->duck) {
    duck_close(engine->duck);
  }
  db_close(engine->db);
  pthread_mutex_destroy(&engine->catalog_lock);
  pthread_mutex_destroy(&engine->db_lock);
  pthread_mutex_destroy(&engine->writer_lock);
  free(engine->store);
  free(engine->project);
  free(engine);
}

bool engine_finish(Engine *engine, Error *err)
{
  bool ok = writer_close(engine->writer, err);
  engine->writer = NULL;
  return ok;
}

void engine_on_progress(Engine *engine, ProgressFunction function, void *context)
{
  engine->progress = function;
  engine->progress_context = context;
}

bool engine_progress(Engine *engine, const Progress *progress, Error *err)
{
  if (atomic_load_explicit(&engine->cancelled, memory_order_relaxed)) {
    return error_set(err, ERR_CANCELLED, "interrupted");
  }
  if (!engine->progress) {
    return true;
  }
  uint64_t now = clock_monotonic_ns();
  bool last = progress->total && progress->done >= progress->total;
  if (last || now - engine->progress_at >= UINT64_C(1000000) * PROGRESS_INTERVAL_MS) {
    engine->progress_at = now;
    engine->progress(engine->progress_context, progress);
  }
  return true;
}

void engine_cancel(Engine *engine)
{
  atomic_store_explicit(&engine->cancelled, true, memory_order_relaxed);
}

const char *engine_project(const Engine *engine)
{
  return engine->project;
}

unsigned engine_threads(const Engine *engine)
{
  return engine->threads;
}

static uint64_t duck_memory(const Engine *engine)
{
  uint64_t share = engine->memory_limit / DUCK_SHARE;
  return share < DUCK_LEAST ? DUCK_LEAST : share;
}

uint64_t engine_memory(const Engine *engine)
{
  return engine->memory_limit - MEMORY_FIXED - duck_memory(engine);
}

uint64_t engine_memory_limit(const Engine *engine)
{
  return engine->memory_limit;
}

const char *engine_store(const Engine *engine)
{
  return engine->store;
}

// What cannot be looked at counts as being there: opening it says what is wrong with it.
static bool is_there(const char *folder, const char *name)
{
  Buf path = {0};
  buf_print(&path, "%s/%s", folder, name);
  bool there = access((const char *)path.data, F_OK) == 0 || errno != ENOENT;
  buf_deinit(&path);
  return there;
}

static bool nothing_applied(const Engine *engine, Error *err)
{
  return error_set(err, ERR_NOT_FOUND, "nothing has been applied yet: run `tidemark apply`%s",
                   is_there(engine->project, "definitions")
                       ? ""
                       : " in a project; this folder is none, name one with -C DIR");
}

// Called with the lock held.
static Db *open_db(Engine *engine, bool create, Error *err)
{
  if (engine->db) {
    return engine->db;
  }
  if (!create && !is_there(engine->store, "data.mdb")) {
    nothing_applied(engine, err);
    return NULL;
  }
  engine->db = db_open(&(DbOptions){.path = engine->store, .map_size = engine->map_size}, err);
  if (engine->db && !writer_recover(engine, engine->db, err)) {
    db_close(engine->db);
    engine->db = NULL;
  }
  return engine->db;
}

Db *engine_db(Engine *engine, bool create, Error *err)
{
  pthread_mutex_lock(&engine->db_lock);
  Db *db = open_db(engine, create, err);
  pthread_mutex_unlock(&engine->db_lock);
  return db;
}

Writer *engine_writer(Engine *engine, Error *err)
{
  pthread_mutex_lock(&engine->writer_lock);
  if (!engine->writer) {
    engine->writer = writer_open(engine, &engine->writing, err);
  }
  Writer *writer = engine->writer;
  pthread_mutex_unlock(&engine->writer_lock);
  return writer;
}

Writer *engine_writer_now(Engine *engine)
{
  pthread_mutex_lock(&engine->writer_lock);
  Writer *writer = engine->writer;
  pthread_mutex_unlock(&engine->writer_lock);
  return writer;
}

Duck *engine_duck(Engine *engine, Error *err)
{
  if (!engine->duck) {
    DuckOptions options = {
        .folder = engine->project,
        .memory_limit = duck_memory(engine),
        .threads = engine->threads,
        .lazy = true,
    };
    engine->duck = duck_open(&options, err);
  }
  return engine->duck;
}

// Reads and decodes the current generation. Called with the lock held.
static bool catalog_reload(Engine *engine, DbRead *read, Error *err)
{
  Arena arena = {0};
  Generation record;
  bool found = false;
  Catalog *catalog = NULL;
  if (registry_get(read, 0, &record, &found, &arena, err)) {
    if (found) {
      catalog = catalog_decode(record.catalog, record.generation, err);
      if (catalog) {
        catalog_set_texts(catalog, record.sources);
      }
    } else {
      nothing_applied(engine, err);
    }
  }
  arena_deinit(&arena);
  if (catalog) {
    catalog_unref(engine->catalog);
    engine->catalog = catalog;
  }
  return catalog != NULL;
}

Catalog *engine_catalog(Engine *engine, DbRead *read, Error *err)
{
  uint64_t generation = 0;
  if (!registry_generation(read, &generation, err)) {
    return NULL;
  }
  if (generation == 0) {
    nothing_applied(engine, err);
    return NULL;
  }
  pthread_mutex_lock(&engine->catalog_lock);
  Catalog *catalog = NULL;
  bool current = engine->catalog && engine->catalog->generation == generation;
  if (current || catalog_reload(engine, read, err)) {
    catalog = catalog_ref(engine->catalog);
  }
  pthread_mutex_unlock(&engine->catalog_lock);
  return catalog;
}

bool engine_pin(Engine *engine, Catalog **catalog, Error *err)
{
  *catalog = NULL;
  if (engine->tried) {
    *catalog = catalog_ref(engine->tried);
    return true;
  }
  Db *db = engine_db(engine, false, err);
  DbRead *read = db ? db_read_new(db, err) : NULL;
  if (!read) {
    return false;
  }
  if (db_read_begin(read, err)) {
    *catalog = engine_catalog(engine, read, err);
    db_read_end(read);
  }
  db_read_free(read);
  return *catalog != NULL;
}

void engine_set_catalog(Engine *engine, const Catalog *catalog, FunctionPool *functions)
{
  const Catalog *before = engine->tried;
  engine->tried = catalog ? catalog_ref(catalog) : NULL;
  engine->functions = functions;
  catalog_unref(before);
}

FunctionPool *engine_functions(const Engine *engine)
{
  return engine->functions;
}

void engine_set_source(Engine *engine, const Source *source, const char *path)
{
  engine->replaced = source;
  engine->replacement = path;
}

const char *engine_source_path(const Engine *engine, const Source *source)
{
  return engine->replaced && source == engine->replaced ? engine->replacement : source->path;
}
