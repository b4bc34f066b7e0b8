#pragma once
// What a path or a query stands for: the files behind it, in order, and the SQL that reads them.

#include "base/buf.h"
#include "source/reader.h"

typedef enum { FORMAT_PARQUET, FORMAT_CSV, FORMAT_JSON, FORMAT_JSONL, FORMAT_PACKED } Format;

// The format an extension stands for; false for others.
bool format_of(const char *path, Format *format);

// A column that folders stand for: `day` of data/day=2021-04-12/rows.parquet. Always text.
typedef struct {
  const char *name;
  const char **values;  // per file; NULL: null
} TablePartition;

typedef struct {
  Format format;       // of the spool for SQL
  const char **paths;  // as the process opens them, in order
  const char **names;  // as messages call them
  size_t count;
  const char *spool;           // temporary file to be removed; NULL: none
  const char *sql;             // SQL that was not run: only described; NULL: files
  TablePartition *partitions;  // of folders and globs
  size_t partition_count;
  const char **mixed;  // Parquet columns whose type is not the same in all files
  size_t mixed_count;
  bool exact;  // columns of JSON whose numbers would lose digits have no type of ours
  bool blank;  // files of JSON or msgpack without a row, so that nothing says what columns there
               // are: any that is asked for is one
  Arena arena;
} TableFiles;  // the zero value is closed

// Finds the files: of a path, of a glob (`**` crosses folders), or all in a folder and below it,
// which must be of one format; names that begin with `.` or `_` are left out. With `run`, SQL is
// run into a temporary Parquet file that is read in its place.
bool table_open(TableFiles *files, Duck *duck, const Table *table, bool run, Error *err);
void table_close(TableFiles *files);

// The partition column of this name; NULL when it is none.
const TablePartition *table_partition(const TableFiles *files, const char *name);

// Names and types, in order; text in the arena. Partition columns come last.
bool table_columns(const TableFiles *files, Duck *duck, TableColumn **columns, size_t *count,
                   Arena *arena, Error *err);

// Puts the FROM item that reads all rows (Parquet only). Where `columns` says how many there are,
// table_put_column puts what SQL has to call one of them: to it names that differ in case are one.
void table_put_from(const TableFiles *files, size_t columns, Buf *sql);
void table_put_column(Buf *sql, size_t column);

// Rows of Parquet files; 0 when they cannot be read. Cheap.
uint64_t table_count_rows(const TableFiles *files, Duck *duck);

// The file and the position in it (from 0) of a row of all of them; asks DuckDB, so only for
// errors.
void table_place(const TableFiles *files, Duck *duck, uint64_t row, const char **name,
                 uint64_t *position);

// What a column of Parquet decimals is called that nobody here can read.
#define TABLE_WIDE_DECIMAL "WIDE DECIMAL"

// The type of ours that is nearest to one of DuckDB's; false when it is no value of ours.
bool table_type(Slice type_text, Type *type);

// Fails with ERR_NOT_FOUND and the nearest name there is.
bool table_no_column(const TableFiles *files, const char *name, const TableColumn *columns,
                     size_t count, const char *what, Error *err);
