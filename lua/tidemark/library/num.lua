-- Numbers: what feature code does all day and easily gets wrong at the edges. nil in, nil out.

local floor, log, exp, huge = math.floor, math.log, math.exp, math.huge

local M = {}

local function check(x, name)
  if type(x) ~= 'number' then
    error(('num.%s: expected a number, got %s'):format(name, type(x)), 3)
  end
end

--- a / b; `fallback` (nil when it is not given) where b is 0 or one of them is nil.
---@param a number?
---@param b number?
---@param fallback? number
---@return number?
function M.safe_div(a, b, fallback)
  if a == nil or b == nil then
    return fallback
  end
  check(a, 'safe_div')
  check(b, 'safe_div')
  if b == 0 then
    return fallback
  end
  return a / b
end

--- x, but at least `low` and at most `high`; NaN stays NaN.
---@param x number?
---@param low number
---@param high number
---@return number?
function M.clamp(x, low, high)
  if x == nil then
    return nil
  end
  check(x, 'clamp')
  check(low, 'clamp')
  check(high, 'clamp')
  if low > high then
    error(('num.clamp: the low end %s is above the high end %s'):format(low, high), 2)
  end
  if x < low then
    return low
  elseif x > high then
    return high
  end
  return x
end

--- The natural logarithm of 1 + x, exact also where x is tiny; -inf at -1, NaN below. After W.
--- Kahan: the rounding of 1 + x is divided out again.
---@param x number?
---@return number?
function M.log1p(x)
  if x == nil then
    return nil
  end
  check(x, 'log1p')
  local u = 1 + x
  if u == 1 then
    return x
  elseif u == huge or u <= 0 then
    return log(u)
  end
  return log(u) * x / (u - 1)
end

--- 1 / (1 + e^-x), without overflow.
---@param x number?
---@return number?
function M.sigmoid(x)
  if x == nil then
    return nil
  end
  check(x, 'sigmoid')
  if x >= 0 then
    return 1 / (1 + exp(-x))
  end
  local e = exp(x)
  return e / (1 + e)
end

--- x to the nearest multiple of 10^-digits; halves go away from zero.
---@param x number?
---@param digits? integer 0 when not given
---@return number?
function M.round(x, digits)
  if x == nil then
    return nil
  end
  check(x, 'round')
  local scale = 10 ^ (digits or 0)
  local scaled = x * scale
  if scaled - scaled ~= 0 then
    return x -- not finite, or too large to have digits to round
  end
  local magnitude = scaled < 0 and -scaled or scaled
  local whole = floor(magnitude)
  if magnitude - whole >= 0.5 then
    whole = whole + 1
  end
  return (scaled < 0 and -whole or whole) / scale
end

--- How many of the ascending `edges` are at or below x: 0 below the first, #edges from the last on.
---@param x number?
---@param edges number[]
---@return integer?
function M.bucketize(x, edges)
  if x == nil then
    return nil
  end
  check(x, 'bucketize')
  local low, high = 0, #edges
  while low < high do
    local middle = floor((low + high + 1) / 2)
    if edges[middle] <= x then
      low = middle
    else
      high = middle - 1
    end
  end
  return low
end

--- -1, 0 or 1; NaN stays NaN.
---@param x number?
---@return number?
function M.sign(x)
  if x == nil then
    return nil
  end
  check(x, 'sign')
  if x > 0 then
    return 1
  elseif x < 0 then
    return -1
  end
  return x
end

--- Whether x is NaN.
---@param x number?
---@return boolean?
function M.is_nan(x)
  if x == nil then
    return nil
  end
  check(x, 'is_nan')
  return x ~= x
end

--- Whether x is neither infinite nor NaN.
---@param x number?
---@return boolean?
function M.is_finite(x)
  if x == nil then
    return nil
  end
  check(x, 'is_finite')
  return x - x == 0
end

--- The first of two values that is not nil: `num.default(row.trips, 0)`.
---@generic T
---@param value T?
---@param fallback T
---@return T
function M.default(value, fallback)
  if value == nil then
    return fallback
  end
  return value
end

return M
