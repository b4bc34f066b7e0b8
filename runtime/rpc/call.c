#include "rpc/call.h"

#include <assert.h>
#include <inttypes.h>

#include "rpc/methods.h"

// "X, did you mean "Y"?"; without anything near, only X.
static bool unknown(const char *what, Slice name, const char *const *known, size_t count,
                    ErrorCode code, Error *err)
{
  const char *near = catalog_suggest(name, known, count);
  return near ? error_set(err, code, "unknown %s \"%.*s\", did you mean \"%s\"?", what,
                          slice_quoted(name), name.data, near)
              : error_set(err, code, "unknown %s \"%.*s\"", what, slice_quoted(name), name.data);
}

// Methods --------------------------------------------------------------------------------------

static bool unknown_method(const CallContext *context, Slice name, Arena *arena, Error *err)
{
  const char **known = arena_alloc(arena, METHOD_COUNT * sizeof(*known));
  size_t count = 0;
  for (size_t i = 0; i < METHOD_COUNT; i++) {
    if (METHODS[i].remote || context->origin == CALL_LOCAL) {
      known[count++] = METHODS[i].name;
    }
  }
  return unknown("method", name, known, count, ERR_NOT_FOUND, err);
}

static const Method *find_method(const CallContext *context, Slice name, Arena *arena, Error *err)
{
  const Method *method = method_find(name);
  if (!method) {
    unknown_method(context, name, arena, err);
    return NULL;
  }
  if (!method->remote && context->origin == CALL_REMOTE) {
    error_set(err, ERR_NOT_FOUND,
              "method \"%s\" works on the project's files and is not offered over a connection: "
              "run it on the command line or in a script",
              method->name);
    return NULL;
  }
  return method;
}

// Parameters -----------------------------------------------------------------------------------

static const char *expectation(ParamType type)
{
  switch (type) {
  case PARAM_TEXT:
    return "a string";
  case PARAM_FLAG:
    return "true or false";
  case PARAM_TIME:
    return "microseconds since 1970 or a time such as \"2021-04-12T07:00:00Z\"";
  case PARAM_TEXTS:
    return "a list of strings";
  case PARAM_MAP:
    return "a map";
  case PARAM_LIST:
    return "a list";
  case PARAM_ROWS:
    return "a map of columns or a list of maps";
  }
  return "";
}

static bool wrong_type(const Parameter *parameter, Error *err)
{
  return error_set(err, ERR_INVALID, "%s has to be %s", parameter->name,
                   expectation(parameter->type));
}

// With all the values it could be, where none is near.
static bool unknown_value(const Parameter *parameter, Slice text, Error *err)
{
  if (catalog_suggest(text, parameter->values, parameter->value_count)) {
    return unknown(parameter->name, text, parameter->values, parameter->value_count, ERR_INVALID,
                   err);
  }
  Buf all = {0};
  for (size_t i = 0; i < parameter->value_count; i++) {
    buf_print(&all, "%s\"%s\"", i ? ", " : "", parameter->values[i]);
  }
  error_set(err, ERR_INVALID, "unknown %s \"%.*s\": expected one of %.*s", parameter->name,
            slice_quoted(text), text.data, (int)all.size, (const char *)all.data);
  buf_deinit(&all);
  return false;
}

static bool check_value(const Parameter *parameter, Slice text, Error *err)
{
  for (size_t i = 0; i < parameter->value_count; i++) {
    if (slice_is(text, parameter->values[i])) {
      return true;
    }
  }
  return !parameter->values || unknown_value(parameter, text, err);
}

static bool take_texts(const Parameter *parameter, Slice raw, uint32_t count, MpReader reader,
                       ParamTexts *texts, Arena *arena, Error *err)
{
  Slice *items = arena_alloc(arena, (size_t)count * sizeof(*items) + 1);
  for (uint32_t i = 0; i < count; i++) {
    MpToken token = mp_take(&reader);
    if (!mp_is_text(&token)) {
      wrong_type(parameter, err);
      return error_at(err, "%s[%" PRIu32 "]", parameter->name, i);
    }
    if (!check_value(parameter, token.bytes, err)) {
      return error_at(err, "%s[%" PRIu32 "]", parameter->name, i);
    }
    items[i] = token.bytes;
  }
  *texts = (ParamTexts){.items = items, .count = count, .raw = raw};
  return true;
}

static bool take_time(const Parameter *parameter, const MpToken *token, Time *time, Error *err)
{
  if (mp_is_text(token)) {
    Error bad = {0};
    return clock_parse(token->bytes, time, &bad) || error_set(err, ERR_INVALID, "%s", bad.message);
  }
  if (!mp_whole(token, time)) {
    return wrong_type(parameter, err);
  }
  return *time != TIME_NULL || error_set(err, ERR_INVALID, "%s is out of range", parameter->name);
}

// Languages that have one kind of table cannot tell an empty list from an empty map.
static bool right_kind(ParamType type, const MpToken *token)
{
  bool empty = (token->kind == MP_ARRAY || token->kind == MP_MAP) && token->count == 0;
  MpKind kind = token->kind;
  switch (type) {
  case PARAM_MAP:
    return kind == MP_MAP || empty;
  case PARAM_LIST:
  case PARAM_TEXTS:
    return kind == MP_ARRAY || empty;
  case PARAM_ROWS:
    return kind == MP_MAP || kind == MP_ARRAY;
  case PARAM_FLAG:
    return kind == MP_BOOL;
  case PARAM_TEXT:
    return kind == MP_STR || kind == MP_BIN;
  case PARAM_TIME:
    return true;  // take_time says more
  }
  return false;
}

