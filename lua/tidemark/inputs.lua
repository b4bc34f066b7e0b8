-- The inputs of a view's functions. link.lua leaves the type out where a definition does not say
-- it; here it comes from what the catalog knows of the column (a key, a time) or from the source's
-- own schema, which C has looked up. From then on the list is part of the catalog.
--
-- Before that, an input is { name, type?, column?, used = "file:line"? }, and a function that may
-- read any column has `every = true` and no list.

local locate = require 'tidemark.locate'
local msgpack = require 'tidemark.msgpack'
local problems = require 'tidemark.problems'
local schema = require 'tidemark.schema'
local suggest = require 'tidemark.suggest'

local M = {}

local quote = schema.quote

local FUNCTIONS = { 'filter', 'transform' }

---@class tidemark.SourceSchema
---@field typed boolean whether its columns have types of their own; those of CSV have none
---@field columns { name: string, type?: string, type_text: string }[] no type: none of ours
---@field error? string why it could not be looked at

-- Known types -------------------------------------------------------------------------------------

local function by_name(list)
  local index = {}
  for _, item in ipairs(list) do
    index[item.name] = item
  end
  return index
end

--- Types of the columns that a view's own declarations say: its keys and times.
local function declared_types(catalog, view)
  local source = by_name(catalog.sources)[view.source]
  local entities = by_name(catalog.entities)
  local types = {}
  for _, name in ipairs(view.entities) do
    for _, key in ipairs(entities[name] and entities[name].keys or {}) do
      types[source and source.keys[key.name] or key.name] = key.type
    end
  end
  if source then
    if source.deleted then
      types[source.deleted] = 'bool'
    end
    if source.created_time then
      types[source.created_time] = 'timestamp'
    end
    if source.event_time then
      types[source.event_time] = 'timestamp'
    end
  end
  return types
end

--- Gives inputs the types that the declarations say. True when some still have none.
local function give_declared_types(entry, types)
  local open = entry.every == true
  for _, input in ipairs(entry.inputs) do
    input.type = input.type or types[input.column or input.name]
    open = open or not input.type
  end
  return open
end

-- Wanted ------------------------------------------------------------------------------------------

