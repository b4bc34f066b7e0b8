// doctor: is everything there that a day's work needs, and does it work?

#include <errno.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/session.h"

enum {
  CHECKS = 8,
  FILES_WANTED = 10240,    // open: the server's default connections, and a few
  DISK_NEEDED = 64 << 20,  // bytes: a segment of the log
  DISK_WANTED = 1 << 30,   // bytes: the segments that it keeps
};

typedef enum { CHECK_OK, CHECK_NOTE, CHECK_BAD } CheckState;

typedef struct {
  const char *name;
  CheckState state;
  const char *detail;
} Check;

typedef struct {
  Check items[CHECKS];
  size_t count;
  bool bad;
  Arena *arena;
} Report;

static void add(Report *report, const char *name, CheckState state, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void add(Report *report, const char *name, CheckState state, const char *format, ...)
{
  char detail[sizeof(Error)];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(detail, sizeof(detail), format, arguments);
  va_end(arguments);
  report->items[report->count++] =
      (Check){name, state, arena_text(report->arena, slice_text(detail))};
  report->bad = report->bad || state == CHECK_BAD;
}

static void add_error(Report *report, const char *name, CheckState state, const Error *err)
{
  add(report, name, state, "%s%s%s", err->where, err->where[0] ? ": " : "", err->message);
}

static void check_duck(Report *report, Engine *engine)
{
  Error err = {0};
  Duck *duck = engine_duck(engine, &err);
  if (duck && duck_load(duck, &err)) {
    add(report, "duckdb", CHECK_OK, "%s", duck_version(duck));
  } else {
    add_error(report, "duckdb", CHECK_BAD, &err);
  }
}

static void check_store(Report *report, Engine *engine)
{
  Error err = {0};
  DbStats stats;
  Db *db = engine_db(engine, false, &err);
  if (db && db_stats(db, &stats, &err)) {
    add(report, "store", CHECK_OK, "%llu online rows, %.1f MiB of %.0f GiB, %u readers",
        (unsigned long long)stats.online_rows, (double)stats.used / (1 << 20),
        (double)stats.map_size / (1 << 30), stats.readers);
  } else {
    // Before the first apply there is none.
    add_error(report, "store", err.code == ERR_NOT_FOUND ? CHECK_NOTE : CHECK_BAD, &err);
  }
}

// Where the store is, or will be made.
static void check_disk(Report *report, Engine *engine)
{
  const char *folder = engine_store(engine);
  struct statvfs disk;
  if (access(folder, F_OK) != 0) {
    folder = engine_project(engine);
  }
  if (access(folder, W_OK | X_OK) != 0 || statvfs(folder, &disk) != 0) {
    add(report, "disk", CHECK_BAD, "cannot write to %s: %s", folder, strerror(errno));
    return;
  }
  uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
  double mib = (double)left / (1 << 20);
  if (left < DISK_WANTED) {
    add(report, "disk", left < DISK_NEEDED ? CHECK_BAD : CHECK_NOTE,
        "%.1f MiB left at %s: materialize and push need room, and fail without", mib, folder);
  } else {
    add(report, "disk", CHECK_OK, "%.1f GiB left at %s", mib / 1024, folder);
  }
}

static void check_registry(Report *report, Engine *engine)
{
  Error err = {0};
  Db *db = engine_db(engine, false, &err);
  DbRead *read = db ? db_read_new(db, &err) : NULL;
  if (!read) {
    return;  // the store's line says why
  }
  Catalog *catalog = NULL;
  if (db_read_begin(read, &err)) {
    catalog = engine_catalog(engine, read, &err);
    db_read_end(read);
  }
  if (catalog) {
    add(report, "registry", CHECK_OK, "generation %llu; views: %zu, services: %zu",
        (unsigned long long)catalog->generation, catalog->view_count, catalog->service_count);
    catalog_unref(catalog);
  } else {
    add_error(report, "registry", CHECK_NOTE, &err);
  }
  db_read_free(read);
}

static void check_definitions(Report *report, Session *session)
{
  Error err = {0};
  Buf bytes = {0};
  MpReader plan;
  MpReader ignored;
  if (!session_call(session, "plan", NULL, &bytes, &plan, &err)) {
    add_error(report, "definitions", CHECK_BAD, &err);
  } else {
    uint32_t problems = result_list(plan, "problems", &ignored);
    uint32_t changes = result_list(plan, "changes", &ignored);
    if (problems) {
      add(report, "definitions", CHECK_BAD, "%u mistakes: `tidemark plan` lists them", problems);
    } else if (changes) {
      add(report, "definitions", CHECK_NOTE, "%u changes are not applied yet", changes);
    } else {
      add(report, "definitions", CHECK_OK, "as applied");
    }
  }
  buf_deinit(&bytes);
}

static void check_limits(Report *report)
{
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) {
    return;
  }
  if (files.rlim_cur == RLIM_INFINITY || files.rlim_cur >= FILES_WANTED) {
    add(report, "open files", CHECK_OK, "%llu", (unsigned long long)files.rlim_cur);
  } else {
    add(report, "open files", CHECK_NOTE,
        "%llu: a server takes that many connections at most; raise it with ulimit -n",
        (unsigned long long)files.rlim_cur);
  }
}

static Slice text_cell(const char *text, Arena *arena)
{
  Buf bytes = {0};
  msgpack_packer packer = mp_packer(&bytes);
  mp_put_text(&packer, text);
  Slice cell = arena_copy(arena, buf_slice(&bytes));
  buf_deinit(&bytes);
  return cell;
}

static void print_report(const Args *args, const Report *report)
{
  static const char *const STATES[] = {"ok", "note", "bad"};
  Grid grid = grid_new(3, report->count, args->arena);
  grid.facts = true;
  grid.columns[0].name = "check";
  grid.columns[1].name = "state";
  grid.columns[2].name = "detail";
  for (size_t i = 0; i < report->count; i++) {
    grid.cells[i * 3] = text_cell(report->items[i].name, args->arena);
    grid.cells[i * 3 + 1] = text_cell(STATES[report->items[i].state], args->arena);
    grid.cells[i * 3 + 2] = text_cell(report->items[i].detail, args->arena);
  }
  Buf out = {0};
  print_grid(&grid, args->format, &out);
  print_out(stdout, &out);
  buf_deinit(&out);
}

bool cmd_doctor_run(Args *args, Error *err)
{
  Session session;
  if (!session_open(&session, args, err)) {
    session_close(&session);
    return false;
  }
  Report report = {.arena = args->arena};
  add(&report, "tidemark", CHECK_OK, "%s", TIDEMARK_VERSION);
  check_duck(&report, session.engine);
  check_store(&report, session.engine);
  check_disk(&report, session.engine);
  check_registry(&report, session.engine);
  check_definitions(&report, &session);
  check_limits(&report);
  session_close(&session);
  print_report(args, &report);
  args->status = report.bad ? 1 : 0;
  return true;
}
