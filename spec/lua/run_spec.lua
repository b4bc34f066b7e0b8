-- `tidemark lua`: an ordinary interpreter with our modules.

local cli = require 'spec.support.cli'
local workspace = require 'spec.support.workspace'

describe('tidemark lua', function()
  local folder

  local function run(text, ...)
    return cli.run { 'lua', folder:write('script.lua', text), ... }
  end

  before_each(function()
    folder = workspace.new()
  end)

  it('passes arguments as Lua does', function()
    local result = run('print(arg[-1], arg[0]:match("[^/]+$"), #arg, arg[1], ...)', 'a', 'b c')
    assert.equal('lua\tscript.lua\t2\ta\ta\tb c\n', result.stdout)
    assert.equal(0, result.status)
  end)

  it('has all libraries, the JIT and our modules', function()
    local result = run [[
      print(jit.status(), require('ffi').sizeof('int64_t'), type(io.open))
      local parse = require('tidemark.duration').parse
      print(parse('1s'), debug.getinfo(parse).short_src)
    ]]
    assert.equal('', result.stderr)
    assert.is_truthy(result.stdout:find('^true.-\t8\tfunction\n1000000%s'))
    assert.is_truthy(result.stdout:find('lua/tidemark/duration.lua', 1, true))
  end)

  it('prints an error with a traceback and ends with status 1', function()
    local result = run 'local function fail()\n  error("too bad")\nend\nfail()'
    assert.equal(1, result.status)
    assert.is_truthy(result.stderr:find('script.lua:2: too bad\nstack traceback:', 1, true))
    assert.is_truthy(result.stderr:find("script.lua:2: in function 'fail'", 1, true))
    assert.is_truthy(result.stderr:find('script.lua:4: in main chunk\n$'))
  end)

  it('keeps silent about error(nil), and shows errors that are objects', function()
    local result = run 'error()'
    assert.same({ 1, '' }, { result.status, result.stderr })
    result = run 'error(setmetatable({}, { __tostring = function() return "an object" end }))'
    assert.is_truthy(result.stderr:find('an object', 1, true))
  end)

  it('says that a script does not exist', function()
    local result = cli.run { 'lua', folder:path('nowhere.lua') }
    assert.equal(1, result.status)
    assert.is_truthy(result.stderr:find('nowhere.lua: No such file or directory\n$'))
  end)

  it('leaves with the status that a script asks for', function()
    assert.equal(7, run('os.exit(7)').status)
  end)

  it('loads our modules from $TIDEMARK_LUA instead', function()
    folder:write('lua/tidemark/duration.lua', 'return { from = "disk" }')
    local script = folder:write('script.lua', 'print(require("tidemark.duration").from)')
    local result = cli.run { 'lua', script, env = { TIDEMARK_LUA = folder:path 'lua' } }
    assert.equal('disk\n', result.stdout)
    script = folder:write('script.lua', 'require "tidemark.suggest"')
    result = cli.run { 'lua', script, env = { TIDEMARK_LUA = folder:path 'lua' } }
    assert.equal(1, result.status)
    assert.is_truthy(result.stderr:find("no module 'tidemark.suggest' in $TIDEMARK_LUA", 1, true))
  end)

  it('reads lines when there is no script', function()
    local result = cli.run { 'lua', stdin = '1 + 1\nlocal x = (\n2) print(x)\n' }
    assert.equal(0, result.status)
    assert.is_truthy(result.stdout:find('> 2\n', 1, true))
    assert.is_truthy(result.stdout:find('2\n> \n', 1, true))
  end)
end)
