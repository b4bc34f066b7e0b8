-- Whether a function writes into what outlives its call: a table of the file around it or of a file
-- it requires, or a variable of either. What a row gives would then depend on the rows before it.
--
-- Bytecode is followed with what its registers may hold, along every path: the tables and functions
-- around the function are known values, what is read of them is too, and functions that are called
-- with them are followed with what they are given. Everything else, first of all each table that is
-- made on the way, is the call's own. So what is reported does happen on some path; not every path
-- to such a table is seen: not through a table that the call made. So where functions run, those
-- tables can get no more fields as well (`tables_around`, sandbox.freeze).

local bytecode = require 'tidemark.bytecode'
local util = require 'jit.util'

local M = {}

-- Kinds of operands, as LuaJIT numbers them (lj_bc.h, BCMode).
local DST, BASE, VAR, JUMP = 1, 2, 3, 13

-- Bounds of the work for one function of a view. What lies beyond them is not looked at.
local MAX_FOLLOWED = 2000 -- functions, each with what it is given
local MAX_DEPTH = 100 -- of calls; what those below give is not known
local MAX_INSTRUCTIONS = 1e6
local MAX_ARGUMENTS = 10 -- of a call with `...`

-- Instructions ------------------------------------------------------------------------------------

local instructions_of, opcode = bytecode.instructions, bytecode.opcode

local outer -- luacheck: ignore
local OP = {
  MOV = opcode(function(a, b) a = b return a end, 1), -- luacheck: ignore
  UGET = opcode(function() return outer end, 1),
  GGET = opcode(function() return _undefined end, 1), -- luacheck: ignore
  FNEW = opcode(function() return function() end end, 1),
  TGETV = opcode(function(t, k) return t[k] end, 1),
  TGETS = opcode(function(t) return t.x end, 1),
  TGETB = opcode(function(t) return t[1] end, 1),
  TSETV = opcode(function(t, k, v) t[k] = v end, 1),
  TSETS = opcode(function(t, v) t.x = v end, 1),
  TSETB = opcode(function(t, v) t[1] = v end, 1),
  CALL = opcode(function(f) f() end, 2),
  CALLM = opcode(function(f, ...) f(...) end, 3),
  CALLT = opcode(function(f) return f() end, 2),
  CALLMT = opcode(function(f, ...) return f(...) end, 3),
  ITERC = opcode(function(f) for _ in f do end end, 4), -- luacheck: ignore
  ISNEXT = opcode(function(f) for _ in pairs(f) do end end, 4), -- luacheck: ignore
  ITERN = opcode(function(f) for _ in pairs(f) do end end, 5), -- luacheck: ignore
  ITERL = opcode(function(f) for _ in f do end end, 5), -- luacheck: ignore
  KNIL = opcode(function() local a, b return a, b end, 1), -- luacheck: ignore
  LOOP = opcode(function() while true do end end, 1), -- luacheck: ignore
  JMP = opcode(function() while true do end end, 2), -- luacheck: ignore
  VARG = opcode(function(f, ...) f(...) end, 2),
  UCLO = opcode(function(t) return function() return t end end, 2),
  RET = opcode(function(a, b) return a, b end, 3),
  RETM = opcode(function(...) return ... end, 2),
  RET0 = opcode(function() end, 1),
  RET1 = opcode(function(t) return t end, 1),
}
local GETS = { [OP.TGETV] = true, [OP.TGETS] = true, [OP.TGETB] = true }
local SETS = { [OP.TSETV] = true, [OP.TSETS] = true, [OP.TSETB] = true }
local CALLS = { [OP.CALL] = true, [OP.CALLM] = true, [OP.CALLT] = true, [OP.CALLMT] = true }
local ENDS = {
  [OP.RET] = true, [OP.RETM] = true, [OP.RET0] = true, [OP.RET1] = true,
  [OP.CALLT] = true, [OP.CALLMT] = true,
}
local LEAVES = { [OP.JMP] = true, [OP.UCLO] = true, [OP.ISNEXT] = true }
local NEXT = { [OP.ITERC] = true, [OP.ITERN] = true }
local ASSIGNS = {
  [bytecode.OP.USETV] = true, [bytecode.OP.USETS] = true, [bytecode.OP.USETN] = true,
  [bytecode.OP.USETP] = true,
}

-- Where the first argument is, seen from the function that is called: it depends on how wide the
-- interpreter's references are.
local FIRST = (function()
  local list = instructions_of(function(f, a) f(a) end)
  return list[2].a - list[1].a
end)()

-- Values ------------------------------------------------------------------------------------------

