-- Checks what a declaration contains against its shape and brings it into one form, whatever short
-- or long form it was written in. Reports everything that is wrong, not only the first thing, each
-- with the path inside the declaration, from which locate.lua finds the word in the source.

local duration = require 'tidemark.duration'
local msgpack = require 'tidemark.msgpack'
local shapes = require 'tidemark.shapes'
local suggest = require 'tidemark.suggest'

local M = {}

local MAX_NAME = 128 -- bytes
local MAX_TITLE = 256 -- bytes
local MAX_TEXT = 1024 * 1024
local MAX_ITEMS = 65535

--- Stands for a value that was reported where it was made; nothing more is said about it.
M.BROKEN = {}

---@class tidemark.Checking
---@field report fun(self: table, path: (string|integer)[], want: string, message: string, ...)
---@field subject? string the element that is looked at: `feature "conv_rate"`
---@field subject_path? (string|integer)[]
---@field element fun(value: any): table? what a value made by a type word holds
---@field type_text fun(value: any): string? the type that a type word stands for
---@field is_broken fun(value: any): boolean
---@field is_null fun(value: any): boolean
---@field hint fun(word: string, known: string[]): string `, did you mean "x"?`

-- Helpers -----------------------------------------------------------------------------------------

local function extend(path, step)
  local longer = {}
  for i, part in ipairs(path) do
    longer[i] = part
  end
  longer[#longer + 1] = step
  return longer
end

--- A path as messages show it: `features[2].doc`.
---@param path (string|integer)[]
---@return string
function M.print_path(path)
  local text = ''
  for i, step in ipairs(path) do
    if type(step) == 'number' then
      text = text .. '[' .. step .. ']'
    else
      text = text .. (i > 1 and '.' or '') .. step
    end
  end
  return text
end

local function quote(text)
  if #text > 80 then
    text = text:sub(1, 77):gsub('[\128-\255]*$', '') .. '...'
  end
  return '"' .. text:gsub('[%c"\\]', function(char)
    return char == '\n' and '\\n' or char:find('["\\]') and '\\' .. char
      or ('\\%d'):format(char:byte())
  end) .. '"'
end
M.quote = quote

--- The keys of a table in a fixed order: positions first.
local function sorted_keys(items)
  local keys = {}
  for key in pairs(items) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    if type(a) ~= type(b) then
      return type(a) == 'number' or (type(b) ~= 'number' and type(a) < type(b))
    elseif type(a) == 'number' or type(a) == 'string' then
      return a < b
    end
    return tostring(a) < tostring(b)
  end)
  return keys
end

local function field_names(shape)
  local names = {}
  for i, field in ipairs(shape.fields) do
    names[i] = field.name
  end
  return names
end

local function wrong_type(checking, path, expected, value)
  checking:report(path, 'value', 'expected %s, got %s', expected, type(value))
  return nil
end

--- A table or nothing, with its report.
local function expect_table(checking, path, expected, value)
  if type(value) == 'table' then
    return value
  end
  return wrong_type(checking, path, expected, value)
end

-- One valid sequence of UTF-8 each (RFC 3629, section 4), longer than a byte.
local UTF8_SEQUENCES = {
  '[\194-\223][\128-\191]',
  '\224[\160-\191][\128-\191]',
  '[\225-\236\238\239][\128-\191][\128-\191]',
  '\237[\128-\159][\128-\191]',
  '\240[\144-\191][\128-\191][\128-\191]',
  '[\241-\243][\128-\191][\128-\191][\128-\191]',
  '\244[\128-\143][\128-\191][\128-\191]',
}

--- Whether clients can take a text as a string.
local function is_utf8(text)
  for _, sequence in ipairs(UTF8_SEQUENCES) do
    text = text:gsub(sequence, ' ')
  end
  return not text:find('[\128-\255]')
end

