local ffi = require 'ffi'
local mpack = require 'mpack'
local data = require 'spec.support.data'
local random = require 'spec.support.random'
local C = require 'spec.support.ffi'

local TIME_NULL = -0x7fffffffffffffffLL - 1

local function slice(text)
  return ffi.new('Slice', text, #text)
end

local function rank(event_time, created_time, arrival)
  return ffi.new('RowRank', event_time, created_time or TIME_NULL, arrival or 0)
end

-- A row of one-value columns; false for a slot that is not given.
local function encode(options)
  local columns = options.columns or {}
  local slots = ffi.new('const Column *[?]', #columns + 1)
  for i, column in ipairs(columns) do
    slots[i - 1] = column and column.c or nil
  end
  local key = options.key or ''
  return (data.bytes(function(buf)
    C.tidemark_row_encode(buf, options.rank or rank(0), options.deleted or false, slots, #columns,
      options.row or 0, slice(key))
  end))
end

-- The view keeps `bytes` alive, which its slices point into.
local views = setmetatable({}, { __mode = 'k' })

local function open(bytes)
  local view = ffi.new('RowView')
  local ok, err = data.outcome(C.tidemark_row_open(bytes, #bytes, view, data.message))
  if not ok then
    return nil, err
  end
  views[view] = bytes
  return view
end

local function span(view, first, count)
  local present, out = ffi.new('uint32_t[1]'), ffi.new('Slice')
  C.tidemark_row_span(view, first, count, present, out)
  return ffi.string(out.data, out.size), present[0]
end

local function status(view, slot)
  return ffi.string(C.tidemark_row_slot_status(view, slot))
end

-- A value of a slot: one of nine failed, where `failing`.
local function random_slot(name, failing)
  if failing and random.once_in(9) then
    return data.FAILED, data.NULL, 'ERROR'
  end
  local value = data.random_value(name, 4)
  return value, value, value == data.NULL and 'NULL_VALUE' or 'PRESENT'
end

local function random_row()
  local row = { columns = {}, packed = {}, statuses = {} }
  local failing = random.once_in(3)
  for slot = 1, math.random(0, 12) do
    local name = random.pick(data.TYPES)
    local value, stored, state = random_slot(name, failing)
    row.columns[slot] = not random.once_in(8) and data.column(name, { value })
    if not row.columns[slot] then
      stored, state = data.NULL, 'NULL_VALUE'
    end
    row.packed[slot] = data.pack(name, stored)
    row.statuses[slot] = state
  end
  row.rank = rank(data.random_value('int64'), random.once_in(3) and TIME_NULL
    or data.random_value('int64'), math.random(0, 2 ^ 40))
  row.key = random.once_in(4) and ('k'):rep(math.random(512, 700)) or ''
  return row
end

describe('row', function()
  it('gives back every value, bit for bit', function()
    random.each(2000, function()
      local row = random_row()
      local bytes = encode(row)
      local view = assert(open(bytes))
      assert.equal(#row.columns, view.count)
      assert.equal(row.rank.event_time, view.rank.event_time)
      assert.equal(row.rank.created_time, view.rank.created_time)
      assert.equal(row.rank.arrival, view.rank.arrival)
      assert.equal(row.key, ffi.string(view.key.data, view.key.size))
      assert.is_false(view.deleted)
      assert.equal(table.concat(row.packed), (span(view, 0, #row.columns)))
      local first = math.random(0, #row.columns)
      local count = math.random(0, #row.columns - first)
      assert.equal(table.concat(row.packed, '', first + 1, first + count),
        (span(view, first, count)))
      for slot, expected in ipairs(row.statuses) do
        assert.equal(expected, status(view, slot - 1))
        assert.equal(row.packed[slot], (span(view, slot - 1, 1)))
      end
    end)
  end)

  it('keeps null, NaN and "" apart (contract rule 6)', function()
    local view = open(encode { columns = {
      data.column('string', { data.NULL }), data.column('string', { '' }),
      data.column('float64', { 0 / 0 }), data.column('float64', { data.NULL }),
      data.column('float32', { 0 / 0 }), data.column('list(float64)', { {} }), false,
    } })
    assert.same({ 'NULL_VALUE', 'PRESENT', 'PRESENT', 'NULL_VALUE', 'PRESENT', 'PRESENT',
      'NULL_VALUE' }, { status(view, 0), status(view, 1), status(view, 2), status(view, 3),
      status(view, 4), status(view, 5), status(view, 6) })
    assert.equal(mpack.NIL, mpack.unpack((span(view, 0, 1))))
    assert.equal('', mpack.unpack((span(view, 1, 1))))
    local nan = mpack.unpack((span(view, 2, 1)))
    assert.is_true(nan ~= nan)
  end)

  it('keeps the bits of a NaN', function()
    local column = data.column('float64', { 0 })
    ffi.cast('uint64_t *', column.data)[0] = 0x7ff8dead0000beefULL
    local view = open(encode { columns = { column } })
    assert.equal('\xcb\x7f\xf8\xde\xad\0\0\xbe\xef', (span(view, 0, 1)))
  end)

  it('takes values from any position of its columns', function()
    local values = {}
    for i = 1, 200 do
      values[i] = i % 7 == 0 and data.NULL or i * 1000
    end
    local column = data.column('int64', values)
    for row = 0, 199 do
      local view = open(encode { columns = { column }, row = row })
      assert.equal(data.pack('int64', values[row + 1]), (span(view, 0, 1)))
    end
  end)

  it('grows wide offsets beyond 64 KiB of values, and not before', function()
    -- a string of 65530 bytes takes 65533: three nils beside it fill 16 bits exactly
    for size, wide in pairs { [65529] = false, [65530] = false, [65531] = true, [300000] = true } do
      local text = ('v'):rep(size)
      local view = open(encode {
        columns = { data.column('string', { text }), false, data.column('int32', { 7 }) },
        key = ('k'):rep(512),
      })
      assert.equal(wide, view.wide, size)
      assert.equal(text, mpack.unpack((span(view, 0, 1))))
      assert.equal('\xc0\7', (span(view, 1, 2)))
      assert.equal(512, tonumber(view.key.size))
    end
  end)

  it('reads slots it was written without as NOT_FOUND', function()
    local view = open(encode { columns = { data.column('int32', { 1 }),
      data.column('int32', { 2 }) } })
    local values, present = span(view, 1, 5)
    assert.equal('\2', values)
    assert.equal(1, present)
    values, present = span(view, 2, 5)
    assert.equal('', values)
    assert.equal(0, present)
    values, present = span(view, 0xffffffff, 0xffffffff)
    assert.equal('', values)
    assert.equal(0, present)
    assert.equal('NOT_FOUND', status(view, 2))
  end)

  it('keeps no features of a deleted row', function()
    local bytes = encode { columns = { data.column('int32', { 1 }) }, deleted = true,
      rank = rank(5, 6, 7), key = ('k'):rep(600) }
    local view = open(bytes)
    assert.is_true(view.deleted)
    assert.equal(0, view.count)
    assert.equal(5LL, view.rank.event_time)
    assert.equal(600, tonumber(view.key.size))
    assert.equal(32 + 2 + 600, #bytes)
  end)

  it('marks values whose transform failed as ERROR', function()
    local given = { columns = { false, false, data.column('int32', { 1 }) } }
    local bytes = encode(given)
    local size = ffi.new('uint32_t[1]', #bytes + 1)
    -- flags: ROW_ERRORS; slot 1 failed
    bytes = '\1\4' .. bytes:sub(3, 4) .. ffi.string(size, 4) .. bytes:sub(9) .. '\2'
    local view = open(bytes)
    assert.same({ 'NULL_VALUE', 'ERROR', 'PRESENT' },
      { status(view, 0), status(view, 1), status(view, 2) })
    given.columns[2] = data.column('float64', { data.FAILED })
    assert.equal(bytes, encode(given))
  end)

  it('is a fixed layout, for stores written before', function()
    local bytes = encode { rank = rank(1, 2, 3),
      columns = { data.column('bool', { true }), data.column('string', { 'a' }) } }
    assert.equal('\1\0\2\0\41\0\0\0' .. '\1\0\0\0\0\0\0\0' .. '\2\0\0\0\0\0\0\0'
      .. '\3\0\0\0\0\0\0\0' .. '\0\0\1\0\3\0' .. '\xc3\xa1a', bytes)
  end)

  it('orders rows by event time, created time and arrival (contract rule 3)', function()
    local ascending = {
      rank(1, 9, 9), rank(2, nil, 9), rank(2, -0x7fffffffffffffffLL, 0), rank(2, 5, 1),
      rank(2, 5, 2), rank(3, nil, 0),
    }
    for i, a in ipairs(ascending) do
      for j, b in ipairs(ascending) do
        local order = C.tidemark_row_rank_compare(a, b)
        assert.equal(i > j, order > 0)
        assert.equal(i < j, order < 0)
      end
    end
  end)

  it('refuses bytes that are no row, whatever they are', function()
    random.each(3000, function()
      local row = random_row()
      local bytes = encode(row)
      assert.is_nil(open(bytes:sub(1, math.random(0, #bytes - 1))))
      assert.is_nil(open(bytes .. '\0'))
      -- any one byte changed: refused, or read within bounds
      local at = math.random(1, #bytes)
      local changed = bytes:sub(1, at - 1) .. string.char(math.random(0, 255)) .. bytes:sub(at + 1)
      local view = open(changed)
      if view then
        local total = 0
        for slot = 0, view.count - 1 do
          local value, present = span(view, slot, 1)
          assert.is_true(#value > 0)
          assert.equal(1, present)
          total = total + #value
          status(view, slot)
        end
        assert.equal(tonumber(view.values.size), total)
        assert.is_true(total + tonumber(view.key.size) <= #bytes)
      end
    end)
    assert.equal('damaged online row of 3 bytes: too short for a header', select(2, open('abc')))
    assert.equal('online row of version 2: this tidemark reads version 1',
      select(2, open('\2' .. encode({}):sub(2))))
  end)
end)
