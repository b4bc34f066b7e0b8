-- What definition files can reach: an allow-list, built anew for every load. Instructions,
-- processor time and memory are bounded outside (runtime/host); here is what those bounds cannot
-- see: one call into C that runs for minutes, and everything that differs from run to run.

local bit = require 'bit'

local M = {}

--- Per library what is offered, and what is not with the reason. A spec compares this with what the
--- interpreter has, so that nothing new can slip in.
M.allowed = {
  _G = {
    'assert', 'error', 'ipairs', 'pairs', 'pcall', 'select', 'tonumber', 'tostring', 'type',
    'unpack',
  },
  string = {
    'byte', 'char', 'find', 'format', 'gmatch', 'gsub', 'len', 'lower', 'match', 'rep', 'reverse',
    'sub', 'upper',
  },
  table = { 'concat', 'insert', 'maxn', 'remove', 'sort' },
  math = {
    'abs', 'acos', 'asin', 'atan', 'atan2', 'ceil', 'cos', 'cosh', 'deg', 'exp', 'floor', 'fmod',
    'frexp', 'huge', 'ldexp', 'log', 'log10', 'max', 'min', 'modf', 'pi', 'pow', 'rad', 'sin',
    'sinh', 'sqrt', 'tan', 'tanh',
  },
  bit = {
    'arshift', 'band', 'bnot', 'bor', 'bswap', 'bxor', 'lshift', 'rol', 'ror', 'rshift', 'tobit',
    'tohex',
  },
}

M.refused = {
  _G = {
    _G = 'every global of the host',
    _VERSION = 'nothing to do with definitions',
    arg = 'the command line',
    bit = 'offered as a copy',
    collectgarbage = 'stops the collector',
    coroutine = 'a stack of its own that no limit sees',
    debug = 'reaches the host',
    dofile = 'reads files',
    gcinfo = 'differs from run to run',
    getfenv = 'reaches the environment of the host',
    getmetatable = 'reaches the metatable of strings',
    io = 'reads and writes files',
    jit = 'switches the limits off',
    load = 'runs bytecode',
    loadfile = 'reads files',
    loadstring = 'runs bytecode',
    math = 'offered as a copy',
    module = 'writes globals of the host',
    newproxy = 'makes finalizers',
    next = 'its order differs from run to run; pairs is sorted here',
    os = 'the clock, the environment and processes',
    package = 'loads native code',
    print = 'output belongs to the command',
    rawequal = 'of no use without metatables',
    rawget = 'of no use without metatables',
    rawlen = 'of no use without metatables',
    rawset = 'of no use without metatables',
    require = 'loads modules of the host',
    setfenv = 'reaches the environment of the host',
    setmetatable = 'hides what a table holds from the checks',
    string = 'offered as a copy',
    table = 'offered as a copy',
    xpcall = 'runs code inside error handling',
  },
  string = {
    dump = 'makes bytecode',
  },
  table = {
    clear = 'an extension of one interpreter',
    foreach = 'its order differs from run to run',
    foreachi = 'an old form of ipairs',
    getn = 'an old form of #',
    move = 'one call that runs for minutes',
    new = 'an extension of one interpreter',
    pack = 'of no use without select',
    unpack = 'offered as unpack',
  },
  math = {
    mod = 'an old form of fmod',
    random = 'differs from run to run',
    randomseed = 'differs from run to run',
  },
  bit = {},
}

local MAX_REPEAT = 16 * 1024 * 1024 -- bytes of string.rep's result
local MAX_NESTED = 100
local MAX_PATTERN_STEPS = 5e7 -- about a second

local original = {}
for _, library in ipairs { 'string', 'table', 'math' } do
  original[library] = {}
  for name, value in pairs(_G[library]) do
    original[library][name] = value
  end
end
local gsub, find, format = string.gsub, string.find, string.format
local floor, max = math.floor, math.max

-- Who counts the steps of functions that run for rows (runner.lua). One call into C may take as
-- long as many steps of Lua, so it is charged for what it has to look at.
local charge = function(_) end -- steps
local caught = function(_) end -- an error that pcall caught; raises again what may not be caught

--- Sets who counts.
---@param new_charge fun(steps: number)
---@param new_caught fun(message: any)
function M.use_counter(new_charge, new_caught)
  charge, caught = new_charge, new_caught
end

local BYTES_PER_STEP = 64
local BYTES_COMPARED = 256 -- in the same time

--- What going over so many bytes or elements costs, for functions of the library.
---@param size number
function M.charge(size)
  charge(size / BYTES_PER_STEP)
end

-- Frozen tables -----------------------------------------------------------------------------------

