// get-online-features: the newest features of some entities, from the store or from a server.

#include <stdio.h>

#include "cli/commands.h"
#include "cli/print.h"
#include "cli/wanted.h"

typedef struct {
  const Args *args;
  TextList references;
  const char *service;
  MappingList mappings;
  Entities entities;
  Entities given;  // for on-demand views
  Wanted wanted;
  bool statuses;
  bool event_timestamps;
} Request;

static bool read_request(const Args *args, Request *request, Error *err)
{
  *request = (Request){
      .args = args,
      .service = args_value(args, "service"),
      .statuses = args_has(args, "statuses"),
      .event_timestamps = args_has(args, "event-timestamps"),
  };
  if (!args_references(args, &request->references, err)) {
    return false;
  }
  if ((request->references.count > 0) == (request->service != NULL)) {
    return error_set(err, ERR_USAGE, "say either -f REF[,REF...] or --service NAME");
  }
  return mapping_parse(args, &request->mappings, err)
         && entities_parse(args, "entity", "-e", &request->entities, err)
         && entities_parse(args, "request", "-r", &request->given, err)
         && (request->entities.count || request->given.count
             || error_set(err, ERR_USAGE, "-e KEY=VALUE[,VALUE...] is missing: whom to ask about"));
}

static void put_params(const Request *request, Params *params)
{
  const Args *args = request->args;
  Time now;
  if (args_time(args, "now", &now)) {
    params_put_time(params, "now", now);
  }
  TextList include = {arena_zalloc(args->arena, 2, sizeof(char *)), 0};
  if (request->statuses) {
    include.items[include.count++] = "statuses";
  }
  if (request->event_timestamps) {
    include.items[include.count++] = "event_timestamps";
  }
  params_put_list(params, "features", request->references);
  params_put_text(params, "service", request->service);
  entities_put(&request->entities, "entities", params);
  entities_put(&request->given, "request", params);
  params_put_list(params, "include", include);
  params_put_flag(params, "full_feature_names", args_has(args, "full-feature-names"));
  mapping_put_roles(request->mappings, params);
}

// A grid column is filled from one list of rows of the answer.
typedef struct {
  const char *field;   // "rows", "statuses", "event_timestamps"
  const char *suffix;  // of the column's name
  size_t offset;       // behind the key columns, and again in each group
} Part;

static void fill_part(const Request *request, MpReader answer, const Part *part, size_t stride,
                      Grid *grid)
{
  MpReader rows;
  uint32_t count = result_list(answer, part->field, &rows);
  for (size_t row = 0; row < count && row < grid->row_count; row++) {
    MpReader values = result_reader(result_take(&rows));
    MpToken list = mp_take(&values);
    for (size_t i = 0; list.kind == MP_ARRAY && i < list.count; i++) {
      Slice value = result_take(&values);
      size_t column = request->entities.count + i * stride + part->offset;
      if (column < grid->column_count) {
        grid->cells[row * grid->column_count + column] = value;
      }
    }
  }
}

static void name_columns(const Request *request, MpReader answer, const Part *parts, size_t stride,
                         Grid *grid)
{
  Arena *arena = request->args->arena;
  MpReader names;
  uint32_t count = result_list(answer, "names", &names);
  bool typed = request->wanted.count == count;
  for (size_t i = 0; i < count; i++) {
    MpToken name = mp_take(&names);
    for (size_t part = 0; part < stride; part++) {
      grid->columns[request->entities.count + i * stride + part] = (GridColumn){
          .name = arena_print(arena, "%.*s%s", (int)name.bytes.size, name.bytes.data,
                              parts[part].suffix),
          .time = part == 0 ? typed && request->wanted.times[i]
                            : strcmp(parts[part].field, "event_timestamps") == 0,
      };
    }
  }
}

static void fill_keys(const Request *request, Grid *grid)
{
  const Entities *entities = &request->entities;
  for (size_t i = 0; i < entities->count; i++) {
    const EntityColumn *column = &entities->columns[i];
    bool time = column->typed && type_is_time(column->type);
    grid->columns[i] = (GridColumn){column->name, time};
    for (size_t row = 0; row < grid->row_count; row++) {
      if (row < column->count) {
        grid->cells[row * grid->column_count + i] = column->cells[row];
      }
    }
  }
}

static Grid make_grid(const Request *request, MpReader answer)
{
  Part parts[3] = {{"rows", "", 0}};
  size_t stride = 1;
  if (request->statuses) {
    parts[stride] = (Part){"statuses", "__status", stride};
    stride++;
  }
  if (request->event_timestamps) {
    parts[stride] = (Part){"event_timestamps", "__event_timestamp", stride};
    stride++;
  }
  MpReader ignored;
  size_t names = result_list(answer, "names", &ignored);
  size_t rows = result_list(answer, "rows", &ignored);
  Grid grid = grid_new(request->entities.count + names * stride, rows, request->args->arena);
  fill_keys(request, &grid);
  name_columns(request, answer, parts, stride, &grid);
  for (size_t i = 0; i < stride; i++) {
    fill_part(request, answer, &parts[i], stride, &grid);
  }
  return grid;
}

// An error's place is a parameter of the method; here it is an option.
static void name_option(const Request *request, Error *err)
{
  if (strcmp(err->where, "entities") == 0 && !request->entities.count) {
    error_clear(err);
    error_set(err, ERR_USAGE, "-e KEY=VALUE[,VALUE...] is missing: whom to ask about");
    return;
  }

  static const struct {
    const char *parameter;
    const char *option;
  } PLACES[] = {{"entities.", "-e "}, {"request.", "-r "}};
  for (size_t i = 0; i < sizeof(PLACES) / sizeof(PLACES[0]); i++) {
    size_t size = strlen(PLACES[i].parameter);
    if (strncmp(err->where, PLACES[i].parameter, size) == 0) {
      char name[sizeof(err->where)];
      snprintf(name, sizeof(name), "%s", err->where + size);
      snprintf(err->where, sizeof(err->where), "%s%s", PLACES[i].option, name);
      return;
    }
  }
  if (strncmp(err->where, "features[", strlen("features[")) == 0) {
    err->where[0] = '\0';  // the message names it
  }
}

static bool ask(Request *request, Error *err)
{
  const Args *args = request->args;
  Session session;
  Params params = {0};
  Buf bytes = {0};
  MpReader answer;
  bool good =
      session_open(&session, args, err)
      && wanted_find(&session, request->references, request->service, request->mappings,
                     &request->entities, &request->given, &request->wanted, args->arena, err)
      && entities_encode(&request->entities, args->arena, err)
      && entities_encode(&request->given, args->arena, err);
  if (good) {
    put_params(request, &params);
    good = session_call(&session, "get_online_features", &params, &bytes, &answer, err);
  }
  session_close(&session);
  if (good) {
    Buf out = {0};
    Grid grid = make_grid(request, answer);
    print_grid(&grid, args->format, &out);
    print_out(stdout, &out);
    buf_deinit(&out);
  } else {
    name_option(request, err);
  }
  params_deinit(&params);
  buf_deinit(&bytes);
  return good;
}

bool cmd_online_run(Args *args, Error *err)
{
  Request request;
  return read_request(args, &request, err) && ask(&request, err);
}
