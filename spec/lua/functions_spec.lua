-- Functions in definitions: which of the row they read, what is said about mistakes in them, and
-- what tells two of them apart.

local host = require 'spec.support.host'

local BASE = [[
entity 'zone' { keys = { int64 'zone_id' } }
source 'zones' {
  path = 'zones.parquet', event_time = 'at', created_time = 'made', deleted = 'gone',
  keys = { zone_id = 'zid' },
}
]]

--- A view over BASE, on lines 6 to 9: `fields` are on the last but one.
local function view(fields, features)
  return BASE .. ("feature_view 'v' {\n  entity = 'zone', source = 'zones', features = { %s },\n"
    .. '  %s\n}\n'):format(features or "float64 'x'", fields)
end

local SCHEMA = { zones = { typed = true, columns = {
  { name = 'zid', type = 'int32', type_text = 'INTEGER' },
  { name = 'at', type = 'timestamp', type_text = 'TIMESTAMP' },
  { name = 'raw', type = 'float32', type_text = 'FLOAT' },
  { name = 'label', type = 'string', type_text = 'VARCHAR' },
  { name = 'odd', type_text = 'MAP(VARCHAR, INTEGER)' },
} } }

local function resolved(text, schemas)
  return host.resolve(host.load(text), schemas or SCHEMA)
end

local function function_of(text, what)
  local found = resolved(text)
  assert.same({}, found.lines)
  return found.catalog.views[1][what or 'transform']
end

--- Inputs as `name type` or `name type column`, in order.
local function inputs_of(text, what)
  local list = {}
  for i, input in ipairs(function_of(text, what).inputs) do
    list[i] = input.name .. ' ' .. input.type .. (input.column and ' ' .. input.column or '')
  end
  return list
end

local function problems_of(text, schemas)
  local found = {}
  for i, line in ipairs(resolved(text, schemas).lines) do
    found[i] = line:gsub('^definitions/a%.lua:', '')
  end
  return found
end

describe('inputs of a function', function()
  it('are the columns it reads, with the types of the source', function()
    assert.same({ 'label string', 'raw float32' }, inputs_of(view [[transform = function(row)
      if row.label == 'a' then return { x = row.raw } end
      return { x = -row.raw }
    end]]))
  end)

  it('have the types that keys and times are declared with', function()
    local loaded = host.load(view [[transform = function(row)
      return { x = row.zid + row.at + row.made + (row.gone and 1 or 0) }
    end]])
    assert.same({}, loaded.wanted)
    local types = {}
    for i, input in ipairs(loaded.catalog.views[1].transform.inputs) do
      types[i] = input.name .. ' ' .. input.type
      assert.is_nil(input.used)
    end
    assert.same({ 'at timestamp', 'gone bool', 'made timestamp', 'zid int64' }, types)
  end)

  it('are found for filter and transform apart', function()
    local text = view [[filter = function(row) return row.label ~= nil end,
      transform = function(row) return { x = row.raw } end]]
    assert.same({ 'label string' }, inputs_of(text, 'filter'))
    assert.same({ 'raw float32' }, inputs_of(text))
  end)

  local EVERY = { 'zid int64', 'at timestamp', 'raw float32', 'label string' }
  local OPAQUE = {
    ['is handed on'] = 'local r = tostring(row) return { x = r }',
    ['is indexed by a variable'] = "local k = 'raw' return { x = row[k] }",
    ['is caught by a closure'] = 'local function f() return row.raw end return { x = f() }',
    ['is caught further in'] = 'local function f() return function() return row.raw end end '
      .. 'return { x = f()() }',
    ['is stored'] = 'local t = { row } return { x = t[1].raw }',
    ['is returned'] = 'return row',
    ['is written to'] = 'row.raw = 1 return { x = row.raw }',
    ['is replaced'] = 'row = { raw = 1 } return { x = row.raw }',
    ['is looped over'] = 'local x = 0 for k in pairs(row) do x = #k end return { x = x }',
    ['is compared'] = 'return { x = row == nil and 1 or 0 }',
  }
  for what, body in pairs(OPAQUE) do
    it('are all columns where the row ' .. what, function()
      assert.same(EVERY, inputs_of(view('transform = function(row) ' .. body .. ' end')))
    end)
  end
  it('are all columns where the row is one of many arguments', function()
    assert.same(EVERY, inputs_of(view
      'transform = function(...) local row = ... return { x = row.raw } end'))
  end)

  it('are none where nothing of the row is read', function()
    assert.same({}, inputs_of(view 'transform = function() return { x = 1 } end'))
    assert.same({}, inputs_of(view [[transform = function(row)
      local row = { raw = 2 }
      local function f() local row = 1 return row end
      return { x = row.raw + f() }
    end]]))
  end)

  it('are the listed ones that it reads', function()
    local text = view [[inputs = { float64 'a' { column = 'raw' }, string 'label', int32 'b' },
      transform = function(row) return { x = row.a + row.b } end]]
    assert.same({}, host.load(text).wanted)
    assert.same({ 'a float64 raw', 'b int32' }, inputs_of(text))
    assert.same({ 'a float64 raw', 'label string', 'b int32' }, inputs_of(view
      [[inputs = { float64 'a' { column = 'raw' }, string 'label', int32 'b' },
      transform = function(row) return row end]]))
  end)
end)

