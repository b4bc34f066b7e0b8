local suggest = require 'tidemark.suggest'

describe('tidemark.suggest', function()
  local KNOWN = { 'source', 'features', 'entity', 'ttl', 'tags', 'bound' }

  it('finds the nearest word', function()
    assert.equal('source', suggest.nearest('sorce', KNOWN))
    assert.equal('features', suggest.nearest('feautres', KNOWN))
    assert.equal('ttl', suggest.nearest('tll', KNOWN))
    assert.equal('entity', suggest.nearest('ENTITY', KNOWN))
  end)

  it('says nothing when nothing is near', function()
    assert.is_nil(suggest.nearest('transform', KNOWN))
    assert.is_nil(suggest.nearest('x', KNOWN))
    assert.is_nil(suggest.nearest('abc', {}))
  end)

  it('counts edits as optimal string alignment does', function()
    local function slow(a, b)
      if a == '' or b == '' then
        return #a + #b
      end
      local best = math.min(
        slow(a:sub(2), b) + 1,
        slow(a, b:sub(2)) + 1,
        slow(a:sub(2), b:sub(2)) + (a:sub(1, 1) == b:sub(1, 1) and 0 or 1)
      )
      if #a > 1 and #b > 1 and a:sub(1, 1) == b:sub(2, 2) and a:sub(2, 2) == b:sub(1, 1) then
        best = math.min(best, slow(a:sub(3), b:sub(3)) + 1)
      end
      return best
    end
    local seed = os.time()
    math.randomseed(seed)
    local function word()
      local letters = {}
      for i = 1, math.random(0, 5) do
        letters[i] = string.char(96 + math.random(3))
      end
      return table.concat(letters)
    end
    for _ = 1, 300 do
      local a, b = word(), word()
      local expected = slow(a, b)
      assert.equal(expected, suggest.distance(a, b, 10), ('seed %d: %s %s'):format(seed, a, b))
      assert.equal(math.min(expected, 3), suggest.distance(a, b, 2))
    end
  end)
end)
