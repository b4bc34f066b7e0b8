local locate = require 'tidemark.locate'

local function where(text, declaration, path, want)
  local file = { path = 'a.lua', text = text }
  return (locate.print(file, locate.find(file, declaration, path, want)))
end

describe('tidemark.locate', function()
  it('reads tokens as Lua does', function()
    local tokens = {}
    for i, token in ipairs(locate.tokens([==[
-- comment
a.b = [[long
string]] --[=[ ]] ]=] .. 'it\'s' ~= 1.5e3]==])) do
      tokens[i] = token.kind .. ' ' .. token.text .. ' ' .. token.line
    end
    assert.same({
      'name a 2', 'symbol . 2', 'name b 2', 'symbol = 2', 'string long\nstring 2', 'symbol .. 3',
      "string it\\'s 3", 'symbol ~= 3', 'number 1.5e3 3',
    }, tokens)
  end)

  it('comes to an end in any text', function()
    for _, text in ipairs { "'", '"\\', '[[', '--[[', '[=', '\\', '{', '}', '\0', '#', '#!x' } do
      assert.is_table(locate.tokens(text))
    end
  end)

  local TEXT = [[
feature_view('x', 1)
feature_view 'v' {
  entity = f({ sorce = 1 }, 2), ['source'] = 'a',
  features = {
    float64 'a' { doc = 'first' }, float64 'b';
    list(string) 'c' { doc = 'third' },
  },
  tags = { a = '1', a2 = function() return { 1, 2 }, 3 end, b = '2' },
}]]
  local VIEW = { word = 'feature_view', name = 'v', line = 2 }

  it('finds fields, values and names', function()
    assert.equal('a.lua:2:14', where(TEXT, VIEW, {}, 'name'))
    assert.equal('a.lua:3:34', where(TEXT, VIEW, { 'source' }, 'key'))
    assert.equal('a.lua:3:46', where(TEXT, VIEW, { 'source' }, 'value'))
    assert.equal('a.lua:5:36', where(TEXT, VIEW, { 'features', 2 }, 'value'))
    assert.equal('a.lua:5:44', where(TEXT, VIEW, { 'features', 2 }, 'name'))
    assert.equal('a.lua:6:24', where(TEXT, VIEW, { 'features', 3, 'doc' }, 'key'))
    assert.equal('a.lua:8:61', where(TEXT, VIEW, { 'tags', 'b' }, 'key'))
  end)

  it('falls back to what is around', function()
    assert.equal('a.lua:2:14', where(TEXT, VIEW, { 'ttl' }, 'key'))
    assert.equal('a.lua:5:5', where(TEXT, VIEW, { 'features', 1, 'column' }, 'key'))
    local made = { word = 'feature_view', name = 'made', line = 9 }
    assert.equal('a.lua:9:1', where(TEXT, made, { 'ttl' }, 'key'))
  end)

  it('cuts long lines around the caret', function()
    local text = ('x'):rep(1000) .. ' bad ' .. ('y'):rep(1000)
    local file = { path = 'a.lua', text = text }
    local at, excerpt = locate.print(file, locate.find_word(file, 1, 'bad'))
    assert.equal('a.lua:1:1002', at)
    local line, caret = excerpt:match('^(.*)\n(.*)$')
    assert.is_true(#line <= 160)
    assert.equal('bad', line:sub(#caret, #caret + 2))
  end)
end)
