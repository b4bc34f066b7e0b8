-- A store through the FFI, for specs and for the child processes they start: rows and keys are
-- encoded here in Lua, from the description of the formats, and not by the code under test.

local ffi = require 'ffi'
local C = require 'spec.support.ffi'

ffi.cdef [[
void *tidemark_db_open(const char *path, uint64_t map_size, bool read_only, bool no_sync,
                       char *message);
void tidemark_db_close(void *db);
bool tidemark_db_stats(void *db, uint64_t *out, char *message);
int tidemark_db_check_readers(void *db);
bool tidemark_db_copy(void *db, const char *path, char *message);
void *tidemark_db_write_begin(void *db, char *message);
bool tidemark_db_write_commit(void *write, char *message);
void tidemark_db_write_abort(void *write);
bool tidemark_db_write_full(const void *write);
void *tidemark_db_read_new(void *db, char *message);
bool tidemark_db_read_begin(void *read, char *message);
void tidemark_db_read_end(void *read);
uint64_t tidemark_db_read_snapshot(const void *read);
void tidemark_db_read_free(void *read);
int tidemark_online_put(void *write, const char *key, size_t key_size, const char *row,
                        size_t row_size, char *message);
int tidemark_online_get(void *read, const char *key, size_t key_size, int64_t *rank,
                        const char **values, size_t *size, char *message);
int64_t tidemark_online_scan(void *read, uint16_t view_id, const char *after, size_t after_size,
                             char *out, size_t capacity, char *message);
int tidemark_marks_get(void *read, uint16_t view_id, int64_t *out, char *message);
bool tidemark_marks_put(void *write, uint16_t view_id, const int64_t *fields, char *message);
bool tidemark_registry_generation(void *read, uint64_t *generation, char *message);
int tidemark_registry_get(void *read, uint64_t *generation, int64_t *applied_at,
                          const char **parts, size_t *sizes, void *arena, char *message);
bool tidemark_registry_put(void *write, uint64_t generation, int64_t applied_at,
                           const char *const *parts, const size_t *sizes, char *message);
bool tidemark_registry_add_dropped(void *write, uint16_t view_id, char *message);
bool tidemark_registry_sweep(void *write, size_t limit, uint64_t *deleted, bool *done,
                             char *message);
]]

local M = {}

M.TIME_NULL = -0x7fffffffffffffffLL - 1

local MARK_FIELDS = {
  'materialized_from',
  'materialized_to',
  'created_to',
  'updated_at',
  'rows_read',
  'rows_written',
}

local message = ffi.new('char[768]')

local function check(ok)
  if not ok then
    error(ffi.string(message), 0)
  end
  return ok
end

local function pointer(value)
  check(value ~= nil)
  return value
end

-- Encoding ----------------------------------------------------------------------------------------

--- An integer as `size` bytes, the lowest first.
function M.little(value, size)
  return ffi.string(ffi.new('uint64_t[1]', ffi.cast('int64_t', value)), size)
end

local function big(value, size)
  return M.little(value, size):reverse()
end

