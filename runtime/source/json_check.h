#pragma once
// A first look at a JSON file, before DuckDB reads it: whether it is rows at all, and how many.
// DuckDB would take a file of other values for a column of its own making, and values that are
// nested very deeply for more stack than there is.

#include "source/table.h"

// Counts the rows of a file: objects one after the other, or, where it is not .jsonl, in one array.
// Anything else between them, a byte order mark, or values nested too deeply are an error that
// names file and row. What is inside of the objects is not checked further.
bool json_check(const TableFiles *files, size_t file, uint64_t *rows, Error *err);