---@class tidemark.Held what a register may hold, as far as it matters
---@field name string as the source has it: `CACHE.seen`
---@field value any the table or function; nil: one of those inside a table that outlives the call
---@field prototype any of a function made in the call; then there is no value
---@field upvalues? tidemark.Around[] and what is around that one

---@class tidemark.Around a variable around a function
---@field outlives boolean it is not the call's own
---@field held? tidemark.Held

local function is_kept(kind)
  return kind == 'table' or kind == 'function'
end

local function hold(name, value)
  return is_kept(type(value)) and { name = name, value = value } or nil
end

--- What a register holds where two ways meet.
local function join(a, b)
  if a == nil or b == nil then
    return a or b
  elseif a.prototype or b.prototype then
    return a.prototype and b.prototype and a or (a.prototype and b or a)
  elseif a.value == nil or a.value == b.value then
    return a
  end
  return { name = a.name }
end

--- A field of a table, or what a read-only table shows of it.
local function field_of(items, key)
  for _ = 1, 3 do
    if type(items) ~= 'table' then
      return nil
    end
    local value = rawget(items, key)
    if value ~= nil then
      return value
    end
    local meta = debug.getmetatable(items)
    items = meta and rawget(meta, '__index')
  end
  return nil
end

local function is_own(callee)
  local source = util.funcinfo(callee).source
  return source ~= nil and (source:find('^@definitions/') or source:find('^@lib/')) ~= nil
end

-- Following ---------------------------------------------------------------------------------------

---@class tidemark.Following
---@field known tidemark.Known
---@field words table<string, any>
---@field found tidemark.Kept[]
---@field results table<string, { held?: tidemark.Held }> what was followed, with what it gave
---@field count integer of them
---@field depth integer of the calls that are being followed
---@field later { [1]: tidemark.Held, [2]: table }[] calls too deep to be followed at once
---@field left integer instructions
---@field numbers table<any, integer> of values, prototypes and lists, to tell them apart
---@field number_count integer
---@field lists table<any, tidemark.Instruction[]>
---@field walked table<table, boolean> tables all of whose functions were followed
---@field layouts table<any, table> by prototype: which variables its inner functions take

---@class tidemark.Frame
---@field following tidemark.Following
---@field prototype any
---@field upvalues tidemark.Around[]
---@field list tidemark.Instruction[]
---@field meets table<integer, boolean> where a jump leads
---@field states table<integer, table<integer, tidemark.Held>> what registers hold there
---@field todo integer[]
---@field inner boolean it was made in the call
---@field more table<integer, tidemark.Held> what `...` is
---@field result { held?: tidemark.Held }

local follow, follow_value

local function number_of(following, value)
  local number = following.numbers[value]
  if not number then
    number = following.number_count + 1
    following.number_count = number
    following.numbers[value] = number
  end
  return number
end

--- Tells what is held apart from other things.
local function signature(following, held)
  if held == nil then
    return '-'
  elseif held.prototype then
    return 'p' .. number_of(following, held.prototype)
  elseif held.value == nil then
    return '?'
  end
  return '' .. number_of(following, held.value)
end

local function report(frame, pc, name, kind)
  local info = util.funcinfo(frame.prototype, pc)
  table.insert(frame.following.found, {
    name = name,
    file = info.source:sub(2),
    line = info.currentline,
    kind = kind or 'table',
  })
end

--- A write into what a register holds. What the language offers says itself that it cannot change.
local function note_write(frame, pc, held)
  if held and not held.prototype and type(held.value) ~= 'function'
    and not (held.value ~= nil and frame.following.known.name_of(held.value)) then
    report(frame, pc, held.name)
  end
end

--- Functions of the project that stand in a table, any of which may be called. Tables that hold
--- nothing but values are known (bytecode.reach).
local function follow_items(following, items)
  items = following.known.inside(items)
  if not following.known.plain[items] and not following.walked[items] then
    following.walked[items] = true
    for _, item in pairs(items) do
      follow_value(following, item)
    end
  end
end

function follow_value(following, value)
  if type(value) == 'function' and not following.known.name_of(value) and is_own(value) then
    follow(following, { name = '', value = value }, {})
  end
end

--- What is read of a table that outlives the call.
local function read_field(frame, held, instruction)
  local key, text
  if instruction.op == OP.TGETS then
    key = util.funck(frame.prototype, -instruction.c - 1)
    text = held.name .. '.' .. key
  elseif instruction.op == OP.TGETB then
    key = instruction.c
    text = ('%s[%d]'):format(held.name, key)
  end
  local name = text or held.name .. '[…]'
  if held.value == nil then
    return { name = name }
  elseif type(held.value) ~= 'table' then
    return nil
  elseif key == nil then
    follow_items(frame.following, held.value)
    return { name = name }
  end
  return hold(name, field_of(held.value, key))
