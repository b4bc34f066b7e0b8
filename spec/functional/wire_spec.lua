-- The protocol, byte by byte: framing, pipelining, limits, hostile peers, and clients that are not
-- ours.

local data = require 'spec.support.data'
local mpack = require 'mpack'
local uv = require 'luv'
local process = require 'spec.support.process'
local projects = require 'spec.support.project'
local servers = require 'spec.support.server'
local tidemark = require 'tidemark'
local wire = require 'spec.support.wire'

local ROWS = {
  '1001,2021-04-12T07:00:00Z,2021-04-12T07:00:00Z,0.5,10,Paris',
  '1002,2021-04-12T08:00:00Z,2021-04-12T08:00:00Z,,11,""',
}
local NOW = '2021-04-13T00:00:00Z'
local INVALID, NOT_FOUND, LIMIT, PROTOCOL = 3, 4, 10, 12

local function online(id, ...)
  return wire.request(id, 'get_online_features',
    { service = 'ranking', entities = { driver_id = { ... } }, now = NOW })
end

describe('the wire', function()
  local project, server, opened

  setup(function()
    project = projects.new({ rows = ROWS })
    project:materialize('2021-04-01', '2021-05-01')
    server = servers.start(project.folder)
  end)

  teardown(function()
    server:stop()
    project:remove()
  end)

  before_each(function()
    opened = {}
  end)

  after_each(function()
    for _, raw in ipairs(opened) do
      raw:close()
    end
  end)

  local function connect(to)
    local raw = wire.open((to or server).address)
    opened[#opened + 1] = raw
    return raw
  end

  local function start(...)
    local other = servers.start(project.folder, { args = { ... } })
    finally(function()
      other:stop()
    end)
    return other
  end

  it('answers pipelined requests with their ids', function()
    local raw = connect()
    raw:write(online(4294967295, 1001) .. online(7, 1002) .. wire.request(0, 'no_such')
      .. online(3, 1))
    local by_id = {}
    for _, answer in ipairs(raw:answers(4)) do
      assert.equal(1, answer[1])
      by_id[answer[2]] = answer
    end
    assert.same({ { 0.5, 10, 'Paris' } }, by_id[4294967295][4].rows)
    assert.same({ { mpack.NIL, 11, '' } }, by_id[7][4].rows)
    assert.equal(NOT_FOUND, by_id[0][3][1])
    assert.equal(mpack.NIL, by_id[0][4])
    assert.same({ { mpack.NIL, mpack.NIL, mpack.NIL } }, by_id[3][4].rows)
  end)

  it('takes a request in pieces of any size', function()
    local bytes = online(1, 1001) .. online(2, 1001)
    for _, step in ipairs({ 1, 3, 50 }) do
      local raw = connect()
      for at = 1, #bytes, step do
        raw:write(bytes:sub(at, at + step - 1))
        uv.run('nowait')
      end
      local answers = raw:answers(2)
      assert.same({ 1, 2 }, { answers[1][2], answers[2][2] })
      assert.same(answers[1][4], answers[2][4])
    end
  end)

  it('takes names and keys as bin, and params in every empty form', function()
    local raw = connect()
    raw:write('\148\0\1\196\4list\145\129\196\4kind\196\8entities')
    raw:write('\148\0\2\166health\144' .. '\148\0\3\166health\192' .. '\148\0\4\166health\145\144')
    local answers = raw:answers(4)
    assert.equal('driver', answers[1][4].items[1].name)
    for i = 2, 4 do
      assert.equal('ok', answers[i][4].status)
    end
  end)

  it('takes whole numbers as floats, for keys, values and times alike', function()
    local function float(bytes, number) -- in the place of the text "********"
      local packed = data.pack('float64', number):gsub('%%', '%%%%')
      return (bytes:gsub('\168' .. ('%*'):rep(8), packed))
    end
    local now = tidemark.time(NOW)
    local raw = connect()
    raw:write(float(wire.request(1, 'push',
      { view = 'rates', rows = { { driver_id = '********', event_time = 5, rate = 0.25 } } }), 77))
    raw:write(float(wire.request(2, 'push',
      { view = 'rates', rows = { { driver_id = 78, event_time = '********', trips = 3 } } }), now))
    raw:write(float(wire.request(3, 'push',
      { view = 'rates', rows = { { driver_id = 79, event_time = 5, trips = '********' } } }), 12))
    assert.same({ 1, 1, 1 },
      { raw:answers(1)[1][4].written, raw:answers(1)[1][4].written, raw:answers(1)[1][4].written })
    raw:write(float(online(4, '********'), 77))
    raw:write(float(wire.request(5, 'get_online_features',
      { service = 'ranking', entities = { driver_id = { 78, 79 } }, now = '********' }), now))
    raw:write(float(online(6, '********'), 77.5))
    local answers = {}
    for _, answer in ipairs(raw:answers(3)) do
      answers[answer[2]] = answer
    end
    assert.same({ 0.25, mpack.NIL, mpack.NIL }, answers[4][4].rows[1])
    assert.same({ { mpack.NIL, 3, mpack.NIL }, { mpack.NIL, 12, mpack.NIL } }, answers[5][4].rows)
    assert.same({ INVALID, 'expected int64, got 77.5', { where = 'entities.driver_id[0]' } },
      answers[6][3])
  end)

  it('does not answer notifications', function()
    local raw = connect()
    raw:write('\147\2\166health\144' .. '\147\2\167no_such\144' .. wire.request(9, 'health'))
    assert.equal(9, raw:answers(1)[1][2])
    assert.equal('', raw:input())
  end)

  it('answers everything to a peer that has closed its side', function()
    local raw = connect()
    local bytes = {}
    for id = 1, 500 do
      bytes[id] = online(id, 1001, 1002)
    end
    raw:write(table.concat(bytes))
    raw.socket:shutdown()
    for id, answer in ipairs(raw:answers(500)) do
      assert.equal(id, answer[2])
    end
    assert.equal('', raw:rest())
  end)

  it('closes a connection that does not speak it, and goes on with others', function()
    local neighbour = connect()
    for _, bytes in ipairs({
      'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
      '\22\3\1\2\0\1\0\1\252\3\3',
      '\193',
      '\148\1\1\192\192',
      '\148\5\1\161a\144',
      '\221\255\255\255\255',
      '*1\r\n$4\r\nPING\r\n',
    }) do
      local raw = connect()
      raw:write(bytes)
      assert.equal('', raw:rest())
    end
    neighbour:write(wire.request(1, 'health'))
    assert.equal('ok', neighbour:answers(1)[1][4].status)
  end)

  it('answers what it can before it closes', function()
    local raw = connect()
    raw:write(online(1, 1001) .. '\148\0\2\161a\193' .. online(3, 1001) .. ('x'):rep(100000))
    local answers = raw:answers(2)
    assert.same({ { 0.5, 10, 'Paris' } }, answers[1][4].rows)
    assert.equal(2, answers[2][2])
    assert.equal(PROTOCOL, answers[2][3][1])
    assert.equal('', raw:rest())
  end)

  it('refuses frames beyond its limits with the request\'s id', function()
    local small = start('--max-frame', '1000', '--max-depth', '5')
    for _, bytes in ipairs({
      '\148\0\5\161a\145\219\0\1\0\0' .. ('x'):rep(2000),
      '\148\0\5\161a\145\219\255\255\255\255',
      '\148\0\5\161a\145\197\3\233',
      '\148\0\5\161a\145\201\0\1\0\0\1',
      '\148\0\5\161a\221\255\255\255\255',
      '\148\0\5\161a' .. ('\145'):rep(5),
    }) do
      local raw = connect(small)
      raw:write(bytes)
      local answer = raw:answers(1)[1]
      assert.equal(5, answer[2])
      assert.equal(LIMIT, answer[3][1])
      raw:rest()
    end
  end)

  it('closes one connection too many, and no other', function()
    local small = start('--max-connections', '2')
    local first, second = connect(small), connect(small)
    first:write(wire.request(1, 'health'))
    second:write(wire.request(2, 'health'))
    first:answers(1)
    second:answers(1)
    assert.equal('', connect(small):rest())
    first:write(wire.request(3, 'health'))
    assert.equal(3, first:answers(1)[1][2])
  end)

  it('closes a silent connection after --idle-seconds', function()
    local small = start('--idle-seconds', '1')
    assert.equal('', connect(small):rest())
  end)

  it('stops reading from a peer that does not read, and loses nothing', function()
    local raw = connect()
    raw.socket:read_stop()
    local ids = {}
    for i = 1, 500 do
      ids[i] = 1000 + i
    end
    local bytes = {}
    for id = 1, 1000 do
      bytes[id] = wire.request(id, 'get_online_features',
        { service = 'ranking', entities = { driver_id = ids }, include = { 'statuses' } })
    end
    raw:write(table.concat(bytes))
    -- The server is still there for others while some 20 MB would wait for this one.
    local neighbour = connect()
    neighbour:write(wire.request(1, 'health'))
    neighbour:answers(1)
    raw:read()
    for id, answer in ipairs(raw:answers(1000)) do
      assert.equal(id, answer[2])
      assert.equal(500, #answer[4].rows)
    end
  end)

  it('refuses an answer that is larger than --max-output', function()
    local small = start('--max-output', '10000')
    local ids = {}
    for i = 1, 5000 do
      ids[i] = i
    end
    local raw = connect(small)
    raw:write(online(1, unpack(ids)) .. online(2, 1001))
    local answers = raw:answers(2)
    assert.equal(LIMIT, answers[1][3][1])
    assert.same({ { 0.5, 10, 'Paris' } }, answers[2][4].rows)
  end)

  it('survives noise', function()
    local seed = math.random(2 ^ 31)
    math.randomseed(seed)
    local base = online(1, 1001, 1002)
    for case = 1, 300 do
      local bytes = { base:byte(1, -1) }
      for _ = 1, math.random(4) do
        bytes[math.random(#bytes)] = math.random(0, 255)
      end
      local raw = wire.open(server.address)
      raw:write(string.char(unpack(bytes)))
      raw.socket:shutdown()
      process.wait(function()
        return raw.ended
      end, ('the end of case %d, seed %d'):format(case, seed))
      raw:close()
    end
    assert.equal('ok', server:call('health').status)
  end)
end)

describe('a call', function()
  local project, server

  setup(function()
    project = projects.new({ rows = ROWS })
    server = servers.start(project.folder)
  end)

  teardown(function()
    server:stop()
    project:remove()
  end)

  -- Method, params, code, message, where.
  local MISTAKES = {
    {
      'get_online_feature', {}, NOT_FOUND,
      'unknown method "get_online_feature", did you mean "get_online_features"?',
    },
    { 'xyzzy', {}, NOT_FOUND, 'unknown method "xyzzy"' },
    {
      'apply', {}, NOT_FOUND,
      'method "apply" works on the project\'s files and is not offered over a connection: run it '
        .. 'on the command line or in a script',
    },
    {
      'list', { kin = 'entities' }, INVALID,
      'unknown parameter "kin", did you mean "kind"?', 'kin',
    },
    { 'list', {}, INVALID, 'list needs kind, a string', 'kind' },
    { 'list', { kind = 5 }, INVALID, 'kind has to be a string', 'kind' },
    {
      'list', { kind = 'entitis' }, INVALID, 'unknown kind "entitis", did you mean "entities"?',
      'kind',
    },
    {
      'describe', { name = 'rate' }, NOT_FOUND, 'unknown name "rate", did you mean "rates"?',
      'name',
    },
    {
      'get_online_features', { entities = { driver_id = 1 } }, INVALID,
      'get_online_features needs service or features',
    },
    {
      'get_online_features',
      { entities = { driver_id = 1 }, service = 'ranking', features = { 'rates:*' } }, INVALID,
      'give either service or features, not both',
    },
    {
      'get_online_features', { service = 'rankin', entities = { driver_id = 1 } }, NOT_FOUND,
      'unknown feature_service "rankin", did you mean "ranking"?', 'service',
    },
    {
      'get_online_features', { features = { 'rates:trips', 5 }, entities = {} }, INVALID,
      'features has to be a list of strings', 'features[1]',
    },
    {
      'get_online_features',
      { service = 'ranking', entities = { driver_id = 1 }, include = { 'status' } }, INVALID,
      'unknown include "status", did you mean "statuses"?', 'include[0]',
    },
    {
      'get_online_features', { service = 'ranking', entities = { drvier_id = { 1 } } }, INVALID,
      'unknown entity column "drvier_id", did you mean "driver_id"?', 'entities.drvier_id',
    },
    {
      'get_online_features',
      { service = 'ranking', entities = { driver_id = { 1 }, zip = { 2 } } }, INVALID,
      'unknown entity column "zip": these features need "driver_id"', 'entities.zip',
    },
    {
      'get_online_features', { service = 'ranking', entities = { { driver_id = 1 }, { x = 2 } } },
      INVALID, 'unknown entity column "x": these features need "driver_id"', 'entities.x',
    },
    {
      'get_online_features', { service = 'ranking', entities = { { driver_id = 1, [true] = 2 } } },
      INVALID, 'the name of a column has to be a string', 'entities',
    },
    {
      'get_online_features', { service = 'ranking', entities = { driver_id = { 1, { 2 } } } },
      INVALID, 'a key has to be a single value', 'entities.driver_id[1]',
    },
    {
      'push', { view = 'rates', rows = {}, to = 'nowhere' }, INVALID,
      'unknown to "nowhere": expected one of "online", "offline", "both"', 'to',
    },
    {
      'get_online_features', { service = 'ranking', entities = { driver_id = 1 }, now = 'noon' },
      INVALID, nil, 'now',
    },
    {
      'get_online_features', { service = 'ranking', entities = { driver_id = 1 }, now = 1.5 },
      INVALID,
      'now has to be microseconds since 1970 or a time such as "2021-04-12T07:00:00Z"', 'now',
    },
  }

  for _, case in ipairs(MISTAKES) do
    local method, params, code, message, where = unpack(case, 1, 5)
    it(('of %s is refused: %s'):format(method, message or where), function()
      local result, err = server:call(method, params)
      assert.is_nil(result)
      assert.equal(code, err[1])
      if message then
        assert.equal(message, err[2])
      end
      assert.equal(where, err[3].where)
    end)
  end

  it('quotes a name that is not UTF-8 as text', function()
    local _, err = server:call('\255\254list\200', {})
    assert.equal('unknown method "??list?", did you mean "list"?', err[2])
    local pushed = server:call('push', { view = 'rates', rows = { { ['\255é\195'] = 1 } } })
    assert.same({ index = 0, field = '?é?', reason = 'feature_view "rates" has no field "?é?"' },
      pushed.rejected[1])
  end)

  it('with a name twice is refused, whichever of the two was meant', function()
    local raw = wire.open(server.address)
    finally(function()
      raw:close()
    end)
    local function twice(id, method, params)
      return (wire.request(id, method, params):gsub('driver_iX', 'driver_id'))
    end
    raw:write(twice(1, 'get_online_features',
      { service = 'ranking', entities = { driver_id = { 1 }, driver_iX = { 2 } } }))
    raw:write(twice(2, 'get_online_features',
      { service = 'ranking', entities = { { driver_id = 1, driver_iX = 2 } } }))
    raw:write(twice(3, 'push', { view = 'rates', rows = { driver_id = { 1 }, driver_iX = { 2 } } }))
    raw:write(wire.request(4, 'push', { view = 'rates',
      rows = { { driver_id = 1, event_time = 1, event_timestamp = 2, rate = 1 } } }))
    local said = {}
    for _, answer in ipairs(raw:answers(4)) do
      said[answer[2]] = answer[4] == mpack.NIL and answer[3][2] or answer[4].rejected[1].reason
    end
    assert.same({
      'entity column "driver_id" is given twice', 'entity column "driver_id" is given twice',
      'column "driver_id" is given twice', 'the field is given twice',
    }, said)
  end)

  it('has a bound on rows', function()
    local ids = {}
    for i = 1, 10001 do
      ids[i] = i
    end
    local _, err = server:call('get_online_features',
      { service = 'ranking', entities = { driver_id = ids } })
    assert.same(
      { LIMIT, '10001 rows in one request, at most 10000 are allowed: send several',
        { where = 'entities' } }, err)
  end)
end)

describe('a client', function()
  local project, server

  setup(function()
    project = projects.new({ rows = ROWS })
    project:materialize('2021-04-01', '2021-05-01')
    server = servers.start(project.folder)
  end)

  teardown(function()
    server:stop()
    project:remove()
  end)

  local function python(code, ...)
    local child = process.spawn('/usr/bin/python3', { args = { '-c', code, ... } })
    local status = child:wait()
    assert.equal(0, status, child.stderr)
    return child.stdout
  end

  it('of lua-mpack gets features', function()
    assert.same({
      names = { 'rate', 'trips', 'city' },
      rows = { { 0.5, 10, 'Paris' } },
    }, server:call('get_online_features',
      { service = 'ranking', entities = { driver_id = { 1001 } }, now = NOW }))
  end)

  it('in Python gets features with msgpack over a plain socket', function()
    local printed = python([=[
import msgpack, socket, sys
host, port = sys.argv[1].rsplit(":", 1)
connection = socket.create_connection((host, int(port)))
params = {"features": ["rates:rate", "rates:trips"], "entities": {"driver_id": [1001, 1002, 5]},
          "include": ["statuses"], "now": "2021-04-13T00:00:00Z"}
connection.sendall(msgpack.packb([0, 1, "get_online_features", [params]]))
unpacker = msgpack.Unpacker(raw=False)
while True:
    unpacker.feed(connection.recv(65536))
    for kind, number, error, result in unpacker:
        print(kind, number, error)
        print(result["names"], result["rows"])
        print(result["statuses"])
        sys.exit()
]=], server.address)
    assert.equal([=[
1 1 None
['rate', 'trips'] [[0.5, 10], [None, 11], [None, None]]
[['PRESENT', 'PRESENT'], ['NULL_VALUE', 'PRESENT'], ['NOT_FOUND', 'NOT_FOUND']]
]=], printed)
  end)

  it('of ours gets features, and errors with their place', function()
    local connection = tidemark.connect(server.address)
    finally(function()
      connection:close()
    end)
    local answer = connection:get_online_features({
      service = 'ranking',
      entities = { { driver_id = 1002 } },
      now = NOW,
      include = { 'event_timestamps' },
    })
    local time = tidemark.time('2021-04-12T08:00:00Z')
    assert.equal(tidemark.null, answer.rows[1][1])
    assert.equal(11, answer.rows[1][2])
    assert.equal('', answer.rows[1][3])
    assert.equal(time, answer.event_timestamps[1][1])
    local good, err = pcall(connection.describe, connection, 'rats')
    assert.is_false(good)
    assert.equal('name: unknown name "rats", did you mean "rates"?', tostring(err))
    assert.same({ 4, 'not_found', 'name' }, { err.code, err.name, err.where })
    good, err = pcall(connection.get_online_features, connection,
      { service = 'ranking', entities = {} })
    assert.is_false(good)
    assert.equal('entities.driver_id: these features need the entity column "driver_id"',
      tostring(err))
    assert.equal('rates', connection:list('feature_views')[1].name)
  end)

  describe('of ours says what went wrong when a server', function()
    -- A server that accepts one connection, reads a request and does as it is told.
    local STRANGE = [[
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print("port %d" % listener.getsockname()[1], flush=True)
connection, _ = listener.accept()
connection.recv(65536)
if sys.argv[1] != "silent":
    connection.sendall(bytes.fromhex(sys.argv[1]))
if sys.argv[1] in ("silent", "94010ac0a178"):
    connection.recv(65536)
]]

    local function call_strange(behaviour)
      local child = process.spawn('/usr/bin/python3', { args = { '-c', STRANGE, behaviour } })
      process.wait(function()
        return child.stdout:match('port (%d+)\n')
      end, 'a strange server')
      local address = '127.0.0.1:' .. child.stdout:match('port (%d+)\n')
      local connection = tidemark.connect(address, { timeout = 0.3 })
      local good, err = pcall(connection.health, connection)
      local again_good, again = pcall(connection.health, connection)
      connection:close()
      child:wait()
      assert.is_false(good)
      assert.is_false(again_good)
      assert.equal('the connection to ' .. address .. ' is closed: open it again', again.message)
      return (err.message:gsub(address, 'ADDRESS'))
    end

    it('closes the connection', function()
      assert.equal('ADDRESS closed the connection before it answered', call_strange(''))
    end)

    it('closes it in the middle of an answer', function()
      assert.equal('ADDRESS closed the connection before it answered', call_strange('9401'))
    end)

    it('sends garbage', function()
      assert.equal('ADDRESS sent what is no answer: expected a msgpack-RPC message: an array of 3 '
        .. 'or 4 values', call_strange('48545450'))
    end)

    it('does not answer', function()
      assert.equal('ADDRESS did not answer within 300 ms', call_strange('silent'))
    end)

    it('answers another request', function()
      assert.equal('ADDRESS did not answer within 300 ms', call_strange('94010ac0a178'))
    end)
  end)

  it('of ours says when nobody listens or the address is wrong', function()
    local listener = uv.new_tcp()
    listener:bind('127.0.0.1', 0)
    local address = '127.0.0.1:' .. listener:getsockname().port
    local _, refused = pcall(tidemark.connect, address, { timeout = 2 })
    listener:close()
    assert.equal('connect to ' .. address .. ': Connection refused; is `tidemark serve` running, '
      .. 'and at this address?', refused.message)
    for _, wrong in ipairs({ 'localhost', '1.2.3.4:99999', '::1:80', 'host:', '[::1:80' }) do
      local _, err = pcall(tidemark.connect, wrong)
      assert.equal('address "' .. wrong .. '": expected HOST:PORT, such as 127.0.0.1:6570 or '
        .. '[::1]:6570', err.message)
    end
  end)
end)
