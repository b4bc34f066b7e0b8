-- Child processes without sleeps: everything waits on one libuv loop. Each process that is started
-- is on the list of living ones until its exit was seen, so that the helper can name what a spec
-- left behind.

local ffi = require 'ffi'
local uv = require 'luv'

local M = {}

-- A process may be gone when something is written to it: an error then, not our end.
ffi.cdef('void (*signal(int number, void (*handler)(int)))(int);')
local SIGPIPE, SIG_IGN = 13, ffi.cast('void (*)(int)', 1)
ffi.C.signal(SIGPIPE, SIG_IGN)

---@class spec.Process
---@field handle userdata
---@field pid integer
---@field status integer?  exit status, once it has ended
---@field signal integer?  the signal that ended it, 0 without one
---@field stdout string    what it has written so far
---@field stderr string

local living = {}

--- The program under test.
M.TIDEMARK = os.getenv('TIDEMARK') or './build/release/tidemark'

local function absolute(path)
  return path:find('/', 1, true) and path:sub(1, 1) ~= '/' and uv.cwd() .. '/' .. path or path
end

local function environment(extra)
  local merged = {}
  for name, value in pairs(uv.os_environ()) do
    merged[name] = value
  end
  for name, value in pairs(extra or {}) do
    merged[name] = value or nil
  end
  local list = {}
  for name, value in pairs(merged) do
    list[#list + 1] = name .. '=' .. value
  end
  return list
end

-- Collects a pipe into process[name]; the pipe is closed at its end.
local function collect(process, name, pipe)
  process.open = process.open + 1
  local chunks = {}
  pipe:read_start(function(err, data)
    assert(not err, err)
    if data then
      chunks[#chunks + 1] = data
      process[name] = table.concat(chunks)
      chunks = { process[name] }
    else
      process.open = process.open - 1
      pipe:close()
    end
  end)
end

local Process = {}
Process.__index = Process

-- What a callback raised; luv would end the process on it.
local raised

--- A callback for the loop: what it raises is raised again by the `wait` that is under way.
---@param callback fun(...)
---@return fun(...)
function M.guard(callback)
  return function(...)
    local ok, err = pcall(callback, ...)
    if not ok then
      raised = { err }
    end
  end
end

--- Turns the loop until `done` holds. Raises after `timeout` ms, saying what was waited for.
---@param done fun(): any
---@param what string
---@param timeout integer?  default 60000
function M.wait(done, what, timeout)
  local late = false
  local timer = uv.new_timer()
  uv.update_time() -- the loop's own, which stands still while it does not run
  timer:start(timeout or 60000, 0, function()
    late = true
  end)
  raised = nil
  while not done() and not late and not raised do
    uv.run('once')
  end
  timer:stop()
  timer:close()
  if raised then
    error(raised[1], 0)
  end
  if late and not done() then
    error(('waited %d ms for %s'):format(timeout or 60000, what), 2)
  end
end

---@class spec.SpawnOptions
---@field args string[]
---@field cwd string?
---@field env table<string, string|false>?  added to ours; false removes
---@field stdin string?
---@field interactive boolean?  stdin stays open for Process:write

local function close_input(stdin)
  stdin:shutdown(function()
    stdin:close()
  end)
end

--- Starts `program`.
---@param program string
---@param options spec.SpawnOptions
---@return spec.Process
function M.spawn(program, options)
  local process = setmetatable({ stdout = '', stderr = '', open = 0 }, Process)
  local stdin, stdout, stderr = uv.new_pipe(false), uv.new_pipe(false), uv.new_pipe(false)
  local handle, pid = uv.spawn(absolute(program), {
    args = options.args,
    cwd = options.cwd,
    env = environment(options.env),
    stdio = { stdin, stdout, stderr },
  }, function(status, signal)
    process.status, process.signal = status, signal
    process.handle:close()
    living[process] = nil
  end)
  assert(handle, ('cannot start %s: %s'):format(program, tostring(pid)))
  process.handle, process.pid = handle, pid
  process.name = program .. ' ' .. table.concat(options.args, ' ')
  living[process] = true
  collect(process, 'stdout', stdout)
  collect(process, 'stderr', stderr)
  if options.stdin then
    stdin:write(options.stdin)
  end
  if options.interactive then
    process.stdin = stdin
  else
    close_input(stdin)
  end
  return process
end

--- Writes to the stdin of an interactive process.
function Process:write(text)
  self.stdin:write(text)
end

--- Waits for the end; returns the exit status and the signal.
function Process:wait(timeout)
  if self.stdin then
    close_input(self.stdin)
    self.stdin = nil
  end
  M.wait(function()
    return self.status and self.open == 0
  end, self.name .. ' to end', timeout)
  return self.status, self.signal
end

function Process:send(signal)
  if not self.status then
    self.handle:kill(signal)
  end
end

--- Ends every process that is left and returns their command lines.
---@return string[]
function M.reap()
  local left = {}
  for process in pairs(living) do
    left[#left + 1] = process.name
    process:send('sigkill')
  end
  M.wait(function()
    return next(living) == nil
  end, 'processes to end')
  return left
end

return M
