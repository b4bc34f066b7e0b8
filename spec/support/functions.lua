-- Functions of definitions as C runs them: definition text in, columns in, columns out.

local ffi = require 'ffi'
local C = require 'spec.support.ffi'
local data = require 'spec.support.data'
local host = require 'spec.support.host'
local msgpack = require 'tidemark.msgpack'

ffi.cdef [[
typedef struct SpecFunctions SpecFunctions;
typedef struct RowFunction RowFunction;
typedef struct {
  size_t count;
  const Column *const *inputs;
  const uint8_t *skip;
  uint64_t first_row;
  const char *rows_of;
  int go_on;
  const Column *columns;
  size_t failed;
  Buf messages;
} SpecRun;
SpecFunctions *tidemark_functions_open(const char *catalog, size_t size, const char *texts,
                                       size_t texts_size);
void tidemark_functions_close(SpecFunctions *opened);
size_t tidemark_functions_memory(const SpecFunctions *opened);
void tidemark_functions_interpret(const SpecFunctions *opened);
RowFunction *tidemark_functions_get(const SpecFunctions *opened, const char *what,
                                    const char *name);
const char *tidemark_functions_note(const RowFunction *function);
int tidemark_functions_run(RowFunction *function, SpecRun *run);
double tidemark_functions_time(RowFunction *function, SpecRun *run, size_t times);
const char *tidemark_functions_error(void);
int tidemark_functions_error_code(void);
]]

local M = {}

M.NULL, M.FAILED = data.NULL, data.FAILED
M.LIMIT = 10 -- ERR_LIMIT

---@class spec.Functions
---@field opened ffi.cdata*
---@field catalog table
local Functions = {}
Functions.__index = Functions

--- Definition text around one transform: inputs and features by name and type.
---@param inputs { [1]: string, [2]: string }[]
---@param outputs { [1]: string, [2]: string }[]
---@param body string 'transform = function(row) … end', and more fields
function M.definition(inputs, outputs, body)
  local function print_fields(fields)
    local parts = {}
    for i, field in ipairs(fields) do
      parts[i] = ("%s '%s'"):format(field[2], field[1])
    end
    return table.concat(parts, ', ')
  end
  return ([[
entity 'e' { keys = { int64 'id' } }
source 's' { path = 's.parquet', event_time = 'event_time' }
feature_view 'v' {
  entity = 'e',
  source = 's',
  features = { %s },
  inputs = { %s },
  %s
}
]]):format(print_fields(outputs), print_fields(inputs), body)
end

--- Opens the functions of definitions, given as one text or texts by path.
---@param sources string|table<string, string>
---@return spec.Functions
function M.open(sources)
  if type(sources) == 'string' then
    sources = { ['definitions/a.lua'] = sources }
  end
  local planned = host.plan('', host.catalog(sources))
  local texts = msgpack.encode(msgpack.map(sources))
  local opened = C.tidemark_functions_open(planned.bytes, #planned.bytes, texts, #texts)
  if opened == nil then
    error(ffi.string(C.tidemark_functions_error()), 2)
  end
  return setmetatable({
    opened = ffi.gc(opened, C.tidemark_functions_close),
    catalog = planned.catalog,
  }, Functions)
end

function Functions:close()
  C.tidemark_functions_close(ffi.gc(self.opened, nil))
  self.opened = nil
end

function Functions:memory()
  return tonumber(C.tidemark_functions_memory(self.opened))
end

--- Lets nothing be compiled to machine code any more.
function Functions:interpret()
  C.tidemark_functions_interpret(self.opened)
end

local function find(list, name)
  for _, item in ipairs(list) do
    if item.name == name then
      return item
    end
  end
end

--- One function with the types of what goes in and out.
---@param what 'filter'|'transform'|'on_demand'
---@param name string
function Functions:get(what, name)
  local pointer = C.tidemark_functions_get(self.opened, what, name)
  if pointer == nil then
    error(ffi.string(C.tidemark_functions_error()), 2)
  end
  local view = find(what == 'on_demand' and self.catalog.on_demand or self.catalog.views, name)
  local code = what == 'filter' and view.filter or view.transform
  return {
    pointer = pointer,
    inputs = code.inputs,
    outputs = what == 'filter' and { { name = 'pass', type = 'bool' } } or view.features,
  }
end

--- A run's arguments: columns are lists of values by name. Keep it while it is used.
---@param callee table from Functions:get
---@param columns table<string, any[]>
---@param options? { skip?: integer[], count?: integer, first_row?: integer,
---  rows_of?: string, go_on?: boolean }
function M.prepare(callee, columns, options)
  options = options or {}
  local kept = { columns = {} }
  local pointers = ffi.new('const Column *[?]', #callee.inputs + 1)
  for i, input in ipairs(callee.inputs) do
    kept.columns[i] = data.column(input.type, assert(columns[input.name], input.name))
    pointers[i - 1] = kept.columns[i].c
  end
  local _, any = next(columns)
  local count = options.count or #any
  kept.pointers, kept.rows_of = pointers, options.rows_of or 'source "s"'
  kept.skip = options.skip and ffi.new('uint8_t[?]', count + 1, options.skip) or nil
  kept.run = ffi.new('SpecRun', {
    count = count,
    inputs = pointers,
    skip = kept.skip,
    first_row = options.first_row or 0,
    rows_of = kept.rows_of,
    go_on = options.go_on and 1 or 0,
  })
  return kept
end

--- Why a function runs interpreted; nil when it does not.
function M.note(callee)
  local note = C.tidemark_functions_note(callee.pointer)
  return note ~= nil and ffi.string(note) or nil
end

--- Runs a function: lists of values by feature; nil and the message when it fails. With `go_on`,
--- also the messages of rows that failed.
function M.run(callee, columns, options)
  local kept = M.prepare(callee, columns, options)
  if C.tidemark_functions_run(callee.pointer, kept.run) == 0 then
    return nil, ffi.string(C.tidemark_functions_error()), C.tidemark_functions_error_code()
  end
  local out = {}
  for i, output in ipairs(callee.outputs) do
    out[output.name] = data.values(output.type, kept.run.columns[i - 1], tonumber(kept.run.count))
  end
  local messages = {}
  if kept.run.messages.size > 0 then
    for line in ffi.string(kept.run.messages.data, kept.run.messages.size):gmatch('[^\n]+') do
      messages[#messages + 1] = line
    end
    C.tidemark_buf_deinit(kept.run.messages)
  end
  return out, messages
end

return M
