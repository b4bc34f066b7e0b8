local ffi = require 'ffi'
local uv = require 'luv'
local C = require 'spec.support.ffi'
local random = require 'spec.support.random'
local source = require 'spec.support.source'

local NULL = source.NULL
local MISSING = source.missing()
local FORMATS = { 'parquet', 'csv', 'json', 'jsonl', 'msgpack' }

-- Values as text, so that NaN and 64-bit integers compare.
local function shown(values)
  local texts = {}
  for i, value in ipairs(values) do
    if value == NULL then
      texts[i] = 'null'
    elseif type(value) == 'table' then
      texts[i] = '[' .. table.concat(shown(value), ' ') .. ']'
    elseif type(value) == 'number' then
      texts[i] = ('%.17g'):format(value):gsub('^-?nan$', 'nan')
    elseif type(value) == 'string' then
      texts[i] = '"' .. value .. '"'
    else
      texts[i] = tostring(value):gsub('LL$', '')
    end
  end
  return texts
end

describe('source', function()
  local files

  before_each(function()
    if not MISSING then
      files = source.open({ threads = 2 })
    end
  end)

  after_each(function()
    if not MISSING then
      files:close()
    end
  end)

  -- Every spec below needs DuckDB.
  local function spec(name, body)
    it(name, function()
      if MISSING then
        pending(MISSING)
        return
      end
      body()
    end)
  end

  local function read_one(from, column, kind, options)
    local wanted = { column, kind, unit = options and options.unit,
      what = options and options.what or 'feature "x"' }
    local values, message = files:read(from, { wanted })
    return values and shown(values[1]), message
  end

  local function left_behind()
    local names = {}
    local scan = uv.fs_scandir(files.folder)
    for name in function() return uv.fs_scandir_next(scan) end do
      names[#names + 1] = name
    end
    table.sort(names)
    return names
  end

  describe('values', function()
    local huge = ffi.new('int64_t', 0x7fffffffffffffffLL)
    local nan, inf = 0 / 0, math.huge
    local COLUMNS = {
      { 'flag', 'bool', { true, false, NULL, true, false, NULL } },
      { 'small', 'int32', { 0, -2147483648, 2147483647, NULL, 1, -1 } },
      { 'big', 'int64', { 0, huge, -huge - 1, NULL, 9007199254740993LL, -1 } },
      { 'narrow', 'float32', { 0.5, nan, inf, -inf, NULL, 16777216 } },
      { 'wide', 'float64', { 0.1, nan, inf, -inf, NULL, 5e-324 } },
      { 'text', 'string', { '', 'a,b', 'a "quote"\r\nline', NULL, 'zürich \1', '007' } },
      { 'raw', 'bytes', { '', '\0\255', 'plain', NULL, '\\x41', 'a\nb' } },
      { 'time', 'timestamp', { 0, -1, 1618210800000000LL, NULL, 253402300799999999LL,
        -62135596800000000LL } },
      { 'numbers', 'list(int64)', { {}, { 1, NULL, huge }, NULL, { -5 }, { 0 }, {} } },
      { 'words', 'list(string)', { { '' }, { 'a', 'b"c' }, NULL, {}, { NULL }, { '[' } } },
      { 'vector', 'vector(2)', { { 1, 2 }, NULL, { 0.5, -0.25 }, { 3, 4 }, { 5, 6 }, NULL } },
    }

    local wanted, expected = {}, {}
    for i, column in ipairs(COLUMNS) do
      wanted[i], expected[i] = { column[1], column[2] }, shown(column[3])
    end

    local function check(name)
      local values, message = files:read({ path = name }, wanted)
      assert(values, message)
      for i in ipairs(COLUMNS) do
        assert.same(expected[i], shown(values[i]))
      end
    end

    for _, format in ipairs(FORMATS) do
      spec('of every type survive .' .. format, function()
        assert.equal(6, files:write('out.' .. format, COLUMNS, { batch = 4 }))
        check('out.' .. format)
      end)

      for _, second in ipairs(FORMATS) do
        -- Through two files. Vectors and bytes have no type of their own in text.
        spec(('pass from .%s to .%s untouched'):format(format, second), function()
          assert.equal(6, files:write('first.' .. format, COLUMNS))
          local more = { { 'more', 'int64', { 1, 2, 3, 4, 5, 6 } } }
          assert.equal(6, files:write('second.' .. second, more,
            { left = { path = 'first.' .. format } }))
          check('second.' .. second)
          assert.same({ '1', '2', '3', '4', '5', '6' },
            read_one({ path = 'second.' .. second }, 'more', 'int64'))
        end)
      end
    end
  end)

  describe('coercion', function()
    local function sql(expression)
      return { sql = 'select ' .. expression .. ' as c' }
    end

    spec('takes integers of every width when the value fits', function()
      for _, type in ipairs { 'tinyint', 'smallint', 'integer', 'bigint', 'hugeint', 'utinyint',
        'usmallint', 'uinteger', 'ubigint', 'decimal(10,2)', 'double', 'float' } do
        assert.same({ '100' }, read_one(sql('100::' .. type), 'c', 'int64'))
        assert.same({ '100' }, read_one(sql('100::' .. type), 'c', 'int32'))
        assert.same({ '100' }, read_one(sql('100::' .. type), 'c', 'float64'))
      end
    end)

    spec('names file, row, column and value of what does not fit', function()
      local cases = {
        { '3000000000', 'int32', 'expected int32, got 3000000000' },
        { '18446744073709551615::ubigint', 'int64', 'expected int64, got 18446744073709551615' },
        { '5.5::double', 'int64', 'expected int64, got 5.5' },
        { "'nan'::double", 'int64', 'expected int64, got nan' },
        { '1e19::double', 'int64', 'expected int64, got 1e19' },
        { '9007199254740993', 'float64', 'expected float64, got 9007199254740993' },
        { '1e300::double', 'float32', 'expected float32, got 1e300' },
        { "'x'", 'float64', 'expected float64, got "x"' },
        { "' 1'", 'int64', 'expected int64, got " 1"' },
        { '2', 'bool', 'expected bool, got 2' },
        { "'infinity'::timestamp", 'timestamp',
          'expected timestamp, got a time outside what 64-bit microseconds hold' },
        { "'1620000000'", 'timestamp', 'expected timestamp, got "1620000000": integers need a '
          .. "time unit, 's', 'ms', 'us' or 'ns'" },
        { '[1,2,3]::float[]', 'vector(2)', 'expected 2 elements, got 3' },
        { '[1,null]::float[]', 'vector(2)', 'element 2 of a vector is null' },
      }
      for _, case in ipairs(cases) do
        local _, message = read_one(sql(case[1]), 'c', case[2])
        assert.equal('sql:row 1:column c: feature "x": ' .. case[3], message)
      end
    end)

    spec('refuses types that cannot hold such values before it reads', function()
      local _, message = read_one(sql('5::bigint'), 'c', 'string')
      assert.equal('sql:column c: feature "x": BIGINT cannot be read as string', message)
      _, message = read_one(sql("'01:02:03'::time"), 'c', 'timestamp')
      assert.equal('sql:column c: feature "x": TIME cannot be read as timestamp', message)
      _, message = read_one(sql('5'), 'c', 'timestamp')
      assert.equal('sql:column c: feature "x": holds integers: say which time unit they count, '
        .. "'s', 'ms', 'us' or 'ns'", message)
    end)

    spec('turns times of every unit and zone into microseconds, floored', function()
      local text = "'2021-04-12 07:00:00.5'::"
      for _, type in ipairs { 'timestamp', 'timestamp_ms', 'timestamp_ns', 'timestamptz' } do
        assert.same({ '1618210800500000' }, read_one(sql(text .. type), 'c', 'timestamp'))
      end
      assert.same({ '-1' }, read_one(sql("make_timestamp_ns(-1)"), 'c', 'timestamp'))
      assert.same({ '1618185600000000' }, read_one(sql("'2021-04-12'::date"), 'c', 'timestamp'))
      assert.same({ '1618210800000000' },
        read_one(sql("'2021-04-12T09:00:00+02:00'"), 'c', 'timestamp'))
      assert.same({ '-1' }, read_one(sql('-1'), 'c', 'timestamp', { unit = 'ns' }))
      assert.same({ '5000' }, read_one(sql("'5'"), 'c', 'timestamp', { unit = 'ms' }))
    end)

    spec('keeps sums of integers exact', function()
      assert.same({ '9007199254740993' }, read_one(
        { sql = 'select sum(i) as c from (values (9007199254740992), (1)) t(i)' }, 'c', 'int64'))
    end)
  end)

  describe('csv', function()
    local function csv(text)
      files:put('in.csv', text)
      return { path = 'in.csv' }
    end

    spec('tells null, "" and text apart, with either line end and a byte order mark', function()
      local from = csv('\239\187\191a,"b ""x"""\r\n,""\n"x\r\ny, ""z""",1\n\n2,3')
      assert.same({ 'null', '"x\r\ny, "z""', '"2"' }, read_one(from, 'a', 'string'))
      assert.same({ '""', '"1"', '"3"' }, read_one(from, 'b "x"', 'string'))
    end)

    -- The first of them was the header.
    spec('may have empty lines before its header', function()
      assert.same({ '1' }, read_one(csv('\n\r\na,b\n1,2\n'), 'a', 'int64'))
    end)

    spec('takes an empty line of a single column as a null', function()
      assert.same({ '1', 'null', '2' }, read_one(csv('a\n1\n\n2\n'), 'a', 'int64'))
    end)

    spec('names the row that breaks the rules', function()
      local cases = {
        { 'a,b\n1,2\n3\n', 'in.csv:row 2: expected 2 fields like the header, got 1' },
        { 'a,b\n1,2,3\n', 'in.csv:row 1: expected 2 fields like the header, got 3' },
        { 'a,b\n1,x"y\n', 'in.csv:row 1: there is a quote inside an unquoted field' },
        { 'a,b\n1,"x"y\n', 'in.csv:row 1: there is text behind a closing quote' },
        { 'a,b\n1,2\n3,"x\n', 'in.csv:row 2: a quoted field is not closed' },
        { 'a,b\n1,\255\n', 'in.csv:row 1: the row is not UTF-8' },
        { 'a,a\n', 'in.csv:header: the column "a" is there twice' },
        { '', 'in.csv: the file is empty: it needs a header' },
        { '\n\n', 'in.csv: the file is empty: it needs a header' },
        { 'a,b\r1,2\r1,3\r', 'in.csv:header: its lines end with CR alone: end them with LF or '
          .. 'CRLF' },
        { 'a,b\n"1\n2",2\nx,3\n',
          'in.csv:row 1:column a: feature "x": expected int64, got "1\n2"' },
      }
      for _, case in ipairs(cases) do
        local _, message = read_one(csv(case[1]), 'a', 'int64')
        assert.equal(case[2], message)
      end
    end)

    spec('reads rows that are longer than its buffer', function()
      local long = ('x"'):rep(1500000)
      local from = csv('a,b\n1,"' .. long:gsub('"', '""') .. '"\n2,y\n')
      local values = assert(files:read(from, { { 'a', 'int64' }, { 'b', 'string' } }))
      assert.same({ '1', '2' }, shown(values[1]))
      assert.is_true(values[2][1] == long and values[2][2] == 'y')
    end)

    spec('reads bool and float words in any case', function()
      assert.same({ 'true', 'false', 'true', 'false' },
        read_one(csv('a\nTRUE\nFalse\n1\n0\n'), 'a', 'bool'))
      assert.same({ 'nan', 'inf', '-inf', '1000', '0.5' },
        read_one(csv('a\nNaN\nINF\n-inf\n1e3\n.5\n'), 'a', 'float64'))
      assert.same({ '5' }, read_one(csv('a\n5.0\n'), 'a', 'int64'))
    end)

    spec('becomes the narrowest types that hold every value with its digits', function()
      files:put('in.csv', table.concat({
        'int,float,bool,time,padded,mixed,nothing,empty,offset,wide',
        '1,1.50,true,2021-04-12 07:00:00+00:00,007,1,,"",2021-04-12 07:00+02:00,'
          .. '1.00000000000000001',
        '-5,nan,false,2021-04-12T07:00:00.5Z,1,x,,1,2021-04-12 07:00+02:00,2',
        ',3,,,,,,2,,\n' }, '\n'))
      assert.equal(3, files:write('out.parquet', {}, { left = { path = 'in.csv' } }))
      assert.same({
        { 'int', 'BIGINT', 'int64' }, { 'float', 'DOUBLE', 'float64' },
        { 'bool', 'BOOLEAN', 'bool' }, { 'time', 'TIMESTAMP WITH TIME ZONE', 'timestamp' },
        { 'padded', 'VARCHAR', 'string' }, { 'mixed', 'VARCHAR', 'string' },
        { 'nothing', 'VARCHAR', 'string' }, { 'empty', 'VARCHAR', 'string' },
        { 'offset', 'VARCHAR', 'string' }, { 'wide', 'VARCHAR', 'string' },
      }, files:describe({ path = 'out.parquet' }))
    end)

    spec('passes through as the text it is, and only the time column gets a normal form', function()
      files:put('in.csv', 't,u,n\n2021-04-12 09:00:00+02:00,2021-04-12 09:00,007\n,"","a,b"\n')
      assert.equal(2, files:write('out.csv', { { 'x', 'float64', { 0.1, NULL } } },
        { left = { path = 'in.csv' }, time_column = 't' }))
      assert.equal('t,u,n,x\n2021-04-12T07:00:00Z,2021-04-12 09:00,007,0.1\n,"","a,b",\n',
        files:text('out.csv'))
    end)
  end)

  describe('json', function()
    spec('keeps large integers, strings, nulls and words for special floats', function()
      files:put('in.json',
        '[{"a": 9007199254740993, "s": "1", "f": NaN},\n {"s": null, "f": -Infinity}]')
      assert.same({ '9007199254740993', 'null' }, read_one({ path = 'in.json' }, 'a', 'int64'))
      assert.same({ '"1"', 'null' }, read_one({ path = 'in.json' }, 's', 'string'))
      assert.same({ 'nan', '-inf' }, read_one({ path = 'in.json' }, 'f', 'float64'))
      local _, message = read_one({ path = 'in.json' }, 'a', 'string')
      assert.equal('in.json:row 1:column a: feature "x": expected string, got 9007199254740993',
        message)
    end)

    spec('passes values into JSON as they stand', function()
      local line = '{"a":[1,{"b":null}],"t":"2021-04-12","n":12345678901234567890}\n'
      files:put('in.jsonl', line)
      assert.equal(1, files:write('out.jsonl', {}, { left = { path = 'in.jsonl' } }))
      assert.equal(line, files:text('out.jsonl'))
    end)

    -- Scalars were a table of their own, null was a row of nulls, 20,000 levels ended the process.
    spec('names the row that is no object, or breaks the rules', function()
      local object = 'expected an object from column names to values'
      local cases = {
        { '[{"a": 1}, 7]', 2, object },
        { '[{"a": 1},\n null]', 2, object },
        { '{"a": 1}\n[{"a": 2}]', 2, object },
        { '{"a": 1}, {"a": 2}', 2, object },
        { '[{"a": 1},]', 2, object },
        { '[, {"a": 1}]', 1, object },
        { '"text"', 1, object },
        { "[{'a': 1}]", 1, 'expected a name in double quotes' },
        { '[{"a": 1} {"a": 2}]', 2, 'expected a comma before the row, or the end of the list' },
        { '[{"a": "]}"}] {"a": 2}', 2, 'there is something behind the list of rows' },
        { '[{"a": 1}', 2, 'the list of rows is not closed' },
        { '[{"a": 1}, {"a"', 2, 'the file ends in the middle of a value' },
        { '{"a": 1,}', 1, 'expected a name in double quotes' },
        { '{"a" 1}', 1, 'expected a colon behind a name' },
        { '{"a": 1 "b": 2}', 1, 'expected a comma or } behind a value' },
        { '{"b": [1 2]}', 1, 'expected a comma or ] behind a value' },
        { '{"b": [1,]}', 1, 'expected a value' },
        { '{"b": }', 1, 'expected a value' },
        { '{"b": +1}', 1, 'expected a value' },
        { '{"b": nul}', 1, 'expected a value' },
        { '{"b": 01}', 1, 'a number begins with zero' },
        { '{"b": 1.}', 1, 'a number lacks digits' },
        { '{"b": -}', 1, 'a number lacks digits' },
        { '{"b": 1e}', 1, 'a number lacks digits' },
        { '{"b": "\\x"}', 1, 'a string has an unknown escape' },
        { '{"b": "\\u12g4"}', 1, 'a string has an unknown escape' },
        { '{"b": "\t"}', 1, 'a string has a control character: write it as \\u00XX' },
        { '{"b": "\255"}', 1, 'the row is not UTF-8' },
        { '{"a": 1, "\\u0061": 2}', 1, 'the name "a" is there twice' },
        { '{"a\\u0000": 1}', 1, 'the name of a column is no text' },
        { '[{"a": ' .. ('{"a":'):rep(20000) .. '1' .. ('}'):rep(20000) .. '}]', 1,
          'the values are nested too deeply' },
      }
      for _, case in ipairs(cases) do
        files:put('in.json', case[1])
        local _, message = read_one({ path = 'in.json' }, 'a', 'int64')
        assert.equal(('in.json:row %d: %s'):format(case[2], case[3]), message)
      end
      files:put('in.jsonl', '[{"a": 1}]\n')
      local _, message = read_one({ path = 'in.jsonl' }, 'a', 'int64')
      assert.equal('in.jsonl:row 1: ' .. object, message)
    end)

    spec('may begin with a byte order mark, and be parted by any space', function()
      for _, text in ipairs { '\239\187\191 [{"a":1},{"a":2}]\n', '{"a":1}{"a":2}',
        '[\n{"a"\t:\r\n1 }\n,{ "a":2}]', '{"a":1}\n\n\n{"b":{"a":"}"},"a":2}' } do
        files:put('in.json', text)
        assert.same({ '1', '2' }, read_one({ path = 'in.json' }, 'a', 'int64'))
      end
    end)

    spec('reads rows that are longer than its buffer', function()
      local long = ('x\\"'):rep(1500000)
      files:put('in.json', '[{"a":1,"s":"' .. long .. '"},{"a":2,"s":"y"}]')
      local wanted = { { 'a', 'int64' }, { 's', 'string' } }
      local values = assert(files:read({ path = 'in.json' }, wanted))
      assert.same({ '1', '2' }, shown(values[1]))
      assert.is_true(values[2][1] == long:gsub('\\', '') and values[2][2] == 'y')
    end)

    -- Of two names that differ in case the second was renamed, and its values were lost.
    spec('tells names apart by every letter, and takes one that is empty', function()
      local line = '{"A":1,"a":2,"":3,"\\u00e9":4}\n'
      files:put('in.jsonl', line)
      for name, value in pairs { A = '1', a = '2', [''] = '3', ['é'] = '4' } do
        assert.same({ value }, read_one({ path = 'in.jsonl' }, name, 'int64'))
      end
      assert.equal(1, files:write('out.jsonl', {}, { left = { path = 'in.jsonl' } }))
      assert.equal((line:gsub('\\u00e9', 'é')), files:text('out.jsonl'))
    end)

    -- Numbers lost digits, became infinite, or were written in another way.
    spec('passes on with every digit', function()
      local line = '{"a":1.10,"b":1E5,"c":123456789012345678901,"d":1e400,"e":-0,'
        .. '"f":0.1234567890123456789}\n'
      files:put('in.jsonl', line)
      assert.equal(1, files:write('out.jsonl', {}, { left = { path = 'in.jsonl' } }))
      assert.equal(line, files:text('out.jsonl'))
      files:write('out.csv', {}, { left = { path = 'in.jsonl' } })
      assert.equal('a,b,c,d,e,f\n1.10,1E5,123456789012345678901,1e400,-0,0.1234567890123456789\n',
        files:text('out.csv'))
      for _, format in ipairs { 'parquet', 'msgpack' } do
        files:write('typed.' .. format, {}, { left = { path = 'in.jsonl' } })
        files:write('out.csv', {}, { left = { path = 'typed.' .. format } })
        assert.equal('a,b,c,d,e,f\n1.1,100000.0,123456789012345678901,1e400,-0.0,'
          .. '0.1234567890123456789\n', files:text('out.csv'))
      end
    end)

    spec('passes on what has no type of ours as JSON', function()
      files:put('in.json', '[{"o": {"x":\n1.10}, "m": 1, "l": [1, "x"]},\n'
        .. '{"o": null, "m": "1", "l": []}]')
      local expected = {
        jsonl = '{"o":{"x": 1.10},"m":1,"l":[1, "x"]}\n{"o":null,"m":"1","l":[]}\n',
        csv = 'o,m,l\n"{""x"": 1.10}",1,"[1, ""x""]"\n,1,[]\n',
      }
      for format, text in pairs(expected) do
        files:write('out.' .. format, {}, { left = { path = 'in.json' } })
        assert.equal(text, files:text('out.' .. format))
      end
      for _, format in ipairs { 'parquet', 'msgpack' } do
        files:write('typed.' .. format, {}, { left = { path = 'in.json' } })
        files:write('out.csv', {}, { left = { path = 'typed.' .. format } })
        assert.equal('o,m,l\n"{""x"": 1.10}",1,"[1, ""x""]"\n,"""1""",[]\n',
          files:text('out.csv'))
      end
    end)

    spec('has the types that hold every value', function()
      files:put('in.jsonl', '{"i":1,"f":1,"t":"2021-04-12","s":"x","b":true,"l":[1,null]}\n'
        .. '{"i":-5,"f":0.5,"t":"2021-04-12T07:00:00Z","s":"2021-04-12","l":[2.5],"o":{},"m":1}\n'
        .. '{"i":null,"f":NaN,"m":"x","n":null}\n')
      local found = {}
      for i, column in ipairs(files:describe({ path = 'in.jsonl' })) do
        found[i] = column[1] .. ' ' .. column[2]
      end
      assert.same({ 'i int64', 'f float64', 't timestamp', 's string', 'b bool', 'l list(float64)',
        'o object', 'm mixed', 'n string' }, found)
    end)

    -- They had no column at all.
    spec('has every column where it has no rows, as msgpack does', function()
      local empty = { ['a.json'] = '[]', ['b.json'] = ' \n', ['a.jsonl'] = '',
        ['a.msgpack'] = '', ['b.msgpack'] = '\x90' }
      for name, text in pairs(empty) do
        files:put(name, text)
        assert.same({}, read_one({ path = name }, 'a', 'list(int64)'), name)
        assert.same({}, files:describe({ path = name }), name)
      end
      files:put('a.json', '[{}]')
      local _, message = read_one({ path = 'a.json' }, 'a', 'int64')
      assert.equal('a.json: feature "x": there is no column "a"', message)
    end)

    spec('names the file of broken text', function()
      files:put('in.jsonl', '{"a": 1}\n{"a": \n')
      local values, message = read_one({ path = 'in.jsonl' }, 'a', 'int64')
      assert.is_nil(values)
      assert.equal('in.jsonl:row 2: the file ends in the middle of a value', message)
    end)
  end)

  describe('msgpack', function()
    spec('is a stream of maps or an array of them', function()
      local maps = '\x82\xa1a\x01\xa1b\xc3' .. '\x81\xa1a\xcb\x40\x14\0\0\0\0\0\0'
      files:put('stream.msgpack', maps)
      files:put('array.msgpack', '\x92' .. maps)
      for _, name in ipairs { 'stream.msgpack', 'array.msgpack' } do
        assert.same({ '1', '5' }, read_one({ path = name }, 'a', 'int64'))
        assert.same({ 'true', 'null' }, read_one({ path = name }, 'b', 'bool'))
        assert.same({ { 'a', 'float64', 'float64' }, { 'b', 'bool', 'bool' } },
          files:describe({ path = name }))
      end
    end)

    spec('names the row that is not a map or ends early', function()
      local cases = {
        { '\x81\xa1a\x01\x05', 'in.msgpack:row 2: expected a map from column names to values' },
        { '\x81\xa1a\x01\x81\xa1', 'in.msgpack:row 2: the file ends in the middle of a value' },
        { '\x92\x81\xa1a\x01', 'in.msgpack:row 2: the file ends in the middle of a value' },
        { '\x81\xa1a\xa1x', 'in.msgpack:row 1:column a: feature "x": expected int64, got "x"' },
        { '\x82\xa1a\x01\x02\x03', 'in.msgpack:row 1: the name of a column is no text' },
        { '\x82\xa1a\x01\xa1a\x02', 'in.msgpack:row 1: the name "a" is there twice' },
      }
      for _, case in ipairs(cases) do
        files:put('in.msgpack', case[1])
        local _, message = read_one({ path = 'in.msgpack' }, 'a', 'int64')
        assert.equal(case[2], message)
      end
    end)
  end)

  -- Such text went on into files that nobody could read.
  spec('text that is not UTF-8 is no text', function()
    files:put('in.msgpack', '\x81\xa1a\xa1\xff')
    local _, message = read_one({ path = 'in.msgpack' }, 'a', 'string')
    assert.equal('in.msgpack:row 1:column a: feature "x": expected string, got 1 bytes', message)
    assert.same({ '"\255"' }, read_one({ path = 'in.msgpack' }, 'a', 'bytes'))
    _, message = files:write('out.csv', {}, { left = { path = 'in.msgpack' } })
    assert.equal('in.msgpack:row 1:column a: column "a": expected string, got 1 bytes', message)
    files:put('in.msgpack', '\x81\xa1a\x80')
    _, message = files:write('out.csv', {}, { left = { path = 'in.msgpack' } })
    assert.equal('in.msgpack: column "a" holds values of several types, or maps', message)
  end)

  -- The second of two columns that wanted a msgpack key was null; in JSON the two were an error.
  for _, format in ipairs(FORMATS) do
    spec('give a column of a .' .. format .. ' file to all that want it', function()
      files:put('in.jsonl', '{"a": 1}\n{"a": null}\n{"a": 2}\n')
      local name = 'twice.' .. format
      assert(files:write(name, {}, { left = { path = 'in.jsonl' } }))
      local columns = assert(files:read({ path = name }, {
        { 'a', 'int64', what = 'feature "x"' }, { 'a', 'float64', what = 'feature "y"' },
      }))
      assert.same({ '1', 'null', '2' }, shown(columns[1]))
      assert.same({ '1', 'null', '2' }, shown(columns[2]))
    end)
  end

  describe('order', function()
    local COUNT = 1100000

    local function check_ids(from)
      local next_id = 0
      files:scan(from, { { 'id', 'int64' } }, function(batch)
        local ids = ffi.cast('const int64_t *', batch.columns[0].data)
        for row = 0, tonumber(batch.count) - 1 do
          if ids[row] ~= next_id then
            error(('row %d holds %s'):format(next_id, tostring(ids[row])))
          end
          next_id = next_id + 1
        end
      end)
      assert.equal(COUNT, next_id)
    end

    for _, format in ipairs { 'parquet', 'csv', 'jsonl' } do
      spec('is that of the file: .' .. format, function()
        local query = ('select range as id, repeat(chr(10), (range %% 3)::int) as lines '
          .. 'from range(%d)'):format(COUNT)
        assert.equal(COUNT, files:write('big.' .. format, {}, { left = { sql = query } }))
        check_ids({ path = 'big.' .. format })
      end)
    end

    spec('is that of the query, and the files of a glob come by name', function()
      assert.equal(600000, files:write('part-1.parquet', {},
        { left = { sql = 'select range as id from range(600000)' } }))
      assert.equal(500000, files:write('part-2.parquet', {},
        { left = { sql = 'select range + 600000 as id from range(500000)' } }))
      check_ids({ path = 'part-*.parquet' })
      check_ids({ sql = "select id from 'part-*.parquet' order by id" })
    end)
  end)

  describe('globs', function()
    spec('name the file of a bad row', function()
      files:put('a.csv', 'v\n1\n2\n')
      files:put('b.csv', 'v\n3\nx\n')
      assert.same({ '"1"', '"2"', '"3"', '"x"' }, read_one({ path = '*.csv' }, 'v', 'string'))
      local _, message = read_one({ path = '*.csv' }, 'v', 'int64')
      assert.equal('b.csv:row 2:column v: feature "x": expected int64, got "x"', message)
      for _, name in ipairs { 'a', 'b' } do
        files:write(name .. '.parquet', {}, { left = { sql = "select '" .. name .. "' as v" } })
      end
      _, message = read_one({ path = '?.parquet' }, 'v', 'int64')
      assert.equal('a.parquet:row 1:column v: feature "x": expected int64, got "a"', message)
    end)

    spec('refuse files with other columns', function()
      files:write('a.parquet', {}, { left = { sql = 'select 1 as v' } })
      files:write('b.parquet', {}, { left = { sql = 'select 1 as v, 2 as w' } })
      local _, message = read_one({ path = '*.parquet' }, 'v', 'int64')
      assert.equal('b.parquet: there is a column "w", which a.parquet does not have', message)
      files:put('a.csv', 'v\n1\n')
      files:put('b.csv', 'w\n1\n')
      _, message = read_one({ path = '*.csv' }, 'v', 'int64')
      assert.equal('b.csv:header: the columns are not those of a.csv, in their order', message)
    end)
  end)

  describe('what is missing', function()
    spec('is said plainly', function()
      local function reading(from, column)
        local _, message = read_one(from, column or 'c', 'int64')
        return message
      end
      assert.equal('there is no file "no.parquet"', reading({ path = 'no.parquet' }))
      assert.equal('no file matches "no/*.csv"', reading({ path = 'no/*.csv' }))
      assert.equal('"data.txt" has an unknown extension: use .parquet, .csv, .json, .jsonl or '
        .. '.msgpack', reading({ path = 'data.txt' }))
      assert.equal('syntax error at or near "1"', reading({ sql = 'selec 1' }))
      files:put('in.csv', 'driver_id,conv_rate\n1,2\n')
      assert.equal('in.csv: feature "x": there is no column "conv_rat", did you mean "conv_rate"?',
        reading({ path = 'in.csv' }, 'conv_rat'))
      files:put('in.parquet', 'not parquet at all')
      assert.matches('^in%.parquet: ', reading({ path = 'in.parquet' }))
    end)

    spec('leaves no temporary file of a query behind', function()
      assert.is_nil((read_one({ sql = "select 'x' as c" }, 'c', 'int64')))
      assert.is_nil((read_one({ sql = "select error('no') as c" }, 'c', 'int64')))
      assert.same({}, left_behind())
    end)
  end)

  describe('writing', function()
    local ROWS = { { 'x', 'int64', { 1, 2, 3 } } }

    spec('leaves the old file and nothing else when it fails', function()
      for _, format in ipairs(FORMATS) do
        local name = 'out.' .. format
        files:put(name, 'old')
        local _, message = files:write(name, ROWS, { batch = 1, fail_after = 2 })
        assert.equal('the producer failed', message)
        assert.equal('old', files:text(name))
        assert.same({ name }, left_behind())
        assert(uv.fs_unlink(files.folder .. '/' .. name))
      end
    end)

    spec('refuses a table with more or fewer rows', function()
      for _, format in ipairs(FORMATS) do
        for rows, word in pairs { [2] = 'more', [4] = 'fewer' } do
          for _, left in ipairs { 'left.parquet', 'left.csv' } do
            local query = ('select range as id from range(%d)'):format(rows)
            files:write(left, {}, { left = { sql = query } })
            local _, message = files:write('out.' .. format, ROWS, { left = { path = left } })
            assert.equal(word .. ' rows were produced than the table has', message)
          end
        end
      end
      assert.same({ 'left.csv', 'left.parquet' }, left_behind())
    end)

    spec('says what it cannot write', function()
      files:put('left.csv', 'x\n1\n2\n3\n')
      local function writing(name, options)
        local _, message = files:write(name, ROWS, options)
        return message
      end
      assert.equal('cannot write "out.txt": use the extension .parquet, .csv, .json, .jsonl or '
        .. '.msgpack', writing('out.txt'))
      assert.equal(('cannot write "no/out.csv": there is no folder "%s/no"'):format(files.folder),
        writing('no/out.csv'))
      assert.equal('cannot write "out.csv": two columns are named "x"',
        writing('out.csv', { left = { path = 'left.csv' } }))
      files:put('left.csv', 'X\n1\n2\n3\n')
      assert.equal('cannot write "out.parquet": two columns are named "X" and "x": rename one',
        writing('out.parquet', { left = { path = 'left.csv' } }))
    end)

    spec('keeps the types of Parquet columns', function()
      local types = { 'DECIMAL(18,3)', 'TIMESTAMP_NS', 'DATE', 'UBIGINT', 'TINYINT', 'UUID', 'BLOB',
        'TIME', 'STRUCT(a INTEGER, b VARCHAR[])', 'FLOAT[]', 'TIMESTAMP WITH TIME ZONE' }
      local casts, expected = {}, {}
      for i, type in ipairs(types) do
        casts[i] = ('NULL::%s AS c%d'):format(type, i)
        expected[i] = { 'c' .. i, type }
      end
      files:write('a.parquet', {}, { left = { sql = 'select ' .. table.concat(casts, ', ') } })
      files:write('b.parquet', {}, { left = { path = 'a.parquet' } })
      local found = {}
      for i, column in ipairs(files:describe({ path = 'b.parquet' })) do
        found[i] = { column[1], column[2] }
      end
      assert.same(expected, found)
    end)

    spec('spells types that only files know', function()
      files:write('a.parquet', {}, { left = { sql = [[select 1.50::decimal(5,2) as d,
        18446744073709551615::ubigint as u, '2021-04-12'::date as day,
        {'a': 1, 'b': 'x'} as s, '01:02:03'::time as t,
        make_timestamp_ns(1618210800000000001) as n,
        make_timestamp_ns(1618210800000001000) as m]] } })
      files:write('a.csv', {}, { left = { path = 'a.parquet' } })
      assert.equal('d,u,day,s,t,n,m\n1.50,18446744073709551615,2021-04-12,"{""a"":1,""b"":""x""}",'
        .. '01:02:03,2021-04-12T07:00:00.000000001Z,2021-04-12T07:00:00.000001Z\n',
        files:text('a.csv'))
      files:write('a.jsonl', {}, { left = { path = 'a.parquet' } })
      assert.equal('{"d":1.50,"u":18446744073709551615,"day":"2021-04-12","s":{"a":1,"b":"x"},'
        .. '"t":"01:02:03","n":"2021-04-12T07:00:00.000000001Z",'
        .. '"m":"2021-04-12T07:00:00.000001Z"}\n',
        files:text('a.jsonl'))
    end)
  end)

  describe('numbers as text', function()
    it('are the shortest that read back the same', function()
      local out = ffi.new('char[32]')
      local cases = { [0.1] = '0.1', [5] = '5.0', [1e300] = '1e300', [5e-324] = '5e-324',
        [1e-7] = '1e-7', [123456.789] = '123456.789', [-2.5] = '-2.5',
        [2 ^ 53] = '9007199254740992.0',
        [1 / 3] = '0.3333333333333333' }
      for value, text in pairs(cases) do
        assert.equal(text, ffi.string(out, C.tidemark_source_print_float64(value, out)))
      end
      assert.equal('0.1', ffi.string(out, C.tidemark_source_print_float32(0.1, out)))
      assert.equal('-0.0', ffi.string(out, C.tidemark_source_print_float64(-0.0, out)))
    end)

    it('read back the same for random floats', function()
      local value, out = ffi.new('double[1]'), ffi.new('char[32]')
      random.each(20000, function()
        local number = (math.random() - 0.5) * 2 ^ math.random(-1070, 1020)
        local size = C.tidemark_source_print_float64(number, out)
        assert(C.tidemark_source_parse_float(out, size, value) and value[0] == number)
      end)
    end)
  end)

  describe('the real tables', function()
    local folder = os.getenv('TIDEMARK_DATA')

    spec('read with the declared types', function()
      if not folder then
        pending('TIDEMARK_DATA names no folder')
        return
      end
      local loans = assert(files:read({ path = folder .. '/credit_scoring/loan_table.parquet' }, {
        { 'loan_id', 'int64' }, { 'zipcode', 'int64' }, { 'dob_ssn', 'string' },
        { 'event_timestamp', 'timestamp' } }))
      assert.equal(28638, #loans[1])
      assert.equal(28638, files.total)
      local stats = folder .. '/driver_stats/feast_go_driver_stats'
      local columns = { { 'driver_id', 'int64' }, { 'conv_rate', 'float32' },
        { 'event_timestamp', 'timestamp' } }
      local text = assert(files:read({ path = stats .. '.csv' }, columns))
      local typed = assert(files:read({ path = stats .. '.parquet' }, columns))
      for i in ipairs(columns) do
        assert.same(shown(typed[i]), shown(text[i]))
      end
    end)
  end)
end)
