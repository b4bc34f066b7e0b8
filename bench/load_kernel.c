// Times the loader of materialize beside LMDB's own sorted append, into fresh stores:
//
//   load_kernel [FOLDER [ROWS [RUNS]]]          default build/bench/load 300000 5
//
// For rows of 950 and of 110 bytes, which come in the order of their keys, or shuffled. What we do
// beside appending is sorting, headers, the counters of changed rows and the mark. Both commit
// transactions of the same size and sync each. Prints rows per second, medians over the runs, and
// the ratios. Shuffled rows are sorted in heaps of MEMORY, as materialize does by default; where
// there are more, a heap touches most pages of those before it.

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "data/key.h"
#include "engine/loader.h"

enum { VIEW = 1, MAX_RUNS = 15, APPEND_BYTES = 64 << 20, MEMORY = 352 << 20, PATH_SIZE = 4096 };

typedef struct {
  size_t row_size;
  size_t rows;
  const uint32_t *order;  // of the keys as they come
  uint8_t *row;           // one encoded row
  char folder[PATH_SIZE];
} Case;

static void fail(const char *what, const char *why)
{
  fprintf(stderr, "load_kernel: %s: %s\n", what, why);
  exit(1);
}

static void check(int rc, const char *what)
{
  if (rc) {
    fail(what, mdb_strerror(rc));
  }
}

// Input -------------------------------------------------------------------------------------------

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
  random_state += UINT64_C(0x9e3779b97f4a7c15);
  uint64_t z = random_state;
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static uint32_t *make_order(size_t count, bool shuffled)
{
  uint32_t *order = mem_alloc(count * sizeof(*order));
  for (size_t i = 0; i < count; i++) {
    order[i] = (uint32_t)i;
  }
  for (size_t i = count; shuffled && i > 1; i--) {
    size_t j = random_next() % i;
    uint32_t other = order[j];
    order[j] = order[i - 1];
    order[i - 1] = other;
  }
  return order;
}

// A row of 11 texts, `size` bytes in all.
static uint8_t *make_row(size_t size)
{
  enum { FEATURES = 11 };
  Buf values = {0};
  Buf row = {0};
  uint32_t ends[FEATURES];
  size_t rest = size - ROW_HEADER - (FEATURES + 1) * sizeof(uint16_t);
  for (size_t i = 0; i < FEATURES; i++) {
    size_t each = rest / (FEATURES - i);
    buf_put_byte(&values, 0xd9);
    buf_put_byte(&values, (uint8_t)(each - 2));
    for (size_t j = 2; j < each; j++) {
      buf_put_byte(&values, (uint8_t)('a' + random_next() % 26));
    }
    rest -= each;
    ends[i] = (uint32_t)values.size;
  }
  RowValues encoded = {.bytes = buf_slice(&values), .ends = ends, .count = FEATURES};
  row_encode_values(&row, (RowRank){1, 1, 1}, false, &encoded, (Slice){0});
  buf_deinit(&values);
  if (row.size != size) {
    fail("a row", "is not as large as it should be");
  }
  return row.data;
}

static Slice make_key(Buf *key, uint32_t number)
{
  buf_reset(key);
  key_put_view(key, VIEW);
  bool null = false;
  MpToken token = {.kind = MP_INT, .integer = number};
  key_put_msgpack(key, (Type){.kind = TYPE_INT64}, &token, &null, NULL);
  return buf_slice(key);
}

// What is timed -----------------------------------------------------------------------------------

static void clear(const Case *it)
{
  char path[PATH_SIZE + 32];
  static const char *const FILES[] = {"data.mdb", "lock.mdb"};
  for (size_t i = 0; i < 2; i++) {
    snprintf(path, sizeof(path), "%s/%s", it->folder, FILES[i]);
    unlink(path);
  }
  mkdir(it->folder, 0775);
}

