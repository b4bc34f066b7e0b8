// push: a file's rows into the online store and the log, here or through a server.

#include <inttypes.h>

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/session.h"
#include "engine/push_file.h"

enum { SHOWN_REJECTIONS = 10 };

typedef struct {
  const Args *args;
  const char *view;
  const char *file;
  Session session;
  Engine *files;  // reads the file; the session's own without a server
  PushColumn *columns;
  size_t column_count;
  bool has_inputs;  // of functions
  TimeUnit unit;
  Table source;  // of the view
  uint64_t read;
  uint64_t written;
  uint64_t stale;
  uint64_t filtered;
  uint64_t rejected;
  uint64_t noted;  // reasons that were told
} Pushing;

static bool describe(Pushing *it, const char *kind, const char *name, Buf *bytes, MpReader *answer,
                     Error *err)
{
  Params params = {0};
  params_put_text(&params, "kind", kind);
  params_put_text(&params, "name", name);
  bool good = session_call(&it->session, "describe", &params, bytes, answer, err);
  if (!good && err->code == ERR_NOT_FOUND) {
    err->where[0] = '\0';  // "name", a parameter of the method and not of this command
  }
  params_deinit(&params);
  return good;
}

static const char *text_of(const Pushing *it, MpReader map, const char *key)
{
  Slice text = result_text(map, key);
  return text.size ? arena_text(it->args->arena, text) : NULL;
}

static void add_column(Pushing *it, const char *name, const char *column, Type type, bool required)
{
  it->columns[it->column_count++] = (PushColumn){name, column ? column : name, type, required};
}

// Keys or features, as `describe` lists them.
static bool add_fields(Pushing *it, MpReader fields, uint32_t count, bool required, Error *err)
{
  for (uint32_t i = 0; i < count; i++) {
    MpReader field = result_reader(result_take(&fields));
    Type type;
    if (!type_parse(result_text(field, "type"), &type, err)) {
      return false;
    }
    add_column(it, text_of(it, field, "name"), text_of(it, field, "column"), type, required);
  }
  return true;
}

static void add_times(Pushing *it, MpReader source)
{
  const Type time = {.kind = TYPE_TIMESTAMP};
  const char *created = text_of(it, source, "created_time");
  const char *deleted = text_of(it, source, "deleted");
  add_column(it, "event_time", text_of(it, source, "event_time"), time, true);
  add_column(it, "created_time", created, time, false);
  add_column(it, "deleted", deleted, (Type){.kind = TYPE_BOOL}, false);
  clock_parse_unit(result_text(source, "time_unit"), &it->unit);
  it->source.path = text_of(it, source, "path");
  it->source.sql = text_of(it, source, "sql");
}

static bool has_column(const Pushing *it, const char *column)
{
  for (size_t i = 0; i < it->column_count; i++) {
    if (strcmp(it->columns[i].column, column) == 0) {
      return true;
    }
  }
  return false;
}

// Inputs of a function, under their columns' names, unless they are there for another reason.
static bool add_inputs(Pushing *it, MpReader inputs, uint32_t count, Error *err)
{
  for (uint32_t i = 0; i < count; i++) {
    MpReader field = result_reader(result_take(&inputs));
    const char *column = text_of(it, field, "column");
    Type type;
    if (!type_parse(result_text(field, "type"), &type, err)) {
      return false;
    }
    if (!has_column(it, column)) {
      add_column(it, column, column, type, true);
    }
  }
  it->has_inputs = true;
  return true;
}

// What the file has to have: what rows of the view give, under the names that its source has.
static bool add_columns(Pushing *it, MpReader view, MpReader source, Error *err)
{
  enum { TIMES = 3 };
  MpReader keys;
  MpReader features;
  MpReader filter;
  MpReader transform;
  uint32_t key_count = result_list(view, "keys", &keys);
  uint32_t feature_count = result_list(view, "features", &features);
  uint32_t filter_count = result_list(view, "filter_inputs", &filter);
  uint32_t transform_count = result_list(view, "transform_inputs", &transform);
  size_t most = (size_t)key_count + feature_count + filter_count + transform_count + TIMES;
  it->columns = arena_zalloc(it->args->arena, most, sizeof(*it->columns));
  bool made = text_of(it, view, "transform") != NULL;
  bool filtered = text_of(it, view, "filter") != NULL;
  if (!add_fields(it, keys, key_count, true, err)
      || (!made && !add_fields(it, features, feature_count, false, err))) {
    return false;
  }
  add_times(it, source);
  return (!filtered || add_inputs(it, filter, filter_count, err))
         && (!made || add_inputs(it, transform, transform_count, err));
}

