-- Asks a Tidemark server for features:
--
--   tidemark run examples/clients/lua/client.lua HOST:PORT SERVICE KEY=VALUE[,VALUE...]... [NOW]
--
-- Values that look like integers are sent as integers.

local tidemark = require 'tidemark'

local address, service = arg[1], arg[2]
local entities, now = {}, nil
for i = 3, #arg do
  local key, values = arg[i]:match('^([%w_]+)=(.*)$')
  if key then
    entities[key] = {}
    for value in values:gmatch('[^,]+') do
      table.insert(entities[key], value:match('^%-?%d+$') and tonumber(value) or value)
    end
  else
    now = tidemark.time(arg[i])
  end
end
if not next(entities) then
  io.stderr:write('usage: client.lua HOST:PORT SERVICE KEY=VALUE[,VALUE...]... [NOW]\n')
  os.exit(2)
end

local server = tidemark.connect(address)
local answer = server:get_online_features({
  service = service,
  entities = entities,
  now = now,
  include = { 'statuses' },
})
server:close()

for column, name in ipairs(answer.names) do
  local cells = { ('%-20s'):format(name) }
  for row, statuses in ipairs(answer.statuses) do
    local shown = statuses[column] == 'PRESENT' and answer.rows[row][column] or statuses[column]
    cells[#cells + 1] = ('%-16s'):format(tostring(shown))
  end
  print((table.concat(cells, ' '):gsub(' +$', '')))
end
