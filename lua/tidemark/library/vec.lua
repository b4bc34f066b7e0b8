-- Lists and vectors of numbers: arrays, with their length in `n` or by `#`. Sums go from the first
-- element to the last, so that the same values give the same bits. nil in, nil out; a hole (a null
-- element) is an error, except where it says otherwise.

local charge = require('tidemark.sandbox').charge

local sqrt = math.sqrt

local M = {}

local MAX_CATEGORIES = 65536

local function length(v, name)
  if type(v) ~= 'table' then
    error(('vec.%s: expected a list of numbers, got %s'):format(name, type(v)), 3)
  end
  local n = v.n or #v
  if type(n) == 'number' and n > 0 then
    charge(n)
  end
  return n
end

local function element(v, i, name)
  local x = v[i]
  if type(x) ~= 'number' then
    error(('vec.%s: element %d is %s; expected a number'):format(name, i,
      x == nil and 'null' or type(x)), 3)
  end
  return x
end

local function same_length(a, b, name)
  local n, other = length(a, name), length(b, name)
  if n ~= other then
    error(('vec.%s: the lengths %d and %d differ'):format(name, n, other), 3)
  end
  return n
end

--- The sum of the elements; 0 of an empty list.
---@param v number[]?
---@return number?
function M.sum(v)
  if v == nil then
    return nil
  end
  local total = 0
  for i = 1, length(v, 'sum') do
    total = total + element(v, i, 'sum')
  end
  return total
end

--- The mean of the elements; nil of an empty list.
---@param v number[]?
---@return number?
function M.mean(v)
  if v == nil then
    return nil
  end
  local n, total = length(v, 'mean'), 0
  for i = 1, n do
    total = total + element(v, i, 'mean')
  end
  if n == 0 then
    return nil
  end
  return total / n
end

--- The greatest element; nil of an empty list, NaN where there is one.
---@param v number[]?
---@return number?
function M.max(v)
  if v == nil then
    return nil
  end
  local best = nil
  for i = 1, length(v, 'max') do
    local x = element(v, i, 'max')
    if best == nil or x > best or x ~= x then
      best = x
    end
  end
  return best
end

--- The least element; nil of an empty list, NaN where there is one.
---@param v number[]?
---@return number?
function M.min(v)
  if v == nil then
    return nil
  end
  local best = nil
  for i = 1, length(v, 'min') do
    local x = element(v, i, 'min')
    if best == nil or x < best or x ~= x then
      best = x
    end
  end
  return best
end

--- The dot product of two lists of one length.
---@param a number[]?
---@param b number[]?
---@return number?
function M.dot(a, b)
  if a == nil or b == nil then
    return nil
  end
  local total = 0
  for i = 1, same_length(a, b, 'dot') do
    total = total + element(a, i, 'dot') * element(b, i, 'dot')
  end
  return total
end

--- The Euclidean length.
---@param v number[]?
---@return number?
function M.norm(v)
  if v == nil then
    return nil
  end
  local total = 0
  for i = 1, length(v, 'norm') do
    local x = element(v, i, 'norm')
    total = total + x * x
  end
  return sqrt(total)
end

--- The Euclidean distance of two lists of one length.
---@param a number[]?
---@param b number[]?
---@return number?
function M.distance(a, b)
  if a == nil or b == nil then
    return nil
  end
  local total = 0
  for i = 1, same_length(a, b, 'distance') do
    local x = element(a, i, 'distance') - element(b, i, 'distance')
    total = total + x * x
  end
  return sqrt(total)
end

--- The cosine of the angle between two lists of one length, -1 to 1; nil where one of them is all
--- zeros.
---@param a number[]?
---@param b number[]?
---@return number?
function M.cosine(a, b)
  if a == nil or b == nil then
    return nil
  end
  local dot, of_a, of_b = 0, 0, 0
  for i = 1, same_length(a, b, 'cosine') do
    local x, y = element(a, i, 'cosine'), element(b, i, 'cosine')
    dot = dot + x * y
    of_a = of_a + x * x
    of_b = of_b + y * y
  end
  if of_a == 0 or of_b == 0 then
    return nil
  end
  local cosine = dot / (sqrt(of_a) * sqrt(of_b))
  if cosine > 1 then
    return 1
  elseif cosine < -1 then
    return -1
  end
  return cosine
end

--- A new list, each element times `factor`.
---@param v number[]?
---@param factor number
---@return number[]?
function M.scale(v, factor)
  if v == nil then
    return nil
  end
  if type(factor) ~= 'number' then
    error('vec.scale: expected a number to multiply with, got ' .. type(factor), 2)
  end
  local n = length(v, 'scale')
  local out = { n = n }
  for i = 1, n do
    out[i] = element(v, i, 'scale') * factor
  end
  return out
end

--- A new list, a + b element by element.
---@param a number[]?
---@param b number[]?
---@return number[]?
function M.add(a, b)
  if a == nil or b == nil then
    return nil
  end
  local n = same_length(a, b, 'add')
  local out = { n = n }
  for i = 1, n do
    out[i] = element(a, i, 'add') + element(b, i, 'add')
  end
  return out
end

--- A list of 0 and a single 1 at the place of `value` among `categories`; all 0 where it is none of
--- them or nil.
---@param value string|number|boolean|nil
---@param categories (string|number|boolean)[]
---@return number[]
function M.one_hot(value, categories)
  local n = type(categories) == 'table' and #categories or 0
  if n == 0 or n > MAX_CATEGORIES then
    error('vec.one_hot: expected a list of 1 to 65536 categories', 2)
  end
  charge(n)
  local out = { n = n }
  for i = 1, n do
    out[i] = categories[i] == value and 1 or 0
  end
  return out
end

return M
