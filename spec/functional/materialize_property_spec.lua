-- What stands online after any number of runs is what one look at all rows would put there: random
-- sources that grow between runs, with rows that come late, ties, nulls and tombstones.

local blueprints = require 'spec.support.blueprints'
local oracle = require 'spec.support.oracle'
local random = require 'spec.support.random'
local tidemark = require 'tidemark'
local training = require 'spec.support.training'
local workspace = require 'spec.support.workspace'

local PROJECTS, KEYS = 60, 6
local COLUMNS = { 'user', 'at', 'created', 'gone', 'n' }

describe('materialize', function()
  local space, handle

  before_each(function()
    space = workspace.new()
    handle = tidemark.open(space.folder)
  end)

  after_each(function()
    handle:close()
    space:remove()
  end)

  local function declare(number, format)
    space:write('definitions/all.lua', blueprints.entity('user', { "int64 'user'" })
      .. blueprints.source('rows', { path = 'data/rows.' .. format, event_time = 'at',
        created_time = 'created', deleted = 'gone', time_unit = 's' })
      .. blueprints.view('stats' .. number, { "int64 'n'" }, { entity = 'user' }))
    handle:apply({ allow_incompatible = true })
  end

  -- Rows that arrive while the clock shows `now`, of any event time up to then.
  local function grow(rows, now)
    for _ = 1, math.random(0, 12) do
      local position = #rows + 1
      rows[position] = {
        arrival = position - 1,
        key = not random.once_in(10) and math.random(KEYS) or nil,
        event = not random.once_in(10) and math.random(0, 10 * now + 9) or nil,
        created = 10 * now + math.random(0, 9),
        deleted = random.once_in(5),
      }
    end
  end

  local function put(rows, format)
    local lines = {}
    for i, row in ipairs(rows) do
      lines[i] = { user = row.key, at = row.event, created = row.created, gone = row.deleted,
        n = row.arrival }
    end
    space:write('data/rows.msgpack', training.encode('msgpack', COLUMNS, lines))
    if format == 'csv' then
      space:write('data/rows.csv', training.encode('csv', COLUMNS, lines))
    elseif format == 'parquet' then
      handle:copy_file(space:path('data/rows.msgpack'), space:path('data/rows.parquet'))
    end
  end

  local function check(number, rows, finish)
    local newest = oracle.latest(rows, { from = 0, to = finish })
    local keys = {}
    for key = 1, KEYS do
      keys[key] = key
    end
    local answer = handle:get_online_features({ features = { ('stats%d:n'):format(number) },
      entities = { user = keys }, include = { 'statuses' } })
    for key = 1, KEYS do
      local row = newest[key]
      local status = not row and 'NOT_FOUND' or row.deleted and 'DELETED' or 'PRESENT'
      assert.equal(status, answer.statuses[key][1], 'key ' .. key)
      if status == 'PRESENT' then
        assert.equal(row.arrival, answer.rows[key][1], 'key ' .. key)
      end
    end
  end

  it('run after run puts the newest rows online', function()
    local number = 0
    random.each(PROJECTS, function()
      number = number + 1
      local format = random.pick({ 'csv', 'parquet', 'msgpack' })
      local rows, now, finish = {}, 0, 0
      repeat -- a Parquet file has columns
        grow(rows, now)
      until #rows > 0
      put(rows, format)
      declare(number, format)
      for _ = 1, math.random(4) do
        now = now + math.random(5)
        finish = math.max(finish, 10 * now - math.random(-9, 20))
        grow(rows, now)
        put(rows, format)
        handle:materialize_incremental({ finish * 1000000 })
        check(number, rows, finish)
        if random.once_in(4) then -- harmless
          handle:materialize_incremental({ finish * 1000000 })
          check(number, rows, finish)
        end
      end
    end)
  end)

  it('of intervals in any order puts the newest rows of all of them online', function()
    local number = 1000
    random.each(20, function()
      number = number + 1
      local rows = {}
      repeat
        grow(rows, 1)
      until #rows > 20
      put(rows, 'parquet')
      declare(number, 'parquet')
      for _, from in ipairs(random.shuffle({ 0, 5, 10, 15 })) do
        handle:materialize({ from * 1000000, (from + 7) * 1000000 })
      end
      check(number, rows, 22)
    end)
  end)
end)
