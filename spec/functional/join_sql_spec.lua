-- Training sets against DuckDB's SQL, a second oracle that shares nothing with the first: what a
-- view gives is put beside what a query finds for the same spine, some hundred random cases at
-- once. A case is one more key column, so that its rows meet no others.

local blueprints = require 'spec.support.blueprints'
local csv = require 'spec.support.csv'
local random = require 'spec.support.random'
local tidemark = require 'tidemark'
local workspace = require 'spec.support.workspace'

local CASES, RULES = 300, 12

local SPINE = [[read_csv('spine.csv', header = true, nullstr = '', columns = {
  'id': 'BIGINT', 'c': 'BIGINT', 'k': 'VARCHAR', 'event_timestamp': 'BIGINT' })]]
local ROWS = [[read_csv('data/rows.csv', header = true, nullstr = '', columns = { 'c': 'BIGINT',
  'k': 'VARCHAR', 'event': 'BIGINT', 'created': 'BIGINT', 'gone': 'BOOLEAN', 'n': 'BIGINT',
  'x': 'DOUBLE' })]]

-- Every pair of rows that may meet, the greatest first.
local RANGES = [[
SELECT id, -1000000 AS event, CASE WHEN gone THEN NULL ELSE n END AS n,
  CASE WHEN gone THEN NULL ELSE x END AS x
FROM (
  SELECT s.id, f.*, s.event_timestamp AS t
  FROM %s s JOIN %s f ON s.c = f.c AND s.k = f.k AND f.event %s s.event_timestamp
  WHERE %s
  QUALIFY row_number() OVER (PARTITION BY s.id ORDER BY f.event DESC, f.created DESC NULLS LAST,
    f.n DESC) = 1)
WHERE %s]]

-- One row of each key and event time, then its ASOF join: only where no row is hidden by when it
-- became known. That join lets null keys meet, which they never do here.
local ASOF = [[
SELECT s.id, -1000000 AS event, CASE WHEN gone THEN NULL ELSE n END AS n,
  CASE WHEN gone THEN NULL ELSE x END AS x
FROM %s s ASOF JOIN (
  FROM %s WHERE k IS NOT NULL
  QUALIFY row_number() OVER (PARTITION BY c, k, event ORDER BY created DESC NULLS LAST,
    n DESC) = 1) f
  ON s.c = f.c AND s.k = f.k AND s.event_timestamp %s f.event
WHERE %s]]

local function draw_rule()
  return {
    ttl = random.once_in(2) and math.random(6) or nil,
    delay = random.once_in(4) and math.random(4) or nil,
    strict = random.once_in(3),
    as_known = random.once_in(3),
    created = not random.once_in(4),
    deleted = random.once_in(2),
  }
end

-- Rows as a source without these columns sees them.
local function rows_of(rule)
  return ('(SELECT c, k, event, %s AS created, %s AS gone, n, x FROM %s)'):format(
    rule.created and 'created' or 'NULL::BIGINT', rule.deleted and 'gone' or 'false', ROWS)
end

-- When a row is known; NULL: from its event on.
local function known_of(rule)
  return rule.delay and ('coalesce(f.created, f.event + %d)'):format(rule.delay) or 'f.created'
end

local function query(rule)
  local rows = rows_of(rule)
  local young = rule.ttl and 'f.event >= s.event_timestamp - %d' or 'true'
  if not rule.as_known and not rule.delay and random.once_in(2) then
    return ASOF:format(SPINE, rows, rule.strict and '>' or '>=', young:format(rule.ttl))
  end
  local known = 'true'
  if rule.as_known or rule.delay then
    known = ('(%s IS NULL OR %s <= s.event_timestamp)'):format(known_of(rule), known_of(rule))
  end
  young = rule.ttl and 'event >= t - ' .. rule.ttl or 'true'
  return RANGES:format(SPINE, rows, rule.strict and '<' or '<=', known, young)
end

