local ffi = require 'ffi'
local oracle = require 'spec.support.oracle'
local random = require 'spec.support.random'
local C = require 'spec.support.ffi'

ffi.cdef [[
typedef struct { size_t rows, keys; uint32_t *starts; int64_t *times; uint32_t *order; } AsofSpine;
typedef struct {
  int64_t ttl, delay;
  bool strict, known_matters, drop_expired;
  int64_t as_of_created;
} AsofRule;
typedef struct {
  size_t count;
  const uint32_t *keys;
  const int64_t *event_times, *created_times;
  const uint8_t *deleted;
  uint64_t first_arrival;
} AsofBlock;
typedef struct {
  uint64_t *arrivals; int64_t *event_times; uint8_t *statuses; uint64_t counts[6];
} AsofMatches;
typedef struct AsofSlots AsofSlots;
AsofSpine *tidemark_spine_new(const uint32_t *numbers, size_t key_count, const int64_t *times,
                              size_t rows, unsigned threads);
void tidemark_spine_free(AsofSpine *spine);
AsofSlots *tidemark_asof_new(const AsofSpine *spine, const AsofRule *rule);
void tidemark_asof_free(AsofSlots *slots);
void tidemark_asof_add(AsofSlots *slots, const AsofBlock *block);
void tidemark_asof_finish(AsofSlots **sets, size_t count, unsigned threads, AsofMatches *matches);
void tidemark_asof_bounds(const AsofSpine *spine, const AsofRule *rule, int64_t *bounds);
]]

local KEY_NONE = 0xffffffff
local NONE = 0xffffffffffffffffULL
local STATUSES = { [0] = 'PRESENT', [2] = 'NOT_FOUND', [3] = 'OUTSIDE_MAX_AGE', [4] = 'DELETED' }

-- Input -------------------------------------------------------------------------------------------

local function random_key(key_count)
  if random.once_in(12) then
    return nil
  end
  -- the first key is hot
  return random.once_in(3) and 0 or math.random(0, key_count - 1)
end

local function random_spine(count, key_count, draw)
  local spine = {}
  for row = 1, count do
    spine[row] = {
      key = random_key(key_count),
      time = not random.once_in(15) and draw() or nil,
    }
  end
  return spine
end

local function random_rows(count, key_count, draw)
  local created_share = random.pick({ 0, 1, 1, 2 })
  local deleted_in = random.pick({ 2, 5, 1000000 })
  local first = random.pick({ 0, 0, 7, 4000000000 })
  local rows = {}
  for row = 1, count do
    rows[row] = {
      key = random_key(key_count),
      event = not random.once_in(15) and draw() or nil,
      created = math.random(0, 1) < created_share and draw() or nil,
      deleted = random.once_in(deleted_in),
      arrival = first + row - 1,
    }
  end
  return rows
end

local function random_rule(draw)
  return {
    ttl = random.once_in(2) and random.duration() or nil,
    delay = random.once_in(3) and random.duration() or nil,
    strict = random.once_in(2),
    as_known = random.once_in(2),
    as_of_created = random.once_in(3) and draw() or nil,
    drop_expired = random.once_in(2),
  }
end

local function sizes()
  local dice = math.random(60)
  if dice == 1 then
    return math.random(0, 150), math.random(300, 700), math.random(1, 3)
  end
  return math.random(0, 12), math.random(0, 25), math.random(1, 5)
end

-- The kernel under test -------------------------------------------------------------------------

