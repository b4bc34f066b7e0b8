-- The standard library for features: values worked out by hand or by other programs, edges, and
-- what is said of wrong arguments.

local geo = require 'tidemark.library.geo'
local hash = require 'tidemark.library.hash'
local num = require 'tidemark.library.num'
local text = require 'tidemark.library.text'
local time = require 'tidemark.library.time'
local vec = require 'tidemark.library.vec'
local ffi = require 'tidemark.ffi'

local NAN = 0 / 0

local function moment(iso)
  return tonumber(ffi.parse_time(iso))
end

local function fails(pattern, callee, ...)
  local ok, message = pcall(callee, ...)
  assert.is_false(ok)
  assert.truthy(message:find(pattern, 1, true), message)
end

describe('time', function()
  it('takes a moment apart', function()
    local t = moment '2024-02-29T23:59:58.5Z'
    assert.same({ 2024, 2, 29, 60, 4, 23, 59, 58 }, {
      time.year(t), time.month(t), time.day(t), time.yearday(t), time.weekday(t), time.hour(t),
      time.minute(t), time.second(t),
    })
  end)

  it('is right before 1970 and at the ends of years and centuries', function()
    for _, iso in ipairs {
      '1969-12-31T23:59:59Z', '1900-02-28T00:00:00Z', '2000-02-29T12:00:00Z',
      '2100-03-01T00:00:00Z', '0001-01-01T00:00:00Z', '1970-01-01T00:00:00Z',
    } do
      local t = moment(iso)
      local got = ('%04d-%02d-%02dT%02d:%02d:%02dZ'):format(time.year(t), time.month(t),
        time.day(t), time.hour(t), time.minute(t), time.second(t))
      assert.equal(iso, got)
    end
  end)

  it('agrees with the calendar of the system for random days', function()
    local seed = os.time()
    math.randomseed(seed)
    for _ = 1, 2000 do
      local seconds = math.random(-2 ^ 31, 2 ^ 32)
      local expected = os.date('!*t', seconds)
      local t = seconds * 1e6
      local where = 'seed ' .. seed .. ', second ' .. seconds
      assert.equal(expected.year, time.year(t), where)
      assert.equal(expected.month, time.month(t), where)
      assert.equal(expected.day, time.day(t), where)
      assert.equal(expected.yday, time.yearday(t), where)
      assert.equal((expected.wday + 5) % 7 + 1, time.weekday(t), where)
      assert.equal(t, time.of(expected.year, expected.month, expected.day, expected.hour,
        expected.min, expected.sec), where)
    end
  end)

  it('knows weekends', function()
    assert.is_true(time.is_weekend(moment '2026-11-22T00:00:00Z'))
    assert.is_true(time.is_weekend(moment '2026-11-21T23:59:59Z'))
    assert.is_false(time.is_weekend(moment '2026-11-23T00:00:00Z'))
  end)

  it('rounds down to a width', function()
    assert.equal(moment '2026-01-01T10:00:00Z',
      time.floor(moment '2026-01-01T10:59:59.999999Z', time.HOUR))
    assert.equal(moment '1969-12-31T00:00:00Z', time.floor(moment '1969-12-31T23:00:00Z', time.DAY))
  end)

  it('gives nil for nil and errors for what is no moment', function()
    assert.is_nil(time.hour(nil))
    assert.is_nil(time.seconds_between(nil, 0))
    assert.equal(1.5, time.seconds_between(0, 1500000))
    fails('time.hour: expected a timestamp in microseconds, got string', time.hour, 'noon')
    fails('is no timestamp', time.day, NAN)
    fails('a month from 1 to 12', time.of, 2026, 13, 1)
  end)
end)

