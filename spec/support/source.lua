-- Files in and out as specs see them: reading and writing through the kernel, with Lua values.

local ffi = require 'ffi'
local C = require 'spec.support.ffi'
local data = require 'spec.support.data'
local workspace = require 'spec.support.workspace'

ffi.cdef [[
typedef struct { int code; char where[192]; char message[512]; } SourceError;
typedef struct Duck Duck;
typedef struct {
  const char *library, *folder, *temp_folder;
  uint64_t memory_limit;
  unsigned threads;
  bool reads_parquet;
} DuckOptions;
typedef struct { const char *path, *sql, *name; } SourceTable;
typedef struct { const char *name, *type_text; Type type; bool known; } SourceTableColumn;
typedef struct { const char *column; Type type; int unit; const char *what; } SourceColumn;
typedef struct Reader Reader;
typedef struct {
  size_t count, column_count;
  Column *columns;
  uint64_t first_row;
} SourceBatch;
typedef struct { const char *time_column; int time_unit; } SourcePassthrough;
typedef struct {
  const char *path;
  const SourceTable *left;
  const SourcePassthrough *passthrough;
  const char *const *names;
  const Type *types;
  size_t columns;
  const SourceBatch *batches;
  size_t batch_count, fail_after;
} SourceWrite;

Duck *tidemark_source_open(const DuckOptions *options, SourceError *err);
void tidemark_source_close(Duck *duck);
const char *tidemark_source_version(const Duck *duck);
bool tidemark_source_describe(Duck *duck, const SourceTable *table, SourceTableColumn **columns,
                              size_t *count, Arena *arena, SourceError *err);
Reader *tidemark_source_reader_open(Duck *duck, const SourceTable *table,
                                    const SourceColumn *columns, size_t count, SourceError *err);
bool tidemark_source_reader_next(Reader *reader, SourceBatch *batch, SourceError *err);
uint64_t tidemark_source_reader_total(Reader *reader);
void tidemark_source_reader_close(Reader *reader);
bool tidemark_source_write(Duck *duck, const SourceWrite *request, uint64_t *rows,
                           SourceError *err);
size_t tidemark_source_print_float64(double value, char *out);
size_t tidemark_source_print_float32(float value, char *out);
bool tidemark_source_parse_float(const char *text, size_t size, double *value);
bool tidemark_source_parse_int(const char *text, size_t size, int64_t *value);
bool tidemark_source_is_utf8(const char *text, size_t size);
]]

local UNITS = { s = 1, ms = 2, us = 3, ns = 4 }
local M = { NULL = data.NULL }

--- Why DuckDB cannot be used here, or nil.
function M.missing()
  local err = ffi.new('SourceError')
  local duck = C.tidemark_source_open(ffi.new('DuckOptions'), err)
  if duck == nil then
    return ffi.string(err.message)
  end
  C.tidemark_source_close(duck)
end

local function failure(err)
  local where = ffi.string(err.where)
  return (where ~= '' and where .. ': ' or '') .. ffi.string(err.message)
end

local Files = {}
Files.__index = Files

--- A fresh folder with a DuckDB whose relative paths start there.
---@param options? { threads?: integer, memory_limit?: integer, reads_parquet?: boolean }
function M.open(options)
  local place = workspace.new()
  local folder = place.folder
  local err = ffi.new('SourceError')
  local duck = C.tidemark_source_open(ffi.new('DuckOptions', {
    folder = folder, temp_folder = folder, threads = options and options.threads or 0,
    memory_limit = options and options.memory_limit or 0,
    reads_parquet = options and options.reads_parquet or false,
  }), err)
  assert(duck ~= nil, failure(err))
  return setmetatable({ folder = folder, place = place, duck = duck }, Files)
end

function Files:close()
  C.tidemark_source_close(self.duck)
end

--- Puts text into a file of the folder.
function Files:put(name, text)
  self.place:write(name, text)
end

