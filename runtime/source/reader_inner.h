#pragma once
// A reader over files that are found already, for the writer: columns that pass through untouched.

#include "source/json.h"
#include "source/reader.h"
#include "source/table.h"

typedef struct {
  ReaderColumn column;
  JsonAs as;  // where the files are JSON
  const char
      *expression;  // SQL that gives the column's text, for what is not a value of ours; NULL
} LeftColumn;

// `files` stay the caller's and outlive the reader. Other text is copied.
Reader *reader_open_left(Duck *duck, const TableFiles *files, const LeftColumn *columns,
                         size_t count, Error *err);
