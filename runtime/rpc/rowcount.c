#include "rpc/rowcount.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "base/mem.h"
#include "store/online.h"

struct RowCount {
  Engine *engine;
  DbRead *read;  // the thread's; NULL until there is a store
  pthread_t thread;

  pthread_mutex_t lock;
  pthread_cond_t wake;
  bool stopping;    // guarded, and all below
  ViewRows *views;  // owned
  size_t view_count;
  Time counted_at;
};

// One page of one view.
typedef struct {
  ViewRows *rows;
  Buf last;  // the key it stopped at
  size_t seen;
} Page;

// Waits, unless the server stops meanwhile: false then.
static bool rest(RowCount *count, uint64_t ns)
{
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  uint64_t end = (uint64_t)until.tv_nsec + ns;
  until.tv_sec += (time_t)(end / 1000000000);
  until.tv_nsec = (long)(end % 1000000000);
  pthread_mutex_lock(&count->lock);
  int rc = 0;
  while (!count->stopping && rc == 0) {
    rc = pthread_cond_timedwait(&count->wake, &count->lock, &until);
  }
  bool go_on = !count->stopping;
  pthread_mutex_unlock(&count->lock);
  return go_on;
}

static bool count_row(void *context, const OnlineEntry *entry)
{
  Page *page = context;
  page->rows->rows += !entry->row.deleted;
  page->rows->deleted += entry->row.deleted;
  if (++page->seen == ROWCOUNT_PAGE) {
    buf_reset(&page->last);
    buf_put_slice(&page->last, entry->key);
    return false;
  }
  return true;
}

// A short read transaction, then a long rest: counting must not be felt.
static bool count_page(RowCount *count, uint16_t view_id, Page *page, Error *err)
{
  uint64_t start = clock_monotonic_ns();
  if (!db_read_begin(count->read, err)) {
    return false;
  }
  page->seen = 0;
  bool ok = online_scan(count->read, view_id, buf_slice(&page->last), count_row, page, err);
  db_read_end(count->read);
  if (ok && page->seen == ROWCOUNT_PAGE
      && !rest(count, (clock_monotonic_ns() - start) * ROWCOUNT_REST)) {
    return error_set(err, ERR_CANCELLED, "the server stops");
  }
  return ok;
}

static bool count_view(RowCount *count, uint16_t view_id, ViewRows *rows, Error *err)
{
  *rows = (ViewRows){.view_id = view_id};
  Page page = {.rows = rows, .seen = ROWCOUNT_PAGE};
  bool ok = true;
  while (ok && page.seen == ROWCOUNT_PAGE) {
    ok = count_page(count, view_id, &page, err);
  }
  buf_deinit(&page.last);
  return ok;
}

static bool count_views(RowCount *count, const Catalog *catalog)
{
  ViewRows *views = mem_zalloc(catalog->view_count + 1, sizeof(*views));
  Error err = {0};
  bool ok = true;
  for (size_t i = 0; i < catalog->view_count && ok; i++) {
    ok = count_view(count, catalog->views[i].id, &views[i], &err);
  }
  if (!ok) {
    free(views);
    return false;
  }
  pthread_mutex_lock(&count->lock);
  free(count->views);
  count->views = views;
  count->view_count = catalog->view_count;
  count->counted_at = clock_now();
  pthread_mutex_unlock(&count->lock);
  return true;
}

// Counts when the store has changed since *snapshot.
static void count_changes(RowCount *count, uint64_t *snapshot)
{
  Error err = {0};
  if (!db_read_begin(count->read, &err)) {
    return;
  }
  uint64_t now = db_read_snapshot(count->read);
  Catalog *catalog = now == *snapshot ? NULL : engine_catalog(count->engine, count->read, &err);
  db_read_end(count->read);
  if (catalog && count_views(count, catalog)) {
    *snapshot = now;
  }
  catalog_unref(catalog);
}

// Requests come first: this thread only gets what nobody else wants of a processor. Not before the
// store is open, since others may wait for that.
static void step_back(void)
{
  pthread_setschedparam(pthread_self(), SCHED_IDLE, &(struct sched_param){0});
}

static void *run(void *context)
{
  RowCount *count = context;
  uint64_t snapshot = 0;
  uint64_t checked = clock_monotonic_ns();
  uint64_t wait = 0;
  while (rest(count, wait)) {
    wait = UINT64_C(1000000) * ROWCOUNT_LOOK_MS;
    Db *db = engine_db(count->engine, false, NULL);
    if (!count->read) {
      count->read = db ? db_read_new(db, NULL) : NULL;
      if (!count->read) {
        continue;  // nothing has been applied yet
      }
      step_back();
    }
    count_changes(count, &snapshot);
    if (clock_monotonic_ns() - checked >= UINT64_C(1000000) * ROWCOUNT_READERS_MS) {
      db_check_readers(db);
      checked = clock_monotonic_ns();
    }
  }
  db_read_free(count->read);
  return NULL;
}

RowCount *rowcount_start(Engine *engine, Error *err)
{
  RowCount *count = mem_zalloc(1, sizeof(*count));
  count->engine = engine;
  count->counted_at = TIME_NULL;
  pthread_mutex_init(&count->lock, NULL);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&count->wake, &attributes);
  pthread_condattr_destroy(&attributes);
  int rc = pthread_create(&count->thread, NULL, run, count);
  if (rc) {
    error_set(err, ERR_LIMIT, "cannot start a thread: %s", strerror(rc));
    pthread_cond_destroy(&count->wake);
    pthread_mutex_destroy(&count->lock);
    free(count);
    return NULL;
  }
  return count;
}

void rowcount_stop(RowCount *count)
{
  if (!count) {
    return;
  }
  pthread_mutex_lock(&count->lock);
  count->stopping = true;
  pthread_cond_signal(&count->wake);
  pthread_mutex_unlock(&count->lock);
  pthread_join(count->thread, NULL);
  pthread_cond_destroy(&count->wake);
  pthread_mutex_destroy(&count->lock);
  free(count->views);
  free(count);
}

const ViewRows *rowcount_get(RowCount *count, size_t *views, Time *counted_at, Arena *arena)
{
  pthread_mutex_lock(&count->lock);
  *views = count->view_count;
  *counted_at = count->counted_at;
  ViewRows *copy = arena_alloc(arena, (*views + 1) * sizeof(*copy));
  if (*views) {
    memcpy(copy, count->views, *views * sizeof(*copy));
  }
  pthread_mutex_unlock(&count->lock);
  return copy;
}
