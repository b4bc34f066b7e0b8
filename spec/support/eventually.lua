-- For what becomes true a little later: asks again and again, never sleeps a fixed time.

local uv = require 'luv'
local process = require 'spec.support.process'

--- Returns the first true value of `condition`; raises after `timeout` ms (default 10000).
---@generic T
---@param condition fun(): T
---@param what string?
---@param timeout integer?
---@return T
return function(condition, what, timeout)
  local value = condition()
  local again = uv.new_timer()
  again:start(5, 5, process.guard(function()
    value = condition()
  end))
  local ok, err = pcall(process.wait, function()
    return value
  end, what or 'a condition', timeout or 10000)
  again:stop()
  again:close()
  if not ok then
    error(err, 2)
  end
  return value
end
