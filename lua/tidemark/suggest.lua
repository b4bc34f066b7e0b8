-- "Did you mean": the known word nearest to a mistyped one.

local M = {}

-- Beyond this many candidates nothing is suggested: it would cost more than it helps.
local MAX_CANDIDATES = 2000

--- Edits between two words: insertions, deletions, replacements and swaps of neighbours (optimal
--- string alignment). Anything above `limit` is returned as `limit + 1`.
---@param a string
---@param b string
---@param limit integer
---@return integer
function M.distance(a, b, limit)
  if math.abs(#a - #b) > limit then
    return limit + 1
  end
  local before, previous, current = {}, {}, {}
  for j = 0, #b do
    previous[j] = j
  end
  for i = 1, #a do
    current[0] = i
    local least = i
    local char = a:byte(i)
    for j = 1, #b do
      local cost = char == b:byte(j) and 0 or 1
      local edits = math.min(previous[j] + 1, current[j - 1] + 1, previous[j - 1] + cost)
      if i > 1 and j > 1 and char == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        edits = math.min(edits, before[j - 2] + 1)
      end
      current[j] = edits
      least = math.min(least, edits)
    end
    if least > limit then
      return limit + 1
    end
    before, previous, current = previous, current, before
  end
  return math.min(previous[#b], limit + 1)
end

--- The nearest of `known`, or nil when nothing is near: at most one edit in three letters.
---@param word string
---@param known string[]
---@return string?
function M.nearest(word, known)
  if #known > MAX_CANDIDATES or #word > 128 then
    return nil
  end
  local lower = word:lower()
  local best, best_distance
  for _, candidate in ipairs(known) do
    local limit = math.max(1, math.floor(math.max(#word, #candidate) / 3))
    local distance = M.distance(lower, candidate:lower(), limit)
    local near = distance <= limit and distance < math.max(#word, #candidate)
    if near and (not best or distance < best_distance
        or (distance == best_distance and candidate < best)) then
      best, best_distance = candidate, distance
    end
  end
  return best
end

--- `, did you mean "x"?` or nothing.
---@param word string
---@param known string[]
---@return string
function M.hint(word, known)
  local nearest = M.nearest(word, known)
  return nearest and (', did you mean "%s"?'):format(nearest) or ''
end

return M
