#include "engine/writer.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "data/key.h"
#include "engine/writer_apply.h"
#include "store/online.h"

enum {
  RETRY_MS = 1000,
  SYNC_MS = WRITER_SYNC_MS / 2,  // between two syncs; what comes during one has to wait as well
  APPLY_NICE = 10,
  APPLY_REST = 9,
  ENTRY_HEAD = 2 * sizeof(uint32_t),
};

// A table that waits to be applied.
typedef struct Sealed {
  struct Sealed *next;
  OverlayTable *table;
  LogPosition end;
} Sealed;

struct Writer {
  Engine *engine;
  Db *db;
  Durability durability;
  uint64_t queue_bytes;  // at most, of pushes that wait for the log
  Overlay *overlay;
  pthread_t log_thread;
  pthread_t apply_thread;

  // Of whoever has set `busy`: the log thread, or one that hands over a small group.
  Log *log;
  DbRead *read;
  Buf merged;         // a partial row put together with the one it completes
  Buf merged_values;  // its values
  uint32_t *ends;     // of those
  size_t ends_capacity;
  uint64_t waiting_since;  // monotonic ns: rows that the apply thread has not been told of
  size_t held;             // sealed tables of such rows, beside the active one
  uint64_t synced_at;      // monotonic ns: when the last sync began
  bool syncing;            // it is under way, and nobody is busy with it
  uint64_t snapshot;       // that nobody else has committed since, as far as `compared_from` says
  uint64_t compared_from;  // rows from this sequence on were compared with all that is in LMDB
  uint64_t settled;        // the same for the group under way; UINT64_MAX: it is not known

  pthread_mutex_t lock;  // for all that follows
  pthread_cond_t work;   // something to log, or the end
  pthread_cond_t room;   // the queue has become shorter
  pthread_cond_t sealed_work;
  pthread_cond_t applied_one;
  Push *first;
  Push **last;
  size_t queued_bytes;
  size_t queued_count;
  Sealed *sealed;  // oldest first
  size_t sealed_count;
  size_t due;           // of these, the oldest: to be applied
  size_t taken;         // and being applied
  uint64_t rest_until;  // monotonic ns: until then the apply thread gets many rows or none
  uint64_t applied;     // sequence
  Commits commits;      // of the apply thread since `snapshot`; its own while it has taken tables
  Error apply_error;    // why applying fails; code 0: it does not
  bool busy;            // somebody writes a group
  bool wanted;          // the log thread waits until nobody does
  bool stopping;        // nothing is submitted any more
  bool log_ended;       // nothing is sealed any more
};

// Rows --------------------------------------------------------------------------------------------

void push_row_put(Buf *out, const PushRow *row)
{
  uint8_t head[PUSH_HEADER] = {PUSH_VERSION, row->flags};
  uint16_t given_size = (uint16_t)row->given.size;
  uint32_t key_size = (uint32_t)row->key.size;
  memcpy(head + 2, &given_size, sizeof(given_size));
  memcpy(head + 4, &key_size, sizeof(key_size));
  buf_put(out, head, sizeof(head));
  buf_put_slice(out, row->key);
  buf_put_slice(out, row->given);
  buf_put_slice(out, row->row);
}

bool push_row_open(Slice payload, PushRow *row)
{
  uint16_t given_size;
  uint32_t key_size;
  if (payload.size < PUSH_HEADER || payload.data[0] != PUSH_VERSION) {
    return false;
  }
  memcpy(&given_size, payload.data + 2, sizeof(given_size));
  memcpy(&key_size, payload.data + 4, sizeof(key_size));
  size_t rest = payload.size - PUSH_HEADER;
  if (key_size < KEY_VIEW_SIZE || key_size > rest || given_size > rest - key_size) {
    return false;
  }
  const char *at = payload.data + PUSH_HEADER;
  *row = (PushRow){
      .flags = (uint8_t)payload.data[1],
      .key = slice_of(at, key_size),
      .given = slice_of(at + key_size, given_size),
      .row = slice_of(at + key_size + given_size, rest - key_size - given_size),
  };
  return true;
}

