-- Places on Earth: latitudes and longitudes in degrees (WGS 84), north and east positive. nil in,
-- nil out.

local sin, cos, sqrt, asin, atan2, rad, deg, floor =
  math.sin, math.cos, math.sqrt, math.asin, math.atan2, math.rad, math.deg, math.floor

local M = {}

--- The mean radius of the Earth in kilometres, as the IUGG has it.
M.EARTH_RADIUS_KM = 6371.0088

local BASE32 = '0123456789bcdefghjkmnpqrstuvwxyz'
local MAX_CELL = 12 -- characters of a geohash; about 4 by 2 centimetres

local function check(lat, lon, name)
  if type(lat) ~= 'number' or type(lon) ~= 'number' then
    error(('geo.%s: expected degrees as numbers, got %s and %s'):format(name, type(lat), type(lon)),
      3)
  elseif not (lat >= -90 and lat <= 90) then
    error(('geo.%s: %s is no latitude; expected -90 to 90 degrees'):format(name, tostring(lat)), 3)
  elseif not (lon >= -180 and lon <= 180) then
    error(('geo.%s: %s is no longitude; expected -180 to 180 degrees'):format(name, tostring(lon)),
      3)
  end
end

--- Great-circle distance in kilometres, by the haversine formula on a sphere: within 0.6 % of the
--- ellipsoid.
---@param lat1 number? degrees
---@param lon1 number?
---@param lat2 number?
---@param lon2 number?
---@return number? kilometres
function M.distance_km(lat1, lon1, lat2, lon2)
  if lat1 == nil or lon1 == nil or lat2 == nil or lon2 == nil then
    return nil
  end
  check(lat1, lon1, 'distance_km')
  check(lat2, lon2, 'distance_km')
  local half_lat = sin(rad(lat2 - lat1) / 2)
  local half_lon = sin(rad(lon2 - lon1) / 2)
  local h = half_lat * half_lat + cos(rad(lat1)) * cos(rad(lat2)) * half_lon * half_lon
  if h > 1 then
    h = 1 -- opposite points, by rounding
  end
  return 2 * M.EARTH_RADIUS_KM * asin(sqrt(h))
end

--- The direction in which the great circle from the first place to the second begins: 0 is north,
--- 90 east.
---@param lat1 number? degrees
---@param lon1 number?
---@param lat2 number?
---@param lon2 number?
---@return number? degrees from 0 up to 360
function M.bearing(lat1, lon1, lat2, lon2)
  if lat1 == nil or lon1 == nil or lat2 == nil or lon2 == nil then
    return nil
  end
  check(lat1, lon1, 'bearing')
  check(lat2, lon2, 'bearing')
  local turn = rad(lon2 - lon1)
  local east = sin(turn) * cos(rad(lat2))
  local north = cos(rad(lat1)) * sin(rad(lat2)) - sin(rad(lat1)) * cos(rad(lat2)) * cos(turn)
  return deg(atan2(east, north)) % 360
end

--- Halves an interval towards `value`: the bit, and the half.
local function halve(value, low, high)
  local middle = (low + high) / 2
  if value >= middle then
    return 1, middle, high
  end
  return 0, low, middle
end

--- The geohash cell a place lies in: near places mostly share a beginning. 5 characters are about
--- 5 by 5 km, 7 about 150 by 150 m. (G. Niemeyer's geohash, as in the public domain.)
---@param lat number? degrees
---@param lon number?
---@param length integer characters, 1 to 12
---@return string?
function M.cell(lat, lon, length)
  if lat == nil or lon == nil then
    return nil
  end
  check(lat, lon, 'cell')
  if type(length) ~= 'number' or length % 1 ~= 0 or length < 1 or length > MAX_CELL then
    error('geo.cell: expected a length from 1 to 12', 2)
  end
  local south, north, west, east = -90, 90, -180, 180
  local out, index = '', 0
  for i = 0, length * 5 - 1 do
    local bit
    if i % 2 == 0 then
      bit, west, east = halve(lon, west, east)
    else
      bit, south, north = halve(lat, south, north)
    end
    index = index * 2 + bit
    if i % 5 == 4 then
      out = out .. BASE32:sub(index + 1, index + 1)
      index = 0
    end
  end
  return out
end

--- Whether a place lies in a box, edges included. A box whose west is east of its east crosses the
--- 180th meridian.
---@param lat number? degrees
---@param lon number?
---@param south number
---@param west number
---@param north number
---@param east number
---@return boolean?
function M.within(lat, lon, south, west, north, east)
  if lat == nil or lon == nil then
    return nil
  end
  check(lat, lon, 'within')
  local across
  if west <= east then
    across = lon >= west and lon <= east
  else
    across = lon >= west or lon <= east
  end
  return across and lat >= south and lat <= north
end

--- Degrees to a whole number of cells of `size` degrees: a coarse grid to group by.
---@param degrees number?
---@param size number degrees, more than 0
---@return integer?
function M.grid(degrees, size)
  if degrees == nil then
    return nil
  end
  if type(degrees) ~= 'number' or type(size) ~= 'number' or size ~= size or size <= 0 then
    error('geo.grid: expected degrees and a size of more than 0', 2)
  end
  return floor(degrees / size)
end

return M
