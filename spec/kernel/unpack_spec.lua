-- Values as rows have them, read back into columns.

local ffi = require 'ffi'
local data = require 'spec.support.data'
local random = require 'spec.support.random'
local C = require 'spec.support.ffi'

ffi.cdef [[
bool tidemark_unpack(const Type *type, const char *data, size_t size, size_t count, Arena *arena,
                     Column *out);
]]

describe('unpack', function()
  local arena

  before_each(function()
    arena = C.tidemark_arena_new()
  end)

  after_each(function()
    C.tidemark_arena_free(arena)
  end)

  local function unpack_values(name, bytes, count)
    local column = ffi.new('Column')
    return C.tidemark_unpack(data.type(name), bytes, #bytes, count, arena, column), column
  end

  it('gives back every value, bit for bit', function()
    random.each(1000, function()
      local name = random.pick(data.TYPES)
      local packed = {}
      for row = 1, math.random(0, 150) do
        packed[row] = data.pack(name, data.random_value(name, 4))
      end
      local bytes = table.concat(packed)
      local ok, column = unpack_values(name, bytes, #packed)
      assert.is_true(ok, name)
      assert.equal(bytes, (data.bytes(function(buf)
        for row = 0, #packed - 1 do
          C.tidemark_row_put_value(buf, column, row)
        end
      end)), name)
    end)
  end)

  it('keeps the bits of a NaN', function()
    local bytes = '\xcb\x7f\xf8\xde\xad\0\0\xbe\xef'
    local _, column = unpack_values('float64', bytes, 1)
    assert.equal(0x7ff8dead0000beefULL, ffi.cast('const uint64_t *', column.data)[0])
  end)

  it('takes nothing for a value of another type', function()
    for _, name in ipairs(data.TYPES) do
      local taken = {}
      for _, other in ipairs(data.TYPES) do
        local value = other:find('[(]') and { 1, 0, 1 } or other == 'bool' or 'text'
        value = (other:find('int') or other == 'timestamp' or other:find('float')) and
          not other:find('[(]') and 2 ^ 31 - 1 or value
        if other == 'vector(17)' then
          value = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17 }
        elseif other == 'list(string)' then
          value = { 'text' }
        elseif other == 'list(bool)' then
          value = { true }
        end
        if unpack_values(name, data.pack(other, value), 1) then
          taken[#taken + 1] = other
        end
      end
      local expected = ({
        int32 = { 'int32', 'int64', 'timestamp' }, int64 = { 'int32', 'int64', 'timestamp' },
        timestamp = { 'int32', 'int64', 'timestamp' }, float32 = { 'float32', 'float64' },
        float64 = { 'float32', 'float64' }, ['list(float32)'] = { 'list(float32)', 'vector(3)',
          'vector(17)' }, ['vector(3)'] = { 'list(float32)', 'vector(3)' },
      })[name] or { name }
      assert.same(expected, taken, name)
    end
  end)

  it('takes nothing for bytes that end early or are none of msgpack', function()
    for _, bytes in ipairs { '', '\xc1', '\xcb\0\0', '\xa5abc', '\x93\1\2',
      '\xdd\xff\xff\xff\xff\1', '\xdf\0\0\0\1' } do
      for _, name in ipairs(data.TYPES) do
        assert.is_false((unpack_values(name, bytes, 1)), name)
      end
    end
    assert.is_false((unpack_values('int32', data.pack('int64', 2LL ^ 31), 1)))
    assert.is_false((unpack_values('list(int64)', '\x91\x91\1', 1)))
    assert.is_false((unpack_values('vector(3)', '\x93\xca\0\0\0\0\xc0\xca\0\0\0\0', 1)))
  end)
end)
