#pragma once
// What the files of source/ share about an open DuckDB: connections, queries, streams of chunks.

#include <pthread.h>

#include "base/arena.h"
#include "base/buf.h"
#include "source/duck.h"
#include "source/duck_api.h"
#include "source/rows.h"

enum { DUCK_ROWS_MAX = 8 };  // tables of ours that SQL can read at one time

struct Duck {
  pthread_mutex_t lock;  // of loading
  bool loaded;
  char *library;  // the rest of the options, until it is loaded; NULL: to be searched
  uint64_t memory_limit;
  unsigned threads;
  DuckApi api;
  DuckDatabase database;
  DuckConnection connection;  // for short queries; streams have their own
  char *folder;               // NULL: the process's
  char *temp_folder;
  bool reads_parquet;
  RowsSource *rows[DUCK_ROWS_MAX];  // what tidemark_rows(n) reads; NULL where free
};

// Turns DuckDB's message into an error of ours: its first line, without the class in front. Returns
// false.
bool duck_failed(Error *err, const char *message);

// Runs a statement for its effect.
bool duck_run(Duck *duck, const char *sql, Error *err);

// Runs a query and gives its rows as text, one after the other, `columns` to a row, in the arena; a
// null is NULL.
bool duck_select(Duck *duck, const char *sql, const char ***values, size_t *rows, size_t *columns,
                 Arena *arena, Error *err);

// The result of a query, a chunk at a time, in order.
struct DuckStream {
  Duck *duck;
  DuckConnection connection;
  DuckStatement statement;
  DuckResult result;
  bool has_result;
  DuckChunk chunk;  // valid until the next call
};                  // the zero value is a closed stream

bool duck_stream_open(DuckStream *stream, Duck *duck, const char *sql, Error *err);
// Moves to the next chunk; *rows is 0 at the end.
bool duck_stream_next(DuckStream *stream, size_t *rows, Error *err);
void duck_stream_close(DuckStream *stream);

// 'text' and "name" as SQL writes them.
void duck_put_text(Buf *sql, const char *text);
void duck_put_name(Buf *sql, const char *name);

// `path` as the process can open it: relative ones are put under the folder. In the arena.
const char *duck_path(const Duck *duck, const char *path, Arena *arena);
