-- Parts of timestamps, in UTC. A timestamp is what a function's row has for one: microseconds since
-- 1970-01-01T00:00:00Z. nil in, nil out.

local floor = math.floor

local M = {}

--- Microseconds of a second, a minute, an hour, a day, a week.
M.SECOND = 1000000
M.MINUTE = 60 * M.SECOND
M.HOUR = 60 * M.MINUTE
M.DAY = 24 * M.HOUR
M.WEEK = 7 * M.DAY

local SECOND, MINUTE, HOUR, DAY = M.SECOND, M.MINUTE, M.HOUR, M.DAY
local DAYS_TO_1970 = 719468 -- from 0000-03-01
local ERA_DAYS = 146097 -- of 400 years

local function check(t, name)
  if type(t) ~= 'number' then
    error(('time.%s: expected a timestamp in microseconds, got %s'):format(name, type(t)), 3)
  elseif t - t ~= 0 then
    error(('time.%s: %s is no timestamp'):format(name, tostring(t)), 3)
  end
end

--- Year, month and day of a number of days since 1970. After Howard Hinnant, "chrono-Compatible
--- Low-Level Date Algorithms": years begin in March, so that the leap day comes last.
local function civil(days)
  local z = days + DAYS_TO_1970
  local era = floor(z / ERA_DAYS)
  local day_of_era = z - era * ERA_DAYS
  local year_of_era = floor((day_of_era - floor(day_of_era / 1460) + floor(day_of_era / 36524)
    - floor(day_of_era / 146096)) / 365)
  local day_of_year = day_of_era
    - (365 * year_of_era + floor(year_of_era / 4) - floor(year_of_era / 100))
  local month = floor((5 * day_of_year + 2) / 153)
  local day = day_of_year - floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  return year_of_era + era * 400 + (month <= 2 and 1 or 0), month, day
end

--- Days from 1970-01-01 to a date; the way back of `civil`.
local function days_of(year, month, day)
  if month <= 2 then
    year = year - 1
  end
  local era = floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = floor((153 * (month + (month > 2 and -3 or 9)) + 2) / 5) + day - 1
  local day_of_era = year_of_era * 365 + floor(year_of_era / 4) - floor(year_of_era / 100)
    + day_of_year
  return era * ERA_DAYS + day_of_era - DAYS_TO_1970
end

--- The year, such as 2026.
---@param t number? microseconds
---@return integer?
function M.year(t)
  if t == nil then
    return nil
  end
  check(t, 'year')
  local year = civil(floor(t / DAY))
  return year
end

--- The month, 1 to 12.
---@param t number? microseconds
---@return integer?
function M.month(t)
  if t == nil then
    return nil
  end
  check(t, 'month')
  local _, month = civil(floor(t / DAY))
  return month
end

--- The day of the month, 1 to 31.
---@param t number? microseconds
---@return integer?
function M.day(t)
  if t == nil then
    return nil
  end
  check(t, 'day')
  local _, _, day = civil(floor(t / DAY))
  return day
end

--- The day of the year, 1 to 366.
---@param t number? microseconds
---@return integer?
function M.yearday(t)
  if t == nil then
    return nil
  end
  check(t, 'yearday')
  local days = floor(t / DAY)
  local year = civil(days)
  return days - days_of(year, 1, 1) + 1
end

--- The day of the week as ISO 8601 counts: 1 is Monday, 7 is Sunday.
---@param t number? microseconds
---@return integer?
function M.weekday(t)
  if t == nil then
    return nil
  end
  check(t, 'weekday')
  return (floor(t / DAY) + 3) % 7 + 1
end

--- Whether it is Saturday or Sunday.
---@param t number? microseconds
---@return boolean?
function M.is_weekend(t)
  if t == nil then
    return nil
  end
  check(t, 'is_weekend')
  return (floor(t / DAY) + 3) % 7 >= 5
end

--- The hour of the day, 0 to 23.
---@param t number? microseconds
---@return integer?
function M.hour(t)
  if t == nil then
    return nil
  end
  check(t, 'hour')
  return floor(t / HOUR) % 24
end

--- The minute of the hour, 0 to 59.
---@param t number? microseconds
---@return integer?
function M.minute(t)
  if t == nil then
    return nil
  end
  check(t, 'minute')
  return floor(t / MINUTE) % 60
end

--- The second of the minute, 0 to 59, without its fraction.
---@param t number? microseconds
---@return integer?
function M.second(t)
  if t == nil then
    return nil
  end
  check(t, 'second')
  return floor(t / SECOND) % 60
end

--- The latest multiple of `width` that is not after `t`, counted from 1970: `time.floor(t,
--- time.HOUR)` is the beginning of the hour. Weeks so counted begin on Thursdays.
---@param t number? microseconds
---@param width number microseconds, more than 0
---@return number?
function M.floor(t, width)
  if t == nil then
    return nil
  end
  check(t, 'floor')
  check(width, 'floor')
  if width <= 0 then
    error('time.floor: expected a width of more than 0', 2)
  end
  return t - t % width
end

--- The timestamp of a date and time of day in UTC. Days and what is below them may be beyond the
--- month or day; the month may not be beyond the year.
---@param year integer
---@param month integer 1 to 12
---@param day integer
---@param hour? number
---@param minute? number
---@param second? number
---@return number microseconds
function M.of(year, month, day, hour, minute, second)
  check(year, 'of')
  check(month, 'of')
  check(day, 'of')
  if month < 1 or month > 12 or month % 1 ~= 0 then
    error('time.of: expected a month from 1 to 12', 2)
  end
  return days_of(year, month, day) * DAY + (hour or 0) * HOUR + (minute or 0) * MINUTE
    + (second or 0) * SECOND
end

--- Seconds from one moment to another; negative when `to` is the earlier.
---@param from number? microseconds
---@param to number? microseconds
---@return number? seconds
function M.seconds_between(from, to)
  if from == nil or to == nil then
    return nil
  end
  check(from, 'seconds_between')
  check(to, 'seconds_between')
  return (to - from) / SECOND
end

return M
