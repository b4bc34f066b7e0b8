-- The difference between the catalog that is applied and the one that is declared: what changes, in
-- words; which of it needs consent and why; and the next catalog, with the numbers that the online
-- store knows views and features by.
--
-- A view keeps its id as long as its rows stay readable under their keys; an id is never given out
-- twice. A feature keeps its slot while its name and type stay; a slot is never given out twice
-- within a view. So rows on disk need no rewriting when features come and go.

local duration = require 'tidemark.duration'
local msgpack = require 'tidemark.msgpack'
local shapes = require 'tidemark.shapes'

local M = {}

local MAX_VIEW_ID = 65535

-- Where the catalog keeps the declarations of each word.
local LISTS = {
  { word = 'entity', list = 'entities' },
  { word = 'source', list = 'sources' },
  { word = 'feature_view', list = 'views' },
  { word = 'on_demand_feature_view', list = 'on_demand' },
  { word = 'feature_service', list = 'services' },
}

-- Fields that have another name in the catalog than in a definition.
local STORED_AS = { feature_view = { entity = 'entities' } }

---@class tidemark.Change
---@field action 'create'|'update'|'delete'
---@field kind string
---@field name string
---@field at string
---@field details string[]
---@field incompatible boolean
---@field reason? string why it needs consent

-- Helpers -----------------------------------------------------------------------------------------

local function by_name(list)
  local index = {}
  for _, item in ipairs(list or {}) do
    index[item.name] = item
  end
  return index
end

local function same(a, b)
  return msgpack.encode(a) == msgpack.encode(b)
end

--- Names that either side has, sorted.
local function all_names(a, b)
  local seen, names = {}, {}
  for _, side in ipairs { a, b } do
    for name in pairs(side) do
      if not seen[name] then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  table.sort(names)
  return names
end

local function add_reason(change, reason)
  change.incompatible = true
  if not change.reason then
    change.reason = reason
  elseif not change.reason:find(reason, 1, true) then
    change.reason = change.reason .. '; ' .. reason
  end
end

