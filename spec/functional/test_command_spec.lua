-- `tidemark test`: the tests that stand beside views.

local cli = require 'spec.support.cli'
local workspace = require 'spec.support.workspace'

local DEFINITIONS = [[
entity 'driver' { keys = { int64 'driver_id' } }
source 'trips' {
  path = 'nowhere.csv', event_time = 'at', created_time = 'written', deleted = 'gone',
}
feature_view 'fares' {
  entity = 'driver', source = 'trips', ttl = '2d',
  inputs = { float64 'amount', float64 'km', string 'city', list(int64) 'stops' },
  filter = function(row) return row.city ~= 'test' end,
  transform = function(row)
    if row.km == 0 then error('no way') end
    return {
      per_km = row.amount and row.amount / row.km,
      city = row.city and row.city:upper(),
      last = row.stops and row.stops[row.stops.n],
      stops = row.stops,
    }
  end,
  features = { float64 'per_km', string 'city', int64 'last', list(int64) 'stops' },
}
feature_view 'plain' {
  entity = 'driver', source = 'trips', features = { float32 'amount', timestamp 'seen' },
}
on_demand_feature_view 'offer' {
  inputs = { 'fares:per_km' }, request = { float64 'distance' },
  features = { float64 'fare' }, on_error = 'null',
  transform = function(row) return { fare = row.distance * (row.per_km or 2) } end,
}
]]

