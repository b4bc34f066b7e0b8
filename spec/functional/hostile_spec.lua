-- Contract rule 15 for functions: whatever a transform does, it ends in an error with its place,
-- soon, with its memory given back, and nobody else notices. Files that are hostile when they are
-- loaded are in spec/lua/sandbox_spec.lua.

local functions = require 'spec.support.functions'
local process = require 'spec.support.process'
local projects = require 'spec.support.project'
local servers = require 'spec.support.server'

local STEPS = 'stopped after 10000000 steps; does this loop end?'
local TIME = 'stopped, having taken too much processor time'
local MEMORY = 'takes more than 256 MiB of memory'
local STACK = 'stack overflow: the functions call each other too deeply'
local SIZE = 'the lists and texts of one run take more than 256 MiB'
local ANY_LIMIT = { STEPS, TIME, MEMORY }

-- Name, body of a transform, what it says (one of several), and whether it is a limit.
local HOSTILE = {
  { 'an endless while', 'while true do end', STEPS },
  { 'an endless repeat', 'repeat until false', STEPS },
  { 'an endless for', 'for i = 1, math.huge do end', STEPS },
  { 'an endless goto', '::again:: goto again', STEPS },
  { 'loops in loops', 'for i = 1, 1e6 do for j = 1, 1e6 do local x = i * j end end', STEPS },
  { 'endless tail calls', 'local function f(n) return f(n + 1) end f(1)', STEPS },
  { 'a loop in pcall', 'pcall(function() while true do end end)', STEPS },
  { 'pcalls in a loop', 'while true do pcall(function() while true do end end) end', STEPS },
  {
    'pcalls without closures',
    'local function spin() while true do end end while true do pcall(spin) end',
    STEPS,
  },
  { 'recursion', 'local function f(n) return 1 + f(n + 1) end f(1)', STACK },
  {
    'recursion of two',
    'local g local function f(n) return 1 + g(n) end g = function(n) return 1 + f(n) end f(1)',
    STACK,
  },
  { 'recursion in pcall', 'local function f() return 1, pcall(f) end f()', STACK },
  {
    'recursion that is caught again and again',
    'local function f(n) return 1 + f(n + 1) end while true do pcall(f, 1) end',
    STACK,
  },
  {
    'recursion through gsub',
    'local f f = function() return (("x"):gsub(".", f)) end f()',
    STACK,
  },
  {
    'recursion through sort',
    'local function f() table.sort({ 2, 1, 3 }, f) return true end f()',
    STACK,
  },
  {
    'recursion through gsub in pcall',
    'local f f = function() pcall(string.gsub, "x", ".", f) end while true do f() end',
    STACK,
  },
  { 'a text that doubles', 'local s = "x" while true do s = s .. s end', MEMORY },
  {
    'a text that doubles in pcall',
    'local s = "x" while true do pcall(function() s = s .. s end) end',
    MEMORY,
  },
  { 'a text that grows', 'local s = "" while true do s = s .. "x" end', ANY_LIMIT },
  {
    'a long text made again and again',
    'local s = ("x"):rep(16e6) local t = s .. s .. s while true do local u = t .. s end',
    ANY_LIMIT,
  },
  { 'a table that grows', 'local t = {} while true do t[#t + 1] = { {}, {} } end', ANY_LIMIT },
  {
    'a table of many keys',
    'local t, i = {}, 0 while true do i = i + 1 t["k" .. i] = i end',
    ANY_LIMIT,
  },
  { 'tables in tables', 'local t = {} while true do t = { t } end', ANY_LIMIT },
  {
    'closures on closures',
    'local f = function() end while true do local g = f f = function() return g() end end',
    ANY_LIMIT,
  },
  { 'rep that is kept', 'local t = {} for i = 1, 1000 do t[i] = ("x"):rep(16e6) .. i end', MEMORY },
  { 'rep again and again', 'while true do local s = ("x"):rep(16e6) end', ANY_LIMIT },
  { 'rep beyond everything', 'local s = ("x"):rep(1e10)', 'a result of more than 16 MiB', false },
  {
    'gsub that multiplies',
    'local s = "a" while true do s = s:sub(1, 1e7):gsub("a", "aaaa") end',
    ANY_LIMIT,
  },
  { 'format that grows', 'local s = "x" while true do s = ("%s%s"):format(s, s) end', ANY_LIMIT },
  {
    'concat of much',
    'local t = {} for i = 1, 1e3 do t[i] = ("x"):rep(1e6) end while true do table.concat(t) end',
    ANY_LIMIT,
  },
  {
    'sort of much',
    'local t = {} for i = 1, 1e6 do t[i] = i % 991 end while true do table.sort(t) end',
    ANY_LIMIT,
  },
  {
    'pairs of much',
    'local t = {} for i = 1, 1e6 do t[i] = i end while true do pairs(t) end',
    ANY_LIMIT,
  },
  {
    'upper of much',
    'local s = ("x"):rep(16e6) while true do s:upper() s:reverse() end',
    ANY_LIMIT,
  },
  {
    'the library over much',
    'local s = ("x"):rep(16e6) while true do text.length(s) hash.murmur3(s) end',
    ANY_LIMIT,
  },
  {
    'looking for much in much',
    'local s = ("a"):rep(8e4) local p = ("a"):rep(4e4) .. "b" while true do s:find(p, 1, true) end',
    ANY_LIMIT,
  },
  {
    'splitting much by much',
    'text.split(("a"):rep(8e6), ("a"):rep(4e6) .. "b")',
    'text.split: looking for 4000001 bytes in a text of 8000000 could take too long',
    false,
  },
  {
    'comparing much',
    'local s = ("x"):rep(16e6) local a, b = s .. 1, s .. 2 while true do local c = a < b end',
    ANY_LIMIT,
  },
  {
    'a pattern that backtracks',
    '("a"):rep(4000):find((".-"):rep(5) .. "b")',
    'the pattern could take too long on a text of 4000 bytes',
    false,
  },
  {
    'back references that backtrack',
    '("a"):rep(3000):match("(a*)%1%1b")',
    'the pattern could take too long',
    false,
  },
  {
    'a slow pattern again and again',
    'local s = ("a"):rep(4000) while true do s:find(".-b") end',
    ANY_LIMIT,
  },
  { 'too many results', 'local t = { unpack({}, 1, 1e8) }', 'too many results to unpack', false },
  { 'too many bytes', '(("x"):rep(16e6)):byte(1, -1)', 'string slice too long', false },
  { 'error(nil)', 'error(nil)', 'a value of type nil', false },
  { 'error({})', 'error({})', 'a value of type table', false },
  { 'an error of many lines', 'error(("line\\n"):rep(1e5))', 'line', false },
  { 'a field of nothing', 'local x = row.a.b.c', 'attempt to index', false },
  { 'the type as a library', 'string.format = nil', 'string cannot be changed', false },
  { 'writing to a library', 'math.floor = nil', 'math cannot be changed', false },
  { 'writing to the standard library', 'geo.distance_km = nil', 'geo cannot be changed', false },
  { 'dump', 'local d = ("x").dump', 'expected float64, got', false, ', x = d == nil and "none"' },
  { 'an integer of 64 bits', 'local d = 1LL', 'expected float64, got a cdata', false, ', x = d' },
  { 'the row itself', 'do return row end', 'returns "a", which is not among its features', false },
  { 'nothing', 'do return end', 'expected a table of features, got nil', false },
  { 'another field', '', 'returns "z", which is not among its features', false, ', z = 1' },
  { 'a list without end', '', 'expected list(float64), got a table', false, ', l = { n = 1e18 }' },
  { 'a list of no length', '', 'expected list(float64), got a table', false, ', l = { n = 0/0 }' },
  { 'bytes as text', '', 'text that is not UTF-8', false, ', s = "\\255"' },
  { 'texts that fill memory', '', SIZE, true, ', s = ("x"):rep(16e6)', 100 },
}

