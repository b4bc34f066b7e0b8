-- One transform, one result: a row's features do not depend on where they are made. The same random
-- rows go through training (on any number of threads, in parts), through materialize and through
-- pushes of any size, and what is served is the same to the byte.
--
-- TIDEMARK_ROWS says how many rows.

local bit = require 'bit'
local ffi = require 'ffi'
local blueprints = require 'spec.support.blueprints'
local cli = require 'spec.support.cli'
local msgpack = require 'tidemark.msgpack'
local random = require 'spec.support.random'
local tidemark = require 'tidemark'
local workspace = require 'spec.support.workspace'

local ROWS = tonumber(os.getenv('TIDEMARK_ROWS') or '') or 20000
local CHUNK = 5000   -- rows of a request
local SINGLE = 300   -- rows that are pushed one by one
local TIME = 1617062400000000

local INPUTS = { 'float64 f', 'float32 g', 'int64 i', 'int32 j', 'bool b', 'string s', 'bytes y',
  'timestamp w', 'list(float64) l', 'list(string) t', 'list(int64) k', 'vector(3) v' }

-- Each input as it is, and something made of it.
local FEATURES = { 'float64 f2', 'float64 f3', 'float64 f4', 'float32 g2', 'float32 g3',
  'int64 i2', 'int32 j2', 'int32 j3', 'bool b2', 'string s2', 'string s3', 'int64 s4', 'bytes y2',
  'timestamp w2', 'list(float64) l2', 'float64 l3', 'list(string) t2', 'string t3',
  'list(int64) k2', 'vector(3) v2', 'float64 v3' }

local TRANSFORM = [[function(row)
    local sum, words = nil, nil
    if row.l then
      sum = 0
      for n = 1, row.l.n do
        sum = sum + (row.l[n] or 0.1)
      end
    end
    if row.t then
      words = { n = row.t.n }
      for n = 1, row.t.n do
        words[n] = row.t[n] and row.t[n] .. '!'
      end
    end
    local f, g, s, v = row.f, row.g, row.s, row.v
    return {
      f = f, g = g, i = row.i, j = row.j, b = row.b, s = s, y = row.y, w = row.w, l = row.l,
      t = row.t, k = row.k, v = v,
      f2 = f and f * 2 + 1,
      f3 = f and g and f * g - g,
      f4 = f and -f / 3,
      g2 = g and g * 1.5,
      g3 = f and g and f / f + g,
      i2 = row.i and row.i % 1000 - 7,
      j2 = row.j and row.j % 17,
      j3 = row.j and row.w and row.j + row.w - row.w,
      b2 = not row.b,
      s2 = s and s .. 'é',
      s3 = s and s:sub(1, 1):byte() and s:sub(1, 1):byte() < 128 and s:upper():sub(1, 1) or nil,
      s4 = s and #s,
      y2 = row.y and row.y .. '\255\0',
      w2 = row.w and row.w + 1,
      l2 = row.l and { n = 2, sum, nil },
      l3 = sum,
      t2 = words,
      t3 = words and words[1],
      k2 = row.k and { row.k.n },
      v2 = v and { v[1] * 2, v[2] + v[3], g or 0 },
      v3 = v and v[1] * v[2] + v[3],
    }
  end]]

local function fields(list)
  local texts = {}
  for i, text in ipairs(list) do
    texts[i] = text:gsub(' (%S+)$', " '%1'")
  end
  return texts
end

local function view(name, source, features, changes)
  changes = changes or {}
  changes.source, changes.entity = source, 'thing'
  return blueprints.view(name, fields(features), changes)
end

