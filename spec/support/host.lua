-- The definition loader and the planner, as C offers them: sandbox, limits and all.

local ffi = require 'ffi'
local C = require 'spec.support.ffi'
local msgpack = require 'tidemark.msgpack'

ffi.cdef [[
  typedef struct { const char *data; size_t size; } HostSpecSlice;
  typedef struct { HostSpecSlice parts[5]; size_t counts[2]; } HostSpecResult;
  int tidemark_host_load(const char *folder, HostSpecResult *result);
  int tidemark_host_load_sources(const char *data, size_t size, HostSpecResult *result);
  int tidemark_host_plan(const char *current, size_t current_size, const char *declared,
                         size_t declared_size, HostSpecResult *result);
  int tidemark_host_resolve(const char *catalog, size_t catalog_size, const char *sources,
                            size_t sources_size, const char *schemas, size_t schemas_size,
                            HostSpecResult *result);
  const char *tidemark_host_error(void);
]]

local M = {}

local function part(result, index)
  local slice = result.parts[index]
  return slice.size > 0 and ffi.string(slice.data, slice.size) or ''
end

local function check(ok)
  if ok == 0 then
    error(ffi.string(C.tidemark_host_error()), 3)
  end
end

---@class spec.Loaded
---@field bytes string the catalog as msgpack; '' with problems
---@field catalog? table
---@field sources table<string, string>
---@field problems { where: string, message: string, excerpt: string }[]
---@field lines string[] problems as one line each
---@field tests table[]
---@field wanted table[] sources whose schemas are needed

local function loaded(result)
  local bytes = part(result, 0)
  local problems = part(result, 2) ~= '' and msgpack.decode(part(result, 2)) or {}
  local lines = {}
  for i, problem in ipairs(problems) do
    lines[i] = problem.where .. ': ' .. problem.message
  end
  assert(#problems == tonumber(result.counts[0]), 'the count of problems')
  return {
    bytes = bytes,
    catalog = bytes ~= '' and msgpack.decode(bytes) or nil,
    sources = part(result, 1) ~= '' and msgpack.decode(part(result, 1)) or {},
    problems = problems,
    lines = lines,
    tests = part(result, 3) ~= '' and msgpack.decode(part(result, 3)) or {},
    wanted = part(result, 4) ~= '' and msgpack.decode(part(result, 4)) or {},
  }
end

--- Loads definition files given as text: the one text of definitions/a.lua, or texts by path.
---@param sources string|table<string, string>
---@return spec.Loaded
function M.load(sources)
  if type(sources) == 'string' then
    sources = { ['definitions/a.lua'] = sources }
  end
  local bytes = msgpack.encode(msgpack.map(sources))
  local result = ffi.new('HostSpecResult')
  check(C.tidemark_host_load_sources(bytes, #bytes, result))
  return loaded(result)
end

--- Loads the definitions of a project folder.
---@param folder string
---@return spec.Loaded
function M.load_folder(folder)
  local result = ffi.new('HostSpecResult')
  check(C.tidemark_host_load(folder, result))
  return loaded(result)
end

--- Completes what was loaded with schemas, by name of the source. Problems stay what they are.
---@param definitions spec.Loaded
---@param schemas table<string, table>
---@return spec.Loaded
function M.resolve(definitions, schemas)
  if #definitions.problems > 0 or #definitions.wanted == 0 then
    return definitions
  end
  local sources, types = msgpack.encode(msgpack.map(definitions.sources)), msgpack.encode(schemas)
  local result = ffi.new('HostSpecResult')
  check(C.tidemark_host_resolve(definitions.bytes, #definitions.bytes, sources, #sources, types,
    #types, result))
  return loaded(result)
end

--- Loads text that has no mistakes; its catalog's bytes.
---@param sources string|table<string, string>
---@return string
function M.catalog(sources)
  local definitions = M.load(sources)
  if #definitions.problems > 0 then
    error('unexpected problems:\n' .. table.concat(definitions.lines, '\n'), 2)
  end
  return definitions.bytes
end

--- Plans from the catalog `current` ('' for none) to `declared`.
---@param current string
---@param declared string
---@return { bytes: string, catalog: table, changes: table[], dropped: integer[] }
function M.plan(current, declared)
  local result = ffi.new('HostSpecResult')
  check(C.tidemark_host_plan(current, #current, declared, #declared, result))
  return {
    bytes = part(result, 0),
    catalog = msgpack.decode(part(result, 0)),
    changes = msgpack.decode(part(result, 1)),
    dropped = msgpack.decode(part(result, 2)),
    change_count = tonumber(result.counts[0]),
    incompatible_count = tonumber(result.counts[1]),
  }
end

return M
