#include "cli/watch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/print.h"

enum {
  QUIET_MS = 50,  // an editor's save is several events, and several files may be saved at once
  FOLDERS_MAX = 4096,
  DEPTH_MAX = 32,
};

static const uint32_t CHANGES =
    IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF;

static const char *const ROOTS[] = {"definitions", "lib"};

// --- What is watched ---

static void watch_folder(int notify, const char *path, int depth, size_t *count)
{
  if (depth > DEPTH_MAX || *count >= FOLDERS_MAX
      || inotify_add_watch(notify, path, CHANGES | IN_ONLYDIR) < 0) {
    return;  // not there, or no folder
  }
  (*count)++;
  DIR *entries = opendir(path);
  for (struct dirent *entry; entries && (entry = readdir(entries));) {
    char inner[PATH_MAX];
    int size = snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name);
    if (entry->d_name[0] != '.' && size > 0 && (size_t)size < sizeof(inner)
        && entry->d_type != DT_REG) {
      watch_folder(notify, inner, depth + 1, count);
    }
  }
  if (entries) {
    closedir(entries);
  }
}

// A descriptor that tells of changes; *here is the watch of the project's folder, in which only
// the roots matter: one of them may still have to be made.
static int open_watches(int *here, Error *err)
{
  int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  *here = notify < 0 ? -1 : inotify_add_watch(notify, ".", IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
  if (*here < 0) {
    error_set(err, ERR_IO, "cannot watch the project for changes: %s", strerror(errno));
    if (notify >= 0) {
      close(notify);
    }
    return -1;
  }
  size_t count = 0;
  for (size_t i = 0; i < sizeof(ROOTS) / sizeof(ROOTS[0]); i++) {
    watch_folder(notify, ROOTS[i], 0, &count);
  }
  return notify;
}

// --- Changes ---

static bool is_root(const char *name)
{
  for (size_t i = 0; i < sizeof(ROOTS) / sizeof(ROOTS[0]); i++) {
    if (strcmp(name, ROOTS[i]) == 0) {
      return true;
    }
  }
  return false;
}

// Editors keep their own files beside ours: those begin with a dot or end otherwise.
static bool matters(const struct inotify_event *event, int here)
{
  const char *name = event->len ? event->name : "";
  if (event->wd == here) {
    return is_root(name);
  }
  if (event->mask & (IN_DELETE_SELF | IN_Q_OVERFLOW)) {
    return true;
  }
  if (name[0] == '.' || event->mask & IN_IGNORED) {
    return false;
  }
  size_t size = strlen(name);
  bool lua = size > 4 && strcmp(name + size - 4, ".lua") == 0;
  // A new file is worth a look once it is closed.
  return event->mask & IN_ISDIR || (lua && !(event->mask & IN_CREATE));
}

// Takes what has come; true when some of it matters.
static bool take_events(int notify, int here)
{
  _Alignas(struct inotify_event) char bytes[16384];
  bool changed = false;
  for (ssize_t size; (size = read(notify, bytes, sizeof(bytes))) > 0;) {
    for (ssize_t at = 0; at < size;) {
      struct inotify_event event;
      memcpy(&event, bytes + at, sizeof(event));
      changed |= matters((const struct inotify_event *)(bytes + at), here);
      at += (ssize_t)(sizeof(event) + event.len);
    }
  }
  return changed;
}

// Waits for a change, and until no more come.
static bool wait_for_change(int notify, int here, Error *err)
{
  bool changed = false;
  for (;;) {
    struct pollfd wait = {.fd = notify, .events = POLLIN};
    int ready = poll(&wait, 1, changed ? QUIET_MS : -1);
    if (ready < 0 && errno != EINTR) {
      return error_set(err, ERR_IO, "cannot watch the project for changes: %s", strerror(errno));
    }
    if (ready == 0) {
      return true;
    }
    changed = take_events(notify, here) || changed;
  }
}

// --- Again and again ---

static void begin_round(const Args *args, bool first)
{
  if (args->format == FORMAT_TABLE && isatty(STDOUT_FILENO)) {
    printf("\033[H\033[2J\033[3J");
  } else if (!first) {
    print_note(args, "----");
  }
}

// Watches are made anew before each step: what changes while it runs is not missed, and new
// folders are found.
static bool run_round(Args *args, bool first, bool (*step)(Args *args, Error *err), Error *err)
{
  int here;
  int notify = open_watches(&here, err);
  if (notify < 0) {
    return false;
  }
  begin_round(args, first);
  Arena *kept = args->arena;
  Arena arena = {0};
  args->arena = &arena;
  Error failure = {0};
  bool good = step(args, &failure) || failure.code != ERR_CANCELLED;
  if (!good) {
    *err = failure;
  } else if (failure.code) {
    print_error(args, &failure);
  }
  fflush(stdout);
  args->arena = kept;
  arena_deinit(&arena);
  if (good) {
    print_note(args, "watching definitions/ and lib/; Ctrl-C ends");
    good = wait_for_change(notify, here, err);
  }
  close(notify);
  return good;
}

bool watch_run(Args *args, bool (*step)(Args *args, Error *err), Error *err)
{
  bool first = true;
  while (run_round(args, first, step, err)) {
    first = false;
  }
  return false;
}