describe('a mistake in a function', function()
  -- What stands in the view, and everything that is said about it.
  local MISTAKES = {
    ['a column that is not there'] = { 'transform = function(row) return { x = row.rwa } end',
      '8:46: feature_view "v": transform: source "zones" has no column "rwa", did you mean '
        .. '"raw"?' },
    ['a column of a strange type'] = { 'transform = function(row) return { x = row.odd } end',
      '8:46: feature_view "v": transform: column "odd" of source "zones" is MAP(VARCHAR, INTEGER), '
        .. "which is no type of values; say how to read it with inputs = { string 'odd' }" },
    ['a field that is not listed'] = {
      "inputs = { float64 'raw' }, filter = function(row) return row.rwa end",
      '8:65: feature_view "v": filter: "rwa" is not among its inputs, did you mean "raw"?' },
    ['a feature that is never returned'] = {
      'transform = function(row) return { y = row.raw } end',
      '7:59: feature_view "v": feature "x" is never returned by the transform' },
    ['no function'] = { 'transform = 7',
      '8:15: feature_view "v": transform: expected a function such as function(row) … end, got '
        .. 'number' },
    ['a function of the library'] = { 'filter = tostring',
      '8:12: feature_view "v": filter: expected a function of the project; write function(row) '
        .. '… end' },
    ['a column of a feature beside a transform'] = {
      'transform = function(row) return { x = row.raw } end',
      '7:65: feature_view "v": feature "x": column: the transform makes the features; columns are '
        .. 'fields of its row', features = "float64 'x' { column = 'raw' }" },
    ['inputs of nothing'] = { "inputs = { float64 'raw' }",
      '8:3: feature_view "v": inputs are those of a transform or filter; this view has neither' },
    ['on_error of nothing'] = { "on_error = 'null', filter = function(row) return row.raw end",
      '8:3: feature_view "v": on_error is about a transform; this view has none' },
    ['an unknown word'] = { 'transform = function(row) return { x = mth.abs(row.raw) } end',
      '8:42: feature_view "v": unknown word "mth", did you mean "math"?' },
    ['a clock'] = { 'transform = function(row) return { x = os.time() } end',
      '8:42: feature_view "v": unknown word "os": definition files cannot reach the system' },
    ['a declaration'] = { "transform = function(row) entity 'e' {} return { x = row.raw } end",
      '8:29: feature_view "v": entity declares, which a function cannot do while rows are '
        .. 'computed' },
    ['a file that is required'] = {
      "transform = function(row) return { x = require('lib.a')(row.raw) } end",
      '8:42: feature_view "v": call require at the top of the file, not while rows are computed' },
    ['null'] = { 'transform = function(row) return { x = null } end',
      '8:42: feature_view "v": null is a word of tests; in a function the value that is not there '
        .. 'is nil' },
    ['a global'] = { 'transform = function(row) n = row.raw return { x = n } end',
      '8:29: feature_view "v": global "n" is not allowed; write local n' },
  }
  for what, row in pairs(MISTAKES) do
    it('is found: ' .. what, function()
      local expected = { unpack(row, 2) }
      assert.same(expected, problems_of(view(row[1], row.features)))
    end)
  end

  it('is found: a variable that outlives the row', function()
    assert.same({
      '2:5: feature_view "v": transform: sets "seen", which outlives the row; what a row gives '
        .. 'must not depend on other rows',
    }, problems_of("local seen = 0 local function count()\n    seen = seen + 1 return seen\nend\n"
      .. view 'transform = function(row) return { x = row.raw + count() } end'))
  end)

  it('is not found where there is none', function()
    for _, body in ipairs {
      'local n = 0 local function f() n = n + 1 end f() return { x = n + row.raw }',
      "local t, k = {}, 'x' t[k] = row.raw return t",
      "local t = {} t.x = row.raw return t",
      'return helper(row.raw)',
      "return row.raw and { x = 1 } or nil",
    } do
      assert.same({}, problems_of("local function helper(v) return { x = v } end\n"
        .. view('transform = function(row) ' .. body .. ' end')), body)
    end
  end)

  it('is a source that says no types', function()
    local text = view 'transform = function(row) return { x = row.raw } end'
    assert.same({
      '7:29: feature_view "v": the columns of source "zones" have no types of their own; say what '
        .. "the transform reads: inputs = { float64 'raw' }",
    }, problems_of(text, { zones = { typed = false, columns = {} } }))
    assert.same({
      '7:29: feature_view "v": source "zones" cannot be opened to see the types of what the '
        .. "transform reads (no such file); make it readable, or write inputs = { float64 'raw' }",
    }, problems_of(text, { zones = { error = 'no such file' } }))
  end)
end)

