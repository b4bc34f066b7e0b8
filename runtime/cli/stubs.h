#pragma once
// What an editor knows of a project: the words of definitions, and the rows of its functions.

#include "base/arena.h"
#include "data/catalog.h"

// Writes .tidemark/stubs: the words and the library as this program has them, and rows.lua with a
// class `VIEW.row` and `VIEW.features` for each view that has functions. NULL: words and library
// only. `folder` is the project's.
bool stubs_write(const char *folder, const Catalog *catalog, Arena *arena, Error *err);

// Writes rows.lua anew where a project has stubs.
bool stubs_refresh(const char *folder, const Catalog *catalog, Arena *arena, Error *err);
