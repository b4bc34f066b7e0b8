#pragma once
// What an editor knows of a project: the words of definitions, and the rows of its functions.

#include "engine/engine.h"

// Writes the words and the library, as this program has them, to .tidemark/stubs of a project.
bool stubs_write_words(const char *folder, Arena *arena, Error *err);

// Writes rows.lua beside them, with a class `VIEW.row` and `VIEW.features` for each view that has
// functions. A row has the fields that the functions use, and those that they could: the columns
// of the source.
bool stubs_write_rows(Engine *engine, const Catalog *catalog, Arena *arena, Error *err);

// The same where a project has stubs; nothing elsewhere.
bool stubs_refresh(Engine *engine, const Catalog *catalog, Arena *arena, Error *err);
