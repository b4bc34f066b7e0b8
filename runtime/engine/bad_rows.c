#include "engine/bad_rows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "data/msgpack.h"

struct BadRows {
  BadValues values;
  FILE *file;       // NULL: nothing is written
  char *path;       // NULL too
  char *temporary;  // what it is called until it is finished
  const char *source;
  bool written;
  Buf packed;  // one object
  Buf line;
};

static bool failed(const BadRows *rows, Error *err)
{
  return error_set(err, ERR_IO, "cannot write \"%s\": %s", rows->path, strerror(errno));
}

static void put_text(msgpack_packer *packer, const char *name, const char *text)
{
  mp_put_text(packer, name);
  mp_put_text(packer, text);
}

static bool take(void *context, const BadValue *bad, Error *err)
{
  BadRows *rows = context;
  if (!rows->file || rows->written) {
    return true;
  }
  buf_reset(&rows->packed);
  msgpack_packer packer = mp_packer(&rows->packed);
  msgpack_pack_map(&packer, 5);
  put_text(&packer, "source", rows->source);
  put_text(&packer, "file", bad->file);
  mp_put_text(&packer, "row");
  msgpack_pack_uint64(&packer, bad->row);
  mp_put_text(&packer, "column");
  if (bad->column) {
    mp_put_text(&packer, bad->column);
  } else {
    msgpack_pack_nil(&packer);
  }
  put_text(&packer, "message", bad->message);
  buf_reset(&rows->line);
  MpReader reader = {rows->packed.data, rows->packed.data + rows->packed.size};
  mp_print_json(&reader, &rows->line);
  buf_put_byte(&rows->line, '\n');
  return fwrite(rows->line.data, rows->line.size, 1, rows->file) == 1 || failed(rows, err);
}

static char *place(const Engine *engine, const char *path, const char *suffix)
{
  Buf text = {0};
  if (path[0] == '/') {
    buf_print(&text, "%s%s", path, suffix);
  } else {
    buf_print(&text, "%s/%s%s", engine_project(engine), path, suffix);
  }
  return (char *)text.data;  // buf_print ends it with a NUL
}

BadRows *bad_rows_open(const Engine *engine, const char *path, Error *err)
{
  BadRows *rows = mem_zalloc(1, sizeof(*rows));
  rows->values = (BadValues){.take = take, .context = rows};
  if (!path) {
    return rows;
  }
  rows->path = place(engine, path, "");
  rows->temporary = place(engine, path, ".tmp");
  rows->file = fopen(rows->temporary, "we");
  if (!rows->file) {
    failed(rows, err);
    bad_rows_close(rows);
    return NULL;
  }
  return rows;
}

bool bad_rows_finish(BadRows *rows, Error *err)
{
  if (!rows->file) {
    return true;
  }
  FILE *file = rows->file;
  rows->file = NULL;
  bool ok = fclose(file) == 0 && rename(rows->temporary, rows->path) == 0;
  if (!ok) {
    failed(rows, err);
    unlink(rows->temporary);
  }
  return ok;
}

void bad_rows_close(BadRows *rows)
{
  if (!rows) {
    return;
  }
  if (rows->file) {
    fclose(rows->file);
    unlink(rows->temporary);
  }
  free(rows->path);
  free(rows->temporary);
  buf_deinit(&rows->packed);
  buf_deinit(&rows->line);
  free(rows);
}

const BadValues *bad_rows_of(BadRows *rows, const char *source, bool written)
{
  rows->source = source;
  rows->written = written;
  return &rows->values;
}
