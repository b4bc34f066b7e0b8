-- Contract rule 15: a definition cannot harm the process. Every hostile file here ends in a problem
-- with its place, and the process goes on to load a good one.

local host = require 'spec.support.host'
local sandbox = require 'tidemark.sandbox'

local GOOD = "entity 'driver' { keys = { int64 'driver_id' } }"

-- Name, text, the line of the problem, and a part of its message.
local HOSTILE = {
  { 'an endless loop', 'local x\nwhile true do end', 2, 'stopped after 100000000 instructions' },
  { 'an endless goto', '::again::\ngoto again', 2, 'stopped after' },
  { 'endless tail calls', 'local function f()\n  return f()\nend\nf()', 2, 'stopped after' },
  {
    'a pcall that swallows the limit',
    'while true do\n  pcall(function() while true do end end)\nend',
    2,
    'stopped after',
  },
  { 'recursion', 'local function f() return 1 + f() end\nf()', 1, 'stack overflow' },
  {
    'recursion through gsub',
    'local f\nf = function() return (("x"):gsub(".", f)) end\nf()',
    2,
    'stack overflow',
  },
  {
    'recursion through sort',
    'local function f() table.sort({ 2, 1 }, f) return true end\nf()',
    1,
    'stack overflow',
  },
  {
    'recursion through pcall',
    'local function f() return pcall(f) end\nwhile true do f() end',
    nil,
    'stopped after',
  },
  { 'a string that doubles', 'local s = "x"\nwhile true do s = s .. s end', 2, 'of memory' },
  {
    'a table that grows',
    'local t = {}\nwhile true do\n  t[#t + 1] = { {}, {}, {}, {} }\nend',
    3,
    'of memory',
  },
  {
    'closures that grow',
    'local t = {}\nfor i = 1, 1e9 do\n  t[i] = function() return i end\nend',
    3,
    'of memory',
  },
  {
    'string.rep that fills memory',
    'local t = {}\nfor i = 1, 100 do\n  t[i] = ("x"):rep(16000000) .. i\nend',
    3,
    'of memory',
  },
  {
    'memory that is caught and raised again',
    'local function fill(s) return (s:gsub(".", function() return s:rep(1e6) end)) end\n'
      .. 'local s = ("x"):rep(16)\nwhile true do\n  s = fill(s)\nend',
    nil,
    'of memory',
  },
  {
    'memory inside gsub',
    'local kept = {}\nlocal s = ("x"):rep(1000):gsub(".", function()\n'
      .. '  kept[#kept + 1] = ("y"):rep(9e6) .. #kept\nend)',
    3,
    'of memory',
  },
  { 'string.rep beyond everything', 'local s = ("x"):rep(1e10)', 1, 'more than 16 MiB' },
  { 'string.rep of a number as text', 'local s = ("x"):rep("1e10")', 1, 'more than 16 MiB' },
  {
    'a pattern that backtracks',
    'local s = ("a"):rep(4000)\ns:find((".-"):rep(5) .. "b")',
    2,
    'the pattern could take too long',
  },
  {
    'back references that backtrack',
    '("a"):rep(3000):match("(a*)%1%1b")',
    1,
    'the pattern could take too long',
  },
  {
    'a long pattern from each place',
    'local s = ("a"):rep(8e6)\ns:match(("a"):rep(1000) .. "b")',
    2,
    'the pattern could take too long',
  },
  {
    'a long pattern behind a repetition',
    'local s = ("a"):rep(7000)\ns:match("a-" .. ("a"):rep(1000) .. "b")',
    2,
    'the pattern could take too long',
  },
  {
    'a long text in another one',
    'local s = ("a"):rep(8e6)\ns:find(("a"):rep(4e6) .. "b", 1, true)',
    2,
    'looking for 4000001 bytes in a text of 8000000 could take too long',
  },
  { 'error(nil)', 'local x\nerror(nil)', 2, 'a value of type nil' },
  { 'error({})', 'error({})', 1, 'a value of type table' },
  { 'os', 'os.exit(1)', 1, 'unknown word "os"' },
  { 'io', 'io.open("/etc/passwd")', 1, 'unknown word "io"' },
  { 'ffi', 'require("ffi").C.abort()', 1, '"ffi" is not in lib/' },
  { 'load', 'load("x")', 1, 'unknown word "load"' },
  { 'debug', 'debug.getregistry()', 1, 'unknown word "debug"' },
  { 'setfenv', 'setfenv(1, {})', 1, 'unknown word "setfenv"' },
  { 'coroutines', 'coroutine.wrap(function() end)()', 1, 'unknown word "coroutine"' },
  { 'the metatable of strings', 'getmetatable("").x = 1', 1, 'unknown word "getmetatable"' },
  { 'string.dump', 'string.dump(function() end)', 1, "field 'dump'" },
  { 'dump of a string', '("x").dump(function() end)', 1, "field 'dump'" },
  { 'writing to a library', 'table.insert = nil', 1, 'table cannot be changed' },
  { 'inserting into a library', 'table.insert(math, 1)', 1, 'math cannot be changed' },
  { 'inserting into a type', 'table.insert(string, 1)', 1, 'string cannot be changed' },
  { 'sorting a library', 'table.sort(geo)', 1, 'geo cannot be changed' },
  { 'writing to a type', 'string.format = nil', 1, 'string cannot be changed' },
  { 'bytecode', '\27LJ\2\0', 1, 'is compiled Lua' },
  { 'nesting without end', ('('):rep(100000), 1, 'too many syntax levels' },
  { 'a table that holds itself', 'local t = {}\nt.keys = t\nentity "e" (t)', 3, 'keys' },
  { 'many results', 'local t = { unpack({}, 1, 1e8) }', 1, 'too many results' },
  {
    'many declarations',
    'for i = 1, 1e6 do\n  entity("e" .. i) { keys = { int64 "x" } }\nend',
    2,
    'more than 20000 declarations',
  },
  { 'addresses', 'error(tostring({}) .. string.format("%s", print))', 1, 'unknown word "print"' },
}