--- The online key of a view: numbers are int64 keys, strings are string keys.
function M.key(view_id, ...)
  local parts = { big(view_id, 2) }
  for _, value in ipairs({ ... }) do
    if type(value) == 'string' then
      parts[#parts + 1] = big(#value, 4) .. value
    else
      parts[#parts + 1] = big(ffi.cast('int64_t', value) + M.TIME_NULL, 8)
    end
  end
  return table.concat(parts)
end

---@class spec.Row
---@field event integer
---@field created integer?
---@field arrival integer?
---@field deleted boolean?
---@field values string[]?  each the msgpack of one slot
---@field errors string?    bits of the slots whose transform failed
---@field key string?       the whole key without its view id, for keys that are stored cut

--- The stored form of a row.
---@param row spec.Row
function M.row(row)
  local values = row.values or {}
  local size = 0
  for _, value in ipairs(values) do
    size = size + #value
  end
  local width = size > 0xffff and 4 or 2
  local offsets = { M.little(0, width) }
  size = 0
  for _, value in ipairs(values) do
    size = size + #value
    offsets[#offsets + 1] = M.little(size, width)
  end
  local flags = (row.deleted and 1 or 0) + (width == 4 and 2 or 0) + (row.errors and 4 or 0)
    + (row.key and 8 or 0)
  local rest = M.little(row.event, 8) .. M.little(row.created or M.TIME_NULL, 8)
    .. M.little(row.arrival or 0, 8) .. table.concat(offsets) .. table.concat(values)
    .. (row.errors or '') .. (row.key or '')
  return string.char(1, flags) .. M.little(#values, 2) .. M.little(#rest + 8, 4) .. rest
end

-- Writing -----------------------------------------------------------------------------------------

local Write = {}
Write.__index = Write

--- 'written' or 'stale'.
function Write:put(key, row)
  local outcome = C.tidemark_online_put(self.handle, key, #key, row, #row, message)
  check(outcome >= 0)
  return outcome == 0 and 'written' or 'stale'
end

function Write:put_mark(view_id, mark)
  local fields = ffi.new('int64_t[6]')
  for i, name in ipairs(MARK_FIELDS) do
    fields[i - 1] = mark[name] or 0
  end
  check(C.tidemark_marks_put(self.handle, view_id, fields, message))
end

function Write:put_generation(number, applied_at, catalog, sources, changes)
  local parts = ffi.new('const char *[3]', { catalog, sources, changes })
  local sizes = ffi.new('size_t[3]', { #catalog, #sources, #changes })
  check(C.tidemark_registry_put(self.handle, number, applied_at, parts, sizes, message))
end

function Write:add_dropped(view_id)
  check(C.tidemark_registry_add_dropped(self.handle, view_id, message))
end

--- How many rows were deleted, and whether nothing is left.
function Write:sweep(limit)
  local deleted, done = ffi.new('uint64_t[1]'), ffi.new('bool[1]')
  check(C.tidemark_registry_sweep(self.handle, limit, deleted, done, message))
  return tonumber(deleted[0]), done[0]
end

function Write:full()
  return C.tidemark_db_write_full(self.handle)
end

-- Reading -----------------------------------------------------------------------------------------

local Read = {}
Read.__index = Read

function Read:begin()
  check(C.tidemark_db_read_begin(self.handle, message))
end

function Read:done()
  C.tidemark_db_read_end(self.handle)
end

function Read:snapshot()
  return tonumber(C.tidemark_db_read_snapshot(self.handle))
end

function Read:free()
  C.tidemark_db_read_free(self.handle)
end

--- The stored row of a key: event, created, arrival, deleted, values (bytes); nil without one.
function Read:get(key)
  local rank, values, size = ffi.new('int64_t[4]'), ffi.new('const char *[1]'), ffi.new('size_t[1]')
  local found = C.tidemark_online_get(self.handle, key, #key, rank, values, size, message)
  check(found >= 0)
  return found == 1
      and {
        event = rank[0],
        created = rank[1],
        arrival = rank[2],
        deleted = rank[3] == 1,
        values = ffi.string(values[0], size[0]),
      }
    or nil
end

--- A page of { key, event } of a view, after `after`; `capacity` bytes of it at most.
function Read:scan(view_id, after, capacity)
  local out = ffi.new('char[?]', capacity)
  local used =
    C.tidemark_online_scan(self.handle, view_id, after, #after, out, capacity, message)
  check(used >= 0)
  local entries, at = {}, 0
  while at < used do
    local size = ffi.new('uint32_t[1]')
    local event = ffi.new('int64_t[1]')
    ffi.copy(size, out + at, 4)
    ffi.copy(event, out + at + 4 + size[0], 8)
    entries[#entries + 1] = { key = ffi.string(out + at + 4, size[0]), event = event[0] }
    at = at + 12 + size[0]
  end
  return entries
end

function Read:mark(view_id)
  local out = ffi.new('int64_t[6]')
  local found = C.tidemark_marks_get(self.handle, view_id, out, message)
  check(found >= 0)
  if found == 0 then
    return nil
  end
  local mark = {}
  for i, name in ipairs(MARK_FIELDS) do
    mark[name] = out[i - 1]
  end
  return mark
end

function Read:generation()
  local number = ffi.new('uint64_t[1]')
  check(C.tidemark_registry_generation(self.handle, number, message))
  return tonumber(number[0])
end

--- A generation's record (0: the current one), nil without one. `arena` keeps its bytes.
function Read:record(number, arena)
  local wanted, applied_at = ffi.new('uint64_t[1]', number), ffi.new('int64_t[1]')
  local parts, sizes = ffi.new('const char *[3]'), ffi.new('size_t[3]')
  local found =
    C.tidemark_registry_get(self.handle, wanted, applied_at, parts, sizes, arena, message)
  check(found >= 0)
  return found == 1
      and {
        generation = tonumber(wanted[0]),
        applied_at = applied_at[0],
        catalog = ffi.string(parts[0], sizes[0]),
        sources = ffi.string(parts[1], sizes[1]),
        changes = ffi.string(parts[2], sizes[2]),
      }
    or nil
end

-- Stores ------------------------------------------------------------------------------------------

local Store = {}
Store.__index = Store

---@class spec.StoreOptions
---@field map_size integer?
---@field read_only boolean?
---@field sync boolean?  without it commits are not synced: the machine will not lose power

--- Opens a store; a failure is raised as "code: text".
---@param folder string
---@param options spec.StoreOptions?
function M.open(folder, options)
  options = options or {}
  local db = C.tidemark_db_open(folder, options.map_size or 0, options.read_only or false,
    not options.sync, message)
  return setmetatable({ handle = pointer(db) }, Store)
end

function Store:close()
  C.tidemark_db_close(self.handle)
end

--- Begins a write transaction; it ends with commit or abort.
function Store:begin()
  return setmetatable({ handle = pointer(C.tidemark_db_write_begin(self.handle, message)) }, Write)
end

function Write:commit()
  check(C.tidemark_db_write_commit(self.handle, message))
end

function Write:abort()
  C.tidemark_db_write_abort(self.handle)
end

--- Runs `body` in a write transaction, which is committed unless it fails.
function Store:write(body)
  local write = self:begin()
  local ok, result = pcall(body, write)
  if not ok then
    write:abort()
    error(result, 0)
  end
  write:commit()
  return result
end

--- A reader, to be begun.
function Store:reader()
  return setmetatable({ handle = pointer(C.tidemark_db_read_new(self.handle, message)) }, Read)
end

--- Runs `body` on a snapshot.
function Store:read(body)
  local read = self:reader()
  read:begin()
  local ok, result = pcall(body, read)
  read:done()
  read:free()
  if not ok then
    error(result, 0)
  end
  return result
end

function Store:stats()
  local out = ffi.new('uint64_t[4]')
  check(C.tidemark_db_stats(self.handle, out, message))
  return {
    map_size = tonumber(out[0]),
    used = tonumber(out[1]),
    online_rows = tonumber(out[2]),
    readers = tonumber(out[3]),
  }
end

function Store:check_readers()
  return C.tidemark_db_check_readers(self.handle)
end

function Store:copy(folder)
  check(C.tidemark_db_copy(self.handle, folder, message))
end

return M
