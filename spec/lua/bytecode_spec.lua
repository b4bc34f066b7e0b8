-- The fields that a function reads of its row, found in its bytecode: for functions made at random,
-- whatever one of them does read when it is run is among them.

local bytecode = require 'tidemark.bytecode'
local random = require 'spec.support.random'

local FIELDS = { 'a', 'b', 'c', 'd', 'e' }

local function field()
  return random.pick(FIELDS)
end

local expression, statements

-- Expressions of a number; most only read fields, some do other things with the row.
local EXPRESSIONS = {
  function() return 'row.' .. field() end,
  function() return "row['" .. field() .. "']" end,
  function() return tostring(math.random(1, 9)) end,
  function(depth) return ('(%s %s %s)'):format(expression(depth), random.pick { '+', '-', '*' },
    expression(depth)) end,
  function(depth) return ('(%s > %s and %s or %s)'):format(expression(depth), expression(depth),
    expression(depth), expression(depth)) end,
  function(depth) return ('math.max(%s, %s)'):format(expression(depth), expression(depth)) end,
  function(depth) return ('({ %s, x = %s }).x'):format(expression(depth), expression(depth)) end,
  function(depth) return ('#(%s .. %s)'):format(expression(depth), expression(depth)) end,
  function(depth) return ('(function(row) return row end)(%s)'):format(expression(depth)) end,
  function(depth) return ('(function(row) return row.z end)({ z = %s })'):format(
    expression(depth)) end,
}
local OPAQUE = {
  function() return 'helper(row)' end,
  function() return "row[key]" end,
  function() return ('(function() return row.%s end)()'):format(field()) end,
  function() return ('(function() return function() return row.%s end end)()()')
    :format(field()) end,
  function() return ('({ row })[1].%s'):format(field()) end,
  function() return ('select(2, 1, row).%s'):format(field()) end,
}

function expression(depth)
  if depth == 0 then
    return EXPRESSIONS[math.random(3)]()
  elseif math.random(60) == 1 then
    return random.pick(OPAQUE)()
  end
  return random.pick(EXPRESSIONS)(depth - 1)
end

local STATEMENTS = {
  function(depth) return ('n = n + %s'):format(expression(depth)) end,
  function(depth) return ('if %s > %s then %s else %s end'):format(expression(depth),
    expression(depth), statements(depth), statements(depth)) end,
  function(depth) return ('for i = 1, 2 do %s end'):format(statements(depth)) end,
  function(depth) return ('local t = { %s } n = n + t[1]'):format(expression(depth)) end,
  function(depth) return ('do local row = { a = 1, b = 2, c = 3, d = 4, e = 5 } %s end'):format(
    statements(depth)) end,
  function(depth) return ('local function f(v) n = n + v end f(%s)'):format(expression(depth)) end,
  function(depth) return ('repeat n = n + %s until true'):format(expression(depth)) end,
}

function statements(depth)
  local list = {}
  for i = 1, math.random(1, 2) do
    list[i] = random.pick(STATEMENTS)(math.max(depth - 1, 0))
  end
  return table.concat(list, ' ')
end

--- Runs a function on a row that notes what is read of it.
local function reads_of(callee)
  local read = {}
  local row = setmetatable({}, {
    __index = function(_, name)
      read[name] = true
      return 3
    end,
  })
  assert(pcall(callee, row))
  return read
end

describe('fields found in bytecode', function()
  it('hold all that a function reads', function()
    local known, opaque = 0, 0
    random.each(2000, function()
      local text = ("local helper, key = function(row) return row.b end, 'c'\n"
        .. 'return function(row) local n = 1 %s return { n = n } end'):format(statements(3))
      local callee = assert(loadstring(text))()
      local lines = bytecode.fields(callee)
      if not lines then
        opaque = opaque + 1
        return
      end
      known = known + 1
      for name in pairs(reads_of(callee)) do
        assert.is_truthy(lines[name], name .. ' is read by ' .. text)
      end
    end)
    assert.is_true(known > 300 and opaque > 20, known .. ' and ' .. opaque)
  end)

  it('come with the line of the first read', function()
    assert.same({ a = 2, b = 3 }, bytecode.fields(assert(loadstring(
      'return function(row)\nlocal x = row.a\nreturn row.b + row.a\nend'))()))
  end)
end)
