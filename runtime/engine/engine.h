#pragma once
// What a command or a connection works with: a project folder, its store, the catalog that was
// applied, and (for files) DuckDB. The use cases are in the other files of engine/; none of them
// knows argv, sockets or how results are printed.
//
// An Engine may be shared by threads for engine_db and engine_catalog; everything else is one
// thread's.

#include "base/buf.h"
#include "data/catalog.h"
#include "source/duck.h"
#include "store/db.h"

typedef struct Engine Engine;
typedef struct FunctionPool FunctionPool;  // engine/function_pool.h

#define ENGINE_MEMORY_LEAST (UINT64_C(192) << 20)  // bytes of EngineOptions.memory_limit
#define ENGINE_MAP_LEAST (UINT64_C(1) << 20)       // of map_size: the tables and a first apply fit

typedef struct {
  const char *project;    // folder; NULL: "."
  const char *store;      // folder; NULL: $TIDEMARK_STORE or <project>/.tidemark/store
  uint64_t memory_limit;  // bytes for jobs, DuckDB's share included; 0: 1 GiB
  unsigned threads;       // 0: all
  uint64_t map_size;      // bytes the store may have at most; 0: $TIDEMARK_MAP_SIZE, then db.h's
  bool relaxed;           // pushes are answered before they are on the disk (engine/writer.h)
  uint64_t queue_bytes;   // pushes that wait for the log, at most; 0: the writer's default
} EngineOptions;

// One line of a long job. `total` is 0 when it is not known.
typedef struct {
  const char *what;  // `driver_hourly_stats: reading`
  uint64_t done;
  uint64_t total;
} Progress;

typedef void (*ProgressFunction)(void *context, const Progress *progress);

// Opens the project. The store is opened when it is first needed, and made by apply only.
Engine *engine_open(const EngineOptions *options, Error *err);
void engine_close(Engine *engine);

// Ends the writing of pushed rows. False when not everything could be applied to the store: it is
// in the log, and will be when the store is opened again. Nothing is pushed any more.
bool engine_finish(Engine *engine, Error *err);

void engine_on_progress(Engine *engine, ProgressFunction function, void *context);
// Reports progress at most every 50 ms; false when the job was cancelled (err says so).
bool engine_progress(Engine *engine, const Progress *progress, Error *err);
// Ends running jobs at their next step. Async-signal-safe.
void engine_cancel(Engine *engine);

const char *engine_project(const Engine *engine);
unsigned engine_threads(const Engine *engine);       // as asked for: 0 for all
uint64_t engine_memory(const Engine *engine);        // bytes a job may take beside DuckDB
uint64_t engine_memory_limit(const Engine *engine);  // all in all, as asked for
const char *engine_store(const Engine *engine);      // the store's folder
Db *engine_db(Engine *engine, bool create, Error *err);
Duck *engine_duck(Engine *engine, Error *err);

// The writer of pushed rows, opened when it is first needed; ERR_UNAVAILABLE while another process
// has the log. Any thread.
struct Writer *engine_writer(Engine *engine, Error *err);
struct Writer *engine_writer_now(Engine *engine);  // NULL while none is open. Any thread.

// The catalog of the snapshot that `read` is on; one reference is the caller's. Decoded anew only
// when the generation has changed. Fails with "nothing has been applied yet: run `tidemark apply`".
Catalog *engine_catalog(Engine *engine, DbRead *read, Error *err);

// The same for a job that needs no other read: opens one for a moment.
bool engine_pin(Engine *engine, Catalog **catalog, Error *err);

// For trying definitions that are not applied: engine_pin gives this catalog from here on, rather
// than the store's, and jobs borrow its functions; NULL, NULL ends that. A reference is kept.
void engine_set_catalog(Engine *engine, const Catalog *catalog, FunctionPool *functions);
FunctionPool *engine_functions(const Engine *engine);  // NULL where a job opens its own

// The rows of this source come from another file, until the next call; NULL, NULL ends that. Both
// are borrowed.
void engine_set_source(Engine *engine, const Source *source, const char *path);
const char *engine_source_path(const Engine *engine, const Source *source);  // NULL with SQL
