-- The server's life, and what its methods say.

local mpack = require 'mpack'
local uv = require 'luv'
local blueprints = require 'spec.support.blueprints'
local cli = require 'spec.support.cli'
local process = require 'spec.support.process'
local projects = require 'spec.support.project'
local servers = require 'spec.support.server'
local tidemark = require 'tidemark'

local ROWS = {
  '1001,2021-04-12T07:00:00Z,2021-04-12T07:00:00Z,0.5,10,Paris',
  '1001,2021-04-11T07:00:00Z,2021-04-11T07:00:00Z,0.25,9,Rome',
  '1002,2021-04-12T08:00:00Z,2021-04-12T08:00:00Z,,11,""',
}
local NOW = '2021-04-13T00:00:00Z'

local function ask(server, ...)
  return server:call('get_online_features',
    { service = 'ranking', entities = { driver_id = { ... } }, now = NOW })
end

describe('a server', function()
  local project, server

  before_each(function()
    project = projects.new({ rows = ROWS, apply = false })
  end)

  after_each(function()
    if server then
      server:stop()
      server = nil
    end
    project:remove()
  end)

  it('starts before anything is applied, and picks up what is', function()
    server = servers.start(project.folder)
    local health = server:call('health')
    assert.same({ 'ok', 0, 0 }, { health.status, health.generation, health.views })
    local _, err = ask(server, 1001)
    assert.same({ 4, 'nothing has been applied yet: run `tidemark apply`' }, { err[1], err[2] })

    project:must('apply')
    project:materialize('2021-04-01', '2021-05-01')
    assert.same({ { 0.5, 10, 'Paris' } }, ask(server, 1001).rows)
    health = server:call('health')
    assert.same({ 1, 1 }, { health.generation, health.views })
  end)

  it('serves a new apply at the next request', function()
    project:must('apply')
    project:materialize('2021-04-01', '2021-05-01')
    server = servers.start(project.folder)
    assert.same({ 'rate', 'trips', 'city' }, ask(server, 1001).names)

    project.space:write('definitions/rows.lua',
      blueprints.driver({ features = { "float64 'rate'", "int64 'trips'" } }))
    project:must('apply', '--allow-incompatible')
    local answer = ask(server, 1001)
    assert.same({ 'rate', 'trips' }, answer.names)
    assert.same({ { 0.5, 10 } }, answer.rows)
    assert.equal(2, server:call('health').generation)
  end)

  it('serves rows as soon as they are materialized', function()
    project:must('apply')
    server = servers.start(project.folder)
    assert.same({ { mpack.NIL, mpack.NIL, mpack.NIL } }, ask(server, 1001).rows)
    project:materialize('2021-04-11', '2021-04-12')
    assert.same({ { 0.25, 9, 'Rome' } }, ask(server, 1001).rows)
    project:materialize('2021-04-12', '2021-04-13')
    assert.same({ { 0.5, 10, 'Paris' } }, ask(server, 1001).rows)
  end)

  for _, signal in ipairs({ 'sigterm', 'sigint' }) do
    it('answers what it has received before it stops on ' .. signal, function()
      project:must('apply')
      project:materialize('2021-04-01', '2021-05-01')
      server = servers.start(project.folder)
      local connection = server:connect()
      local answered = 0
      for _ = 1, 300 do
        connection:request('get_online_features',
          { service = 'ranking', entities = { driver_id = { 1001 } }, now = NOW },
          function(err, result)
            assert(err == nil or err == mpack.NIL)
            assert.same({ { 0.5, 10, 'Paris' } }, result.rows)
            answered = answered + 1
          end)
      end
      server.process:send(signal)
      local status = server.process:wait()
      process.wait(function()
        return connection.closed
      end, 'the end of the connection')
      connection:close()
      assert.equal(0, status)
      assert.equal(300, answered)
    end)
  end

  it('does not wait for connections that are silent', function()
    project:must('apply')
    server = servers.start(project.folder)
    local connection = server:connect()
    local before = os.time()
    assert.equal(0, server:stop())
    assert(os.time() - before < 4)
    connection:close()
  end)

  it('listens where it is told', function()
    project:must('apply')
    local probe = uv.new_tcp()
    local six = probe:bind('::1', 0)
    probe:close()
    uv.run('nowait')
    for listen, hosts in pairs({
      ['localhost:0'] = { ['127.0.0.1'] = true, ['::1'] = true },
      ['[::1]:0'] = six and { ['::1'] = true } or nil, -- where the machine has IPv6
    }) do
      server = servers.start(project.folder, { args = { '--listen', listen } })
      assert.is_true(hosts[server.host])
      assert.equal('ok', server:call('health').status)
      assert.equal(0, server:stop())
    end
  end)

  it('says when its address is taken or makes no sense', function()
    project:must('apply')
    server = servers.start(project.folder)
    local taken = cli.run({ 'serve', '-C', project.folder, '--listen', server.address })
    assert.equal(1, taken.status)
    assert.matches('listen on ' .. server.address .. ': address already in use', taken.stderr, 1,
      true)
    local wrong = cli.run({ 'serve', '-C', project.folder, '--listen', 'nowhere' })
    assert.equal(2, wrong.status)
    assert.matches('address "nowhere": expected HOST:PORT', wrong.stderr, 1, true)
  end)
end)

