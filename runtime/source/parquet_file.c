#include "source/parquet_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source/thrift.h"

enum { MAGIC_SIZE = 4, FOOTER_SIZE = 8, COLUMN_LIMIT = 100000, GROUP_LIMIT = 1 << 20 };

// Visits the fields of a structure; `field` is declared for the body, which reads or skips a value.
#define EACH_FIELD(thrift, field)                                              \
  for (ThriftField field = thrift_field(thrift, 0); field.type != THRIFT_STOP; \
       field = thrift_field(thrift, field.id))

// --- Schema ---

typedef struct {
  int physical;  // -1: a group
  int repetition;
  Slice name;
  uint32_t children;
  int converted;  // -1: none
  int scale;      // of a decimal, like the next
  int precision;
  int logical;  // field id of the union, 0: none
  int unit;     // of a timestamp: 1 ms, 2 us, 3 ns
  bool utc;     // of a timestamp
  bool is_signed;
} Element;

static void read_logical_detail(Thrift *thrift, Element *element)
{
  EACH_FIELD(thrift, field)
  {
    if (element->logical == 8 && field.id == 2 && field.type == THRIFT_STRUCT) {
      EACH_FIELD(thrift, unit)
      {
        element->unit = unit.id;
        thrift_skip(thrift, unit.type);
      }
    } else if (element->logical == 8 && field.id == 1) {
      element->utc = thrift_bool(field);
    } else if (element->logical == 10 && field.id == 2) {
      element->is_signed = thrift_bool(field);
    } else {
      thrift_skip(thrift, field.type);
    }
  }
}

static void read_logical(Thrift *thrift, Element *element)
{
  EACH_FIELD(thrift, field)
  {
    element->logical = field.id;
    if (field.type == THRIFT_STRUCT) {
      read_logical_detail(thrift, element);
    } else {
      thrift_skip(thrift, field.type);
    }
  }
}

static Element read_element(Thrift *thrift)
{
  Element element = {.physical = -1, .converted = -1};
  EACH_FIELD(thrift, field)
  {
    switch (field.id) {
    case 1:
      element.physical = (int)thrift_int(thrift);
      break;
    case 3:
      element.repetition = (int)thrift_int(thrift);
      break;
    case 4:
      element.name = thrift_binary(thrift);
      break;
    case 5:
      element.children = (uint32_t)thrift_int(thrift);
      break;
    case 6:
      element.converted = (int)thrift_int(thrift);
      break;
    case 7:
      element.scale = (int)thrift_int(thrift);
      break;
    case 8:
      element.precision = (int)thrift_int(thrift);
      break;
    case 10:
      read_logical(thrift, &element);
      break;
    default:
      thrift_skip(thrift, field.type);
    }
  }
  return element;
}

static ParquetLogical timestamp_of(int unit)
{
  return unit == 1   ? PARQUET_TIME_MS
         : unit == 2 ? PARQUET_TIME_US
         : unit == 3 ? PARQUET_TIME_NS
                     : PARQUET_OTHER;
}

// The logical type where there is one, the older converted type otherwise (parquet.thrift,
// LogicalType and ConvertedType).
static ParquetLogical logical_of(const Element *element)
{
  switch (element->logical) {
  case 0:
    break;
  case 1:
    return PARQUET_TEXT;
  case 4:
    return PARQUET_TEXT;  // enum
  case 5:
    return PARQUET_DECIMAL;
  case 6:
    return PARQUET_DATE;
  case 8:
    return timestamp_of(element->unit);
  case 10:
    return element->is_signed ? PARQUET_SIGNED : PARQUET_UNSIGNED;
  case 11:
    return PARQUET_NULL;
  default:
    return PARQUET_OTHER;
  }
  switch (element->converted) {
  case -1:
    return PARQUET_PLAIN_TYPE;
  case 0:
  case 4:
    return PARQUET_TEXT;
  case 5:
    return PARQUET_DECIMAL;
  case 6:
    return PARQUET_DATE;
  case 9:
    return PARQUET_TIME_MS;
  case 10:
    return PARQUET_TIME_US;
  case 11:
  case 12:
  case 13:
  case 14:
    return PARQUET_UNSIGNED;
  case 15:
  case 16:
  case 17:
  case 18:
    return PARQUET_SIGNED;
  default:
    return PARQUET_OTHER;
  }
}

