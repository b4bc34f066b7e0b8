#include "cli/stubs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "cli/texts.h"
#include "source/reader.h"

static const char FOLDER[] = ".tidemark/stubs";

static const char HEAD[] = "---@meta _\n"
                           "-- The rows that this project's functions get and return. Written by "
                           "`tidemark stubs`, and by\n"
                           "-- `tidemark apply` where it is there.\n"
                           "--\n"
                           "--   ---@param row VIEW.row\n"
                           "--   ---@return VIEW.features\n"
                           "--   transform = function(row)\n"
                           "\n"
                           "error('annotations are for editors; they cannot be loaded')\n";

// --- Classes ---

static const char *scalar_type(int kind)
{
  switch ((TypeKind)kind) {
  case TYPE_BOOL:
    return "boolean";
  case TYPE_INT32:
  case TYPE_INT64:
  case TYPE_TIMESTAMP:
    return "integer";
  case TYPE_FLOAT32:
  case TYPE_FLOAT64:
    return "number";
  case TYPE_STRING:
  case TYPE_BYTES:
    return "string";
  default:
    return "any";
  }
}

static bool is_identifier(const char *name)
{
  bool good = *name && !(*name >= '0' && *name <= '9');
  for (; *name && good; name++) {
    char c = *name;
    good = c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  }
  return good;
}

// A column of a source may be called anything.
static bool can_be_named(const char *name)
{
  for (; *name; name++) {
    if (strchr("'\\]", *name) || (unsigned char)*name < 0x20) {
      return false;
    }
  }
  return true;
}

static void put_name(const char *name, Buf *out)
{
  bool plain = is_identifier(name);
  buf_print(out, "---@field %s%s%s ", plain ? "" : "['", name, plain ? "" : "']");
}

// What arithmetic makes is a number to the editor, whole or not: `returned` ones are not asked
// more.
static void put_field(const Field *field, bool returned, Buf *out)
{
  if (!can_be_named(field->name)) {
    return;
  }
  char type[TYPE_TEXT_SIZE];
  bool many = field->type.kind == TYPE_LIST || field->type.kind == TYPE_VECTOR;
  const char *scalar = scalar_type(many ? field->type.element : field->type.kind);
  scalar = returned && strcmp(scalar, "integer") == 0 ? "number" : scalar;
  put_name(field->name, out);
  buf_print(out, "%s%s? # %s\n", scalar, many ? "[]" : "", type_print(field->type, type));
}

static bool has_field(const Function *function, const char *name)
{
  for (size_t i = 0; i < function->input_count; i++) {
    if (strcmp(function->inputs[i].name, name) == 0) {
      return true;
    }
  }
  return false;
}

// A filter and a transform get rows of one class, with what either of them takes.
static void put_inputs(const char *view, const Function *filter, const Function *transform,
                       Buf *out)
{
  buf_print(out, "\n---@class %s.row\n", view);
  for (size_t i = 0; filter && i < filter->input_count; i++) {
    put_field(&filter->inputs[i], false, out);
  }
  for (size_t i = 0; i < transform->input_count; i++) {
    if (!filter || !has_field(filter, transform->inputs[i].name)) {
      put_field(&transform->inputs[i], false, out);
    }
  }
}

// What the source has besides. A source that cannot be looked at now has nothing to add.
static void put_columns(Engine *engine, const View *view, Buf *out, Arena *arena)
{
  Error err = {0};
  Duck *duck = engine_duck(engine, &err);
  Table table = {.path = view->source->path, .sql = view->source->sql};
  TableColumn *columns;
  size_t count;
  if (!duck || !table_describe(duck, &table, &columns, &count, arena, &err)) {
    return;
  }
  for (size_t i = 0; i < count; i++) {
    const char *name = columns[i].name;
    if (has_field(&view->filter, name) || has_field(&view->transform, name)
        || !can_be_named(name)) {
      continue;
    }
    Field field = {.name = name, .type = columns[i].type};
    if (columns[i].known) {
      put_field(&field, false, out);
    } else {
      put_name(name, out);
      buf_print(out, "any # %s\n", columns[i].type_text);
    }
  }
}

static void put_features(const char *view, const Field *features, size_t count, Buf *out)
{
  buf_print(out, "\n---@class %s.features\n", view);
  for (size_t i = 0; i < count; i++) {
    put_field(&features[i], true, out);
  }
}

static void put_classes(Engine *engine, const Catalog *catalog, Buf *out, Arena *arena)
{
  buf_print(out, "%s", HEAD);
  for (size_t i = 0; i < catalog->view_count; i++) {
    const View *view = &catalog->views[i];
    if (view->filter.at || view->transform.at) {
      put_inputs(view->declared.name, &view->filter, &view->transform, out);
      put_columns(engine, view, out, arena);
    }
    if (view->transform.at) {
      put_features(view->declared.name, view->features, view->feature_count, out);
    }
  }
  for (size_t i = 0; i < catalog->on_demand_count; i++) {
    const OnDemand *view = &catalog->on_demands[i];
    put_inputs(view->declared.name, NULL, &view->transform, out);
    put_features(view->declared.name, view->features, view->feature_count, out);
  }
}

// --- Files ---

static bool write_text(const char *path, Slice text, Error *err)
{
  FILE *file = fopen(path, "wb");
  bool good = file && fwrite(text.data, 1, text.size, file) == text.size;
  good = file && fclose(file) == 0 && good;
  return good || error_set(err, ERR_IO, "cannot write %s: %s", path, strerror(errno));
}

static bool make_folder(const char *folder, Arena *arena, Error *err)
{
  const char *outer = arena_print(arena, "%s/.tidemark", folder);
  const char *inner = arena_print(arena, "%s/%s", folder, FOLDER);
  bool good =
      (mkdir(outer, 0777) == 0 || errno == EEXIST) && (mkdir(inner, 0777) == 0 || errno == EEXIST);
  return good || error_set(err, ERR_IO, "cannot make %s: %s", inner, strerror(errno));
}

bool stubs_write_words(const char *folder, Arena *arena, Error *err)
{
  bool good = make_folder(folder, arena, err);
  for (const CliText *text = CLI_TEXTS; text->name && good; text++) {
    if (strncmp(text->name, "stubs/", 6) == 0) {
      const char *path = arena_print(arena, "%s/.tidemark/%s", folder, text->name);
      good = write_text(path, slice_of(text->text, text->size), err);
    }
  }
  return good;
}

bool stubs_write_rows(Engine *engine, const Catalog *catalog, Arena *arena, Error *err)
{
  Buf out = {0};
  put_classes(engine, catalog, &out, arena);
  const char *path = arena_print(arena, "%s/%s/rows.lua", engine_project(engine), FOLDER);
  bool good = write_text(path, buf_slice(&out), err);
  buf_deinit(&out);
  return good;
}

bool stubs_refresh(Engine *engine, const Catalog *catalog, Arena *arena, Error *err)
{
  struct stat status;
  bool there = stat(arena_print(arena, "%s/%s", engine_project(engine), FOLDER), &status) == 0;
  return !there || stubs_write_rows(engine, catalog, arena, err);
}
