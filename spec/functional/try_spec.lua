-- `tidemark try`: what a view makes of rows, before it is applied.

local cli = require 'spec.support.cli'
local process = require 'spec.support.process'
local uv = require 'luv'
local workspace = require 'spec.support.workspace'

local DEFINITIONS = [[
entity 'driver' { keys = { int64 'driver_id' } }
source 'trips' { path = 'trips.csv', event_time = 'at', deleted = 'gone' }
feature_view 'fares' {
  entity = 'driver', source = 'trips',
  inputs = { float64 'amount', float64 'km' },
  filter = function(row) return row.km ~= nil end,
  transform = function(row)
    if row.amount < 0 then error('a fare below nothing') end
    return { per_km = row.amount / row.km, amount = math.floor(row.amount) }
  end,
  features = { float64 'per_km', int64 'amount' },
}
feature_view 'plain' {
  entity = 'driver', source = 'trips', features = { float64 'amount' },
}
on_demand_feature_view 'offer' {
  inputs = { 'fares:per_km' },
  request = { float64 'distance' },
  features = { float64 'fare' },
  transform = function(row) return { fare = row.distance * (row.per_km or 2) } end,
}
]]

local ROWS = [[
driver_id,at,gone,amount,km
1,2025-01-01,,10,4
2,2025-01-02,,12.5,
3,2025-01-03,true,,
4,2025-01-04,,-1,2
5,2025-01-05,,x,2
6,2025-01-06,,9,3
]]

