-- The interactive interpreter of `tidemark lua`: expressions print their values, statements run,
-- and what is not finished yet goes on in the next line. In a project's folder `project` is that
-- project, and `tidemark` is the library anywhere.

local complete = require 'tidemark.complete'

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
    if line == nil then
      return nil
    elseif line == false then
      text = nil -- given up
    else
      text = text and text .. '\n' .. line or line
      local chunk, message, incomplete = M.compile(text)
      if chunk or not incomplete then
        return chunk, message
      end
    end
  end
end

--- Reads, evaluates and prints until the input ends.
---@param read? fun(): string|false|nil  one line, false when it was given up, nil at the end
---@param prompt? fun(text: string)
---@param prepare? fun(chunk: function)  before a chunk is run
function M.run(read, prompt, prepare)
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
      if prepare then
        prepare(chunk)
      end
      print_results(xpcall(chunk, debug.traceback))
    elseif message then
      io.stderr:write(message, '\n')
    else
      return
    end
  end
end

local function is_there(path)
  local file = io.open(path)
  if file then
    file:close()
  end
  return file ~= nil
end

--- Sets the globals that a session begins with.
local function open_project(environment)
  local tidemark = require 'tidemark'
  environment.tidemark = tidemark
  if is_there('definitions') or is_there('.tidemark') then
    local good, project = pcall(tidemark.open, '.')
    environment.project = good and project or nil
  end
end

--- Names that stand in strings: what was applied, and `view:feature`.
local function known_names(environment)
  local names = {}
  local project = environment.project
  for _, kind in ipairs { 'feature_views', 'feature_services', 'entities', 'sources' } do
    local good, items = pcall(function()
      return project:list(kind)
    end)
    for _, item in ipairs(good and items or {}) do
      names[#names + 1] = item.name
      for _, feature in ipairs(kind == 'feature_views' and item.features or {}) do
        local name = type(feature) == 'table' and feature.name or feature
        names[#names + 1] = item.name .. ':' .. name
      end
    end
  end
  return names
end

--- A session of `tidemark lua`: with an editor on a terminal, otherwise over plain lines.
---@param editor userdata?  runtime/host/line.h
function M.start(editor)
  local environment = _G
  open_project(environment)
  if not editor then
    M.run()
    io.write('\n')
    return
  end
  local pending
  local function completed(text, width)
    return complete.complete(text, environment, function()
      return known_names(environment)
    end, width)
  end
  io.write(_VERSION, ' (', jit.version, ')', environment.project and ', `project` is open' or '',
    '; Tab completes, Ctrl-D ends\n')
  M.run(function()
    local line = editor:read(pending, completed)
    if line then
      editor:add(line)
    end
    return line
  end, function(text)
    pending = text
  end, function(chunk)
    jit.off(chunk, true) -- what is compiled does not hear Ctrl-C
  end)
  io.write('\n')
end

return M
