-- Makes the tables that definitions/ reads, as CSV and as Parquet:
--
--   tidemark run examples/generate.lua [--scale N] [--out FOLDER]
--
-- The same call gives the same bytes everywhere, and a larger scale keeps what a smaller one made
-- and adds to it. Scale 1 is a thousand loan applicants. The histories are as untidy as real ones:
-- people without history, gaps of months, rows delivered weeks late, corrections (the same event
-- time, created later), missing values, postal codes nobody has heard of.

local tidemark = require 'tidemark'

local options = { scale = 1, out = 'data' }

local HOUR, DAY = 3600, 86400

-- Random numbers ----------------------------------------------------------------------------------
-- Park and Miller's minimal standard generator with multiplier 48271: exact in doubles, so the same
-- everywhere. Every row has a generator of its own, seeded by what the row is about.

local MODULUS = 2147483647

local Random = {}
Random.__index = Random

local function random_for(table_number, a, b)
  local seed = (table_number * 7919 + a * 104729 + (b or 0) * 15485863) % (MODULUS - 1) + 1
  local random = setmetatable({ state = seed }, Random)
  for _ = 1, 4 do
    random:next()
  end
  return random
end

function Random:next()
  self.state = self.state * 48271 % MODULUS
  return self.state / MODULUS
end

-- An integer of [low, high].
function Random:int(low, high)
  return low + math.floor(self:next() * (high - low + 1))
end

function Random:chance(probability)
  return self:next() < probability
end

