// Times the join kernels alone, over columns in memory:
//
//   join_kernel [ROWS_OF_SPINE ROWS_OF_VIEW KEYS [RUNS]]      default 1000000 10000000 100000 3
//
// For each kind of key, order of the view and number of threads it prints the nanoseconds per row
// of the view that every step takes, the seconds in all (medians over the runs), and the bytes
// held. A checksum of the answers is printed last: it must not depend on the threads.

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/hash.h"
#include "base/mem.h"
#include "join/asof.h"

enum { CHUNK = 2048, SHARE = 32 * CHUNK, MAX_THREADS = 2, MAX_RUNS = 15, KEY_TEXT = 16 };

static const Time DAY = INT64_C(86400) * 1000000;

typedef enum { KEYS_DENSE, KEYS_SPARSE, KEYS_STRING } KeyKind;

typedef struct {
  KeyKind kind;
  bool sorted;  // the view comes in the order of event time
  bool zipf;    // few keys have most rows
  bool hot;     // one key has all rows
} Shape;

// Rows of one side.
typedef struct {
  size_t rows;
  Column keys;
  Time *times;
  Time *created;
  void *values;  // what the key column points to
  char *text;
} Side;

typedef struct {
  double keys_built;
  double index;
  double keys_found;
  double stream;
  double finish;
  double all;
  size_t bytes;
  uint64_t checksum;
} Figures;

// Input -------------------------------------------------------------------------------------------

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
  random_state += UINT64_C(0x9e3779b97f4a7c15);
  return hash_u64(random_state);
}

static double random_real(void)
{
  return (double)(random_next() >> 11) * 0x1p-53;
}

// Key ranks by 1 / rank, approximated by its continuous form: exp of a uniform draw.
static uint64_t draw_key(Shape shape, uint64_t keys)
{
  if (shape.hot) {
    return 0;
  }
  if (!shape.zipf) {
    return random_next() % keys;
  }
  double rank = __builtin_exp(random_real() * __builtin_log((double)keys));
  uint64_t key = (uint64_t)rank - 1;
  return key < keys ? key : keys - 1;
}

static void make_keys(Side *side, Shape shape, uint64_t keys)
{
  bool is_string = shape.kind == KEYS_STRING;
  side->values = mem_realloc(NULL, side->rows, is_string ? sizeof(Slice) : sizeof(int64_t));
  side->text = is_string ? mem_realloc(NULL, side->rows, KEY_TEXT) : NULL;
  for (size_t row = 0; row < side->rows; row++) {
    uint64_t key = draw_key(shape, keys);
    if (is_string) {
      char *text = side->text + row * KEY_TEXT;
      int size = snprintf(text, KEY_TEXT, "user-%08x", (unsigned)key);
      ((Slice *)side->values)[row] = slice_of(text, (size_t)size);
    } else {
      ((uint64_t *)side->values)[row] = shape.kind == KEYS_DENSE ? key : hash_u64(key);
    }
  }
  side->keys.type.kind = is_string ? TYPE_STRING : TYPE_INT64;
  side->keys.data = side->values;
}

static int by_time(const void *a, const void *b)
{
  Time left = *(const Time *)a;
  Time right = *(const Time *)b;
  return (left > right) - (left < right);
}

static Side make_side(size_t rows, Shape shape, uint64_t keys, bool sorted)
{
  Side side = {.rows = rows};
  make_keys(&side, shape, keys);
  side.times = mem_realloc(NULL, rows, sizeof(Time));
  side.created = mem_realloc(NULL, rows, sizeof(Time));
  for (size_t row = 0; row < rows; row++) {
    side.times[row] = 19000 * DAY + (Time)(random_next() % (uint64_t)(30 * DAY));
  }
  if (sorted) {
    qsort(side.times, rows, sizeof(Time), by_time);
  }
  for (size_t row = 0; row < rows; row++) {
    side.created[row] = side.times[row] + (Time)(random_next() % (uint64_t)DAY);
  }
  return side;
}

static void free_side(Side *side)
{
  free(side->values);
  free(side->text);
  free(side->times);
  free(side->created);
}

// The join ----------------------------------------------------------------------------------------