describe('rule 15: a hostile definition file', function()
  for _, row in ipairs(HOSTILE) do
    local name, text, line, message = unpack(row, 1, 4)
    it('ends in a problem: ' .. name, function()
      local loaded = host.load { ['definitions/bad.lua'] = text, ['definitions/good.lua'] = GOOD }
      assert.is_nil(loaded.catalog)
      assert.is_true(#loaded.problems >= 1)
      local found = loaded.lines[1]
      assert.is_truthy(found:find('^definitions/bad%.lua:' .. (line or '%d+') .. ':%d+: '), found)
      assert.is_truthy(found:find(message, 1, true), found)
      assert.same({}, host.load(GOOD).lines)
    end)
  end

  it('that calls into C for long is stopped by its processor time', function()
    local found = host.load('local s = ("a"):rep(4000)\nwhile true do s:find(".-b") end').lines
    assert.equal(1, #found)
    assert.is_truthy(found[1]:find('^definitions/a%.lua:2:1: stopped after 5 seconds'), found[1])
  end)

  it('that makes a million mistakes is answered with a thousand', function()
    local problems = host.load(
      'local t = {}\nfor i = 1, 30000 do t[i] = float64("x") end\nfeature_view "v" { features = t }'
    ).problems
    assert.equal(1001, #problems)
    assert.is_truthy(problems[1001].message:find('^%d+ more problems$'))
  end)

  it('cannot leave anything behind for the next load', function()
    local first = host.load(GOOD)
    host.load('x = 1\nlocal s = string\nstring = nil\n' .. GOOD)
    assert.equal(first.bytes, host.load(GOOD).bytes)
  end)
end)

describe('a definition file', function()
  it('sees the same order of pairs and no addresses, so it gives the same bytes', function()
    local text = [[
      local tags = { zeta = 1, alpha = 2, mid = 3, [1] = 'one', [10] = 'ten' }
      local order = {}
      for key, value in pairs(tags) do
        order[#order + 1] = tostring(key) .. '=' .. tostring(value)
      end
      local shown = table.concat(order, ' ') .. ' ' .. tostring({}) .. string.format(' %s', {})
      entity 'e' { keys = { int64 'id' }, doc = shown }
    ]]
    local catalog = host.load(text).catalog
    assert.equal('1=one 10=ten alpha=2 mid=3 zeta=1 table table', catalog.entities[1].doc)
  end)

  it('has string as a type and as a library', function()
    local catalog = host.load([[
      entity 'e' { keys = { string 'id' }, doc = string.upper('a') .. ('b'):rep(2) }
    ]]).catalog
    assert.equal('string', catalog.entities[1].keys[1].type)
    assert.equal('Abb', catalog.entities[1].doc)
  end)

  it('can use patterns of ordinary cost', function()
    local catalog = host.load([[
      local text = 'driver_id, trip_id;  user_id'
      local found = {}
      for name in text:gmatch('([%a_][%w_]*)%s*[,;]?%s*') do
        found[#found + 1] = name
      end
      entity 'e' { keys = { int64 'id' }, doc = table.concat(found, '|') }
    ]]).catalog
    assert.equal('driver_id|trip_id|user_id', catalog.entities[1].doc)
  end)
end)

describe('the sandbox', function()
  local words, strings

  setup(function()
    words, strings = sandbox.library()
  end)

  it('has one answer where compiled code and the interpreter have two', function()
    local math = words.math
    local nan = 0 / 0
    for _, pair in ipairs { { nan, 5 }, { 5, nan }, { nan, nan } } do
      assert.is_true(math.max(unpack(pair)) ~= math.max(unpack(pair)))
      assert.is_true(math.min(unpack(pair)) ~= math.min(unpack(pair)))
    end
    assert.same({ 3, 1, 7, -7 },
      { math.max(1, 3, 2), math.min(3, 1, 2), math.max(7), math.min(-7) })
    assert.equal(1 / 0, 1 / math.ceil(-0.5))
    assert.same({ 2, -1 }, { math.ceil(1.5), math.ceil(-1.5) })
    assert.has_error(function() math.max() end)
    assert.has_error(function() math.max(1, {}) end)
  end)

  it('takes whole numbers for bits', function()
    local bit = words.bit
    assert.same({ 1, -1, 6, 16 },
      { bit.band(3, 1, 5), bit.tobit(2 ^ 32 - 1), bit.bxor(5, 3), bit.lshift(1, 4) })
    for _, wrong in ipairs { 1.5, 0 / 0, 1 / 0, 2 ^ 52, 'x', {} } do
      assert.has_error(function() bit.band(wrong, 1) end)
      assert.has_error(function() bit.bor(1, 2, wrong) end)
    end
  end)

  it('goes through tables in order, read-only ones as well', function()
    local keys = {}
    for key, value in words.pairs(sandbox.read_only({ b = 1, a = false, [2] = 'x' }, 'shared')) do
      keys[#keys + 1] = tostring(key) .. '=' .. tostring(value)
    end
    assert.same({ '2=x', 'a=false', 'b=1' }, keys)
    local items = {}
    for i, item in words.ipairs(sandbox.read_only({ 'p', 'q' }, 'shared')) do
      items[i] = item
    end
    assert.same({ 'p', 'q' }, items)
  end)

  it('shows read-only arrays with their length, to the words that take arrays as well', function()
    local items = sandbox.read_only({ 'p', 'q', 'r', name = 'letters' }, 'shared')
    assert.equal(3, #items)
    assert.equal('letters', items.name)
    assert.equal('p,q,r', words.table.concat(items, ','))
    assert.same({ 'p', 'q', 'r' }, { words.unpack(items) })
    assert.equal(6, words.vec.sum(sandbox.read_only({ 1, 2, 3 }, 'shared')))
    for _, write in ipairs {
      function() items[4] = 's' end,
      function() words.table.insert(items, 's') end,
      function() words.table.remove(items) end,
      function() words.table.sort(items) end,
    } do
      assert.has_error(write, 'shared cannot be changed')
    end
    assert.is_false(sandbox.was_changed(items))
    items[2] = 'x'
    assert.is_true(sandbox.was_changed(items))
  end)

  it('says what is wrong with an argument without places of its own', function()
    for said, call in pairs {
      ["bad argument #1 to 'rep' (string expected, got table)"] = function()
        strings.rep({}, 2)
      end,
      ["invalid value (table) at index 1 in table for 'concat'"] = function()
        words.table.concat { {} }
      end,
      ['math.ceil: expected a number as argument 1, got table'] = function()
        words.math.ceil {}
      end,
    } do
      local ok, message = words.pcall(call)
      assert.is_false(ok)
      assert.equal(said, (message:gsub('^spec/lua/sandbox_spec.lua:%d+: ', '')))
    end
  end)

  it('offers the library of features, read-only', function()
    for _, name in ipairs(sandbox.library_modules) do
      assert.is_table(words[name])
      for word, value in pairs(require('tidemark.library.' .. name)) do
        assert.equal(value, words[name][word])
      end
      assert.has_error(function() words[name].other = 1 end, name .. ' cannot be changed')
    end
  end)

  it('charges calls into C by what they look at, and does not let limits be caught', function()
    local charged = 0
    sandbox.use_counter(function(steps)
      charged = charged + steps
    end, function(message)
      if message == 'limit' then
        error('again', 0)
      end
    end)
    finally(function()
      sandbox.use_counter(function() end, function() end)
    end)
    local function cost(callee, ...)
      charged = 0
      callee(...)
      return charged
    end
    assert.equal(100, cost(strings.rep, 'x', 6400))
    assert.equal(10, cost(strings.find, ('x'):rep(640), 'y'))
    assert.equal(1, cost(strings.find, ('x'):rep(64), 'yyyy', 1, true))
    assert.equal(10, cost(words.text.length, ('x'):rep(640)))
    assert.equal(2, cost(words.vec.sum, words.vec.scale({ ('1'):rep(128):byte(1, -1) }, 2)))
    assert.equal(1, cost(words.hash.murmur3, ('x'):rep(64)))
    assert.equal(3, cost(words.table.sort, { 3, 1, 2 }))
    assert.is_true(cost(words.table.concat, { 'a', 'b' }) >= 2)
    assert.same({ false, 'other' }, { words.pcall(error, 'other', 0) })
    assert.same({ true, 1, nil, 3 }, { words.pcall(function() return 1, nil, 3 end) })
    assert.has_error(function() words.pcall(error, 'limit', 0) end, 'again')
  end)
end)

describe('the allow-list', function()
  local LIBRARIES = { _G = _G, string = string, table = table, math = math, bit = require 'bit' }

  --- Names that every LuaJIT has, whatever a test runner added to its globals.
  local function fresh_names(library)
    local pipe = assert(io.popen("luajit -e 'for k in pairs(" .. library .. ") do print(k) end'"))
    local names = {}
    for name in pipe:lines() do
      names[name] = true
    end
    pipe:close()
    return names
  end

  for library, items in pairs(LIBRARIES) do
    it('decides on everything in ' .. library, function()
      local allowed = {}
      for _, name in ipairs(sandbox.allowed[library]) do
        allowed[name] = true
        assert.is_not_nil(items[name], name .. ' does not exist')
        assert.is_nil(sandbox.refused[library][name], name .. ' is allowed and refused')
      end
      local undecided = {}
      for name in pairs(fresh_names(library)) do
        if not allowed[name] and not sandbox.refused[library][name] then
          undecided[#undecided + 1] = name
        end
      end
      assert.same({}, undecided)
    end)
  end
end)
