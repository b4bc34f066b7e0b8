local ffi = require 'ffi'
local mpack = require 'mpack'
local data = require 'spec.support.data'
local random = require 'spec.support.random'
local C = require 'spec.support.ffi'

ffi.cdef [[
typedef struct { const char *name, *doc, *column; Type type; uint32_t slot; } Field;
typedef struct { const char *key, *value; } Tag;
typedef struct {
  const char *kind, *name, *doc, *at;
  const Tag *tags;
  size_t tag_count;
} Declared;
typedef struct { Declared declared; const Field *keys; size_t key_count; } Entity;
typedef struct {
  Declared declared;
  const char *path, *sql, *event_time, *created_time, *deleted;
  int time_unit;
  const Tag *key_columns;
  size_t key_column_count;
} Source;
typedef struct {
  const char *at, *code;
  const Field *inputs;
  size_t input_count;
  bool null_on_error;
} Function;
typedef struct {
  Declared declared;
  uint16_t id;
  const Entity *const *entities;
  size_t entity_count;
  const Field *keys;
  size_t key_count;
  const Source *source;
  const Field *features;
  size_t feature_count;
  uint32_t slot_count;
  int64_t ttl, delay;
  bool strict, as_known, online;
  Function filter, transform;
} View;
typedef struct OnDemand OnDemand;
typedef struct {
  const View *view;
  const OnDemand *on_demand;
  const char *role;
  const Field *feature;
} Reference;
struct OnDemand {
  Declared declared;
  Function transform;
  const Reference *references;
  size_t reference_count;
  const Field *features;
  size_t feature_count;
  uint32_t level;
};
typedef struct { const char *role, *key, *column; } RoleKey;
typedef struct {
  Declared declared;
  const Reference *features;
  size_t feature_count;
  const RoleKey *roles;
  size_t role_count;
} Service;
typedef struct {
  uint64_t generation;
  const Entity *entities;
  size_t entity_count;
  const Source *sources;
  size_t source_count;
  const View *views;
  size_t view_count;
  const Service *services;
  size_t service_count;
  const OnDemand *on_demands;
  size_t on_demand_count;
  Slice texts;
} Catalog;
typedef struct { Reference *items; size_t count, capacity; } ReferenceList;
Catalog *tidemark_catalog_decode(const char *data, size_t size, uint64_t generation, char *message);
Catalog *tidemark_catalog_ref(const Catalog *catalog);
void tidemark_catalog_unref(const Catalog *catalog);
const View *tidemark_catalog_view(const Catalog *catalog, const char *name);
const Entity *tidemark_catalog_entity(const Catalog *catalog, const char *name);
const Source *tidemark_catalog_source(const Catalog *catalog, const char *name);
const Service *tidemark_catalog_service(const Catalog *catalog, const char *name);
const OnDemand *tidemark_catalog_on_demand(const Catalog *catalog, const char *name);
void tidemark_catalog_set_texts(Catalog *catalog, const char *data, size_t size);
const char *tidemark_catalog_suggest(const char *name, size_t size, const char *const *known,
                                     size_t count);
bool tidemark_catalog_reference(const Catalog *catalog, const char *text, size_t size,
                                ReferenceList *out, Arena *arena, char *message);
]]

local DAMAGED = 'damaged catalog, or one of a newer tidemark: '
local text = ffi.string