end

-- Calls -------------------------------------------------------------------------------------------

local function items_of(held)
  return held and not held.prototype and { name = held.name .. '[…]' } or nil
end

local function shifted(arguments)
  local rest = {}
  for i, held in pairs(arguments) do
    rest[i - 1] = held
  end
  return rest
end

--- What functions of the language do that matters here: those that write into an argument, and
--- those that hand one back. Each gives what its results are, by their place.
local LIBRARY = {
  ['table.insert'] = function(frame, pc, arguments)
    note_write(frame, pc, arguments[1])
  end,
  pairs = function(frame, _, arguments)
    local held = arguments[1]
    if held and type(held.value) == 'table' then
      follow_items(frame.following, held.value)
    end
    return { nil, held }
  end,
  unpack = function(_, _, arguments)
    local held = items_of(arguments[1])
    return { held, held, held, held }
  end,
  assert = function(_, _, arguments)
    return arguments
  end,
  pcall = function(frame, _, arguments)
    if arguments[1] then
      local rest = shifted(arguments)
      return { nil, (follow(frame.following, arguments[1], rest)) }
    end
  end,
}
LIBRARY['table.remove'] = LIBRARY['table.insert']
LIBRARY['table.sort'] = LIBRARY['table.insert']
LIBRARY.ipairs = LIBRARY.pairs

local NEXT_OF_IPAIRS = ipairs {} -- has no state of its own

--- Iterators that string.gmatch or pairs made where the file was read go on from row to row.
local function note_iterator(frame, pc, held)
  local value = held and held.value
  if type(value) == 'function' and value ~= NEXT_OF_IPAIRS and not is_own(value)
    and not frame.following.known.name_of(value) then
    report(frame, pc, held.name, 'iterator')
  end
end

--- What the first results of a call are.
local function results_of(frame, pc, callee, arguments)
  local following = frame.following
  local name = callee.value ~= nil and following.known.name_of(callee.value)
  if name then
    return LIBRARY[name] and LIBRARY[name](frame, pc, arguments) or {}
  end
  note_iterator(frame, pc, callee)
  return { (follow(following, callee, arguments)) }
end

local function clear_from(state, first)
  for register in pairs(state) do
    if register >= first then
      state[register] = nil
    end
  end
end

local function apply_call(frame, pc, instruction, state)
  local base, op = instruction.a, instruction.op
  local callee, arguments = state[base], {}
  local fixed = op == OP.CALL or op == OP.CALLT
  for i = 1, fixed and instruction.c - 1 or instruction.c + MAX_ARGUMENTS do
    arguments[i] = state[base + FIRST + i - 1]
  end
  clear_from(state, base)
  local results = callee and results_of(frame, pc, callee, arguments) or {}
  if op == OP.CALLT or op == OP.CALLMT then
    frame.result.held = join(frame.result.held, results[1])
    return
  end
  for i = 1, instruction.b == 0 and 1 or instruction.b - 1 do
    state[base + i - 1] = results[i]
  end
end

-- One function ------------------------------------------------------------------------------------

--- A function that is made in the call. It may be called with anything from now on.
local function make_closure(frame, instruction, state)
  local following = frame.following
  local prototype = util.funck(frame.prototype, -instruction.c - 1)
  local layout = following.layouts[prototype] or {}
  local upvalues = {}
  for i, variable in ipairs(layout) do
    if variable.of_parent then
      upvalues[i] = frame.upvalues[variable.index] or { outlives = false }
    else
      upvalues[i] = { outlives = false, held = state[variable.register] }
    end
  end
  local held = { name = '', prototype = prototype, upvalues = upvalues }
  follow(following, held, {})
  return held
end

local function read_upvalue(frame, index)
  local around = frame.upvalues[index + 1]
  local held = around and around.held
  if held and held.value ~= nil then
    follow_value(frame.following, held.value)
  end
  return held
end

