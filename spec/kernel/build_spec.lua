local ffi = require 'ffi'
local data = require 'spec.support.data'
local random = require 'spec.support.random'
local C = require 'spec.support.ffi'

local NULL_ROW = 0xffffffff

local function builder(name)
  return ffi.gc(C.tidemark_builder_new(data.type(name)), C.tidemark_builder_free)
end

local function column_of(built)
  local column = ffi.new('Column')
  C.tidemark_builder_column(built, column)
  return column
end

local function read(name, built)
  return data.values(name, column_of(built), tonumber(C.tidemark_builder_count(built)))
end

-- NaN equals NaN here: values are compared as their msgpack.
local function packed(name, values)
  local all = {}
  for i, value in ipairs(values) do
    all[i] = value == data.FAILED and 'failed' or data.pack(name, value)
  end
  return all
end

-- In one column of three some values failed.
local function random_values(name, count, null_in)
  local values, failing = {}, random.once_in(3)
  for i = 1, count do
    local failed = failing and random.once_in(4)
    values[i] = failed and data.FAILED or data.random_value(name, null_in)
  end
  return values
end

local function row_array(rows)
  return ffi.new('uint32_t[?]', #rows + 1, rows)
end

describe('builder', function()
  it('holds what was copied into it, of every type', function()
    random.each(150, function()
      local name = random.pick(data.TYPES)
      local built, expected = builder(name), {}
      for _ = 1, math.random(1, 4) do
        local values = random_values(name, math.random(1, 90), random.pick { 2, 5, 1000000 })
        local column = data.column(name, values)
        for row, value in ipairs(values) do
          C.tidemark_builder_add(built, column.c, row - 1)
          expected[#expected + 1] = value
        end
        if random.once_in(3) then
          C.tidemark_builder_add_null(built)
          expected[#expected + 1] = data.NULL
        end
        -- reading in between changes nothing
        assert.equal(#expected, #read(name, built))
      end
      assert.same(packed(name, expected), packed(name, read(name, built)))
    end)
  end)

  it('keeps slices where they are while it grows', function()
    local built = builder('string')
    local texts = { 'first' }
    for i = 1, 5000 do
      texts[i + 1] = ('t'):rep(i % 300)
    end
    local column = data.column('string', texts)
    C.tidemark_builder_add(built, column.c, 0)
    local slice = ffi.cast('const Slice *', column_of(built).data)[0]
    local first = { data = slice.data, size = slice.size }
    for i = 1, 5000 do
      C.tidemark_builder_add(built, column.c, i)
    end
    assert.equal('first', ffi.string(first.data, first.size))
    assert.equal(first.data, ffi.cast('const Slice *', column_of(built).data)[0].data)
  end)

  it('says that everything is there until the first null', function()
    local built = builder('int64')
    local column = data.column('int64', { 7 })
    for _ = 1, 100 do
      C.tidemark_builder_add(built, column.c, 0)
    end
    assert.is_true(column_of(built).valid == nil)
    C.tidemark_builder_add_null(built)
    assert.is_false(column_of(built).valid == nil)
    assert.equal(data.NULL, read('int64', built)[101])
    assert.equal(7LL, read('int64', built)[100])
  end)

  it('says that nothing failed until something did, and after a reset', function()
    local built = builder('int64')
    local column = data.column('int64', { 1, data.NULL, data.FAILED })
    for i = 1, 100 do
      C.tidemark_builder_add(built, column.c, i % 2)
    end
    assert.is_true(column_of(built).errors == nil)
    C.tidemark_builder_add(built, column.c, 2)
    assert.same({ data.NULL, 1LL, data.FAILED },
      { unpack(read('int64', built), 99, 101) })
    C.tidemark_builder_reset(built)
    C.tidemark_builder_add(built, column.c, 1)
    assert.same({ data.NULL }, read('int64', built))
  end)

  it('forgets on reset and keeps its memory', function()
    local built = builder('list(string)')
    local column = data.column('list(string)', { { 'a', data.NULL }, data.NULL, { ('x'):rep(50) } })
    for _ = 1, 3 do
      for i = 1, 300 do
        C.tidemark_builder_add(built, column.c, i % 3)
      end
      local held = C.tidemark_builder_bytes(built)
      assert.is_true(held >= 300 * 16)
      C.tidemark_builder_reset(built)
      assert.equal(0, tonumber(C.tidemark_builder_count(built)))
      assert.is_true(C.tidemark_builder_bytes(built) <= held)
      C.tidemark_builder_add(built, column.c, 0)
      assert.same({ { 'a', data.NULL } }, read('list(string)', built))
      C.tidemark_builder_reset(built)
    end
  end)
end)

describe('column_pick', function()
  it('picks values by row, and nulls', function()
    random.each(150, function()
      local name = random.pick(data.TYPES)
      local values = random_values(name, math.random(1, 90), random.pick { 3, 1000000 })
      local column = data.column(name, values)
      local rows, expected = {}, {}
      for i = 1, math.random(0, 200) do
        rows[i] = random.once_in(5) and NULL_ROW or math.random(0, #values - 1)
        expected[i] = rows[i] == NULL_ROW and data.NULL or values[rows[i] + 1]
      end
      local arena = ffi.gc(C.tidemark_arena_new(), C.tidemark_arena_free)
      local picked = ffi.new('Column')
      C.tidemark_column_pick(column.c, row_array(rows), #rows, arena, picked)
      assert.same(packed(name, expected), packed(name, data.values(name, picked, #rows)))
      if #rows == 0 then
        assert.is_true(picked.valid == nil)
      end
    end)
  end)
end)