static bool find_columns(Pushing *it, Error *err)
{
  Buf view_bytes = {0};
  Buf source_bytes = {0};
  MpReader view;
  MpReader source;
  bool good = describe(it, "feature_view", it->view, &view_bytes, &view, err)
              && describe(it, "source", text_of(it, view, "source"), &source_bytes, &source, err)
              && add_columns(it, view, source, err);
  buf_deinit(&view_bytes);
  buf_deinit(&source_bytes);
  return good;
}

static void note_rejection(Pushing *it, uint64_t row, Slice field, Slice reason)
{
  if (it->noted++ < SHOWN_REJECTIONS) {
    print_note(it->args, "%s:row %" PRIu64 "%s%.*s: %.*s", it->file, row, field.size ? ":" : "",
               (int)field.size, field.size ? field.data : "", (int)reason.size, reason.data);
  }
}

// A value of the file that is not of its column's type. The message names the field.
static bool note_bad_value(void *context, const BadValue *bad, Error *err)
{
  (void)err;
  note_rejection(context, bad->row, slice_text(""), slice_text(bad->message));
  return true;
}

static void note_rejections(Pushing *it, const PushPart *part, MpReader answer)
{
  MpReader list;
  uint32_t count = result_list(answer, "rejected", &list);
  for (uint32_t i = 0; i < count; i++) {
    MpReader rejected = result_reader(result_take(&list));
    uint64_t index = (uint64_t)result_int(rejected, "index");
    uint64_t row = index < part->count ? part->numbers[index] : 0;
    note_rejection(it, row, result_text(rejected, "field"), result_text(rejected, "reason"));
  }
  it->rejected += count;
}

static bool push_rows(Pushing *it, const PushPart *part, Error *err)
{
  Params params = {0};
  Buf bytes = {0};
  MpReader answer;
  params_put_text(&params, "view", it->view);
  params_put_text(&params, "to", args_value(it->args, "to"));
  params_put(&params, "rows");
  buf_put_slice(&params.entries, buf_slice(&part->rows));
  bool good = session_call(&it->session, "push", &params, &bytes, &answer, err);
  if (good) {
    it->written += (uint64_t)result_int(answer, "written");
    it->stale += (uint64_t)result_int(answer, "stale");
    it->filtered += (uint64_t)result_int(answer, "filtered");
    note_rejections(it, part, answer);
  }
  params_deinit(&params);
  buf_deinit(&bytes);
  return good;
}

static bool push_file(Pushing *it, Error *err)
{
  PushFileRequest request = {
      .path = it->file,
      .view = it->view,
      .columns = it->columns,
      .column_count = it->column_count,
      .has_inputs = it->has_inputs,
      .unit = it->unit,
      .source = it->source,
      .bad = {.take = note_bad_value, .context = it},
  };
  PushFile *file = push_file_open(it->files, &request, err);
  PushPart part = {0};
  bool good = file != NULL;
  do {
    good =
        good && push_file_next(file, &part, err) && (part.count == 0 || push_rows(it, &part, err));
    if (good) {
      it->read += part.read;
      it->rejected += part.read - part.count;
    }
  } while (good && part.read);
  push_file_close(file);
  buf_deinit(&part.rows);
  return good;
}

static void print_counts(const Pushing *it)
{
  Buf record = {0};
  Buf out = {0};
  msgpack_packer packer = mp_packer(&record);
  msgpack_pack_map(&packer, 6);
  mp_put_text(&packer, "view");
  mp_put_text(&packer, it->view);
  const struct {
    const char *name;
    uint64_t count;
  } counts[] = {{"read", it->read},
                {"written", it->written},
                {"stale", it->stale},
                {"filtered", it->filtered},
                {"rejected", it->rejected}};
  for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
    mp_put_text(&packer, counts[i].name);
    msgpack_pack_uint64(&packer, counts[i].count);
  }
  Grid grid = grid_from_records(result_reader(buf_slice(&record)), 1, it->args->arena);
  print_grid(&grid, it->args->format, &out);
  print_out(stdout, &out);
  buf_deinit(&out);
  buf_deinit(&record);
}

bool cmd_push_run(Args *args, Error *err)
{
  Pushing it = {.args = args, .view = args->arguments[0], .file = args->arguments[1]};
  bool good = session_open(&it.session, args, err);
  if (good) {
    it.files = it.session.engine ? it.session.engine : session_engine_open(args, err);
    good =
        it.files && find_columns(&it, err) && push_file(&it, err) && engine_finish(it.files, err);
  }
  if (it.files != it.session.engine) {
    engine_close(it.files);
  }
  session_close(&it.session);
  if (!good) {
    if (it.read) {
      print_note(args, "%" PRIu64 " rows were pushed before that; pushing them again is harmless",
                 it.read);
    }
    return false;
  }
  print_counts(&it);
  args->status = it.rejected ? 1 : 0;
  return true;
}
