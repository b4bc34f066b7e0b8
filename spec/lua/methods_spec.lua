-- What is generated from the method table is up to date, and the table is whole.

local uv = require 'luv'
local process = require 'spec.support.process'
local workspace = require 'spec.support.workspace'

local methods = dofile('runtime/rpc/methods.lua')

local function read_file(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

describe('the method table', function()
  it('generates the reference page and the stubs that are committed', function()
    local space = workspace.new({ ['docs/reference/x'] = '', ['lua/tidemark/_meta/x'] = '' })
    finally(function()
      space:remove()
    end)
    local child = process.spawn('luajit', {
      args = { 'runtime/generate/rpc_reference.lua', space.folder },
      cwd = uv.cwd(),
    })
    assert.equal(0, child:wait(), child.stderr)
    for _, path in ipairs({ 'docs/reference/rpc.md', 'lua/tidemark/_meta/tidemark.lua' }) do
      assert.equal(space:read(path), read_file(path),
        path .. ' is stale: run `luajit runtime/generate/rpc_reference.lua`')
    end
  end)

  it('says something about every method, parameter and field', function()
    local silent = {}
    local function check(text, ...)
      if not text or text == '' then
        silent[#silent + 1] = table.concat({ ... }, '.')
      end
    end
    for _, method in ipairs(methods) do
      check(method.summary, method.name)
      for _, param in ipairs(method.params) do
        check(param.doc, method.name, param.name)
      end
      for _, field in ipairs(method.result) do
        check(field[3], method.name, field[1])
      end
    end
    assert.same({}, silent)
  end)
end)
