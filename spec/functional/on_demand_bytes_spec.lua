-- What an on-demand view makes of a row is the same to the byte in a training set and at serving,
-- for one row and for many, whatever the values are.

local ffi = require 'ffi'
local mpack = require 'mpack'
local blueprints = require 'spec.support.blueprints'
local data = require 'spec.support.data'
local projects = require 'spec.support.project'
local random = require 'spec.support.random'
local servers = require 'spec.support.server'
local wire = require 'spec.support.wire'
local C = require 'spec.support.ffi'

local KEYS = 60
local ROWS = tonumber(os.getenv('TIDEMARK_ROWS') or '') or 3000
local NOW = 1618272000000000LL

local REALS = { 0, -0.0, 1, 0.1, -2.5, 1e300, -1e300, 5e-324, 1 / 0, -1 / 0, 0 / 0, 16777217 }
local TEXTS = { '', 'a', 'é', 'naïve 漢字', '🙂', '007', 'null', 'NaN', ('long '):rep(60), '\0', '\n' }
local NUMBERS = { 0, 1, -1, 7, 255, 65536, 2 ^ 31 - 1, -2 ^ 31 }

local DRAW = {
  float64 = function()
    return random.once_in(2) and random.pick(REALS) or math.random()
  end,
  float32 = function()
    return tonumber(ffi.new('float', random.once_in(2) and random.pick(REALS) or math.random()))
  end,
  int32 = function()
    return random.pick(NUMBERS)
  end,
  int64 = function()
    return random.once_in(30) and 9007199254740993LL or random.once_in(9) and -2 ^ 53
      or random.pick(NUMBERS)
  end,
  timestamp = function()
    return NOW - math.random(0, 10 ^ 9)
  end,
  bool = function()
    return random.once_in(2)
  end,
  string = function()
    return random.pick(TEXTS)
  end,
}

-- Name and type of the stored features and, with an `r` in front, of the request's columns.
local FIELDS = {
  { 'a', 'float64' }, { 'b', 'float32' }, { 'c', 'int64' }, { 'd', 'int32' }, { 'e', 'bool' },
  { 'f', 'string' }, { 'g', 'timestamp' }, { 'h', 'list(float64)' }, { 'i', 'vector(3)' },
  { 'j', 'list(string)' },
}

local function draw(name)
  local element = name:match('^list%((.*)%)$')
  if random.once_in(6) then
    return data.NULL
  elseif not element and name ~= 'vector(3)' then
    return DRAW[name]()
  end
  local list = {}
  for i = 1, element and math.random(0, 4) or 3 do
    list[i] = element and random.once_in(6) and data.NULL or DRAW[element or 'float32']()
  end
  return list
end

local function declare(prefix)
  local words = {}
  for i, field in ipairs(FIELDS) do
    local word, argument = field[2]:match('^(%a+)%((.*)%)$')
    if word == 'list' then
      words[i] = ("list(%s) '%s%s'"):format(argument, prefix, field[1])
    elseif word then
      words[i] = ("%s(%s) '%s%s'"):format(word, argument, prefix, field[1])
    else
      words[i] = ("%s '%s%s'"):format(field[2], prefix, field[1])
    end
  end
  return words
end

