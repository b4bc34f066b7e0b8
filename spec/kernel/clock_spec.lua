local ffi = require 'ffi'
local duration = require 'tidemark.duration'
local random = require 'spec.support.random'
local C = require 'spec.support.ffi'

ffi.cdef [[
bool tidemark_clock_parse(const char *text, size_t size, int64_t *time, char *message);
bool tidemark_clock_from_unit(int64_t value, const char *unit, int64_t *time, char *message);
int64_t tidemark_clock_to_unit(int64_t time, const char *unit);
size_t tidemark_clock_print(int64_t time, char *out);
size_t tidemark_clock_print_duration(int64_t microseconds, char *out);
int64_t tidemark_clock_add_bounded(int64_t a, int64_t b);
int64_t tidemark_clock_sub_bounded(int64_t a, int64_t b);
]]

local MAX = 0x7fffffffffffffffLL
local MIN = -MAX -- the very least int64 stands for no time
local DAY = 86400000000LL

local message = ffi.new('char[512]')
local out = ffi.new('char[40]')

local function outcome(ok, value)
  if ok then
    return value[0]
  end
  return nil, ffi.string(message)
end

local function parse(text)
  local time = ffi.new('int64_t[1]')
  return outcome(C.tidemark_clock_parse(text, #text, time, message), time)
end

local function print_time(time)
  return ffi.string(out, C.tidemark_clock_print(time, out))
end

local function from_unit(value, unit)
  local time = ffi.new('int64_t[1]')
  return outcome(C.tidemark_clock_from_unit(value, unit, time, message), time)
end

local function print_duration(length)
  return ffi.string(out, C.tidemark_clock_print_duration(length, out))
end

describe('clock', function()
  it('agrees with the C library about every day and second', function()
    random.each(5000, function()
      local seconds = math.random(-9223372036853, 9223372036853)
      if random.once_in(2) then
        seconds = math.random(-2 ^ 32, 2 ^ 33)
      end
      local microsecond = random.once_in(3) and 0 or math.random(0, 999999)
      local date = os.date('!*t', seconds)
      local text = ('%s%04d-%02d-%02dT%02d:%02d:%02d'):format(date.year < 0 and '-' or '',
        math.abs(date.year), date.month, date.day, date.hour, date.min, date.sec)
      if microsecond > 0 then
        text = ('%s.%06d'):format(text, microsecond)
      end
      local time = ffi.cast('int64_t', seconds) * 1000000 + microsecond
      assert.equal(text .. 'Z', print_time(time))
      assert.equal(time, parse(text .. 'Z'))
    end)
  end)

  it('counts leap years by the Gregorian rule', function()
    assert.equal(DAY, parse('2000-03-01') - parse('2000-02-29'))
    assert.equal(DAY, parse('2024-03-01') - parse('2024-02-29'))
    assert.equal(DAY, parse('0000-03-01') - parse('0000-02-29'))
    assert.is_nil(parse('1900-02-29'))
    assert.is_nil(parse('2100-02-29'))
    assert.is_nil(parse('2023-02-29'))
    assert.equal(366 * DAY, parse('2001-01-01') - parse('2000-01-01'))
    assert.equal(365 * DAY, parse('1901-01-01') - parse('1900-01-01'))
    assert.equal(146097 * DAY, parse('-0001-01-01') - parse('-0401-01-01'))
  end)

  it('takes the forms that people write', function()
    local noon = 1618228800000000LL
    for _, text in ipairs {
      '2021-04-12T12:00:00Z', '2021-04-12 12:00:00', '2021-04-12T12:00', '2021-04-12t12:00:00z',
      '2021-04-12T14:00:00+02:00', '2021-04-12T14:00:00+0200', '2021-04-12T14:00+02',
      '2021-04-12 04:30:00-07:30', '2021-04-12 12:00:00.000', '2021-04-12 12:00:00 UTC',
      '2021-04-13T00:00:00+12:00', '+2021-04-12T12:00:00Z',
    } do
      assert.equal(noon, parse(text), text)
    end
    assert.equal(noon - DAY / 2, parse('2021-04-12'))
  end)

  it('becomes an integer of a unit: floored, and bounded', function()
    for unit, expected in pairs { s = -2, ms = -1001, us = -1000001, ns = -1000001000 } do
      assert.equal(expected, tonumber(C.tidemark_clock_to_unit(-1000001, unit)))
    end
    assert.equal(MAX, C.tidemark_clock_to_unit(MAX / 2, 'ns'))
    assert.equal(MIN - 1, C.tidemark_clock_to_unit(MIN / 2, 'ns'))
  end)

  it('floors digits beyond the microsecond, before 1970 too', function()
    assert.equal(123456LL, parse('1970-01-01T00:00:00.123456999Z'))
    assert.equal(100000LL, parse('1970-01-01T00:00:00.1Z'))
    assert.equal(-1LL, parse('1969-12-31T23:59:59.999999999Z'))
    assert.equal(-1LL, from_unit(-1, 'ns'))
    assert.equal(-2LL, from_unit(-1001, 'ns'))
    assert.equal(-1LL, from_unit(-1000, 'ns'))
    assert.equal(1LL, from_unit(1999, 'ns'))
  end)

  it('refuses what is not a time', function()
    for _, text in ipairs {
      '', '2021', '2021-04', '2021-13-01', '2021-00-01', '2021-04-31', '2021-04-00',
      '2021-04-12T', '2021-04-12T24:00:00Z', '2021-04-12T12:60:00Z', '2021-04-12T12:00:60Z',
      '2021-04-12T12', '2021-04-12T12:00:00.Z', '2021-04-12T12:00:00+2',
      '2021-04-12T12:00:00+24:00',
      '2021-04-12T12:00:00+02:60', '2021-04-12T12:00:00Zx', ' 2021-04-12', '2021-04-12 ', 'now',
      '20210412', '1234567-01-01', '2021-04-12T12:00:00+02:', '2021/04/12', '2021-04-12T1:00:00',
    } do
      local time, err = parse(text)
      assert.is_nil(time, text)
      assert.equal(('"%s" is not a time: expected ISO-8601 such as 2021-04-12T07:00:00Z'):format(
        text), err)
    end
  end)

  it('reaches to both ends of int64 and refuses one step more (contract rule 7)', function()
    assert.equal('294247-01-10T04:00:54.775807Z', print_time(MAX))
    assert.equal('-290308-12-21T19:59:05.224193Z', print_time(MIN))
    assert.equal(MAX, parse('294247-01-10T04:00:54.775807Z'))
    assert.equal(MIN, parse('-290308-12-21T19:59:05.224193Z'))
    assert.equal(MAX, parse('294247-01-10T05:00:54.775807+01:00'))
    local outside = 'is outside the times that int64 microseconds hold'
    for _, text in ipairs {
      '294247-01-10T04:00:54.775808Z', '-290308-12-21T19:59:05.224192Z', '999999-12-31',
      '-999999-01-01', '294247-01-10T04:00:54.775807-00:01',
    } do
      local time, err = parse(text)
      assert.is_nil(time, text)
      assert.equal(('"%s" %s'):format(text, outside), err)
    end
    assert.is_nil(from_unit(MAX / 1000000 + 1, 's'))
    assert.is_nil(from_unit(MIN / 1000 - 1, 'ms'))
    assert.is_nil(from_unit(-MAX - 1, 'us'))
    assert.equal('-9223372036854775808 us ' .. outside, select(2, from_unit(-MAX - 1, 'us')))
    assert.equal(MAX / 1000000 * 1000000, from_unit(MAX / 1000000, 's'))
  end)

  it('scales integers by their unit and refuses them without one', function()
    assert.equal(1500000000000000LL, from_unit(1500000000, 's'))
    assert.equal(1500000000000000LL, from_unit(1500000000000LL, 'ms'))
    assert.equal(1500000000000000LL, from_unit(1500000000000000LL, 'us'))
    assert.equal(1500000000000000LL, from_unit(1500000000000000000LL, 'ns'))
    local time, err = from_unit(15, '')
    assert.is_nil(time)
    assert.equal("15 is an integer: say its unit with time_unit = 's', 'ms', 'us' or 'ns'", err)
  end)

  it('prints durations so that they read back the same', function()
    assert.equal('365d', print_duration(365 * DAY))
    assert.equal('1h30m', print_duration(5400000000LL))
    assert.equal('0s', print_duration(0))
    random.each(2000, function()
      local length = ffi.cast('int64_t', math.random(1, 2 ^ 52)) * math.random(1, 2000)
      if random.once_in(2) then
        length = math.random(1, 400) * random.pick { 1LL, 1000LL, 1000000LL, 60000000LL, DAY }
      end
      assert.equal(length, ffi.cast('int64_t', (duration.parse(print_duration(length)))))
    end)
  end)

  it('holds bounds at the ends of time', function()
    assert.equal(MAX, C.tidemark_clock_add_bounded(MAX - 5, 6))
    assert.equal(MAX, C.tidemark_clock_add_bounded(MAX - 5, 5))
    assert.equal(MIN, C.tidemark_clock_add_bounded(MIN + 5, -6))
    assert.equal(MIN, C.tidemark_clock_sub_bounded(MIN + 5, 6))
    assert.equal(MIN, C.tidemark_clock_sub_bounded(-1, MAX))
    assert.equal(MAX, C.tidemark_clock_sub_bounded(0, -MAX - 1))
    assert.equal(3LL, C.tidemark_clock_sub_bounded(5, 2))
  end)
end)