--- Fills in what is known, and lists the sources whose schema decides about the rest.
---@param catalog table as link.lua made it
---@return { name: string }[] sources of the catalog, as it has them
function M.wanted(catalog)
  local sources, seen = by_name(catalog.sources), {}
  local list = msgpack.array {}
  for _, view in ipairs(catalog.views) do
    local types
    for _, what in ipairs(FUNCTIONS) do
      if view[what] then
        types = types or declared_types(catalog, view)
        if give_declared_types(view[what], types) and not seen[view.source] then
          seen[view.source] = true
          list[#list + 1] = sources[view.source]
        end
      end
    end
  end
  return list
end

--- Takes out of inputs what only this module needs.
---@param catalog table
function M.strip(catalog)
  for _, view in ipairs(catalog.views) do
    for _, what in ipairs(FUNCTIONS) do
      if view[what] then
        view[what].every = nil
        for _, input in ipairs(view[what].inputs) do
          input.used = nil
        end
      end
    end
  end
end

-- Resolving ---------------------------------------------------------------------------------------

---@class tidemark.Resolving
---@field files table<string, tidemark.SourceFile>
---@field problems table[]
---@field sources table<string, table> by name
---@field applied { sources: table<string, table>, views: table<string, table> } by name

--- A problem of a view, at one of its fields.
local function report(resolving, view, path, message, ...)
  local file, line = view.at:match('^(.*):(%d+)$')
  local declaration = { word = 'feature_view', name = view.name, line = tonumber(line) }
  local place = resolving.files[file]
    and locate.find(resolving.files[file], declaration, path, 'value')
    or { path = file, line = tonumber(line) }
  problems.add(resolving.problems, resolving.files, place,
    ('feature_view %s: %s'):format(quote(view.name), message:format(...)))
end

--- A problem of an input, where the function reads it.
local function report_input(resolving, view, input, what, message, ...)
  local path, line = (input.used or ''):match('^(.*):(%d+)$')
  local file = resolving.files[path]
  if not file then
    report(resolving, view, { what }, message, ...)
    return
  end
  local place = locate.find_field(file, tonumber(line), input.name)
  problems.add(resolving.problems, resolving.files, place,
    ('feature_view %s: %s: %s'):format(quote(view.name), what, message:format(...)))
end

--- How a definition would say the types: `inputs = { string 'a', string 'b' }`.
local function example_of(entry)
  local parts = {}
  for _, input in ipairs(entry.inputs) do
    if not input.type and #parts < 4 then
      parts[#parts + 1] = ("float64 '%s'"):format(input.name)
    end
  end
  return ('inputs = { %s }'):format(#parts > 0 and table.concat(parts, ', ') or "float64 'name'")
end

local function column_names(found)
  local names = {}
  for i, column in ipairs(found.columns) do
    names[i] = column.name
  end
  return names
end

local function resolve_input(resolving, view, what, input, found, columns)
  local column = columns[input.name]
  if not column then
    report_input(resolving, view, input, what, 'source "%s" has no column %s%s', view.source,
      quote(input.name), suggest.hint(input.name, column_names(found)))
  elseif not column.type then
    report_input(resolving, view, input, what,
      'column %s of source "%s" is %s, which is no type of values; say how to read it with %s',
      quote(input.name), view.source, column.type_text,
      ("inputs = { string '%s' }"):format(input.name))
  else
    input.type = column.type
  end
end

--- All columns of a source whose values are of our types.
local function every_input(found, types)
  local list = msgpack.array {}
  for _, column in ipairs(found.columns) do
    local column_type = types[column.name] or column.type
    if column_type then
      list[#list + 1] = { name = column.name, type = column_type }
    end
  end
  return list
end

--- Where rows are read: the same columns, as long as nobody changes the file.
local SAME_ROWS = { 'path', 'sql' }

--- What was applied of a function, where it is the same one over the same source.
local function applied_function(resolving, view, what)
  local old = resolving.applied.views[view.name] or {}
  local before, now = resolving.applied.sources[view.source], resolving.sources[view.source]
  if old.source ~= view.source or not before or not old[what]
    or old[what].code ~= view[what].code then
    return nil
  end
  for _, field in ipairs(SAME_ROWS) do
    if before[field] ~= now[field] then
      return nil
    end
  end
  return old[what]
end

--- Takes the types over from what is applied. They were true of the source then, which has to do
--- where it is out of reach: a plan is also made where the data is not.
local function resolve_as_applied(resolving, view, what)
  local entry, old = view[what], applied_function(resolving, view, what)
  if not old then
    return false
  elseif entry.every then
    entry.inputs = old.inputs
    return true
  end
  local before, complete = by_name(old.inputs), true
  for _, input in ipairs(entry.inputs) do
    local known = before[input.name] or {}
    if not input.type and (known.column or input.name) == (input.column or input.name) then
      input.type = known.type
    end
    complete = complete and input.type ~= nil
  end
  return complete
end

local function resolve_function(resolving, view, what, found, types)
  local entry = view[what]
  if not found then
    report(resolving, view, { what }, 'the columns of source "%s" are not known', view.source)
  elseif found.error and resolve_as_applied(resolving, view, what) then
    return
  elseif found.error then
    report(resolving, view, { 'source' },
      'source "%s" cannot be opened to see the types of what the %s reads (%s); make it '
        .. 'readable, or write %s', view.source, what, found.error, example_of(entry))
  elseif not found.typed then
    report(resolving, view, { 'source' },
      'the columns of source "%s" have no types of their own; say what the %s reads: %s',
      view.source, what, example_of(entry))
  elseif entry.every then
    entry.inputs = every_input(found, types)
  else
    local columns = by_name(found.columns)
    for _, input in ipairs(entry.inputs) do
      if not input.type then
        resolve_input(resolving, view, what, input, found, columns)
      end
    end
  end
end

local function is_open(entry)
  if entry.every then
    return true
  end
  for _, input in ipairs(entry.inputs) do
    if not input.type then
      return true
    end
  end
  return false
end

--- Gives every input its type.
---@param catalog table as link.lua made it; changed in place
---@param texts table<string, string> the definition files
---@param schemas table<string, tidemark.SourceSchema> by name of the source
---@param applied table? the catalog that is applied; nil: none
---@return table[] problems
function M.resolve(catalog, texts, schemas, applied)
  local resolving = {
    files = {},
    problems = {},
    sources = by_name(catalog.sources),
    applied = {
      sources = by_name(applied and applied.sources or {}),
      views = by_name(applied and applied.views or {}),
    },
  }
  for path, text in pairs(texts) do
    resolving.files[path] = { path = path, text = text }
  end
  for _, view in ipairs(catalog.views) do
    local types = declared_types(catalog, view)
    for _, what in ipairs(FUNCTIONS) do
      if view[what] and is_open(view[what]) then
        resolve_function(resolving, view, what, schemas[view.source], types)
      end
    end
  end
  M.strip(catalog)
  return problems.finish(resolving.problems)
end

--- The same over msgpack, for C.
---@param declared string
---@param sources string
---@param schemas string
---@param applied string '' for none
---@return table
function M.encoded(declared, sources, schemas, applied)
  local function decode(bytes)
    local value, message = msgpack.decode(bytes)
    return value or error('the definitions are damaged: ' .. message, 0)
  end
  local catalog = decode(declared)
  local found = M.resolve(catalog, decode(sources), decode(schemas),
    applied ~= '' and decode(applied) or nil)
  return {
    catalog = #found == 0 and msgpack.encode(catalog) or '',
    problems = msgpack.encode(found),
    count = #found,
  }
end

return M
