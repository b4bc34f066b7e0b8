local ffi = require 'ffi'
local data = require 'spec.support.data'
local random = require 'spec.support.random'
local C = require 'spec.support.ffi'

-- One value as key bytes; '' and false for a null.
local function put(name, value)
  local column = data.column(name, { value })
  return data.bytes(function(buf)
    return C.tidemark_key_put_column(buf, column.c, 0)
  end)
end

local function put_all(names, values)
  local parts = {}
  for i, name in ipairs(names) do
    parts[i] = put(name, values[i])
  end
  return table.concat(parts)
end

local function put_msgpack(name, packed)
  local null = ffi.new('bool[1]')
  local bytes, ok, err = data.bytes(function(buf)
    return data.outcome(C.tidemark_key_put_msgpack(buf, data.type(name), packed, #packed, null,
      data.message))
  end)
  if not ok then
    assert.equal('', bytes)
    return nil, err
  end
  return bytes, null[0]
end

local function store_form(key)
  local space, cut, form = ffi.new('uint8_t[511]'), ffi.new('bool[1]'), ffi.new('Slice')
  C.tidemark_key_store_form(key, #key, space, cut, form)
  return ffi.string(form.data, form.size), cut[0]
end

-- How values sort: strings by length, then by bytes.
local function less(name, a, b)
  if name == 'bool' then
    return not a and b
  elseif name == 'string' or name == 'bytes' then
    return #a < #b or #a == #b and a < b
  end
  return ffi.cast('int64_t', a) < ffi.cast('int64_t', b)
end

-- Values near each other, so that equal and neighbouring ones meet often.
local function near_value(name)
  if name == 'bool' then
    return random.once_in(2)
  elseif name == 'string' or name == 'bytes' then
    return random.once_in(4) and data.random_value(name)
      or ('\0\1\255'):rep(math.random(0, 2)):sub(1, math.random(0, 6))
  end
  local near = math.random(-300, 300)
  return random.once_in(3) and data.random_value(name)
    or name == 'int32' and near or ffi.cast('int64_t', near)
end

describe('key', function()
  it('is a fixed layout, for stores written before', function()
    assert.equal('\x80\0\0\0\0\0\0\x17', put('int64', 23))
    assert.equal('\x7f\255\255\255\255\255\255\255', put('int32', -1))
    assert.equal('\x80\0\0\0\0\0\0\0', put('timestamp', 0))
    assert.equal('\0\0\0\2ab', put('string', 'ab'))
    assert.equal('\0\0\0\0', put('bytes', ''))
    assert.equal('\1\0', put('bool', true) .. put('bool', false))
    assert.equal('\1\2', (data.bytes(function(buf)
      C.tidemark_key_put_view(buf, 258)
    end)))
  end)

  it('is equal for equal values only, and sorts like them (contract rule 5)', function()
    random.each(3000, function()
      local name = random.pick(data.KEY_TYPES)
      local a, b = near_value(name), near_value(name)
      local left, right = put(name, a), put(name, b)
      assert.equal(less(name, a, b), left < right)
      assert.equal(less(name, b, a), right < left)
      assert.equal(a == b, left == right)
    end)
  end)

  it('keeps composite keys apart: (1,"23") never meets (12,"3")', function()
    assert.not_equal(put_all({ 'string', 'string' }, { '1', '23' }),
      put_all({ 'string', 'string' }, { '12', '3' }))
    random.each(2000, function()
      local names, a, b, same = {}, {}, {}, true
      for i = 1, math.random(1, 4) do
        names[i] = random.pick(data.KEY_TYPES)
        a[i], b[i] = near_value(names[i]), near_value(names[i])
        if random.once_in(2) then
          b[i] = a[i]
        end
        same = same and a[i] == b[i]
      end
      assert.equal(same, put_all(names, a) == put_all(names, b))
    end)
  end)

  it('compares integers of any width by value', function()
    random.each(1000, function()
      local value = data.random_value('int32')
      assert.equal(put('int32', value), put('int64', value))
      assert.equal(put('int64', value), (put_msgpack('int32', data.pack('int64', value))))
    end)
    -- beyond int32 there is nothing to find, which is no mistake
    assert.equal(put('int64', 2LL ^ 40), (put_msgpack('int32', data.pack('int64', 2LL ^ 40))))
    -- a width that is not the shortest
    assert.equal(put('int64', 5), (put_msgpack('int64', '\xd3\0\0\0\0\0\0\0\5')))
    assert.equal(put('int64', 5), (put_msgpack('int64', '\xcf\0\0\0\0\0\0\0\5')))
  end)

  it('takes a float for the whole number it is: some languages have no other', function()
    for _, name in ipairs { 'int32', 'int64', 'timestamp' } do
      for _, whole in ipairs { 0, -0.0, 7, -3, 2 ^ 31 - 1 } do
        assert.equal(put(name, whole), (put_msgpack(name, data.pack('float64', whole))))
      end
    end
    assert.equal(put('int64', 2), (put_msgpack('int64', data.pack('float32', 2))))
    assert.equal(put('int64', -0x7fffffffffffffffLL - 1),
      (put_msgpack('int64', data.pack('float64', -2 ^ 63))))
  end)

  it('is the same from a column and from msgpack', function()
    random.each(2000, function()
      local name = random.pick(data.KEY_TYPES)
      local value = near_value(name)
      if name == 'string' then
        value = value:gsub('[\128-\255]', 'x')
      end
      local bytes, null = put_msgpack(name, data.pack(name, value))
      assert.equal(put(name, value), bytes)
      assert.is_false(null)
    end)
    assert.equal(put('timestamp', 1618228800000000LL),
      (put_msgpack('timestamp', data.pack('string', '2021-04-12T12:00Z'))))
    assert.equal(put('bytes', 'ab'), (put_msgpack('bytes', data.pack('string', 'ab'))))
  end)

  it('appends nothing for a null', function()
    for _, name in ipairs(data.KEY_TYPES) do
      local bytes, there = put(name, data.NULL)
      assert.equal('', bytes)
      assert.is_false(there)
      local packed, null = put_msgpack(name, '\xc0')
      assert.equal('', packed)
      assert.is_true(null)
    end
    -- "" is not null
    assert.equal('\0\0\0\0', (put_msgpack('string', data.pack('string', ''))))
  end)

  it('refuses values of another type and says which', function()
    local cases = {
      { 'int64', data.pack('string', 'x'), 'expected int64, got string' },
      { 'int64', data.pack('float64', 0.1), 'expected int64, got 0.1' },
      { 'int64', data.pack('float64', 2 ^ 63), 'expected int64, got 9.223372036854776e+18' },
      { 'int32', data.pack('float64', 0 / 0), 'expected int32, got NaN' },
      { 'timestamp', data.pack('float64', 1 / 0), 'expected timestamp, got Infinity' },
      { 'string', data.pack('float64', 1), 'expected string, got float' },
      { 'string', '\xa2a\xff', 'the string is not UTF-8' },
      { 'int32', data.pack('bool', true), 'expected int32, got bool' },
      { 'string', data.pack('int64', 1), 'expected string, got integer' },
      { 'string', data.pack('bytes', 'x'), 'expected string, got bytes' },
      { 'bytes', data.pack('int64', 1), 'expected bytes, got integer' },
      { 'bool', data.pack('int64', 1), 'expected bool, got integer' },
      { 'string', '\x90', 'expected string, got list' },
      { 'string', '\x80', 'expected string, got map' },
      { 'timestamp', '\xd4\1\1', 'expected timestamp, got extension' },
      { 'int64', '\xcf\255\255\255\255\255\255\255\255',
        'expected int64, got 18446744073709551615, which is beyond int64' },
      { 'timestamp', data.pack('string', 'now'),
        '"now" is not a time: expected ISO-8601 such as 2021-04-12T07:00:00Z' },
    }
    for _, case in ipairs(cases) do
      local bytes, err = put_msgpack(case[1], case[2])
      assert.is_nil(bytes)
      assert.equal(case[3], err)
    end
  end)

  it('is stored as it is up to 511 bytes and with a SHA-256 digest beyond', function()
    local longest = ('k'):rep(511)
    local form, cut = store_form(longest)
    assert.equal(longest, form)
    assert.is_false(cut)
    form, cut = store_form(('a'):rep(512))
    assert.is_true(cut)
    -- sha256sum of 512 times "a"
    local digest = '471be6558b665e4f6dd49f1184814d1491b0315d466beea768c153cc5500c836'
    assert.equal(('a'):rep(479) .. digest:gsub('%x%x', function(hex)
      return string.char(tonumber(hex, 16))
    end), form)
    -- keys that differ beyond the kept part only
    assert.not_equal((store_form(('a'):rep(600) .. 'x')), (store_form(('a'):rep(600) .. 'y')))
  end)
end)
