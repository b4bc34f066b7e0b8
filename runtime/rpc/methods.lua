-- Every method, as data. From this table come the dispatch with its argument checks
-- (runtime/generate/dispatch.lua), the reference page docs/reference/rpc.md and the editor stubs
-- (runtime/generate/rpc_reference.lua). The handlers are method_NAME in runtime/rpc/methods_*.c; a
-- parameter lands in the field of the same name of the method's struct in runtime/rpc/methods.h.
--
-- Types of parameters:
--   text      a string
--   flag      true or false
--   time      microseconds since 1970 UTC, or ISO-8601 text
--   texts     a list of strings
--   map       a map, checked by the handler
--   list      a list, checked by the handler
--   rows      a map of columns or a list of maps
-- `values` lists what a text, or each of the texts, may be. A parameter that is nil is not given.

local FEATURES = 'references: `view:feature`, `view:*`, `view@role:feature`'
local SERVICE = 'a feature service, instead of `features`'
local FULL_NAMES = 'name every column `view__feature`, not only where the short name is ambiguous'

local ON_BAD_ROW = {
  name = 'on_bad_row',
  type = 'text',
  values = { 'fail', 'reject' },
  doc = 'what becomes of a source\'s row with a value that does not fit its type: an error (the '
    .. 'default), or it is counted and left out',
}
local REJECTS = {
  name = 'rejects',
  type = 'text',
  doc = 'a .jsonl file for those values: `source`, `file`, `row`, `column`, `message`',
}

local KINDS = {
  'entity', 'entities',
  'source', 'sources',
  'feature_view', 'feature_views',
  'on_demand_feature_view', 'on_demand_feature_views',
  'feature_service', 'feature_services',
}

-- Results: name, type as LuaCATS writes it (a trailing ? may be nil), and what it is.

local MATERIALIZED = {
  {
    'views',
    '{ view: string, start: integer?, end: integer, read: integer, inside: integer, '
      .. 'late: integer, written: integer, stale: integer, rejected: integer, '
      .. 'filtered: integer, failed: integer, mark: integer?, gap: boolean }[]',
    'per view: its interval; rows read, inside the interval and late; keys written and stale (the '
      .. 'stored row was as new); rows rejected, and left out by the filter; rows among the newest '
      .. 'whose transform failed and made nulls; where the mark stands now; whether there is a gap '
      .. 'between what was materialized before and this interval, so that the mark stayed',
  },
}

local PLANNED = {
  { 'generation', 'integer', 'the current one; after apply the new one' },
  {
    'problems',
    '{ where: string, message: string, excerpt: string }[]',
    'mistakes in the definitions; with any, nothing else is filled',
  },
  {
    'changes',
    '{ action: string, kind: string, name: string, at: string, details: string[], '
      .. 'incompatible: boolean, reason: string? }[]',
    'one per declaration: create, update or delete',
  },
  { 'change_count', 'integer', 'how many' },
  { 'incompatible_count', 'integer', 'of these: the ones that need `allow_incompatible`' },
  { 'rows_dropped', 'integer', 'online rows of dropped views that apply deleted' },
}

