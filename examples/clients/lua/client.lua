-- Asks a Tidemark server for features. It takes what the Python client takes:
--
--   tidemark run client.lua HOST:PORT --service driver_ranking -e driver_id=1001,1002
--   tidemark run client.lua HOST:PORT -f driver_hourly_stats:conv_rate -e driver_id=1001 \
--     --now 2021-08-25
--   tidemark run client.lua HOST:PORT --service trip_pricing -e driver_id=1001 -r distance_km=3.2
--
-- Values are numbers, true or false where they look like that, and null where nothing stands; write
-- 'dob_ssn="123"' for text that looks like a number.

local tidemark = require 'tidemark'

local USAGE = 'usage: client.lua HOST:PORT [--service NAME] [-f VIEW:FEATURE]... '
  .. '[-e KEY=V[,V...]]... [-r NAME=V[,V...]]... [--now TIME]\n'

local function fail(status, text)
  io.stderr:write(text)
  os.exit(status)
end

local WORDS = { ['true'] = true, ['false'] = false, [''] = tidemark.null }

local function parse_value(text)
  if WORDS[text] ~= nil then
    return WORDS[text]
  elseif text:match('^".*"$') and #text > 1 then
    return text:sub(2, -2)
  elseif text:match('^%-?%d+$') and #text > 15 and #text < 19 then
    -- Beyond 2^53 numbers lose their last digits.
    return loadstring('return ' .. text .. 'LL')()
  elseif text:match('^%-?%.?%d') and not text:match('[xX]') then
    return tonumber(text) or text
  end
  return text
end

-- `name=value,value`: a column of the request.
local function add_column(columns, text)
  local name, values = text:match('^([^=]+)=(.*)$')
  if not name then
    fail(2, USAGE)
  end
  local column = { name = name, values = {} }
  for value in (values .. ','):gmatch('([^,]*),') do
    table.insert(column.values, parse_value(value))
  end
  table.insert(columns, column)
end

local given = { entities = {}, request = {}, features = {} }

local OPTIONS = {
  ['--service'] = function(value) given.service = value end,
  ['--now'] = function(value) given.now = value end,
  ['-f'] = function(value) table.insert(given.features, value) end,
  ['-e'] = function(value) add_column(given.entities, value) end,
  ['-r'] = function(value) add_column(given.request, value) end,
}

for i = 2, #arg, 2 do
  local take = OPTIONS[arg[i]]
  if not take or not arg[i + 1] then
    fail(2, USAGE)
  end
  take(arg[i + 1])
end
if not arg[1] then
  fail(2, USAGE)
end

local function by_name(columns)
  local named = {}
  for _, column in ipairs(columns) do
    named[column.name] = column.values
  end
  return named
end

local function ask()
  local server = tidemark.connect(arg[1])
  local answer = server:get_online_features({
    service = given.service,
    features = #given.features > 0 and given.features or nil,
    entities = by_name(given.entities),
    request = by_name(given.request),
    now = given.now and tidemark.time(given.now),
    include = { 'statuses' },
  })
  server:close()
  return answer
end

local function print_value(value)
  local whole = type(value) == 'number' and value % 1 == 0
  return type(value) == 'number' and not whole and ('%.6g'):format(value) or tostring(value)
end

local function width_of(text)
  return #text:gsub('[\128-\191]', '')
end

--- One line per feature, one column per row: readable for wide services.
local function print_table(answer)
  local lines = {}
  for _, columns in ipairs({ given.entities, given.request }) do
    for _, column in ipairs(columns) do
      local cells = { column.name }
      for i, value in ipairs(column.values) do
        cells[i + 1] = print_value(value)
      end
      lines[#lines + 1] = cells
    end
  end
  for column, name in ipairs(answer.names) do
    local cells = { name }
    for row, statuses in ipairs(answer.statuses) do
      local present = statuses[column] == 'PRESENT'
      cells[row + 1] = present and print_value(answer.rows[row][column]) or statuses[column]
    end
    lines[#lines + 1] = cells
  end
  local widths = {}
  for _, cells in ipairs(lines) do
    for i, cell in ipairs(cells) do
      widths[i] = math.max(widths[i] or 0, width_of(cell))
    end
  end
  for _, cells in ipairs(lines) do
    for i, cell in ipairs(cells) do
      cells[i] = cell .. (' '):rep(widths[i] - width_of(cell))
    end
    print((table.concat(cells, '  '):gsub(' +$', '')))
  end
end

local good, answer = pcall(ask)
if not good then
  fail(1, ('error: %s\n'):format(tostring(answer)))
end
print_table(answer)
