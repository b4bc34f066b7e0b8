-- On-demand views and tests in definitions: what they refer to, and what is said about mistakes.

local host = require 'spec.support.host'
local msgpack = require 'tidemark.msgpack'

local BASE = [[
entity 'zone' { keys = { int64 'zone_id' } }
source 'zones' { path = 'zones.parquet', event_time = 'at' }
feature_view 'stats' {
  entity = 'zone', source = 'zones', features = { float64 'demand', string 'name' },
}
feature_view 'prices' {
  entity = 'zone', source = 'zones', features = { float64 'demand', float64 'base' },
}
]]

local function fare(fields)
  return "on_demand_feature_view 'fare' {\n  " .. fields .. '\n}\n'
end

--- The problems of text behind BASE; lines count from there.
local function problems_of(text)
  local _, lines = BASE:gsub('\n', '')
  local found = {}
  for i, line in ipairs(host.load(BASE .. text).lines) do
    found[i] = line:gsub('^definitions/a%.lua:(%d+):', function(number)
      return (number - lines) .. ':'
    end)
  end
  return found
end

local function view_of(text, name)
  local loaded = host.load(BASE .. text)
  assert.same({}, loaded.lines)
  for _, view in ipairs(loaded.catalog.on_demand) do
    if view.name == (name or 'fare') then
      return view
    end
  end
  return nil
end

local function references_of(view)
  local list = {}
  for i, input in ipairs(view.inputs) do
    list[i] = input.view .. ':' .. input.feature
  end
  return list
end

local function row_of(view)
  local list = {}
  for i, input in ipairs(view.transform.inputs) do
    list[i] = input.name .. ' ' .. input.type
  end
  return list
end

