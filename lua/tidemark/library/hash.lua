-- Hashes and buckets that are the same on every machine, in every version: once a model was trained
-- on them they may not change. nil in, nil out.

local bit = require 'bit'
local charge = require('tidemark.sandbox').charge

local band, bxor, rol, rshift, tobit = bit.band, bit.bxor, bit.rol, bit.rshift, bit.tobit
local byte, format = string.byte, string.format

local M = {}

local TWO_TO_32 = 4294967296
local MAX_WHOLE = 9007199254740992

--- The low 32 bits of a product: halves, because a double holds 53 bits.
local function multiply(a, b)
  local low, high = band(a, 0xffff), rshift(a, 16)
  return tobit(tobit(low * b) + tobit(band(tobit(high * b), 0xffff) * 65536))
end

--- One block of four bytes, mixed.
local function scramble(k)
  return multiply(rol(multiply(k, 0xcc9e2d51), 15), 0x1b873593)
end

local function finish(h)
  h = multiply(bxor(h, rshift(h, 16)), 0x85ebca6b)
  h = multiply(bxor(h, rshift(h, 13)), 0xc2b2ae35)
  return bxor(h, rshift(h, 16))
end

--- What is hashed of a value: its bytes; of a number its shortest decimal text, so that 1 and 1.0
--- are one value; of a boolean its word.
local function text_of(value, name)
  local kind = type(value)
  if kind == 'string' then
    return value
  elseif kind == 'number' then
    if value % 1 == 0 and value > -MAX_WHOLE and value < MAX_WHOLE then
      return format('%d', value)
    end
    return format('%.17g', value)
  elseif kind == 'boolean' then
    return value and 'true' or 'false'
  end
  error(('hash.%s: expected a string, number or boolean, got %s'):format(name, kind), 3)
end

--- MurmurHash3, x86 variant of 32 bits (Austin Appleby, public domain), of a text's bytes.
local function murmur3(text, seed)
  local h, size = seed, #text
  charge(size)
  for i = 1, size - 3, 4 do
    local a, b, c, d = byte(text, i, i + 3)
    h = rol(bxor(h, scramble(tobit(a + b * 0x100 + c * 0x10000 + d * 0x1000000))), 13)
    h = tobit(tobit(h * 5) + 0xe6546b64)
  end
  local left = size % 4
  if left > 0 then
    local k = 0
    for i = size, size - left + 1, -1 do
      k = k * 256 + byte(text, i)
    end
    h = bxor(h, scramble(k))
  end
  return finish(bxor(h, size)) % TWO_TO_32
end

--- A whole number from 0 to 2^32 - 1: MurmurHash3 (x86, 32 bits) of the value's text.
---@param value string|number|boolean|nil
---@param seed? integer 0 when not given
---@return integer?
function M.murmur3(value, seed)
  if value == nil then
    return nil
  end
  return murmur3(text_of(value, 'murmur3'), tobit(seed or 0))
end

--- The bucket of a value, 0 to count - 1: its hash modulo `count`.
---@param value string|number|boolean|nil
---@param count integer 1 to 2^32
---@param seed? integer 0 when not given
---@return integer?
function M.bucket(value, count, seed)
  if value == nil then
    return nil
  end
  if type(count) ~= 'number' or count % 1 ~= 0 or count < 1 or count > TWO_TO_32 then
    error('hash.bucket: expected a whole number of buckets, 1 or more', 2)
  end
  return murmur3(text_of(value, 'bucket'), tobit(seed or 0)) % count
end

--- Two values as one, for crossed features: `hash.bucket(hash.cross(row.city, row.device), 1000)`.
--- Lengths are part of it: ("a", "bc") is not ("ab", "c").
---@param a string|number|boolean|nil
---@param b string|number|boolean|nil
---@return string?
function M.cross(a, b)
  if a == nil or b == nil then
    return nil
  end
  local first = text_of(a, 'cross')
  return #first .. ':' .. first .. text_of(b, 'cross')
end

return M
