-- On-demand views: computed from stored features and the request, in training sets and at serving.

local mpack = require 'mpack'
local blueprints = require 'spec.support.blueprints'
local cli = require 'spec.support.cli'
local projects = require 'spec.support.project'
local servers = require 'spec.support.server'
local tidemark = require 'tidemark'

local INVALID, NOT_FOUND = 3, 4

local ROWS = {
  '1,2021-04-12T07:00:00Z,2021-04-12T07:00:00Z,0.5,10,Paris',
  '2,2021-04-12T07:00:00Z,2021-04-12T07:00:00Z,,4,Rome',
}

local VIEWS = [[
on_demand_feature_view 'fare' {
  inputs = { 'rates:rate', 'rates:trips' },
  request = { float64 'km', int64 'seats' },
  features = { float64 'price', string 'label' },
  transform = function(row)
    return {
      price = row.km and row.km * (row.rate or 1),
      label = ('%d trips, %s seats'):format(row.trips or 0, row.seats or 'any'),
    }
  end,
}

on_demand_feature_view 'tip' {
  inputs = { 'fare:price' },
  features = { float64 'tip' },
  transform = function(row)
    return { tip = row.price and row.price * 10 }
  end,
}

on_demand_feature_view 'twice' {
  request = { int64 'number', string 'text' },
  features = { int64 'double', string 'long' },
  transform = function(row)
    return { double = row.number and row.number * 2, long = row.text and row.text .. row.text }
  end,
}

on_demand_feature_view 'roots' {
  request = { float64 'km' },
  features = { float64 'root' },
  on_error = 'null',
  transform = function(row)
    if row.km and row.km < 0 then
      error('no root of a negative number')
    end
    return { root = row.km and math.sqrt(row.km) }
  end,
}

on_demand_feature_view 'strict' {
  request = { float64 'km' },
  features = { float64 'even' },
  transform = function(row)
    if row.km < 0 then
      error('a negative distance')
    end
    return { even = row.km * 2 }
  end,
}

feature_service 'pricing' { features = { 'fare:*', 'rates:city', 'tip:tip' } }
]]

local DEFINITION = blueprints.driver() .. VIEWS
local NOW = '2021-04-13T00:00:00Z'

-- The line of VIEWS that has `text`, in the definition file.
local function line_of(text)
  local before = DEFINITION:sub(1, DEFINITION:find(text, 1, true))
  return select(2, before:gsub('\n', '')) + 1
end

