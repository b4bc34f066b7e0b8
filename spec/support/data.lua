-- The data layer as specs see it: its C declarations, columns made from Lua values, and a msgpack
-- writer that shares nothing with ours.

local ffi = require 'ffi'
local C = require 'spec.support.ffi'

ffi.cdef [[
typedef struct { const char *data; size_t size; } Slice;
typedef struct { uint8_t *data; size_t size, capacity; } Buf;
typedef struct Arena Arena;
void tidemark_buf_deinit(Buf *buf);
Arena *tidemark_arena_new(void);
void tidemark_arena_free(Arena *arena);

typedef struct { uint8_t kind, element; uint32_t length; } Type;
bool tidemark_type_parse(const char *text, size_t size, Type *type, char *message);
const char *tidemark_type_print(const Type *type, char *out);
bool tidemark_type_equal(const Type *a, const Type *b);
bool tidemark_type_can_be_key(const Type *type);
size_t tidemark_type_width(const Type *type);

typedef struct { uint64_t offset, length; } ColumnList;
typedef struct Column {
  Type type;
  const uint64_t *valid;
  const void *data;
  const struct Column *child;
  const uint64_t *errors;
} Column;
typedef struct Builder Builder;
Builder *tidemark_builder_new(const Type *type);
void tidemark_builder_free(Builder *builder);
size_t tidemark_builder_count(const Builder *builder);
size_t tidemark_builder_bytes(const Builder *builder);
void tidemark_builder_reset(Builder *builder);
void tidemark_builder_add_null(Builder *builder);
void tidemark_builder_add(Builder *builder, const Column *column, size_t row);
void tidemark_builder_column(Builder *builder, Column *out);
void tidemark_column_pick(const Column *from, const uint32_t *rows, size_t count, Arena *arena,
                          Column *out);

bool tidemark_key_put_column(Buf *out, const Column *column, size_t row);
bool tidemark_key_put_msgpack(Buf *out, const Type *type, const char *data, size_t size,
                              bool *null, char *message);
void tidemark_key_put_view(Buf *out, uint16_t view_id);
void tidemark_key_store_form(const char *key, size_t size, uint8_t *space, bool *cut, Slice *form);

typedef struct { int64_t event_time, created_time; uint64_t arrival; } RowRank;
typedef struct {
  RowRank rank;
  bool deleted;
  uint16_t count;
  bool wide;
  const uint8_t *offsets;
  Slice values;
  const uint8_t *errors;
  Slice key;
} RowView;
int tidemark_row_rank_compare(const RowRank *a, const RowRank *b);
void tidemark_row_encode(Buf *out, const RowRank *rank, bool deleted, const Column *const *columns,
                         size_t count, size_t row, const Slice *key);
void tidemark_row_put_value(Buf *out, const Column *column, size_t row);
bool tidemark_row_open(const char *data, size_t size, RowView *row, char *message);
void tidemark_row_span(const RowView *row, uint32_t first, uint32_t count, uint32_t *present,
                       Slice *span);
const char *tidemark_row_slot_status(const RowView *row, uint32_t slot);

typedef struct {
  int kind;
  bool narrow;
  int8_t ext_type;
  uint32_t count;
  union { int64_t integer; uint64_t unsigned_integer; double real; };
  Slice bytes;
} MpToken;
int tidemark_mp_next(const char *data, size_t size, MpToken *token, size_t *used);
int tidemark_mp_skip(const char *data, size_t size, uint32_t depth, uint64_t elements,
                     size_t *used);
bool tidemark_mp_map_get(const char *data, size_t size, const char *key, Slice *value);
void tidemark_mp_print_json(const char *data, size_t size, Buf *out);
]]

local M = {}

--- Stands for a null in lists of values.
M.NULL = setmetatable({}, {
  __tostring = function()
    return 'NULL'
  end,
})

M.FAILED = setmetatable({}, {
  __tostring = function()
    return 'FAILED'
  end,
})

local message = ffi.new('char[512]')

--- The outcome of a call that was given `M.message`: true, or nil and the message.
M.message = message
function M.outcome(ok)
  if ok then
    return true
  end
  return nil, ffi.string(message)
end

