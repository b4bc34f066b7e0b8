#include "store/log.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/mem.h"
#include "store/db_private.h"

enum {
  FILE_MODE = 0664,
  NAME_DIGITS = 20,
  NAME_SIZE = 32,
  LINE_SIZE = 64,
  AHEAD_BYTES = 1 << 20,    // zeros behind the last record, so that the next ones change no sizes
  AHEAD_GROUP = 128 << 10,  // larger groups than this gain nothing from it
  ZERO_BYTES = 64 << 10,
};

static const uint8_t ZEROS[ZERO_BYTES];

typedef struct {
  uint64_t first;  // sequence of its first record: its name
  uint64_t size;   // bytes
} SegmentFile;

typedef struct {
  SegmentFile *items;  // oldest first
  size_t count;
  size_t capacity;
} SegmentList;

struct Log {
  char *folder;
  LogOptions options;  // with the defaults filled in; `store` is not kept
  int lock;
  SegmentList segments;
  int file;       // the last segment; -1: none that can be written to
  uint32_t seed;  // of its checksums
  uint64_t segment;
  uint64_t offset;   // its end
  uint64_t ahead;    // behind the zeros that follow; at most `offset`: there are none
  uint64_t written;  // last sequence in the file
  uint64_t durable;  // last sequence on the disk
  bool broken;       // a sync has failed

  Buf group;
  uint64_t next;  // sequence of the next record of the group
  size_t record;  // where in the group the record under way begins
};

// Files -------------------------------------------------------------------------------------------

static void segment_path(const char *folder, uint64_t first, char *path)
{
  snprintf(path, PATH_MAX, "%s/%0*" PRIu64 ".log", folder, NAME_DIGITS, first);
}

static bool parse_name(const char *name, uint64_t *first)
{
  char *end;
  if (strlen(name) != NAME_DIGITS + 4 || strcmp(name + NAME_DIGITS, ".log") != 0) {
    return false;
  }
  errno = 0;
  *first = strtoull(name, &end, 10);
  return end == name + NAME_DIGITS && errno == 0 && *first > 0;
}

static int compare_segments(const void *a, const void *b)
{
  uint64_t left = ((const SegmentFile *)a)->first;
  uint64_t right = ((const SegmentFile *)b)->first;
  return (left > right) - (left < right);
}

static void add_segment(SegmentList *list, SegmentFile segment)
{
  if (list->count == list->capacity) {
    list->capacity = list->capacity ? list->capacity * 2 : 16;
    list->items = mem_realloc(list->items, list->capacity, sizeof(*list->items));
  }
  list->items[list->count++] = segment;
}

// The segments there are. A folder that is missing has none.
static bool list_segments(const char *folder, SegmentList *list, Error *err)
{
  DIR *dir = opendir(folder);
  if (!dir) {
    return errno == ENOENT
           || error_set(err, ERR_IO, "cannot open the folder %s: %s", folder, strerror(errno));
  }
  for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
    SegmentFile segment;
    struct stat status;
    if (parse_name(entry->d_name, &segment.first)
        && fstatat(dirfd(dir), entry->d_name, &status, 0) == 0) {
      segment.size = (uint64_t)status.st_size;
      add_segment(list, segment);
    }
  }
  closedir(dir);
  if (list->count) {
    qsort(list->items, list->count, sizeof(*list->items), compare_segments);
  }
  return true;
}

static bool sync_folder(const char *folder, Error *err)
{
  int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int failure = file < 0 || fsync(file) != 0 ? errno : 0;
  if (file >= 0) {
    close(file);
  }
  return !failure || error_set(err, ERR_IO, "cannot sync %s: %s", folder, strerror(failure));
}

static bool write_failed(const Log *log, int code, Error *err)
{
  bool full = code == ENOSPC || code == EDQUOT || code == EFBIG;
  return error_set(err, ERR_STORE, "cannot write the log %s: %s; nothing was pushed, %s",
                   log->folder, strerror(code),
                   full ? "make room and push again" : "check the disk");
}

static bool write_all(const Log *log, uint64_t offset, Slice bytes, Error *err)
{
  while (bytes.size) {
    ssize_t count = pwrite(log->file, bytes.data, bytes.size, (off_t)offset);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return write_failed(log, count < 0 ? errno : EIO, err);
    }
    bytes = slice_of(bytes.data + count, bytes.size - (size_t)count);
    offset += (uint64_t)count;
  }
  return true;
}

