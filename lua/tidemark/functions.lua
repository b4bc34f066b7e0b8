-- The functions of a declaration, looked at when definitions are linked: where they are, a digest
-- of what they do, which fields of a row they read, and what is certainly wrong with them.

local bytecode = require 'tidemark.bytecode'
local digest = require 'tidemark.digest'
local schema = require 'tidemark.schema'
local shapes = require 'tidemark.shapes'
local writes = require 'tidemark.writes'

local M = {}

local quote = schema.quote

---@class tidemark.Examined
---@field at string "definitions/driver.lua:12", where it begins
---@field file string
---@field code string
---@field lines? table<string, integer> fields of the row and where they are read; nil: any
---@field reach tidemark.Reach

--- What a word cannot be used for in a function; nil where it can.
local function word_problem(linking, name)
  if linking.words.plain[name] == nil then
    local instead = shapes.unsupported_words[name]
    if linking.words.all[name] ~= nil then
      return ('%s declares, which a function cannot do while rows are computed'):format(name)
    end
    local known = {}
    for word in pairs(linking.words.plain) do
      known[#known + 1] = word
    end
    table.sort(known)
    return ('unknown word %s%s'):format(quote(name),
      instead and ': ' .. instead or linking.hint(name, known))
  elseif name == 'require' then
    return 'call require at the top of the file, not while rows are computed'
  elseif name == 'null' then
    return 'null is a word of tests; in a function the value that is not there is nil'
  end
  return nil
end

local function check_words(linking, declaration, reach)
  local names, assigned = {}, {}
  for _, variable in ipairs(reach.assigned) do
    assigned[variable.name] = variable.global
  end
  for name in pairs(reach.globals) do
    names[#names + 1] = not assigned[name] and name or nil
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local problem = word_problem(linking, name)
    if problem then
      linking.report_line(declaration, reach.globals[name], name, '%s', problem)
    end
  end
end

local function report_variable(linking, declaration, what, variable)
  linking.report_line(declaration, variable, variable.name,
    '%s: sets %s, which outlives the row; what a row gives must not depend on other rows', what,
    quote(variable.name))
end

local function check_assigned(linking, declaration, what, reach)
  for _, variable in ipairs(reach.assigned) do
    if variable.global then
      linking.report_line(declaration, variable, variable.name,
        'global %s is not allowed; write local %s', quote(variable.name), variable.name)
    else
      report_variable(linking, declaration, what, variable)
    end
  end
end

local KEEPS = {
  table = '%s: writes into table %s, which outlives the row; a function may keep nothing between '
    .. 'rows: make the table inside it',
  iterator = '%s: calls %s, an iterator that goes on from row to row: make it inside the function',
}

--- Writes into tables of the file, or of one that it requires.
local function check_written(linking, declaration, what, callee)
  for _, place in ipairs(writes.find(callee, linking.known, linking.words.plain)) do
    if place.kind == 'variable' then
      report_variable(linking, declaration, what, place)
    else
      linking.report_line(declaration, place, place.name:match('^[%w_]+'), KEEPS[place.kind], what,
        quote(place.name))
    end
  end
end

--- Features that no text in reach of the function is the name of. A function that hands its row on
--- may return it.
local function check_returned(linking, declaration, what, reach, lines)
  local features = declaration.fields.features or {}
  for i, feature in ipairs(features) do
    if lines and not reach.dynamic and not bytecode.has_text(reach, feature.name) then
      linking.report(declaration, { 'features', features.positions[i] }, 'name',
        'feature "%s" is never returned by the %s', feature.name, what)
    end
  end
end

--- Looks at one function of a declaration.
---@param linking tidemark.Linking
---@param declaration tidemark.Declaration
---@param what 'transform'|'filter'
---@return tidemark.Examined? nil where there is none
function M.examine(linking, declaration, what)
  local callee = declaration.fields[what]
  if not callee then
    return nil
  end
  local info = debug.getinfo(callee, 'S')
  local reach = bytecode.reach(callee, linking.known)
  check_words(linking, declaration, reach)
  check_assigned(linking, declaration, what, reach)
  check_written(linking, declaration, what, callee)
  local lines = bytecode.fields(callee)
  if what == 'transform' then
    check_returned(linking, declaration, what, reach, lines)
  end
  local file = info.source:sub(2)
  return {
    at = file .. ':' .. info.linedefined,
    file = file,
    code = digest.code(linking.digests, callee),
    lines = lines,
    reach = reach,
  }
end

--- Names of the fields that a function reads, sorted; nil where it may read any.
---@param examined tidemark.Examined
---@return string[]?
function M.field_names(examined)
  if not examined.lines then
    return nil
  end
  local names = {}
  for name in pairs(examined.lines) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

--- Reports fields that a function reads and its row does not have.
---@param linking tidemark.Linking
---@param declaration tidemark.Declaration
---@param what string
---@param examined tidemark.Examined
---@param known table<string, boolean>
---@param complete boolean whether all fields of the row are known
function M.check_fields(linking, declaration, what, examined, known, complete)
  local names = {}
  for name in pairs(known) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(complete and M.field_names(examined) or {}) do
    if not known[name] then
      linking.report_line(declaration, { file = examined.file, line = examined.lines[name] }, name,
        '%s: %s is not among its inputs%s', what, quote(name), linking.hint(name, names))
    end
  end
end

return M