--- The whole text of a file of the folder.
function Files:text(name)
  local file = assert(io.open(self.folder .. '/' .. name, 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

local function table_of(from)
  return ffi.new('SourceTable', from)
end

local function wanted_columns(columns)
  local list = ffi.new('SourceColumn[?]', #columns)
  for i, column in ipairs(columns) do
    list[i - 1].column = column[1]
    list[i - 1].type = data.type(column[2])
    list[i - 1].unit = column.unit and UNITS[column.unit] or 0
    list[i - 1].what = column.what
  end
  return list
end

local function take_batch(batch, columns, values)
  for i, column in ipairs(columns) do
    local part = data.values(column[2], batch.columns[i - 1], tonumber(batch.count))
    for _, value in ipairs(part) do
      values[i][#values[i] + 1] = value
    end
  end
end

--- Reads columns `{ name, type, unit = ..., what = ... }` of `{ path = ... }` or `{ sql = ... }`:
--- one list of values per column, or nil and the error as `where: message`.
function Files:read(from, columns)
  local err = ffi.new('SourceError')
  local source, wanted = table_of(from), wanted_columns(columns)
  local reader = C.tidemark_source_reader_open(self.duck, source, wanted, #columns, err)
  if reader == nil then
    return nil, failure(err), err
  end
  local batch, values, rows = ffi.new('SourceBatch'), {}, 0
  for i = 1, #columns do
    values[i] = {}
  end
  repeat
    local ok = C.tidemark_source_reader_next(reader, batch, err)
    assert(not ok or batch.first_row == rows)
    if ok then
      take_batch(batch, columns, values)
      rows = rows + batch.count
    end
  until not ok or batch.count == 0
  self.total = tonumber(C.tidemark_source_reader_total(reader))
  C.tidemark_source_reader_close(reader)
  if err.code ~= 0 then
    return nil, failure(err), err
  end
  return values
end

--- Calls `each(batch)` for every batch of a reader.
function Files:scan(from, columns, each)
  local err = ffi.new('SourceError')
  local source, wanted = table_of(from), wanted_columns(columns)
  local reader = C.tidemark_source_reader_open(self.duck, source, wanted, #columns, err)
  assert(reader ~= nil, failure(err))
  local batch = ffi.new('SourceBatch')
  repeat
    assert(C.tidemark_source_reader_next(reader, batch, err), failure(err))
    each(batch)
  until batch.count == 0
  C.tidemark_source_reader_close(reader)
end

--- Names, DuckDB's type names and ours, `{ { name, text, type or false } ... }`, or nil and the
--- error.
function Files:describe(from)
  local err = ffi.new('SourceError')
  local columns, count = ffi.new('SourceTableColumn *[1]'), ffi.new('size_t[1]')
  local arena = ffi.gc(C.tidemark_arena_new(), C.tidemark_arena_free)
  local source = table_of(from)
  if not C.tidemark_source_describe(self.duck, source, columns, count, arena, err) then
    return nil, failure(err)
  end
  local found, name = {}, ffi.new('char[32]')
  for i = 0, tonumber(count[0]) - 1 do
    local column = columns[0][i]
    local printed = ffi.string(C.tidemark_type_print(column.type, name))
    found[i + 1] = { ffi.string(column.name), ffi.string(column.type_text),
      column.known and printed }
  end
  return found
end

local function slice_list(values, first, last)
  return { unpack(values, first, last) }
end

--- Writes columns `{ name, type, values }` behind those of `options.left`. Options: `batch` (rows
--- at a time), `fail_after` (batches), `time_column`, `time_unit`. Gives the rows written, or nil
--- and the error.
function Files:write(path, columns, options)
  options = options or {}
  local err, rows = ffi.new('SourceError'), ffi.new('uint64_t[1]')
  local size = options.batch or 100
  local count = columns[1] and #columns[1][3] or 0
  local batch_count = math.ceil(count / size)
  local keep = {}
  local batches = ffi.new('SourceBatch[?]', batch_count + 1)
  for b = 1, batch_count do
    local first, last = (b - 1) * size + 1, math.min(b * size, count)
    local list = ffi.new('Column[?]', #columns)
    for i, column in ipairs(columns) do
      local built = data.column(column[2], slice_list(column[3], first, last))
      list[i - 1] = built.c
      keep[#keep + 1] = built
    end
    keep[#keep + 1] = list
    batches[b - 1] = { last - first + 1, #columns, list, first - 1 }
  end
  local names = ffi.new('const char *[?]', #columns + 1)
  local types = ffi.new('Type[?]', #columns + 1)
  for i, column in ipairs(columns) do
    names[i - 1] = column[1]
    types[i - 1] = data.type(column[2])
  end
  local left = options.left and table_of(options.left)
  local passthrough = ffi.new('SourcePassthrough', {
    time_column = options.time_column,
    time_unit = options.time_unit and UNITS[options.time_unit] or 0,
  })
  local ok = C.tidemark_source_write(self.duck, ffi.new('SourceWrite', {
    path = path, left = left, passthrough = passthrough, names = names, types = types,
    columns = #columns, batches = batches, batch_count = batch_count,
    fail_after = options.fail_after or -1,
  }), rows, err)
  assert(#keep >= 0)
  if not ok then
    return nil, failure(err), err
  end
  return tonumber(rows[0])
end

return M
