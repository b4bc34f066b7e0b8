-- A training set is the same to the byte whatever has no business to matter: threads, memory, the
-- order of a view's rows, the order of the spine, who reads the Parquet files.

local blueprints = require 'spec.support.blueprints'
local cli = require 'spec.support.cli'
local random = require 'spec.support.random'
local workspace = require 'spec.support.workspace'

local KEYS, SPINE, ROWS = 3000, 250000, 60000

local DEFINITIONS = blueprints.entity('user', { "int64 'user'" })
  .. blueprints.entity('shop', { "string 'shop'" })
  .. blueprints.source('visits', { path = 'data/visits.parquet', event_time = 'at',
    created_time = 'seen', time_unit = 's' })
  .. blueprints.source('sales', { path = 'data/sales.csv', event_time = 'at', created_time = false,
    deleted = 'gone', time_unit = 's' })
  .. blueprints.view('visits', { "int64 'number'", "string 'page'", "float64 'price'" },
    { entity = 'user', source = 'visits', ttl = '40000s' })
  .. blueprints.view('visits_known', { "string 'page'" },
    { entity = 'user', source = 'visits', as_known = true, bound = '<' })
  .. blueprints.view('sales', { "float32 'price'", "bool 'paid'" },
    { entity = 'shop', source = 'sales' })

local FEATURES = 'visits:*,visits@friend:page,visits_known:page,sales:*'

local function visits()
  local lines = {}
  for i = 1, ROWS do
    local time = math.random(0, 100000)
    lines[i] = ('%d,%d,%s,%d,%s,%s'):format(math.random(KEYS), time,
      random.once_in(9) and '' or time + math.random(0, 900), i,
      random.once_in(9) and '' or ('"page %d"'):format(math.random(500)), math.random())
  end
  return lines
end

local function sales()
  local lines = {}
  for i = 1, ROWS / 4 do
    lines[i] = ('shop %d,%d,%s,%s,%s'):format(math.random(20), math.random(0, 100000),
      random.once_in(20), random.once_in(9) and 'nan' or math.random(), random.once_in(2))
  end
  return lines
end

local function spine()
  local lines = {}
  for i = 1, SPINE do
    lines[i] = ('%d,%s,%d,shop %d,%d'):format(i, random.once_in(50) and '' or math.random(KEYS),
      math.random(KEYS), math.random(22), math.random(0, 110000))
  end
  return lines
end

local VISITS, SALES = 'user,at,seen,number,page,price', 'shop,at,gone,price,paid'
local HEADER = 'id,user,friend,shop,event_timestamp'

describe('training sets are the same bytes', function()
  local space, lines

  local function put(name, header, rows)
    return space:write(name, header .. '\n' .. table.concat(rows, '\n') .. '\n')
  end

  local function put_visits(rows)
    local script = space:write('copy.lua', "require('tidemark').copy_file(arg[1], arg[2])")
    local path = put('data/visits.csv', VISITS, rows)
    cli.must({ 'run', script, path, space:path('data/visits.parquet') })
  end

  local function train(arguments, output, environment)
    local all = { '-C', space.folder, 'get-historical-features', '--spine', 'spine.csv',
      '--time-unit', 's', '--map', 'friend.user=friend', '-f', FEATURES, '--statuses',
      '--event-timestamps', '-o', output or 'out.csv' }
    for _, argument in ipairs(arguments) do
      all[#all + 1] = argument
    end
    all.env = environment
    local result = cli.run(all)
    assert.equal(0, result.status, result.stderr)
    return space:read(output or 'out.csv'), result.stderr
  end

  -- Once for all: it takes longer than the tests. The helper removes it.
  before_each(function()
    if space then
      return
    end
    local seed = tonumber(os.getenv('TIDEMARK_SEED') or '') or os.time()
    math.randomseed(seed)
    io.write(('TIDEMARK_SEED=%d\n'):format(seed))
    space = workspace.new({ ['definitions/all.lua'] = DEFINITIONS })
    lines = { visits = visits(), sales = sales(), spine = spine() }
    put_visits(lines.visits)
    put('data/sales.csv', SALES, lines.sales)
    put('spine.csv', HEADER, lines.spine)
    cli.must({ '-C', space.folder, 'apply' })
  end)

  it('on any number of threads', function()
    local expected = train({ '--threads', '1' })
    for threads = 2, 4 do
      assert.is_true(expected == train({ '--threads', tostring(threads) }), threads .. ' threads')
    end
  end)

  it('in parts that fit the memory', function()
    for _, output in ipairs({ 'out.csv', 'out.parquet' }) do
      local expected, told = train({}, output)
      assert.not_matches('parts', told, 1, true)
      local got
      got, told = train({ '--memory', '192MiB' }, output)
      assert.is_true(expected == got, output)
      assert.matches('spine in %d+ parts to stay under 192 MiB', told)
    end
  end)

  it('whatever the order of a view\'s rows without ties', function()
    -- Arrival decides between rows of the same times, so every row gets a time of its own.
    local rows = {}
    for i, line in ipairs(lines.visits) do
      local user, rest = line:match('^(%d+),%d+,(.*)$')
      rows[i] = ('%s,%d,%s'):format(user, i, rest)
    end
    put_visits(rows)
    local expected = train({})
    random.shuffle(rows)
    put_visits(rows)
    local got = train({})
    put_visits(lines.visits)
    assert.is_true(expected == got)
  end)

  it('row by row, whatever the order of the spine', function()
    local expected = {}
    for line in train({}):gmatch('[^\n]+') do
      expected[line:match('^[^,]*')] = line
    end
    local shuffled = random.shuffle({ unpack(lines.spine, 1, 5000) })
    put('spine.csv', HEADER, shuffled)
    local text = train({})
    put('spine.csv', HEADER, lines.spine)
    local count = 0
    for line in text:gmatch('[^\n]+') do
      assert.equal(expected[line:match('^[^,]*')], line)
      count = count + 1
    end
    assert.equal(#shuffled + 1, count)
  end)

  it('whoever reads the Parquet files', function()
    local expected = train({})
    assert.is_true(expected == train({}, nil, { TIDEMARK_PARQUET = 'duckdb' }))
  end)
end)
