-- Valid definition files with defaults, so that a spec names only what it cares about.
--
--   blueprints.driver { view = { ttl = '7d' }, source = { path = 'data/rows.csv' } }

local M = {}

-- Text that goes into a definition as it stands: `raw "int64 'driver_id'"`.
local Raw = {}
Raw.__index = Raw

function M.raw(text)
  return setmetatable({ text = text }, Raw)
end

local function sorted_keys(object)
  local keys = {}
  for key in pairs(object) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  return keys
end

local function print_value(value, indent)
  if getmetatable(value) == Raw then
    return value.text
  elseif type(value) == 'string' then
    return ('%q'):format(value)
  elseif type(value) ~= 'table' then
    return tostring(value)
  end
  local lines = {}
  for _, item in ipairs(value) do
    lines[#lines + 1] = indent .. '  ' .. print_value(item, indent .. '  ') .. ',\n'
  end
  for _, key in ipairs(sorted_keys(value)) do
    if type(key) == 'string' then
      lines[#lines + 1] = ('%s  %s = %s,\n'):format(indent, key,
        print_value(value[key], indent .. '  '))
    end
  end
  return '{\n' .. table.concat(lines) .. indent .. '}'
end

local function raw_list(texts)
  local list = {}
  for i, text in ipairs(texts) do
    list[i] = M.raw(text)
  end
  return list
end

--- One declaration: `word 'name' { fields }`.
---@param word string
---@param name string
---@param fields table
---@return string
function M.declare(word, name, fields)
  return ('%s %q %s\n'):format(word, name, print_value(fields, ''))
end

-- Defaults and what replaces them; `false` removes a default.
local function with(defaults, changes)
  local fields = {}
  for key, value in pairs(defaults) do
    fields[key] = value
  end
  for key, value in pairs(changes or {}) do
    fields[key] = value or nil
  end
  return fields
end

--- `keys`: type words and names, `{ "int64 'driver_id'" }`.
function M.entity(name, keys, changes)
  return M.declare('entity', name, with({ keys = raw_list(keys) }, changes))
end

function M.source(name, changes)
  return M.declare('source', name, with({
    path = 'data/rows.csv',
    event_time = 'event_timestamp',
    created_time = 'created',
  }, changes))
end

--- `features`: `{ "float64 'conv_rate'", ... }`.
function M.view(name, features, changes)
  return M.declare('feature_view', name, with({
    entity = 'driver',
    source = 'rows',
    features = raw_list(features),
  }, changes))
end

function M.service(name, features, changes)
  return M.declare('feature_service', name, with({ features = features }, changes))
end

--- A whole project of one view, `rates`, with float64 rate, int64 trips and string city, over
--- data/rows.csv (driver_id, event_timestamp, created, rate, trips, city).
---@param changes { [string]: table }?  entity, source, view: fields; keys, features: type words
---@return string
function M.driver(changes)
  changes = changes or {}
  return M.entity('driver', changes.keys or { "int64 'driver_id'" }, changes.entity)
    .. M.source('rows', changes.source)
    .. M.view('rates', changes.features or { "float64 'rate'", "int64 'trips'", "string 'city'" },
      changes.view)
    .. M.service('ranking', { 'rates:*' })
end

return M