local function declare(rules)
  local texts = {
    blueprints.entity('key', { "int64 'c'", "string 'k'" }),
    blueprints.entity('spine', { "int64 'id'" }),
  }
  for i, rule in ipairs(rules) do
    local ours, theirs = 'ours' .. i, 'theirs' .. i
    texts[#texts + 1] = blueprints.source(ours, {
      path = 'data/rows.csv',
      event_time = 'event',
      created_time = rule.created and 'created' or false,
      deleted = rule.deleted and 'gone' or nil,
      time_unit = 'us',
    })
    texts[#texts + 1] = blueprints.view(ours, { "int64 'n'", "float64 'x'" }, {
      entity = 'key',
      source = ours,
      ttl = rule.ttl and rule.ttl .. 'us' or nil,
      delay = rule.delay and rule.delay .. 'us' or nil,
      bound = rule.strict and '<' or nil,
      as_known = rule.as_known or nil,
    })
    texts[#texts + 1] = blueprints.source(theirs, { path = false, sql = query(rule),
      event_time = 'event', created_time = false, time_unit = 'us' })
    texts[#texts + 1] = blueprints.view(theirs, { "int64 'n'", "float64 'x'" },
      { entity = 'spine', source = theirs })
  end
  return table.concat(texts)
end

local function text(value)
  return value == nil and '' or tostring(value)
end

-- Few keys and times, so that ties, duplicates and misses are usual. Columns of a source without
-- created times would break ties by arrival, which is the order of `n`.
local function draw_tables()
  local spine, rows = { 'id,c,k,event_timestamp' }, { 'c,k,event,created,gone,n,x' }
  local function key()
    return not random.once_in(12) and random.pick({ 'a', 'A', 'b' }) or nil
  end
  local function time(span)
    return not random.once_in(12) and math.random(-span, span) or nil
  end
  for case = 1, CASES do
    local span = random.pick({ 1, 5, 20 })
    for _ = 1, math.random(0, 8) do
      spine[#spine + 1] = ('%d,%d,%s,%s'):format(#spine, case, text(key()), text(time(span)))
    end
    for _ = 1, math.random(0, 16) do
      rows[#rows + 1] = ('%d,%s,%s,%s,%s,%d,%s'):format(case, text(key()), text(time(span)),
        text(time(span)), tostring(random.once_in(6)), #rows,
        random.pick({ '', '0.5', 'nan', '-1' }))
    end
  end
  return table.concat(spine, '\n') .. '\n', table.concat(rows, '\n') .. '\n'
end

describe('training sets are what SQL finds', function()
  local space, handle

  before_each(function()
    space = workspace.new()
    handle = tidemark.open(space.folder)
  end)

  after_each(function()
    handle:close()
    space:remove()
  end)

  it('with ties, nulls, ttl, both bounds, delays and tombstones', function()
    random.each(1, function()
      local rules, features = {}, {}
      for i = 1, RULES do
        rules[i] = draw_rule()
        features[#features + 1] = ('ours%d:*'):format(i)
        features[#features + 1] = ('theirs%d:*'):format(i)
      end
      local spine, rows = draw_tables()
      space:write('spine.csv', spine)
      space:write('data/rows.csv', rows)
      space:write('definitions/all.lua', declare(rules))
      handle:apply({})
      handle:get_historical_features({ spine = space:path('spine.csv'), time_unit = 'us',
        output = space:path('out.csv'), features = features, full_feature_names = true })
      local found = 0
      for _, row in ipairs(csv.parse(space:read('out.csv'))) do
        for i = 1, RULES do
          for _, feature in ipairs({ 'n', 'x' }) do
            local got = row[('ours%d__%s'):format(i, feature)]
            local wanted = row[('theirs%d__%s'):format(i, feature)]
            found = found + (wanted and 1 or 0)
            if got ~= wanted then
              error(('rule %d, spine row %s, %s: SQL finds %s, we %s'):format(i, row.id, feature,
                tostring(wanted), tostring(got)), 0)
            end
          end
        end
      end
      assert(found > CASES, 'hardly any row found another')
    end)
  end)
end)