void push_add(Push *push, uint32_t number, const PushRow *row)
{
  size_t start = push->rows.size;
  buf_reserve(&push->rows, ENTRY_HEAD);
  push->rows.size += ENTRY_HEAD;
  push_row_put(&push->rows, row);
  uint32_t head[2] = {(uint32_t)(push->rows.size - start - ENTRY_HEAD), number};
  memcpy(push->rows.data + start, head, sizeof(head));
  push->count++;
}

void push_deinit(Push *push)
{
  buf_deinit(&push->rows);
  buf_deinit(&push->too_large);
}

// Takes the first row off `rows`.
static PushRow take_row(Slice *rows, uint32_t *number)
{
  uint32_t head[2];
  memcpy(head, rows->data, sizeof(head));
  PushRow row;
  bool ok = push_row_open(slice_of(rows->data + ENTRY_HEAD, head[0]), &row);
  assert(ok);
  (void)ok;
  *number = head[1];
  *rows = slice_of(rows->data + ENTRY_HEAD + head[0], rows->size - ENTRY_HEAD - head[0]);
  return row;
}

// Merging -----------------------------------------------------------------------------------------

static bool is_given(Slice given, size_t slot)
{
  return slot / 8 < given.size && ((uint8_t)given.data[slot / 8] >> (slot % 8) & 1);
}

static Slice slot_value(const RowView *row, uint32_t slot)
{
  static const char NIL[] = "\xc0";
  uint32_t present;
  Slice value = row_span(row, slot, 1, &present);
  return present ? value : slice_of(NIL, 1);
}

static void reserve_ends(Writer *writer, size_t count)
{
  if (count > writer->ends_capacity) {
    writer->ends_capacity = count;
    writer->ends = mem_realloc(writer->ends, count, sizeof(*writer->ends));
  }
}

// What `pushed` gives, and the rest of `base`. Errors of features that are kept stay errors.
static Slice merge(Writer *writer, const PushRow *pushed, const RowView *over, const RowView *base)
{
  size_t count = over->count > base->count ? over->count : base->count;
  uint8_t errors[UINT16_MAX / 8 + 1];
  size_t errors_size = (count + 7) / 8;
  bool has_errors = false;
  memset(errors, 0, errors_size);
  reserve_ends(writer, count);
  buf_reset(&writer->merged_values);
  for (uint32_t slot = 0; slot < count; slot++) {
    const RowView *from = is_given(pushed->given, slot) ? over : base;
    buf_put_slice(&writer->merged_values, slot_value(from, slot));
    writer->ends[slot] = (uint32_t)writer->merged_values.size;
    if (row_slot_status(from, slot) == STATUS_ERROR) {
      errors[slot / 8] |= (uint8_t)(1U << (slot % 8));
      has_errors = true;
    }
  }
  RowValues values = {
      .bytes = buf_slice(&writer->merged_values),
      .ends = writer->ends,
      .count = count,
      .errors = has_errors ? errors : NULL,
  };
  buf_reset(&writer->merged);
  row_encode_values(&writer->merged, over->rank, false, &values, over->key);
  return buf_slice(&writer->merged);
}

// Logging -----------------------------------------------------------------------------------------

// The greater one of the newest row that readers know and the newest of this group; NULL: none.
static bool find_newest(const Writer *writer, Slice key, RowView *newest, bool *found, Error *err)
{
  Slice bytes;
  RowView row;
  if (!overlay_active_row(writer->overlay, key, &bytes)) {
    return true;
  }
  if (!row_open(bytes, &row, err)) {
    return false;
  }
  if (!*found || row_rank_compare(row.rank, newest->rank) > 0) {
    *newest = row;
    *found = true;
  }
  return true;
}

// A row of the block under way.
typedef struct {
  PushRow pushed;
  RowView base;  // the newest row that readers know, if `found`
  uint32_t number;
  bool found;
} Candidate;

