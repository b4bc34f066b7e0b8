-- `tidemark lua` as someone at a terminal sees it; script(1) is the terminal.

local cli = require 'spec.support.cli'
local process = require 'spec.support.process'
local project = require 'spec.support.project'
local uv = require 'luv'

local CTRL_C, CTRL_D, TAB, UP = '\3', '\4', '\t', '\27[A'

local Terminal = {}
Terminal.__index = Terminal

--- Starts the REPL in a folder; `state` is where the history goes.
local function open_terminal(folder, state)
  local tidemark = assert(uv.fs_realpath(process.TIDEMARK))
  local self = setmetatable({ seen = 1 }, Terminal)
  self.child = process.spawn('/usr/bin/script', {
    -- exec: a shell that stays would take Ctrl-C as well, and some then end with 130 after us.
    args = { '-qfec', ("exec '%s' lua"):format(tidemark), '/dev/null' },
    cwd = folder,
    env = { XDG_STATE_HOME = state, TERM = 'xterm', LC_ALL = 'C.UTF-8' },
    interactive = true,
  })
  self:wait_for_prompt()
  return self
end

--- Waits until what was printed since the last time has `pattern`.
function Terminal:expect(pattern)
  process.wait(function()
    local from, to = self.child.stdout:find(pattern, self.seen)
    if from then
      self.seen = to + 1
    end
    return from
  end, ('%q in %q'):format(pattern, self.child.stdout:sub(self.seen)), 20000)
end

--- Waits until the next line may be typed: what comes earlier is the terminal's to edit.
function Terminal:wait_for_prompt()
  process.wait(function()
    return self.child.stdout:find('> $')
  end, ('a prompt after %q'):format(self.child.stdout), 20000)
end

function Terminal:type(text)
  self:wait_for_prompt()
  self.child:write(text)
end

function Terminal:close()
  self:type(CTRL_D)
  assert.equal(0, (self.child:wait()))
end

describe('the interpreter on a terminal', function()
  local p, terminal

  before_each(function()
    p = project.new({})
    terminal = open_terminal(p.folder, p:path('state'))
  end)

  after_each(function()
    p:remove()
  end)

  it('has the project of its folder open', function()
    terminal:type("project:describe('rates').entities[1]\n")
    terminal:expect('"driver"')
    terminal:close()
  end)

  it('completes names, fields, methods and what was applied', function()
    terminal:type('tidem' .. TAB .. '.form' .. TAB .. '(0)\n')
    terminal:expect('"1970%-01%-01T00:00:00Z"')
    terminal:type('project:descr' .. TAB .. "('rat" .. TAB .. "').name\n")
    terminal:expect('"rates"')
    terminal:type('string.re' .. TAB)
    terminal:expect('rep%s+reverse')
    terminal.child:write(CTRL_C)
    terminal:expect('%^C')
    terminal:close()
  end)

  it('gives a line up at Ctrl-C, and what runs as well', function()
    terminal:type('for i = 1, 3 do\n')
    terminal:expect('>> $')
    terminal:type(CTRL_C)
    terminal:expect('%^C')
    terminal:type('print("be" .. "gun"); while true do end\n')
    terminal:expect('begun')
    terminal.child:write(CTRL_C)
    terminal:expect('interrupted')
    terminal:type('40 + 2\n')
    terminal:expect('42')
    terminal:close()
  end)

  it('remembers what was typed, for its owner only', function()
    terminal:type('"first" .. 1\n')
    terminal:expect('"first1"')
    terminal:close()
    local file = p:path('state/tidemark/history')
    assert.equal(tonumber('600', 8), uv.fs_stat(file).mode % 512)
    terminal = open_terminal(p.folder, p:path('state'))
    terminal:type(UP .. '\n')
    terminal:expect('"first1"')
    terminal:close()
  end)
end)

describe('the interpreter without a terminal', function()
  it('takes plain lines, with the project open, and keeps no history', function()
    local p = project.new({})
    finally(function()
      p:remove()
    end)
    local result = cli.run({
      'lua', cwd = p.folder, env = { XDG_STATE_HOME = p:path('state') },
      stdin = "project:list('feature_views')[1].name\nfor i = 1, 2 do\nprint(i)\nend\n",
    })
    assert.equal('> "rates"\n> >> >> 1\n2\n> \n', result.stdout)
    assert.is_false(p:exists('state'))
  end)
end)
