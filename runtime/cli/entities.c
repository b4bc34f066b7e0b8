#include "cli/entities.h"

#include <errno.h>
#include <stdlib.h>

#include "cli/values.h"

static EntityColumn *find_column(Entities *entities, Slice name)
{
  for (size_t i = 0; i < entities->count; i++) {
    if (slice_is(name, entities->columns[i].name)) {
      return &entities->columns[i];
    }
  }
  return NULL;
}

// Which of the two ways of splitting is the right one is known when the column has its type.
static bool check_values(const Entities *out, const EntityColumn *column, const char *text,
                         Arena *arena, Error *err)
{
  ValueList ignored;
  return values_split(text, false, &ignored, arena) || values_split(text, true, &ignored, arena)
         || error_set(err, ERR_USAGE,
                      "%s %s: a quoted value must end with a quote before the next comma",
                      out->option, column->name);
}

static bool add_one(const char *text, size_t most, Entities *out, Arena *arena, Error *err)
{
  const char *equals = strchr(text, '=');
  if (!equals || equals == text) {
    return error_set(err, ERR_USAGE, "%s: expected %s=VALUE[,VALUE...], got \"%s\"", out->option,
                     strcmp(out->option, "-e") == 0 ? "KEY" : "NAME", text);
  }
  Slice name = slice_of(text, (size_t)(equals - text));
  EntityColumn *column = find_column(out, name);
  if (!column) {
    column = &out->columns[out->count++];
    *column = (EntityColumn){
        .name = arena_text(arena, name),
        .texts = {arena_zalloc(arena, most, sizeof(char *)), 0},
    };
  }
  column->texts.items[column->texts.count++] = equals + 1;
  return check_values(out, column, equals + 1, arena, err);
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
    if (!add_one(given.items[i], given.count, out, args->arena, err)) {
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

static bool is_list(Type type)
{
  return type.kind == TYPE_LIST || type.kind == TYPE_VECTOR;
}

static bool encode_time(Slice value, const char *text, msgpack_packer *packer)
{
  int64_t time = 0;
  Error ignored = {0};
  bool good = parse_int(text, &time) || clock_parse(value, &time, &ignored);
  msgpack_pack_int64(packer, time);
  return good;
}

static bool encode_bool(Slice value, msgpack_packer *packer)
{
  bool truth = slice_is(value, "true") || slice_is(value, "1");
  truth ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
  return truth || slice_is(value, "false") || slice_is(value, "0");
}

// False when the text is no value of the type, which is no list.
static bool encode_scalar(Type type, Slice value, Buf *out, Arena *arena)
{
  msgpack_packer packer = mp_packer(out);
  const char *text = arena_text(arena, value);
  int64_t integer = 0;
  double real = 0;
  bool good = true;
  switch ((TypeKind)type.kind) {
  case TYPE_STRING:
    mp_put_str(&packer, value);
    return true;
  case TYPE_BYTES:
    mp_put_bin(&packer, value);
    return true;
  case TYPE_BOOL:
    return encode_bool(value, &packer);
  case TYPE_TIMESTAMP:
    return encode_time(value, text, &packer);
  case TYPE_FLOAT32:
  case TYPE_FLOAT64:
    good = parse_real(text, &real);
    msgpack_pack_double(&packer, real);
    return good;
  default:
    good = parse_int(text, &integer);
    msgpack_pack_int64(&packer, integer);
    return good;
  }
}

// In JSON, texts have quotes and numbers have none; a time is either.
static bool encode_element(Type type, Value value, Buf *out, Arena *arena)
{
  bool text = type.kind == TYPE_STRING || type.kind == TYPE_BYTES;
  if (!value.text.data) {
    msgpack_packer packer = mp_packer(out);
    msgpack_pack_nil(&packer);
    return true;
  }
  return (type.kind == TYPE_TIMESTAMP || value.quoted == text)
         && encode_scalar(type, value.text, out, arena);
}

static bool encode_list(Type type, Slice value, Buf *out, Arena *arena)
{
  ValueList elements;
  if (!values_elements(value, &elements, arena)
      || (type.kind == TYPE_VECTOR && elements.count != type.length)) {
    return false;
  }
  msgpack_packer packer = mp_packer(out);
  msgpack_pack_array(&packer, elements.count);
  bool good = true;
  for (size_t i = 0; i < elements.count && good; i++) {
    good = encode_element((Type){.kind = type.element}, elements.items[i], out, arena);
  }
  return good;
}

// What such a value looks like.
static const char *example_of(Type type)
{
  switch ((TypeKind)type.element) {
  case TYPE_STRING:
  case TYPE_BYTES:
    return " as JSON, such as [\"a\",\"b\"]";
  case TYPE_TIMESTAMP:
    return " as JSON, such as [\"2025-01-01T12:00:00Z\"]";
  case TYPE_BOOL:
    return " as JSON, such as [true,false]";
  default:
    return type.kind == TYPE_VECTOR ? " as a JSON array of so many numbers"
                                    : " as JSON, such as [1,2]";
  }
}

static bool refuse_value(const char *option, const EntityColumn *column, size_t index, Slice value,
                         Error *err)
{
  char type[TYPE_TEXT_SIZE];
  return error_set(err, ERR_USAGE, "%s %s[%zu]: expected %s%s, got \"%.*s\"", option, column->name,
                   index + 1, type_print(column->type, type),
                   is_list(column->type) ? example_of(column->type) : "", slice_quoted(value),
                   value.data);
}

static void append_cells(EntityColumn *column, size_t more, Arena *arena)
{
  Slice *all = arena_zalloc(arena, column->count + more, sizeof(*all));
  if (column->count) {
    memcpy(all, column->cells, column->count * sizeof(*all));
  }
  column->cells = all;
}

static bool encode_column(const char *option, EntityColumn *column, Arena *arena, Error *err)
{
  Type type = column->typed ? column->type : (Type){.kind = TYPE_STRING};
  Buf space = {0};
  bool good = true;
  for (size_t i = 0; i < column->texts.count && good; i++) {
    ValueList values;
    const char *text = column->texts.items[i];
    if (!values_split(text, is_list(type), &values, arena)) {
      return refuse_value(option, column, column->count, slice_text(text), err);
    }
    append_cells(column, values.count, arena);
    for (size_t v = 0; v < values.count && good; v++) {
      Slice value = values.items[v].text;
      buf_reset(&space);
      good = !value.data
             || (is_list(type) ? encode_list : encode_scalar)(type, value, &space, arena)
             || refuse_value(option, column, column->count, value, err);
      column->cells[column->count++] = arena_copy(arena, buf_slice(&space));
    }
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
