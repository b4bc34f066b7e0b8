// The join over columns in memory, timed as the other engines are in memory: one spine, one view.
//
//   memory FOLDER int64|string THREADS FEATURES TTL_SECONDS JOINS [OUT]
//
// FOLDER holds plain arrays, made by data.py: SIDE_user_id.data (and .offsets of strings),
// SIDE_event_timestamp.data, view_created.data, view_v1_fN.data, where SIDE is spine or view. The
// clock covers everything from the key columns to gathered feature columns in spine order. Joins
// so many times, and tells the first time, which pays for the memory that the later ones find
// there, from the median of the others. Prints one line of JSON; with OUT, writes the gathered
// columns into that folder (null as NaN).

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/pages.h"
#include "join/asof.h"

enum {
  BLOCK = 2048,
  SHARE = 32 * BLOCK,
  MAX_THREADS = 64,
  MAX_FEATURES = 64,
  MAX_JOINS = 100,
  PATH_SIZE = 4096
};

typedef struct {
  size_t rows;
  Column keys;
  Time *times;
  Time *created;
} Side;

typedef struct {
  const char *folder;
  bool strings;
  size_t threads;
  size_t features;
  int64_t ttl;  // microseconds
  size_t joins;
} Options;

typedef struct {
  Side spine;
  Side view;
  double *features[MAX_FEATURES];
} Tables;

typedef struct {
  const Tables *tables;
  const KeySet *keys;
  const AsofMatches *matches;
  AsofSlots *slots;
  atomic_size_t *next;  // first row that no thread has taken
  size_t feature_count;
  double **answer;
} Worker;

// Tables ------------------------------------------------------------------------------------------

static void *read_file(const char *folder, const char *name, size_t *size)
{
  char path[PATH_SIZE];
  snprintf(path, sizeof(path), "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) {
    fprintf(stderr, "%s: cannot be read; run data.py --arrays\n", path);
    exit(1);
  }
  *size = (size_t)ftell(file);
  rewind(file);
  void *bytes = pages_zalloc(*size, 1);
  if (fread(bytes, 1, *size, file) != *size) {
    fprintf(stderr, "%s: cannot be read\n", path);
    exit(1);
  }
  fclose(file);
  return bytes;
}

static void *read_column(const char *folder, const char *side, const char *column, size_t *size)
{
  char name[256];
  snprintf(name, sizeof(name), "%s_%s", side, column);
  return read_file(folder, name, size);
}

// Strings as slices into their text, which is what a reader hands to the kernel.
static Slice *read_strings(const char *folder, const char *side, size_t *rows)
{
  size_t size;
  int64_t *offsets = read_column(folder, side, "user_id.offsets", &size);
  *rows = size / sizeof(int64_t) - 1;
  const char *text = read_column(folder, side, "user_id.data", &size);
  Slice *slices = pages_zalloc(*rows, sizeof(Slice));
  for (size_t row = 0; row < *rows; row++) {
    slices[row] = slice_of(text + offsets[row], (size_t)(offsets[row + 1] - offsets[row]));
  }
  pages_free(offsets, *rows + 1, sizeof(int64_t));
  return slices;
}

static Side read_side(const Options *options, const char *name)
{
  Side side = {0};
  size_t size;
  if (options->strings) {
    side.keys.type.kind = TYPE_STRING;
    side.keys.data = read_strings(options->folder, name, &side.rows);
  } else {
    side.keys.type.kind = TYPE_INT64;
    side.keys.data = read_column(options->folder, name, "user_id.data", &size);
    side.rows = size / sizeof(int64_t);
  }
  side.times = read_column(options->folder, name, "event_timestamp.data", &size);
  return side;
}

static Tables read_tables(const Options *options)
{
  Tables tables = {.spine = read_side(options, "spine"), .view = read_side(options, "view")};
  size_t size;
  tables.view.created = read_column(options->folder, "view", "created.data", &size);
  for (size_t i = 0; i < options->features; i++) {
    char name[32];
    snprintf(name, sizeof(name), "v1_f%zu.data", i + 1);
    tables.features[i] = read_column(options->folder, "view", name, &size);
  }
  return tables;
}

// The join ----------------------------------------------------------------------------------------

