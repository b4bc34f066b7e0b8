-- Runs before the first spec file. Modules that must not be loaded anew for every file are loaded
-- here; after every file come the checks that no spec may skip: nothing left running, no sanitizer
-- report.

require 'ffi'
local uv = require 'luv'
require 'mpack'
local busted = require 'busted'
local process = require 'spec.support.process'
local workspace = require 'spec.support.workspace'

-- Random specs start from this seed; it is printed so that a failure can be had again.
local seed = tonumber(os.getenv('TIDEMARK_SEED') or '') or os.time()
math.randomseed(seed)
io.stderr:write('TIDEMARK_SEED=', seed, '\n')

-- Sanitizers write here (ASAN_OPTIONS=log_path=FOLDER/name); a report fails the file it came from.
local logs = os.getenv('TIDEMARK_SANITIZER_LOGS')
local seen = {}

local function read_file(path)
  local file = io.open(path, 'rb')
  local text = file and file:read('*a') or ''
  if file then
    file:close()
  end
  return text
end

local function new_reports()
  local reports = {}
  local scan = logs and uv.fs_scandir(logs)
  while scan do
    local name = uv.fs_scandir_next(scan)
    if not name then
      break
    end
    local text = not seen[name] and read_file(logs .. '/' .. name) or ''
    seen[name] = true
    -- A file may hold a warning of the sanitizer about itself only, as for a very large stack.
    if text:find('ERROR: ', 1, true) or text:find('runtime error: ', 1, true) then
      reports[#reports + 1] = name .. ':\n' .. text
    end
  end
  return reports
end

busted.subscribe({ 'file', 'end' }, function(file)
  local left = process.reap()
  local reports = new_reports()
  if #left > 0 then
    error(file.name .. ' left processes behind:\n  ' .. table.concat(left, '\n  '), 0)
  elseif #reports > 0 then
    error('sanitizer reports of ' .. file.name .. ':\n' .. table.concat(reports, '\n'), 0)
  end
end)

busted.subscribe({ 'suite', 'end' }, function()
  workspace.remove_all()
  -- luv must not find handles half closed when the Lua state ends.
  uv.walk(function(handle)
    if not handle:is_closing() then
      handle:close()
    end
  end)
  uv.run()
end)