// Cuts off what follows the records: zeros, or what a failed write has left.
static bool cut_tail(Log *log)
{
  log->ahead = 0;
  return ftruncate(log->file, (off_t)log->offset) == 0;
}

static bool read_all(int file, uint64_t offset, size_t size, Buf *out)
{
  buf_reserve(out, size);
  while (size) {
    ssize_t count = pread(file, out->data + out->size, size, (off_t)offset);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      errno = count < 0 ? errno : EIO;
      return false;
    }
    out->size += (size_t)count;
    size -= (size_t)count;
    offset += (uint64_t)count;
  }
  return true;
}

// Opening -----------------------------------------------------------------------------------------

static bool in_use(const Log *log, Error *err)
{
  char holder[LINE_SIZE] = {0};
  ssize_t size = pread(log->lock, holder, sizeof(holder) - 1, 0);
  holder[size > 0 ? strcspn(holder, "\n") : 0] = '\0';
  return error_set(err, ERR_UNAVAILABLE,
                   "the log %s is in use by another process%s%s: push through that server with "
                   "--connect HOST:PORT, or end it first",
                   log->folder, *holder ? ", " : "", holder);
}

// One process writes the log. The lock goes away with the process, however it ends.
static bool take_lock(Log *log, Error *err)
{
  char path[PATH_MAX];
  snprintf(path, sizeof(path), "%s/lock", log->folder);
  log->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
  if (log->lock < 0) {
    return error_set(err, ERR_IO, "cannot open %s: %s", path, strerror(errno));
  }
  if (flock(log->lock, LOCK_EX | LOCK_NB) != 0) {
    return errno == EWOULDBLOCK
               ? in_use(log, err)
               : error_set(err, ERR_IO, "cannot lock %s: %s", path, strerror(errno));
  }
  // Only for the message above; that it may fail is all the same.
  char holder[LINE_SIZE];
  int size = snprintf(holder, sizeof(holder), "pid %ld\n", (long)getpid());
  if (ftruncate(log->lock, 0) == 0 && pwrite(log->lock, holder, (size_t)size, 0) != size) {
    errno = 0;
  }
  return true;
}

static bool damaged(const Log *log, uint64_t segment, uint64_t at, uint64_t sequence, Error *err)
{
  char path[PATH_MAX];
  segment_path(log->folder, segment, path);
  return error_set(err, ERR_STORE,
                   "the log is damaged: record %" PRIu64 " at byte %" PRIu64
                   " of %s cannot be read, and it had been acknowledged; restore the store from a "
                   "backup, or move this segment and later ones away to go on without their rows",
                   sequence, at, path);
}

static bool missing(const Log *log, uint64_t expected, uint64_t found, Error *err)
{
  return error_set(err, ERR_STORE,
                   "the log %s lacks the records %" PRIu64 " to %" PRIu64
                   ", which were not applied yet: put the missing segment back, restore the store "
                   "from a backup, or move the later segments away to go on without their rows",
                   log->folder, expected, found - 1);
}

// One segment while it is read.
typedef struct {
  int file;
  Buf bytes;
  uint64_t first;
  bool last;
} Reading;

typedef struct {
  LogVisit visit;
  void *context;
  uint64_t next;  // the sequence that comes next
} Replay;

// Visits the records from byte `start` on; *end is where they end.
static bool visit_records(const Log *log, const Reading *reading, uint32_t seed, size_t start,
                          Replay *replay, size_t *end, Error *err)
{
  Slice bytes = buf_slice(&reading->bytes);
  *end = start;
  for (;;) {
    LogRecord record;
    LogStep step = log_segment_next(seed, bytes, end, replay->next, &record);
    if (step == LOG_STEP_END || (step == LOG_STEP_CUT && reading->last)) {
      return true;
    }
    if (step != LOG_STEP_RECORD) {
      return damaged(log, reading->first, *end, replay->next, err);
    }
    LogPosition position = {record.sequence, reading->first, *end};
    if (replay->visit && !replay->visit(replay->context, &record, position, err)) {
      return false;
    }
    replay->next++;
  }
}

// Makes the segment that was read the one that is written to, cut behind its last whole record.
static bool continue_segment(Log *log, Reading *reading, uint32_t seed, size_t end, Error *err)
{
  if (end < reading->bytes.size
      && (ftruncate(reading->file, (off_t)end) != 0 || fdatasync(reading->file) != 0)) {
    return write_failed(log, errno, err);
  }
  log->file = reading->file;
  reading->file = -1;
  log->seed = seed;
  log->segment = reading->first;
  log->offset = end;
  log->segments.items[log->segments.count - 1].size = end;
  return true;
}

