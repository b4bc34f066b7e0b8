-- Text of definition files with a counter in it, so that no loop and no recursion goes on for ever:
-- a call at the start of every function and of every block that a loop or a goto can come back to.
-- It is put between tokens of the same line, so that lines stay what they are, and it works in
-- compiled traces, where no hook of the interpreter does.
--
-- The counter is an upvalue of the file, `tidemark_step`, which the file itself cannot name. All
-- that a jump back can reach is a block behind `do` or `repeat`, the start of a function, or a
-- label; so it is there that steps are counted. A label at the end of its block cannot be jumped
-- back to, and must stay the last thing in it.

local M = {}

local COUNTER = 'tidemark_step'
local STEP = ' ' .. COUNTER .. '();'

local find, sub = string.find, string.sub

-- Tokens ------------------------------------------------------------------------------------------

--- The place behind a long bracket `[[…]]`, `[==[…]==]` that begins at `at`; nil for no such thing.
local function skip_long(text, at)
  local _, opened, level = find(text, '^%[(=*)%[', at)
  if not opened then
    return nil
  end
  local _, closed = find(text, ']' .. level .. ']', opened + 1, true)
  return (closed or #text) + 1
end

local function skip_comment(text, at)
  return skip_long(text, at + 2) or (find(text, '[\r\n]', at) or #text + 1)
end

--- The place behind a quoted text. A backslash takes the next character with it, or a line's end,
--- which may be of two characters.
local function skip_quoted(text, at)
  local quote = sub(text, at, at)
  local place = at + 1
  while place <= #text do
    local found = find(text, '[\\' .. quote .. '\r\n]', place)
    if not found then
      break
    elseif sub(text, found, found) ~= '\\' then
      return found + 1
    end
    local taken = sub(text, found + 1, found + 2)
    place = found + ((taken == '\r\n' or taken == '\n\r') and 3 or 2)
    local _, blank = find(text, '^%s*', place)
    if sub(taken, 1, 1) == 'z' then
      place = blank + 1
    end
  end
  return #text + 1
end

--- Where the next token begins: behind white space and comments.
local function skip_blank(text, at)
  while true do
    at = find(text, '[^%s]', at)
    if not at then
      return #text + 1
    elseif sub(text, at, at + 1) ~= '--' then
      return at
    end
    at = skip_comment(text, at)
  end
end

--- The token that begins at `at`: its text as far as it matters here, and the place behind it.
local function token_at(text, at)
  local _, stop = find(text, '^[%a_\128-\255][%w_\128-\255]*', at)
  if stop then
    return sub(text, at, stop), stop + 1
  end
  local first = sub(text, at, at)
  if find(first, '%d') or find(text, '^%.%d', at) then
    -- Digits, letters and points, and a sign behind the letter of an exponent.
    local exponent = find(text, '^0[xX]', at) and '[pP]' or '[eE]'
    local place = at
    while true do
      local _, behind = find(text, '^[%w_.]*', place)
      if find(text, '^[+-]', behind + 1) and find(sub(text, behind, behind), exponent) then
        place = behind + 2
      else
        return '0', behind + 1
      end
    end
  elseif first == '"' or first == "'" then
    return '""', skip_quoted(text, at)
  elseif first == '[' then
    local behind = skip_long(text, at)
    if behind then
      return '""', behind
    end
  elseif sub(text, at, at + 1) == '::' then
    return '::', at + 2
  end
  return first, at + 1
end

-- Counting ----------------------------------------------------------------------------------------

local ENDS_BLOCK = { ['end'] = true, ['else'] = true, ['elseif'] = true, [''] = true }

--- What comes behind a byte order mark and a first line that begins with #, which are skipped.
local function skip_heading(text)
  local at = sub(text, 1, 3) == '\239\187\191' and 4 or 1
  if sub(text, at, at) == '#' then
    at = find(text, '[\r\n]', at) or #text + 1
  end
  return at
end

---@class tidemark.Counting
---@field text string
---@field out string[]
---@field kept integer everything before this place is in `out`

local function put_step(counting, at)
  counting.out[#counting.out + 1] = sub(counting.text, counting.kept, at - 1)
  counting.out[#counting.out + 1] = STEP
  counting.kept = at
end

--- Behind the parameters of a function, which are names only.
local function put_in_function(counting, at)
  local token
  repeat
    at = skip_blank(counting.text, at)
    token, at = token_at(counting.text, at)
  until token == ')' or token == ''
  put_step(counting, at)
  return at
end

--- Behind a label `::name::` and those that follow it, unless the block ends there.
local function put_behind_labels(counting, at)
  local text = counting.text
  local _, behind, token
  repeat
    _, at = token_at(text, skip_blank(text, at)) -- the name
    _, behind = token_at(text, skip_blank(text, at)) -- the second ::
    token, at = token_at(text, skip_blank(text, behind))
  until token ~= '::'
  if token == ';' then -- belongs to the label: there is no empty statement
    behind, token = at, token_at(text, skip_blank(text, at))
  end
  if not ENDS_BLOCK[token] then
    put_step(counting, behind)
  end
  return behind
end

--- The text with its steps counted, as a function to be called with the counter, which gives the
--- file's main function. Only for text that compiles as it is.
---@param text string
---@return string? counted
---@return string? problem
---@return integer? line
function M.count(text)
  local at = skip_heading(text)
  local counting = { text = text, out = {}, kept = at }
  while true do
    at = skip_blank(text, at)
    local token, behind = token_at(text, at)
    if token == '' then
      break
    elseif token == 'do' or token == 'repeat' then
      put_step(counting, behind)
    elseif token == 'function' then
      behind = put_in_function(counting, behind)
    elseif token == '::' then
      behind = put_behind_labels(counting, behind)
    elseif token == COUNTER then
      local _, breaks = sub(text, 1, at):gsub('\n', '')
      return nil, COUNTER .. ' is a name that definitions cannot use', breaks + 1
    end
    at = behind
  end
  counting.out[#counting.out + 1] = sub(text, counting.kept)
  return ('local %s = ... return function(...) %s\nend'):format(COUNTER, table.concat(counting.out))
end

--- Compiles a definition file so that it counts its steps.
---@param text string
---@param chunkname string '@definitions/a.lua'
---@param environment table
---@param step fun() called at every step; raises when there were too many
---@return function? chunk
---@return string? message as load's
function M.compile(text, chunkname, environment, step)
  local plain, message = load(text, chunkname, 't', environment)
  if not plain then
    return nil, message
  end
  local counted, problem, line = M.count(text)
  if not counted then
    return nil, ('%s:%d: %s'):format(chunkname:sub(2), line, problem)
  end
  local make, failure = load(counted, chunkname, 't', environment)
  if not make then
    return nil, failure
  end
  return make(step)
end

return M
