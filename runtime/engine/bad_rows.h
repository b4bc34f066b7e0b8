#pragma once
// Rows of sources that hold values they must not: counted and, if a file is named, written aside,
// one JSON object per value: {"source":…,"file":…,"row":…,"column":…,"message":…}. Rows count
// from 1. A row for which a function of the view failed has null for its column.

#include "engine/engine.h"
#include "source/reader.h"

typedef struct BadRows BadRows;

// `path`: .jsonl, relative ones start at the project; NULL: they are only counted. The file appears
// when all is done.
BadRows *bad_rows_open(const Engine *engine, const char *path, Error *err);
bool bad_rows_finish(BadRows *rows, Error *err);  // gives the file its name
void bad_rows_close(BadRows *rows);  // NULL is allowed; removes a file that is not finished

// What takes the values of a source from now on. One source at a time; `written`: they were seen
// before, so they are not written again.
const BadValues *bad_rows_of(BadRows *rows, const char *source, bool written);
