-- What a project in this process and a connection to a server have in common: methods by name, Lua
-- tables in and out.

local ffi = require 'ffi'
local native = require 'tidemark.ffi'
local msgpack = require 'tidemark.msgpack'

local M = {}

local int64 = ffi.typeof('int64_t')

-- Fields that are nil on the wire are nil in Lua; in lists msgpack.null keeps their place.
local function drop_nulls(value)
  if type(value) ~= 'table' or value == msgpack.null then
    return value
  end
  local list = msgpack.is_array(value)
  for key, item in pairs(value) do
    if item == msgpack.null then
      if not list then
        value[key] = nil
      end
    else
      drop_nulls(item)
    end
  end
  return value
end

local function encode(params)
  local good, bytes = pcall(msgpack.encode, msgpack.map(params))
  if not good then
    error('cannot send these parameters: ' .. tostring(bytes), 0)
  end
  return bytes
end

---@class tidemark.Handle
---@field package handle ffi.cdata*?
---@field package send fun(handle: ffi.cdata*, method: string, params: string): string
---@field package release fun(handle: ffi.cdata*)
local Handle = {}
Handle.__index = Handle

--- A class whose instances call methods through `send` and end with `release`.
---@param send fun(handle: ffi.cdata*, method: string, params: string): string
---@param release fun(handle: ffi.cdata*)
---@return table
function M.class(send, release)
  local class = setmetatable({ send = send, release = release }, Handle)
  class.__index = class
  return class
end

--- Calls any method by its name. Raises a tidemark.Error when it fails.
---@param method string
---@param params table?
---@return table
function Handle:call(method, params)
  if not self.handle then
    error('it is closed already', 2)
  end
  local copy = {}
  for name, value in pairs(params or {}) do
    copy[name] = value
  end
  return drop_nulls(msgpack.decode(self.send(self.handle, method, encode(copy))))
end

--- Ends it. Harmless twice; an open one ends with the script.
function Handle:close()
  if self.handle then
    self.release(self.handle)
    self.handle = nil
  end
end

--- What is declared: "entities", "sources", "feature_views" or "feature_services".
---@param kind string
---@return table[] items
function Handle:list(kind)
  return self:call('list', { kind = kind }).items
end

--- Everything about one declaration.
---@param name string
---@param kind string?  needed where declarations of several kinds have the name
---@return table
function Handle:describe(name, kind)
  return self:call('describe', { name = name, kind = kind })
end

--- The newest features of a batch of entities.
---@param params tidemark.GetOnlineFeatures
---@return tidemark.GetOnlineFeaturesResult
function Handle:get_online_features(params)
  return self:call('get_online_features', params)
end

--- Puts rows into the log and online: `handle:push('driver_stats', { { driver_id = 1, ... } })`.
---@param view string
---@param rows table  a list of rows, or a table of columns
---@param options { to: string?, now: (string|integer)? }?
---@return tidemark.PushResult
function Handle:push(view, rows, options)
  return self:call('push', {
    view = view,
    rows = rows,
    to = options and options.to,
    now = options and options.now,
  })
end

--- Whether requests are answered, and from which generation of definitions.
---@return table
function Handle:health()
  return self:call('health')
end

--- Version, protocol, methods and limits.
---@return table
function Handle:hello()
  return self:call('hello')
end

--- Microseconds since 1970 UTC. Text is ISO-8601, UTC where it has no offset; numbers stay.
---@param value string|integer
---@return integer
function M.time(value)
  local time = value
  if type(value) == 'string' then
    time = native.parse_time(value)
  elseif type(value) ~= 'number' and not ffi.istype(int64, value) then
    error('expected a time, as text or in microseconds, got ' .. type(value), 2)
  end
  local number = tonumber(time)
  return ffi.cast(int64, number) == time and math.abs(number) <= 2 ^ 53 and number or time
end

M.native = native

return M