local function c_spine(spine, key_count, threads)
  local numbers = ffi.new('uint32_t[?]', #spine + 1)
  local times = ffi.new('int64_t[?]', #spine + 1)
  for row, wanted in ipairs(spine) do
    numbers[row - 1] = wanted.key or KEY_NONE
    times[row - 1] = wanted.time or oracle.TIME_NULL
  end
  local made = C.tidemark_spine_new(numbers, key_count, times, #spine, threads or 1)
  return ffi.gc(made, C.tidemark_spine_free)
end

local function c_rule(rule)
  return ffi.new('AsofRule', {
    ttl = rule.ttl or 0,
    delay = rule.delay or 0,
    strict = rule.strict or false,
    known_matters = rule.as_known or rule.delay ~= nil,
    drop_expired = rule.drop_expired or false,
    as_of_created = rule.as_of_created or oracle.TIME_MAX,
  })
end

local function new_slots(spine, rule)
  return ffi.gc(C.tidemark_asof_new(spine, c_rule(rule)), C.tidemark_asof_free)
end

-- Rows first..last, which have consecutive arrivals. A column that is null throughout is left out
-- now and then, as a source without it would do.
local function add(slots, rows, first, last)
  local count = last - first + 1
  local keys = ffi.new('uint32_t[?]', count)
  local events = ffi.new('int64_t[?]', count)
  local created = ffi.new('int64_t[?]', count)
  local deleted = ffi.new('uint8_t[?]', count)
  local any_created, any_deleted = false, false
  for i = 0, count - 1 do
    local row = rows[first + i]
    keys[i] = row.key or KEY_NONE
    events[i] = row.event or oracle.TIME_NULL
    created[i] = row.created or oracle.TIME_NULL
    deleted[i] = row.deleted and 1 or 0
    any_created = any_created or row.created ~= nil
    any_deleted = any_deleted or row.deleted
  end
  local block = ffi.new('AsofBlock', {
    count = count,
    keys = keys,
    event_times = events,
    first_arrival = rows[first].arrival,
  })
  block.created_times = (any_created or random.once_in(2)) and created or nil
  block.deleted = (any_deleted or random.once_in(2)) and deleted or nil
  C.tidemark_asof_add(slots, block)
end

-- The rows cut into blocks, in random order, dealt out to a few sets of slots.
local function stream(spine, rule, rows)
  local blocks = {}
  local first = 1
  local longest = random.pick({ 1, 3, #rows + 1 })
  while first <= #rows do
    local last = math.min(#rows, first + math.random(longest) - 1)
    blocks[#blocks + 1] = { first, last }
    first = last + 1
  end
  random.shuffle(blocks)

  local sets = {}
  for i = 1, math.random(4) do
    sets[i] = new_slots(spine, rule)
  end
  for _, block in ipairs(blocks) do
    add(random.pick(sets), rows, block[1], block[2])
  end
  return sets
end

local function check_counts(counts, found)
  local wanted = {}
  for _, answer in ipairs(found) do
    wanted[answer.status] = (wanted[answer.status] or 0) + 1
  end
  for status, name in pairs(STATUSES) do
    if counts[status] ~= (wanted[name] or 0) then
      error(('%d rows counted as %s'):format(tonumber(counts[status]), name), 0)
    end
  end
end

local function finish(sets, count)
  local arrivals = ffi.new('uint64_t[?]', count + 1)
  local events = ffi.new('int64_t[?]', count + 1)
  local statuses = ffi.new('uint8_t[?]', count + 1)
  local matches = ffi.new('AsofMatches', arrivals, events, statuses)
  local threads = random.once_in(50) and math.random(2, 4) or 1
  C.tidemark_asof_finish(ffi.new('AsofSlots *[?]', #sets, sets), #sets, threads, matches)
  local found = {}
  for i = 0, count - 1 do
    found[i + 1] = {
      status = STATUSES[statuses[i]],
      arrival = arrivals[i] ~= NONE and tonumber(arrivals[i]) or nil,
      event = events[i] ~= oracle.TIME_NULL and events[i] or nil,
    }
  end
  check_counts(matches.counts, found)
  return found
end

local function join(spine, rows, rule, key_count)
  local grouped = c_spine(spine, key_count)
  return finish(stream(grouped, rule, rows), #spine)
end

-- Comparison -------------------------------------------------------------------------------------

local function show(answer)
  return ('%s arrival %s event %s'):format(
    answer.status,
    tostring(answer.arrival),
    tostring(answer.event)
  )
end

local function compare(found, expected)
  for place, answer in ipairs(expected) do
    local row = answer.row
    local wanted = {
      status = answer.status,
      arrival = answer.status == 'PRESENT' and row.arrival or nil,
      event = row and row.event or nil,
    }
    local got = found[place]
    local same = got.status == wanted.status and got.arrival == wanted.arrival
      and got.event == wanted.event
    if not same then
      error(('spine row %d: expected %s, got %s'):format(place, show(wanted), show(got)), 0)
    end
  end
end

local function expect(spine, rows, rule)
  if rule.drop_expired then
    rows = oracle.drop_expired(spine, rows, rule.ttl)
  end
  return oracle.asof(spine, rows, rule)
end

local function at(key, time)
  return { key = key, time = time and ffi.new('int64_t', time) or nil }
end

local function row(arrival, key, event, created, deleted)
  return {
    arrival = arrival,
    key = key,
    event = ffi.new('int64_t', event),
    created = created and ffi.new('int64_t', created) or nil,
    deleted = deleted or false,
  }
end

local function statuses(found)
  local list = {}
  for i, answer in ipairs(found) do
    list[i] = answer.status
  end
  return list
end

local function arrivals(found)
  local list = {}
  for i, answer in ipairs(found) do
    list[i] = answer.arrival or false
  end
  return list
end

describe('the point-in-time kernel', function()
  it('equals the oracle whatever the rule, the blocks, their order and the threads', function()
    random.each(12000, function()
      local spine_count, row_count, key_count = sizes()
      local draw = random.times()
      local spine = random_spine(spine_count, key_count, draw)
      local rows = random_rows(row_count, key_count, draw)
      local rule = random_rule(draw)
      compare(join(spine, rows, rule, key_count), expect(spine, rows, rule))
    end)
  end)

  it('takes both bounds inclusive, and the upper one exclusive when it is strict', function()
    local spine = { at(0, 9), at(0, 10), at(0, 15), at(0, 16) }
    local rows = { row(0, 0, 10) }
    assert.same(
      { 'NOT_FOUND', 'PRESENT', 'PRESENT', 'OUTSIDE_MAX_AGE' },
      statuses(join(spine, rows, { ttl = 5 }, 1))
    )
    assert.same(
      { 'NOT_FOUND', 'NOT_FOUND', 'PRESENT', 'OUTSIDE_MAX_AGE' },
      statuses(join(spine, rows, { ttl = 5, strict = true }, 1))
    )
  end)

  it('breaks ties by created time, then by arrival; a null created time is lowest', function()
    local spine = { at(0, 10), at(1, 10), at(2, 10) }
    local rows = {
      row(0, 0, 10, 12), row(1, 0, 10, 11), row(2, 0, 10),
      row(3, 1, 10), row(4, 1, 10),
      row(5, 2, 10, 1), row(6, 2, 10, 1), row(7, 2, 9, 99),
    }
    assert.same({ 0, 4, 6 }, arrivals(join(spine, rows, {}, 3)))
  end)

  it('waits until a row is known where the view is as_known or has a delay', function()
    local spine = { at(0, 10), at(0, 12), at(0, 14) }
    local rows = { row(0, 0, 10, 12), row(1, 0, 9) }
    assert.same({ 0, 0, 0 }, arrivals(join(spine, rows, {}, 1)))
    assert.same({ 1, 0, 0 }, arrivals(join(spine, rows, { as_known = true }, 1)))
    assert.same({ false, 0, 0 }, arrivals(join(spine, rows, { delay = 3 }, 1)))
  end)

  it('ignores what was created after as_of_created', function()
    local spine = { at(0, 20) }
    local rows = { row(0, 0, 10, 15), row(1, 0, 9, 11), row(2, 0, 8) }
    assert.same({ 0 }, arrivals(join(spine, rows, { as_of_created = 15 }, 1)))
    assert.same({ 1 }, arrivals(join(spine, rows, { as_of_created = 14 }, 1)))
    assert.same({ 2 }, arrivals(join(spine, rows, { as_of_created = 10 }, 1)))
    assert.same({ false }, arrivals(join(spine, rows, { as_of_created = 10, delay = 3 }, 1)))
  end)

  it('judges age before deletion, and a newer put revives a key', function()
    local spine = { at(0, 10), at(0, 12), at(0, 30) }
    local rows = { row(0, 0, 8), row(1, 0, 10, nil, true), row(2, 0, 12) }
    assert.same({ 'DELETED', 'PRESENT', 'OUTSIDE_MAX_AGE' },
      statuses(join(spine, rows, { ttl = 5 }, 1)))
    assert.same({ 'OUTSIDE_MAX_AGE' },
      statuses(join({ at(0, 16) }, { rows[1], rows[2] }, { ttl = 5 }, 1)))
  end)

  it('gives spine rows with a null key or time nothing', function()
    local found = join({ at(nil, 10), at(0, nil), at(0, 10) }, { row(0, 0, 1) }, {}, 1)
    assert.same({ 'NOT_FOUND', 'NOT_FOUND', 'PRESENT' }, statuses(found))
    assert.is_nil(found[1].event)
  end)

  it('says which event times can matter', function()
    local function bounds(spine, rule)
      local out = ffi.new('int64_t[2]')
      C.tidemark_asof_bounds(c_spine(spine, 2), c_rule(rule), out)
      return { tostring(out[0]), tostring(out[1]) }
    end
    local spine = { at(0, 30), at(1, 10), at(0, 20), at(nil, 1), at(1, nil) }
    assert.same({ '6LL', '30LL' }, bounds(spine, { ttl = 4 }))
    assert.same({ tostring(oracle.TIME_MIN), '30LL' }, bounds(spine, {}))
    assert.same(
      { tostring(oracle.TIME_MAX), tostring(oracle.TIME_NULL) },
      bounds({ at(nil, 1) }, { ttl = 4 })
    )
  end)
end)

describe('the spine', function()
  it('keeps every row once, by key, by time, and equal times in their order', function()
    random.each(300, function()
      local key_count = random.pick({ 1, 2, 40 })
      local count = random.pick({ 0, 1, 23, 24, 25, 49, 500, 3000 })
      local span = random.pick({ 1, 10, 1000000 })
      local spine, taking_part = {}, 0
      for i = 1, count do
        spine[i] = at(math.random(0, key_count - 1), math.random(-span, span))
        spine[i].key = not random.once_in(20) and spine[i].key or nil
        taking_part = taking_part + (spine[i].key and 1 or 0)
      end
      local grouped = c_spine(spine, key_count)
      assert(grouped.starts[key_count] == taking_part, 'rows got lost')
      for key = 0, key_count - 1 do
        for place = grouped.starts[key], grouped.starts[key + 1] - 1 do
          local wanted = spine[grouped.order[place] + 1]
          assert(wanted.key == key, 'a row is in the wrong group')
          assert(wanted.time == grouped.times[place], 'a row has another time')
          if place > grouped.starts[key] then
            local before = grouped.times[place - 1]
            local in_order = before < wanted.time
              or (before == wanted.time and grouped.order[place - 1] < grouped.order[place])
            assert(in_order, 'rows are out of order')
          end
        end
      end
    end)
  end)

  it('is the same on any number of threads', function()
    random.each(4, function()
      local count, key_count = 150000, random.pick({ 1, 50, 20000, 100000 })
      local numbers, times = ffi.new('uint32_t[?]', count), ffi.new('int64_t[?]', count)
      for i = 0, count - 1 do
        numbers[i] = random.once_in(20) and KEY_NONE or math.random(0, key_count - 1)
        times[i] = random.once_in(20) and oracle.TIME_NULL or math.random(0, 1000)
      end
      local function made(threads)
        local spine = C.tidemark_spine_new(numbers, key_count, times, count, threads)
        return ffi.gc(spine, C.tidemark_spine_free)
      end
      local one, many = made(1), made(3)
      local places = one.starts[key_count]
      local function same(name, bytes)
        local left, right = ffi.string(one[name], bytes), ffi.string(many[name], bytes)
        assert(left == right, name .. ' differ')
      end
      same('starts', (key_count + 1) * 4)
      same('times', places * 8)
      same('order', places * 4)
    end)
  end)
end)
