-- Where a problem is: file:line:column, and the line with a caret under the word. Lua keeps a line
-- for calls but none for the fields of a table, so the offending word is looked up in the source
-- text, token by token, from its declaration on. Where a definition is built by code and the word
-- cannot be found, the place is the nearest thing around it that can.

local M = {}

---@class tidemark.Token
---@field kind 'name'|'string'|'number'|'symbol'
---@field text string a string's content without its quotes
---@field at integer byte position
---@field line integer

---@class tidemark.SourceFile
---@field path string
---@field text string
---@field tokens? tidemark.Token[]
---@field starts? integer[] byte position of each line

-- Tokens ------------------------------------------------------------------------------------------

--- The end of `[[ … ]]` or `[=[ … ]=]` that starts at `at`: content's bounds and what follows.
local function long_bracket(text, at)
  local equals, first = text:match('^%[(=*)%[()', at)
  if not equals then
    return nil
  end
  local close, close_end = text:find(']' .. equals .. ']', first, true)
  if not close then
    return first, #text, #text + 1
  end
  return first, close - 1, close_end + 1
end

--- The end of a quoted string: at its quote, or at the end of the line where it is missing.
local function quoted_end(text, at)
  local quote = text:sub(at, at)
  local i = at + 1
  while i <= #text do
    local char = text:sub(i, i)
    if char == quote then
      return i
    elseif char == '\n' then
      return i - 1
    end
    i = i + (char == '\\' and 2 or 1)
  end
  return #text
end

local function skip_comment(text, at)
  local _, _, after = long_bracket(text, at + 2)
  return after or text:find('\n', at, true) or #text + 1
end

--- The token at `at` (which is no space and no comment): kind, text, and what follows.
local function token_at(text, at)
  local word = text:match('^[%a_][%w_]*', at)
  if word then
    return 'name', word, at + #word
  end
  local number = text:match('^%.?%d[%w_.]*', at)
  if number then
    return 'number', number, at + #number
  end
  local first, last, after = long_bracket(text, at)
  if first then
    return 'string', text:sub(first, last), after
  end
  if text:find('^[\'"]', at) then
    local stop = quoted_end(text, at)
    return 'string', text:sub(at + 1, stop - 1), stop + 1
  end
  local symbol = text:match('^[=~<>]=', at) or text:match('^%.%.%.?', at) or text:sub(at, at)
  return 'symbol', symbol, at + #symbol
end

