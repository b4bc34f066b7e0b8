-- What a source may be: folders and globs, partitions, files that differ; and what becomes of rows
-- whose values do not fit.

local blueprints = require 'spec.support.blueprints'
local cli = require 'spec.support.cli'
local csv = require 'spec.support.csv'
local tidemark = require 'tidemark'
local uv = require 'luv'
local training = require 'spec.support.training'
local workspace = require 'spec.support.workspace'

local FORMATS = { 'csv', 'msgpack', 'parquet', 'jsonl' }

describe('sources', function()
  local space, handle

  before_each(function()
    space = workspace.new()
    handle = tidemark.open(space.folder)
  end)

  after_each(function()
    handle:close()
    space:remove()
  end)

  -- Writes rows (maps) to a file of any format.
  local function put(name, columns, rows)
    local stem, format = name:match('^(.*)%.(%w+)$')
    if format == 'csv' or format == 'msgpack' then
      space:write(name, training.encode(format, columns, rows))
    else
      space:write('copied.msgpack', training.encode('msgpack', columns, rows))
      space:write(stem .. '.tmp', '')
      handle:copy_file(space:path('copied.msgpack'), space:path(name))
    end
  end

  -- A project of one view, `stats`, over one source.
  local function declare(source, features)
    source.created_time = source.created_time or false
    source.event_time = source.event_time or 'at'
    space:write('definitions/all.lua', blueprints.entity('user', { "int64 'user'" })
      .. blueprints.source('stats', source)
      .. blueprints.view('stats', features or { "int64 'n'" },
        { entity = 'user', source = 'stats' }))
    handle:apply({ allow_incompatible = true })
  end

  local function ask(options)
    options = options or {}
    space:write('spine.csv', 'user,event_timestamp\n1,2021-06-01\n2,2021-06-01\n3,2021-06-01\n')
    local request = {
      spine = space:path('spine.csv'),
      output = space:path('out.csv'),
      features = { 'stats:*' },
    }
    for name, value in pairs(options) do
      request[name] = value
    end
    local result = handle:get_historical_features(request)
    return csv.parse(space:read('out.csv')), result
  end

  local function numbers(rows)
    local list = {}
    for i, row in ipairs(rows) do
      list[i] = row.n or 'null'
    end
    return list
  end

  -- The message of what must fail.
  local function refused(...)
    local ok, err = pcall(ask, ...)
    assert.is_false(ok)
    assert.is_false(space:exists('out.csv'))
    return tostring(err)
  end

  for _, format in ipairs(FORMATS) do
    describe('in ' .. format, function()
      local COLUMNS = { 'user', 'n' }

      local function put_days()
        put('data/day=2021-01-01/hour=1/a.' .. format, COLUMNS, { { user = 1, n = 1 },
          { user = 2, n = 2 } })
        put('data/day=2021-01-02/hour=1/a.' .. format, COLUMNS, { { user = 1, n = 3 } })
        put('data/day=2021-12-31/hour=0/a.' .. format, COLUMNS, { { user = 2, n = 4 } })
      end

      it('are lists of files, whose order decides where times are equal', function()
        local function put_one(name, n)
          put(name .. '.' .. format, { 'user', 'at', 'n' },
            { { user = 1, at = '2021-01-01T00:00:00Z', n = n } })
        end
        put_one('data/z', 1)
        put_one('data/new/b', 2)
        put_one('data/new/a', 3)
        declare({ path = { 'data/new/*.' .. format, 'data/y.' .. format } })
        assert.matches('there is no file "data/y.' .. format .. '"', refused(), 1, true)
        declare({ path = { 'data/z.' .. format, 'data/new/*.' .. format } })
        local rows, result = ask()
        assert.same({ '2', 'null', 'null' }, numbers(rows))
        assert.equal(3, result.views[1].read)
        declare({ path = { 'data/new/*.' .. format, 'data/z.' .. format } })
        assert.same({ '1', 'null', 'null' }, numbers(ask()))
      end)

      it('take columns from the names of folders', function()
        put_days()
        declare({ path = 'data/*/*/*.' .. format, event_time = 'day' }, { "int64 'n'",
          "int32 'hour'" })
        local rows = ask()
        assert.same({ '3', '2', 'null' }, numbers(rows))
        assert.equal('1', rows[1].hour)
      end)

      it('are all files in a folder', function()
        put_days()
        space:write('data/_SUCCESS', '')
        space:write('data/README.md', '# days')
        declare({ path = 'data', event_time = 'day' })
        assert.same({ '3', '2', 'null' }, numbers(ask()))
      end)

      it('take keys and nulls from the names of folders', function()
        for user, n in pairs({ ['1'] = 5, ['2'] = 6, ['__HIVE_DEFAULT_PARTITION__'] = 7 }) do
          put(('data/user=%s/a.%s'):format(user, format), { 'n', 'at' },
            { { n = n, at = '2021-01-01T00:00:00Z' } })
        end
        declare({ path = 'data/**/*.' .. format })
        assert.same({ '5', '6', 'null' }, numbers(ask()))
      end)

      it('undo what hides a character in the name of a folder', function()
        put('data/at=2021-01-01T10%3A00%3A00Z/a.' .. format, COLUMNS, { { user = 1, n = 8 } })
        declare({ path = 'data/*/*.' .. format })
        assert.same({ '8', 'null', 'null' }, numbers(ask()))
      end)

      it('are refused when their folders differ', function()
        put('data/day=2021-01-01/a.' .. format, COLUMNS, { { user = 1, n = 1 } })
        put('data/night=2021-01-01/a.' .. format, COLUMNS, { { user = 1, n = 1 } })
        declare({ path = 'data/*/*.' .. format, event_time = 'day' })
        assert.matches('night=2021%-01%-01.*not the same partitions', refused())
      end)

      it('are refused when their columns differ', function()
        put('data/a.' .. format, { 'user', 'at', 'n' },
          { { user = 1, at = '2021-01-01T00:00:00Z', n = 1 } })
        put('data/b.' .. format, { 'user', 'at' }, { { user = 1, at = '2021-01-01T00:00:00Z' } })
        declare({ path = 'data/*.' .. format })
        if format == 'csv' or format == 'parquet' then
          assert.matches('b.' .. format, refused(), 1, true)
        else -- a key that a map lacks is null
          assert.same({ 'null', 'null', 'null' }, numbers(ask()))
        end
      end)
    end)
  end

  -- A glob matched nothing, or the files of a folder of the same name inside.
  it('are found where a script names the project by a relative path', function()
    put('data/a.csv', { 'user', 'at', 'n' }, { { user = 1, at = '2021-01-01', n = 5 } })
    declare({ path = 'data/*.csv' })
    handle:close()
    handle = tidemark.open(uv.cwd():gsub('[^/]+', '..'):sub(2) .. space.folder)
    assert.same({ '5', 'null', 'null' }, numbers(ask()))
  end)

  it('are refused when a folder mixes formats', function()
    put('data/a.csv', { 'user', 'at', 'n' }, { { user = 1, at = 1, n = 1 } })
    put('data/b.msgpack', { 'user', 'at', 'n' }, { { user = 1, at = 1, n = 1 } })
    declare({ path = { 'data/a.csv', 'data/b.msgpack' }, time_unit = 's' })
    assert.matches('different formats', refused(), 1, true)
    declare({ path = 'data', time_unit = 's' })
    assert.matches('several formats', refused(), 1, true)
    space:delete('data')
    space:write('data/notes.txt', 'none')
    assert.matches('no files of rows', refused(), 1, true)
  end)

  it('keep integers exact where Parquet files differ in the width of a column', function()
    local COLUMNS = { 'user', 'at', 'n' }
    put('data/a.parquet', COLUMNS, { { user = 1, at = 5, n = 9007199254740993LL } })
    put('data/b.parquet', COLUMNS, { { user = 2, at = 5, n = 0.5 }, { user = 3, at = 5, n = 2 } })
    declare({ path = 'data/*.parquet', time_unit = 's' })
    assert.matches('not the same in all files', refused(), 1, true)
    put('data/b.parquet', COLUMNS, { { user = 2, at = 5, n = 7 }, { user = 3, at = 5, n = 2 } })
    assert.same({ '9007199254740993', '7', '2' }, numbers(ask()))
  end)

  it('run SQL once, whatever order it gives its rows in', function()
    -- A join that reads the query twice would find other rows in the same places.
    declare({
      sql = 'SELECT i % 3 + 1 AS "user", TIMESTAMP \'2021-01-01\' + INTERVAL (i) SECOND AS at, '
        .. 'i AS n FROM range(30000) t(i) ORDER BY random()',
      path = false,
    })
    for _ = 1, 3 do
      assert.same({ '29997', '29998', '29999' }, numbers(ask()))
    end
  end)

  -- Bad rows --------------------------------------------------------------------------------------

  local BAD = {
    { user = '1', at = '2021-01-01', n = '1' },
    { user = '1', at = '2021-01-02', n = 'many' },
    { user = '2', at = 'never', n = '2.5' },
    { user = 'x', at = '2021-01-01', n = '3' },
    { user = '3', at = '2021-01-01', n = '4' },
    { user = '3', at = nil, n = '5' },
    { user = '2', at = '2021-01-01', n = '6' },
  }

  for _, format in ipairs(FORMATS) do
    it('leave bad rows of ' .. format .. ' out where that is asked for', function()
      put('data/bad.' .. format, { 'user', 'at', 'n' }, BAD)
      declare({ path = 'data/bad.' .. format })
      assert.matches('data/bad.' .. format .. ':row', refused(), 1, true)

      local rows, result = ask({ on_bad_row = 'reject', rejects = space:path('bad.jsonl') })
      assert.same({ '1', '6', '4' }, numbers(rows))
      assert.equal(3, result.views[1].rejected)
      local lines = {}
      for line in space:read('bad.jsonl'):gmatch('[^\n]+') do
        local row, column = line:match('"row":(%d+),"column":"(%w+)"')
        assert.matches('"file":"data/bad.' .. format .. '"', line, 1, true)
        assert.matches('"source":"stats"', line, 1, true)
        lines[#lines + 1] = row .. ' ' .. column
      end
      table.sort(lines)
      assert.same({ '2 n', '3 at', '3 n', '4 user' }, lines)
    end)
  end

  it('tell of bad rows in the order of the files, on any number of threads', function()
    for file = 1, 6 do
      local rows = {}
      for i = 1, 3000 do
        local n = i % 500 == file and 1e300 or i
        rows[i] = { user = i % 3 + 1, at = '2021-01-01T00:00:00Z', n = n }
      end
      put(('data/%d.parquet'):format(file), { 'user', 'at', 'n' }, rows)
    end
    declare({ path = 'data/*.parquet' }, { "float32 'n'" })
    local first
    ask({ on_bad_row = 'reject' })
    for _, threads in ipairs({ '1', '4', '4', '4' }) do
      cli.must({ '-C', space.folder, 'get-historical-features', '--spine', 'spine.csv', '-o',
        'out.csv', '-f', 'stats:*', '--on-bad-row', 'reject', '--rejects', 'bad.jsonl', '--threads',
        threads })
      assert.same({ '3000.0', '2998.0', '2999.0' }, numbers(csv.parse(space:read('out.csv'))))
      first = first or space:read('bad.jsonl')
      assert.equal(first, space:read('bad.jsonl'))
    end
    local expected = {}
    for file = 1, 6 do
      for i = 0, 5 do
        expected[#expected + 1] = ('%d %d'):format(file, i * 500 + file)
      end
    end
    local told = {}
    for file, row in first:gmatch('"file":"data/(%d).parquet","row":(%d+),"column":"n"') do
      told[#told + 1] = file .. ' ' .. row
    end
    assert.same(expected, told)
  end)

  it('leave bad rows out of materialize too', function()
    put('data/bad.csv', { 'user', 'at', 'n' }, BAD)
    declare({ path = 'data/bad.csv' })
    assert.is_false((pcall(handle.materialize, handle, { '2021-01-01', '2022-01-01' })))
    local view = handle:materialize({ '2021-01-01', '2022-01-01', on_bad_row = 'reject' }).views[1]
    assert.same({ 7, 4, 3 }, { view.read, view.rejected, view.written })
    local online = handle:get_online_features({ features = { 'stats:n' },
      entities = { user = { 1, 2, 3 } } })
    assert.same({ { 1 }, { 6 }, { 4 } }, online.rows)
  end)

  it('refuse a file for rejects that nothing will be written to', function()
    declare({ path = 'data/bad.csv' })
    assert.matches('on_bad_row', refused({ rejects = space:path('bad.jsonl') }), 1, true)
  end)

  it('take 1,000 bad rows and more as they come', function()
    local rows, expected = {}, 0
    for i = 1, 9000 do
      local good = i % 3 == 0
      expected = expected + (good and 0 or 1)
      rows[i] = { user = 1, at = '2021-01-01', n = good and tostring(i) or 'x' .. i }
    end
    put('data/bad.csv', { 'user', 'at', 'n' }, rows)
    declare({ path = 'data/bad.csv' })
    local answer, result = ask({ on_bad_row = 'reject' })
    assert.equal(expected, result.views[1].rejected)
    assert.equal('9000', numbers(answer)[1])
  end)
end)
