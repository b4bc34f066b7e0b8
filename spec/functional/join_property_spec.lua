-- Training sets against a slow oracle, through the whole engine: random views, rules, formats and
-- spines. The kernels have specs of their own; here it counts that nothing is lost between a file
-- and a file.

local random = require 'spec.support.random'
local tidemark = require 'tidemark'
local training = require 'spec.support.training'
local workspace = require 'spec.support.workspace'

local PROJECTS = tonumber(os.getenv('TIDEMARK_CASES') or '') or 150
local SPINES = 4 -- per project

describe('training sets are what the oracle says', function()
  local space, handle

  before_each(function()
    space = workspace.new()
    handle = tidemark.open(space.folder)
  end)

  after_each(function()
    handle:close()
    space:remove()
  end)

  local function try(project)
    local spine = training.spine(project)
    local request, joins = training.request(project)
    request.spine = training.put_spine(space, handle, spine,
      random.pick({ 'csv', 'msgpack', 'parquet', 'jsonl' }))
    request.output = space:path('out.msgpack')
    handle:get_historical_features(request)
    training.check(joins, spine, request, training.decode(space:read('out.msgpack')))
  end

  it('for random views and spines', function()
    random.each(PROJECTS, function()
      local project = training.project()
      training.put(space, handle, project)
      handle:apply({ allow_incompatible = true })
      for _ = 1, SPINES do
        try(project)
      end
    end)
  end)

  it('for 40 views at once', function()
    random.each(2, function()
      local project = training.project({ views = 40 })
      training.put(space, handle, project)
      handle:apply({ allow_incompatible = true })
      try(project)
    end)
  end)

  it('for 1,000 features of a view', function()
    random.each(1, function()
      local project = training.project({ views = 1, features = 1000, rows = 60,
        format = random.pick({ 'parquet', 'csv' }) })
      training.put(space, handle, project)
      handle:apply({ allow_incompatible = true })
      try(project)
    end)
  end)
end)
