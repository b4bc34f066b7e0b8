local repl = require 'tidemark.repl'

--- What the REPL prints when it is given these lines.
local function session(...)
  local lines, at = { ... }, 0
  local printed, prompts = {}, {}
  local write = io.write
  io.write = function(...) -- luacheck: ignore
    printed[#printed + 1] = table.concat({ ... })
  end
  finally(function()
    io.write = write -- luacheck: ignore
  end)
  repl.run(function()
    at = at + 1
    return lines[at]
  end, function(text)
    prompts[#prompts + 1] = text
  end)
  io.write = write -- luacheck: ignore
  return table.concat(printed), prompts
end

describe('the REPL', function()
  it('prints the values of expressions', function()
    assert.equal('2\t"x"\n', (session '1 + 1, "x"'))
    assert.equal('nil\n', (session '=nothing_of_that_name'))
    assert.equal('{ 1, 2, a = "b" }\n', (session '{ 1, 2, a = "b" }'))
  end)

  it('runs statements over several lines', function()
    local printed, prompts = session('for i = 1, 2 do', 'io.write(i)', 'end')
    assert.equal('12', printed)
    assert.same({ '> ', '>> ', '>> ', '> ' }, prompts)
  end)

  it('compiles what is complete and says what is wrong', function()
    local chunk, message, incomplete = repl.compile('x = = 1')
    assert.is_nil(chunk)
    assert.is_truthy(message:find('unexpected symbol', 1, true))
    assert.is_false(incomplete)
    assert.is_true(select(3, repl.compile 'local function f('))
  end)
end)