local function check_text(checking, path, value, what)
  if type(value) ~= 'string' then
    return wrong_type(checking, path, what, value)
  elseif value == '' then
    checking:report(path, 'value', 'is empty; expected %s', what)
    return nil
  elseif #value > MAX_TEXT then
    checking:report(path, 'value', 'is longer than %d bytes', MAX_TEXT)
    return nil
  elseif value:find('%z') then
    checking:report(path, 'value', 'contains a zero byte')
    return nil
  elseif not is_utf8(value) then
    checking:report(path, 'value', 'is not UTF-8 text')
    return nil
  end
  return value
end

--- Why a text cannot be a name; nil when it can.
---@param name string
---@param joined boolean whether `name__feature` is built from it
---@return string?
function M.name_problem(name, joined)
  if name == '' then
    return 'a name cannot be empty'
  elseif #name > MAX_NAME then
    return ('a name has at most %d bytes, this one has %d'):format(MAX_NAME, #name)
  elseif not name:find('^[%a_][%w_]*$') then
    return 'a name is made of letters, digits and _, and does not start with a digit'
  elseif joined and (name:find('__', 1, true) or name:find('_$')) then
    return 'it cannot contain "__" or end with "_": columns are called `view__feature`'
  end
  return nil
end

--- Why a text cannot be the title of a test; nil when it can.
---@param title string
---@return string?
function M.title_problem(title)
  if title == '' then
    return 'a title cannot be empty'
  elseif #title > MAX_TITLE then
    return ('a title has at most %d bytes, this one has %d'):format(MAX_TITLE, #title)
  elseif title:find('%c') or not is_utf8(title) then
    return 'a title is one line of UTF-8 text'
  end
  return nil
end

local function check_name(checking, path, value, what)
  if type(value) ~= 'string' then
    return wrong_type(checking, path, what or 'a name', value)
  end
  local problem = M.name_problem(value, false)
  if problem then
    checking:report(path, 'name', '%s is no name: %s', quote(value), problem)
    return nil
  end
  return value
end

-- Types -------------------------------------------------------------------------------------------

local function known_types()
  local names = {}
  for _, row in ipairs(shapes.types) do
    names[#names + 1] = row.name
  end
  for _, row in ipairs(shapes.composed) do
    names[#names + 1] = row.form
  end
  return names
end

--- The type that goes by this name elsewhere.
---@param name string
---@return string?
function M.type_named(name)
  for _, row in ipairs(shapes.types) do
    for _, alias in ipairs(row.aliases) do
      if alias == name:lower() then
        return row.name
      end
    end
  end
end

local function suggest_type(text)
  local named = M.type_named(text)
  return named and (', did you mean "%s"?'):format(named) or suggest.hint(text, known_types())
end

--- The canonical text of a type; nil and what is wrong with it.
---@param text string
---@return string? type
---@return string? message
function M.parse_type(text)
  if shapes.by_type[text] then
    return text
  elseif #text > MAX_NAME then
    return nil, 'unknown type ' .. quote(text)
  end
  local element = text:match('^list%((.*)%)$')
  if element then
    if shapes.by_type[element] then
      return text
    elseif element:find('^list') or element:find('^vector') then
      return nil, ('a list cannot hold %s; its elements are plain values'):format(quote(element))
    end
    return nil, ('unknown type %s%s'):format(quote(element), suggest_type(element))
  end
  local length = text:match('^vector%((.*)%)$')
  if length then
    local number = length:find('^%d+$') and tonumber(length)
    if not number or number < 1 or number > shapes.vector_max then
      return nil, ('a vector has 1 to %d elements, not %s'):format(shapes.vector_max, length)
    end
    return ('vector(%d)'):format(number)
  end
  return nil, ('unknown type %s%s'):format(quote(text), suggest_type(text))
end

--- Whether an entity may have a key of this type.
---@param text string
---@return boolean
function M.type_can_be_key(text)
  local row = shapes.by_type[text]
  return row ~= nil and row.key == true
end

-- Kinds -------------------------------------------------------------------------------------------

local CHECKS = {}
local check_fields

local function check_value(checking, path, field, value)
  if checking.is_broken(value) then
    return M.BROKEN
  end
  return CHECKS[field.kind](checking, path, value, field)
end

function CHECKS.text(checking, path, value)
  return check_text(checking, path, value, 'a text')
end

function CHECKS.column(checking, path, value)
  return check_text(checking, path, value, 'the name of a column')
end

function CHECKS.name(checking, path, value)
  return check_name(checking, path, value)
end

function CHECKS.bool(checking, path, value)
  if type(value) ~= 'boolean' then
    return wrong_type(checking, path, 'true or false', value)
  end
  return value
end

function CHECKS.choice(checking, path, value, field)
  for _, choice in ipairs(field.choices) do
    if value == choice then
      return value
    end
  end
  local known = '"' .. table.concat(field.choices, '", "') .. '"'
  if type(value) == 'string' then
    checking:report(path, 'value', 'unknown value %s; expected one of %s', quote(value), known)
  else
    checking:report(path, 'value', 'expected one of %s, got %s', known, type(value))
  end
  return nil
end

function CHECKS.duration(checking, path, value, field)
  if value == 0 then
    checking:report(path, 'value', '%s', field.zero)
    return nil
  elseif type(value) ~= 'string' then
    return wrong_type(checking, path, 'a duration such as "36h"', value)
  end
  local microseconds, message = duration.parse(value)
  if not microseconds then
    checking:report(path, 'value', '%s: %s', quote(value), message)
    return nil
  elseif microseconds == 0 then
    checking:report(path, 'value', '%s', field.zero)
    return nil
  end
  return microseconds
end

function CHECKS.reference(checking, path, value)
  return check_name(checking, path, value)
end

--- A name or a list of names, as a list.
function CHECKS.names(checking, path, value)
  if type(value) == 'string' then
    local name = check_name(checking, path, value)
    return name and { name }
  elseif not expect_table(checking, path, 'a name or a list of names', value) then
    return nil
  end
  return CHECKS.references(checking, path, value, { item = check_name })
end

local function check_path(checking, path, value)
  local text = check_text(checking, path, value, 'a path')
  if text and text:find('\n') then
    checking:report(path, 'value', 'contains a line break; several paths are a list')
    return nil
  end
  return text
end

--- A list; every element goes through `field.item`.
function CHECKS.references(checking, path, value, field)
  if not expect_table(checking, path, 'a list', value) then
    return nil
  end
  local item_check = field.item or function(_, item_path, item)
    return check_text(checking, item_path, item, 'a reference such as "view:feature"')
  end
  local result = {}
  for _, key in ipairs(sorted_keys(value)) do
    if type(key) ~= 'number' then
      checking:report(extend(path, key), 'key', 'unexpected field %s in a list',
        quote(tostring(key)))
    elseif key > MAX_ITEMS then
      checking:report(path, 'value', 'has more than %d elements', MAX_ITEMS)
      return nil
    elseif checking.is_broken(value[key]) then
      result.broken = true
    else
      local item = item_check(checking, extend(path, key), value[key])
      result[#result + 1] = item
      result.positions = result.positions or {}
      if item ~= nil then
        result.positions[#result] = key
      else
        result.broken = true
      end
    end
  end
  if #result == 0 and not result.broken then
    checking:report(path, 'value', 'is empty')
    return nil
  end
  return result
end

--- A map from text to text; `value_check` sees each value.
local function check_map(checking, path, value, expected, value_check)
  if not expect_table(checking, path, expected, value) then
    return nil
  end
  local result = {}
  for _, key in ipairs(sorted_keys(value)) do
    if type(key) ~= 'string' then
      checking:report(extend(path, key), 'value', 'expected %s', expected)
    elseif not checking.is_broken(value[key]) then
      result[key] = value_check(checking, extend(path, key), value[key])
    end
  end
  return msgpack.map(result)
end

--- A path or a list of them, as one text with a path per line.
function CHECKS.paths(checking, path, value)
  if type(value) == 'string' then
    return check_path(checking, path, value)
  elseif not expect_table(checking, path, 'a path or a list of paths', value) then
    return nil
  end
  local list = CHECKS.references(checking, path, value, { item = check_path })
  return list and (list.broken and M.BROKEN or table.concat(list, '\n'))
end

function CHECKS.tags(checking, path, value)
  return check_map(checking, path, value, 'tags such as { team = "risk" }',
    function(_, tag_path, text)
      if type(text) ~= 'string' then
        return wrong_type(checking, tag_path, 'a text', text)
      end
      return text
    end)
end

function CHECKS.columns(checking, path, value)
  return check_map(checking, path, value, 'columns by key such as { driver_id = "drv" }',
    function(_, column_path, text)
      return check_text(checking, column_path, text, 'the name of a column')
    end)
end

function CHECKS.roles(checking, path, value)
  return check_map(checking, path, value, 'roles such as { pickup = { zone_id = "pickup_zone" } }',
    function(_, role_path, columns)
      local role = role_path[#role_path]
      local problem = M.name_problem(role, true)
      if problem then
        checking:report(role_path, 'key', '%s is no name for a role: %s', quote(role), problem)
        return nil
      end
      local result = CHECKS.columns(checking, role_path, columns)
      if result and next(result) == nil then
        checking:report(role_path, 'value', 'is empty; expected columns by key')
        return nil
      end
      return result
    end)
end

--- Whether a function was written in the project, so that what it does can be looked at.
---@param value any
---@return boolean
function M.is_own_function(value)
  local source = type(value) == 'function' and debug.getinfo(value, 'S').source or ''
  return source:find('^@definitions/') ~= nil or source:find('^@lib/') ~= nil
end

CHECKS['function'] = function(checking, path, value)
  if type(value) ~= 'function' then
    return wrong_type(checking, path, 'a function such as function(row) … end', value)
  elseif not M.is_own_function(value) then
    checking:report(path, 'value', 'expected a function of the project; write function(row) … end')
    return nil
  end
  return value
end

function CHECKS.number(checking, path, value)
  if type(value) ~= 'number' then
    return wrong_type(checking, path, 'a number', value)
  elseif not (value >= 0 and value < math.huge) then
    checking:report(path, 'value', 'expected a number that is not negative, got %s',
      tostring(value))
    return nil
  end
  return value
end

--- A moment: ISO-8601 text, or microseconds since 1970 UTC.
function CHECKS.time(checking, path, value)
  local is_time = type(value) == 'string' and value:find('^[+-]?%d%d%d%d+%-%d%d%-%d%d')
    or (type(value) == 'number' and value % 1 == 0 and math.abs(value) <= 2 ^ 53)
  if not is_time then
    checking:report(path, 'value', "expected a time such as '2024-05-01T12:00:00Z', got %s",
      type(value) == 'string' and quote(value) or type(value))
    return nil
  end
  return value
end

-- Rows of tests -----------------------------------------------------------------------------------

local SCALARS = { boolean = true, number = true, cdata = true, string = true }

--- One value as msgpack has it; `problem` for what no column can hold.
local function row_scalar(checking, value)
  if checking.is_null(value) then
    return msgpack.null
  elseif type(value) == 'string' and not is_utf8(value) then
    return msgpack.bin(value)
  elseif SCALARS[type(value)] then
    return value
  end
  return nil, type(value)
end

local function row_list(checking, path, value)
  local list = msgpack.array {}
  for i = 1, #value do
    local item, got = row_scalar(checking, value[i])
    if item == nil then
      checking:report(extend(path, i), 'value', 'expected a value, got %s', got)
      return nil
    end
    list[i] = item
  end
  for key in pairs(value) do
    if type(key) ~= 'number' or not list[key] and list[key] ~= false then
      checking:report(path, 'value', 'expected a list without holes; write null for a value that '
        .. 'is not there')
      return nil
    end
  end
  return list
end

local function check_row(checking, path, value)
  local row = {}
  for _, key in ipairs(sorted_keys(value)) do
    local item, got = row_scalar(checking, value[key])
    if type(key) ~= 'string' then
      checking:report(extend(path, key), 'value', 'expected fields such as amount = 10')
    elseif checking.is_broken(value[key]) then
      return nil
    elseif item ~= nil then
      row[key] = item
    elseif got == 'table' then
      row[key] = row_list(checking, extend(path, key), value[key])
    else
      checking:report(extend(path, key), 'value', 'expected a value or a list of values, got %s',
        got)
    end
  end
  return msgpack.map(row)
end

--- A row or a list of rows, as a list.
function CHECKS.rows(checking, path, value, field)
  local expected = 'a row such as { amount = 10 }, or a list of rows'
  if not expect_table(checking, path, expected, value) then
    return nil
  elseif next(value) == nil and not field.empty then
    checking:report(path, 'value', 'is empty')
    return nil
  elseif value[1] == nil and next(value) ~= nil then
    return msgpack.array { check_row(checking, path, value) }
  end
  local rows = msgpack.array {}
  for _, key in ipairs(sorted_keys(value)) do
    local row_path = extend(path, key)
    if type(key) ~= 'number' then
      checking:report(row_path, 'key', 'unexpected field %s in a list of rows',
        quote(tostring(key)))
    elseif checking.is_broken(value[key]) then
      return nil
    elseif type(value[key]) ~= 'table' or checking.is_null(value[key]) then
      checking:report(row_path, 'value', 'expected a row such as { amount = 10 }, got %s',
        type(value[key]))
    else
      rows[#rows + 1] = check_row(checking, row_path, value[key])
    end
  end
  return rows
end

-- Types of elements ---------------------------------------------------------------------------

function CHECKS.type(checking, path, value)
  local text = checking.type_text(value) or value
  if type(text) ~= 'string' then
    return wrong_type(checking, path, 'a type such as "float64"', value)
  end
  local parsed, message = M.parse_type(text)
  if not parsed then
    checking:report(path, 'value', '%s', message)
  end
  return parsed
end

function CHECKS.key_type(checking, path, value, field)
  local parsed = CHECKS.type(checking, path, value, field)
  if parsed and not M.type_can_be_key(parsed) then
    local names = {}
    for _, row in ipairs(shapes.types) do
      names[#names + 1] = row.key and row.name or nil
    end
    checking:report(path, 'value', 'a key cannot be %s; it can be %s', parsed,
      table.concat(names, ', '))
    return nil
  end
  return parsed
end

-- Elements ----------------------------------------------------------------------------------------

--- `checking` with a word put in front of every message: which element it is about.
local function about(checking, what, name, path)
  return setmetatable({
    subject = ('%s "%s"'):format(what, name),
    subject_path = path,
  }, { __index = checking })
end

--- One key or feature: the object that a type word made, or a table that says it all.
local function check_element(checking, path, value, shape)
  local made = checking.element(value)
  if made and made.broken then
    return M.BROKEN
  end
  if not made and type(value) ~= 'table' then
    local shown = type(value) == 'string' and quote(value) or type(value)
    checking:report(path, 'value', 'expected a type and a name such as %s, got %s', shape.example,
      shown)
    return nil
  elseif checking.type_text(value) then
    checking:report(path, 'value', 'is a type without a name; write %s \'name\'',
      checking.type_text(value))
    return nil
  end
  local spec = made and made.spec or (not made and value) or {}
  local given = made and { name = made.name, type = made.type }
  local name = given and given.name or spec.name
  local inner = type(name) == 'string' and about(checking, shape.what, name, path) or checking
  return check_fields(inner, path, shape, spec, given)
end

--- A list of keys or features, each name once.
function CHECKS.fields(checking, path, value, field)
  local shape = shapes.elements[field.of]
  if checking.element(value) then
    checking:report(path, 'value', 'expected a list; write { %s }', shape.example)
    return nil
  end
  local list = CHECKS.references(checking, path, value, {
    item = function(_, item_path, item)
      return check_element(checking, item_path, item, shape)
    end,
  })
  if not list then
    return nil
  end
  local result, seen = { broken = list.broken, positions = {} }, {}
  for i, element in ipairs(list) do
    if element == M.BROKEN or not element.name then
      result.broken = true
    elseif seen[element.name] then
      checking:report(extend(path, list.positions[i]), 'name', '%s "%s" is listed twice',
        shape.what, element.name)
    else
      seen[element.name] = true
      result[#result + 1] = element
      result.positions[#result] = list.positions[i]
    end
  end
  return result
end

-- Shapes ------------------------------------------------------------------------------------------

--- Reports fields that the shape does not have; returns the fields they were probably meant to be.
local function check_unknown(checking, path, shape, spec, given)
  local meant = {}
  for _, key in ipairs(sorted_keys(spec)) do
    if type(key) ~= 'string' then
      local example = shape.fields[1]
      checking:report(extend(path, key), 'value', 'unexpected value; fields are written %s = %s',
        example.name, example.example)
    elseif not shape.by_name[key] then
      local reason = shape.unsupported and shape.unsupported[key]
      local names = field_names(shape)
      meant[suggest.nearest(key, names) or ''] = true
      checking:report(extend(path, key), 'key', 'unknown field %s%s', quote(key),
        reason and ': ' .. reason or checking.hint(key, names))
    elseif given and given[key] then
      checking:report(extend(path, key), 'key', 'unexpected field %s: it is given in front of '
        .. 'the braces', quote(key))
    end
  end
  return meant
end

local function check_one_of(checking, path, shape, spec, meant)
  local there = {}
  for _, name in ipairs(shape.one_of or {}) do
    if spec[name] ~= nil or meant[name] then
      there[#there + 1] = name
    end
  end
  local names = table.concat(shape.one_of, '" or "')
  if #there == 0 then
    checking:report(path, 'name', 'one of the fields "%s" is required', names)
  elseif #there > 1 then
    checking:report(extend(path, there[2]), 'key', 'either "%s", not both', names)
  end
end

local function check_at_least_one(checking, path, shape, spec, meant)
  for _, name in ipairs(shape.at_least_one_of) do
    if spec[name] ~= nil or meant[name] then
      return
    end
  end
  checking:report(path, 'name', 'one of the fields "%s" is required',
    table.concat(shape.at_least_one_of, '" or "'))
end

--- The beginning of a doc, to be read inside a sentence.
local function first_clause(doc)
  return (doc:gsub('%..*$', ''):gsub(';.*$', ''):gsub('^%u', string.lower))
end

--- Fields of a table by a shape. `given`: fields that came before the braces.
function check_fields(checking, path, shape, spec, given)
  local result = {}
  local meant = check_unknown(checking, path, shape, spec, given)
  for _, field in ipairs(shape.fields) do
    local value = given and given[field.name]
    local field_path = extend(path, field.name)
    if value ~= nil then
      field_path = path
    else
      value = spec[field.name]
    end
    local checked
    if value ~= nil then
      checked = check_value(checking, field_path, field, value)
    elseif field.required and not meant[field.name] then
      checking:report(path, 'name', 'field "%s" is missing: %s', field.name,
        first_clause(field.doc))
    else
      checked = field.default
    end
    if checked ~= M.BROKEN then
      result[field.name] = checked
    end
    result.broken = result.broken or (field.required and result[field.name] == nil) or nil
  end
  if shape.one_of then
    check_one_of(checking, path, shape, spec, meant)
  elseif shape.at_least_one_of then
    check_at_least_one(checking, path, shape, spec, meant)
  end
  return result
end

--- Checks the table of a declaration.
---@param checking tidemark.Checking
---@param shape tidemark.Shape
---@param spec table
---@return table fields in one form; `broken` when a required one was not usable
function M.check(checking, shape, spec)
  return check_fields(checking, {}, shape, spec, nil)
end

return M
