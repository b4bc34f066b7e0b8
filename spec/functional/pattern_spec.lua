-- Requests that repeat an earlier one with other keys are told by their bytes and answered in
-- groups. Whatever is asked, that must not be seen: a request whose id is written in eight bytes
-- is never taken that way, so its answer is what the others are compared with.

local mpack = require 'mpack'
local process = require 'spec.support.process'
local projects = require 'spec.support.project'
local random = require 'spec.support.random'
local servers = require 'spec.support.server'
local wire = require 'spec.support.wire'

local DEFINITION = [[
entity 'driver' { keys = { int64 'driver_id' } }
entity 'city' { keys = { string 'city' } }
entity 'pair' { keys = { int64 'driver_id', string 'city' } }
source 'rows' { path = 'data/rows.csv', event_time = 'event_timestamp', created_time = 'created' }
feature_view 'rates' { entity = 'driver', source = 'rows', features = { float64 'rate' } }
feature_view 'trips' { entity = 'driver', source = 'rows',
  features = { int64 'trips', string 'city' } }
feature_view 'cities' { entity = 'city', source = 'rows', features = { int64 'trips' } }
feature_view 'pairs' { entity = 'pair', source = 'rows', features = { int64 'trips' } }
feature_service 'rates' { features = { 'rates:*' } }
feature_service 'both' { features = { 'trips:city', 'rates:rate', 'trips:trips' } }
feature_service 'cities' { features = { 'cities:*' } }
feature_service 'pairs' { features = { 'pairs:*' } }
]]

local ROWS = {
  '1,2021-04-12T07:00:00Z,2021-04-12T07:00:00Z,0.5,10,Paris',
  '2,2021-04-12T08:00:00Z,2021-04-12T08:00:00Z,,11,""',
  '-3,2021-04-12T08:00:00Z,2021-04-12T08:00:00Z,0.25,12,Rome',
  '70000,2021-04-12T08:00:00Z,2021-04-12T08:00:00Z,0.75,13,Oslo',
  '5000000000,2021-04-12T08:00:00Z,2021-04-12T08:00:00Z,1.5,14,Bern',
}

local pack = mpack.Packer()

local function array(items)
  local count = #items
  local head = count < 16 and string.char(0x90 + count)
    or '\220' .. string.char(math.floor(count / 256), count % 256)
  return head .. table.concat(items)
end

