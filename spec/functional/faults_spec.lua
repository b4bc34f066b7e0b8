-- Hostile bytes, and a system that gives no more: the server lives and answers others.

local ffi = require 'ffi'
local mpack = require 'mpack'
local eventually = require 'spec.support.eventually'
local process = require 'spec.support.process'
local projects = require 'spec.support.project'
local servers = require 'spec.support.server'
local wire = require 'spec.support.wire'

local ROWS = { '1001,2021-04-12T07:00:00Z,2021-04-12T07:00:00Z,0.5,10,Paris' }
local NOW = '2021-04-13T00:00:00Z'
local ASKED = { service = 'ranking', entities = { driver_id = 1001 }, now = NOW }
local EXPECTED = { { 0.5, 10, 'Paris' } }

-- Starts a server under `limits`, commands of the shell.
local function start_under(folder, limits, ...)
  local child = process.spawn('/bin/sh', {
    args = { '-c', limits .. '; exec "$0" "$@"', process.TIDEMARK:gsub('^%./', './'), 'serve',
      '--listen', '127.0.0.1:0', '-C', folder, ... },
  })
  process.wait(function()
    return child.stdout:match('^ready (%S+)\n') or child.status
  end, 'the server to be ready')
  local address = child.stdout:match('^ready (%S+)\n')
  assert(address, child.stdout .. child.stderr)
  return child, address
end

-- Seconds of processor that a process has used.
local function processor_seconds(pid)
  local file = assert(io.open(('/proc/%d/stat'):format(pid)))
  local user, system = file:read('*a'):match('%) %S' .. (' %S+'):rep(10) .. ' (%d+) (%d+)')
  file:close()
  return (tonumber(user) + tonumber(system)) / 100
end

local function online(id)
  return wire.request(id, 'get_online_features', ASKED)
end

