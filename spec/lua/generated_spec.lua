-- Generated files are committed; these specs fail when one is older than what it comes from.

local function read(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

describe('a generated file', function()
  local GENERATED = {
    ['lua/tidemark/_meta/define.lua'] = 'meta.lua',
    ['docs/reference/definitions.md'] = 'reference.lua',
  }
  for path, generator in pairs(GENERATED) do
    it('is fresh: ' .. path, function()
      local output = os.tmpname()
      finally(function()
        os.remove(output)
      end)
      local command = ('luajit runtime/generate/%s %s'):format(generator, output)
      assert.equal(0, os.execute(command))
      assert.is_true(read(path) == read(output), 'run luajit runtime/generate/' .. generator)
    end)
  end

  it('embeds every module of the library', function()
    local output = os.tmpname()
    finally(function()
      os.remove(output)
    end)
    assert.equal(0, os.execute('luajit runtime/generate/modules.lua lua ' .. output))
    local text = read(output)
    for _, module in ipairs { 'define', 'link', 'locate', 'plan', 'schema', 'shapes' } do
      assert.is_truthy(text:find(('{"tidemark.%s", "lua/tidemark/%s.lua"'):format(module, module),
        1, true))
    end
    assert.is_nil(text:find('"lua/tidemark/_meta', 1, true))
  end)

  it('has examples that load', function()
    local host = require 'spec.support.host'
    local shapes = require 'tidemark.shapes'
    local text = [[
      entity 'zone' { keys = { int64 'zone_id' } }
      source 'zones' { path = 'zones.csv', event_time = 'at' }
      feature_view 'zone_stats' { entity = 'zone', source = 'zones', features = { int64 'demand' } }
    ]]
    for _, shape in ipairs(shapes.words) do
      text = text .. '\n' .. shape.example
    end
    assert.same({}, host.load(text).lines)
  end)
end)
