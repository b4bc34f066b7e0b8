-- The writer of pushed rows, through the FFI: what it answers, what readers see at every moment,
-- and what is left after a crash, compared with an obvious model in Lua.

local ffi = require 'ffi'
local C = require 'spec.support.ffi'
local msgpack = require 'tidemark.msgpack'
local random = require 'spec.support.random'
local store = require 'spec.support.store'
local workspace = require 'spec.support.workspace'

ffi.cdef [[
typedef struct { uint8_t *data; size_t size; size_t capacity; } PushBuf;
void *tidemark_engine_open(const char *project, const char *store, bool relaxed, char *message);
void tidemark_engine_close(void *engine);
void *tidemark_engine_db(void *engine, char *message);
void *tidemark_engine_read(void *engine, char *message);
bool tidemark_push(void *engine, const char *view, const char *rows, size_t size,
                   const int64_t *times, uint64_t *counts, PushBuf *rejected, char *message);
void tidemark_push_free(PushBuf *rejected);
void tidemark_key_sort(const char *bytes, const uint32_t *sizes, size_t count, size_t skip,
                       uint32_t *order);
]]

local TIME_NULL = store.TIME_NULL
local ARRIVED = 5000
local NIL = '\192'
local message = ffi.new('char[768]')

local function view(name, id, fields)
  local merged = {
    name = name, id = id, at = 'definitions/x.lua:' .. id, entities = { 'driver' },
    source = 'events', slots = 4,
    features = {
      { name = 'a', type = 'int64', slot = 0 },
      { name = 'b', type = 'string', slot = 1 },
      { name = 'c', type = 'float64', slot = 3 },  -- slot 2 was a feature's once
    },
  }
  for field, value in pairs(fields or {}) do
    merged[field] = value
  end
  return merged
end

