-- Mistakes in definition files: all of them at once, each where it is, and nothing half done.

local blueprints = require 'spec.support.blueprints'
local cli = require 'spec.support.cli'
local workspace = require 'spec.support.workspace'

-- Ten mistakes, one of a kind, over four files. The comments say what is wrong.
local TEN = {
  ['definitions/a_entities.lua'] = [[
entity 'driver' { keys = { int64 'driver_id' } }
entity 'rider' { keys = { float64 'rider_id' } }        -- 1: floats are no keys
entity 'driver' { keys = { int64 'other_id' } }         -- 2: declared twice
]],
  ['definitions/b_sources.lua'] = [[
source 'trips' {
  path = 'data/trips.parquet',
  event_tiem = 'event_timestamp',                       -- 3: unknown field
  event_time = 'event_timestamp',
}
source 'clicks' {
  path = 'data/clicks.parquet',
  event_time = 'at',
  time_unit = 'sec',                                    -- 4: not a unit
}
]],
  ['definitions/c_views.lua'] = [[
feature_view 'trips_daily' {
  entity = 'driver',
  source = 'tripz',                                     -- 5: no such source
  features = { int64 'count' },
}
feature_view 'trips_weekly' {
  entity = 'driver',
  source = 'trips',
  ttl = '0d',                                           -- 6: absent means unlimited
  features = {
    int64 'count',
    float64 'count',                                    -- 7: listed twice
  },
}
feature_view 'trips_monthly' {
  entity = 'driver',
  source = 'trips',
  ttl = 30,                                             -- 8: not a text
  features = { int64 'count' },
}
featur_view 'trips_yearly' {                            -- 9: unknown word
  entity = 'driver',
}
]],
  ['definitions/d_services.lua'] = [[
feature_service 'ranking' {
  features = { 'trips_monthly:cuont' },                 -- 10: no such feature
}
]],
}

local PLACES = {
  'definitions/a_entities.lua:2:',
  'definitions/a_entities.lua:3:',
  'definitions/b_sources.lua:3:',
  'definitions/b_sources.lua:9:',
  'definitions/c_views.lua:3:',
  'definitions/c_views.lua:9:',
  'definitions/c_views.lua:12:',
  'definitions/c_views.lua:18:',
  'definitions/c_views.lua:21:',
  'definitions/d_services.lua:2:',
}

-- Messages: lines that begin with a place.
local function messages_of(text)
  local messages = {}
  for line in text:gmatch('[^\n]+') do
    if line:match('^definitions/[%w_]+%.lua:%d+:%d+: ') then
      messages[#messages + 1] = line
    end
  end
  return messages
end

describe('definitions', function()
  local p

  after_each(function()
    p:remove()
  end)

  it('with ten mistakes give ten messages, each with its place', function()
    p = workspace.new(TEN)
    for _, command in ipairs({ 'plan', 'apply' }) do
      local result = cli.run({ command, '-C', p.folder })
      assert.equal(1, result.status)
      local messages = messages_of(result.stderr)
      local places = {}
      for i, message in ipairs(messages) do
        places[i] = message:match('^[^:]+:%d+:')
      end
      assert.same(PLACES, places, result.stderr)
      assert.matches('did you mean "event_time"%?', messages[3])
      assert.matches('did you mean "trips"%?', messages[5])
      assert.matches('did you mean "feature_view"%?', messages[9])
      assert.matches('did you mean "count"%?', messages[10])
    end
  end)

  it('with mistakes change nothing of what was applied', function()
    p = workspace.new({ ['definitions/rows.lua'] = blueprints.driver() })
    cli.must({ 'apply', '-C', p.folder })
    local before = cli.must({ 'feature-views', 'list', '-C', p.folder, '--format', 'json' })
    for path, text in pairs(TEN) do
      p:write(path, text)
    end
    assert.equal(1, cli.run({ 'apply', '-C', p.folder }).status)
    assert.equal(before, cli.must({ 'feature-views', 'list', '-C', p.folder, '--format', 'json' }))
  end)

  it('with mistakes make no registry where there was none', function()
    p = workspace.new(TEN)
    assert.equal(1, cli.run({ 'apply', '-C', p.folder }).status)
    local result = cli.run({ 'feature-views', 'list', '-C', p.folder })
    assert.equal(1, result.status)
    assert.matches('tidemark apply', result.stderr, 1, true)
  end)

  it('that ship are right, in any order of files', function()
    local function read_file(path)
      local file = assert(io.open(path, 'rb'))
      local text = file:read('*a')
      file:close()
      return text
    end
    p = workspace.new({
      ['definitions/z.lua'] = read_file('definitions/credit_scoring.lua'),
      ['definitions/y/driver.lua'] = read_file('definitions/driver.lua'),
    })
    cli.must({ 'apply', '-C', p.folder })
    local list = cli.must({ 'feature-views', 'list', '-C', p.folder, '--format', 'csv' })
    for _, name in ipairs({ 'credit_history', 'driver_hourly_stats', 'zipcode_features' }) do
      assert.matches(name, list, 1, true)
    end
  end)

  it('are refused when they take away what is served, unless that is allowed', function()
    p = workspace.new({ ['definitions/rows.lua'] = blueprints.driver() })
    cli.must({ 'apply', '-C', p.folder })
    p:write('definitions/rows.lua',
      blueprints.driver({ features = { "float64 'rate'", "string 'trips'" } }))
    local result = cli.run({ 'apply', '-C', p.folder })
    assert.equal(1, result.status)
    assert.matches('trips', result.stderr .. result.stdout, 1, true)
    assert.matches('--allow-incompatible', result.stderr, 1, true)
    cli.must({ 'apply', '-C', p.folder, '--allow-incompatible' })
    assert.matches('0 to add, 0 to change, 0 to delete',
      cli.must({ 'plan', '-C', p.folder }) .. cli.run({ 'plan', '-C', p.folder }).stderr, 1, true)
  end)

  it('that are applied are what counts, not what lies on disk', function()
    p = workspace.new({
      ['definitions/rows.lua'] = blueprints.driver(),
      ['data/rows.csv'] = 'driver_id,event_timestamp,created,rate,trips,city\n'
        .. '1,2021-04-12T10:00:00Z,,0.5,7,Oslo\n',
      ['spine.csv'] = 'driver_id,event_timestamp\n1,2021-04-13\n',
    })
    cli.must({ 'apply', '-C', p.folder })
    p:delete('definitions')
    cli.must({ 'get-historical-features', '-C', p.folder, '--spine', p:path('spine.csv'),
      '--service', 'ranking', '-o', p:path('out.csv') })
    assert.matches('0.5,7,Oslo', p:read('out.csv'), 1, true)
  end)
end)
