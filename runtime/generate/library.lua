-- Writes what people and editors read of the standard library for features, from the comments of
-- lua/tidemark/library/*.lua: a reference page and annotations (LuaCATS).
--
--   luajit runtime/generate/library.lua

package.path = './lua/?.lua;./lua/?/init.lua;' .. package.path

local NAMES = { 'time', 'geo', 'hash', 'num', 'text', 'vec' }
local PAGE = 'docs/reference/library.md'
local STUBS = 'lua/tidemark/_meta/library.lua'

local function read_lines(path)
  local lines = {}
  for line in io.lines(path) do
    lines[#lines + 1] = line
  end
  return lines
end

--- The comment at the top of a file, as one text.
local function head_of(lines)
  local parts = {}
  for _, line in ipairs(lines) do
    local text = line:match('^%-%- ?(.*)$')
    if not text then
      break
    end
    parts[#parts + 1] = text
  end
  return table.concat(parts, ' ')
end

--- Everything public of a module, in order: { name, parameters?, doc, annotations }.
local function entries_of(lines)
  local entries, doc, annotations = {}, {}, {}
  for _, line in ipairs(lines) do
    local annotation, comment = line:match('^%-%-%-(@.*)$'), line:match('^%-%-%- (.*)$')
    local name, parameters = line:match('^function M%.([%w_]+)%((.*)%)$')
    local constant = line:match('^M%.([%w_]+) = ')
    if annotation then
      annotations[#annotations + 1] = annotation
    elseif comment then
      doc[#doc + 1] = comment
    else
      if name or constant then
        entries[#entries + 1] = {
          name = name or constant,
          parameters = parameters,
          doc = table.concat(doc, ' '),
          annotations = annotations,
        }
      end
      if not (constant and #doc > 0) then
        doc, annotations = {}, {}
      end
    end
  end
  return entries
end

local modules = {}
for i, name in ipairs(NAMES) do
  local lines = read_lines('lua/tidemark/library/' .. name .. '.lua')
  modules[i] = { name = name, doc = head_of(lines), entries = entries_of(lines) }
end

--- What a function returns, as its annotation says: "number? kilometres".
local function returns_of(entry)
  for _, annotation in ipairs(entry.annotations) do
    local returned = annotation:match('^@return (.*)$')
    if returned then
      return returned
    end
  end
  return nil
end

local function write_page()
  local out = {
    '# The library for features',
    '',
    'Words that every definition file has: pure functions of their arguments. What `hash` gives '
      .. 'never changes.',
    '',
  }
  for _, module in ipairs(modules) do
    out[#out + 1] = ('## %s'):format(module.name)
    out[#out + 1] = ''
    out[#out + 1] = module.doc
    out[#out + 1] = ''
    out[#out + 1] = '| | gives | |'
    out[#out + 1] = '| --- | --- | --- |'
    for _, entry in ipairs(module.entries) do
      local call = entry.parameters and ('(%s)'):format(entry.parameters) or ''
      local gives = (returns_of(entry) or 'number'):gsub('|', '\\|')
      out[#out + 1] = ('| `%s.%s%s` | %s | %s |'):format(module.name, entry.name, call, gives,
        (entry.doc:gsub('|', '\\|')))
    end
    out[#out + 1] = ''
  end
  out[#out] = nil
  return table.concat(out, '\n') .. '\n'
end

local function write_stubs()
  local out = {
    '---@meta',
    '-- The library for features, for editors. Generated from lua/tidemark/library/ by',
    '-- runtime/generate/library.lua.',
    '',
    "error('annotations are for editors; they cannot be loaded')",
    '',
  }
  for _, module in ipairs(modules) do
    out[#out + 1] = ('--- %s'):format(module.doc)
    out[#out + 1] = ('%s = {}'):format(module.name)
    out[#out + 1] = ''
    for _, entry in ipairs(module.entries) do
      out[#out + 1] = '--- ' .. entry.doc
      for _, annotation in ipairs(entry.annotations) do
        out[#out + 1] = '---' .. annotation
      end
      if entry.parameters then
        out[#out + 1] = ('function %s.%s(%s) end'):format(module.name, entry.name,
          entry.parameters)
      else
        out[#out + 1] = '---@type number'
        out[#out + 1] = ('%s.%s = nil'):format(module.name, entry.name)
      end
      out[#out + 1] = ''
    end
  end
  out[#out] = nil
  return table.concat(out, '\n') .. '\n'
end

for path, write in pairs { [PAGE] = write_page, [STUBS] = write_stubs } do
  local file = assert(io.open(path, 'w'))
  file:write(write())
  file:close()
end
