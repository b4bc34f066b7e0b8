-- What a server counts and times: by RPC, and over HTTP as Prometheus reads it.

local mpack = require 'mpack'
local eventually = require 'spec.support.eventually'
local process = require 'spec.support.process'
local projects = require 'spec.support.project'
local servers = require 'spec.support.server'
local tidemark = require 'tidemark'
local wire = require 'spec.support.wire'

local ROWS = {
  '1001,2021-04-12T07:00:00Z,2021-04-12T07:00:00Z,0.5,10,Paris',
  '1002,2021-04-12T08:00:00Z,2021-04-12T08:00:00Z,,11,""',
}
local NOW = '2021-04-13T00:00:00Z'

local function asked(...)
  return { service = 'ranking', entities = { driver_id = { ... } }, now = NOW }
end

local function http_address(server)
  process.wait(function()
    return server.process.stdout:match('\nmetrics (%S+)\n')
  end, 'the address of the metrics')
  return server.process.stdout:match('\nmetrics (%S+)\n')
end

-- The samples of a text by `name{labels}`; every line has to be right.
local function parse(text)
  local samples, types = {}, {}
  for line in text:gmatch('([^\n]*)\n') do
    local family, kind = line:match('^# TYPE (tidemark_[%l_]+) (%l+)$')
    if family then
      assert(not types[family], family .. ' is there twice')
      types[family] = kind
    elseif not line:match('^# HELP tidemark_[%l_]+ %u.*%.$') then
      local name, labels, value = line:match('^(tidemark_[%l_]+)(%b{}) (%S+)$')
      if not name then
        name, value = line:match('^(tidemark_[%l_]+) (%S+)$')
        labels = ''
      end
      assert(name and tonumber(value), 'not a sample: ' .. line)
      local histogram = name:match('^(.*)_bucket$') or name:match('^(.*)_sum$')
        or name:match('^(.*)_count$')
      assert(types[name] or types[histogram] == 'histogram', 'no type of ' .. name)
      assert(not samples[name .. labels], line .. ' is there twice')
      samples[name .. labels] = tonumber(value)
    end
  end
  assert.equal('\n', text:sub(-1))
  return samples
end

