-- What can be said of a function of the definitions without running it: the fields of its row that
-- it reads, the texts it may use as names, and what is certainly wrong with it. It is read from the
-- function's bytecode, as the interpreter has it, not from its source: so it makes no difference
-- how a function came about.
--
-- An instruction is 32 bits: opcode, A, C, B, or opcode, A, D. What its operands are (a register
-- that is read, one that is written, a constant, a number) comes with it from jit.util; the few
-- opcodes that have to be known by name are found out by compiling examples of them.

local bit = require 'bit'
local util = require 'jit.util'

local M = {}

local band, rshift = bit.band, bit.rshift

-- Kinds of operands, as LuaJIT numbers them (lj_bc.h, BCMode).
local NONE, DST, BASE, VAR, RBASE, STR = 0, 1, 2, 3, 4, 10

local MAX_FUNCTIONS = 10000 -- reachable from one; what has more is taken to do anything

---@class tidemark.Instruction
---@field op integer
---@field a integer
---@field b integer
---@field c integer C, or D where there is no B
---@field kind_a integer
---@field kind_b integer
---@field kind_c integer

-- Instructions ------------------------------------------------------------------------------------

--- The instruction at `pc`, nil behind the last one. Of functions and their prototypes.
---@return tidemark.Instruction?
local function instruction_at(prototype, pc)
  local word, mode = util.funcbc(prototype, pc)
  if not word then
    return nil
  end
  local kind_b = band(rshift(mode, 3), 15)
  return {
    op = band(word, 0xff),
    a = band(rshift(word, 8), 0xff),
    b = rshift(word, 24),
    c = kind_b == NONE and rshift(word, 16) or band(rshift(word, 16), 0xff),
    kind_a = band(mode, 7),
    kind_b = kind_b,
    kind_c = band(rshift(mode, 7), 15),
  }
end

local function instructions(prototype)
  local pc = 0 -- that of the header
  return function()
    pc = pc + 1
    local instruction = instruction_at(prototype, pc)
    return instruction and pc, instruction
  end
end

--- All instructions of a function or prototype, from the one behind its header on.
---@param prototype function|userdata
---@return tidemark.Instruction[]
function M.instructions(prototype)
  local list = {}
  for pc, instruction in instructions(prototype) do
    list[pc] = instruction
  end
  return list
end

--- The opcode at `pc` of an example.
---@param example function
---@param pc integer
---@return integer
function M.opcode(example, pc)
  return instruction_at(example, pc).op
end

