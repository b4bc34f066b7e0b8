// init: a project that runs end to end. Its texts are files in runtime/cli/init; its data is
// counted out here, so that nobody's data is copied.

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/stubs.h"
#include "cli/texts.h"

enum { DRIVERS = 5, FIRST_DRIVER = 1001, HOURS_APART = 6, SAMPLES = 28, ORDERS = 20 };

static const Time FIRST_TIME = INT64_C(1735689600000000);  // 2025-01-01T00:00:00Z
static const int64_t HOUR = INT64_C(3600000000);

// Where each embedded text goes.
static const struct {
  const char *name;
  const char *path;
} FILES[] = {
    {"init/definitions/driver.lua", "definitions/driver.lua"},
    {"init/definitions/trips.lua", "definitions/trips.lua"},
    {"init/readme.md", "README.md"},
    {"init/luarc.json", ".luarc.json"},
    {"init/gitignore", ".gitignore"},
};

static bool failed(const char *path, Error *err)
{
  return error_set(err, ERR_IO, "cannot write %s: %s", path, strerror(errno));
}

// A missing folder counts as empty.
static bool check_empty(const char *folder, Error *err)
{
  DIR *entries = opendir(folder);
  if (!entries) {
    return errno == ENOENT ? true
                           : error_set(err, ERR_IO, "cannot use %s: %s", folder, strerror(errno));
  }
  bool empty = true;
  for (struct dirent *entry; empty && (entry = readdir(entries));) {
    empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
  }
  closedir(entries);
  return empty || error_set(err, ERR_CONFLICT, "%s is not empty: name a new folder", folder);
}

static bool make_parents(const char *path, Arena *arena, Error *err)
{
  char *copy = arena_text(arena, slice_text(path));
  for (char *at = strchr(copy + 1, '/'); at; at = strchr(at + 1, '/')) {
    *at = '\0';
    if (mkdir(copy, 0777) != 0 && errno != EEXIST) {
      return failed(copy, err);
    }
    *at = '/';
  }
  return true;
}

static bool write_text(const char *folder, const char *name, Slice text, Arena *arena, Error *err)
{
  const char *path = arena_print(arena, "%s/%s", folder, name);
  if (!make_parents(path, arena, err)) {
    return false;
  }
  FILE *file = fopen(path, "wb");
  if (!file) {
    return failed(path, err);
  }
  bool good = fwrite(text.data, 1, text.size, file) == text.size;
  good = fclose(file) == 0 && good;
  return good || failed(path, err);
}

// Small numbers that look like life: a fixed linear congruential sequence.
static unsigned next_number(uint64_t *state, unsigned below)
{
  *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (unsigned)((*state >> 33) % below);
}

static void put_time(Time time, Buf *out)
{
  char text[CLOCK_TEXT_SIZE];
  buf_put(out, text, clock_print(time, text));
}

static void make_stats(Buf *out)
{
  uint64_t state = 1;
  buf_print(out, "driver_id,event_timestamp,created,conv_rate,acc_rate,avg_daily_trips\n");
  for (int sample = 0; sample < SAMPLES; sample++) {
    Time time = FIRST_TIME + HOUR * HOURS_APART * sample;
    for (int driver = 0; driver < DRIVERS; driver++) {
      buf_print(out, "%d,", FIRST_DRIVER + driver);
      put_time(time, out);
      buf_print(out, ",");
      put_time(time + HOUR / 4, out);
      buf_print(out, ",0.%03u,0.%03u,%u\n", 200 + next_number(&state, 600),
                500 + next_number(&state, 500), 5 + next_number(&state, 40));
    }
  }
}

static void make_orders(Buf *out)
{
  uint64_t state = 2;
  buf_print(out, "order_id,driver_id,event_timestamp,distance_km,accepted\n");
  for (int order = 0; order < ORDERS; order++) {
    // The last driver is one that has no history.
    buf_print(out, "%d,%u,", order + 1, FIRST_DRIVER + next_number(&state, DRIVERS + 1));
    put_time(FIRST_TIME + HOUR * 8 * order + next_number(&state, 3600) * INT64_C(1000000), out);
    buf_print(out, ",%u.%u", 1 + next_number(&state, 30), next_number(&state, 10));
    buf_print(out, ",%s\n", next_number(&state, 3) ? "true" : "false");
  }
}

static bool write_data(const char *folder, Arena *arena, Error *err)
{
  Buf text = {0};
  make_stats(&text);
  bool good = write_text(folder, "data/driver_stats.csv", buf_slice(&text), arena, err);
  buf_reset(&text);
  make_orders(&text);
  good = good && write_text(folder, "data/orders.csv", buf_slice(&text), arena, err);
  buf_deinit(&text);
  return good;
}

static bool write_texts(const char *folder, Arena *arena, Error *err)
{
  bool good = true;
  for (const CliText *text = CLI_TEXTS; text->name && good; text++) {
    Slice bytes = slice_of(text->text, text->size);
    for (size_t i = 0; i < sizeof(FILES) / sizeof(FILES[0]); i++) {
      if (strcmp(FILES[i].name, text->name) == 0) {
        good = good && write_text(folder, FILES[i].path, bytes, arena, err);
      }
    }
  }
  return good && stubs_write_words(folder, arena, err);
}

bool cmd_init_run(Args *args, Error *err)
{
  const char *folder = args->arguments[0];
  if (!check_empty(folder, err) || !write_texts(folder, args->arena, err)
      || !write_data(folder, args->arena, err)) {
    return false;
  }
  print_note(args,
             "%s is ready. Next:\n"
             "  cd %s\n"
             "  tidemark test\n"
             "  tidemark apply\n"
             "  tidemark get-historical-features --spine data/orders.csv "
             "--service trip_ranking -o training.csv\n"
             "  tidemark materialize 2025-01-01 2025-01-08\n"
             "  tidemark get-online-features -e driver_id=1001,1002 -r distance_km=5,10 "
             "--service trip_ranking",
             folder, folder);
  return true;
}
