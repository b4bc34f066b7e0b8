-- Filters and transforms of feature views: in training sets, by materialize and in pushes.

local mpack = require 'mpack'
local project = require 'spec.support.project'
local servers = require 'spec.support.server'
local tidemark = require 'tidemark'

local HEADER = 'driver,at,created,gone,price,count,city'

local FIELDS = {
  entity = "'driver'",
  source = "'rows'",
  inputs = "{ float64 'price', int64 'count', string 'city' }",
  transform = [[function(row)
    return { total = row.price * row.count, city = row.city and row.city:upper() }
  end]],
  features = "{ float64 'total', string 'city' }",
}

-- A feature view's text: fields as they stand, `false` for none.
local function view(name, changes)
  local lines = { ('feature_view %q {\n'):format(name) }
  for _, field in ipairs { 'entity', 'source', 'inputs', 'filter', 'transform', 'on_error',
    'features', 'ttl', 'as_known' } do
    local text = changes[field]
    if text == nil then
      text = FIELDS[field]
    end
    if text then
      lines[#lines + 1] = ('  %s = %s,\n'):format(field, text)
    end
  end
  return table.concat(lines) .. '}\n'
end

local function definition(...)
  return "entity 'driver' { keys = { int64 'driver_id' } }\n"
    .. "source 'rows' { path = 'data/rows.csv', event_time = 'at', created_time = 'created',\n"
    .. "  deleted = 'gone', keys = { driver_id = 'driver' } }\n" .. table.concat({ ... })
end

local ROWS = {
  '1,2021-04-10T10:00:00Z,2021-04-10T10:00:00Z,,2.5,4,oslo',
  '1,2021-04-11T10:00:00Z,2021-04-11T10:00:00Z,,-1,4,oslo',
  '2,2021-04-10T10:00:00Z,2021-04-10T10:00:00Z,,3,1,',
  '3,2021-04-10T10:00:00Z,2021-04-10T10:00:00Z,,7,2,rome',
  '3,2021-04-11T10:00:00Z,2021-04-11T10:00:00Z,true,,,',
}

local SPINE = { 'driver_id,event_timestamp', '1,2021-04-12', '2,2021-04-12', '3,2021-04-12',
  '3,2021-04-10T12:00:00Z', '4,2021-04-12' }

local POSITIVE = 'function(row) return row.price > 0 end'

describe('a view with functions', function()
  local p, server, handle

  after_each(function()
    if server then
      server:kill()
      server = nil
    end
    if handle then
      handle:close()
      handle = nil
    end
    p:remove()
  end)

  local function make(...)
    p = project.new({ rows = ROWS, header = HEADER, definition = definition(...) })
  end

  -- Columns of an answer's rows, joined by "|".
  local function column(rows, ...)
    local values = {}
    for i, row in ipairs(rows) do
      local cells = {}
      for place, name in ipairs { ... } do
        cells[place] = row[name] or ''
      end
      values[i] = table.concat(cells, '|')
    end
    return values
  end

  describe('in training sets', function()
    it('has the features that the transform makes of the rows that the filter lets through',
      function()
        make(view('rates', { filter = POSITIVE }))
        assert.same({ '10.0|OSLO', '3.0|', '|', '14.0|ROME', '|' },
          column(p:history(SPINE), 'total', 'city'))
        assert.same({ 'PRESENT', 'PRESENT', 'DELETED', 'PRESENT', 'NOT_FOUND' },
          column(p:history(SPINE, '--statuses'), 'total__status'))
      end)

    it('shows the features that are asked for, in order', function()
      make(view('rates', {}))
      local rows, header = p:history(SPINE, '--features', 'rates:city,rates:total')
      assert.same({ 'driver_id', 'event_timestamp', 'city', 'total' }, header)
      assert.same({ 'OSLO|-4.0', '|3.0', '|', 'ROME|14.0', '|' }, column(rows, 'city', 'total'))
      rows = p:history(SPINE, '--features', 'rates:city')
      assert.same({ 'OSLO', '', '', 'ROME', '' }, column(rows, 'city'))
    end)

    it('keeps views apart that read one source through different filters', function()
      local cheap = 'function(row) return row.price < 2.6 end'
      make(view('rates', { filter = POSITIVE }), view('cheap', { filter = cheap }),
        view('again', { filter = POSITIVE }), view('all', {}))
      local rows = p:history(SPINE, '--features', 'rates:total,cheap:total,again:total,all:total')
      assert.same({ '10.0|-4.0|10.0|-4.0', '3.0||3.0|3.0', '|||', '14.0||14.0|14.0', '|||' },
        column(rows, 'rates__total', 'cheap__total', 'again__total', 'all__total'))
    end)

    it('gives keys and times to the functions', function()
      make(view('rates', {
        inputs = "{ int64 'id' { column = 'driver' }, timestamp 'at', timestamp 'created' }",
        transform = [[function(row)
          return { total = row.id + (row.at - row.created), city = "x" }
        end]],
      }))
      assert.same({ '1.0', '2.0', '', '3.0', '' }, column(p:history(SPINE), 'total'))
    end)

    it('works without any input', function()
      make(view('rates', { inputs = false,
        transform = 'function() return { total = 1, city = "same" } end' }))
      assert.same({ '1.0|same', '1.0|same', '|', '1.0|same', '|' },
        column(p:history(SPINE), 'total', 'city'))
      local file = p:path('data/rows.parquet')
      handle = tidemark.open(p.folder)
      handle:copy_file(p:path('data/rows.csv'), file)
      p:write('definitions/rows.lua', (p:read('definitions/rows.lua')
        :gsub('rows%.csv', 'rows.parquet')))
      p:must('apply', '--allow-incompatible')
      assert.same({ '1.0|same', '1.0|same', '|', '1.0|same', '|' },
        column(p:history(SPINE), 'total', 'city'))
    end)

    it('never filters or transforms tombstones', function()
      make(view('rates', { filter = 'function(row) return row.price + 1 > 0 end' }))
      assert.same({ 'PRESENT', 'PRESENT', 'DELETED', 'PRESENT', 'NOT_FOUND' },
        column(p:history(SPINE, '--statuses'), 'total__status'))
    end)
  end)

  describe('that fail for a row', function()
    local FAILING = 'function(row) return { total = row.price, city = row.city:upper() } end'
    -- of the definition: the line of a transform without a filter
    local PLACE = 'definitions/rows.lua:8'

    it('end the job with the row, as it stands in the source', function()
      make(view('rates', { transform = FAILING }))
      local message = p:fails('get-historical-features', '--spine',
        p:write('spine.csv', table.concat(SPINE, '\n')), '-o', p:path('out.csv'), '-f', 'rates:*',
        '--quiet')
      assert.matches('feature_view "rates": row 3 of source "rows": ', message, 1, true)
      assert.matches('(' .. PLACE .. ')', message, 1, true)
      assert.is_false(p:exists('out.csv'))
      message = p:fails('materialize', '2021-04-01', '2021-05-01', '--quiet')
      assert.matches('feature_view "rates": row 3 of source "rows": ', message, 1, true)
      assert.equal('NOT_FOUND', p:online('driver_id=1')[1].total__status)
    end)

    it('are named by their number also where few rows of many are looked at', function()
      local rows = {}
      for i = 1, 9000 do
        rows[i] = ('%d,2021-04-%02d,,,1,1,%s'):format(i % 3, 1 + i % 20, i == 8999 and '' or 'x')
      end
      make(view('rates', { transform = FAILING }))
      p:set_rows(rows, HEADER)
      -- the last row of driver 2 on the 20th
      local message = p:fails('materialize', '2021-04-01', '2021-05-01', '--quiet')
      assert.matches('row 8999 of source', message, 1, true)
      message = p:fails('get-historical-features', '--spine', p:write('spine.csv',
        'driver_id,event_timestamp\n2,2021-04-05\n2,2021-05-01\n0,2021-04-05\n'), '-o',
        p:path('out.csv'), '-f', 'rates:*', '--quiet')
      assert.matches('row 8999 of source', message, 1, true)
    end)

    it('end it where the filter fails too', function()
      make(view('rates', { filter = 'function(row) return #row.city > 0 end' }))
      local message = p:fails('materialize', '2021-04-01', '2021-05-01', '--quiet')
      assert.matches('feature_view "rates": filter: row 3 of source "rows": ', message, 1, true)
      assert.matches('(' .. PLACE .. ')', message, 1, true)
    end)

    it('have features with status ERROR where that is asked for', function()
      make(view('rates', { transform = FAILING, on_error = "'null'" }))
      local rows = p:history(SPINE, '--statuses')
      assert.same({ '-1.0|PRESENT|OSLO', '|ERROR|', '|DELETED|', '7.0|PRESENT|ROME',
        '|NOT_FOUND|' }, column(rows, 'total', 'total__status', 'city'))
      assert.equal('ERROR', rows[2].city__status)
      local counts = p:materialize('2021-04-01', '2021-05-01').rates
      assert.same({ '3', '1', '0' }, { counts.written, counts.failed, counts.rejected })
      assert.same({ 'PRESENT|PRESENT', 'ERROR|ERROR', 'DELETED|DELETED' },
        column(p:online('driver_id=1,2,3'), 'total__status', 'city__status'))
    end)

    it('count the rows of a training set that have none', function()
      make(view('rates', { transform = FAILING, on_error = "'null'" }))
      handle = tidemark.open(p.folder)
      local result = handle:get_historical_features({ features = { 'rates:total' },
        output = p:path('out.csv'), spine = p:write('spine.csv',
          'driver_id,event_timestamp\n1,2021-04-12\n2,2021-04-12\n2,2021-04-13\n') })
      assert.same({ 3, 2 }, { result.views[1].present, result.views[1].failed })
    end)

    it('are rejected like bad values where these are', function()
      make(view('rates', { transform = FAILING,
        filter = 'function(row) return row.price > -5 end' }))
      p:set_rows({
        '1,2021-04-10,2021-04-10,,1,1,oslo',
        '1,2021-04-11,2021-04-11,,2,1,',      -- the transform fails
        '1,2021-04-12,2021-04-12,,many,1,x',  -- a bad value
        '1,2021-04-13,2021-04-13,,,1,x',      -- the filter fails
        '1,2021-04-14,2021-04-14,,-9,1,',     -- filtered
      }, HEADER)
      local arguments = { '--on-bad-row', 'reject', '--rejects', p:path('bad.jsonl') }
      local counts = p:materialize('2021-04-01', '2021-05-01', unpack(arguments)).rates
      assert.same({ '5', '3', '1', '1' },
        { counts.read, counts.rejected, counts.filtered, counts.written })
      assert.equal('OSLO', p:online('driver_id=1')[1].city)
      local lines = p:read('bad.jsonl')
      assert.matches('"row":2,"column":null,"message":"feature_view \\"rates\\": row 2 of source '
        .. '\\"rows\\": ', lines, 1, true)
      assert.matches('"row":3,"column":"price","message":', lines, 1, true)
      assert.matches('"row":4,"column":null,"message":"feature_view \\"rates\\": filter: row 4 of '
        .. 'source \\"rows\\": ', lines, 1, true)
      local _, count = lines:gsub('\n', '')
      assert.equal(3, count)
      assert.same({ 'OSLO', '', '', '', '' }, column(p:history(SPINE, unpack(arguments)), 'city'))
    end)
  end)

  describe('when rows are pushed', function()
    local NOW = 1735689600000000

    local function push(rows)
      if not server then
        server = servers.start(p.folder)
      end
      return server:call('push', { view = 'rates', rows = rows, now = NOW })
    end

    local function online(...)
      local answer = assert(server:call('get_online_features', { features = { 'rates:*' },
        entities = { driver_id = { ... } }, include = { 'statuses' } }))
      local list = {}
      for i, row in ipairs(answer.rows) do
        local cells = {}
        for place, value in ipairs(row) do
          cells[place] = value ~= mpack.NIL and tostring(value) or answer.statuses[i][place]
        end
        list[i] = table.concat(cells, '|')
      end
      return list
    end

    it('take the columns that the functions do', function()
      make(view('rates', { filter = POSITIVE }))
      local result = assert(push({
        { driver = 1, price = 2, count = 3, city = 'oslo' },
        { driver_id = 2, price = -2, count = 3, city = 'oslo' },
        { driver_id = 3, price = 2, count = 3 },
        { driver_id = 4, price = 2, count = 3, city = mpack.NIL },
        { driver_id = 5, deleted = true },
        { driver_id = 6, price = 'much', count = 3, city = 'rome' },
        { driver_id = 7, price = mpack.NIL, count = 3, city = 'rome' },
      }))
      assert.same({ 3, 0, 1, 3 },
        { result.written, result.stale, result.filtered, #result.rejected })
      assert.same({ index = 2, field = 'city',
        reason = "the column is not given: the view's functions use it" }, result.rejected[1])
      assert.same({ index = 5, field = 'price', reason = 'expected float64, got string' },
        result.rejected[2])
      assert.equal(6, result.rejected[3].index)
      assert.matches('^feature_view "rates": filter: attempt to compare .*:8%)$',
        result.rejected[3].reason)
      assert.same({ '6|OSLO', 'NOT_FOUND|NOT_FOUND', 'NOT_FOUND|NOT_FOUND', '6|NULL_VALUE',
        'DELETED|DELETED' }, online(1, 2, 3, 4, 5))
    end)

    it('may come as columns', function()
      make(view('rates', { filter = POSITIVE }))
      local result = assert(push({ driver_id = { 1, 2, 3 }, price = { 1, -1, 4 },
        count = { 1, 1, 1 }, city = { 'a', 'b', mpack.NIL } }))
      assert.same({ 2, 1 }, { result.written, result.filtered })
      assert.same({ '1|A', 'NOT_FOUND|NOT_FOUND', '4|NULL_VALUE' }, online(1, 2, 3))
    end)

    it('say of features that they are made', function()
      make(view('rates', {}))
      local result = assert(push({ { driver_id = 1, total = 5 } }))
      assert.matches('feature "total" of feature_view "rates" is made by its transform '
        .. '(definitions/rows.lua:8)', result.rejected[1].reason, 1, true)
    end)

    it('have features with status ERROR where that is asked for', function()
      make(view('rates', { on_error = "'null'" }))
      local result = assert(push({
        { driver_id = 1, price = 2, count = mpack.NIL, city = 'oslo' },
        { driver_id = 2, price = 2, count = 1, city = 'oslo' },
      }))
      assert.same({ 2, {} }, { result.written, result.rejected })
      assert.same({ 'ERROR|ERROR', '2|OSLO' }, online(1, 2))
    end)

    it('have the time that counts where functions look at it', function()
      make(view('rates', {
        inputs = "{ timestamp 'at', timestamp 'created', bool 'gone' }",
        transform = 'function(row) return { total = row.at, city = tostring(row.gone) } end',
      }))
      assert.same({}, assert(push({ { driver_id = 1 },
        { driver_id = 2, event_time = NOW + 1, deleted = false },
        { driver_id = 3, at = NOW + 2 } })).rejected)
      local expected = {}
      for i, city in ipairs { 'nil', 'false', 'nil' } do
        expected[i] = tostring(NOW + i - 1) .. '|' .. city
      end
      assert.same(expected, online(1, 2, 3))
    end)

    it('see integers as the source has them where it has integers for times', function()
      p = project.new({ header = 'driver_id,at,price', rows = { '1,1500,1' },
        definition = "entity 'driver' { keys = { int64 'driver_id' } }\n"
          .. "source 'rows' { path = 'data/rows.csv', event_time = 'at', time_unit = 'ms' }\n"
          .. view('rates', { inputs = "{ int64 'at' }",
            transform = 'function(row) return { total = row.at, city = "x" } end' }) })
      p:materialize('1970-01-01', '1971-01-01')
      push({ { driver_id = 2, event_time = 1500000 } })
      assert.same({ '1500|x', '1500|x' }, online(1, 2))
    end)

    it('use the functions that are applied', function()
      make(view('rates', {}))
      push({ { driver_id = 1, price = 2, count = 3, city = 'a' } })
      p:write('definitions/rows.lua', definition(view('rates', {
        transform = 'function(row) return { total = row.price, city = row.city } end' })))
      p:must('apply')
      assert.same({}, push({ { driver_id = 2, price = 2, count = 3, city = 'a' } }).rejected)
      assert.same({ '6|A', '2|a' }, online(1, 2))
    end)

    it('come from files and scripts as well', function()
      make(view('rates', { filter = POSITIVE }))
      local file = p:write('push.csv', 'driver,at,price,count,city\n'
        .. '1,2022-01-01,2,3,oslo\n2,2022-01-01,-2,3,oslo\n3,2022-01-01,,3,oslo\n')
      local result = p:run('push', 'rates', file, '--format', 'csv')
      assert.equal(1, result.status)
      assert.equal('view,read,written,stale,filtered,rejected\nrates,3,1,0,1,1\n', result.stdout)
      assert.matches('push.csv:row 3: feature_view "rates": filter: ', result.stderr, 1, true)
      handle = tidemark.open(p.folder)
      local counts = handle:push('rates', {
        { driver_id = 4, at = NOW, price = 1, count = 1, city = 'x', other = 'of no matter' },
        { driver_id = 5, at = NOW, price = -1, count = 1, city = 'x' },
      })
      assert.same({ 1, 1 }, { counts.written, counts.filtered })
      handle:close()
      handle = nil
      assert.same({ 'OSLO', '', '', 'X', '' }, column(p:online('driver_id=1,2,3,4,5'), 'city'))
    end)

    it('say which column a file lacks', function()
      make(view('rates', {}))
      local file = p:write('push.csv', 'driver,at,price,city\n1,2022-01-01,2,oslo\n')
      assert.matches('has no column "count"', p:fails('push', 'rates', file), 1, true)
    end)

    it('keep features that they do not give where the view has only a filter', function()
      make(view('rates', { inputs = "{ float64 'price' }", filter = POSITIVE, transform = false,
        features = "{ float64 'cost' { column = 'price' }, int64 'count', string 'city' }" }))
      local result = assert(push({
        { driver_id = 1, cost = 1, count = 2, city = 'a' },
        { driver_id = 2, price = -1, count = 2, city = 'a' },
        { driver_id = 3, count = 2, city = 'a' },
      }))
      assert.same({ 1, 1, 1 }, { result.written, result.filtered, #result.rejected })
      assert.equal('price', result.rejected[1].field)
      push({ { driver_id = 1, event_time = NOW + 1, price = 5 } })
      assert.same({ '5|2|a', 'NOT_FOUND|NOT_FOUND|NOT_FOUND' }, online(1, 2))
    end)
  end)
end)