describe('num', function()
  it('divides safely', function()
    assert.equal(0.5, num.safe_div(1, 2))
    assert.is_nil(num.safe_div(1, 0))
    assert.equal(-1, num.safe_div(1, 0, -1))
    assert.equal(7, num.safe_div(nil, 3, 7))
  end)

  it('clamps, and leaves NaN', function()
    assert.equal(0, num.clamp(-3, 0, 1))
    assert.equal(1, num.clamp(1.5, 0, 1))
    assert.equal(0.25, num.clamp(0.25, 0, 1))
    local x = num.clamp(NAN, 0, 1)
    assert.is_true(x ~= x)
    fails('above the high end', num.clamp, 1, 3, 2)
  end)

  it('keeps the digits of log1p', function()
    assert.equal(1e-20, num.log1p(1e-20))
    assert.is_true(math.abs(num.log1p(1e-10) / 9.9999999995e-11 - 1) < 1e-15)
    assert.equal(math.log(3), num.log1p(2))
    assert.equal(-math.huge, num.log1p(-1))
    assert.equal(math.huge, num.log1p(math.huge))
    local x = num.log1p(-2)
    assert.is_true(x ~= x)
  end)

  it('has a sigmoid that does not overflow', function()
    assert.equal(0.5, num.sigmoid(0))
    assert.equal(1, num.sigmoid(1000))
    assert.equal(0, num.sigmoid(-1000))
  end)

  it('rounds halves away from zero, and only halves', function()
    assert.equal(3, num.round(2.5))
    assert.equal(-3, num.round(-2.5))
    assert.equal(0, num.round(0.49999999999999994))
    assert.equal(3.14, num.round(3.14159, 2))
    assert.equal(1200, num.round(1234, -2))
    assert.equal(math.huge, num.round(math.huge))
    assert.equal(1e300, num.round(1e300, 100))
  end)

  it('finds buckets by their edges', function()
    local edges = { 0, 10, 20 }
    local got = {}
    for i, x in ipairs { -1, 0, 9.99, 10, 20, 1e9 } do
      got[i] = num.bucketize(x, edges)
    end
    assert.same({ 0, 1, 1, 2, 3, 3 }, got)
    assert.equal(0, num.bucketize(5, {}))
  end)

  it('tells NaN, infinities and signs', function()
    assert.is_true(num.is_nan(NAN))
    assert.is_false(num.is_nan(1))
    assert.is_false(num.is_finite(-math.huge))
    assert.is_true(num.is_finite(0))
    assert.same({ 1, -1, 0 }, { num.sign(3), num.sign(-0.1), num.sign(0) })
    assert.equal(0, num.default(nil, 0))
    assert.equal(false, num.default(false, 0))
  end)
end)

describe('geo', function()
  it('measures great circles', function()
    -- Paris to London; half and a quarter of the way round.
    assert.is_true(math.abs(geo.distance_km(48.8566, 2.3522, 51.5074, -0.1278) - 343.56) < 0.01)
    local half = math.pi * geo.EARTH_RADIUS_KM
    assert.is_true(math.abs(geo.distance_km(0, 0, 0, 180) - half) < 1e-6)
    assert.is_true(math.abs(geo.distance_km(90, 0, 0, 77) - half / 2) < 1e-6)
    assert.equal(0, geo.distance_km(12.5, 99, 12.5, 99))
  end)

  it('points the way', function()
    assert.equal(0, geo.bearing(0, 0, 10, 0))
    assert.equal(90, geo.bearing(0, 0, 0, 10))
    assert.equal(270, geo.bearing(0, 0, 0, -10))
  end)

  it('names geohash cells', function()
    assert.equal('u4pruydqqvj', geo.cell(57.64911, 10.40744, 11))
    assert.equal('ezs42', geo.cell(42.605, -5.603, 5))
    assert.equal('s', geo.cell(0, 0, 1))
    fails('a length from 1 to 12', geo.cell, 0, 0, 13)
  end)

  it('looks into boxes, across the 180th meridian too', function()
    assert.is_true(geo.within(50, 10, 40, 0, 60, 20))
    assert.is_true(geo.within(60, 20, 40, 0, 60, 20))
    assert.is_false(geo.within(50, 21, 40, 0, 60, 20))
    assert.is_true(geo.within(0, 179, -10, 170, 10, -170))
    assert.is_false(geo.within(0, 0, -10, 170, 10, -170))
  end)

  it('refuses places that are not on Earth', function()
    assert.is_nil(geo.distance_km(nil, 0, 0, 0))
    fails('is no latitude', geo.distance_km, 91, 0, 0, 0)
    fails('is no longitude', geo.cell, 0, 200, 5)
    fails('expected degrees as numbers', geo.bearing, 'x', 0, 0, 0)
    assert.equal(-1, geo.grid(-0.5, 1))
  end)
end)

