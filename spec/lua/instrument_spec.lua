-- Steps that are counted in the text of definitions: every way round is counted, no line moves, and
-- the text means what it meant.

local host = require 'spec.support.host'
local instrument = require 'tidemark.instrument'
local random = require 'spec.support.random'

--- Runs a text with its steps counted: how many there were, and what it returned.
local function count(text, limit)
  local steps = 0
  local chunk = assert(instrument.compile(text, '@definitions/a.lua', {
    error = error, ipairs = ipairs, pcall = pcall, select = select, string = string,
  }, function()
    steps = steps + 1
    if steps > (limit or 1000) then
      error('limit', 0)
    end
  end))
  jit.off(chunk, true)
  debug.sethook(function() error('is not counted', 0) end, '', 1e6)
  local results = { pcall(chunk) }
  debug.sethook()
  return steps, unpack(results, 1, table.maxn(results))
end

describe('counted text', function()
  local ENDLESS = {
    'while true do end',
    'while 1 do goto next ::next:: end',
    'repeat until false',
    'repeat local x = 1 until x == 2',
    'for i = 1, 1 / 0 do end',
    '::top:: goto top',
    '::a:: ::b:: goto a',
    'do ::top:: local x = 1 goto top end',
    '::top:: ; goto top',
    'goto second ::first:: goto second ::second:: goto first',
    'local function f() return f() end f()',
    'local t = {} function t.f() return t.f() end t.f()',
    'local t = {} function t:f() return self:f() end t:f()',
    'local f f = function(...) return f(...) end f(1, 2)',
    'while (function() return true end)() do end',
    "for i = 1, 1 / 0 do local s = 'do end' --[[ end ]] end",
    'while true do--[==[\n]==]end',
    'repeat(function() end)()until false',
    'local s = "a\\\r\nb" while true do end',
    'local s = "a\\\n\rb" while true do end',
    "local s = 'a\\\rb' while true do end -- '",
    'local s = 0x1e--[[\n]] while true do end',
    'local s = 0x1e-- do [[\nwhile true do end',
    'local s = 1e-1 + 0x1p-1 while true do end',
  }

  for _, text in ipairs(ENDLESS) do
    it('ends: ' .. text, function()
      local steps, ok, message = count(text)
      assert.same({ 1001, false, 'limit' }, { steps, ok, message })
    end)
  end

  it('ends whatever stands in texts and comments before a loop', function()
    local PIECES = { '\\', '\\', '"', "'", '\r', '\n', '\r\n', '\n\r', '[[', ']]', '[=[', ']=]',
      '--', '\\z', ' ', ' do ', ' end ', 'x', '+ 0x1e', '+ 1e', '+ 0x1p', '+', '-', '..', '\\x22',
      '\\34', '=', '\0', '\v' }
    local counted = 0
    random.each(20000, function()
      local quote = random.pick { '"', "'", '[[', '--', '--[[' }
      local parts = { 'local s = 1 ', quote == '--' and '' or '..', quote }
      for _ = 1, math.random(8) do
        parts[#parts + 1] = random.pick(PIECES)
      end
      parts[#parts + 1] = (quote:gsub('^%-%-$', '\n'):gsub('^%-%-%[', '['):gsub('%[', ']'))
      local text = table.concat(parts) .. ' while true do end'
      if load(text) then
        local _, _, message = count(text, 100)
        assert.not_equal('is not counted', message, ('%q'):format(text))
        counted = counted + (message == 'limit' and 1 or 0)
      end
    end)
    assert.is_true(counted > 1000)
  end)

  it('counts a step per turn and per call', function()
    assert.equal(10, (count('for i = 1, 10 do end')))
    assert.equal(4, (count('local n = 0 while n < 4 do n = n + 1 end')))
    assert.equal(3, (count('local n = 0 repeat n = n + 1 until n == 3')))
    assert.equal(2, (count('local function f() end f() f()')))
    assert.equal(0, (count('local x = 1 if x then x = 2 end')))
  end)

  it('leaves what looks like words in texts, comments and names alone', function()
    local texts = {
      "return 'do function repeat ::x::'",
      'return "a\\"do" .. [[repeat ]=] do]] .. [==[ ]] function() ]==]',
      '-- do\n--[[ repeat\n]] return 1 -- function()',
      'local done, redo, function_ = 1, 2, 3 return done + redo + function_',
      'local t = { ["do"] = 1, x = 0x1p-3, y = 1e-5, z = .5 } return t["do"] + t.x',
      "return 'a\\z   \n  do' .. '\\065\\\ndo'",
      'local goto = 4 return goto',
      'if 1 then goto out ::out:: ; end return 5',
      'return ("x"):rep(3), #"do", 3 ..""',
      '#!/usr/bin/lua do\nreturn 7',
      '\239\187\191return 8',
    }
    for _, text in ipairs(texts) do
      local plain = { assert(load(text))() }
      local counted = { count(text) }
      assert.same({ 0, true, unpack(plain) }, counted, text)
    end
  end)

  it('keeps lines and names of files in messages', function()
    local text = 'local x\nfor i = 1, 2 do\n  local function f()\n    error("here")\n  end\n  f()\n'
      .. 'end'
    local _, ok, message = count(text)
    assert.is_false(ok)
    assert.equal('definitions/a.lua:4: here', message)
    local _, plain = load('x = = 1', '@definitions/a.lua')
    assert.same({ n = 2, nil, plain }, (function(...)
      return { n = select('#', ...), ... }
    end)(instrument.compile('x = = 1', '@definitions/a.lua', {}, error)))
  end)

  it('cannot be reached by the text', function()
    local chunk, message = instrument.compile('local a\ntidemark_step = nil',
      '@definitions/a.lua', {}, error)
    assert.is_nil(chunk)
    assert.equal('definitions/a.lua:2: tidemark_step is a name that definitions cannot use',
      message)
    assert.same({ 0, true, 0 }, { count('return select("#", ...)') })
    assert.is_nil(instrument.compile('end local x = function()', '@definitions/a.lua', {}, error))
  end)

  it('is tried when definitions are loaded', function()
    local names = {}
    for i = 1, 60 do
      names[i] = 'v' .. i
    end
    local text = 'local ' .. table.concat(names, ', ') .. '\nlocal function f()\n  return '
      .. table.concat(names, ', ') .. '\nend'
    assert.is_truthy(load(text))
    assert.matches('^definitions/a%.lua:4:%d+: function at line 2 has more than 60 upvalues',
      host.load(text).lines[1])
    assert.matches('^definitions/a%.lua:1:%d+: tidemark_step is a name',
      host.load('local tidemark_step = function() end').lines[1])
  end)

  it('of every Lua file of ours still compiles, with as many lines', function()
    local pipe = assert(io.popen('find lua spec runtime/generate -name "*.lua"'))
    local seen = 0
    for path in pipe:lines() do
      local file = assert(io.open(path))
      local text = file:read('*a')
      file:close()
      local counted = assert(instrument.count((text:gsub('tidemark_step', 'a_step'))))
      assert.is_truthy(load(counted), path)
      assert.equal(select(2, text:gsub('\n', '')) + 1, (select(2, counted:gsub('\n', ''))), path)
      seen = seen + 1
    end
    pipe:close()
    assert.is_true(seen > 100)
  end)
end)
