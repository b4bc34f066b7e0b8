#include "host/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/msgpack.h"

static const char ROOT[] = "definitions";
static const char LIBRARY[] = "lib";  // what definitions may require; need not be there

void files_add(DefinitionFiles *files, DefinitionFile file, Arena *arena)
{
  if (files->count == files->capacity) {
    size_t capacity = files->capacity ? 2 * files->capacity : 16;
    DefinitionFile *items = arena_zalloc(arena, capacity, sizeof(*items));
    if (files->count) {
      memcpy(items, files->items, files->count * sizeof(*items));
    }
    files->items = items;
    files->capacity = capacity;
  }
  files->bytes += file.text.size;
  files->items[files->count++] = file;
}

static int compare_paths(const void *a, const void *b)
{
  return strcmp(((const DefinitionFile *)a)->path, ((const DefinitionFile *)b)->path);
}

void files_sort(DefinitionFiles *files)
{
  if (files->count) {
    qsort(files->items, files->count, sizeof(*files->items), compare_paths);
  }
}

// Bytes of the UTF-8 character at `at`, 0 when it is none: no overlong forms, no surrogates,
// nothing above U+10FFFF (RFC 3629).
static size_t character_size(const uint8_t *at, size_t left)
{
  if (at[0] < 0x80) {
    return 1;
  }
  size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
  if (at[0] < 0xc2 || at[0] > 0xf4 || size > left) {
    return 0;
  }
  for (size_t i = 1; i < size; i++) {
    if ((at[i] & 0xc0) != 0x80) {
      return 0;
    }
  }
  bool bad = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f)
             || (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f);
  return bad ? 0 : size;
}

const char *files_text_problem(Slice text)
{
  if (text.size > FILES_MAX_SIZE) {
    return "is larger than 1 MiB; definitions are source text, data belongs into sources";
  }
  const uint8_t *bytes = (const uint8_t *)text.data;
  for (size_t i = 0; i < text.size;) {
    size_t size = character_size(bytes + i, text.size - i);
    if (!size) {
      return "is not UTF-8 text; save it as UTF-8";
    }
    i += size;
  }
  return NULL;
}

// Reads at most one byte more than a file may have, so that nothing endless is read to its end.
static const char *read_text(const char *path, Slice *text, Arena *arena)
{
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat status;
  if (file < 0) {
    return arena_print(arena, "cannot be opened: %s", strerror(errno));
  }
  if (fstat(file, &status) || !S_ISREG(status.st_mode)) {
    close(file);
    return "is not a regular file";
  }
  size_t room = (size_t)status.st_size < FILES_MAX_SIZE ? (size_t)status.st_size : FILES_MAX_SIZE;
  char *data = arena_alloc(arena, room + 1);
  size_t size = 0;
  ssize_t got = 0;
  while (size <= room && (got = read(file, data + size, room + 1 - size)) > 0) {
    size += (size_t)got;
  }
  int code = errno;
  close(file);
  if (got < 0) {
    return arena_print(arena, "cannot be read: %s", strerror(code));
  }
  *text = slice_of(data, size);
  return files_text_problem(*text);
}

static bool ends_with(const char *name, const char *ending)
{
  size_t size = strlen(name);
  size_t ending_size = strlen(ending);
  return size > ending_size && strcmp(name + size - ending_size, ending) == 0;
}

typedef struct {
  const char *folder;  // of the project
  DefinitionFiles *files;
  Arena *arena;
} Walk;

static void add_file(Walk *walk, const char *path, const char *full)
{
  DefinitionFile file = {.path = path};
  if (walk->files->bytes > FILES_MAX_TOTAL) {
    file.problem = "is one too many: the definitions have more than 64 MiB";
  } else {
    file.problem = read_text(full, &file.text, walk->arena);
  }
  if (file.problem) {
    file.text = (Slice){0};
  }
  files_add(walk->files, file, walk->arena);
}

static void add_problem(Walk *walk, const char *path, const char *problem)
{
  files_add(walk->files, (DefinitionFile){.path = path, .problem = problem}, walk->arena);
}

// The folders to look into, as a list instead of by recursion.
typedef struct {
  const char **paths;  // relative to the project
  size_t *depths;
  size_t count;
} Folders;

