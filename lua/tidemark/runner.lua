-- The functions of definitions in a state of their own: runs the definition files once more, takes
-- the functions from them, and makes the loops that run them over columns (rows.lua). C calls what
-- is here (runtime/host/functions.c).
--
-- Steps are counted in Lua, in compiled code as well: no hook of the interpreter sees that. A limit
-- that was reached stays reached, so that no pcall holds it up.

local bit = require 'bit'
local define = require 'tidemark.define'
local ffi = require 'ffi'
local instrument = require 'tidemark.instrument'
local proofs = require 'tidemark.proofs'
local rows = require 'tidemark.rows'
local sandbox = require 'tidemark.sandbox'

local M = {}

local find, floor = string.find, math.floor

local SLICE = 256 -- steps between two looks at the time
local MAX_STEPS -- of a row
local MAX_ITEMS = 2 ^ 24 -- of a list
local MAX_EXACT = 2 ^ 53

-- runtime/host/functions.c: RowsHost
local HOST = ffi.typeof [[
  struct {
    int32_t (*is_late)(void *functions);
    int32_t (*grow)(void *function, int32_t output, int32_t items, int32_t bytes);
    void *functions;
    int32_t max_steps;
    int32_t reached;
  } *
]]
local REACHED = { steps = 1, time = 2 }

-- Counting ----------------------------------------------------------------------------------------

local host
local left, total = SLICE, 0 -- steps until the next look, and those of the row before the last one
local current = 0 -- the row

local function stop()
  left = -1
  error('limit reached', 0)
end

local function look()
  total = total + SLICE - left
  left = SLICE
  if host.reached == 0 and total > MAX_STEPS then
    host.reached = REACHED.steps
  elseif host.reached == 0 and host.is_late(host.functions) ~= 0 then
    host.reached = REACHED.time
  end
  if host.reached ~= 0 then
    stop()
  end
end

local function step()
  left = left - 1
  if left < 0 then
    look()
  end
end

local function charge(steps)
  left = left - steps
  if left < 0 then
    look()
  end
end

--- What a pcall of definitions caught. Limits are not for catching.
local function caught(message)
  if host.reached ~= 0 then
    stop()
  elseif type(message) == 'string' and (message == 'not enough memory'
    or find(message, 'stack overflow', 1, true) or message == 'error in error handling') then
    error(message, 0)
  end
end

local function start_row(row)
  left, total, current = SLICE, 0, row
end

-- Values ------------------------------------------------------------------------------------------

--- The shortest text that gives the number back.
local function print_number(value)
  for digits = 15, 16 do
    local text = ('%.' .. digits .. 'g'):format(value)
    if tonumber(text) == value then
      return text
    end
  end
  return value == value and ('%.17g'):format(value) or 'nan'
end

local function describe(value)
  if type(value) == 'string' then
    local shown = #value > 40 and value:sub(1, 40) .. '…' or value
    return '"' .. shown:gsub('[%c"\\]', function(c) return ('\\x%02x'):format(c:byte()) end) .. '"'
  elseif type(value) == 'number' then
    return print_number(value)
  elseif type(value) == 'boolean' or value == nil then
    return tostring(value)
  end
  return 'a ' .. type(value)
end

local function fail(message, ...)
  error(message:format(...), 0)
end

local function type_text(field)
  return (field.type == 'list' and ('list(%s)'):format(field.element))
    or (field.type == 'vector' and ('vector(%d)'):format(field.length)) or field.type
end

