-- A digest of what a function does: of its bytecode, its constants, and everything it reaches
-- through the variables around it. Two texts that differ in comments, layout or names of variables
-- have one digest; whatever may change a result changes it.

local bit = require 'bit'
local util = require 'jit.util'

local M = {}

local band, bnot, bxor, rshift, ror = bit.band, bit.bnot, bit.bxor, bit.rshift, bit.ror
local tobit, tohex = bit.tobit, bit.tohex

-- SHA-256 (FIPS 180-4) ----------------------------------------------------------------------------

--- The first 32 bits behind the point of the given root of the first `count` primes.
local function prime_roots(count, power)
  local constants, number = {}, 2
  while #constants < count do
    local is_prime = true
    for divisor = 2, math.floor(math.sqrt(number)) do
      is_prime = is_prime and number % divisor ~= 0
    end
    if is_prime then
      constants[#constants + 1] = tobit(math.floor((number ^ power) % 1 * 2 ^ 32))
    end
    number = number + 1
  end
  return constants
end

local ROUNDS = prime_roots(64, 1 / 3)
local START = prime_roots(8, 1 / 2)

--- The words of a block and those that the standard makes of them.
local function schedule(text, at, words)
  for i = 1, 16 do
    local a, b, c, d = text:byte(at, at + 3)
    words[i] = bit.bor(bit.lshift(a, 24), bit.lshift(b, 16), bit.lshift(c, 8), d)
    at = at + 4
  end
  for i = 17, 64 do
    local x, y = words[i - 15], words[i - 2]
    local low = bxor(ror(x, 7), ror(x, 18), rshift(x, 3))
    local high = bxor(ror(y, 17), ror(y, 19), rshift(y, 10))
    words[i] = tobit(words[i - 16] + low + words[i - 7] + high)
  end
end

local function compress(state, words)
  local a, b, c, d, e, f, g, h = unpack(state, 1, 8)
  for i = 1, 64 do
    local sum = bxor(ror(e, 6), ror(e, 11), ror(e, 25))
    local choice = bxor(band(e, f), band(bnot(e), g))
    local first = tobit(h + sum + choice + ROUNDS[i] + words[i])
    local other = bxor(ror(a, 2), ror(a, 13), ror(a, 22))
    local majority = bxor(band(a, b), band(a, c), band(b, c))
    h, g, f, e = g, f, e, tobit(d + first)
    d, c, b, a = c, b, a, tobit(first + tobit(other + majority))
  end
  for i, value in ipairs { a, b, c, d, e, f, g, h } do
    state[i] = tobit(state[i] + value)
  end
end

--- The first 128 bits, in hexadecimal digits.
---@param text string
---@return string
function M.text(text)
  local size = #text
  text = text .. '\128' .. ('\0'):rep((55 - size) % 64) .. '\0\0\0\0'
    .. string.char(band(rshift(size * 8, 24), 255), band(rshift(size * 8, 16), 255),
      band(rshift(size * 8, 8), 255), band(size * 8, 255))
  local state, words = { unpack(START) }, {}
  for at = 1, #text, 64 do
    schedule(text, at, words)
    compress(state, words)
  end
  return tohex(state[1]) .. tohex(state[2]) .. tohex(state[3]) .. tohex(state[4])
end

-- Functions ---------------------------------------------------------------------------------------

---@class tidemark.Writing
---@field parts string[]
---@field numbers table<any, integer> tables, functions and prototypes in the order they were met
---@field count integer
---@field todo any[]
---@field known tidemark.Known

local function put(writing, text)
  writing.parts[#writing.parts + 1] = text
end

--- A number as its bits: 0 and -0 differ, whatever is printed.
local function put_number(writing, number)
  put(writing, number == 0 and (1 / number > 0 and 'n+0' or 'n-0') or ('n%.17g'):format(number))
end

--- A table, function or prototype as its number; what it holds comes in its turn.
local function put_link(writing, value)
  local number = writing.numbers[value]
  if not number then
    number = writing.count + 1
    writing.count = number
    writing.numbers[value] = number
    writing.todo[number] = value
  end
  put(writing, '#' .. number)
end

local function put_value(writing, value)
  local kind = type(value)
  local name = (kind == 'table' or kind == 'function') and writing.known.name_of(value)
  if name then
    put(writing, '@' .. name)
  elseif kind == 'string' then
    put(writing, 's' .. #value .. ':' .. value)
  elseif kind == 'number' then
    put_number(writing, value)
  elseif kind == 'table' then
    put_link(writing, writing.known.inside(value))
  elseif kind == 'function' or kind == 'proto' then
    put_link(writing, value)
  else
    put(writing, kind .. ':' .. tostring(value))
  end
  put(writing, ';')
end

local function put_constants(writing, prototype)
  local index = -1
  while util.funck(prototype, index) ~= nil do
    put_value(writing, util.funck(prototype, index))
    index = index - 1
  end
  for i = 0, util.funcinfo(prototype).nconsts - 1 do
    put_value(writing, util.funck(prototype, i))
  end
end

local function put_prototype(writing, prototype)
  local info = util.funcinfo(prototype)
  put(writing, ('p%d,%s,%d('):format(info.params, tostring(info.isvararg), info.upvalues))
  for pc = 1, info.bytecodes - 1 do
    put(writing, tohex((util.funcbc(prototype, pc))))
  end
  put(writing, ')')
  put_constants(writing, prototype)
end

local RANKS = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local rank_a, rank_b = RANKS[type(a)] or 4, RANKS[type(b)] or 4
  if rank_a ~= rank_b then
    return rank_a < rank_b
  elseif rank_a <= 2 then
    return a < b
  end
  return rank_a == 3 and a and not b
end

--- Keys that are tables or functions have no order that stays: such a table is what its size is.
local function put_table(writing, items)
  local keys = {}
  for key in pairs(items) do
    keys[#keys + 1] = key
  end
  table.sort(keys, before)
  put(writing, 't' .. #keys .. '(')
  for _, key in ipairs(keys) do
    if RANKS[type(key)] then
      put_value(writing, key)
      put_value(writing, items[key])
    end
  end
  put(writing, ')')
end

local function put_function(writing, callee)
  put_prototype(writing, callee)
  for i = 1, 256 do
    local name, value = debug.getupvalue(callee, i)
    if not name then
      return
    end
    put_value(writing, value)
  end
end

local function put_linked(writing, value)
  if type(value) == 'table' then
    put_table(writing, value)
  elseif type(value) == 'proto' then
    put_prototype(writing, value)
  elseif util.funcinfo(value).source then
    put_function(writing, value)
  else
    put(writing, 'builtin')
  end
end

--- The digest of a function.
---@param callee function
---@param known tidemark.Known
---@return string 32 hexadecimal digits
function M.code(callee, known)
  local writing = { parts = {}, numbers = {}, count = 0, todo = {}, known = known }
  put_link(writing, callee)
  local done = 0
  while done < writing.count do
    done = done + 1
    put_linked(writing, writing.todo[done])
  end
  return M.text(table.concat(writing.parts))
end

return M
