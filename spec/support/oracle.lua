-- Point-in-time joins the slow, obvious way: for each spine row a look at every feature row, rule
-- by rule as the contract states them. Kernels are compared with this; it shares nothing with them.
--
-- Times are int64 cdata (a Lua number would lose microseconds), nil where they are null.

local M = {}

local INT64_MAX = 0x7fffffffffffffffLL
local INT64_MIN = -INT64_MAX - 1
local TIME_MIN = INT64_MIN + 1 -- the very least int64 is what the kernels keep for null

M.TIME_MAX = INT64_MAX
M.TIME_MIN = TIME_MIN
M.TIME_NULL = INT64_MIN

---@class oracle.Row
---@field key? integer  nil: a null key
---@field event? integer  int64 cdata
---@field created? integer  int64 cdata
---@field arrival integer
---@field deleted boolean

---@class oracle.Rule
---@field ttl? integer  int64 cdata; nil: unlimited
---@field delay? integer  int64 cdata
---@field strict boolean
---@field as_known boolean
---@field as_of_created? integer  int64 cdata

-- a + b for b >= 0, held at the end of time
local function later(a, b)
  return a > INT64_MAX - b and INT64_MAX or a + b
end

-- a - b for b >= 0, held at the beginning of time
local function earlier(a, b)
  return a < TIME_MIN + b and TIME_MIN or a - b
end

-- Rule 3: the greatest (event_time, created_time, arrival); a null created_time sorts lowest.
local function greater(a, b)
  if a.event ~= b.event then
    return a.event > b.event
  end
  if a.created and b.created and a.created ~= b.created then
    return a.created > b.created
  end
  if (a.created == nil) ~= (b.created == nil) then
    return a.created ~= nil
  end
  return a.arrival > b.arrival
end

M.greater = greater

-- Rule 4: when a row became known. nil: it says nothing about that.
local function known_at(row, rule)
  if row.created then
    return row.created
  end
  return rule.delay and later(row.event, rule.delay) or nil
end

-- Rules 2, 4 and 5: whether a spine row of `key` at `time` may see the row at all.
local function sees(key, time, row, rule)
  if row.key == nil or row.event == nil or row.key ~= key then
    return false
  end
  if row.event > time or (rule.strict and row.event == time) then
    return false
  end
  local known = known_at(row, rule)
  if known and rule.as_of_created and known > rule.as_of_created then
    return false
  end
  if known and (rule.as_known or rule.delay) and known > time then
    return false
  end
  return true
end

-- Rules 2, 8, 10 and 11: what the newest visible row amounts to at `time`.
local function status_of(row, time, rule)
  if not row then
    return 'NOT_FOUND'
  end
  if rule.ttl and row.event < earlier(time, rule.ttl) then
    return 'OUTSIDE_MAX_AGE'
  end
  return row.deleted and 'DELETED' or 'PRESENT'
end

--- One answer for each spine row, in the spine's order (rule 1).
---@param spine { key?: integer, time?: integer }[]
---@param rows oracle.Row[]
---@param rule oracle.Rule
---@return { status: string, row?: oracle.Row }[]
function M.asof(spine, rows, rule)
  local answers = {}
  for place, wanted in ipairs(spine) do
    local best
    if wanted.key ~= nil and wanted.time ~= nil then
      for _, row in ipairs(rows) do
        if sees(wanted.key, wanted.time, row, rule) and (not best or greater(row, best)) then
          best = row
        end
      end
    end
    answers[place] = { status = status_of(best, wanted.time, rule), row = best }
  end
  return answers
end

--- The rows that are young enough for at least one spine row.
---@param spine { key?: integer, time?: integer }[]
---@param rows oracle.Row[]
---@param ttl? integer
---@return oracle.Row[]
function M.drop_expired(spine, rows, ttl)
  local kept = {}
  for _, row in ipairs(rows) do
    local young = not ttl
    for _, wanted in ipairs(spine) do
      if ttl and row.event and wanted.key ~= nil and wanted.time ~= nil then
        young = young or row.event >= earlier(wanted.time, ttl)
      end
    end
    if young then
      kept[#kept + 1] = row
    end
  end
  return kept
end

---@class oracle.Interval
---@field from integer  event times from here on,
---@field to integer  and before this
---@field created_from? integer  and earlier ones created then or later; nil: none
---@field known_matters? boolean  a row has its place in time where it was created, if that is later

--- The newest row of each key in an interval (rule 9), by key, with counts.
---@param rows oracle.Row[]
---@param interval oracle.Interval
---@return table<integer, oracle.Row> newest
---@return table<string, integer> counts
---@return integer? created_to
function M.latest(rows, interval)
  local newest = {}
  local counts = { read = #rows, inside = 0, late = 0, null_key = 0, null_time = 0 }
  local created_to
  for _, row in ipairs(rows) do
    local place = row.event
    if place and interval.known_matters and row.created and row.created > place then
      place = row.created
    end
    local before_end = place ~= nil and place < interval.to
    if before_end and row.created and (not created_to or row.created > created_to) then
      created_to = row.created
    end
    if row.key == nil then
      counts.null_key = counts.null_key + 1
    elseif row.event == nil then
      counts.null_time = counts.null_time + 1
    elseif before_end then
      local late = place < interval.from
      local wanted = not late
        or (row.created and interval.created_from and interval.created_from < M.TIME_MAX
          and row.created >= interval.created_from)
      if wanted then
        counts.inside = counts.inside + 1
        counts.late = counts.late + (late and 1 or 0)
        local held = newest[row.key]
        newest[row.key] = (not held or greater(row, held)) and row or held
      end
    end
  end
  return newest, counts, created_to
end

return M
