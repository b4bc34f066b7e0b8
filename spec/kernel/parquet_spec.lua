-- Two readers of Parquet, ours and DuckDB, over random tables: the same values, the same refusals.
-- What ours leaves to DuckDB is the same by nature; what it reads itself has to be.

local random = require 'spec.support.random'
local source = require 'spec.support.source'

local NULL = source.NULL
local MISSING = source.missing()

-- Types of columns, the values in them, and the types they may be asked for as.
local TYPES = {
  { 'int64', { 0LL, 1LL, -1LL, 2147483647LL, 2147483648LL, 0x7fffffffffffffffLL,
    -0x7fffffffffffffffLL - 1, 9007199254740993LL }, { 'int64', 'int32', 'float64', 'string' } },
  { 'int32', { 0, 1, -1, 2147483647, -2147483648 }, { 'int32', 'int64', 'float64', 'float32' } },
  { 'float64', { 0, -0.0, 0.1, 1e300, -1e-300, 0 / 0, 1 / 0, -1 / 0, 16777217 },
    { 'float64', 'float32', 'int64' } },
  { 'float32', { 0, 0.5, -0.25, 0 / 0, 1 / 0 }, { 'float32', 'float64', 'int32' } },
  { 'bool', { true, false }, { 'bool', 'int64' } },
  { 'string', { '', 'a', 'é', '1', ('x'):rep(300), '2021-04-12T10:00:00Z', '\\x41' },
    { 'string', 'bytes', 'int64', 'timestamp' } },
  { 'bytes', { '', 'a', '\0\255', ('y'):rep(100) }, { 'bytes', 'string' } },
  { 'timestamp', { 0LL, 1LL, -1LL, 1617062400000000LL, -62135596800000000LL },
    { 'timestamp', 'int64' } },
  { 'list(int64)', { {}, { 1LL }, { 2LL, 3LL, 4LL } }, { 'list(int64)' } },
  { 'vector(2)', { { 0.5, 1 }, { -1, 0 } }, { 'vector(2)', 'list(float32)' } },
}

local function shown(value)
  if value == NULL then
    return 'null'
  elseif type(value) == 'table' then
    local parts = {}
    for i, element in ipairs(value) do
      parts[i] = shown(element)
    end
    return '[' .. table.concat(parts, ' ') .. ']'
  elseif type(value) == 'number' then
    return value ~= value and 'nan' or ('%.17g'):format(value)
  end
  return tostring(value)
end

local function draw_column(place, rows)
  local kind = random.pick(TYPES)
  local few = random.once_in(2) and random.pick(kind[2]) -- mostly one value: runs
  local nulls = random.pick({ 1000000, 2, 5, 1 })
  local values = {}
  for i = 1, rows do
    local value = few ~= nil and few ~= false and not random.once_in(8) and few
      or random.pick(kind[2])
    values[i] = random.once_in(nulls) and NULL or value
  end
  return { 'c' .. place, kind[1], values, kind = kind }
end

