-- Project folders of their own, made under the system's temporary folder and removed with all that
-- is in them.

local uv = require 'luv'

local M = {}

---@class spec.Workspace
---@field folder string
local Workspace = {}
Workspace.__index = Workspace

local made = {}

local function remove_tree(path)
  local scan = uv.fs_scandir(path)
  while scan do
    local name, kind = uv.fs_scandir_next(scan)
    if not name then
      break
    end
    local inner = path .. '/' .. name
    if kind == 'directory' then
      remove_tree(inner)
    else
      uv.fs_unlink(inner)
    end
  end
  uv.fs_rmdir(path)
end

local function make_parents(path)
  local parent = path:match('^(.+)/[^/]+$')
  if parent and not uv.fs_stat(parent) then
    make_parents(parent)
    assert(uv.fs_mkdir(parent, 493))  -- 0755
  end
end

--- A new, empty folder; `files` maps relative paths to contents.
---@param files table<string, string>?
---@return spec.Workspace
function M.new(files)
  local base = os.getenv('TMPDIR') or '/tmp'
  local self = setmetatable({ folder = assert(uv.fs_mkdtemp(base .. '/tidemark-spec-XXXXXX')) },
    Workspace)
  made[self] = true
  for path, text in pairs(files or {}) do
    self:write(path, text)
  end
  return self
end

--- Absolute path of a file inside.
function Workspace:path(name)
  return self.folder .. '/' .. name
end

--- Writes a file, with its folders; returns its absolute path.
function Workspace:write(name, text)
  local path = self:path(name)
  make_parents(path)
  local file = assert(io.open(path, 'wb'))
  file:write(text)
  file:close()
  return path
end

function Workspace:read(name)
  local file = assert(io.open(self:path(name), 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

function Workspace:exists(name)
  return uv.fs_stat(self:path(name)) ~= nil
end

--- Deletes one file or folder inside.
function Workspace:delete(name)
  local path = self:path(name)
  local stat = uv.fs_lstat(path)
  if stat and stat.type == 'directory' then
    remove_tree(path)
  else
    uv.fs_unlink(path)
  end
end

--- Removes the folder. Harmless twice.
function Workspace:remove()
  remove_tree(self.folder)
  made[self] = nil
end

--- Removes every folder that is left (the helper does so at the end of a run).
function M.remove_all()
  for self in pairs(made) do
    self:remove()
  end
end

return M