local function types_view()
  local list = {}
  for i, name in ipairs({ 'bool', 'int32', 'int64', 'float32', 'float64', 'string', 'bytes',
    'timestamp', 'list(int32)', 'vector(2)' }) do
    list[i] = { name = name:match('%a+%d*'), type = name, slot = i - 1 }
  end
  return view('types', 3, { slots = #list, features = list })
end

local CATALOG = msgpack.encode({
  entities = {
    { name = 'driver', keys = { { name = 'driver_id', type = 'int64' } } },
    {
      name = 'narrow',
      keys = { { name = 'id', type = 'int32' }, { name = 'zone', type = 'string' } },
    },
  },
  sources = { { name = 'events', path = 'x.csv', event_time = 'ts', created_time = 'made' } },
  views = {
    view('narrow', 2, { entities = { 'narrow' } }),
    view('offline', 4, { online = false }),
    types_view(),
    view('v', 1),
  },
  services = msgpack.array({}),
})

local function engine_open(space, relaxed)
  local engine = C.tidemark_engine_open(space.folder, space:path('store'), relaxed or false,
    message)
  assert(engine ~= nil, ffi.string(message))
  return engine
end

local function new_store(space)
  local db = store.open(space:path('store'))
  db:write(function(write)
    write:put_generation(1, 0, CATALOG, '\128', '\144')
  end)
  db:close()
end

-- written, stale, rejected ({ row, field, reason }); or nil and the message.
local function push(engine, name, rows, now)
  local bytes = msgpack.encode(rows)
  local counts, rejected = ffi.new('uint64_t[2]'), ffi.new('PushBuf')
  local times = ffi.new('int64_t[2]', now or TIME_NULL, ARRIVED)
  if not C.tidemark_push(engine, name, bytes, #bytes, times, counts, rejected, message) then
    return nil, ffi.string(message)
  end
  local list = msgpack.decode(ffi.string(rejected.data, rejected.size))
  C.tidemark_push_free(rejected)
  return { tonumber(counts[0]), tonumber(counts[1]), #list > 0 and list or nil }
end

-- The newest row: event, created, arrival, deleted, values (msgpack); nil without one.
local function get(engine, key)
  local read = C.tidemark_engine_read(engine, message)
  assert(read ~= nil, ffi.string(message))
  local rank, values, size = ffi.new('int64_t[4]'), ffi.new('const char *[1]'), ffi.new('size_t[1]')
  local found = C.tidemark_online_get(read, key, #key, rank, values, size, message)
  assert(found >= 0, ffi.string(message))
  local row = found == 1 and {
    event = tonumber(rank[0]), created = tonumber(rank[1]), deleted = rank[3] == 1,
    arrival = rank[2], values = ffi.string(values[0], size[0]),
  } or nil
  C.tidemark_db_read_end(read)
  C.tidemark_db_read_free(read)
  return row
end

local function encoded(...)
  local parts = {}
  for i = 1, select('#', ...) do
    local value = select(i, ...)
    parts[i] = value == nil and NIL or msgpack.encode(value)
  end
  return table.concat(parts)
end

describe('a push', function()
  local space, engine

  before_each(function()
    space = workspace.new()
    new_store(space)
    engine = engine_open(space)
  end)

  after_each(function()
    if engine then
      C.tidemark_engine_close(engine)
    end
    space:remove()
  end)

  local function reopen()
    C.tidemark_engine_close(engine)
    engine = engine_open(space)
  end

  it('is seen at once, and after everything was closed', function()
    assert.same({ 1, 0 },
      push(engine, 'v', { { driver_id = 1, event_time = 100, a = 7, b = 'x', c = 0.5 } }))
    local function check()
      local row = get(engine, store.key(1, 1))
      assert.equal(100, row.event)
      assert.equal(ARRIVED, row.created)
      assert.is_false(row.deleted)
      assert.equal(encoded(7, 'x', nil, 0.5), row.values)
      assert.equal(2 ^ 62, tonumber(row.arrival - 1))
    end
    check()
    reopen()
    check()
  end)

  it('takes rows as columns, and times by the names of the source', function()
    assert.same({ 2, 1 }, push(engine, 'v', {
      driver_id = { 1, 2, 1 }, ts = { 100, '1970-01-01T00:00:00.0002Z', 50 },
      made = { 10, msgpack.null, 20 }, a = { 1, 2, 3 },
    }))
    local first, second = get(engine, store.key(1, 1)), get(engine, store.key(1, 2))
    assert.same({ 100, 10, encoded(1, nil, nil, nil) },
      { first.event, first.created, first.values })
    assert.same({ 200, ARRIVED }, { second.event, second.created })
  end)

  it('wins at equal times, over files and earlier pushes', function()
    local db = C.tidemark_engine_db(engine, message)
    local write = C.tidemark_db_write_begin(db, message)
    local key = store.key(1, 1)
    local row = store.row({ event = 100, created = ARRIVED, arrival = 2 ^ 40, values = { '\1' } })
    C.tidemark_online_put(write, key, #key, row, #row, message)
    assert(C.tidemark_db_write_commit(write, message))
    assert.same({ 1, 0 }, push(engine, 'v', { { driver_id = 1, event_time = 100, a = 2 } }))
    assert.equal(encoded(2, nil, nil, nil), get(engine, key).values)
    assert.same({ 1, 0 }, push(engine, 'v', { { driver_id = 1, event_time = 100, a = 3 } }))
    assert.equal(encoded(3, nil, nil, nil), get(engine, key).values)
    assert.same({ 0, 1 }, push(engine, 'v', { { driver_id = 1, event_time = 99, a = 4 } }))
    reopen()
    assert.equal(encoded(3, nil, nil, nil), get(engine, key).values)
  end)

  it('keeps the features that it does not give', function()
    local key = store.key(1, 1)
    push(engine, 'v', { { driver_id = 1, event_time = 1, a = 1, b = 'x', c = 1.5 } })
    push(engine, 'v', {
      { driver_id = 1, event_time = 2, a = 2 },
      { driver_id = 1, event_time = 3, b = msgpack.null },
    })
    assert.equal(encoded(2, nil, nil, 1.5), get(engine, key).values)
    reopen()
    push(engine, 'v', { { driver_id = 1, event_time = 4, c = 2.5 } })
    assert.equal(encoded(2, nil, nil, 2.5), get(engine, key).values)
    push(engine, 'v', { { driver_id = 1, event_time = 3, c = 9.5 } })
    assert.equal(encoded(2, nil, nil, 2.5), get(engine, key).values)
  end)

  it('deletes, and revives with nothing of what was deleted (contract rule 10)', function()
    local key = store.key(1, 1)
    push(engine, 'v', { { driver_id = 1, event_time = 1, a = 1, b = 'x' } })
    assert.same({ 1, 0 }, push(engine, 'v', { { driver_id = 1, event_time = 5, deleted = true } }))
    assert.is_true(get(engine, key).deleted)
    assert.same({ 0, 1 }, push(engine, 'v', { { driver_id = 1, event_time = 4, a = 2 } }))
    assert.is_true(get(engine, key).deleted)
    assert.same({ 1, 0 }, push(engine, 'v', { { driver_id = 1, event_time = 6, a = 3 } }))
    assert.equal(encoded(3, nil, nil, nil), get(engine, key).values)
  end)

  it('rejects the rows that are wrong, each with its reason, and takes the others', function()
    local result = push(engine, 'narrow', {
      { id = 1, zone = 'a', event_time = 1, a = 1 },
      { id = 2147483648, zone = 'a', event_time = 1 },
      { zone = 'a', event_time = 1 },
      { id = msgpack.null, zone = 'a', event_time = 1 },
      { id = 1, zone = 7, event_time = 1 },
      { id = 1, zone = 'a' },
      { id = 1, zone = 'a', event_time = 'soon' },
      { id = 1, zone = 'a', event_time = 1, created_time = true },
      { id = 1, zone = 'a', event_time = 1, deleted = 'yes' },
      { id = 1, zone = 'a', event_time = 1, a = 'one' },
      { id = 1, zone = 'a', event_time = 1, d = 1 },
      { id = 1, zone = 'a', event_time = 1, b = '\255' },
      7,
      { id = -2147483648, zone = 'a', event_time = 1, a = 2.0 },
      { id = 2147483648.5, zone = 'a', event_time = 1 },
      { id = 1, zone = '\255', event_time = 1 },
    })
    assert.equal(2, result[1])
    local reasons = {}
    for i, rejected in ipairs(result[3]) do
      reasons[i] = rejected[1] .. ' ' .. rejected[2] .. ': ' .. rejected[3]
    end
    assert.same({
      '1 id: the number is not one of int32',
      '2 id: the key is not given',
      '3 id: the key is null',
      '4 zone: expected string, got integer',
      '5 event_time: the event time is not given',
      '6 event_time: "soon" is not a time: expected ISO-8601 such as 2021-04-12T07:00:00Z',
      '7 created_time: expected timestamp, got bool',
      '8 deleted: expected bool',
      '9 a: expected int64, got string',
      '10 d: feature_view "narrow" has no field "d"',
      '11 b: the string is not UTF-8',
      '12 : a row has to be a map of its fields',
      '14 id: expected int32, got 2147483648.5',
      '15 zone: the string is not UTF-8',
    }, reasons)
  end)

  it('takes the time of the request where a row gives none', function()
    push(engine, 'v', { { driver_id = 1, a = 1 } }, 77)
    assert.equal(77, get(engine, store.key(1, 1)).event)
  end)

  it('takes values of every type exactly or not at all', function()
    local FLOAT32 = '\202'
    local good = {
      { 'bool', true, '\195' }, { 'int32', -2147483648, '\210\128\0\0\0' },
      { 'int32', 5.0, '\5' }, { 'int64', 300, '\205\1\44' },
      { 'float32', 0.5, FLOAT32 .. '\63\0\0\0' },
      { 'float32', 3, FLOAT32 .. '\64\64\0\0' }, { 'float64', 2, '\203\64\0\0\0\0\0\0\0' },
      { 'string', '', '\160' }, { 'bytes', 'ab', '\196\2ab' }, { 'timestamp', 9, '\9' },
      { 'timestamp', '1970-01-01T00:00:00.000007Z', '\7' },
      { 'list', { 1, msgpack.null, 3 }, '\147\1\192\3' },
      { 'list', msgpack.array({}), '\144' },
      { 'vector', { 1, 0.5 }, '\146' .. FLOAT32 .. '\63\128\0\0' .. FLOAT32 .. '\63\0\0\0' },
    }
    for i, case in ipairs(good) do
      assert.same({ 1, 0 }, push(engine, 'types',
        { { driver_id = i, event_time = 1, [case[1]] = case[2] } }), case[1])
      local values = get(engine, store.key(3, i)).values
      assert.equal(case[3], values:gsub(NIL .. '*$', ''):gsub('^' .. NIL .. '*', '') , case[1])
    end
    local bad = {
      { 'bool', 1, 'expected bool, got integer' },
      { 'int32', 2147483648, 'the number is not one of int32' },
      { 'int64', 1.5, 'the number is not one of int64' },
      { 'int64', true, 'expected int64, got bool' },
      { 'float32', 16777217, 'the number is not one of float32' },
      { 'float32', 1e39, 'the number is not one of float32' },
      { 'float64', '1', 'expected float64, got string' },
      { 'string', 1, 'expected string, got integer' },
      { 'list', 1, 'expected list(int32), got integer' },
      { 'list', { 1, 'x' }, 'element 1: expected int32, got string' },
      { 'vector', { 1 }, 'expected 2 numbers, got 1' },
      { 'vector', { 1, msgpack.null }, 'element 1: expected float32, got nil' },
    }
    for _, case in ipairs(bad) do
      assert.same({ 0, 0, { { 0, case[1], case[3] } } }, push(engine, 'types',
        { { driver_id = 1, event_time = 1, [case[1]] = case[2] } }), case[1])
    end
  end)

  it('fails as a whole where the request is wrong', function()
    local function fails(name, rows)
      local ok, why = push(engine, name, rows)
      assert.is_nil(ok)
      return why
    end
    assert.equal('invalid: feature_view "offline" is not kept online (online = false in '
      .. 'definitions/x.lua:4): rows are pushed to views that are', fails('offline', { {} }))
    assert.equal('invalid: feature_view "v" has no field "driver", did you mean "driver_id"?',
      fails('v', { driver = { 1 } }))
    assert.equal('invalid: column "driver_id" has to be a list', fails('v', { driver_id = 1 }))
    assert.matches('invalid: column "[%a_]+" has 1 rows, others have 2',
      fails('v', { driver_id = { 1, 2 }, event_time = { 1 } }))
  end)

  it('carries keys that are longer than LMDB takes', function()
    local zone = ('z'):rep(600)
    push(engine, 'narrow', { { id = 1, zone = zone, event_time = 1, a = 1 } })
    push(engine, 'narrow', { { id = 1, zone = zone, event_time = 2, b = 'x' } })
    local key = store.key(2, 1, zone)
    assert.equal(encoded(1, 'x', nil, nil), get(engine, key).values)
    reopen()
    assert.equal(encoded(1, 'x', nil, nil), get(engine, key).values)
  end)

  it('goes on where the disk was full', function()
    local limits = ffi.new('uint64_t[2]')
    ffi.cdef 'int setrlimit(int, const uint64_t *); int getrlimit(int, uint64_t *);'
    ffi.cdef 'void *signal(int, void *);'
    push(engine, 'v', { { driver_id = 1, event_time = 1, a = 1 } })
    ffi.C.getrlimit(1, limits)
    local before = ffi.C.signal(25, ffi.cast('void *', 1))
    ffi.C.setrlimit(1, ffi.new('uint64_t[2]', 4096, limits[1]))
    local ok, why = push(engine, 'v', { { driver_id = 1, event_time = 2, b = ('x'):rep(9000) } })
    local seen = get(engine, store.key(1, 1)).values
    ffi.C.setrlimit(1, limits)
    ffi.C.signal(25, before)
    assert.is_nil(ok)
    assert.matches('^store: .*nothing was pushed, make room and push again', why)
    assert.equal(encoded(1, nil, nil, nil), seen)
    assert.same({ 1, 0 }, push(engine, 'v', { { driver_id = 1, event_time = 3, a = 2 } }))
    reopen()
    assert.equal(encoded(2, nil, nil, nil), get(engine, store.key(1, 1)).values)
  end)

  -- The model: the newest row of each key, by the order of ranks and of pushes.
  local function greater(left, right)
    if left.event ~= right.event then
      return left.event > right.event
    end
    if left.created ~= right.created then
      return left.created > right.created
    end
    return left.arrival > right.arrival
  end

  local function model_put(model, row)
    local old = model[row.id]
    if old and not greater(row, old) then
      return false
    end
    if old and not old.deleted and not row.deleted and row.partial then
      for name, value in pairs(old.values) do
        if row.values[name] == nil then
          row.values[name] = value
        end
      end
    end
    model[row.id] = row
    return true
  end

  local function check_all(model, keys)
    for id = 1, keys do
      local row, wanted = get(engine, store.key(1, id)), model[id]
      if not wanted then
        assert.is_nil(row)
      else
        assert.same({ wanted.event, wanted.created, wanted.deleted },
          { row.event, row.created, row.deleted })
        local function of(name)
          local value = wanted.values[name]
          return value ~= msgpack.null and value or nil
        end
        if not wanted.deleted then
          assert.equal(encoded(of 'a', of 'b', nil, of 'c'), row.values)
        end
      end
    end
  end

  local arrival = 0

  local function random_row(keys)
    arrival = arrival + 1
    local row = {
      id = math.random(keys), event = math.random(20), created = math.random(3),
      deleted = random.once_in(8), values = {}, arrival = 2 ^ 50 + arrival, partial = true,
    }
    local fields = { driver_id = row.id, event_time = row.event, created_time = row.created }
    if row.deleted then
      fields.deleted = true
    end
    local VALUES = { a = math.random(100), b = ('b'):rep(math.random(0, 300)), c = math.random() }
    for name, value in pairs(VALUES) do
      if math.random(3) > 1 then
        row.values[name] = random.once_in(5) and msgpack.null or value
        fields[name] = row.values[name]
      end
    end
    return row, fields
  end

  -- A row of a file, put by another transaction, as materialize does.
  local function put_from_file(model, keys)
    local row = {
      id = math.random(keys), event = math.random(20), created = math.random(3), deleted = false,
      arrival = math.random(50), values = { a = 1, b = 'file', c = msgpack.null },
    }
    local bytes = store.row({ event = row.event, created = row.created, arrival = row.arrival,
      values = { encoded(1), encoded('file'), NIL, NIL } })
    local key = store.key(1, row.id)
    local write = C.tidemark_db_write_begin(C.tidemark_engine_db(engine, message), message)
    assert(write ~= nil, ffi.string(message))
    C.tidemark_online_put(write, key, #key, bytes, #bytes, message)
    assert(C.tidemark_db_write_commit(write, message))
    model_put(model, row)
  end

  it('and files give the newest row, whatever comes when, and after crashes', function()
    random.each(12, function()
      C.tidemark_engine_close(engine)
      space:remove()
      space = workspace.new()
      new_store(space)
      engine = engine_open(space, random.once_in(3))
      local model, keys = {}, math.random(1, 30)
      for _ = 1, math.random(5, 40) do
        local rows, written, stale = {}, 0, 0
        for i = 1, math.random(1, 50) do
          local row, fields = random_row(keys)
          rows[i] = fields
          if model_put(model, row) then
            written = written + 1
          else
            stale = stale + 1
          end
        end
        assert.same({ written, stale }, push(engine, 'v', rows))
        if random.once_in(6) then
          put_from_file(model, keys)
        end
        if random.once_in(8) then
          reopen()
        end
        if random.once_in(4) then
          check_all(model, keys)
        end
      end
      check_all(model, keys)

      -- A crash: the files as they are now, without a word to the engine. The log's last group is
      -- there, LMDB may be anywhere behind it.
      local copy = workspace.new()
      assert(C.tidemark_db_copy(C.tidemark_engine_db(engine, message), copy:path('store'), message),
        ffi.string(message))
      os.execute(('cp -r %s %s'):format(space:path('store/log'), copy:path('store/log')))
      local living = engine
      engine = engine_open(copy)
      check_all(model, keys)
      C.tidemark_engine_close(engine)
      engine = living
      copy:remove()
    end)
  end)
end)

describe('sorting keys', function()
  -- Keys that have much in common: of few letters, some of which are zero, behind a common start.
  local function random_keys()
    local start = ('s'):rep(math.random(0, 70))
    local letters = random.pick({ 'ab', '\0a', 'abcdefghijklmnop' })
    local keys = {}
    for i = 1, math.random(0, random.pick({ 10, 1000 })) do
      local parts = {}
      for j = 1, math.random(0, random.pick({ 1, 4, 20 })) do
        local at = math.random(#letters)
        parts[j] = letters:sub(at, at)
      end
      keys[i] = start .. table.concat(parts)
    end
    return keys, math.random(0, #start)
  end

  it('is by bytes, shorter first, and leaves equal ones in their order', function()
    random.each(200, function()
      local keys, skip = random_keys()
      local sizes = ffi.new('uint32_t[?]', #keys + 1)
      local order = ffi.new('uint32_t[?]', #keys + 1)
      local expected = {}
      for i, key in ipairs(keys) do
        sizes[i - 1] = #key
        expected[i] = i
      end
      table.sort(expected, function(a, b)
        if keys[a] ~= keys[b] then
          return keys[a] < keys[b]
        end
        return a < b
      end)
      C.tidemark_key_sort(table.concat(keys), sizes, #keys, skip, order)
      for i, number in ipairs(expected) do
        assert.equal(number, order[i - 1] + 1)
      end
    end)
  end)
end)
