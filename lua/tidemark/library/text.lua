-- Texts: small tools that string.* leaves to be written anew every time. nil in, nil out. Plain
-- text everywhere, no patterns.

local sandbox = require 'tidemark.sandbox'

local find, sub, byte, lower = string.find, string.sub, string.byte, string.lower
local charge, guard_plain = sandbox.charge, sandbox.guard_plain

local M = {}

local MAX_PARTS = 100000 -- of split and words

local function check(text, name)
  if type(text) ~= 'string' then
    error(('text.%s: expected a string, got %s'):format(name, type(text)), 3)
  end
  charge(#text)
end

local function is_space(code)
  return code == 32 or (code >= 9 and code <= 13)
end

--- Without spaces, tabs and line ends at both ends.
---@param text string?
---@return string?
function M.trim(text)
  if text == nil then
    return nil
  end
  check(text, 'trim')
  local first, last = 1, #text
  while first <= last and is_space(byte(text, first)) do
    first = first + 1
  end
  while last >= first and is_space(byte(text, last)) do
    last = last - 1
  end
  return sub(text, first, last)
end

--- Whether it begins with `start`.
---@param text string?
---@param start string
---@return boolean?
function M.starts_with(text, start)
  if text == nil then
    return nil
  end
  check(text, 'starts_with')
  check(start, 'starts_with')
  return sub(text, 1, #start) == start
end

--- Whether it ends with `ending`.
---@param text string?
---@param ending string
---@return boolean?
function M.ends_with(text, ending)
  if text == nil then
    return nil
  end
  check(text, 'ends_with')
  check(ending, 'ends_with')
  return #ending <= #text and sub(text, #text - #ending + 1) == ending
end

--- Whether `part` occurs in it.
---@param text string?
---@param part string
---@return boolean?
function M.contains(text, part)
  if text == nil then
    return nil
  end
  check(text, 'contains')
  check(part, 'contains')
  guard_plain('text.contains', text, part)
  return find(text, part, 1, true) ~= nil
end

local function add_part(parts, part, name)
  local n = parts.n + 1
  if n > MAX_PARTS then
    error(('text.%s: more than %d parts'):format(name, MAX_PARTS), 3)
  end
  parts[n] = part
  parts.n = n
end

--- The parts between separators, empty ones included; their number is `n`.
---@param text string?
---@param separator string not empty
---@return string[]?
function M.split(text, separator)
  if text == nil then
    return nil
  end
  check(text, 'split')
  check(separator, 'split')
  if separator == '' then
    error('text.split: the separator is empty', 2)
  end
  guard_plain('text.split', text, separator)
  local parts, start = { n = 0 }, 1
  while true do
    local first, last = find(text, separator, start, true)
    if not first then
      add_part(parts, sub(text, start), 'split')
      return parts
    end
    add_part(parts, sub(text, start, first - 1), 'split')
    start = last + 1
  end
end

--- The words between white space, in lower case (of ASCII letters); their number is `n`.
---@param text string?
---@return string[]?
function M.words(text)
  if text == nil then
    return nil
  end
  check(text, 'words')
  local words, start = { n = 0 }, nil
  for i = 1, #text + 1 do
    local space = i > #text or is_space(byte(text, i))
    if space and start then
      add_part(words, lower(sub(text, start, i - 1)), 'words')
      start = nil
    elseif not space and not start then
      start = i
    end
  end
  return words
end

--- The number of characters (code points) of UTF-8 text.
---@param text string?
---@return integer?
function M.length(text)
  if text == nil then
    return nil
  end
  check(text, 'length')
  local count = 0
  for i = 1, #text do
    local code = byte(text, i)
    if code < 0x80 or code >= 0xc0 then
      count = count + 1
    end
  end
  return count
end

--- The first `count` characters (code points) of UTF-8 text.
---@param text string?
---@param count integer
---@return string?
function M.left(text, count)
  if text == nil then
    return nil
  end
  check(text, 'left')
  if type(count) ~= 'number' then
    error('text.left: expected a number of characters', 2)
  end
  local seen = 0
  for i = 1, #text do
    local code = byte(text, i)
    if code < 0x80 or code >= 0xc0 then
      seen = seen + 1
      if seen > count then
        return sub(text, 1, i - 1)
      end
    end
  end
  return text
end

--- The number that a text is, all of it: "12", "-0.5", "1e3"; nil for anything else, also for what
--- Lua alone would read, such as "0x10" or "nan".
---@param text string?
---@return number?
function M.number(text)
  if text == nil then
    return nil
  end
  check(text, 'number')
  for i = 1, #text do
    local code = byte(text, i)
    local digit = code >= 48 and code <= 57
    -- + - . E e
    if not (digit or code == 43 or code == 45 or code == 46 or code == 69 or code == 101) then
      return nil
    end
  end
  return tonumber(text)
end

return M
