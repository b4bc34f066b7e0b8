-- Mistakes in definition files, on their way to whoever wrote them: a place, a message, the line.

local locate = require 'tidemark.locate'
local msgpack = require 'tidemark.msgpack'

local M = {}

---@class tidemark.Problem
---@field file string
---@field line integer
---@field column integer
---@field where string "definitions/driver.lua:12:3"
---@field message string
---@field excerpt string the line, and a caret under the word

--- Appends a problem.
---@param problems tidemark.Problem[]
---@param files table<string, tidemark.SourceFile> by path
---@param place { path: string, line?: integer } what locate.lua finds
---@param message string
function M.add(problems, files, place, message)
  local file = files[place.path]
  local where, excerpt, column = place.path, '', 0
  if file and place.line then
    where, excerpt, column = locate.print(file, place)
  end
  problems[#problems + 1] = {
    file = place.path,
    line = place.line or 0,
    column = column,
    where = where,
    message = message,
    excerpt = excerpt,
  }
end

local function before(a, b)
  if a.file ~= b.file then
    return a.file < b.file
  elseif a.line ~= b.line then
    return a.line < b.line
  elseif a.column ~= b.column then
    return a.column < b.column
  end
  return a.message < b.message
end

--- Problems in order, each once, in the form that C passes on.
---@param problems tidemark.Problem[] is sorted
---@return { where: string, message: string, excerpt: string }[]
function M.finish(problems)
  table.sort(problems, before)
  local list, last = msgpack.array {}, nil
  for _, problem in ipairs(problems) do
    if not last or last.where ~= problem.where or last.message ~= problem.message then
      list[#list + 1] = {
        where = problem.where,
        message = problem.message,
        excerpt = problem.excerpt,
      }
    end
    last = problem
  end
  return list
end

return M
