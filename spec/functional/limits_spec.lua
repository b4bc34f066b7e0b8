-- The bounds of a server: what happens at each, and that others do not notice.

local mpack = require 'mpack'
local uv = require 'luv'
local eventually = require 'spec.support.eventually'
local process = require 'spec.support.process'
local projects = require 'spec.support.project'
local servers = require 'spec.support.server'
local wire = require 'spec.support.wire'

local ROWS = { '1001,2021-04-12T07:00:00Z,2021-04-12T07:00:00Z,0.5,10,Paris' }
local NOW = '2021-04-13T00:00:00Z'
local LIMIT, UNAVAILABLE = 10, 11

local function numbers(count)
  local list = {}
  for i = 1, count do
    list[i] = i
  end
  return list
end

local function online(id, ids)
  return wire.request(id, 'get_online_features',
    { service = 'ranking', entities = { driver_id = ids }, now = NOW, include = { 'statuses' } })
end

-- Resident memory of a process in bytes.
local function resident(pid)
  local file = assert(io.open(('/proc/%d/statm'):format(pid)))
  local pages = file:read('*a'):match('^%d+ (%d+)')
  file:close()
  return tonumber(pages) * 4096
end

describe('a bound', function()
  local project, server, opened

  setup(function()
    project = projects.new({ rows = ROWS })
    project:materialize('2021-04-01', '2021-05-01')
  end)

  teardown(function()
    project:remove()
  end)

  before_each(function()
    opened = {}
  end)

  after_each(function()
    for _, raw in ipairs(opened) do
      raw:close()
    end
    server:stop()
  end)

  local function start(...)
    server = servers.start(project.folder, { args = { ... } })
  end

  local function connect(deaf)
    opened[#opened + 1] = wire.open(server.address, deaf)
    return opened[#opened]
  end

  local function counters()
    return server:call('metrics').counters
  end

  it('on connections answers the one too many with an error, and holds for all threads', function()
    start('--max-connections', '3', '--threads', '2')
    for _ = 1, 3 do
      local raw = connect()
      raw:write(wire.request(1, 'health'))
      raw:answers(1)
    end
    local extra = connect()
    extra:write(wire.request(9, 'health') .. wire.request(10, 'health'))
    local answer = extra:answers(1)[1]
    assert.same({ 1, 9, LIMIT }, { answer[1], answer[2], answer[3][1] })
    assert.matches('^the server has as many connections as it may have', answer[3][2])
    assert.equal('', extra:rest())
    -- Room is there again when one leaves.
    opened[1]:close()
    table.remove(opened, 1)
    local value = eventually(function()
      local raw = connect()
      raw:write(wire.request(1, 'metrics'))
      local result = raw:answers(1)[1]
      if result[3] ~= mpack.NIL then
        raw:close()
      end
      return result[3] == mpack.NIL and result[4]
    end, 'room for another connection')
    assert(value.counters.refused >= 1 and value.connections <= 3 + value.counters.refused)
  end)

  it('on rows is what --max-rows says', function()
    start('--max-rows', '5')
    local raw = connect()
    raw:write(online(1, numbers(5)) .. online(2, numbers(6)))
    local answers = raw:answers(2)
    assert.equal(5, #answers[1][4].rows)
    assert.same({ LIMIT, '6 rows in one request, at most 5 are allowed: send several' },
      { answers[2][3][1], answers[2][3][2] })
    assert.equal(5, server:call('hello').limits.max_rows)
  end)

  it('on silence closes the silent, not the busy', function()
    start('--idle-seconds', '1')
    local silent, busy = connect(), connect()
    local again = uv.new_timer()
    again:start(0, 100, function()
      busy:write(wire.request(1, 'health'))
    end)
    finally(function()
      again:close()
    end)
    assert.equal('', silent:rest())
    assert.is_false(busy.ended)
    assert(counters().closed_idle >= 1)
  end)

  it('on output cuts off a reader that lets answers pile up', function()
    start('--max-output', '100000', '--stall-seconds', '1', '--threads', '1')
    local deaf = connect(true)
    -- About 80 kB each: more than the system's buffers hold, in all. Either too much waits at
    -- once, or the server stops reading and nothing moves any more.
    local request = online(1, numbers(2200))
    deaf:write(request:rep(200))
    eventually(function()
      return counters().closed_slow == 1
    end, 'the slow reader to be cut off')
    assert.equal(1, server:call('metrics').connections)
  end)

  it('on waiting refuses what is begun too late', function()
    start('--max-wait-ms', '1', '--threads', '1')
    local raw = connect()
    raw:write(online(1, numbers(5000)):rep(60))
    local done, late = 0, 0
    for _, answer in ipairs(raw:answers(60)) do
      if answer[3] == mpack.NIL then
        done = done + 1
      else
        assert.equal(UNAVAILABLE, answer[3][1])
        assert.matches('^the request had to wait longer than 1 ms', answer[3][2])
        late = late + 1
      end
    end
    assert(done > 0 and late > 0, ('%d done, %d late'):format(done, late))
    assert.equal(late, counters().overdue)
    raw:write(online(1, { 1001 }))
    assert.same({ { 0.5, 10, 'Paris' } }, raw:answers(1)[1][4].rows)
  end)

  it('on memory: 1,000 silent connections cost little, and nobody notices them', function()
    start('--threads', '2')
    server:call('get_online_features',
      { service = 'ranking', entities = { driver_id = 1001 }, now = NOW })
    local before = resident(server.pid)
    local established = 0
    for i = 1, 1000 do
      local raw = { socket = uv.new_tcp() }
      function raw:close()
        self.socket:close()
      end
      opened[i] = raw
      raw.socket:connect(server.host, server.port, function(err)
        assert(not err, err)
        established = established + 1
      end)
    end
    process.wait(function()
      return established == 1000
    end, '1,000 connections')
    eventually(function()
      return server:call('metrics').connections == 1001
    end, 'all of them to be accepted')
    local each = (resident(server.pid) - before) / 1000
    assert(each < 4096 or os.getenv('TIDEMARK_SANITIZER_LOGS'),
      ('%d bytes for each connection'):format(each))
    assert.same({ { 0.5, 10, 'Paris' } }, server:call('get_online_features',
      { service = 'ranking', entities = { driver_id = 1001 }, now = NOW }).rows)
  end)
end)

describe('the bound on features', function()
  -- It was 4,096 where references were resolved, whatever `hello` said.
  it('is what hello says', function()
    local wide = projects.new({
      header = 'driver_id,event_timestamp',
      rows = { '1,2021-04-12T07:00:00Z' },
      definition = [[
local features = {}
for i = 1, 10001 do features[i] = int64('f' .. i) end
entity 'driver' { keys = { int64 'driver_id' } }
source 'rows' { path = 'data/rows.csv', event_time = 'event_timestamp' }
feature_view 'wide' { entity = 'driver', source = 'rows', features = features }
]],
    })
    finally(function()
      wide:remove()
    end)
    local server = servers.start(wide.folder)
    local function ask(count)
      local features = {}
      for i = 1, count do
        features[i] = 'wide:f' .. i
      end
      return server:call('get_online_features',
        { features = features, entities = { driver_id = 1 } })
    end
    local most = server:call('hello').limits.max_features
    assert.equal(10000, most)
    assert.equal(most, #ask(most).names)
    local _, err = ask(most + 1)
    assert.equal(LIMIT, err[1])
    assert.matches('more than 10000 features in one request', err[2], 1, true)
    assert.equal(0, server:stop())
  end)
end)