// A last segment whose header is not whole was just being made: nothing was ever in it.
static bool remove_unfinished(Log *log, const Reading *reading, Error *err)
{
  char path[PATH_MAX];
  segment_path(log->folder, reading->first, path);
  if (unlink(path) != 0) {
    return error_set(err, ERR_IO, "cannot remove %s: %s", path, strerror(errno));
  }
  log->segments.count--;
  return true;
}

static bool replay_bytes(Log *log, Reading *reading, uint64_t start, Replay *replay, Error *err)
{
  LogSegment segment;
  if (!log_segment_open(buf_slice(&reading->bytes), &segment)
      || segment.first_sequence != reading->first) {
    if (reading->last && reading->bytes.size <= LOG_HEADER_SIZE) {
      return remove_unfinished(log, reading, err);
    }
    return damaged(log, reading->first, 0, reading->first, err);
  }
  size_t end;
  start = start ? start : LOG_HEADER_SIZE;
  if (start > reading->bytes.size) {
    return true;  // shorter than what was applied: nothing is missing, but nothing is appended
  }
  return visit_records(log, reading, segment.seed, start, replay, &end, err)
         && (!reading->last || continue_segment(log, reading, segment.seed, end, err));
}

// `start`: where the first record that is wanted lies; 0: at the beginning.
static bool replay_segment(Log *log, size_t index, uint64_t start, Replay *replay, Error *err)
{
  SegmentFile segment = log->segments.items[index];
  Reading reading = {.first = segment.first, .last = index + 1 == log->segments.count};
  char path[PATH_MAX];
  segment_path(log->folder, segment.first, path);
  reading.file = open(path, O_RDWR | O_CLOEXEC);
  bool ok = reading.file >= 0 && read_all(reading.file, 0, segment.size, &reading.bytes);
  ok = ok ? replay_bytes(log, &reading, start, replay, err)
          : error_set(err, ERR_IO, "cannot read %s: %s", path, strerror(errno));
  if (reading.file >= 0) {
    close(reading.file);
  }
  buf_deinit(&reading.bytes);
  return ok;
}

// Reads the segments that hold records after `from`.
static bool replay_segments(Log *log, LogPosition from, Replay *replay, Error *err)
{
  size_t count = log->segments.count;
  size_t index = 0;
  while (index < count && log->segments.items[index].first < from.segment) {
    index++;
  }
  for (; index < count; index++) {
    uint64_t first = log->segments.items[index].first;
    bool resumed = first == from.segment;
    if (!resumed && first < replay->next) {
      // Of the time before the position's segment was moved away, or applied from elsewhere.
      continue;
    }
    if (!resumed && first > replay->next) {
      return missing(log, replay->next, first, err);
    }
    if (!replay_segment(log, index, resumed ? from.offset : 0, replay, err)) {
      return false;
    }
  }
  return true;
}

Log *log_open(const LogOptions *options, LogPosition from, LogVisit visit, void *context,
              Error *err)
{
  Log *log = mem_zalloc(1, sizeof(*log));
  Buf folder = {0};
  buf_print(&folder, "%s/log", options->store);
  log->folder = (char *)folder.data;
  log->options = (LogOptions){
      .segment_bytes = options->segment_bytes ? options->segment_bytes : LOG_SEGMENT_BYTES,
      .keep_bytes = options->keep_bytes ? options->keep_bytes : LOG_KEEP_BYTES,
  };
  log->lock = -1;
  log->file = -1;
  Replay replay = {visit, context, from.sequence + 1};
  if (strlen(log->folder) > PATH_MAX - NAME_SIZE) {
    error_set(err, ERR_INVALID, "the path of the log is too long: %.64s…", log->folder);
  } else if (db_make_folder(log->folder, err) && take_lock(log, err)
             && list_segments(log->folder, &log->segments, err)
             && replay_segments(log, from, &replay, err)) {
    log->next = replay.next;
    log->written = replay.next - 1;
    log->durable = log->written;
    return log;
  }
  log_close(log);
  return NULL;
}

