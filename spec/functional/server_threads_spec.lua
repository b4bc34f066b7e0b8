-- Several threads that answer: the same for everyone, none lost, nobody starved.

local mpack = require 'mpack'
local uv = require 'luv'
local blueprints = require 'spec.support.blueprints'
local cli = require 'spec.support.cli'
local process = require 'spec.support.process'
local projects = require 'spec.support.project'
local servers = require 'spec.support.server'
local wire = require 'spec.support.wire'

local ROWS = {
  '1001,2021-04-12T07:00:00Z,2021-04-12T07:00:00Z,0.5,10,Paris',
  '1002,2021-04-12T08:00:00Z,2021-04-12T08:00:00Z,,11,""',
}
local NOW = '2021-04-13T00:00:00Z'
local ASKED = { service = 'ranking', entities = { driver_id = { 1001, 1002 } }, now = NOW }
local EXPECTED = { { 0.5, 10, 'Paris' }, { mpack.NIL, 11, '' } }

describe('a server with four threads', function()
  local project, server, opened

  before_each(function()
    project = projects.new({ rows = ROWS })
    project:materialize('2021-04-01', '2021-04-13')
    server = servers.start(project.folder, { args = { '--threads', '4' } })
    opened = {}
  end)

  after_each(function()
    for _, connection in ipairs(opened) do
      connection:close()
    end
    server:stop()
    project:remove()
  end)

  local function connect_many(count)
    for i = 1, count do
      opened[i] = server:connect()
    end
  end

  it('has as many, and all of them get work', function()
    connect_many(8)
    for _, connection in ipairs(opened) do
      assert.same(EXPECTED, connection:call('get_online_features', ASKED).rows)
    end
    -- A task of the process is one thread: these four, and the one that counts rows.
    local tasks, scan = 0, uv.fs_scandir(('/proc/%d/task'):format(server.pid))
    while uv.fs_scandir_next(scan) do
      tasks = tasks + 1
    end
    assert(tasks >= 5, tasks .. ' threads')
  end)

  it('answers all connections at once with the same', function()
    connect_many(16)
    local answered = 0
    for round = 1, 50 do
      for _, connection in ipairs(opened) do
        connection:request('get_online_features', ASKED, function(err, result)
          assert(err == nil or err == mpack.NIL)
          assert.same(EXPECTED, result.rows)
          answered = answered + 1
        end)
      end
      if round % 10 == 0 then
        uv.run('nowait')
      end
    end
    process.wait(function()
      return answered == 16 * 50
    end, 'all answers')
  end)

  it('shows a new apply and new rows to every thread', function()
    connect_many(8)
    for _, connection in ipairs(opened) do
      connection:call('get_online_features', ASKED)
    end
    project:set_rows({ '1001,2021-04-13T07:00:00Z,2021-04-13T07:00:00Z,0.75,12,Rome' })
    project:materialize('2021-04-13', '2021-04-14')
    local asked = { service = 'ranking', entities = { driver_id = 1001 },
      now = '2021-04-14T00:00:00Z' }
    for _, connection in ipairs(opened) do
      assert.same({ { 0.75, 12, 'Rome' } }, connection:call('get_online_features', asked).rows)
    end
    project:write('definitions/rows.lua',
      blueprints.driver({ features = { "float64 'rate'", "int64 'trips'" } }))
    project:must('apply', '--allow-incompatible')
    for _, connection in ipairs(opened) do
      assert.same({ { 0.75, 12 } }, connection:call('get_online_features', asked).rows)
    end
  end)

  it('answers everything it has received on every thread before it stops', function()
    connect_many(8)
    local answered = 0
    for _, connection in ipairs(opened) do
      for _ = 1, 200 do
        connection:request('get_online_features', ASKED, function(err, result)
          assert(err == nil or err == mpack.NIL)
          assert.same(EXPECTED, result.rows)
          answered = answered + 1
        end)
      end
    end
    server.process:send('sigterm')
    assert.equal(0, (server.process:wait()))
    process.wait(function()
      for _, connection in ipairs(opened) do
        if not connection.closed then
          return false
        end
      end
      return true
    end, 'the end of all connections')
    assert.equal(8 * 200, answered)
  end)

  it('stops at once on a second signal, whoever does not take its answers', function()
    local ids = {}
    for i = 1, 5000 do
      ids[i] = i
    end
    for i = 1, 4 do
      local raw = wire.open(server.address, true)
      opened[i] = raw
      local requests = {}
      for id = 1, 200 do
        requests[id] = wire.request(id, 'get_online_features',
          { service = 'ranking', entities = { driver_id = ids }, include = { 'statuses' } })
      end
      raw:write(table.concat(requests))
    end
    -- One more request is answered after some of those.
    assert.equal('ok', server:call('health').status)
    server.process:send('sigterm')
    server.process:send('sigint')
    local status, signal = server.process:wait(4000)
    assert.same({ 0, 0 }, { status, signal })
  end)
end)