describe('metrics', function()
  local project, server, address

  before_each(function()
    project = projects.new({ rows = ROWS })
    project:materialize('2021-04-01', '2021-04-13')
    server = servers.start(project.folder,
      { args = { '--threads', '3', '--metrics', '127.0.0.1:0' } })
    address = http_address(server)
  end)

  after_each(function()
    server:stop()
    project:remove()
  end)

  it('count calls, errors, rows and what was found, of all threads', function()
    local connections = {}
    for i = 1, 6 do
      connections[i] = server:connect()
      for _ = 1, 5 do
        connections[i]:call('get_online_features', asked(1001, 1002, 7))
      end
      connections[i]:call('get_online_features', { service = 'rankin', entities = {} })
      connections[i]:call('no_such_method')
    end
    local metrics = server:call('metrics')
    assert.same({ 3, 1, 7 }, { metrics.threads, metrics.generation, metrics.connections })
    local calls = metrics.methods.get_online_features
    assert.equal(36, calls.count)
    assert.same({ not_found = 6 }, calls.errors)
    assert.same({ not_found = 6 }, metrics.methods.unknown.errors)
    assert.equal(30 * 3, metrics.counters.rows)
    assert.equal(30 * 2, metrics.counters.present)
    assert.equal(30, metrics.counters.not_found)
    assert.same({ 30, 90 }, { metrics.services.ranking.count, metrics.services.ranking.rows })
    assert.is_nil(metrics.services.rankin)
    local times = calls.nanoseconds
    assert(0 < times.p50 and times.p50 <= times.p90 and times.p90 <= times.p99
      and times.p99 <= times.p999 and times.p999 <= times.max)
    assert(times.mean <= times.max and times.max < 60e9)
    assert(metrics.counters.received > 36 * 50 and metrics.counters.sent > 36 * 20)
    for _, connection in ipairs(connections) do
      connection:close()
    end
    eventually(function()
      return server:call('metrics').connections == 1
    end, 'six connections to be counted as closed')
    assert.equal(6, server:call('metrics').counters.closed_peer)
  end)

  it('tell how fresh views are and how many rows they have', function()
    local view = eventually(function()
      local views = server:call('metrics').views
      return views[1].rows ~= mpack.NIL and views[1]
    end, 'rows to be counted')
    assert.same({ 'rates', 2, 0, tidemark.time('2021-04-13') },
      { view.view, view.rows, view.tombstones, view.mark })
    local year = 365 * 86400 * 1e6
    assert(view.age > year and view.age < 100 * year)
    project:set_rows({ '7,2021-04-13T07:00:00Z,2021-04-13T07:00:00Z,0.75,12,Rome' })
    project:materialize('2021-04-13', '2021-04-14')
    assert.equal(tidemark.time('2021-04-14'), server:call('metrics').views[1].mark)
    eventually(function()
      return server:call('metrics').views[1].rows == 3
    end, 'the new row to be counted')
    local store = server:call('metrics').store
    assert.equal(3, store.rows)
    assert(store.used_bytes > 0 and store.used_bytes < store.map_bytes and store.readers >= 1)
  end)

  it('tell what rows in memory are good for', function()
    local connection = server:connect()
    for _ = 1, 5 do
      connection:call('get_online_features', asked(1001, 1002, 7))
    end
    local metrics = connection:call('metrics')
    local counters, cache = metrics.counters, metrics.cache
    assert.same({ 3, 12, 0, 0 }, { counters.cache_missed, counters.cache_found,
      counters.cache_stale, counters.cache_evicted })
    assert(0 < cache.bytes and cache.bytes < 1024 and cache.capacity > 0x100000)
    project:set_rows({ '1001,2021-04-13T07:00:00Z,2021-04-13T07:00:00Z,0.75,12,Rome' })
    project:materialize('2021-04-13', '2021-04-14')
    connection:call('get_online_features', asked(1001))
    counters = connection:call('metrics').counters
    assert.same({ 3, 12, 1 },
      { counters.cache_missed, counters.cache_found, counters.cache_stale })
    local samples = parse((select(3, wire.get(address, '/metrics'))))
    assert.equal(12, samples['tidemark_cache_lookups_total{result="found"}'])
    -- Threads that have started since may have added theirs.
    assert(samples.tidemark_cache_capacity_bytes >= cache.capacity)
    connection:close()
  end)

  it('are there before anything is applied', function()
    local empty = projects.new({ apply = false })
    local other = servers.start(empty.folder, { args = { '--metrics', '127.0.0.1:0' } })
    finally(function()
      other:stop()
      empty:remove()
    end)
    local metrics = other:call('metrics')
    assert.same({ 0, {}, mpack.NIL }, { metrics.generation, metrics.views, metrics.store })
    local samples = parse((select(3, wire.get(http_address(other), '/metrics'))))
    assert.equal(0, samples.tidemark_generation)
    assert.equal(1, samples.tidemark_store_readable)
    assert.equal(200, (wire.get(http_address(other), '/healthz')))
  end)

  it('are the same in the text of Prometheus', function()
    for _ = 1, 10 do
      server:call('get_online_features', asked(1001, 5))
    end
    server:call('describe', { name = 'x' })
    eventually(function()
      return server:call('metrics').views[1].rows ~= mpack.NIL
    end, 'rows to be counted')
    local status, headers, body = wire.get(address, '/metrics')
    assert.equal(200, status)
    assert.equal('text/plain; version=0.0.4; charset=utf-8', headers['content-type'])
    assert.equal(#body, tonumber(headers['content-length']))
    local samples = parse(body)
    local expected = {
      tidemark_threads = 3,
      tidemark_connections = 1,
      tidemark_rows_total = 20,
      ['tidemark_lookups_total{status="PRESENT"}'] = 10,
      ['tidemark_lookups_total{status="NOT_FOUND"}'] = 10,
      ['tidemark_request_seconds_count{method="get_online_features"}'] = 10,
      ['tidemark_request_seconds_bucket{method="get_online_features",le="+Inf"}'] = 10,
      ['tidemark_errors_total{method="describe",code="not_found"}'] = 1,
      ['tidemark_service_seconds_count{service="ranking"}'] = 10,
      ['tidemark_service_rows_total{service="ranking"}'] = 20,
      ['tidemark_view_rows{view="rates"}'] = 2,
      ['tidemark_view_mark_seconds{view="rates"}'] = tidemark.time('2021-04-13') / 1000000,
      tidemark_generation = 1,
      tidemark_store_rows = 2,
      tidemark_store_readable = 1,
    }
    for name, value in pairs(expected) do
      assert.equal(tonumber(value), samples[name], name)
    end
    -- Buckets only grow.
    local bounds = {}
    for name, value in pairs(samples) do
      local bound = name:match('^tidemark_request_seconds_bucket{method="describe",le="([%d.]+)"}$')
      if bound then
        bounds[#bounds + 1] = { tonumber(bound), value }
      end
    end
    table.sort(bounds, function(a, b)
      return a[1] < b[1]
    end)
    assert(#bounds > 20)
    for i = 2, #bounds do
      assert(bounds[i - 1][2] <= bounds[i][2])
    end
    assert.equal(1, bounds[#bounds][2])
  end)

  describe('over HTTP', function()
    it('are answered for GET and HEAD of two paths only', function()
      for _, case in ipairs({
        { 'GET /metrics?x=1', 200 }, { 'HEAD /metrics', 200 }, { 'GET /healthz', 200 },
        { 'HEAD /healthz', 200 }, { 'GET /', 404 }, { 'GET /metrics/', 404 },
        { 'GET /../etc/passwd', 404 }, { 'DELETE /metrics', 405 }, { 'OPTIONS *', 405 },
        { 'POST /metrics', 405 }, { 'PUT /healthz', 405 },
      }) do
        local status, headers, body = wire.http(address,
          case[1] .. ' HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        assert.equal(case[2], status, case[1])
        assert.equal('close', headers.connection)
        if case[1]:match('^HEAD') then
          assert.equal('', body)
          assert(tonumber(headers['content-length']) > 0)
        end
        if status == 405 then
          assert.equal('GET, HEAD', headers.allow)
        end
      end
    end)

    it('are answered one after the other on a connection that is kept', function()
      local raw = wire.open(address)
      raw:write(('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'):rep(50)
        .. 'GET /healthz HTTP/1.0\r\n\r\n')
      local _, count = raw:rest():gsub('HTTP/1.1 200 OK\r\n', '')
      raw:close()
      assert.equal(51, count)
    end)

    it('are answered to a request in single bytes', function()
      local raw = wire.open(address)
      for byte in ('GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n'):gmatch('.') do
        raw:write(byte)
        require('luv').run('nowait')
      end
      assert.matches('\r\n\r\nok\n$', raw:rest())
      raw:close()
    end)

    it('refuse what is no HTTP, and what is too long', function()
      for _, case in ipairs({
        { '\148\0\1\166health\144', 400 },
        { 'GET /metrics\r\n\r\n', 505 },
        { 'GET /metrics HTTP/1.1\r\nbad header\r\n\r\n', 400 },
        { 'GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n', 400 },
        { 'GET /metrics HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n', 400 },
        { 'GET /metrics HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n', 400 },
        { 'GET /' .. ('x'):rep(9000) .. ' HTTP/1.1\r\n\r\n', 414 },
        { 'GET /metrics HTTP/1.1\r\nX: ' .. ('x'):rep(17000), 431 },
      }) do
        local raw = wire.open(address)
        raw:write(case[1])
        local text = raw:rest()
        raw:close()
        -- With input that nobody reads, the system may drop the answer.
        assert(text == '' or text:match('^HTTP/1.1 ' .. case[2]), text)
      end
      assert.equal(200, (wire.get(address, '/healthz')))
    end)

    it('close one connection too many', function()
      local opened = {}
      for i = 1, 64 do
        opened[i] = wire.open(address)
      end
      local extra = wire.open(address)
      assert.equal('', extra:rest())
      extra:close()
      opened[1]:write('GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n')
      assert.matches('ok\n$', opened[1]:rest())
      for i = 1, 64 do
        opened[i]:close()
      end
      eventually(function()
        return (select(2, pcall(wire.get, address, '/healthz'))) == 200
      end)
    end)
  end)
end)
