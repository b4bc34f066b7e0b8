-- From checked declarations to a catalog: resolves names between them, whatever files they stand
-- in, and reports those that lead nowhere. The catalog's form is that of runtime/data/catalog.h,
-- without what plan.lua adds (ids and slots).

local functions = require 'tidemark.functions'
local msgpack = require 'tidemark.msgpack'
local schema = require 'tidemark.schema'
local shapes = require 'tidemark.shapes'

local M = {}

local quote = schema.quote

local MAX_KEYS = 64 -- of one view, as runtime/data/catalog.h has it

---@class tidemark.Declaration
---@field word string
---@field name string
---@field file string path
---@field line integer
---@field spec table as it was written
---@field fields table what schema.check returned

---@class tidemark.Linking
---@field report fun(declaration: table, path: table, want: string, message: string, ...)
---@field maybe fun(name: string): boolean whether something unreadable may be called so
---@field hint fun(word: string, known: string[]): string
---@field by_word table<string, table<string, tidemark.Declaration>>
---@field names fun(word: string): string[] all declared names, sorted
---@field partial boolean declarations are missing because a file could not be run
---@field report_line fun(declaration: table, place: { file: string, line: integer }, word: string,
---  message: string, ...) a problem of a word on a line
---@field known tidemark.Known
---@field digests tidemark.Digests
---@field words { all: table<string, any>, plain: table<string, any> } plain: those of lib/ too

--- The keys of a table, sorted.
local function names_of(index)
  local names = {}
  for name in pairs(index) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

local function sorted(declarations)
  local list = {}
  for i, name in ipairs(names_of(declarations)) do
    list[i] = declarations[name]
  end
  return list
end

local function at_of(declaration)
  return declaration.file .. ':' .. declaration.line
end

-- Views of both kinds share their names: references tell them apart by nothing else.
local SHARES_NAMES = {
  feature_view = 'on_demand_feature_view',
  on_demand_feature_view = 'feature_view',
}

--- Each name once per word; the first one stays.
local function index_declarations(linking, declarations)
  for _, declaration in ipairs(declarations) do
    local same_word = linking.by_word[declaration.word]
    local first = same_word[declaration.name]
    local other = linking.by_word[SHARES_NAMES[declaration.word]]
    local namesake = other and other[declaration.name]
    if first then
      linking.report(declaration, {}, 'name', 'is declared twice, first at %s', at_of(first))
    elseif namesake then
      linking.report(declaration, {}, 'name', 'has the name of a %s, declared at %s',
        namesake.word, at_of(namesake))
      same_word[declaration.name] = declaration
    else
      same_word[declaration.name] = declaration
    end
  end
end

