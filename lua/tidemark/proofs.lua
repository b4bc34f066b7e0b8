-- What the bytecode of a function shows before it runs: that a transform returns no fields but its
-- features, so that nobody has to look for others row by row; and what keeps it from being
-- compiled.

local bytecode = require 'tidemark.bytecode'
local util = require 'jit.util'

local M = {}

-- Kinds of operands, as LuaJIT numbers them (lj_bc.h, BCMode).
local DST, BASE, VAR, RBASE, JUMP = 1, 2, 3, 4, 13

local instructions, opcode = bytecode.instructions, bytecode.opcode

local OP = {
  TNEW = opcode(function() return {} end, 1),
  TDUP = opcode(function() return { x = 1 } end, 1),
  TGETS = opcode(function(t) return t.x end, 1),
  TSETS = opcode(function(t, v) t.x = v end, 1),
  TSETM = opcode(function(f) return { f() } end, 4),
  RET0 = opcode(function() end, 1),
  RET1 = opcode(function(t) return t end, 1),
  FNEW = opcode(function() return function() end end, 1),
}
local OPENS = {
  [opcode(function(...) return ... end, 2)] = 'RETM',
  [opcode(function(a, b) return a, b end, 3)] = 'RET',
  [opcode(function(f) return f() end, 2)] = 'CALLT',
  [opcode(function(f, ...) return f(...) end, 3)] = 'CALLMT',
}

local FORL = opcode(function() for _ = 1, 2 do end end, 5)
-- JFORI, JFORL, JITERL, JLOOP: loops that are compiled already, whose jumps are gone.
local COMPILED = { [FORL - 1] = true, [FORL + 2] = true, [FORL + 5] = true, [FORL + 8] = true }

-- Closed results ----------------------------------------------------------------------------------

local function only_declared(keys, declared)
  for key in pairs(keys) do
    if not declared[key] then
      return false
    end
  end
  return true
end

--- Whether an instruction between a table's making and its return leaves the table in register
--- `table_at` alone, or only reads a field or sets a declared one.
local function is_harmless(callee, instruction, table_at, declared)
  local op, a, b, c = instruction.op, instruction.a, instruction.b, instruction.c
  if op == OP.FNEW or (op == OP.TSETM and a - 1 == table_at) then
    return false
  elseif op == OP.TSETS and b == table_at then
    return a ~= table_at and declared[util.funck(callee, -c - 1)] ~= nil
  elseif op == OP.TGETS and b == table_at then
    return a ~= table_at
  elseif op == OP.RET0 or op == OP.RET1 then
    return true
  end
  local kind_a = instruction.kind_a
  local spans = (kind_a == BASE or kind_a == RBASE) and a <= table_at
  local is_operand = ((kind_a == DST or kind_a == VAR) and a == table_at)
    or (instruction.kind_b == VAR and b == table_at)
    or (instruction.kind_c == VAR and c == table_at)
  return not spans and not is_operand
end

--- Whether a jump from outside first < pc <= last leads into it.
local function is_entered(list, first, last)
  for pc, instruction in ipairs(list) do
    if instruction.kind_c == JUMP and (pc <= first or pc > last) then
      local target = pc + 1 + instruction.c - 0x8000
      if target > first and target <= last then
        return true
      end
    end
  end
  return false
end

--- Whether what the RET1 at `last` returns was made just before, with declared fields only.
local function returns_declared(callee, list, last, declared)
  local table_at = list[last].a
  for pc = last - 1, 1, -1 do
    local instruction = list[pc]
    local makes = instruction.op == OP.TNEW or instruction.op == OP.TDUP
    if makes and instruction.a == table_at then
      return (instruction.op == OP.TNEW
        or only_declared(util.funck(callee, -instruction.c - 1), declared))
        and not is_entered(list, pc, last)
    elseif not is_harmless(callee, instruction, table_at, declared) then
      return false
    end
  end
  return false
end

--- Whether a function certainly returns no table with other fields than the declared ones.
---@param callee function
---@param declared table<string, boolean>
---@return boolean
function M.is_closed(callee, declared)
  local list = util.funcinfo(callee).source and instructions(callee) or {}
  for pc, instruction in ipairs(list) do
    if OPENS[instruction.op] or COMPILED[instruction.op]
      or (instruction.op == OP.RET1 and not returns_declared(callee, list, pc, declared)) then
      return false
    end
  end
  return #list > 0
end

-- What is not compiled ----------------------------------------------------------------------------

--- Where a function, or one it calls, makes a closure each time it is called; nil where none does.
---@param callee function
---@return string? place "definitions/a.lua:12"
function M.closure_place(callee)
  local todo, seen, done = { callee }, { [callee] = true }, 0
  while done < #todo do
    done = done + 1
    local current = todo[done]
    for pc, instruction in ipairs(util.funcinfo(current).source and instructions(current) or {}) do
      if instruction.op == OP.FNEW then
        local info = util.funcinfo(current, pc)
        return ('%s:%d'):format(info.source:sub(2), info.currentline)
      end
    end
    for i = 1, 60 do
      local _, value = debug.getupvalue(current, i)
      local source = type(value) == 'function' and util.funcinfo(value).source
      if source and source:find('^@[dl]') and not source:find('^@lua/') and not seen[value] then
        seen[value] = true
        todo[#todo + 1] = value
      end
    end
  end
  return nil
end

return M
