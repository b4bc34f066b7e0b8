-- Views with functions against a slow oracle: training sets and what is served are those of a
-- source that has only the rows that the filter lets through, and features made of them. Random
-- rows that come late, ties, nulls, tombstones, rules and formats.

local ffi = require 'ffi'
local blueprints = require 'spec.support.blueprints'
local msgpack = require 'tidemark.msgpack'
local oracle = require 'spec.support.oracle'
local random = require 'spec.support.random'
local tidemark = require 'tidemark'
local training = require 'spec.support.training'
local workspace = require 'spec.support.workspace'

local PROJECTS = tonumber(os.getenv('TIDEMARK_CASES') or '') or 50
local KEYS = 5
local COLUMNS = { 'user', 'at', 'created', 'gone', 'n', 'keep' }
local SECOND = 1000000LL

describe('a view with functions is what the oracle says', function()
  local space, handle

  before_each(function()
    space = workspace.new()
    handle = tidemark.open(space.folder)
  end)

  after_each(function()
    handle:close()
    space:remove()
  end)

  local function maybe(value)
    return random.once_in(3) and value or nil
  end

  local function draw_rule()
    return {
      ttl = maybe(math.random(5, 60)),
      strict = random.once_in(4),
      as_known = random.once_in(4),
    }
  end

  local function declare(name, format, rule)
    space:write('definitions/all.lua', blueprints.entity('user', { "int64 'user'" })
      .. blueprints.source('rows', { path = 'data/rows.' .. format, event_time = 'at',
        created_time = 'created', deleted = 'gone', time_unit = 's' })
      .. blueprints.view(name, { "int64 'double'", "string 'text'" }, {
        entity = 'user',
        inputs = blueprints.raw("{ int64 'n', bool 'keep' }"),
        filter = blueprints.raw('function(row) return row.keep end'),
        transform = blueprints.raw(
          "function(row) return { double = row.n * 2, text = 'row ' .. row.n } end"),
        ttl = rule.ttl and rule.ttl .. 's' or nil,
        bound = rule.strict and '<' or nil,
        as_known = rule.as_known or nil,
      }))
    handle:apply({ allow_incompatible = true })
  end

  -- Rows that arrive while the clock shows `now`, of any event time up to then.
  local function grow(rows, now)
    for _ = 1, math.random(0, 14) do
      local position = #rows + 1
      rows[position] = {
        arrival = position - 1,
        key = not random.once_in(10) and math.random(KEYS) or nil,
        event = not random.once_in(10) and math.random(0, 10 * now + 9) or nil,
        created = 10 * now + math.random(0, 9), -- late rows without one are not noticed
        deleted = random.once_in(5),
        keep = random.pick({ true, true, true, false, 'nothing' }),
      }
    end
  end

  local function put(rows, format)
    local lines = {}
    for i, row in ipairs(rows) do
      local keep = row.keep
      if keep == 'nothing' then
        keep = nil
      end
      lines[i] = { user = row.key, at = row.event, created = row.created, gone = row.deleted,
        n = row.arrival, keep = keep }
    end
    space:write('data/rows.msgpack', training.encode('msgpack', COLUMNS, lines))
    if format == 'csv' then
      space:write('data/rows.csv', training.encode('csv', COLUMNS, lines))
    elseif format == 'parquet' then
      handle:copy_file(space:path('data/rows.msgpack'), space:path('data/rows.parquet'))
    end
  end

  -- Rows as the oracle takes them, in `unit`s: those that the filter leaves out are not there.
  local function kept(rows, unit)
    local list = {}
    for _, row in ipairs(rows) do
      if row.deleted or row.keep == true then
        list[#list + 1] = { arrival = row.arrival, key = row.key, deleted = row.deleted,
          event = row.event and unit * row.event, created = row.created and unit * row.created }
      end
    end
    return list
  end

  local function check_value(status, row, got, place)
    local expected = status == 'PRESENT' and { row.arrival * 2, 'row ' .. row.arrival }
      or { msgpack.null, msgpack.null }
    assert.same(expected, { got[1], got[2] }, place)
  end

  local function check_online(name, rows, finish, rule)
    local newest = oracle.latest(kept(rows, 1), { from = 0, to = finish,
      known_matters = rule.as_known })
    local keys = {}
    for key = 1, KEYS do
      keys[key] = key
    end
    local now = math.max(finish, 0) * 1000000
    local answer = handle:get_online_features({ features = { name .. ':*' },
      entities = { user = keys }, include = { 'statuses' }, now = now })
    for key = 1, KEYS do
      local row = newest[key]
      local status = not row and 'NOT_FOUND' or row.deleted and 'DELETED' or 'PRESENT'
      if row and rule.ttl and row.event < finish - rule.ttl then
        status = 'OUTSIDE_MAX_AGE'
      end
      assert.equal(status, answer.statuses[key][1], 'key ' .. key)
      check_value(status, row, answer.rows[key], 'key ' .. key)
    end
  end

  local function check_training(name, rows, now, rule)
    local spine, lines = {}, { 'id,user,event_timestamp' }
    for i = 1, math.random(1, 20) do
      spine[i] = { key = not random.once_in(8) and math.random(KEYS + 1) or nil,
        time = math.random(0, 10 * now + 20) }
      lines[i + 1] = ('%d,%s,%d'):format(i, spine[i].key or '', spine[i].time)
    end
    handle:get_historical_features({ features = { name .. ':*' }, time_unit = 's',
      spine = space:write('spine.csv', table.concat(lines, '\n') .. '\n'), statuses = true,
      output = space:path('out.msgpack') })
    for _, row in ipairs(spine) do
      row.time = SECOND * row.time
    end
    local answers = oracle.asof(spine, kept(rows, SECOND), {
      ttl = rule.ttl and SECOND * rule.ttl, strict = rule.strict, as_known = rule.as_known })
    for i, row in ipairs(training.decode(space:read('out.msgpack'))) do
      assert.equal(answers[i].status, row.double__status, 'row ' .. i)
      check_value(answers[i].status, answers[i].row, { row.double, row.text }, 'row ' .. i)
    end
  end

  it('in training sets and online, run after run', function()
    local number = 0
    random.each(PROJECTS, function()
      number = number + 1
      local name, format = 'stats' .. number, random.pick({ 'csv', 'parquet', 'msgpack' })
      local rule, rows, now, finish = draw_rule(), {}, 0, 0
      repeat -- a Parquet file has columns
        grow(rows, now)
      until #rows > 3
      put(rows, format)
      declare(name, format, rule)
      for _ = 1, math.random(3) do
        now = now + math.random(4)
        finish = math.max(finish, 10 * now - math.random(-9, 20))
        grow(rows, now)
        put(rows, format)
        local counts = handle:materialize_incremental({ finish * 1000000 }).views[1]
        assert.equal(#rows, counts.read)
        check_training(name, rows, now, rule)
        if not rule.as_known and not rule.strict then
          check_online(name, rows, finish, rule)
        end
      end
    end)
  end)

  it('counts the rows that are left out', function()
    local rows = {}
    repeat
      grow(rows, 3)
    until #rows > 60
    put(rows, 'csv')
    declare('counted', 'csv', {})
    local filtered, rejected = 0, 0
    for _, row in ipairs(rows) do
      if row.event and not row.deleted and row.keep ~= true then
        filtered = filtered + 1
      elseif not row.event or not row.key then
        rejected = rejected + 1
      end
    end
    local counts = handle:materialize({ 0, ffi.cast('int64_t', 1e9) }).views[1]
    assert.same({ filtered, rejected, 0 }, { counts.filtered, counts.rejected, counts.failed })
  end)
end)
