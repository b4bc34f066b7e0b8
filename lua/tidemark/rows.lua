-- Runs functions of definitions over columns. For each function a loop is written for exactly its
-- inputs and outputs and compiled afresh: it reads the columns through the FFI, gives the function
-- a fresh table, and writes what comes back into columns again. LuaJIT makes one trace of loop and
-- function, and in it neither table is ever allocated. A prototype of its own per function matters:
-- a loop that the JIT gave up on stays given up, whatever function it calls later.
--
-- Functions that cannot be compiled (those that make closures per row, mostly) would leave the FFI
-- to the interpreter, which is slow at it. They run over a block of rows in three passes: columns
-- to tables, function, tables to columns. The first and the last of them are compiled.

local ffi = require 'ffi'

local M = {}

---@class tidemark.RowField
---@field name string
---@field type string 'float64', 'list', 'vector', …
---@field element? string type of a list's elements
---@field length? integer of a vector
---@field column? string where an input comes from

-- An input's arrays, an output's, and those of a function (runtime/host/functions.c has the same).
local INPUT = 'struct { const %s *data; const int32_t *valid; const %s *items;'
  .. ' const int32_t *item_valid; }'
local OUTPUT = 'struct { %s *data; uint8_t *nulls; %s *items; uint8_t *item_nulls; uint8_t *bytes;'
  .. ' int32_t item_count; int32_t item_capacity; int32_t byte_count; int32_t byte_capacity; }'

local CTYPES = {
  bool = 'uint8_t',
  int32 = 'int32_t',
  int64 = 'int64_t',
  timestamp = 'int64_t',
  float32 = 'float',
  float64 = 'double',
  string = 'struct { const char *data; uint64_t size; }',
  bytes = 'struct { const char *data; uint64_t size; }',
  list = 'struct { uint64_t offset; uint64_t size; }',
  vector = 'float',
}
-- Inputs of 32 bits come as floats (runtime/host/row_numbers.h).
local IN_CTYPES = setmetatable({ int32 = 'double' }, { __index = CTYPES })
-- An output's bytes move while they grow, so texts are places in them until the end. Whole numbers
-- are floats until then: where compiled code makes an integer of a sum, it adds up integers, and so
-- is wrong where one of them does not fit although the sum does.
local OUT_CTYPES = setmetatable({
  int32 = 'double', int64 = 'double', timestamp = 'double',
  string = CTYPES.list, bytes = CTYPES.list,
}, { __index = CTYPES })

local function items_of(field)
  return (field.type == 'list' and field.element) or (field.type == 'vector' and 'float32') or nil
end

local function is_text(type_name)
  return type_name == 'string' or type_name == 'bytes'
end

-- Source text -------------------------------------------------------------------------------------

---@class tidemark.SourceText
---@field lines string[]