static bool log_row(Writer *writer, Push *push, Candidate *it, Error *err)
{
  uint64_t sequence = log_next_sequence(writer->log);
  PushRow *pushed = &it->pushed;
  RowView row;
  bool online = pushed->flags & PUSH_ONLINE;
  if (!row_open(pushed->row, &row, err)
      || (online && !find_newest(writer, pushed->key, &it->base, &it->found, err))) {
    return false;
  }
  row.rank.arrival = LOG_ARRIVAL_BASE + sequence;
  bool wins = online && (!it->found || row_rank_compare(row.rank, it->base.rank) > 0);
  bool partial = pushed->flags & PUSH_PARTIAL;
  if (wins && partial && it->found && !row.deleted && !it->base.deleted) {
    pushed->row = merge(writer, pushed, &row, &it->base);
  }
  if (PUSH_HEADER + pushed->key.size + pushed->given.size + pushed->row.size > LOG_RECORD_MAX) {
    buf_put(&push->too_large, &it->number, sizeof(it->number));
    return true;
  }
  Buf *group = log_begin(writer->log);
  push_row_put(group, pushed);
  uint8_t *stored = group->data + group->size - pushed->row.size;
  row_set_arrival(stored, row.rank.arrival);
  if (wins) {
    overlay_put(writer->overlay, pushed->key, slice_of(stored, pushed->row.size), sequence);
  }
  log_end(writer->log);
  push->written += wins || !online;
  push->stale += online && !wins;
  return true;
}

// Puts the first rows of *rows into the log's group: a block of them, or fewer when the group is
// large. Merging may make much of little, so the bytes are looked at after every row.
static bool log_block(Writer *writer, Push *push, Slice *rows, Error *err)
{
  Candidate block[ONLINE_BLOCK];
  Slice after[ONLINE_BLOCK];
  Slice keys[ONLINE_BLOCK];
  RowView newest[ONLINE_BLOCK] = {0};
  bool found[ONLINE_BLOCK];
  size_t count = 0;
  for (Slice rest = *rows; count < ONLINE_BLOCK && rest.size; count++) {
    block[count].pushed = take_row(&rest, &block[count].number);
    bool online = block[count].pushed.flags & PUSH_ONLINE;
    keys[count] = online ? block[count].pushed.key : (Slice){0};
    after[count] = rest;
  }
  if (!online_get_settled(writer->read, keys, count, writer->settled, newest, found, err)) {
    return false;
  }
  for (size_t i = 0; i < count && log_group_bytes(writer->log) < WRITER_GROUP_BYTES; i++) {
    block[i].base = newest[i];
    block[i].found = found[i];
    if (!log_row(writer, push, &block[i], err)) {
      return false;
    }
    *rows = after[i];
  }
  return true;
}

static void seal(Writer *writer);

// Waits while too many rows have not been applied yet. Fails when they cannot be.
static bool wait_for_room(Writer *writer, Error *err)
{
  if (!overlay_active_full(writer->overlay)) {
    return true;
  }
  pthread_mutex_lock(&writer->lock);
  while (writer->sealed_count >= WRITER_TABLES && !writer->apply_error.code) {
    pthread_cond_wait(&writer->applied_one, &writer->lock);
  }
  bool room = writer->sealed_count < WRITER_TABLES;
  if (!room) {
    error_set(err, writer->apply_error.code, "nothing more can be pushed: %s",
              writer->apply_error.message);
  }
  pthread_mutex_unlock(&writer->lock);
  return room;
}

// Writes what was put together and makes it visible.
static bool commit_group(Writer *writer, Error *err)
{
  if (!log_write(writer->log, err)
      || (writer->durability == DURABILITY_FULL && !log_sync(writer->log, err))) {
    overlay_undo(writer->overlay, 0);
    return false;
  }
  overlay_publish(writer->overlay, log_next_sequence(writer->log) - 1);
  return true;
}

// Whether there are rows that the apply thread has not been told of.
static bool has_waiting(const Writer *writer)
{
  return writer->held || overlay_active_rows(writer->overlay);
}

// What is in the overlay is as great as what the apply thread puts into LMDB. Rows that were
// compared before somebody else has committed (a materialize, say) have to be compared again.
static void settle_rows(Writer *writer)
{
  uint64_t snapshot = db_read_snapshot(writer->read);
  if (snapshot != writer->snapshot) {
    pthread_mutex_lock(&writer->lock);
    const Commits *ours = &writer->commits;
    bool applying = writer->taken;
    if (!applying) {
      bool alone = !ours->broken && ours->first == writer->snapshot + 1 && ours->last == snapshot;
      writer->compared_from = alone ? writer->compared_from : log_next_sequence(writer->log);
      writer->snapshot = snapshot;
      writer->commits = (Commits){0};
    }
    pthread_mutex_unlock(&writer->lock);
    if (applying) {
      writer->settled = UINT64_MAX;
      return;
    }
  }
  writer->settled = writer->compared_from;
}

