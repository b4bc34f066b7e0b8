-- What `require 'tidemark'` gives to scripts: a project's methods, connections to servers, and
-- times. A failure is raised as a tidemark.Error; `pcall` catches it.
--
--   local tidemark = require 'tidemark'
--   local project = tidemark.open('.')
--   project:materialize { '2021-04-01', '2021-04-15' }

local client = require 'tidemark.client'
local msgpack = require 'tidemark.msgpack'

local native = client.native

local M = {}

local DAY = 86400 * 1000000 -- microseconds

--- A value that is null, in lists: `rows[1][2] == tidemark.null`.
M.null = msgpack.null

---@class tidemark.Project : tidemark.Handle
local Project = client.class(native.call, native.close)

---@class tidemark.Connection : tidemark.Handle
local Connection = client.class(native.client_call, native.disconnect)

--- Opens the project in a folder (default: the current one). One process opens a project's store
--- once at a time.
---@param folder string?
---@param options { store: string? }?  store: where the store is, if not in the project
---@return tidemark.Project
function M.open(folder, options)
  local handle = native.open(folder or '.', options and options.store)
  return setmetatable({ handle = handle }, Project)
end

--- Connects to a server.
---@param address string  "host:port"
---@param options { timeout: number? }?  seconds for connecting and for each call, default 10
---@return tidemark.Connection
function M.connect(address, options)
  local timeout = options and options.timeout
  local handle = native.connect(address, timeout and math.ceil(timeout * 1000) or 0)
  return setmetatable({ handle = handle }, Connection)
end

--- What apply would change: `problems`, `changes`, counts.
---@return tidemark.ApplyResult
function Project:plan()
  return self:call('plan')
end

--- Makes the definitions the current ones: all of them, or none.
---@param params tidemark.Apply?
---@return tidemark.ApplyResult
function Project:apply(params)
  return self:call('apply', params)
end

--- Writes a training set: the spine's rows with features as they were at each row's time.
---@param params tidemark.GetHistoricalFeatures
---@return tidemark.GetHistoricalFeaturesResult
function Project:get_historical_features(params)
  return self:call('get_historical_features', params)
end

-- `{ start, end }` by position too, since `end` is a word of Lua.
local function interval(params, ...)
  local named = {}
  for name, value in pairs(params) do
    if type(name) == 'string' then
      named[name] = value
    end
  end
  for position, name in ipairs({ ... }) do
    if params[position] ~= nil then
      named[name] = params[position]
    end
  end
  return named
end

--- Puts the newest row of each key with start <= event time < end online:
--- `project:materialize { '2021-04-01', '2021-04-15', views = { 'driver_hourly_stats' } }`.
---@param params tidemark.Materialize
---@return tidemark.MaterializeResult
function Project:materialize(params)
  return self:call('materialize', interval(params, 'start', 'end'))
end

--- The same from each view's mark on: `project:materialize_incremental { '2021-04-15' }`.
---@param params tidemark.MaterializeIncremental
---@return tidemark.MaterializeResult
function Project:materialize_incremental(params)
  return self:call('materialize_incremental', interval(params, 'end'))
end

--- Writes a file's rows to another file, in their order; the format follows the extension.
---@param from string
---@param to string
---@return integer rows
function Project:copy_file(from, to)
  return self:call('copy_file', { from = from, to = to }).rows
end

--- The same for files of no project.
---@param from string
---@param to string
---@return integer rows
function M.copy_file(from, to)
  local project = M.open('.')
  local good, result = pcall(project.copy_file, project, from, to)
  project:close()
  if not good then
    error(result, 0)
  end
  return result
end

--- Microseconds since 1970 UTC of an ISO-8601 text (UTC where it has no offset); numbers stay.
---@param value string|integer
---@return integer
function M.time(value)
  return client.time(value)
end

--- A time as RFC 3339 with Z.
---@param time integer  microseconds
---@return string
function M.format_time(time)
  return native.print_time(time)
end

--- The days of [from, to), for backfills: `for start, stop in tidemark.days('2021-04-01', to) do`.
--- A first or last day that is not whole is cut at `from` or `to`.
---@param from string|integer
---@param to string|integer
---@return fun(): integer?, integer?
function M.days(from, to)
  local at, last = client.time(from), client.time(to)
  return function()
    if at >= last then
      return nil
    end
    local start = at
    local stop = start - start % DAY + DAY
    at = stop < last and stop or last
    return start, at
  end
end

return M
