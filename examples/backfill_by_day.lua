-- Fills the online store day by day:
--
--   tidemark run examples/backfill_by_day.lua FROM TO [VIEW]...
--
-- Every day is one transaction per view, so the script may be stopped anywhere and run again:
-- a day that was done already writes nothing.

local tidemark = require 'tidemark'

local from, to = arg[1], arg[2]
if not to then
  io.stderr:write('usage: tidemark run examples/backfill_by_day.lua FROM TO [VIEW]...\n')
  os.exit(2)
end

local views = #arg > 2 and { unpack(arg, 3) } or nil
local project = tidemark.open('.')
local written, stale = 0, 0

for day, next_day in tidemark.days(from, to) do
  local result = project:materialize({ start = day, ['end'] = next_day, views = views })
  for _, view in ipairs(result.views) do
    written = written + view.written
    stale = stale + view.stale
    if view.inside > 0 then
      print(('%s  %-24s %7d rows  %7d written'):format(tidemark.format_time(day):sub(1, 10),
        view.view, view.inside, view.written))
    end
  end
end

project:close()
print(('done: %d written, %d were there already'):format(written, stale))