return {
  {
    name = 'hello',
    remote = true,
    summary = 'Who is there: the version, the protocol, the methods and the limits.',
    params = {},
    result = {
      { 'version', 'string', 'of the program' },
      { 'protocol', 'integer', '1; it only ever grows' },
      { 'generation', 'integer', 'of the definitions; 0: nothing has been applied yet' },
      { 'methods', 'string[]', 'that may be called here' },
      {
        'limits',
        'table<string, integer>',
        '`max_rows`, `max_features` and `max_values` of one get_online_features; `max_frame` and '
          .. '`max_output` in bytes and `max_depth` of a connection',
      },
    },
  },
  {
    name = 'health',
    remote = true,
    summary = 'Whether requests are being answered, and from which generation of definitions. '
      .. 'Generation 0: nothing has been applied yet.',
    params = {},
    result = {
      { 'status', 'string', '"ok"' },
      { 'generation', 'integer', 'of the definitions' },
      { 'uptime_seconds', 'integer', 'since the start' },
      { 'views', 'integer', 'feature views that were applied' },
    },
  },
  {
    name = 'list',
    remote = true,
    summary = 'What is declared, by kind.',
    params = {
      { name = 'kind', type = 'text', required = true, values = KINDS, doc = 'what to list' },
    },
    result = {
      { 'kind', 'string', 'in the plural' },
      {
        'items',
        'table[]',
        'each with `name`, `doc`, `tags`, `at` (file and line), and short facts: keys, source, '
          .. 'features, ttl',
      },
    },
  },
  {
    name = 'describe',
    remote = true,
    summary = 'Everything about one declaration; of a feature view, its mark and freshness too.',
    params = {
      { name = 'name', type = 'text', required = true, doc = 'its name' },
      {
        name = 'kind',
        type = 'text',
        values = KINDS,
        doc = 'needed where declarations of several kinds have the name',
      },
    },
    result = {
      { 'kind', 'string', 'in the singular' },
      { 'name', 'string', 'its name' },
      { 'doc', 'string', 'what its definition says about it' },
      { 'tags', 'table<string, string>', 'its tags' },
      { 'at', 'string', 'the file and line it was declared at' },
      { 'generation', 'integer', 'of the definitions' },
      { 'keys', 'table', 'entities, views and services: key columns with their types' },
      { 'features', 'table[]?', 'of a view: name, type, column, doc; of a service: references' },
      { 'inputs', 'string[]?', 'of an on-demand view: references to what it is computed from' },
      {
        'request',
        'table[]?',
        'of an on-demand view or service: what a request has to bring along, with types',
      },
      {
        'transform',
        'string?',
        'of a view: the place of the function; `transform_inputs` are the fields of its row, '
          .. '`on_error` is what becomes of rows it fails on; `filter` and `filter_inputs` '
          .. 'likewise',
      },
      { 'ttl', 'integer?', 'of a view, in microseconds; `ttl_text` says it in words' },
      {
        'mark',
        'table?',
        'of a view that was materialized: `materialized_from`, `materialized_to`, `created_to`, '
          .. '`updated_at` (microseconds), `rows_read`, `rows_written`',
      },
    },
  },
  {
    name = 'get_online_features',
    remote = true,
    summary = 'The newest features of a batch of entities, from one snapshot of the store.',
    params = {
      { name = 'service', type = 'text', doc = SERVICE },
      { name = 'features', type = 'texts', doc = FEATURES },
      {
        name = 'entities',
        type = 'rows',
        doc = 'key values: a map of columns (`{ driver_id = [1001, 1002] }`) or a list of maps; '
          .. 'needed unless all features are on-demand ones that take nothing but `request`',
      },
      {
        name = 'request',
        type = 'rows',
        doc = 'request columns of on-demand views, in either form and with as many rows: '
          .. '`{ distance_km = [3.2, 8.0] }`; nil is null',
      },
      { name = 'now', type = 'time', doc = 'the time that ttl is judged at; the clock by default' },
      {
        name = 'include',
        type = 'texts',
        values = { 'statuses', 'event_timestamps' },
        doc = 'what to send along for every value',
      },
      { name = 'full_feature_names', type = 'flag', doc = FULL_NAMES },
      {
        name = 'roles',
        type = 'map',
        doc = 'for a view under a role: which entity column each key is read from, '
          .. '`{ role = { key = column } }`',
      },
    },
    result = {
      { 'names', 'string[]', 'of the columns' },
      { 'rows', 'any[][]', 'per entity, in the order asked: a value per column' },
      {
        'statuses',
        'string[][]?',
        'per value: PRESENT, NULL_VALUE, NOT_FOUND, OUTSIDE_MAX_AGE, DELETED or ERROR',
      },
      {
        'event_timestamps',
        'integer[][]?',
        'per value: the event time of the row it is from, in microseconds; nil without one',
      },
    },
  },
  {
    name = 'push',
    remote = true,
    summary = 'Puts rows into the log and online. The answer comes when they are on the disk; from '
      .. 'then on every request sees them.',
    params = {
      { name = 'view', type = 'text', required = true, doc = 'the feature view' },
      {
        name = 'rows',
        type = 'rows',
        required = true,
        doc = 'a list of maps or a map of columns: keys and features by name, `event_time`, and '
          .. 'optionally `created_time` (the time of arrival by default) and `deleted` (true: a '
          .. 'tombstone). Features that are not given stay as they are; nil makes one null. Rows '
          .. 'of a view with functions give the columns of the source that these take',
      },
      {
        name = 'to',
        type = 'text',
        values = { 'online', 'offline', 'both' },
        doc = 'what the rows are for; `both` by default',
      },
      { name = 'now', type = 'time', doc = 'event time of rows that give none' },
    },
    result = {
      { 'written', 'integer', 'rows that are the newest of their keys now, or went offline only' },
      { 'stale', 'integer', 'rows of which a newer one was known' },
      { 'filtered', 'integer', 'rows that the view\'s filter left out' },
      {
        'rejected',
        '{ index: integer, field: string?, reason: string }[]',
        'rows that are wrong: their numbers in the request, from 0, and why; the others were taken',
      },
    },
  },
  {
    name = 'metrics',
    remote = true,
    summary = 'What was counted and timed since the start, by all threads, and the state of what '
      .. 'is served.',
    params = {},
    result = {
      { 'uptime_seconds', 'integer', 'since the start' },
      { 'generation', 'integer', 'of the definitions; 0: nothing has been applied yet' },
      { 'threads', 'integer', 'that answer requests; 0 without a server' },
      { 'connections', 'integer', 'open now' },
      {
        'counters',
        'table<string, integer>',
        'connections, bytes, rows, and rows looked up by what was found; docs/operations.md '
          .. 'explains each',
      },
      { 'cache', '{ bytes: integer, capacity: integer }', 'rows kept in memory, of all threads' },
      {
        'methods',
        'table<string, { count: integer, nanoseconds: table<string, integer>, '
          .. 'errors: table<string, integer> }>',
        'of each method that was called: how often, how long it took (`mean`, `p50`, `p90`, '
          .. '`p99`, `p999`, `max`), and errors by the name of their code',
      },
      {
        'services',
        'table<string, { count: integer, nanoseconds: table<string, integer>, rows: integer }>',
        'the same of get_online_features by feature service, and entities answered',
      },
      {
        'views',
        '{ view: string, mark: integer?, age: integer?, updated_at: integer?, rows: integer?, '
          .. 'tombstones: integer? }[]',
        'of each view: up to when it is materialized, how long ago that is, when that was done '
          .. '(microseconds), and its online rows as last counted',
      },
      { 'counted_at', 'integer?', 'when rows were last counted, in microseconds' },
      {
        'store',
        'table<string, integer>?',
        '`map_bytes` at most, `used_bytes`, `rows` of all views, `readers`: slots in use',
      },
      {
        'log',
        '{ queued_pushes: integer, queued_bytes: integer, unapplied_tables: integer, '
          .. 'failure: string? }?',
        'pushes that wait for the log; tables of logged rows (32 MiB each, at most 8) that wait '
          .. 'to be put into the store, and why that fails; nil where nothing was pushed',
      },
    },
  },
  {
    name = 'plan',
    summary = 'What apply would change. Mistakes in the definitions are a result, not an error.',
    params = {},
    result = PLANNED,
  },
  {
    name = 'apply',
    summary = 'Makes the definitions the current ones: all of them, or none.',
    params = {
      {
        name = 'allow_incompatible',
        type = 'flag',
        doc = 'also changes that drop online rows or break readers',
      },
    },
    result = PLANNED,
  },
  {
    name = 'get_historical_features',
    summary = 'A training set: the rows of a spine with features as they were at each row\'s time.',
    params = {
      { name = 'spine', type = 'text', required = true, doc = 'the file with keys and times' },
      { name = 'output', type = 'text', required = true, doc = 'the file to write, by extension' },
      { name = 'features', type = 'texts', doc = FEATURES },
      { name = 'service', type = 'text', doc = SERVICE },
      {
        name = 'timestamp',
        type = 'text',
        doc = 'the spine\'s time column; `event_timestamp` by default',
      },
      {
        name = 'time_unit',
        type = 'text',
        values = { 's', 'ms', 'us', 'ns' },
        doc = 'of the time column, where it is an integer',
      },
      {
        name = 'maps',
        type = 'list',
        doc = 'spine columns with another name than the key: `[{ view, key, column }]`, where '
          .. '`view` is a view or a role',
      },
      { name = 'as_of_created', type = 'time', doc = 'ignore rows created after it' },
      { name = 'full_feature_names', type = 'flag', doc = FULL_NAMES },
      { name = 'statuses', type = 'flag', doc = 'add a column `NAME__status` for every feature' },
      {
        name = 'event_timestamps',
        type = 'flag',
        doc = 'add a column `VIEW__event_timestamp` for every view',
      },
      ON_BAD_ROW,
      REJECTS,
    },
    result = {
      { 'rows', 'integer', 'written; as many as the spine has' },
      { 'columns', 'integer', 'written' },
      { 'parts', 'integer', 'that the spine was taken in, each with a pass over the views' },
      { 'memory_limit', 'integer', 'bytes that made them necessary' },
      {
        'views',
        '{ view: string, read: integer, present: integer, missing: integer, expired: integer, '
          .. 'deleted: integer, rejected: integer, failed: integer }[]',
        'per view: rows read, what the spine\'s rows found, rows rejected for bad values, and rows '
          .. 'of the spine whose features are null because the transform failed',
      },
      {
        'on_demand',
        '{ view: string, failed: integer }[]',
        'per on-demand view that was computed: rows whose features are null because the function '
          .. 'failed',
      },
    },
  },
  {
    name = 'materialize',
    summary = 'Puts the newest row of each key with start <= event time < end online.',
    params = {
      { name = 'start', type = 'time', required = true, doc = 'inclusive' },
      { name = 'end', type = 'time', required = true, doc = 'exclusive' },
      { name = 'views', type = 'texts', doc = 'all online views by default' },
      ON_BAD_ROW,
      REJECTS,
    },
    result = MATERIALIZED,
  },
  {
    name = 'materialize_incremental',
    summary = 'The same from each view\'s mark on.',
    params = {
      { name = 'end', type = 'time', required = true, doc = 'exclusive' },
      { name = 'views', type = 'texts', doc = 'all online views by default' },
      ON_BAD_ROW,
      REJECTS,
    },
    result = MATERIALIZED,
  },
  {
    name = 'copy_file',
    summary = 'Writes a file\'s rows, in their order, to another file; the format follows the '
      .. 'extension.',
    params = {
      { name = 'from', type = 'text', required = true, doc = 'the file to read' },
      { name = 'to', type = 'text', required = true, doc = 'the file to write' },
    },
    result = {
      { 'rows', 'integer', 'written' },
    },
  },
}