local function definitions()
  local all = {}
  for _, list in ipairs { INPUTS, FEATURES } do
    for _, text in ipairs(list) do
      all[#all + 1] = text
    end
  end
  local times = { event_time = 'event_timestamp', created_time = false, time_unit = 'us' }
  local function source(name, path)
    times.path = path
    return blueprints.source(name, times)
  end
  return blueprints.entity('thing', { "int64 'id'" })
    .. source('raw', 'data/raw.msgpack') .. view('raw', 'raw', INPUTS)
    .. source('typed', 'data/typed.parquet') .. view('made', 'typed', all, {
      inputs = blueprints.raw('{ ' .. table.concat(fields(INPUTS), ', ') .. ' }'),
      on_error = 'null',
      transform = blueprints.raw(TRANSFORM),
    })
    .. source('trained', 'data/trained.parquet') .. view('trained', 'trained', all)
end

-- Values ------------------------------------------------------------------------------------------

local function float64(high, low)
  return '\203' .. string.char(bit.rshift(high, 24), bit.band(bit.rshift(high, 16), 255),
    bit.band(bit.rshift(high, 8), 255), bit.band(high, 255), bit.rshift(low, 24),
    bit.band(bit.rshift(low, 16), 255), bit.band(bit.rshift(low, 8), 255), bit.band(low, 255))
end

local function bits()
  return bit.tobit(math.random(0, 0xffff) * 0x10000 + math.random(0, 0xffff))
end

local function packed(values)
  local list = {}
  for i, value in ipairs(values) do
    list[i] = msgpack.encode(value)
  end
  return list
end

-- NaNs of every kind, infinities, both zeros, the greatest and the least.
local FLOATS = { float64(0x7ff80000, 0), float64(0xfff80000, 0), float64(0x7ff8dead, 0xbeef),
  float64(0xffffffff, 0xffffffff), float64(0xfffc1234, 0x5678), float64(0x7ff00000, 0),
  float64(0xfff00000, 0), float64(0, 0), float64(0x80000000, 0), float64(0x7fefffff, 0xffffffff),
  float64(0, 1), float64(0x80000000, 1), float64(0x3ff00000, 0), float64(0x40080000, 0) }
local SINGLES = { FLOATS[1], FLOATS[2], FLOATS[6], FLOATS[7], FLOATS[8], FLOATS[9] }
for _, number in ipairs { 0.5, -0.1, 1e-45, 3.4e38, -3.4e38, 16777217.5 } do
  SINGLES[#SINGLES + 1] = msgpack.encode(msgpack.float(number))
end

-- Beyond 2^53 a row fails.
local INTEGERS = packed { 0, 1, -1, 127, 128, -33, 255, 65536, 9007199254740992, -9007199254740992,
  9007199254740993LL, 0x7fffffffffffffffLL }
local NARROW = packed { 0, 1, -1, 2147483647, -2147483648, 99, -100 }
local TEXTS = { '', 'a', 'Z', 'é', 'ÿ', '日本語', '🦆', 'a\0b', '"', ('long '):rep(60), '\t', 'ß' }

local function one_of(list)
  return function()
    return random.pick(list)
  end
end

local function text()
  local parts = {}
  for i = 1, math.random(0, 3) do
    parts[i] = random.pick(TEXTS)
  end
  return msgpack.encode(table.concat(parts) .. math.random(0, 9))
end

local function list_of(value)
  return function()
    local items = { string.char(0x90 + math.random(0, 5)) }
    for i = 1, items[1]:byte() - 0x90 do
      items[i + 1] = random.once_in(4) and '\192' or value()
    end
    return table.concat(items)
  end
end

local function float()
  return random.once_in(3) and random.pick(FLOATS) or random.once_in(2) and float64(bits(), bits())
    or msgpack.encode(msgpack.float(math.random() * 100))
end

local function single()
  return random.once_in(3) and random.pick(SINGLES)
    or msgpack.encode(msgpack.float(tonumber(ffi.new('float', math.random() * 100 - 50))))
end

local function integer()
  return random.once_in(9) and random.pick(INTEGERS) or msgpack.encode(math.random(-5000, 5000))
end

local GENERATORS = {
  f = float,
  g = single,
  i = integer,
  j = one_of(NARROW),
  b = one_of { '\194', '\195' },
  s = function()
    return random.once_in(2) and msgpack.encode(random.pick(TEXTS)) or text()
  end,
  y = function()
    return msgpack.encode(msgpack.bin(random.pick(TEXTS) .. string.char(math.random(0, 255))))
  end,
  w = function()
    return msgpack.encode(TIME + math.random(-1000, 1000) * 1000000007)
  end,
  l = list_of(float),
  t = list_of(text),
  k = list_of(integer),
  v = function()
    return '\147' .. single() .. single() .. single()
  end,
}

local NAMES = {}
for i, input in ipairs(INPUTS) do
  NAMES[i] = input:match('%S+$')
end

local HEAD = string.char(0x80 + 2 + #NAMES) .. msgpack.encode('event_timestamp')
  .. msgpack.encode(TIME) .. msgpack.encode('id')

local function draw_row(id)
  local parts = { HEAD, msgpack.encode(id) }
  for _, name in ipairs(NAMES) do
    parts[#parts + 1] = msgpack.encode(name)
    parts[#parts + 1] = random.once_in(8) and '\192' or GENERATORS[name]()
  end
  return table.concat(parts)
end

-- One project for all tests -----------------------------------------------------------------------

describe('features are the same bytes', function()
  local space, ends

  local function run(arguments)
    local all = { '-C', space.folder, timeout = 600000 }
    for _, argument in ipairs(arguments) do
      all[#all + 1] = argument
    end
    local result = cli.run(all)
    assert.equal(0, result.status, result.stderr)
    return result.stdout, result.stderr
  end

  local function train(what, output, ...)
    return run { 'get-historical-features', '--spine', 'spine.csv', '-f', what, '-o', output, ... }
  end

  local function put_rows()
    local file = assert(io.open(space:path('data/raw.msgpack'), 'wb'))
    local at = 0
    ends = ffi.new('double[?]', ROWS + 1)
    for id = 1, ROWS do
      local row = draw_row(id)
      file:write(row)
      at = at + #row
      ends[id] = at
    end
    file:close()
  end

  local function put_spine()
    local ids = {}
    for id = 1, ROWS do
      ids[id] = id
    end
    random.shuffle(ids)
    space:write('spine.csv', 'id,event_timestamp\n' .. table.concat(ids, ',2021-03-30\n')
      .. ',2021-03-30\n')
  end

  -- Once for all: it takes longer than the tests. The helper removes it.
  before_each(function()
    if space then
      return
    end
    local seed = tonumber(os.getenv('TIDEMARK_SEED') or '') or os.time()
    math.randomseed(seed)
    io.write(('TIDEMARK_SEED=%d\n'):format(seed))
    space = workspace.new({ ['definitions/all.lua'] = definitions(), ['data/empty'] = '' })
    put_rows()
    put_spine()
    run { 'apply' }
    train('raw:*', 'data/typed.parquet')
    train('made:*', 'data/trained.parquet', '--threads', '1')
  end)

  -- What is served of a view for every row, piece by piece, as it is on the wire.
  local function each_answer(handle, name, visit)
    for first = 1, ROWS, CHUNK do
      local ids = {}
      for id = first, math.min(first + CHUNK - 1, ROWS) do
        ids[#ids + 1] = id
      end
      visit(first, handle.send(handle.handle, 'get_online_features', msgpack.encode(msgpack.map {
        features = { name .. ':*' }, entities = { id = ids } })))
    end
  end

  local function check(handle, name, expected)
    each_answer(handle, name, function(first, bytes)
      assert(bytes == expected[first], ('rows from %d on are not the same'):format(first))
    end)
  end

  local function materialized(name)
    run { 'materialize', '2021-01-01', '2022-01-01', '-v', name, '--quiet' }
    local handle, answers = tidemark.open(space.folder), {}
    each_answer(handle, name, function(first, bytes)
      answers[first] = bytes
    end)
    handle:close()
    return answers
  end

  -- Pushes rows [first, last] of the raw file as they stand there.
  local function push(handle, file, first, last)
    local params = '\130' .. msgpack.encode('view') .. msgpack.encode('made')
      .. msgpack.encode('rows') .. '\221'
      .. string.char(0, 0, math.floor((last - first + 1) / 256), (last - first + 1) % 256)
      .. file:read(ends[last] - ends[first - 1])
    local answer = msgpack.decode(handle.send(handle.handle, 'push', params))
    assert.equal(last - first + 1, answer.written)
  end

  it('in training on any number of threads, and in parts', function()
    for _, arguments in ipairs { { '--threads', '2' }, { '--threads', '4' },
      { '--memory', '192MiB' } } do
      train('made:*', 'again.parquet', unpack(arguments))
      assert.is_true(space:read('data/trained.parquet') == space:read('again.parquet'),
        table.concat(arguments, ' '))
    end
  end)

  it('in training, by materialize, and pushed', function()
    local expected = materialized('made')
    local trained = materialized('trained')
    for first, bytes in pairs(expected) do
      assert(bytes == trained[first], ('rows from %d on are not the same'):format(first))
    end
    run { '--store', space:path('pushed'), 'apply' }
    local handle = tidemark.open(space.folder, { store = space:path('pushed') })
    local file = assert(io.open(space:path('data/raw.msgpack'), 'rb'))
    local first = 1
    while first <= ROWS do
      local last = first <= SINGLE and first or math.min(ROWS, first + math.random(0, 4000))
      push(handle, file, first, last)
      first = last + 1
    end
    file:close()
    check(handle, 'made', expected)
    handle:close()
  end)

  it('and some rows fail, the same ones everywhere', function()
    local handle = tidemark.open(space.folder)
    handle:materialize({ TIME - 1, TIME + 1, views = { 'made' } })
    local failed = handle:materialize({ TIME - 1, TIME + 1, views = { 'made' } }).views[1].failed
    local result = handle:get_historical_features({ spine = space:path('spine.csv'),
      output = space:path('failed.parquet'), features = { 'made:f' } })
    assert.equal(failed, result.views[1].failed)
    assert.is_true(failed > 0 and failed < ROWS / 2, tostring(failed))
    local answer = handle:get_online_features({ features = { 'made:b2' }, include = { 'statuses' },
      entities = { id = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 } } })
    for i, row in ipairs(answer.statuses) do
      assert.equal(answer.rows[i][1] == msgpack.null and 'ERROR' or 'PRESENT', row[1])
    end
    handle:close()
  end)
end)
