#pragma once
// The definition files of a project and those they may require: found, read and checked to be text.

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

enum {
  FILES_MAX_SIZE = 1 << 20,  // bytes of one file
  FILES_MAX_COUNT = 10000,
  FILES_MAX_TOTAL = 64 << 20,  // bytes of all files
  FILES_MAX_DEPTH = 32,        // folders inside one another
};

typedef struct {
  const char *path;     // "definitions/drivers/hourly.lua"
  Slice text;           // empty when there is a problem
  const char *problem;  // why it cannot be used; NULL when it can
} DefinitionFile;

typedef struct {
  DefinitionFile *items;  // sorted by path
  size_t count;
  size_t capacity;
  size_t bytes;  // of all texts
} DefinitionFiles;

// Reads definitions/**/*.lua and lib/**/*.lua below `folder` into the arena. A file or folder that
// cannot be used is an item with a problem. Fails when there is no definitions folder.
bool files_read(const char *folder, DefinitionFiles *files, Arena *arena, Error *err);

// The files of a stored map of texts (host/host.h: HostDefinitions.sources). The texts are
// borrowed.
bool files_from_texts(Slice texts, DefinitionFiles *files, Arena *arena, Error *err);

// Appends a file; its strings are borrowed.
void files_add(DefinitionFiles *files, DefinitionFile file, Arena *arena);

// Sorts by path, so that the order does not depend on the file system.
void files_sort(DefinitionFiles *files);

// Why `text` cannot be a definition file: too large, not UTF-8. NULL when it can.
const char *files_text_problem(Slice text);