describe('on-demand views in training sets', function()
  local p

  setup(function()
    p = projects.new({ rows = ROWS, definition = DEFINITION })
  end)

  teardown(function()
    p:remove()
  end)

  local SPINE = { 'driver_id,event_timestamp,km,seats,note', '1,2021-04-13,3,2,a',
    '2,2021-04-13,1.5,,b', '3,2021-04-13,,1,c', ',2021-04-13,2,2,d' }

  it('are computed from features that were not asked for and from columns of the spine', function()
    local rows, header = p:history(SPINE, '--features', 'fare:*')
    assert.same({ 'driver_id', 'event_timestamp', 'km', 'seats', 'note', 'price', 'label' }, header)
    assert.same({ '1.5', '10 trips, 2 seats', '3', '2', 'a' },
      { rows[1].price, rows[1].label, rows[1].km, rows[1].seats, rows[1].note })
    assert.same({ '1.5', '4 trips, any seats' }, { rows[2].price, rows[2].label })
    assert.is_nil(rows[3].price)
    assert.equal('0 trips, 1 seats', rows[3].label)
    assert.equal('2.0', rows[4].price)
    assert.equal(4, #rows)
  end)

  it('are computed one from the other, in a service among stored features', function()
    local rows, header = p:history(SPINE, '--service', 'pricing')
    assert.same({ 'driver_id', 'event_timestamp', 'km', 'seats', 'note', 'price', 'label', 'city',
      'tip' }, header)
    assert.same({ '15.0', 'Paris' }, { rows[1].tip, rows[1].city })
    assert.is_nil(rows[3].tip)
    rows = p:history(SPINE, '--features', 'tip:*')
    assert.equal('15.0', rows[1].tip)
    assert.is_nil(rows[1].price)
  end)

  it('need nothing but the spine where they have no inputs', function()
    local rows, header = p:history({ 'event_timestamp,number,text', '2021-04-13,4,é',
      '2021-04-13,,""', ',-1,' }, '--features', 'twice:*')
    assert.same({ 'event_timestamp', 'number', 'text', 'double', 'long' }, header)
    assert.same({ '8', 'éé' }, { rows[1].double, rows[1].long })
    assert.same({ nil, '' }, { rows[2].double, rows[2].long })
    assert.equal('-2', rows[3].double)
    assert.is_nil(rows[3].long)
  end)

  it('have statuses, and no event times', function()
    local rows, header = p:history({ 'driver_id,event_timestamp,km,seats', '1,2021-04-13,4,1',
      '1,2021-04-13,-4,1', '1,2021-04-13,,1' }, '--features', 'roots:root,tip:tip,rates:city',
      '--statuses', '--event-timestamps')
    assert.same({ 'driver_id', 'event_timestamp', 'km', 'seats', 'root', 'root__status', 'tip',
      'tip__status', 'city', 'city__status', 'rates__event_timestamp' }, header)
    assert.same({ '2.0', 'PRESENT', 'PRESENT', 'PRESENT' }, { rows[1].root, rows[1].root__status,
      rows[1].tip__status, rows[1].city__status })
    assert.equal('ERROR', rows[2].root__status)
    assert.is_nil(rows[2].root)
    assert.same({ 'NULL_VALUE', 'NULL_VALUE' }, { rows[3].root__status, rows[3].tip__status })
    header = select(2, p:history(SPINE, '--features', 'tip:tip', '--event-timestamps'))
    assert.same({ 'driver_id', 'event_timestamp', 'km', 'seats', 'note', 'tip' }, header)
  end)

  it('say how many rows failed', function()
    local spine = p:write('failing.csv', 'event_timestamp,km\n2021-04-13,-1\n2021-04-13,4\n'
      .. '2021-04-13,-2\n')
    local answer = tidemark.open(p.folder):get_historical_features({
      spine = spine, output = p:path('failing.jsonl'), features = { 'roots:root' },
    })
    assert.same({ { view = 'roots', failed = 2 } }, answer.on_demand)
    local result = p:run('get-historical-features', '--spine', spine, '-o', p:path('out.csv'),
      '-f', 'roots:root')
    assert.truthy(result.stderr:find('roots: 2 rows failed', 1, true), result.stderr)
  end)

  it('end with the row that fails, its number in the spine and the place', function()
    local lines = { 'event_timestamp,km' }
    for i = 1, 5000 do
      lines[i + 1] = '2021-04-13,' .. (i == 4321 and -1 or i)
    end
    p:write('long.csv', table.concat(lines, '\n') .. '\n')
    local message = p:fails('get-historical-features', '--spine', p:path('long.csv'), '-o',
      p:path('no.csv'), '-f', 'strict:even')
    for _, part in ipairs { 'on_demand_feature_view "strict"', 'row 4321 of the spine',
      'a negative distance', ('definitions/rows.lua:%d'):format(line_of("'a negative distance'")),
      'long.csv' } do
      assert.truthy(message:find(part, 1, true), message)
    end
    assert.is_nil(io.open(p:path('no.csv')))
  end)

  it('name the columns that the spine lacks', function()
    local function fails(header, features)
      p:write('lacking.csv', header .. '\n')
      return p:fails('get-historical-features', '--spine', p:path('lacking.csv'), '-o',
        p:path('no.csv'), '-f', features)
    end
    local message = fails('driver_id,event_timestamp,km,seat', 'fare:price')
    assert.truthy(message:find('the spine has no column "seats" (did you mean "seat"?): it is '
      .. 'int64 of the request of on_demand_feature_view "fare"', 1, true), message)
    message = fails('driver_id,event_timestamp', 'tip:tip,twice:long')
    for _, name in ipairs { '"km"', '"seats"', '"number"', '"text"' } do
      assert.truthy(message:find(name, 1, true), message)
    end
    message = fails('event_timestamp,km,seats', 'fare:price')
    assert.truthy(message:find('the spine has no column "driver_id"', 1, true), message)
  end)

  it('take values of the declared type only', function()
    p:write('wrong.csv', 'event_timestamp,km\n2021-04-13,2\n2021-04-13,far\n')
    local message = p:fails('get-historical-features', '--spine', p:path('wrong.csv'), '-o',
      p:path('no.csv'), '-f', 'roots:root')
    for _, part in ipairs { 'wrong.csv', 'row 2', 'km', 'far' } do
      assert.truthy(message:find(part, 1, true), message)
    end
  end)

  it('fail a number that Lua cannot hold', function()
    p:write('big.csv', 'event_timestamp,number,text\n2021-04-13,9007199254740993,a\n')
    local message = p:fails('get-historical-features', '--spine', p:path('big.csv'), '-o',
      p:path('no.csv'), '-f', 'twice:double')
    assert.truthy(message:find('9007199254740993', 1, true), message)
    assert.truthy(message:find('row 1 of the spine', 1, true), message)
  end)

  it('name columns as other views do', function()
    local _, header = p:history({ 'event_timestamp,km,root', '2021-04-13,1,x' },
      '--features', 'roots:root')
    assert.same({ 'event_timestamp', 'km', 'root', 'roots__root' }, header)
    _, header = p:history({ 'event_timestamp,km', '2021-04-13,1' }, '--features', 'roots:root',
      '--full-feature-names')
    assert.same({ 'event_timestamp', 'km', 'roots__root' }, header)
  end)

  it('take the keys of hidden views from other columns', function()
    local rows = p:history({ 'who,event_timestamp,km,seats', '1,2021-04-13,3,2' },
      '--features', 'fare:price', '--map', 'rates.driver_id=who')
    assert.equal('1.5', rows[1].price)
  end)

  -- Trains on `count` rows whose text has `size` bytes; returns a function that does so again.
  local function trainer(count, size, features)
    local long = ('t'):rep(size)
    local lines = { 'driver_id,event_timestamp,km,seats,number,text' }
    for i = 1, count do
      lines[i + 1] = ('%d,2021-04-13T00:00:00Z,%s,%s,%d,%s %d'):format(i % 4,
        i % 7 == 0 and '' or i + 0.125, i % 5 == 0 and '' or i % 9, i, long, i % 100)
    end
    p:write('many.csv', table.concat(lines, '\n') .. '\n')
    return function(to, ...)
      local result = p:run('get-historical-features', '--spine', p:path('many.csv'), '-o',
        p:path(to), '-f', features, '--statuses', ...)
      assert.equal(0, result.status, result.stderr)
      return p:read(to), result.stderr
    end
  end

  it('are the same bytes in every format and on any threads', function()
    local train = trainer(10000, 20, 'fare:*,tip:*,rates:city,twice:*,roots:*')
    local expected = train('many_out.csv')
    assert.is_true(expected == train('one.csv', '--threads', '1'), 'threads')
    p:write('copy.lua', "require('tidemark').copy_file(arg[1], arg[2])")
    for _, format in ipairs { 'parquet', 'jsonl', 'msgpack' } do
      train('many_out.' .. format)
      cli.must({ 'run', p:path('copy.lua'), p:path('many_out.' .. format), p:path('back.csv') })
      assert.is_true(expected == p:read('back.csv'), format)
    end
  end)

  it('are the same bytes when the spine is taken in parts', function()
    local train = trainer(9000, 9000, 'twice:double,twice:long,tip:tip')
    local parts, told = train('parts.csv', '--memory', '192MiB')
    assert.is_true(train('whole.csv') == parts)
    assert.truthy(told:find('spine in %d+ parts'), told)
  end)
end)

describe('an on-demand view of features that are not kept online', function()
  it('says so with its name, and which view is not', function()
    local p = projects.new({
      rows = ROWS,
      definition = DEFINITION:gsub('feature_view "rates" {', '%0 online = false,', 1),
    })
    p:must('apply', '--quiet')
    local server = servers.start(p.folder)
    finally(function()
      server:stop()
      p:remove()
    end)
    local _, err = server:call('get_online_features',
      { features = { 'tip:tip' }, entities = { driver_id = 1 }, request = { km = 1, seats = 1 } })
    assert.matches('^on_demand_feature_view "fare" needs it: feature_view "rates" is not kept '
      .. 'online %(online = false in [^)]+%): leave it out here', err[2])
    assert.equal(INVALID, err[1])
  end)
end)

describe('on-demand views at serving', function()
  local p, server

  setup(function()
    p = projects.new({ rows = ROWS, definition = DEFINITION })
    p:materialize('2021-04-01', '2021-05-01')
    server = servers.start(p.folder)
  end)

  teardown(function()
    server:stop()
    p:remove()
  end)

  local function ask(params)
    params.now = params.now or NOW
    return server:call('get_online_features', params)
  end

  it('are computed from stored features and the request', function()
    local answer = ask { service = 'pricing', entities = { driver_id = { 1, 2, 3 } },
      request = { km = { 3, 1.5, mpack.NIL }, seats = { 2, mpack.NIL, 1 } } }
    assert.same({ names = { 'price', 'label', 'city', 'tip' }, rows = {
      { 1.5, '10 trips, 2 seats', 'Paris', 15 },
      { 1.5, '4 trips, any seats', 'Rome', 15 },
      { mpack.NIL, '0 trips, 1 seats', mpack.NIL, mpack.NIL },
    } }, answer)
    answer = ask { features = { 'rates:rate', 'tip:*', 'rates:trips', 'rates:city', 'fare:label' },
      entities = { { driver_id = 2 }, { driver_id = 1 } },
      request = { { km = 1, seats = 1 }, { seats = 2, km = 4 } } }
    assert.same({ names = { 'rate', 'tip', 'trips', 'city', 'label' }, rows = {
      { mpack.NIL, 10, 4, 'Rome', '4 trips, 1 seats' },
      { 0.5, 20, 10, 'Paris', '10 trips, 2 seats' },
    } }, answer)
  end)

  it('need no entities where they have no inputs', function()
    assert.same({ names = { 'double', 'long' }, rows = { { 6, 'abab' }, { mpack.NIL, '' } } },
      ask { features = { 'twice:*' }, request = { number = { 3, mpack.NIL },
        text = { 'ab', '' } } })
    assert.same({ { 14, mpack.NIL } }, ask { features = { 'twice:*' }, entities = {},
      request = { number = 7, text = mpack.NIL } }.rows)
    assert.same({}, ask { features = { 'twice:*' }, request = { number = {}, text = {} } }.rows)
  end)

  it('have statuses, and no event times', function()
    local answer = ask { features = { 'roots:root', 'rates:rate', 'fare:price' },
      entities = { driver_id = { 1, 2, 3 } },
      request = { km = { -4, 4, mpack.NIL }, seats = { 1, 1, 1 } },
      include = { 'statuses', 'event_timestamps' } }
    assert.same({ { mpack.NIL, 0.5, -2 }, { 2, mpack.NIL, 4 },
      { mpack.NIL, mpack.NIL, mpack.NIL } }, answer.rows)
    assert.same({ { 'ERROR', 'PRESENT', 'PRESENT' }, { 'PRESENT', 'NULL_VALUE', 'PRESENT' },
      { 'NULL_VALUE', 'NOT_FOUND', 'NULL_VALUE' } }, answer.statuses)
    local time = tidemark.time('2021-04-12T07:00:00Z')
    assert.same({ { mpack.NIL, time, mpack.NIL }, { mpack.NIL, time, mpack.NIL },
      { mpack.NIL, mpack.NIL, mpack.NIL } }, answer.event_timestamps)
  end)

  it('count rows that failed', function()
    local function failed()
      return server:call('metrics').counters.failed
    end
    local before = failed()
    ask { features = { 'roots:root' }, request = { km = { -1, 2, -3 } } }
    assert.equal(before + 2, failed())
  end)

  it('fail a request with the view, the row and the place, and others go on', function()
    local _, err = ask { features = { 'strict:even' }, request = { km = { 1, 2, -1, 4 } } }
    for _, part in ipairs { 'on_demand_feature_view "strict"', 'row 2 of the request',
      'a negative distance',
      ('definitions/rows.lua:%d'):format(line_of("'a negative distance'")) } do
      assert.truthy(err[2]:find(part, 1, true), err[2])
    end
    _, err = ask { features = { 'strict:even' }, request = { km = { mpack.NIL } } }
    assert.truthy(err[2]:find('row 0 of the request', 1, true), err[2])
    assert.same({ { 6 } }, ask { features = { 'strict:even' }, request = { km = 3 } }.rows)
  end)

  -- What is wrong with a request, and where.
  local FARE = { 'fare:price' }
  local MISTAKES = {
    { { features = FARE, entities = { driver_id = 1 } },
      'these features need the request columns "km", "seats"', 'request.km' },
    { { features = FARE, entities = { driver_id = 1 }, request = { km = 1 } },
      'these features need the request column "seats"', 'request.seats' },
    { { features = FARE, entities = { driver_id = 1 }, request = { { km = 1 } } },
      'these features need the request column "seats"', 'request[0].seats' },
    { { features = FARE, entities = { driver_id = 1 }, request = { km = 1, seat = 1 } },
      'unknown request column "seat", did you mean "seats"?', 'request.seat' },
    { { features = FARE, entities = { driver_id = 1, km = 1 }, request = { seats = 1 } },
      '"km" belongs into request', 'entities.km' },
    { { features = FARE, entities = { driver_id = 1 }, request = { driver_id = 1 } },
      '"driver_id" belongs into entities', 'request.driver_id' },
    { { features = FARE, request = { km = 1, seats = 1 } },
      'get_online_features needs entities, a map of columns or a list of maps', 'entities' },
    { { features = FARE, entities = { driver_id = { 1, 2 } },
        request = { km = { 1, 2 }, seats = { 1, 2, 3 } } },
      'column "seats" has 3 rows, but "driver_id" has 2', 'request.seats' },
    { { features = FARE, entities = { driver_id = { 1, 2 } }, request = { { km = 1, seats = 1 } } },
      '"request" has 1 row, but "driver_id" has 2', 'request' },
    { { features = FARE, entities = { driver_id = { 1, 2 } },
        request = { km = { 1, 'far' }, seats = { 1, 2 } } },
      'expected float64, got string', 'request.km[1]' },
    { { features = FARE, entities = { driver_id = { 1 } },
        request = { km = { 1 }, seats = { 1.5 } } },
      'the number is not one of int64', 'request.seats[0]' },
    { { features = FARE, entities = { driver_id = 1 }, request = { km = 1, seats = { { 1 } } } },
      'expected int64, got list', 'request.seats[0]' },
    { { features = { 'rates:rate' }, entities = { driver_id = 1 }, request = { km = 1 } },
      'unknown request column "km": these features need none', 'request.km' },
    { { features = { 'twice:*' }, request = { number = 1, text = '\255' } },
      'the string is not UTF-8', 'request.text[0]' },
    { { features = { 'twice:*' }, entities = { driver_id = 1 },
        request = { number = 1, text = 'a' } },
      'unknown entity column "driver_id": these features need none', 'entities.driver_id' },
    { { features = { 'fare@role:price' }, entities = { driver_id = 1 } }, nil, 'features[0]' },
    { { features = { 'fare:prize' }, entities = { driver_id = 1 } },
      'on_demand_feature_view "fare": unknown feature "prize", did you mean "price"?',
      'features[0]', NOT_FOUND },
  }
  for i, case in ipairs(MISTAKES) do
    it(('refuse a request (%d): %s'):format(i, case[2] or case[3]), function()
      local result, err = ask(case[1])
      assert.is_nil(result)
      assert.equal(case[4] or INVALID, err[1], err[2])
      if case[2] then
        assert.equal(case[2], err[2])
      end
      assert.equal(case[3], err[3].where)
    end)
  end

  it('are asked for by the command line', function()
    local text = p:must('get-online-features', '-e', 'driver_id=1,2', '-r', 'km=3,', '-r',
      'seats=2,1', '--service', 'pricing', '--now', NOW, '--format', 'csv')
    assert.equal('driver_id,price,label,city,tip\n1,1.5,"10 trips, 2 seats",Paris,15.0\n'
      .. '2,,"4 trips, 1 seats",Rome,\n', text)
    text = p:must('get-online-features', '-r', 'number=4', '-r', 'text=007', '-f', 'twice:*',
      '--format', 'csv', '--connect', server.address)
    assert.equal('double,long\n8,007007\n', text)
    local message = p:run('get-online-features', '-r', 'number=four', '-r', 'text=a', '-f',
      'twice:*').stderr
    assert.truthy(message:find('-r number[1]: expected int64, got "four"', 1, true), message)
    message = p:fails('get-online-features', '-e', 'driver_id=1', '-f', 'fare:price')
    assert.truthy(message:find('these features need the request columns "km", "seats"', 1, true),
      message)
  end)

  it('are asked for by clients of ours', function()
    local connection = tidemark.connect(server.address)
    finally(function()
      connection:close()
    end)
    assert.same({ { 1.5, 15 } }, connection:get_online_features({
      features = { 'fare:price', 'tip:tip' }, entities = { driver_id = { 1 } },
      request = { km = { 3 }, seats = { tidemark.null } },
    }).rows)
    local project = tidemark.open(p.folder)
    assert.same({ { 1.5 } }, project:get_online_features({
      features = { 'fare:price' }, entities = { { driver_id = 1 } },
      request = { { km = 3, seats = 1 } },
    }).rows)
  end)

  it('are told of: what a request needs', function()
    local tip = server:call('describe', { name = 'tip' })
    assert.same({ { name = 'driver_id', type = 'int64' } }, tip.keys)
    assert.same({ { name = 'km', column = 'km', type = 'float64', doc = '' },
      { name = 'seats', column = 'seats', type = 'int64', doc = '' } }, tip.request)
    local service = server:call('describe', { name = 'pricing' })
    assert.same({ { name = 'km', type = 'float64' }, { name = 'seats', type = 'int64' } },
      service.request)
    assert.equal('driver_id', service.keys[1].name)
  end)

  it('are those of the last apply', function()
    local q = projects.new({ rows = ROWS, definition = DEFINITION })
    local other = servers.start(q.folder)
    finally(function()
      other:stop()
      q:remove()
    end)
    local function even()
      return other:call('get_online_features',
        { features = { 'strict:even' }, request = { km = 3 } }).rows[1][1]
    end
    assert.equal(6, even())
    q:write('definitions/rows.lua', (DEFINITION:gsub('row.km %* 2', 'row.km * 3')))
    q:must('apply')
    assert.equal(9, even())
  end)
end)