typedef struct {
  const Side *view;
  const KeySet *keys;
  const Spine *spine;
  AsofRule rule;
  atomic_size_t *next;  // first row that no thread has taken
  AsofSlots *slots;
  double keys_found;
  double stream;
} Worker;

// Time this thread has been running: steps are told in it, so that a busy machine disturbs less.
static double thread_seconds(void)
{
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double wall_seconds(void)
{
  return (double)clock_monotonic_ns() * 1e-9;
}

static Column column_from(Column column, size_t row)
{
  size_t width = column.type.kind == TYPE_STRING ? sizeof(Slice) : sizeof(int64_t);
  column.data = (const char *)column.data + row * width;
  return column;
}

static void join_chunk(Worker *worker, size_t from, size_t count)
{
  uint32_t numbers[CHUNK];
  const Side *view = worker->view;
  double start = thread_seconds();
  Column keys = column_from(view->keys, from);
  key_set_find(worker->keys, &keys, count, numbers);
  double found = thread_seconds();
  AsofBlock block = {
      .count = count,
      .keys = numbers,
      .event_times = view->times + from,
      .created_times = view->created + from,
      .first_arrival = from,
  };
  asof_add(worker->slots, &block);
  worker->keys_found += found - start;
  worker->stream += thread_seconds() - found;
}

static void *work(void *argument)
{
  Worker *worker = argument;
  size_t rows = worker->view->rows;
  worker->slots = asof_new(worker->spine, worker->rule);
  for (;;) {
    size_t from = atomic_fetch_add(worker->next, SHARE);
    size_t end = from + SHARE < rows ? from + SHARE : rows;
    if (from >= rows) {
      return NULL;
    }
    for (; from < end; from += CHUNK) {
      join_chunk(worker, from, end - from < CHUNK ? end - from : CHUNK);
    }
  }
}

// Streams the whole view through `threads` sets of slots.
static void stream(Worker like, size_t threads, AsofSlots **sets, Figures *figures)
{
  Worker workers[MAX_THREADS];
  pthread_t handles[MAX_THREADS];
  atomic_size_t next = 0;
  like.next = &next;
  for (size_t i = 0; i < threads; i++) {
    workers[i] = like;
    if (pthread_create(&handles[i], NULL, work, &workers[i])) {
      abort();
    }
  }
  for (size_t i = 0; i < threads; i++) {
    pthread_join(handles[i], NULL);
    sets[i] = workers[i].slots;
    figures->keys_found += workers[i].keys_found;
    figures->stream += workers[i].stream;
    figures->bytes += asof_bytes(sets[i]);
  }
}

static uint64_t checksum_of(const AsofMatches *matches, size_t rows)
{
  uint64_t sum = 0;
  for (size_t row = 0; row < rows; row++) {
    sum = hash_mix(sum ^ matches->arrivals[row],
                   UINT64_C(0x9e3779b97f4a7c15) + matches->statuses[row]);
  }
  return sum;
}

static Figures join(const Side *spine_side, const Side *view, size_t threads, AsofMatches *matches)
{
  Figures figures = {0};
  double wall = wall_seconds();
  double start = thread_seconds();
  uint32_t *numbers = mem_realloc(NULL, spine_side->rows, sizeof(uint32_t));
  KeySet *keys = key_set_new(&spine_side->keys.type, 1);
  key_set_add(keys, &spine_side->keys, spine_side->rows, numbers);
  figures.keys_built = thread_seconds() - start;

  double before = wall_seconds();
  Spine spine;
  spine_init(&spine, numbers, key_set_count(keys), spine_side->times, spine_side->rows,
             (unsigned)threads);
  free(numbers);
  figures.index = wall_seconds() - before;
  figures.bytes = key_set_bytes(keys) + spine_bytes(&spine);

  AsofRule rule = {.ttl = 7 * DAY, .as_of_created = TIME_MAX};
  Worker worker = {.view = view, .keys = keys, .spine = &spine, .rule = rule};
  AsofSlots *sets[MAX_THREADS];
  stream(worker, threads, sets, &figures);
  before = wall_seconds();
  asof_finish(sets, threads, (unsigned)threads, matches);
  figures.finish = wall_seconds() - before;
  figures.all = wall_seconds() - wall;

  figures.checksum = checksum_of(matches, spine_side->rows);
  for (size_t i = 0; i < threads; i++) {
    asof_free(sets[i]);
  }
  spine_deinit(&spine);
  key_set_free(keys);
  return figures;
}

// Report ------------------------------------------------------------------------------------------

static int by_all(const void *a, const void *b)
{
  double left = ((const Figures *)a)->all;
  double right = ((const Figures *)b)->all;
  return (left > right) - (left < right);
}

static const char *shape_name(Shape shape, char *out, size_t size)
{
  static const char *const KINDS[] = {"int64 dense", "int64 sparse", "string"};
  snprintf(out, size, "%s, %s%s", KINDS[shape.kind], shape.sorted ? "sorted" : "unsorted",
           shape.hot    ? ", one key"
           : shape.zipf ? ", zipf"
                        : "");
  return out;
}

static void print_figures(Shape shape, size_t threads, Figures f, size_t rows)
{
  char name[64];
  double ns = 1e9 / (double)rows;
  printf("%-31s %7zu %7.1f %7.1f %7.1f %7.1f %7.1f %8.3f %6.0f  %016lx\n",
         shape_name(shape, name, sizeof(name)), threads, f.keys_built * ns, f.index * ns,
         f.keys_found * ns, f.stream * ns, f.finish * ns, f.all, (double)f.bytes / 1e6,
         (unsigned long)f.checksum);
  fflush(stdout);
}

static void measure(Shape shape, size_t spine_rows, size_t view_rows, uint64_t keys, size_t runs)
{
  random_state = 1;
  Side spine = make_side(spine_rows, shape, keys, false);
  Side view = make_side(view_rows, shape, keys, shape.sorted);
  AsofMatches matches = {
      .arrivals = mem_zalloc(spine_rows, sizeof(uint64_t)),
      .event_times = mem_zalloc(spine_rows, sizeof(Time)),
      .statuses = mem_zalloc(spine_rows, 1),
  };
  for (size_t threads = 1; threads <= MAX_THREADS; threads++) {
    Figures figures[MAX_RUNS];
    for (size_t run = 0; run < runs; run++) {
      figures[run] = join(&spine, &view, threads, &matches);
    }
    qsort(figures, runs, sizeof(*figures), by_all);
    print_figures(shape, threads, figures[0], view_rows);
  }
  free(matches.arrivals);
  free(matches.event_times);
  free(matches.statuses);
  free_side(&spine);
  free_side(&view);
}

static size_t number(int count, char **arguments, int at, size_t otherwise)
{
  return at < count ? strtoull(arguments[at], NULL, 10) : otherwise;
}

int main(int count, char **arguments)
{
  static const Shape SHAPES[] = {
      {.kind = KEYS_DENSE},
      {.kind = KEYS_SPARSE},
      {.kind = KEYS_SPARSE, .sorted = true},
      {.kind = KEYS_SPARSE, .zipf = true},
      {.kind = KEYS_SPARSE, .hot = true},
      {.kind = KEYS_STRING},
      {.kind = KEYS_STRING, .sorted = true, .zipf = true},
  };
  size_t spine_rows = number(count, arguments, 1, 1000000);
  size_t view_rows = number(count, arguments, 2, 10000000);
  size_t keys = number(count, arguments, 3, 100000);
  size_t runs = number(count, arguments, 4, 3);
  if (!spine_rows || !view_rows || !keys || !runs || runs > MAX_RUNS) {
    fprintf(stderr, "usage: join_kernel [SPINE_ROWS VIEW_ROWS KEYS [RUNS]], RUNS up to 15\n");
    return 2;
  }
  printf("spine %zu rows, view %zu rows, %zu keys; ns per row of the view\n", spine_rows, view_rows,
         keys);
  printf("%-31s %7s %7s %7s %7s %7s %7s %8s %6s  %s\n", "keys", "threads", "build", "index", "find",
         "stream", "finish", "seconds", "MB", "checksum");
  for (size_t i = 0; i < sizeof(SHAPES) / sizeof(*SHAPES); i++) {
    measure(SHAPES[i], spine_rows, view_rows, keys, runs);
  }
  return 0;
}