describe('the methods of a server', function()
  local project, server

  setup(function()
    project = projects.new({
      rows = ROWS,
      definition = blueprints.driver({
        view = { ttl = '7d', doc = 'how drivers do', tags = { team = 'rides' } },
      }),
    })
    project:materialize('2021-04-01', '2021-04-13')
    server = servers.start(project.folder)
  end)

  teardown(function()
    server:stop()
    project:remove()
  end)

  it('hello says who is there', function()
    local hello = server:call('hello')
    assert.equal(1, hello.protocol)
    assert.equal(1, hello.generation)
    assert.matches('^%d+%.%d+%.%d+$', hello.version)
    assert.same({
      'describe', 'get_online_features', 'health', 'hello', 'list', 'metrics', 'push',
    }, hello.methods)
    assert.same({
      max_rows = 10000,
      max_features = 10000,
      max_values = 4000000,
      max_frame = 16777216,
      max_depth = 16,
      max_output = 67108864,
    }, hello.limits)
  end)

  it('list names what is declared', function()
    local views = server:call('list', { kind = 'feature_views' })
    assert.equal('feature_views', views.kind)
    assert.equal(1, #views.items)
    local view = views.items[1]
    assert.same({ 'rates', 'how drivers do', 'rows', 7 * 86400 * 1000000, '7d' },
      { view.name, view.doc, view.source, view.ttl, view.ttl_text })
    assert.same({ team = 'rides' }, view.tags)
    assert.same({ 'driver' }, view.entities)
    assert.same({ { name = 'driver_id', type = 'int64' } }, view.keys)
    assert.matches('^definitions/rows%.lua:%d+$', view.at)
    assert.equal('rows', server:call('list', { kind = 'source' }).items[1].name)
    local service = server:call('list', { kind = 'feature_services' }).items[1]
    assert.same({ 'rates:rate', 'rates:trips', 'rates:city' }, service.features)
    assert.same({ { name = 'driver_id', type = 'int64' } }, service.keys)
  end)

  it('describe says everything about one thing', function()
    local view = server:call('describe', { name = 'rates' })
    assert.equal('feature_view', view.kind)
    assert.equal(1, view.generation)
    assert.same({ name = 'trips', type = 'int64', column = 'trips', doc = '' }, view.features[2])
    assert.same({
      materialized_from = tidemark.time('2021-04-01'),
      materialized_to = tidemark.time('2021-04-13'),
      created_to = tidemark.time('2021-04-12T08:00:00Z'),
      updated_at = view.mark.updated_at,
      rows_read = 3,
      rows_written = 2,
    }, view.mark)
    local entity = server:call('describe', { name = 'driver', kind = 'entity' })
    assert.same({ { name = 'driver_id', type = 'int64' } }, entity.keys)
    local source = server:call('describe', { name = 'rows' })
    assert.same({ 'source', 'data/rows.csv', 'event_timestamp', 'created' },
      { source.kind, source.path, source.event_time, source.created_time })
  end)

  it('get_online_features takes columns, single values and a list of maps', function()
    local columns = ask(server, 1001, 1002)
    assert.same(columns, server:call('get_online_features', {
      service = 'ranking',
      entities = { { driver_id = 1001 }, { driver_id = 1002 } },
      now = NOW,
    }))
    assert.same({ columns.rows[1] }, server:call('get_online_features', {
      features = { 'rates:rate', 'rates:trips', 'rates:city' },
      entities = { driver_id = 1001 },
      now = NOW,
    }).rows)
    assert.same({}, ask(server).rows)
  end)

  it('get_online_features sends statuses and times along when asked', function()
    local answer = server:call('get_online_features', {
      features = { 'rates:rate', 'rates:trips' },
      entities = { driver_id = { 1001, 1002, 7, mpack.NIL } },
      now = NOW,
      include = { 'event_timestamps', 'statuses' },
      full_feature_names = true,
    })
    local first, second = tidemark.time('2021-04-12T07:00:00Z'), tidemark.time('2021-04-12T08:00Z')
    assert.same({
      names = { 'rates__rate', 'rates__trips' },
      rows = { { 0.5, 10 }, { mpack.NIL, 11 }, { mpack.NIL, mpack.NIL }, { mpack.NIL, mpack.NIL } },
      statuses = {
        { 'PRESENT', 'PRESENT' },
        { 'NULL_VALUE', 'PRESENT' },
        { 'NOT_FOUND', 'NOT_FOUND' },
        { 'NOT_FOUND', 'NOT_FOUND' },
      },
      event_timestamps = {
        { first, first },
        { second, second },
        { mpack.NIL, mpack.NIL },
        { mpack.NIL, mpack.NIL },
      },
    }, answer)
  end)

  it('get_online_features judges ttl at `now`', function()
    local function status_at(now)
      return server:call('get_online_features', {
        features = { 'rates:trips' },
        entities = { driver_id = { 1001 } },
        now = now,
        include = { 'statuses' },
      }).statuses[1][1]
    end
    assert.equal('PRESENT', status_at('2021-04-19T07:00:00Z'))
    assert.equal('OUTSIDE_MAX_AGE', status_at('2021-04-19T07:00:00.000001Z'))
    assert.equal('NOT_FOUND', status_at('2021-04-12T06:59:59Z'))
  end)

  it('get_online_features reads keys from other columns under a role', function()
    local answer = server:call('get_online_features', {
      features = { 'rates:trips', 'rates@other:trips' },
      entities = { driver_id = { 1001 }, other_id = { 1002 } },
      roles = { other = { driver_id = 'other_id' } },
      now = NOW,
    })
    assert.same({ 'rates__trips', 'other__trips' }, answer.names)
    assert.same({ { 10, 11 } }, answer.rows)
  end)

  it('remember many kinds of requests and answer each as if it were the first', function()
    local names = { 'rates:rate', 'rates:trips', 'rates:city' }
    for case = 1, 600 do
      local features = {}
      for i = 1, 1 + case % 7 do
        features[i] = names[1 + math.floor(case / 3 ^ (i - 1)) % 3]
      end
      local seen, unique = {}, {}
      for _, feature in ipairs(features) do
        if not seen[feature] then
          seen[feature] = true
          unique[#unique + 1] = feature
        end
      end
      local role = 'r' .. case
      unique[#unique + 1] = 'rates@' .. role .. ':trips'
      local answer = server:call('get_online_features', {
        features = unique,
        entities = { driver_id = { 1001 }, [role] = { 1002 } },
        roles = { [role] = { driver_id = role } },
        now = NOW,
      })
      assert.equal(#unique, #answer.names)
      assert.equal(11, answer.rows[1][#unique])
    end
  end)
end)

describe('a script', function()
  it('opens a project and does everything', function()
    local project = projects.new({ rows = ROWS, apply = false })
    finally(function()
      project:remove()
    end)
    local open = tidemark.open(project.folder)
    assert.equal(4, open:plan().change_count)
    assert.equal(1, open:apply().generation)
    local result = open:materialize({ '2021-04-11', '2021-04-12' })
    assert.same({ 'rates', 1 }, { result.views[1].view, result.views[1].written })
    result = open:materialize_incremental({ '2021-04-13', views = { 'rates' } })
    assert.equal(2, result.views[1].written)
    assert.equal(tidemark.time('2021-04-13'), result.views[1].mark)
    assert.same({ { 10 } }, open:get_online_features({
      features = { 'rates:trips' },
      entities = { driver_id = { 1001 } },
      now = NOW,
    }).rows)
    project:write('spine.csv', 'driver_id,event_timestamp\n1001,2021-04-11T12:00:00Z\n')
    local training = open:get_historical_features({
      spine = 'spine.csv',
      output = 'training.csv',
      features = { 'rates:trips' },
    })
    assert.same({ 1, 1 }, { training.rows, training.views[1].present })
    assert.equal('driver_id,event_timestamp,trips\n1001,2021-04-11T12:00:00Z,9\n',
      project:read('training.csv'):gsub('\r', ''))
    open:close()
    open:close()
    local good, err = pcall(open.list, open, 'entities')
    assert.is_false(good)
    assert.matches('it is closed already', err, 1, true)
  end)

  it('counts days', function()
    local spans = {}
    for start, stop in tidemark.days('2021-02-27T12:00:00Z', '2021-03-02') do
      spans[#spans + 1] = tidemark.format_time(start) .. ' ' .. tidemark.format_time(stop)
    end
    assert.same({
      '2021-02-27T12:00:00Z 2021-02-28T00:00:00Z',
      '2021-02-28T00:00:00Z 2021-03-01T00:00:00Z',
      '2021-03-01T00:00:00Z 2021-03-02T00:00:00Z',
    }, spans)
    for _ in tidemark.days('2021-03-02', '2021-03-02') do
      error('there is no day between a day and itself')
    end
    local good, err = pcall(tidemark.time, '2021-02-30')
    assert.is_false(good)
    assert.equal('data', err.name)
  end)
end)
