-- Sockets without a protocol: bytes out, and what came back.

local mpack = require 'mpack'
local msgpack = require 'tidemark.msgpack'
local uv = require 'luv'
local process = require 'spec.support.process'

local M = {}

local pack = mpack.Packer()

---@class spec.Raw
---@field ended boolean  the server has closed its side, or the connection broke
local Raw = {}
Raw.__index = Raw

--- Connects to "host:port" and reads, unless `deaf`.
---@param address string
---@param deaf boolean?
---@return spec.Raw
function M.open(address, deaf)
  local host, port = address:match('^%[?(.-)%]?:(%d+)$')
  local self = setmetatable({ socket = uv.new_tcp(), chunks = {}, ended = false }, Raw)
  local connected, failure
  self.socket:connect(host, tonumber(port), function(err)
    connected, failure = true, err
  end)
  process.wait(function()
    return connected
  end, 'a connection')
  assert(not failure, failure)
  if not deaf then
    self:read()
  end
  return self
end

function Raw:read()
  self.socket:read_start(function(_, data)
    if data then
      self.chunks[#self.chunks + 1] = data
    else
      self.ended = true
    end
  end)
end

function Raw:write(bytes)
  self.socket:write(bytes)
end

--- Closes our side only.
function Raw:shutdown()
  self.socket:shutdown()
end

function Raw:close()
  if not self.socket:is_closing() then
    self.socket:close()
    uv.run('nowait')
  end
end

--- What has come and was not taken yet.
function Raw:input()
  self.chunks = { table.concat(self.chunks) }
  return self.chunks[1]
end

--- Waits for `count` answers: a list of { 1, id, error, result }.
function Raw:answers(count)
  local unpacker, answers = mpack.Unpacker(), {}
  process.wait(function()
    local input, position = self:input(), 1
    while #answers < count and position <= #input do
      local answer, at = unpacker(input, position)
      position = at
      answers[#answers + 1] = answer
    end
    self.chunks = { input:sub(position) }
    return #answers == count or self.ended
  end, count .. ' answers')
  assert(#answers == count, ('%d answers of %d'):format(#answers, count))
  return answers
end

--- Waits for one message and returns its bytes.
---@return string
function Raw:message()
  local size
  process.wait(function()
    local input = self:input()
    local value, next_at = msgpack.decode(input)
    size = value ~= nil and next_at - 1
    return size or self.ended
  end, 'a message')
  local input = self:input()
  self.chunks = { input:sub(size + 1) }
  return input:sub(1, size)
end

--- Waits for the server to close its side; returns what it sent before.
function Raw:rest(timeout)
  process.wait(function()
    return self.ended
  end, 'the end of the connection', timeout)
  return self:input()
end

--- A request as bytes.
function M.request(id, method, params)
  return '\148\0' .. pack(id) .. pack(method) .. pack({ params or mpack.NIL })
end

--- One HTTP exchange on a connection of its own: the status, the headers by lower-case name, and
--- the body.
---@return integer status
---@return table<string, string> headers
---@return string body
function M.http(address, request)
  local raw = M.open(address)
  raw:write(request)
  local ok, text = pcall(raw.rest, raw)
  raw:close()
  assert(ok, text)
  local status, fields, body = text:match('^HTTP/1%.1 (%d%d%d) [^\r\n]*\r\n(.-)\r\n\r\n(.*)$')
  assert(status, 'no HTTP response: ' .. text)
  local headers = {}
  for name, value in fields:gmatch('([^:\r\n]+): ([^\r\n]*)') do
    headers[name:lower()] = value
  end
  return tonumber(status), headers, body
end

--- GET of a path.
function M.get(address, path)
  return M.http(address, 'GET ' .. path .. ' HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
end

return M
