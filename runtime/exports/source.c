// Files and SQL, for specs.

#include "source/coerce.h"
#include "source/text.h"
#include "source/writer.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT Duck *tidemark_source_open(const DuckOptions *options, Error *err);
EXPORT void tidemark_source_close(Duck *duck);
EXPORT const char *tidemark_source_version(const Duck *duck);
EXPORT bool tidemark_source_describe(Duck *duck, const Table *table, TableColumn **columns,
                                     size_t *count, Arena *arena, Error *err);
EXPORT Reader *tidemark_source_reader_open(Duck *duck, const Table *table,
                                           const ReaderColumn *columns, size_t count, Error *err);
EXPORT bool tidemark_source_reader_next(Reader *reader, Batch *batch, Error *err);
EXPORT uint64_t tidemark_source_reader_total(Reader *reader);
EXPORT void tidemark_source_reader_close(Reader *reader);

// What write_file gets, with batches that are there already instead of a producer.
typedef struct {
  const char *path;
  const Table *left;
  const Passthrough *passthrough;
  const char *const *names;
  const Type *types;
  size_t columns;
  const Batch *batches;
  size_t batch_count;
  size_t fail_after;  // batches that are given before the producer fails; SIZE_MAX: it does not
} SourceWrite;

EXPORT bool tidemark_source_write(Duck *duck, const SourceWrite *request, uint64_t *rows,
                                  Error *err);
EXPORT size_t tidemark_source_print_float64(double value, char *out);
EXPORT size_t tidemark_source_print_float32(float value, char *out);
EXPORT bool tidemark_source_parse_float(const char *text, size_t size, double *value);
EXPORT bool tidemark_source_parse_int(const char *text, size_t size, int64_t *value);
EXPORT bool tidemark_source_is_utf8(const char *text, size_t size);

Duck *tidemark_source_open(const DuckOptions *options, Error *err)
{
  return duck_open(options, err);
}

void tidemark_source_close(Duck *duck)
{
  duck_close(duck);
}

const char *tidemark_source_version(const Duck *duck)
{
  return duck_version(duck);
}

bool tidemark_source_describe(Duck *duck, const Table *table, TableColumn **columns, size_t *count,
                              Arena *arena, Error *err)
{
  return table_describe(duck, table, columns, count, arena, err);
}

Reader *tidemark_source_reader_open(Duck *duck, const Table *table, const ReaderColumn *columns,
                                    size_t count, Error *err)
{
  return reader_open(duck, table, columns, count, NULL, err);
}

bool tidemark_source_reader_next(Reader *reader, Batch *batch, Error *err)
{
  return reader_next(reader, batch, err);
}

uint64_t tidemark_source_reader_total(Reader *reader)
{
  return reader_total(reader);
}

void tidemark_source_reader_close(Reader *reader)
{
  reader_close(reader);
}

typedef struct {
  const SourceWrite *request;
  size_t at;
} Batches;

static bool next_batch(void *context, Batch *batch, Error *err)
{
  Batches *batches = context;
  if (batches->at == batches->request->fail_after) {
    return error_set(err, ERR_DATA, "the producer failed");
  }
  bool more = batches->at < batches->request->batch_count;
  *batch = more ? batches->request->batches[batches->at++] : (Batch){0};
  return true;
}

bool tidemark_source_write(Duck *duck, const SourceWrite *request, uint64_t *rows, Error *err)
{
  Batches batches = {.request = request};
  Producer producer = {
      .next = next_batch,
      .context = &batches,
      .names = request->names,
      .types = request->types,
      .count = request->columns,
  };
  return write_file(duck, request->path, request->left, request->passthrough, &producer, rows, err);
}

size_t tidemark_source_print_float64(double value, char *out)
{
  return text_print_float64(value, out);
}

size_t tidemark_source_print_float32(float value, char *out)
{
  return text_print_float32(value, out);
}

bool tidemark_source_parse_float(const char *text, size_t size, double *value)
{
  return coerce_float_text(slice_of(text, size), value);
}

bool tidemark_source_parse_int(const char *text, size_t size, int64_t *value)
{
  return coerce_int_text(slice_of(text, size), value);
}

bool tidemark_source_is_utf8(const char *text, size_t size)
{
  return utf8_is_valid(slice_of(text, size));
}
