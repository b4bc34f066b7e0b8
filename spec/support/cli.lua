-- The command line, as a user types it.

local process = require 'spec.support.process'

local M = {}

---@class spec.CliResult
---@field status integer  exit status; 128 + n when signal n ended it
---@field stdout string
---@field stderr string

--- Runs `tidemark` with the arguments given as the list part of `call`.
---@param call { [integer]: string, cwd: string?, env: table?, stdin: string?, timeout: integer? }
---@return spec.CliResult
function M.run(call)
  local args = {}
  for i, argument in ipairs(call) do
    args[i] = tostring(argument)
  end
  local child = process.spawn(process.TIDEMARK, {
    args = args,
    cwd = call.cwd,
    env = call.env,
    stdin = call.stdin,
  })
  local status, signal = child:wait(call.timeout)
  return {
    status = signal ~= 0 and 128 + signal or status,
    stdout = child.stdout,
    stderr = child.stderr,
  }
end

--- The same, for steps that must succeed: raises with what was printed otherwise.
---@return string stdout
function M.must(call)
  local result = M.run(call)
  if result.status ~= 0 then
    error(('tidemark %s: exit status %d\n%s%s'):format(table.concat(call, ' '), result.status,
      result.stdout, result.stderr), 2)
  end
  return result.stdout
end

return M