describe('tidemark test', function()
  local p

  before_each(function()
    p = workspace.new({ ['definitions/taxi.lua'] = DEFINITIONS })
  end)

  after_each(function()
    p:remove()
  end)

  local function test(tests, ...)
    p:write('definitions/tests.lua', tests)
    return cli.run({ '-C', p.folder, 'test', ... })
  end

  local function passes(tests)
    local result = test(tests)
    assert.equal(0, result.status, result.stdout .. result.stderr)
    assert.matches('^%d+ passed, 0 failed\n$', result.stdout)
    assert.is_false(p:exists('.tidemark'))
  end

  --- What is printed of the tests, without the place and the summary.
  local function fails(tests)
    local result = test(tests)
    assert.equal(1, result.status, result.stdout .. result.stderr)
    return (result.stdout:gsub('\n\n%d+ passed, %d+ failed\n$', ''))
  end

  it('runs functions over given rows in order', function()
    passes [[
test 'rows' {
  view = 'fares',
  given = {
    { amount = 10, km = 4, city = 'bonn', stops = { 1, 2, 3 } },
    { amount = 10, km = 4, city = 'test' },
    { amount = null, km = 1 },
    { driver_id = 7, gone = true },
  },
  expect = {
    { per_km = 2.5, city = 'BONN', last = 3, stops = { 1, 2, 3 } },
    { per_km = null, city = null, km = 1 },
  },
}
test 'one row' { view = 'fares', given = { amount = 1, km = 8 }, expect = { per_km = 0.125 } }
test 'no row' { view = 'fares', given = { city = 'test' }, expect = {} }
test 'columns' {
  view = 'plain',
  given = { amount = 0.1, seen = '2025-01-01T00:00:00.5Z' },
  expect = { amount = 0.1, seen = '2025-01-01T01:00:00.5+01:00' },
}
test 'close enough' {
  view = 'fares', given = { amount = 10, km = 3 }, expect = { per_km = 3.333 }, tolerance = 0.001,
}
]]
  end)

  it('answers as of a time, with ttl, ties, corrections, filter and tombstones', function()
    passes [[
local function row(driver, at, amount, more)
  local fields = { driver_id = driver, at = at, amount = amount, km = 1 }
  for name, value in pairs(more or {}) do fields[name] = value end
  return fields
end
test 'as of a time' {
  view = 'fares', at = '2025-01-10T12:00:00Z',
  given = {
    row(1, '2025-01-10', 1), row(1, '2025-01-09', 2), row(1, '2025-01-11', 3),
    row(2, '2025-01-10', 1, { written = '2025-01-10T02:00:00Z' }),
    row(2, '2025-01-10', 2, { written = '2025-01-10T03:00:00Z' }),
    row(2, '2025-01-10', 3, { written = '2025-01-10T01:00:00Z' }),
    row(3, '2025-01-08', 1),
    row(4, '2025-01-09', 1), row(4, '2025-01-10', 2, { city = 'test' }),
    row(5, '2025-01-09', 1), { driver_id = 5, at = '2025-01-10', gone = true },
  },
  expect = {
    { driver_id = 1, per_km = 1, per_km__status = 'PRESENT', city = null },
    { driver_id = 2, per_km = 2 },
    { driver_id = 3, per_km = null, per_km__status = 'OUTSIDE_MAX_AGE' },
    { driver_id = 4, per_km = 1 },
    { driver_id = 5, per_km = null, per_km__status = 'DELETED' },
    { driver_id = 6, per_km = null, per_km__status = 'NOT_FOUND' },
  },
}
]]
  end)

  it('gives on-demand views their inputs and request', function()
    passes [[
test 'offers' {
  view = 'offer',
  given = { { per_km = 3, distance = 2 }, { distance = 2 }, { per_km = 3 } },
  expect = { { fare = 6 }, { fare = 4 }, { fare = null } },
}
]]
  end)

  it('says which field of which row is not as expected', function()
    assert.equal([=[
FAIL  definitions/tests.lua:1: wrong values
      row 2, city: expected "BON", got "BONN"
      row 2, last: expected 4, got 3
      row 2, per_km: expected 2.25, got 2.5
      row 2, stops: expected [1,2], got [1,2,3]]=], fails [[
test 'wrong values' {
  view = 'fares',
  given = { { km = 2 }, { amount = 10, km = 4, city = 'bonn', stops = { 1, 2, 3 } } },
  expect = { { city = null }, { per_km = 2.25, city = 'BON', last = 4, stops = { 1, 2 } } },
}
]])
    assert.equal([[
FAIL  definitions/tests.lua:1: other times
      row 1, seen: expected "2025-01-02T00:00:00Z", got "2025-01-01T00:00:00Z"]], fails [[
test 'other times' {
  view = 'plain', given = { seen = '2025-01-01' }, expect = { seen = '2025-01-02' },
}
]])
    assert.equal([[
FAIL  definitions/tests.lua:1: as of
      row 2, per_km: expected 1.0, got null]], fails [[
test 'as of' {
  view = 'fares', at = '2025-01-01T01:00:00Z',
  given = { driver_id = 1, at = '2025-01-01', amount = 1, km = 1 },
  expect = { { driver_id = 1, per_km = 1 }, { driver_id = 2, per_km = 1 } },
}
]])
  end)

  it('says how many rows came out, and what became of the others', function()
    assert.equal([[
FAIL  definitions/tests.lua:1: too few
      expected 2 rows, got 1; row 1 was filtered, row 3 was deleted]], fails [[
test 'too few' {
  view = 'fares', given = { { city = 'test' }, { km = 1 }, { gone = true } },
  expect = { { city = null }, { city = null } },
}
]])
  end)

  it('shows what a function fails with', function()
    assert.equal([[
FAIL  definitions/tests.lua:1: failing
      row 2: feature_view "fares": row 2 of given: no way (definitions/taxi.lua:10)]], fails [[
test 'failing' {
  view = 'fares', given = { { km = 1 }, { km = 0 } }, expect = { { city = null }, { city = null } },
}
]])
    assert.matches('no way %(definitions/taxi.lua:10%)$', fails [[
test 'failing in a job' {
  view = 'fares', at = '2025-01-02', given = { driver_id = 1, at = '2025-01-01', km = 0 },
  expect = { driver_id = 1 },
}
]])
  end)

  it('explains tests that make no sense', function()
    local cases = {
      { "{ view = 'fares', given = { amout = 1 }, expect = {} }",
        'given, row 1: the view reads no "amout", did you mean "amount"?' },
      { "{ view = 'fares', given = { km = 1 }, expect = { per_mile = 1 } }",
        'expect, row 1: the view has no feature "per_mile"' },
      { "{ view = 'fares', given = { km = 1 }, expect = { per_km = 'x' } }",
        'row 1, per_km: cannot be what is expected: expected float64, got string' },
      { "{ view = 'fares', at = '2025-01-01', given = { driver_id = 1, km = 1 }, "
        .. 'expect = { driver_id = 1 } }', 'given, row 1: "at" is missing' },
      { "{ view = 'fares', at = '2025-01-01', given = { driver_id = 1, at = '2025-01-01' }, "
        .. 'expect = { city = null } }', 'expect, row 1: "driver_id" is missing' },
      { "{ view = 'fares', given = { km = 'far' }, expect = { per_km = 1 } }",
        'expected float64, got "far"' },
    }
    for _, case in ipairs(cases) do
      assert.matches(case[2], fails("test 'odd' " .. case[1]), 1, true)
    end
    local unknown = test("test 'odd' { view = 'fars', given = { km = 1 }, expect = {} }")
    assert.equal(1, unknown.status)
    assert.matches('definitions/tests.lua:1', unknown.stderr, 1, true)
    assert.matches('did you mean "fares"?', unknown.stderr, 1, true)
  end)

  local SOME = [[
test 'good' { view = 'fares', given = { km = 1 }, expect = { city = null } }
test 'bad' { view = 'offer', given = { distance = 1 }, expect = { fare = 3 } }
]]

  it('runs those that are named, by test, view or file', function()
    assert.equal('1 passed, 0 failed\n', test(SOME, 'good').stdout)
    assert.equal('1 passed, 0 failed\n', test(SOME, 'fares').stdout)
    assert.matches('0 passed, 1 failed\n$', test(SOME, 'offer').stdout)
    assert.matches('1 passed, 1 failed\n$', test(SOME, './definitions/tests.lua').stdout)
    local none = test(SOME, 'goood')
    assert.equal(1, none.status)
    assert.matches('is "goood", did you mean "good"?', none.stderr, 1, true)
  end)

  it('is data when asked', function()
    local json = test(SOME, '--format', 'json')
    assert.equal(1, json.status)
    assert.equal('{"passed": 1, "failed": 1, "tests": [\n'
      .. '  {"name": "good", "at": "definitions/tests.lua:1", "view": "fares", "passed": true, '
      .. '"differences": []},\n'
      .. '  {"name": "bad", "at": "definitions/tests.lua:2", "view": "offer", "passed": false, '
      .. '"differences": [{"row": 1, "field": "fare", "expected": 3.0, "got": 2.0}]}\n]}\n',
      json.stdout)
    assert.equal([[
name,at,view,passed,row,field,expected,got,message
good,definitions/tests.lua:1,fares,true,,,,,
bad,definitions/tests.lua:2,offer,false,1,fare,3.0,2.0,
]], test(SOME, '--format', 'csv').stdout)
  end)

  it('is content without tests', function()
    local result = test('-- nothing yet\n')
    assert.equal(0, result.status)
    assert.equal('0 passed, 0 failed\n', result.stdout)
    assert.matches('the definitions have no tests', result.stderr, 1, true)
  end)

  it('leaves no files behind', function()
    p:write('tmp/.keep', '')
    p:write('definitions/tests.lua', [[
test 'as of' {
  view = 'fares', at = '2025-01-02', given = { driver_id = 1, at = '2025-01-01', km = 1 },
  expect = { driver_id = 1 },
}
]])
    cli.must({ '-C', p.folder, 'test', env = { TMPDIR = p:path('tmp') } })
    local scan = require('luv').fs_scandir(p:path('tmp'))
    assert.equal('.keep', (require('luv').fs_scandir_next(scan)))
    assert.is_nil((require('luv').fs_scandir_next(scan)))
  end)
end)