--- The opcodes of an example.
local function opcodes_of(example)
  local found = {}
  for _, instruction in instructions(example) do
    found[#found + 1] = instruction.op
  end
  return found
end

local outer -- luacheck: ignore
local OP = {
  TGETS = opcodes_of(function(t) return t.x end)[1],
  RET0 = opcodes_of(function() end)[1],
  -- FNEW, UCLO, RET1
  UCLO = opcodes_of(function(t) return function() return t end end)[2],
  GGET = opcodes_of(function() return _undefined end)[1], -- luacheck: ignore
  GSET = opcodes_of(function() _undefined = 1 end)[2], -- luacheck: ignore
  TSETV = opcodes_of(function(t, k, v) t[k] = v end)[1],
  USETV = opcodes_of(function(v) outer = v end)[1],
  USETS = opcodes_of(function() outer = 'x' end)[1],
  USETN = opcodes_of(function() outer = 1 end)[1],
  USETP = opcodes_of(function() outer = nil end)[1],
}
M.OP = OP

local ASSIGNS = { [OP.USETV] = true, [OP.USETS] = true, [OP.USETN] = true, [OP.USETP] = true }

local function string_constant(prototype, index)
  return util.funck(prototype, -index - 1)
end

local CALL = M.opcode(function(f) f() end, 2)

--- Calls of globals that are statements: nobody takes what they give. What such a call gives may be
--- called on: `word 'name' { … }`.
---@param callee function
---@return table<integer, table<string, boolean>> names by line
function M.statements(callee)
  local lines, loaded = {}, {}
  for pc, instruction in instructions(callee) do
    local register = instruction.a
    if instruction.op == OP.GGET then
      loaded[register] = string_constant(callee, instruction.c)
    elseif instruction.kind_a == DST then
      loaded[register] = nil
    elseif instruction.op == CALL and instruction.b == 1 and loaded[register] then
      local line = util.funcinfo(callee, pc).currentline
      lines[line] = lines[line] or {}
      lines[line][loaded[register]] = true
    end
  end
  return lines
end

local function line_of(prototype, pc)
  return util.funcinfo(prototype, pc).currentline
end

--- The prototypes inside one, directly.
local function children(prototype)
  local found, index = {}, -1
  while true do
    local constant = util.funck(prototype, index)
    if constant == nil then
      return found
    elseif type(constant) == 'proto' then
      found[#found + 1] = constant
    end
    index = index - 1
  end
end
M.children = children

--- A number in groups of seven bits, the lowest first, and what follows it.
local function read_number(dump, at)
  local number, factor = 0, 1
  while true do
    local byte = dump:byte(at)
    number = number + byte % 128 * factor
    at, factor = at + 1, factor * 128
    if byte < 128 then
      return number, at
    end
  end
end

--- Which variables around them a function and those inside it take: for each of them two bytes per
--- variable, the lower first, its register (and 0x8000) or its place among the variables around the
--- function outside. Inner functions come before those they are in. Only a dump has that
--- (lj_bcdump.h in LuaJIT): per prototype its size, four bytes of which the last counts upvalues,
--- the numbers of constants and instructions, the instructions, and then two bytes per upvalue.
---@param callee function
---@return string[]
function M.captured(callee)
  local dump, list = string.dump(callee, true), {}
  local _, at = read_number(dump, 5) -- behind the signature and the version: flags
  while true do
    local size, first = read_number(dump, at)
    if size == 0 then
      return list
    end
    local upvalues = dump:byte(first + 3)
    local _, behind_objects = read_number(dump, first + 4)
    local _, behind_numbers = read_number(dump, behind_objects)
    local count, code = read_number(dump, behind_numbers)
    local start = code + 4 * count
    list[#list + 1] = dump:sub(start, start + 2 * upvalues - 1)
    at = first + size
  end
end

-- The row -----------------------------------------------------------------------------------------

--- Whether a prototype inside the function, however deep, has an upvalue of this name.
local function captures(prototype, name)
  for _, child in ipairs(children(prototype)) do
    for i = 0, util.funcinfo(child).upvalues - 1 do
      if util.funcuvname(child, i) == name then
        return true
      end
    end
  end
  return false
end

--- Whether an instruction does something with register 0 other than read a field of it.
local function touches_row(instruction)
  local reads = (instruction.kind_a == VAR and instruction.a == 0)
    or (instruction.kind_b == VAR and instruction.b == 0)
    or (instruction.kind_c == VAR and instruction.c == 0)
  local writes = instruction.kind_a == DST and instruction.a == 0
  local spans = (instruction.kind_a == BASE or instruction.kind_a == RBASE) and instruction.a == 0
    and instruction.op ~= OP.RET0 and instruction.op ~= OP.UCLO
  return reads or writes or spans
end

--- Fields of its row that a function reads, each with the line where it first does; nil where that
--- cannot be told, because the row goes elsewhere or is indexed by something computed.
---@param callee function
---@return table<string, integer>? lines
function M.fields(callee)
  local info = util.funcinfo(callee)
  if info.isvararg then
    return nil
  elseif info.params == 0 then
    return {}
  elseif captures(callee, debug.getlocal(callee, 1)) then
    return nil
  end
  local lines = {}
  for pc, instruction in instructions(callee) do
    local is_field = instruction.op == OP.TGETS and instruction.b == 0 and instruction.a ~= 0
    if is_field then
      local name = string_constant(callee, instruction.c)
      lines[name] = lines[name] or line_of(callee, pc)
    elseif touches_row(instruction) then
      return nil
    end
  end
  return lines
end

-- Everything reachable ----------------------------------------------------------------------------

---@class tidemark.Reach
---@field texts table<string, boolean> texts a name could come from,
---@field plain table[] and tables that hold more of them
---@field dynamic boolean names may be computed, or come from elsewhere
---@field globals table<string, { file: string, line: integer }> words that are used
---@field assigned { name: string, file: string, line: integer, global?: boolean }[] what it sets
---  of the variables around it
---@field seen table
---@field todo table[]
---@field known tidemark.Known

---@class tidemark.Known what the sandbox has made of its own
---@field name_of fun(value: any): string? the word it offers a value under
---@field plain table<table, boolean> tables, and whether they hold nothing but values
---@field inside fun(value: any): any the table behind a read-only one; any other value itself

local function add_value(reach, value)
  local kind = type(value)
  if kind == 'table' then
    value = reach.known.inside(value)
  end
  if kind == 'string' then
    reach.texts[value] = true
  elseif (kind == 'function' or kind == 'table') and not reach.seen[value]
    and not reach.known.name_of(value) then
    reach.seen[value] = true
    reach.todo[#reach.todo + 1] = value
  end
end

local function scan_constants(reach, prototype)
  local index = -1
  while true do
    local constant = util.funck(prototype, index)
    if constant == nil then
      return
    elseif type(constant) == 'proto' then
      reach.todo[#reach.todo + 1] = constant
    else
      add_value(reach, constant)
    end
    index = index - 1
  end
end

local function scan_prototype(reach, prototype, is_function)
  local info = util.funcinfo(prototype)
  local file = info.source:sub(2)
  scan_constants(reach, prototype)
  for pc, instruction in instructions(prototype) do
    if instruction.op == OP.TSETV then
      reach.dynamic = true
    elseif instruction.op == OP.GGET and instruction.kind_c == STR then
      local name = string_constant(prototype, instruction.c)
      reach.globals[name] = reach.globals[name] or { file = file, line = line_of(prototype, pc) }
    elseif is_function and ASSIGNS[instruction.op] then
      reach.assigned[#reach.assigned + 1] = {
        name = util.funcuvname(prototype, instruction.a),
        file = file,
        line = line_of(prototype, pc),
      }
    elseif instruction.op == OP.GSET then
      reach.assigned[#reach.assigned + 1] = {
        name = string_constant(prototype, instruction.c),
        file = file,
        line = line_of(prototype, pc),
        global = true,
      }
    end
  end
end

--- Tables that hold nothing but values, which is found out once for all functions.
local function is_plain(reach, items)
  local plain = reach.known.plain
  if plain[items] == nil then
    plain[items] = true
    for _, item in pairs(items) do
      local kind = type(item)
      if kind == 'table' or kind == 'function' then
        plain[items] = false
        break
      end
    end
  end
  return plain[items]
end

local function scan_table(reach, items)
  if is_plain(reach, items) then
    reach.plain[#reach.plain + 1] = items
    return
  end
  for key, item in pairs(items) do
    add_value(reach, key)
    add_value(reach, item)
  end
end

local function scan(reach, value)
  if type(value) == 'proto' then
    scan_prototype(reach, value, false)
  elseif type(value) == 'function' then
    if util.funcinfo(value).source then
      scan_prototype(reach, value, true)
    end
    for i = 1, 256 do
      local name, upvalue = debug.getupvalue(value, i)
      if not name then
        break
      end
      add_value(reach, upvalue)
    end
  else
    scan_table(reach, value)
  end
end

--- Looks through a function and everything it can reach.
---@param callee function
---@param known tidemark.Known what the sandbox offers is not looked into
---@return tidemark.Reach
function M.reach(callee, known)
  local reach = {
    texts = {},
    plain = {},
    dynamic = false,
    globals = {},
    assigned = {},
    seen = { [callee] = true },
    todo = { callee },
    known = known,
  }
  local done = 0
  while done < #reach.todo do
    done = done + 1
    scan(reach, reach.todo[done])
    if done == MAX_FUNCTIONS then
      reach.dynamic = true
      break
    end
  end
  return reach
end

--- Whether a text is in reach, so that it may be the name of a field.
---@param reach tidemark.Reach
---@param text string
---@return boolean
function M.has_text(reach, text)
  if reach.texts[text] then
    return true
  end
  for _, items in ipairs(reach.plain) do
    if rawget(items, text) ~= nil then
      return true
    end
    for _, item in pairs(items) do
      if item == text then
        return true
      end
    end
  end
  return false
end

return M