describe('hash', function()
  it('is MurmurHash3', function()
    -- The published check values of the 32-bit variant.
    local cases = {
      { '', 0, 0 }, { '', 1, 0x514e28b7 }, { '', 0xffffffff, 0x81f16f39 },
      { '\255\255\255\255', 0, 0x76293b50 }, { '\33\67\101\135', 0, 0xf55b516b },
      { '\33\67\101\135', 0x5082edee, 0x2362f9de }, { '\33\67\101', 0, 0x7e4a8634 },
      { '\33\67', 0, 0xa0f7b07a }, { '\33', 0, 0x72661cf4 }, { '\0\0\0\0', 0, 0x2362f9de },
      { 'aaaa', 0x9747b28c, 0x5a97808a }, { 'abc', 0, 0xb3dd93fa },
      { 'Hello, world!', 0x9747b28c, 0x24884cba },
      { 'The quick brown fox jumps over the lazy dog', 0x9747b28c, 0x2fa826cd },
    }
    for _, case in ipairs(cases) do
      assert.equal(case[3], hash.murmur3(case[1], case[2]))
    end
  end)

  it('takes numbers and booleans by their text', function()
    assert.equal(hash.murmur3('42'), hash.murmur3(42))
    assert.equal(hash.murmur3('0.10000000000000001'), hash.murmur3(0.1))
    assert.equal(hash.murmur3('true'), hash.murmur3(true))
    assert.is_nil(hash.murmur3(nil))
    fails('expected a string, number or boolean, got table', hash.murmur3, {})
  end)

  it('spreads over all buckets', function()
    local seen = {}
    for i = 1, 10000 do
      local bucket = hash.bucket('user' .. i, 16)
      seen[bucket] = (seen[bucket] or 0) + 1
    end
    for bucket = 0, 15 do
      assert.is_true(seen[bucket] > 500 and seen[bucket] < 750, 'bucket ' .. bucket)
    end
    assert.equal(0, hash.bucket('x', 1))
    fails('a whole number of buckets', hash.bucket, 'x', 0)
  end)

  it('tells crossed values apart', function()
    assert.are_not.equal(hash.cross('a', 'bc'), hash.cross('ab', 'c'))
    assert.is_nil(hash.cross('a', nil))
  end)
end)

describe('text', function()
  it('trims, begins, ends, contains', function()
    assert.equal('a b', text.trim ' \t a b\r\n')
    assert.equal('', text.trim '  ')
    assert.is_true(text.starts_with('tidemark', 'tide'))
    assert.is_true(text.ends_with('tidemark', ''))
    assert.is_false(text.ends_with('mark', 'tidemark'))
    assert.is_true(text.contains('a.c', '.'))
    assert.is_false(text.contains('abc', '.'))
  end)

  it('splits', function()
    assert.same({ 'a', '', 'b', n = 3 }, text.split('a,,b', ','))
    assert.same({ '', n = 1 }, text.split('', ','))
    assert.same({ 'a', '', n = 2 }, text.split('a::', '::'))
    assert.same({ 'the', 'moon', n = 2 }, text.words '  The\tMOON ')
    assert.same({ n = 0 }, text.words '')
    fails('the separator is empty', text.split, 'a', '')
  end)

  it('counts and cuts characters, not bytes', function()
    assert.equal(4, text.length 'a€ü𝄞')
    assert.equal('a€', text.left('a€ü𝄞', 2))
    assert.equal('a€ü𝄞', text.left('a€ü𝄞', 9))
    assert.equal('', text.left('ü', 0))
  end)

  it('reads decimal numbers only', function()
    assert.equal(12, text.number '12')
    assert.equal(-0.5, text.number '-.5')
    assert.equal(1000, text.number '1e3')
    for _, bad in ipairs { '', ' 1', '0x10', 'nan', 'inf', '1e', '1 2', '--1' } do
      assert.is_nil(text.number(bad), bad)
    end
  end)
end)

describe('vec', function()
  it('adds up', function()
    assert.equal(6, vec.sum { 1, 2, 3 })
    assert.equal(0, vec.sum {})
    assert.equal(2, vec.mean { 1, 2, 3 })
    assert.is_nil(vec.mean {})
    assert.equal(3, vec.max { 1, 3, 2 })
    assert.equal(1, vec.min { 2, 1, 3 })
    local x = vec.max { 1, NAN, 2 }
    assert.is_true(x ~= x)
  end)

  it('multiplies and measures', function()
    assert.equal(11, vec.dot({ 1, 2 }, { 3, 4 }))
    assert.equal(5, vec.norm { 3, 4 })
    assert.equal(5, vec.distance({ 1, 1 }, { 4, 5 }))
    assert.equal(1, vec.cosine({ 2, 0 }, { 5, 0 }))
    assert.equal(0, vec.cosine({ 1, 0 }, { 0, 1 }))
    assert.is_nil(vec.cosine({ 0, 0 }, { 0, 1 }))
    assert.same({ 2, 4, n = 2 }, vec.scale({ 1, 2 }, 2))
    assert.same({ 4, 6, n = 2 }, vec.add({ 1, 2 }, { 3, 4 }))
  end)

  it('encodes categories', function()
    assert.same({ 0, 1, 0, n = 3 }, vec.one_hot('b', { 'a', 'b', 'c' }))
    assert.same({ 0, 0, n = 2 }, vec.one_hot(nil, { 'a', 'b' }))
    fails('1 to 65536 categories', vec.one_hot, 'a', {})
  end)

  it('says which element is wrong', function()
    assert.is_nil(vec.dot(nil, { 1 }))
    fails('the lengths 1 and 2 differ', vec.dot, { 1 }, { 1, 2 })
    fails('element 2 is null', vec.sum, { 1, nil, 3, n = 3 })
    fails('expected a list of numbers, got string', vec.norm, 'x')
  end)
end)
