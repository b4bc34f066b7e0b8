-- A crash at any moment costs nothing but time: materialize is killed again and again, and what
-- stands in the store at the end is what one clean run puts there.

local uv = require 'luv'
local cli = require 'spec.support.cli'
local process = require 'spec.support.process'
local workspace = require 'spec.support.workspace'

local KILLS = 24
local START, FINISH = '2010-01-01', '2021-09-01'
local VIEWS = { 'credit_history', 'driver_hourly_stats', 'zipcode_features' }

local function read_file(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

-- Values of one column of a CSV file without quotes, each once.
local function distinct(text, column)
  local values, seen, index = {}, {}, nil
  for line in text:gmatch('[^\n]+') do
    local fields = {}
    for field in (line .. ','):gmatch('([^,]*),') do
      fields[#fields + 1] = field
    end
    if index then
      local value = fields[index]
      if not seen[value] then
        seen[value] = true
        values[#values + 1] = value
      end
    else
      for i, name in ipairs(fields) do
        index = name == column and i or index
      end
    end
  end
  return values
end

describe('materialize under kill -9', function()
  local p, asked

  setup(function()
    p = workspace.new({
      ['definitions/credit_scoring.lua'] = read_file('definitions/credit_scoring.lua'),
      ['definitions/driver.lua'] = read_file('definitions/driver.lua'),
    })
    cli.must({ 'run', 'examples/generate.lua', '--scale', '2', '--out', p:path('data') })
    asked = {
      credit_history = 'dob_ssn=' .. table.concat(
        distinct(p:read('data/credit_scoring/loan_table.csv'), 'dob_ssn'), ','),
      zipcode_features = 'zipcode=' .. table.concat(
        distinct(p:read('data/credit_scoring/zipcode_table.csv'), 'zipcode'), ','),
      driver_hourly_stats = 'driver_id=' .. table.concat(
        distinct(p:read('data/driver_stats.csv'), 'driver_id'), ','),
    }
  end)

  teardown(function()
    p:remove()
  end)

  local function in_store(store, ...)
    return { '-C', p.folder, '--store', p:path(store), ... }
  end

  local function new_store(name)
    cli.must(in_store(name, 'apply'))
    return name
  end

  local function materialize(store)
    return in_store(store, 'materialize', START, FINISH, '--quiet')
  end

  -- Every value of every key that there is.
  local function rows_of(store, view)
    return cli.must(in_store(store, 'get-online-features', '-e', asked[view], '-f', view .. ':*',
      '--now', FINISH, '--statuses', '--event-timestamps', '--format', 'json'))
  end

  -- The mark, or nil.
  local function mark_of(store, view)
    local text = cli.must(in_store(store, 'feature-views', 'describe', view, '--format', 'json'))
    return text:match('2021%-09%-01T00:00:00Z') or text:match('1630454400000000')
  end

  it('leaves the same online store as one clean run', function()
    new_store('clean')
    local started = uv.hrtime()
    cli.must(materialize('clean'))
    local duration = math.ceil((uv.hrtime() - started) / 1e6)
    local clean = {}
    for _, view in ipairs(VIEWS) do
      assert(mark_of('clean', view), 'no mark for ' .. view)
      clean[view] = rows_of('clean', view)
    end

    local killed, stores = 0, 0
    local store, complete
    for _ = 1, 10 * KILLS do
      -- Most kills should hit a store that still has rows to come, some a repeated run.
      if not store or complete and math.random(3) > 1 then
        stores = stores + 1
        store = new_store('killed_' .. stores)
      end
      local child = process.spawn(process.TIDEMARK, { args = materialize(store) })
      local timer = uv.new_timer()
      timer:start(math.random(0, duration), 0, function()
        child:send('sigkill')
      end)
      local status, signal = child:wait()
      timer:close()
      assert(signal == 9 or status == 0, child.stderr)
      killed = killed + (signal == 9 and 1 or 0)

      -- A mark speaks for rows that are there: they were committed together.
      complete = true
      for _, view in ipairs(VIEWS) do
        if mark_of(store, view) then
          assert.equal(clean[view], rows_of(store, view), view .. ' has a mark but not its rows')
        else
          complete = false
        end
      end
      if killed == KILLS then
        break
      end
    end
    assert.equal(KILLS, killed)

    for number = 1, stores do
      local name = 'killed_' .. number
      cli.must(materialize(name))
      for _, view in ipairs(VIEWS) do
        assert.equal(clean[view], rows_of(name, view))
        assert(mark_of(name, view), 'no mark for ' .. view)
      end
    end
  end)
end)