local function add_detail(change, detail, ...)
  change.details[#change.details + 1] = detail:format(...)
end

-- Printing ----------------------------------------------------------------------------------------

local function print_text(value)
  local line = value:gsub('%s+', ' ')
  return #line <= 60 and line or line:sub(1, 57):gsub('[\128-\255]*$', '') .. '...'
end

local PRINTERS = {
  duration = duration.print,
  text = print_text,
  paths = function(paths)
    return print_text((paths:gsub('\n', ', ')))
  end,
  names = function(names)
    return table.concat(names, ', ')
  end,
}

local function print_value(kind, value)
  if value == nil then
    return 'none'
  end
  local printer = PRINTERS[kind]
  return printer and printer(value) or tostring(value)
end

local function print_reference(reference)
  local role = reference.role and '@' .. reference.role or ''
  return reference.view .. role .. ':' .. reference.feature
end

local function print_keys(keys)
  local parts = {}
  for i, key in ipairs(keys) do
    parts[i] = key.name .. ' ' .. key.type
  end
  return table.concat(parts, ', ')
end

-- Fields ------------------------------------------------------------------------------------------

local function compare_map(change, path, old, new)
  for _, key in ipairs(all_names(old or {}, new or {})) do
    local a, b = (old or {})[key], (new or {})[key]
    if type(a) == 'table' or type(b) == 'table' then
      compare_map(change, path .. '.' .. key, a, b)
    elseif a ~= b then
      add_detail(change, '%s.%s: %s -> %s', path, key, print_value('text', a),
        print_value('text', b))
    end
  end
end

--- Things that bear names, in lists whose order may change as well.
local function compare_order(change, what, old, new, print)
  local old_at, common = {}, {}
  for i, item in ipairs(old) do
    old_at[print(item)] = i
  end
  for _, item in ipairs(new) do
    common[#common + 1] = old_at[print(item)]
  end
  for i = 2, #common do
    if common[i] < common[i - 1] then
      add_detail(change, '%s: another order', what)
      return
    end
  end
end

local compare_fields

local function compare_features(change, old, new, field)
  local shape = shapes.elements[field.of]
  local before, after = by_name(old), by_name(new)
  for _, feature in ipairs(old) do
    if not after[feature.name] then
      add_detail(change, '- feature "%s" %s', feature.name, feature.type)
      add_reason(change, ('feature "%s" is removed: %s'):format(feature.name, shape.removing))
    end
  end
  for _, feature in ipairs(new) do
    if before[feature.name] then
      local prefix = ('feature "%s": '):format(feature.name)
      compare_fields(change, shape, before[feature.name], feature, prefix)
    else
      add_detail(change, '+ feature "%s" %s', feature.name, feature.type)
    end
  end
  compare_order(change, 'features', old, new, function(feature)
    return feature.name
  end)
end

--- What a function gets to see, by the names of its fields.
local function compare_inputs(change, what, old, new)
  local before, after = by_name(old), by_name(new)
  for _, name in ipairs(all_names(before, after)) do
    local a, b = before[name], after[name]
    if not b then
      add_detail(change, '%s: - input "%s" %s', what, name, a.type)
    elseif not a then
      add_detail(change, '%s: + input "%s" %s', what, name, b.type)
    else
      if a.type ~= b.type then
        add_detail(change, '%s: input "%s": type %s -> %s', what, name, a.type, b.type)
      end
      if (a.column or name) ~= (b.column or name) then
        add_detail(change, '%s: input "%s": column %s -> %s', what, name, a.column or name,
          b.column or name)
      end
    end
  end
end

local KEEPS = 'rows that are stored online keep what was made of them until the view is '
  .. 'materialized anew'

--- A filter or transform: whether it is another one is told by its code, not by its text.
local function compare_function(change, field, old, new, stored)
  local what, details = field.name, #change.details
  if old and new then
    if old.code ~= new.code then
      add_detail(change, '%s: changed', what)
    end
    if old.on_error ~= new.on_error then
      add_detail(change, 'on_error: %s -> %s', old.on_error, new.on_error)
    end
    if stored then
      compare_inputs(change, what, old.inputs, new.inputs)
    end
  elseif old or new then
    add_detail(change, '%s: %s', what, new and 'added' or 'removed')
  end
  if stored and #change.details > details then
    add_detail(change, '%s: %s', what, KEEPS)
  end
end

--- The fields that a request sends, which come behind the inputs in the list of its function.
local function request_of(view)
  local request = {}
  local inputs = view and view.transform.inputs or {}
  for i = #(view and view.inputs or {}) + 1, #inputs do
    request[#request + 1] = inputs[i]
  end
  return request
end

local function compare_request(change, old, new, field)
  local shape = shapes.elements[field.of]
  local before, after = by_name(old), by_name(new)
  for _, name in ipairs(all_names(before, after)) do
    if not after[name] then
      add_detail(change, '- request field "%s" %s', name, before[name].type)
      add_reason(change, ('request field "%s" is removed: %s'):format(name, shape.removing))
    elseif not before[name] then
      add_detail(change, '+ request field "%s" %s', name, after[name].type)
      if change.action == 'update' then
        add_reason(change, ('request field "%s" is new: %s'):format(name, shape.adding))
      end
    else
      local prefix = ('request field "%s": '):format(name)
      compare_fields(change, shape, before[name], after[name], prefix)
    end
  end
end

local function compare_keys(change, old, new, field)
  local before, after = print_keys(old), print_keys(new)
  if before ~= after then
    add_detail(change, 'keys: %s -> %s', before, after)
    add_reason(change, field.breaking)
    return
  end
  for i, key in ipairs(new) do
    compare_fields(change, shapes.elements.key, old[i], key, ('key "%s": '):format(key.name))
  end
end

local function compare_references(change, old, new, field)
  local function index(list)
    local texts = {}
    for _, reference in ipairs(list) do
      texts[print_reference(reference)] = true
    end
    return texts
  end
  local before, after = index(old), index(new)
  for _, text in ipairs(all_names(before, after)) do
    if not after[text] then
      add_detail(change, '- %s', text)
    elseif not before[text] then
      add_detail(change, '+ %s', text)
    end
  end
  if field.required then
    compare_order(change, field.name, old, new, print_reference)
  end
end

local COMPARES = { key = compare_keys, request = compare_request }

local function compare_field(change, field, old, new, prefix)
  if field.kind == 'fields' then
    local compare = COMPARES[field.of] or compare_features
    compare(change, old or {}, new or {}, field)
  elseif field.kind == 'references' then
    compare_references(change, old or {}, new or {}, field)
  elseif field.kind == 'tags' or field.kind == 'columns' or field.kind == 'roles' then
    compare_map(change, prefix .. field.name, old, new)
  elseif field.kind == 'column' and prefix ~= '' and (old == nil or new == nil) then
    return -- the transform, which has come or gone, has been spoken of
  elseif not same(old, new) then
    add_detail(change, '%s%s%s %s -> %s', prefix, field.name, prefix == '' and ':' or '',
      print_value(field.kind, old), print_value(field.kind, new))
    if field.breaking then
      add_reason(change, prefix .. field.breaking)
    end
  end
end

function compare_fields(change, shape, old, new, prefix)
  local stored_as = STORED_AS[shape.word] or {}
  for _, field in ipairs(shape.fields) do
    local name = stored_as[field.name] or field.name
    if field.kind == 'function' then
      compare_function(change, field, old[name], new[name], shape.word == 'feature_view')
    elseif field.of == 'request' then
      compare_request(change, request_of(old), request_of(new), field)
    elseif name ~= 'name' and not field.part_of then
      compare_field(change, field, old[name], new[name], prefix)
    end
  end
end

-- Changes -----------------------------------------------------------------------------------------

local function new_change(action, kind, declaration)
  return {
    action = action,
    kind = kind,
    name = declaration.name,
    at = declaration.at or '',
    details = msgpack.array {},
    incompatible = false,
  }
end

--- What a function gets, as text.
local function print_row(entry)
  local parts = {}
  for i, input in ipairs(entry.inputs) do
    parts[i] = input.name .. ' ' .. input.type
  end
  return ('of %s'):format(#parts > 0 and table.concat(parts, ', ') or 'no inputs')
end

--- What a new view or service brings, so that a first plan says something.
local function describe_created(change, shape, new)
  for _, field in ipairs(shape.fields) do
    if field.of == 'key' then
      add_detail(change, 'keys: %s', print_keys(new.keys))
    elseif field.of == 'request' then
      compare_request(change, {}, request_of(new), field)
    elseif field.kind == 'fields' and not field.part_of then
      compare_features(change, {}, new[field.name], field)
    elseif field.kind == 'references' then
      compare_references(change, {}, new[field.name] or {}, field)
    elseif field.kind == 'function' and new[field.name] then
      add_detail(change, '%s: %s', field.name, print_row(new[field.name]))
    end
  end
end

local function compare_one(shape, old, new)
  if not old then
    local change = new_change('create', shape.word, new)
    describe_created(change, shape, new)
    return change
  elseif not new then
    local change = new_change('delete', shape.word, old)
    add_reason(change, shape.deleting)
    return change
  end
  local change = new_change('update', shape.word, new)
  compare_fields(change, shape, old, new, '')
  return change
end

--- Text of the key types of a view's rows, in order; views whose text differs cannot share rows.
local function row_keys(catalog_entities, view)
  local parts = {}
  for i, name in ipairs(view.entities) do
    local entity = catalog_entities[name]
    parts[i] = entity and print_keys(entity.keys) or '?'
  end
  return table.concat(parts, ', ')
end

--- Says of a view that the keys of its entities have changed, where the view itself has not.
local function compare_view_keys(change, old_keys, new_keys, same_entities)
  if old_keys ~= new_keys and same_entities then
    add_detail(change, 'keys of its rows: %s -> %s', old_keys, new_keys)
    add_reason(change, shapes.by_word.feature_view.by_name.entity.breaking)
  end
end

-- Numbers -----------------------------------------------------------------------------------------

--- Gives the features of a view their slots: the old ones where name and type are the same.
local function give_slots(old, new)
  local before = by_name(old and old.features)
  local slots = old and old.slots or 0
  for _, feature in ipairs(new.features) do
    local known = before[feature.name]
    if known and known.type == feature.type then
      feature.slot = known.slot
    else
      feature.slot = slots
      slots = slots + 1
    end
  end
  new.slots = slots
end

local function next_id(catalog)
  local id = catalog.next_view_id
  if id > MAX_VIEW_ID then
    error('all 65,535 view ids have been given out; start a new store', 0)
  end
  catalog.next_view_id = id + 1
  return id
end

--- Copies of declarations, so that the plan changes nothing it was given.
local function copy_catalog(declared)
  return (msgpack.decode(msgpack.encode(declared)))
end

-- Plan --------------------------------------------------------------------------------------------

---@class tidemark.PlanContext
---@field current table
---@field catalog table the next one, in the making
---@field old_entities table
---@field new_entities table
---@field dropped integer[]

--- Ids and slots of one view, and what its rows mean for the change.
local function plan_view(context, change, old, new)
  if not new then
    table.insert(context.dropped, old.id)
    return
  end
  local keep = old ~= nil
  if old then
    local old_keys = row_keys(context.old_entities, old)
    local new_keys = row_keys(context.new_entities, new)
    local same_entities = same(old.entities, new.entities)
    compare_view_keys(change, old_keys, new_keys, same_entities)
    keep = old_keys == new_keys and same_entities
  end
  if old and not keep then
    table.insert(context.dropped, old.id)
  end
  new.id = keep and old.id or next_id(context.catalog)
  give_slots(keep and old or nil, new)
end

local function plan_word(context, row, changes)
  local shape = shapes.by_word[row.word]
  local before = by_name(context.current[row.list])
  local after = by_name(context.catalog[row.list])
  for _, name in ipairs(all_names(before, after)) do
    local change = compare_one(shape, before[name], after[name])
    if row.word == 'feature_view' then
      plan_view(context, change, before[name], after[name])
    end
    if change.action ~= 'update' or #change.details > 0 then
      changes[#changes + 1] = change
    end
  end
end

--- Compares two catalogs. Changes neither of them.
---@param current? table the applied catalog; nil when nothing is applied
---@param declared table the catalog that link.lua made
---@return { catalog: table, changes: tidemark.Change[], dropped: integer[] }
function M.plan(current, declared)
  current = current or {}
  local catalog = copy_catalog(declared)
  catalog.next_view_id = current.next_view_id or 1
  local context = {
    current = current,
    catalog = catalog,
    old_entities = by_name(current.entities),
    new_entities = by_name(catalog.entities),
    dropped = msgpack.array {},
  }
  local changes = msgpack.array {}
  for _, row in ipairs(LISTS) do
    plan_word(context, row, changes)
  end
  table.sort(context.dropped)
  return { catalog = catalog, changes = changes, dropped = context.dropped }
end

--- The same over msgpack, for C.
---@param current string '' when nothing is applied
---@param declared string
---@return table
function M.encoded(current, declared)
  local function decode(bytes)
    local value, message = msgpack.decode(bytes)
    return value or error('the catalog is damaged: ' .. message, 0)
  end
  local plan = M.plan(current ~= '' and decode(current) or nil, decode(declared))
  local incompatible = 0
  for _, change in ipairs(plan.changes) do
    incompatible = incompatible + (change.incompatible and 1 or 0)
  end
  return {
    catalog = msgpack.encode(plan.catalog),
    changes = msgpack.encode(plan.changes),
    dropped = msgpack.encode(plan.dropped),
    change_count = #plan.changes,
    incompatible_count = incompatible,
  }
end

return M