--- The tokens of Lua source, which may be malformed.
---@param text string
---@return tidemark.Token[]
function M.tokens(text)
  local tokens = {}
  local at, line, counted = 1, 1, 1
  if text:sub(1, 1) == '#' then
    at = text:find('\n', 1, true) or #text + 1
  end
  while true do
    at = text:find('%S', at)
    if not at then
      return tokens
    end
    if text:sub(at, at + 1) == '--' then
      at = skip_comment(text, at)
    else
      local newline = text:find('\n', counted, true)
      while newline and newline < at do
        line = line + 1
        counted = newline + 1
        newline = text:find('\n', counted, true)
      end
      local kind, content, after = token_at(text, at)
      tokens[#tokens + 1] = { kind = kind, text = content, at = at, line = line }
      at = after
    end
  end
end

---@param file tidemark.SourceFile
local function tokens_of(file)
  file.tokens = file.tokens or M.tokens(file.text)
  return file.tokens
end

local function is_symbol(token, text)
  return token and token.kind == 'symbol' and token.text == text
end

-- Structure ---------------------------------------------------------------------------------------

local OPENING = { ['('] = true, ['{'] = true, ['['] = true }
local CLOSING = { [')'] = true, ['}'] = true, [']'] = true }
local BLOCK = { ['function'] = true, ['do'] = true, ['if'] = true, ['repeat'] = true }
local BLOCK_END = { ['end'] = true, ['until'] = true }

--- How a token changes the nesting.
local function depth_change(token)
  if token.kind == 'symbol' then
    return OPENING[token.text] and 1 or CLOSING[token.text] and -1 or 0
  elseif token.kind == 'name' then
    return BLOCK[token.text] and 1 or BLOCK_END[token.text] and -1 or 0
  end
  return 0
end

--- The index of the bracket that closes the one at `open`, or the last token.
local function closing(tokens, open)
  local depth = 0
  for i = open, #tokens do
    depth = depth + depth_change(tokens[i])
    if depth <= 0 then
      return i
    end
  end
  return #tokens
end

--- Key and first token of the value of the item that starts at `first`; no key: a positional item.
local function item_parts(tokens, first)
  local a, b, c, d = tokens[first], tokens[first + 1], tokens[first + 2], tokens[first + 3]
  if a.kind == 'name' and is_symbol(b, '=') then
    return a.text, first, first + 2
  end
  if is_symbol(a, '[') and b and b.kind == 'string' and is_symbol(c, ']') and is_symbol(d, '=') then
    return b.text, first + 1, first + 4
  end
  return nil, first, first
end

--- The items between a brace and its partner: { key?, key_token, first, last } each.
local function table_items(tokens, open)
  local items = {}
  local close = closing(tokens, open)
  local first, depth = open + 1, 0
  for i = open + 1, close do
    local separator = depth == 0 and tokens[i].kind == 'symbol'
      and (tokens[i].text == ',' or tokens[i].text == ';')
    if (separator or i == close) and first < i then
      local key, key_token, value = item_parts(tokens, first)
      items[#items + 1] = { key = key, key_token = key_token, first = value, last = i - 1 }
    end
    if separator then
      first = i + 1
    else
      depth = depth + depth_change(tokens[i])
    end
  end
  return items
end

--- The first `{` of a value at its own level: `{ … }`, `float64 'x' { … }`.
local function brace_of(tokens, first, last)
  local depth = 0
  for i = first, last do
    if depth == 0 and is_symbol(tokens[i], '{') then
      return i
    end
    depth = depth + depth_change(tokens[i])
  end
  return nil
end

--- The item that a step of a path names: a field, or the n-th of those without a key.
local function find_item(items, step)
  local position = 0
  for _, item in ipairs(items) do
    if item.key then
      if item.key == step then
        return item
      end
    else
      position = position + 1
      if position == step then
        return item
      end
    end
  end
  return nil
end

-- Declarations ------------------------------------------------------------------------------------

--- The token of the word that made a declaration: on its line, before its name.
local function word_token(tokens, declaration)
  local nearest
  for i, token in ipairs(tokens) do
    if token.kind == 'name' and token.text == declaration.word then
      local named = tokens[i + 1]
      if is_symbol(named, '(') then
        named = tokens[i + 2]
      end
      local matches = named and named.kind == 'string' and named.text == declaration.name
      local distance = math.abs(token.line - declaration.line)
      if distance <= 3 and (matches or distance == 0) then
        local rank = distance + (matches and 0 or 10)
        if not nearest or rank < nearest.rank then
          nearest = { index = i, rank = rank }
        end
      end
    end
  end
  return nearest and nearest.index
end

--- Index of the name's token and of the brace that opens the body; either may be missing.
local function declaration_parts(tokens, word)
  local i = word + 1
  local name
  if is_symbol(tokens[i], '(') then
    name = tokens[i + 1] and tokens[i + 1].kind == 'string' and i + 1
    i = closing(tokens, i) + 1
  elseif tokens[i] and tokens[i].kind == 'string' then
    name = i
    i = i + 1
  end
  if is_symbol(tokens[i], '(') then
    i = i + 1
  end
  return name, is_symbol(tokens[i], '{') and i or nil
end

--- Goes down a path inside the body; the last item that was found, and whether that was all of it.
local function follow(tokens, open, path)
  local found
  for depth, step in ipairs(path) do
    local item = open and find_item(table_items(tokens, open), step)
    if not item then
      return found, false
    end
    found = item
    if depth < #path then
      open = brace_of(tokens, item.first, item.last)
    end
  end
  return found, true
end

--- The token inside a value that bears the name of what it declares.
local function string_in(tokens, item)
  for i = item.first, item.last do
    if tokens[i].kind == 'string' then
      return i
    end
  end
  return item.first
end

--- The first token of a line, so that a caret does not point at indentation.
local function first_on_line(tokens, line)
  for _, token in ipairs(tokens) do
    if token.line >= line then
      return token.line == line and token or nil
    end
  end
  return nil
end

---@class tidemark.Place
---@field path string
---@field line integer
---@field at integer? byte position; nil where only the line is known

local function place_of(file, token, line)
  return { path = file.path, line = token and token.line or line, at = token and token.at }
end

--- The place of something inside a declaration.
---@param file tidemark.SourceFile
---@param declaration { word: string, name: string, line: integer }
---@param path (string|integer)[] field names and positions from the body on; empty: the name
---@param want 'key'|'value'|'name' of the item at the end of the path
---@return tidemark.Place
function M.find(file, declaration, path, want)
  local tokens = tokens_of(file)
  local word = word_token(tokens, declaration)
  if not word then
    return place_of(file, first_on_line(tokens, declaration.line), declaration.line)
  end
  local name, open = declaration_parts(tokens, word)
  local found, complete = follow(tokens, open, path)
  if not found then
    return place_of(file, tokens[name or word], declaration.line)
  end
  local index = found.first
  if complete and want == 'key' then
    index = found.key_token
  elseif complete and want == 'name' then
    index = string_in(tokens, found)
  end
  return place_of(file, tokens[index] or tokens[found.key_token], declaration.line)
end

--- The place of a word on a line, rather not as the name of a field; the line's first word where it
--- is not there.
---@param file tidemark.SourceFile
---@param line integer
---@param word? string
---@return tidemark.Place
function M.find_word(file, line, word)
  local tokens = tokens_of(file)
  local field
  for i, token in ipairs(tokens) do
    if token.line == line and token.text == word then
      local before, after = tokens[i - 1], tokens[i + 1]
      local is_field = is_symbol(before, '.') or is_symbol(before, ':')
        or (is_symbol(after, '=') and first_on_line(tokens, line) ~= token)
      if not is_field then
        return place_of(file, token, line)
      end
      field = field or token
    end
  end
  return place_of(file, field or first_on_line(tokens, line), line)
end

--- The place of a field on a line, `name` in `row.name`; failing that, of the word, and failing
--- that of the line's first one.
---@param file tidemark.SourceFile
---@param line integer
---@param name string
---@return tidemark.Place
function M.find_field(file, line, name)
  local tokens = tokens_of(file)
  local found
  for i, token in ipairs(tokens) do
    if token.line == line and token.text == name then
      local before = tokens[i - 1]
      if is_symbol(before, '.') or is_symbol(before, ':') or is_symbol(before, '[') then
        return place_of(file, token, line)
      end
      found = found or token
    end
  end
  return place_of(file, found or first_on_line(tokens, line), line)
end

--- Words followed by a name: what a file that cannot be run seems to declare.
---@param file tidemark.SourceFile
---@return { word: string, name: string }[]
function M.declarations(file)
  local tokens = tokens_of(file)
  local seen = {}
  for i, token in ipairs(tokens) do
    local named = tokens[i + 1]
    if is_symbol(named, '(') then
      named = tokens[i + 2]
    end
    if token.kind == 'name' and named and named.kind == 'string' then
      seen[#seen + 1] = { word = token.text, name = named.text }
    end
  end
  return seen
end

-- Printing ----------------------------------------------------------------------------------------

local MAX_SHOWN = 160 -- characters of a source line

--- Characters of UTF-8 text.
local function count_characters(text)
  local _, continuations = text:gsub('[\128-\191]', '')
  return #text - continuations
end

local function line_starts(file)
  if not file.starts then
    file.starts = { 1 }
    for at in file.text:gmatch('\n()') do
      file.starts[#file.starts + 1] = at
    end
  end
  return file.starts
end

--- The line and a caret under the byte `offset` of it. A long line is cut around the caret.
local function excerpt(line, offset)
  local from = #line <= MAX_SHOWN and 1 or math.max(1, offset - MAX_SHOWN / 2)
  while from > 1 and line:find('^[\128-\191]', from) do
    from = from - 1
  end
  local to = math.min(#line, from + MAX_SHOWN - 1)
  while to < #line and line:find('^[\128-\191]', to + 1) do
    to = to + 1
  end
  local before = line:sub(from, offset - 1):gsub('[\128-\191]', ''):gsub('[^\t]', ' ')
  return line:sub(from, to) .. '\n' .. before .. '^'
end

--- A place as text: "definitions/x.lua:12:3", and the line with a caret.
---@param file tidemark.SourceFile
---@param place tidemark.Place
---@return string where
---@return string excerpt
---@return integer column
function M.print(file, place)
  local starts = line_starts(file)
  local start = starts[place.line] or starts[#starts]
  local stop = (file.text:find('\n', start, true) or #file.text + 1) - 1
  local line = file.text:sub(start, stop):gsub('\r$', '')
  local offset = place.at and place.at - start + 1 or 1
  local column = count_characters(line:sub(1, offset - 1)) + 1
  local where = ('%s:%d:%d'):format(file.path, place.line, column)
  return where, excerpt(line, offset), column
end

return M
