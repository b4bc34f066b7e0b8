-- msgpack in Lua (github.com/msgpack/msgpack/blob/master/spec.md): for what definitions become, for
-- scripts, and as a second opinion beside the C codec in specs.
--
-- The same value always gives the same bytes: maps are written in the order of their keys. Numbers
-- that are whole and within 2^53 are written as integers, -0.0 and all others as float64; int64_t
-- and uint64_t cdata are integers of any size. Integers beyond 2^53 come back as such cdata.

local bit = require 'bit'
local ffi = require 'ffi'

local M = {}

local MAX_DEPTH = 128
local EXACT = 2 ^ 53 -- whole numbers up to here are exact in a double

local byte, char, concat, sub = string.byte, string.char, table.concat, string.sub
local int64, uint64 = ffi.typeof('int64_t'), ffi.typeof('uint64_t')
local double_bits = ffi.new('union { double real; uint64_t bits; }')
local float_bits = ffi.new('union { float real; uint32_t bits; }')

--- Nil where a table cannot hold it: elements of arrays and values of maps.
M.null = setmetatable({}, {
  __tostring = function()
    return 'null'
  end,
})

local ARRAY = { __name = 'array' }
local MAP = { __name = 'map' }
local BIN = { __name = 'bin' }
local FLOAT = { __name = 'float' }

--- Marks a table as an array, so that an empty one is written as one.
---@generic T: table
---@param items T
---@return T
function M.array(items)
  return setmetatable(items, ARRAY)
end

--- Marks a table as a map whatever its keys are.
---@generic T: table
---@param fields T
---@return T
function M.map(fields)
  return setmetatable(fields, MAP)
end

--- Bytes that are not text.
---@param bytes string
function M.bin(bytes)
  return setmetatable({ bytes = bytes }, BIN)
end

--- A number that is written as float64 even where it is whole.
---@param number number
function M.float(number)
  return setmetatable({ number = number }, FLOAT)
end

--- Whether a decoded or marked value is an array.
---@param value any
---@return boolean
function M.is_array(value)
  return getmetatable(value) == ARRAY
end

-- Encoding ----------------------------------------------------------------------------------------

local function be16(n)
  return char(bit.rshift(n, 8), bit.band(n, 255))
end

local function be32(n)
  return char(
    bit.band(bit.rshift(n, 24), 255),
    bit.band(bit.rshift(n, 16), 255),
    bit.band(bit.rshift(n, 8), 255),
    bit.band(n, 255)
  )
end

local function be64(bits)
  return be32(tonumber(bit.rshift(bits, 32))) .. be32(tonumber(bit.band(bits, 0xffffffffULL)))
end

local function float_bytes(number)
  double_bits.real = number
  return '\203' .. be64(double_bits.bits)
end

local function positive_bytes(n)
  if n < 0x80 then
    return char(n)
  elseif n < 0x100 then
    return '\204' .. char(n)
  elseif n < 0x10000 then
    return '\205' .. be16(n)
  elseif n < 0x100000000 then
    return '\206' .. be32(n)
  end
  return '\207' .. be64(ffi.cast(uint64, n))
end

local function negative_bytes(n)
  if n >= -0x20 then
    return char(0x100 + n)
  elseif n >= -0x80 then
    return '\208' .. char(0x100 + n)
  elseif n >= -0x8000 then
    return '\209' .. be16(0x10000 + n)
  elseif n >= -0x80000000 then
    return '\210' .. be32(n)
  end
  return '\211' .. be64(ffi.cast(uint64, ffi.cast(int64, n)))
end

local function number_bytes(n)
  local whole = n % 1 == 0 and n >= -EXACT and n <= EXACT and not (n == 0 and 1 / n < 0)
  if not whole then
    return float_bytes(n)
  end
  return n >= 0 and positive_bytes(n) or negative_bytes(n)
end

local function cdata_bytes(value)
  if ffi.istype(int64, value) then
    if value >= -0x20000000000000LL and value <= 0x20000000000000LL then
      return number_bytes(tonumber(value))
    end
    return (value >= 0 and '\207' or '\211') .. be64(ffi.cast(uint64, value))
  elseif ffi.istype(uint64, value) then
    if value <= 0x20000000000000ULL then
      return positive_bytes(tonumber(value))
    end
    return '\207' .. be64(value)
  end
  error('cannot encode cdata of type ' .. tostring(ffi.typeof(value)), 0)
