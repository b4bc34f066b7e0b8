local ffi = require 'ffi'
local oracle = require 'spec.support.oracle'
local random = require 'spec.support.random'
local C = require 'spec.support.ffi'

ffi.cdef [[
typedef struct {
  size_t count;
  const uint32_t *keys;
  const int64_t *event_times, *created_times;
  const uint8_t *deleted;
  uint64_t first_arrival;
} LatestBlock;
typedef struct {
  int64_t start, end, created_from;
  bool known_matters;
  int64_t delay;
  bool strict;
} LatestRule;
typedef struct {
  uint64_t read, inside, late, null_key, null_time;
  int64_t created_to;
} LatestCounts;
typedef struct { int64_t event_time, created_time; uint64_t arrival; bool deleted; } LatestRow;
typedef struct Latest Latest;
Latest *tidemark_latest_new(const LatestRule *rule);
void tidemark_latest_free(Latest *latest);
void tidemark_latest_add(Latest *latest, const LatestBlock *block);
size_t tidemark_latest_count(const Latest *latest);
bool tidemark_latest_get(const Latest *latest, uint32_t key, LatestRow *row);
void tidemark_latest_counts(const Latest *latest, LatestCounts *counts);
]]

local KEY_NONE = 0xffffffff

local function random_rows(count, key_count, draw)
  local rows = {}
  local created = random.once_in(2)
  for i = 1, count do
    rows[i] = {
      key = not random.once_in(10) and math.random(0, key_count - 1) or nil,
      event = not random.once_in(10) and draw() or nil,
      created = created and not random.once_in(4) and draw() or nil,
      deleted = random.once_in(5),
      arrival = i + 99,
    }
  end
  return rows
end

local function add(latest, rows, first, last)
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
  C.tidemark_latest_add(
    latest,
    ffi.new('LatestBlock', {
      count = count,
      keys = keys,
      event_times = events,
      created_times = any_created and created or nil,
      deleted = any_deleted and deleted or nil,
      first_arrival = rows[first].arrival,
    })
  )
end

-- Random blocks in random order.
local function stream(rows, interval)
  local rule = ffi.new('LatestRule', {
    start = interval.from,
    ['end'] = interval.to,
    created_from = interval.created_from or oracle.TIME_MAX,
    known_matters = interval.known_matters or false,
    delay = interval.delay or 0,
    strict = interval.strict or false,
  })
  local latest = ffi.gc(C.tidemark_latest_new(rule), C.tidemark_latest_free)
  local blocks, first = {}, 1
  while first <= #rows do
    local last = math.min(#rows, first + math.random(0, 400))
    blocks[#blocks + 1] = { first, last }
    first = last + 1
  end
  for _, block in ipairs(random.shuffle(blocks)) do
    add(latest, rows, block[1], block[2])
  end
  return latest
end

local function found(latest)
  local newest = {}
  local row = ffi.new('LatestRow')
  for key = 0, tonumber(C.tidemark_latest_count(latest)) - 1 do
    if C.tidemark_latest_get(latest, key, row) then
      newest[key] = {
        arrival = tonumber(row.arrival),
        event = tostring(row.event_time),
        created = row.created_time ~= oracle.TIME_NULL and tostring(row.created_time) or nil,
        deleted = row.deleted,
      }
    end
  end
  return newest
end

local function shown(newest)
  local out = {}
  for key, row in pairs(newest) do
    out[key] = {
      arrival = row.arrival,
      event = tostring(row.event),
      created = row.created and tostring(row.created) or nil,
      deleted = row.deleted,
    }
  end
  return out
end

local function counted(latest)
  local counts = ffi.new('LatestCounts')
  C.tidemark_latest_counts(latest, counts)
  local created_to = counts.created_to
  return {
    read = tonumber(counts.read),
    inside = tonumber(counts.inside),
    late = tonumber(counts.late),
    null_key = tonumber(counts.null_key),
    null_time = tonumber(counts.null_time),
    created_to = created_to ~= oracle.TIME_NULL and tostring(created_to) or nil,
  }
end

local function time(value)
  return ffi.new('int64_t', value)
end

describe('the newest row per key', function()
  it('equals the oracle whatever the interval, the blocks and their order', function()
    random.each(2000, function()
      local draw = random.times()
      local key_count = random.pick({ 1, 4, 3000 })
      local rows = random_rows(random.once_in(20) and 900 or math.random(0, 30), key_count, draw)
      local interval = {
        from = draw(),
        to = draw(),
        created_from = random.once_in(2) and (random.once_in(4) and oracle.TIME_NULL or draw())
          or nil,
        known_matters = random.once_in(2),
      }
      local latest = stream(rows, interval)
      local newest, counts, created_to = oracle.latest(rows, interval)
      counts.created_to = created_to and tostring(created_to) or nil
      assert.same(counts, counted(latest))
      assert.same(shown(newest), found(latest))
    end)
  end)

  it('takes the start in and leaves the end out', function()
    local rows = {
      { key = 0, event = time(10), arrival = 0, deleted = false },
      { key = 1, event = time(20), arrival = 1, deleted = false },
      { key = 2, event = time(9), arrival = 2, deleted = false },
    }
    local latest = stream(rows, { from = time(10), to = time(20) })
    assert.same({ [0] = { arrival = 0, event = '10LL', deleted = false } }, found(latest))
  end)

  it('finds late rows by their created time', function()
    local rows = {
      { key = 0, event = time(5), created = time(31), arrival = 0, deleted = false },
      { key = 1, event = time(5), created = time(30), arrival = 1, deleted = false },
      { key = 2, event = time(5), created = time(29), arrival = 2, deleted = false },
      { key = 3, event = time(5), arrival = 3, deleted = false },
    }
    local latest = stream(rows, { from = time(10), to = time(20), created_from = time(30) })
    assert.same({
      [0] = { arrival = 0, event = '5LL', created = '31LL', deleted = false },
      [1] = { arrival = 1, event = '5LL', created = '30LL', deleted = false },
    }, found(latest))
    assert.same(
      { read = 4, inside = 2, late = 2, null_key = 0, null_time = 0, created_to = '31LL' },
      counted(latest)
    )
  end)

  it('takes rows when they become known where that matters', function()
    local rows = {
      { key = 0, event = time(5), arrival = 0, deleted = false },
      { key = 0, event = time(15), arrival = 1, deleted = false },
      { key = 1, event = time(5), created = time(20), arrival = 2, deleted = false },
    }
    local function winners(from, to, strict)
      local positions = {}
      local latest = stream(rows, { from = time(from), to = time(to), known_matters = true,
        delay = 10, strict = strict })
      for key, row in pairs(found(latest)) do
        positions[key] = row.arrival
      end
      return positions
    end
    assert.same({ [0] = 0 }, winners(10, 20))
    assert.same({ [0] = 1, [1] = 2 }, winners(20, 30))
    assert.same({ [0] = 0, [1] = 2 }, winners(10, 20, true))
  end)
end)
