local ffi = require 'ffi'
local random = require 'spec.support.random'
local C = require 'spec.support.ffi'

ffi.cdef [[
typedef struct { uint8_t kind, element; uint32_t length; } KeyType;
typedef struct { const char *data; size_t size; } KeySlice;
typedef struct KeyColumn {
  KeyType type;
  const uint64_t *valid;
  const void *data;
  const struct KeyColumn *child;
  const uint64_t *errors;
} KeyColumn;
typedef struct KeySet KeySet;
KeySet *tidemark_key_set_new(const KeyType *types, size_t key_count);
void tidemark_key_set_free(KeySet *set);
size_t tidemark_key_set_count(const KeySet *set);
size_t tidemark_key_set_bytes(const KeySet *set);
void tidemark_key_set_add(KeySet *set, const KeyColumn *keys, size_t rows, uint32_t *numbers);
void tidemark_key_set_find(const KeySet *set, const KeyColumn *keys, size_t rows,
                           uint32_t *numbers);
const char *tidemark_key_set_key(const KeySet *set, uint32_t number, uint8_t *space, size_t *size);
]]

local NONE = 0xffffffff
local KINDS = { bool = 0, int32 = 1, int64 = 2, string = 5, bytes = 6, timestamp = 7 }
local CTYPES = {
  bool = 'uint8_t[?]',
  int32 = 'int32_t[?]',
  int64 = 'int64_t[?]',
  timestamp = 'int64_t[?]',
  string = 'KeySlice[?]',
  bytes = 'KeySlice[?]',
}