// Makes room for more rows, and a reader that sees all that is published.
static bool begin_group(Writer *writer, Error *err)
{
  if (!log_usable(writer->log, err) || !wait_for_room(writer, err)) {
    return false;
  }
  if (overlay_active_full(writer->overlay)) {
    seal(writer);
  }
  if (!has_waiting(writer)) {
    writer->waiting_since = clock_monotonic_ns();
  }
  if (!db_read_begin(writer->read, err)) {
    return false;
  }
  settle_rows(writer);
  return true;
}

// Where the group under way stands.
typedef struct {
  LogMark log;
  size_t overlay;
} GroupMark;

static GroupMark mark_group(const Writer *writer)
{
  return (GroupMark){log_mark(writer->log), overlay_unpublished(writer->overlay)};
}

// A push that cannot be finished, because a row of its keys is damaged, say, takes back what it has
// put into this group and nothing of what others have.
static void fail_push(Writer *writer, Push *push, GroupMark before, const Error *err)
{
  log_rewind(writer->log, before.log);
  overlay_undo(writer->overlay, before.overlay);
  push->ok = false;
  push->err = *err;
}

// Puts rows of `pushes` into the log's group until it is large; *push and *rows say where it goes
// on.
static void fill_group(Writer *writer, Push **push, Slice *rows)
{
  GroupMark before = mark_group(writer);
  while (*push) {
    Error err = {0};
    if (rows->size == 0) {
      *push = (*push)->next;
      *rows = *push ? buf_slice(&(*push)->rows) : (Slice){0};
      before = mark_group(writer);
    } else if (log_group_bytes(writer->log) >= WRITER_GROUP_BYTES) {
      return;
    } else if (!log_block(writer, *push, rows, &err)) {
      fail_push(writer, *push, before, &err);
      *rows = (Slice){0};
    }
  }
}

// The group was not written: nothing that has rows in it or comes after it was pushed.
static void fail_rest(Push *first, const Error *err)
{
  for (Push *push = first; push; push = push->next) {
    push->ok = false;
    push->err = *err;
  }
}

static void write_pushes(Writer *writer, Push *pushes)
{
  assert(pushes);
  Push *push = pushes;
  Slice rows = buf_slice(&push->rows);
  while (push) {
    Push *first = push;
    Error err = {0};
    bool ok = begin_group(writer, &err);
    if (ok) {
      fill_group(writer, &push, &rows);
      db_read_end(writer->read);
      ok = commit_group(writer, &err);
    }
    if (!ok) {
      fail_rest(first, &err);
      return;
    }
  }
}

// Stretches of one owner are told at once.
static void tell_owners(Push *pushes)
{
  while (pushes) {
    Push *last = pushes;
    while (last->next && last->next->owner == pushes->owner) {
      last = last->next;
    }
    Push *rest = last->next;
    last->next = NULL;
    pushes->done(pushes);
    pushes = rest;
  }
}

static void write_group(Writer *writer, Push *pushes)
{
  for (Push *push = pushes; push; push = push->next) {
    push->ok = true;
  }
  write_pushes(writer, pushes);
  tell_owners(pushes);
}

// Tells the apply thread of all sealed tables. Called with the lock held.
static void make_due(Writer *writer)
{
  writer->due = writer->sealed_count;
  writer->held = 0;
  pthread_cond_signal(&writer->sealed_work);
}

// Seals the active table. What LMDB holds must never be ahead of the log on the disk. Few tables
// are held, for the more rows are applied together, the less each of them costs.
static void seal(Writer *writer)
{
  Error ignored = {0};  // a log that cannot be synced says so to the next push
  if (overlay_active_rows(writer->overlay) == 0 || !log_sync(writer->log, &ignored)) {
    return;
  }
  Sealed *sealed = mem_zalloc(1, sizeof(*sealed));
  sealed->end = log_end_position(writer->log);
  sealed->table = overlay_seal(writer->overlay);
  pthread_mutex_lock(&writer->lock);
  Sealed **last = &writer->sealed;
  while (*last) {
    last = &(*last)->next;
  }
  *last = sealed;
  writer->sealed_count++;
  writer->held++;
  if (writer->sealed_count - writer->taken >= WRITER_TABLES_HELD) {
    make_due(writer);
  }
  uint64_t applied = writer->applied;
  pthread_mutex_unlock(&writer->lock);
  log_trim(writer->log, applied);
}

