-- Functions that keep something between rows: what is found when definitions are loaded.

local host = require 'spec.support.host'

local TABLE = ', which outlives the row; a function may keep nothing between rows: make the table '
  .. 'inside it'
local VARIABLE = ', which outlives the row; what a row gives must not depend on other rows'

--- A view whose transform begins on line 4 of a.lua; `before` stands on line 1.
local function definition(before, body)
  return ([[
%s entity 'e' { keys = { int64 'id' } } source 's' { path = 's.parquet', event_time = 'at' }
feature_view 'v' { entity = 'e', source = 's', features = { float64 'x' },
  inputs = { float64 'a', string 'k' }, transform =
function(row) %s end }
]]):format(before, body)
end

local function lines_of(before, body, files)
  local sources = { ['definitions/a.lua'] = definition(before, body) }
  for path, text in pairs(files or {}) do
    sources[path] = text
  end
  local lines = {}
  for i, line in ipairs(host.load(sources).lines) do
    lines[i] = line:gsub('^definitions/a%.lua:(%d+):%d+: feature_view "v": transform: ', '%1 ')
      :gsub('^(lib/.-:%d+):%d+: feature_view "v": transform: ', '%1 ')
  end
  return lines
end

describe('a function that keeps something between rows', function()
  -- What stands before the view, the transform's body, the line (or file and line) and the table.
  local WRITES = {
    ['a field'] = { 'local SEEN = {}', 'SEEN[row.k] = true return { x = 1 }', 'SEEN' },
    ['a named field'] = { 'local S = { n = 0 }', 'S.n = S.n + 1 return { x = S.n }', 'S' },
    ['an element'] = { 'local S = {}', 'S[1] = row.a return { x = S[1] }', 'S' },
    ['a field that is taken away'] = { 'local S = {}', 'S.n = nil return { x = 1 }', 'S' },
    ['a table inside'] = { 'local C = { a = { b = {} } }',
      'C.a.b[row.k] = 1 return { x = 1 }', 'C.a.b' },
    ['a table found by a key'] = { 'local C = { a = {} }',
      'local own = C[row.k] own.n = 1 return { x = 1 }', 'C[…]' },
    ['one of a list'] = { 'local C = { {}, {} }', 'C[2].n = 1 return { x = 1 }', 'C[2]' },
    ['a memo'] = { 'local M = {}', 'local v = M[row.k] if not v then v = row.a * 2 M[row.k] = v '
      .. 'end return { x = v }', 'M' },
    ['one of two tables'] = { 'local C = {}', 'local t = row.a and C or {} t.n = 1 '
      .. 'return { x = 1 }', 'C' },
    ['a table that may be there'] = { 'local C = {}', 'local t = C[row.k] if t == nil then t = {} '
      .. 'end t.n = 1 return { x = 1 }', 'C[…]' },
    ['a list that grows'] = { 'local L = {}', 'L[#L + 1] = row.a return { x = #L }', 'L' },
    ['table.insert'] = { 'local L = {}', 'table.insert(L, row.a) return { x = #L }', 'L' },
    ['table.remove'] = { 'local L = { 1 }', 'return { x = table.remove(L) }', 'L' },
    ['table.sort'] = { 'local L = { 2, 1 }', 'table.sort(L) return { x = L[1] }', 'L' },
    ['a library function by another name'] = { 'local add, L = table.insert, {}',
      'add(L, 1) return { x = #L }', 'L' },
    ['a table in a loop'] = { 'local L = { { n = 0 } }',
      'for _, item in ipairs(L) do item.n = row.a end return { x = 1 }', 'L[…]' },
    ['a table in a loop over keys'] = { 'local L = { a = { n = 0 } }',
      'for _, item in pairs(L) do item.n = row.a end return { x = 1 }', 'L[…]' },
    ['a table unpacked'] = { 'local L = { {} }',
      'local first = unpack(L) first.n = 1 return { x = 1 }', 'L[…]' },
    ['the end of a loop'] = { 'local C = {}', 'local t = {} for i = 1, 2 do t.n = i t = C end '
      .. 'return { x = 1 }', 'C' },
    ['a closure'] = { 'local C = {}', 'local function f() C.n = 1 end f() return { x = 1 }', 'C' },
    ['a closure further in'] = { 'local C = {}', 'local function f() return function() C.n = 1 '
      .. 'end end f()() return { x = 1 }', 'C' },
    ['a closure with another name for it'] = { 'local C = {}',
      'local own = C local function f() own.n = 1 end f() return { x = 1 }', 'C' },
    ['a helper'] = { 'local C = {} local function f(k) C[k] = 1 end',
      'f(row.k) return { x = 1 }', 'C', '1' },
    ['a helper of a helper'] = { 'local C = {} local function g(k) C[k] = 1 end '
      .. 'local function f(k) return g(k) end', 'f(row.k) return { x = 1 }', 'C', '1' },
    ['a helper that is given it'] = { 'local C = {} local function f(t, k) t[k] = 1 end',
      'f(C, row.k) return { x = 1 }', 'C', '1' },
    ['a closure that is given it'] = { 'local C = {}',
      'local function f(t) t.n = 1 end f(C) return { x = 1 }', 'C' },
    ['a helper that hands it back'] = { 'local C = {} local function f() return C end',
      'local t = f() t.n = 1 return { x = 1 }', 'C' },
    ['a helper that hands on what it got'] = { 'local C = {} local function f(t) return t end',
      'f(C).n = 1 return { x = 1 }', 'C' },
    ['a helper behind pcall'] = { 'local C = {} local function f(t) t.n = 1 end',
      'pcall(f, C) return { x = 1 }', 'C', '1' },
    ['a helper that is given it among others'] = { 'local C = {} local function f(...) '
      .. 'local k, t = ... t[k] = 1 end', 'f(row.k, C) return { x = 1 }', 'C', '1' },
    ['a helper that hands on all it gets'] = { 'local C = {} local function g(k, t) t[k] = 1 end '
      .. 'local function f(...) return g(...) end', 'f(row.k, C) return { x = 1 }', 'C', '1' },
    ['a helper called with what another gives'] = { 'local C = {} local function f() return C end '
      .. 'local function g(n, t) t.n = n end', 'g(1, f()) return { x = 1 }', 'C', '1' },
    ['a function of a table'] = { 'local C = { n = 0 } function C.f() C.n = C.n + 1 end',
      'C.f() return { x = 1 }', 'C', '1' },
    ['a method'] = { 'local C = { n = 0 } function C:f() self.n = self.n + 1 end',
      'C:f() return { x = 1 }', 'C', '1' },
    ['one of several functions'] = { 'local C = {} local F = { a = function() C.n = 1 end }',
      'F[row.k]() return { x = 1 }', 'C', '1' },
    ['a variable assigned by a closure'] = { 'local n = 0',
      'local function f() n = n + 1 end f() return { x = n }', 'n', variable = true },
    ['a table made around the function'] = {
      'local function make() local own = {} return function(k) own[k] = 1 end end '
        .. 'local f = make()', 'f(row.k) return { x = 1 }', 'own', '1' },
  }
  for what, row in pairs(WRITES) do
    it('is found: ' .. what, function()
      local expected = row.variable and ('%s sets "%s"%s'):format(row[4] or '4', row[3], VARIABLE)
        or ('%s writes into table "%s"%s'):format(row[4] or '4', row[3], TABLE)
      assert.same({ expected }, lines_of(row[1], row[2]))
    end)
  end

  it('is found: an iterator made where the file is read', function()
    local WRONG = '", an iterator that goes on from row to row: make it inside the function'
    for before, body in pairs {
      ["local g = ('abc'):gmatch('.')"] = 'return { x = tonumber(g()) }',
      ["local g = string.gmatch('abc', '.')"] = 'for c in g do return { x = #c } end',
      ['local g, s, k = pairs({ 1, 2 })'] = 'return { x = g(s, k) }',
      ["local o = { g = ('abc'):gmatch('.') }"] = 'return { x = #o.g() }',
    } do
      local name = before:find('local o') and 'o.g' or 'g'
      assert.same({ '4 calls "' .. name .. WRONG }, lines_of(before, body))
    end
    assert.same({}, lines_of('local f, s, k = ipairs({ 7, 8 })', 'return { x = f(s, k) }'))
    assert.same({}, lines_of("local s = 'abc'",
      "local n, f = 0, s:gmatch('.') for c in f do n = n + #c end return { x = n }"))
  end)

  it('is found in files of lib', function()
    local before = "local m = require 'lib.m'"
    local body = 'return { x = m.f(row.k) }'
    local function lines(text)
      return lines_of(before, body, { ['lib/m.lua'] = text })
    end
    assert.same({ 'lib/m.lua:2 writes into table "seen"' .. TABLE },
      lines 'local M, seen = {}, {}\nfunction M.f(k) seen[k] = true return 1 end return M')
    assert.same({ 'lib/m.lua:2 writes into table "M.seen"' .. TABLE },
      lines 'local M = { seen = {} }\nfunction M.f(k) M.seen[k] = true return 1 end return M')
    assert.same({ '4 writes into table "m.seen"' .. TABLE },
      lines_of(before, 'm.seen[row.k] = 1 return { x = 1 }',
        { ['lib/m.lua'] = 'return { seen = {} }' }))
  end)

  it('is found in a filter, and in on-demand views', function()
    local text = definition('local C = {}', 'return { x = 1 }'):gsub('transform =',
      'filter = function(row) C.n = 1 return true end, transform =')
    assert.same({ 'definitions/a.lua:3:64: feature_view "v": filter: writes into table "C"'
      .. TABLE }, host.load(text).lines)
    assert.same({ 'definitions/a.lua:3:37: on_demand_feature_view "o": transform: writes into '
      .. 'table "C"' .. TABLE }, host.load(
      "local C = {} on_demand_feature_view 'o' { request = { float64 'a' },\n"
        .. "features = { float64 'x' },\n          transform = function(row) C.n = row.a "
        .. 'return { x = 1 } end }').lines)
  end)

  it('is found behind many calls', function()
    local parts = { 'local C, F = {}, {} F[0] = function(t) t.n = 1 return 1 end' }
    for i = 1, 250 do
      parts[#parts + 1] = ('F[%d] = function(t) local x = F[%d](t) return x end'):format(i, i - 1)
    end
    assert.same({ '1 writes into table "C"' .. TABLE },
      lines_of(table.concat(parts, ' '), 'return { x = F[250](C) }'))
  end)

  it('is found once', function()
    assert.same({ '4 writes into table "C"' .. TABLE },
      lines_of('local C = {}', 'for i = 1, 3 do C[i] = i end return { x = 1 }'))
  end)
end)

describe('a function that keeps nothing', function()
  local CLEAN = {
    ['a table of its own'] = { '', 'local t = {} t[row.k] = 1 t.x = 1 return t' },
    ['a table from a helper'] = { 'local function f() return {} end',
      'local t = f() t.x = 1 return t' },
    ['a helper that writes into what it gets'] = {
      'local function put(t, k, v) t[k] = v return t end', "return put({}, 'x', row.a)" },
    ['the same helper at load'] = { 'local C = {} local function put(t, k, v) t[k] = v end '
      .. "put(C, 'a', 1)", "local t = {} put(t, 'x', C.a) return t" },
    ['a builder in nested functions'] = { '', 'local t = {} local function put(v) '
      .. 'local function at(k) t[k] = v end at("x") end put(row.a) return t' },
    ['varargs'] = { 'local function pack(...) local t = { ... } t.n = select("#", ...) return t '
      .. 'end', 'return { x = pack(row.a, 1).n }' },
    ['varargs that hold a table around'] = { 'local C = {} local function f(...) local a, t = ... '
      .. 't.x = a.n return t end', 'return f(C, {})' },
    ['a table behind one around'] = { 'local C = {} local function f(a, b) b.x = 1 return b end',
      'local function pair() return C, {} end local c, t = pair() return f(pair(), t) or c' },
    ['a closure with a counter'] = { 'local function counter() local n, own = 0, {} '
      .. 'return function() n = n + 1 own[n] = n return n end end',
      'local c = counter() c() return { x = c() }' },
    ['a memo of the row'] = { '', 'local m = {} local function fib(n) if n < 2 then return n end '
      .. 'if not m[n] then m[n] = fib(n - 1) + fib(n - 2) end return m[n] end '
      .. 'return { x = fib(20) }' },
    ['table functions on its own'] = { 'local C = { 3, 1 }', 'local t = {} '
      .. 'for _, v in ipairs(C) do table.insert(t, v) end table.sort(t) return { x = t[1] }' },
    ['a copy'] = { 'local D = { x = 1 } local function copy(from) local to = {} '
      .. 'for k, v in pairs(from) do to[k] = v end return to end',
      'local t = copy(D) t.x = row.a return t' },
    ['reading tables around'] = { 'local C = { a = { b = 2 } }',
      "local t = C[row.k] or C['a'] return { x = t and t.b }" },
    ['a table around inside its own'] = { 'local C = { 1 }',
      'local t = { c = C } t.x = t.c[1] return { x = t.x }' },
    ['the row'] = { '', 'row.a = 2 return { x = row.a }' },
    ['a table that a branch had'] = { 'local C = { a = { x = 1 } }', 'local t = {} if row.a then '
      .. 't = C[row.k] return { x = t.x } end t.x = 1 return t' },
    ['a register used again'] = { 'local C = {}', 'do local t = C if t.x then return t end end '
      .. 'do local t = {} t.x = 1 return t end' },
    ['a loop that makes a table each time'] = { 'local C = { {} }', 'local n = 0 '
      .. 'for _, item in ipairs(C) do local t = { item } t.n = 1 n = n + t.n end '
      .. 'return { x = n }' },
    ['a goto'] = { 'local C = {}', 'local t = C goto on ::on:: t = {} t.x = 1 return t' },
    ['a table made when the file is read'] = { 'local C = {} local function add(k, v) C[k] = v end '
      .. "add('a', 1)", 'return { x = C[row.k] }' },
    ['words and functions as values'] = { 'local f, g = math.floor, string.rep',
      'local t = { f = f, g = g } t.x = t.f(row.a) return { x = t.x + #t.g("a", 2) }' },
    ['a function that calls itself'] = { 'local function f(t, n) if n == 0 then return t end '
      .. 't.x = n return f(t, n - 1) end', 'return f({}, 3)' },
  }
  for what, row in pairs(CLEAN) do
    it('is not refused: ' .. what, function()
      assert.same({}, lines_of(row[1], row[2]))
    end)
  end

  it('is not refused: a builder of a module, used when files are read', function()
    assert.same({}, lines_of("local m = require 'lib.m' m.add('a', 1)",
      'local t = m.new() t.x = m.get(row.k) return t', { ['lib/m.lua'] = [[
local M, all = {}, {}
function M.add(k, v) all[k] = v end
function M.get(k) return all[k] end
function M.new() return {} end
return M]] }))
  end)
end)