void log_close(Log *log)
{
  if (!log) {
    return;
  }
  if (log->file >= 0) {
    if (log->ahead > log->offset && !cut_tail(log)) {
      errno = 0;  // opening the log cuts them off as well
    }
    close(log->file);
  }
  if (log->lock >= 0) {
    close(log->lock);
  }
  buf_deinit(&log->group);
  free(log->segments.items);
  free(log->folder);
  free(log);
}

// Whether a record may begin at `offset`: zeros are only room for one.
static bool has_record_at(const char *folder, SegmentFile segment, uint64_t offset)
{
  char path[PATH_MAX];
  uint8_t header[LOG_RECORD_HEADER] = {0};
  if (segment.size <= offset) {
    return false;
  }
  segment_path(folder, segment.first, path);
  int file = open(path, O_RDONLY | O_CLOEXEC);
  bool read = file >= 0 && pread(file, header, sizeof(header), (off_t)offset) > 0;
  if (file >= 0) {
    close(file);
  }
  return !read || memcmp(header, ZEROS, sizeof(header)) != 0;
}

bool log_has_more(const char *store, LogPosition from)
{
  Buf folder = {0};
  SegmentList list = {0};
  buf_print(&folder, "%s/log", store);
  bool more = !list_segments((const char *)folder.data, &list, NULL);
  if (list.count) {
    SegmentFile last = list.items[list.count - 1];
    more = last.first > from.segment
           || (last.first == from.segment
               && has_record_at((const char *)folder.data, last, from.offset));
  }
  free(list.items);
  buf_deinit(&folder);
  return more;
}

// Appending ---------------------------------------------------------------------------------------

uint64_t log_next_sequence(const Log *log)
{
  return log->next;
}

Buf *log_begin(Log *log)
{
  log->record = log->group.size;
  buf_reserve(&log->group, LOG_RECORD_HEADER);
  log->group.size += LOG_RECORD_HEADER;
  return &log->group;
}

// The checksum is left to log_write, which knows the segment.
void log_end(Log *log)
{
  size_t payload = log->group.size - log->record - LOG_RECORD_HEADER;
  assert(payload <= LOG_RECORD_MAX);
  uint32_t size = (uint32_t)payload;
  memcpy(log->group.data + log->record, &size, sizeof(size));
  log->next++;
}

size_t log_group_bytes(const Log *log)
{
  return log->group.size;
}

LogMark log_mark(const Log *log)
{
  return (LogMark){log->group.size, log->next};
}

void log_rewind(Log *log, LogMark mark)
{
  assert(mark.size <= log->group.size && mark.next <= log->next);
  log->group.size = mark.size;
  log->next = mark.next;
}

void log_discard(Log *log)
{
  buf_reset(&log->group);
  log->next = log->written + 1;
}

static bool make_segment(Log *log, Error *err)
{
  char path[PATH_MAX];
  uint8_t header[LOG_HEADER_SIZE];
  LogSegment segment = {.first_sequence = log->written + 1};
  if (getrandom(&segment.seed, sizeof(segment.seed), 0) != sizeof(segment.seed)) {
    segment.seed = (uint32_t)getpid();
  }
  log_segment_header(segment, header);
  segment_path(log->folder, segment.first_sequence, path);
  log->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, FILE_MODE);
  if (log->file < 0) {
    return write_failed(log, errno, err);
  }
  bool ok = write_all(log, 0, slice_of(header, sizeof(header)), err);
  if (ok && fsync(log->file) != 0) {
    ok = write_failed(log, errno, err);
  }
  if (!ok || !sync_folder(log->folder, err)) {
    close(log->file);
    log->file = -1;
    unlink(path);
    return false;
  }
  log->seed = segment.seed;
  log->segment = segment.first_sequence;
  log->offset = LOG_HEADER_SIZE;
  log->ahead = 0;
  add_segment(&log->segments, (SegmentFile){log->segment, LOG_HEADER_SIZE});
  return true;
}

// Writes zeros behind the records. Where a file's size and blocks stay as they are, syncing it has
// only the records to bring to the disk, and no change of the file system: half of the time. That
// there is no room for zeros is no failure.
static void write_ahead(Log *log)
{
  struct iovec parts[AHEAD_BYTES / ZERO_BYTES];
  uint64_t room = log->options.segment_bytes;
  if (log->offset >= room) {
    return;
  }
  size_t left = room - log->offset < AHEAD_BYTES ? room - log->offset : AHEAD_BYTES;
  int count = 0;
  for (; left; count++) {
    size_t size = left < ZERO_BYTES ? left : ZERO_BYTES;
    parts[count] = (struct iovec){.iov_base = (void *)ZEROS, .iov_len = size};
    left -= size;
  }
  ssize_t written = pwritev(log->file, parts, count, (off_t)log->offset);
  log->ahead = log->offset + (written > 0 ? (uint64_t)written : 0);
}

