-- The interactive interpreter of `tidemark lua`: expressions print their values, statements run,
-- and what is not finished yet goes on in the next line.

local M = {}

--- Whether a syntax error only means that the text is not finished.
local function is_incomplete(message)
  return message:find("near '<eof>'", 1, true) ~= nil
end

--- Compiles a line as an expression (with or without a leading `=`) or as statements.
---@param text string
---@return function? chunk
---@return string? message why there is none
---@return boolean? incomplete more lines may mend it
function M.compile(text)
  local expression = text:match('^%s*=(.*)$')
  local chunk = loadstring('return ' .. (expression or text), '=stdin')
  if chunk then
    return chunk
  end
  local message
  chunk, message = loadstring(expression and 'return ' .. expression or text, '=stdin')
  if chunk then
    return chunk
  end
  return nil, message, is_incomplete(message)
end

--- One value as a person wants to see it: a string quoted, a plain table one level deep.
---@param value any
---@return string
function M.show(value)
  if type(value) == 'string' then
    return ('%q'):format(value)
  end
  local meta = getmetatable(value)
  if type(value) ~= 'table' or (type(meta) == 'table' and meta.__tostring) then
    return tostring(value)
  end
  local parts = {}
  for i, item in ipairs(value) do
    parts[i] = type(item) == 'string' and ('%q'):format(item) or tostring(item)
  end
  local named = {}
  for key, item in pairs(value) do
    if type(key) ~= 'number' or key < 1 or key > #parts or key % 1 ~= 0 then
      local text = type(item) == 'string' and ('%q'):format(item) or tostring(item)
      named[#named + 1] = ('%s = %s'):format(tostring(key), text)
    end
  end
  table.sort(named)
  for _, text in ipairs(named) do
    parts[#parts + 1] = text
  end
  return #parts == 0 and '{}' or '{ ' .. table.concat(parts, ', ') .. ' }'
end

local function print_results(ok, ...)
  if not ok then
    io.stderr:write(tostring((...)), '\n')
    return
  end
  local count = select('#', ...)
  if count > 0 then
    local shown = {}
    for i = 1, count do
      shown[i] = M.show((select(i, ...)))
    end
    io.write(table.concat(shown, '\t'), '\n')
  end
end

--- Reads lines until the text compiles or is beyond mending. Returns nil at the end of the input.
local function read_chunk(read, prompt)
  local text
  while true do
    prompt(text and '>> ' or '> ')
    local line = read()
    if not line then
      return nil
    end
    text = text and text .. '\n' .. line or line
    local chunk, message, incomplete = M.compile(text)
    if chunk or not incomplete then
      return chunk, message
    end
  end
end

--- Reads, evaluates and prints until the input ends.
---@param read? fun(): string? one line, nil at the end
---@param prompt? fun(text: string)
function M.run(read, prompt)
  read = read or function()
    return io.read('*l')
  end
  prompt = prompt or function(text)
    io.write(text)
    io.flush()
  end
  while true do
    local chunk, message = read_chunk(read, prompt)
    if chunk then
      print_results(xpcall(chunk, debug.traceback))
    elseif message then
      io.stderr:write(message, '\n')
    else
      prompt('\n')
      return
    end
  end
end

return M
