-- The project that ships, over all its loans, against an independent computation: for every loan
-- look at every snapshot of its person and of its postal code, and take the newest that counts.

local uv = require 'luv'
local cli = require 'spec.support.cli'
local csv = require 'spec.support.csv'
local workspace = require 'spec.support.workspace'

local DAY = 86400 * 1000000

local ZIPCODE_FEATURES = {
  'city', 'state', 'location_type', 'tax_returns_filed', 'population', 'total_wages',
}
local HISTORY_FEATURES = {
  'credit_card_due', 'mortgage_due', 'student_loan_due', 'vehicle_loan_due', 'hard_pulls',
  'missed_payments_2y', 'missed_payments_1y', 'missed_payments_6m', 'bankruptcies',
}

-- The oracle --------------------------------------------------------------------------------------

-- Days since 1970-01-01, counted the slow way: whole years, whole months, days.
local function days_since_epoch(year, month, day)
  local function leap(y)
    return y % 4 == 0 and (y % 100 ~= 0 or y % 400 == 0)
  end
  local lengths = { 31, leap(year) and 29 or 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }
  local days = day - 1
  for y = 1970, year - 1 do
    days = days + (leap(y) and 366 or 365)
  end
  for m = 1, month - 1 do
    days = days + lengths[m]
  end
  return days
end

local known_times = {}

-- Microseconds of "2021-08-25T20:34:41.361000Z"; null is before everything.
local function time_of(text)
  if not text then
    return -math.huge
  end
  if not known_times[text] then
    local year, month, day, hour, minute, second, fraction =
      text:match('^(%d+)-(%d+)-(%d+)[T ](%d+):(%d+):(%d+)%.?(%d*)Z$')
    local days = days_since_epoch(tonumber(year), tonumber(month), tonumber(day))
    local seconds = days * 86400 + hour * 3600 + minute * 60 + second
    known_times[text] = seconds * 1000000 + tonumber((fraction .. '000000'):sub(1, 6))
  end
  return known_times[text]
end

local function group_by(rows, key)
  local groups = {}
  for position, row in ipairs(rows) do
    local value = row[key]
    if value then
      groups[value] = groups[value] or {}
      table.insert(groups[value], {
        row = row,
        event = time_of(row.event_timestamp),
        created = time_of(row.created_timestamp),
        position = position,
      })
    end
  end
  return groups
end

local function newer(a, b)
  if a.event ~= b.event then
    return a.event > b.event
  elseif a.created ~= b.created then
    return a.created > b.created
  end
  return a.position > b.position
end

-- The row that counts at `time`, or nil.
local function newest(group, time, ttl)
  local best
  for _, candidate in ipairs(group or {}) do
    if candidate.event <= time and (not best or newer(candidate, best)) then
      best = candidate
    end
  end
  return best and best.event >= time - ttl and best.row or nil
end

-- For every loan its fifteen features.
local function expected_features(loans, zipcodes, history)
  local by_zipcode, by_person = group_by(zipcodes, 'zipcode'), group_by(history, 'dob_ssn')
  local expected = {}
  for i, loan in ipairs(loans) do
    local time = time_of(loan.event_timestamp)
    local zipcode = newest(by_zipcode[loan.zipcode], time, 3650 * DAY) or {}
    local person = newest(by_person[loan.dob_ssn], time, 90 * DAY) or {}
    local features = {}
    for _, name in ipairs(ZIPCODE_FEATURES) do
      features[name] = zipcode[name]
    end
    for _, name in ipairs(HISTORY_FEATURES) do
      features[name] = person[name]
    end
    expected[i] = features
  end
  return expected
end

-- Projects ----------------------------------------------------------------------------------------