--- The functions that complain, by the number of a field; 0 is all of a result.
local function make_complaints(tools, word, inputs, outputs)
  function tools.wrong(index, value)
    if index == 0 then
      fail('expected %s, got %s', outputs and 'a table of features' or 'true or false',
        describe(value))
    end
    fail('feature "%s": expected %s, got %s', outputs[index].name, type_text(outputs[index]),
      describe(value))
  end
  function tools.wrong_item(index, at, value)
    local field = outputs[index]
    fail('feature "%s": expected %s as value %d of %s, got %s', field.name,
      field.element or 'float32', at, type_text(field), describe(value))
  end
  function tools.wrong_length(index, size)
    fail('feature "%s": expected %s, got %d values', outputs[index].name,
      type_text(outputs[index]), size)
  end
  function tools.beyond(index, value)
    local column = inputs[index].column or inputs[index].name
    local instead = word == 'feature_view'
      and (" in the view's inputs: string '%s'"):format(inputs[index].name) or ''
    fail('value %s of column "%s" is beyond what a Lua number holds exactly; declare it as '
      .. 'string%s', tostring(value):gsub('LL$', ''), column, instead)
  end
  function tools.undeclared(result)
    local names = {}
    for key in pairs(result) do
      if not tools.declared[key] then
        names[#names + 1] = describe(key)
      end
    end
    table.sort(names)
    fail('returns %s, which is not among its features', names[1])
  end
end

local function make_tools(owner, word, inputs, outputs)
  local tools = {
    band = bit.band,
    rshift = bit.rshift,
    floor = floor,
    ffi_string = ffi.string,
    ffi_copy = ffi.copy,
    new_table = require 'table.new',
    start_row = start_row,
    interpret = jit.off,
    declared = {},
  }
  for _, field in ipairs(outputs or {}) do
    tools.declared[field.name] = true
  end
  make_complaints(tools, word, inputs, outputs)
  local beyond, wrong = tools.beyond, tools.wrong
  function tools.whole(index, value)
    local number = tonumber(value)
    if (number <= -MAX_EXACT or number >= MAX_EXACT)
      and (value < -9007199254740992LL or value > 9007199254740992LL) then
      beyond(index, value)
    end
    return number
  end
  function tools.length_of(index, list)
    local size = list.n
    if size == nil then
      return #list
    elseif type(size) ~= 'number' or not (size >= 0 and size <= MAX_ITEMS)
      or floor(size) ~= size then
      wrong(index, list)
    end
    return size
  end
  function tools.grow(index, items, bytes)
    if host.grow(owner, index, items, bytes) == 0 then
      host.reached = 3
      stop()
    end
  end
  return tools
end

-- What C calls ------------------------------------------------------------------------------------

local functions

local function run_chunk(chunk)
  local ok, message = pcall(chunk)
  if not ok then
    return { message = tostring(message) }
  end
end

--- Runs the definition files.
---@param host_pointer lightuserdata
---@param files { path: string, text: string }[]
function M.open(host_pointer, files)
  host = ffi.cast(HOST, host_pointer)
  MAX_STEPS = math.huge -- while files are loaded the hook counts
  sandbox.use_counter(charge, caught)
  local string_library
  functions, string_library = define.functions(files, run_chunk, {
    compile = function(text, name, environment)
      return instrument.compile(text, name, environment, step)
    end,
  })
  sandbox.lock_strings(string_library)
  MAX_STEPS = host.max_steps
  jit.opt.start('maxtrace=4000', 'maxrecord=16000', 'maxirconst=2000', 'maxsnap=2000',
    'maxmcode=8192')
end

---@class tidemark.RowSpec
---@field word string 'feature_view' or 'on_demand_feature_view'
---@field name string
---@field what string 'filter' or 'transform'
---@field inputs tidemark.RowField[]
---@field outputs? tidemark.RowField[] nil for a filter

--- Makes the loops of one function.
---@param spec tidemark.RowSpec
---@param owner lightuserdata the function in C
---@param slots_pointer lightuserdata
---@return fun(row: integer) step
---@return fun(first: integer, last: integer) run
---@return fun(first: integer, last: integer) run_block
---@return string? note what keeps it from being compiled
function M.make(spec, owner, slots_pointer)
  local view = functions[spec.word][spec.name]
  local callee = view and view[spec.what]
  if type(callee) ~= 'function' then
    fail('the definitions no longer have the %s of %s "%s"', spec.what, spec.word, spec.name)
  end
  local tools = make_tools(owner, spec.word, spec.inputs, spec.outputs)
  local closed = spec.outputs ~= nil and proofs.is_closed(callee, tools.declared)
  local source = rows.source(spec.inputs, spec.outputs, closed)
  local slots = ffi.cast(rows.slots_type(spec.inputs, spec.outputs), slots_pointer)
  local make = assert(load(source, '=rows', 't'))
  local place = proofs.closure_place(callee)
  local one, run, run_block = make(slots, callee, tools.declared, tools)
  return one, run, run_block,
    place and ('runs interpreted: a closure is made for every row (%s)'):format(place) or nil
end

--- The row that was running when an error ended it.
function M.position()
  return current
end

return M