--- What an instruction that writes register A leaves in it.
local function result_of(frame, instruction, state)
  local op = instruction.op
  if op <= OP.MOV and instruction.kind_c == VAR then -- MOV, and tests that copy
    return state[instruction.c]
  elseif op == OP.UGET then
    return read_upvalue(frame, instruction.c)
  elseif op == OP.GGET then
    local name = util.funck(frame.prototype, -instruction.c - 1)
    return hold(name, frame.following.words[name])
  elseif op == OP.FNEW then
    return make_closure(frame, instruction, state)
  elseif GETS[op] and state[instruction.b] and not state[instruction.b].prototype then
    local held = read_field(frame, state[instruction.b], instruction)
    if held and held.value ~= nil then
      follow_value(frame.following, held.value)
    end
    return held
  end
  return nil
end

local function apply_base(frame, pc, instruction, state)
  local op, base = instruction.op, instruction.a
  if op == OP.KNIL then
    for register = base, instruction.c do
      state[register] = nil
    end
  elseif op == OP.VARG then
    clear_from(state, base)
    local count = instruction.b == 0 and MAX_ARGUMENTS or instruction.b - 1
    for i = 1, count do
      state[base + i - 1] = frame.more[i]
    end
  elseif NEXT[op] then
    local item = items_of(state[base - 2])
    note_iterator(frame, pc, state[base - 3])
    clear_from(state, base)
    state[base + 1] = item
  elseif op ~= OP.ITERL and op ~= OP.ISNEXT then
    clear_from(state, base)
  end
end

local function apply(frame, pc, state)
  local instruction = frame.list[pc]
  local op = instruction.op
  if CALLS[op] then
    apply_call(frame, pc, instruction, state)
  elseif SETS[op] then
    note_write(frame, pc, state[instruction.b])
  elseif ASSIGNS[op] then
    local around = frame.upvalues[instruction.a + 1]
    if frame.inner and around and around.outlives then
      report(frame, pc, util.funcuvname(frame.prototype, instruction.a), 'variable')
    end
  elseif op == OP.RET1 or op == OP.RET then
    frame.result.held = join(frame.result.held, state[instruction.a])
  elseif instruction.kind_a == DST then
    state[instruction.a] = result_of(frame, instruction, state)
  elseif instruction.kind_a == BASE and not ENDS[op] then
    apply_base(frame, pc, instruction, state)
  end
end