-- A catalog with something of everything; specs change what they are about.
local function blueprint()
  return {
    entities = {
      { name = 'driver', at = 'definitions/driver.lua:1', doc = 'who drives',
        tags = { team = 'a' }, keys = { { name = 'driver_id', type = 'int64', doc = 'number' } } },
      { name = 'user', at = 'd.lua:2',
        keys = { { name = 'user_id', type = 'string' }, { name = 'region', type = 'int32' } } },
    },
    sources = {
      { name = 'clicks', sql = 'select 1', event_time = 'at', time_unit = 'ms', deleted = 'gone' },
      { name = 'stats', path = 'data/s.parquet', event_time = 'ts', created_time = 'created',
        keys = { driver_id = 'drv' } },
    },
    views = {
      { name = 'both', id = 9, entities = { 'user', 'driver' }, source = 'stats', slots = 4,
        bound = '<', delay = 600000000, online = false, features = {
          { name = 'v', type = 'vector(8)', column = 'v', slot = 3 } },
        filter = { at = 'd.lua:5', code = 'f1', inputs = { { name = 'ok', type = 'bool' } } },
        transform = { at = 'd.lua:6', code = 'f2', on_error = 'null', inputs = {
          { name = 'a', type = 'float64', column = 'aa' }, { name = 'b', type = 'string' } } } },
      { name = 'stats', id = 1, entities = { 'driver' }, source = 'stats', slots = 2,
        ttl = 86400000000, bound = '<=', as_known = false, online = true, features = {
          { name = 'conv_rate', type = 'float64', column = 'conv', slot = 1, doc = 'share' },
          { name = 'acc_rate', type = 'float32', column = 'acc_rate', slot = 0 } } },
    },
    on_demand = {
      { name = 'chained', at = 'd.lua:7', level = 1,
        inputs = { { view = 'price', feature = 'total' } },
        features = { { name = 'high', type = 'bool' } },
        transform = { at = 'd.lua:8', code = 'f3',
          inputs = { { name = 'total', type = 'float64' } } } },
      { name = 'price', level = 0, doc = 'what it costs',
        inputs = { { view = 'stats', feature = 'conv_rate' } },
        features = { { name = 'total', type = 'float64' }, { name = 'text', type = 'string' } },
        transform = { at = 'd.lua:9', code = 'f4', on_error = 'null', inputs = {
          { name = 'rate', type = 'float64' }, { name = 'km', type = 'int32' } } } },
    },
    services = {
      { name = 'ranking', at = 'd.lua:9', features = {
        { view = 'stats', feature = 'acc_rate' },
        { view = 'stats', role = 'origin', feature = 'conv_rate' } },
        roles = { origin = { driver_id = 'origin_driver' } } },
    },
  }
end

