-- Functions of definitions over columns: values of every type in and out, rows that fail, and what
-- is said of them.

local functions = require 'spec.support.functions'
local proofs = require 'tidemark.proofs'

local NULL, FAILED = functions.NULL, functions.FAILED

local opened

local function open(inputs, outputs, body)
  opened = functions.open(functions.definition(inputs, outputs, body))
  return opened:get('transform', 'v')
end

after_each(function()
  if opened then
    opened:close()
    opened = nil
  end
end)

describe('a transform', function()
  it('passes values of every type through', function()
    local types = {
      f = 'float64', g = 'float32', i = 'int32', j = 'int64', q = 'bool', s = 'string',
      d = 'bytes', t = 'timestamp', l = 'list(int32)', m = 'list(string)', w = 'vector(2)',
    }
    local values = {
      f = { 0.1, NULL, -1e300 },
      g = { 0.5, -2, NULL },
      i = { -2 ^ 31, 2 ^ 31 - 1, NULL },
      j = { -2 ^ 53 + 0LL, 2 ^ 53 + 0LL, NULL },
      q = { true, false, NULL },
      s = { '', 'naïve 漢字', NULL },
      d = { '\0\255', '', NULL },
      t = { 0LL, -1LL, NULL },
      l = { {}, { 1, NULL, -3 }, NULL },
      m = { { 'a', NULL, '' }, NULL, { NULL } },
      w = { { 1, 2 }, NULL, { -0.5, 3 } },
    }
    local fields, results = {}, {}
    for name, type in pairs(types) do
      fields[#fields + 1] = { name, type }
      results[#results + 1] = ('%s = row.%s'):format(name, name)
    end
    local transform = open(fields, fields,
      'transform = function(row) return { ' .. table.concat(results, ', ') .. ' } end,')
    local out = assert(functions.run(transform, values))
    for name in pairs(types) do
      assert.same(values[name], out[name], name)
    end
  end)

  it('sees lists with their length, nulls as nil, and numbers where they are exact', function()
    local transform = open({ { 'l', 'list(float64)' }, { 'b', 'bool' } },
      { { 'n', 'int64' }, { 'kinds', 'string' } }, [[transform = function(row)
        local kinds = type(row.b)
        for i = 1, row.l and row.l.n or 0 do
          kinds = kinds .. ' ' .. type(row.l[i])
        end
        return { n = row.l and row.l.n, kinds = kinds }
      end,]])
    local out = assert(functions.run(transform,
      { l = { { 1, NULL }, {}, NULL }, b = { true, NULL, false } }))
    assert.same({ 2LL, 0LL, NULL }, out.n)
    assert.same({ 'boolean number nil', 'nil', 'boolean' }, out.kinds)
  end)

  it('rounds to float32, and takes whole numbers of the whole range', function()
    local transform = open({ { 'x', 'float64' } },
      { { 'f', 'float32' }, { 'i', 'int64' }, { 't', 'timestamp' } },
      'transform = function(row) return { f = row.x, i = -2^63, t = 2^53 + 2 } end,')
    local greatest = 0x1.fffffep127
    local out = assert(functions.run(transform,
      { x = { 0.1, 0x1.fffffefffffffp127, -greatest, 1 / 0, -1 / 0, 0 / 0, 1e-300 } }))
    assert.equal(tonumber(require('ffi').new('float', 0.1)), out.f[1])
    assert.same({ greatest, -greatest, 1 / 0, -1 / 0 }, { unpack(out.f, 2, 5) })
    assert.is_true(out.f[6] ~= out.f[6] and out.f[7] == 0)
    assert.equal(-0x7fffffffffffffffLL - 1, out.i[1])
    assert.equal(9007199254740994LL, out.t[1])
  end)

  local WRONG = {
    { 'float64', '"1"', 'expected float64, got "1"' },
    { 'int32', '2^31', 'expected int32, got 2147483648' },
    { 'int32', '2.5', 'expected int32, got 2.5' },
    { 'int64', '0/0', 'expected int64, got nan' },
    { 'int64', '2^63', 'expected int64, got 9.223372036854776e%+18' },
    { 'int32', '1e10 + 0.1', 'expected int32, got 10000000000.1' },
    { 'int32', '1 / 3', 'expected int32, got 0.3333333333333333' },
    { 'timestamp', '1/0', 'expected timestamp, got inf' },
    { 'float32', '1e39', 'expected float32, got 1e%+39' },
    { 'float32', '-0x1.ffffffp127', 'expected float32, got %-3.4028235677973366e%+38' },
    { 'list(float32)', '{ 1, -1e99 }',
      'expected float32 as value 2 of list%(float32%), got %-1e%+99' },
    { 'vector(2)', '{ 1, 1e39 }', 'expected float32 as value 2 of vector%(2%), got 1e%+39' },
    { 'bool', '1', 'expected bool, got 1' },
    { 'string', '5', 'expected string, got 5' },
    { 'string', '"\\255"', 'expected string, got text that is not UTF%-8; declare it as bytes' },
    { 'list(int32)', '7', 'expected list%(int32%), got 7' },
    { 'list(int32)', '{ 1, 2.5 }', 'expected int32 as value 2 of list%(int32%), got 2.5' },
    {
      'list(string)',
      '{ "a", "\\255" }',
      'expected list%(string%), got text that is not UTF%-8; declare it as bytes',
    },
    { 'vector(2)', '{ 1 }', 'expected vector%(2%), got 1 values' },
    { 'vector(2)', '{ 1, nil, n = 2 }', 'expected float32 as value 2 of vector%(2%), got nil' },
  }

  for _, row in ipairs(WRONG) do
    it(('refuses %s for %s'):format(row[2], row[1]), function()
      local transform = open({ { 'a', 'float64' } }, { { 'x', row[1] } },
        ('transform = function(row) return row.a > 1 and { x = %s } or {} end,'):format(row[2]))
      local out, message = functions.run(transform, { a = { 1, 1, 2, 3 } }, { first_row = 15 })
      assert.is_nil(out)
      assert.matches('^feature_view "v": row 17 of source "s": feature "x": ' .. row[3]
        .. ' %(definitions/a%.lua:8%)$', message)
    end)
  end

  it('says nothing of what calls it where an error blames the caller', function()
    local transform = open({ { 'a', 'float64' } }, { { 'x', 'float64' } },
      'transform = function(row) if row.a > 1 then error("too much", 2) end return { x = 1 } end,')
    local _, message = functions.run(transform, { a = { 1, 2 } })
    assert.equal('feature_view "v": row 1 of source "s": too much (definitions/a.lua:8)', message)
  end)

  it('does not lose digits of what it is given', function()
    local transform = open({ { 'n', 'int64' } }, { { 'x', 'float64' } },
      'transform = function(row) return { x = row.n } end,')
    for _, value in ipairs { 9007199254740993LL, -9007199254740993LL } do
      local _, message = functions.run(transform, { n = { 1LL, value } })
      assert.equal(('feature_view "v": row 1 of source "s": value %s of column "n" is beyond what '
        .. "a Lua number holds exactly; declare it as string in the view's inputs: string 'n' "
        .. '(definitions/a.lua:8)'):format(tostring(value):gsub('LL', '')), message)
    end
  end)

  it('goes on behind rows that fail, in order, and marks them', function()
    local transform = open({ { 'a', 'float64' } }, { { 'x', 'float64' }, { 's', 'string' } },
      [[on_error = 'null', transform = function(row)
        if row.a % 3 == 0 then
          error('three')
        elseif row.a % 5 == 0 then
          return { x = 'five' }
        end
        return { x = row.a, s = row.a % 7 == 0 and '\255' or 'fine' }
      end,]])
    for _, count in ipairs { 40, 5000 } do
      local given, want = {}, {}
      for i = 1, count do
        given[i] = i
        want[i] = (i % 3 == 0 or i % 5 == 0 or i % 7 == 0) and FAILED or i
      end
      local out, messages = functions.run(transform, { a = given }, { go_on = true })
      assert.same(want, out.x)
      local last = -1
      for _, message in ipairs(messages) do
        local row = tonumber(message:match('^(%d+): '))
        assert.is_true(row > last, 'rows in order')
        assert.equal(FAILED, want[row + 1])
        last = row
      end
      assert.matches('^2: feature_view "v": row 2 of source "s": three %(definitions/a%.lua:10%)$',
        messages[1])
    end
  end)

  it('does not look at rows that are skipped', function()
    local transform = open({ { 'a', 'float64' } }, { { 'x', 'float64' } },
      'transform = function(row) assert(row.a) return { x = row.a } end,')
    assert.same({ 1, NULL, 3 },
      assert(functions.run(transform, { a = { 1, NULL, 3 } }, { skip = { 0, 1, 0 } })).x)
  end)

  it('that makes closures for every row is slow, is right and says so', function()
    local transform = open({ { 'a', 'float64' } }, { { 'x', 'float64' } }, [[
      on_error = 'null',
      transform = function(row)
        local ok, value = pcall(function() return row.a * 2 end)
        return { x = ok and value or error('no number') }
      end,]])
    local given, want = {}, {}
    for i = 1, 20000 do
      given[i] = i % 1000 == 0 and NULL or i
      want[i] = i % 1000 == 0 and FAILED or i * 2
    end
    for _ = 1, 3 do
      local out, messages = functions.run(transform, { a = given }, { go_on = true })
      assert.same(want, out.x)
      assert.equal(20, #messages)
    end
    assert.equal('runs interpreted: a closure is made for every row (definitions/a.lua:10)',
      functions.note(transform))
  end)
end)

describe('a filter', function()
  it('keeps rows for which it is true, and fails on what is neither', function()
    opened = functions.open(functions.definition({ { 'a', 'float64' } }, { { 'x', 'float64' } },
      'filter = function(row) if row.a == 9 then return 9 end return row.a and row.a > 1 end,\n'
        .. 'transform = function(row) return { x = row.a } end,'))
    local filter = opened:get('filter', 'v')
    assert.same({ false, true, false }, assert(functions.run(filter, { a = { 1, 2, NULL } })).pass)
    local _, message = functions.run(filter, { a = { 9 } })
    assert.equal('feature_view "v": filter: row 0 of source "s": expected true or false, got 9 '
      .. '(definitions/a.lua:8)', message)
  end)
end)

-- Body of a function, and whether it can be seen to return only x, y and q.
local CLOSED = {
  { true, 'return { x = 1 }' },
  { true, 'return { x = row.a + 1, y = row.b and 2 or 3 }' },
  { true, 'if row.a then return { x = f(row) } end return { y = 2 }' },
  { true, 'local t = {} t.x = 1 if row.a then t.y = 2 end return t' },
  { true, 'local t = { x = row.a } if t.x then t.y = t.x * 2 end return t' },
  { true, 'local t = { x = 1 } while row.a do t.y = 1 end return t' },
  { true, 'local a, t = {}, {} a.q = t t.z = 1 return a' },
  { true, 'return { x = row.a and f(row.a, { 1 }) or { 3 } }' },
  { false, 'return { x = 1, z = 2 }' },
  { false, 'return { 1, 2 }' },
  { false, 'return { f() }' },
  { false, 'return row' },
  { false, 'return f(row)' },
  { false, 'return { x = 1 }, 2' },
  { false, 'local t = {} t.z = 1 return t' },
  { false, 'local t = {} f(t) return t' },
  { false, 'local t if row.a then t = { z = 1 } else t = { x = 1 } end return t' },
  { false, 'local t = {} for k, v in pairs(row) do t[k] = v end return t' },
  { false, 'local t = { x = 1 } local u = t u.z = 1 return t' },
  { false, 'local t = {} local g = function() t.z = 1 end g() return t' },
  { false, 'local t = {} t.x = t return t' },
  { false, 'local t = {} while f() do if t.y then t = { z = 1 } end t.y = 1 end return t' },
  { false, 'local a = {} goto l ::k:: do return a end ::l:: a.z = 1 goto k' },
}

describe('that a function returns no other fields', function()
  for _, row in ipairs(CLOSED) do
    it(('%s of: %s'):format(row[1] and 'is certain' or 'cannot be said', row[2]), function()
      local callee = assert(load('local f = f return function(row) ' .. row[2] .. ' end'))()
      assert.equal(row[1], proofs.is_closed(callee, { x = true, y = true, q = true }))
    end)
  end
end)