-- The body stands on line 10.
local function definition(row)
  return functions.definition({ { 'a', 'float64' } },
    { { 'x', 'float64' }, { 'l', 'list(float64)' }, { 's', 'string' } },
    ('transform = function(row)\n    local d\n    %s\n'
      .. '    return { x = row.a, l = { row.a }, s = "fine"%s }\n  end,')
      :format(row[2], row[5] or ''))
end

local function says(message, expected)
  for _, text in ipairs(type(expected) == 'table' and expected or { expected }) do
    if message:find(text, 1, true) then
      return true
    end
  end
  return false
end

local function numbers(count)
  local list = {}
  for i = 1, count do
    list[i] = i
  end
  return list
end

describe('rule 15: a hostile transform', function()
  for _, row in ipairs(HOSTILE) do
    local name, _, expected, is_limit = unpack(row, 1, 4)
    it('ends in an error with its place: ' .. name, function()
      local opened = functions.open(definition(row))
      finally(function()
        opened:close()
      end)
      local transform = opened:get('transform', 'v')
      local before = opened:memory()
      for _, count in ipairs(row[6] and { row[6] } or { 1, 300 }) do
        local began = os.clock()
        local out, message, code = functions.run(transform, { a = numbers(count) })
        assert.is_nil(out)
        assert.is_true(says(message, expected), message)
        assert.is_truthy(message:find('^feature_view "v": row %d+ of source "s": '), message)
        assert.is_truthy(message:find('%(definitions/a%.lua:%d+%)$'), message)
        assert.equal(is_limit ~= false, code == functions.LIMIT, message)
        assert.is_true(os.clock() - began < 8, 'took too long')
        assert.is_true(opened:memory() <= before + 40e6, 'keeps memory')
      end
    end)
  end

  it('leaves the functions beside it as they were', function()
    local opened = functions.open(
      "entity 'e' { keys = { int64 'id' } }\n"
        .. "source 's' { path = 's.parquet', event_time = 'event_time' }\n"
        .. "feature_view 'bad' { entity = 'e', source = 's', inputs = { float64 'a' },\n"
        .. "  features = { float64 'x' },\n"
        .. '  transform = function(row) while row.a do end return { x = 1 } end }\n'
        .. "feature_view 'good' { entity = 'e', source = 's', inputs = { float64 'a' },\n"
        .. "  features = { float64 'x' }, transform = function(row) return { x = row.a * 2 } end }")
    local bad, good = opened:get('transform', 'bad'), opened:get('transform', 'good')
    for _ = 1, 3 do
      local _, message = functions.run(bad, { a = { 1 } })
      assert.equal('feature_view "bad": row 0 of source "s": ' .. STEPS
        .. ' (definitions/a.lua:5)', message)
      assert.same({ 2, 4 }, functions.run(good, { a = { 1, 2 } }).x)
    end
    opened:close()
  end)
end)