describe('the two readers of Parquet', function()
  local ours, duck

  before_each(function()
    if not MISSING then
      ours = source.open({ threads = 2 })
      duck = source.open({ threads = 2, reads_parquet = true })
    end
  end)

  after_each(function()
    if not MISSING then
      ours:close()
      duck:close()
    end
  end)

  local function read(files, path, wanted)
    local values, message = files:read({ path = path }, wanted)
    if not values then
      return 'error', message
    end
    local columns = {}
    for i, column in ipairs(values) do
      local texts = {}
      for row, value in ipairs(column) do
        texts[row] = shown(value)
      end
      columns[i] = table.concat(texts, ',')
    end
    return table.concat(columns, '\n')
  end

  local function check_file(path, columns)
    for _, column in ipairs(columns) do
      local unit = random.once_in(3) and random.pick({ 's', 'ms', 'us', 'ns' }) or nil
      local kind = unit and column[2] == 'int64' and 'timestamp' or random.pick(column.kind[3])
      local wanted = { { column[1], kind, unit = unit, what = 'column' } }
      local expected, why = read(duck, path, wanted)
      local got, reason = read(ours, path, wanted)
      if expected ~= got or why ~= reason then
        error(('%s as %s: DuckDB says %s %s, we say %s %s'):format(column[2], kind,
          expected:sub(1, 300), why or '', got:sub(1, 300), reason or ''), 0)
      end
    end
  end

  local function put_corpus(name, path)
    local file = assert(io.open('spec/fuzz/corpus/parquet/' .. name .. '.parquet', 'rb'))
    ours:put(path, file:read('*a'))
    file:close()
  end

  it('agree on random tables', function()
    if MISSING then
      pending(MISSING)
      return
    end
    random.each(60, function()
      local rows = random.pick({ 0, 1, 7, 64, 65, 1000, 5000 })
      local columns = {}
      for i = 1, math.random(4) do
        columns[i] = draw_column(i, rows)
      end
      local path = ours.folder .. '/table.parquet'
      assert(ours:write(path, columns, { batch = random.pick({ 10, 100, 2048 }) }))
      check_file(path, columns)
      -- The same with columns added by ours, which are encoded by ours.
      local more = draw_column(99, rows)
      local wider = ours.folder .. '/wider.parquet'
      assert(ours:write(wider, { more }, { left = { path = path }, batch = 777 }))
      columns[#columns + 1] = more
      check_file(wider, columns)
    end)
  end)

  it('agree on dictionaries of one value, whose packed places have no bytes', function()
    if MISSING then
      pending(MISSING)
      return
    end
    put_corpus('one_value', 'one.parquet')
    local wanted = { { 'x', 'int64', what = 'column' }, { 's', 'string', what = 'column' } }
    local path = ours.folder .. '/one.parquet'
    assert.equal('7LL,7LL,7LL\na,a,null', (read(ours, path, wanted)))
    assert.equal((read(duck, path, wanted)), (read(ours, path, wanted)))
  end)

  -- What pandas writes of a column that is all None was a column of integers, no use as text.
  it('take a column without a type for nulls of any type', function()
    if MISSING then
      pending(MISSING)
      return
    end
    put_corpus('odd_types', 'odd.parquet')
    local path = ours.folder .. '/odd.parquet'
    for _, kind in ipairs { 'string', 'int64', 'float32', 'bool', 'bytes', 'timestamp',
      'list(int64)', 'vector(2)' } do
      for _, files in ipairs { ours, duck } do
        local wanted = { { 'n', kind, what = 'x' }, { 'i', 'int64', what = 'y' } }
        assert.equal('null,null,null\n1LL,2LL,3LL', (read(files, path, wanted)), kind)
      end
    end
    -- One file of several may lack the type.
    put_corpus('odd_types', 'more/odd.parquet')
    assert(ours:write('more/text.parquet', { { 'n', 'string', { 'x' } }, { 'd', 'int64', { 4 } },
      { 'i', 'int64', { 4 } } }))
    local wanted = { { 'n', 'string', what = 'x' } }
    assert.equal('null,null,null,x', (read(ours, ours.folder .. '/more/*.parquet', wanted)))
  end)

  -- 1.25 was read as 351843720888320.
  it('refuse decimals of more digits than anybody reads', function()
    if MISSING then
      pending(MISSING)
      return
    end
    put_corpus('odd_types', 'odd.parquet')
    for _, files in ipairs { ours, duck } do
      local _, message = read(files, ours.folder .. '/odd.parquet', { { 'd', 'float64',
        what = 'feature "x"' } })
      assert.matches(':column d: feature "x": WIDE DECIMAL(60,2) cannot be read as float64',
        message, 1, true)
    end
    local left = { left = { path = 'odd.parquet' } }
    local _, message = ours:write('out.csv', {}, left)
    assert.equal('odd.parquet:column d: WIDE DECIMAL(60,2) cannot be written as text', message)
    assert.equal(3, ours:write('out.parquet', { { 'x', 'int64', { 1, 2, 3 } } }, left))
  end)

  -- The first one was read, whichever was meant.
  it('refuse a name that two columns have', function()
    if MISSING then
      pending(MISSING)
      return
    end
    put_corpus('twice', 'twice.parquet')
    for _, files in ipairs { ours, duck } do
      local _, message = read(files, ours.folder .. '/twice.parquet', { { 'a', 'int64' } })
      assert.matches('twice.parquet: the column "a" is there twice', message, 1, true)
    end
    assert.equal('2LL', (read(ours, ours.folder .. '/twice.parquet', { { 'b', 'int64' } })))
  end)

  -- Where DuckDB reads the file it took one of them for the other.
  it('tell names apart that differ only in case', function()
    if MISSING then
      pending(MISSING)
      return
    end
    put_corpus('letter_case', 'case.parquet')
    local wanted = { { 'a', 'int64' }, { 'l', 'list(int64)' }, { 'A', 'int64' } }
    for _, files in ipairs { ours, duck } do
      local path = ours.folder .. '/case.parquet'
      assert.equal('3LL,4LL\n[5LL],[6LL]\n1LL,2LL', (read(files, path, wanted)))
      assert.equal('1LL,2LL', (read(files, path, { wanted[3] })))
    end
    put_corpus('letter_case', 'cases/1.parquet')
    put_corpus('letter_case', 'cases/2.parquet')
    local _, message = read(ours, ours.folder .. '/cases/*.parquet', wanted)
    assert.matches('1.parquet: the columns "A" and "a" differ only in case', message, 1, true)
    ours:write('out.csv', {}, { left = { path = 'case.parquet' } })
    assert.equal('A,a,l\n1,3,[5]\n2,4,[6]\n', ours:text('out.csv'))
    assert.equal(2, ours:write('out.parquet', { { 'x', 'int64', { 7, 8 } } },
      { left = { path = 'case.parquet' } }))
    assert.equal('3LL,4LL', (read(ours, ours.folder .. '/out.parquet', { wanted[1] })))
  end)
end)
