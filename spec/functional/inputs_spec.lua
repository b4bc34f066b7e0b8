-- Functions of views whose inputs nobody lists: the source says what they are, when the definitions
-- are planned and applied.

local cli = require 'spec.support.cli'
local mpack = require 'mpack'
local workspace = require 'spec.support.workspace'

local DEFINITIONS = [[
local rates = require 'lib.rates'
entity 'driver' { keys = { int64 'driver_id' } }
source 'trips' { %s, event_time = 'at' }
feature_view 'fares' {
  entity = 'driver', source = 'trips',
  features = { float64 'per_km', string 'city' },
  filter = function(row) return row.driver_id > 0 and row.done end,
  transform = function(row)
    return { per_km = rates.per_km(row.fare, row.km), city = row.city }
  end,
  on_error = 'null',
}
on_demand_feature_view 'offer' {
  inputs = { 'fares:per_km' },
  request = { float64 'distance_km' },
  features = { float64 'price' },
  transform = function(row) return { price = row.per_km * row.distance_km } end,
}
feature_service 'pricing' { features = { 'offer:price', 'fares:city' } }
]]

local RATES = [[
local M = {}
function M.per_km(fare, km)
  return km > 0 and fare / km or nil
end
return M
]]

-- One row each of the columns that the functions read, and one that they do not.
local ROWS = "select 1::bigint as driver_id, timestamp '2024-05-01' as at, true as done, "
  .. "8.5::%s as fare, 2::smallint as km, 'x' as city, 7 as other"

describe('inputs that nobody lists', function()
  local space

  local function declare(source)
    space:write('definitions/a.lua', DEFINITIONS:format(source))
  end

  local function run(...)
    return cli.run { '-C', space.folder, ... }
  end

  local function must(...)
    return cli.must { '-C', space.folder, ... }
  end

  before_each(function()
    space = workspace.new { ['lib/rates.lua'] = RATES }
    declare(("sql = [[%s]]"):format(ROWS:format('float')))
  end)

  after_each(function()
    space:remove()
  end)

  it('have the types of the source, which apply settles', function()
    local plan = must 'plan'
    assert.is_truthy(plan:find('transform: of city string, fare float32, km int32', 1, true), plan)
    assert.is_truthy(plan:find('filter: of done bool, driver_id int64', 1, true), plan)
    must 'apply'
    assert.is_truthy(must('plan'):find('0 to add, 0 to change', 1, true))
    local text = must('feature-views', 'describe', 'fares', '--format', 'json')
    assert.is_truthy(text:find('"transform":"definitions/a.lua:8"', 1, true), text)
    assert.is_truthy(text:find('"name":"fare","type":"float32"', 1, true), text)
  end)

  it('show as a change when the source has changed', function()
    must 'apply'
    declare(("sql = [[%s]]"):format(ROWS:format('double')))
    local plan = must 'plan'
    assert.is_truthy(plan:find('transform: input "fare": type float32 -> float64', 1, true), plan)
    assert.is_falsy(plan:find('transform: changed', 1, true))
  end)

  it('are read from files too, relative to the project', function()
    local rows = ('[{"driver_id": 1, "at": "2024-05-01", "done": true, "fare": 8.5, "km": 2, '
      .. '"city": "x"}]')
    space:write('data/trips.json', rows)
    declare "path = 'data/trips.json'"
    local plan = must 'plan'
    assert.is_truthy(plan:find('transform: of city string, fare float64, km int64', 1, true), plan)
  end)

  it('have to be listed for files without types', function()
    space:write('data/trips.csv', 'driver_id,at,done,fare,km,city\n')
    space:write('data/trips.msgpack', mpack.pack { at = '2024-05-01', driver_id = 1 })
    for _, ending in ipairs { 'csv', 'msgpack' } do
      declare(("path = 'data/trips.%s'"):format(ending))
      local result = run 'plan'
      assert.equal(1, result.status)
      assert.is_truthy(result.stderr:find('^definitions/a%.lua:5:31: '), result.stderr)
      assert.is_truthy(result.stderr:find('the columns of source "trips" have no types of their '
        .. "own; say what the transform reads: inputs = { float64 'city', float64 'fare', "
        .. "float64 'km' }", 1, true), result.stderr)
    end
  end)

  it('are a mistake where the source cannot be opened, or has no such column', function()
    declare "path = 'data/missing.parquet'"
    local result = run 'apply'
    assert.equal(1, result.status)
    assert.is_truthy(result.stderr:find('there is no file "data/missing.parquet"', 1, true),
      result.stderr)
    declare(("sql = [[%s]]"):format((ROWS:format('double'):gsub('as km', 'as kms'))))
    result = run 'apply'
    assert.is_truthy(result.stderr:find('definitions/a.lua:9:50: feature_view "fares": transform: '
      .. 'source "trips" has no column "km", did you mean "kms"?', 1, true), result.stderr)
  end)

  it('stay as applied where the source is out of reach and nothing has changed', function()
    local rows = '[{"driver_id": 1, "at": "2024-05-01", "done": true, "fare": 8.5, "km": 2, '
      .. '"city": "x"}]'
    space:write('data/trips.json', rows)
    declare "path = 'data/trips.json'"
    must 'apply'
    space:delete('data/trips.json')
    assert.is_truthy(must('plan'):find('0 to add, 0 to change', 1, true))
    must 'apply'

    -- The function reads another column, whose type nobody can know.
    local text = space:read('definitions/a.lua')
    space:write('definitions/a.lua', (text:gsub('row%.city', 'row.town')))
    local result = run 'plan'
    assert.equal(1, result.status)
    assert.is_truthy(result.stderr:find('source "trips" cannot be opened to see the types of what '
      .. 'the transform reads (there is no file "data/trips.json"); make it readable, or write '
      .. 'inputs = { ', 1, true), result.stderr)
    -- The source is another one.
    space:write('definitions/a.lua', (text:gsub('trips%.json', 'rides.json')))
    assert.equal(1, run('plan').status)
    space:write('data/rides.json', (rows:gsub('8.5', '"8.5"')))
    assert.is_truthy(must('plan'):find('input "fare": type float64 -> string', 1, true))
  end)

  it('are listed with on-demand views, and with what a service asks of a request', function()
    must 'apply'
    local list = must('on-demand-feature-views', 'list', '--format', 'csv')
    assert.is_truthy(list:find('offer,"",{},definitions/a.lua:13', 1, true), list)
    local text = must('on-demand-feature-views', 'describe', 'offer', '--format', 'json')
    assert.is_truthy(text:find('"inputs":["fares:per_km"]', 1, true), text)
    text = must('feature-services', 'describe', 'pricing', '--format', 'json')
    assert.is_truthy(text:find('"request":[{"name":"distance_km","type":"float64"}]', 1, true),
      text)
    assert.is_truthy(text:find('"keys":[{"name":"driver_id","type":"int64"}]', 1, true), text)
    local result = run('push', 'offer', 'x.csv')
    assert.is_truthy(result.stderr:find('it is the name of an on_demand_feature_view', 1,
      true), result.stderr)
  end)

  it('report what files of lib do wrong, with their place', function()
    space:write('lib/rates.lua', 'local M = {}\nM.x = nothing.at_all\nreturn M\n')
    local result = run 'plan'
    assert.is_truthy(result.stderr:find('lib/rates.lua:2:7: unknown word "nothing"', 1, true),
      result.stderr)
  end)
end)
