-- Random projects for training sets, and what the oracle says of them: views with every rule of the
-- contract over files of every format, spines with several keys, ties and nulls in plenty.

local ffi = require 'ffi'
local blueprints = require 'spec.support.blueprints'
local duration = require 'tidemark.duration'
local msgpack = require 'tidemark.msgpack'
local oracle = require 'spec.support.oracle'
local random = require 'spec.support.random'

local M = { int64 = ffi.typeof('int64_t') }

-- Entities. A key of the oracle is a number; here is what each number is in the files. Neighbours
-- would meet if keys were put together without care.
local ENTITIES = {
  { name = 'user', keys = { { 'user_id', 'int64' } },
    values = { { 0 }, { -1 }, { 0x7fffffffffffffffLL }, { 9007199254740993LL }, { 12 }, { 3 } } },
  { name = 'place', keys = { { 'place', 'string' } },
    values = { { '' }, { 'a' }, { 'A' }, { '1' }, { 'é, "x"\n' }, { ('long'):rep(20) } } },
  { name = 'pair', keys = { { 'shop', 'int32' }, { 'item', 'string' } },
    values = { { 1, '23' }, { 12, '3' }, { 1, '2' }, { 0, '' }, { -5, 'x' }, { 123, '' } } },
  { name = 'switch', keys = { { 'on', 'bool' }, { 'at', 'timestamp' } },
    values = { { true, 1 }, { false, 1 }, { true, 0 }, { false, 0 }, { true, -1 }, { true, 2 } } },
}

-- Feature types and values to draw from; nil is drawn beside them.
local TYPES = {
  { 'int64', { 0, 1, -1, 9007199254740993LL, 0x7fffffffffffffffLL } },
  { 'int32', { 0, 2147483647, -2147483648 } },
  { 'float64', { 0.5, msgpack.float(3), 1e300, 0 / 0, 1 / 0, -1 / 0, 0.1 } },
  { 'float32', { 0.5, -0.25, 0 / 0, 1 / 0 } },
  { 'bool', { true, false } },
  { 'string', { '', 'a', 'é', 'a,b', '"', '1' } },
  { 'timestamp', { 0, 1, -1, 1617062400000000 } },
}

local FORMATS = { 'csv', 'msgpack', 'parquet', 'jsonl' }

-- Drawing -----------------------------------------------------------------------------------------

