-- The definition language: what a file may say, what becomes of it, what is said about mistakes.

local host = require 'spec.support.host'
local workspace = require 'spec.support.workspace'

local BASE = [[
entity 'driver' { keys = { int64 'driver_id' } }
entity 'trip' { keys = { string 'trip_id', timestamp 'started' } }
source 'stats' { path = 'data/stats.parquet', event_time = 'ts' }
]]

local VIEW = BASE .. [[
feature_view 'hourly' {
  entity = 'driver', source = 'stats',
  features = { float64 'rate', int64 'trips' },
}
feature_view 'daily' {
  entity = 'driver', source = 'stats',
  features = { float64 'rate', string 'zone' },
}
]]

--- The problems of `text` appended to declarations without mistakes; lines count from there.
local function problems_of(text, base)
  base = base or BASE
  local _, lines = base:gsub('\n', '')
  local found = {}
  for i, line in ipairs(host.load(base .. text).lines) do
    found[i] = line:gsub('^definitions/a%.lua:(%d+):', function(number)
      return (number - lines) .. ':'
    end)
  end
  return found
end

local function view(fields)
  return "feature_view 'v' {\n  entity = 'driver', source = 'stats',\n  " .. fields .. '\n}'
end

local function service(fields)
  return "feature_service 's' {\n  " .. fields .. '\n}'
end

