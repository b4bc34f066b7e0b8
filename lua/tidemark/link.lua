-- From checked declarations to a catalog: resolves names between them, whatever files they stand
-- in, and reports those that lead nowhere. The catalog's form is that of runtime/data/catalog.h,
-- without what plan.lua adds (ids and slots).

local msgpack = require 'tidemark.msgpack'
local schema = require 'tidemark.schema'

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

--- Each name once per word; the first one stays.
local function index_declarations(linking, declarations)
  for _, declaration in ipairs(declarations) do
    local same_word = linking.by_word[declaration.word]
    local first = same_word[declaration.name]
    if first then
      linking.report(declaration, {}, 'name', 'is declared twice, first at %s', at_of(first))
    else
      same_word[declaration.name] = declaration
    end
  end
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

local function link_features(linking, declaration, keys)
  local list = declaration.fields.features or {}
  local features = msgpack.array {}
  for i, feature in ipairs(list) do
    if keys[feature.name] then
      linking.report(declaration, { 'features', list.positions[i] }, 'name',
        'feature "%s" has the name of a key of entity "%s"', feature.name, keys[feature.name])
    end
    features[#features + 1] = {
      name = feature.name,
      type = feature.type,
      column = feature.column or feature.name,
      doc = feature.doc,
      tags = feature.tags,
    }
  end
  return features
end

local function link_view(linking, declaration)
  local fields = declaration.fields
  local problem = schema.name_problem(declaration.name, true)
  if problem and not schema.name_problem(declaration.name, false) then
    linking.report(declaration, {}, 'name', '%s is no name for a feature_view: %s',
      quote(declaration.name), problem)
  end
  local keys = view_keys(linking, declaration)
  if fields.source then
    resolve(linking, 'source', fields.source, declaration, { 'source' })
  end
  if fields.delay and declaration.spec.as_known == false then
    linking.report(declaration, { 'as_known' }, 'value', 'a view with a delay is as_known')
  end
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
  }
end

-- Services ----------------------------------------------------------------------------------------

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

--- Whether the service says something about a role, even if that has a mistake of its own.
local function has_role(service, role)
  local roles = service.spec.roles
  return roles ~= nil and (type(roles) ~= 'table' or roles[role] ~= nil)
end

--- Reports a role that cannot be used in a reference.
local function check_role(linking, service, role, path)
  if linking.by_word.feature_view[role] then
    linking.report(service, path, 'name', 'role %s has the name of a feature_view', quote(role))
  elseif not has_role(service, role) then
    linking.report(service, path, 'name',
      'role %s is not declared; write roles = { %s = { key = \'column\' } }', quote(role), role)
  end
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

--- The features that one reference stands for, with reports of what does not exist.
local function resolve_reference(linking, service, text, path)
  local view_name, role, feature = M.parse_reference(text)
  if not feature then
    linking.report(service, path, 'name', '%s is no reference; write "view:feature", "view:*" or '
      .. '"view@role:feature"', quote(text))
    return {}, role
  end
  if role then
    check_role(linking, service, role, path)
  end
  local view = resolve(linking, 'feature_view', view_name, service, path)
  if not view then
    return {}, role
  elseif feature == '*' then
    return feature_names(view), role, view
  elseif not find_feature(view, feature) then
    local list = view.fields.features
    if list and not list.broken then
      linking.report(service, path, 'name', 'feature_view "%s" has no feature "%s"%s', view_name,
        feature, linking.hint(feature, feature_names(view)))
    end
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

--- All references of a service, and the views joined under each role.
local function collect_references(linking, service)
  local list = service.fields.features or {}
  local references, seen, views_of = {}, {}, {}
  for i, text in ipairs(list) do
    local path = { 'features', list.positions[i] }
    local features, role, view = resolve_reference(linking, service, text, path)
    local under = role or (view and view.name)
    if under then
      views_of[under] = views_of[under] or {}
      views_of[under][view or UNREADABLE] = true
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
function M.link(declarations, linking)
  linking.by_word = { entity = {}, source = {}, feature_view = {}, feature_service = {} }
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
  return {
    format = 1,
    entities = link_all(linking.by_word.entity, link_entity),
    sources = link_all(linking.by_word.source, with_linking(link_source)),
    views = link_all(linking.by_word.feature_view, with_linking(link_view)),
    services = link_all(linking.by_word.feature_service, with_linking(link_service)),
  }
end

return M
