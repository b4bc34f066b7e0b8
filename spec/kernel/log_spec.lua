local ffi = require 'ffi'
local uv = require 'luv'
local C = require 'spec.support.ffi'
local random = require 'spec.support.random'
local workspace = require 'spec.support.workspace'

ffi.cdef [[
uint32_t tidemark_log_crc(const char *data, size_t size, bool by_table);
void *tidemark_log_open(const char *store, const uint64_t *position, uint64_t segment_bytes,
                        uint64_t keep_bytes, char *message);
void tidemark_log_close(void *handle);
const char *tidemark_log_found(const void *handle, size_t *size);
uint64_t tidemark_log_put(void *handle, const char *data, size_t size);
bool tidemark_log_write(void *handle, bool sync, char *message);
void tidemark_log_position(const void *handle, uint64_t *position);
void tidemark_log_trim(void *handle, uint64_t applied);
bool tidemark_log_has_more(const char *store, const uint64_t *position);
int setrlimit(int resource, const uint64_t *limits);
int getrlimit(int resource, uint64_t *limits);
void *signal(int number, void *handler);
]]

local HEADER, RECORD_HEADER = 32, 24
local START = { 0, 0, 0 }

local message = ffi.new('char[768]')

describe('the log', function()
  local space, logs

  before_each(function()
    space = workspace.new()
    logs = {}
  end)

  after_each(function()
    for log in pairs(logs) do
      C.tidemark_log_close(log)
    end
    space:remove()
  end)

  local function position_of(log)
    local out = ffi.new('uint64_t[3]')
    C.tidemark_log_position(log, out)
    return { tonumber(out[0]), tonumber(out[1]), tonumber(out[2]) }
  end

  -- The log and its records behind `from`: { [sequence] = payload }; nil and the message.
  local function open(from, segment_bytes, keep_bytes)
    local log = C.tidemark_log_open(space.folder, ffi.new('uint64_t[3]', from or START),
      segment_bytes or 0, keep_bytes or 0, message)
    if log == nil then
      return nil, ffi.string(message)
    end
    logs[log] = true
    local size = ffi.new('size_t[1]')
    local data = C.tidemark_log_found(log, size)
    local bytes = size[0] > 0 and ffi.string(data, size[0]) or ''
    local found, at = {}, 1
    while at <= #bytes do
      local head = ffi.new('uint8_t[12]')
      ffi.copy(head, bytes:sub(at, at + 11), 12)
      local length = ffi.cast('uint32_t *', head + 8)[0]
      found[#found + 1] = tonumber(ffi.cast('uint64_t *', head)[0]) .. ':'
        .. bytes:sub(at + 12, at + 11 + length)
      at = at + 12 + length
    end
    return log, found
  end

  local function close(log)
    logs[log] = nil
    C.tidemark_log_close(log)
  end

  -- One group; synced unless told otherwise.
  local function append(log, payloads, unsynced)
    for _, payload in ipairs(payloads) do
      C.tidemark_log_put(log, payload, #payload)
    end
    local ok = C.tidemark_log_write(log, not unsynced, message)
    return ok, ffi.string(message)
  end

  local function segment(first)
    return ('log/%020d.log'):format(first)
  end

  local function offsets(payloads)
    local list, at = {}, HEADER
    for i, payload in ipairs(payloads) do
      list[i] = at
      at = at + RECORD_HEADER + #payload
    end
    list[#list + 1] = at
    return list
  end

  it('checks with CRC-32C', function()
    assert.equal(0xe3069283, C.tidemark_log_crc('123456789', 9, true))
    assert.equal(0xe3069283, C.tidemark_log_crc('123456789', 9, false))
    random.each(200, function()
      local bytes = {}
      for i = 1, math.random(0, 70) do
        bytes[i] = string.char(math.random(0, 255))
      end
      local text = table.concat(bytes)
      assert.equal(C.tidemark_log_crc(text, #text, true), C.tidemark_log_crc(text, #text, false))
    end)
  end)

  it('gives back what was put, from any position on', function()
    local log, found = open()
    assert.same({}, found)
    append(log, { 'one', '' })
    local middle = position_of(log)
    append(log, { ('x'):rep(5000) })
    local last = position_of(log)
    close(log)

    assert.same({ 3, 1, HEADER + 3 * RECORD_HEADER + 3 + 5000 }, last)
    log, found = open()
    assert.same({ '1:one', '2:', '3:' .. ('x'):rep(5000) }, found)
    assert.same(last, position_of(log))
    append(log, { 'four' })
    close(log)
    log, found = open(middle)
    assert.same({ '3:' .. ('x'):rep(5000), '4:four' }, found)
    close(log)
  end)

  it('tells cheaply whether there is more', function()
    local function has_more(position)
      return C.tidemark_log_has_more(space.folder, ffi.new('uint64_t[3]', position))
    end
    assert.is_false(has_more(START))
    local log = open()
    append(log, { 'one' })
    assert.is_true(has_more(START))
    local one = position_of(log)
    assert.is_false(has_more(one))
    append(log, { 'two' })
    assert.is_true(has_more(one))
  end)

  it('has zeros behind its records only while it is written', function()
    local payloads = { 'one', ('x'):rep(5000) }
    local at = offsets(payloads)
    local log = open()
    append(log, { payloads[1] })
    append(log, { payloads[2] })
    local last = position_of(log)
    local killed = space:read(segment(1))
    assert.is_true(#killed > at[3])
    assert.equal(at[3], #killed:gsub('%z+$', ''))
    assert.is_false(C.tidemark_log_has_more(space.folder, ffi.new('uint64_t[3]', last)))
    close(log)
    assert.equal(at[3], #space:read(segment(1)))

    space:write(segment(1), killed)
    local found
    log, found = open()
    assert.same({ '1:' .. payloads[1], '2:' .. payloads[2] }, found)
    assert.same(last, position_of(log))
    append(log, { 'three' })
    close(log)
    log, found = open()
    assert.equal('3:three', found[3])
    close(log)
  end)

  it('cuts a tail that was being written, at every byte', function()
    local payloads = { 'first', 'second record', 'the third' }
    local at = offsets(payloads)
    local log = open()
    append(log, { payloads[1] })
    append(log, { payloads[2], payloads[3] }, true)
    close(log)
    local bytes = space:read(segment(1))
    assert.equal(at[4], #bytes)

    for size = at[2], #bytes - 1 do
      for _, rest in ipairs({ '', ('\0'):rep(#bytes - size) }) do
        space:write(segment(1), bytes:sub(1, size) .. rest)
        local found
        log, found = open()
        assert.same(size < at[3] and { '1:first' } or { '1:first', '2:second record' }, found)
        append(log, { 'after' })
        close(log)
        log, found = open()
        assert.equal((#found) .. ':after', found[#found])
        close(log)
      end
    end
  end)

  it('refuses damage of what was acknowledged, wherever it is', function()
    local payloads = { 'first', 'second record', 'the third' }
    local at = offsets(payloads)
    local log = open()
    for _, payload in ipairs(payloads) do
      append(log, { payload })
    end
    close(log)
    local bytes = space:read(segment(1))
    for place = at[2], at[3] - 1 do
      local flipped = string.char(bit.bxor(bytes:byte(place + 1), 1 + place % 255))
      space:write(segment(1), bytes:sub(1, place) .. flipped .. bytes:sub(place + 2))
      local refused, why = open()
      assert.is_nil(refused)
      assert.equal('store: the log is damaged: record 2 at byte ' .. at[2] .. ' of '
        .. space:path(segment(1)) .. ' cannot be read, and it had been acknowledged; restore the '
        .. 'store from a backup, or move this segment and later ones away to go on without their '
        .. 'rows', why)
    end
  end)

  it('cuts damage of what nobody was told to be safe', function()
    local log = open()
    append(log, { 'one' })
    append(log, { 'two', 'three' }, true)  -- a machine that stops may write these in any order
    close(log)
    local bytes = space:read(segment(1))
    local place = offsets({ 'one' })[2] + RECORD_HEADER
    space:write(segment(1), bytes:sub(1, place) .. '?' .. bytes:sub(place + 2))
    local _, found = open()
    assert.same({ '1:one' }, found)
  end)

  it('does not take a value for a record', function()
    local log = open()
    append(log, { 'one' })
    append(log, { 'two' })
    close(log)
    -- A value that holds what was the log's own bytes, in a record that was cut: the later log has
    -- another seed.
    local old = space:read(segment(1)):sub(HEADER + 1)
    assert(uv.fs_unlink(space:path(segment(1))))
    log = open()
    append(log, { ('x'):rep(3) .. old .. 'yyyy' }, true)
    close(log)
    local bytes = space:read(segment(1))
    space:write(segment(1), bytes:sub(1, -2))
    local _, found = open()
    assert.same({}, found)
  end)

  describe('in segments', function()
    local function fill(count, keep_bytes)
      local log = open(nil, 200, keep_bytes)
      for i = 1, count do
        assert(append(log, { ('record %d '):format(i) .. ('.'):rep(80) }))
      end
      return log
    end

    local function segments()
      local list = {}
      local scan = uv.fs_scandir(space:path('log'))
      for name in uv.fs_scandir_next, scan do
        list[#list + 1] = tonumber(name:match('^(%d+)%.log$'))
      end
      table.sort(list)
      return list
    end

    it('goes on in the next one', function()
      local log = fill(5)
      assert.same({ 1, 3, 5 }, segments())
      local last = position_of(log)
      assert.same({ 5, 5 }, { last[1], last[2] })
      close(log)
      local _, found = open()
      assert.equal(5, #found)
    end)

    it('has zeros behind the records of the last one only', function()
      local log = open(nil, 5000)
      for number, size in ipairs({ 1000, 4500, 1000 }) do
        append(log, { ('x'):rep(size) })
        assert.equal(number < 3 and 1 or 3, segments()[#segments()])
      end
      assert.equal(HEADER + 2 * RECORD_HEADER + 5500, #space:read(segment(1)))
      assert.equal(5000, #space:read(segment(3)))
      close(log)
      assert.equal(HEADER + RECORD_HEADER + 1000, #space:read(segment(3)))
    end)

    it('misses one that was not applied', function()
      close(fill(5))
      assert(uv.fs_unlink(space:path(segment(3))))
      local refused, why = open()
      assert.is_nil(refused)
      assert.matches('lacks the records 3 to 4, which were not applied yet', why, 1, true)
      local _, found = open({ 4, 3, 10000 })
      assert.equal(1, #found)
    end)

    it('refuses an older one that is cut', function()
      close(fill(5))
      space:write(segment(1), space:read(segment(1)):sub(1, -2))
      local refused, why = open()
      assert.is_nil(refused)
      assert.matches('the log is damaged: record 2 at byte', why, 1, true)
    end)

    it('removes one that was only being made', function()
      close(fill(2))
      space:write(segment(3), space:read(segment(1)):sub(1, HEADER - 1))
      local log, found = open()
      assert.equal(2, #found)
      append(log, { 'three' })
      close(log)
      log, found = open()
      assert.equal('3:three', found[3])
      close(log)
    end)

    it('keeps those that were applied up to a bound, and all others', function()
      local log = fill(9, 500)
      C.tidemark_log_trim(log, 4)
      assert.same({ 5, 7, 9 }, segments())
      C.tidemark_log_trim(log, 9)
      assert.same({ 7, 9 }, segments())
      close(log)
    end)
  end)

  it('belongs to one process at a time', function()
    local log = open()
    local refused, why = open()
    assert.is_nil(refused)
    assert.matches('^unavailable: .*the log .* is in use by another process, pid %d+: push through '
      .. 'that server with %-%-connect', why)
    close(log)
    assert(open())
  end)

  it('takes nothing of a group that a full disk does not hold, and goes on', function()
    local RLIMIT_FSIZE, SIGXFSZ = 1, 25
    local log = open()
    append(log, { 'one' })
    local limits = ffi.new('uint64_t[2]')
    ffi.C.getrlimit(RLIMIT_FSIZE, limits)
    local before = ffi.C.signal(SIGXFSZ, ffi.cast('void *', 1))
    ffi.C.setrlimit(RLIMIT_FSIZE, ffi.new('uint64_t[2]', 4096, limits[1]))
    local ok, why = append(log, { ('x'):rep(3000), ('y'):rep(3000) })
    ffi.C.setrlimit(RLIMIT_FSIZE, limits)
    ffi.C.signal(SIGXFSZ, before)
    assert.is_false(ok)
    assert.matches('^store: .*cannot write the log .*; nothing was pushed, make room', why)
    append(log, { 'two' })
    close(log)
    local _, found = open()
    assert.same({ '1:one', '2:two' }, found)
  end)
end)
