local ffi = require 'ffi'
local C = require 'spec.support.ffi'
local msgpack = require 'tidemark.msgpack'
local random = require 'spec.support.random'
local store = require 'spec.support.store'
local workspace = require 'spec.support.workspace'

ffi.cdef [[
typedef struct {
  size_t rows, spans;
  const uint8_t *values;
  size_t size;
  const uint8_t *statuses;
  const int64_t *event_times;
} OnlineAnswer;
void *tidemark_online_plan(const char *catalog, size_t size, const char *ask, bool full_names,
                           char *message);
void *tidemark_online_plan_service(const char *catalog, size_t size, const char *name,
                                   bool full_names, char *message);
void tidemark_online_plan_free(void *plan);
const char *tidemark_online_plan_name(const void *plan, size_t column);
const char *tidemark_online_plan_key(const void *plan, size_t key);
OnlineAnswer *tidemark_online_get_features(void *read, const void *plan, const char *entities,
                                           size_t size, int64_t now, bool details, char *message);
void tidemark_online_answer_free(OnlineAnswer *answer);
]]

local key, row = store.key, store.row
local STATUSES = {
  [0] = 'PRESENT', 'NULL_VALUE', 'NOT_FOUND', 'OUTSIDE_MAX_AGE', 'DELETED', 'ERROR',
}
local NIL = '\192'

local message = ffi.new('char[768]')

-- Catalogs ----------------------------------------------------------------------------------------

local function features(names, first_slot)
  local list = {}
  for i, name in ipairs(names) do
    list[i] = { name = name, type = 'int64', slot = (first_slot or 0) + i - 1 }
  end
  return list
end

local function view(name, id, fields)
  local merged = {
    name = name,
    id = id,
    at = 'definitions/x.lua:' .. id,
    entities = { 'driver' },
    source = 'events',
    slots = 16,
    features = features({ 'a', 'b', 'c' }),
  }
  for field, value in pairs(fields or {}) do
    merged[field] = value
  end
  return merged
end

local function catalog(views, services)
  table.sort(views, function(left, right)
    return left.name < right.name
  end)
  return msgpack.encode({
    entities = {
      { name = 'driver', keys = { { name = 'driver_id', type = 'int64' } } },
      { name = 'named', keys = { { name = 'driver_id', type = 'string' } } },
      {
        name = 'pair',
        keys = { { name = 'driver_id', type = 'int64' }, { name = 'zone', type = 'string' } },
      },
      { name = 'text', keys = { { name = 'name', type = 'string' } } },
    },
    sources = { { name = 'events', path = 'x.csv', event_time = 'ts' } },
    views = views,
    services = msgpack.array(services or {}),
  })
end

-- Asking ------------------------------------------------------------------------------------------

local plans = {}

