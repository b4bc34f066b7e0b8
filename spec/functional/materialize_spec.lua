-- Offline to online: intervals, marks, views, and what happens when definitions change.

local blueprints = require 'spec.support.blueprints'
local csv = require 'spec.support.csv'
local project = require 'spec.support.project'

local ROWS = {
  '1,2021-04-10T10:00:00Z,2021-04-10T10:00:00Z,0.5,1,Oslo',
  '1,2021-04-11T10:00:00Z,2021-04-11T10:00:00Z,0.5,2,Oslo',
  '2,2021-04-12T10:00:00Z,2021-04-12T10:00:00Z,0.5,3,Rome',
}

local function trips(p, drivers)
  local values = {}
  for i, row in ipairs(p:online('driver_id=' .. drivers)) do
    values[i] = row.trips or row.trips__status
  end
  return values
end

describe('materialize', function()
  local p

  after_each(function()
    p:remove()
  end)

  it('keeps only the newest row of a key', function()
    p = project.new({ rows = ROWS })
    local counts = p:materialize('2021-04-10', '2021-04-13').rates
    assert.same({ '3', '3', '2' }, { counts.read, counts.inside, counts.written })
    assert.same({ '2', '3', 'NOT_FOUND' }, trips(p, '1,2,3'))
  end)

  it('says which views are done when a later one fails', function()
    p = project.new({ rows = ROWS, definition = blueprints.driver()
      .. blueprints.source('gone', { path = 'gone.csv' })
      .. blueprints.view('zeta', { "int64 'trips'" }, { source = 'gone' }) })
    local message = p:fails('materialize', '2021-04-10', '2021-04-13', '--quiet')
    assert.matches('feature_view "zeta" (done before it: rates): source "gone"', message, 1, true)
    assert.same({ '2', '3' }, trips(p, '1,2'))
  end)

  it('does one view where that is asked for', function()
    p = project.new({ rows = ROWS, definition = blueprints.driver()
      .. blueprints.view('others', { "int64 'trips'" }) })
    local views = p:materialize('2021-04-10', '2021-04-13', '-v', 'others')
    assert.is_nil(views.rates)
    assert.equal('2', views.others.written)
    assert.same({ 'NOT_FOUND' }, trips(p, '1'))
  end)

  it('leaves the mark where it is when days lie between', function()
    p = project.new({ rows = ROWS })
    assert.matches('2021-04-11', p:materialize('2021-04-10', '2021-04-11').rates.mark, 1, true)
    local counts = p:materialize('2021-04-12', '2021-04-13').rates
    assert.equal('true', counts.gap)
    assert.matches('2021-04-11', counts.mark, 1, true)
    counts = p:materialize('2021-04-11', '2021-04-12').rates
    assert.equal('false', counts.gap)
  end)

  it('begins at the beginning when it is incremental and there is no mark', function()
    p = project.new({ rows = ROWS })
    assert.equal('1', p:materialize_incremental('2021-04-12').rates.written)
    assert.equal('1', p:materialize_incremental('2021-04-13').rates.written)
    assert.same({ '2', '3' }, trips(p, '1,2'))
  end)

  it('forgets the rows of a view that is deleted', function()
    local both = blueprints.driver() .. blueprints.view('others', { "int64 'trips'" })
    p = project.new({ rows = ROWS, definition = both })
    p:materialize('2021-04-10', '2021-04-13')
    p:write('definitions/rows.lua', blueprints.driver())
    p:must('apply', '--allow-incompatible')
    p:write('definitions/rows.lua', both)
    p:must('apply')
    local row = p:online('driver_id=1', '-f', 'others:trips')[1]
    assert.equal('NOT_FOUND', row.trips__status)
    assert.same({ '2' }, trips(p, '1'))
  end)

  it('fills a feature that was added later when it is run again', function()
    p = project.new({ rows = ROWS,
      definition = blueprints.driver({ features = { "int64 'trips'" } }) })
    p:materialize('2021-04-10', '2021-04-13')
    p:write('definitions/rows.lua', blueprints.driver())
    p:must('apply')
    local row = p:online('driver_id=1')[1]
    assert.same({ '2', 'PRESENT', 'NOT_FOUND' }, { row.trips, row.trips__status, row.city__status })
    local counts = p:materialize('2021-04-10', '2021-04-13').rates
    assert.same({ '2', '0' }, { counts.written, counts.stale })
    row = p:online('driver_id=1')[1]
    assert.same({ '2', 'Oslo' }, { row.trips, row.city })
  end)

  it('fills a feature whose type was changed when it is run again', function()
    p = project.new({ rows = ROWS,
      definition = blueprints.driver({ features = { "string 'trips'" } }) })
    p:materialize('2021-04-10', '2021-04-13')
    p:write('definitions/rows.lua', blueprints.driver({ features = { "int64 'trips'" } }))
    p:must('apply', '--allow-incompatible')
    p:materialize('2021-04-10', '2021-04-13')
    assert.same({ '2' }, trips(p, '1'))
  end)

  it('finds late rows of a created time that was seen before', function()
    p = project.new({ rows = { '1,2021-04-12T10:00:00Z,2021-04-13,0.5,1,Oslo' } })
    p:materialize_incremental('2021-04-13')
    p:set_rows({ '1,2021-04-12T10:00:00Z,2021-04-13,0.5,1,Oslo', '2,2021-04-11,2021-04-13,0.5,9,' })
    assert.equal('1', p:materialize_incremental('2021-04-14').rates.written)
    assert.same({ '1', '9' }, trips(p, '1,2'))
  end)

  it('hides no row behind one that is not known yet', function()
    p = project.new({ rows = { '1,2021-04-12T10:00:00Z,,0.5,1,', '1,2021-04-12T11:55:00Z,,0.5,2,' },
      definition = blueprints.driver({ view = { delay = '10m' } }) })
    local function served(time)
      return p:online('driver_id=1', '--now', time)[1].trips
    end
    p:materialize_incremental('2021-04-12T12:00:00Z')
    assert.equal('1', served('2021-04-12T12:00:00Z'))
    p:materialize_incremental('2021-04-12T12:05:00.000001Z')
    assert.equal('2', served('2021-04-12T12:05:00Z'))
  end)

  it('takes what the source says now where a row was changed, wherever it stands', function()
    p = project.new({ rows = ROWS })
    p:materialize('2021-04-10', '2021-04-13')
    p:set_rows({ (ROWS[2]:gsub(',2,Oslo', ',7,Rome')), ROWS[1], ROWS[3] })
    local counts = p:materialize('2021-04-10', '2021-04-13').rates
    assert.same({ '1', '1' }, { counts.written, counts.stale })
    assert.same({ '7', '3' }, trips(p, '1,2'))
  end)

  it('says which rows it could not use', function()
    p = project.new({ rows = { ROWS[1], ',2021-04-10T10:00:00Z,,0,1,', '5,,,0,1,' } })
    local counts = p:materialize('2021-04-10', '2021-04-13').rates
    assert.same({ '3', '1', '2' }, { counts.read, counts.written, counts.rejected })
  end)

  it('refuses an interval that ends before it starts, and unknown views', function()
    p = project.new({ rows = ROWS })
    local result = p:run('materialize', '2021-04-13', '2021-04-10')
    assert.is_true(result.status == 1 or result.status == 2)
    assert.matches('2021-04-1', result.stderr, 1, true)
    result = p:run('materialize', '2021-04-10', '2021-04-13', '-v', 'rate')
    assert.is_true(result.status ~= 0)
    assert.matches('did you mean "rates"?', result.stderr, 1, true)
  end)

  it('keeps what was done when a later view fails', function()
    p = project.new({ rows = ROWS, definition = blueprints.driver()
      .. blueprints.source('broken', { path = 'data/broken.csv' })
      .. blueprints.view('sorted_last', { "int64 'trips'" }, { source = 'broken' }) })
    p:write('data/broken.csv', csv.lines(project.HEADER, { 'x,2021-04-10,,0,1,' }))
    assert.matches('sorted_last', p:fails('materialize', '2021-04-10', '2021-04-13', '--quiet'))
    assert.same({ '2' }, trips(p, '1'))
  end)
end)