bool log_has_room(const Log *log)
{
  return log->file >= 0 && log->offset < log->options.segment_bytes;
}

// A segment begins only when everything before it is on the disk: so damage in an older one is
// always damage.
static bool rotate(Log *log, Error *err)
{
  if (log_has_room(log)) {
    return true;
  }
  if (log->file >= 0) {
    assert(log->ahead <= log->offset);  // an older segment ends with its last record
    if (!log_sync(log, err)) {
      return false;
    }
    close(log->file);
    log->file = -1;
  }
  return make_segment(log, err);
}

static void seal_group(Log *log)
{
  uint64_t sequence = log->written + 1;
  for (size_t at = 0; at < log->group.size; sequence++) {
    uint32_t size;
    memcpy(&size, log->group.data + at, sizeof(size));
    log_segment_seal(log->seed, log->group.data + at, size, sequence, log->durable);
    at += LOG_RECORD_HEADER + size;
  }
  assert(sequence == log->next);
}

bool log_usable(const Log *log, Error *err)
{
  return !log->broken
         || error_set(
             err, ERR_STORE,
             "the log %s could not be brought to the disk before: nothing is pushed any more; "
             "check the disk and start again",
             log->folder);
}

bool log_write(Log *log, Error *err)
{
  bool ok = log_usable(log, err) && rotate(log, err);
  if (ok) {
    seal_group(log);
    ok = write_all(log, log->offset, buf_slice(&log->group), err);
    if (!ok && !cut_tail(log)) {
      log->broken = true;
    }
  }
  if (!ok) {
    log_discard(log);
    return false;
  }
  log->offset += log->group.size;
  log->segments.items[log->segments.count - 1].size = log->offset;
  log->written = log->next - 1;
  if (log->offset > log->ahead && log->group.size <= AHEAD_GROUP) {
    write_ahead(log);
  }
  buf_reset(&log->group);
  return true;
}

bool log_sync(Log *log, Error *err)
{
  if (!log_usable(log, err)) {
    return false;
  }
  if (log->durable == log->written) {
    return true;
  }
  // After a failure the system may have dropped what it could not write: it cannot be tried again.
  if (fdatasync(log->file) != 0) {
    log->broken = true;
    return error_set(err, ERR_STORE,
                     "cannot bring the log %s to the disk: %s; whether the rows were pushed is not "
                     "known, check the disk and start again",
                     log->folder, strerror(errno));
  }
  log->durable = log->written;
  return true;
}

// With a descriptor of its own: others may begin another segment meanwhile.
bool log_sync_begin(const Log *log, LogSync *sync)
{
  *sync = (LogSync){.file = -1, .last = log->written};
  if (!log->broken && log->durable < log->written) {
    sync->file = fcntl(log->file, F_DUPFD_CLOEXEC, 0);
  }
  return sync->file >= 0;
}

bool log_sync_wait(const LogSync *sync)
{
  return fdatasync(sync->file) == 0;
}

void log_sync_end(Log *log, LogSync *sync, bool synced)
{
  close(sync->file);
  sync->file = -1;
  log->broken |= !synced;
  if (synced && log->durable < sync->last) {
    log->durable = sync->last;
  }
}

LogPosition log_end_position(const Log *log)
{
  return (LogPosition){log->written, log->segment, log->offset};
}

uint64_t log_durable(const Log *log)
{
  return log->durable;
}

void log_trim(Log *log, uint64_t applied)
{
  uint64_t total = 0;
  for (size_t i = 0; i < log->segments.count; i++) {
    total += log->segments.items[i].size;
  }
  size_t dropped = 0;
  // The last sequence of a segment is the one before the next one's first.
  while (dropped + 1 < log->segments.count && total > log->options.keep_bytes
         && log->segments.items[dropped + 1].first <= applied + 1) {
    char path[PATH_MAX];
    segment_path(log->folder, log->segments.items[dropped].first, path);
    if (unlink(path) != 0 && errno != ENOENT) {
      break;
    }
    total -= log->segments.items[dropped++].size;
  }
  log->segments.count -= dropped;
  memmove(log->segments.items, log->segments.items + dropped,
          log->segments.count * sizeof(*log->segments.items));
}
