-- Pushes through the real program: over a connection, from files, in scripts, and with the server
-- killed in the middle of them.

local mpack = require 'mpack'
local uv = require 'luv'
local cli = require 'spec.support.cli'
local csv = require 'spec.support.csv'
local process = require 'spec.support.process'
local project = require 'spec.support.project'
local servers = require 'spec.support.server'
local wire = require 'spec.support.wire'

local HOUR = 3600 * 1000000
local NOW = 1735689600000000  -- 2025-01-01T00:00:00Z

describe('push', function()
  local p, server

  before_each(function()
    p = project.new({})
    server = nil
  end)

  after_each(function()
    if server then
      server:kill()
    end
    p:remove()
  end)

  local function start(...)
    server = servers.start(p.folder, { args = { ... } })
    return server
  end

  local function push(rows, more)
    local params = { view = 'rates', rows = rows }
    for name, value in pairs(more or {}) do
      params[name] = value
    end
    return server:call('push', params)
  end

  local function rates(...)
    local answer = assert(server:call('get_online_features', {
      features = { 'rates:rate' }, entities = { driver_id = { ... } }, now = NOW + HOUR,
      include = { 'statuses' },
    }))
    local list = {}
    for i, row in ipairs(answer.rows) do
      list[i] = row[1] ~= mpack.NIL and row[1] or answer.statuses[i][1]
    end
    return list
  end

  it('is answered when every request sees it', function()
    start()
    local result = assert(push({
      { driver_id = 1, event_time = NOW, rate = 0.25 },
      { driver_id = 2, event_time = NOW, rate = 0.5 },
      { driver_id = 3, event_time = NOW, deleted = true },
      { driver_id = 'four', event_time = NOW },
    }))
    assert.same({ 3, 0 }, { result.written, result.stale })
    assert.same({
      { index = 3, field = 'driver_id', reason = 'expected int64, got string' },
    }, result.rejected)
    assert.same({ 0.25, 0.5, 'DELETED', 'NOT_FOUND' }, rates(1, 2, 3, 4))
    result = assert(push({ driver_id = { 1 }, event_time = { NOW - 1 }, rate = { 0.75 } }))
    assert.same({ 0, 1 }, { result.written, result.stale })
    assert.same({ 0.25 }, rates(1))
  end)

  it('is never missed while rows go from the log to the store', function()
    start('--threads', '2')
    local reader = server:connect()
    local began, round = uv.hrtime(), 0
    while uv.hrtime() - began < 1.5e9 do  -- several times the pace of applying
      round = round + 1
      local rows = {}
      for id = 1, 20 do
        rows[id] = { driver_id = id, event_time = NOW + round, rate = round }
      end
      assert.equal(20, assert(push(rows)).written)
      local answer = assert(reader:call('get_online_features', {
        features = { 'rates:rate' }, entities = { driver_id = { 1, 7, 20 } }, now = NOW + HOUR,
      }))
      assert.same({ { round }, { round }, { round } }, answer.rows)
    end
    reader:close()
  end)

  it('takes the place of what is offline and gives way to it by the same rule', function()
    p:set_rows({ '1,2024-12-01T00:00:00Z,2024-12-01T00:00:00Z,0.1,1,a',
      '2,2024-12-03T00:00:00Z,2024-12-03T00:00:00Z,0.2,1,b' })
    start()
    assert(push({ { driver_id = 1, event_time = '2024-12-02T00:00:00Z', rate = 0.5 },
      { driver_id = 2, event_time = '2024-12-02T00:00:00Z', rate = 0.5 } }))
    p:materialize('2024-11-01', '2025-01-01')
    assert.same({ 0.5, 0.2 }, rates(1, 2))
  end)

  it('gives way to what another process puts while rows are on their way', function()
    p:set_rows({ '1,2024-12-03T00:00:00Z,2024-12-03T00:00:00Z,0.1,1,a' })
    start()
    local first = 1733011200000000  -- 2024-12-01
    local count = 0
    local function push_one()
      count = count + 1
      return assert(push({ { driver_id = 1, event_time = first + count, rate = count } })).written
    end
    for _ = 1, 50 do
      assert.equal(1, push_one())
    end
    local other = process.spawn(process.TIDEMARK, {
      args = { '-C', p.folder, 'materialize', '2024-11-01', '2025-01-01', '--quiet' },
    })
    repeat  -- so there is always a row of the key on its way
      push_one()
    until other.status
    assert.equal(0, other.status)
    assert.equal(0, push_one())
    assert.same({ 0.1 }, rates(1))
    assert.equal(1, assert(push({ { driver_id = 1, event_time = NOW, rate = 0.5 } })).written)
  end)

  it('keeps what is only for offline use away from online reads', function()
    start()
    local result = assert(push({ { driver_id = 1, event_time = NOW, rate = 0.25 } },
      { to = 'offline' }))
    assert.same({ 1, 0 }, { result.written, result.stale })
    assert.same({ 'NOT_FOUND' }, rates(1))
  end)

  it('answers many pipelined requests, each with its own', function()
    start()
    local connection = server:connect()
    local answers, count = {}, 300
    for i = 1, count do
      connection:request('push', {
        view = 'rates', rows = { { driver_id = i, event_time = NOW, rate = i } },
      }, function(err, result)
        answers[#answers + 1] = { err, result }
      end)
    end
    process.wait(function()
      return #answers == count
    end, 'all answers')
    for _, answer in ipairs(answers) do
      assert.equal(1, answer[2].written)
    end
    assert.same({ 1, 150, 300 }, rates(1, 150, 300))
    connection:close()
  end)

  it('is answered before a connection is ended for what came behind it', function()
    start()
    local raw = wire.open(server.address)
    raw:write(wire.request(1, 'push',
      { view = 'rates', rows = { { driver_id = 1, event_time = NOW, rate = 0.5 } } })
      .. wire.request(2, 'push',
        { view = 'rates', rows = { { driver_id = 2, event_time = NOW, rate = 0.5 } } })
      .. '\148\0\3\161a\193')
    raw:shutdown()
    local answers = {}
    for _, answer in ipairs(raw:answers(3)) do
      answers[answer[2]] = answer
    end
    assert.same({ 1, 1 }, { answers[1][4].written, answers[2][4].written })
    assert.equal(12, answers[3][3][1])
    assert.equal('', raw:rest())
    raw:close()
  end)

  it('reports requests that make no sense', function()
    start()
    local function fails(params)
      local result, failure = server:call('push', params)
      assert.is_nil(result)
      return failure[2]
    end
    assert.equal('unknown feature_view "rate", did you mean "rates"?',
      fails({ view = 'rate', rows = { {} } }))
    assert.equal('feature_view "rates" has no field "driver", did you mean "driver_id"?',
      fails({ view = 'rates', rows = { driver = { 1 } } }))
    assert.equal('unknown to "of": expected one of "online", "offline", "both"',
      fails({ view = 'rates', rows = { {} }, to = 'of' }))
  end)

  it('takes a file, and says which rows it did not take', function()
    local file = p.space:write('new.csv', table.concat({
      'driver_id,event_timestamp,rate', '1,2024-12-31T23:00:00Z,0.25', ',2024-12-31T23:00:00Z,0.5',
      '2,,0.5', '' }, '\n'))
    local result = p:run('push', 'rates', file, '--format', 'csv')
    assert.equal(1, result.status)
    assert.same({ { view = 'rates', read = '3', written = '1', stale = '0', filtered = '0',
      rejected = '2' } },
      csv.parse(result.stdout))
    assert.equal(file .. ':row 2:driver_id: the key is null\n'
      .. file .. ':row 3:event_time: the event time is not given\n', result.stderr)
    assert.equal('0.25', p:online('driver_id=1', '--now', '2025-01-01')[1].rate)

    start()
    assert.matches('in use by another process, pid ' .. server.pid .. ': push through that server',
      p:fails('push', 'rates', file), 1, true)
    result = p:run('push', 'rates', file, '--format', 'csv', '--connect', server.address)
    assert.equal('1', csv.parse(result.stdout)[1].written)
    assert.same({ 0.25 }, rates(1))
  end)

  it('leaves rows of a file out whose values are of a wrong type, and says which', function()
    local lines = { 'driver_id,event_timestamp,rate,trips' }
    for i = 1, 2500 do
      lines[i + 1] = i .. ',2024-12-31T23:00:00Z,0.25,' .. i
    end
    lines[2 + 1] = '2,2024-12-31T23:00:00Z,fast,2'
    lines[1500 + 1] = 'x,2024-12-31T23:00:00Z,0.5,1500'
    lines[1501 + 1] = ',2024-12-31T23:00:00Z,0.5,1501'
    lines[2400 + 1] = '2400,yesterday,0.5,many'
    local file = p.space:write('new.csv', table.concat(lines, '\n') .. '\n')
    local result = p:run('push', 'rates', file, '--format', 'csv')
    assert.equal(1, result.status)
    assert.same({ view = 'rates', read = '2500', written = '2496', stale = '0', filtered = '0',
      rejected = '4' },
      csv.parse(result.stdout)[1])
    local told = {}
    for line in result.stderr:gmatch('[^\n]+') do
      if line:sub(1, #file) == file then  -- not the progress of a slow machine
        told[#told + 1] = line:sub(#file + 2)
      end
    end
    table.sort(told)
    assert.equal(5, #told, result.stderr)
    assert.same({
      'row 1500: field "driver_id": expected int64, got "x"',
      'row 1501:driver_id: the key is null',
      'row 2400: field "event_time": expected timestamp, got "yesterday"',
      'row 2400: field "trips": expected int64, got "many"',
      'row 2: field "rate": expected float64, got "fast"',
    }, told)
    assert.same({ '3', 'NOT_FOUND', '2499' }, (function()
      local rows = p:online('driver_id=3,2,2499', '--now', '2025-01-01')
      return { rows[1].trips, rows[2].trips__status, rows[3].trips }
    end)())
  end)

  it('refuses a file with a column that nobody knows, not with one of the source', function()
    local file = p.space:write('new.csv',
      'driver_id,event_timestamp,rate,trip\n1,2024-12-31T23:00:00Z,0.25,7\n')
    assert.equal('error: ' .. file .. ' has a column "trip", which neither feature_view "rates" '
      .. 'nor its source has, did you mean "trips"?\n', p:fails('push', 'rates', file))
    p:set_rows({}, 'driver_id,event_timestamp,created,rate,trips,city,trip')
    assert.matches('rates', p:must('push', 'rates', file))
  end)

  -- It "had no column driver_id".
  it('takes a file of JSON or msgpack without rows', function()
    for name, text in pairs({ ['none.json'] = '[]', ['none.jsonl'] = '', ['none.msgpack'] = '' }) do
      p:write(name, text)
      p:must('push', 'rates', p:path(name))
    end
    p:write('none.msgpack', '\x80')
    assert.matches('there is no column "driver_id"',
      p:fails('push', 'rates', p:path('none.msgpack')), 1, true)
  end)

  it('refuses a file without any feature, and names a view that does not exist', function()
    local file = p.space:write('keys.csv', 'driver_id,event_timestamp\n1,2025-01-01T00:00:00Z\n')
    assert.equal('error: ' .. file .. ' has keys and times but no feature: is it the right file?\n',
      p:fails('push', 'rates', file))
    assert.equal('error: unknown feature_view "rats", did you mean "rates"?\n',
      p:fails('push', 'rats', file))
  end)

  it('is there for scripts', function()
    local script = p.space:write('push.lua', [[
      local tidemark = require 'tidemark'
      local project = tidemark.open(...)
      local result = project:push('rates', {
        { driver_id = 1, event_time = '2024-12-31T23:00:00Z', rate = 0.25 },
        { driver_id = 2 },
      })
      print(result.written, result.stale, #result.rejected, result.rejected[1].reason)
      project:close()
    ]])
    assert.equal('1\t0\t1\tthe event time is not given\n', cli.must({ 'run', script, p.folder }))
    assert.equal('0.25', p:online('driver_id=1', '--now', '2025-01-01')[1].rate)
  end)

  it('is done before a server that is told to stop ends', function()
    start()
    for i = 1, 50 do
      assert(push({ { driver_id = i, event_time = NOW, rate = i } }))
    end
    assert.equal(0, (server:stop()))
    assert.equal('50.0', p:online('driver_id=50', '--now', '2025-01-01T01:00:00Z')[1].rate)
  end)

  -- Kills servers in the middle of pushes over and over, and looks for every acknowledged row.
  local function survives_kills(times, ...)
    local acknowledged, sent = {}, 0
    for _ = 1, times do
      start(...)
      local connection = server:connect()
      local open, wanted = 0, math.random(1, 30)
      local function send()
        sent = sent + 1
        local rows, first = {}, sent * 100
        for i = 1, math.random(1, 40) do
          rows[i] = { driver_id = first + i, event_time = NOW, rate = sent, city = ('c'):rep(200) }
        end
        open = open + 1
        connection:request('push', { view = 'rates', rows = rows }, function(_, result)
          open = open - 1
          if result and result ~= mpack.NIL then
            assert(result.written == #rows)
            acknowledged[#acknowledged + 1] = { first, #rows, rows[1].rate }
            wanted = wanted - 1
            send()
          end
        end)
      end
      for _ = 1, 4 do
        send()
      end
      process.wait(function()
        return wanted <= 0
      end, 'acknowledgements')
      server:kill()
      connection:close()
    end

    start()
    for _, push_done in ipairs(acknowledged) do
      local ids = {}
      for i = 1, push_done[2] do
        ids[i] = push_done[1] + i
      end
      for _, rate in ipairs(rates(unpack(ids))) do
        assert.equal(push_done[3], rate)
      end
    end
    -- Nothing is half there: what was not acknowledged is whole or not there at all.
    local some = {}
    for number = 1, sent do
      some[#some + 1] = number * 100 + 1
    end
    for at = 1, #some, 1000 do
      local list = rates(unpack(some, at, math.min(at + 999, #some)))
      for i, rate in ipairs(list) do
        assert(rate == at + i - 1 or rate == 'NOT_FOUND')
      end
    end
    assert(#acknowledged >= times)
    uv.run('nowait')
  end

  it('loses nothing that was acknowledged when the server is killed, 50 times', function()
    survives_kills(50)
  end)

  it('loses nothing either where only the machine could: relaxed, 10 times', function()
    survives_kills(10, '--durability', 'relaxed', '--threads', '2')
  end)

  it('takes relaxed pushes of many connections at once, and none is late for a read', function()
    start('--durability', 'relaxed', '--threads', '2')
    local answers, count = 0, 0
    local connections = {}
    for i = 1, 8 do
      local connection = server:connect()
      connections[i] = connection
      for round = 1, 50 do
        count = count + 1
        connection:request('push', {
          view = 'rates', rows = { { driver_id = i, event_time = NOW + round, rate = round } },
        }, function(_, result)
          answers = answers + result.written
        end)
      end
    end
    process.wait(function()
      return answers == count
    end, 'all answers')
    assert.same({ 50, 50, 50, 50, 50, 50, 50, 50 }, rates(1, 2, 3, 4, 5, 6, 7, 8))
    for _, connection in ipairs(connections) do
      connection:close()
    end
    assert.equal(0, (server:stop()))
    assert.equal('50.0', p:online('driver_id=8', '--now', '2025-01-01T01:00:00Z')[1].rate)
  end)
end)
