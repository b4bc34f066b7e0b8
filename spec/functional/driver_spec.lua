-- The driver project over Feast's own driver files: the definitions run on them as they are.

local uv = require 'luv'
local cli = require 'spec.support.cli'
local csv = require 'spec.support.csv'
local workspace = require 'spec.support.workspace'

local FILES = { 'feast_go_driver_stats', 'feast_java_driver_stats_with_string',
  'feast_podman_driver_stats' }

local function read_file(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

-- Times in these files are text of one form each, so that text compares as time does.
local function newest_per_driver(rows)
  local newest = {}
  for _, row in ipairs(rows) do
    local best = newest[row.driver_id]
    if not best or row.event_timestamp > best.event_timestamp
      or row.event_timestamp == best.event_timestamp and row.created >= best.created then
      newest[row.driver_id] = row
    end
  end
  return newest
end

describe('driver statistics over real files', function()
  local data = os.getenv('TIDEMARK_DATA')
  local p

  before_each(function()
    p = workspace.new({
      ['definitions/driver.lua'] = read_file('definitions/driver.lua'),
      ['data/.keep'] = '',
    })
  end)

  after_each(function()
    p:remove()
  end)

  for _, name in ipairs(FILES) do
    it('gives the newest row of every driver: ' .. name, function()
      if not data then
        pending('TIDEMARK_DATA does not name a folder with the real tables')
        return
      end
      local file = assert(uv.fs_realpath(data .. '/driver_stats/' .. name .. '.parquet'))
      assert(uv.fs_symlink(file, p:path('data/driver_stats.parquet')))
      cli.must({ 'apply', '-C', p.folder })
      cli.must({ 'materialize', '2020-01-01', '2030-01-01', '-C', p.folder, '--quiet' })

      local text = read_file(data .. '/driver_stats/' .. name .. '.csv')
      local newest = newest_per_driver(csv.parse(text))
      local drivers, spine = {}, { 'driver_id,event_timestamp' }
      for driver, row in pairs(newest) do
        drivers[#drivers + 1] = driver
        spine[#spine + 1] = driver .. ',' .. row.event_timestamp
      end
      assert.is_true(#drivers >= 5)
      p:write('spine.csv', table.concat(spine, '\n') .. '\n')
      cli.must({ 'get-historical-features', '-C', p.folder, '--quiet', '--spine', 'spine.csv',
        '--service', 'driver_ranking', '-o', 'out.csv' })
      local offline = csv.parse(p:read('out.csv'))
      local online = csv.parse(cli.must({ 'get-online-features', '-C', p.folder, '--service',
        'driver_ranking', '-e', 'driver_id=' .. table.concat(drivers, ','), '--now',
        newest[drivers[1]].event_timestamp:sub(1, 4) .. '-12-31', '--format', 'csv' }))
      for i, driver in ipairs(drivers) do
        local row = newest[driver]
        for _, rows in ipairs({ offline, online }) do
          assert.equal(driver, rows[i].driver_id)
          assert.equal(row.avg_daily_trips, rows[i].avg_daily_trips)
          assert.is_true(math.abs(row.conv_rate - rows[i].conv_rate) < 1e-6)
          assert.is_true(math.abs(row.acc_rate - rows[i].acc_rate) < 1e-6)
        end
      end
    end)
  end
end)
