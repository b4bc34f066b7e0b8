local ffi = require 'ffi'
local data = require 'spec.support.data'
local C = require 'spec.support.ffi'

local function parse(text)
  local parsed = ffi.new('Type')
  local ok, err = data.outcome(C.tidemark_type_parse(text, #text, parsed, data.message))
  return ok and parsed or nil, err
end

local function print_type(parsed)
  local out = ffi.new('char[32]')
  assert.equal(ffi.cast('const char *', out), C.tidemark_type_print(parsed, out))
  return ffi.string(out)
end

describe('type', function()
  it('names print as they are spelled', function()
    for _, name in ipairs {
      'bool', 'int32', 'int64', 'float32', 'float64', 'string', 'bytes', 'timestamp',
      'list(bool)', 'list(timestamp)', 'list(string)', 'vector(1)', 'vector(128)', 'vector(65536)',
    } do
      assert.equal(name, print_type(parse(name)))
    end
  end)

  it('widths are those of the column arrays', function()
    local widths = {
      bool = 1, int32 = 4, int64 = 8, float32 = 4, float64 = 8, timestamp = 8,
      string = ffi.sizeof('Slice'), bytes = ffi.sizeof('Slice'),
      ['list(bool)'] = ffi.sizeof('ColumnList'), ['vector(7)'] = 28,
    }
    for name, width in pairs(widths) do
      assert.equal(width, tonumber(C.tidemark_type_width(data.type(name))), name)
    end
  end)

  it('equals only itself', function()
    local names = { 'int64', 'timestamp', 'list(int64)', 'list(int32)', 'vector(3)', 'vector(4)' }
    for _, a in ipairs(names) do
      for _, b in ipairs(names) do
        assert.equal(a == b, C.tidemark_type_equal(data.type(a), data.type(b)), a .. ' and ' .. b)
      end
    end
  end)

  it('lets keys be integers, bools, times, strings and bytes only', function()
    for _, name in ipairs(data.TYPES) do
      local is_key = false
      for _, key in ipairs(data.KEY_TYPES) do
        is_key = is_key or key == name
      end
      assert.equal(is_key, C.tidemark_type_can_be_key(data.type(name)), name)
    end
  end)

  it('refuses other names and says what it expected', function()
    for _, name in ipairs { '', 'int', 'Int64', 'int64 ', 'list', 'list(', 'list)', '(int64)',
      'vector', 'vectors(3)', 'bool(3)', ('x'):rep(500) } do
      local parsed, err = parse(name)
      assert.is_nil(parsed, name)
      assert.equal(('unknown type "%s": expected bool, int32, int64, float32, float64, string, '
        .. 'bytes, timestamp, list(T) or vector(n)'):format(name:sub(1, 64)), err)
    end
    for _, name in ipairs { 'list()', 'list(list(int64))', 'list(vector(3))', 'list(int)' } do
      assert.equal(('type "%s": a list\'s elements are bool, int32, int64, float32, float64, '
        .. 'string, bytes or timestamp'):format(name), select(2, parse(name)))
    end
    for _, name in ipairs { 'vector()', 'vector(0)', 'vector(65537)', 'vector(-1)', 'vector(1e3)',
      'vector(007)', 'vector( 3)', 'vector(99999999999999999999)' } do
      assert.equal(('type "%s": a vector\'s length is 1 to 65536'):format(name),
        select(2, parse(name)))
    end
  end)
end)
