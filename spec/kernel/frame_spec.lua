-- Frames out of bytes: what is one, how it is taken apart, and that no bytes do harm.

local ffi = require 'ffi'
local mpack = require 'mpack'
local C = require 'spec.support.ffi'

ffi.cdef [[
  typedef struct { const char *data; size_t size; } frame_Slice;
  typedef struct { uint64_t size; uint32_t depth; uint32_t elements; } frame_Limits;
  typedef struct {
    int kind;
    bool has_id;
    uint32_t id;
    frame_Slice method;
    frame_Slice params;
    frame_Slice rest;
    frame_Slice error;
    frame_Slice result;
  } frame_Frame;
  typedef struct { int code; char where[192]; char message[512]; } frame_Error;
  size_t tidemark_frame_scan_size(void);
  int tidemark_frame_next(void *scan, const char *bytes, size_t count, const frame_Limits *limits,
                          frame_Frame *frame, size_t *size, frame_Error *err);
  bool tidemark_frame_params(const frame_Frame *frame, frame_Slice *map, frame_Error *err);
]]

local OK, MORE, BAD = 0, 1, 2
local LIMITS = ffi.new('frame_Limits', { size = 1000, depth = 8, elements = 500 })
local pack = mpack.Packer()

local function text_of(slice)
  return slice.data ~= nil and ffi.string(slice.data, slice.size) or nil
end

local function new_scan()
  return ffi.new('uint8_t[?]', tonumber(C.tidemark_frame_scan_size()))
end