// Reads the value of one parameter into its field.
static bool take_param(const Parameter *parameter, Slice raw, void *field, Arena *arena, Error *err)
{
  const uint8_t *start = (const uint8_t *)raw.data;
  MpReader reader = {start, start + raw.size};
  MpToken token = mp_take(&reader);
  if (token.kind == MP_NIL) {
    return true;
  }
  if (!right_kind(parameter->type, &token)) {
    return wrong_type(parameter, err);
  }
  switch (parameter->type) {
  case PARAM_TEXT:
    *(Slice *)field = token.bytes;
    return check_value(parameter, token.bytes, err);
  case PARAM_FLAG:
    *(bool *)field = token.integer != 0;
    return true;
  case PARAM_TIME:
    return take_time(parameter, &token, field, err);
  case PARAM_TEXTS:
    return take_texts(parameter, raw, token.count, reader, field, arena, err);
  case PARAM_MAP:
  case PARAM_LIST:
  case PARAM_ROWS:
    ((ParamValue *)field)->raw = raw;
    return true;
  }
  return true;
}

static const Parameter *find_parameter(const Method *method, Slice name)
{
  for (size_t i = 0; i < method->parameter_count; i++) {
    if (slice_is(name, method->parameters[i].name)) {
      return &method->parameters[i];
    }
  }
  return NULL;
}

static bool unknown_parameter(const Method *method, Slice name, Arena *arena, Error *err)
{
  size_t count = method->parameter_count;
  const char **known = arena_alloc(arena, count * sizeof(*known) + 1);
  for (size_t i = 0; i < count; i++) {
    known[i] = method->parameters[i].name;
  }
  unknown("parameter", name, known, count, ERR_INVALID, err);
  return error_at(err, "%.*s", slice_quoted(name), name.data);
}

static bool is_given(const Parameter *parameter, const void *field)
{
  switch (parameter->type) {
  case PARAM_TIME:
    return *(const Time *)field != TIME_NULL;
  case PARAM_TEXT:
    return ((const Slice *)field)->data != NULL;
  case PARAM_MAP:
  case PARAM_LIST:
  case PARAM_ROWS:
    return ((const ParamValue *)field)->raw.data != NULL;
  case PARAM_TEXTS:
    return ((const ParamTexts *)field)->raw.data != NULL;
  case PARAM_FLAG:
    return true;
  }
  return true;
}

static bool check_required(const Method *method, const char *fields, Error *err)
{
  for (size_t i = 0; i < method->parameter_count; i++) {
    const Parameter *parameter = &method->parameters[i];
    if (parameter->required && !is_given(parameter, fields + parameter->offset)) {
      error_set(err, ERR_INVALID, "%s needs %s, %s", method->name, parameter->name,
                expectation(parameter->type));
      return error_at(err, "%s", parameter->name);
    }
  }
  return true;
}

static char *new_fields(const Method *method, Arena *arena)
{
  char *fields = arena_zalloc(arena, 1, method->params_size + 1);
  for (size_t i = 0; i < method->parameter_count; i++) {
    if (method->parameters[i].type == PARAM_TIME) {
      *(Time *)(void *)(fields + method->parameters[i].offset) = TIME_NULL;
    }
  }
  return fields;
}

// The method's struct, filled from `params`; NULL when something is wrong with them.
static void *take_params(const Method *method, Slice params, Arena *arena, Error *err)
{
  const uint8_t *start = (const uint8_t *)params.data;
  MpReader reader = {start, start + params.size};
  MpToken map = mp_take(&reader);
  if (map.kind != MP_MAP) {
    error_set(err, ERR_INVALID, "params have to be a map");
    return NULL;
  }
  char *fields = new_fields(method, arena);
  for (uint32_t i = 0; i < map.count; i++) {
    MpToken name = mp_take(&reader);
    if (!mp_is_text(&name)) {
      error_set(err, ERR_INVALID, "a parameter's name has to be a string");
      return NULL;
    }
    const Parameter *parameter = find_parameter(method, name.bytes);
    if (!parameter) {
      unknown_parameter(method, name.bytes, arena, err);
      return NULL;
    }
    const uint8_t *value = reader.at;
    mp_step(&reader);
    Slice raw = slice_of(value, (size_t)(reader.at - value));
    if (!take_param(parameter, raw, fields + parameter->offset, arena, err)) {
      error_at(err, "%s", parameter->name);
      return NULL;
    }
  }
  return check_required(method, fields, err) ? fields : NULL;
}

bool call_can_defer(const CallContext *context)
{
  return context->defer != NULL;
}

void call_defer(CallContext *context, Later *later)
{
  assert(context->defer && !context->deferred);
  context->deferred = true;
  context->defer(context->defer_host, later);
}

bool call_method(CallContext *context, Slice name, Slice params, Buf *result, Error *err)
{
  Error ignored = {0};
  err = err ? err : &ignored;
  Arena *arena = &context->arena;
  size_t start = result->size;

  bool ok = false;
  const Method *method = find_method(context, name, arena, err);
  context->method = (uint32_t)(method ? (size_t)(method - METHODS) : METHOD_COUNT);
  void *fields = method ? take_params(method, params, arena, err) : NULL;
  if (fields) {
    Call call = {.context = context, .arena = arena, .result = result};
    ok = method->run(&call, fields, err);
  }
  if (!ok) {
    result->size = start;
  }
  if (!context->batch) {
    context_end_read(context);
  }
  arena_reset(arena);
  return ok;
}
