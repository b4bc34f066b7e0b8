-- The contract, rule by rule, through the command line, as a user meets it.

local mpack = require 'mpack'
local blueprints = require 'spec.support.blueprints'
local project = require 'spec.support.project'
local server = require 'spec.support.server'

-- The values of one column, nulls as 'null'.
local function column(rows, name)
  local values = {}
  for i, row in ipairs(rows) do
    values[i] = row[name] or 'null'
  end
  return values
end

describe('contract', function()
  local p

  local function open(rows, changes)
    p = project.new({ rows = rows, definition = changes and blueprints.driver(changes) })
    return p
  end

  after_each(function()
    if p then
      p:remove()
      p = nil
    end
  end)

  describe('rule 1: row in, row out', function()
    local SPINE = {
      'note,driver_id,event_timestamp,amount',
      '"a, ""quoted"" note",2,2021-04-12T12:00:00Z,007',
      'plain,1,2021-04-12T12:00:00Z,1.50',
      'plain,1,2021-04-12T12:00:00Z,1.50',
      ',1,2021-04-12T09:00:00Z,',
      '"",,2021-04-12T12:00:00Z,1e5',
      'no time,1,,-0',
      'unknown,99,2021-04-12T12:00:00Z,123456789012345678901234567890',
    }
    local ROWS = {
      '1,2021-04-12T10:00:00Z,2021-04-12T10:00:00Z,0.5,1,Oslo',
      '1,2021-04-12T10:00:00Z,2021-04-12T10:00:00Z,0.5,1,Oslo',
      '1,2021-04-12T11:00:00Z,2021-04-12T11:00:00Z,0.75,2,Oslo',
      '2,2021-04-12T11:00:00Z,2021-04-12T11:00:00Z,0.25,3,Rome',
    }

    it('keeps every row, its place and its other columns as they are', function()
      open(ROWS)
      local expected = {
        'note,driver_id,event_timestamp,amount,rate,trips,city',
        '"a, ""quoted"" note",2,2021-04-12T12:00:00Z,007,0.25,3,Rome',
        'plain,1,2021-04-12T12:00:00Z,1.50,0.75,2,Oslo',
        'plain,1,2021-04-12T12:00:00Z,1.50,0.75,2,Oslo',
        ',1,2021-04-12T09:00:00Z,,,,',
        '"",,2021-04-12T12:00:00Z,1e5,,,',
        'no time,1,,-0,,,',
        'unknown,99,2021-04-12T12:00:00Z,123456789012345678901234567890,,,',
      }
      local out = p:history_text(SPINE):gsub('\r\n', '\n')
      assert.equal(table.concat(expected, '\n') .. '\n', out)
    end)

    it('gives an empty training set for an empty spine', function()
      open(ROWS)
      local rows, header = p:history({ 'driver_id,event_timestamp' })
      assert.same({}, rows)
      assert.same({ 'driver_id', 'event_timestamp', 'rate', 'trips', 'city' }, header)
    end)
  end)

  describe('rule 2: point in time', function()
    local ROWS = {
      '1,2021-04-12T10:00:00Z,2021-04-12T10:00:00Z,0.25,1,Oslo',
      '1,2021-04-12T11:00:00Z,2021-04-12T11:00:00Z,0.5,2,Oslo',
    }
    local SPINE = {
      'driver_id,event_timestamp',
      '1,2021-04-12T09:59:59.999999Z',
      '1,2021-04-12T10:00:00Z',
      '1,2021-04-12T10:59:59.999999Z',
      '1,2021-04-12T11:00:00Z',
      '1,2021-04-12T12:00:00Z',
      '1,2021-04-12T12:00:00.000001Z',
    }

    it('includes both bounds', function()
      open(ROWS, { view = { ttl = '1h' } })
      local rows = p:history(SPINE, '--statuses')
      assert.same({ 'null', '1', '1', '2', '2', 'null' }, column(rows, 'trips'))
      assert.same({ 'NOT_FOUND', 'PRESENT', 'PRESENT', 'PRESENT', 'PRESENT', 'OUTSIDE_MAX_AGE' },
        column(rows, 'trips__status'))
    end)

    it("leaves out the row of the moment itself where the view says bound = '<'", function()
      open(ROWS, { view = { ttl = '1h', bound = '<' } })
      assert.same({ 'null', 'null', '1', '1', '2', 'null' }, column(p:history(SPINE), 'trips'))
    end)
  end)

  describe('rule 3: ties', function()
    local SPINE = { 'driver_id,event_timestamp', '1,2021-04-12T12:00:00Z', '2,2021-04-12T12:00:00Z',
      '3,2021-04-12T12:00:00Z', '4,2021-04-12T12:00:00Z' }
    local ROWS = {
      '1,2021-04-12T10:00:00Z,2021-04-12T10:09:00Z,0,19,created later wins',
      '1,2021-04-12T10:00:00Z,2021-04-12T10:01:00Z,0,11,',
      '2,2021-04-12T10:00:00Z,2021-04-12T10:01:00Z,0,21,any created time beats none',
      '2,2021-04-12T10:00:00Z,,0,20,',
      '3,2021-04-12T10:00:00Z,,0,30,none stays eligible',
      '4,2021-04-12T10:00:00Z,2021-04-12T10:01:00Z,0,41,',
      '4,2021-04-12T10:00:00Z,2021-04-12T10:01:00Z,0,42,the last to arrive wins',
    }

    it('are broken by created time, then by arrival, without fan-out', function()
      open(ROWS)
      assert.same({ '19', '21', '30', '42' }, column(p:history(SPINE), 'trips'))
    end)

    it('are broken the same way online', function()
      open(ROWS)
      p:materialize('2021-04-12', '2021-04-13')
      local rows = p:online('driver_id=1,2,3,4', '--now', '2021-04-12T12:00:00Z')
      assert.same({ '19', '21', '30', '42' }, column(rows, 'trips'))
    end)
  end)

  describe('rule 4: as known', function()
    local ROWS = {
      '1,2021-04-12T10:00:00Z,2021-04-12T10:05:00Z,0,1,first',
      '1,2021-04-12T11:00:00Z,2021-04-12T18:00:00Z,0,2,late',
      '1,2021-04-12T10:00:00Z,2021-04-13T00:00:00Z,0,3,corrected',
    }
    local SPINE = { 'driver_id,event_timestamp', '1,2021-04-12T10:30:00Z', '1,2021-04-12T12:00:00Z',
      '1,2021-04-12T18:00:00Z' }

    it('is off by default: the best that is known today', function()
      open(ROWS)
      assert.same({ '3', '2', '2' }, column(p:history(SPINE), 'trips'))
    end)

    it('ignores rows created after --as-of-created', function()
      open(ROWS)
      local function at(time)
        return column(p:history(SPINE, '--as-of-created', time), 'trips')
      end
      assert.same({ 'null', 'null', 'null' }, at('2021-04-12T10:04:59Z'))
      assert.same({ '1', '1', '1' }, at('2021-04-12T10:05:00Z'))
      assert.same({ '1', '2', '2' }, at('2021-04-12T18:00:00Z'))
      assert.same({ '3', '2', '2' }, at('2021-04-13T00:00:00Z'))
    end)

    it('ignores rows created after the spine row where the view says as_known', function()
      open(ROWS, { view = { as_known = true } })
      assert.same({ '1', '1', '2' }, column(p:history(SPINE), 'trips'))
    end)

    it('takes event time plus delay where there is no created time', function()
      open({ '1,2021-04-12T10:00:00Z,,0,1,', '1,2021-04-12T11:00:00Z,,0,2,' },
        { view = { delay = '10m' } })
      local rows = p:history({ 'driver_id,event_timestamp', '1,2021-04-12T10:09:59Z',
        '1,2021-04-12T10:10:00Z', '1,2021-04-12T11:09:59Z', '1,2021-04-12T11:10:00Z' })
      assert.same({ 'null', '1', '1', '2' }, column(rows, 'trips'))
    end)
  end)

  describe('rule 5: keys', function()
    it('of several columns never run into each other', function()
      p = project.new({
        header = 'a,b,event_timestamp,trips',
        rows = { '1,23,2021-04-12T10:00:00Z,123', '12,3,2021-04-12T10:00:00Z,1203' },
        definition = blueprints.entity('pair', { "int64 'a'", "string 'b'" })
          .. blueprints.source('rows', { created_time = false })
          .. blueprints.view('rates', { "int64 'trips'" }, { entity = 'pair' }),
      })
      local rows = p:history({ 'a,b,event_timestamp', '1,23,2021-04-12T12:00:00Z',
        '12,3,2021-04-12T12:00:00Z', '1,3,2021-04-12T12:00:00Z' })
      assert.same({ '123', '1203', 'null' }, column(rows, 'trips'))
    end)

    it('of integers compare by value, whatever the width', function()
      p = project.new({
        header = 'driver_id,event_timestamp,trips',
        rows = { '-1,2021-04-12T10:00:00Z,1', '2147483647,2021-04-12T10:00:00Z,2' },
        definition = blueprints.entity('driver', { "int32 'driver_id'" })
          .. blueprints.source('rows', { created_time = false })
          .. blueprints.view('rates', { "int64 'trips'" }),
      })
      local spine = { 'driver_id,event_timestamp', '-1,2021-04-12T12:00:00Z',
        '2147483647,2021-04-12T12:00:00Z' }
      assert.same({ '1', '2' }, column(p:history(spine), 'trips'))
      p:materialize('2021-04-12', '2021-04-13')
      assert.same({ '1', '2' }, column(p:online('driver_id=-1,2147483647'), 'trips'))
    end)

    it('that are null match nothing', function()
      open({ ',2021-04-12T10:00:00Z,,0.5,1,Oslo', '1,2021-04-12T10:00:00Z,,0.5,2,Oslo' })
      local rows = p:history({ 'driver_id,event_timestamp', ',2021-04-12T12:00:00Z',
        '1,2021-04-12T12:00:00Z' }, '--statuses')
      assert.same({ 'null', '2' }, column(rows, 'trips'))
      assert.same({ 'NOT_FOUND', 'PRESENT' }, column(rows, 'trips__status'))
      local counts = p:materialize('2021-04-12', '2021-04-13').rates
      assert.equal('1', counts.rejected)
      assert.equal('1', counts.written)
    end)
  end)

  describe('rule 6: null, NaN and ""', function()
    local ROWS = {
      '1,2021-04-12T10:00:00Z,,,1,',
      '2,2021-04-12T10:00:00Z,,nan,2,""',
      '3,2021-04-12T10:00:00Z,,-inf,3,null',
    }

    it('stay three values in a training set', function()
      open(ROWS)
      local rows = p:history({ 'driver_id,event_timestamp', '1,2021-04-12T12:00:00Z',
        '2,2021-04-12T12:00:00Z', '3,2021-04-12T12:00:00Z' }, '--statuses')
      assert.same({ 'null', 'nan', '-inf' }, column(rows, 'rate'))
      assert.same({ 'NULL_VALUE', 'PRESENT', 'PRESENT' }, column(rows, 'rate__status'))
      assert.is_nil(rows[1].city)
      assert.equal('', rows[2].city)
      assert.equal('null', rows[3].city)
    end)

    it('stay three values online and on the wire', function()
      open(ROWS)
      p:materialize('2021-04-12', '2021-04-13')
      local rows = p:online('driver_id=1,2,3')
      assert.same({ 'null', 'nan', '-inf' }, column(rows, 'rate'))
      assert.is_nil(rows[1].city)
      assert.equal('', rows[2].city)

      local s = server.start(p.folder)
      finally(function()
        assert.equal(0, s:stop())
      end)
      local answer = assert(s:call('get_online_features', {
        features = { 'rates:rate', 'rates:city' },
        entities = { driver_id = { 1, 2, 3 } },
        include = { 'statuses' },
      }))
      assert.equal(mpack.NIL, answer.rows[1][1])
      assert.equal(mpack.NIL, answer.rows[1][2])
      assert.is_true(answer.rows[2][1] ~= answer.rows[2][1])
      assert.equal('', answer.rows[2][2])
      assert.equal(-math.huge, answer.rows[3][1])
      assert.same({ { 'NULL_VALUE', 'NULL_VALUE' }, { 'PRESENT', 'PRESENT' },
        { 'PRESENT', 'PRESENT' } }, answer.statuses)
    end)
  end)

  describe('rule 7: time', function()
    it('is UTC unless it has an offset, and is printed with Z', function()
      open({
        '1,2021-04-12T07:00:00+02:00,,0,1,',
        '2,2021-04-12 05:00:00,,0,2,',
        '3,2021-04-12T05:00:00.123456Z,,0,3,',
        '4,1969-12-31T23:59:59.999999Z,,0,4,',
      })
      local rows = p:history({ 'driver_id,event_timestamp', '1,2021-04-12T05:00:00Z',
        '2,2021-04-12T05:00:00', '3,2021-04-12T00:30:00-05:00', '4,2021-04-12' },
        '--event-timestamps')
      assert.same({ '2021-04-12T05:00:00Z', '2021-04-12T05:00:00Z', '2021-04-12T05:00:00.123456Z',
        '1969-12-31T23:59:59.999999Z' }, column(rows, 'rates__event_timestamp'))
    end)

    local function definition(unit)
      return blueprints.entity('driver', { "int64 'driver_id'" })
        .. blueprints.source('rows', { created_time = false, time_unit = unit })
        .. blueprints.view('rates', { "int64 'trips'" })
    end

    -- Text in a CSV file may be either; Parquet says that a column is an integer.
    it('is an integer only with a declared unit', function()
      p = project.new({ header = 'driver_id,event_timestamp,trips', rows = { '1,1618203600000,7' },
        definition = definition('ms') })
      local rows = p:history({ 'driver_id,event_timestamp', '1,1618203600' }, '--event-timestamps',
        '--time-unit', 's')
      assert.same({ '7' }, column(rows, 'trips'))
      assert.same({ '2021-04-12T05:00:00Z' }, column(rows, 'rates__event_timestamp'))
    end)

    it('is refused as an integer without one', function()
      p = project.new({ header = 'driver_id,event_timestamp,trips', rows = { '1,1618203600000,7' },
        definition = definition(nil) })
      p:write('spine.csv', 'driver_id,event_timestamp\n1,2021-04-12\n')
      local message = p:fails('get-historical-features', '--spine', p:path('spine.csv'), '-o',
        p:path('out.csv'), '--features', 'rates:*')
      assert.matches('time.unit', message)
      assert.is_false(p:exists('out.csv'))
    end)

    it('that int64 cannot hold is an error with file, row and column', function()
      open({ '1,2021-04-12T10:00:00Z,,0,1,', '1,300000-01-01T00:00:00Z,,0,2,' })
      p:write('spine.csv', 'driver_id,event_timestamp\n1,2021-04-12\n')
      local message = p:fails('get-historical-features', '--spine', p:path('spine.csv'), '-o',
        p:path('out.csv'), '--features', 'rates:*')
      assert.matches('rows.csv', message, 1, true)
      assert.matches('row 2', message, 1, true)
      assert.matches('event_timestamp', message, 1, true)
      assert.is_false(p:exists('out.csv'))
    end)
  end)

  describe('rule 8: ttl', function()
    it('of 0 is refused', function()
      p = project.new({ apply = false, definition = blueprints.driver({ view = { ttl = '0d' } }) })
      assert.matches('definitions/rows.lua:%d+:%d+: feature_view "rates": .*ttl', p:fails('apply'))
    end)

    it('that is absent is unlimited, offline and online', function()
      open({ '1,1990-01-01T00:00:00Z,,0,1,' })
      local rows = p:history({ 'driver_id,event_timestamp', '1,2021-04-12' })
      assert.same({ '1' }, column(rows, 'trips'))
      p:materialize('1980-01-01', '2021-01-01')
      assert.same({ '1' }, column(p:online('driver_id=1'), 'trips'))
    end)

    it('ends after the same microsecond online as offline', function()
      open({ '1,2021-04-12T10:00:00Z,,0,1,' }, { view = { ttl = '90s' } })
      p:materialize('2021-04-12', '2021-04-13')
      for now, status in pairs({
        ['2021-04-12T09:59:59.999999Z'] = 'NOT_FOUND',
        ['2021-04-12T10:00:00Z'] = 'PRESENT',
        ['2021-04-12T10:01:30Z'] = 'PRESENT',
        ['2021-04-12T10:01:30.000001Z'] = 'OUTSIDE_MAX_AGE',
      }) do
        local online = p:online('driver_id=1', '--now', now)
        local offline = p:history({ 'driver_id,event_timestamp', '1,' .. now }, '--statuses')
        assert.equal(status, online[1].trips__status)
        assert.equal(status, offline[1].trips__status)
        assert.equal(online[1].trips, offline[1].trips)
      end
    end)
  end)

  describe('rule 9: materialize', function()
    it('covers [start, end) by event time', function()
      open({
        '1,2021-04-11T23:59:59.999999Z,,0,1,',
        '2,2021-04-12T00:00:00Z,,0,2,',
        '3,2021-04-12T23:59:59.999999Z,,0,3,',
        '4,2021-04-13T00:00:00Z,,0,4,',
      })
      local counts = p:materialize('2021-04-12', '2021-04-13').rates
      assert.same({ '4', '2', '2', '0' },
        { counts.read, counts.inside, counts.written, counts.stale })
      assert.same({ 'NOT_FOUND', 'PRESENT', 'PRESENT', 'NOT_FOUND' },
        column(p:online('driver_id=1,2,3,4'), 'trips__status'))
    end)

    it('is harmless when it is run again', function()
      open({ '1,2021-04-12T10:00:00Z,,0,1,', '2,2021-04-12T10:00:00Z,,0,2,' })
      assert.equal('2', p:materialize('2021-04-12', '2021-04-13').rates.written)
      local before = p:online('driver_id=1,2', '--event-timestamps')
      local counts = p:materialize('2021-04-12', '2021-04-13').rates
      assert.equal('0', counts.written)
      assert.equal('2', counts.stale)
      assert.same(before, p:online('driver_id=1,2', '--event-timestamps'))
    end)

    it('puts nothing older over something newer', function()
      open({ '1,2021-04-12T10:00:00Z,,0,12,', '1,2021-04-13T10:00:00Z,,0,13,' })
      p:materialize('2021-04-13', '2021-04-14')
      assert.equal('0', p:materialize('2021-04-12', '2021-04-13').rates.written)
      assert.same({ '13' }, column(p:online('driver_id=1'), 'trips'))
    end)

    it('goes on from the mark, and finds late rows by their created time', function()
      local rows = { '1,2021-04-12T10:00:00Z,2021-04-12T10:00:00Z,0,1,' }
      open(rows)
      p:materialize_incremental('2021-04-13')
      rows[2] = '1,2021-04-13T10:00:00Z,2021-04-13T10:00:00Z,0,2,'
      rows[3] = '2,2021-04-12T09:00:00Z,2021-04-13T11:00:00Z,0,3,late'
      p:set_rows(rows)
      local counts = p:materialize_incremental('2021-04-14').rates
      -- The first row counts as late: others of its created time might have come since.
      assert.same({ '2', '2' }, { counts.late, counts.written })
      assert.same({ '2', '3' }, column(p:online('driver_id=1,2'), 'trips'))
      assert.matches('2021-04-14T00:00:00Z', counts.mark, 1, true)
    end)
  end)

  describe('rule 10: deletes', function()
    local HEADER = 'driver_id,event_timestamp,created,rate,trips,city,gone'
    local ROWS = {
      '1,2021-04-12T10:00:00Z,,0,1,,false',
      '1,2021-04-12T11:00:00Z,,,,,true',
      '2,2021-04-12T11:00:00Z,,,,,true',
      '2,2021-04-12T10:00:00Z,,0,2,older and later to arrive,false',
      '3,2021-04-12T11:00:00Z,,,,,true',
      '3,2021-04-12T12:00:00Z,,0,3,revived,false',
      '4,2021-04-12T10:00:00Z,,0,4,not said to be gone,',
    }

    it('are tombstones with an event time, offline and online', function()
      p = project.new({ header = HEADER, rows = ROWS,
        definition = blueprints.driver({ source = { deleted = 'gone' } }) })
      local spine = { 'driver_id,event_timestamp' }
      for driver = 1, 4 do
        spine[#spine + 1] = driver .. ',2021-04-12T10:30:00Z'
        spine[#spine + 1] = driver .. ',2021-04-12T13:00:00Z'
      end
      local rows = p:history(spine, '--statuses')
      assert.same({ '1', 'null', '2', 'null', 'null', '3', '4', '4' }, column(rows, 'trips'))
      assert.same({ 'PRESENT', 'DELETED', 'PRESENT', 'DELETED', 'NOT_FOUND', 'PRESENT', 'PRESENT',
        'PRESENT' }, column(rows, 'trips__status'))

      -- The newer half first: an older put must not undo a tombstone.
      p:materialize('2021-04-12T11:00:00Z', '2021-04-13')
      p:materialize('2021-04-12', '2021-04-13')
      local online = p:online('driver_id=1,2,3,4')
      assert.same({ 'null', 'null', '3', '4' }, column(online, 'trips'))
      assert.same({ 'DELETED', 'DELETED', 'PRESENT', 'PRESENT' }, column(online, 'trips__status'))
    end)
  end)

  describe('rule 11: statuses', function()
    it('say for every value why it is what it is', function()
      p = project.new({
        header = project.HEADER .. ',gone',
        rows = {
          '1,2021-04-12T10:00:00Z,,0.5,,Oslo,',
          '2,2021-04-01T10:00:00Z,,0.5,2,Oslo,',
          '3,2021-04-12T10:00:00Z,,,,,true',
        },
        definition = blueprints.driver({ source = { deleted = 'gone' }, view = { ttl = '7d' } }),
      })
      p:materialize('2021-04-01', '2021-04-13')
      local spine = { 'driver_id,event_timestamp' }
      for driver = 1, 4 do
        spine[#spine + 1] = driver .. ',2021-04-13T00:00:00Z'
      end
      local offline = p:history(spine, '--statuses')
      local online = p:online('driver_id=1,2,3,4', '--now', '2021-04-13T00:00:00Z')
      for _, rows in ipairs({ offline, online }) do
        assert.same({ 'PRESENT', 'OUTSIDE_MAX_AGE', 'DELETED', 'NOT_FOUND' },
          column(rows, 'rate__status'))
        assert.same({ 'NULL_VALUE', 'OUTSIDE_MAX_AGE', 'DELETED', 'NOT_FOUND' },
          column(rows, 'trips__status'))
        assert.same({ '0.5', 'null', 'null', 'null' }, column(rows, 'rate'))
      end
    end)
  end)
end)