--- A type from its name.
---@param text string
function M.type(text)
  local parsed = ffi.new('Type')
  if not C.tidemark_type_parse(text, #text, parsed, message) then
    error(ffi.string(message), 2)
  end
  return parsed
end

--- What `write` appends to a fresh buffer, as a string; then whatever `write` returned.
---@param write fun(buf: ffi.cdata*): ...
function M.bytes(write)
  local buf = ffi.gc(ffi.new('Buf'), C.tidemark_buf_deinit)
  local results = { write(buf) }
  return ffi.string(buf.data, buf.size), unpack(results, 1, table.maxn(results))
end

-- Columns -----------------------------------------------------------------------------------------

local CTYPES = {
  bool = 'uint8_t', int32 = 'int32_t', int64 = 'int64_t', timestamp = 'int64_t',
  float32 = 'float', float64 = 'double', string = 'Slice', bytes = 'Slice',
}

local function valid_bits(values)
  local words = ffi.new('uint64_t[?]', math.ceil(#values / 64) + 1)
  local nulls = false
  for i, value in ipairs(values) do
    if value == M.NULL then
      nulls = true
    else
      local word = math.floor((i - 1) / 64)
      words[word] = words[word] + 2ULL ^ ((i - 1) % 64)
    end
  end
  return nulls and words or nil
end

local function flat_data(ctype, values)
  local data = ffi.new(ctype .. '[?]', #values + 1)
  for i, value in ipairs(values) do
    if value == M.NULL then
      data[i - 1] = ffi.new(ctype)
    elseif ctype == 'Slice' then
      data[i - 1].data = value
      data[i - 1].size = #value
    else
      data[i - 1] = value == true and 1 or value == false and 0 or value
    end
  end
  return data
end

local function vector_data(length, values)
  local data = ffi.new('float[?]', #values * length + 1)
  for i, value in ipairs(values) do
    for j = 1, value == M.NULL and 0 or length do
      data[(i - 1) * length + j - 1] = value[j]
    end
  end
  return data
end

local function list_data(values)
  local data = ffi.new('ColumnList[?]', #values + 1)
  local elements = {}
  for i, value in ipairs(values) do
    data[i - 1].offset = #elements
    for _, element in ipairs(value == M.NULL and {} or value) do
      elements[#elements + 1] = element
      data[i - 1].length = data[i - 1].length + 1
    end
  end
  return data, elements
end

-- Bits of values that failed, and the values with nulls for them.
local function take_failures(values)
  local taken, bits = {}, nil
  for i, value in ipairs(values) do
    taken[i] = value
    if value == M.FAILED then
      bits = bits or ffi.new('uint64_t[?]', math.floor(#values / 64) + 1)
      local word = math.floor((i - 1) / 64)
      bits[word] = bits[word] + 2ULL ^ ((i - 1) % 64)
      taken[i] = M.NULL
    end
  end
  return taken, bits
end

--- A column of Lua values (M.NULL for null, M.FAILED for a null whose function failed), laid out by
--- hand. Keep what is returned: it owns the memory; `.c` is the Column.
---@param name string  a type
---@param values any[]
function M.column(name, values)
  local errors
  values, errors = take_failures(values)
  local column = { type = M.type(name), values = values, valid = valid_bits(values),
    errors = errors }
  local element = name:match('^list%((.*)%)$')
  if element then
    local elements
    column.data, elements = list_data(values)
    column.child = M.column(element, elements)
  elseif column.type.length > 0 then
    column.data = vector_data(column.type.length, values)
  else
    column.data = flat_data(CTYPES[name], values)
  end
  column.c = ffi.new('Column', {
    type = column.type, valid = column.valid, data = ffi.cast('const void *', column.data),
    child = column.child and column.child.c or nil, errors = errors,
  })
  return column
end

local function is_set(bits, row)
  return bits[math.floor(row / 64)] / 2ULL ^ (row % 64) % 2 == 1
end

local function has(column, row)
  return column.valid == nil or is_set(column.valid, row)
end

local function read_flat(column, ctype, row)
  local value = ffi.cast('const ' .. ctype .. ' *', column.data)[row]
  if ctype == 'Slice' then
    return ffi.string(value.data, value.size)
  end
  return value
end

--- Values of a C column as Lua values: the reverse of M.column.
---@param name string  a type
---@param column ffi.cdata*
---@param count integer
function M.values(name, column, count)
  local values = {}
  local element = name:match('^list%((.*)%)$')
  for row = 0, count - 1 do
    if not has(column, row) then
      local failed = column.errors ~= nil and is_set(column.errors, row)
      values[row + 1] = failed and M.FAILED or M.NULL
    elseif element then
      local list = ffi.cast('const ColumnList *', column.data)[row]
      local all = M.values(element, column.child, tonumber(list.offset + list.length))
      values[row + 1] = { unpack(all, tonumber(list.offset) + 1) }
    elseif column.type.length > 0 then
      local length = column.type.length
      values[row + 1] = {}
      for i = 0, length - 1 do
        values[row + 1][i + 1] = ffi.cast('const float *', column.data)[row * length + i]
      end
    else
      values[row + 1] = read_flat(column, CTYPES[name], row)
      if name == 'bool' then
        values[row + 1] = values[row + 1] == 1
      end
    end
  end
  return values
end

-- msgpack -----------------------------------------------------------------------------------------

local function big_endian(ctype, value)
  local box = ffi.new(ctype .. '[1]', value)
  return ffi.string(box, ffi.sizeof(box)):reverse()
end

local function pack_int(value)
  value = ffi.cast('int64_t', value)
  if value >= -32 and value <= 127 then
    return big_endian('int8_t', value)
  end
  local forms = value < 0
    and { { -0x80LL, 0xd0, 'int8_t' }, { -0x8000LL, 0xd1, 'int16_t' },
      { -0x80000000LL, 0xd2, 'int32_t' }, { -0x7fffffffffffffffLL - 1, 0xd3, 'int64_t' } }
    or { { 0xffLL, 0xcc, 'uint8_t' }, { 0xffffLL, 0xcd, 'uint16_t' },
      { 0xffffffffLL, 0xce, 'uint32_t' }, { 0x7fffffffffffffffLL, 0xcf, 'uint64_t' } }
  for _, form in ipairs(forms) do
    if value < 0 and value >= form[1] or value >= 0 and value <= form[1] then
      return string.char(form[2]) .. big_endian(form[3], value)
    end
  end
end

local function pack_size(size, small, of8, of16)
  if small and size < small.below then
    return string.char(small.base + size)
  elseif of8 and size < 256 then
    return string.char(of8, size)
  elseif size < 65536 then
    return string.char(of16) .. big_endian('uint16_t', size)
  end
  return string.char(of16 + 1) .. big_endian('uint32_t', size)
end

local PACK = {
  bool = function(value)
    return value and '\xc3' or '\xc2'
  end,
  int32 = pack_int,
  int64 = pack_int,
  timestamp = pack_int,
  float32 = function(value)
    return '\xca' .. big_endian('float', value)
  end,
  float64 = function(value)
    return '\xcb' .. big_endian('double', value)
  end,
  string = function(value)
    return pack_size(#value, { below = 32, base = 0xa0 }, 0xd9, 0xda) .. value
  end,
  bytes = function(value)
    return pack_size(#value, nil, 0xc4, 0xc5) .. value
  end,
}

--- A value of a type as msgpack, in the shortest form.
---@param name string  a type
---@param value any
---@return string
function M.pack(name, value)
  if value == M.NULL then
    return '\xc0'
  end
  local element = name:match('^list%((.*)%)$') or name:match('^vector') and 'float32'
  if not element then
    return PACK[name](value)
  end
  local parts = { pack_size(#value, { below = 16, base = 0x90 }, nil, 0xdc) }
  for i, item in ipairs(value) do
    parts[i + 1] = M.pack(element, item)
  end
  return table.concat(parts)
end

-- Random values -----------------------------------------------------------------------------------

local random = math.random
local INTS = {
  0LL, 1LL, -1LL, 127LL, 128LL, -32LL, -33LL, 255LL, 256LL, -128LL, -129LL, 65535LL, 65536LL,
  -32768LL, -32769LL, 0x7fffffffLL, 0x80000000LL, 0xffffffffLL, 0x100000000LL, -0x80000000LL,
  -0x80000001LL, 0x7fffffffffffffffLL, -0x7fffffffffffffffLL,
}
local REALS = { 0, -0.0, 1, 1.5, -1e300, 5e-324, 1 / 0, -1 / 0, 0 / 0, 0.1, 1e10, 16777217 }

local function random_text()
  local sizes = { 0, 0, 1, 3, 31, 32, 40, 255, 256, 300 }
  local size = sizes[random(#sizes)]
  return (('x'):rep(size):gsub('x', function()
    return string.char(random(0, 255))
  end))
end

local function random_int()
  return random(3) == 1 and INTS[random(#INTS)]
    or ffi.cast('int64_t', random(0, 2 ^ 31 - 1)) * random(0, 2 ^ 31 - 1) - random(0, 2 ^ 31 - 1)
end

--- A random value of a type; null once in `null_in`.
---@param name string  a type
---@param null_in integer?
function M.random_value(name, null_in)
  if null_in and random(null_in) == 1 then
    return M.NULL
  elseif name == 'bool' then
    return random(2) == 1
  elseif name == 'int32' then
    return tonumber(ffi.cast('int32_t', random_int()))
  elseif name == 'int64' or name == 'timestamp' then
    return random_int()
  elseif name == 'float32' or name == 'float64' then
    local real = random(3) == 1 and REALS[random(#REALS)] or (random() - 0.5) * 10 ^ random(-20, 20)
    return name == 'float64' and real or tonumber(ffi.new('float', real))
  elseif name == 'string' or name == 'bytes' then
    return random_text()
  end
  local element = name:match('^list%((.*)%)$')
  local list = {}
  for i = 1, element and random(0, 20) or tonumber(name:match('%d+')) do
    list[i] = M.random_value(element or 'float32', element and null_in)
  end
  return list
end

M.TYPES = {
  'bool', 'int32', 'int64', 'float32', 'float64', 'string', 'bytes', 'timestamp', 'list(int64)',
  'list(string)', 'list(bool)', 'list(float32)', 'vector(3)', 'vector(17)',
}
M.KEY_TYPES = { 'bool', 'int32', 'int64', 'string', 'bytes', 'timestamp' }

return M
