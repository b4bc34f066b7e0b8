-- What editors are told of a project's functions.

local cli = require 'spec.support.cli'
local workspace = require 'spec.support.workspace'

local DEFINITIONS = [[
entity 'driver' { keys = { int64 'driver_id' } }
source 'trips' { path = 'trips.parquet', event_time = 'at' }
feature_view 'fares' {
  entity = 'driver', source = 'trips',
  inputs = { float32 'amount', string 'city', list(int64) 'stops', vector(3) 'where', bool 'paid' },
  filter = function(row) return row.paid end,
  transform = function(row) return { total = row.amount, near = row.where, seen = 0 } end,
  features = { float64 'total', vector(3) 'near', timestamp 'seen' },
}
feature_view 'counted' {
  entity = 'driver', source = 'trips',
  inputs = { timestamp 'at' { column = 'seen at' } },
  filter = function(row) return row.at ~= nil end,
  features = { int64 'trips' },
}
on_demand_feature_view 'offer' {
  inputs = { 'fares:total' }, request = { bytes 'code', int32 'seats' },
  features = { string 'label' },
  transform = function(row) return { label = row.code } end,
}
]]

describe('tidemark stubs', function()
  local p

  before_each(function()
    p = workspace.new({ ['definitions/taxi.lua'] = DEFINITIONS })
  end)

  after_each(function()
    p:remove()
  end)

  local function classes()
    return p:read('.tidemark/stubs/rows.lua'):match('\n(%-%-%-@class.*)$')
  end

  it('writes the words, the library and a class for the rows of each function', function()
    cli.must({ '-C', p.folder, 'stubs' })
    for _, name in ipairs({ 'define', 'library', 'tidemark' }) do
      assert.matches('^%-%-%-@meta', p:read('.tidemark/stubs/' .. name .. '.lua'))
    end
    assert.equal([=[
---@class counted.row
---@field at integer? # timestamp

---@class fares.row
---@field paid boolean? # bool
---@field amount number? # float32
---@field where number[]? # vector(3)

---@class fares.features
---@field total number? # float64
---@field near number[]? # vector(3)
---@field seen number? # timestamp

---@class offer.row
---@field code string? # bytes
---@field seats integer? # int32

---@class offer.features
---@field label string? # string
]=], classes())
  end)

  it('adds what the source has besides, as far as it is known', function()
    p:write('trips.csv', 'driver_id,at,amount,odd name,tip\n1,2025-01-01,1,2,3\n')
    cli.must({ '-C', p.folder, 'lua', p:write('convert.lua',
      "require 'tidemark'.copy_file('trips.csv', 'trips.parquet')") })
    cli.must({ '-C', p.folder, 'stubs' })
    assert.matches([=[
---@class fares.row
---@field paid boolean? # bool
---@field amount number? # float32
---@field where number[]? # vector(3)
---@field driver_id integer? # int64
---@field at string? # string
---@field ['odd name'] integer? # int64
---@field tip integer? # int64
]=], classes(), 1, true)
  end)

  it('are Lua that an editor can read and nothing can load', function()
    cli.must({ '-C', p.folder, 'stubs' })
    local chunk = assert(loadstring(p:read('.tidemark/stubs/rows.lua')))
    assert.error_matches(chunk, 'annotations are for editors')
  end)

  it('are kept fresh by apply, where they are wanted', function()
    cli.must({ '-C', p.folder, 'apply' })
    assert.is_false(p:exists('.tidemark/stubs'))
    cli.must({ '-C', p.folder, 'stubs' })
    p:write('definitions/taxi.lua', (DEFINITIONS:gsub("int32 'seats'", "int32 'places'")))
    cli.must({ '-C', p.folder, 'apply', '--allow-incompatible' })
    assert.matches('@field places integer?', classes(), 1, true)
  end)

  it('show mistakes instead of stubs', function()
    p:write('definitions/more.lua', "entity 'x' {}\n")
    local result = cli.run({ '-C', p.folder, 'stubs' })
    assert.equal(1, result.status)
    assert.matches('definitions/more.lua:1', result.stderr, 1, true)
    assert.is_false(p:exists('.tidemark/stubs'))
  end)
end)