-- Values are Lua numbers, int64 cdata, booleans or strings; nil is null, so `count` is given.
local function fill(column, kind, values, count, alive)
  local data = ffi.new(CTYPES[kind], count + 1)
  local valid = ffi.new('uint64_t[?]', count / 64 + 1)
  local any_null = false
  for i = 0, count - 1 do
    local value = values[i + 1]
    if value == nil then
      any_null = true
    else
      valid[math.floor(i / 64)] = bit.bor(valid[math.floor(i / 64)], bit.lshift(1ULL, i % 64))
      if kind == 'string' or kind == 'bytes' then
        -- bytes of their own without an end mark: reading past them is seen by the sanitizer
        local bytes = ffi.new('char[?]', #value)
        ffi.copy(bytes, value, #value)
        alive[#alive + 1] = bytes
        data[i].data = bytes
        data[i].size = #value
      else
        data[i] = value == true and 1 or value or 0
      end
    end
  end
  alive[#alive + 1] = data
  alive[#alive + 1] = valid
  column.type.kind = KINDS[kind]
  column.data = data
  column.valid = any_null and valid or nil
end

local function columns(kinds, values, count)
  local alive = {}
  local made = ffi.new('KeyColumn[?]', #kinds)
  for i, kind in ipairs(kinds) do
    fill(made[i - 1], kind, values[i], count, alive)
  end
  return made, alive
end

local function new_set(kinds)
  local types = ffi.new('KeyType[?]', #kinds)
  for i, kind in ipairs(kinds) do
    types[i - 1].kind = KINDS[kind]
  end
  return ffi.gc(C.tidemark_key_set_new(types, #kinds), C.tidemark_key_set_free)
end

local function numbers_of(call, set, kinds, values, count)
  local made, alive = columns(kinds, values, count)
  local out = ffi.new('uint32_t[?]', count + 1)
  call(set, made, count, out)
  assert(#alive > 0 or count == 0)
  local numbers = {}
  for i = 1, count do
    numbers[i] = out[i - 1]
  end
  return numbers
end

local function add(...)
  return numbers_of(C.tidemark_key_set_add, ...)
end

local function find(...)
  return numbers_of(C.tidemark_key_set_find, ...)
end

local function key_of(set, number)
  local space = ffi.new('uint8_t[16]')
  local size = ffi.new('size_t[1]')
  local data = C.tidemark_key_set_key(set, number, space, size)
  return ffi.string(data, size[0])
end

-- The encoding in plain Lua: big-endian with the sign bit flipped, texts after their length.
local function be32(value)
  return string.char(
    bit.band(bit.rshift(value, 24), 255),
    bit.band(bit.rshift(value, 16), 255),
    bit.band(bit.rshift(value, 8), 255),
    bit.band(value, 255)
  )
end

local function encode(kind, value)
  if kind == 'string' or kind == 'bytes' then
    return be32(#value) .. value
  end
  if kind == 'bool' then
    return value and '\1' or '\0'
  end
  local flipped = bit.bxor(ffi.new('uint64_t', ffi.new('int64_t', value)), 0x8000000000000000ULL)
  local out = {}
  for shift = 56, 0, -8 do
    out[#out + 1] = string.char(tonumber(bit.band(bit.rshift(flipped, shift), 0xffULL)))
  end
  return table.concat(out)
end

local INTEGERS = { 0, 1, -1, 2147483647, -2147483648 }
local WIDE = { 0x7fffffffffffffffLL, -0x7fffffffffffffffLL - 1, 9007199254740993LL }

local function random_integer(wide)
  if wide and random.once_in(4) then
    return random.pick(WIDE)
  end
  return random.once_in(3) and random.pick(INTEGERS) or math.random(-40, 40)
end

-- Few letters, many lengths around those where the table changes its way of comparing.
local function random_text()
  local size = random.pick({ 0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 60 })
  local letters = {}
  for i = 1, size do
    letters[i] = random.once_in(6) and random.pick({ 'b', '\0' }) or 'a'
  end
  return table.concat(letters)
end

local DRAW = {
  bool = function()
    return random.once_in(2)
  end,
  int32 = function()
    return random_integer(false)
  end,
  int64 = function()
    return random_integer(true)
  end,
  string = random_text,
}
DRAW.timestamp = DRAW.int64
DRAW.bytes = DRAW.string

local function random_columns(kinds, count)
  local values = {}
  for i, kind in ipairs(kinds) do
    values[i] = {}
    local nulls = random.once_in(2)
    for row = 1, count do
      if not (nulls and random.once_in(9)) then
        values[i][row] = DRAW[kind]()
      end
    end
  end
  return values
end

-- A row's key as one string, nil where a column is null.
local function encoded_row(kinds, values, row)
  local parts = {}
  for i, kind in ipairs(kinds) do
    if values[i][row] == nil then
      return nil
    end
    parts[i] = encode(kind, values[i][row])
  end
  return table.concat(parts)
end

local SHAPES = {
  { 'int64' }, { 'int32' }, { 'timestamp' }, { 'bool' }, { 'string' }, { 'bytes' },
  { 'int64', 'int64' }, { 'int64', 'string' }, { 'string', 'string' },
  { 'string', 'int32', 'bool' },
}

describe('key sets', function()
  it('number keys as a Lua table would, and find just what was added', function()
    random.each(1500, function()
      local kinds = random.pick(SHAPES)
      local set = new_set(kinds)
      local known, count = {}, 0
      for _ = 1, math.random(3) do
        local rows = random.pick({ 0, 1, 10, 64, 65, 600 })
        local values = random_columns(kinds, rows)
        local wanted = {}
        for row = 1, rows do
          local key = encoded_row(kinds, values, row)
          if key and not known[key] then
            known[key] = count
            count = count + 1
          end
          wanted[row] = key and known[key] or NONE
        end
        assert.same(wanted, add(set, kinds, values, rows))
      end
      assert.equal(count, tonumber(C.tidemark_key_set_count(set)))

      local values = random_columns(kinds, 100)
      local wanted = {}
      for row = 1, 100 do
        local key = encoded_row(kinds, values, row)
        wanted[row] = key and known[key] or NONE
      end
      assert.same(wanted, find(set, kinds, values, 100))
      for key, number in pairs(known) do
        assert.equal(key, key_of(set, number))
      end
    end)
  end)

  it('compare integers by value, whatever the width of the column', function()
    local set = new_set({ 'int64' })
    assert.same({ 0, 1, 2 }, add(set, { 'int64' }, { { -1, 1, 0 } }, 3))
    assert.same({ 2, 0, NONE }, find(set, { 'int32' }, { { 0, -1, 7 } }, 3))
    assert.same({ 1, 2 }, find(set, { 'timestamp' }, { { 1, 0 } }, 2))
    assert.same({ 1, 2 }, find(set, { 'bool' }, { { true, false } }, 2))

    local pairs_set = new_set({ 'int64', 'string' })
    add(pairs_set, { 'int64', 'string' }, { { 5, -5 }, { 'x', 'x' } }, 2)
    assert.same({ 1, 0 }, find(pairs_set, { 'int32', 'string' }, { { -5, 5 }, { 'x', 'x' } }, 2))
  end)

  -- Runs of keys that are counted up or down, some of them at the ends of what an int64 holds: the
  -- set changes its table as they lie closer together or farther apart.
  it('keep their numbers while keys drift together and apart', function()
    random.each(25, function()
      local set, known, count = new_set({ 'int64' }), {}, 0
      for _ = 1, math.random(6) do
        local rows = random.pick({ 1, 63, 64, 65, 700, 3000 })
        local step = random.pick({ 1, -1, 1, -1, 3, -3, 7, 1000003 })
        local ends = { 0LL, -2LL, step > 0 and WIDE[1] - step * rows or WIDE[2] - step * rows }
        local first = random.pick(ends) + math.random(100)
        local values, wanted = {}, {}
        for row = 1, rows do
          local value = first + step * math.random(row - 2, row)
          local name = tostring(value)
          if not known[name] then
            known[name] = { number = count, value = value }
            count = count + 1
          end
          values[row], wanted[row] = value, known[name].number
        end
        assert.same(wanted, add(set, { 'int64' }, { values }, rows))
      end
      local values, wanted = {}, {}
      for name, key in pairs(known) do
        local beside = key.value + 1
        local other = known[tostring(beside)]
        values[#values + 1], wanted[#wanted + 1] = key.value, known[name].number
        values[#values + 1], wanted[#wanted + 1] = beside, other and other.number or NONE
      end
      assert.same(wanted, find(set, { 'int64' }, { values }, #values))
    end)
  end)

  it('never join (1,"23") with (12,"3")', function()
    local kinds = { 'string', 'string' }
    local set = new_set(kinds)
    assert.same({ 0, 1 }, add(set, kinds, { { '1', '12' }, { '23', '3' } }, 2))
  end)

  it('tell keys apart that differ in nothing but zeros at their end', function()
    local set = new_set({ 'string' })
    local values, wanted = { {} }, {}
    for first = 0, 199 do
      for zeros = 0, 24 do
        wanted[#wanted + 1] = #wanted
        values[1][#wanted] = ('%03d'):format(first) .. ('\0'):rep(zeros)
      end
    end
    assert.same(wanted, add(set, { 'string' }, values, #wanted))
  end)

  it('give a null key no number, not even where the value was added', function()
    local set = new_set({ 'int64' })
    assert.same({ NONE, 0, NONE }, add(set, { 'int64' }, { { nil, 0, nil } }, 3))
    assert.same({ NONE, 0 }, find(set, { 'int64' }, { { nil, 0 } }, 2))
  end)

  it('find nothing in an empty set', function()
    assert.same({ NONE, NONE }, find(new_set({ 'int64' }), { 'int64' }, { { 0, 1 } }, 2))
    assert.same({ NONE, NONE }, find(new_set({ 'string' }), { 'string' }, { { '', 'a' } }, 2))
  end)

  it('keep their numbers while they grow, and say how many bytes they hold', function()
    for _, kinds in ipairs({ { 'int64' }, { 'string' }, { 'int64', 'int64' } }) do
      local set = new_set(kinds)
      local before = tonumber(C.tidemark_key_set_bytes(set))
      local count = 20000
      local values, wanted = {}, {}
      for i = 1, #kinds do
        values[i] = {}
      end
      for row = 1, count do
        wanted[row] = row - 1
        for i, kind in ipairs(kinds) do
          values[i][row] = kind == 'string' and ('key %d of a long name'):format(row) or row * 4096
        end
      end
      assert.same(wanted, add(set, kinds, values, count))
      assert.same(wanted, find(set, kinds, values, count))
      assert.is_true(tonumber(C.tidemark_key_set_bytes(set)) > before + 8 * count)
    end
  end)
end)