local function draw_row(view, time, position)
  local row = {
    arrival = position - 1,
    key = not random.once_in(9) and math.random(#view.entity.values) or nil,
    event = not random.once_in(12) and time() or nil,
    created = view.created and not random.once_in(4) and time() or nil,
    deleted = view.deleted and random.once_in(5) or false,
    values = {},
  }
  if view.hot and not random.once_in(5) then
    row.key = 1
  end
  for i, feature in ipairs(view.features) do
    row.values[i] = not random.once_in(5) and random.pick(feature.values) or nil
  end
  return row
end

local function draw_view(number, options)
  local view = {
    name = 'v' .. number,
    entity = random.pick(ENTITIES),
    format = options.format or random.pick(FORMATS),
    created = random.once_in(2),
    deleted = random.once_in(3),
    hot = random.once_in(4),
    sql = random.once_in(6),
    features = {},
    rule = {
      ttl = random.once_in(2) and random.duration() or nil,
      delay = random.once_in(4) and random.duration() or nil,
      strict = random.once_in(4),
      as_known = random.once_in(4),
    },
  }
  for i = 1, options.features or math.random(3) do
    local kind = random.pick(TYPES)
    view.features[i] = { name = 'f' .. i, type = kind[1], values = kind[2] }
  end
  local rows, time = random.once_in(10) and 0 or math.random(0, options.rows or 24), options.time
  view.rows = {}
  for position = 1, rows do
    view.rows[position] = draw_row(view, time, position)
  end
  return view
end

--- A random project: views with rows.
---@param options { views?: integer, features?: integer, rows?: integer, format?: string }?
function M.project(options)
  options = options or {}
  local time = random.times()
  local project = { views = {}, time = time }
  for i = 1, options.views or math.random(3) do
    project.views[i] = draw_view(i, { features = options.features, rows = options.rows, time = time,
      format = options.format })
  end
  -- Views may share a source: then the rows are the same, and the rules are not.
  for i = 2, #project.views do
    if random.once_in(4) then
      local first, own = project.views[i - 1], project.views[i]
      local shared = {}
      for name, value in pairs(first) do
        shared[name] = value
      end
      shared.name, shared.rule, shared.source = own.name, own.rule, first.source or first.name
      project.views[i] = shared
    end
  end
  return project
end

--- A random spine: a key of each entity (and another under a role) and a time per row.
function M.spine(project, rows)
  local spine = {}
  for i = 1, rows or (random.once_in(10) and 0 or math.random(0, 20)) do
    spine[i] = {
      id = i,
      time = not random.once_in(12) and project.time() or nil,
      keys = {},
      others = {},
    }
    for _, entity in ipairs(ENTITIES) do
      spine[i].keys[entity.name] = not random.once_in(9) and math.random(#entity.values) or nil
      spine[i].others[entity.name] = not random.once_in(9) and math.random(#entity.values) or nil
    end
  end
  return spine
end

-- Files -------------------------------------------------------------------------------------------

local function csv_text(value)
  if value == nil then
    return ''
  elseif type(value) == 'string' then
    return '"' .. value:gsub('"', '""') .. '"'
  elseif type(value) == 'cdata' then
    return (tostring(value):gsub('U?LL$', ''))
  elseif type(value) == 'table' then
    return ('%.17g'):format(value.number)
  elseif type(value) == 'number' then
    return value ~= value and 'nan' or value == 1 / 0 and 'inf' or value == -1 / 0 and '-inf'
      or ('%.17g'):format(value)
  end
  return tostring(value)
end

--- Text of a table of `columns` (names) and `rows` (maps), as CSV or as a stream of msgpack maps.
---@param format 'csv'|'msgpack'
function M.encode(format, columns, rows)
  local lines = {}
  if format == 'msgpack' then
    for i, row in ipairs(rows) do
      local map = msgpack.map({})
      for _, name in ipairs(columns) do
        map[name] = row[name] == nil and msgpack.null or row[name]
      end
      lines[i] = msgpack.encode(map)
    end
    return table.concat(lines)
  end
  lines[1] = table.concat(columns, ',')
  for i, row in ipairs(rows) do
    local fields = {}
    for place, name in ipairs(columns) do
      fields[place] = csv_text(row[name])
    end
    lines[i + 1] = table.concat(fields, ',')
  end
  return table.concat(lines, '\n') .. '\n'
end

local function put_key(map, entity, number, suffix)
  local values = number and entity.values[number] or {}
  for place, key in ipairs(entity.keys) do
    map[key[1] .. suffix] = values[place]
  end
end

local function view_table(view)
  local columns = { 'event', 'created', 'deleted' }
  for _, key in ipairs(view.entity.keys) do
    columns[#columns + 1] = key[1]
  end
  for _, feature in ipairs(view.features) do
    columns[#columns + 1] = feature.name
  end
  local rows = {}
  for i, row in ipairs(view.rows) do
    rows[i] = { event = row.event, created = row.created, deleted = row.deleted }
    put_key(rows[i], view.entity, row.key, '')
    for place, feature in ipairs(view.features) do
      rows[i][feature.name] = row.values[place]
    end
  end
  return columns, rows
end

local function spine_table(spine)
  local columns, rows = { 'id', 'event_timestamp' }, {}
  for _, entity in ipairs(ENTITIES) do
    for _, key in ipairs(entity.keys) do
      columns[#columns + 1] = key[1]
      columns[#columns + 1] = key[1] .. '_other'
    end
  end
  for i, row in ipairs(spine) do
    rows[i] = { id = row.id, event_timestamp = row.time }
    for _, entity in ipairs(ENTITIES) do
      put_key(rows[i], entity, row.keys[entity.name], '')
      put_key(rows[i], entity, row.others[entity.name], '_other')
    end
  end
  return columns, rows
end

-- An empty table, or a column without a value, has no types that a format with types could keep.
local function put_table(space, handle, name, format, columns, rows)
  if #rows == 0 then
    format = 'csv'
  end
  if format == 'csv' or format == 'msgpack' then
    space:write(name .. '.' .. format, M.encode(format, columns, rows))
  else
    space:write(name .. '.msgpack', M.encode('msgpack', columns, rows))
    handle:copy_file(space:path(name .. '.msgpack'), space:path(name .. '.' .. format))
  end
  return name .. '.' .. format
end

--- Writes a spine; gives its path.
function M.put_spine(space, handle, spine, format)
  local columns, rows = spine_table(spine)
  return space:path(put_table(space, handle, 'spine', format, columns, rows))
end

local function declare_source(view, path)
  local from = { path = path }
  if view.sql and path:match('%.parquet$') then
    from = { path = false, sql = ("SELECT * FROM '%s'"):format(path) }
  end
  return blueprints.source(view.name, {
    path = from.path,
    sql = from.sql,
    event_time = 'event',
    created_time = view.created and 'created' or false,
    deleted = view.deleted and 'deleted' or nil,
    time_unit = 'us',
  })
end

local function declare_view(view)
  local features = {}
  for i, feature in ipairs(view.features) do
    features[i] = ("%s '%s'"):format(feature.type, feature.name)
  end
  local rule = view.rule
  return blueprints.view(view.name, features, {
    entity = view.entity.name,
    source = view.source or view.name,
    ttl = rule.ttl and duration.print(rule.ttl) or nil,
    delay = rule.delay and duration.print(rule.delay) or nil,
    bound = rule.strict and '<' or nil,
    as_known = rule.as_known or nil,
  })
end

--- Writes the files of a project and its definitions.
function M.put(space, handle, project)
  local texts = {}
  for i, entity in ipairs(ENTITIES) do
    local keys = {}
    for place, key in ipairs(entity.keys) do
      keys[place] = ("%s '%s'"):format(key[2], key[1])
    end
    texts[i] = blueprints.entity(entity.name, keys)
  end
  for _, view in ipairs(project.views) do
    if not view.source then
      local columns, rows = view_table(view)
      texts[#texts + 1] = declare_source(view, put_table(space, handle, 'data/' .. view.name,
        view.format, columns, rows))
    end
    texts[#texts + 1] = declare_view(view)
  end
  space:write('definitions/all.lua', table.concat(texts))
end

-- Answers -----------------------------------------------------------------------------------------

--- The parameters of a request for all views, some under a role too.
function M.request(project)
  local features, maps, joins = {}, {}, {}
  for _, view in ipairs(project.views) do
    features[#features + 1] = view.name .. ':*'
    joins[#joins + 1] = { view = view, prefix = view.name, keys = 'keys' }
    if random.once_in(4) then
      local role = 'r' .. view.name
      features[#features + 1] = ('%s@%s:*'):format(view.name, role)
      joins[#joins + 1] = { view = view, prefix = role, keys = 'others' }
      for _, key in ipairs(view.entity.keys) do
        maps[#maps + 1] = { view = role, key = key[1], column = key[1] .. '_other' }
      end
    end
  end
  local as_of = random.once_in(3) and project.time() or nil
  return {
    features = features,
    maps = #maps > 0 and maps or nil,
    full_feature_names = true,
    time_unit = 'us',
    as_of_created = as_of,
    statuses = random.once_in(2) or nil,
    event_timestamps = random.once_in(2) or nil,
  }, joins
end

-- Microseconds of msgpack's timestamp extension: seconds, and before them nanoseconds in the two
-- larger forms.
local function time_of(ext)
  local bytes, seconds, nanoseconds = ext.bytes, 0LL, 0LL
  for i = math.max(1, #bytes - 7), #bytes do
    seconds = seconds * 256 + bytes:byte(i)
  end
  if #bytes == 12 then
    for i = 1, 4 do
      nanoseconds = nanoseconds * 256 + bytes:byte(i)
    end
  elseif #bytes == 8 then
    local both = ffi.cast('uint64_t', seconds)
    nanoseconds = M.int64(both / 0x400000000ULL)
    seconds = M.int64(both % 0x400000000ULL)
  end
  return seconds * 1000000 + nanoseconds / 1000
end

-- What a value is when it has been through a file: numbers of whole value come back as integers.
local function same(expected, got)
  if expected == nil or got == nil or got == msgpack.null then
    return expected == nil and (got == nil or got == msgpack.null)
  end
  if type(expected) == 'table' then
    expected = expected.number
  end
  if type(got) == 'table' and got.ext_type == -1 then
    got = time_of(got)
  end
  if expected ~= expected then
    return got ~= got
  end
  return expected == got
end

local function check(row, name, expected)
  if not same(expected, row[name]) then
    error(('row %s: %s: expected %s, got %s'):format(tostring(row.id), name, tostring(expected),
      tostring(row[name])), 0)
  end
end

local function check_answer(row, join, answer, request)
  local view, present = join.view, answer.status == 'PRESENT'
  for place, feature in ipairs(view.features) do
    local name = join.prefix .. '__' .. feature.name
    local value
    if present then
      value = answer.row.values[place]
    end
    check(row, name, value)
    if request.statuses then
      check(row, name .. '__status', present and value == nil and 'NULL_VALUE' or answer.status)
    end
  end
  if request.event_timestamps and (present or request.statuses) then
    check(row, join.prefix .. '__event_timestamp', answer.row and answer.row.event)
  end
end

local function answers_of(join, spine, request)
  local wanted = {}
  for i, row in ipairs(spine) do
    wanted[i] = { key = row[join.keys][join.view.entity.name], time = row.time }
  end
  local rule = {}
  for name, value in pairs(join.view.rule) do
    rule[name] = value
  end
  rule.strict, rule.as_known = rule.strict or false, rule.as_known or false
  rule.as_of_created = request.as_of_created
  return oracle.asof(wanted, join.view.rows, rule)
end

--- Compares rows of output with what the oracle says.
function M.check(joins, spine, request, rows)
  assert(#rows == #spine, ('%d rows for a spine of %d'):format(#rows, #spine))
  for i, row in ipairs(rows) do
    check(row, 'id', spine[i].id)
  end
  for _, join in ipairs(joins) do
    for i, answer in ipairs(answers_of(join, spine, request)) do
      check_answer(rows[i], join, answer, request)
    end
  end
end

--- All maps of a stream of msgpack.
function M.decode(text)
  local rows, at = {}, 1
  while at <= #text do
    local row, next_at = msgpack.decode(text, at)
    assert(row, next_at)
    rows[#rows + 1], at = row, next_at
  end
  return rows
end

return M
