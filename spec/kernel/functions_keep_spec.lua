-- Functions that would keep something between rows by ways that are not seen before they run.

local functions = require 'spec.support.functions'

local NULL, FAILED = functions.NULL, functions.FAILED
local MESSAGE = 'writes into a table that outlives the row; a function may keep nothing between '
  .. 'rows: make the table inside it'

local opened

after_each(function()
  if opened then
    opened:close()
    opened = nil
  end
end)

local function open(before, body)
  local inputs, outputs = { { 'a', 'float64' }, { 'k', 'string' } }, { { 'x', 'float64' } }
  opened = functions.open(before .. '\n' .. functions.definition(inputs, outputs,
    'transform = function(row) ' .. body .. ' end,'))
  return opened:get('transform', 'v')
end

local VALUES = { a = { 1, 2, 1 }, k = { 'p', 'q', 'p' } }

describe('a table that outlives the row', function()
  local WRITES = {
    ['through a table of the call'] = { 'local C = {}', 'local t = { c = C } t.c[row.k] = row.a '
      .. 'return { x = 1 }' },
    ['through packed arguments'] = { 'local C = {} local function put(...) local all = { ... } '
      .. 'all[1][all[2]] = 1 end', 'put(C, row.k) return { x = 1 }' },
    ['inside another one'] = { 'local C = { { {} } }', 'local t = { c = C } '
      .. 't.c[1][1][row.k] = row.a return { x = 1 }' },
    ['by table.insert'] = { 'local C = {}', 'local t = { C } table.insert(t[1], row.a) '
      .. 'return { x = 1 }' },
    ['by table.remove'] = { 'local C = { 1, 2, 3 }', 'local t = { C } '
      .. 'return { x = table.remove(t[1]) }' },
    ['by table.sort'] = { 'local C = { 3, 2, 1 }', 'local t = { C } table.sort(t[1]) '
      .. 'return { x = t[1][1] }' },
  }
  for what, row in pairs(WRITES) do
    it('cannot be written to ' .. what, function()
      local transform = open(row[1], row[2])
      for _ = 1, 2 do
        local out, messages = functions.run(transform, VALUES, { go_on = true })
        assert.same({ FAILED, FAILED, FAILED }, out.x)
        assert.equal(3, #messages)
        for _, message in ipairs(messages) do
          assert.is_truthy(message:find(MESSAGE, 1, true), message)
        end
      end
    end)
  end

  it('is read as before', function()
    local transform = open([[
      local C = { 3, 1, 2, name = 'n', nested = { p = 10, q = 20 } }
      local function sum(items)
        local total = 0
        for _, v in ipairs(items) do total = total + v end
        for k in pairs(items) do total = total + #tostring(k) / 100 end
        return total
      end]], [[
      local t = { unpack(C) }
      table.sort(t)
      table.insert(t, #C)
      return { x = C.nested[row.k] + sum(C) + #table.concat(C, ',') + t[1] + t[4]
        + (C[row.k] and 1000 or 0) }]])
    local base = 6 + (3 + 4 + 6) / 100 + 5 + 1 + 3
    assert.same({ 10 + base, 20 + base, 10 + base }, functions.run(transform, VALUES).x)
  end)

  it('may be returned', function()
    local transform = open('local C = { p = { x = 1 }, q = {} }', 'return C[row.k]')
    assert.same({ 1, NULL, 1 }, functions.run(transform, VALUES).x)
  end)
end)
