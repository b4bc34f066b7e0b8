-- What each word of the definition language may contain, as data. From this table come the checks
-- (schema.lua), the defaults, what the difference between two catalogs means (plan.lua), the
-- reference page (runtime/generate/reference.lua) and the editor's annotations
-- (runtime/generate/meta.lua). A new field is a new row here.
--
-- A field: name; kind (schema.lua checks it); doc; required; default; example; `breaking`: why
-- changing it needs consent (absent: a change is harmless); and what its kind needs besides.

local M = {}

---@class tidemark.ShapeField
---@field name string
---@field kind string
---@field doc string
---@field required? boolean
---@field default? any
---@field example string how it looks in a definition
---@field breaking? string why a change needs consent
---@field choices? string[] kind "choice": the values
---@field of? string kind "fields": the shape of an element
---@field empty? boolean kind "rows": there may be none
---@field refers? string the word whose declarations it names
---@field zero? string kind "duration": why zero is refused
---@field signature? string kind "function": as LuaCATS writes it
---@field part_of? string the function of the catalog that it is stored with

---@class tidemark.Shape
---@field word string
---@field class string name of the annotation class
---@field doc string
---@field fields tidemark.ShapeField[]
---@field one_of? string[] exactly one of these fields must be there
---@field at_least_one_of? string[] one or more of these
---@field apart? boolean not part of the catalog
---@field unsupported? table<string, string> fields people try, and what to do instead
---@field deleting? string why removing such a declaration needs consent
---@field example? string

-- Rows that several words share.
local DOC = {
  name = 'doc',
  kind = 'text',
  doc = 'What it is, for the catalogue and for colleagues.',
  example = "'one row per driver and hour'",
}
local TAGS = {
  name = 'tags',
  kind = 'tags',
  doc = 'Free labels; nothing depends on them.',
  example = "{ team = 'risk' }",
}

--- Value types: name, meaning, whether an entity key may have it, and names that other systems use.
M.types = {
  { name = 'bool', doc = 'true or false', key = true, aliases = { 'boolean' } },
  { name = 'int32', doc = 'signed integer of 32 bits', key = true, aliases = { 'int', 'integer' } },
  { name = 'int64', doc = 'signed integer of 64 bits', key = true, aliases = { 'long', 'bigint' } },
  { name = 'float32', doc = 'IEEE 754 single precision', aliases = { 'real' } },
  {
    name = 'float64',
    doc = 'IEEE 754 double precision',
    aliases = { 'double', 'float', 'number', 'decimal' },
  },
  {
    name = 'string',
    doc = 'UTF-8 text',
    key = true,
    aliases = { 'text', 'varchar', 'str' },
  },
  { name = 'bytes', doc = 'bytes that are not text', key = true, aliases = { 'binary', 'blob' } },
  {
    name = 'timestamp',
    doc = 'a moment in UTC, to the microsecond',
    key = true,
    aliases = { 'datetime', 'date', 'time' },
  },
}

--- Types that are made of others.
M.composed = {
  {
    name = 'list',
    form = 'list(T)',
    doc = 'any number of values of type T, which is not a list or vector itself',
    example = "list(string) 'recent_items'",
  },
  {
    name = 'vector',
    form = 'vector(n)',
    doc = 'exactly n float32 values, such as an embedding; n is 1 to 65536',
    example = "vector(128) 'embedding'",
  },
}
M.vector_max = 65536