-- Names and bytes. Most are refused, some only wait for more or are answered by an error.
local function hostile()
  local deep, maps = ('\145'):rep(100000), ('\129\1'):rep(50000)
  return {
    { 'nothing of a message', '' },
    { 'a nil', '\192' },
    { 'the byte that is not msgpack', '\193' },
    { 'a number', '\7' },
    { 'an empty array', '\144' },
    { 'an array of one', '\145\0' },
    { 'an array of two', '\146\0\1' },
    { 'an array of five', '\149\0\1\161a\144\192' },
    { 'a map', '\132\0\1\2\3\4\5\6\7' },
    { 'text', '\164text' },
    { 'HTTP', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n' },
    { 'TLS', '\22\3\1\2\0\1\0\1\252\3\3' .. ('\0'):rep(500) },
    { 'SSH', 'SSH-2.0-OpenSSH_9.2\r\n' },
    { 'Redis', '*2\r\n$3\r\nGET\r\n$1\r\nx\r\n' },
    { 'PostgreSQL', '\0\0\0\8\4\210\22\47' },
    { 'zeros', ('\0'):rep(100000) },
    { 'ones', ('\255'):rep(100000) },
    { 'a message of type 3', '\148\3\1\161a\144' },
    { 'a message of type -1', '\148\255\1\161a\144' },
    { 'a message whose type is text', '\148\161x\1\161a\144' },
    { 'a response nobody asked for', '\148\1\1\192\192' },
    { 'a request with three values', '\147\0\1\161a' },
    { 'a notification with four values', '\148\2\161a\144\144' },
    { 'an id of 33 bits', '\148\0\207\0\0\0\1\0\0\0\0\161a\144' },
    { 'a negative id', '\148\0\255\161a\144' },
    { 'an id that is a float', '\148\0\203\63\240\0\0\0\0\0\0\161a\144' },
    { 'an id that is nil', '\148\0\192\161a\144' },
    { 'an id that is an array', '\148\0\145\1\161a\144' },
    { 'a method that is a number', '\148\0\1\7\144' },
    { 'a method that is a map', '\148\0\1\128\144' },
    { 'a method without a name', '\148\0\1\160\144' },
    { 'a method of 64 kB', '\148\0\1\219\0\1\0\0' .. ('m'):rep(65536) .. '\144' },
    { 'a method with a NUL', '\148\0\1\166hea\0th\144' },
    { 'params that are a number', '\148\0\1\166health\7' },
    { 'params that are text', '\148\0\1\166health\163abc' },
    { 'two params', '\148\0\1\166health\146\128\128' },
    { 'params nested too deep', '\148\0\1\166health' .. deep },
    { 'maps nested too deep', '\148\0\1\166health' .. maps },
    { 'an array of 2^32 values', '\148\0\1\166health\221\255\255\255\255' },
    { 'a map of 2^32 values', '\148\0\1\166health\223\255\255\255\255' },
    { 'text of 4 GiB', '\148\0\1\219\255\255\255\255abc' },
    { 'bytes of 4 GiB', '\148\0\1\198\255\255\255\255abc' },
    { 'an extension of 4 GiB', '\148\0\1\166health\201\255\255\255\255\1abc' },
    { 'text that is beyond the bound', '\148\0\1\219\1\0\0\1' .. ('x'):rep(1000) },
    { 'five million values', '\148\0\1\166health\221\0\76\75\64' .. ('\192'):rep(50000) },
    { 'a parameter twice', '\148\0\1\164list\145\130\164kind\168entities\164kind\7' },
    { 'a parameter whose name is a number', '\148\0\1\164list\145\129\7\168entities' },
    { 'a parameter whose name is a map', '\148\0\1\164list\145\129\128\168entities' },
    { 'names that are not UTF-8', '\148\0\1\164list\145\129\164kind\164\255\254\253\252' },
    { 'entities that are a number',
      wire.request(1, 'get_online_features', { service = 'ranking', entities = 7 }) },
    { 'a key that is an extension',
      '\148\0\1\179get_online_features\145\130\167service\167ranking\168entities\129\169driver_id'
        .. '\145\212\1\0' },
    { 'a key beyond int64',
      '\148\0\1\179get_online_features\145\130\167service\167ranking\168entities\129\169driver_id'
        .. '\145\207\255\255\255\255\255\255\255\255' },
    { 'columns of different lengths', wire.request(1, 'get_online_features',
      { service = 'ranking', entities = { driver_id = { 1, 2 }, other = { 1 } } }) },
    { 'a request in the middle of another',
      '\148\0\1\166health\145\129' .. online(2) .. online(3) },
    { 'a good request and then rubbish', online(1) .. '\193\193\193' },
    { 'ten thousand bad requests', ('\148\0\1\161x\144'):rep(10000) },
    { 'half a request', online(1):sub(1, 40) },
  }
end

describe('hostile bytes', function()
  local project, server, neighbour

  setup(function()
    project = projects.new({ rows = ROWS })
    project:materialize('2021-04-01', '2021-05-01')
    server = servers.start(project.folder, { args = { '--threads', '2' } })
    neighbour = server:connect()
  end)

  teardown(function()
    neighbour:close()
    server:stop()
    project:remove()
  end)

  local function still_fine()
    assert.same(EXPECTED, neighbour:call('get_online_features', ASKED).rows)
    assert.same(EXPECTED, server:call('get_online_features', ASKED).rows)
  end

  for _, case in ipairs(hostile()) do
    it(case[1] .. ' leave the server alive', function()
      local raw = wire.open(server.address)
      raw:write(case[2])
      raw:shutdown()
      raw:rest()
      raw:close()
      -- Once more, and gone without a word.
      raw = wire.open(server.address, true)
      raw:write(case[2])
      raw:close()
      still_fine()
    end)
  end

  it('cut anywhere leave the server alive', function()
    local bytes = online(1)
    for size = 0, #bytes do
      local raw = wire.open(server.address)
      raw:write(bytes:sub(1, size))
      raw:shutdown()
      assert.equal(size == #bytes, raw:rest() ~= '')
      raw:close()
    end
    still_fine()
  end)

  it('are counted', function()
    local counters = server:call('metrics').counters
    assert(counters.closed_bad > 20 and counters.closed_peer > 0)
  end)
end)

describe('without file descriptors', function()
  it('a server turns connections away, does not spin, and recovers', function()
    local project = projects.new({ rows = ROWS })
    project:materialize('2021-04-01', '2021-05-01')
    local child, address = start_under(project.folder, 'ulimit -n 60', '--threads', '2')
    local first = servers.connect(address)
    finally(function()
      first:close()
      child:send('sigterm')
      child:wait()
      project:remove()
    end)
    assert.same(EXPECTED, first:call('get_online_features', ASKED).rows)
    local opened, turned_away = {}, 0
    for i = 1, 80 do
      opened[i] = wire.open(address)
    end
    -- Whoever is turned away comes again: there are always more than can be let in.
    local function wait_for(count, what)
      local enough = turned_away + count
      eventually(function()
        for i, raw in ipairs(opened) do
          if raw.ended then
            raw:close()
            opened[i] = wire.open(address)
            turned_away = turned_away + 1
          end
        end
        return turned_away >= enough
      end, what, 60000)
    end
    wait_for(4, 'connections to be turned away')
    local before = processor_seconds(child.pid)
    wait_for(6, 'more of them')
    local used = processor_seconds(child.pid) - before
    assert(used < 0.3, ('%.2f s of processor while nothing could be accepted'):format(used))
    assert.is_true(first:call('metrics').counters.accept_failures >= turned_away)
    assert.same(EXPECTED, first:call('get_online_features', ASKED).rows)

    for _, raw in ipairs(opened) do
      raw:close()
    end
    eventually(function()
      local good, other = pcall(servers.connect, address)
      if not good then
        return false
      end
      local ok, answer = pcall(other.call, other, 'get_online_features', ASKED)
      other:close()
      return ok and answer and answer.rows[1][1] == 0.5
    end, 'new connections to be accepted again', 60000)
  end)
end)

describe('a full disk', function()
  it('stops materialize with an error, and the server goes on reading', function()
    local project = projects.new({ rows = ROWS })
    project:materialize('2021-04-01', '2021-05-01')
    local server = servers.start(project.folder)
    finally(function()
      server:stop()
      project:remove()
    end)
    assert.same(EXPECTED, server:call('get_online_features', ASKED).rows)
    local rows = {}
    for i = 1, 20000 do
      rows[i] = i .. ',2021-05-02T07:00:00Z,2021-05-02T07:00:00Z,0.75,12,' .. ('x'):rep(200)
    end
    project:set_rows(rows)
    -- No file may become larger than 256 blocks of 512 bytes.
    local child = process.spawn('/bin/sh', {
      args = { '-c', 'trap "" XFSZ; ulimit -f 256; exec "$0" "$@"', process.TIDEMARK, '-C',
        project.folder, 'materialize', '2021-05-01', '2021-06-01', '--quiet' },
    })
    local status = child:wait()
    assert.equal(1, status, child.stderr)
    assert.matches('is full or failing', child.stderr, 1, true)
    assert.same(EXPECTED, server:call('get_online_features', ASKED).rows)
    assert.equal(1, server:call('metrics').store.rows)
    -- With room again it goes through, and the server shows it.
    project:materialize('2021-05-01', '2021-06-01')
    local answer = server:call('get_online_features', { service = 'ranking',
      entities = { driver_id = { 1001, 20000 } }, now = '2021-06-01T00:00:00Z' })
    assert.same({ 12, 12 }, { answer.rows[1][2], answer.rows[2][2] })
  end)
end)

describe('a disk that fills while rows are pushed', function()
  it('fails the push, keeps what was acknowledged, and reads go on', function()
    local project = projects.new({ rows = ROWS })
    project:materialize('2021-04-01', '2021-05-01')
    -- No file may become larger than 512 blocks of 512 bytes.
    local child, address = start_under(project.folder, 'trap "" XFSZ; ulimit -f 512')
    local connection = servers.connect(address)
    local server
    finally(function()
      connection:close()
      child:send('sigkill')
      child:wait()
      if server then
        server:kill()
      end
      project:remove()
    end)
    local pushed, failure = 0
    repeat
      local result, err = connection:call('push', { view = 'rates', rows = { {
        driver_id = 5000 + pushed, event_time = '2021-05-02T00:00:00Z', trips = pushed,
        city = ('x'):rep(4000),
      } } })
      failure = err
      pushed = pushed + (result and result.written or 0)
    until failure
    assert(pushed > 10 and pushed < 100, pushed)
    assert.matches('cannot write the log .*; nothing was pushed, make room and push again$',
      failure[2])
    local last = { features = { 'rates:trips' }, now = '2021-06-01T00:00:00Z',
      entities = { driver_id = { 5000, 5000 + pushed - 1, 5000 + pushed } },
      include = { 'statuses' } }
    local function check(answer)
      assert.same({ { 0 }, { pushed - 1 } }, { answer.rows[1], answer.rows[2] })
      assert.equal('NOT_FOUND', answer.statuses[3][1])
    end
    check(connection:call('get_online_features', last))
    assert.same(EXPECTED, connection:call('get_online_features', ASKED).rows)
    child:send('sigkill')
    child:wait()
    server = servers.start(project.folder)
    check(server:call('get_online_features', last))
  end)
end)

-- A process that keeps the store's write transaction until it is killed.
local function hold_writer(project)
  local script = project.space:write('hold.lua', [[
    local ffi = require 'ffi'
    ffi.cdef 'int pause(void);'
    require('spec.support.store').open(...):write(function()
      io.write('held\n')
      io.flush()
      ffi.C.pause()
    end)
  ]])
  local own = os.getenv('TIDEMARK_LIB')
  local folder = project.space:path('.tidemark/store')
  local child = process.spawn(own and '/usr/bin/luajit' or process.TIDEMARK, {
    args = own and { script, folder } or { 'lua', script, folder },
    env = { LUA_PATH = './?.lua;./?/init.lua;;' },
  })
  process.wait(function()
    return child.stdout:match('^held\n') or child.status
  end, 'the store to be held')
  assert(not child.status, child.stderr)
  return child
end

describe('a full map', function()
  local LATER = { service = 'ranking', entities = { driver_id = { 1001, 1, 3000 } },
    now = '2021-06-01T00:00:00Z' }
  local project, server

  before_each(function()
    project = projects.new({ rows = ROWS })
    project:materialize('2021-04-01', '2021-05-01')
  end)

  after_each(function()
    if server then
      server:kill()
    end
    project:remove()
  end)

  local function start(...)
    server = servers.start(project.folder, { args = { ... } })
  end

  local function trips(asked)
    local text = ''
    for _, row in ipairs(assert(server:call('get_online_features', asked)).rows) do
      text = text .. tostring(row[2]) .. ' '
    end
    return text
  end

  local function push_rows(first, last, text)
    local rows = {}
    for id = first, last do
      rows[#rows + 1] = { driver_id = id, event_time = '2021-05-02T00:00:00Z', rate = 0.25,
        trips = id, city = text }
    end
    return server:call('push', { view = 'rates', rows = rows })
  end

  it('stops materialize with an error that names the option, and reads go on', function()
    start()
    local rows = {}
    for i = 1, 20000 do
      rows[i] = i .. ',2021-05-02T07:00:00Z,2021-05-02T07:00:00Z,0.75,12,' .. ('x'):rep(200)
    end
    project:set_rows(rows)
    local function fails(...)
      return project:fails('materialize', '2021-05-01', '2021-06-01', '--quiet', ...)
    end
    assert.matches('has filled its map of 1048576 bytes; open it with a larger one '
      .. '(--map-size SIZE), or drop views', fails('--map-size', '1MiB'), 1, true)
    assert.same(EXPECTED, server:call('get_online_features', ASKED).rows)
    assert.equal(1, server:call('metrics').store.rows)
    project:materialize('2021-05-01', '2021-06-01')
    assert.equal(20000, server:call('metrics').store.rows)
    assert.same(('12 '):rep(3), trips(LATER))
  end)

  it('keeps pushed rows readable, and in the log until there is room', function()
    start('--map-size', '1MiB')
    for first = 1, 3000, 500 do
      assert.equal(500, assert(push_rows(first, first + 499, ('x'):rep(1000))).written)
    end
    local failure = eventually(function()
      local text = server:call('metrics').log.failure
      return text ~= mpack.NIL and text
    end, 'applying to fail')
    assert.matches('filled its map of 1048576 bytes; open it with a larger one (--map-size SIZE)',
      failure, 1, true)
    assert.equal('1001 1 3000 ', trips(LATER))
    assert.equal(1, assert(push_rows(1, 1, 'y')).written)
    assert.equal(1, (server:stop()))
    assert.matches('pushed rows are in the log but not applied: .*%-%-map%-size SIZE',
      server.process.stderr)
    -- The same bound again would hide what was acknowledged, so it is refused.
    local ok, message = pcall(start, '--map-size', '1MiB')
    assert.is_false(ok)
    assert.matches('the log could not be applied: .*%-%-map%-size SIZE', message)
    start('--map-size', '64MiB')
    assert.equal('1001 1 3000 ', trips(LATER))
    assert.equal(0, (server:stop()))
    -- The store is larger now than the option that the next one gives: it still opens and reads.
    start('--map-size', '1MiB')
    assert.equal('1001 1 3000 ', trips(LATER))
    assert.equal('3000', project:online('driver_id=3000', '--now', '2021-06-01')[1].trips)
  end)

  it('refuses pushes when too much waits for the store, and takes them again', function()
    start('--max-queue', '1MiB', '--threads', '1')
    local holder = hold_writer(project)
    local connection = server:connect()
    local done, refused, under_way, sent = 0, 0, 0, 0
    local text = ('x'):rep(1000000)
    local function send()
      sent, under_way = sent + 1, under_way + 1
      local rows = {}
      for id = 1, 8 do
        rows[id] = { driver_id = sent * 10 + id, event_time = '2021-05-02T00:00:00Z', trips = sent,
          city = text }
      end
      connection:request('push', { view = 'rates', rows = rows }, function(err, result)
        under_way = under_way - 1
        if err == nil or err == mpack.NIL then
          assert(result.written == 8)
          done = done + 1
        else
          assert(err[1] == 10, err[2])
          assert(err[2]:find('too many pushes are waiting for the disk', 1, true), err[2])
          assert(err[2]:find('--max-queue SIZE', 1, true), err[2])
          refused = refused + 1
        end
      end)
    end
    repeat
      send()
      process.wait(function()
        return under_way == 0
      end, 'an answer')
    until server:call('metrics').log.unapplied_tables == 8
    assert.equal(0, refused)
    -- One more table fills, and then the queue.
    for _ = 1, 10 do
      send()
    end
    process.wait(function()
      return refused > 0
    end, 'a push to be refused')
    local asked = { features = { 'rates:trips' }, entities = { driver_id = { 11, done * 10 + 1 } },
      now = '2021-06-01T00:00:00Z' }
    assert.same({ { 1 }, { done } }, server:call('get_online_features', asked).rows)
    holder:send('sigkill')  -- nothing of it stays, not even its lock
    process.wait(function()
      return under_way == 0
    end, 'all answers')
    assert.equal(sent, done + refused)
    assert.equal(1, assert(push_rows(1, 1, 'after')).written)
    connection:close()
    holder:wait()
  end)
end)

describe('a damaged row', function()
  it('fails the push that needs it and none of those beside it', function()
    local rows = {}
    for id = 1, 40 do
      rows[id] = id .. ',2021-04-12T07:00:00.00' .. (1000 + id) .. 'Z,,0.5,10,Paris'
    end
    local project = projects.new({ rows = rows })
    project:materialize('2021-04-01', '2021-05-01')
    local server = servers.start(project.folder)
    local connection = server:connect()
    finally(function()
      connection:close()
      server:kill()
      project:remove()
    end)
    local file = assert(io.open(project.space:path('.tidemark/store/data.mdb'), 'r+b'))
    local bytes = file:read('*a')
    -- A row begins with its version and has its event time, the only one of its kind, at byte 8.
    local time = ffi.new('int64_t[1]', 1618210800001007LL)
    local at = assert(bytes:find(ffi.string(time, 8), 1, true)) - 8
    assert.equal(1, bytes:byte(at))
    assert.is_nil(bytes:find(ffi.string(time, 8), at + 9, true))
    file:seek('set', at - 1)
    file:write('\99')
    file:close()

    local good, bad, answers = 0, {}, 0
    for round = 1, 10 do
      for id = 1, 40 do
        connection:request('push', { view = 'rates', rows = {
          { driver_id = 100 * id, event_time = round, rate = 0.25 },
          { driver_id = id, event_time = '2021-04-13T00:00:00Z', rate = 0.25, trips = round },
        } }, function(err, result)
          answers = answers + 1
          if err == nil or err == mpack.NIL then
            good = good + result.written
          else
            bad[#bad + 1] = id .. ': ' .. err[2]
          end
        end)
      end
    end
    process.wait(function()
      return answers == 400
    end, 'all answers')
    assert.equal(39 * 10 * 2, good)
    assert.equal(10, #bad)
    for _, message in ipairs(bad) do
      assert.matches('^7: an online row of view %d+ in the store .* is damaged', message)
    end
    local asked = { features = { 'rates:trips' }, entities = { driver_id = { 6, 8, 700, 800 } },
      now = '2021-04-14T00:00:00Z', include = { 'statuses' } }
    local answer = server:call('get_online_features', asked)
    assert.same({ { 10 }, { 10 } }, { answer.rows[1], answer.rows[2] })
    assert.same({ 'NOT_FOUND', 'NULL_VALUE' }, { answer.statuses[3][1], answer.statuses[4][1] })
  end)
end)

describe('two servers on one store', function()
  it('both answer, see new rows, and do not mind when one is killed', function()
    local project = projects.new({ rows = ROWS })
    project:materialize('2021-04-01', '2021-04-13')
    local first, second = servers.start(project.folder), servers.start(project.folder)
    finally(function()
      first:stop()
      second:stop()
      project:remove()
    end)
    assert.same(EXPECTED, first:call('get_online_features', ASKED).rows)
    assert.same(EXPECTED, second:call('get_online_features', ASKED).rows)
    second:kill()
    project:set_rows({ '1001,2021-04-13T07:00:00Z,2021-04-13T07:00:00Z,0.75,12,Rome' })
    project:materialize('2021-04-13', '2021-04-14')
    local later = { service = 'ranking', entities = { driver_id = 1001 },
      now = '2021-04-14T00:00:00Z' }
    assert.same({ { 0.75, 12, 'Rome' } }, first:call('get_online_features', later).rows)
    assert.not_equal(mpack.NIL, first:call('metrics').store)
  end)
end)
