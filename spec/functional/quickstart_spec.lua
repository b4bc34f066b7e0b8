-- The parts of the quickstart: its tables, its clients, its scripts.

local cli = require 'spec.support.cli'
local process = require 'spec.support.process'
local server = require 'spec.support.server'
local workspace = require 'spec.support.workspace'

local TABLES = {
  'credit_scoring/zipcode_table', 'credit_scoring/credit_history', 'credit_scoring/loan_table',
  'driver_stats', 'driver_offers',
}

local function read_file(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

local function run(program, ...)
  local child = process.spawn(program, { args = { ... } })
  local status = child:wait()
  assert(status == 0, child.stdout .. child.stderr)
  return child.stdout
end

describe('the generator', function()
  it('makes the same bytes every time, and a larger scale keeps a smaller one', function()
    local p = workspace.new()
    finally(function()
      p:remove()
    end)
    for _, call in ipairs({ { 'a', '1' }, { 'b', '1' }, { 'c', '2' } }) do
      cli.must({ 'run', 'examples/generate.lua', '--out', p:path(call[1]), '--scale', call[2] })
    end
    for _, name in ipairs(TABLES) do
      local once = p:read('a/' .. name .. '.csv')
      assert.is_true(once == p:read('b/' .. name .. '.csv'), name .. ' differs')
      assert.is_true(p:exists('a/' .. name .. '.parquet'))
      local larger = {}
      for line in p:read('c/' .. name .. '.csv'):gmatch('[^\n]+') do
        larger[line] = true
      end
      for line in once:gmatch('[^\n]+') do
        assert(larger[line], name .. ' has lost ' .. line)
      end
    end
  end)

  it('refuses what it does not understand', function()
    assert.equal(2, cli.run({ 'run', 'examples/generate.lua', '--scale', '0' }).status)
    assert.equal(2, cli.run({ 'run', 'examples/generate.lua', '--size', '1' }).status)
  end)
end)

describe('the project that ships', function()
  local p, s

  setup(function()
    p = workspace.new({
      ['definitions/credit_scoring.lua'] = read_file('definitions/credit_scoring.lua'),
      ['definitions/driver.lua'] = read_file('definitions/driver.lua'),
    })
    cli.must({ 'run', 'examples/generate.lua', '--out', p:path('data') })
    cli.must({ 'apply', '-C', p.folder })
  end)

  teardown(function()
    p:remove()
  end)

  before_each(function()
    s = server.start(p.folder)
  end)

  after_each(function()
    assert.equal(0, s:stop())
  end)

  it('is filled day by day by the backfill script, and answers the Python client', function()
    local script = assert(require('luv').fs_realpath('examples/backfill_by_day.lua'))
    local first = cli.must({ 'run', script, '2021-08-10', '2021-08-25', 'driver_hourly_stats',
      cwd = p.folder })
    assert.matches('2021%-08%-10  driver_hourly_stats', first)
    assert.matches('done: %d+ written, 0 were there already', first)
    local again = cli.must({ 'run', script, '2021-08-10', '2021-08-25', 'driver_hourly_stats',
      cwd = p.folder })
    assert.matches('done: 0 written, %d+ were there already', again)

  end)

  it('answers clients in Python and Lua alike', function()
    cli.must({ 'materialize', '2021-01-01', '2021-08-25', '-C', p.folder, '--quiet' })
    local function ask(...)
      local script = assert(require('luv').fs_realpath('examples/clients/lua/client.lua'))
      local from_python = run('/usr/bin/python3', 'examples/clients/python/client.py', s.address,
        ...)
      assert.same(from_python, cli.must({ 'run', script, s.address, ... }))
      return from_python
    end
    local shown = ask('--service', 'driver_ranking', '-e', 'driver_id=1001,4242,', '--now',
      '2021-08-25')
    assert.matches('driver_id +1001 +4242 +null\n', shown)
    assert.matches('avg_daily_trips +%d+ +NOT_FOUND', shown)
    -- The one in Lua had no way to give what on-demand views take from the request.
    shown = ask('--service', 'trip_pricing', '-e', 'driver_id=1001,4242', '-r', 'distance_km=3.2,8',
      '--now', '2021-08-25')
    assert.matches('distance_km +3.2 +8\n', shown)
    assert.matches('expected_fare +%d+%.%d+ +NULL_VALUE', shown)
  end)
end)