describe('one thread', function()
  it('answers others while one connection has a long list of requests', function()
    local project = projects.new({ rows = ROWS })
    project:materialize('2021-04-01', '2021-05-01')
    local server = servers.start(project.folder, { args = { '--threads', '1' } })
    finally(function()
      server:stop()
      project:remove()
    end)
    local neighbour = server:connect()
    neighbour:call('health')
    local busy = wire.open(server.address)
    local ids, requests = {}, {}
    for i = 1, 2000 do
      ids[i] = i
    end
    for id = 1, 300 do
      requests[id] = wire.request(id, 'get_online_features',
        { service = 'ranking', entities = { driver_id = ids }, now = NOW })
    end
    busy:write(table.concat(requests))
    local before
    neighbour:request('health', {}, function()
      before = #busy:input()
    end)
    process.wait(function()
      return before
    end, 'the neighbour\'s answer')
    busy:answers(300)
    busy:close()
    neighbour:close()
    -- All answers are some 300 * 2000 * 4 bytes.
    assert(before < 2400000, 'the neighbour had to wait for all of them')
  end)
end)

describe('serve', function()
  it('refuses numbers that make no sense', function()
    local project = projects.new({ rows = ROWS })
    finally(function()
      project:remove()
    end)
    for _, wrong in ipairs({
      { '--threads', '0' }, { '--threads', '65' }, { '--threads', 'two' }, { '--threads', '-1' },
      { '--max-depth', '65' }, { '--max-depth', '0' }, { '--max-depth', '4294967297' },
      { '--max-connections', '4294967296' }, { '--max-connections', '0' },
      { '--max-rows', '0' }, { '--max-rows', '1e3' }, { '--max-rows', '18446744073709551617' },
      { '--idle-seconds', '-5' }, { '--idle-seconds', '1000000001' },
      { '--max-wait-ms', '0' }, { '--max-frame', '10' }, { '--max-frame', '1PiB' },
      { '--max-frame', '99999999999999999999' }, { '--max-output', '1' },
      { '--max-output', '2TiB' },
    }) do
      local result = cli.run({ 'serve', '-C', project.folder, '--listen', '127.0.0.1:0',
        wrong[1], wrong[2] })
      assert.equal(2, result.status, table.concat(wrong, ' '))
      assert.matches(wrong[1] .. ': expected ', result.stderr, 1, true)
      assert.matches('got "' .. wrong[2] .. '"', result.stderr, 1, true)
    end
  end)

  it('says when the address for metrics is taken', function()
    local project = projects.new({ rows = ROWS })
    local server = servers.start(project.folder)
    finally(function()
      server:stop()
      project:remove()
    end)
    local taken = cli.run({ 'serve', '-C', project.folder, '--listen', '127.0.0.1:0', '--metrics',
      server.address })
    assert.equal(1, taken.status)
    assert.matches('serve metrics on ' .. server.address .. ': address already in use',
      taken.stderr, 1, true)
  end)
end)