static Column column_from(Column column, size_t row)
{
  size_t width = column.type.kind == TYPE_STRING ? sizeof(Slice) : sizeof(int64_t);
  column.data = (const char *)column.data + row * width;
  return column;
}

static void stream_block(const Worker *worker, size_t from, size_t count)
{
  uint32_t numbers[BLOCK];
  const Side *view = &worker->tables->view;
  Column keys = column_from(view->keys, from);
  key_set_find(worker->keys, &keys, count, numbers);
  AsofBlock block = {
      .count = count,
      .keys = numbers,
      .event_times = view->times + from,
      .created_times = view->created + from,
      .first_arrival = from,
  };
  asof_add(worker->slots, &block);
}

// Each thread takes shares of the view until none is left.
static void *stream(void *argument)
{
  Worker *worker = argument;
  size_t rows = worker->tables->view.rows;
  for (;;) {
    size_t from = atomic_fetch_add(worker->next, SHARE);
    size_t end = from + SHARE < rows ? from + SHARE : rows;
    if (from >= rows) {
      return NULL;
    }
    for (; from < end; from += BLOCK) {
      stream_block(worker, from, end - from < BLOCK ? end - from : BLOCK);
    }
  }
}

// One column for one share of the spine at a time: reads stay within one array.
static void gather_block(const Worker *worker, size_t from, size_t end)
{
  const uint64_t *arrivals = worker->matches->arrivals;
  for (size_t i = 0; i < worker->feature_count; i++) {
    const double *values = worker->tables->features[i];
    double *out = worker->answer[i];
    for (size_t row = from; row < end; row++) {
      size_t ahead = row + 16 < end ? row + 16 : row;
      if (arrivals[ahead] != ASOF_NONE) {
        __builtin_prefetch(&values[arrivals[ahead]]);
      }
      out[row] = arrivals[row] == ASOF_NONE ? (double)NAN : values[arrivals[row]];
    }
  }
}

static void *gather(void *argument)
{
  Worker *worker = argument;
  size_t rows = worker->tables->spine.rows;
  for (;;) {
    size_t from = atomic_fetch_add(worker->next, SHARE);
    if (from >= rows) {
      return NULL;
    }
    gather_block(worker, from, from + SHARE < rows ? from + SHARE : rows);
  }
}

static void run_threads(Worker *workers, size_t threads, void *(*work)(void *))
{
  pthread_t handles[MAX_THREADS];
  atomic_size_t next = 0;
  for (size_t i = 0; i < threads; i++) {
    workers[i].next = &next;
    if (pthread_create(&handles[i], NULL, work, &workers[i])) {
      fprintf(stderr, "a thread cannot be started\n");
      exit(1);
    }
  }
  for (size_t i = 0; i < threads; i++) {
    pthread_join(handles[i], NULL);
  }
}

static AsofMatches matches_new(size_t rows)
{
  return (AsofMatches){.arrivals = pages_zalloc(rows, sizeof(uint64_t))};
}

// Streams the view into one set of slots per thread; the greatest of them all is what matches.
static void match(Worker *workers, const Options *options, const Spine *spine, AsofMatches *matches)
{
  AsofRule rule = {.ttl = options->ttl, .as_of_created = TIME_MAX, .drop_expired = true};
  AsofSlots *sets[MAX_THREADS];
  for (size_t i = 0; i < options->threads; i++) {
    sets[i] = asof_new(spine, rule);
    workers[i].slots = sets[i];
  }
  run_threads(workers, options->threads, stream);
  asof_finish(sets, options->threads, (unsigned)options->threads, matches);
  for (size_t i = 0; i < options->threads; i++) {
    asof_free(sets[i]);
  }
}