--- Elements of lists: keys of an entity, features of a view. Short form: `int64 'name'`, or with
--- more to say `int64 'name' { doc = '…' }`; long form: `{ name = 'name', type = 'int64' }`.
M.elements = {
  key = {
    class = 'Key',
    what = 'key',
    doc = 'One column that identifies an entity.',
    example = "int64 'driver_id'",
    fields = {
      { name = 'name', kind = 'name', required = true, doc = 'Its name.', example = "'driver_id'" },
      {
        name = 'type',
        kind = 'key_type',
        required = true,
        doc = 'bool, int32, int64, string, bytes or timestamp.',
        example = "'int64'",
      },
      DOC,
    },
  },
  feature = {
    class = 'Feature',
    what = 'feature',
    doc = 'One value that a view yields.',
    removing = 'requests for it fail',
    example = "float64 'conv_rate'",
    fields = {
      { name = 'name', kind = 'name', required = true, doc = 'Its name.', example = "'conv_rate'" },
      {
        name = 'type',
        kind = 'type',
        required = true,
        doc = 'One of the types below.',
        example = "'float64'",
        breaking = 'clients expect the old type, and stored values of it are dropped until the '
          .. 'view is materialized anew',
      },
      {
        name = 'column',
        kind = 'column',
        doc = 'The column of the source, where it has another name than the feature.',
        example = "'cr_v2'",
      },
      DOC,
      TAGS,
    },
  },
  computed = {
    class = 'ComputedFeature',
    what = 'feature',
    doc = 'One value that the function returns.',
    removing = 'requests for it fail',
    example = "float64 'expected_fare'",
    fields = {
      {
        name = 'name',
        kind = 'name',
        required = true,
        doc = 'Its name, and that of the field of the returned table.',
        example = "'expected_fare'",
      },
      {
        name = 'type',
        kind = 'type',
        required = true,
        doc = 'One of the types below.',
        example = "'float64'",
        breaking = 'clients expect the old type',
      },
      DOC,
      TAGS,
    },
  },
  input = {
    class = 'Input',
    what = 'input',
    doc = 'One field of the row that a function gets.',
    example = "float64 'amount'",
    fields = {
      {
        name = 'name',
        kind = 'name',
        required = true,
        doc = 'The name of the field: `row.amount`.',
        example = "'amount'",
      },
      {
        name = 'type',
        kind = 'type',
        required = true,
        doc = 'One of the types below.',
        example = "'float64'",
      },
      {
        name = 'column',
        kind = 'column',
        doc = 'The column of the source, where it has another name than the field.',
        example = "'amt_usd'",
      },
      DOC,
    },
  },
  request = {
    class = 'RequestField',
    what = 'request field',
    doc = 'One value that a request brings along, or that a column of the spine holds.',
    removing = 'requests that send it fail',
    adding = 'requests that do not send it fail',
    example = "float64 'distance_km'",
    fields = {
      {
        name = 'name',
        kind = 'name',
        required = true,
        doc = 'Its name: of the field of the row, in requests, and of the column of a spine.',
        example = "'distance_km'",
      },
      {
        name = 'type',
        kind = 'type',
        required = true,
        doc = 'One of the types below.',
        example = "'float64'",
        breaking = 'clients send the old type',
      },
      DOC,
    },
  },
}