describe('tidemark try', function()
  local p

  before_each(function()
    p = workspace.new({ ['definitions/taxi.lua'] = DEFINITIONS, ['trips.csv'] = ROWS })
  end)

  after_each(function()
    p:remove()
  end)

  local function try(...)
    return cli.run({ '-C', p.folder, 'try', ... })
  end

  it('shows inputs and features side by side, without anything being applied', function()
    local result = try('fares', '--limit', '1')
    assert.equal(0, result.status, result.stderr)
    assert.equal('row  driver_id                    at  amount   km  ->  per_km  amount\n'
      .. '  1          1  2025-01-01T00:00:00Z    10.0  4.0  ->     2.5      10\n', result.stdout)
    assert.matches('6 rows of source "trips": 2 kept, 1 filtered, 2 failed, 1 deleted',
      result.stderr, 1, true)
    assert.matches('\nfunctions took [%d.]+ [nu]s a row', result.stderr)
    assert.is_false(p:exists('.tidemark'))
  end)

  it('marks rows that are left out and says what others failed on', function()
    local lines = {}
    for line in try('fares').stdout:gmatch('[^\n]+') do
      lines[#lines + 1] = line:match('^%s*%d.*%->%s+(.*)$')
    end
    assert.same({
      '2.5     10      kept',
      '-       -       filtered',
      '-       -       deleted',
      '-       -       failed: feature_view "fares": row 4 of source "trips": a fare below nothing '
        .. '(definitions/taxi.lua:8)',
      '-       -       failed: trips.csv, row 5, column "amount": input "amount" of feature_view '
        .. '"fares": expected float64, got "x"',
      '3.0     9       kept',
    }, lines)
  end)

  it('shows only failed rows on demand, as data if wanted', function()
    local csv = try('fares', '--where-failed', '--format', 'csv', '--quiet')
    assert.equal('row,driver_id,at,amount,km,outcome,per_km,fares__amount,message\n'
      .. '4,4,2025-01-04T00:00:00Z,-1.0,2.0,failed,,,"feature_view ""fares"": row 4 of source '
      .. '""trips"": a fare below nothing (definitions/taxi.lua:8)"\n'
      .. '5,5,2025-01-05T00:00:00Z,,2.0,failed,,,"trips.csv, row 5, column ""amount"": input '
      .. '""amount"" of feature_view ""fares"": expected float64, got ""x"""\n', csv.stdout)
    assert.equal('', csv.stderr)
    local json = try('fares', '--limit', '1', '--format', 'json')
    assert.equal('[\n  {"row": 1, "outcome": "kept", "message": null, "inputs": {"driver_id": 1, '
      .. '"at": "2025-01-01T00:00:00Z", "amount": 10.0, "km": 4.0}, '
      .. '"features": {"per_km": 2.5, "amount": 10}}\n]\n', json.stdout)
  end)

  it('finds a failed row far behind the first ones', function()
    local rows = { 'driver_id,at,gone,amount,km' }
    for i = 1, 20000 do
      rows[#rows + 1] = ('%d,2025-01-01,,%d,1'):format(i, i == 19000 and -1 or 1)
    end
    p:write('trips.csv', table.concat(rows, '\n') .. '\n')
    local result = try('fares', '--where-failed', '--limit', '1', '--format', 'csv')
    assert.matches('\n19000,19000,.*row 19000 of source', result.stdout)
  end)

  it('takes rows of a file', function()
    p:write('more.jsonl', '{"driver_id": 9, "at": "2025-02-01", "amount": 3, "km": 2}\n')
    p:write('definitions/taxi.lua', (DEFINITIONS:gsub(", deleted = 'gone'", '')))
    local result = try('fares', '--rows', 'more.jsonl', '--format', 'csv', '-q')
    assert.equal('', result.stderr)
    assert.equal('row,driver_id,at,amount,km,outcome,per_km,fares__amount,message\n'
      .. '1,9,2025-02-01T00:00:00Z,3.0,2.0,kept,1.5,3,\n', result.stdout)
  end)

  it('shows the columns of a view without functions', function()
    local result = try('plain', '--limit', '2', '--format', 'csv')
    assert.equal('row,driver_id,at,outcome,amount,message\n1,1,2025-01-01T00:00:00Z,kept,10.0,\n'
      .. '2,2,2025-01-02T00:00:00Z,kept,12.5,\n', result.stdout)
    assert.is_nil(result.stderr:find('a row', 1, true))
  end)

  it('needs rows for an on-demand view, in which stored features may lack', function()
    local without = try('offer')
    assert.equal(1, without.status)
    assert.matches('on_demand_feature_view "offer" has no rows of its own: give it some with '
      .. '--rows FILE, in columns per_km, distance', without.stderr, 1, true)
    p:write('requests.csv', 'distance\n3\n')
    local absent = try('offer', '--rows', 'requests.csv', '--format', 'csv')
    assert.equal('row,per_km,distance,outcome,fare,message\n1,,3.0,kept,6.0,\n', absent.stdout)
    assert.matches('so they are null: per_km', absent.stderr, 1, true)
    p:write('requests.csv', 'per_km,distance\n5,3\n')
    assert.equal('row,per_km,distance,outcome,fare,message\n1,5.0,3.0,kept,15.0,\n',
      try('offer', '--rows', 'requests.csv', '--format', 'csv').stdout)
    p:write('requests.csv', 'per_km\n5\n')
    assert.matches('there is no column "distance"', try('offer', '--rows', 'requests.csv').stderr,
      1, true)
  end)

  it('says why a function is slower than it could be', function()
    p:write('definitions/taxi.lua', (DEFINITIONS:gsub('return row.km ~= nil',
      'local f = function() return row.km end return f() ~= nil')))
    assert.matches('runs interpreted: .*definitions/taxi.lua:6', try('fares').stderr)
  end)

  it('prints the mistakes of definitions as plan does', function()
    p:write('definitions/more.lua', "feature_view 'x' { entity = 'drivr' }\n")
    local result = try('fares')
    assert.equal(1, result.status)
    assert.matches('definitions/more.lua:1', result.stderr, 1, true)
    assert.matches('did you mean "driver"?', result.stderr, 1, true)
    assert.matches('mistakes? in the definitions\n', result.stderr)
    assert.equal('', result.stdout)
  end)

  it('suggests the view that was meant', function()
    assert.matches('the definitions have no view "ofer", did you mean "offer"?',
      try('ofer').stderr, 1, true)
  end)

  it('refuses limits that make no sense', function()
    assert.equal(2, try('fares', '--limit', '0').status)
    assert.equal(2, try('fares', '--limit', '100001').status)
  end)

  it('ends a function that does not', function()
    p:write('definitions/taxi.lua', (DEFINITIONS:gsub('return row.km ~= nil',
      'while true do end')))
    local result = try('fares')
    assert.equal(1, result.status)
    assert.matches('definitions/taxi.lua:6', result.stderr, 1, true)
  end)

  describe('--watch', function()
    local child

    after_each(function()
      child:send('sigint')
      child:wait()
    end)

    local function expect(text)
      process.wait(function()
        return (child.stdout .. child.stderr):find(text, 1, true)
      end, ('%q in %q'):format(text, child.stdout .. child.stderr), 20000)
    end

    local function rounds()
      return select(2, child.stderr:gsub('watching definitions/', ''))
    end

    it('runs again when a file is saved, mistakes or not', function()
      child = process.spawn(process.TIDEMARK, {
        args = { '-C', p.folder, 'try', 'fares', '--limit', '1', '--format', 'csv', '--watch' },
      })
      process.wait(function() return rounds() == 1 end, 'the first round', 20000)
      expect(',kept,2.5,10,')
      p:write('definitions/taxi.lua', (DEFINITIONS:gsub('row.amount / row.km', 'row.km')))
      expect(',kept,4.0,10,')
      process.wait(function() return rounds() >= 2 end, 'the second round', 20000)
      p:write('definitions/taxi.lua', 'oops(')
      expect('1 mistake in the definitions')
      -- As many editors save: another file that takes the place of the old one.
      p:write('definitions/.new', (DEFINITIONS:gsub('row.amount / row.km', '7')))
      assert(uv.fs_rename(p:path('definitions/.new'), p:path('definitions/taxi.lua')))
      expect(',kept,7.0,10,')
    end)

    it('sees folders that are new', function()
      child = process.spawn(process.TIDEMARK, {
        args = { '-C', p.folder, 'try', 'fares', '--limit', '1', '--format', 'csv', '--watch' },
      })
      process.wait(function() return rounds() == 1 end, 'the first round', 20000)
      p:write('lib/fare.lua', 'return { of = function(row) return row.km * 100 end }\n')
      process.wait(function() return rounds() == 2 end, 'a round for lib/', 20000)
      p:write('definitions/taxi.lua', "local fare = require 'lib.fare'\n"
        .. DEFINITIONS:gsub('row.amount / row.km', 'fare.of(row)'))
      expect(',kept,400.0,10,')
      p:write('lib/fare.lua', 'return { of = function(row) return row.km * 200 end }\n')
      expect(',kept,800.0,10,')
    end)
  end)
end)