local KEEPS = 'writes into a table that outlives the row; a function may keep nothing between '
  .. 'rows: make the table inside it'

-- The metatable of tables that get no more fields. Reading them, their length and their order are
-- what they were, and cost what they did. Fields that are there can still be set.
local FROZEN = {
  __newindex = function()
    error(KEEPS, 2)
  end,
}

local read_only_names = setmetatable({}, { __mode = 'k' })

--- For functions that write without asking the table's metatable.
local function check_writable(items, level)
  if getmetatable(items) == FROZEN then
    error(KEEPS, level)
  elseif read_only_names[items] then
    error(read_only_names[items] .. ' cannot be changed', level)
  end
end

--- Lets a table have no more fields, unless it is one of the sandbox's own.
---@param items table
function M.freeze(items)
  if debug.getmetatable(items) == nil then
    setmetatable(items, FROZEN)
  end
end

-- Strings -----------------------------------------------------------------------------------------

--- Tables and functions without their address, which differs from run to run.
local function plain_tostring(value)
  local kind = type(value)
  if kind == 'table' or kind == 'function' or kind == 'userdata' or kind == 'thread' then
    return kind
  end
  return tostring(value)
end

local function safe_format(template, ...)
  local count = select('#', ...)
  local values = { ... }
  for i = 1, count do
    if type(values[i]) == 'table' or type(values[i]) == 'function' then
      values[i] = plain_tostring(values[i])
    end
  end
  if type(template) == 'string' and find(gsub(template, '%%%%', ''), '%%[^%a]*p') then
    error('%p is not available: addresses differ from run to run', 2)
  end
  return format(template, unpack(values, 1, count))
end

