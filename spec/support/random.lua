-- Seeded random input for property specs. Every case has a seed of its own, named in its failure:
-- TIDEMARK_SEED=n makes it the first one of a run.

local ffi = require 'ffi'
local oracle = require 'spec.support.oracle'

local M = {}

local random = math.random

--- Runs `check` with one seed after the other; an error is reported with its seed.
---@param cases integer
---@param check fun()
function M.each(cases, check)
  local first = tonumber(os.getenv('TIDEMARK_SEED') or '') or os.time()
  for seed = first, first + cases - 1 do
    math.randomseed(seed)
    local ok, message = pcall(check)
    if not ok then
      error(('TIDEMARK_SEED=%d: %s'):format(seed, tostring(message)), 0)
    end
  end
end

--- True once in `n`.
---@param n integer
function M.once_in(n)
  return random(n) == 1
end

--- A random element.
---@param list any[]
function M.pick(list)
  return list[random(#list)]
end

--- Puts a list in random order, in place.
---@param list any[]
function M.shuffle(list)
  for i = #list, 2, -1 do
    local j = random(i)
    list[i], list[j] = list[j], list[i]
  end
  return list
end

-- Where times lie: few different ones, so that ties are usual, and at the ends of int64.
local ORIGINS = { 0LL, -3LL, 1617062400000000LL, oracle.TIME_MIN, oracle.TIME_MAX - 12 }

--- Returns a function that draws a time; many of them are equal.
---@return fun(): integer  int64 cdata
function M.times()
  local origin = M.pick(ORIGINS)
  local span = random(2, 12)
  if M.once_in(8) then
    return function()
      return M.pick(ORIGINS) + random(0, 12)
    end
  end
  return function()
    return origin + random(0, span)
  end
end

--- A length of time: usually of the size of the differences between times, sometimes anything.
---@return integer  int64 cdata, greater than zero
function M.duration()
  if M.once_in(10) then
    return M.pick({ 0x7fffffffffffffffLL, 0x4000000000000000LL, 86400000000LL })
  end
  return ffi.new('int64_t', random(1, 8))
end

return M
