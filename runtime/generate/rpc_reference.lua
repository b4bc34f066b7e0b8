-- Writes the reference page and the editor stubs of the methods from runtime/rpc/methods.lua.
--   luajit runtime/generate/rpc_reference.lua [FOLDER]     from the root; FOLDER: write below it

local root = (arg[1] or '.') .. '/'

local methods = dofile('runtime/rpc/methods.lua')

-- What a parameter is on the wire, and in Lua.
local WIRE_TYPES = {
  text = 'string',
  flag = 'boolean',
  time = 'integer or string',
  texts = 'list of strings',
  map = 'map',
  list = 'list',
  rows = 'map or list',
}
local LUA_TYPES = {
  text = 'string',
  flag = 'boolean',
  time = 'integer|string',
  texts = 'string[]',
  map = 'table<string, table<string, string>>',
  list = 'table[]',
  rows = 'table<string, any>|table<string, any>[]',
}

local lines

local function put(format, ...)
  lines[#lines + 1] = select('#', ...) > 0 and format:format(...) or format
end

local function write_file(path)
  local file = assert(io.open(root .. path, 'w'))
  file:write(table.concat(lines, '\n'), '\n')
  file:close()
end

local function class_name(method)
  return 'tidemark.' .. method.name:gsub('_?(%a)(%a*)', function(first, rest)
    return first:upper() .. rest
  end)
end

-- The values a text may have; of a plural and a singular only one would say it all, but both work.
local function values_note(param)
  return param.values and ': ' .. '`' .. table.concat(param.values, '`, `') .. '`' or ''
end

local function cell(text)
  return (text:gsub('|', '\\|'))
end

local function put_rows(rows)
  put('| name | type | |')
  put('| --- | --- | --- |')
  for _, row in ipairs(rows) do
    put('| `%s` | %s | %s |', row[1], cell(row[2]), cell(row[3]))
  end
  put('')
end

local function put_method(method)
  put('### %s', method.name)
  put('')
  put(method.summary)
  put('')
  if #method.params > 0 then
    put('Parameters:')
    put('')
    local rows = {}
    for i, param in ipairs(method.params) do
      local needed = param.required and ', required' or ''
      rows[i] = { param.name, WIRE_TYPES[param.type] .. needed, param.doc .. values_note(param) }
    end
    put_rows(rows)
  end
  put('Result:')
  put('')
  local rows = {}
  for i, field in ipairs(method.result) do
    rows[i] = { field[1], '`' .. field[2] .. '`', field[3] }
  end
  put_rows(rows)
end

local INTRODUCTION = [[
# Methods

<!-- Generated from runtime/rpc/methods.lua by runtime/generate/rpc_reference.lua. -->

The protocol is [msgpack-RPC](https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md) over
TCP, so that any client of it works:

    request       [0, id, method, params]       id: an integer of 32 bits, the client's
    response      [1, id, error, result]        error: nil, or what went wrong
    notification  [2, method, params]           no answer comes

`params` is an array with one map; an empty array stands for an empty map. A parameter that is nil
counts as not given; one that is not known is an error with a suggestion. Requests may be sent
without waiting for answers, which carry the id of their request and may come in any order. Times
are integers: microseconds since 1970-01-01T00:00:00Z. A float that is a whole number, which is all
that some languages have, does for an integer: as a key, a value or a time. Fields may be added to
results; none will be taken away.

Errors are arrays `[code, message, details]`; `details.where` names the parameter or the place in a
file, such as `entities.driver_id[3]`. Codes are stable:
]]

local LIMITS = [[

A message that is not msgpack-RPC, or is larger or deeper than the limits that `hello` tells, ends
the connection, after an error answer where its id could be read. A client that does not read its
answers is not read from either, and is cut off when too many bytes wait for it.
]]

-- The table of codes in base/error.h is the one place that knows them.
local function put_codes()
  put('')
  put('| code | name | |')
  put('| --- | --- | --- |')
  for line in io.lines('runtime/base/error.h') do
    local number, name, rest = line:match('^%s*X%(ERR_[%u_]+, (%d+), "([%a_]+)", %d%)(.*)')
    if number and number ~= '0' then
      put('| %s | %s | %s |', number, name, rest:match('/%*%s*(.-)%s*%*/') or '')
    end
  end
end

local function write_reference()
  lines = {}
  put((INTRODUCTION:gsub('\n$', '')))
  put_codes()
  put((LIMITS:gsub('\n$', '')))
  put('')
  put('## Over a connection')
  put('')
  for _, method in ipairs(methods) do
    if method.remote then
      put_method(method)
    end
  end
  put('## In this process only')
  put('')
  put('These work on the project\'s files: the command line and scripts call them, connections')
  put('cannot. Relative paths start at the project\'s folder.')
  put('')
  for _, method in ipairs(methods) do
    if not method.remote then
      put_method(method)
    end
  end
  lines[#lines] = nil
  write_file('docs/reference/rpc.md')
end

-- Editor stubs ------------------------------------------------------------------------------------

local KEYWORDS = { ['end'] = true }

local function field_name(name)
  return KEYWORDS[name] and ('["%s"]'):format(name) or name
end

local function put_params_class(method)
  put('---@class (exact) %s', class_name(method))
  for position, param in ipairs(method.params) do
    local optional = param.required and '' or '?'
    local positional = method.name:find('^materialize') and param.required
    put('---@field %s%s %s # %s', field_name(param.name), positional and '?' or optional,
      LUA_TYPES[param.type], param.doc:gsub('\n', ' '))
    if positional then
      put('---@field [%d]? %s # %s', position, LUA_TYPES[param.type], param.name)
    end
  end
  put('')
end

local function put_result_class(method)
  put('---@class %sResult', class_name(method))
  for _, field in ipairs(method.result) do
    local base = field[2]:gsub('%?$', '')
    put('---@field %s%s %s # %s', field[1], base ~= field[2] and '?' or '', base, field[3])
  end
  put('')
end

local function write_stubs()
  lines = {}
  put('---@meta tidemark.methods')
  put('-- Parameters and results of the methods, for editors. Generated from')
  put('-- runtime/rpc/methods.lua by runtime/generate/rpc_reference.lua.')
  put('')
  put('---@class tidemark.Error # raised when a method fails; prints as "where: message"')
  put('---@field code integer # stable')
  put('---@field name string # of the code: "invalid", "not_found", ...')
  put('---@field message string # what was wrong and what to do')
  put('---@field where? string # the parameter or the place in a file')
  put('')
  for _, method in ipairs(methods) do
    if #method.params > 0 then
      put_params_class(method)
    end
    put_result_class(method)
  end
  lines[#lines] = nil
  write_file('lua/tidemark/_meta/tidemark.lua')
end

write_reference()
write_stubs()
