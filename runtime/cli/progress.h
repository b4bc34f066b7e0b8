#pragma once
// Progress of a job on stderr. On a terminal one line that is drawn over; elsewhere (a log) a line
// a second. Jobs that end within a second show nothing, and a bar is gone before results are
// printed.

#include "base/buf.h"
#include "engine/engine.h"

typedef struct {
  bool quiet;
  bool terminal;
  bool drawn;           // a bar stands on the terminal's last line
  uint64_t started_ns;  // of the command
  uint64_t printed_ns;  // last time anything was written
  uint64_t stage_ns;    // since when `what` is what it is; 0 before the first report
  uint64_t stage_done;  // where it began to count
  char what[128];
} ProgressBar;

void progress_init(ProgressBar *bar, bool quiet);
void progress_update(void *bar, const Progress *progress);  // a ProgressFunction
void progress_clear(ProgressBar *bar);

// The text of one report, without a line end: what, bar, percent, rate and time left, as far as
// they are known. At most `width` columns.
void progress_print(const Progress *progress, uint64_t stage_done, uint64_t elapsed_ns,
                    size_t width, Buf *out);