enum { MAX_FOLDERS = FILES_MAX_COUNT };

static void visit_entry(Walk *walk, Folders *folders, const char *path, size_t depth)
{
  const char *full = arena_print(walk->arena, "%s/%s", walk->folder, path);
  struct stat status;
  if (stat(full, &status)) {
    if (ends_with(path, ".lua") || errno == ELOOP) {
      add_problem(walk, path, arena_print(walk->arena, "cannot be opened: %s", strerror(errno)));
    }
  } else if (S_ISDIR(status.st_mode)) {
    if (depth >= FILES_MAX_DEPTH || folders->count == MAX_FOLDERS) {
      add_problem(walk, path, "is nested too deeply; do the folders link to each other?");
    } else {
      folders->paths[folders->count] = path;
      folders->depths[folders->count++] = depth + 1;
    }
  } else if (ends_with(path, ".lua")) {
    add_file(walk, path, full);
  }
}

// Hidden entries are left out: editors keep locks and backups there.
static bool visit_folder(Walk *walk, Folders *folders, const char *path, size_t depth)
{
  DIR *directory = opendir(arena_print(walk->arena, "%s/%s", walk->folder, path));
  if (!directory) {
    return false;
  }
  const struct dirent *entry;
  while ((entry = readdir(directory)) && walk->files->count < FILES_MAX_COUNT) {
    if (entry->d_name[0] != '.') {
      visit_entry(walk, folders, arena_print(walk->arena, "%s/%s", path, entry->d_name), depth);
    }
  }
  closedir(directory);
  return true;
}

bool files_read(const char *folder, DefinitionFiles *files, Arena *arena, Error *err)
{
  *files = (DefinitionFiles){0};
  Walk walk = {folder, files, arena};
  Folders folders = {
      .paths = arena_zalloc(arena, MAX_FOLDERS, sizeof(char *)),
      .depths = arena_zalloc(arena, MAX_FOLDERS, sizeof(size_t)),
  };
  if (!visit_folder(&walk, &folders, ROOT, 0)) {
    error_set(err, ERR_NOT_FOUND,
              "cannot open the folder: %s; run this in a project, name one with -C, or make one "
              "with `tidemark init`",
              strerror(errno));
    return error_at(err, "%s/%s", folder, ROOT);
  }
  if (!visit_folder(&walk, &folders, LIBRARY, 0) && errno != ENOENT) {
    add_problem(&walk, LIBRARY, arena_print(arena, "cannot be opened: %s", strerror(errno)));
  }
  for (size_t i = 0; i < folders.count; i++) {
    if (!visit_folder(&walk, &folders, folders.paths[i], folders.depths[i])) {
      add_problem(&walk, folders.paths[i],
                  arena_print(arena, "cannot be opened: %s", strerror(errno)));
    }
  }
  if (files->count == FILES_MAX_COUNT) {
    add_problem(&walk, ROOT, "holds more than 10,000 files; the rest was left out");
  }
  files_sort(files);
  return true;
}

bool files_from_texts(Slice texts, DefinitionFiles *files, Arena *arena, Error *err)
{
  enum { DEPTH = 2 };
  MpReader reader = {(const uint8_t *)texts.data, (const uint8_t *)texts.data + texts.size};
  MpReader check = reader;
  MpToken map;
  if (mp_skip(&check, (MpLimits){DEPTH, 2 * FILES_MAX_COUNT + 1}) != MP_OK
      || (map = mp_take(&reader)).kind != MP_MAP) {
    return error_set(err, ERR_DATA, "the stored definitions are damaged: not a map of texts");
  }
  for (uint32_t i = 0; i < map.count; i++) {
    MpToken path = mp_take(&reader);
    MpToken text = mp_take(&reader);
    if (path.kind != MP_STR || text.kind != MP_STR) {
      return error_set(err, ERR_DATA, "the stored definitions are damaged: not a map of texts");
    }
    DefinitionFile file = {.path = arena_text(arena, path.bytes), .text = text.bytes};
    file.problem = files_text_problem(file.text);
    files_add(files, file, arena);
  }
  files_sort(files);
  return true;
}