describe('an on-demand view', function()
  it('becomes an entry of the catalog', function()
    local view = view_of(fare [[
      inputs = { 'stats:name', 'prices:base' }, request = { float64 'km' { doc = 'how far' } },
      features = { float64 'total' { doc = 'in all' } }, on_error = 'null', tags = { a = 'b' },
      transform = function(row)
        return { total = row.km * row.base + #row.name }
      end]])
    local code = view.transform.code
    assert.equal(32, #code)
    assert.same({
      name = 'fare', at = 'definitions/a.lua:9', level = 0, tags = { a = 'b' },
      inputs = { { view = 'stats', feature = 'name' }, { view = 'prices', feature = 'base' } },
      features = { { name = 'total', type = 'float64', doc = 'in all' } },
      transform = {
        at = 'definitions/a.lua:12', code = code, on_error = 'null',
        inputs = {
          { name = 'name', type = 'string' }, { name = 'base', type = 'float64' },
          { name = 'km', type = 'float64', doc = 'how far' },
        },
      },
    }, view)
  end)

  it('has long names where short ones are not unique, and only the inputs it reads', function()
    local view = view_of(fare [[inputs = { 'stats:*', 'prices:*' }, features = { float64 'x' },
      transform = function(row) return { x = row.stats__demand + row.base } end]])
    assert.same({ 'stats:demand', 'prices:base' }, references_of(view))
    assert.same({ 'stats__demand float64', 'base float64' }, row_of(view))
    local all = view_of(fare [[inputs = { 'stats:*', 'prices:*' }, features = { float64 'x' },
      transform = function(row) return row end]])
    assert.same({ 'stats:demand', 'stats:name', 'prices:demand', 'prices:base' },
      references_of(all))
  end)

  it('keeps every request field, and its inputs where it reads nothing', function()
    assert.same({ 'km float64', 'min int32' }, row_of(view_of(fare [[
      inputs = { 'stats:name' }, request = { float64 'km', int32 'min' },
      features = { float64 'x' }, transform = function(row) return { x = row.km } end]])))
    assert.same({ 'stats:name' }, references_of(view_of(fare [[
      inputs = { 'stats:name' }, features = { float64 'x' },
      transform = function() return { x = 1 } end]])))
  end)

  it('comes after those that it needs', function()
    local loaded = host.load(BASE .. fare [[inputs = { 'stats:demand' },
      features = { float64 'x' }, transform = function(row) return { x = row.demand } end]] .. [[
      on_demand_feature_view 'a' { inputs = { 'b:y', 'stats:name' }, features = { float64 'z' },
        transform = function(row) return { z = row.y + #row.name } end }
      on_demand_feature_view 'b' { inputs = { 'fare:*' }, features = { float64 'y' },
        transform = function(row) return { y = row.x } end }]])
    assert.same({}, loaded.lines)
    local levels = {}
    for i, view in ipairs(loaded.catalog.on_demand) do
      levels[i] = view.name .. view.level
    end
    assert.same({ 'a2', 'b1', 'fare0' }, levels)
  end)

  it('is asked for by services like any other, with keys of the views it needs renamed', function()
    local loaded = host.load(BASE .. fare [[inputs = { 'stats:demand' }, features = { float64 'x' },
      transform = function(row) return { x = row.demand } end]] .. [[
      feature_service 's' { features = { 'fare:*', 'prices:base' },
        roles = { stats = { zone_id = 'z' } } }]])
    assert.same({}, loaded.lines)
    assert.same({ { view = 'fare', feature = 'x' }, { view = 'prices', feature = 'base' } },
      loaded.catalog.services[1].features)
  end)
end)

describe('a mistake in an on-demand view', function()
  local REST = ", features = { float64 'x' }, transform = function(row) return { x = 1 } end"
  local TWO = [[
on_demand_feature_view 'b' { inputs = { 'fare:x' }, features = { float64 'y' },
  transform = function(row) return { y = row.x } end }]]
  local MISTAKES = {
    ['neither inputs nor request'] = { fare(REST:sub(3)),
      '1:24: on_demand_feature_view "fare": one of the fields "inputs" or "request" is required' },
    ['no transform'] = { fare "request = { float64 'km' }, features = { float64 'x' }",
      '1:24: on_demand_feature_view "fare": field "transform" is missing: gets the row of inputs '
        .. 'and request, returns a table with a field per feature' },
    ['an unknown view'] = { fare("inputs = { 'stat:demand' }" .. REST),
      '2:14: on_demand_feature_view "fare": unknown feature_view "stat", did you mean "stats"?' },
    ['an unknown feature'] = { fare("inputs = { 'stats:demnd' }" .. REST),
      '2:14: on_demand_feature_view "fare": feature_view "stats" has no feature "demnd", did you '
        .. 'mean "demand"?' },
    ['a role'] = { fare("inputs = { 'stats@a:demand' }" .. REST),
      '2:14: on_demand_feature_view "fare": inputs have no roles; write "stats:demand"' },
    ['no reference'] = { fare("inputs = { 'stats' }" .. REST),
      '2:14: on_demand_feature_view "fare": "stats" is no reference; write "view:feature" or '
        .. '"view:*"' },
    ['an input listed twice'] = { fare("inputs = { 'stats:*', 'stats:name' }" .. REST),
      '2:25: on_demand_feature_view "fare": "stats:name" is listed twice, first as "stats:*"' },
    ['a source'] = { fare("source = 'zones', inputs = { 'stats:name' }" .. REST),
      '2:3: on_demand_feature_view "fare": unknown field "source": its values come from `inputs` '
        .. 'and `request`' },
    ['a field that is not there'] = {
      fare("inputs = { 'stats:name' }, features = { float64 'x' },\n"
        .. '  transform = function(row) return { x = row.nmae } end'),
      '3:46: on_demand_feature_view "fare": transform: "nmae" is not among its inputs, did you '
        .. 'mean "name"?' },
    ['a short name that two inputs have'] = {
      fare("inputs = { 'stats:*', 'prices:*' }, features = { float64 'x' },\n"
        .. '  transform = function(row) return { x = row.demand } end'),
      '3:46: on_demand_feature_view "fare": transform: "demand" is in several inputs; write '
        .. 'row.stats__demand' },
    ['a view that needs itself'] = { fare("inputs = { 'fare:x' }" .. REST),
      '2:14: on_demand_feature_view "fare": needs itself: fare -> fare' },
    ['views that need each other'] = { fare("inputs = { 'b:y' }" .. REST) .. TWO,
      '2:14: on_demand_feature_view "fare": needs itself: b -> fare -> b' },
    ['the name of a feature view'] = {
      (fare("inputs = { 'stats:name' }" .. REST):gsub('fare', 'prices')),
      '1:24: on_demand_feature_view "prices": has the name of a feature_view, declared at '
        .. 'definitions/a.lua:6' },
    ['a feature with the name of a request field'] = {
      fare("request = { float64 'x' }" .. REST),
      '2:51: on_demand_feature_view "fare": feature "x" has the name of a request field' },
    ['a role of it in a service'] = { fare("request = { float64 'km' }" .. REST) .. [[
feature_service 's' { features = { 'fare@here:x' }, roles = { here = { zone_id = 'z' } } }]],
      '4:36: feature_service "s": on_demand_feature_view "fare" has no roles: the views among its '
        .. 'inputs are joined under their own keys; write "fare:x"', more = true },
    ['a feature that it does not have'] = { fare("request = { float64 'km' }" .. REST) .. [[
feature_service 's' { features = { 'fare:y' } }]],
      '4:36: feature_service "s": on_demand_feature_view "fare" has no feature "y"' },
  }
  for what, row in pairs(MISTAKES) do
    it('is found: ' .. what, function()
      local found = problems_of(row[1])
      assert.equal(row[2], found[1])
      assert.equal(row.more and 2 or 1, #found)
    end)
  end
end)

describe('a test in definitions', function()
  local FARE = fare [[inputs = { 'stats:demand' }, features = { float64 'x', list(string) 'l' },
  transform = function(row) return { x = row.demand, l = {} } end]]

  it('is handed out with its place, and is no part of the catalog', function()
    local plain = host.load(BASE .. FARE)
    local loaded = host.load(BASE .. FARE .. [[
test 'two rows' { view = 'stats', at = '2024-05-01', tolerance = 0.5,
  given = { { zone_id = 1, at = '2024-04-30', demand = 2.5 }, { zone_id = 9007199254740993LL } },
  expect = {} }
test 'one row' { view = 'fare', doc = 'why', given = { demand = null },
  expect = { x = null, l = { 'a', null } } }]])
    assert.same({}, loaded.lines)
    assert.equal(plain.bytes, loaded.bytes)
    assert.same({
      { name = 'one row', at = 'definitions/a.lua:16', doc = 'why', view = 'fare',
        given = { { demand = msgpack.null } },
        expect = { { x = msgpack.null, l = { 'a', msgpack.null } } } },
      { name = 'two rows', at = 'definitions/a.lua:13', view = 'stats', at_time = '2024-05-01',
        tolerance = 0.5, expect = {}, given = {
          { zone_id = 1, at = '2024-04-30', demand = 2.5 }, { zone_id = 9007199254740993LL } } },
    }, loaded.tests)
  end)

  local MISTAKES = {
    ['an unknown view'] = { "test 't' { view = 'stat', given = { a = 1 }, expect = {} }",
      '1:19: test "t": unknown feature_view "stat", did you mean "stats"?' },
    ['no rows'] = { "test 't' { view = 'stats', given = {}, expect = {} }",
      '1:36: test "t": given: is empty' },
    ['a value that no column has'] = {
      "test 't' { view = 'stats', given = { a = function() end }, expect = {} }",
      '1:42: test "t": given.a: expected a value or a list of values, got function' },
    ['a table in a list'] = { "test 't' { view = 'stats', given = { a = { {} } }, expect = {} }",
      '1:44: test "t": given.a[1]: expected a value, got table' },
    ['rows that are none'] = { "test 't' { view = 'stats', given = { 1, 2 }, expect = {} }",
      '1:38: test "t": given[1]: expected a row such as { amount = 10 }, got number',
      '1:41: test "t": given[2]: expected a row such as { amount = 10 }, got number' },
    ['no time'] = { "test 't' { view = 'stats', given = { a = 1 }, expect = {}, at = 'noon' }",
      '1:65: test "t": at: expected a time such as \'2024-05-01T12:00:00Z\', got "noon"' },
    ['a title twice'] = { "test 't' { view = 'stats', given = { a = 1 }, expect = {} }\n"
      .. "test 't' { view = 'stats', given = { a = 1 }, expect = {} }",
      '2:6: test "t": is declared twice, first at definitions/a.lua:9' },
    ['no title'] = { "test '' { view = 'stats', given = { a = 1 }, expect = {} }",
      '1:6: test "": is no name: a title cannot be empty' },
    ['a time of an on-demand view'] = {
      FARE .. "test 't' { view = 'fare', at = '2024-05-01', given = { a = 1 }, expect = {} }",
      '5:27: test "t": an on_demand_feature_view has no times; its values are given' },
  }
  for what, row in pairs(MISTAKES) do
    it('is reported: ' .. what, function()
      assert.same({ unpack(row, 2) }, problems_of(row[1]))
    end)
  end
end)
