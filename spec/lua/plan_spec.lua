local host = require 'spec.support.host'
local msgpack = require 'tidemark.msgpack'

local BASE = [[
entity 'driver' { keys = { int64 'driver_id' } }
entity 'trip' { keys = { string 'trip_id' } }
source 'stats' { path = 'stats.parquet', event_time = 'ts' }
]]

local function declare(text)
  return host.catalog(BASE .. text)
end

local function view(fields, features)
  return ("feature_view 'v' { entity = 'driver', source = 'stats', %s features = { %s } }\n")
    :format(fields, features)
end

local function view_of(plan, name)
  for _, found in ipairs(plan.catalog.views) do
    if found.name == (name or 'v') then
      return found
    end
  end
  return nil
end

local function slots_of(found)
  local slots = {}
  for _, feature in ipairs(found.features) do
    slots[feature.name] = feature.slot
  end
  return slots
end

--- The plan from one text to another, with what came before it.
local function change(before, after)
  local first = host.plan('', declare(before))
  return host.plan(first.bytes, declare(after)), first
end

describe('plan', function()
  it('creates everything from nothing, with ids and slots', function()
    local plan = host.plan('', declare(view('', "int64 'a', string 'b'")
      .. "feature_service 's' { features = { 'v:*' } }"))
    local made = {}
    for i, found in ipairs(plan.changes) do
      made[i] = found.action .. ' ' .. found.kind .. ' ' .. found.name
    end
    assert.same({
      'create entity driver', 'create entity trip', 'create source stats',
      'create feature_view v', 'create feature_service s',
    }, made)
    assert.same({ '+ feature "a" int64', '+ feature "b" string' }, plan.changes[4].details)
    assert.equal('definitions/a.lua:4', plan.changes[4].at)
    assert.same({ 5, 0 }, { plan.change_count, plan.incompatible_count })
    assert.equal(1, view_of(plan).id)
    assert.equal(2, view_of(plan).slots)
    assert.same({ a = 0, b = 1 }, slots_of(view_of(plan)))
    assert.same({}, plan.dropped)
  end)

  it('finds nothing to change where only lines have moved', function()
    local text = view("ttl = '30d',", "int64 'a'")
    local plan = change(text, '-- a comment\n\n' .. text)
    assert.same({}, plan.changes)
  end)

  it('reports harmless changes in words', function()
    local plan = change(
      view("ttl = '30d', tags = { a = '1' },", "int64 'x', bool 'z'"),
      view("bound = '<', tags = { a = '2', b = '3' }, online = false,",
        "int64 'x' { column = 'xx' }, float64 'y', bool 'z' { doc = 'last' }")
    )
    assert.equal(1, plan.change_count)
    assert.equal(0, plan.incompatible_count)
    assert.same({
      'feature "x": column x -> xx',
      '+ feature "y" float64',
      'feature "z": doc none -> last',
      'ttl: 30d -> none',
      'bound: <= -> <',
      'online: true -> false',
      'tags.a: 1 -> 2',
      'tags.b: none -> 3',
    }, plan.changes[1].details)
  end)

  it('keeps the slot of a feature while name and type stay, and gives none out twice', function()
    local plan = change(view('', "int64 'a', string 'b'"), view('', "string 'b', int64 'c'"))
    assert.same({ b = 1, c = 2 }, slots_of(view_of(plan)))
    assert.equal(3, view_of(plan).slots)
    assert.is_true(plan.changes[1].incompatible)
    local again = host.plan(plan.bytes, declare(view('', "int64 'a', string 'b', int64 'c'")))
    assert.same({ a = 3, b = 1, c = 2 }, slots_of(view_of(again)))
    assert.equal(4, view_of(again).slots)
    assert.equal(1, view_of(again).id)
  end)

  it('wants consent for a feature that changes its type', function()
    local plan = change(view('', "int64 'x'"), view('', "float64 'x'"))
    local found = plan.changes[1]
    assert.same({ 'feature "x": type int64 -> float64' }, found.details)
    assert.is_true(found.incompatible)
    assert.is_truthy(found.reason:find('clients expect the old type', 1, true))
    assert.same({ x = 1 }, slots_of(view_of(plan)))
    assert.same({}, plan.dropped)
    assert.equal(1, plan.incompatible_count)
  end)

  it('wants consent for a feature that is removed', function()
    local found = change(view('', "int64 'x', int64 'y'"), view('', "int64 'y'")).changes[1]
    assert.same({ '- feature "x" int64' }, found.details)
    assert.equal('feature "x" is removed: requests for it fail', found.reason)
  end)

  it('starts a view anew when its entities change', function()
    local text = view('', "int64 'x'")
    local plan = change(text, (text:gsub("'driver'", "{ 'driver', 'trip' }")))
    assert.same({ 'entity: driver -> driver, trip' }, plan.changes[1].details)
    assert.is_true(plan.changes[1].incompatible)
    assert.same({ 1 }, plan.dropped)
    assert.equal(2, view_of(plan).id)
    assert.equal(1, view_of(plan).slots)
  end)

  it('starts every view anew when the keys of its entity change', function()
    local text = view('', "int64 'x'") .. (view('', "int64 'x'"):gsub("'v'", "'w'"))
    local first = host.plan('', declare(text))
    local other = host.catalog((BASE:gsub("int64 'driver_id'", "string 'driver_id'")) .. text)
    local plan = host.plan(first.bytes, other)
    assert.same({ 'keys: driver_id int64 -> driver_id string' }, plan.changes[1].details)
    assert.same({ 'keys of its rows: driver_id int64 -> driver_id string' },
      plan.changes[2].details)
    assert.equal(3, plan.incompatible_count)
    assert.same({ 1, 2 }, plan.dropped)
    assert.same({ 3, 4 }, { view_of(plan).id, view_of(plan, 'w').id })
  end)

  it('drops a deleted view, and never gives its id out again', function()
    local text = view('', "int64 'x'")
    local plan = change(text, '')
    assert.same({ 'delete', 'feature_view', true },
      { plan.changes[1].action, plan.changes[1].kind, plan.changes[1].incompatible })
    assert.same({ 1 }, plan.dropped)
    local again = host.plan(plan.bytes, declare(text))
    assert.equal(2, view_of(again).id)
    assert.same({}, again.dropped)
  end)

  it('wants consent for everything that is deleted', function()
    local plan = change(
      "feature_service 's' { features = { 'v:x' } }\n" .. view('', "int64 'x'"),
      ''
    )
    local kinds = {}
    for i, found in ipairs(plan.changes) do
      assert.is_true(found.incompatible and #found.reason > 0)
      kinds[i] = found.kind
    end
    assert.same({ 'feature_view', 'feature_service' }, kinds)
    local first = host.plan('', declare '')
    plan = host.plan(first.bytes, host.catalog "entity 'driver' { keys = { int64 'driver_id' } }")
    assert.equal(2, plan.incompatible_count)
  end)

  it('reports what a service gains and loses', function()
    local text = view('', "int64 'x', int64 'y'")
    local plan = change(text .. "feature_service 's' { features = { 'v:x' } }",
      text .. "feature_service 's' { features = { 'v:y', 'v@o:x' }, "
        .. "roles = { o = { driver_id = 'd' } } }")
    assert.same({ '- v:x', '+ v:y', '+ v@o:x', 'roles.o.driver_id: none -> d' },
      plan.changes[1].details)
    assert.is_false(plan.changes[1].incompatible)
  end)

  it('tells a changed function from one that only looks different', function()
    local function with(body, rest)
      return view("inputs = { float64 'a', float64 'b' }, transform = function(row) " .. body
        .. ' end,' .. (rest or ''), "float64 'x'")
    end
    local plan = change(with 'return { x = row.a }',
      with '-- the same\n\n return {\n x=row.a }')
    assert.same({}, plan.changes)
    plan = change(with 'return { x = row.a }', with 'return { x = row.a + 1 }')
    local keeps = 'transform: rows that are stored online keep what was made of them until the '
      .. 'view is materialized anew'
    assert.same({ 'transform: changed', keeps }, plan.changes[1].details)
    assert.is_false(plan.changes[1].incompatible)
    plan = change(with 'return { x = row.a }', with('return { x = row.b }', "on_error = 'null',"))
    assert.same({ 'transform: changed', 'on_error: error -> null',
      'transform: - input "a" float64', 'transform: + input "b" float64', keeps },
      plan.changes[1].details)
    plan = change(view('', "float64 'x'"), with 'return { x = row.a }')
    assert.same({ 'transform: added', keeps }, plan.changes[1].details)
    plan = change(with 'return { x = row.a }', view('', "float64 'x'"))
    assert.same({ 'transform: removed', keeps }, plan.changes[1].details)
  end)

  it('reports inputs that have become others', function()
    local function with(input)
      return view('inputs = { ' .. input .. ' }, filter = function(row) return row.a end,',
        "float64 'x'")
    end
    local plan = change(with "bool 'a'", with "int32 'a' { column = 'b' }")
    assert.same({ 'filter: input "a": type bool -> int32', 'filter: input "a": column a -> b' },
      { unpack(plan.changes[1].details, 1, 2) })
  end)

  describe('of on-demand views', function()
    local VIEWS = view('', "float64 'a', float64 'b'")

    local function fare(fields, result)
      return VIEWS .. ("on_demand_feature_view 'f' { %s, transform = function(row) return { %s } "
        .. 'end }\n'):format(fields, result)
    end

    it('says what a new one brings', function()
      local plan = host.plan('', declare(fare(
        "inputs = { 'v:a' }, request = { int32 'km' }, features = { float64 'x' }", 'x = row.a')))
      assert.same({ '+ v:a', '+ request field "km" int32', '+ feature "x" float64',
        'transform: of a float64, km int32' }, plan.changes[5].details)
      assert.same({ 'create', 'on_demand_feature_view', 0 },
        { plan.changes[5].action, plan.changes[5].kind, plan.incompatible_count })
    end)

    it('wants consent for what breaks requests', function()
      local old = fare("inputs = { 'v:a' }, request = { int32 'km', bool 'old' }, "
        .. "features = { float64 'x', bool 'y' }", 'x = row.a, y = true')
      local plan = change(old, fare("inputs = { 'v:b' }, request = { int64 'km', bool 'new' }, "
        .. "features = { float32 'x' }", 'x = row.b'))
      local found = plan.changes[1]
      assert.same({ '- v:a', '+ v:b', 'request field "km": type int32 -> int64',
        '+ request field "new" bool', '- request field "old" bool', '- feature "y" bool',
        'feature "x": type float64 -> float32', 'transform: changed' }, found.details)
      assert.equal('request field "km": clients send the old type; request field "new" is new: '
        .. 'requests that do not send it fail; request field "old" is removed: requests that send '
        .. 'it fail; feature "y" is removed: requests for it fail; feature "x": clients expect '
        .. 'the old type', found.reason)
      plan = change(old, VIEWS)
      assert.equal('requests for its features fail', plan.changes[1].reason)
    end)

    it('is harmless where only the function is another one', function()
      local fields = "request = { int32 'km' }, features = { float64 'x' }"
      local plan = change(fare(fields, 'x = row.km'), fare(fields, 'x = row.km * 2'))
      assert.same({ 'transform: changed' }, plan.changes[1].details)
      assert.equal(0, plan.incompatible_count)
    end)
  end)

  it('reads catalogs of before there were functions', function()
    local first = host.plan('', declare(view('', "int64 'x'")))
    first.catalog.on_demand = nil
    local plan = host.plan(msgpack.encode(first.catalog), declare(view('', "int64 'x'")
      .. "on_demand_feature_view 'f' { inputs = { 'v:x' }, features = { int64 'y' }, "
      .. 'transform = function(row) return { y = row.x } end }'))
    assert.equal(1, plan.change_count)
  end)

  it('gives the same bytes when it is asked again', function()
    local declared = declare(view("ttl = '1d', tags = { b = '1', a = '2' },", "int64 'x'"))
    local first = host.plan('', declared)
    assert.equal(first.bytes, host.plan('', declared).bytes)
    assert.equal(first.bytes, host.plan(first.bytes, declared).bytes)
  end)

  it('refuses a damaged catalog', function()
    assert.error_matches(function()
      host.plan('\147', declare '')
    end, 'the catalog is damaged')
  end)
end)
