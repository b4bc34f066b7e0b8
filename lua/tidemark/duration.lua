-- Durations such as "36h", "7d" or "1h30m" as microseconds.

local M = {}

local UNITS = {
  w = 604800000000LL,
  d = 86400000000LL,
  h = 3600000000LL,
  m = 60000000LL,
  s = 1000000LL,
  ms = 1000LL,
  us = 1LL,
}
local PRINTED = { 'd', 'h', 'm', 's', 'ms', 'us' } -- no weeks: "365d" reads better than "52w1d"
local MAX = 9223372036854775807LL -- some 292,000 years

local FORM = 'expected a number and a unit of us, ms, s, m, h, d or w, such as "36h" or "1h30m"'

--- A number where a double is exact, otherwise the int64 it is.
local function narrow(microseconds)
  return microseconds <= 0x20000000000000LL and tonumber(microseconds) or microseconds
end

--- Microseconds of a duration's text; nil and a message when it is none. "0d" is 0.
---@param text string
---@return integer? microseconds a number up to 2^53, int64_t cdata beyond
---@return string? message
function M.parse(text)
  local total = 0LL
  local at = 1
  while at <= #text do
    local digits, unit, next_at = text:match('^(%d+)(%l+)()', at)
    local factor = UNITS[unit]
    if not factor or #digits > 18 then
      return nil, FORM
    end
    local amount = 0LL
    for i = 1, #digits do
      amount = amount * 10 + (digits:byte(i) - 48)
    end
    if amount > (MAX - total) / factor then
      return nil, 'is longer than int64 microseconds hold (292,271 years)'
    end
    total = total + amount * factor
    at = next_at
  end
  if #text == 0 then
    return nil, FORM
  end
  return narrow(total)
end

--- The shortest sum of units that parses back to the same duration.
---@param microseconds integer a number or int64_t cdata, not negative
---@return string
function M.print(microseconds)
  local left = microseconds + 0LL
  local parts = {}
  for _, unit in ipairs(PRINTED) do
    local amount = left / UNITS[unit]
    if amount > 0 then
      parts[#parts + 1] = tostring(amount):gsub('LL$', '') .. unit
      left = left - amount * UNITS[unit]
    end
  end
  return #parts > 0 and table.concat(parts) or '0s'
end

return M
