-- docs/architecture.md's drawing, enforced: a layer includes what lies below it, never what lies
-- beside or above, and a foreign library is known to one layer only.

local uv = require 'luv'

-- Lower numbers lie below; layers of the same number are strangers.
local LEVELS = {
  base = 1, data = 2, store = 3, join = 3, host = 3, source = 3, engine = 4, rpc = 5, cli = 6,
}

local FOREIGN = {
  ['lmdb.h'] = 'store',
  ['lua.h'] = 'host',
  ['lauxlib.h'] = 'host',
  ['lualib.h'] = 'host',
  ['luajit.h'] = 'host',
  ['histedit.h'] = 'host',
  ['uv.h'] = 'rpc',
  ['msgpack.h'] = 'data',
  ['duckdb.h'] = 'none',  -- loaded when needed, declared by ourselves
  ['dlfcn.h'] = 'source',
}

local function files_of(folder)
  local files = {}
  local scan = assert(uv.fs_scandir(folder))
  while true do
    local name = uv.fs_scandir_next(scan)
    if not name then
      table.sort(files)
      return files
    end
    if name:match('%.[ch]$') then
      files[#files + 1] = folder .. '/' .. name
    end
  end
end

-- Calls visit(file, line number, form, header) for every #include of a layer.
local function each_include(layer, visit)
  for _, file in ipairs(files_of('runtime/' .. layer)) do
    local number = 0
    for line in io.lines(file) do
      number = number + 1
      local form, header = line:match('^%s*#%s*include%s*([<"])([^>"]+)')
      if header then
        visit(file .. ':' .. number, form, header)
      end
    end
  end
end

describe('layers', function()
  for layer, level in pairs(LEVELS) do
    it(layer .. ' includes only itself and what lies below', function()
      local wrong = {}
      each_include(layer, function(place, form, header)
        local other = header:match('^([^/]+)/')
        if form == '"' and other ~= layer
          and not (LEVELS[other or ''] and LEVELS[other] < level) then
          wrong[#wrong + 1] = place .. ' includes ' .. header
        end
      end)
      assert.same({}, wrong)
    end)

    it(layer .. ' knows no library that belongs to another', function()
      local wrong = {}
      each_include(layer, function(place, form, header)
        local owner = FOREIGN[header] or FOREIGN[header:match('[^/]+$')]
        if form == '<' and owner and owner ~= layer then
          wrong[#wrong + 1] = place .. ' includes ' .. header
        end
      end)
      assert.same({}, wrong)
    end)
  end

  it('exports reach the layers only, not the libraries below them', function()
    local wrong = {}
    for _, file in ipairs(files_of('runtime/exports')) do
      for line in io.lines(file) do
        local form, header = line:match('^%s*#%s*include%s*([<"])([^>"]+)')
        if form == '<' and FOREIGN[header] or form == '"' and header:match('^cli/') then
          wrong[#wrong + 1] = file .. ': ' .. line
        end
      end
    end
    assert.same({}, wrong)
  end)
end)