local DEFINITION = blueprints.entity('user', { "int64 'user'" })
  .. blueprints.source('facts', { path = 'data/facts.msgpack', event_time = 'at',
    created_time = false, time_unit = 'us' })
  .. blueprints.view('facts', declare(''), { entity = 'user', source = 'facts' })
  .. ([[
on_demand_feature_view 'mixed' {
  inputs = { 'facts:*' },
  request = { REQUEST },
  features = {
    float64 'sum', float32 'narrow', int64 'whole', int32 'count', bool 'both', string 'text',
    float64 'age', list(float64) 'joined', vector(3) 'scaled', list(string) 'words', float64 'ra2',
  },
  on_error = 'null',
  transform = function(row)
    local joined, words, scaled = {}, {}, nil
    local h, rh = row.h or { n = 0 }, row.rh or { n = 0 }
    for i = 1, h.n do
      joined[i] = h[i]
    end
    for i = 1, rh.n do
      joined[h.n + i] = rh[i]
    end
    joined.n = h.n + rh.n
    for i = 1, row.j and row.j.n or 0 do
      words[i] = (row.j[i] or 'none') .. (row.rf or '')
    end
    if row.i and row.ri then
      scaled = { row.i[1] * row.ri[1], row.i[2] + row.ri[2], row.i[3] - row.ri[3] }
    end
    return {
      sum = row.a and row.ra and row.a + row.ra * 3,
      narrow = row.b and row.rb and row.b * row.rb,
      whole = (row.c or 0) - (row.rc or 0),
      count = row.d and row.rd and math.floor(row.d / 2 + row.rd / 2),
      both = row.e == row.re,
      text = row.f and row.f:upper() .. '|' .. (row.rf or 'none'),
      age = row.g and row.rg and (row.rg - row.g) / 1e6,
      joined = row.h and joined or nil,
      scaled = scaled,
      words = words,
      ra2 = row.ra and row.ra ^ 2,
    }
  end,
}

on_demand_feature_view 'chained' {
  inputs = { 'mixed:*', 'facts:f' },
  request = { string 'rf' },
  on_error = 'null',
  features = { float64 'half', string 'again', int64 'size', bool 'odd' },
  transform = function(row)
    return {
      half = row.sum and row.sum / 2,
      again = row.text and row.text .. (row.f or '') .. (row.rf or ''),
      size = row.joined and row.joined.n,
      odd = row.whole and row.whole % 2 == 1,
    }
  end,
}
]]):gsub('REQUEST', (table.concat(declare('r'), ', ')))

local FEATURES = { 'mixed:*', 'facts:a', 'facts:j', 'chained:*' }

-- msgpack bytes, split without decoding them ------------------------------------------------------

local used, token = ffi.new('size_t[1]'), ffi.new('MpToken')

