-- What Tab adds to a line of the REPL: names of variables, fields and methods, and inside a string
-- the names of what was applied.

local M = {}

local KEYWORDS = {
  'and', 'break', 'do', 'else', 'elseif', 'end', 'false', 'for', 'function', 'goto', 'if', 'in',
  'local', 'nil', 'not', 'or', 'repeat', 'return', 'then', 'true', 'until', 'while',
}

--- The text of the string that is open at the end of `text`; nil when none is.
local function open_string(text)
  local at = 1
  while true do
    local from, _, quote = text:find('(["\'])', at)
    if not from then
      return nil
    end
    local stop = from + 1
    while stop <= #text and text:sub(stop, stop) ~= quote do
      stop = stop + (text:sub(stop, stop) == '\\' and 2 or 1)
    end
    if stop > #text then
      return text:sub(from + 1)
    end
    at = stop + 1
  end
end

--- Where fields of a value are looked up, without running anything of its metatable.
local function places_of(value)
  local places = {}
  for _ = 1, 16 do -- chains of classes are short; a circle is none
    if type(value) == 'string' then
      places[#places + 1] = string
      return places
    elseif type(value) ~= 'table' then
      return places
    end
    places[#places + 1] = value
    local meta = debug.getmetatable(value)
    value = type(meta) == 'table' and rawget(meta, '__index') or nil
  end
  return places
end

local function field_of(value, name)
  for _, place in ipairs(places_of(value)) do
    local found = rawget(place, name)
    if found ~= nil then
      return found
    end
  end
  return nil
end

--- The value of `a.b.c`; nil when there is none.
local function resolve(environment, path)
  local value = environment
  for name in path:gmatch('[%w_]+') do
    value = field_of(value, name)
    if value == nil then
      return nil
    end
  end
  return value
end

--- Names of the fields of a value that begin with `start`; after a colon only functions.
local function fields(value, start, methods)
  local found = {}
  for _, place in ipairs(places_of(value)) do
    for name, field in pairs(place) do
      if type(name) == 'string' and name:find('^[%a_][%w_]*$') and name:sub(1, #start) == start
        and (not methods or type(field) == 'function')
        and (name:sub(1, 1) ~= '_' or start ~= '') then
        found[name] = true
      end
    end
  end
  return found
end

local function names_in_line(text, environment)
  local path, mark, start = text:match('([%a_][%w_.]*)([.:])([%w_]*)$')
  if path then
    return fields(resolve(environment, path), start, mark == ':'), start
  end
  start = text:match('[%w_]*$')
  if start:find('^%d') or text:sub(1, -#start - 1):find('[.:]%s*$') then
    return {}, start
  end
  local found = fields(environment, start, false)
  for _, word in ipairs(KEYWORDS) do
    if start ~= '' and word:sub(1, #start) == start then
      found[word] = true
    end
  end
  return found, start
end

local function names_in_string(text, known)
  local start = text:match('[^%s,]*$')
  local found = {}
  for _, name in ipairs(known()) do
    if name:sub(1, #start) == start then
      found[name] = true
    end
  end
  return found, start
end

local function common_prefix(names)
  local prefix = names[1]
  for _, name in ipairs(names) do
    while name:sub(1, #prefix) ~= prefix do
      prefix = prefix:sub(1, -2)
    end
  end
  return prefix
end

--- Names in columns, read downwards.
---@param names string[]
---@param width integer  of the terminal
---@return string
function M.columns(names, width)
  local widest = 0
  for _, name in ipairs(names) do
    widest = math.max(widest, #name)
  end
  local columns = math.max(1, math.floor((width + 1) / (widest + 2)))
  local rows = math.ceil(#names / columns)
  local lines = {}
  for row = 1, rows do
    local cells = {}
    for at = row, #names, rows do
      cells[#cells + 1] = names[at] .. (' '):rep(widest - #names[at])
    end
    lines[row] = table.concat(cells, '  '):gsub('%s+$', '')
  end
  return table.concat(lines, '\n')
end

--- Completes the end of `text`: what to insert, and what there is to choose from when it is not
--- clear.
---@param text string  the line up to the cursor
---@param environment table  whose variables there are
---@param known fun(): string[]  names that stand in strings
---@param width integer?  columns for the choice, default 80
---@return string? insert
---@return string? listing
function M.complete(text, environment, known, width)
  local quoted = open_string(text)
  local found, start
  if quoted then
    found, start = names_in_string(quoted, known)
  else
    found, start = names_in_line(text, environment)
  end
  local names = {}
  for name in pairs(found) do
    names[#names + 1] = name
  end
  if #names == 0 then
    return nil
  end
  table.sort(names)
  local insert = common_prefix(names):sub(#start + 1)
  if #names == 1 or insert ~= '' then
    return insert
  end
  return nil, M.columns(names, width or 80)
end

return M