--- Brings what registers hold to a place where ways meet.
local function arrive(frame, pc, state)
  local there = frame.states[pc]
  local changed = there == nil
  there = there or {}
  frame.states[pc] = there
  for register, held in pairs(state) do
    local joined = join(there[register], held)
    if joined ~= there[register] then
      there[register] = joined
      changed = true
    end
  end
  if changed then
    frame.todo[#frame.todo + 1] = pc
  end
end

local function jump_of(instruction, pc)
  if instruction.kind_c == JUMP and instruction.op ~= OP.LOOP then
    return pc + 1 + instruction.c - 0x8000
  end
  return nil
end

--- Whether an instruction may skip the next one, which is a jump: tests do.
local function is_test(frame, pc)
  return frame.list[pc].op < OP.MOV and frame.list[pc + 1] ~= nil
    and frame.list[pc + 1].op == OP.JMP
end

local function find_meets(frame)
  for pc, instruction in ipairs(frame.list) do
    local target = jump_of(instruction, pc)
    if target then
      frame.meets[target] = true
    end
    if is_test(frame, pc) then
      frame.meets[pc + 2] = true
    end
  end
end

--- Follows instructions from a place on to where the next ways meet.
local function run_from(frame, pc)
  local state = {}
  for register, held in pairs(frame.states[pc]) do
    state[register] = held
  end
  local following = frame.following
  repeat
    local instruction = frame.list[pc]
    following.left = following.left - 1
    apply(frame, pc, state)
    local target = jump_of(instruction, pc)
    if target then
      arrive(frame, target, state)
    end
    if is_test(frame, pc) then
      arrive(frame, pc + 2, state)
    end
    if ENDS[instruction.op] or LEAVES[instruction.op] then
      return
    end
    pc = pc + 1
  until frame.meets[pc] or not frame.list[pc]
  if frame.list[pc] then
    arrive(frame, pc, state)
  end
end

local function run(frame, arguments)
  find_meets(frame)
  local state, params = {}, util.funcinfo(frame.prototype).params
  for i = 1, params do
    state[i - 1] = arguments[i]
  end
  for i = 1, MAX_ARGUMENTS do
    frame.more[i] = arguments[params + i]
  end
  arrive(frame, 1, state)
  while #frame.todo > 0 and frame.following.left > 0 do
    run_from(frame, table.remove(frame.todo))
  end
end

-- Functions ---------------------------------------------------------------------------------------

--- Notes for the functions inside one which variables they take (bytecode.captured).
local function add_layouts(following, callee)
  local lists, at = bytecode.captured(callee), 0
  local function add(prototype)
    for _, child in ipairs(bytecode.children(prototype)) do
      add(child)
    end
    at = at + 1
    local layout = {}
    for i = 1, #lists[at], 2 do
      local low, high = lists[at]:byte(i, i + 1)
      layout[#layout + 1] = high >= 0x80 and { register = low }
        or { of_parent = true, index = low + 256 * (high % 0x40) + 1 }
    end
    following.layouts[prototype] = layout
  end
  add(callee)
end

local function around_of(callee)
  local upvalues = {}
  for i = 1, util.funcinfo(callee).upvalues do
    local name, value = debug.getupvalue(callee, i)
    upvalues[i] = { outlives = true, held = hold(name, value) }
  end
  return upvalues
end

--- What tells one way of following a function from others.
local function key_of(following, held, arguments)
  local parts = { 'f' .. number_of(following, held.prototype or held.value) }
  for _, around in ipairs(held.upvalues or {}) do
    parts[#parts + 1] = signature(following, around.held)
  end
  parts[#parts + 1] = ':'
  local info = util.funcinfo(held.prototype or held.value)
  for i = 1, info.params + (info.isvararg and MAX_ARGUMENTS or 0) do
    parts[#parts + 1] = signature(following, arguments[i])
  end
  return table.concat(parts, ' ')
end

--- Follows a function that is called with `arguments`, by their place; gives what its first result
--- may be.
---@param following tidemark.Following
---@param callee tidemark.Held
---@param arguments table<integer, tidemark.Held>
---@return tidemark.Held?
function follow(following, callee, arguments)
  local value = callee.prototype or callee.value
  if not callee.prototype and (type(value) ~= 'function' or not is_own(value)) then
    return nil
  end
  local key = key_of(following, callee, arguments)
  local result = following.results[key]
  if result or following.count == MAX_FOLLOWED then
    return result and result.held
  elseif following.depth == MAX_DEPTH then
    table.insert(following.later, { callee, arguments })
    return nil
  end
  result = {}
  following.results[key] = result
  following.count = following.count + 1
  following.depth = following.depth + 1
  if not callee.prototype and not following.layouts[value] then
    add_layouts(following, value)
  end
  following.lists[value] = following.lists[value] or instructions_of(value)
  run({
    following = following,
    prototype = value,
    upvalues = callee.upvalues or around_of(value),
    list = following.lists[value],
    meets = {},
    states = {},
    todo = {},
    inner = callee.prototype ~= nil,
    more = {},
    result = result,
  }, arguments)
  following.depth = following.depth - 1
  return result.held
end

---@class tidemark.Kept
---@field name string
---@field file string
---@field line integer
---@field kind 'table'|'variable'|'iterator' written, assigned by a function inside, or called

--- Where a function writes into what outlives its call.
---@param callee function
---@param known tidemark.Known
---@param words table<string, any> what the function's globals are
---@return tidemark.Kept[]
function M.find(callee, known, words)
  local following = {
    known = known,
    words = words,
    found = {},
    results = {},
    count = 0,
    depth = 0,
    later = {},
    left = MAX_INSTRUCTIONS,
    numbers = {},
    number_count = 0,
    lists = {},
    walked = {},
    layouts = {},
  }
  follow_value(following, callee)
  while #following.later > 0 do
    local call = table.remove(following.later)
    follow(following, call[1], call[2])
  end
  return following.found
end

-- Tables around functions -------------------------------------------------------------------------

local function add_value(todo, seen, known, value)
  local kind = type(value)
  value = kind == 'table' and known.inside(value) or value
  if is_kept(kind) and not seen[value] and not known.name_of(value)
    and (kind == 'table' or is_own(value)) then
    seen[value] = true
    todo[#todo + 1] = value
  end
end

--- All tables that functions can reach by the variables around them.
---@param callees function[]
---@param known tidemark.Known
---@return table[]
function M.tables_around(callees, known)
  local todo, seen, tables = {}, {}, {}
  for _, callee in ipairs(callees) do
    add_value(todo, seen, known, callee)
  end
  local done = 0
  while done < #todo do
    done = done + 1
    local value = todo[done]
    if type(value) == 'table' then
      tables[#tables + 1] = value
      for key, item in pairs(value) do
        add_value(todo, seen, known, key)
        add_value(todo, seen, known, item)
      end
    else
      for i = 1, util.funcinfo(value).upvalues do
        local _, upvalue = debug.getupvalue(value, i)
        add_value(todo, seen, known, upvalue)
      end
    end
  end
  return tables
end

return M
