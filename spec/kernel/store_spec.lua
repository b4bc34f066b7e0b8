local ffi = require 'ffi'
local C = require 'spec.support.ffi'
local process = require 'spec.support.process'
local random = require 'spec.support.random'
local store = require 'spec.support.store'
local workspace = require 'spec.support.workspace'

ffi.cdef [[
void *tidemark_arena_new(void);
void tidemark_arena_free(void *arena);
int fork(void);
void _exit(int status);
int waitpid(int pid, int *status, int options);
]]

local key, row = store.key, store.row

-- Starts an interpreter on `text`, which finds the store's folder in `...`.
local function spawn_child(space, text, ...)
  local script = space:write('child.lua', text)
  local own = os.getenv('TIDEMARK_LIB')
  local program = own and '/usr/bin/luajit' or process.TIDEMARK
  local args = own and { script, ... } or { 'lua', script, ... }
  return process.spawn(program, { args = args, env = { LUA_PATH = './?.lua;./?/init.lua;;' } })
end

describe('the store', function()
  local space, db

  before_each(function()
    space = workspace.new()
    db = store.open(space:path('store'))
  end)

  after_each(function()
    if db then
      db:close()
    end
    space:remove()
  end)

  local function reopen(options)
    db:close()
    db = nil
    db = store.open(space:path('store'), options)
  end

  local function put(view_id, entity, fields)
    return db:write(function(write)
      return write:put(key(view_id, entity), row(fields))
    end)
  end

  local function get(view_id, entity)
    return db:read(function(read)
      return read:get(key(view_id, entity))
    end)
  end

  describe('opening', function()
    it('makes the folder with its parents and finds it again', function()
      local deep = space:path('a/b/c')
      local other = store.open(deep)
      other:write(function(write)
        write:put(key(1, 7), row({ event = 1 }))
      end)
      other:close()
      other = store.open(deep .. '/', { read_only = true })
      assert.equal(1, other:stats().online_rows)
      other:close()
    end)

    it('refuses a second open of the same folder in one process, by whatever path', function()
      local again = space:path('store') .. '/../store'
      assert.error_matches(function()
        store.open(again)
      end, '^store: .*open in this process already')
    end)

    it('does not make what is opened for reading only', function()
      assert.error_matches(function()
        store.open(space:path('none'), { read_only = true })
      end, '^not_found: .*tidemark apply')
      assert.is_false(space:exists('none'))
    end)

    it('refuses to write where it reads only', function()
      reopen({ read_only = true })
      assert.error_matches(function()
        db:begin()
      end, '^store: .*reading only')
    end)

    it('refuses a file that is no database', function()
      space:write('junk/data.mdb', ('junk'):rep(5000))
      assert.error_matches(function()
        store.open(space:path('junk'))
      end, '^store: .*not a store')
    end)

    it('refuses a path that is no folder', function()
      local file = space:write('file', 'x')
      assert.error_matches(function()
        store.open(file .. '/store')
      end, '^io: ')
    end)

    -- The format's record is the only place in the file with these bytes: what another version or
    -- another machine would have written is patched in.
    local function patch(field_at, byte)
      db:close()
      db = nil
      local bytes = space:read('store/data.mdb')
      local at = assert(bytes:find('tidemark', 1, true)) + field_at
      space:write('store/data.mdb', bytes:sub(1, at - 1) .. string.char(byte) .. bytes:sub(at + 1))
    end

    it('refuses the format of another version', function()
      patch(8, 99)
      assert.error_matches(function()
        store.open(space:path('store'))
      end, '^store: .*format 99')
    end)

    it('refuses the store of another kind of machine', function()
      patch(12, 4)
      assert.error_matches(function()
        store.open(space:path('store'))
      end, '^store: .*32%-bit little%-endian')
    end)

    it('refuses a database of somebody else', function()
      patch(0, ('T'):byte())
      assert.error_matches(function()
        store.open(space:path('store'))
      end, "^store: .*not Tidemark's")
    end)

    it('refuses its parent\'s store in a forked child', function()
      local pid = ffi.C.fork()
      if pid == 0 then
        local ok, message = pcall(function()
          db:begin()
        end)
        ffi.C._exit((not ok and message:find('before a fork', 1, true)) and 0 or 1)
      end
      local status = ffi.new('int[1]', -1)
      assert.equal(pid, ffi.C.waitpid(pid, status, 0))
      assert.equal(0, status[0])
      put(1, 1, { event = 1 })
      assert.is_table(get(1, 1))
    end)
  end)

  describe('transactions', function()
    it('keep nothing when aborted', function()
      local write = db:begin()
      write:put(key(1, 1), row({ event = 1 }))
      write:abort()
      assert.is_nil(get(1, 1))
    end)

    it('refuse a second write by the same thread instead of waiting for ever', function()
      local write = db:begin()
      assert.error_matches(function()
        db:begin()
      end, '^internal: .*writing')
      write:abort()
      put(1, 1, { event = 1 })
    end)

    it('show a reader one snapshot until it begins anew', function()
      local read = db:reader()
      read:begin()
      local before = read:snapshot()
      put(1, 1, { event = 1 })
      assert.is_nil(read:get(key(1, 1)))
      assert.equal(before, read:snapshot())
      read:done()
      read:begin()
      assert.is_table(read:get(key(1, 1)))
      assert.is_true(read:snapshot() > before)
      read:done()
      read:free()
    end)

    it('say when they have grown large enough', function()
      db:write(function(write)
        for i = 1, 1000 do
          write:put(key(1, i), row({ event = 1 }))
        end
        assert.is_false(write:full())
        local megabyte = row({ event = 1, values = { '\219\0\16\0\0' .. ('x'):rep(0x100000) } })
        for i = 1001, 1100 do
          write:put(key(1, i), megabyte)
        end
        assert.is_true(write:full())
      end)
    end)
  end)

  describe('limits', function()
    local function fill()
      local value = '\218\3\232' .. ('x'):rep(1000)
      db:write(function(write)
        for i = 1, 5000 do
          write:put(key(1, i), row({ event = 1, values = { value } }))
        end
      end)
    end

    it('tells that the map is full and stays as it was', function()
      reopen({ map_size = 0x100000 })
      put(1, 1, { event = 1 })
      assert.error_matches(fill, '^limit: .*filled its map of 1048576 bytes; open it with a larger')
      assert.equal(1, db:stats().online_rows)
      reopen({ map_size = 0x1000000 })
      fill()
      assert.equal(5000, db:stats().online_rows)
    end)

    -- A limit on the size of files stands for a full disk.
    it('tells that the disk is full, stays as it was and goes on reading', function()
      put(1, 1, { event = 1 })
      local child = spawn_child(space, [[
        local ffi = require 'ffi'
        ffi.cdef 'int setrlimit(int, const uint64_t *); void *signal(int, void *);'
        local store = require 'spec.support.store'
        local db = store.open(...)
        ffi.C.signal(25, ffi.cast('void *', 1))  -- SIGXFSZ, ignored
        ffi.C.setrlimit(1, ffi.new('uint64_t[2]', 0x100000, 0x100000))  -- RLIMIT_FSIZE
        local value = '\218\3\232' .. ('x'):rep(1000)
        local ok, message = pcall(db.write, db, function(write)
          for i = 1, 5000 do
            write:put(store.key(1, i), store.row({ event = 2, values = { value } }))
          end
        end)
        io.write(tostring(ok), ' ', message, ' ', db:stats().online_rows, ' ')
        db:write(function(write)
          write:put(store.key(1, 1), store.row({ event = 3 }))
        end)
        io.write(tostring(db:read(function(read) return read:get(store.key(1, 1)) end).event))
        db:close()
      ]], space:path('store'))
      assert.equal(0, child:wait(), child.stderr)
      assert.truthy(child.stdout:find('^false store: .*full or failing.*nothing was .* 1 3LL$'),
        child.stdout)
      assert.equal(3LL, get(1, 1).event)
    end)

    it('takes back the reader slots of processes that died', function()
      local child = spawn_child(space, [[
        local db = require('spec.support.store').open(..., {})
        local readers = {}
        for i = 1, 1000 do
          readers[i] = db:reader()
        end
        io.write('ready\n')
        io.flush()
        io.read()
        while true do end
      ]], space:path('store'))
      process.wait(function()
        return child.stdout:find('ready') or child.status
      end, 'the child')
      assert.is_nil(child.status, child.stderr)
      child:send('sigkill')
      child:wait()
      local readers = {}
      for i = 1, 1000 do
        readers[i] = db:reader()
      end
      for _, read in ipairs(readers) do
        read:free()
      end
    end)

    it('tells that all reader slots are taken', function()
      local readers = {}
      assert.error_matches(function()
        for i = 1, 1100 do
          readers[i] = db:reader()
        end
      end, '^limit: .*reader slots')
      assert.is_true(#readers > 1000)
      for _, read in ipairs(readers) do
        read:free()
      end
    end)
  end)

  describe('online rows', function()
    it('come back as they were put', function()
      assert.equal('written', put(3, 42, {
        event = 5LL,
        created = 6LL,
        arrival = 7LL,
        values = { '\1', '\163abc', '\192' },
      }))
      assert.same(
        { event = 5LL, created = 6LL, arrival = 7LL, deleted = false, values = '\1\163abc\192' },
        get(3, 42)
      )
      assert.is_nil(get(3, 43))
      assert.is_nil(get(4, 42))
    end)

    it('are replaced by greater ones only, in each part of the rank', function()
      put(1, 1, { event = 10, created = 10, arrival = 10 })
      assert.equal('stale', put(1, 1, { event = 10, created = 10, arrival = 10 }))
      assert.equal('stale', put(1, 1, { event = 9, created = 99, arrival = 99 }))
      assert.equal('stale', put(1, 1, { event = 10, created = 9, arrival = 99 }))
      assert.equal('stale', put(1, 1, { event = 10, created = nil, arrival = 99 }))
      assert.equal('stale', put(1, 1, { event = 10, created = 10, arrival = 9 }))
      assert.equal('written', put(1, 1, { event = 10, created = 10, arrival = 11 }))
      assert.equal('written', put(1, 1, { event = 10, created = 11, arrival = 0 }))
      assert.equal('written', put(1, 1, { event = 11, created = nil, arrival = 0 }))
    end)

    it('stay deleted until a newer row revives them', function()
      put(1, 1, { event = 10, values = { '\1' } })
      assert.equal('written', put(1, 1, { event = 20, deleted = true }))
      assert.is_true(get(1, 1).deleted)
      assert.equal('stale', put(1, 1, { event = 15, values = { '\2' } }))
      assert.is_true(get(1, 1).deleted)
      assert.equal('written', put(1, 1, { event = 21, values = { '\3' } }))
      assert.equal('\3', get(1, 1).values)
    end)

    it('equal a table of the greatest rows after thousands of random puts', function()
      random.each(20, function()
        local other = store.open(space:path('random' .. math.random(0, 2 ^ 30)))
        local oracle = {}
        local largest = random.pick({ 0, 30, 3000, 9000 })
        for _ = 1, 10 do
          other:write(function(write)
            for _ = 1, 100 do
              local view_id, entity = math.random(1, 2), math.random(0, 60)
              local new = {
                event = math.random(-2, 2),
                created = not random.once_in(3) and math.random(-1, 1) or nil,
                arrival = math.random(0, 2),
                deleted = random.once_in(5),
              }
              local size = math.random(0, largest)
              new.values = not new.deleted
                  and { '\219' .. store.little(size, 4):reverse() .. ('v'):rep(size) }
                or nil
              local name = view_id .. '/' .. entity
              local old = oracle[name]
              local wins = not old
              if old then
                local a = { new.event, new.created or -100, new.arrival }
                local b = { old.event, old.created or -100, old.arrival }
                for i = 1, 3 do
                  if a[i] ~= b[i] then
                    wins = a[i] > b[i]
                    break
                  end
                end
              end
              oracle[name] = wins and new or old
              assert.equal(wins and 'written' or 'stale', write:put(key(view_id, entity), row(new)))
            end
          end)
        end
        other:read(function(read)
          for view_id = 1, 2 do
            for entity = 0, 60 do
              local wanted = oracle[view_id .. '/' .. entity]
              local got = read:get(key(view_id, entity))
              assert.equal(wanted ~= nil, got ~= nil)
              if wanted then
                assert.equal(wanted.event, tonumber(got.event))
                assert.equal(wanted.created or store.TIME_NULL, got.created)
                assert.equal(wanted.arrival, tonumber(got.arrival))
                assert.equal(wanted.deleted, got.deleted)
                assert.equal(wanted.values and wanted.values[1] or '', got.values)
              end
            end
          end
        end)
        other:close()
      end)
    end)

    local function put_long(write, text, event)
      local whole = key(1, text)
      return write:put(whole, row({ event = event, key = whole:sub(3) }))
    end

    it('keep keys of any length apart', function()
      local long = ('k'):rep(600)
      local texts = { long .. 'a', long .. 'b', long, ('k'):rep(505), ('k'):rep(506) }
      db:write(function(write)
        for i, text in ipairs(texts) do
          local whole = key(1, text)
          local carried = #whole > 511 and whole:sub(3) or nil
          assert.equal('written', write:put(whole, row({ event = i, key = carried })))
        end
      end)
      db:read(function(read)
        for i, text in ipairs(texts) do
          assert.equal(i, tonumber(read:get(key(1, text)).event))
        end
        assert.is_nil(read:get(key(1, long .. 'c')))
      end)
    end)

    it('compare long keys by rank as well', function()
      local long = ('k'):rep(2000)
      db:write(function(write)
        assert.equal('written', put_long(write, long, 2))
        assert.equal('stale', put_long(write, long, 1))
        assert.equal('written', put_long(write, long, 3))
      end)
    end)

    it('refuse a long key that the row does not carry', function()
      local whole = key(1, ('k'):rep(600))
      assert.error_matches(function()
        db:write(function(write)
          write:put(whole, row({ event = 1 }))
        end)
      end, '^internal: .*does not carry it')
    end)

    it('are never overwritten by another key with the same stored form', function()
      local sha = key(1, ('k'):rep(600))
      db:write(function(write)
        write:put(sha, row({ event = 1, key = sha:sub(3) }))
      end)
      -- The digest form of the long key, given as if it were a key of its own.
      local bytes = space:read('store/data.mdb')
      local at = assert(bytes:find(sha:sub(1, 479), 1, true))
      local stored = bytes:sub(at, at + 510)
      assert.error_matches(function()
        db:write(function(write)
          write:put(stored, row({ event = 9 }))
        end)
      end, '^store: .*same digest')
      db:read(function(read)
        assert.is_nil(read:get(stored))
        assert.equal(1, tonumber(read:get(sha).event))
      end)
    end)

    it('are scanned page by page in key order, long keys included', function()
      local wanted = {}
      db:write(function(write)
        for i = 1, 300 do
          local text = ('%s%03d'):format(i % 3 == 0 and ('x'):rep(600) or 'x', i)
          local whole = key(2, text)
          write:put(whole, row({ event = i, key = #whole > 511 and whole:sub(3) or nil }))
          wanted[whole:sub(3)] = i
        end
        write:put(key(1, 'before'), row({ event = 0 }))
        write:put(key(3, 'behind'), row({ event = 0 }))
      end)
      local after, count, pages = '', 0, 0
      repeat
        local page = db:read(function(read)
          return read:scan(2, after, 4000)
        end)
        for _, entry in ipairs(page) do
          assert.equal(wanted[entry.key], tonumber(entry.event))
          wanted[entry.key] = nil
          count = count + 1
          after = entry.key
        end
        pages = pages + 1
      until #page == 0
      assert.equal(300, count)
      assert.is_true(pages > 10)
    end)

    it('are scanned on from a key that is gone or was never there', function()
      db:write(function(write)
        for i = 10, 50, 10 do
          write:put(key(2, i), row({ event = i }))
        end
      end)
      db:read(function(read)
        local page = read:scan(2, key(0, 25):sub(3), 1000)
        assert.same({ 30, 40, 50 }, {
          tonumber(page[1].event), tonumber(page[2].event), tonumber(page[3].event),
        })
        assert.same({}, read:scan(2, key(0, 50):sub(3), 1000))
        assert.same({}, read:scan(9, '', 1000))
      end)
    end)
  end)

  describe('marks', function()
    local MARK = {
      materialized_from = -5LL,
      materialized_to = 7LL,
      created_to = store.TIME_NULL,
      updated_at = 1735689600000000LL,
      rows_read = 11LL,
      rows_written = 12LL,
    }

    it('are kept for each view', function()
      db:write(function(write)
        write:put_mark(1, MARK)
      end)
      reopen()
      db:read(function(read)
        assert.same(MARK, read:mark(1))
        assert.is_nil(read:mark(2))
      end)
    end)

    it('go with the rows of their transaction', function()
      local write = db:begin()
      write:put_mark(1, MARK)
      write:abort()
      db:read(function(read)
        assert.is_nil(read:mark(1))
      end)
    end)
  end)

  describe('the registry', function()
    local arena

    before_each(function()
      arena = C.tidemark_arena_new()
    end)

    after_each(function()
      C.tidemark_arena_free(arena)
    end)

    local function apply(number)
      db:write(function(write)
        write:put_generation(number, 1000 + number, 'catalog\0' .. number, ('s'):rep(100000), '')
      end)
    end

    it('is empty at first', function()
      db:read(function(read)
        assert.equal(0, read:generation())
        assert.is_nil(read:record(0, arena))
      end)
    end)

    it('keeps every generation in order, beyond 255', function()
      for number = 1, 300 do
        apply(number)
      end
      reopen()
      db:read(function(read)
        assert.equal(300, read:generation())
        assert.same({
          generation = 300,
          applied_at = 1300LL,
          catalog = 'catalog\000300',
          sources = ('s'):rep(100000),
          changes = '',
        }, read:record(0, arena))
        assert.equal('catalog\0007', read:record(7, arena).catalog)
        assert.is_nil(read:record(301, arena))
      end)
    end)

    it('refuses a generation that does not follow the current one', function()
      apply(1)
      for _, number in ipairs({ 1, 3, 0 }) do
        assert.error_matches(function()
          apply(number)
        end, '^conflict: .*generation 1 is current')
      end
    end)

    it('sweeps the rows of dropped views bit by bit, and their marks', function()
      db:write(function(write)
        for view_id = 1, 4 do
          for i = 1, 100 do
            write:put(key(view_id, i), row({ event = i, values = { '\1' } }))
          end
          write:put_mark(view_id, { materialized_to = 1 })
        end
        write:add_dropped(2)
        write:add_dropped(4)
      end)
      local total, rounds, done = 0, 0, false
      while not done do
        total = total + db:write(function(write)
          local deleted
          deleted, done = write:sweep(30)
          assert.is_true(deleted <= 30)
          return deleted
        end)
        rounds = rounds + 1
      end
      assert.equal(200, total)
      assert.is_true(rounds >= 7)
      assert.equal(200, db:stats().online_rows)
      db:read(function(read)
        for view_id = 1, 4 do
          assert.equal(view_id % 2 == 1, read:mark(view_id) ~= nil)
          assert.equal(view_id % 2 == 1, read:get(key(view_id, 50)) ~= nil)
        end
      end)
      db:write(function(write)
        assert.same({ 0, true }, { write:sweep(1) })
      end)
    end)

    it('sweeps a view that has no rows', function()
      db:write(function(write)
        write:add_dropped(9)
        assert.same({ 0, true }, { write:sweep(10) })
      end)
    end)
  end)

  describe('copies', function()
    it('hold what was committed', function()
      put(1, 1, { event = 3 })
      db:copy(space:path('backup/today'))
      put(1, 1, { event = 4 })
      local copy = store.open(space:path('backup/today'))
      assert.equal(3, tonumber(copy:read(function(read)
        return read:get(key(1, 1))
      end).event))
      copy:close()
    end)

    it('go into an empty folder only', function()
      space:write('full/file', '')
      assert.error_matches(function()
        db:copy(space:path('full'))
      end, '^invalid: .*not empty')
    end)
  end)

  describe('two processes', function()
    local function run_child(text, ...)
      local child = spawn_child(space, text, space:path('store'), ...)
      local status = child:wait()
      assert.equal(0, status, child.stderr)
      return child.stdout
    end

    it('see each other\'s commits', function()
      put(1, 1, { event = 1 })
      local out = run_child([[
        local store = require 'spec.support.store'
        local db = store.open(...)
        io.write(tostring(db:read(function(read) return read:get(store.key(1, 1)) end).event))
        db:write(function(write)
          write:put(store.key(1, 1), store.row({ event = 2 }))
        end)
        db:close()
      ]])
      assert.equal('1LL', out)
      assert.equal(2LL, get(1, 1).event)
    end)

    it('follow a store that another one has made larger than their map', function()
      reopen({ map_size = 0x100000 })
      local read = db:reader()
      put(1, 1, { event = 1 })
      run_child([[
        local store = require 'spec.support.store'
        local db = store.open(..., { map_size = 0x4000000 })
        local value = '\218\3\232' .. ('x'):rep(1000)
        db:write(function(write)
          for i = 2, 5000 do
            write:put(store.key(1, i), store.row({ event = i, values = { value } }))
          end
        end)
        db:close()
      ]])
      read:begin()
      assert.equal(4000LL, read:get(key(1, 4000)).event)
      read:done()
      read:free()
      put(1, 1, { event = 2 })
      assert.equal(2LL, get(1, 1).event)
    end)
  end)

  -- A child commits rows and their mark again and again and is killed at any moment: what is there
  -- then is one whole commit, and no earlier one than it has told of.
  it('survives kill -9 with rows and marks of one commit', function()
    db:close()
    db = nil
    local told = 0
    for _ = 1, 20 do
      local child = spawn_child(space, [[
        local store = require 'spec.support.store'
        local folder, first = ...
        local db = store.open(folder, { sync = true })
        for n = tonumber(first) + 1, math.huge do
          db:write(function(write)
            for i = 1, 200 do
              write:put(store.key(1, i), store.row({ event = n, values = { '\1' } }))
            end
            write:put_mark(1, { materialized_to = n })
          end)
          io.write(n, '\n')
          io.flush()
        end
      ]], space:path('store'), tostring(told))
      local lines = math.random(1, 8)
      process.wait(function()
        return child.status or select(2, child.stdout:gsub('\n', '\n')) >= lines
      end, 'commits of the child')
      child:send('sigkill')
      local _, signal = child:wait()
      assert.equal(9, signal, child.stderr)
      told = math.max(told, tonumber(child.stdout:match('(%d+)\n[^\n]*$')) or 0)

      local other = store.open(space:path('store'))
      other:read(function(read)
        local mark = tonumber(read:mark(1).materialized_to)
        assert.is_true(mark == told or mark == told + 1)
        for i = 1, 200 do
          assert.equal(mark, tonumber(read:get(key(1, i)).event))
        end
        told = mark
      end)
      other:close()
    end
  end)
end)