static uint64_t milliseconds(uint64_t count)
{
  return count * 1000000;
}

// When the log thread has to do something even if nobody pushes; UINT64_MAX: never.
static uint64_t next_deadline(const Writer *writer)
{
  uint64_t deadline = UINT64_MAX;
  if (has_waiting(writer)) {
    deadline = writer->waiting_since + milliseconds(WRITER_APPLY_MS);
  } else if (overlay_has_spare(writer->overlay)) {
    deadline = writer->waiting_since + milliseconds(WRITER_SPARE_MS);
  }
  if (log_durable(writer->log) + 1 < log_next_sequence(writer->log)
      && writer->synced_at + milliseconds(SYNC_MS) < deadline) {
    deadline = writer->synced_at + milliseconds(SYNC_MS);
  }
  return deadline;
}

static struct timespec as_timespec(uint64_t ns)
{
  return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

// Waits for pushes, for the time of something else, or for the end. Called with the lock held.
static void wait_for_work(Writer *writer)
{
  for (;;) {
    if (writer->busy) {
      pthread_cond_wait(&writer->work, &writer->lock);
      continue;
    }
    uint64_t deadline = next_deadline(writer);
    if (writer->first || writer->stopping || deadline <= clock_monotonic_ns()) {
      return;
    }
    struct timespec until = as_timespec(deadline);
    if (deadline == UINT64_MAX) {
      pthread_cond_wait(&writer->work, &writer->lock);
    } else {
      pthread_cond_timedwait(&writer->work, &writer->lock, &until);
    }
  }
}

// Pushes for one group; NULL when the time has come for something else, or the end. Whoever takes
// them is busy until release().
static Push *take_group(Writer *writer, bool *ended)
{
  pthread_mutex_lock(&writer->lock);
  wait_for_work(writer);
  writer->busy = true;
  Push *pushes = writer->first;
  Push *push = pushes;
  size_t bytes = 0;
  Push **end = &pushes;
  for (; push && (bytes == 0 || bytes + push->rows.size <= WRITER_GROUP_BYTES); push = *end) {
    bytes += push->rows.size;
    writer->queued_count--;
    end = &push->next;
  }
  *end = NULL;
  writer->first = push;
  if (!push) {
    writer->last = &writer->first;
  }
  writer->queued_bytes -= bytes;
  *ended = writer->stopping && !pushes;
  pthread_cond_broadcast(&writer->room);
  pthread_mutex_unlock(&writer->lock);
  return pushes;
}

// `wake`: the log thread has something to do, or to wait for, that it does not know of.
static void release(Writer *writer, bool wake)
{
  pthread_mutex_lock(&writer->lock);
  writer->busy = false;
  if (wake || writer->wanted || writer->first || writer->stopping) {
    pthread_cond_signal(&writer->work);
  }
  pthread_mutex_unlock(&writer->lock);
}

// The log thread is busy again.
static void resume(Writer *writer)
{
  pthread_mutex_lock(&writer->lock);
  writer->wanted = true;
  while (writer->busy) {
    pthread_cond_wait(&writer->work, &writer->lock);
  }
  writer->wanted = false;
  writer->busy = true;
  pthread_mutex_unlock(&writer->lock);
}

// Others write small groups meanwhile, for a while.
static void sync_log(Writer *writer)
{
  LogSync sync;
  if (log_sync_begin(writer->log, &sync)) {
    writer->syncing = true;
    release(writer, false);
    bool synced = log_sync_wait(&sync);
    resume(writer);
    writer->syncing = false;
    log_sync_end(writer->log, &sync, synced);
  } else {
    Error ignored = {0};
    log_sync(writer->log, &ignored);  // without a descriptor for that, they wait
  }
}

// Hands everything that waits to the apply thread, unless that is at work or has a rest.
static void hand_to_apply(Writer *writer, bool ended)
{
  pthread_mutex_lock(&writer->lock);
  bool idle = writer->due == 0 && clock_monotonic_ns() >= writer->rest_until;
  pthread_mutex_unlock(&writer->lock);
  writer->waiting_since = clock_monotonic_ns();  // or when to look again
  if (!idle && !ended) {
    return;
  }
  seal(writer);
  pthread_mutex_lock(&writer->lock);
  make_due(writer);
  pthread_mutex_unlock(&writer->lock);
}

// What is done between groups.
static void look_after(Writer *writer, bool ended)
{
  uint64_t now = clock_monotonic_ns();
  if (now >= writer->synced_at + milliseconds(SYNC_MS)) {
    writer->synced_at = now;
    sync_log(writer);
    now = clock_monotonic_ns();
  }
  uint64_t waited = now - writer->waiting_since;
  if (has_waiting(writer) && (ended || waited >= milliseconds(WRITER_APPLY_MS))) {
    hand_to_apply(writer, ended);
  } else if (!has_waiting(writer) && waited >= milliseconds(WRITER_SPARE_MS)) {
    overlay_drop_spare(writer->overlay);
  }
}

static void *run_log(void *argument)
{
  Writer *writer = argument;
  bool ended = false;
  while (!ended) {
    Push *pushes = take_group(writer, &ended);
    if (pushes) {
      write_group(writer, pushes);
    }
    look_after(writer, ended);
    release(writer, false);
  }
  pthread_mutex_lock(&writer->lock);
  writer->log_ended = true;
  pthread_cond_signal(&writer->sealed_work);
  pthread_mutex_unlock(&writer->lock);
  return NULL;
}

// Applying ----------------------------------------------------------------------------------------

// The tables to apply; none at the end.
static void take_tables(Writer *writer, ApplyTables *tables)
{
  tables->count = 0;
  pthread_mutex_lock(&writer->lock);
  while (!writer->due && !writer->log_ended) {
    pthread_cond_wait(&writer->sealed_work, &writer->lock);
  }
  for (const Sealed *sealed = writer->sealed;
       tables->count < writer->due && tables->count < WRITER_TABLES; sealed = sealed->next) {
    tables->items[tables->count++] = sealed->table;
    tables->end = sealed->end;
  }
  writer->taken = tables->count;
  pthread_mutex_unlock(&writer->lock);
}

// Rows that are applied together share pages of LMDB: so the more there are, the longer the next
// ones wait for others.
static uint64_t rest_after(uint64_t begun)
{
  uint64_t now = clock_monotonic_ns();
  uint64_t rest = (now - begun) * APPLY_REST;
  return now + (rest < milliseconds(WRITER_REST_MS) ? rest : milliseconds(WRITER_REST_MS));
}

static void applied(Writer *writer, const ApplyTables *tables, uint64_t begun)
{
  for (size_t i = 0; i < tables->count; i++) {
    overlay_drop(writer->overlay, tables->items[i]);
  }
  pthread_mutex_lock(&writer->lock);
  writer->rest_until = rest_after(begun);
  for (size_t i = 0; i < tables->count; i++) {
    Sealed *sealed = writer->sealed;
    writer->sealed = sealed->next;
    free(sealed);
  }
  writer->sealed_count -= tables->count;
  writer->due -= tables->count;
  writer->taken = 0;
  writer->applied = tables->end.sequence;
  error_clear(&writer->apply_error);
  pthread_cond_broadcast(&writer->applied_one);
  pthread_mutex_unlock(&writer->lock);
}

// Notes why, and waits a while before it is tried again. False: it is not, this is the end.
static bool not_applied(Writer *writer, const Error *err)
{
  struct timespec until = as_timespec(clock_monotonic_ns() + milliseconds(RETRY_MS));
  pthread_mutex_lock(&writer->lock);
  writer->apply_error = *err;
  writer->taken = 0;
  writer->commits.broken = true;
  pthread_cond_broadcast(&writer->applied_one);
  int rc = 0;
  while (!writer->log_ended && rc != ETIMEDOUT) {
    rc = pthread_cond_timedwait(&writer->sealed_work, &writer->lock, &until);
  }
  bool again = !writer->log_ended;
  pthread_mutex_unlock(&writer->lock);
  return again;
}

// What is applied is durable and visible already: requests come first. It is a wish only.
static void step_back(void)
{
  setpriority(PRIO_PROCESS, (id_t)gettid(), APPLY_NICE);
}

static void *run_apply(void *argument)
{
  Writer *writer = argument;
  step_back();
  Error err = {0};
  DbRead *read = db_read_new(writer->db, &err);
  ApplyTables tables;
  bool going = true;
  for (take_tables(writer, &tables); going && tables.count; take_tables(writer, &tables)) {
    read = read ? read : db_read_new(writer->db, &err);
    uint64_t begun = clock_monotonic_ns();
    if (read && apply_tables(writer->engine, writer->db, read, &tables, &writer->commits, &err)) {
      applied(writer, &tables, begun);
    } else {
      going = not_applied(writer, &err);
    }
    error_clear(&err);
  }
  db_read_free(read);
  return NULL;
}

// Life --------------------------------------------------------------------------------------------

static void init_condition(pthread_cond_t *condition)
{
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(condition, &attributes);
  pthread_condattr_destroy(&attributes);
}

// Signals are the other threads' business.
static bool start_threads(Writer *writer, Error *err)
{
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int rc = pthread_create(&writer->log_thread, NULL, run_log, writer);
  if (!rc) {
    rc = pthread_create(&writer->apply_thread, NULL, run_apply, writer);
    if (rc) {
      pthread_mutex_lock(&writer->lock);
      writer->stopping = true;
      pthread_cond_signal(&writer->work);
      pthread_mutex_unlock(&writer->lock);
      pthread_join(writer->log_thread, NULL);
    }
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return !rc || error_set(err, ERR_INTERNAL, "cannot start a thread: %s", strerror(rc));
}

static void free_writer(Writer *writer)
{
  for (Sealed *sealed = writer->sealed, *next; sealed; sealed = next) {
    next = sealed->next;
    overlay_drop(writer->overlay, sealed->table);
    free(sealed);
  }
  db_set_overlay(writer->db, NULL);
  db_read_free(writer->read);
  overlay_free(writer->overlay);
  log_close(writer->log);
  pthread_cond_destroy(&writer->applied_one);
  pthread_cond_destroy(&writer->sealed_work);
  pthread_cond_destroy(&writer->room);
  pthread_cond_destroy(&writer->work);
  pthread_mutex_destroy(&writer->lock);
  buf_deinit(&writer->merged);
  buf_deinit(&writer->merged_values);
  free(writer->ends);
  free(writer);
}

Writer *writer_open(Engine *engine, const WriterOptions *options, Error *err)
{
  Db *db = engine_db(engine, false, err);
  if (!db) {
    return NULL;
  }
  Writer *writer = mem_zalloc(1, sizeof(*writer));
  writer->engine = engine;
  writer->db = db;
  writer->durability = options->durability;
  writer->queue_bytes = options->queue_bytes ? options->queue_bytes : WRITER_QUEUE_BYTES;
  writer->last = &writer->first;
  pthread_mutex_init(&writer->lock, NULL);
  init_condition(&writer->work);
  init_condition(&writer->room);
  init_condition(&writer->sealed_work);
  init_condition(&writer->applied_one);
  writer->overlay = overlay_new();
  writer->log = apply_log(engine, db, err);
  writer->read = writer->log ? db_read_new(db, err) : NULL;
  if (writer->read) {
    writer->applied = log_next_sequence(writer->log) - 1;
    if (start_threads(writer, err)) {
      db_set_overlay(db, writer->overlay);
      return writer;
    }
  }
  free_writer(writer);
  return NULL;
}

bool writer_close(Writer *writer, Error *err)
{
  if (!writer) {
    return true;
  }
  pthread_mutex_lock(&writer->lock);
  writer->stopping = true;
  pthread_cond_signal(&writer->work);
  pthread_cond_broadcast(&writer->room);
  pthread_mutex_unlock(&writer->lock);
  pthread_join(writer->log_thread, NULL);
  pthread_join(writer->apply_thread, NULL);
  bool ok = !writer->apply_error.code;
  if (!ok) {
    error_set(err, writer->apply_error.code, "pushed rows are in the log but not applied: %s",
              writer->apply_error.message);
  }
  free_writer(writer);
  return ok;
}

void writer_status(Writer *writer, WriterStatus *status)
{
  pthread_mutex_lock(&writer->lock);
  *status = (WriterStatus){
      .queued_pushes = writer->queued_count,
      .queued_bytes = writer->queued_bytes,
      .unapplied_tables = writer->sealed_count,
      .apply_error = writer->apply_error,
  };
  pthread_mutex_unlock(&writer->lock);
}

// Submitting --------------------------------------------------------------------------------------

static bool is_full(const Writer *writer, const Push *push)
{
  return writer->queued_count
         && (writer->queued_bytes + push->rows.size > writer->queue_bytes
             || writer->queued_count >= WRITER_QUEUE_PUSHES);
}

// Called with the lock held.
static bool enqueue(Writer *writer, Push *push, Error *err)
{
  if (writer->stopping) {
    return error_set(err, ERR_UNAVAILABLE, "no more rows are taken: the writer is stopping");
  }
  if (is_full(writer, push)) {
    return error_set(
        err, ERR_LIMIT,
        "too many pushes are waiting for the disk (%zu of them, %zu bytes): push again "
        "later, or give them more room (serve --max-queue SIZE)",
        writer->queued_count, writer->queued_bytes);
  }
  push->next = NULL;
  *writer->last = push;
  writer->last = &push->next;
  writer->queued_bytes += push->rows.size;
  writer->queued_count++;
  return true;
}

bool writer_submit(Writer *writer, Push *push, bool wait, Error *err)
{
  pthread_mutex_lock(&writer->lock);
  while (wait && is_full(writer, push) && !writer->stopping) {
    pthread_cond_wait(&writer->room, &writer->lock);
  }
  bool ok = enqueue(writer, push, err);
  pthread_cond_signal(&writer->work);
  pthread_mutex_unlock(&writer->lock);
  return ok;
}

// Whether a sync takes so long that what is written meanwhile would be too much to lose.
static bool is_sync_slow(const Writer *writer)
{
  return writer->syncing && clock_monotonic_ns() - writer->synced_at >= milliseconds(SYNC_MS);
}

// Whether the group may be written by who hands it over: nothing waits before it, and nothing in it
// waits for the disk. Waking the log thread would cost more. Called with the lock held.
static bool can_write_now(const Writer *writer, const Push *first)
{
  if (writer->durability == DURABILITY_FULL || writer->busy || writer->wanted || writer->first
      || writer->stopping || is_sync_slow(writer) || overlay_active_full(writer->overlay)
      || !log_has_room(writer->log)) {
    return false;
  }
  size_t bytes = 0;
  for (const Push *push = first; push && bytes <= WRITER_NOW_BYTES; push = push->next) {
    bytes += push->rows.size;
  }
  return bytes <= WRITER_NOW_BYTES;
}

static void write_now(Writer *writer, Push *first)
{
  uint64_t before = next_deadline(writer);
  write_group(writer, first);
  release(writer, next_deadline(writer) < before);
}

void writer_submit_all(Writer *writer, Push *first)
{
  Push *refused = NULL;
  Push **last = &refused;
  pthread_mutex_lock(&writer->lock);
  bool now = can_write_now(writer, first);
  writer->busy = writer->busy || now;
  for (Push *push = now ? NULL : first, *next; push; push = next) {
    next = push->next;
    if (!enqueue(writer, push, &push->err)) {
      push->ok = false;
      push->next = NULL;
      *last = push;
      last = &push->next;
    }
  }
  if (!now) {
    pthread_cond_signal(&writer->work);
  }
  pthread_mutex_unlock(&writer->lock);
  if (now) {
    write_now(writer, first);
  }
  tell_owners(refused);
}

// Somebody who waits for a push.
typedef struct {
  pthread_mutex_t lock;
  pthread_cond_t done;
  bool finished;
} Waiter;

static void wake(Push *push)
{
  Waiter *waiter = push->context;
  pthread_mutex_lock(&waiter->lock);
  waiter->finished = true;
  pthread_cond_signal(&waiter->done);
  pthread_mutex_unlock(&waiter->lock);
}

bool writer_push(Writer *writer, Push *push, Error *err)
{
  Waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
  push->done = wake;
  push->owner = &waiter;
  push->context = &waiter;
  bool ok = writer_submit(writer, push, true, err);
  if (ok) {
    pthread_mutex_lock(&waiter.lock);
    while (!waiter.finished) {
      pthread_cond_wait(&waiter.done, &waiter.lock);
    }
    pthread_mutex_unlock(&waiter.lock);
    ok = push->ok || error_set(err, push->err.code, "%s", push->err.message);
  }
  pthread_cond_destroy(&waiter.done);
  pthread_mutex_destroy(&waiter.lock);
  return ok;
}