local function plan(text, ask, full)
  local handle = C.tidemark_online_plan(text, #text, ask, full or false, message)
  if handle == nil then
    error(ffi.string(message), 0)
  end
  plans[#plans + 1] = handle
  return handle
end

local function plan_service(text, name, full)
  local handle = C.tidemark_online_plan_service(text, #text, name, full or false, message)
  if handle == nil then
    error(ffi.string(message), 0)
  end
  plans[#plans + 1] = handle
  return handle
end

local function list_of(get, handle)
  local list = {}
  local item = get(handle, 0)
  while item ~= nil do
    list[#list + 1] = ffi.string(item)
    item = get(handle, #list)
  end
  return list
end

local function names(handle)
  return list_of(C.tidemark_online_plan_name, handle)
end

local function keys(handle)
  return list_of(C.tidemark_online_plan_key, handle)
end

-- Every value in order, and, with details, statuses and event times; `columns[k][row]`.
local function ask(read, handle, columns, now, details)
  local arrays = {}
  for i, column in ipairs(columns) do
    arrays[i] = msgpack.array(column)
  end
  local bytes = msgpack.encode(msgpack.array(arrays))
  local answer =
    C.tidemark_online_get_features(read.handle, handle, bytes, #bytes, now, details, message)
  if answer == nil then
    error(ffi.string(message), 0)
  end
  local result = { spans = tonumber(answer.spans), values = {} }
  local text = answer.size > 0 and ffi.string(answer.values, answer.size) or ''
  local at = 1
  while at <= #text do
    local value
    value, at = msgpack.decode(text, at)
    result.values[#result.values + 1] = value == nil and msgpack.null or value
  end
  local count = #names(handle) * tonumber(answer.rows)
  assert.equal(count, #result.values)
  if details then
    result.statuses, result.times = {}, {}
    for i = 1, count do
      result.statuses[i] = STATUSES[answer.statuses[i - 1]]
      result.times[i] = answer.event_times[i - 1]
    end
  else
    assert.is_true(answer.statuses == nil and answer.event_times == nil)
  end
  C.tidemark_online_answer_free(answer)
  return result
end

describe('an online request', function()
  local space, db

  before_each(function()
    space = workspace.new()
    db = store.open(space:path('store'))
  end)

  after_each(function()
    for _, handle in ipairs(plans) do
      C.tidemark_online_plan_free(handle)
    end
    plans = {}
    db:close()
    space:remove()
  end)

  local function put(whole, fields)
    db:write(function(write)
      fields.key = #whole > 511 and whole:sub(3) or nil
      write:put(whole, row(fields))
    end)
  end

  local function get(handle, columns, now, details)
    return db:read(function(read)
      return ask(read, handle, columns, now, details ~= false)
    end)
  end

  describe('names', function()
    local text = catalog({
      view('one', 1),
      view('two', 2, { features = features({ 'c', 'd', 'driver_id' }) }),
    })

    it('columns shortly where that is unique among columns and keys', function()
      assert.same({ 'a', 'one__c', 'two__c', 'd', 'two__driver_id' },
        names(plan(text, 'one:a one:c two:c two:d two:driver_id')))
    end)

    it('columns by their view on demand, and by their role', function()
      assert.same({ 'one__a', 'back__a' }, names(plan(text, 'one:a one@back:a')))
      assert.same({ 'one__a', 'two__d' }, names(plan(text, 'one:a two:d', true)))
    end)

    it('no two columns alike', function()
      assert.error_matches(function()
        plan(text, 'one:a one:b one:a')
      end, '^invalid: .*"one__a"')
    end)
  end)

  describe('plans', function()
    local views = {
      view('one', 1, { features = features({ 'a', 'b', 'c', 'd' }) }),
      view('pairs', 2, { entities = { 'pair' }, features = features({ 'p', 'q' }) }),
      view('texts', 3, { entities = { 'text' }, features = features({ 't' }) }),
      view('typed', 4, { entities = { 'named' }, features = features({ 'u' }) }),
      view('hidden', 5, { online = false, features = features({ 'h' }) }),
    }
    local text = catalog(views, {
      {
        name = 'routes',
        features = {
          { view = 'one', role = 'from', feature = 'a' },
          { view = 'one', role = 'to', feature = 'a' },
          { view = 'pairs', feature = 'q' },
        },
        roles = {
          from = { driver_id = 'origin' },
          to = { driver_id = 'target' },
          pairs = { zone = 'area' },
        },
      },
    })

    it('list the key columns in the order of first use', function()
      assert.same({ 'driver_id' }, keys(plan(text, 'one:a one:b')))
      assert.same({ 'name', 'driver_id', 'zone' }, keys(plan(text, 'texts:t one:a pairs:p')))
    end)

    it('rename the keys of roles, and of views', function()
      assert.same({ 'origin', 'driver_id', 'target' },
        keys(plan(text, 'one@from:a one:a one@to:a from.driver_id=origin to.driver_id=target')))
      assert.same({ 'driver_id', 'area' }, keys(plan(text, 'pairs:p pairs.zone=area')))
    end)

    it('take a service with its roles', function()
      local handle = plan_service(text, 'routes')
      assert.same({ 'from__a', 'to__a', 'q' }, names(handle))
      assert.same({ 'origin', 'target', 'driver_id', 'area' }, keys(handle))
    end)

    it('refuse what they cannot do', function()
      local function refused(wanted, pattern)
        assert.error_matches(function()
          plan(text, wanted)
        end, pattern)
      end
      refused('', '^invalid: .*no features')
      refused('one:a typed:u', '^invalid: .*"driver_id" is int64 .*string')
      refused('one:a one.zone=x', '^invalid: roles: one.zone = x')
      refused('one:a to.driver_id=x', '^invalid: roles: to.driver_id = x')
      refused(('one@r%d:a '):rep(10001), '^limit: 10001 features')
      refused('hidden:h', '^invalid: .*"hidden" is not kept online')
    end)

    it('answer consecutive slots as one span', function()
      local function spans(wanted)
        return get(plan(text, wanted), { { 1 } }, 0).spans
      end
      assert.equal(1, spans('one:*'))
      assert.equal(1, spans('one:b one:c'))
      assert.equal(2, spans('one:b one:a'))
      assert.equal(2, spans('one:a one:c'))
      assert.equal(3, spans('one:a one@x:b one:b x.driver_id=driver_id'))
    end)
  end)

  it('gives every status, with nil in all but PRESENT', function()
    local text = catalog({
      view('aged', 1, { ttl = 100 }),
      view('known', 2, { as_known = true }),
      view('late', 3, { delay = 10 }),
      view('plain', 4, { features = features({ 'a', 'b', 'c', 'd' }) }),
      view('strict', 5, { bound = '<', ttl = 100 }),
    })
    local ROWS = {
      null = { values = { '\1', NIL, '\3' } },
      failed = { values = { '\1', NIL, NIL }, errors = '\2' },
      deleted = { deleted = true },
      short = { values = { '\1' } },
      full = { values = { '\1', '\2', '\3' } },
    }
    local PRESENT = 'PRESENT PRESENT PRESENT'
    local NOT_FOUND = 'NOT_FOUND NOT_FOUND NOT_FOUND'
    local OUTSIDE = 'OUTSIDE_MAX_AGE OUTSIDE_MAX_AGE OUTSIDE_MAX_AGE'
    local DELETED = 'DELETED DELETED DELETED'
    -- view, row, event, created, now, statuses
    local CASES = {
      { 'plain', 'full', 0, nil, 0, PRESENT },
      { 'plain', 'full', 1, nil, 0, NOT_FOUND },
      { 'plain', 'full', -5000, nil, store.TIME_NULL + 1, NOT_FOUND },
      { 'plain', 'full', store.TIME_NULL + 1, nil, 0x7fffffffffffffffLL, PRESENT },
      { 'plain', 'full', 0, 50, 0, PRESENT },
      { 'plain', 'null', 0, nil, 0, 'PRESENT NULL_VALUE PRESENT' },
      { 'plain', 'failed', 0, nil, 0, 'PRESENT ERROR NULL_VALUE' },
      { 'plain', 'short', 0, nil, 0, 'PRESENT NOT_FOUND NOT_FOUND' },
      { 'plain', 'deleted', 0, nil, 0, DELETED },
      { 'plain', 'deleted', 1, nil, 0, NOT_FOUND },
      { 'aged', 'full', 0, nil, 100, PRESENT },
      { 'aged', 'full', 0, nil, 101, OUTSIDE },
      { 'aged', 'deleted', 0, nil, 100, DELETED },
      { 'aged', 'deleted', 0, nil, 101, OUTSIDE },
      { 'aged', 'full', store.TIME_NULL + 1, nil, store.TIME_NULL + 50, PRESENT },
      { 'strict', 'full', 0, nil, 0, NOT_FOUND },
      { 'strict', 'full', 0, nil, 1, PRESENT },
      { 'strict', 'full', 0, nil, 100, PRESENT },
      { 'strict', 'full', 0, nil, 101, OUTSIDE },
      { 'known', 'full', 0, 5, 4, NOT_FOUND },
      { 'known', 'full', 0, 5, 5, PRESENT },
      { 'known', 'full', 0, nil, 0, PRESENT },
      { 'late', 'full', 0, nil, 9, NOT_FOUND },
      { 'late', 'full', 0, nil, 10, PRESENT },
      { 'late', 'full', 0, 3, 3, PRESENT },
      { 'late', 'full', 0, 30, 20, NOT_FOUND },
      { 'late', 'full', 0x7fffffffffffffffLL - 5, nil, 0x7fffffffffffffffLL, PRESENT },
    }
    local IDS = { aged = 1, known = 2, late = 3, plain = 4, strict = 5 }
    local VALUES = { 1, 2, 3 }
    for i, case in ipairs(CASES) do
      local name, kind, event, created, now, wanted = unpack(case, 1, 6)
      local fields = { event = event, created = created }
      for field, value in pairs(ROWS[kind]) do
        fields[field] = value
      end
      put(key(IDS[name], i), fields)
      local handle = plan(text, ('%s:a %s:b %s:c'):format(name, name, name))
      local answer = get(handle, { { i } }, now)
      assert.equal(wanted, table.concat(answer.statuses, ' '), 'case ' .. i)
      for column = 1, 3 do
        local status = answer.statuses[column]
        local value = status == 'PRESENT' and VALUES[column] or msgpack.null
        assert.equal(value, answer.values[column], 'case ' .. i)
        assert.equal(status == 'NOT_FOUND' and store.TIME_NULL or ffi.cast('int64_t', event),
          answer.times[column], 'case ' .. i)
      end
    end
  end)

  it('finds nothing under a null key, an unknown one and one out of range', function()
    local text = catalog({ view('pairs', 1, { entities = { 'pair' } }) })
    put(key(1, 1, 'x'), { event = 0, values = { '\7' } })
    local null = msgpack.null
    local handle = plan(text, 'pairs:a')
    local answer = get(handle, {
      { 1, null, 1, null, 2, 0x7fffffffffffffffLL },
      { 'x', 'x', null, null, 'x', 'x' },
    }, 0)
    assert.same({ 7, null, null, null, null, null }, answer.values)
    assert.same({ 'PRESENT', 'NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND' },
      answer.statuses)
  end)

  it('tells the place of a key of a wrong type', function()
    local text = catalog({ view('pairs', 1, { entities = { 'pair' } }) })
    local handle = plan(text, 'pairs:a')
    assert.error_matches(function()
      get(handle, { { 1, 2, 3, 'x' }, { 'x', 'x', 'x', 'x' } }, 0)
    end, '^invalid: entities%.driver_id%[3%]: expected int64, got string')
    assert.error_matches(function()
      get(handle, { { 1, 2 }, { 'x', 5 } }, 0)
    end, '^invalid: entities%.zone%[1%]: expected string, got integer')
  end)

  it('refuses more values than a request may have', function()
    local names_of_many = {}
    for i = 1, 4096 do
      names_of_many[i] = 'f' .. i
    end
    local text = catalog({ view('wide', 1, { slots = 5000, features = features(names_of_many) }) })
    local column = {}
    for i = 1, 1025 do
      column[i] = i
    end
    assert.error_matches(function()
      get(plan(text, 'wide:*'), { column }, 0)
    end, '^limit: 1025 rows of 4096 features')
  end)

  it('answers no rows with nothing', function()
    local answer = get(plan(catalog({ view('one', 1) }), 'one:*'), { {} }, 0)
    assert.same({}, answer.values)
  end)

  it('finds rows under keys of any length', function()
    local text = catalog({ view('texts', 1, { entities = { 'text' } }) })
    local long, longer = ('k'):rep(600), ('k'):rep(601)
    put(key(1, long), { event = 0, values = { '\1' } })
    put(key(1, ''), { event = 0, values = { '\2' } })
    local answer = get(plan(text, 'texts:a'), { { longer, long, '', 'k' } }, 0)
    assert.same({ msgpack.null, 1, 2, msgpack.null }, answer.values)
  end)

  it('uses one plan again and again, with more rows each time', function()
    local handle = plan(catalog({ view('one', 1), view('two', 2) }), 'one:a two:b one:b')
    for i = 1, 300 do
      put(key(1, i), { event = i, values = { '\1', '\2' } })
    end
    for _, count in ipairs({ 1, 31, 32, 33, 300, 1000, 2 }) do
      local column, wanted = {}, {}
      for i = 1, count do
        column[i] = i
        wanted[#wanted + 1] = i <= 300 and 1 or msgpack.null
        wanted[#wanted + 1] = msgpack.null
        wanted[#wanted + 1] = i <= 300 and 2 or msgpack.null
      end
      assert.same(wanted, get(handle, { column }, 1000, false).values)
    end
  end)

  -- Random views, rows, references and rows asked for, against a Lua table of what was stored.
  it('equals a table of the stored values', function()
    random.each(30, function()
      local other = store.open(space:path('random' .. math.random(0, 2 ^ 30)))
      local stored, views = {}, {}
      other:write(function(write)
        for id = 1, 3 do
          views[id] = view('v' .. id, id, {
            features = features({ 'a' .. id, 'b' .. id, 'c' .. id, 'd' .. id }),
          })
          for entity = 1, 20 do
            local values = {}
            for slot = 1, math.random(0, 4) do
              values[slot] = random.once_in(4) and NIL or string.char(math.random(0, 127))
            end
            if not random.once_in(4) then
              stored[id .. '/' .. entity] = values
              write:put(key(id, entity), row({ event = entity, values = values }))
            end
          end
        end
      end)
      local columns, wanted = {}, {}
      for id = 1, 3 do
        for slot, letter in ipairs({ 'a', 'b', 'c', 'd' }) do
          if not random.once_in(3) then
            local text = ('v%d:%s%d'):format(id, letter, id)
            columns[#columns + 1] = { id = id, slot = slot, text = text }
          end
        end
      end
      if random.once_in(2) then
        random.shuffle(columns)
      end
      columns[1] = columns[1] or { id = 1, slot = 1, text = 'v1:a1' }
      local words, entities = {}, {}
      for i, column in ipairs(columns) do
        words[i] = column.text
      end
      for i = 1, math.random(1, 80) do
        entities[i] = math.random(0, 22)
        for _, column in ipairs(columns) do
          local values = stored[column.id .. '/' .. entities[i]]
          local value = values and values[column.slot]
          wanted[#wanted + 1] = value and value ~= NIL and value:byte() or msgpack.null
        end
      end
      local handle = plan(catalog(views), table.concat(words, ' '))
      other:read(function(read)
        assert.same(wanted, ask(read, handle, { entities }, 1000, random.once_in(2)).values)
      end)
      other:close()
    end)
  end)
end)
