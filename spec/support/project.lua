-- A project in a folder of its own, driven through the command line: write a few rows, apply, and
-- ask. By default one view, `rates`, as blueprints.driver has it.

local blueprints = require 'spec.support.blueprints'
local cli = require 'spec.support.cli'
local csv = require 'spec.support.csv'
local workspace = require 'spec.support.workspace'

local M = {}

M.HEADER = 'driver_id,event_timestamp,created,rate,trips,city'

---@class spec.Project : spec.Workspace
local Project = {}
Project.__index = Project

--- A project with `rows` (lines of data/rows.csv) and `definition`; applied unless `apply = false`.
---@param options { rows: string[]?, header: string?, definition: string?, apply: boolean? }
---@return spec.Project
function M.new(options)
  local space = workspace.new({
    ['definitions/rows.lua'] = options.definition or blueprints.driver(),
  })
  local self = setmetatable({ space = space, folder = space.folder },
    { __index = function(_, name)
      return Project[name] or space[name]
    end })
  self:set_rows(options.rows or {}, options.header)
  if options.apply ~= false then
    self:must('apply')
  end
  return self
end

--- Replaces data/rows.csv.
function Project:set_rows(rows, header)
  self.space:write('data/rows.csv', csv.lines(header or M.HEADER, rows))
end

function Project:remove()
  self.space:remove()
end

--- Runs a command on this project.
---@return spec.CliResult
function Project:run(...)
  return cli.run({ '-C', self.folder, ... })
end

--- A command that must succeed; returns stdout.
function Project:must(...)
  return cli.must({ '-C', self.folder, ... })
end

--- A command that must fail; returns stderr.
function Project:fails(...)
  local result = self:run(...)
  assert(result.status == 1, ('expected exit status 1, got %d: %s%s'):format(result.status,
    result.stdout, result.stderr))
  return result.stderr
end

--- The training set for spine lines (the first is the header), as CSV text.
---@param spine string[]
---@param ... string  more arguments
---@return string
function Project:history_text(spine, ...)
  local from = self.space:write('spine.csv', table.concat(spine, '\n') .. '\n')
  local to = self.space:path('out.csv')
  local arguments = { ... }
  local chosen = false
  for _, argument in ipairs(arguments) do
    chosen = chosen or argument == '--features' or argument == '--service'
  end
  if not chosen then
    arguments[#arguments + 1] = '--features'
    arguments[#arguments + 1] = 'rates:*'
  end
  self:must('get-historical-features', '--spine', from, '-o', to, '--quiet', unpack(arguments))
  return self.space:read('out.csv')
end

--- The same as rows.
---@return table<string, string>[]
---@return string[] header
function Project:history(spine, ...)
  return csv.parse(self:history_text(spine, ...))
end

--- Materializes [start, finish); returns the counts of each view by name.
function Project:materialize(start, finish, ...)
  local rows = csv.parse(self:must('materialize', start, finish, '--format', 'csv', '--quiet', ...))
  local views = {}
  for _, row in ipairs(rows) do
    views[row.view] = row
  end
  return views
end

--- The same from each view's mark on.
function Project:materialize_incremental(finish, ...)
  local rows = csv.parse(self:must('materialize-incremental', finish, '--format', 'csv', '--quiet',
    ...))
  local views = {}
  for _, row in ipairs(rows) do
    views[row.view] = row
  end
  return views
end

--- Online features for `entities` ("driver_id=1,2"), with statuses, as rows.
---@param entities string
---@param ... string  more arguments
function Project:online(entities, ...)
  local arguments = { ... }
  local chosen = false
  for _, argument in ipairs(arguments) do
    chosen = chosen or argument == '-f' or argument == '--service'
  end
  if not chosen then
    arguments[#arguments + 1] = '-f'
    arguments[#arguments + 1] = 'rates:*'
  end
  return csv.parse(self:must('get-online-features', '-e', entities, '--statuses', '--format', 'csv',
    unpack(arguments)))
end

return M