function Random:pick(list)
  return list[self:int(1, #list)]
end

-- Most often small, seldom large: of [0, high].
function Random:skewed(high)
  local a, b = self:next(), self:next()
  return math.floor(a * b * (high + 1))
end

-- Writing -----------------------------------------------------------------------------------------

-- "2021-08-25T20:34:41.361000Z" from milliseconds.
local function print_time(ms)
  local seconds = math.floor(ms / 1000)
  return ('%s.%06dZ'):format(os.date('!%Y-%m-%dT%H:%M:%S', seconds), (ms - seconds * 1000) * 1000)
end

local function seconds_of(text)
  return tonumber(tidemark.time(text)) / 1000000
end

local Table = {}
Table.__index = Table

local function open_table(name, columns)
  local path = ('%s/%s'):format(options.out, name)
  local file = assert(io.open(path .. '.csv', 'wb'))
  file:write(columns, '\n')
  return setmetatable({ file = file, path = path, name = name, rows = 0 }, Table)
end

-- `false` is a missing value. No text of ours needs quotes.
function Table:write(...)
  local fields = { ... }
  for i = 1, #fields do
    fields[i] = fields[i] ~= false and tostring(fields[i]) or ''
  end
  self.file:write(table.concat(fields, ','), '\n')
  self.rows = self.rows + 1
end

function Table:close()
  self.file:close()
  tidemark.copy_file(self.path .. '.csv', self.path .. '.parquet')
  print(('%9d rows  %s.parquet, .csv'):format(self.rows, self.path))
end

-- Postal codes ------------------------------------------------------------------------------------

local STATES = {
  'AL', 'AZ', 'CA', 'CO', 'CT', 'FL', 'GA', 'IA', 'ID', 'IL', 'IN', 'KS', 'KY', 'LA', 'MA', 'MD',
  'ME', 'MI', 'MN', 'MO', 'MT', 'NC', 'ND', 'NE', 'NH', 'NJ', 'NM', 'NV', 'NY', 'OH', 'OK', 'OR',
  'PA', 'SC', 'SD', 'TN', 'TX', 'UT', 'VA', 'VT', 'WA', 'WI', 'WV', 'WY',
}
local TOWN_STARTS = {
  'ALDER', 'BIRCH', 'BRIAR', 'CEDAR', 'CLEAR', 'EAGLE', 'ELM', 'FOX', 'GLEN', 'GREEN', 'HARBOR',
  'HAZEL', 'IRON', 'LAKE', 'MAPLE', 'MILL', 'OAK', 'PINE', 'RIVER', 'ROSE', 'SILVER', 'STONE',
}
local TOWN_ENDS = {
  'BROOK', 'BURY', 'DALE', 'FIELD', 'FORD', ' CITY', ' GROVE', ' HILL', ' SPRINGS', 'TON', 'VILLE',
  'WOOD',
}
local ZIPCODE_SNAPSHOTS = { '2017-01-01T12:00:00Z', '2019-01-01T12:00:00Z', '2021-01-01T12:00:00Z' }

-- The i-th code; a step that has no factor in common with the range visits every number once.
local function zipcode_at(i)
  return 501 + i * 38183 % 99449
end

-- Codes there are for that many thousand people.
local function zipcode_count(thousands)
  return math.min(30000, 700 * thousands)
end

local function write_zipcode_row(out, i, year)
  local random = random_for(1, i)
  local city = random:pick(TOWN_STARTS) .. random:pick(TOWN_ENDS)
  local state = random:pick(STATES)
  local kind = random:chance(0.85) and 'PRIMARY' or random:pick({ 'PO BOX', 'ACCEPTABLE' })
  local population = 272 + random:skewed(60000)
  local changed = random_for(2, i, year)
  population = math.floor(population * (0.95 + 0.1 * changed:next()))
  local wages = population * changed:int(9000, 42000)
  wages = not changed:chance(0.02) and wages
  local time = seconds_of(ZIPCODE_SNAPSHOTS[year]) * 1000
  local created = time + changed:int(0, 40) * DAY * 1000
  out:write(zipcode_at(i), city, state, kind, math.floor(population * 0.52), population, wages,
    print_time(time), print_time(created))
end

local function generate_zipcodes()
  local out = open_table('credit_scoring/zipcode_table', 'zipcode,city,state,location_type,'
    .. 'tax_returns_filed,population,total_wages,event_timestamp,created_timestamp')
  for year = 1, #ZIPCODE_SNAPSHOTS do
    for i = 1, zipcode_count(options.scale) do
      -- Some codes came into being after the first snapshot.
      if year > 1 or i % 50 ~= 0 then
        write_zipcode_row(out, i, year)
      end
    end
  end
  out:close()
end

-- People ------------------------------------------------------------------------------------------

-- A date of birth and four digits. No two people have the same.
local function person_id(i)
  local year, month, day = 1950 + i % 50, 1 + math.floor(i / 50) % 12, 1 + math.floor(i / 600) % 28
  local digits = (math.floor(i / 16800) * 7 + i * 13) % 10000
  return ('%04d%02d%02d_%04d'):format(year, month, day, digits)
end

local function people_count()
  return 1000 * options.scale
end

-- What stays with a person: how careful they are with money (0 to 1), whether a bureau knows them.
local function person_at(i)
  local random = random_for(3, i)
  return {
    care = random:next(),
    known = random:chance(0.96),
    owner = random:chance(0.45),
    mortgage = random:int(20000, 900000),
    student_loan = random:chance(0.5) and random:int(500, 50000) or 0,
    vehicle_loan = random:chance(0.6) and random:int(500, 30000) or 0,
    bankruptcies = random:chance(0.03) and random:int(1, 2) or 0,
  }
end

-- Credit history ----------------------------------------------------------------------------------

local HISTORY_START = '2020-03-01'
local HISTORY_MONTHS = 18
local MONTH = 30 * DAY

-- The bureau looks at a person in about four months of ten.
local function has_snapshot(i, month)
  return random_for(4, i, month):chance(0.4)
end

-- The snapshot of a month; `correction` is what the bureau said later about the same moment.
local function write_snapshot(out, i, month, delay, correction)
  local person = person_at(i)
  local random = random_for(5, i, month)
  local event = (seconds_of(HISTORY_START) + (month - 1) * MONTH + random:int(0, MONTH - 1)) * 1000
    + random:int(0, 999)
  local created = event + random:int(1, 6 * HOUR) * 1000 + delay * 1000
  local careless = 1 - person.care
  local missed_2y = random:skewed(math.floor(9 * careless))
  local missed_1y = math.min(missed_2y, random:int(0, 3))
  local pulls = random:skewed(10)
  local card = random:skewed(9999)
  if correction then
    card, pulls = card + random:int(1, 500), pulls + 1
  end
  out:write(person_id(i), card,
    person.owner and math.floor(person.mortgage * (1 - 0.004 * month)),
    math.floor(person.student_loan * (1 - 0.01 * month)),
    math.floor(person.vehicle_loan * (1 - 0.02 * month)), pulls, missed_2y, missed_1y,
    math.min(missed_1y, random:int(0, 1)), not random:chance(0.01) and person.bankruptcies,
    print_time(event), (correction or not random:chance(0.002)) and print_time(created))
end

-- What arrives in a month: its snapshots, the late ones of two months ago, corrections of the last.
local function write_month(out, i, month)
  local function late(of_month)
    return random_for(6, i, of_month):chance(0.03)
  end
  if has_snapshot(i, month) and not late(month) then
    write_snapshot(out, i, month, 0)
  end
  if month > 2 and has_snapshot(i, month - 2) and late(month - 2) then
    write_snapshot(out, i, month - 2, 2 * MONTH)
  end
  if month > 1 and has_snapshot(i, month - 1) and random_for(7, i, month - 1):chance(0.02) then
    write_snapshot(out, i, month - 1, MONTH, true)
  end
end

local function generate_history()
  local out = open_table('credit_scoring/credit_history', 'dob_ssn,credit_card_due,mortgage_due,'
    .. 'student_loan_due,vehicle_loan_due,hard_pulls,missed_payments_2y,missed_payments_1y,'
    .. 'missed_payments_6m,bankruptcies,event_timestamp,created_timestamp')
  for month = 1, HISTORY_MONTHS do
    for i = 1, people_count() do
      if person_at(i).known then
        write_month(out, i, month)
      end
    end
  end
  out:close()
end

-- Loans -------------------------------------------------------------------------------------------

local HOMES = { 'RENT', 'OWN', 'MORTGAGE', 'OTHER' }
local INTENTS = {
  'DEBTCONSOLIDATION', 'EDUCATION', 'HOMEIMPROVEMENT', 'MEDICAL', 'PERSONAL', 'VENTURE',
}

local function write_loan(out, id, i)
  local person, random = person_at(i), random_for(8, id)
  local income = random:int(8, 90) * 1000 + random:skewed(120000)
  local amount = random:int(2, 140) * 250
  local rate = 5.5 + random:next() * 8 + (1 - person.care) * 7
  local risk = 0.05 + 0.45 * (1 - person.care) * amount / 35000
  -- One in a hundred writes a postal code that no table has.
  local codes = zipcode_count(math.ceil(i / 1000))
  local zipcode = random:chance(0.99) and zipcode_at(random:int(1, codes)) or random:int(1, 500)
  local home = person.owner and 'MORTGAGE' or random:pick(HOMES)
  local employed = not random:chance(0.03) and random:int(0, 40)
  local time = (seconds_of('2020-08-25T20:34:41Z') + random:int(0, 365 * DAY)) * 1000
    + random:int(0, 999)
  out:write(id, person_id(i), zipcode, random:int(20, 70), income, home, employed,
    random:pick(INTENTS), amount, ('%.2f'):format(rate), random:chance(risk) and 1 or 0,
    print_time(time), print_time(time))
end

local function generate_loans()
  local out = open_table('credit_scoring/loan_table', 'loan_id,dob_ssn,zipcode,person_age,'
    .. 'person_income,person_home_ownership,person_emp_length,loan_intent,loan_amnt,loan_int_rate,'
    .. 'loan_status,event_timestamp,created_timestamp')
  local id = 10000
  for i = 1, people_count() do
    -- Two in a hundred come back for a second loan.
    for _ = 1, i % 50 == 0 and 2 or 1 do
      write_loan(out, id, i)
      id = id + 1
    end
  end
  out:close()
end

-- Drivers -----------------------------------------------------------------------------------------

local STATS_START = '2021-08-10'
local STATS_HOURS = 15 * 24

local function driver_count(scale)
  return 5 * scale
end

local function write_hour(out, driver, hour, corrected)
  local random = random_for(9, driver, hour)
  local time = (seconds_of(STATS_START) + hour * HOUR) * 1000
  local created = time + (corrected and 2 * DAY or HOUR) * 1000 + random:int(0, 60000)
  local conversion = 0.2 + 0.7 * random:next() * (corrected and 0.9 or 1)
  local known = not random:chance(0.01)
  out:write(print_time(time), 1000 + driver, known and ('%.6f'):format(conversion),
    ('%.6f'):format(0.3 + 0.7 * random:next()), random:int(0, 40), print_time(created))
end

local function generate_driver_stats()
  local out = open_table('driver_stats',
    'event_timestamp,driver_id,conv_rate,acc_rate,avg_daily_trips,created')
  for hour = 0, STATS_HOURS - 1 do
    for driver = 1, driver_count(options.scale) do
      -- On duty in about seven hours of ten; one hour in fifty is corrected two days later.
      if random_for(10, driver, hour):chance(0.7) then
        write_hour(out, driver, hour)
      end
      local earlier = hour - 48
      if earlier >= 0 and random_for(10, driver, earlier):chance(0.7)
        and random_for(11, driver, earlier):chance(0.02) then
        write_hour(out, driver, earlier, true)
      end
    end
  end
  out:close()
end

-- What a ranking model is trained on: was the offer to this driver taken?
local function generate_driver_offers()
  local out = open_table('driver_offers', 'offer_id,driver_id,event_timestamp,taken')
  for id = 1, 200 * options.scale do
    local random = random_for(12, id)
    local time = (seconds_of(STATS_START) + random:int(-6 * HOUR, STATS_HOURS * HOUR)) * 1000
    -- The last driver of the range is one that has no statistics yet.
    local driver = 1000 + random:int(1, driver_count(math.ceil(id / 200)) + 1)
    out:write(id, driver, print_time(time), random:chance(0.4) and 1 or 0)
  end
  out:close()
end

-- Main --------------------------------------------------------------------------------------------

local function read_options(arguments)
  local i = 1
  while arguments[i] do
    local name = arguments[i]:match('^%-%-(%a+)$')
    if not name or options[name] == nil or not arguments[i + 1] then
      io.stderr:write('usage: tidemark run examples/generate.lua [--scale N] [--out FOLDER]\n')
      os.exit(2)
    end
    options[name] = arguments[i + 1]
    i = i + 2
  end
  options.scale = tonumber(options.scale)
  if not options.scale or options.scale < 1 or options.scale % 1 ~= 0 then
    io.stderr:write('--scale: expected a whole number of 1 or more\n')
    os.exit(2)
  end
end

read_options(arg)
assert(os.execute(("mkdir -p '%s/credit_scoring'"):format(options.out)) == 0)
generate_zipcodes()
generate_history()
generate_loans()
generate_driver_stats()
generate_driver_offers()
