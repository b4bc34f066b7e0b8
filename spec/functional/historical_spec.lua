-- Training sets: several views, roles, names of columns, formats, and what is said when one cannot
-- be had.

local blueprints = require 'spec.support.blueprints'
local cli = require 'spec.support.cli'
local csv = require 'spec.support.csv'
local project = require 'spec.support.project'

local ROWS = {
  '1,2021-04-12T10:00:00Z,2021-04-12T10:00:00Z,0.5,1,Oslo',
  '2,2021-04-12T10:00:00Z,2021-04-12T10:00:00Z,nan,2,""',
  '3,2021-04-12T10:00:00Z,2021-04-12T10:00:00Z,,,',
}

describe('get-historical-features', function()
  local p

  after_each(function()
    p:remove()
  end)

  it('joins the same view under two roles', function()
    p = project.new({
      rows = ROWS,
      definition = blueprints.driver() .. blueprints.service('pairs',
        { 'rates@first:trips', 'rates@second:trips', 'rates@second:city' },
        { roles = { first = { driver_id = 'driver_a' }, second = { driver_id = 'driver_b' } } }),
    })
    local rows, header = p:history({ 'driver_a,driver_b,event_timestamp', '1,2,2021-04-13',
      '3,1,2021-04-13' }, '--service', 'pairs')
    assert.same({ 'driver_a', 'driver_b', 'event_timestamp', 'first__trips', 'second__trips',
      'city' }, header)
    assert.same({ '1', '2', '' }, { rows[1].first__trips, rows[1].second__trips, rows[1].city })
    assert.is_nil(rows[2].first__trips)
    assert.equal('1', rows[2].second__trips)
  end)

  it('takes keys and time from columns of other names', function()
    p = project.new({ rows = ROWS })
    local rows = p:history({ 'who,at', '1,1618308000' }, '--map', 'rates.driver_id=who',
      '--timestamp', 'at', '--time-unit', 's')
    assert.equal('1', rows[1].trips)
    assert.equal('1618308000', rows[1].at)
  end)

  it('joins many views with different keys, sources and rules at once', function()
    p = project.new({
      rows = ROWS,
      apply = false,
      definition = blueprints.driver()
        .. blueprints.entity('city', { "string 'city'" })
        .. blueprints.source('cities', { path = 'data/cities.csv', created_time = false,
          keys = { city = 'name' }, event_time = 'at', time_unit = 'ms' })
        .. blueprints.view('weather', { "float32 'rain'",
          "bool 'cold' { column = 'is_cold' }" }, { entity = 'city', source = 'cities' })
        .. blueprints.view('pairs', { "int64 'both'" }, {
          entity = blueprints.raw("{ 'driver', 'city' }"), source = 'pairs' })
        .. blueprints.source('pairs', { path = false, created_time = false, event_time = 'at',
          sql = "SELECT 1 AS driver_id, 'Oslo' AS city, 12 AS both, "
            .. "TIMESTAMP '2021-04-01 00:00:00' AS at" }),
    })
    p:write('data/cities.csv', 'name,at,rain,is_cold\nOslo,1618185600000,0.1,true\n'
      .. 'Rome,1618185600000,2.5,false\n')
    p:must('apply')
    local rows, header = p:history({ 'driver_id,city,event_timestamp', '1,Oslo,2021-04-13',
      '2,Rome,2021-04-13', '1,Rome,2021-04-13' }, '--features', 'rates:trips,weather:*,pairs:both')
    assert.same({ 'driver_id', 'city', 'event_timestamp', 'trips', 'rain', 'cold', 'both' }, header)
    assert.same({
      { driver_id = '1', city = 'Oslo', event_timestamp = '2021-04-13T00:00:00Z', trips = '1',
        rain = '0.1', cold = 'true', both = '12' },
      { driver_id = '2', city = 'Rome', event_timestamp = '2021-04-13T00:00:00Z', trips = '2',
        rain = '2.5', cold = 'false' },
      { driver_id = '1', city = 'Rome', event_timestamp = '2021-04-13T00:00:00Z', trips = '1',
        rain = '2.5', cold = 'false' },
    }, rows)
  end)

  it('names columns in full where they would be ambiguous, or when asked to', function()
    p = project.new({ rows = ROWS, definition = blueprints.driver()
      .. blueprints.view('others', { "int64 'trips'", "float64 'rate'" }) })
    local spine = { 'driver_id,event_timestamp', '1,2021-04-13' }
    local _, header = p:history(spine, '--features', 'rates:trips,rates:city,others:trips')
    assert.same({ 'driver_id', 'event_timestamp', 'rates__trips', 'city', 'others__trips' }, header)
    _, header = p:history(spine, '--features', 'rates:city', '--full-feature-names')
    assert.same({ 'driver_id', 'event_timestamp', 'rates__city' }, header)
  end)

  it('reads and writes every format alike', function()
    p = project.new({ rows = ROWS })
    local spine = { 'driver_id,event_timestamp', '1,2021-04-13T00:00:00Z', '2,2021-04-13T00:00:00Z',
      '3,2021-04-13T00:00:00Z', '9,2021-04-13T00:00:00Z' }
    local expected = p:history_text(spine, '--statuses')
    p:write('copy.lua', "require('tidemark').copy_file(arg[1], arg[2])")
    local function copy(from, to)
      cli.must({ 'run', p:path('copy.lua'), p:path(from), p:path(to) })
    end
    for _, extension in ipairs({ 'parquet', 'json', 'jsonl', 'msgpack' }) do
      copy('spine.csv', 'spine.' .. extension)
      p:must('get-historical-features', '--quiet', '--spine', p:path('spine.' .. extension), '-o',
        p:path('out.' .. extension), '--features', 'rates:*', '--statuses')
      copy('out.' .. extension, 'back.csv')
      assert.equal(expected, p:read('back.csv'), extension)
    end
  end)

  -- Nothing says what columns such a spine has, and a day without rows was an error.
  it('gives an empty training set for a spine of JSON or msgpack without rows', function()
    p = project.new({ rows = ROWS })
    p:write('spine.json', '[]')
    p:write('spine.msgpack', '')
    for _, spine in ipairs({ 'spine.json', 'spine.msgpack' }) do
      for extension, text in pairs({ json = '[\n]\n', jsonl = '', msgpack = '',
        csv = 'event_timestamp,driver_id,trips,trips__status\n' }) do
        local out = p:path('out.' .. extension)
        p:must('get-historical-features', '--spine', p:path(spine), '-o', out, '--features',
          'rates:trips', '--statuses')
        assert.equal(text, p:read('out.' .. extension))
      end
      p:must('get-historical-features', '--spine', p:path(spine), '-o', p:path('out.parquet'),
        '--features', 'rates:trips')
    end
  end)

  it('joins nothing with a JSON source that has no rows', function()
    p = project.new({ definition = blueprints.driver({ source = { path = 'data/rows.json' } }),
      apply = false })
    p:write('data/rows.json', '[]')
    p:must('apply')
    local rows = p:history({ 'driver_id,event_timestamp', '1,2021-04-13' }, '--statuses')
    assert.equal('NOT_FOUND', rows[1].trips__status)
    p:must('materialize', '2021-01-01', '2022-01-01')
  end)

  -- It was written anew, in UTC.
  it('leaves the time of a JSON spine as it is written', function()
    p = project.new({ rows = ROWS })
    local row = '{"driver_id":1,"event_timestamp":"2021-04-13T02:00:00+02:00"%s}\n'
    p:write('spine.jsonl', row:format(''))
    local function out(extension)
      p:must('get-historical-features', '--spine', p:path('spine.jsonl'), '-o',
        p:path('out.' .. extension), '--features', 'rates:trips')
      return p:read('out.' .. extension)
    end
    assert.equal(row:format(',"trips":1'), out('jsonl'))
    assert.equal('driver_id,event_timestamp,trips\n1,2021-04-13T02:00:00+02:00,1\n', out('csv'))
  end)

  it('makes times of dates in the time column of a CSV spine', function()
    p = project.new({ rows = ROWS })
    p:write('spine.csv', 'driver_id,event_timestamp\n1,2021-04-13\n')
    p:must('get-historical-features', '--spine', p:path('spine.csv'), '-o', p:path('out.parquet'),
      '--features', 'rates:trips')
    p:write('copy.lua', "require('tidemark').copy_file(arg[1], arg[2])")
    cli.must({ 'run', p:path('copy.lua'), p:path('out.parquet'), p:path('out.csv') })
    assert.equal('driver_id,event_timestamp,trips\n1,2021-04-13T00:00:00Z,1\n', p:read('out.csv'))
  end)

  it('reads a glob of files as one table, in order of their names', function()
    p = project.new({ definition = blueprints.driver({ source = { path = 'data/day=*.csv' } }),
      apply = false })
    p:write('data/day=2.csv', csv.lines(project.HEADER, { '1,2021-04-12,,0,2,second' }))
    p:write('data/day=1.csv', csv.lines(project.HEADER, { '1,2021-04-12,,0,1,first' }))
    p:must('apply')
    assert.equal('second', p:history({ 'driver_id,event_timestamp', '1,2021-04-13' })[1].city)
  end)

  describe('says what is wrong, where, and what to do, when', function()
    local function refused(spine, ...)
      p:write('spine.csv', table.concat(spine, '\n') .. '\n')
      local result = p:run('get-historical-features', '--spine', p:path('spine.csv'), '-o',
        p:path('out.csv'), ...)
      assert.is_true(result.status == 1 or result.status == 2, result.stderr)
      assert.is_false(p:exists('out.csv'))
      return result.stderr
    end
    local GOOD = { 'driver_id,event_timestamp', '1,2021-04-13' }

    it('a view or feature is not known', function()
      p = project.new({ rows = ROWS })
      assert.matches('did you mean "rates"?', refused(GOOD, '--features', 'rate:*'), 1, true)
      assert.matches('did you mean "trips"?', refused(GOOD, '--features', 'rates:tripz'), 1, true)
      assert.matches('did you mean "ranking"?', refused(GOOD, '--service', 'rankin'), 1, true)
    end)

    it('the spine lacks a key or the time', function()
      p = project.new({ rows = ROWS })
      assert.matches('driver_id', refused({ 'drv,event_timestamp', '1,2021-04-13' },
        '--features', 'rates:*'))
      assert.matches('event_timestamp', refused({ 'driver_id,time', '1,2021-04-13' },
        '--features', 'rates:*'))
    end)

    it('a file is missing or cannot be read', function()
      p = project.new({ rows = ROWS })
      p:delete('data/rows.csv')
      assert.matches('rows.csv', refused(GOOD, '--features', 'rates:*'), 1, true)
      p:set_rows({ 'one,2021-04-12,,0,1,x' })
      local message = refused(GOOD, '--features', 'rates:*')
      assert.matches('driver_id', message, 1, true)
      assert.matches('rows.csv', message, 1, true)
    end)

    it('the training set would take the place of the spine', function()
      p = project.new({ rows = ROWS })
      p:write('spine.csv', table.concat(GOOD, '\n') .. '\n')
      local message = p:fails('get-historical-features', '--spine', p:path('spine.csv'), '-o',
        p:path('data/../spine.csv'), '--features', 'rates:*')
      assert.matches('it is the file that is read; name another', message, 1, true)
      assert.equal(table.concat(GOOD, '\n') .. '\n', p:read('spine.csv'))
    end)

    -- The source was lost.
    it('the training set, or the rejects, would take the place of a source', function()
      p = project.new({ rows = ROWS })
      local before = p:read('data/rows.csv')
      p:write('spine.csv', table.concat(GOOD, '\n') .. '\n')
      local function refuses(output, ...)
        return p:fails('get-historical-features', '--spine', p:path('spine.csv'), '-o',
          p:path(output), '--features', 'rates:*', ...)
      end
      local taken = 'it is the file that is read; name another'
      assert.matches(taken, refuses('data/../data/rows.csv'), 1, true)
      local function reject(path)
        return '--on-bad-row', 'reject', '--rejects', p:path(path)
      end
      assert.matches(taken, refuses('out.csv', reject('data/rows.csv')), 1, true)
      assert.matches(taken, refuses('out.csv', reject('spine.csv')), 1, true)
      assert.matches('rejects need a file of their own', refuses('out.csv', reject('out.csv')), 1,
        true)
      assert.matches(taken, p:fails('materialize', '2021-01-01', '2022-01-01',
        reject('data/rows.csv')), 1, true)
      assert.equal(before, p:read('data/rows.csv'))
      assert.is_false(p:exists('out.csv'))
    end)

    it('a value does not fit its type', function()
      p = project.new({ rows = { '1,2021-04-12,,0,1,x', '2,2021-04-12,,0,1.5,x' } })
      local message = refused({ GOOD[1], '1,2021-04-13', '2,2021-04-13' }, '--features', 'rates:*')
      assert.matches('trips', message, 1, true)
      assert.matches('row 2', message, 1, true)
    end)

    it('nothing has been applied', function()
      p = project.new({ rows = ROWS, apply = false })
      assert.matches('tidemark apply', refused(GOOD, '--features', 'rates:*'), 1, true)
    end)
  end)
end)