describe('the code of a function', function()
  local function code_of(text, files)
    files = files or {}
    files['definitions/a.lua'] = text
    local loaded = host.load(files)
    assert.same({}, loaded.lines)
    return loaded.catalog.views[1].transform.code
  end
  local function code(body, before)
    return code_of((before or '') .. view("inputs = { float64 'a' }, transform = function(row) "
      .. body .. ' end'))
  end

  it('stays where only its text changes', function()
    assert.equal(code 'local y = row.a * 2 return { x = y }',
      code '-- twice\nlocal twice=row.a*2\n\n  return {\n x = twice }')
  end)

  local PAIRS = {
    ['a constant'] = { 'return { x = row.a * 2 }', 'return { x = row.a * 3 }' },
    ['the sign of zero'] = { 'return { x = row.a / 0 }', 'return { x = row.a / -0 }' },
    ['an operator'] = { 'return { x = row.a * 2 }', 'return { x = row.a + 2 }' },
    ['a text'] = { "return { x = row.a, 'b' }", "return { x = row.a, 'c' }" },
    ['a table'] = { 'local t = { 1, 2 } return { x = t[1] }',
      'local t = { 1, 3 } return { x = t[1] }' },
    ['an inner function'] = {
      'local function f(v) return v + 1 end return { x = f(row.a) }',
      'local function f(v) return v + 2 end return { x = f(row.a) }' },
    ['the variable that an inner function takes'] = {
      'local a, b = row.a, 1 local function f() return a end return { x = f() }',
      'local a, b = row.a, 1 local function f() return b end return { x = f() }' },
    ['a variable further in'] = {
      'local a, b = row.a, 1 local f = function() return function() return a end, b end '
        .. 'return { x = f()() }',
      'local a, b = row.a, 1 local f = function() return function() return b end, a end '
        .. 'return { x = f()() }' },
    ['a function around'] = { 'return { x = f(row.a) }', 'return { x = f(row.a) }',
      'local function f(v) return v end\n', 'local function f(v) return -v end\n' },
    ['a number around'] = { 'return { x = k }', 'return { x = k }', 'local k = 1\n',
      'local k = 2\n' },
    ['a table around'] = { 'return { x = t.a }', 'return { x = t.a }', 'local t = { a = 1 }\n',
      'local t = { a = 1, b = 2 }\n' },
    ['a library function around'] = { 'return { x = f(row.a) }', 'return { x = f(row.a) }',
      'local f = math.floor\n', 'local f = math.ceil\n' },
  }
  for what, pair in pairs(PAIRS) do
    it('changes with ' .. what, function()
      assert.not_equal(code(pair[1], pair[3]), code(pair[2], pair[4]))
    end)
  end

  it('is the same from state to state', function()
    local text = "local t = { b = 1, a = { 'x', 'y' }, [1] = true, f = math.abs }\n"
    for _ = 1, 5 do
      assert.equal(code('return { x = t.f(row.a) }', text), code('return { x = t.f(row.a) }', text))
    end
  end)

  it('has what it requires in it', function()
    local text = "local geo = require 'lib.geo'\n" .. view("inputs = { float64 'a' }, "
      .. 'transform = function(row) return { x = geo.far(row.a) } end')
    local function with(body)
      return code_of(text, { ['lib/geo.lua'] = 'local M = {}\n' .. body .. '\nreturn M' })
    end
    local first = with 'function M.far(a) return a * 2 end'
    assert.equal(first, with '-- twice\nfunction M.far(value) return value * 2 end')
    assert.not_equal(first, with 'function M.far(a) return a * 3 end')
  end)

  it('ends for tables that hold themselves', function()
    assert.is_truthy(code('return { x = t.t.t.n }', 'local t = { n = 1 } t.t = t\n'))
  end)
end)