// The schema is a tree in depth-first order. Leaves right below the root are flat columns; deeper
// ones only keep their place, because row groups list chunks by leaf.
static bool read_schema(ParquetFile *file, Thrift *thrift)
{
  ThriftType type;
  uint32_t count = thrift_list(thrift, &type);
  if (!count || count > COLUMN_LIMIT || type != THRIFT_STRUCT) {
    return false;
  }
  file->columns = arena_zalloc(&file->arena, count, sizeof(*file->columns));
  file->tops = arena_zalloc(&file->arena, count, sizeof(*file->tops));
  read_element(thrift);  // the root
  uint64_t nested = 0;   // elements still to come below the current top-level group
  for (uint32_t i = 1; i < count && !thrift->bad; i++) {
    Element element = read_element(thrift);
    bool top = nested == 0;
    if (top) {
      file->tops[file->top_count++] = arena_text(&file->arena, element.name);
    }
    nested = (top ? 0 : nested - 1) + (element.physical < 0 ? element.children : 0);
    if (element.physical < 0) {
      continue;
    }
    ParquetColumn *column = &file->columns[file->column_count++];
    bool flat = top && element.repetition != 2;
    *column = (ParquetColumn){
        .name = flat ? arena_text(&file->arena, element.name) : NULL,
        .physical = (ParquetPhysical)element.physical,
        .logical = logical_of(&element),
        .precision = element.precision,
        .scale = element.scale,
        .optional = element.repetition == 1,
        .has_zone = element.logical == 8,
        .utc = element.utc,
    };
  }
  return !thrift->bad && nested == 0;
}

// --- Row groups ---

static void read_statistics(Thrift *thrift, ParquetChunk *chunk)
{
  EACH_FIELD(thrift, field)
  {
    // 5 and 6 are the bounds with a defined order; the older 1 and 2 are not used.
    if (field.id == 5 && field.type == THRIFT_BINARY) {
      chunk->max = thrift_binary(thrift);
    } else if (field.id == 6 && field.type == THRIFT_BINARY) {
      chunk->min = thrift_binary(thrift);
    } else {
      thrift_skip(thrift, field.type);
    }
  }
}

static void read_encodings(Thrift *thrift, ParquetChunk *chunk)
{
  ThriftType type;
  uint32_t count = thrift_list(thrift, &type);
  for (uint32_t i = 0; i < count; i++) {
    int64_t encoding = thrift_int(thrift);
    chunk->encodings |= encoding >= 0 && encoding < 31 ? 1u << encoding : 1u << 31;
  }
}

static void read_chunk_metadata(Thrift *thrift, ParquetChunk *chunk)
{
  uint64_t data = 0;
  uint64_t dictionary = 0;
  EACH_FIELD(thrift, field)
  {
    switch (field.id) {
    case 2:
      read_encodings(thrift, chunk);
      break;
    case 4:
      chunk->codec = (ParquetCodec)thrift_int(thrift);
      break;
    case 5:
      chunk->values = (uint64_t)thrift_int(thrift);
      break;
    case 7:
      chunk->size = (uint64_t)thrift_int(thrift);
      break;
    case 9:
      data = (uint64_t)thrift_int(thrift);
      break;
    case 11:
      dictionary = (uint64_t)thrift_int(thrift);
      break;
    case 12:
      read_statistics(thrift, chunk);
      break;
    default:
      thrift_skip(thrift, field.type);
    }
  }
  chunk->offset = dictionary && dictionary < data ? dictionary : data;
}

static bool read_chunk(const ParquetFile *file, Thrift *thrift, ParquetChunk *chunk)
{
  bool elsewhere = false;
  EACH_FIELD(thrift, field)
  {
    if (field.id == 3 && field.type == THRIFT_STRUCT) {
      read_chunk_metadata(thrift, chunk);
    } else {
      elsewhere |= field.id == 1;  // its data are in another file
      thrift_skip(thrift, field.type);
    }
  }
  return !elsewhere && chunk->offset <= file->size && chunk->size <= file->size - chunk->offset;
}