end

local function string_bytes(text)
  local size = #text
  if size < 32 then
    return char(0xa0 + size) .. text
  elseif size < 0x100 then
    return '\217' .. char(size) .. text
  elseif size < 0x10000 then
    return '\218' .. be16(size) .. text
  end
  return '\219' .. be32(size) .. text
end

local function bin_bytes(text)
  local size = #text
  if size < 0x100 then
    return '\196' .. char(size) .. text
  elseif size < 0x10000 then
    return '\197' .. be16(size) .. text
  end
  return '\198' .. be32(size) .. text
end

local function array_header(count)
  if count < 16 then
    return char(0x90 + count)
  elseif count < 0x10000 then
    return '\220' .. be16(count)
  end
  return '\221' .. be32(count)
end

local function map_header(count)
  if count < 16 then
    return char(0x80 + count)
  elseif count < 0x10000 then
    return '\222' .. be16(count)
  end
  return '\223' .. be32(count)
end

local function before(a, b)
  if type(a) ~= type(b) then
    return type(a) == 'number'
  end
  return a < b
end

local encode

local function encode_array(items, out, depth)
  local count = #items
  out[#out + 1] = array_header(count)
  for i = 1, count do
    encode(items[i], out, depth + 1)
  end
end

local function encode_map(fields, out, depth)
  local keys = {}
  for key in pairs(fields) do
    if type(key) ~= 'string' and type(key) ~= 'number' then
      error('cannot encode a map key of type ' .. type(key), 0)
    end
    keys[#keys + 1] = key
  end
  table.sort(keys, before)
  out[#out + 1] = map_header(#keys)
  for _, key in ipairs(keys) do
    encode(key, out, depth + 1)
    encode(fields[key], out, depth + 1)
  end
end

local function encode_table(value, out, depth)
  local meta = getmetatable(value)
  if value == M.null then
    out[#out + 1] = '\192'
  elseif meta == BIN then
    out[#out + 1] = bin_bytes(value.bytes)
  elseif meta == FLOAT then
    out[#out + 1] = float_bytes(value.number)
  elseif meta == ARRAY or (meta ~= MAP and value[1] ~= nil) then
    encode_array(value, out, depth)
  else
    encode_map(value, out, depth)
  end
end

local ENCODERS = {
  ['nil'] = function()
    return '\192'
  end,
  boolean = function(value)
    return value and '\195' or '\194'
  end,
  number = number_bytes,
  string = string_bytes,
  cdata = cdata_bytes,
}

function encode(value, out, depth)
  if depth > MAX_DEPTH then
    error('cannot encode more than ' .. MAX_DEPTH .. ' levels', 0)
  end
  local encoder = ENCODERS[type(value)]
  if encoder then
    out[#out + 1] = encoder(value)
  elseif type(value) == 'table' then
    encode_table(value, out, depth)
  else
    error('cannot encode a value of type ' .. type(value), 0)
  end
end

--- A value as msgpack. A table with a first element is an array, any other a map, unless marked.
--- Raises for what msgpack cannot hold.
---@param value any
---@return string
function M.encode(value)
  local out = {}
  encode(value, out, 1)
  return concat(out)
end

-- Decoding ----------------------------------------------------------------------------------------

-- A cursor is { text, at }; `take` gives `count` bytes or raises.
local function take(cursor, count)
  local at = cursor.at
  if #cursor.text - at + 1 < count then
    error('the bytes end inside a value', 0)
  end
  cursor.at = at + count
  return at
end

local function read_unsigned(cursor, size)
  local at = take(cursor, size)
  local n = 0
  for i = at, at + size - 1 do
    n = n * 256 + byte(cursor.text, i)
  end
  return n
end

local function read_bits(cursor)
  local high = read_unsigned(cursor, 4)
  local low = read_unsigned(cursor, 4)
  return ffi.cast(uint64, high) * 0x100000000ULL + ffi.cast(uint64, low)
end

local function read_uint64(cursor)
  local bits = read_bits(cursor)
  if bits <= 0x20000000000000ULL then
    return tonumber(bits)
  end
  return bits < 0x8000000000000000ULL and ffi.cast(int64, bits) or bits
end

local function read_int64(cursor)
  local value = ffi.cast(int64, read_bits(cursor))
  if value >= -0x20000000000000LL and value <= 0x20000000000000LL then
    return tonumber(value)
  end
  return value
end

local function read_signed(cursor, size)
  local n = read_unsigned(cursor, size)
  local limit = 2 ^ (8 * size - 1)
  return n < limit and n or n - 2 * limit
end

local function read_string(cursor, size)
  local at = take(cursor, size)
  return sub(cursor.text, at, at + size - 1)
end

local decode

local function read_array(cursor, count, depth)
  -- Every element is a byte at least: a count beyond that is not worth a table.
  if count > #cursor.text - cursor.at + 1 then
    error('the bytes end inside a value', 0)
  end
  local items = {}
  for i = 1, count do
    items[i] = decode(cursor, depth + 1)
  end
  return setmetatable(items, ARRAY)
end

local function read_map(cursor, count, depth)
  if count * 2 > #cursor.text - cursor.at + 1 then
    error('the bytes end inside a value', 0)
  end
  local fields = {}
  for _ = 1, count do
    local key = decode(cursor, depth + 1)
    if key == M.null or key ~= key then
      error('a map has a key that Lua cannot hold', 0)
    end
    fields[key] = decode(cursor, depth + 1)
  end
  return fields
end

local function read_ext(cursor, size)
  local kind = read_signed(cursor, 1)
  return { ext_type = kind, bytes = read_string(cursor, size) }
end

local DECODERS = {
  [0xc0] = function()
    return M.null
  end,
  [0xc2] = function()
    return false
  end,
  [0xc3] = function()
    return true
  end,
  [0xca] = function(cursor)
    float_bits.bits = read_unsigned(cursor, 4)
    return tonumber(float_bits.real)
  end,
  [0xcb] = function(cursor)
    double_bits.bits = read_bits(cursor)
    return tonumber(double_bits.real)
  end,
  [0xcf] = read_uint64,
  [0xd3] = read_int64,
}
for i, size in ipairs { 1, 2, 4 } do
  DECODERS[0xc3 + i] = function(cursor)
    return read_string(cursor, read_unsigned(cursor, size))
  end
  DECODERS[0xd8 + i] = DECODERS[0xc3 + i]
  DECODERS[0xc6 + i] = function(cursor)
    return read_ext(cursor, read_unsigned(cursor, size))
  end
  DECODERS[0xcb + i] = function(cursor)
    return read_unsigned(cursor, size)
  end
  DECODERS[0xcf + i] = function(cursor)
    return read_signed(cursor, size)
  end
end
for i, size in ipairs { 2, 4 } do
  DECODERS[0xdb + i] = function(cursor, depth)
    return read_array(cursor, read_unsigned(cursor, size), depth)
  end
  DECODERS[0xdd + i] = function(cursor, depth)
    return read_map(cursor, read_unsigned(cursor, size), depth)
  end
end
for i = 0, 4 do
  DECODERS[0xd4 + i] = function(cursor)
    return read_ext(cursor, 2 ^ i)
  end
end

function decode(cursor, depth)
  if depth > MAX_DEPTH then
    error('the value has more than ' .. MAX_DEPTH .. ' levels', 0)
  end
  local head = byte(cursor.text, take(cursor, 1))
  if head < 0x80 then
    return head
  elseif head < 0x90 then
    return read_map(cursor, head - 0x80, depth)
  elseif head < 0xa0 then
    return read_array(cursor, head - 0x90, depth)
  elseif head < 0xc0 then
    return read_string(cursor, head - 0xa0)
  elseif head >= 0xe0 then
    return head - 0x100
  end
  local decoder = DECODERS[head]
  if not decoder then
    error('0xc1 is not msgpack', 0)
  end
  return decoder(cursor, depth)
end

--- The value that starts at `start` (1 when left out) and where the next one starts. Nil is
--- `M.null`; arrays are marked as such. On failure nil and a message.
---@param text string
---@param start? integer
---@return any value
---@return integer|string next_start
function M.decode(text, start)
  local cursor = { text = text, at = start or 1 }
  local ok, value = pcall(decode, cursor, 1)
  if not ok then
    return nil, value
  end
  return value, cursor.at
end

return M
