local ffi = require 'ffi'
local C = require 'spec.support.ffi'
local process = require 'spec.support.process'
local random = require 'spec.support.random'
local store = require 'spec.support.store'
local workspace = require 'spec.support.workspace'

ffi.cdef [[
void tidemark_db_read_cache(void *read, uint64_t bytes);
void tidemark_db_read_cache_stats(const void *read, uint64_t *out);
]]

local key, row = store.key, store.row
local MEBIBYTE = 0x100000

local function stats(read)
  local out = ffi.new('uint64_t[5]')
  C.tidemark_db_read_cache_stats(read.handle, out)
  return {
    found = tonumber(out[0]),
    missed = tonumber(out[1]),
    stale = tonumber(out[2]),
    bytes = tonumber(out[3]),
    capacity = tonumber(out[4]),
  }
end

-- A msgpack string of `size` bytes, more than 255.
local function text(letter, size)
  return '\218' .. store.little(size, 2):reverse() .. letter:rep(size)
end

describe('the row cache', function()
  local space, db, cached, plain

  before_each(function()
    space = workspace.new()
    db = store.open(space:path('store'))
    cached, plain = db:reader(), db:reader()
    C.tidemark_db_read_cache(cached.handle, MEBIBYTE)
  end)

  after_each(function()
    cached:free()
    plain:free()
    db:close()
    space:remove()
  end)

  local function put(wanted, fields)
    db:write(function(write)
      write:put(wanted, row(fields))
    end)
  end

  local function get(wanted, read)
    read = read or cached
    read:begin()
    local found = read:get(wanted)
    read:done()
    return found
  end

  it('answers from memory what was asked for before', function()
    put(key(1, 7), { event = 5, created = 6, arrival = 7, values = { '\1', '\192', '\161x' } })
    local first = get(key(1, 7))
    assert.same(first, get(key(1, 7)))
    assert.same(get(key(1, 7), plain), first)
    local after = stats(cached)
    assert.equal(1, after.found)
    assert.equal(1, after.missed)
  end)

  it('knows which keys have no row', function()
    assert.is_nil(get(key(1, 7)))
    assert.is_nil(get(key(1, 7)))
    assert.equal(1, stats(cached).found)
    put(key(1, 7), { event = 1 })
    assert.equal(1LL, get(key(1, 7)).event)
  end)

  it('keeps tombstones as what they are', function()
    put(key(1, 7), { event = 1, values = { '\1' } })
    assert.is_false(get(key(1, 7)).deleted)
    put(key(1, 7), { event = 2, deleted = true })
    assert.is_true(get(key(1, 7)).deleted)
    assert.is_true(get(key(1, 7)).deleted)
  end)

  it('sees what was committed since, and only from the next snapshot on', function()
    put(key(1, 7), { event = 1 })
    assert.equal(1LL, get(key(1, 7)).event)
    cached:begin()
    put(key(1, 7), { event = 2 })
    assert.equal(1LL, cached:get(key(1, 7)).event)
    cached:done()
    assert.equal(2LL, get(key(1, 7)).event)
  end)

  it('is not disturbed by commits that change no row of the view', function()
    for i = 1, 100 do
      put(key(1, i), { event = i })
      get(key(1, i))
    end
    local before = stats(cached)
    db:write(function(write)
      write:put_mark(1, { materialized_to = 9 })
    end)
    db:write(function(write)
      for i = 1, 5000 do
        write:put(key(2, i), row({ event = i }))
      end
    end)
    for i = 1, 100 do
      assert.equal(i, tonumber(get(key(1, i)).event))
    end
    local after = stats(cached)
    assert.equal(before.stale, after.stale)
    assert.equal(before.missed, after.missed)
  end)

  it('forgets little when few rows change', function()
    db:write(function(write)
      for i = 1, 1000 do
        write:put(key(1, i), row({ event = 1 }))
      end
    end)
    for i = 1, 1000 do
      get(key(1, i))
    end
    put(key(1, 1), { event = 2 })
    for i = 1, 1000 do
      assert.equal(i == 1 and 2 or 1, tonumber(get(key(1, i)).event))
    end
    local stale = stats(cached).stale
    assert.is_true(stale >= 1 and stale < 10, stale .. ' of 1000 entries were stale')
  end)

  it('takes an aborted transaction for nothing', function()
    put(key(1, 7), { event = 1 })
    get(key(1, 7))
    local write = db:begin()
    write:put(key(1, 7), row({ event = 2 }))
    write:abort()
    put(key(1, 8), { event = 1 })
    assert.equal(1LL, get(key(1, 7)).event)
  end)

  it('sees that the rows of a dropped view are gone', function()
    put(key(3, 7), { event = 1 })
    get(key(3, 7))
    db:write(function(write)
      write:add_dropped(3)
      write:sweep(100)
    end)
    assert.is_nil(get(key(3, 7)))
  end)

  it('sees what another process commits', function()
    put(key(1, 7), { event = 1 })
    get(key(1, 7))
    assert.is_nil(get(key(1, 8)))
    local own = os.getenv('TIDEMARK_LIB')
    local script = space:write('child.lua', [[
      local store = require 'spec.support.store'
      local db = store.open(...)
      db:write(function(write)
        write:put(store.key(1, 7), store.row({ event = 2 }))
        write:put(store.key(1, 8), store.row({ event = 3 }))
      end)
      db:close()
    ]])
    local child = process.spawn(own and '/usr/bin/luajit' or process.TIDEMARK, {
      args = own and { script, space:path('store') } or { 'lua', script, space:path('store') },
      env = { LUA_PATH = './?.lua;./?/init.lua;;' },
    })
    assert.equal(0, child:wait(), child.stderr)
    assert.equal(2LL, get(key(1, 7)).event)
    assert.equal(3LL, get(key(1, 8)).event)
  end)

  it('stays within its bytes, and keeps what is used', function()
    db:write(function(write)
      for i = 1, 3000 do
        write:put(key(1, i), row({ event = i, values = { text('x', 1000) } }))
      end
    end)
    for i = 1, 3000 do
      for hot = 1, 20 do
        assert.equal(hot, tonumber(get(key(1, hot)).event))
      end
      get(key(1, i))
    end
    local after = stats(cached)
    assert.is_true(after.bytes <= after.capacity and after.capacity <= MEBIBYTE)
    assert.is_true(after.missed < 3100, after.missed .. ' misses')
  end)

  it('leaves out rows that are too large for it', function()
    put(key(1, 1), { event = 1, values = { text('x', 60000) .. '', text('y', 60000) } })
    local first = get(key(1, 1))
    assert.same(first, get(key(1, 1)))
    assert.equal(0, stats(cached).found)
  end)

  it('can be taken away', function()
    put(key(1, 1), { event = 1 })
    get(key(1, 1))
    C.tidemark_db_read_cache(cached.handle, 0)
    assert.equal(1LL, get(key(1, 1)).event)
    assert.equal(0, stats(cached).capacity)
  end)

  -- Keys short, long and beyond what is stored whole; rows from nothing to 20 kB; three times what
  -- fits.
  local function random_key()
    local number = math.random(1, 600)
    if number % 7 == 0 then
      local name = ('k'):rep(300 + number) .. number
      return key(number % 3 + 1, name), #name + 6 > 511 and key(0, name):sub(3) or nil
    end
    return key(number % 3 + 1, number)
  end

  local function write_some(event)
    db:write(function(write)
      for _ = 1, math.random(0, 8) do
        local wanted, whole = random_key()
        local deleted = random.once_in(10)
        local size = random.once_in(3) and math.random(256, 20000) or 256
        event = event + 1
        write:put(wanted, row({
          event = event - math.random(0, 5),
          created = event,
          deleted = deleted,
          values = not deleted and { text(string.char(97 + event % 26), size) } or nil,
          key = whole,
        }))
      end
    end)
    return event
  end

  it('equals the store, whatever is read and written', function()
    random.each(3, function()
      local event = math.random(1e6) * 1000
      for _ = 1, 150 do
        event = write_some(event)
        cached:begin()
        plain:begin()
        local ok, message = pcall(function()
          for _ = 1, 60 do
            local wanted = random_key()
            assert.same(plain:get(wanted), cached:get(wanted))
          end
        end)
        plain:done()
        cached:done()
        assert(ok, message)
      end
    end)
    local after = stats(cached)
    assert.is_true(after.found > 1000 and after.stale > 0, 'too few rows came from the cache')
  end)
end)
