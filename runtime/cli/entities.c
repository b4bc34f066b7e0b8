#include "cli/entities.h"

#include <errno.h>
#include <stdlib.h>

typedef struct {
  Slice *items;
  size_t count;
} ValueList;

// A quoted value from its opening quote on; a doubled quote stands for one. Returns where it ends,
// or NULL when it does not.
static const char *take_quoted(const char *at, Slice *value, Arena *arena)
{
  char *text = arena_alloc(arena, strlen(at) + 1);
  size_t size = 0;
  for (at++; *at; at++) {
    if (*at != '"') {
      text[size++] = *at;
    } else if (at[1] == '"') {
      text[size++] = *at++;
    } else {
      *value = slice_of(text, size);
      return at + 1;
    }
  }
  return NULL;
}

// One record of RFC 4180 without a line end; an empty field without quotes is null.
static bool split_values(const char *option, const char *name, const char *text, ValueList *out,
                         Arena *arena, Error *err)
{
  size_t most = 1;
  for (const char *at = text; *at; at++) {
    most += *at == ',';
  }
  out->items = arena_zalloc(arena, most, sizeof(*out->items));
  out->count = 0;
  for (const char *at = text;;) {
    Slice value = {0};
    if (*at == '"') {
      at = take_quoted(at, &value, arena);
      if (!at || (*at && *at != ',')) {
        return error_set(err, ERR_USAGE,
                         "%s %s: a quoted value must end with a quote before the next comma",
                         option, name);
      }
    } else {
      size_t size = strcspn(at, ",");
      value = size ? slice_of(at, size) : value;
      at += size;
    }
    out->items[out->count++] = value;
    if (!*at) {
      return true;
    }
    at++;
  }
}

static EntityColumn *find_column(Entities *entities, Slice name)
{
  for (size_t i = 0; i < entities->count; i++) {
    if (slice_is(name, entities->columns[i].name)) {
      return &entities->columns[i];
    }
  }
  return NULL;
}

static void append_values(EntityColumn *column, ValueList values, Arena *arena)
{
  Slice *all = arena_zalloc(arena, column->count + values.count, sizeof(*all));
  if (column->count) {
    memcpy(all, column->values, column->count * sizeof(*all));
  }
  memcpy(all + column->count, values.items, values.count * sizeof(*all));
  column->values = all;
  column->count += values.count;
}

static bool add_one(const char *text, Entities *out, Arena *arena, Error *err)
{
  const char *equals = strchr(text, '=');
  if (!equals || equals == text) {
    return error_set(err, ERR_USAGE, "%s: expected KEY=VALUE[,VALUE...], got \"%s\"", out->option,
                     text);
  }
  Slice name = slice_of(text, (size_t)(equals - text));
  EntityColumn *column = find_column(out, name);
  if (!column) {
    column = &out->columns[out->count++];
    *column = (EntityColumn){.name = arena_text(arena, name)};
  }
  ValueList values;
  if (!split_values(out->option, column->name, equals + 1, &values, arena, err)) {
    return false;
  }
  append_values(column, values, arena);
  out->rows = column->count > out->rows ? column->count : out->rows;
  return true;
}

bool entities_parse(const Args *args, const char *name, const char *option, Entities *out,
                    Error *err)
{
  TextList given = args_values(args, name);
  *out = (Entities){
      .option = option,
      .columns = arena_zalloc(args->arena, given.count + 1, sizeof(EntityColumn)),
  };
  for (size_t i = 0; i < given.count; i++) {
    if (!add_one(given.items[i], out, args->arena, err)) {
      return false;
    }
  }
  return true;
}

void entities_set_type(Entities *entities, Slice name, Type type)
{
  EntityColumn *column = find_column(entities, name);
  if (column && !column->typed) {
    column->type = type;
    column->typed = true;
  }
}

static bool parse_int(const char *text, int64_t *value)
{
  const char *digits = text + (*text == '-');
  if (!*digits || digits[strspn(digits, "0123456789")]) {
    return false;
  }
  errno = 0;
  *value = strtoll(text, NULL, 10);
  return errno == 0;
}

static bool parse_real(const char *text, double *value)
{
  char *end;
  *value = strtod(text, &end);
  return *text && !*end && !strchr(" \t\n\v\f\r", *text);
}

static bool is_single(Type type)
{
  return type.kind != TYPE_LIST && type.kind != TYPE_VECTOR;
}

// False when the text is no value of the type.
static bool encode_value(const EntityColumn *column, Slice value, Buf *out, Arena *arena)
{
  msgpack_packer packer = mp_packer(out);
  const char *text = arena_text(arena, value);
  int64_t integer = 0;
  double real;
  Error ignored = {0};
  if (!column->typed || column->type.kind == TYPE_STRING) {
    mp_put_str(&packer, value);
    return true;
  }
  switch ((TypeKind)column->type.kind) {
  case TYPE_BYTES:
    mp_put_bin(&packer, value);
    return true;
  case TYPE_BOOL:
    if (slice_is(value, "true") || slice_is(value, "1")) {
      msgpack_pack_true(&packer);
      return true;
    }
    msgpack_pack_false(&packer);
    return slice_is(value, "false") || slice_is(value, "0");
  case TYPE_TIMESTAMP:
    if (!parse_int(text, &integer) && !clock_parse(value, &integer, &ignored)) {
      return false;
    }
    msgpack_pack_int64(&packer, integer);
    return true;
  case TYPE_FLOAT32:
  case TYPE_FLOAT64:
    if (!parse_real(text, &real)) {
      return false;
    }
    msgpack_pack_double(&packer, real);
    return true;
  default:
    if (!is_single(column->type) || !parse_int(text, &integer)) {
      return false;
    }
    msgpack_pack_int64(&packer, integer);
    return true;
  }
}

static bool encode_column(const char *option, EntityColumn *column, Arena *arena, Error *err)
{
  Buf space = {0};
  bool good = true;
  column->cells = arena_zalloc(arena, column->count + 1, sizeof(*column->cells));
  for (size_t i = 0; i < column->count && good; i++) {
    if (!column->values[i].data) {
      continue;
    }
    buf_reset(&space);
    if (!encode_value(column, column->values[i], &space, arena)) {
      char type[TYPE_TEXT_SIZE];
      good = error_set(err, ERR_USAGE, "%s %s[%zu]: expected %s, got \"%.*s\"%s", option,
                       column->name, i + 1, type_print(column->type, type),
                       (int)column->values[i].size, column->values[i].data,
                       is_single(column->type)
                           ? ""
                           : ": the command line has no way to write it, scripts and clients do");
    }
    column->cells[i] = arena_copy(arena, buf_slice(&space));
  }
  buf_deinit(&space);
  return good;
}

bool entities_encode(Entities *entities, Arena *arena, Error *err)
{
  for (size_t i = 0; i < entities->count; i++) {
    if (!encode_column(entities->option, &entities->columns[i], arena, err)) {
      return false;
    }
  }
  return true;
}

void entities_put(const Entities *entities, const char *parameter, Params *params)
{
  if (!entities->count) {
    return;
  }
  msgpack_packer packer = params_put(params, parameter);
  msgpack_pack_map(&packer, entities->count);
  for (size_t i = 0; i < entities->count; i++) {
    const EntityColumn *column = &entities->columns[i];
    mp_put_text(&packer, column->name);
    msgpack_pack_array(&packer, column->count);
    for (size_t row = 0; row < column->count; row++) {
      if (column->cells[row].size) {
        buf_put_slice(&params->entries, column->cells[row]);
      } else {
        msgpack_pack_nil(&packer);
      }
    }
  }
}