describe('a definition', function()
  it('becomes an entry of the catalog', function()
    local catalog = host.load([[
      source 'stats' {
        sql = 'select 1', event_time = 'ts', created_time = 'created', deleted = 'gone',
        time_unit = 'ms', keys = { driver_id = 'drv' }, doc = 'where from',
      }
      feature_view 'hourly' {
        entity = 'driver', source = 'stats', ttl = '36h', bound = '<', delay = '10m',
        online = false, tags = { team = 'x' },
        features = { float64 'rate' { column = 'r', doc = 'a share' }, vector(3) 'place' },
      }
      entity 'driver' { keys = { int64 'driver_id' { doc = 'who' } }, doc = 'a person' }
      feature_service 'ranking' {
        features = { 'hourly:rate', 'hourly@other:*' }, roles = { other = { driver_id = 'd2' } },
      }
    ]]).catalog
    assert.same({
      format = 1,
      entities = { {
        name = 'driver', at = 'definitions/a.lua:10', doc = 'a person',
        keys = { { name = 'driver_id', type = 'int64', doc = 'who' } },
      } },
      sources = { {
        name = 'stats', at = 'definitions/a.lua:1', sql = 'select 1', event_time = 'ts',
        created_time = 'created', deleted = 'gone', time_unit = 'ms', doc = 'where from',
        keys = { driver_id = 'drv' },
      } },
      views = { {
        name = 'hourly', at = 'definitions/a.lua:5', entities = { 'driver' }, source = 'stats',
        ttl = 129600000000, bound = '<', as_known = true, delay = 600000000, online = false,
        tags = { team = 'x' },
        features = {
          { name = 'rate', type = 'float64', column = 'r', doc = 'a share' },
          { name = 'place', type = 'vector(3)', column = 'place' },
        },
      } },
      on_demand = {},
      services = { {
        name = 'ranking', at = 'definitions/a.lua:11',
        features = {
          { view = 'hourly', feature = 'rate' },
          { view = 'hourly', role = 'other', feature = 'rate' },
          { view = 'hourly', role = 'other', feature = 'place' },
        },
        roles = { other = { driver_id = 'd2' } },
      } },
    }, catalog)
  end)

  it('has defaults', function()
    local found = host.load(BASE .. view "features = { bool 'x' }").catalog.views[1]
    assert.same({ '<=', false, true }, { found.bound, found.as_known, found.online })
    assert.is_nil(found.ttl)
  end)

  it('takes every type in short and long form', function()
    local short = host.load(BASE .. view [[features = {
      bool 'a', int32 'b', int64 'c', float32 'd', float64 'e', string 'f', bytes 'g',
      timestamp 'h', list(string) 'i', vector(128) 'j', list(timestamp) 'k' { doc = 'x' } }]])
    local long = host.load(BASE .. view [[features = {
      { name = 'a', type = 'bool' }, { name = 'b', type = 'int32' }, { name = 'c', type = int64 },
      { name = 'd', type = 'float32' }, { name = 'e', type = 'float64' },
      { name = 'f', type = string }, { name = 'g', type = 'bytes' },
      { name = 'h', type = 'timestamp' }, { name = 'i', type = 'list(string)' },
      { name = 'j', type = vector(128) }, { name = 'k', type = list(timestamp), doc = 'x' } }]])
    assert.same({}, short.lines)
    assert.same(short.catalog.views[1].features, long.catalog.views[1].features)
  end)

  it('may be made by code', function()
    local catalog = host.load(BASE .. [[
      local function features(prefix, count)
        local list = {}
        for i = 1, count do
          list[i] = float64(string.format('%s_%02d', prefix, i))
        end
        return list
      end
      for _, unit in ipairs { 'day', 'week' } do
        feature_view('per_' .. unit) { entity = 'driver', source = 'stats',
          features = features(unit:upper(), 3) }
      end
    ]]).catalog
    assert.equal(2, #catalog.views)
    assert.equal('WEEK_03', catalog.views[2].features[3].name)
  end)

  it('may leave out fields that code has made', function()
    assert.same({}, host.load([[
      local all, picked = {}, {}
      local function add(list, field) list[#list + 1] = field end
      for _, name in ipairs { 'a', 'b' } do table.insert(all, float64(name)) end
      add(all, int64 'c') picked[1] = all[1]
      local unused = bool 'd'
    ]]).lines)
    assert.same({ 'definitions/a.lua:1:22: list(string) "y" stands alone: put it between the '
      .. 'braces of a declaration' }, host.load("local t = {} t.f = 1 list(string) 'y'").lines)
  end)

  it('is the same bytes whatever the order of files', function()
    local first = host.load {
      ['definitions/a.lua'] = "entity 'e' { keys = { int64 'id' }, tags = { b = '2', a = '1' } }",
      ['definitions/b.lua'] = "source 's' { path = 'x.csv', event_time = 't' }",
    }
    assert.same({}, first.lines)
    for _ = 1, 5 do
      local again = host.load {
        ['definitions/b.lua'] = "source 's' { path = 'x.csv', event_time = 't' }",
        ['definitions/a.lua'] = "entity 'e' { keys = { int64 'id' }, tags = { b = '2', a = '1' } }",
      }
      assert.equal(first.bytes, again.bytes)
    end
  end)
end)

describe('a mistake in a definition', function()
  -- Every row: what follows BASE, and everything that is said about it.
  local MISTAKES = {
    ['an unknown field'] = { view "features = { bool 'x' }, sorce = 'stats'",
      '3:28: feature_view "v": unknown field "sorce", did you mean "source"?' },
    ['a field of another kind of view'] = {
      view "features = { bool 'x' }, schema = {}",
      '3:28: feature_view "v": unknown field "schema": write `features = { … }`' },
    ['a missing field'] = { "feature_view 'v' { entity = 'driver', features = { bool 'x' } }",
      '1:14: feature_view "v": field "source" is missing: the source its rows are read from' },
    ['a wrong type of value'] = { view "features = { bool 'x' }, ttl = 30",
      '3:34: feature_view "v": ttl: expected a duration such as "36h", got number' },
    ['a value without a name'] = { view "'driver', features = { bool 'x' }",
      '3:3: feature_view "v": [1]: unexpected value; fields are written entity = \'driver\'' },
    ['a ttl of zero'] = { view "features = { bool 'x' }, ttl = '0d'",
      '3:34: feature_view "v": ttl: a ttl of 0 would make every value too old at once; leave ttl '
        .. 'out for values that stay valid' },
    ['a ttl of 0'] = { view "features = { bool 'x' }, ttl = 0",
      '3:34: feature_view "v": ttl: a ttl of 0 would make every value too old at once; leave ttl '
        .. 'out for values that stay valid' },
    ['no duration'] = { view "features = { bool 'x' }, ttl = '3 days'",
      '3:34: feature_view "v": ttl: "3 days": expected a number and a unit of us, ms, s, m, h, d '
        .. 'or w, such as "36h" or "1h30m"' },
    ['an unknown choice'] = { view "features = { bool 'x' }, bound = '=<'",
      '3:36: feature_view "v": bound: unknown value "=<"; expected one of "<=", "<"' },
    ['a delay of a view that is not as_known'] = {
      view "features = { bool 'x' }, delay = '1h', as_known = false",
      '3:53: feature_view "v": a view with a delay is as_known' },
    ['an unknown word'] = { "featur_view 'x' {}",
      '1:1: unknown word "featur_view", did you mean "feature_view"?' },
    ['an unknown type'] = { view "features = { flot64 'x' }",
      '3:16: unknown word "flot64", did you mean "float64"?' },
    ['an unknown type in long form'] = { view "features = { { name = 'x', type = 'double' } }",
      '3:37: feature_view "v": feature "x": type: unknown type "double", did you mean "float64"?' },
    ['an unknown field of a feature'] = { view "features = { bool 'y', bool 'x' { dco = '' } }",
      '3:37: feature_view "v": feature "x": unknown field "dco", did you mean "doc"?' },
    ['a feature that is only a text'] = { view "features = { 'x' }",
      '3:16: feature_view "v": features[1]: expected a type and a name such as '
        .. 'float64 \'conv_rate\', got "x"' },
    ['a feature without a name'] = { view 'features = { float64 }',
      '3:16: feature_view "v": features[1]: is a type without a name; write float64 \'name\'' },
    ['features that are no list'] = { view "features = float64 'x'",
      '3:14: feature_view "v": features: expected a list; write { float64 \'conv_rate\' }' },
    ['no features'] = { view 'features = {}', '3:14: feature_view "v": features: is empty' },
    ['a feature listed twice'] = { view "features = { bool 'x', int64 'x' }",
      '3:32: feature_view "v": features[2]: feature "x" is listed twice' },
    ['a feature with the name of a key'] = { view "features = { bool 'driver_id' }",
      '3:21: feature_view "v": feature "driver_id" has the name of a key of entity "driver"' },
    ['a bad name of a feature'] = { view "features = { bool '2x' }",
      '3:21: feature_view "v": feature "2x": "2x" is no name: a name is made of letters, digits '
        .. 'and _, and does not start with a digit' },
    ['a bad name of a view'] = {
      "feature_view 'a__b' { entity = 'driver', source = 'stats', features = { bool 'x' } }",
      '1:14: feature_view "a__b": "a__b" is no name for a feature_view: it cannot contain "__" or '
        .. 'end with "_": columns are called `view__feature`' },
    ['a name of a view that is none anywhere'] = {
      "feature_view 'a-b' { entity = 'driver', source = 'stats', features = { bool 'x' } }",
      '1:14: feature_view "a-b": is no name: a name is made of letters, digits and _, and does not '
        .. 'start with a digit' },
    ['a vector without elements'] = { view "features = { vector(0) 'x' }",
      '3:16: vector: a vector has 1 to 65536 elements, not 0' },
    ['a list of lists'] = { view "features = { list(list(string)) 'x' }",
      '3:16: list: a list cannot hold "list(string)"; its elements are plain values' },
    ['a key that cannot be one'] = { "entity 'e' { keys = { float64 'x' } }",
      '1:23: entity "e": key "x": a key cannot be float64; it can be bool, int32, int64, string, '
        .. 'bytes, timestamp' },
    ['an unknown entity'] = {
      "feature_view 'v' { entity = 'drivr', source = 'stats', features = { bool 'x' } }",
      '1:29: feature_view "v": unknown entity "drivr", did you mean "driver"?' },
    ['an unknown entity in a list'] = { [[feature_view 'v' {
  entity = { 'trip', 'drivr' }, source = 'stats', features = { bool 'x' } }]],
      '2:22: feature_view "v": unknown entity "drivr", did you mean "driver"?' },
    ['an unknown source'] = {
      "feature_view 'v' { entity = 'driver', source = 'stat', features = { bool 'x' } }",
      '1:48: feature_view "v": unknown source "stat", did you mean "stats"?' },
    ['entities that share a key'] = { [[entity 'other' { keys = { string 'driver_id' } }
feature_view 'v' { entity = { 'driver', 'other' }, source = 'stats', features = { bool 'x' } }]],
      '2:41: feature_view "v": entities "driver" and "other" both have a key "driver_id"; a view '
        .. 'needs keys of different names' },
    ['a source of two kinds'] = { "source 'x' { path = 'a', sql = 'b', event_time = 't' }",
      '1:26: source "x": either "path" or "sql", not both' },
    ['a list of paths without one'] = { "source 'x' { path = {}, event_time = 't' }",
      '1:21: source "x": path: is empty' },
    ['a list of paths that are none'] = { "source 'x' { path = { 'a', 7 }, event_time = 't' }",
      '1:28: source "x": path[2]: expected a path, got number' },
    ['a path of two lines'] = { [[source 'x' { path = 'a\nb', event_time = 't' }]],
      '1:21: source "x": path: contains a line break; several paths are a list' },
    ['a source of no kind'] = { "source 'x' { event_time = 't' }",
      '1:8: source "x": one of the fields "path" or "sql" is required' },
    ['a source with keys that do not exist'] = {
      "source 'x' { path = 'a', event_time = 't', keys = { drver_id = 'd' } }",
      '1:53: source "x": no entity has a key "drver_id", did you mean "driver_id"?' },
    ['a name used twice'] = { "entity 'driver' { keys = { int64 'id' } }",
      '1:8: entity "driver": is declared twice, first at definitions/a.lua:1' },
    ['a name without a table'] = { "entity 'x'", '1:8: entity "x": has no { … } behind its name' },
    ['a field outside of everything'] = { view "features = { bool 'x' }" .. "\nfloat64 'y'",
      '5:1: float64 "y" stands alone: put it between the braces of a declaration' },
    ['a described field outside of everything'] = { "local t = 1\nint32 'y' { doc = '' }",
      '2:1: int32 "y" stands alone: put it between the braces of a declaration' },
    ['a field of an unknown word'] = { "featur_view 'v' { features = { bool 'y' } }",
      '1:1: unknown word "featur_view", did you mean "feature_view"?' },
    ['a table without a name'] = { "entity { keys = { int64 'id' } }",
      "1:1: entity: expected a name in front of the braces, got table; write entity 'name' { … }" },
    ['a global'] = { 'ttl = "30d"\nlocal x = ttl',
      '1:1: global "ttl" is not allowed; write local ttl' },
    ['a word that is assigned'] = { 'entity = 1',
      '1:1: "entity" is a word of the language and cannot be assigned' },
    ['tags that are no text'] = { "entity 'e' { keys = { int64 'id' }, tags = { n = 1 } }",
      '1:50: entity "e": tags.n: expected a text, got number' },
    ['a text that is not UTF-8'] = { "entity 'e' { keys = { int64 'id' }, doc = '\\252' }",
      '1:43: entity "e": doc: is not UTF-8 text' },
    ['random numbers'] = { 'local x = math.random()',
      '1:1: math.random is not available (differs from run to run)' },
    ['the name that a type has elsewhere'] = { view "features = { double 'x' }",
      '3:16: unknown word "double": the type is called float64' },
    ['a library in the place of a type'] = { "local key = text 'name'",
      '1:1: "text" is a library of functions; the type is called string' },
    ['a missing comma'] = { "feature_view 'v' { entity = 'driver' source = 'stats' }",
      "1:38: '}' expected near 'source'; is a comma missing before it?" },
    ['a missing brace'] = { "entity 'x' { keys = { int64 'y' }\n",
      "2:1: '}' expected (to close '{' at line 4) near '<eof>'" },
    ['a syntax error'] = { "entity 'x' {\n  keys = = 1\n}", "2:10: unexpected symbol near '='" },
    ['a run-time error'] = { 'local t\n\n  local x = t.field',
      "3:3: attempt to index local 't' (a nil value)" },
    ['an error of its own'] = { "local function fail()\n  error('too bad')\nend\nfail()",
      '2:3: too bad' },
  }
  for what, row in pairs(MISTAKES) do
    it('is found: ' .. what, function()
      assert.same({ row[2] }, problems_of(row[1]))
    end)
  end

  local SERVICE_MISTAKES = {
    ['an unknown view'] = { service "features = { 'hurly:rate' }",
      '2:16: feature_service "s": unknown feature_view "hurly", did you mean "hourly"?' },
    ['an unknown feature'] = { service "features = { 'hourly:trips', 'hourly:raet' }",
      '2:32: feature_service "s": feature_view "hourly" has no feature "raet", did you mean '
        .. '"rate"?' },
    ['no reference'] = { service "features = { 'hourly.rate' }",
      '2:16: feature_service "s": "hourly.rate" is no reference; write "view:feature", "view:*" '
        .. 'or "view@role:feature"' },
    ['a reference listed twice'] = { service "features = { 'hourly:rate', 'hourly:*' }",
      '2:31: feature_service "s": "hourly:rate" is listed twice, first as "hourly:rate"' },
    ['an undeclared role'] = { service "features = { 'hourly@other:rate' }",
      '2:16: feature_service "s": role "other" is not declared; write '
        .. "roles = { other = { key = 'column' } }" },
    ['an unused role'] = {
      service "features = { 'hourly:rate' }, roles = { other = { driver_id = 'd' } }",
      '2:43: feature_service "s": role "other" is not used: no reference says view@other or '
        .. 'names a view of that name' },
    ['a role for a key that does not exist'] = {
      service "features = { 'hourly@o:rate' }, roles = { o = { drver_id = 'd' } }",
      '2:51: feature_service "s": role "o": no view joined under it has a key "drver_id", did '
        .. 'you mean "driver_id"?' },
    ['a role with the name of a view'] = {
      service "features = { 'hourly@daily:rate' }, roles = { daily = { driver_id = 'd' } }",
      '2:16: feature_service "s": role "daily" has the name of a feature_view' },
  }
  for what, row in pairs(SERVICE_MISTAKES) do
    it('is found in a service: ' .. what, function()
      assert.same({ row[2] }, problems_of(row[1], VIEW))
    end)
  end

  it('is found in a service: two columns of one name', function()
    local found = problems_of([[
feature_view 'x' { entity = 'driver', source = 'stats', features = { bool 'hourly__rate' } }
feature_service 's' { features = { 'hourly:rate', 'daily:rate', 'x:hourly__rate' } }]], VIEW)
    assert.same({ '2:65: feature_service "s": "hourly:rate" and "x:hourly__rate" would both give a '
      .. 'column "hourly__rate"; rename one of the features' }, found)
  end)

  it('is not found where there is none: the name of a view as a role', function()
    assert.same({}, problems_of(
      service "features = { 'hourly:rate' }, roles = { hourly = { driver_id = 'd' } }", VIEW))
  end)

  it('is found: more keys than a view can have', function()
    assert.same({ '4:54: feature_view "v": has 65 keys; a view has at most 64' }, problems_of([[
local keys = {}
for i = 1, 65 do keys[i] = int64('k' .. i) end
entity 'wide' { keys = keys }
feature_view 'v' { features = { bool 'x' }, entity = 'wide', source = 'stats' }]]))
  end)

  it('comes with the line and a caret', function()
    local problems = host.load('-- é\nlocal x = "é" .. y').problems
    assert.equal(1, #problems)
    local problem = problems[1]
    assert.equal('definitions/a.lua:2:18', problem.where)
    problem = host.load("\tentity 'é' { kys = {} }").problems[2]
    assert.equal("\tentity 'é' { kys = {} }\n\t             ^", problem.excerpt)
    assert.equal('definitions/a.lua:1:15', problem.where)
  end)

  it('is found beneath comments and strings that look alike', function()
    local found = problems_of([==[
-- feature_view 'v' { sorce = 1 }
local text = [[ feature_view 'v' { sorce = 2 } ]]
feature_view 'v' { --[[ sorce = 3 ]]
  doc = 'sorce = 4', entity = 'driver', features = { bool 'x' { doc = 'sorce' } },
  sorce = 'stats',
}]==])
    assert.same({ '5:3: feature_view "v": unknown field "sorce", did you mean "source"?' }, found)
  end)

  it('is one of ten, and all are reported in order', function()
    local lines = host.load({
      ['definitions/b.lua'] = [[
feature_view 'hourly' {
  entity = 'drivr',
  sorce = 'stats',
  ttl = '0s',
  features = { flot64 'x', float64 'y' { dcc = '' }, float64 'y' },
}
featur_service 'z' {}]],
      ['definitions/a.lua'] = [[
entity 'driver' { keys = { float64 'id' } }
source 'stats' { path = 'x', sql = 'y' }
entity 'driver' {}]],
    }).lines
    for i, line in ipairs(lines) do
      lines[i] = line:match('^definitions/%l%.lua:%d+:%d+')
    end
    assert.same({
      'definitions/a.lua:1:28', 'definitions/a.lua:2:8', 'definitions/a.lua:2:30',
      'definitions/a.lua:3:8', 'definitions/a.lua:3:8', 'definitions/b.lua:2:12',
      'definitions/b.lua:3:3', 'definitions/b.lua:4:9', 'definitions/b.lua:5:16',
      'definitions/b.lua:5:42', 'definitions/b.lua:5:62', 'definitions/b.lua:7:1',
    }, lines)
  end)

  it('does not bring others with it', function()
    -- The view, the entity and the name below are unreadable, so nobody knows what they hold.
    assert.same({ '1:1: unknown word "entiti", did you mean "entity"?' }, problems_of([[
entiti 'user' { keys = { int64 'user_id' } }
feature_view 'v' { entity = 'user', source = 'stats', features = { bool 'x' } }
feature_service 's' { features = { 'v:x' } }]]))
    local lines = host.load({
      ['definitions/a.lua'] = "entity 'driver' { keys = { int64 'id' } ",
      ['definitions/b.lua'] = "source 's' { path = 'x', event_time = 't' }\n"
        .. "feature_view 'v' { entity = 'driver', source = 's', features = { bool 'x' } }",
    }).lines
    assert.equal(1, #lines)
  end)
end)

describe('definition files', function()
  local project

  before_each(function()
    project = workspace.new { ['definitions/a.lua'] = "entity 'e' { keys = { int64 'id' } }" }
  end)

  it('are found in folders, without hidden ones and other kinds', function()
    project:write('definitions/deep/er/b.lua', "entity 'f' { keys = { int64 'id' } }")
    project:write('definitions/.hidden.lua', 'nonsense')
    project:write('definitions/notes.md', 'nonsense')
    local loaded = host.load_folder(project.folder)
    assert.same({}, loaded.lines)
    assert.equal("entity 'f' { keys = { int64 'id' } }",
      loaded.sources['definitions/deep/er/b.lua'])
    assert.same({ 'e', 'f' },
      { loaded.catalog.entities[1].name, loaded.catalog.entities[2].name })
  end)

  it('load from stored text as from disk', function()
    local loaded = host.load_folder(project.folder)
    local again = host.load(loaded.sources)
    assert.equal(loaded.bytes, again.bytes)
  end)

  it('that cannot be read are problems', function()
    project:write('definitions/huge.lua', ('-- x\n'):rep(300000))
    project:write('definitions/latin.lua', "-- caf\233\n")
    project:write('definitions/surrogate.lua', '-- \237\160\128\n')
    os.execute(("cd '%s/definitions' && ln -s loop.lua loop.lua && ln -s nowhere gone.lua && "
      .. "mkdir sub && ln -s .. sub/up && mkfifo pipe.lua"):format(project.folder))
    local loaded = host.load_folder(project.folder)
    local seen = {}
    for _, problem in ipairs(loaded.problems) do
      seen[problem.where] = problem.message
    end
    assert.equal('is larger than 1 MiB; definitions are source text, data belongs into sources',
      seen['definitions/huge.lua'])
    assert.equal('is not UTF-8 text; save it as UTF-8', seen['definitions/latin.lua'])
    assert.equal('is not UTF-8 text; save it as UTF-8', seen['definitions/surrogate.lua'])
    assert.equal('cannot be opened: Too many levels of symbolic links',
      seen['definitions/loop.lua'])
    assert.equal('cannot be opened: No such file or directory', seen['definitions/gone.lua'])
    assert.equal('is not a regular file', seen['definitions/pipe.lua'])
    local looped = false
    for where, message in pairs(seen) do
      looped = looped or (where:find('sub/up', 1, true) ~= nil
        and (message:find('nested too deeply', 1, true) or message:find('symbolic links')) ~= nil)
    end
    assert.is_true(looped)
  end)

  it('are missing: an error that says what to do', function()
    local empty = workspace.new()
    assert.error_matches(function()
      host.load_folder(empty.folder)
    end, 'tidemark init')
  end)
end)