--- The view of either kind that a name refers to; nil, after a report unless it may be broken.
local function resolve_view(linking, name, declaration, path)
  local by_word = linking.by_word
  local found = by_word.feature_view[name] or by_word.on_demand_feature_view[name]
  if not found and not linking.maybe(name) then
    local known = {}
    for _, word in ipairs { 'feature_view', 'on_demand_feature_view' } do
      for _, known_name in ipairs(linking.names(word)) do
        known[#known + 1] = known_name
      end
    end
    linking.report(declaration, path, 'name', 'unknown feature_view %s%s', quote(name),
      linking.hint(name, known))
  end
  return found
end

--- The declaration that a name refers to; nil, after a report unless it may be a broken one.
local function resolve(linking, word, name, declaration, path)
  local found = linking.by_word[word][name]
  if not found and not linking.maybe(name) then
    linking.report(declaration, path, 'name', 'unknown %s %s%s', word, quote(name),
      linking.hint(name, linking.names(word)))
  end
  return found
end

-- Entities and sources ----------------------------------------------------------------------------

local function link_entity(declaration)
  local fields = declaration.fields
  local keys = msgpack.array {}
  for i, key in ipairs(fields.keys or {}) do
    keys[i] = { name = key.name, type = key.type, doc = key.doc }
  end
  return {
    name = declaration.name,
    at = at_of(declaration),
    doc = fields.doc,
    tags = fields.tags,
    keys = keys,
  }
end

--- Names of the keys of all entities; whether some could not be read.
local function all_key_names(linking)
  local names, partial = {}, linking.partial
  for _, entity in pairs(linking.by_word.entity) do
    local keys = entity.fields.keys
    for _, key in ipairs(keys or {}) do
      names[key.name] = true
    end
    partial = partial or not keys or keys.broken
  end
  return names, partial
end

local function link_source(linking, declaration)
  local fields = declaration.fields
  local known, partial = all_key_names(linking)
  for _, key in ipairs(names_of(fields.keys or {})) do
    if not known[key] and not partial then
      linking.report(declaration, { 'keys', key }, 'key', 'no entity has a key %s%s', quote(key),
        linking.hint(key, names_of(known)))
    end
  end
  return {
    name = declaration.name,
    at = at_of(declaration),
    doc = fields.doc,
    tags = fields.tags,
    path = fields.path,
    sql = fields.sql,
    event_time = fields.event_time,
    created_time = fields.created_time,
    deleted = fields.deleted,
    time_unit = fields.time_unit,
    keys = fields.keys or msgpack.map {},
  }
end

-- Views -------------------------------------------------------------------------------------------

--- The path of the n-th entity of a view, which may be written without a list.
local function entity_path(declaration, position)
  return type(declaration.spec.entity) == 'table' and { 'entity', position } or { 'entity' }
end

--- Name of each key of a view's entities, with its entity; reports what two of them share.
local function view_keys(linking, declaration)
  local keys, seen, count = {}, {}, 0
  for i, name in ipairs(declaration.fields.entity or {}) do
    local path = entity_path(declaration, i)
    local entity = resolve(linking, 'entity', name, declaration, path)
    if seen[name] then
      linking.report(declaration, path, 'value', 'entity %s is listed twice', quote(name))
      entity = nil
    end
    seen[name] = true
    for _, key in ipairs(entity and entity.fields.keys or {}) do
      if keys[key.name] then
        linking.report(declaration, path, 'value',
          'entities %s and %s both have a key %s; a view needs keys of different names',
          quote(keys[key.name]), quote(name), quote(key.name))
      end
      keys[key.name] = keys[key.name] or name
      count = count + 1
    end
  end
  if count > MAX_KEYS then
    linking.report(declaration, { 'entity' }, 'value', 'has %d keys; a view has at most %d', count,
      MAX_KEYS)
  end
  return keys
end

--- A column belongs to features that are columns.
local function check_column(linking, declaration, feature, position)
  if feature.column and declaration.fields.transform then
    linking.report(declaration, { 'features', position, 'column' }, 'key',
      'feature "%s": column: the transform makes the features; columns are fields of its row',
      feature.name)
  end
end

local function link_features(linking, declaration, keys)
  local list = declaration.fields.features or {}
  local features = msgpack.array {}
  for i, feature in ipairs(list) do
    if keys[feature.name] then
      linking.report(declaration, { 'features', list.positions[i] }, 'name',
        'feature "%s" has the name of a key of entity "%s"', feature.name, keys[feature.name])
    end
    check_column(linking, declaration, feature, list.positions[i])
    features[#features + 1] = {
      name = feature.name,
      type = feature.type,
      column = not declaration.fields.transform and (feature.column or feature.name) or nil,
      doc = feature.doc,
      tags = feature.tags,
    }
  end
  return features
end

local function input_of(input)
  return { name = input.name, type = input.type, column = input.column }
end

--- Inputs that the definition lists: those of them that the function reads.
local function listed_inputs(linking, declaration, what, examined)
  local list = declaration.fields.inputs
  local known = {}
  for _, input in ipairs(list) do
    known[input.name] = true
  end
  functions.check_fields(linking, declaration, what, examined, known, not list.broken)
  local inputs = msgpack.array {}
  for _, input in ipairs(list) do
    if not examined.lines or examined.lines[input.name] then
      inputs[#inputs + 1] = input_of(input)
    end
  end
  return inputs
end

--- Inputs that nobody listed: the columns that the function reads; their types come later.
local function used_inputs(examined)
  local inputs = msgpack.array {}
  for _, name in ipairs(functions.field_names(examined) or {}) do
    inputs[#inputs + 1] = {
      name = name,
      used = examined.file .. ':' .. examined.lines[name],
    }
  end
  return inputs
end

local function link_function(linking, declaration, what)
  local examined = functions.examine(linking, declaration, what)
  if not examined then
    return nil
  end
  local listed = declaration.fields.inputs
  return {
    at = examined.at,
    code = examined.code,
    on_error = what == 'transform' and declaration.fields.on_error or 'error',
    inputs = listed and listed_inputs(linking, declaration, what, examined)
      or used_inputs(examined),
    every = not listed and not examined.lines or nil,
  }
end

--- Fields that say something about functions which are not there.
local function check_functions(linking, declaration)
  local spec = declaration.spec
  if spec.inputs ~= nil and spec.transform == nil and spec.filter == nil then
    linking.report(declaration, { 'inputs' }, 'key',
      'inputs are those of a transform or filter; this view has neither')
  end
  if spec.on_error ~= nil and spec.transform == nil then
    linking.report(declaration, { 'on_error' }, 'key',
      'on_error is about a transform; this view has none')
  end
end

local function check_view_name(linking, declaration)
  local problem = schema.name_problem(declaration.name, true)
  if problem and not schema.name_problem(declaration.name, false) then
    linking.report(declaration, {}, 'name', '%s is no name for a %s: %s', quote(declaration.name),
      declaration.word, problem)
  end
end

local function link_view(linking, declaration)
  local fields = declaration.fields
  check_view_name(linking, declaration)
  local keys = view_keys(linking, declaration)
  if fields.source then
    resolve(linking, 'source', fields.source, declaration, { 'source' })
  end
  if fields.delay and declaration.spec.as_known == false then
    linking.report(declaration, { 'as_known' }, 'value', 'a view with a delay is as_known')
  end
  check_functions(linking, declaration)
  local entities = msgpack.array {}
  for i, name in ipairs(fields.entity or {}) do
    entities[i] = name
  end
  return {
    name = declaration.name,
    at = at_of(declaration),
    doc = fields.doc,
    tags = fields.tags,
    entities = entities,
    source = fields.source,
    ttl = fields.ttl,
    bound = fields.bound,
    as_known = fields.as_known or fields.delay ~= nil,
    delay = fields.delay,
    online = fields.online,
    features = link_features(linking, declaration, keys),
    filter = link_function(linking, declaration, 'filter'),
    transform = link_function(linking, declaration, 'transform'),
  }
end

-- References --------------------------------------------------------------------------------------

--- The parts of `view:feature` or `view@role:feature`; nil when it is neither.
---@param text string
---@return string? view
---@return string? role
---@return string? feature "*" for all
function M.parse_reference(text)
  local left, feature = text:match('^([^:]+):([%w_]+)$')
  if not left then
    left, feature = text:match('^([^:]+):(%*)$')
  end
  local view, role = (left or ''):match('^([%a_][%w_]*)@([%a_][%w_]*)$')
  view = view or (left or ''):match('^[%a_][%w_]*$')
  return view, role, view and feature
end

local function find_feature(view, name)
  for _, feature in ipairs(view.fields.features or {}) do
    if feature.name == name then
      return feature
    end
  end
  return nil
end

local function feature_names(view)
  local names = {}
  for i, feature in ipairs(view.fields.features or {}) do
    names[i] = feature.name
  end
  return names
end

--- Reports that a view has no such feature, unless it may be one that could not be read.
local function report_no_feature(linking, declaration, path, view, feature)
  local list = view.fields.features
  if list and not list.broken then
    linking.report(declaration, path, 'name', '%s "%s" has no feature "%s"%s', view.word, view.name,
      feature, linking.hint(feature, feature_names(view)))
  end
end

-- On-demand views ---------------------------------------------------------------------------------

--- The features that one input stands for: { view, feature } each.
local function resolve_input(linking, declaration, text, path)
  local view_name, role, feature = M.parse_reference(text)
  if not feature then
    linking.report(declaration, path, 'name',
      '%s is no reference; write "view:feature" or "view:*"', quote(text))
    return {}
  elseif role then
    linking.report(declaration, path, 'name', 'inputs have no roles; write "%s:%s"', view_name,
      feature)
  end
  local view = resolve_view(linking, view_name, declaration, path)
  if not view then
    return {}
  elseif feature ~= '*' then
    local found = find_feature(view, feature)
    if not found then
      report_no_feature(linking, declaration, path, view, feature)
    end
    return { found and { view = view, feature = found } }
  end
  local all = {}
  for i, found in ipairs(view.fields.features or {}) do
    all[i] = { view = view, feature = found }
  end
  return all
end

--- All inputs of an on-demand view, each once; false with it when some could not be read.
local function collect_inputs(linking, declaration)
  local list = declaration.fields.inputs or {}
  local inputs, seen, complete = {}, {}, not list.broken
  for i, text in ipairs(list) do
    local path = { 'inputs', list.positions[i] }
    local found = resolve_input(linking, declaration, text, path)
    complete = complete and #found > 0
    for _, input in ipairs(found) do
      local key = input.view.name .. ':' .. input.feature.name
      if seen[key] then
        linking.report(declaration, path, 'name', '%s is listed twice, first as %s', quote(key),
          quote(seen[key]))
      else
        seen[key] = text
        input.path = path
        inputs[#inputs + 1] = input
      end
    end
  end
  return inputs, complete
end

--- Gives inputs the names of their fields: the short one where it is unique among all of them.
local function name_inputs(linking, declaration, inputs)
  local count = {}
  for _, field in ipairs(declaration.fields.request or {}) do
    count[field.name] = 1
  end
  for _, input in ipairs(inputs) do
    count[input.feature.name] = (count[input.feature.name] or 0) + 1
  end
  local known, short = {}, {}
  for _, field in ipairs(declaration.fields.request or {}) do
    known[field.name] = true
  end
  for _, input in ipairs(inputs) do
    local full = input.view.name .. '__' .. input.feature.name
    local is_short = count[input.feature.name] == 1
    input.name = is_short and input.feature.name or full
    if known[input.name] then
      linking.report(declaration, input.path, 'name',
        'two fields of the row would be called %s; rename one of them', quote(input.name))
    elseif not is_short then
      short[input.feature.name] = short[input.feature.name] or full
    end
    known[input.name] = true
  end
  return known, short
end

--- Reports fields that only have a long name, and those that are not there.
local function check_row_fields(linking, declaration, examined, known, short, complete)
  for _, name in ipairs(functions.field_names(examined) or {}) do
    if not known[name] and short[name] then
      linking.report_line(declaration, { file = examined.file, line = examined.lines[name] }, name,
        'transform: %s is in several inputs; write row.%s', quote(name), short[name])
      known[name] = true
    end
  end
  functions.check_fields(linking, declaration, 'transform', examined, known, complete)
end

--- The inputs that the function reads; all of them where it reads none and nothing is requested,
--- so that there is something that says how many rows there are.
local function used_of(inputs, examined, request)
  local used = {}
  for _, input in ipairs(inputs) do
    if not examined or not examined.lines or examined.lines[input.name] then
      used[#used + 1] = input
    end
  end
  return (#used > 0 or #request > 0) and used or inputs
end

--- Features do not have the names of what a request sends: in a training set both are columns.
local function check_request_names(linking, declaration)
  local requested = {}
  for _, field in ipairs(declaration.fields.request or {}) do
    requested[field.name] = true
  end
  local features = declaration.fields.features or {}
  for i, feature in ipairs(features) do
    if requested[feature.name] then
      linking.report(declaration, { 'features', features.positions[i] }, 'name',
        'feature "%s" has the name of a request field', feature.name)
    end
  end
end

local function row_of(inputs, request)
  local row = msgpack.array {}
  for _, input in ipairs(inputs) do
    row[#row + 1] = { name = input.name, type = input.feature.type }
  end
  for _, field in ipairs(request) do
    row[#row + 1] = { name = field.name, type = field.type, doc = field.doc }
  end
  return row
end

--- A circle of on-demand views is reported once, where it was noticed first.
local function report_cycle(linking, stack, input)
  local names, inside = {}, false
  for _, declaration in ipairs(stack) do
    inside = inside or declaration == input.view
    if inside then
      names[#names + 1] = declaration.name
    end
  end
  names[#names + 1] = input.view.name
  linking.report(stack[#stack], input.path, 'name', 'needs itself: %s', table.concat(names, ' -> '))
end

local MAX_LEVELS = 100

--- How many on-demand views a view is away from stored features. Inputs are known by then.
local function level_of(linking, declaration, stack)
  if declaration.level then
    return declaration.level
  end
  stack[#stack + 1] = declaration
  declaration.visiting = true
  local level = 0
  for _, input in ipairs(#stack <= MAX_LEVELS and declaration.inputs or {}) do
    if input.view.visiting then
      report_cycle(linking, stack, input)
    elseif input.view.word == 'on_demand_feature_view' then
      level = math.max(level, level_of(linking, input.view, stack) + 1)
    end
  end
  if #stack == MAX_LEVELS + 1 then
    linking.report(declaration, {}, 'name', 'is more than %d on-demand views away from stored '
      .. 'features', MAX_LEVELS)
  end
  declaration.visiting = nil
  stack[#stack] = nil
  declaration.level = level
  return level
end

--- Inputs of all on-demand views, before one of them is linked: levels need those of others.
local function resolve_on_demand(linking)
  local list = sorted(linking.by_word.on_demand_feature_view)
  for _, declaration in ipairs(list) do
    declaration.inputs, declaration.complete = collect_inputs(linking, declaration)
  end
  for _, declaration in ipairs(list) do
    level_of(linking, declaration, {})
  end
end

local function link_on_demand(linking, declaration)
  local fields = declaration.fields
  local request = fields.request or {}
  check_view_name(linking, declaration)
  check_request_names(linking, declaration)
  local known, short = name_inputs(linking, declaration, declaration.inputs)
  local examined = functions.examine(linking, declaration, 'transform')
  if examined then
    check_row_fields(linking, declaration, examined, known, short,
      declaration.complete and not request.broken)
  end
  local used = used_of(declaration.inputs, examined, request)
  local inputs = msgpack.array {}
  for i, input in ipairs(used) do
    inputs[i] = { view = input.view.name, feature = input.feature.name }
  end
  local features = msgpack.array {}
  for i, feature in ipairs(fields.features or {}) do
    features[i] = {
      name = feature.name,
      type = feature.type,
      doc = feature.doc,
      tags = feature.tags,
    }
  end
  return {
    name = declaration.name,
    at = at_of(declaration),
    doc = fields.doc,
    tags = fields.tags,
    level = declaration.level,
    inputs = inputs,
    features = features,
    transform = examined and {
      at = examined.at,
      code = examined.code,
      on_error = fields.on_error or 'error',
      inputs = row_of(used, request),
    },
  }
end

-- Services ----------------------------------------------------------------------------------------

--- Whether the service says something about a role, even if that has a mistake of its own.
local function has_role(service, role)
  local roles = service.spec.roles
  return roles ~= nil and (type(roles) ~= 'table' or roles[role] ~= nil)
end

--- Reports a role that cannot be used in a reference.
local function check_role(linking, service, role, path)
  local by_word = linking.by_word
  local namesake = by_word.feature_view[role] or by_word.on_demand_feature_view[role]
  if namesake then
    linking.report(service, path, 'name', 'role %s has the name of a %s', quote(role),
      namesake.word)
  elseif not has_role(service, role) then
    linking.report(service, path, 'name',
      'role %s is not declared; write roles = { %s = { key = \'column\' } }', quote(role), role)
  end
end

--- The features that one reference stands for, with reports of what does not exist.
local function resolve_reference(linking, service, text, path)
  local view_name, role, feature = M.parse_reference(text)
  if not feature then
    linking.report(service, path, 'name', '%s is no reference; write "view:feature", "view:*" or '
      .. '"view@role:feature"', quote(text))
    return {}, role
  end
  local view = resolve_view(linking, view_name, service, path)
  if view and role and view.word == 'on_demand_feature_view' then
    linking.report(service, path, 'name', 'on_demand_feature_view "%s" has no roles: the views '
      .. 'among its inputs are joined under their own keys; write "%s:%s"', view_name, view_name,
      feature)
    return {}, nil, view
  elseif role then
    check_role(linking, service, role, path)
  end
  if not view then
    return {}, role
  elseif feature == '*' then
    return feature_names(view), role, view
  elseif not find_feature(view, feature) then
    report_no_feature(linking, service, path, view, feature)
    return {}, role
  end
  return { feature }, role, view
end

--- Adds the keys that a view's rows are found by. False when some could not be read.
local function add_keys(linking, view, keys)
  local complete = view.fields.entity ~= nil
  for _, name in ipairs(view.fields.entity or {}) do
    local entity = linking.by_word.entity[name]
    for _, key in ipairs(entity and entity.fields.keys or {}) do
      keys[key.name] = true
    end
    complete = complete and entity ~= nil and not entity.fields.broken
  end
  return complete
end

local function check_role_keys(linking, service, role, views)
  local known, complete = {}, true
  for view in pairs(views) do
    complete = add_keys(linking, view, known) and complete
  end
  for _, key in ipairs(names_of(service.fields.roles[role])) do
    if complete and not known[key] then
      linking.report(service, { 'roles', role, key }, 'key',
        'role %s: no view joined under it has a key %s%s', quote(role), quote(key),
        linking.hint(key, names_of(known)))
    end
  end
end

--- Roles: each is used, and names keys that the views joined under it have.
local function check_roles(linking, service, views_of)
  for _, role in ipairs(names_of(service.fields.roles or {})) do
    if views_of[role] then
      check_role_keys(linking, service, role, views_of[role])
    else
      linking.report(service, { 'roles', role }, 'key',
        'role %s is not used: no reference says view@%s or names a view of that name', quote(role),
        role)
    end
  end
end

--- Columns of the answer: short names where they are unique, `view__feature` otherwise.
local function check_outputs(linking, service, references)
  local short = {}
  for _, reference in ipairs(references) do
    short[reference.feature] = (short[reference.feature] or 0) + 1
  end
  local seen = {}
  for _, reference in ipairs(references) do
    local full = (reference.role or reference.view) .. '__' .. reference.feature
    local output = short[reference.feature] > 1 and full or reference.feature
    local other = seen[output]
    if other then
      linking.report(service, reference.path, 'name',
        '%s and %s would both give a column %s; rename one of the features', quote(other),
        quote(reference.text), quote(output))
    end
    seen[output] = seen[output] or reference.text
  end
end

-- Stands for a view that does not exist or could not be read.
local UNREADABLE = { fields = {} }

--- Notes that a view is joined under a role or its own name; with an on-demand view the views that
--- its inputs come from.
local function add_joined(views_of, under, view)
  views_of[under] = views_of[under] or {}
  if views_of[under][view] then
    return
  end
  views_of[under][view] = true
  for _, input in ipairs(view.inputs or {}) do
    add_joined(views_of, input.view.name, input.view)
  end
end

--- All references of a service, and the views joined under each role.
local function collect_references(linking, service)
  local list = service.fields.features or {}
  local references, seen, views_of = {}, {}, {}
  for i, text in ipairs(list) do
    local path = { 'features', list.positions[i] }
    local features, role, view = resolve_reference(linking, service, text, path)
    local under = role or (view and view.name)
    if under then
      add_joined(views_of, under, view or UNREADABLE)
    end
    for _, feature in ipairs(features) do
      local key = under .. ':' .. view.name .. ':' .. feature
      if seen[key] then
        linking.report(service, path, 'name', '%s is listed twice, first as %s',
          quote(view.name .. (role and '@' .. role or '') .. ':' .. feature), quote(seen[key]))
      else
        seen[key] = text
        references[#references + 1] = {
          view = view.name,
          role = role,
          feature = feature,
          text = text,
          path = path,
        }
      end
    end
  end
  return references, views_of
end

local function link_service(linking, declaration)
  local fields = declaration.fields
  local references, views_of = collect_references(linking, declaration)
  check_roles(linking, declaration, views_of)
  check_outputs(linking, declaration, references)
  local features = msgpack.array {}
  for i, reference in ipairs(references) do
    features[i] = { view = reference.view, role = reference.role, feature = reference.feature }
  end
  return {
    name = declaration.name,
    at = at_of(declaration),
    doc = fields.doc,
    tags = fields.tags,
    features = features,
    roles = fields.roles or msgpack.map {},
  }
end

-- Tests -------------------------------------------------------------------------------------------

local function link_test(linking, declaration)
  local fields = declaration.fields
  local view = fields.view and resolve_view(linking, fields.view, declaration, { 'view' })
  if view and view.word == 'on_demand_feature_view' and fields.at ~= nil then
    linking.report(declaration, { 'at' }, 'key', 'an on_demand_feature_view has no times; its '
      .. 'values are given')
  end
  return {
    name = declaration.name,
    at = at_of(declaration),
    doc = fields.doc,
    view = fields.view,
    given = fields.given,
    at_time = fields.at,
    expect = fields.expect,
    tolerance = fields.tolerance,
  }
end

-- Catalog -----------------------------------------------------------------------------------------

local function link_all(declarations, link)
  local list = msgpack.array {}
  for i, declaration in ipairs(sorted(declarations)) do
    list[i] = link(declaration)
  end
  return list
end

--- Resolves all names. The catalog is of use only when nothing was reported, here or before.
---@param declarations tidemark.Declaration[] in the order they were made
---@param linking tidemark.Linking what the loader offers; `by_word` is filled here
---@return table catalog
---@return table[] tests
function M.link(declarations, linking)
  linking.by_word = {}
  for _, shape in ipairs(shapes.words) do
    linking.by_word[shape.word] = {}
  end
  index_declarations(linking, declarations)
  local names = {}
  function linking.names(word)
    names[word] = names[word] or names_of(linking.by_word[word])
    return names[word]
  end
  local function with_linking(link)
    return function(declaration)
      return link(linking, declaration)
    end
  end
  resolve_on_demand(linking)
  local by_word = linking.by_word
  return {
    format = 1,
    entities = link_all(by_word.entity, link_entity),
    sources = link_all(by_word.source, with_linking(link_source)),
    views = link_all(by_word.feature_view, with_linking(link_view)),
    on_demand = link_all(by_word.on_demand_feature_view, with_linking(link_on_demand)),
    services = link_all(by_word.feature_service, with_linking(link_service)),
  }, link_all(by_word.test, with_linking(link_test))
end

return M
