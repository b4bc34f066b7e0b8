-- The command line as a user meets it: what it takes, what it prints where, and how it ends.

local cli = require 'spec.support.cli'
local process = require 'spec.support.process'
local server = require 'spec.support.server'
local workspace = require 'spec.support.workspace'

local function read(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read('*a')
  file:close()
  return text
end

local function lines(text)
  local list = {}
  for line in text:gmatch('([^\n]*)\n') do
    list[#list + 1] = line
  end
  return list
end

--- Names of all commands, from the overview.
local function commands()
  local names = {}
  local section = cli.must({}):match('\ncommands\n(.-)\n\n')
  for name in section:gmatch('  (%S+) [^\n]*') do
    names[#names + 1] = name
  end
  return names
end

local function shell(command, env)
  local child = process.spawn('/bin/bash', { args = { '-c', command }, env = env })
  local status = child:wait()
  return { status = status, stdout = child.stdout, stderr = child.stderr }
end

describe('the command line', function()
  it('shows all commands when it is given nothing, or asked for help', function()
    local overview = cli.must({})
    assert.matches('usage: tidemark COMMAND', overview, 1, true)
    assert.same(overview, cli.must({ 'help' }))
    assert.same(overview, cli.must({ '--help' }))
    assert.is_true(#commands() >= 19)
  end)

  it('tells usage, options and examples of every command', function()
    for _, name in ipairs(commands()) do
      local help = cli.must({ name, '--help' })
      assert.matches('usage: tidemark ' .. name, help, 1, true)
      assert.matches('\nexamples\n  %S', help)
      assert.matches('--format FORMAT', help, 1, true)
      assert.same(help, cli.must({ 'help', name }))
    end
  end)

  it('has a reference page that is fresh', function()
    assert.same(read('docs/reference/cli.md'), cli.must({ 'help', '--markdown' }))
  end)

  it('prints its version', function()
    assert.matches('^tidemark %d+%.%d+%.%d+\n$', cli.must({ '--version' }))
    assert.same(cli.must({ '--version' }), cli.must({ 'version' }))
  end)

  it('prints the contract, all fifteen rules of it', function()
    local contract = cli.must({ 'contract' })
    assert.same(read('docs/contract.md'), contract)
    for rule = 1, 15 do
      assert.matches(('\n%d. **'):format(rule), contract, 1, true)
    end
  end)

  for _, case in ipairs({
    { { 'materialise', '1', '2' }, 'unknown command "materialise", did you mean "materialize"?' },
    { { 'xyzzy' }, 'unknown command "xyzzy": `tidemark help` lists them' },
    { { 'plan', '--formt', 'json' }, 'unknown option "--formt", did you mean "--format"?' },
    { { '--veiw', 'x', 'plan' }, 'unknown option "--veiw" before the command' },
    { { 'plan', '-Z' }, 'unknown option "-Z"' },
    { { 'plan', '--format', 'xml' },
      '--format: unknown value "xml", expected one of table, json, csv' },
    { { 'plan', '--format' }, '--format needs a value: --format FORMAT' },
    { { 'plan', '--quiet=yes' }, '--quiet takes no value' },
    { { 'plan', 'now' }, 'plan: unexpected argument "now"' },
    { { 'materialize', '2025-01-01' }, 'materialize: an argument is missing' },
    { { 'materialize', '2025-01-32', '2025-02-01' }, 'START: "2025-01-32" is not a time' },
    { { 'materialize', '2025-01-01', '1e9' }, 'END: "1e9" is not a time' },
    { { 'get-historical-features', '-o', 'x.csv' }, '--spine FILE is missing' },
    { { 'get-historical-features', '--spine', 'x.csv', '-o', 'y.csv' },
      'say either --features REF[,REF...] or --service NAME' },
    { { 'get-historical-features', '--spine', 'x', '-o', 'y', '-f', 'v:a', '--map', 'v=c' },
      '--map: expected VIEW.KEY=COLUMN, got "v=c"' },
    { { 'get-online-features', '-f', 'v:a' }, '-e KEY=VALUE[,VALUE...] is missing' },
    { { 'get-online-features', '-f', 'v:a', '-e', 'driver' }, '-e: expected KEY=VALUE' },
    { { 'get-online-features', '-f', 'v:a', '-e', 'k="open' }, '-e k: a quoted value must end' },
    { { 'serve', '--max-frame', '1X' }, '--max-frame: expected a size' },
    { { 'serve', '--max-frame', '63' }, '--max-frame: expected a size of 64 bytes or more' },
    { { 'serve', '--cache', '2T' }, '--cache: expected a size of at most 1024 GiB, got "2T"' },
    { { 'serve', '--max-queue', '0' }, '--max-queue: expected a size such as 1048576 or 64MiB' },
    { { 'serve', '--max-depth', '0' }, '--max-depth: expected a whole number from 1 to 64' },
    { { 'serve', '--max-rows', '-1' }, '--max-rows: expected a whole number from 1' },
    { { 'serve', '--threads', '65' }, '--threads: expected a whole number from 1 to 64' },
    { { 'serve', '--listen', 'nonsense' },
      '--listen: address "nonsense": expected HOST:PORT, such as 127.0.0.1:6570' },
    { { 'serve', '--metrics', 'localhost:65536' }, '--metrics: address "localhost:65536"' },
    { { 'serve', '--durability', 'none' }, '--durability: unknown value "none", expected one of' },
    { { 'entities', 'list', '--connect', '::1:6570' }, '--connect: address "::1:6570"' },
    { { 'doctor', '--map-size', '1M', '--map-size', '1000' },
      '--map-size: expected a size of 1 MiB or more, got "1000"' },
    { { 'materialize', '0', 'now', '--memory', '1M' },
      '--memory: expected a size of 192 MiB or more, got "1M"' },
    { { 'materialize', '0', 'now', '--threads', 'all' }, '--threads: expected a whole number' },
    { { 'materialize', '0', 'now', '--on-bad-row', 'skip' }, '--on-bad-row: unknown value "skip"' },
    { { 'materialize', '0', 'now', '--view', '' }, '--view: its value is empty, expected VIEW' },
    { { 'materialize', '0', 'now', '--view', ',' }, '--view: expected VIEW[,VIEW...]' },
    { { 'materialize', '2025', 'now' },
      'START: 2025 microseconds are 1970-01-01T00:00:00.002025Z: write the time as 2021-04-12' },
    { { 'materialize', '2025-01-01', '1735689600' }, 'END: 1735689600 microseconds are 1970' },
    { { 'try', 'v', '--limit', '100001' }, '--limit: expected a whole number from 1 to 100000' },
    { { 'push', 'v', 'x.csv', '--to', 'disk' }, '--to: unknown value "disk"' },
    { { 'get-historical-features', '--spine', 'x', '-o', 'y', '-f', 'v:a', '--as-of-created', 'x' },
      '--as-of-created: "x" is not a time' },
    { { 'get-historical-features', '--spine', 'x', '-o', 'y', '-f', 'v:a', '--time-unit', 'h' },
      '--time-unit: unknown value "h", expected one of s, ms, us, ns' },
    { { 'get-historical-features', '--spine', 'x', '-o', 'y', '-f', 'v' },
      '"v" is no feature: expected view:feature or view:*' },
    { { 'get-online-features', '-e', 'k=1', 'v:a,v' }, '"v" is no feature: expected view:feature' },
    { { 'get-online-features', '-e', 'k=1', 'v:a', '--now', 'x' }, '--now: "x" is not a time' },
    { { 'entities', 'lst' }, 'entities: unknown action "lst", expected list or describe NAME' },
    { { 'entities', 'describe' }, 'entities describe: NAME is missing' },
    { { 'lua', '-e', 'print(1)' }, 'lua: expected a script, got "-e": it has no options' },
    { { 'init', '' }, 'init: an argument is empty: tidemark init DIR' },
    { { 'completion', 'csh' }, 'completion: unknown shell "csh"' },
  }) do
    it('ends with status 2 after: tidemark ' .. table.concat(case[1], ' '), function()
      local result = cli.run(case[1])
      assert.same(2, result.status)
      assert.same('', result.stdout)
      assert.matches('error: ' .. case[2], result.stderr, 1, true)
    end)
  end

  it('fails with status 1 where the project folder is missing', function()
    local result = cli.run({ 'plan', '-C', '/nonexistent' })
    assert.same(1, result.status)
    assert.matches('-C /nonexistent: No such file or directory', result.stderr, 1, true)
  end)

  it('fails when the results cannot be written', function()
    local result = shell(process.TIDEMARK .. ' contract > /dev/full')
    assert.same(1, result.status)
    assert.matches('cannot write the results', result.stderr, 1, true)
  end)

  it('gives scripts their arguments as they are, and their exit status back', function()
    local space = workspace.new({
      ['args.lua'] = 'print(arg[0], ...)\nos.exit(7)\n',
    })
    finally(function()
      space:remove()
    end)
    local result = cli.run({ '-C', space.folder, 'run', 'args.lua', '--format', '-C', 'x', '--' })
    assert.same('args.lua\t--format\t-C\tx\t--\n', result.stdout)
    assert.same(7, result.status)
    result = cli.run({ 'lua', space:path('args.lua'), '--quiet' })
    assert.same(space:path('args.lua') .. '\t--quiet\n', result.stdout)
    assert.same(7, result.status)
  end)
end)

describe('shell completion', function()
  local folder

  before_each(function()
    if not folder then
      local space = workspace.new()
      folder = space:path('mine')
      cli.must({ 'init', folder })
    end
  end)

  local function quote(words)
    local quoted = {}
    for i, word in ipairs(words) do
      quoted[i] = "'" .. word .. "'"
    end
    return table.concat(quoted, ' ')
  end

  -- How each shell is asked what it offers for the last of some words: a line each, what a
  -- description follows without it.
  local SHELLS = {
    bash = function(words)
      return ('source <(%s completion bash); COMP_WORDS=(%s); COMP_CWORD=%d; _tidemark %s; '
        .. 'printf "%%s\\n" "${COMPREPLY[@]}"')
        :format(process.TIDEMARK, quote(words), #words - 1, process.TIDEMARK)
    end,
    zsh = function(words)
      return ('compdef() { }; _files() { echo FILES }; '
        .. '_describe() { for each in ${(P)2}; do echo ${${each//\\\\:/=}%%%%:*}; done }; '
        .. 'source <(%s completion zsh); words=(%s); CURRENT=%d; _tidemark')
        :format(process.TIDEMARK, quote(words), #words)
    end,
    fish = function(words)
      return ("%s completion fish | source; function __fish_complete_path; echo FILES; end; "
        .. "complete -C '%s' | string replace -r '\\t.*' ''")
        :format(process.TIDEMARK, table.concat(words, ' '))
    end,
  }

  for name, line_of in pairs(SHELLS) do
    local function complete(...)
      local words = { 'tidemark', ... }
      if name ~= 'fish' then
        words[1] = process.TIDEMARK
      end
      local arguments = { ['bash'] = '--norc', ['zsh'] = '-f', ['fish'] = '--no-config' }
      local child = process.spawn('/usr/bin/' .. name, {
        args = { arguments[name], '-c', line_of(words) },
        env = { PATH = process.TIDEMARK:match('^(.*)/') .. ':/usr/bin:/bin', HOME = folder },
      })
      child:wait()
      assert.same('', child.stderr)
      local found = lines(child.stdout)
      table.sort(found)
      return table.concat(found, ' ')
    end

    describe('in ' .. name, function()
      it('completes commands, options and values', function()
        assert.same('materialize materialize-incremental', complete('mat'))
        assert.same('--allow-incompatible', complete('-C', 'project', 'apply', '--al'))
        assert.same('csv json table', complete('plan', '--format', ''))
        assert.same('json', complete('plan', '--format', 'j'))
        assert.same('describe list', complete('entities', ''))
        assert.same('materialize materialize-incremental', complete('help', 'mat'))
        assert.same('bash', complete('completion', 'b'))
      end)

      it('leaves the rest to files', function()
        local none = name == 'bash' and '' or 'FILES'
        assert.same(none, complete('get-historical-features', '--spine', ''))
        assert.same(none, complete('run', 'script.lua', ''))
        assert.same(none, complete('push', 'driver_quality', ''))
      end)

      -- zsh and fish knew none of them.
      it('completes names', function()
        assert.same('driver_hourly_stats driver_quality trip_offer',
          complete('-C', folder, 'try', ''))
        assert.same('trip_offer', complete('-C', '~/.', 'test', 'tr'))
        cli.must({ '-C', folder, 'apply' })
        for _, words in ipairs({ { 'materialize', '--view' }, { 'materialize', '0', 'now', '-v' },
          { 'push' }, { 'feature-views', 'describe' } }) do
          words[#words + 1] = 'driver_'
          assert.same('driver_hourly_stats driver_quality',
            complete('--project', folder, unpack(words)))
        end
        assert.same('driver_ranking', complete('-C', folder, 'get-online-features', '-s', 'dr'))
        assert.same('driver', complete('-C', folder, 'entities', 'describe', ''))
        local serving = server.start(folder)
        assert.same('trip_offer', complete('on-demand-feature-views', '--connect', serving.address,
          'describe', ''))
        assert.same(0, serving:stop())
      end)
    end)
  end

  it('knows an option that stands with its value in one word', function()
    assert.same('json\n', cli.must({ 'completion', 'bash', 'plan', '--format', '=', 'j' }))
    assert.same('table\njson\ncsv\n', cli.must({ 'completion', 'bash', 'plan', '--format', '=' }))
    assert.same('--format=json\n', cli.must({ 'completion', 'zsh', 'plan', '--format=j' }))
    assert.same('--format=json\n', cli.must({ 'completion', 'fish', 'plan', '--format=j' }))
  end)

  it('offers nothing where nothing can be found out', function()
    for _, words in ipairs({
      { '-C', '/nonexistent', 'try', '' },
      { 'xyzzy', '' },
      { '--xyzzy', 'x' },
      { 'get-online-features', '--connect', '127.0.0.1:1', '-s', '' },
      { 'plan', '--format', '', '' },
    }) do
      assert.same('', cli.must({ 'completion', 'fish', '-C', folder, unpack(words) }))
    end
  end)

  it('describes what it offers', function()
    assert.same('plan\tshow what apply would change\n', cli.must({ 'completion', 'fish', 'pl' }))
    assert.same('plan:show what apply would change\n', cli.must({ 'completion', 'zsh', 'pl' }))
  end)
end)

describe('a table on a terminal', function()
  it('is turned into lines of one cell where the terminal is too narrow', function()
    local space = workspace.new()
    finally(function()
      space:remove()
    end)
    local folder = space:path('mine')
    cli.must({ 'init', folder })
    cli.must({ '-C', folder, 'apply' })
    local function show(columns)
      local result = shell(("script -qec 'stty cols %d; %s -C %s sources list' /dev/null")
        :format(columns, process.TIDEMARK, folder))
      return (result.stdout:gsub('\r', ''))
    end
    assert.matches('^name +at +path +event_time +created_time\n', show(200))
    assert.matches('^name +driver_stats\nat +definitions/driver.lua:%d+\npath +data/', show(40))
  end)
end)

describe('tidemark init', function()
  local space

  before_each(function()
    space = workspace.new()
  end)

  after_each(function()
    space:remove()
  end)

  it('makes a project that runs end to end', function()
    local made = cli.run({ 'init', 'mine', cwd = space.folder })
    assert.same(0, made.status)
    assert.same('', made.stdout)
    assert.matches('mine is ready. Next:', made.stderr, 1, true)

    local folder = space:path('mine')
    local function must(...)
      return cli.must({ '-C', folder, ... })
    end
    assert.matches('Plan: 7 to add, 0 to change, 0 to delete.', must('plan'), 1, true)
    assert.matches('Applied generation 1: 7 added', must('apply'), 1, true)
    assert.matches('Nothing to change', must('apply'), 1, true)

    must('get-historical-features', '--spine', 'data/orders.csv', '--service', 'driver_ranking',
      '-o', 'training.csv')
    local training = lines(space:read('mine/training.csv'))
    assert.same(1 + 20, #training)
    assert.same('order_id,driver_id,event_timestamp,distance_km,accepted,'
      .. 'conv_rate,acc_rate,avg_daily_trips', training[1])

    must('materialize', '2025-01-01', '2025-01-08')
    local online = must('get-online-features', '-e', 'driver_id=1001,4711', '--service',
      'driver_ranking', '--statuses', '--format', 'csv')
    assert.matches('^driver_id,conv_rate,conv_rate__status,acc_rate,', online)
    assert.matches('\n1001,0%.%d+,PRESENT,', online)
    assert.matches('\n4711,,NOT_FOUND,,NOT_FOUND,,NOT_FOUND\n', online)

    local doctor = cli.run({ '-C', folder, 'doctor', '--format', 'csv' })
    assert.same('', doctor.stderr)
    assert.matches('\nregistry,ok,', doctor.stdout, 1, true)
    assert.matches('\ndefinitions,ok,', doctor.stdout, 1, true)
    assert.matches('\ndisk,%a+,[%d.]+ %aiB left at %./%.tidemark/store', doctor.stdout)
  end)

  it('gives the editor its stubs', function()
    cli.must({ 'init', 'mine', cwd = space.folder })
    assert.matches('%-%-%-@meta', space:read('mine/.tidemark/stubs/define.lua'))
    assert.matches('.tidemark/stubs', space:read('mine/.luarc.json'), 1, true)
  end)

  it('refuses a folder that is not empty', function()
    space:write('mine/notes.txt', 'mine\n')
    local result = cli.run({ 'init', 'mine', cwd = space.folder })
    assert.same(1, result.status)
    assert.matches('mine is not empty', result.stderr, 1, true)
    assert.is_false(space:exists('mine/definitions'))
  end)
end)

describe('printed features', function()
  local space -- made once: no spec here changes it

  local DEFINITION = [[
entity 'shop' { keys = { string 'code', int64 'branch' } }
source 'rows' { path = 'rows.csv', event_time = 'at' }
feature_view 'facts' {
  entity = 'shop', source = 'rows',
  features = { float64 'rate', string 'note', int64 'total', timestamp 'opened' },
}
]]

  local ROWS = table.concat({
    'code,branch,at,rate,note,total,opened',
    '007,1,2025-01-01,nan,"",9007199254740993,2020-02-29T12:00:00Z',
    '"a,b",1,2025-01-01,,,,',
    '"",2,2025-01-01,-inf,null,-1,1969-12-31T23:59:59.999999Z',
    'größe,3,2025-01-01,0.1,"say ""hi""",12,2020-01-01',
  }, '\n') .. '\n'

  local KEYS = { '-e', 'code=007,"a,b","",größe,,7', '-e', 'branch=1,1,2,3,1,1' }

  local function ask(...)
    return cli.must({ '-C', space.folder, 'get-online-features', KEYS[1], KEYS[2], KEYS[3],
      KEYS[4], ... })
  end

  before_each(function()
    if not space then
      space = workspace.new({ ['definitions/shop.lua'] = DEFINITION, ['rows.csv'] = ROWS })
      cli.must({ '-C', space.folder, 'apply' })
      cli.must({ '-C', space.folder, 'materialize', '2025-01-01', '2025-01-02' })
    end
  end)

  it('are an aligned table with numbers to the right', function()
    assert.same({
      'code   branch       rate  note                 total                       opened',
      '007         1        NaN  ""        9007199254740993         2020-02-29T12:00:00Z',
      'a,b         1       null  null                  null                         null',
      '""          2  -Infinity  "null"                  -1  1969-12-31T23:59:59.999999Z',
      'größe       3        0.1  say "hi"                12         2020-01-01T00:00:00Z',
      'null        1       null  null                  null                         null',
      '7           1       null  null                  null                         null',
    }, lines(ask('-f', 'facts:*')))
  end)

  it('are RFC 4180 with null, NaN and "" apart', function()
    assert.same({
      'code,branch,rate,note,total,opened',
      '007,1,nan,"",9007199254740993,2020-02-29T12:00:00Z',
      '"a,b",1,,,,',
      '"",2,-inf,null,-1,1969-12-31T23:59:59.999999Z',
      'größe,3,0.1,"say ""hi""",12,2020-01-01T00:00:00Z',
      ',1,,,,',
      '7,1,,,,',
    }, lines(ask('-f', 'facts:*', '--format', 'csv')))
  end)

  it('are an array of objects with exact integers', function()
    local printed = lines(ask('facts:rate', 'facts:note,facts:total', '--format', 'json'))
    assert.same('[', printed[1])
    assert.same('  {"code": "007", "branch": 1, "rate": NaN, "note": "", '
      .. '"total": 9007199254740993},', printed[2])
    assert.same('  {"code": null, "branch": 1, "rate": null, "note": null, "total": null},',
      printed[6])
    assert.same(']', printed[8])
  end)

  it('come with statuses and times when asked', function()
    local printed = lines(ask('facts:rate', '--statuses', '--event-timestamps', '--format', 'csv'))
    assert.same('code,branch,rate,rate__status,rate__event_timestamp', printed[1])
    assert.same('007,1,nan,PRESENT,2025-01-01T00:00:00Z', printed[2])
    assert.same('"a,b",1,,NULL_VALUE,2025-01-01T00:00:00Z', printed[3])
    assert.same(',1,,NOT_FOUND,', printed[6])
  end)

  it('are the same from a server', function()
    local serving = server.start(space.folder)
    finally(function()
      serving:stop()
    end)
    local function ask_server(...)
      return cli.must({ 'get-online-features', KEYS[1], KEYS[2], KEYS[3], KEYS[4], '--connect',
        serving.address, ... })
    end
    for _, format in ipairs({ 'table', 'csv', 'json' }) do
      local wanted = { 'facts:*', '--statuses', '--event-timestamps', '--format', format }
      assert.same(ask(unpack(wanted)), ask_server(unpack(wanted)))
    end
    local result = cli.run({ 'get-online-features', '-f', 'facts:rate', '-e', 'kode=x', '-e',
      'branch=1', '--connect', serving.address })
    assert.same(1, result.status)
    assert.matches('-e kode: ', result.stderr, 1, true)
    assert.same(0, serving:stop())
    result = cli.run({ 'entities', 'list', '--connect', serving.address })
    assert.same(1, result.status)
    assert.matches(serving.address, result.stderr, 1, true)
  end)

  it('refuse a key of a wrong type before they are asked for', function()
    local result = cli.run({ '-C', space.folder, 'get-online-features', '-f', 'facts:rate', '-e',
      'code=x', '-e', 'branch=one' })
    assert.same(2, result.status)
    assert.matches('-e branch[1]: expected int64, got "one"', result.stderr, 1, true)
  end)

  it('name the option that is wrong', function()
    for words, message in pairs({
      ['-e kode=x'] = '-e kode: unknown entity column "kode", did you mean "code"?',
      ['-e code=x,y -e branch=1'] = '-e branch: column "branch" has 1 row, but "code" has 2',
      ['-e code=x -e branch=1 -r km=1'] = '-r km: unknown request column "km"',
      ['-r km=1'] = '-e KEY=VALUE[,VALUE...] is missing: whom to ask about',
    }) do
      local call = { '-C', space.folder, 'get-online-features', '-f', 'facts:rate' }
      for word in words:gmatch('%S+') do
        call[#call + 1] = word
      end
      assert.matches('error: ' .. message, cli.run(call).stderr, 1, true)
    end
    local result = cli.run({ '-C', space.folder, 'get-online-features', '-f', 'facts:rat', '-e',
      'code=x' })
    assert.same('error: feature_view "facts": unknown feature "rat", did you mean "rate"?\n',
      result.stderr)
  end)

  it('name an unknown view with a suggestion', function()
    local result = cli.run({ '-C', space.folder, 'get-online-features', '-f', 'fact:rate', '-e',
      'code=x' })
    assert.same(1, result.status)
    assert.matches('unknown feature_view "fact", did you mean "facts"?', result.stderr, 1, true)
  end)
end)

describe('features of lists', function()
  local space -- made once: no spec here changes it

  before_each(function()
    if space then
      return
    end
    space = workspace.new({
      ['definitions/shop.lua'] = [[
entity 'shop' { keys = { string 'code' } }
source 'rows' { path = 'rows.jsonl', event_time = 'at' }
feature_view 'visits' {
  entity = 'shop', source = 'rows',
  features = { list(timestamp) 'times', int64 'total' },
}
on_demand_feature_view 'basket' {
  request = { list(string) 'words', vector(2) 'place', list(timestamp) 'days' },
  transform = function(row)
    return { said = row.words, sum = row.place[1] + row.place[2], last = row.days[#row.days] }
  end,
  features = { list(string) 'said', float64 'sum', timestamp 'last' },
}
]],
      ['rows.jsonl'] = [[
{"code": "日本", "at": "2025-01-01", "times": ["2025-01-01T12:00:00Z", null], "total": 1}
{"code": "é", "at": "2025-01-01", "times": [], "total": 22}
{"code": "🙂", "at": "2025-01-01", "times": null, "total": 333}
]],
    })
    cli.must({ '-C', space.folder, 'apply' })
    cli.must({ '-C', space.folder, 'materialize', '2025-01-01', '2025-01-02' })
  end)

  local function ask(...)
    return cli.run({ '-C', space.folder, 'get-online-features', ... })
  end

  local KEYS = 'code=日本,e\204\129,🙂,x'

  -- They were integers. Wide characters take two columns of a terminal, combining marks none.
  it('have times as RFC 3339, and columns that stay straight', function()
    assert.same({
      'code  times                          total',
      '日本  ["2025-01-01T12:00:00Z",null]      1',
      'e\204\129     []                                22',
      '🙂    null                             333',
      'x     null                            null',
    }, lines(ask('-e', KEYS, '-f', 'visits:*').stdout))
    assert.same({
      'code,times',
      '日本,"[""2025-01-01T12:00:00Z"",null]"',
      'e\204\129,[]',
      '🙂,',
      'x,',
    }, lines(ask('-e', KEYS, '-f', 'visits:times', '--format', 'csv').stdout))
    assert.same('  {"code": "日本", "times": ["2025-01-01T12:00:00Z",null]},',
      lines(ask('-e', KEYS, '-f', 'visits:times', '--format', 'json').stdout)[2])
  end)

  it('get lists of the request as JSON', function()
    local given = ask('-r', [=[words=["a,b", "\u00e9\ud83d\ude42 \"q\""],[],"[""c""]"]=],
      '-r', 'place=[1,2.5],[-1e3,1000],[0, 1]', '-r', 'days=["2025-01-01", 0],[0],["1970-01-02"]',
      '-f', 'basket:*', '--format', 'csv')
    assert.same('', given.stderr)
    assert.same({
      'said,sum,last',
      '"[""a,b"",""é🙂 \\""q\\""""]",3.5,1970-01-01T00:00:00Z',
      '[],0.0,1970-01-01T00:00:00Z',
      '"[""c""]",1.0,1970-01-02T00:00:00Z',
    }, lines(given.stdout))
  end)

  for value, message in pairs({
    ['words=["a"'] = '-r words[1]: expected list(string) as JSON, such as ["a","b"], got "["a""',
    ['words=["a",]'] = '-r words[1]: expected list(string) as JSON',
    ['words=["\\ud83d"]'] = '-r words[1]: expected list(string) as JSON',
    ['words=[],[1]'] = '-r words[2]: expected list(string) as JSON',
    ['words=a'] = '-r words[1]: expected list(string) as JSON',
    ['place=[1,"2"]'] = '-r place[1]: expected vector(2) as a JSON array of so many numbers',
    ['place=[1,2,3]'] = '-r place[1]: expected vector(2) as a JSON array of so many numbers',
    ['days=["x"]'] = '-r days[1]: expected list(timestamp) as JSON',
  }) do
    it('refuse -r ' .. value, function()
      local result = ask('-r', value, '-f', 'basket:*')
      assert.same(2, result.status)
      assert.matches(message, result.stderr, 1, true)
    end)
  end
end)

describe('the catalogue', function()
  local space -- made once: no spec here changes what was applied

  before_each(function()
    if not space then
      space = workspace.new()
      cli.must({ 'init', 'mine', cwd = space.folder })
      cli.must({ '-C', space:path('mine'), 'apply' })
    end
  end)

  local function must(...)
    return cli.must({ '-C', space:path('mine'), ... })
  end

  it('lists each kind', function()
    for command, name in pairs({
      entities = 'driver',
      sources = 'driver_stats',
      ['feature-views'] = 'driver_hourly_stats',
      ['feature-services'] = 'driver_ranking',
    }) do
      local printed = lines(must(command, 'list'))
      assert.matches('^name ', printed[1])
      assert.same(name, printed[2]:match('^%S+'))
    end
  end)

  it('describes one', function()
    local view = must('feature-views', 'describe', 'driver_hourly_stats')
    assert.matches('\nttl +3650d\n', view)
    assert.matches('\nfeatures\nname +type', view)
    assert.matches('\nconv_rate +float64 +', view)
    local json = must('feature-views', 'describe', 'driver_hourly_stats', '--format', 'json')
    assert.matches('"name":"driver_hourly_stats"', json, 1, true)
  end)

  it('prints times as RFC 3339 in every format', function()
    must('materialize', '2025-01-01', '2025-01-08')
    local view = must('feature-views', 'describe', 'driver_hourly_stats')
    assert.matches('\nmaterialized_to +2025%-01%-08T00:00:00Z\n', view)
    local json = must('feature-views', 'describe', 'driver_hourly_stats', '--format', 'json')
    assert.matches('"materialized_to":"2025-01-08T00:00:00Z"', json, 1, true)
  end)

  it('tells an interval that was online before from one without rows', function()
    must('materialize', '2025-01-01', '2025-01-08')
    local function notes(...)
      return cli.run({ '-C', space:path('mine'), 'materialize-incremental', ... }).stderr
    end
    assert.same('driver_quality: it is online up to 2025-01-08T00:00:00Z already, which is not '
      .. 'before END\n', notes('2025-01-02', '-v', 'driver_quality'))
    assert.same('', notes('2025-01-09', '-v', 'driver_quality'))
  end)

  it('says what there is instead of an unknown name', function()
    local result = cli.run({ '-C', space:path('mine'), 'entities', 'describe', 'drivr' })
    assert.same(1, result.status)
    assert.matches('unknown entity "drivr", did you mean "driver"?', result.stderr, 1, true)
  end)
end)

describe('plan and apply', function()
  local space

  before_each(function()
    space = workspace.new()
    cli.must({ 'init', 'mine', cwd = space.folder })
  end)

  after_each(function()
    space:remove()
  end)

  local function run(...)
    return cli.run({ '-C', space:path('mine'), ... })
  end

  local function edit(from, to)
    local path = 'mine/definitions/driver.lua'
    local text, count = space:read(path):gsub(from, to)
    assert.is_true(count > 0)
    space:write(path, text)
  end

  it('show what is new, line by line and without colour in a pipe', function()
    local printed = run('plan').stdout
    assert.matches('+ entity "driver"', printed, 1, true)
    assert.matches('+ feature_view "driver_hourly_stats"', printed, 1, true)
    assert.is_nil(printed:find('\27', 1, true))
  end)

  it('print every mistake with its place and apply nothing', function()
    edit("float64 'conv_rate'", "flaot64 'conv_rate'")
    local endings = {
      plan = 'error: 1 mistake in the definitions\n',
      apply = 'error: 1 mistake in the definitions, so nothing was applied\n',
    }
    for command, ending in pairs(endings) do
      local result = run(command)
      assert.same(1, result.status)
      assert.same('', result.stdout)
      assert.matches('definitions/driver%.lua:%d+:%d+: ', result.stderr)
      assert.matches('did you mean "float64"?', result.stderr, 1, true)
      assert.matches(ending, result.stderr, 1, true)
    end
    assert.same(1, run('entities', 'list').status)
  end)

  it('refuse an incompatible change with its reason until it is allowed', function()
    assert.same(0, run('apply').status)
    edit("int64 'avg_daily_trips'", "float64 'avg_daily_trips'")
    local refused = run('apply')
    assert.same(1, refused.status)
    assert.same('', refused.stdout)
    assert.matches('incompatible: ', refused.stderr, 1, true)
    assert.matches('--allow-incompatible', refused.stderr, 1, true)
    assert.matches('int64', run('feature-views', 'describe', 'driver_hourly_stats').stdout)

    local allowed = run('apply', '--allow-incompatible')
    assert.same('', allowed.stderr)
    assert.matches('~ feature_view "driver_hourly_stats"', allowed.stdout, 1, true)
    assert.matches('Applied generation 2: 0 added, 1 changed, 0 deleted.', allowed.stdout, 1, true)
  end)

  it('are data when asked', function()
    local plan = run('plan', '--format', 'json').stdout
    assert.matches('^{.*"change_count":7.*}\n$', plan)
    assert.same('action,kind,name,at,details,incompatible,reason',
      lines(run('plan', '--format', 'csv').stdout)[1])
  end)
end)

describe('a wrong place', function()
  local space

  before_each(function()
    space = workspace.new({ ['notes.txt'] = 'mine', ['project/definitions/a.lua'] = '' })
  end)

  after_each(function()
    space:remove()
  end)

  it('that is no project is told from one where nothing was applied', function()
    local result = cli.run({ '-C', space.folder, 'entities', 'list' })
    assert.same('error: nothing has been applied yet: run `tidemark apply` in a project; this '
      .. 'folder is none, name one with -C DIR\n', result.stderr)
    result = cli.run({ '-C', space:path('project'), 'entities', 'list' })
    assert.same('error: nothing has been applied yet: run `tidemark apply`\n', result.stderr)
  end)

  -- It passed for a store that nothing was applied to yet.
  it('of a store is named', function()
    local file = space:path('notes.txt')
    for _, command in ipairs({ { 'entities', 'list' }, { 'apply' } }) do
      local result = cli.run({ '-C', space:path('project'), '--store', file, unpack(command) })
      assert.same('error: cannot open the store (the store is ' .. file .. '): Not a directory\n',
        result.stderr)
    end
    local doctor = cli.run({ '-C', space:path('project'), '--store', file, 'doctor', '--format',
      'csv' })
    assert.same(1, doctor.status)
    assert.matches('\nstore,bad,', doctor.stdout, 1, true)
  end)
end)

describe('a long job', function()
  local space

  -- Many views over one source: long enough to be interrupted however fast one of them is.
  before_each(function()
    local views = {}
    for i = 1, 60 do
      views[i] = ("feature_view 'v%d' { entity = 'k', source = 'long', features = "
        .. "{ float64 'x' } }"):format(i)
    end
    space = workspace.new({
      ['definitions/long.lua'] = [[
entity 'k' { keys = { int64 'k' } }
source 'long' {
  sql = "SELECT range % 9 AS k, TIMESTAMP '2025-01-01' AS at, 1.0 AS x FROM range(20000000)",
  event_time = 'at',
}
]] .. table.concat(views, '\n'),
    })
    cli.must({ '-C', space.folder, 'apply' })
  end)

  after_each(function()
    space:remove()
  end)

  it('reports its progress on stderr and ends at SIGINT', function()
    local job = process.spawn(process.TIDEMARK,
      { args = { '-C', space.folder, 'materialize', '2025-01-01', '2025-01-02' } })
    process.wait(function()
      return job.stderr:find('\n') or job.status
    end, 'a line of progress')
    job:send('sigint')
    local status = job:wait()
    assert.same(1, status)
    assert.same('', job.stdout)
    assert.matches('^v%d+: ', job.stderr)
    assert.matches('interrupted\n$', job.stderr)
  end)
end)