-- The bytes in an allocation of their exact size.
local function copy_bytes(bytes)
  local copy = ffi.new('char[?]', #bytes)
  ffi.copy(copy, bytes, #bytes)
  return copy
end

-- Status, frame, size and message of the first frame in `bytes`; what it points into last, so that
-- it is not collected before.
local function next_frame(bytes, limits, scan)
  local copy = copy_bytes(bytes)
  local frame, size, err = ffi.new('frame_Frame'), ffi.new('size_t[1]'), ffi.new('frame_Error')
  local status = C.tidemark_frame_next(scan or new_scan(), copy, #bytes, limits or LIMITS, frame,
    size, err)
  local out = {
    kind = frame.kind,
    id = frame.has_id and frame.id or nil,
    method = status == OK and text_of(frame.method) or nil,
    params = status == OK and text_of(frame.params) or nil,
    error = status == OK and text_of(frame.error) or nil,
    result = status == OK and text_of(frame.result) or nil,
  }
  return status, out, tonumber(size[0]), ffi.string(err.message), copy
end

local function request(id, method, params)
  return '\148\0' .. pack(id) .. pack(method) .. params
end

local function nested(depth)
  return ('\145'):rep(depth) .. '\192'
end

describe('a frame', function()
  it('of a request is taken apart', function()
    local status, frame, size = next_frame(request(7, 'hello', '\145\128'))
    assert.equal(OK, status)
    assert.same({ kind = 0, id = 7, method = 'hello', params = '\145\128' }, frame)
    assert.equal(11, size)
  end)

  it('of a response or a notification is taken apart', function()
    local _, response = next_frame('\148\1\3\192\161x')
    assert.same({ kind = 1, id = 3, error = '\192', result = '\161x' }, response)
    local _, notification = next_frame('\147\2\163log\144')
    assert.same({ kind = 2, method = 'log', params = '\144' }, notification)
  end)

  it('may have the greatest id and a method name as bin', function()
    local status, frame = next_frame('\148\0\206\255\255\255\255\196\2hi\144')
    assert.equal(OK, status)
    assert.same({ kind = 0, id = 4294967295, method = 'hi', params = '\144' }, frame)
  end)

  it('ends where it ends, whatever follows', function()
    local bytes = request(1, 'a', '\144')
    local status, frame, size = next_frame(bytes .. '\193\193garbage')
    assert.equal(OK, status)
    assert.equal('a', frame.method)
    assert.equal(#bytes, size)
  end)

  it('is found however its bytes are split', function()
    local bytes = request(70000, 'list', '\145\129\164kind\168entities')
    for step = 1, #bytes do
      local scan, status, frame = new_scan(), nil, nil
      for count = step, #bytes + step - 1, step do
        status, frame = next_frame(bytes:sub(1, count), LIMITS, scan)
        if count < #bytes then
          assert.equal(MORE, status)
        end
      end
      assert.equal(OK, status)
      assert.equal('list', frame.method)
      assert.equal(70000, frame.id)
    end
  end)

  it('that is not complete asks for more at every length', function()
    local bytes = request(5, 'get_online_features', '\145\129\164list\147\1\203' .. ('x'):rep(8)
      .. '\199\3\1abc')
    for count = 0, #bytes - 1 do
      assert.equal(MORE, (next_frame(bytes:sub(1, count))), 'after ' .. count .. ' bytes')
    end
    assert.equal(OK, (next_frame(bytes)))
  end)
end)

describe('bytes that are no frame', function()
  -- Bytes, the id that an answer would go to, and what the message says.
  local BAD_FRAMES = {
    { 'G', nil, 'expected a msgpack-RPC message: an array of 3 or 4 values' },
    { '\192', nil, 'expected a msgpack-RPC message: an array of 3 or 4 values' },
    { '\144', nil, 'expected a msgpack-RPC message: an array of 3 or 4 values' },
    { '\128', nil, 'expected a msgpack-RPC message: an array of 3 or 4 values' },
    { '\221\255\255\255\255', nil, 'expected a msgpack-RPC message: an array of 3 or 4 values' },
    { '\193', nil, 'byte 0 of the frame is not msgpack' },
    { '\148\0\9\161a\193', 9, 'byte 5 of the frame is not msgpack' },
    { '\148\3\1\161a\144', nil, 'expected a message of type 0, 1 or 2' },
    { '\148\161x\1\161a\144', nil, 'expected a message of type 0, 1 or 2' },
    { '\147\0\1\161a', nil, 'a message of type 0 has 3 values' },
    { '\148\2\161a\144\144', nil, 'a message of type 2 has 4 values' },
    { '\148\0\255\161a\144', nil, 'the id of a message has to be an integer of 32 bits' },
    {
      '\148\0\207\0\0\0\1\0\0\0\0\161a\144',
      nil,
      'the id of a message has to be an integer of 32 bits',
    },
    { '\148\0\8\5\144', 8, 'the method\'s name is not a string' },
  }

  for _, case in ipairs(BAD_FRAMES) do
    local bytes, id, message = case[1], case[2], case[3]
    it(('%q is refused'):format(bytes:gsub('[^%w]', function(c)
      return ('\\%d'):format(c:byte())
    end)), function()
      local status, frame, _, said = next_frame(bytes)
      assert.equal(BAD, status)
      assert.equal(id, frame.id)
      assert.equal(message, said)
    end)
  end

  it('are refused as soon as a limit is passed, and say the id', function()
    local function refused(bytes, message)
      local status, frame, _, said = next_frame(bytes)
      assert.equal(BAD, status)
      assert.equal(6, frame.id)
      assert.equal(message, said)
    end
    refused('\148\0\6\161a' .. nested(8), 'the frame is nested deeper than 8 levels')
    refused('\148\0\6\161a\221\255\255\255\255', 'the frame has more than 500 values')
    refused('\148\0\6\161a\223\255\255\255\255', 'the frame has more than 500 values')
    refused('\148\0\6\161a\145\219\255\255\255\255' .. ('x'):rep(1000),
      'the frame is larger than 1000 bytes')
    refused(request(6, 'a', '\145\218\3\232' .. ('x'):rep(1000)),
      'the frame is larger than 1000 bytes')
  end)

  it('may be nested as deep as the limit', function()
    assert.equal(OK, (next_frame('\148\0\6\161a' .. nested(7))))
    assert.equal(BAD, (next_frame('\148\0\6\161a' .. ('\145'):rep(7) .. '\144')))
  end)
end)

describe('params', function()
  local function map_of(params)
    local bytes = request(1, 'a', params)
    local copy = copy_bytes(bytes)
    local frame, size, err = ffi.new('frame_Frame'), ffi.new('size_t[1]'), ffi.new('frame_Error')
    assert.equal(OK, C.tidemark_frame_next(new_scan(), copy, #bytes, LIMITS, frame, size, err))
    local map = ffi.new('frame_Slice')
    if C.tidemark_frame_params(frame, map, err) then
      return text_of(map), copy
    end
    return nil, err.code, ffi.string(err.message)
  end

  it('hold one map, in an array or alone', function()
    assert.equal('\129\161k\1', (map_of('\145\129\161k\1')))
    assert.equal('\129\161k\1', (map_of('\129\161k\1')))
  end)

  it('may be empty in every way that languages write it', function()
    for _, params in ipairs({ '\144', '\192', '\145\144', '\145\192', '\145\128', '\128' }) do
      assert.equal('\128', (map_of(params)))
    end
  end)

  it('are refused otherwise', function()
    for _, params in ipairs({ '\145\1', '\146\128\128', '\5', '\161x', '\145\145\1' }) do
      local map, code, message = map_of(params)
      assert.is_nil(map)
      assert.equal(3, code)
      assert.equal('params have to be an array with one map', message)
    end
  end)
end)

describe('random bytes', function()
  -- Valid frames with a few bytes changed reach further than noise does.
  local function mutate(bytes)
    local out = { bytes:byte(1, -1) }
    for _ = 1, math.random(0, 4) do
      out[math.random(#out)] = math.random(0, 255)
    end
    return string.char(unpack(out, 1, math.random(#out)))
  end

  it('give the same answer whole and in pieces', function()
    local seed = math.random(2 ^ 31)
    math.randomseed(seed)
    local base = request(300, 'get_online_features',
      pack({ { entities = { driver_id = { 1, 2, 'x', 1.5 } }, service = 'ranking' } }))
    for case = 1, 3000 do
      local bytes = mutate(base)
      local status, frame, size = next_frame(bytes)
      local scan, count, pieces, piece_frame, piece_size = new_scan(), 0, MORE, nil, nil
      while pieces == MORE and count < #bytes do
        count = math.min(#bytes, count + math.random(1, 9))
        pieces, piece_frame, piece_size = next_frame(bytes:sub(1, count), LIMITS, scan)
      end
      local where = ('seed %d, case %d'):format(seed, case)
      assert.equal(status, pieces, where)
      if status == OK then
        assert.same(frame, piece_frame, where)
        assert.equal(size, piece_size, where)
      end
    end
  end)
end)
