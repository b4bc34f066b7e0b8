local ffi = require 'ffi'
local mpack = require 'mpack'
local msgpack = require 'tidemark.msgpack'

local function hex(bytes)
  return (bytes:gsub('.', function(char)
    return ('%02x'):format(char:byte())
  end))
end

local function unhex(text)
  return (text:gsub('%x%x', function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

local function random_value(depth)
  local kind = math.random(depth > 0 and 9 or 7)
  if kind == 1 then
    return math.random() < 0.5
  elseif kind == 2 then
    return math.random(-40, 200)
  elseif kind == 3 then
    return math.floor((math.random() - 0.5) * 2 ^ math.random(8, 53))
  elseif kind == 4 then
    -- Not beyond 2^53, where the other library writes whole floats as integers.
    return (math.random() - 0.5) * 10 ^ math.random(-20, 12)
  elseif kind <= 7 then
    return ('x'):rep(math.random(0, 40) * (math.random(20) == 1 and 5000 or 1))
  end
  local value = {}
  for i = 1, math.random(1, math.random(30) == 1 and 70000 or 20) do
    local key = kind == 8 and i or 'k' .. i
    value[key] = i > 20 and i or random_value(depth - 1)
  end
  return value
end

describe('tidemark.msgpack', function()
  it('writes integers in their shortest form', function()
    local forms = {
      [0] = '00', [127] = '7f', [128] = 'cc80', [255] = 'ccff', [256] = 'cd0100',
      [65535] = 'cdffff', [65536] = 'ce00010000', [4294967295] = 'ceffffffff',
      [4294967296] = 'cf0000000100000000', [2 ^ 53] = 'cf0020000000000000',
      [-1] = 'ff', [-32] = 'e0', [-33] = 'd0df', [-128] = 'd080', [-129] = 'd1ff7f',
      [-32768] = 'd18000', [-32769] = 'd2ffff7fff', [-2147483648] = 'd280000000',
      [-2147483649] = 'd3ffffffff7fffffff',
    }
    for number, expected in pairs(forms) do
      assert.equal(expected, hex(msgpack.encode(number)), tostring(number))
      assert.equal(number, (msgpack.decode(unhex(expected))))
    end
  end)

  it('keeps integers beyond 2^53 exact', function()
    for _, value in ipairs { 9007199254740993LL, -9007199254740993LL, 9223372036854775807LL,
      -9223372036854775807LL - 1LL, 18446744073709551615ULL } do
      local back = msgpack.decode(msgpack.encode(value))
      assert.is_true(back == value and type(back) == 'cdata', tostring(value))
    end
    assert.equal('cfffffffffffffffff', hex(msgpack.encode(18446744073709551615ULL)))
    assert.equal('05', hex(msgpack.encode(5LL)))
    assert.equal('fb', hex(msgpack.encode(-5LL)))
  end)

  it('writes numbers that are not whole, and -0.0, as float64', function()
    assert.equal('cb3fe0000000000000', hex(msgpack.encode(0.5)))
    assert.equal('cb8000000000000000', hex(msgpack.encode(-0.0)))
    assert.equal('cb7ff0000000000000', hex(msgpack.encode(math.huge)))
    assert.equal('cb4000000000000000', hex(msgpack.encode(msgpack.float(2))))
    local nan = msgpack.decode(msgpack.encode(0 / 0))
    assert.is_true(nan ~= nan)
    assert.equal(-math.huge, 1 / msgpack.decode(msgpack.encode(-0.0)))
  end)

  it('reads float32', function()
    assert.equal(1.5, (msgpack.decode(unhex('ca3fc00000'))))
  end)

  it('tells empty arrays from empty maps', function()
    assert.equal('80', hex(msgpack.encode {}))
    assert.equal('90', hex(msgpack.encode(msgpack.array {})))
    assert.is_true(msgpack.is_array(msgpack.decode '\144'))
    assert.is_false(msgpack.is_array(msgpack.decode '\128'))
    assert.equal('90', hex(msgpack.encode((msgpack.decode '\144'))))
  end)

  it('keeps nil inside arrays', function()
    local value = msgpack.decode(unhex('9301c003'))
    assert.equal(3, #value)
    assert.equal(msgpack.null, value[2])
    assert.equal('9301c003', hex(msgpack.encode(value)))
  end)

  it('writes maps in the order of their keys', function()
    local map = {}
    for _, key in ipairs { 'c', 'a', 'b', 'aa', '' } do
      map[key] = 1
    end
    map[7] = 1
    assert.equal('860701a001a16101a2616101a16201a16301', hex(msgpack.encode(map)))
  end)

  it('writes bytes as bin', function()
    assert.equal('c40200ff', hex(msgpack.encode(msgpack.bin '\0\255')))
    assert.equal('\0\255', (msgpack.decode(unhex 'c40200ff')))
  end)

  it('says where the next value starts', function()
    local bytes = msgpack.encode 'ab' .. msgpack.encode(7)
    local first, at = msgpack.decode(bytes)
    local second, stop = msgpack.decode(bytes, at)
    assert.same({ 'ab', 7, #bytes + 1 }, { first, second, stop })
  end)

  it('agrees with another implementation', function()
    local seed = os.time()
    math.randomseed(seed)
    for _ = 1, 100 do
      local value = random_value(3)
      local bytes = msgpack.encode(value)
      local ok, message = pcall(function()
        assert.is_true(bytes == msgpack.encode(mpack.unpack(bytes)))
        -- What the other library writes is read as it reads it: it is wrong about some negative
        -- numbers when it writes.
        local theirs = mpack.pack(value)
        assert.is_true(msgpack.encode((msgpack.decode(theirs)))
          == msgpack.encode(mpack.unpack(theirs)))
      end)
      assert(ok, ('seed %d: %s'):format(seed, message))
    end
  end)

  it('refuses what msgpack cannot hold', function()
    assert.error_matches(function()
      msgpack.encode(print)
    end, 'cannot encode a value of type function')
    assert.error_matches(function()
      msgpack.encode { [true] = 1 }
    end, 'cannot encode a map key of type boolean')
    assert.error_matches(function()
      msgpack.encode(ffi.new('int[1]'))
    end, 'cannot encode cdata')
    local cyclic = {}
    cyclic[1] = cyclic
    assert.error_matches(function()
      msgpack.encode(cyclic)
    end, 'more than 128 levels')
  end)

  it('refuses damaged bytes with a message', function()
    local bytes = msgpack.encode { a = { 1, 2.5, 'text' }, b = { c = true } }
    for size = 0, #bytes - 1 do
      local value, message = msgpack.decode(bytes:sub(1, size))
      assert.is_nil(value)
      assert.equal('the bytes end inside a value', message)
    end
    assert.same({ n = 2, nil, '0xc1 is not msgpack' },
      { n = 2, msgpack.decode '\193' })
    assert.is_nil((msgpack.decode(unhex 'ddffffffff')))
    assert.is_nil((msgpack.decode(unhex 'dfffffffff')))
    assert.is_nil((msgpack.decode(unhex '81c001')))
    assert.is_nil((msgpack.decode(('\145'):rep(1000) .. '\1')))
  end)
end)
