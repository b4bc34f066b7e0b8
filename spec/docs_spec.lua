-- What the documents say is true: README's snippets run, links lead somewhere, named files and
-- constants exist.

local uv = require 'luv'
local cli = require 'spec.support.cli'
local process = require 'spec.support.process'
local server = require 'spec.support.server'
local workspace = require 'spec.support.workspace'

local function read_file(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

local function exists(path)
  return uv.fs_stat(path) ~= nil
end

local function files_below(folder, pattern, found)
  found = found or {}
  local scan = uv.fs_scandir(folder)
  while scan do
    local name, kind = uv.fs_scandir_next(scan)
    if not name then
      break
    end
    local path = folder .. '/' .. name
    if kind == 'directory' then
      files_below(path, pattern, found)
    elseif name:match(pattern) then
      found[#found + 1] = path
    end
  end
  table.sort(found)
  return found
end

local function documents()
  local found = files_below('docs', '%.md$')
  table.insert(found, 1, 'README.md')
  return found
end

-- Fenced blocks in order: { language, text }.
local function blocks_of(text)
  local blocks, block = {}, nil
  for line in (text .. '\n'):gmatch('(.-)\n') do
    local fence = line:match('^```(%w*)')
    if block and fence then
      blocks[#blocks + 1] = { language = block.language, text = table.concat(block, '\n') .. '\n' }
      block = nil
    elseif fence then
      block = { language = fence }
    elseif block then
      block[#block + 1] = line
    end
  end
  return blocks
end

describe('the documents', function()
  it('link to files that exist', function()
    local broken = {}
    for _, document in ipairs(documents()) do
      local folder = document:match('^(.*)/') or '.'
      for target in read_file(document):gmatch('%]%(([^)#]+)[^)]*%)') do
        if not target:match('^https?:') and not exists(folder .. '/' .. target) then
          broken[#broken + 1] = document .. ' -> ' .. target
        end
      end
    end
    assert.same({}, broken)
  end)

  it('name files that exist', function()
    local missing = {}
    for _, document in ipairs(documents()) do
      local text = read_file(document):gsub('https?://%S+', '')
      for name in text:gmatch('[%w_./]*[%w_]+/[%w_]+%.[chlm][udh]?a?%f[%W]') do
        local example = name:match('NAME') or name:match('^definitions/') or name:match('^data/')
          or name:match('^lib/')
        if not example and not exists(name) and not exists('runtime/' .. name)
          and not exists((document:match('^(.*)/') or '.') .. '/' .. name) then
          missing[#missing + 1] = document .. ': ' .. name
        end
      end
    end
    assert.same({}, missing)
  end)

  it('list limits by constants that exist', function()
    local code = {}
    for _, folder in ipairs({ 'runtime', 'lua' }) do
      for _, file in ipairs(files_below(folder, '%.[chl]')) do
        code[#code + 1] = read_file(file)
      end
    end
    code = table.concat(code)
    local unknown = {}
    for name in read_file('docs/limits.md'):gmatch('`([A-Z][A-Z_]+)`') do
      if not code:find('%f[%w_]' .. name .. '%f[^%w_]') then
        unknown[#unknown + 1] = name
      end
    end
    assert.same({}, unknown)
  end)
end)

describe('README', function()
  local p

  before_each(function()
    p = workspace.new()
    cli.must({ 'run', 'examples/generate.lua', '--out', p:path('data') })
    p:write('bin/.keep', '')
    assert(uv.fs_symlink(assert(uv.fs_realpath(process.TIDEMARK)), p:path('bin/tidemark')))
  end)

  after_each(function()
    p:remove()
  end)

  local function run(program, arguments)
    local child = process.spawn(program, {
      args = arguments,
      cwd = p.folder,
      env = { PATH = p:path('bin') .. ':' .. os.getenv('PATH') },
    })
    local status = child:wait()
    assert(status == 0, table.concat(arguments, ' ') .. '\n' .. child.stdout .. child.stderr)
    return child.stdout
  end

  -- Commands of the repository are only looked up: they run these specs, or what these specs run.
  local function run_shell(text, state)
    for line in text:gmatch('[^\n]+') do
      local own = line:match('^%./(%S+)')
      if own then
        assert(uv.fs_access(own, 'X'), own .. ' is not a program')
      elseif line:match('^tidemark serve') then
        state.server = server.start(p.folder)
      end
    end
    text = text:gsub('\n%./[^\n]*', ''):gsub('^%./[^\n]*', ''):gsub('tidemark serve[^\n]*', '')
    run('/bin/bash', { '-euo', 'pipefail', '-c', text })
  end

  local function run_lua(text)
    local path = assert(text:match('^%-%- (%S+%.lua)\n'), 'a Lua block begins with its file name')
    p:write(path, text)
    if not path:match('^definitions/') then
      assert.matches('%d+', run(p:path('bin/tidemark'), { 'run', path }))
    end
  end

  it('shows what works, from top to bottom', function()
    local state, languages = {}, {}
    finally(function()
      if state.server then
        state.server:stop()
      end
    end)
    for _, block in ipairs(blocks_of(read_file('README.md'))) do
      languages[block.language] = true
      if block.language == 'sh' then
        run_shell(block.text, state)
      elseif block.language == 'lua' then
        run_lua(block.text)
      elseif block.language == 'python' then
        local text, count = block.text:gsub('6570', tostring(state.server.port))
        assert.equal(1, count)
        assert.matches("'names': ['conv_rate', 'acc_rate', 'avg_daily_trips']",
          run('/usr/bin/python3', { '-c', text }), 1, true)
      end
    end
    assert.same({ sh = true, lua = true, python = true }, languages)
    assert.is_true(p:exists('data/training_set.parquet'))
  end)
end)