// Ours: any order in, one store with rows, counters and the mark out.
static double run_loader(const Case *it)
{
  Error err = {0};
  clear(it);
  Db *db = db_open(&(DbOptions){.path = it->folder}, &err);
  Buf key = {0};
  Loader loader = {.db = db, .memory = MEMORY};
  uint64_t start = clock_monotonic_ns();
  bool ok = db != NULL;
  for (size_t i = 0; ok && i < it->rows; i++) {
    ok = loader_add(&loader, make_key(&key, it->order[i]), slice_of(it->row, it->row_size), &err);
  }
  ok = ok && loader_finish(&loader, VIEW, &(Mark){0}, &err);
  double seconds = (double)(clock_monotonic_ns() - start) * 1e-9;
  if (!ok || loader.written != it->rows) {
    fail("the loader", err.message);
  }
  loader_deinit(&loader);
  db_close(db);
  buf_deinit(&key);
  return seconds;
}

// LMDB alone: keys in order, MDB_APPEND.
static double run_append(const Case *it)
{
  clear(it);
  MDB_env *env;
  MDB_txn *txn = NULL;
  MDB_dbi table;
  Buf key = {0};
  check(mdb_env_create(&env), "create");
  check(mdb_env_set_mapsize(env, (size_t)256 << 30), "map size");
  check(mdb_env_open(env, it->folder, MDB_NOTLS, 0664), "open");
  uint64_t start = clock_monotonic_ns();
  check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
  check(mdb_dbi_open(txn, NULL, 0, &table), "open the table");
  size_t bytes = 0;
  for (size_t i = 0; i < it->rows; i++) {
    Slice name = make_key(&key, (uint32_t)i);
    MDB_val at = {name.size, (void *)name.data};
    MDB_val value = {it->row_size, it->row};
    check(mdb_put(txn, table, &at, &value, MDB_APPEND), "put");
    bytes += name.size + it->row_size;
    if (bytes >= APPEND_BYTES) {
      check(mdb_txn_commit(txn), "commit");
      check(mdb_txn_begin(env, NULL, 0, &txn), "begin");
      bytes = 0;
    }
  }
  check(mdb_txn_commit(txn), "commit");
  double seconds = (double)(clock_monotonic_ns() - start) * 1e-9;
  mdb_env_close(env);
  buf_deinit(&key);
  return seconds;
}

// Figures -----------------------------------------------------------------------------------------

static int compare_doubles(const void *a, const void *b)
{
  double left = *(const double *)a;
  double right = *(const double *)b;
  return (left > right) - (left < right);
}

static double median(double *values, size_t count)
{
  qsort(values, count, sizeof(*values), compare_doubles);
  return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static void run_case(Case *it, const uint32_t *const *orders, size_t runs)
{
  static const char *const NAMES[] = {"in key order", "shuffled"};
  enum { ORDERS = 2 };
  double append[MAX_RUNS];
  double ours[ORDERS][MAX_RUNS];
  for (size_t run = 0; run < runs; run++) {
    append[run] = run_append(it);
    for (size_t i = 0; i < ORDERS; i++) {
      it->order = orders[i];
      ours[i][run] = run_loader(it);
    }
  }
  clear(it);
  double base = median(append, runs);
  printf("%zu rows of %zu bytes\n", it->rows, it->row_size);
  printf("  LMDB append          %8.0f k rows/s\n", (double)it->rows / base / 1e3);
  for (size_t i = 0; i < ORDERS; i++) {
    double seconds = median(ours[i], runs);
    printf("  loader, %-12s %8.0f k rows/s  %.2f of it\n", NAMES[i],
           (double)it->rows / seconds / 1e3, base / seconds);
  }
}

int main(int argc, char **argv)
{
  static const size_t SIZES[] = {950, 110};
  static const size_t TIMES[] = {1, 4};  // as many rows
  const char *folder = argc > 1 ? argv[1] : "build/bench/load";
  size_t rows = argc > 2 ? strtoull(argv[2], NULL, 10) : 300000;
  size_t runs = argc > 3 ? strtoull(argv[3], NULL, 10) : 5;
  if (rows == 0 || runs == 0 || runs > MAX_RUNS) {
    fail("usage", "load_kernel [FOLDER [ROWS [RUNS]]]");
  }
  for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
    Case it = {.row_size = SIZES[i], .rows = rows * TIMES[i], .row = make_row(SIZES[i])};
    snprintf(it.folder, sizeof(it.folder), "%s", folder);
    uint32_t *orders[] = {make_order(it.rows, false), make_order(it.rows, true)};
    run_case(&it, (const uint32_t *const *)orders, runs);
    free(orders[0]);
    free(orders[1]);
    free(it.row);
  }
  return 0;
}
