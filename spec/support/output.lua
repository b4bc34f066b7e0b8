-- busted's output for a log: a dot per test, every failure in full at the end, and a last line that
-- a script can read: `tests: 12 passed, 1 failed, 2 skipped`.

local pretty = require 'pl.pretty'

local MARKS = { success = '.', pending = 'p', failure = 'F', error = 'E' }

local LINES, WIDTH = 80, 300

-- The beginning of every line, of the first lines: values in a message may be huge.
local function shorten(message)
  local lines = {}
  for line in (message .. '\n'):gmatch('(.-)\n') do
    if #lines == LINES then
      lines[#lines + 1] = '...'
      break
    end
    lines[#lines + 1] = #line > WIDTH and line:sub(1, WIDTH) .. '...' or line
  end
  return table.concat(lines, '\n  ')
end

local function print_problem(problem)
  local message = problem.message or 'no message'
  if type(message) ~= 'string' then
    message = pretty.write(message)
  end
  io.write(('\n%s %s\n  %s\n'):format(problem.isError and 'ERROR' or 'FAILED', problem.name,
    shorten(message)))
  if problem.isError and problem.trace and problem.trace.traceback then
    io.write('  ', (problem.trace.traceback:gsub('^\n', ''):gsub('\n', '\n  ')), '\n')
  end
end

return function()
  local busted = require 'busted'
  local handler = require 'busted.outputHandlers.base'()

  function handler.fileStart(file)
    io.write(file.name, ' ')
    io.flush()
    return nil, true
  end

  function handler.fileEnd(file)
    io.write((' %.1f s\n'):format(file.duration or 0))
    io.flush()
    return nil, true
  end

  function handler.testEnd(_, _, status)
    io.write(MARKS[status] or '?')
    io.flush()
    return nil, true
  end

  function handler.suiteEnd()
    for _, pending in ipairs(handler.pendings) do
      local reason = type(pending.message) == 'string' and ': ' .. pending.message or ''
      io.write('skipped: ', pending.name, reason, '\n')
    end
    for _, problem in ipairs(handler.failures) do
      print_problem(problem)
    end
    for _, problem in ipairs(handler.errors) do
      print_problem(problem)
    end
    io.write(('tests: %d passed, %d failed, %d skipped (%.0f s)\n'):format(handler.successesCount,
      handler.failuresCount + handler.errorsCount, handler.pendingsCount, handler.getDuration()))
    io.flush()
    return nil, true
  end

  busted.subscribe({ 'file', 'start' }, handler.fileStart)
  busted.subscribe({ 'file', 'end' }, handler.fileEnd)
  busted.subscribe({ 'test', 'end' }, handler.testEnd, { predicate = handler.cancelOnPending })
  busted.subscribe({ 'suite', 'end' }, handler.suiteEnd)
  return handler
end