local function decode(bytes, generation)
  local catalog = C.tidemark_catalog_decode(bytes, #bytes, generation or 1, data.message)
  if catalog == nil then
    return nil, text(data.message)
  end
  return ffi.gc(catalog, C.tidemark_catalog_unref)
end

local function load(catalog)
  return decode(mpack.pack(catalog))
end

local function names(list, count, field)
  local all = {}
  for i = 0, tonumber(count) - 1 do
    all[i + 1] = text(list[i][field])
  end
  return all
end

local function references(catalog, written)
  local arena = ffi.gc(C.tidemark_arena_new(), C.tidemark_arena_free)
  local list = ffi.new('ReferenceList')
  for _, reference in ipairs(written) do
    local ok, err = data.outcome(C.tidemark_catalog_reference(catalog, reference, #reference, list,
      arena, data.message))
    if not ok then
      return nil, err
    end
  end
  local found = {}
  for i = 0, tonumber(list.count) - 1 do
    local item = list.items[i]
    local view = item.view ~= nil and item.view or item.on_demand
    found[i + 1] = ('%s@%s:%s'):format(text(view.declared.name), text(item.role),
      text(item.feature.name))
  end
  return found
end

local function suggest(name, known)
  local list = ffi.new('const char *[?]', #known + 1, known)
  local found = C.tidemark_catalog_suggest(name, #name, list, #known)
  return found ~= nil and text(found) or nil
end

describe('catalog', function()
  it('holds what was declared', function()
    local catalog = assert(decode(mpack.pack(blueprint()), 42))
    assert.equal(42, tonumber(catalog.generation))
    local driver = C.tidemark_catalog_entity(catalog, 'driver')
    assert.same({ 'entity', 'driver', 'who drives', 'definitions/driver.lua:1', 'team', 'a' },
      { text(driver.declared.kind), text(driver.declared.name), text(driver.declared.doc),
        text(driver.declared.at), text(driver.declared.tags[0].key),
        text(driver.declared.tags[0].value) })
    assert.same({ 'driver_id' }, names(driver.keys, driver.key_count, 'name'))
    local clicks = C.tidemark_catalog_source(catalog, 'clicks')
    assert.same({ 'select 1', 'at', 'gone', 2 }, { text(clicks.sql), text(clicks.event_time),
      text(clicks.deleted), clicks.time_unit })
    assert.is_true(clicks.path == nil and clicks.created_time == nil)
    local stats = C.tidemark_catalog_source(catalog, 'stats')
    assert.same({ 'data/s.parquet', 'created', 0 },
      { text(stats.path), text(stats.created_time), stats.time_unit })
  end)

  it('resolves views: entities, keys under their columns, features in declared order', function()
    local catalog = assert(load(blueprint()))
    local view = C.tidemark_catalog_view(catalog, 'stats')
    assert.same({ 1, 2, 86400000000LL, 0LL }, { view.id, view.slot_count, view.ttl, view.delay })
    assert.same({ false, false, true }, { view.strict, view.as_known, view.online })
    assert.is_true(view.source == C.tidemark_catalog_source(catalog, 'stats'))
    assert.same({ 'conv_rate', 'acc_rate' }, names(view.features, view.feature_count, 'name'))
    assert.same({ 'conv', 'acc_rate' }, names(view.features, view.feature_count, 'column'))
    assert.equal(1, view.features[0].slot)
    assert.is_true(C.tidemark_type_equal(data.type('float32'), view.features[1].type))

    local both = C.tidemark_catalog_view(catalog, 'both')
    assert.same({ 'user_id', 'region', 'driver_id' }, names(both.keys, both.key_count, 'name'))
    assert.same({ 'user_id', 'region', 'drv' }, names(both.keys, both.key_count, 'column'))
    assert.equal(2, tonumber(both.entity_count))
    assert.equal(0LL, both.ttl)
    -- a delay implies as_known
    assert.same({ true, true, false }, { both.strict, both.as_known, both.online })
    assert.is_true(C.tidemark_type_equal(data.type('vector(8)'), both.features[0].type))
  end)

  it('resolves services', function()
    local catalog = assert(load(blueprint()))
    local service = C.tidemark_catalog_service(catalog, 'ranking')
    assert.equal(2, tonumber(service.feature_count))
    assert.is_true(service.features[1].view == C.tidemark_catalog_view(catalog, 'stats'))
    assert.equal('conv_rate', text(service.features[1].feature.name))
    assert.same({ '', 'origin' }, names(service.features, 2, 'role'))
    assert.equal(1, tonumber(service.role_count))
    assert.same({ 'origin', 'driver_id', 'origin_driver' }, { text(service.roles[0].role),
      text(service.roles[0].key), text(service.roles[0].column) })
  end)

  it('holds functions of views', function()
    local catalog = assert(load(blueprint()))
    local both = C.tidemark_catalog_view(catalog, 'both')
    assert.same({ 'd.lua:5', 'f1', false }, { text(both.filter.at), text(both.filter.code),
      both.filter.null_on_error })
    assert.same({ 'd.lua:6', 'f2', true }, { text(both.transform.at), text(both.transform.code),
      both.transform.null_on_error })
    local inputs = both.transform.inputs
    assert.same({ 'a', 'b' }, names(inputs, both.transform.input_count, 'name'))
    assert.same({ 'aa', 'b' }, names(inputs, both.transform.input_count, 'column'))
    local stats = C.tidemark_catalog_view(catalog, 'stats')
    assert.is_true(stats.filter.at == nil and stats.transform.at == nil)
  end)

  it('resolves on-demand views, whatever their order', function()
    local catalog = assert(load(blueprint()))
    local price = C.tidemark_catalog_on_demand(catalog, 'price')
    local chained = C.tidemark_catalog_on_demand(catalog, 'chained')
    assert.same({ 'on_demand_feature_view', 'what it costs', 0 }, { text(price.declared.kind),
      text(price.declared.doc), price.level })
    assert.equal(1, tonumber(price.reference_count))
    assert.is_true(price.references[0].view == C.tidemark_catalog_view(catalog, 'stats'))
    assert.equal('conv_rate', text(price.references[0].feature.name))
    assert.same({ 'rate', 'km' }, names(price.transform.inputs, 2, 'name'))
    assert.same({ 'total', 'text' }, names(price.features, price.feature_count, 'name'))
    assert.is_true(chained.references[0].view == nil)
    assert.is_true(chained.references[0].on_demand == price)
    assert.is_true(chained.references[0].feature == price.features + 0)
    assert.equal(1, chained.level)
    assert.is_true(C.tidemark_catalog_on_demand(catalog, 'stats') == nil)
  end)

  it('keeps the texts of functions where it has some', function()
    local catalog = assert(load(blueprint()))
    C.tidemark_catalog_set_texts(catalog, 'abc', 3)
    assert.equal('abc', text(catalog.texts.data, catalog.texts.size))
    local plain = blueprint()
    plain.on_demand, plain.views[1].filter, plain.views[1].transform = nil, nil, nil
    catalog = assert(load(plain))
    C.tidemark_catalog_set_texts(catalog, 'abc', 3)
    assert.equal(0, tonumber(catalog.texts.size))
  end)

  it('finds by whole names only', function()
    local catalog = assert(load(blueprint()))
    for _, name in ipairs { '', 'driv', 'drivers', 'Driver', 'zzz', 'a' } do
      assert.is_true(C.tidemark_catalog_entity(catalog, name) == nil, name)
    end
    local many = { entities = {} }
    for i = 1, 999 do
      many.entities[i] = { name = ('e%03d'):format(i), at = 'definitions/many.lua:1',
        keys = { { name = 'k', type = 'int64' } } }
    end
    catalog = assert(load(many))
    for i = 1, 999 do
      local name = ('e%03d'):format(i)
      assert.equal(name, text(C.tidemark_catalog_entity(catalog, name).declared.name))
    end
  end)

  it('may be empty, and ignores fields it does not know', function()
    local catalog = assert(load { entities = {}, views = mpack.NIL, format = 1 })
    assert.equal(0, tonumber(catalog.view_count))
    local newer = blueprint()
    newer.views[1].freshness = { { deep = true } }
    newer.lineage = { 1, 2 }
    assert.is_truthy(load(newer))
  end)

  it('lives as long as its last reference', function()
    local catalog = decode(mpack.pack(blueprint()), 7)
    local again = ffi.gc(C.tidemark_catalog_ref(catalog), C.tidemark_catalog_unref)
    assert.is_true(again == catalog)
    C.tidemark_catalog_unref(ffi.gc(catalog, nil))
    assert.equal('both', text(again.views[0].declared.name))
    C.tidemark_catalog_unref(nil)
  end)

  local damages = {
    ['entities[0].name: is missing'] = function(c)
      c.entities[1].name = nil
    end,
    ['entities[1].name: not in order, or there twice'] = function(c)
      c.entities[1], c.entities[2] = c.entities[2], c.entities[1]
    end,
    ['views[1].name: not in order, or there twice'] = function(c)
      c.views[1].name = 'stats'
    end,
    ['entities[0].keys: expected 1 to 64 of them'] = function(c)
      c.entities[1].keys = {}
    end,
    ['entities[0].keys[0].type: no type of keys'] = function(c)
      c.entities[1].keys[1].type = 'float64'
    end,
    ['entities[1].keys[1].type: no type that this tidemark knows'] = function(c)
      c.entities[2].keys[2].type = 'decimal'
    end,
    ['entities[0].tags: expected a map'] = function(c)
      c.entities[1].tags = { 'a' }
    end,
    ['entities[0].doc: expected text'] = function(c)
      c.entities[1].doc = 5
    end,
    ['entities[0].doc: a zero byte in text'] = function(c)
      c.entities[1].doc = 'a\0b'
    end,
    ['sources[0].path: expected either a path or sql'] = function(c)
      c.sources[1].path = 'x.csv'
    end,
    ['sources[1].path: expected either a path or sql'] = function(c)
      c.sources[2].path = nil
    end,
    ['sources[0].time_unit: expected s, ms, us or ns'] = function(c)
      c.sources[1].time_unit = 'minutes'
    end,
    ['sources[0].event_time: is missing'] = function(c)
      c.sources[1].event_time = nil
    end,
    ['views[1].source: no source "nowhere"'] = function(c)
      c.views[2].source = 'nowhere'
    end,
    ['views[0].entities: no entity "nobody"'] = function(c)
      c.views[1].entities = { 'user', 'nobody' }
    end,
    ['views[0].entities: the same entity twice'] = function(c)
      c.views[1].entities = { 'user', 'user' }
    end,
    ['views[0].entities: expected 1 to 64 keys in all'] = function(c)
      c.views[1].entities = {}
    end,
    ['views[1].id: is missing'] = function(c)
      c.views[2].id = nil
    end,
    ['views[1].id: not an integer that it may be'] = function(c)
      c.views[2].id = 65536
    end,
    ['views: two have one id'] = function(c)
      c.views[2].id = 9
    end,
    ['views[1].ttl: not an integer that it may be'] = function(c)
      c.views[2].ttl = -1
    end,
    ['views[1].bound: expected < or <='] = function(c)
      c.views[2].bound = '>'
    end,
    ['views[1].as_known: expected true or false'] = function(c)
      c.views[2].as_known = 1
    end,
    ['views[1].features: expected a list'] = function(c)
      c.views[2].features = 'all'
    end,
    ['views[1].features[0].slot: not an integer that it may be'] = function(c)
      c.views[2].features[1].slot = 2
    end,
    ['views[1].features: two have one name or one slot'] = function(c)
      c.views[2].features[1].slot = 0
    end,
    ['views[0].transform.at: is missing'] = function(c)
      c.views[1].transform.at = nil
    end,
    ['views[0].filter.code: is missing'] = function(c)
      c.views[1].filter.code = ''
    end,
    ['views[0].filter: expected a map'] = function(c)
      c.views[1].filter = { 1 }
    end,
    ['views[0].transform.on_error: expected error or null'] = function(c)
      c.views[1].transform.on_error = 'skip'
    end,
    ['views[0].transform.inputs[1].type: no type that this tidemark knows'] = function(c)
      c.views[1].transform.inputs[2].type = 'text'
    end,
    ['views[0].transform.inputs: two have one name'] = function(c)
      c.views[1].transform.inputs[2].name = 'a'
    end,
    ['on_demand[0].transform: is missing'] = function(c)
      c.on_demand[1].transform = nil
    end,
    ['on_demand[1].name: is that of a feature_view as well'] = function(c)
      c.on_demand[2].name = 'stats'
    end,
    ['on_demand[1].features: two have one name'] = function(c)
      c.on_demand[2].features[2].name = 'total'
    end,
    ['on_demand[0].level: not above that of its inputs'] = function(c)
      c.on_demand[1].level = 0
    end,
    ['on_demand[0].level: not an integer that it may be'] = function(c)
      c.on_demand[1].level = 101
    end,
    ['on_demand[1].inputs[0].view: no feature_view "gone"'] = function(c)
      c.on_demand[2].inputs[1].view = 'gone'
    end,
    ['on_demand[0].inputs[0].feature: no feature "gone"'] = function(c)
      c.on_demand[1].inputs[1].feature = 'gone'
    end,
    ['on_demand[1].inputs: have no roles'] = function(c)
      c.on_demand[2].inputs[1].role = 'a'
    end,
    ['on_demand[0].inputs[0].role: an on-demand view has no roles'] = function(c)
      c.on_demand[1].inputs[1].role = 'a'
    end,
    ['on_demand[0].inputs: not those that the function has'] = function(c)
      c.on_demand[1].transform.inputs = {}
    end,
    ['on_demand[0].inputs: not of the types that the function has'] = function(c)
      c.on_demand[1].transform.inputs[1].type = 'float32'
    end,
    ['services[0].features[1].view: no feature_view "gone"'] = function(c)
      c.services[1].features[2].view = 'gone'
    end,
    ['services[0].features[0].feature: no feature "gone"'] = function(c)
      c.services[1].features[1].feature = 'gone'
    end,
    ['services[0].roles: expected a map'] = function(c)
      c.services[1].roles = { 1 }
    end,
  }
  for expected, damage in pairs(damages) do
    it('says where it is damaged: ' .. expected, function()
      local catalog = blueprint()
      damage(catalog)
      local decoded, err = load(catalog)
      assert.is_nil(decoded)
      assert.equal(DAMAGED .. expected, err)
    end)
  end

  it('refuses bytes that are no map', function()
    local good = mpack.pack(blueprint())
    for _, bytes in ipairs { '', '\1', '\x91\1', '\xc1', good .. '\0', ('\x91'):rep(100) } do
      assert.is_nil((decode(bytes)))
    end
    local _, err = decode('abc')
    assert.equal(DAMAGED .. '3 bytes that are not one msgpack map', err)
    random.each(200, function()
      assert.is_nil((decode(good:sub(1, math.random(0, #good - 1)))))
    end)
  end)

  it('refuses counts that the bytes cannot hold, and survives any change of a byte', function()
    local _, err = decode('\x81\xa8entities\x95\x80\x80\x80\x80\x80')
    assert.equal(DAMAGED .. 'entities: its elements are incomplete', err)
    local good = mpack.pack(blueprint())
    random.each(3000, function()
      local at = math.random(1, #good)
      decode(good:sub(1, at - 1) .. string.char(math.random(0, 255)) .. good:sub(at + 1))
    end)
  end)
end)

describe('references', function()
  local catalog

  before_each(function()
    catalog = assert(load(blueprint()))
  end)

  it('name a feature, or all of a view, under a role or none', function()
    assert.same({ 'stats@:acc_rate' }, references(catalog, { 'stats:acc_rate' }))
    assert.same({ 'stats@origin:acc_rate' }, references(catalog, { 'stats@origin:acc_rate' }))
    assert.same({ 'stats@:conv_rate', 'stats@:acc_rate' }, references(catalog, { 'stats:*' }))
    assert.same({ 'stats@to:conv_rate', 'stats@to:acc_rate', 'both@:v' },
      references(catalog, { 'stats@to:*', 'both:v' }))
    assert.same({ 'price@:total', 'price@:text', 'chained@:high' },
      references(catalog, { 'price:*', 'chained:high' }))
  end)

  it('may be many', function()
    local written = {}
    for i = 1, 100 do
      written[i] = 'stats:*'
    end
    assert.equal(200, #references(catalog, written))
  end)

  it('suggest the name that was meant', function()
    local cases = {
      ['stat:acc_rate'] = 'unknown feature_view "stat", did you mean "stats"?',
      ['elsewhere:acc_rate'] = 'unknown feature_view "elsewhere"',
      ['stats:ac_rate'] = 'feature_view "stats": unknown feature "ac_rate", did you mean '
        .. '"acc_rate"?',
      ['pric:total'] = 'unknown feature_view "pric", did you mean "price"?',
      ['price:totl'] = 'on_demand_feature_view "price": unknown feature "totl", did you mean '
        .. '"total"?',
      ['price@to:total'] = '"price@to:total": on_demand_feature_view "price" has no roles; the '
        .. 'views among its inputs are joined under their own keys',
      ['stats@x:nothing'] = 'feature_view "stats": unknown feature "nothing"',
    }
    for written, expected in pairs(cases) do
      local found, err = references(catalog, { written })
      assert.is_nil(found)
      assert.equal(expected, err)
    end
  end)

  it('are refused in any other form', function()
    for _, written in ipairs { '', 'stats', ':', 'stats:', ':acc_rate', 'stats@:acc_rate',
      '@x:acc_rate', '@:*' } do
      local found, err = references(catalog, { written })
      assert.is_nil(found, written)
      assert.equal(('"%s" is no reference to features: expected view:feature, view@role:feature '
        .. 'or view:*'):format(written), err)
    end
  end)
end)

describe('suggestions', function()
  it('are the nearest name within a third of its letters', function()
    assert.equal('source', suggest('sorce', { 'entity', 'source', 'force' }))
    assert.equal('int64', suggest('int46', { 'int32', 'int64' }))
    assert.equal('driver', suggest('drivr', { 'driver', 'rider' }))
    assert.equal('conv_rate', suggest('conv-rate', { 'acc_rate', 'conv_rate' }))
    assert.is_nil(suggest('weather', { 'driver', 'rider' }))
    assert.is_nil(suggest('', { 'a' }))
    assert.is_nil(suggest('a', { 'b' }))
    assert.is_nil(suggest('driver', {}))
    assert.is_nil(suggest(('x'):rep(100), { ('x'):rep(99) }))
  end)

  -- Recursion over both ends: slow, and obviously the same.
  local function distance(a, b)
    if a == '' or b == '' then
      return #a + #b
    end
    local best = math.min(distance(a:sub(2), b) + 1, distance(a, b:sub(2)) + 1,
      distance(a:sub(2), b:sub(2)) + (a:byte(1) == b:byte(1) and 0 or 1))
    if #a > 1 and #b > 1 and a:byte(1) == b:byte(2) and a:byte(2) == b:byte(1) then
      best = math.min(best, distance(a:sub(3), b:sub(3)) + 1)
    end
    return best
  end

  it('agree with a slow count of edits', function()
    random.each(150, function()
      local function word()
        return (('x'):rep(math.random(1, 6)):gsub('x', function()
          return random.pick { 'a', 'b', 'c' }
        end))
      end
      local name, known = word(), word()
      local edits = distance(name, known)
      local near = edits < math.floor(#name / 3) + 2 and edits < math.min(#name, #known)
      assert.equal(near and known or nil, suggest(name, { known }))
    end)
  end)
end)