local function safe_rep(text, count, separator)
  local size = (#tostring(text) + #tostring(separator or '')) * (tonumber(count) or 0)
  if size > MAX_REPEAT then
    error('string.rep: a result of more than 16 MiB is not allowed', 2)
  elseif size > 0 then
    charge(size / BYTES_PER_STEP)
  end
  return original.string.rep(text, count, separator)
end

local MAX_KNOWN = 1000
local known, known_count = {}, 0 -- by pattern: how many repetitions it has, negative with an anchor

local function count_repetitions(pattern)
  local plain = gsub(pattern, '%%[^bf%d]', 'x')
  plain = gsub(plain, '%[%^?%]?[^%]]*%]', 'x')
  local _, repetitions = gsub(plain, '[*+?-]', '')
  local _, others = gsub(plain, '%%[bf%d]', '')
  local count = repetitions + others
  if known_count == MAX_KNOWN then
    known, known_count = {}, 0
  end
  known[pattern] = find(pattern, '^%^') and -count - 1 or count
  known_count = known_count + 1
  return known[pattern]
end

--- Steps that matching may take at worst: from each place, every way to share the text out among
--- the repetitions, which are C(length + repetitions, repetitions). What does not repeat itself is
--- gone over each time, but quickly.
local function pattern_steps(size, pattern)
  local repetitions = known[pattern] or count_repetitions(pattern)
  local steps = (size + 1) * (1 + max(0, #pattern - 16) / 16)
  if repetitions < 0 then
    repetitions, steps = -repetitions - 1, steps / (size + 1)
  end
  for i = 1, repetitions do
    steps = steps * (size + i) / i
  end
  return steps
end

local function guard_pattern(name, subject, pattern)
  if type(subject) == 'number' then
    subject = tostring(subject)
  end
  if type(pattern) == 'string' and type(subject) == 'string' then
    charge(#subject / BYTES_PER_STEP)
    if #pattern > 1024 or pattern_steps(#subject, pattern) > MAX_PATTERN_STEPS then
      error(('string.%s: the pattern could take too long on a text of %d bytes')
        :format(name, #subject), 3)
    end
  end
end

--- For texts that are looked for as they are: from each place all of it may be compared.
---@param name string of the function that looks
---@param subject any
---@param wanted any
function M.guard_plain(name, subject, wanted)
  if type(subject) == 'string' and type(wanted) == 'string' then
    local steps = #subject * #wanted / BYTES_COMPARED
    if steps > MAX_PATTERN_STEPS then
      error(('%s: looking for %d bytes in a text of %d could take too long')
        :format(name, #wanted, #subject), 3)
    end
    charge(steps)
  end
end

local function safe_find(subject, pattern, start, plain)
  if plain then
    M.guard_plain('string.find', subject, pattern)
  else
    guard_pattern('find', subject, pattern)
  end
  return find(subject, pattern, start, plain)
end

local function safe_match(subject, pattern, start)
  guard_pattern('match', subject, pattern)
  return original.string.match(subject, pattern, start)
end

local function safe_gmatch(subject, pattern)
  guard_pattern('gmatch', subject, pattern)
  return original.string.gmatch(subject, pattern)
end

local nested = 0 -- calls from C back into a definition file that are going on

local function leave_nested(ok, ...)
  nested = nested - 1
  if not ok then
    error((...), 0)
  end
  return ...
end

--- Calls a function of C that calls back. Every level takes a stretch of the thread's stack, far
--- more than a call in Lua does.
local function call_nested(name, callee, ...)
  if nested == MAX_NESTED then
    error(('stack overflow: %s calls itself %d times'):format(name, MAX_NESTED), 3)
  end
  nested = nested + 1
  return leave_nested(pcall(callee, ...))
end

local function safe_gsub(subject, pattern, replacement, limit)
  guard_pattern('gsub', subject, pattern)
  if type(replacement) ~= 'function' then
    return gsub(subject, pattern, replacement, limit)
  end
  return call_nested('string.gsub', gsub, subject, pattern, replacement, limit)
end

local function safe_sort(items, less)
  check_writable(items, 3)
  charge(type(items) == 'table' and #items or 0)
  return call_nested('table.sort', original.table.sort, items, less)
end

-- The last call is a tail call, so that what it complains of has the place of the caller.

local function safe_insert(items, ...)
  check_writable(items, 3)
  return original.table.insert(items, ...)
end

local function safe_remove(items, ...)
  check_writable(items, 3)
  return original.table.remove(items, ...)
end

local function charge_text(ok, result)
  if not ok then
    error(result, 0)
  end
  charge(#result / BYTES_PER_STEP)
  return result
end

local function safe_concat(items, ...)
  charge(type(items) == 'table' and #items or 0)
  return charge_text(pcall(original.table.concat, items, ...))
end

-- Errors ------------------------------------------------------------------------------------------

local function after_pcall(ok, ...)
  if not ok then
    caught((...))
  end
  return ok, ...
end

local function safe_pcall(callee, ...)
  return after_pcall(pcall(callee, ...))
end

-- Numbers -----------------------------------------------------------------------------------------

-- The interpreter and compiled code differ in what math.max and math.min make of NaN, in the sign
-- of math.ceil(-0.5), and in bits of numbers that are not whole. Here there is one answer.

local function number_of(value, name, place)
  local number = tonumber(value)
  if not number then
    error(('math.%s: expected a number as argument %d, got %s'):format(name, place, type(value)), 3)
  end
  return number
end

--- The greater of two numbers; NaN where one of them is.
local function greater(a, b)
  return (a ~= a or a > b) and a or b
end

local function lesser(a, b)
  return (a ~= a or a < b) and a or b
end

local function make_extreme(name, better)
  return function(a, b, ...)
    local best = number_of(a, name, 1)
    if b == nil and select('#', ...) == 0 then
      return best
    end
    best = better(best, number_of(b, name, 2))
    for i = 1, select('#', ...) do
      best = better(best, number_of((select(i, ...)), name, i + 2))
    end
    return best
  end
end

local function safe_ceil(value)
  local result = original.math.ceil(number_of(value, 'ceil', 1))
  if result == 0 then
    return 0 -- never -0
  end
  return result
end

local MAX_BITS = 2 ^ 51 -- numbers up to here lose no bits

local function whole_of(value, name)
  local number = tonumber(value)
  if type(number) ~= 'number' or floor(number) ~= number
    or number > MAX_BITS or number < -MAX_BITS then
    error(('bit.%s: expected a whole number, got %s'):format(name,
      type(value) == 'number' and tostring(value) or type(value)), 3)
  end
  return number
end

local function make_bits(name, operation)
  return function(a, b, ...)
    a = whole_of(a, name)
    if b == nil then
      return operation(a)
    end
    b = whole_of(b, name)
    if select('#', ...) == 0 then
      return operation(a, b)
    end
    for i = 1, select('#', ...) do
      whole_of((select(i, ...)), name)
    end
    return operation(a, b, ...)
  end
end

-- Order -------------------------------------------------------------------------------------------

-- What read-only tables show, so that pairs and ipairs can see it.
local shown = setmetatable({}, { __mode = 'k' })

local RANKS = { number = 1, string = 2, boolean = 3 }

local function before(a, b)
  local rank_a, rank_b = RANKS[type(a)] or 4, RANKS[type(b)] or 4
  if rank_a ~= rank_b then
    return rank_a < rank_b
  elseif rank_a <= 2 then
    return a < b
  elseif rank_a == 3 then
    return a and not b
  end
  return false
end

--- An iterator without a closure, which would not be compiled.
local function next_sorted(state)
  local key, value
  repeat
    state.at = state.at + 1
    key = state.keys[state.at]
    if key == nil then
      return nil
    end
    value = state.items[key]
  until value ~= nil
  return key, value
end

--- pairs in an order that is always the same: numbers, then texts, each sorted.
local function sorted_pairs(items)
  if type(items) ~= 'table' then
    error("bad argument #1 to 'pairs' (table expected, got " .. type(items) .. ')', 2)
  end
  items = shown[items] or items
  local keys = {}
  for key in pairs(items) do
    charge(1)
    if not RANKS[type(key)] then
      error('pairs: a key of type ' .. type(key) .. ' has no order', 2)
    end
    keys[#keys + 1] = key
  end
  table.sort(keys, before)
  return next_sorted, { items = items, keys = keys, at = 0 }
end

local function see_through_ipairs(items)
  return ipairs(shown[items] or items)
end

-- Libraries ---------------------------------------------------------------------------------------

local REPLACED = {
  _G = {
    ipairs = see_through_ipairs,
    pairs = sorted_pairs,
    pcall = safe_pcall,
    tostring = plain_tostring,
  },
  string = {
    find = safe_find,
    format = safe_format,
    gmatch = safe_gmatch,
    gsub = safe_gsub,
    match = safe_match,
    rep = safe_rep,
  },
  table = { concat = safe_concat, insert = safe_insert, remove = safe_remove, sort = safe_sort },
  math = {
    ceil = safe_ceil,
    max = make_extreme('max', greater),
    min = make_extreme('min', lesser),
  },
  bit = {},
}
for _, name in ipairs(M.allowed.bit) do
  REPLACED.bit[name] = make_bits(name, bit[name])
end

-- Modules tidemark.library.NAME, which definitions have as NAME.
M.library_modules = { 'geo', 'hash', 'num', 'text', 'time', 'vec' }

local function copy_library(name)
  local from = name == '_G' and _G or require(name)
  local replaced = REPLACED[name] or {}
  local copy = {}
  for _, word in ipairs(M.allowed[name]) do
    copy[word] = replaced[word] or from[word]
  end
  return copy
end

local function copy_module(name)
  local copy = {}
  for word, value in pairs(require('tidemark.library.' .. name)) do
    copy[word] = value
  end
  return copy
end

--- Says why `math.random` is not there, instead of leaving it to "attempt to call a nil value".
local function explain_refused(library, name)
  return setmetatable(library, {
    __index = function(_, word)
      local reason = M.refused[name][word]
      if reason then
        error(('%s.%s is not available (%s)'):format(name, word, reason), 2)
      end
    end,
  })
end

--- A view of a table that cannot be written to. Its array is in it once more: the interpreter asks
--- no metatable for a table's length. Elements that are there can then be set, which `was_changed`
--- sees. `call`: makes it callable as well.
---@param items table
---@param name string
---@param call? function
---@return table
function M.read_only(items, name, call)
  local proxy = setmetatable({}, {
    __index = items,
    __newindex = function()
      error(name .. ' cannot be changed', 2)
    end,
    __call = call,
    __metatable = 'locked',
  })
  for i = 1, #items do
    rawset(proxy, i, items[i])
  end
  shown[proxy] = items
  read_only_names[proxy] = name
  return proxy
end

--- Whether elements of a read-only table were set.
---@param proxy table
---@return boolean
function M.was_changed(proxy)
  local items = shown[proxy]
  for i = 1, math.max(#proxy, #items) do
    if not rawequal(rawget(proxy, i), rawget(items, i)) then
      return true
    end
  end
  return false
end

--- Fresh copies of everything that is allowed: the globals with the libraries in them, and the
--- functions behind `("x"):method()`.
---@return table globals
---@return table string_library
function M.library()
  local globals = copy_library('_G')
  for _, name in ipairs { 'table', 'math', 'bit' } do
    globals[name] = M.read_only(explain_refused(copy_library(name), name), name)
  end
  for _, name in ipairs(M.library_modules) do
    globals[name] = M.read_only(copy_module(name), name)
  end
  return globals, copy_library('string')
end

--- Makes `("x"):method()` use the given functions, for one file; returns what undoes it.
---@param string_library table
---@return fun() restore
function M.lock_strings(string_library)
  local meta = debug.getmetatable('')
  local index = meta.__index
  meta.__index = string_library
  nested = 0
  return function()
    meta.__index = index
  end
end

return M