static bool read_group(ParquetFile *file, Thrift *thrift, ParquetGroup *group)
{
  uint32_t chunks = 0;
  bool good = true;
  EACH_FIELD(thrift, field)
  {
    if (field.id == 1 && field.type == THRIFT_LIST) {
      ThriftType type;
      chunks = thrift_list(thrift, &type);
      if (chunks != file->column_count || type != THRIFT_STRUCT) {
        return false;
      }
      group->chunks = arena_zalloc(&file->arena, chunks, sizeof(*group->chunks));
      for (uint32_t i = 0; i < chunks; i++) {
        good &= read_chunk(file, thrift, &group->chunks[i]);
      }
    } else if (field.id == 3) {
      group->rows = (uint64_t)thrift_int(thrift);
    } else {
      thrift_skip(thrift, field.type);
    }
  }
  return good && !thrift->bad && group->chunks;
}

static bool read_groups(ParquetFile *file, Thrift *thrift)
{
  ThriftType type;
  uint32_t count = thrift_list(thrift, &type);
  if (count > GROUP_LIMIT || (count && type != THRIFT_STRUCT)) {
    return false;
  }
  file->groups = arena_zalloc(&file->arena, count, sizeof(*file->groups));
  file->group_count = count;
  uint64_t rows = 0;
  for (uint32_t i = 0; i < count; i++) {
    file->groups[i].first_row = rows;
    if (!read_group(file, thrift, &file->groups[i])) {
      return false;
    }
    rows += file->groups[i].rows;
  }
  return rows == file->rows;
}

// The last bytes of a file are [footer][its length: u32 LE]["PAR1"].
static bool find_footer(ParquetFile *file, Thrift *footer)
{
  uint8_t tail[FOOTER_SIZE];
  if (file->size < MAGIC_SIZE + FOOTER_SIZE
      || pread(file->handle, tail, FOOTER_SIZE, (off_t)(file->size - FOOTER_SIZE)) != FOOTER_SIZE
      || memcmp(tail + FOOTER_SIZE - MAGIC_SIZE, "PAR1", MAGIC_SIZE) != 0) {
    return false;
  }
  uint32_t length;
  memcpy(&length, tail, sizeof(length));
  if (length > file->size - FOOTER_SIZE - MAGIC_SIZE) {
    return false;
  }
  uint8_t *bytes = arena_alloc(&file->arena, length);
  off_t at = (off_t)(file->size - FOOTER_SIZE - length);
  *footer = (Thrift){bytes, bytes + length, false};
  file->footer = slice_of(bytes, length);
  return pread(file->handle, bytes, length, at) == (ssize_t)length;
}

static bool read_footer(ParquetFile *file)
{
  Thrift thrift;
  if (!find_footer(file, &thrift)) {
    return false;
  }
  bool good = true;
  bool has_groups = false;
  EACH_FIELD(&thrift, field)
  {
    if (field.id == 2 && field.type == THRIFT_LIST) {
      good &= read_schema(file, &thrift);
    } else if (field.id == 3) {
      file->rows = (uint64_t)thrift_int(&thrift);
    } else if (field.id == 4 && field.type == THRIFT_LIST) {
      has_groups = true;
      good &= read_groups(file, &thrift);
    } else {
      thrift_skip(&thrift, field.type);
    }
    if (!good) {
      return false;
    }
  }
  return !thrift.bad && has_groups && file->columns;
}

// --- Files ---

bool parquet_open(ParquetFile *file, const char *path, bool *handled, Error *err)
{
  *file = (ParquetFile){.handle = open(path, O_RDONLY | O_CLOEXEC)};
  *handled = false;
  struct stat status;
  if (file->handle < 0 || fstat(file->handle, &status) != 0) {
    error_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open \"%s\": %s", path,
              strerror(errno));
    parquet_close(file);
    return false;
  }
  file->size = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
  *handled = read_footer(file);
  if (!*handled) {
    parquet_close(file);
  }
  return true;
}

void parquet_close(ParquetFile *file)
{
  if (file->handle >= 0) {
    close(file->handle);
  }
  arena_deinit(&file->arena);
  *file = (ParquetFile){.handle = -1};
}

int parquet_find(const ParquetFile *file, const char *name)
{
  int found = -1;
  for (size_t i = 0; i < file->column_count; i++) {
    if (file->columns[i].name && strcmp(file->columns[i].name, name) == 0) {
      if (found >= 0) {
        return -1;
      }
      found = (int)i;
    }
  }
  return found;
}