-- In the program ----------------------------------------------------------------------------------

local DEFINITION = [[
entity 'driver' { keys = { int64 'driver_id' } }
source 'rows' { path = 'data/rows.csv', event_time = 'event_timestamp' }
feature_view 'plain' {
  entity = 'driver', source = 'rows', online = true, features = { float64 'rate' },
}
feature_view 'spins' {
  entity = 'driver', source = 'rows', online = true, inputs = { float64 'rate' },
  features = { float64 'x' },
  transform = function(row)
    while row.rate do end
    return { x = row.rate }
  end,
}
on_demand_feature_view 'grows' {
  request = { float64 'km' },
  features = { float64 'x' },
  transform = function(row)
    local s = 'x'
    while row.km do
      s = s .. s
    end
    return { x = #s }
  end,
}
on_demand_feature_view 'slow' {
  request = { float64 'km' },
  features = { float64 'x' },
  transform = function(row)
    local text = ('a'):rep(4000)
    while row.km do
      text:find('.-b')
    end
    return { x = 1 }
  end,
}
]]

local SPINS = 'feature_view "spins": row %d+ of [^:]+: ' .. STEPS:gsub('%p', '%%%0')
  .. ' %(definitions/rows%.lua:10%)'

local function resident(pid)
  local file = assert(io.open(('/proc/%d/statm'):format(pid)))
  local pages = file:read('*a'):match('^%d+ (%d+)')
  file:close()
  return tonumber(pages) * 4096
end

describe('rule 15: a hostile function in the program', function()
  local p, server

  setup(function()
    p = projects.new({
      header = 'driver_id,event_timestamp,rate',
      rows = { '1,2021-04-12,0.5', '2,2021-04-12,0.25' },
      definition = DEFINITION,
    })
    p:must('materialize', '2021-04-01', '2021-05-01', '--view', 'plain', '--quiet')
    server = servers.start(p.folder, { args = { '--threads', '2' } })
  end)

  teardown(function()
    server:kill()
    p:remove()
  end)

  it('is shown by try', function()
    local result = p:run('try', 'spins')
    assert.matches(SPINS, result.stdout .. result.stderr)
  end)

  it('ends a training set and materialize', function()
    p.space:write('spine.csv', 'driver_id,event_timestamp\n1,2021-04-13\n')
    assert.matches(SPINS, p:fails('get-historical-features', '--spine',
      p.space:path('spine.csv'), '--features', 'spins:x', '-o', p.space:path('out.csv'), '--quiet'))
    server:stop()
    assert.matches(SPINS, p:fails('materialize', '2021-04-01', '2021-05-01', '--view', 'spins',
      '--quiet'))
    server = servers.start(p.folder, { args = { '--threads', '2' } })
  end)

  it('ends a push, and the server goes on', function()
    local now = 1618272000000000
    local result, failure = server:call('push', { view = 'spins',
      rows = { { driver_id = 1, event_time = now, rate = 1 } } })
    assert.is_nil(result)
    assert.matches(STEPS, failure[2], 1, true)
    assert.is_truthy(server:call('push', { view = 'plain',
      rows = { { driver_id = 3, event_time = now, rate = 1 } } }))
  end)

  it('ends its own request while others are answered, and gives its memory back', function()
    local function ask(name, answered)
      server:connect():request('get_online_features',
        { features = { name .. ':x' }, entities = {}, request = { km = { 1 } } }, answered)
    end
    local stored = { features = { 'plain:rate' }, entities = { driver_id = { 1 } } }
    local others = {}
    for i = 1, 4 do
      others[i] = server:connect()
      assert.equal(1, #others[i]:call('get_online_features', stored).rows)
    end
    local before = resident(server.pid)
    for _ = 1, 3 do
      for name, limit in pairs { grows = MEMORY, slow = TIME } do
        local failure
        local answers = 0
        ask(name, function(err)
          failure = err
        end)
        for _, other in ipairs(others) do
          other:request('get_online_features', stored, function(_, result)
            assert.equal(1, #result.rows)
            answers = answers + (failure and 0 or 1)
          end)
        end
        process.wait(function()
          return failure
        end, 'the answer to ' .. name)
        assert.is_true(answers >= 1, 'nobody else was answered')
        assert.matches(limit, failure[2], 1, true)
        assert.matches('on_demand_feature_view "' .. name .. '"', failure[2], 1, true)
        assert.matches('%(definitions/rows%.lua:%d+%)$', failure[2])
      end
    end
    local after = resident(server.pid)
    -- Sanitizers keep freed memory for a while.
    assert.is_true(after < before + 80e6 or os.getenv('TIDEMARK_SANITIZER_LOGS') ~= nil,
      ('from %d to %d bytes'):format(before, after))
  end)
end)