local function take_count(text, at)
  local bytes = text:sub(at, at + 8)
  assert(C.tidemark_mp_next(bytes, #bytes, token, used) == 0)
  return token.count, at + tonumber(used[0])
end

local function take_value(text, at)
  local rest = ffi.cast('const char *', text) + at - 1
  assert(C.tidemark_mp_skip(rest, #text - at + 1, 64, 1e9, used) == 0)
  local size = tonumber(used[0])
  return text:sub(at, at + size - 1), at + size
end

-- Arrays of the values of each row, from an array of arrays.
local function split_rows(text)
  local rows = {}
  local count, at = take_count(text, 1)
  for row = 1, count do
    local columns
    columns, at = take_count(text, at)
    rows[row] = {}
    for i = 1, columns do
      rows[row][i], at = take_value(text, at)
    end
  end
  return rows
end

-- Of a file of maps: by name.
local function split_maps(text)
  local rows, at = {}, 1
  while at <= #text do
    local row = {}
    local count, next_at = take_count(text, at)
    for _ = 1, count do
      local name
      name, next_at = take_value(text, next_at)
      row[mpack.unpack(name)], next_at = take_value(text, next_at)
    end
    at = next_at
    rows[#rows + 1] = row
  end
  return rows
end

describe('on-demand views', function()
  local p, server, rows

  local function map(parts)
    return '\222' .. string.char(math.floor(#parts / 2 / 256), #parts / 2 % 256)
      .. table.concat(parts)
  end

  local function put_facts()
    local lines = {}
    for key = 1, KEYS do
      local parts = { data.pack('string', 'user'), data.pack('int64', key),
        data.pack('string', 'at'), data.pack('int64', NOW - 1) }
      for _, field in ipairs(FIELDS) do
        parts[#parts + 1] = data.pack('string', field[1])
        parts[#parts + 1] = data.pack(field[2], draw(field[2]))
      end
      lines[key] = map(parts)
    end
    p:write('data/facts.msgpack', table.concat(lines))
  end

  -- Rows of packed values: the key, then the request's.
  local function draw_rows(count)
    local drawn = {}
    for i = 1, count do
      drawn[i] = { data.pack('int64', math.random(1, KEYS + 5)) }
      for k, field in ipairs(FIELDS) do
        drawn[i][k + 1] = data.pack(field[2], draw(field[2]))
      end
    end
    return drawn
  end

  local function put_spine()
    local lines = {}
    for i, row in ipairs(rows) do
      local parts = { data.pack('string', 'user'), row[1],
        data.pack('string', 'event_timestamp'), data.pack('int64', NOW) }
      for k, field in ipairs(FIELDS) do
        parts[#parts + 1] = data.pack('string', 'r' .. field[1])
        parts[#parts + 1] = row[k + 1]
      end
      lines[i] = map(parts)
    end
    return p:write('spine.msgpack', table.concat(lines))
  end

  local function array(values)
    return '\221' .. ffi.string(ffi.new('uint32_t[1]', #values), 4):reverse()
      .. table.concat(values)
  end

  -- The raw answer to rows [first, last]: names, and rows of raw values.
  local function serve(raw, first, last)
    local function column(place)
      local values = {}
      for i = first, last do
        values[#values + 1] = rows[i][place]
      end
      return array(values)
    end
    local request = {}
    for k, field in ipairs(FIELDS) do
      request[2 * k - 1] = data.pack('string', 'r' .. field[1])
      request[2 * k] = column(k + 1)
    end
    local features = {}
    for i, feature in ipairs(FEATURES) do
      features[i] = data.pack('string', feature)
    end
    raw:write('\148\0\1' .. data.pack('string', 'get_online_features') .. '\145' .. map {
      data.pack('string', 'features'), array(features),
      data.pack('string', 'entities'), map { data.pack('string', 'user'), column(1) },
      data.pack('string', 'request'), map(request),
      data.pack('string', 'now'), data.pack('int64', NOW),
    })
    local answer = raw:message()
    local fields = {}
    local err, at = take_value(answer, 4)  -- behind 94 01 01
    assert.equal('\192', err)
    local count
    count, at = take_count(answer, at)
    for _ = 1, count do
      local name
      name, at = take_value(answer, at)
      fields[mpack.unpack(name)], at = take_value(answer, at)
    end
    return mpack.unpack(fields.names), split_rows(fields.rows)
  end

  setup(function()
    p = projects.new({ definition = DEFINITION, apply = false })
  end)

  teardown(function()
    if server then
      server:stop()
    end
    p:remove()
  end)

  it('give the same bytes in training and at serving', function()
    random.each(1, function()
      put_facts()
      p:must('apply')
      p:materialize('2021-04-01', '2021-05-01')
      server = servers.start(p.folder)
      rows = draw_rows(ROWS)
      p:must('get-historical-features', '--spine', put_spine(), '-o', p:path('out.msgpack'),
        '--time-unit', 'us', '-f', table.concat(FEATURES, ','))
      local trained = split_maps(p:read('out.msgpack'))
      assert.equal(ROWS, #trained)
      local raw = wire.open(server.address)
      finally(function()
        raw:close()
      end)
      local function compare(first, last)
        local names, served = serve(raw, first, last)
        assert.equal(last - first + 1, #served)
        for i = first, last do
          for k, name in ipairs(names) do
            if trained[i][name] ~= served[i - first + 1][k] then
              error(('row %d, %s: %q in training, %q at serving'):format(i, name,
                tostring(trained[i][name]), served[i - first + 1][k]))
            end
          end
        end
        return names
      end
      for first = 1, ROWS, 5000 do
        assert.equal(17, #compare(first, math.min(first + 4999, ROWS)))
      end
      for i = 1, 200 do
        compare(i, i)
      end
      for _ = 1, 20 do
        local first = math.random(1, ROWS - 100)
        compare(first, first + math.random(0, 99))
      end
    end)
  end)
end)
