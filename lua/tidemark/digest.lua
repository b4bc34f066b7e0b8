-- A digest of what a function does: of its bytecode, its constants, and everything it reaches
-- through the variables around it. Two texts that differ in comments, layout or names of variables
-- have one digest; whatever may change a result changes it.

local bit = require 'bit'
local bytecode = require 'tidemark.bytecode'
local util = require 'jit.util'

local M = {}

local tohex = bit.tohex

-- Functions ---------------------------------------------------------------------------------------

---@class tidemark.Digests what one load keeps between functions
---@field known tidemark.Known
---@field hash fun(text: string): string
---@field plain table<table, string> digests of tables that hold nothing but values

---@class tidemark.Writing
---@field parts string[]
---@field numbers table<any, integer> tables, functions and prototypes in the order they were met
---@field count integer
---@field todo any[]
---@field digests tidemark.Digests

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
  local name = (kind == 'table' or kind == 'function') and writing.digests.known.name_of(value)
  if name then
    put(writing, '@' .. name)
  elseif kind == 'string' then
    put(writing, 's' .. #value .. ':' .. value)
  elseif kind == 'number' then
    put_number(writing, value)
  elseif kind == 'table' then
    put_link(writing, writing.digests.known.inside(value))
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

--- The keys of a table in an order that is always the same. Those that are tables or functions
--- have none, and are left out: no function can look one up that it does not hold itself.
local function ordered_keys(items)
  local numbers, strings, others = {}, {}, {}
  for key in pairs(items) do
    local kind = type(key)
    local list = kind == 'number' and numbers or kind == 'string' and strings or others
    list[#list + 1] = key
  end
  table.sort(numbers)
  table.sort(strings)
  for _, key in ipairs(strings) do
    numbers[#numbers + 1] = key
  end
  for _, key in ipairs { false, true } do
    if rawget(items, key) ~= nil then
      numbers[#numbers + 1] = key
    end
  end
  return numbers, #others
end

local function put_items(writing, items)
  local keys, others = ordered_keys(items)
  put(writing, 't' .. #keys .. '+' .. others .. '(')
  for _, key in ipairs(keys) do
    put_value(writing, key)
    put_value(writing, rawget(items, key))
  end
  put(writing, ')')
end

local function is_plain(items)
  for _, item in pairs(items) do
    local kind = type(item)
    if kind == 'table' or kind == 'function' then
      return false
    end
  end
  return true
end

--- A table; of one that holds only values the digest, which is found once for all functions.
local function put_table(writing, items)
  local plain = writing.digests.plain
  if not plain[items] and is_plain(items) then
    local own = { parts = {}, digests = writing.digests }
    put_items(own, items)
    plain[items] = writing.digests.hash(table.concat(own.parts))
  end
  if plain[items] then
    put(writing, 't=' .. plain[items])
  else
    put_items(writing, items)
  end
end

--- Which variables the functions inside a function share with it.
local function put_captured(writing, callee)
  for _, variables in ipairs(bytecode.captured(callee)) do
    put(writing, 'u' .. variables)
  end
end

local function put_function(writing, callee)
  put_prototype(writing, callee)
  put_captured(writing, callee)
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

--- What is kept between the functions of one load.
---@param known tidemark.Known
---@param hash fun(text: string): string a digest of bytes
---@return tidemark.Digests
function M.new(known, hash)
  return { known = known, hash = hash, plain = {} }
end

--- The digest of a function.
---@param digests tidemark.Digests
---@param callee function
---@return string
function M.code(digests, callee)
  local writing = { parts = {}, numbers = {}, count = 0, todo = {}, digests = digests }
  put_link(writing, callee)
  local done = 0
  while done < writing.count do
    done = done + 1
    put_linked(writing, writing.todo[done])
  end
  return digests.hash(table.concat(writing.parts))
end

return M
