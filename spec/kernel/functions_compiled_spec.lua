-- Compiled and interpreted, a function gives the same bits: random programs over random values,
-- run both ways. Training and serving may differ in which of the two they get.

local functions = require 'spec.support.functions'
local random = require 'spec.support.random'

local pick = random.pick

local PROGRAMS = 60
local ROWS = 300

local INPUTS = { { 'a', 'float64' }, { 'b', 'float64' }, { 'i', 'int64' }, { 's', 'string' } }
local OUTPUTS = { { 'x', 'float64' }, { 'y', 'float64' }, { 't', 'string' }, { 'q', 'bool' } }

-- Programs ----------------------------------------------------------------------------------------

local number, text, condition

local NUMBERS = { '0', '1', '-1', '2', '3', '0.5', '-0.5', '7', '1e10', '1e300', '-2.75', '255' }

local NUMERIC = {
  function(depth) return ('(%s + %s)'):format(number(depth), number(depth)) end,
  function(depth) return ('(%s - %s)'):format(number(depth), number(depth)) end,
  function(depth) return ('(%s * %s)'):format(number(depth), number(depth)) end,
  function(depth) return ('(%s / %s)'):format(number(depth), number(depth)) end,
  function(depth) return ('(%s %% %s)'):format(number(depth), number(depth)) end,
  function(depth) return ('(%s)^2'):format(number(depth)) end,
  function(depth)
    return ('(%s)^%s'):format(number(depth), pick { '0.5', '3', '-1', '(1/3)', 'i' })
  end,
  function(depth) return ('-(%s)'):format(number(depth)) end,
  function(depth)
    return ('math.%s(%s)'):format(
      pick { 'floor', 'ceil', 'abs', 'sqrt', 'sin', 'cos', 'tan', 'exp', 'log', 'log10', 'atan',
        'asin', 'acos', 'sinh', 'cosh', 'tanh', 'deg', 'rad' }, number(depth))
  end,
  function(depth)
    return ('math.%s(%s, %s)'):format(pick { 'max', 'min', 'fmod', 'atan2', 'pow' }, number(depth),
      number(depth))
  end,
  function(depth) return ('select(2, math.modf(%s))'):format(number(depth)) end,
  function(depth)
    return ('bit.%s(math.floor(%s) %% 2^31, %d)'):format(
      pick { 'band', 'bor', 'bxor', 'lshift', 'rshift', 'arshift', 'rol' }, number(depth),
      math.random(0, 31))
  end,
  function(depth) return ('#%s'):format(text(depth)) end,
  function(depth) return ('(tonumber(%s) or %s)'):format(text(depth), number(depth)) end,
  function(depth) return ('(%s:byte(%d) or -1)'):format(text(depth), math.random(4)) end,
  function(depth) return ('(%s:find(%s, 1, true) or 0)'):format(text(depth), text(depth)) end,
  function(depth)
    return ('(%s and %s or %s)'):format(condition(depth), number(depth), number(depth))
  end,
  function(depth) return ('sum(%s, %s)'):format(number(depth), number(depth)) end,
  function(depth)
    return ('mean { %s, %s, %s }'):format(number(depth), number(depth), number(depth))
  end,
  function(depth) return ('num.clamp(%s, -10, 10)'):format(number(depth)) end,
}

local TEXTUAL = {
  function(depth) return ('(%s .. %s)'):format(text(depth), text(depth)) end,
  function(depth) return ('tostring(%s)'):format(number(depth)) end,
  function(depth)
    return ('%s:sub(%d, %d)'):format(text(depth), math.random(-3, 3), math.random(-3, 5))
  end,
  function(depth) return ('%s:%s()'):format(text(depth), pick { 'upper', 'lower', 'reverse' }) end,
  function(depth)
    return ('%s:sub(1, 3):rep(%d, "-")'):format(text(depth), math.random(0, 4))
  end,
  function(depth) return ('(%s:match("^(%%a+)") or "none")'):format(text(depth)) end,
  function(depth) return ('(%s:gsub("%%d", "n"))'):format(text(depth)) end,
  function(depth)
    return ('string.format("%%.3f|%%s", %s, %s)'):format(number(depth), text(depth))
  end,
  function(depth) return ('string.format("%%g", %s)'):format(number(depth)) end,
  function(depth)
    return ('(%s and %s or %s)'):format(condition(depth), text(depth), text(depth))
  end,
  function(depth) return ('join { b = %s, a = %s }'):format(number(depth), text(depth)) end,
}