describe('require', function()
  local VIEW = view [[inputs = { float64 'a' },
    transform = function(row) return { x = m.f(row.a) } end]]

  local function lines_of(text, files)
    files['definitions/a.lua'] = text
    return host.load(files).lines
  end

  it('gives what a file of lib returns, run once, and keeps its text', function()
    local loaded = host.load {
      ['definitions/a.lua'] = "local m = require 'lib.deep.m'\n" .. VIEW,
      ['definitions/b.lua'] = "local m = require 'lib.deep.m'\nentity 'b' { keys = m.keys }",
      ['lib/deep/m.lua'] = "local o = require 'lib.other'\n"
        .. "return { f = o.f, keys = { int64 'k' } }",
      ['lib/other.lua'] = 'return { f = function(v) return v end }',
    }
    assert.same({}, loaded.lines)
    assert.is_truthy(loaded.sources['lib/other.lua'])
    assert.equal('k', loaded.catalog.entities[1].keys[1].name)
  end)

  local MISTAKES = {
    ['a file that is not there'] = { "local m = require 'lib.gep'",
      { ['lib/geo.lua'] = 'return 1' },
      'definitions/a.lua:1:1: require: there is no file lib/gep.lua in the project, did you mean '
        .. '"lib.geo"?' },
    ['a module of the host'] = { "local m = require 'tidemark.sandbox'", {},
      'definitions/a.lua:1:1: require: "tidemark.sandbox" is not in lib/; a definition file can '
        .. "require files of the folder lib, as 'lib.geo' for lib/geo.lua" },
    ['a way out'] = { "local m = require 'lib...x'", {},
      'definitions/a.lua:1:1: require: "lib...x" is not in lib/; a definition file can require '
        .. "files of the folder lib, as 'lib.geo' for lib/geo.lua" },
    ['no name'] = { 'local m = require(7)', {},
      "definitions/a.lua:1:1: require: expected a name such as 'lib.geo', got number" },
    ['a circle'] = { "local m = require 'lib.a'",
      { ['lib/a.lua'] = "local b = require 'lib.b'", ['lib/b.lua'] = "local a = require 'lib.a'" },
      'lib/b.lua:1:1: require: lib.a requires itself: lib.a -> lib.b -> lib.a' },
    ['an error in it'] = { "local m = require 'lib.a'",
      { ['lib/a.lua'] = "local x\nerror('broken')" }, 'lib/a.lua:2:1: broken' },
    ['a syntax error in it'] = { 'local m', { ['lib/a.lua'] = 'return return' },
      "lib/a.lua:1:1: unexpected symbol near 'return'" },
    ['a declaration in it'] = { "local m = require 'lib.a'", { ['lib/a.lua'] = "entity 'e' {}" },
      'lib/a.lua:1:1: unknown word "entity"' },
    ['writing to what it returns'] = { "local m = require 'lib.a'\nm.x = 1",
      { ['lib/a.lua'] = 'return {}' }, 'definitions/a.lua:2:1: lib.a cannot be changed' },
    ['setting what is there'] = { "local m = require 'lib.a'\nm[1] = 7",
      { ['lib/a.lua'] = 'return { 5 }' },
      'lib/a.lua: what it returns was changed by a file that requires it' },
    ['a field outside of everything'] = { "local m = require 'lib.a'",
      { ['lib/a.lua'] = "local f = bool 'used'\nbool 'x'\nreturn f" },
      'lib/a.lua:2:1: bool "x" stands alone: put it between the braces of a declaration' },
    ['a loop in it'] = { "local m = require 'lib.a'", { ['lib/a.lua'] = '\nwhile true do end' },
      'lib/a.lua:2:1: stopped after 100000000 instructions; does this loop end?' },
  }
  for what, row in pairs(MISTAKES) do
    it('reports ' .. what, function()
      assert.same({ row[3] }, lines_of(row[1], row[2]))
    end)
  end
end)
