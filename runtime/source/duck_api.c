#include "source/duck_api.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LIBRARY_NAME "libduckdb.so"

// Filled once, under the lock; it stays loaded, since its threads may outlive a database.
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;
static bool loaded_once;
static DuckApi loaded;

static bool find_functions(DuckApi *api, const char *path, Error *err)
{
#define X(result, name, arguments)                                                          \
  *(void **)&api->name = dlsym(api->library, "duckdb_" #name);                              \
  if (!api->name) {                                                                         \
    return error_set(err, ERR_UNAVAILABLE,                                                  \
                     "%s has no function duckdb_" #name ": use DuckDB 1.4 or newer", path); \
  }
  DUCK_FUNCTIONS(X)
#undef X
  if (api->vector_size() != DUCK_VECTOR_SIZE) {
    return error_set(err, ERR_UNAVAILABLE, "%s was built with an unusual vector size", path);
  }
  return true;
}

static void *open_library(const char *path)
{
  return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

// The library beside the binary or in a folder beside it; NULL when it is not there.
static void *open_beside_binary(const char *folder, char *path, size_t size)
{
  char binary[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", binary, sizeof(binary) - 1);
  if (length <= 0) {
    return NULL;
  }
  binary[length] = '\0';
  char *slash = strrchr(binary, '/');
  if (!slash) {
    return NULL;
  }
  *slash = '\0';
  snprintf(path, size, "%s/%s" LIBRARY_NAME, binary, folder);
  return access(path, R_OK) == 0 ? open_library(path) : NULL;
}

static bool open_anywhere(DuckApi *api, char *path, size_t size)
{
  api->library = open_beside_binary("", path, size);
  if (!api->library) {
    api->library = open_beside_binary("../deps/", path, size);
  }
  if (!api->library) {
    snprintf(path, size, LIBRARY_NAME);
    api->library = open_library(path);
  }
  return api->library != NULL;
}

static bool load(DuckApi *api, const char *path, Error *err)
{
  char found[PATH_MAX + 32];
  const char *variable = getenv("TIDEMARK_DUCKDB");
  if (!path && variable && *variable) {
    path = variable;
  }
  if (path) {
    snprintf(found, sizeof(found), "%s", path);
    api->library = open_library(path);
    if (!api->library) {
      return error_set(err, ERR_UNAVAILABLE, "cannot load DuckDB: %s", dlerror());
    }
  } else if (!open_anywhere(api, found, sizeof(found))) {
    return error_set(err, ERR_UNAVAILABLE,
                     "files need DuckDB, and " LIBRARY_NAME " was not found: set TIDEMARK_DUCKDB "
                     "to its path or put it beside the tidemark binary");
  }
  return find_functions(api, found, err);
}

bool duck_api_load(DuckApi *api, const char *path, Error *err)
{
  pthread_mutex_lock(&loading);
  bool ok = loaded_once;
  if (!ok) {
    DuckApi fresh = {0};
    ok = load(&fresh, path, err);
    if (ok) {
      loaded = fresh;
      loaded_once = true;
    }
  }
  *api = loaded;
  pthread_mutex_unlock(&loading);
  return ok;
}

const DuckApi *duck_api(void)
{
  return &loaded;
}
