local ffi = require 'ffi'
local mpack = require 'mpack'
local data = require 'spec.support.data'
local random = require 'spec.support.random'
local C = require 'spec.support.ffi'

local OK, MORE, BAD, LIMIT = 0, 1, 2, 3
local NIL, BOOL, INT, UINT, FLOAT, STR, BIN, ARRAY, MAP, EXT = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
local ANY = 0xffffffffffffffffULL

-- The bytes at the very end of an allocation of their own: reading beyond them is what
-- AddressSanitizer sees.
local function guarded(bytes)
  local copy = ffi.new('char[?]', #bytes)
  ffi.copy(copy, bytes, #bytes)
  return copy
end

local function next_token(bytes)
  local token, used = ffi.new('MpToken'), ffi.new('size_t[1]')
  return C.tidemark_mp_next(guarded(bytes), #bytes, token, used), token, tonumber(used[0])
end

local function skip(bytes, depth, elements)
  local used = ffi.new('size_t[1]')
  return C.tidemark_mp_skip(guarded(bytes), #bytes, depth or 128, elements or ANY, used),
    tonumber(used[0])
end

local function map_get(bytes, key)
  local value = ffi.new('Slice')
  return C.tidemark_mp_map_get(bytes, #bytes, key, value) and ffi.string(value.data, value.size)
end

local function json(bytes)
  assert.equal(OK, (skip(bytes)))
  return (data.bytes(function(buf)
    C.tidemark_mp_print_json(bytes, #bytes, buf)
  end))
end

-- A random value, as Lua has it.
local function random_value(depth)
  local kind = math.random(depth > 0 and 8 or 6)
  if kind == 1 then
    return mpack.NIL
  elseif kind == 2 then
    return random.once_in(2)
  elseif kind == 3 then
    local least, most = random.pick { 4, 7, 8, 16, 31, 32, 52 }, random.pick { 7, 16, 31, 52 }
    return math.random(-2 ^ least, 2 ^ most)
  elseif kind == 4 then
    return (math.random() - 0.5) * 10 ^ math.random(-30, 12)
  elseif kind <= 6 then
    return data.random_value('string')
  end
  local value = {}
  for i = 1, math.random(0, 5) do
    -- mpack takes the key "1" for an index
    value[kind == 7 and i or 'k' .. data.random_value('string')] = random_value(depth - 1)
  end
  return value
end

local TOKENS = {
  { '\0', INT, 0 }, { '\127', INT, 127 }, { '\255', INT, -1 }, { '\xe0', INT, -32 },
  { '\xcc\255', INT, 255 }, { '\xcd\1\0', INT, 256 }, { '\xce\255\255\255\255', INT, 4294967295 },
  { '\xd0\128', INT, -128 }, { '\xd1\128\0', INT, -32768 }, { '\xd2\128\0\0\0', INT, -2147483648 },
  { '\xc0', NIL }, { '\xc2', BOOL, 0 }, { '\xc3', BOOL, 1 },
}

describe('msgpack', function()
  it('reads every format', function()
    for _, case in ipairs(TOKENS) do
      local status, token, used = next_token(case[1] .. 'rest')
      assert.equal(OK, status)
      assert.equal(#case[1], used)
      assert.equal(case[2], token.kind)
      assert.equal(case[3] or 0, tonumber(token.integer))
    end
    local _, token = next_token('\xcf\255\255\255\255\255\255\255\255')
    assert.equal(UINT, token.kind)
    assert.equal(ANY, token.unsigned_integer)
    _, token = next_token('\xcf\127\255\255\255\255\255\255\255')
    assert.equal(INT, token.kind)
    assert.equal(0x7fffffffffffffffLL, token.integer)
    _, token = next_token('\xd3\128\0\0\0\0\0\0\0')
    assert.equal(-0x7fffffffffffffffLL - 1, token.integer)
    _, token = next_token('\xca\63\192\0\0')
    assert.same({ FLOAT, true, 1.5 }, { token.kind, token.narrow, token.real })
    _, token = next_token('\xcb\63\248\0\0\0\0\0\0')
    assert.same({ FLOAT, false, 1.5 }, { token.kind, token.narrow, token.real })
  end)

  it('reads sizes and counts of every width', function()
    local cases = {
      { '\xa3abc', STR }, { '\xd9\3abc', STR }, { '\xda\0\3abc', STR }, { '\xdb\0\0\0\3abc', STR },
      { '\xc4\3abc', BIN }, { '\xc5\0\3abc', BIN }, { '\xc6\0\0\0\3abc', BIN },
      { '\xc7\3\5abc', EXT }, { '\xc8\0\3\5abc', EXT }, { '\xc9\0\0\0\3\5abc', EXT },
    }
    for _, case in ipairs(cases) do
      local status, token, used = next_token(case[1])
      assert.same({ OK, case[2], #case[1], 3 },
        { status, token.kind, used, tonumber(token.bytes.size) })
      assert.equal(case[2] == EXT and 5 or 0, token.ext_type)
    end
    for size, first in pairs { [1] = '\xd4', [2] = '\xd5', [4] = '\xd6', [8] = '\xd7',
      [16] = '\xd8' } do
      local status, token = next_token(first .. '\254' .. ('x'):rep(size))
      assert.same({ OK, EXT, -2, size },
        { status, token.kind, token.ext_type, tonumber(token.bytes.size) })
    end
    for first, expected in pairs { ['\x9f'] = { ARRAY, 15 }, ['\xdc\1\0'] = { ARRAY, 256 },
      ['\xdd\255\255\255\255'] = { ARRAY, 4294967295 }, ['\x83'] = { MAP, 3 },
      ['\xde\1\0'] = { MAP, 256 }, ['\xdf\0\1\0\0'] = { MAP, 65536 } } do
      local status, token, used = next_token(first)
      assert.same({ OK, expected[1], expected[2], #first },
        { status, token.kind, token.count, used })
    end
  end)

  it('refuses 0xc1 and asks for more where a token is cut', function()
    assert.equal(BAD, (next_token('\xc1')))
    assert.equal(BAD, (skip('\x92\1\xc1')))
    assert.equal(MORE, (next_token('')))
    for first = 0, 255 do
      local status, _, used = next_token(string.char(first))
      if status ~= OK then
        assert.equal(0, used)
      end
    end
  end)

  it('steps over what another library packs, and reads the same scalars', function()
    random.each(3000, function()
      local value = random_value(4)
      local bytes = mpack.pack(value)
      local status, used = skip(bytes .. 'rest')
      assert.same({ OK, #bytes }, { status, used })
      local _, token = next_token(bytes)
      if type(value) == 'number' then
        -- not `value`: mpack packs some numbers below -2^31 wrongly
        assert.equal(mpack.unpack(bytes), token.kind == FLOAT and token.real
          or tonumber(token.kind == UINT and token.unsigned_integer or token.integer))
      elseif type(value) == 'string' then
        assert.equal(value, ffi.string(token.bytes.data, token.bytes.size))
      elseif type(value) == 'boolean' then
        assert.equal(value, token.integer == 1)
      end
    end)
  end)

  it('writes values that another library reads back', function()
    random.each(3000, function()
      local name = random.pick(data.TYPES)
      local column = data.column(name, { data.random_value(name, 4) })
      local bytes = data.bytes(function(buf)
        C.tidemark_row_put_value(buf, column.c, 0)
      end)
      assert.equal(data.pack(name, column.values[1]), bytes)
      local status, used = skip(bytes)
      assert.same({ OK, #bytes }, { status, used })
      local read = mpack.unpack(bytes)
      local value = column.values[1]
      if type(value) == 'string' or type(value) == 'boolean' then
        assert.equal(value, read)
      elseif type(value) == 'number' and value == value then
        assert.equal(value, read)
      elseif type(value) == 'table' and value ~= data.NULL then
        assert.equal(#value, #read)
      end
    end)
  end)

  it('asks for more at every cut, and consumes nothing', function()
    random.each(300, function()
      local bytes = mpack.pack(random_value(3))
      for size = 0, math.min(#bytes - 1, 400) do
        local status, used = skip(bytes:sub(1, size))
        assert.same({ MORE, 0 }, { status, used })
      end
    end)
  end)

  it('never reads outside of random bytes', function()
    random.each(5000, function()
      local size = math.random(0, 40)
      local bytes = ('x'):rep(size):gsub('x', function()
        return string.char(random.once_in(2) and math.random(0x80, 0xdf) or math.random(0, 255))
      end)
      local status, used = skip(bytes)
      assert.is_true(status >= OK and status <= LIMIT)
      assert.is_true(used <= size)
      assert.equal(status == OK, used > 0)
    end)
  end)

  it('holds nesting and the number of elements to their limits', function()
    local function nested(depth)
      return ('\x91'):rep(depth - 1) .. '\x90'
    end
    assert.equal(OK, (skip(nested(16), 16)))
    assert.equal(LIMIT, (skip(nested(17), 16)))
    assert.equal(OK, (skip(nested(128), 1000)))
    assert.equal(LIMIT, (skip(nested(129), 1000)))
    assert.equal(OK, (skip('\1', 0)))
    assert.equal(LIMIT, (skip('\x90', 0)))
    assert.equal(OK, (skip('\x93\1\2\3', 4, 4)))
    assert.equal(LIMIT, (skip('\x94\1\2\3\4', 4, 4)))
    -- a map counts keys and values
    assert.equal(LIMIT, (skip('\x82\1\1\2\2', 4, 4)))
    assert.equal(OK, (skip('\x82\1\1\2\2', 4, 5)))
  end)

  it('answers hostile counts at once', function()
    local huge = '\xdd\255\255\255\255'
    assert.equal(MORE, (skip(huge)))
    assert.equal(LIMIT, (skip(huge, 16, 1000)))
    assert.equal(LIMIT, (skip(huge:rep(20), 16)))
    assert.equal(MORE, (skip('\xdb\255\255\255\255abc')))
    assert.equal(LIMIT, (skip('\xdf\255\255\255\255\1\1', 16, 1000)))
  end)

  it('finds keys of a map, the last of equal ones', function()
    local map = '\x84' .. '\xa1a\1' .. '\xc4\1b\x92\2\3' .. '\x91\1\7' .. '\xa1a\5'
    assert.equal('\5', map_get(map, 'a'))
    assert.equal('\x92\2\3', map_get(map, 'b'))
    assert.is_false(map_get(map, 'c'))
    assert.is_false(map_get(map, ''))
    assert.is_false(map_get('\x90', 'a'))
    assert.is_false(map_get('\x80', 'a'))
  end)

  it('prints JSON', function()
    local cases = {
      ['\xc0'] = 'null', ['\xc3'] = 'true', ['\xc2'] = 'false', ['\x90'] = '[]', ['\x80'] = '{}',
      ['\xd0\128'] = '-128', ['\xcf\255\255\255\255\255\255\255\255'] = '18446744073709551615',
      ['\x93\1\x91\2\x80'] = '[1,[2],{}]', ['\xd4\1\1'] = 'null', ['\xc4\1x'] = '"x"',
      ['\x82\xa1a\x91\1\xa1b\x81\xa1c\xc0'] = '{"a":[1],"b":{"c":null}}',
      ['\x83\1\2\xc0\3\x91\1\4'] = '{"1":2,"null":3,"[]":4}',
    }
    for bytes, expected in pairs(cases) do
      assert.equal(expected, json(bytes))
    end
    local function text(value)
      return json(data.pack('string', value))
    end
    assert.equal([["a\"b\\c\n\t\u0001\u001f/é€😀"]], text('a"b\\c\n\t\1\31/é€😀'))
    -- cut, overlong, surrogates and too high: no UTF-8
    assert.equal('"\xef\xbf\xbdx"', text('\xe2x'):gsub('\xef\xbf\xbd\xef\xbf\xbd', '\xef\xbf\xbd'))
    for _, bad in ipairs { '\xff', '\xc3', '\xc0\x80', '\xe0\x80\x80', '\xed\xa0\x80',
      '\xf4\x90\x80\x80', '\xf8\x88\x80\x80\x80', '\x80' } do
      assert.equal('"' .. ('\xef\xbf\xbd'):rep(#bad) .. '"', text(bad))
    end
  end)

  it('prints floats as the shortest text that reads back the same', function()
    local function real(value)
      return json(data.pack('float64', value))
    end
    local function narrow(value)
      return json(data.pack('float32', value))
    end
    assert.equal('0.1', real(0.1))
    assert.equal('1.0', real(1))
    assert.equal('-0.0', real(-0.0))
    assert.equal('0.30000000000000004', real(0.1 + 0.2))
    assert.equal('1e+300', real(1e300))
    assert.equal('NaN', real(0 / 0))
    assert.equal('Infinity', real(1 / 0))
    assert.equal('-Infinity', real(-1 / 0))
    assert.equal('0.1', narrow(0.1))
    assert.equal('16777216.0', narrow(16777217))
    -- one digit less would be another number
    local function is_shortest(text, value, certain, read)
      local digits = text:gsub('e.*', ''):gsub('[-.]', ''):gsub('^0+', ''):gsub('0+$', '')
      assert.equal(value, read(text))
      if #digits > certain then
        assert.not_equal(value, read(('%%.%dg'):format(#digits - 1):format(value)))
      end
    end
    local function read_narrow(text)
      return tonumber(ffi.new('float', tonumber(text)))
    end
    random.each(2000, function()
      local value = data.random_value('float64')
      if math.abs(value) < 1 / 0 then
        is_shortest(real(value), value, 15, tonumber)
      end
      value = data.random_value('float32')
      if math.abs(value) < 1 / 0 then
        is_shortest(narrow(value), value, 6, read_narrow)
      end
    end)
  end)
end)