local CONDITIONS = {
  function(depth)
    return ('(%s %s %s)'):format(number(depth), pick { '<', '<=', '>', '>=', '==', '~=' },
      number(depth))
  end,
  function(depth)
    return ('(%s %s %s)'):format(text(depth), pick { '<', '==', '~=' }, text(depth))
  end,
  function(depth) return ('not %s'):format(condition(depth)) end,
  function(depth)
    return ('(%s %s %s)'):format(condition(depth), pick { 'and', 'or' }, condition(depth))
  end,
}

function number(depth)
  if depth == 0 then
    return math.random(3) == 1 and '(' .. pick(NUMBERS) .. ')' or pick { 'a', 'b', 'i' }
  end
  return pick(NUMERIC)(depth - 1)
end

function text(depth)
  if depth == 0 then
    return pick { 's', "('x')", "('12')", 's' }
  end
  return pick(TEXTUAL)(depth - 1)
end

function condition(depth)
  if depth == 0 then
    return ('(%s < %s)'):format(pick { 'a', 'b', 'i' }, pick { 'a', 'b', 'i' })
  end
  return pick(CONDITIONS)(depth - 1)
end

local function program()
  local depth = math.random(3)
  return ([[
local function sum(from, step)
  local total = 0
  for k = 1, 12 do
    total = total + from * k - step
    if total > 1e6 then break end
  end
  return total
end
local function mean(list)
  local total = 0
  for _, value in ipairs(list) do
    total = total + value
  end
  table.sort(list, function(p, q) return p == p and (q ~= q or p < q) end)
  return total / #list + list[1]
end
local function join(map)
  local parts = {}
  for key, value in pairs(map) do
    parts[#parts + 1] = key .. '=' .. tostring(value)
  end
  return table.concat(parts, ',')
end
]] .. functions.definition(INPUTS, OUTPUTS, ([[
  on_error = 'null',
  transform = function(row)
    local a, b, i, s = row.a or -1, row.b or 0.25, row.i or 3, row.s or ''
    local x = %s
    if %s then
      x = x + %s
    end
    return { x = x, y = %s, t = %s, q = %s%s }
  end,]]):format(number(depth), condition(2), number(2), number(depth), text(depth), condition(2),
    pick { '', ', other = nil' })))
end

-- Values ------------------------------------------------------------------------------------------

local SPECIAL = { 0, -0.0, 1 / 0, -1 / 0, 0 / 0, 1e308, -1e308, 5e-324, 2 ^ 53, -0.9, 0.1 }
local TEXTS = { '', 'a', 'AbC', '12', '-7.5', '0x1F', 'é', 'x1y2', 'nan', '1e400', ' 5 ' }

local function random_number()
  local kind = math.random(3)
  if kind == 1 then
    return pick(SPECIAL)
  elseif kind == 2 then
    return math.random(-1000, 1000)
  end
  return (math.random() - 0.5) * 10 ^ math.random(-5, 12)
end

local function column(make)
  local values = {}
  for row = 1, ROWS do
    values[row] = math.random(12) == 1 and functions.NULL or make()
  end
  return values
end

local function random_columns()
  return {
    a = column(random_number),
    b = column(random_number),
    i = column(function() return math.random(-2 ^ 31, 2 ^ 31) end),
    s = column(function() return pick(TEXTS) end),
  }
end

-- The same ----------------------------------------------------------------------------------------

local function bits(value)
  if type(value) == 'number' then
    return value ~= value and 'nan' or value == 0 and tostring(1 / value) or ('%.17g'):format(value)
  end
  return tostring(value)
end

local function run_both(source, columns)
  local results = {}
  for _, way in ipairs { 'compiled', 'interpreted' } do
    local opened = functions.open(source)
    if way == 'interpreted' then
      opened:interpret()
    end
    local out, messages = functions.run(opened:get('transform', 'v'), columns, { go_on = true })
    opened:close()
    results[way] = { out = assert(out, messages), messages = messages }
  end
  return results.compiled, results.interpreted
end

local function check_program()
  local source, columns = program(), random_columns()
  local compiled, interpreted = run_both(source, columns)
  assert.same(interpreted.messages, compiled.messages, source)
  for _, output in ipairs(OUTPUTS) do
    local name = output[1]
    for row = 1, ROWS do
      local want, got = bits(interpreted.out[name][row]), bits(compiled.out[name][row])
      if want ~= got then
        error(('%s of row %d: compiled %s, interpreted %s (a %s, b %s, i %s, s %s)\n%s'):format(
          name, row, got, want, bits(columns.a[row]), bits(columns.b[row]),
          bits(columns.i[row]), bits(columns.s[row]), source))
      end
    end
  end
end

describe('a function', function()
  it('gives the same bits compiled and interpreted, whatever it computes', function()
    random.each(PROGRAMS, check_program)
  end)
end)