static void join(const Tables *tables, const Options *options, double **answer)
{
  size_t rows = tables->spine.rows;
  uint32_t *numbers = pages_zalloc(rows, sizeof(uint32_t));
  KeySet *keys = key_set_new(&tables->spine.keys.type, 1);
  key_set_add(keys, &tables->spine.keys, rows, numbers);
  Spine spine;
  if (!spine_init(&spine, numbers, key_set_count(keys), tables->spine.times, rows,
                  (unsigned)options->threads)) {
    fprintf(stderr, "the spine has too many rows\n");
    exit(1);
  }
  pages_free(numbers, rows, sizeof(uint32_t));

  AsofMatches matches = matches_new(rows);
  Worker workers[MAX_THREADS];
  for (size_t i = 0; i < options->threads; i++) {
    workers[i] = (Worker){.tables = tables,
                          .keys = keys,
                          .matches = &matches,
                          .feature_count = options->features,
                          .answer = answer};
  }
  match(workers, options, &spine, &matches);
  for (size_t i = 0; i < options->features; i++) {
    answer[i] = pages_zalloc(rows, sizeof(double));
  }
  run_threads(workers, options->threads, gather);

  pages_free(matches.arrivals, rows, sizeof(uint64_t));
  spine_deinit(&spine);
  key_set_free(keys);
}

// Report ------------------------------------------------------------------------------------------

// A field of /proc/self/status, in bytes.
static size_t process_status(const char *field)
{
  FILE *file = fopen("/proc/self/status", "r");
  char line[256];
  size_t kilobytes = 0;
  while (file && fgets(line, sizeof(line), file)) {
    if (!strncmp(line, field, strlen(field))) {
      kilobytes = strtoull(line + strlen(field) + 1, NULL, 10);
    }
  }
  if (file) {
    fclose(file);
  }
  return kilobytes * 1024;
}

static void forget_peak(void)
{
  FILE *file = fopen("/proc/self/clear_refs", "w");
  if (file) {
    fputs("5", file);
    fclose(file);
  }
}

static void write_answer(const char *folder, double **answer, size_t features, size_t rows)
{
  for (size_t i = 0; i < features; i++) {
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%s/v1_f%zu.data", folder, i + 1);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(answer[i], sizeof(double), rows, file) != rows || fclose(file)) {
      fprintf(stderr, "%s: cannot be written\n", path);
      exit(1);
    }
  }
}

static Options parse(int count, char **arguments)
{
  Options options = {0};
  if (count >= 7) {
    options.folder = arguments[1];
    options.strings = !strcmp(arguments[2], "string");
    options.threads = strtoull(arguments[3], NULL, 10);
    options.features = strtoull(arguments[4], NULL, 10);
    options.ttl = strtoll(arguments[5], NULL, 10) * 1000000;
    options.joins = strtoull(arguments[6], NULL, 10);
  }
  if (options.threads < 1 || options.threads > MAX_THREADS || options.features < 1
      || options.features > MAX_FEATURES || options.joins < 1 || options.joins > MAX_JOINS) {
    fprintf(stderr, "usage: memory FOLDER int64|string THREADS FEATURES TTL_SECONDS JOINS [OUT]\n");
    exit(2);
  }
  return options;
}

static int compare_seconds(const void *a, const void *b)
{
  double left = *(const double *)a;
  double right = *(const double *)b;
  return (left > right) - (left < right);
}

static double median(double *seconds, size_t count)
{
  qsort(seconds, count, sizeof(*seconds), compare_seconds);
  return (seconds[(count - 1) / 2] + seconds[count / 2]) / 2;
}

int main(int count, char **arguments)
{
  Options options = parse(count, arguments);
  Tables tables = read_tables(&options);
  double *answer[MAX_FEATURES] = {0};
  double seconds[MAX_JOINS];

  forget_peak();
  size_t before = process_status("VmRSS:");
  for (size_t i = 0; i < options.joins; i++) {
    for (size_t feature = 0; feature < options.features; feature++) {
      pages_free(answer[feature], tables.spine.rows, sizeof(double));
    }
    uint64_t start = clock_monotonic_ns();
    join(&tables, &options, answer);
    seconds[i] = (double)(clock_monotonic_ns() - start) * 1e-9;
  }
  size_t peak = process_status("VmHWM:");

  double first = seconds[0];
  double typical = options.joins > 1 ? median(seconds + 1, options.joins - 1) : first;
  printf("{\"seconds\": %.6f, \"first_seconds\": %.6f, \"extra_bytes\": %zu}\n", typical, first,
         peak > before ? peak - before : 0);
  if (count > 7) {
    write_answer(arguments[7], answer, options.features, tables.spine.rows);
  }
  fflush(stdout);
  _exit(0);  // the tables go with the process
}