---@type tidemark.Shape[]
M.words = {
  {
    word = 'entity',
    class = 'Entity',
    doc = 'A thing that features describe, such as a driver, and the keys that identify it.',
    deleting = 'views and requests that use it stop working',
    example = [[
entity 'driver' {
  keys = { int64 'driver_id' },
}]],
    fields = {
      {
        name = 'keys',
        kind = 'fields',
        of = 'key',
        required = true,
        doc = 'The columns that identify one entity, in order.',
        example = "{ int64 'driver_id' }",
        breaking = 'online rows are found by their keys, so every view of the entity starts again '
          .. 'empty and has to be materialized anew',
      },
      DOC,
      TAGS,
    },
  },
  {
    word = 'source',
    class = 'Source',
    doc = 'Where rows come from: files or a query, and which columns hold the times.',
    one_of = { 'path', 'sql' },
    deleting = 'what is read from it can no longer be materialized',
    example = [[
source 'driver_stats' {
  path         = 'data/driver_stats.parquet',
  event_time   = 'event_timestamp',
  created_time = 'created',
}]],
    fields = {
      {
        name = 'path',
        kind = 'paths',
        doc = 'A file, folder or glob, relative to the project: .parquet, .csv, .json, .jsonl or '
          .. '.msgpack. Or a list of them, of one format, such as '
          .. '`{ \'old.csv\', \'new/*.csv\' }`: rows arrive in the order of the list, and those '
          .. 'of a folder or glob in the order of the names. Either this or `sql`.',
        example = "'data/driver_stats.parquet'",
      },
      {
        name = 'sql',
        kind = 'text',
        doc = 'A query in DuckDB\'s SQL. Either this or `path`.',
        example = "[[ select * from 'data/*.csv' where not test ]]",
      },
      {
        name = 'event_time',
        kind = 'column',
        required = true,
        doc = 'The column that says when a row became true.',
        example = "'event_timestamp'",
      },
      {
        name = 'created_time',
        kind = 'column',
        doc = 'The column that says when a row was written. It breaks ties between rows of the '
          .. 'same event time, and makes late rows visible.',
        example = "'created'",
      },
      {
        name = 'deleted',
        kind = 'column',
        doc = 'A bool column: true marks a row that deletes its entity as of the event time.',
        example = "'is_deleted'",
      },
      {
        name = 'time_unit',
        kind = 'choice',
        choices = { 's', 'ms', 'us', 'ns' },
        doc = 'The unit of time columns that hold integers. Required for those, unused otherwise.',
        example = "'ms'",
      },
      {
        name = 'keys',
        kind = 'columns',
        doc = 'Entity keys whose column has another name in this source.',
        example = "{ driver_id = 'drv' }",
      },
      DOC,
      TAGS,
    },
  },
  {
    word = 'feature_view',
    class = 'FeatureView',
    doc = 'Features of an entity: columns of a source, or what a function makes of them.',
    deleting = 'its online rows are deleted and requests for its features fail',
    unsupported = {
      schema = 'write `features = { … }`',
      entities = 'write `entity = { … }`',
      name = 'the name comes before the braces',
    },
    example = [[
feature_view 'driver_hourly_stats' {
  entity   = 'driver',
  source   = 'driver_stats',
  ttl      = '365d',
  features = {
    float64 'conv_rate' { doc = 'share of offers accepted' },
    int64   'avg_daily_trips',
  },
}]],
    fields = {
      {
        name = 'entity',
        kind = 'names',
        refers = 'entity',
        required = true,
        doc = 'The entity its rows are keyed by; a list where it takes several together.',
        example = "'driver'",
        breaking = 'online rows are found by their keys, so the view starts again empty and has '
          .. 'to be materialized anew',
      },
      {
        name = 'source',
        kind = 'reference',
        refers = 'source',
        required = true,
        doc = 'The source its rows are read from.',
        example = "'driver_stats'",
      },
      {
        name = 'features',
        kind = 'fields',
        of = 'feature',
        required = true,
        doc = 'What it yields, in order.',
        example = "{ float64 'conv_rate' }",
      },
      {
        name = 'transform',
        kind = 'function',
        signature = 'fun(row: table<string, any>): table<string, any>',
        doc = 'Makes the features of a row: gets the row, returns a table with a field per '
          .. 'feature. Without it they are columns of the source.',
        example = 'function(row) return { fare_per_km = row.fare / row.km } end',
      },
      {
        name = 'filter',
        kind = 'function',
        signature = 'fun(row: table<string, any>): boolean',
        doc = 'Whether a row counts: those it does not return true for are as if they were not '
          .. 'there. Rows that delete their entity always count.',
        example = "function(row) return row.status == 'done' end",
      },
      {
        name = 'inputs',
        kind = 'fields',
        of = 'input',
        part_of = 'function',
        doc = 'The fields of the row that the functions get. Without it: the columns they use, as '
          .. 'the source has them.',
        example = "{ float64 'fare', float64 'km' { column = 'distance_km' } }",
      },
      {
        name = 'on_error',
        kind = 'choice',
        choices = { 'error', 'null' },
        part_of = 'function',
        doc = 'What becomes of a row that the transform fails on: the job ends with the error '
          .. '(`error`, the default), or its features are null with status ERROR and counted '
          .. '(`null`). A filter that fails always ends the job.',
        example = "'null'",
      },
      {
        name = 'ttl',
        kind = 'duration',
        zero = 'a ttl of 0 would make every value too old at once; leave ttl out for values that '
          .. 'stay valid',
        doc = 'How long a row stays valid after its event time. Without it: for ever.',
        example = "'365d'",
      },
      {
        name = 'bound',
        kind = 'choice',
        choices = { '<=', '<' },
        default = '<=',
        doc = 'Whether a row counts at its own event time (`<=`) or only after it (`<`).',
        example = "'<'",
      },
      {
        name = 'as_known',
        kind = 'bool',
        default = false,
        doc = 'Ignore rows that were created after the time that is asked about.',
        example = 'true',
      },
      {
        name = 'delay',
        kind = 'duration',
        zero = 'leave delay out where there is none',
        doc = 'How long rows take to arrive: a row counts as known at event time + delay where it '
          .. 'has no created time. Implies `as_known`.',
        example = "'10m'",
      },
      {
        name = 'online',
        kind = 'bool',
        default = true,
        doc = 'Whether materialize writes it to the online store.',
        example = 'false',
      },
      DOC,
      TAGS,
    },
  },
  {
    word = 'on_demand_feature_view',
    class = 'OnDemandFeatureView',
    doc = 'Features that are computed when they are asked for, at serving and in training sets '
      .. 'alike, from features of other views and from what the request brings along.',
    deleting = 'requests for its features fail',
    at_least_one_of = { 'inputs', 'request' },
    unsupported = {
      source = 'its values come from `inputs` and `request`',
      sources = 'write `inputs = { \'view:feature\' }` and `request = { float64 \'name\' }`',
      entity = 'it has the entities of the views among its inputs',
      filter = 'it has no rows of its own to leave out',
      ttl = 'nothing of it is stored',
      online = 'nothing of it is stored',
      schema = 'write `features = { … }`',
      name = 'the name comes before the braces',
    },
    example = [[
on_demand_feature_view 'trip_fare' {
  inputs   = { 'zone_stats:demand' },
  request  = { float64 'distance_km' },
  features = { float64 'expected_fare' },
  transform = function(row)
    return { expected_fare = 2.5 + row.distance_km * (1 + (row.demand or 0) / 100) }
  end,
}]],
    fields = {
      {
        name = 'inputs',
        kind = 'references',
        doc = 'Features of other views: `view:feature`, or `view:*` for all. The row has them '
          .. 'under their short names where these are unique, `view__feature` otherwise. Either '
          .. 'this or `request`, or both.',
        example = "{ 'zone_stats:demand' }",
      },
      {
        name = 'request',
        kind = 'fields',
        of = 'request',
        doc = 'What every request has to bring along; in training sets, columns of the spine.',
        example = "{ float64 'distance_km' }",
      },
      {
        name = 'features',
        kind = 'fields',
        of = 'computed',
        required = true,
        doc = 'What it yields, in order.',
        example = "{ float64 'expected_fare' }",
      },
      {
        name = 'transform',
        kind = 'function',
        signature = 'fun(row: table<string, any>): table<string, any>',
        required = true,
        doc = 'Gets the row of inputs and request, returns a table with a field per feature.',
        example = 'function(row) return { expected_fare = 2.5 + row.distance_km } end',
      },
      {
        name = 'on_error',
        kind = 'choice',
        choices = { 'error', 'null' },
        part_of = 'function',
        doc = 'What becomes of a row that the transform fails on: the request or job ends with '
          .. 'the error (`error`, the default), or its features are null with status ERROR and '
          .. 'counted (`null`).',
        example = "'null'",
      },
      DOC,
      TAGS,
    },
  },
  {
    word = 'feature_service',
    class = 'FeatureService',
    doc = 'The features that one model asks for, under one name.',
    deleting = 'requests for it fail',
    unsupported = { views = 'write `features = { \'view:*\' }`' },
    example = [[
feature_service 'trip_matching' {
  features = {
    'driver_hourly_stats:*',
    'zone_stats@pickup:demand',
    'zone_stats@dropoff:demand',
  },
  roles = {
    pickup  = { zone_id = 'pickup_zone' },
    dropoff = { zone_id = 'dropoff_zone' },
  },
}]],
    fields = {
      {
        name = 'features',
        kind = 'references',
        required = true,
        doc = 'References: `view:feature`, `view:*` for all of a view, `view@role:feature` for a '
          .. 'view that is joined once more under other key columns. Views of both kinds; an '
          .. 'on-demand one has no roles.',
        example = "{ 'driver_hourly_stats:conv_rate' }",
      },
      {
        name = 'roles',
        kind = 'roles',
        doc = 'For each role the columns that take the place of the keys. The name of a view '
          .. 'renames the keys of the view itself.',
        example = "{ pickup = { zone_id = 'pickup_zone' } }",
      },
      DOC,
      TAGS,
    },
  },
  {
    word = 'test',
    class = 'Test',
    doc = 'An example of what a view makes of some rows, checked by `tidemark test`. It is not '
      .. 'part of what is applied.',
    apart = true,
    unsupported = { rows = 'write `given = { … }`', name = 'the name comes before the braces' },
    example = [[
test 'a busy zone costs more' {
  view   = 'trip_fare',
  given  = { distance_km = 10, demand = 50 },
  expect = { expected_fare = 17.5 },
}]],
    fields = {
      {
        name = 'view',
        kind = 'reference',
        required = true,
        doc = 'The feature_view or on_demand_feature_view it is about.',
        example = "'trip_fare'",
      },
      {
        name = 'given',
        kind = 'rows',
        required = true,
        doc = 'A row, or a list of rows: of the source, or of inputs and request. `null` is a '
          .. 'value that is not there.',
        example = '{ distance_km = 10, demand = 50 }',
      },
      {
        name = 'at',
        kind = 'time',
        doc = 'Of a feature_view: ask for the features as of that time, as a training set does. '
          .. 'Without it: what becomes of each given row, in order.',
        example = "'2024-05-01T12:00:00Z'",
      },
      {
        name = 'expect',
        kind = 'rows',
        required = true,
        empty = true,
        doc = 'A row, or a list of rows. Only the fields named here are compared; `null` expects '
          .. 'that there is no value. With `at` each row names its keys, and may name a status as '
          .. '`feature__status`.',
        example = '{ expected_fare = 17.5 }',
      },
      {
        name = 'tolerance',
        kind = 'number',
        doc = 'How far a number may be from the expected one. Without it: not at all.',
        example = '1e-9',
      },
      DOC,
    },
  },
}

--- Words people may expect that this version does not have, and what to do instead.
M.unsupported_words = {
  batch_feature_view = 'write feature_view',
  stream_feature_view = 'write feature_view',
  print = 'definition files only declare; there is nowhere to print to',
  io = 'definition files cannot reach files',
  os = 'definition files cannot reach the system',
  coroutine = 'definition files have no coroutines',
}

M.by_word = {}
for _, shape in ipairs(M.words) do
  M.by_word[shape.word] = shape
  shape.by_name = {}
  for _, field in ipairs(shape.fields) do
    shape.by_name[field.name] = field
  end
end
for _, element in pairs(M.elements) do
  element.by_name = {}
  for _, field in ipairs(element.fields) do
    element.by_name[field.name] = field
  end
end

M.by_type = {}
for _, type_row in ipairs(M.types) do
  M.by_type[type_row.name] = type_row
end

return M
