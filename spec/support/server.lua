-- A real server on a free port, and a connection to it through a client library that is not ours
-- (lua-mpack's Session).

local mpack = require 'mpack'
local uv = require 'luv'
local process = require 'spec.support.process'

local M = {}

---@class spec.Connection
local Connection = {}
Connection.__index = Connection

-- Hands complete messages to the callbacks of their requests.
local function receive(self, data)
  local position = 1
  while position <= #data do
    local kind, callback, err, result
    kind, callback, err, result, position = self.session:receive(data, position)
    if kind == 'response' then
      callback(err, result)
    elseif kind then
      self.unexpected = kind
    end
  end
end

--- Connects to "host:port".
---@param address string
---@return spec.Connection
function M.connect(address)
  local self = setmetatable({ session = mpack.Session({ unpack = mpack.Unpacker() }) }, Connection)
  self.pack = mpack.Packer()
  self.socket = uv.new_tcp()
  local host, port = address:match('^%[?(.-)%]?:(%d+)$')
  local done, failure
  self.socket:connect(host, tonumber(port), function(err)
    done, failure = true, err
  end)
  process.wait(function()
    return done
  end, 'a connection to ' .. address)
  assert(not failure, failure)
  self.socket:read_start(process.guard(function(err, data)
    if data then
      receive(self, data)
    else
      self.closed = err or 'end of file'
    end
  end))
  return self
end

--- Sends bytes as they are.
function Connection:write(bytes)
  self.socket:write(bytes)
end

--- Sends a request; the answer goes to `callback(err, result)`.
function Connection:request(method, params, callback)
  self:write(self.session:request(callback) .. self.pack(method) .. self.pack({ params }))
end

--- Sends a request and waits: the result, or nil and the error object (code, message, details).
---@param method string
---@param params table?
function Connection:call(method, params, timeout)
  local done, failure, value
  self:request(method, params, function(err, result)
    done, failure, value = true, err, result
  end)
  process.wait(function()
    return done or self.closed
  end, 'an answer to ' .. method, timeout)
  assert(done, 'the server closed the connection: ' .. tostring(self.closed))
  if failure ~= nil and failure ~= mpack.NIL then
    return nil, failure
  end
  return value
end

function Connection:close()
  if not self.socket:is_closing() then
    self.socket:close()
    uv.run('nowait')
  end
end

---@class spec.Server
---@field address string  "127.0.0.1:41234"
---@field host string
---@field port integer
---@field pid integer
---@field process spec.Process
local Server = {}
Server.__index = Server

--- Serves the project in `folder`; returns when it listens.
---@param folder string
---@param options { args: string[]?, env: table?, cwd: string? }?
---@return spec.Server
function M.start(folder, options)
  options = options or {}
  local args = { 'serve', '--listen', '127.0.0.1:0', '-C', folder }
  for _, argument in ipairs(options.args or {}) do
    args[#args + 1] = argument
  end
  local child = process.spawn(process.TIDEMARK,
    { args = args, env = options.env, cwd = options.cwd })
  local self = setmetatable({ process = child, pid = child.pid }, Server)
  process.wait(function()
    self.address = child.stdout:match('^ready (%S+)\n')
    return self.address or child.status
  end, 'the server to be ready')
  assert(self.address, 'the server did not start: ' .. child.stdout .. child.stderr)
  self.host, self.port = self.address:match('^%[?(.-)%]?:(%d+)$')
  self.port = tonumber(self.port)
  return self
end

--- One call over a connection that is kept.
function Server:call(method, params, timeout)
  self.connection = self.connection or M.connect(self.address)
  return self.connection:call(method, params, timeout)
end

--- A connection of its own.
function Server:connect()
  return M.connect(self.address)
end

--- SIGTERM; returns the exit status and the signal once it has ended. Harmless twice.
function Server:stop(timeout)
  if self.connection then
    self.connection:close()
    self.connection = nil
  end
  self.process:send('sigterm')
  return self.process:wait(timeout)
end

--- SIGKILL, as a crash would.
function Server:kill()
  self.process:send('sigkill')
  return self.process:wait()
end

return M
