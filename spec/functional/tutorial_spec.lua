-- docs/tutorial.md, typed from top to bottom: its files are written, its commands run, and what it
-- shows of their output is looked for in there.
--
-- A block of `lua` is a file, named by its first line; `sh` is commands; `text` is what the
-- commands before it print, where `...` stands for any lines. Commands may fail where the text
-- shows that they do.

local process = require 'spec.support.process'
local server = require 'spec.support.server'
local uv = require 'luv'
local workspace = require 'spec.support.workspace'

local function blocks_of(path)
  local blocks, block = {}, nil
  for line in io.lines(path) do
    local fence = line:match('^```(%w*)')
    if block and fence then
      block.text = table.concat(block, '\n') .. '\n'
      blocks[#blocks + 1] = block
      block = nil
    elseif fence then
      block = { language = fence }
    elseif block then
      block[#block + 1] = line
    end
  end
  return blocks
end

-- The pieces between lines of `...`.
local function pieces_of(text)
  local pieces, piece = {}, {}
  for line in (text .. '...\n'):gmatch('([^\n]*)\n') do
    if line ~= '...' then
      piece[#piece + 1] = line
    elseif #piece > 0 then
      pieces[#pieces + 1] = table.concat(piece, '\n')
      piece = {}
    end
  end
  return pieces
end

describe('the tutorial', function()
  local p, folder, running, watching

  before_each(function()
    p = workspace.new({ ['bin/.keep'] = '' })
    folder = p.folder
    assert(uv.fs_symlink(assert(uv.fs_realpath(process.TIDEMARK)), p:path('bin/tidemark')))
  end)

  after_each(function()
    if watching then
      watching:send('sigint')
      watching:wait()
      watching = nil
    end
    if running then
      running:stop()
      running = nil
    end
    p:remove()
  end)

  local function spawn(text)
    return process.spawn('/bin/bash', {
      args = { '-c', text },
      cwd = folder,
      env = { PATH = p:path('bin') .. ':' .. os.getenv('PATH'), XDG_STATE_HOME = p:path('state') },
    })
  end

  --- Runs commands as one terminal would; `cd` lasts.
  local function run(text, may_fail)
    local child = spawn(('set -e; %s\npwd > %s'):format(text, p:path('pwd')))
    local status = child:wait()
    local ends_well = status == 0 or may_fail
    assert(ends_well, text .. child.stdout .. child.stderr)
    if status == 0 then
      folder = p:read('pwd'):match('^(.*)\n$')
    end
    return child
  end

  -- Runs until it is interrupted: here, when the tutorial has come to its end.
  local function watch(text)
    watching = spawn('exec ' .. text)
    process.wait(function()
      return watching.stderr:find('watching definitions/', 1, true)
    end, text, 20000)
  end

  --- What was shown, in stdout or in stderr: on a terminal they are one.
  local function check_shown(child, shown)
    local from = { stdout = 1, stderr = 1 }
    for _, piece in ipairs(pieces_of(shown)) do
      local found = false
      for name, at in pairs(from) do
        local first, last = child[name]:find(piece, at, true)
        if first then
          from[name] = last
          found = true
          break
        end
      end
      assert(found, ('the tutorial shows\n%s\nthis was printed:\n%s%s'):format(piece,
        child.stdout, child.stderr))
    end
  end

  local function shows_failure(block)
    return block and block.language == 'text'
      and (block.text:find('^error: ') or block.text:find('\nerror: ')
        or block.text:find('[1-9]%d* failed')) ~= nil
  end

  local function write_file(text)
    local path = assert(text:match('^%-%- (%S+%.lua)\n'), 'a Lua block begins with its file name')
    p:write(folder:sub(#p.folder + 2) .. '/' .. path, text)
  end

  it('works from top to bottom', function()
    local blocks = blocks_of('docs/tutorial.md')
    local last, commands = nil, 0
    for i, block in ipairs(blocks) do
      if block.language == 'lua' then
        write_file(block.text)
      elseif block.language == 'text' then
        check_shown(last, block.text)
      elseif block.text:find('^tidemark serve') then
        running = server.start(folder)
      elseif block.text:find('--watch', 1, true) then
        watch(block.text)
      else
        assert.equal('sh', block.language)
        local text = running and block.text:gsub('6570', tostring(running.port)) or block.text
        last = run(text, shows_failure(blocks[i + 1]))
        commands = commands + 1
      end
    end
    assert.is_true(commands > 15)
    process.wait(function()
      return watching.stdout:find('%->  normal ')
    end, 'what was watched to be run again', 20000)
  end)
end)
