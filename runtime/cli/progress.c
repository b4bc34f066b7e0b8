#include "cli/progress.h"

#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
  BAR_WIDTH = 20,
  LOG_WIDTH = 100,       // columns of a line that goes to a log
  SHOW_AFTER_MS = 1000,  // shorter jobs need no progress
  REDRAW_MS = 50,
  LOG_EVERY_MS = 1000,
};

static const double NS_PER_S = 1e9;

// 1234567 as "1.2M".
static void print_count(double count, Buf *out)
{
  static const char UNITS[] = {'\0', 'k', 'M', 'G', 'T'};
  size_t unit = 0;
  while (count >= 999.5 && unit + 1 < sizeof(UNITS)) {
    count /= 1000;
    unit++;
  }
  buf_print(out, unit && count < 10 ? "%.1f" : "%.0f", count);
  if (unit) {
    buf_put_byte(out, (uint8_t)UNITS[unit]);
  }
}

static void print_left(double seconds, Buf *out)
{
  if (seconds < 60) {
    buf_print(out, "%.0fs", seconds);
  } else if (seconds < 3600) {
    buf_print(out, "%dm%02ds", (int)seconds / 60, (int)seconds % 60);
  } else if (seconds < 360000) {
    buf_print(out, "%dh%02dm", (int)seconds / 3600, (int)seconds / 60 % 60);
  } else {
    buf_print(out, "days");
  }
}

static void print_bar(double share, Buf *out)
{
  int filled = (int)(share * BAR_WIDTH);
  buf_print(out, "  [");
  for (int i = 0; i < BAR_WIDTH; i++) {
    buf_put_byte(out, i < filled ? '#' : '.');
  }
  buf_print(out, "] %3d%%", (int)(share * 100));
}

// Cuts to `width` columns, never inside a code point.
static void cut(Buf *out, size_t start, size_t width)
{
  size_t columns = 0;
  for (size_t i = start; i < out->size; i++) {
    columns += (out->data[i] & 0xc0) != 0x80;
    if (columns > width) {
      out->size = i;
      return;
    }
  }
}

void progress_print(const Progress *progress, uint64_t stage_done, uint64_t elapsed_ns,
                    size_t width, Buf *out)
{
  size_t start = out->size;
  buf_print(out, "%s", progress->what);
  bool known = progress->total && progress->done <= progress->total;
  if (known) {
    print_bar((double)progress->done / (double)progress->total, out);
  }
  buf_print(out, "  ");
  print_count((double)progress->done, out);
  uint64_t done = progress->done > stage_done ? progress->done - stage_done : 0;
  if (done && elapsed_ns) {
    double rate = (double)done * NS_PER_S / (double)elapsed_ns;
    buf_print(out, "  ");
    print_count(rate, out);
    buf_print(out, "/s");
    if (known) {
      buf_print(out, "  ");
      print_left((double)(progress->total - progress->done) / rate, out);
      buf_print(out, " left");
    }
  }
  cut(out, start, width);
}

static size_t terminal_width(void)
{
  struct winsize size;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 10) {
    return size.ws_col - 1u;  // the last column would wrap on some terminals
  }
  return 79;
}

void progress_init(ProgressBar *bar, bool quiet)
{
  *bar = (ProgressBar){
      .quiet = quiet,
      .terminal = isatty(STDERR_FILENO) == 1,
      .started_ns = clock_monotonic_ns(),
  };
}

// A new stage counts its rate from where it begins.
static void follow_stage(ProgressBar *bar, const Progress *progress, uint64_t now)
{
  if (bar->stage_ns && strncmp(bar->what, progress->what, sizeof(bar->what) - 1) == 0
      && progress->done >= bar->stage_done) {
    return;
  }
  bar->stage_ns = now;
  bar->stage_done = progress->done;
  snprintf(bar->what, sizeof(bar->what), "%s", progress->what);
}

void progress_update(void *context, const Progress *progress)
{
  ProgressBar *bar = context;
  uint64_t now = clock_monotonic_ns();
  follow_stage(bar, progress, now);
  uint64_t pause = (bar->terminal ? REDRAW_MS : LOG_EVERY_MS) * UINT64_C(1000000);
  if (bar->quiet || now - bar->started_ns < SHOW_AFTER_MS * UINT64_C(1000000)
      || now - bar->printed_ns < pause) {
    return;
  }
  bar->printed_ns = now;
  Buf line = {0};
  if (bar->terminal) {
    buf_print(&line, "\r");
  }
  progress_print(progress, bar->stage_done, now - bar->stage_ns,
                 bar->terminal ? terminal_width() : LOG_WIDTH, &line);
  // Erase what an earlier, longer line left.
  buf_print(&line, bar->terminal ? "\x1b[K" : "\n");
  fwrite(line.data, 1, line.size, stderr);
  fflush(stderr);
  bar->drawn = bar->terminal;
  buf_deinit(&line);
}

void progress_clear(ProgressBar *bar)
{
  if (bar->drawn) {
    fputs("\r\x1b[K", stderr);
    fflush(stderr);
    bar->drawn = false;
  }
}