--- Appends lines in which $word stands for words.word.
local function put(out, template, words)
  out[#out + 1] = (template:gsub('%$(%w+)', words or {}))
end

-- A field's value as Lua has it, and whether there is one.
local READ = {
  bool = '$from[$at] ~= 0',
  int64 = 'whole($index, $from[$at])',
  timestamp = 'whole($index, $from[$at])',
  string = 'ffi_string($from[$at].data, $from[$at].size)',
  bytes = 'ffi_string($from[$at].data, $from[$at].size)',
}
local IS_THERE = '($valid == nil or band(rshift($valid[rshift($at, 5)], $at), 1) ~= 0)'

local function read_value(type_name, index, from, at)
  local words = { index = index, from = from, at = at }
  return ((READ[type_name] or '$from[$at]'):gsub('%$(%w+)', words))
end

local function is_there(valid, at)
  return (IS_THERE:gsub('%$(%w+)', { valid = valid, at = at }))
end

local READ_LIST = [[
local function list$index(row)
  local span = slots.i$index.data[row]
  local first, size = tonumber(span.offset), tonumber(span.size)
  local list = new_table(size, 1)
  for i = 0, size - 1 do
    local at = first + i
    if $there then list[i + 1] = $value end
  end
  list.n = size
  return list
end]]

local READ_VECTOR = [[
local function list$index(row)
  local list = new_table($length, 1)
  local first = row * $length
  for i = 0, $length - 1 do
    list[i + 1] = slots.i$index.items[first + i]
  end
  list.n = $length
  return list
end]]

local function put_list_reader(out, field, index)
  if field.type == 'vector' then
    put(out, READ_VECTOR, { index = index, length = field.length })
    return
  end
  local input = 'slots.i' .. index
  put(out, READ_LIST, {
    index = index,
    there = is_there(input .. '.item_valid', 'at'),
    value = read_value(field.element, index, input .. '.items', 'at'),
  })
end

--- read(row): the table of a row.
local function put_reader(out, inputs)
  for i, field in ipairs(inputs) do
    if items_of(field) then
      put_list_reader(out, field, i)
    end
  end
  put(out, 'local function read(row)')
  local fields = {}
  for i, field in ipairs(inputs) do
    local input = 'slots.i' .. i
    put(out, '  local v$i\n  if $there then v$i = $value end', {
      i = i,
      there = is_there(input .. '.valid', 'row'),
      value = items_of(field) and ('list%d(row)'):format(i)
        or read_value(field.type, i, input .. '.data', 'row'),
    })
    fields[i] = ('[%q] = v%d'):format(field.name, i)
  end
  put(out, '  return { $fields }\nend', { fields = table.concat(fields, ', ') })
end

-- What a value of the type is, and how it is stored.
local IS = {
  bool = 'type($value) == "boolean"',
  string = 'type($value) == "string"',
  bytes = 'type($value) == "string"',
  int32 = 'type($value) == "number" and $value >= -0x80000000 and $value < 0x80000000'
    .. ' and floor($value) == $value',
  int64 = 'type($value) == "number" and $value >= -0x1p63 and $value < 0x1p63'
    .. ' and floor($value) == $value',
}
IS.timestamp = IS.int64
-- What is finite stays finite. From half a step beyond the greatest number on it would not.
IS.float32 = 'type($value) == "number" and ($value < 0x1.ffffffp127 and $value > -0x1.ffffffp127'
  .. ' or $value ~= $value or $value == 1 / 0 or $value == -1 / 0)'
local STORE = {
  bool = '$to[$at] = $value and 1 or 0',
  string = 'text$index($to, $at, $value)',
  bytes = 'text$index($to, $at, $value)',
}

local function is_of(type_name, value)
  return ((IS[type_name] or 'type($value) == "number"'):gsub('%$value', value))
end

local function store(type_name, index, to, at, value)
  local words = { index = index, to = to, at = at, value = value }
  return ((STORE[type_name] or '$to[$at] = $value'):gsub('%$(%w+)', words))
end

local WRITE_TEXT = [[
local function text$index(to, at, value)
  local used, size = slots.o$index.byte_count, #value
  if used + size > slots.o$index.byte_capacity then grow($index, 0, size) end
  ffi_copy(slots.o$index.bytes + used, value, size)
  slots.o$index.byte_count = used + size
  to[at].offset = used
  to[at].size = size
end]]

local WRITE_ITEMS = [[
local function items$index(row, list)
  if type(list) ~= 'table' then wrong($index, list) end
  local size = length_of($index, list)
  local first = begin$index(row, size)
  for i = 1, size do
    local value, at = list[i], first + i - 1
    if value == nil then $null
    elseif $is then $store
    else wrong_item($index, i, value) end
  end
end]]

local BEGIN_LIST = [[
local function begin$index(row, size)
  local first = slots.o$index.item_count
  if first + size > slots.o$index.item_capacity then grow($index, size, 0) end
  slots.o$index.item_count = first + size
  slots.o$index.data[row].offset = first
  slots.o$index.data[row].size = size
  return first
end]]

local BEGIN_VECTOR = [[
local function begin$index(row, size)
  if size ~= $length then wrong_length($index, size) end
  return row * $length
end]]

local function put_items_writer(out, field, index)
  local element, output = items_of(field), 'slots.o' .. index
  local is_list = field.type == 'list'
  put(out, is_list and BEGIN_LIST or BEGIN_VECTOR, { index = index, length = field.length })
  put(out, WRITE_ITEMS, {
    index = index,
    null = is_list and output .. '.item_nulls[at] = 1'
      or ('wrong_item(%d, i, value)'):format(index),
    is = is_of(element, 'value'),
    store = store(element, index, output .. '.items', 'at', 'value'),
  })
end

local function put_feature(out, field, index)
  local output, value = 'slots.o' .. index, 'v' .. index
  put(out, '  local $value = result[$name]\n  if $value == nil then $output.nulls[row] = 1', {
    value = value,
    name = ('%q'):format(field.name),
    output = output,
  })
  if items_of(field) then
    put(out, '  else items$index(row, $value) end', { index = index, value = value })
  else
    put(out, '  elseif $is then $store\n  else wrong($index, $value) end', {
      index = index,
      value = value,
      is = is_of(field.type, value),
      store = store(field.type, index, output .. '.data', 'row', value),
    })
  end
end

-- A loop would keep what is around it from being one trace.
local MAX_UNROLLED = 24
local NEXT_DECLARED = [[
  if key ~= nil then
    if not declared[key] then undeclared(result) end
    key = next(result, key)
  end]]
local LOOP_UNDECLARED = [[
  for key in next, result do
    if not declared[key] then undeclared(result) end
  end]]

--- Looks for other fields than the features.
local function put_search(out, outputs)
  if #outputs > MAX_UNROLLED then
    put(out, LOOP_UNDECLARED)
    return
  end
  put(out, '  local key = next(result)')
  for _ = 1, #outputs do
    put(out, NEXT_DECLARED)
  end
  put(out, '  if key ~= nil then undeclared(result) end')
end

--- write(row, result): what a transform returned, to columns. `closed`: it returns no other fields.
local function put_writer(out, outputs, closed)
  for i, field in ipairs(outputs) do
    if is_text(field.type) or is_text(field.element) then
      put(out, WRITE_TEXT, { index = i })
    end
    if items_of(field) then
      put_items_writer(out, field, i)
    end
  end
  put(out, 'local function write(row, result)')
  put(out, "  if type(result) ~= 'table' then wrong(0, result) end")
  for i, field in ipairs(outputs) do
    put_feature(out, field, i)
  end
  if not closed then
    put_search(out, outputs)
  end
  put(out, 'end\nlocal function skipped(row)')
  for i in ipairs(outputs) do
    put(out, '  slots.o$i.nulls[row] = 1', { i = i })
  end
  put(out, 'end')
end

local WRITE_FILTER = [[
local function write(row, result)
  if result == true then slots.o1.data[row] = 1
  elseif result ~= false and result ~= nil then wrong(0, result) end
end
local function skipped() end]]

local HEAD = [[
local slots, callee, declared, tools = ...
local band, rshift, floor = tools.band, tools.rshift, tools.floor
local ffi_string, ffi_copy, new_table = tools.ffi_string, tools.ffi_copy, tools.new_table
local grow, whole, length_of = tools.grow, tools.whole, tools.length_of
local wrong, wrong_item, wrong_length = tools.wrong, tools.wrong_item, tools.wrong_length
local undeclared, start_row = tools.undeclared, tools.start_row
local next, tonumber, type = next, tonumber, type]]

-- A block's tables are reused: nothing of the last one is left behind its `count`.
local LOOPS = [[
local function step(row)
  start_row(row)
  if slots.skip == nil or slots.skip[row] == 0 then
    write(row, callee(read(row)))
  else
    skipped(row)
  end
end
local function run(first, last)
  for row = first, last - 1 do
    step(row)
  end
end
local rows, results = {}, {}
local function read_block(first, last)
  for row = first, last - 1 do
    local wanted = slots.skip == nil or slots.skip[row] == 0
    rows[row - first + 1] = wanted and read(row)
  end
end
local function call_block(first, count)
  for i = 1, count do
    local row = rows[i]
    if row then
      start_row(first + i - 1)
      results[i] = callee(row)
    end
  end
end
local function write_block(first, last)
  for row = first, last - 1 do
    local i = row - first + 1
    if rows[i] then
      write(row, results[i])
    else
      skipped(row)
    end
    rows[i], results[i] = false, false
  end
end
tools.interpret(call_block)
local function run_block(first, last)
  read_block(first, last)
  call_block(first, last - first)
  write_block(first, last)
end
return step, run, run_block]]

--- The text of the loops for one function.
---@param inputs tidemark.RowField[]
---@param outputs? tidemark.RowField[] nil for a filter
---@param closed boolean
---@return string
function M.source(inputs, outputs, closed)
  local out = {}
  put(out, HEAD)
  put_reader(out, inputs)
  if outputs then
    put_writer(out, outputs, closed)
  else
    put(out, WRITE_FILTER)
  end
  put(out, LOOPS)
  return table.concat(out, '\n')
end

--- The type of a function's arrays in C.
---@param inputs tidemark.RowField[]
---@param outputs? tidemark.RowField[]
---@return ffi.ctype*
function M.slots_type(inputs, outputs)
  local parts = { 'struct { const uint8_t *skip;' }
  for i, field in ipairs(inputs) do
    parts[#parts + 1] = INPUT:format(IN_CTYPES[field.type],
      IN_CTYPES[items_of(field) or field.type])
      .. (' i%d;'):format(i)
  end
  for i, field in ipairs(outputs or { { type = 'bool' } }) do
    parts[#parts + 1] = OUTPUT:format(OUT_CTYPES[field.type],
      OUT_CTYPES[items_of(field) or field.type]) .. (' o%d;'):format(i)
  end
  parts[#parts + 1] = '} *'
  return ffi.typeof(table.concat(parts))
end

return M