-- Pairs of packed values, in this order.
local function map(items)
  return string.char(0x80 + #items / 2) .. table.concat(items)
end

local function frame(id, params)
  return '\148\0' .. id .. pack('get_online_features') .. array({ params })
end

-- The same id in the general form that patterns do not take.
local function plain_id(number)
  return '\207\0\0\0\0' .. string.char(math.floor(number / 0x1000000),
    math.floor(number / 0x10000) % 256, math.floor(number / 256) % 256, number % 256)
end

local function request(service, entities)
  return map({ pack('service'), pack(service), pack('entities'), entities })
end

local function drivers(...)
  local keys = {}
  for i, key in ipairs({ ... }) do
    keys[i] = pack(key)
  end
  return map({ pack('driver_id'), array(keys) })
end

-- The bytes of `count` answers.
local function receive(raw, count)
  local unpacker, input = mpack.Unpacker(), nil
  process.wait(function()
    input = raw:input()
    local position, seen = 1, 0
    while position <= #input do
      local value, at = unpacker(input, position)
      seen, position = seen + (value ~= nil and 1 or 0), at
    end
    unpacker = mpack.Unpacker()
    return seen == count
  end, count .. ' answers')
  raw.chunks = {}
  return input
end

local function ask(raw, bytes, count)
  raw:write(bytes)
  return receive(raw, count or 1)
end

-- A key as clients may write it, the wrong ones included.
local function any_key()
  local one_in_ten = random.pick({ '\192', pack('x'), '\203\63\224\0\0\0\0\0\0', '\196\1a',
    '\207\255\255\255\255\255\255\255\255', array({}) })
  return random.once_in(10) and one_in_ten
    or random.pick({ '\1', '\2', '\253', '\204\1', '\205\0\2', '\206\0\1\17\112', '\208\253',
      '\209\255\253', '\210\255\255\255\253', '\207\0\0\0\1\42\5\242\0', '\211\0\0\0\0\0\0\0\1',
      '\206\0\0\0\9' })
end

local function any_city()
  return random.once_in(10) and any_key()
    or random.pick({ pack('Paris'), pack(''), '\217\4Rome', '\218\0\4Oslo', pack('Nowhere') })
end

local function some(make)
  local items = {}
  for i = 1, random.pick({ 0, 1, 1, 1, 1, 2, 5, 20, 100, 300 }) do
    items[i] = make()
  end
  return array(items)
end

local function any_entities(service)
  if service == 'cities' then
    return map({ pack('city'), some(any_city) })
  elseif service == 'pairs' then
    return map({ pack('driver_id'), array({ any_key() }), pack('city'), array({ any_city() }) })
  end
  return random.pick({
    map({ pack('driver_id'), some(any_key) }),
    map({ pack('driver_id'), some(any_key) }),
    map({ pack('driver_id'), any_key() }),
    array({ map({ pack('driver_id'), any_key() }) }),
    map({ pack('driver_ix'), some(any_key) }),
  })
end

local function any_params()
  local service = random.pick({ 'rates', 'both', 'cities', 'pairs', 'none' })
  local entities = any_entities(service)
  local more = random.pick({ {}, {}, {},
    { pack('include'), array({ pack('statuses') }) },
    { pack('full_feature_names'), '\195' },
    { pack('now'), '\207\0\5\191\197\205\26\192\0' } })
  local parts = { pack('service'), pack(service), pack('entities'), entities }
  if random.once_in(3) then
    parts = { pack('entities'), entities, pack('service'), pack(service) }
  end
  for _, part in ipairs(more) do
    parts[#parts + 1] = part
  end
  return map(parts)
end

describe('requests that repeat others', function()
  local project, server, raw

  before_each(function()
    project = projects.new({ rows = ROWS, definition = DEFINITION })
    project:materialize('2021-04-01', '2021-05-01')
    server = servers.start(project.folder, { args = { '--threads', '1', '--max-rows', '200' } })
    raw = wire.open(server.address)
  end)

  after_each(function()
    raw:close()
    server:stop()
    project:remove()
  end)

  it('are answered as if they were the first, byte by byte', function()
    local plain = wire.open(server.address)
    random.each(150, function()
      local taken, general = {}, {}
      local count = math.random(1, 30)
      for i = 1, count do
        local params = i > 1 and random.once_in(2) and taken[i - 1].params or any_params()
        local id = random.pick({ 1, 127, 128, 255, 256, 65535, 65536, 4294967295 })
        taken[i] = { params = params, bytes = frame(pack(id), params) }
        general[i] = frame(plain_id(id), params)
      end
      local bytes = {}
      for i, one in ipairs(taken) do
        bytes[i] = one.bytes
      end
      assert.equal(ask(plain, table.concat(general), count),
        ask(raw, table.concat(bytes), count))
    end)
    plain:close()
  end)

  it('may come in pieces, and with others in between', function()
    local asked = frame('\7', request('both', drivers(1, 2, 9)))
    local answer = ask(raw, asked)
    local other = wire.request(8, 'list', { kind = 'entities' })
    local between = ask(raw, other)
    for cut = 1, #asked - 1 do
      raw:write(asked .. other .. asked:sub(1, cut))
      local first = receive(raw, 2)
      assert.equal(answer .. between, first)
      assert.equal(answer .. answer, ask(raw, asked:sub(cut + 1) .. asked, 2))
    end
  end)

  it('are answered on many connections at once', function()
    local asked, sockets = frame('\7', request('rates', drivers(1))), {}
    local answer = ask(raw, asked)
    for i = 1, 100 do
      sockets[i] = wire.open(server.address)
    end
    for round = 1, 3 do
      for i, socket in ipairs(sockets) do
        socket:write(asked:rep(i % 20 * round + 1))
        if i % 10 == 0 and round == 3 then
          socket:shutdown()
        end
      end
      for i, socket in ipairs(sockets) do
        local count = i % 20 * round + 1
        assert.equal(answer:rep(count), receive(socket, count))
      end
    end
    for _, socket in ipairs(sockets) do
      socket:close()
    end
    assert(server:call('metrics').counters.rows > 3000)
  end)

  it('see a row from the moment on that it was written', function()
    local asked = frame('\7', request('rates', drivers(1)))
    local function rate()
      return mpack.Unpacker()(ask(raw, asked))[4].rows[1][1]
    end
    assert.same({ 0.5, 0.5 }, { rate(), rate() })
    local other = server:connect()
    for i = 1, 20 do
      other:call('push', { view = 'rates', rows = { { driver_id = 1, rate = i,
        event_timestamp = ('2021-05-%02dT00:00:00Z'):format(i) } } })
      assert.equal(i, rate())
    end
    other:close()
    project:set_rows({ '1,2021-06-01T07:00:00Z,2021-06-01T07:00:00Z,99.5,10,Paris' })
    project:materialize('2021-06-01', '2021-06-02')
    assert.equal(99.5, rate())
  end)

  it('follow what is applied meanwhile', function()
    local asked = frame('\7', request('rates', drivers(1)))
    local function answer()
      return mpack.Unpacker()(ask(raw, asked))
    end
    answer()
    assert.same({ names = { 'rate' }, rows = { { 0.5 } } }, answer()[4])
    project.space:write('definitions/rows.lua',
      (DEFINITION:gsub("{ 'rates:%*' }", "{ 'trips:trips', 'rates:rate' }")))
    project:must('apply')
    assert.same({ names = { 'trips', 'rate' }, rows = { { 10, 0.5 } } }, answer()[4])
    project.space:write('definitions/rows.lua',
      (DEFINITION:gsub("feature_service 'rates'[^\n]*", '')))
    project:must('apply', '--allow-incompatible')
    assert.matches('unknown feature_service "rates"', answer()[3][2], 1, true)
  end)

  it('are held to the limits', function()
    local keys = {}
    for i = 1, 201 do
      keys[i] = i
    end
    local few, many = request('rates', drivers(1)), request('rates', drivers(unpack(keys)))
    ask(raw, frame('\7', few))
    local answer = mpack.Unpacker()(ask(raw, frame('\8', many)))
    assert.matches('201 rows in one request, at most 200', answer[3][2], 1, true)
    local small = servers.start(project.folder, { args = { '--max-frame', '150' } })
    local socket = wire.open(small.address)
    local limited = {}
    for i = 1, 60 do
      limited[i] = 1000 + i
    end
    ask(socket, frame('\7', few))
    socket:write(frame('\8', few) .. frame('\9', request('rates', drivers(unpack(limited)))))
    local rest = socket:rest()
    local _, at = mpack.Unpacker()(rest)
    local refused = mpack.Unpacker()(rest:sub(at))
    assert.equal(9, refused[2])
    assert.matches('larger than 150 bytes', refused[3][2], 1, true)
    socket:close()
    small:stop()
  end)
end)