local function read_file(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

local function new_project()
  return workspace.new({
    ['definitions/credit_scoring.lua'] = read_file('definitions/credit_scoring.lua'),
    ['definitions/driver.lua'] = read_file('definitions/driver.lua'),
    ['copy.lua'] = "require('tidemark').copy_file(arg[1], arg[2])",
  })
end

local function copy_file(p, from, to)
  cli.must({ 'run', p:path('copy.lua'), p:path(from), p:path(to) })
end

local function generate(p)
  cli.must({ 'run', 'examples/generate.lua', '--scale', '1', '--out', p:path('data') })
end

local function training_set(p, spine)
  cli.must({ '-C', p.folder, 'get-historical-features', '--quiet', '--spine', p:path(spine),
    '--service', 'credit_scoring', '-o', p:path('training.csv') })
  return csv.parse(p:read('training.csv'))
end

-- The first few differences, as text; an empty list when there are none.
local function differences(loans, expected, rows)
  local found = {}
  if #rows ~= #loans then
    found[1] = ('%d rows for %d loans'):format(#rows, #loans)
  end
  for i, row in ipairs(rows) do
    if row.loan_id ~= loans[i].loan_id then
      found[#found + 1] = ('row %d: loan %s, not %s'):format(i, row.loan_id, loans[i].loan_id)
    end
    for _, names in ipairs({ ZIPCODE_FEATURES, HISTORY_FEATURES }) do
      for _, name in ipairs(names) do
        if row[name] ~= expected[i][name] then
          found[#found + 1] = ('row %d %s: %s, not %s'):format(i, name, tostring(row[name]),
            tostring(expected[i][name]))
        end
      end
    end
    if #found > 5 then
      break
    end
  end
  return found
end

local function count_present(expected, name)
  local count = 0
  for _, features in ipairs(expected) do
    count = count + (features[name] and 1 or 0)
  end
  return count
end

local function shuffled(rows)
  local copy = {}
  for i, row in ipairs(rows) do
    copy[i] = row
  end
  for i = #copy, 2, -1 do
    local j = math.random(i)
    copy[i], copy[j] = copy[j], copy[i]
  end
  return copy
end

local function split_lines(text)
  local lines = {}
  for line in text:gmatch('[^\n]+') do
    lines[#lines + 1] = line
  end
  return table.remove(lines, 1), lines
end

-- Specs -------------------------------------------------------------------------------------------

describe('credit scoring', function()
  local p

  after_each(function()
    p:remove()
  end)

  describe('over generated tables', function()
    local loans, zipcodes, history

    before_each(function()
      p = new_project()
      generate(p)
      cli.must({ '-C', p.folder, 'apply' })
      loans = csv.parse(p:read('data/credit_scoring/loan_table.csv'))
      zipcodes = csv.parse(p:read('data/credit_scoring/zipcode_table.csv'))
      history = csv.parse(p:read('data/credit_scoring/credit_history.csv'))
    end)

    it('equals the independent computation, cell for cell', function()
      local expected = expected_features(loans, zipcodes, history)
      assert.is_true(count_present(expected, 'credit_card_due') > 500)
      assert.is_true(count_present(expected, 'credit_card_due') < #loans)
      assert.is_true(count_present(expected, 'city') < #loans)
      local rows, header = training_set(p, 'data/credit_scoring/loan_table.parquet')
      assert.equal(13 + 15, #header)
      assert.same({}, differences(loans, expected, rows))
    end)

    it('does not depend on the order of any table', function()
      local expected = expected_features(loans, zipcodes, history)
      for _, name in ipairs({ 'zipcode_table', 'credit_history' }) do
        local file = 'data/credit_scoring/' .. name
        local header, lines = split_lines(p:read(file .. '.csv'))
        p:write(file .. '.csv', csv.lines(header, shuffled(lines)))
        copy_file(p, file .. '.csv', file .. '.parquet')
      end
      local header, lines = split_lines(p:read('data/credit_scoring/loan_table.csv'))
      p:write('loans.csv', csv.lines(header, shuffled(lines)))
      local rows = training_set(p, 'loans.csv')
      table.sort(rows, function(a, b)
        return tonumber(a.loan_id) < tonumber(b.loan_id)
      end)
      assert.same({}, differences(loans, expected, rows))
    end)

    it('takes the last row where two are equal in every time', function()
      local header, lines = split_lines(p:read('data/credit_scoring/credit_history.csv'))
      for i = 1, #lines, 3 do
        lines[#lines + 1] = lines[i]:gsub('^([^,]+),%d+', '%1,' .. 10000 + i)
      end
      lines = shuffled(lines)
      p:write('data/credit_scoring/credit_history.csv', csv.lines(header, lines))
      copy_file(p, 'data/credit_scoring/credit_history.csv',
        'data/credit_scoring/credit_history.parquet')
      local tied = csv.parse(p:read('data/credit_scoring/credit_history.csv'))
      local expected = expected_features(loans, zipcodes, tied)
      local rows = training_set(p, 'data/credit_scoring/loan_table.parquet')
      assert.same({}, differences(loans, expected, rows))
    end)

    it('is the same online as in a training set of that moment', function()
      local now = '2021-06-01T00:00:00.000000Z'
      cli.must({ '-C', p.folder, 'materialize', '2010-01-01', now, '--quiet' })
      local asked, zips, people = {}, {}, {}
      for i = 1, 300 do
        asked[i] = { loan_id = loans[i].loan_id, zipcode = loans[i].zipcode,
          dob_ssn = loans[i].dob_ssn, event_timestamp = now }
        zips[i], people[i] = loans[i].zipcode, loans[i].dob_ssn
      end
      local rows = csv.parse(cli.must({ '-C', p.folder, 'get-online-features', '--service',
        'credit_scoring', '-e', 'zipcode=' .. table.concat(zips, ','), '-e',
        'dob_ssn=' .. table.concat(people, ','), '--now', now, '--format', 'csv' }))
      for i, row in ipairs(rows) do
        assert.equal(people[i], row.dob_ssn)
        row.loan_id = asked[i].loan_id
      end
      -- Nothing at `now` itself is materialized: the interval is half open. No row is that exact.
      assert.same({}, differences(asked, expected_features(asked, zipcodes, history), rows))
    end)
  end)

  describe('over the real tables', function()
    local data = os.getenv('TIDEMARK_DATA')

    before_each(function()
      p = new_project()
      if data then
        p:write('data/credit_scoring/.keep', '')
        for from, to in pairs({
          ['loan_table.parquet'] = 'loan_table.parquet',
          ['zipcode_table.parquet'] = 'zipcode_table.parquet',
          ['credit_history_reconstructed.parquet'] = 'credit_history.parquet',
        }) do
          assert(uv.fs_symlink(assert(uv.fs_realpath(data .. '/credit_scoring/' .. from)),
            p:path('data/credit_scoring/' .. to)))
        end
        cli.must({ '-C', p.folder, 'apply' })
      end
    end)

    local function read_gzip(name)
      local pipe = assert(io.popen(("gzip -dc '%s/credit_scoring/%s'"):format(data, name)))
      local text = pipe:read('*a')
      pipe:close()
      return csv.parse(text)
    end

    it('equals the independent computation for all 28,638 loans', function()
      if not data then
        pending('TIDEMARK_DATA does not name a folder with the real tables')
        return
      end
      copy_file(p, 'data/credit_scoring/credit_history.parquet', 'history.csv')
      local loans = read_gzip('loan_table.csv.gz')
      assert.equal(28638, #loans)
      local expected = expected_features(loans, read_gzip('zipcode_table.csv.gz'),
        csv.parse(p:read('history.csv')))
      assert.is_true(count_present(expected, 'credit_card_due') > 20000)
      local rows = training_set(p, 'data/credit_scoring/loan_table.parquet')
      assert.same({}, differences(loans, expected, rows))
    end)
  end)
end)
