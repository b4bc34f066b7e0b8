-- Histograms of times: counts are exact, quantiles are at most 1/16 above the true ones.

local ffi = require 'ffi'
local C = require 'spec.support.ffi'

ffi.cdef [[
  void tidemark_histogram(const uint64_t *values, size_t count, void *sum);
  size_t tidemark_histogram_size(void);
  double tidemark_histogram_quantile(const void *sum, double share);
  double tidemark_histogram_below(const void *sum, unsigned power);
]]

local function histogram(values)
  local numbers = ffi.new('uint64_t[?]', #values + 1)
  for i, value in ipairs(values) do
    numbers[i - 1] = value
  end
  local sum = ffi.new('uint8_t[?]', tonumber(C.tidemark_histogram_size()))
  C.tidemark_histogram(numbers, #values, sum)
  return sum
end

describe('a histogram', function()
  it('without values has no quantiles', function()
    local sum = histogram({})
    assert.equal(0, C.tidemark_histogram_quantile(sum, 0.5))
    assert.equal(0, C.tidemark_histogram_below(sum, 20))
  end)

  it('keeps small values and the ends of buckets exactly', function()
    for value = 0, 31 do
      assert.equal(value, C.tidemark_histogram_quantile(histogram({ value }), 0.5))
    end
    for power = 5, 36 do
      for _, value in ipairs({ 2 ^ power - 1, 2 ^ power, 2 ^ power + 1 }) do
        local sum = histogram({ value, 2 ^ 37 - 1 })
        local found = C.tidemark_histogram_quantile(sum, 0.25)
        assert(found >= value and found <= value * (1 + 1 / 16), value)
        assert.equal(value < 2 ^ power and 1 or 0, C.tidemark_histogram_below(sum, power))
      end
    end
  end)

  it('puts what is too large into its last bucket', function()
    local sum = histogram({ 2 ^ 37, 2 ^ 52 })
    assert.equal(2 ^ 37 - 1, C.tidemark_histogram_quantile(sum, 0.5))
    assert.equal(2, C.tidemark_histogram_below(sum, 37))
  end)

  it('finds quantiles of random values, and how many are below a power of two', function()
    for _ = 1, 200 do
      local values = {}
      for i = 1, math.random(500) do
        values[i] = math.floor(2 ^ (math.random() * 36.9))
      end
      local sum = histogram(values)
      table.sort(values)
      for _, share in ipairs({ 0, 0.25, 0.5, 0.9, 0.99, 0.999, 1 }) do
        local place = math.min(math.floor(share * #values) + 1, #values)
        local found = C.tidemark_histogram_quantile(sum, share)
        assert(found >= values[place] and found <= values[place] * (1 + 1 / 16),
          ('%g of %d values: %g for %g'):format(share, #values, found, values[place]))
      end
      for power = 4, 37 do
        local below = 0
        for _, value in ipairs(values) do
          below = below + (value < 2 ^ power and 1 or 0)
        end
        assert.equal(below, C.tidemark_histogram_below(sum, power))
      end
    end
  end)
end)
