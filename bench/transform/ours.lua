-- Our side of bench/transform: functions over chunks of columns, as scans run them, and over one
-- row, as serving does. Usage: tidemark lua bench/transform/ours.lua ROWS

package.path = './?.lua;./lua/?.lua;' .. package.path
local ffi = require 'ffi'
local C = require 'spec.support.ffi'
local functions = require 'spec.support.functions'

local ROWS = tonumber(arg[1]) or 1e7
local CHUNK, CHUNKS = 8192, 128
local REPEATS = 5 -- the best counts

local ARITHMETIC = [[
  local a, b, c = row.a, row.b, row.c
  if a == nil or b == nil or c == nil then
    return { x = a }
  end
]]
local INPUTS = { { 'a', 'float64' }, { 'b', 'float64' }, { 'c', 'float64' } }
local OUTPUTS = { { 'x', 'float64' }, { 'y', 'float64' }, { 'z', 'float64' } }

local function more(list, field)
  local longer = { unpack(list) }
  longer[#longer + 1] = field
  return longer
end

-- Name, inputs, outputs, body.
local CASES = {
  {
    'arithmetic',
    INPUTS,
    OUTPUTS,
    ARITHMETIC .. 'return { x = a + b, y = a * c, z = (a - b) / (c + 1) }',
  },
  {
    'arithmetic and a prefix',
    more(INPUTS, { 'country', 'string' }),
    more(OUTPUTS, { 'us', 'bool' }),
    ARITHMETIC .. [[return { x = a + b, y = a * c, z = (a - b) / (c + 1),
      us = row.country ~= nil and row.country:sub(1, 2) == 'us' }]],
  },
  {
    'arithmetic and upper case',
    more(INPUTS, { 'country', 'string' }),
    more(OUTPUTS, { 'upper', 'string' }),
    ARITHMETIC .. [[return { x = a + b, y = a * c, z = (a - b) / (c + 1),
      upper = row.country and row.country:upper() }]],
  },
  {
    'a closure per row',
    INPUTS,
    OUTPUTS,
    ARITHMETIC .. [[local function plus(other) return a + other end
      return { x = plus(b), y = plus(c), z = (a - b) / (c + 1) }]],
  },
}

local function columns(inputs, count)
  local countries = { 'us-ca', 'us-ny', 'de-be', 'fr-75' }
  local values = {}
  for _, input in ipairs(inputs) do
    local list = {}
    for i = 1, count do
      local value = input[2] == 'string' and countries[math.random(4)] or math.random() * 100
      list[i] = count > 1 and math.random(20) == 1 and functions.NULL or value
    end
    values[input[1]] = list
  end
  return values
end

--- Nanoseconds per row, with `count` rows a time: `chunks` different ones in turn, so that together
--- they are more than the processor's caches hold.
local function measure(case, count, chunks, rows)
  local opened = functions.open(functions.definition(case[2], case[3],
    ('transform = function(row)\n%s\nend,'):format(case[4])))
  local transform = opened:get('transform', 'v')
  local kept = {}
  for i = 1, chunks do
    kept[i] = functions.prepare(transform, columns(case[2], count))
  end
  local turns = math.ceil(rows / count / chunks)
  local repeats = chunks == 1 and turns or 1
  local best = math.huge
  for _ = 1, REPEATS do
    local total = 0
    for _ = 1, turns / repeats do
      for i = 1, chunks do
        local seconds = C.tidemark_functions_time(transform.pointer, kept[i].run, repeats)
        assert(seconds >= 0, ffi.string(C.tidemark_functions_error()))
        total = total + seconds
      end
    end
    best = math.min(best, total)
  end
  opened:close()
  return best / turns / chunks / count * 1e9
end

math.randomseed(1)
for _, case in ipairs(CASES) do
  local ns = measure(case, CHUNK, CHUNKS, ROWS)
  print(('tidemark  %-28s %8.1f ns/row %8.1f M rows/s'):format(case[1], ns, 1e3 / ns))
end
for _, case in ipairs(CASES) do
  print(('tidemark  %-28s %8.1f ns/request of one row'):format(case[1], measure(case, 1, 1, 1e6)))
end
