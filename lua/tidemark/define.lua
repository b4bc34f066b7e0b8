-- Loads definition files: gives them the words of the language, keeps what they declare and where,
-- and turns all of it into a catalog or a list of problems.
--
-- Nothing stops at the first mistake. An unknown word evaluates to something that can be called and
-- indexed and is not spoken of again, a file that cannot be run still counts as possibly declaring
-- what it seems to, and a reference is only reported when its target is certainly missing.

local link = require 'tidemark.link'
local locate = require 'tidemark.locate'
local msgpack = require 'tidemark.msgpack'
local sandbox = require 'tidemark.sandbox'
local schema = require 'tidemark.schema'
local shapes = require 'tidemark.shapes'
local suggest = require 'tidemark.suggest'

local M = {}

local MAX_PROBLEMS = 1000 -- the rest is counted
local MAX_HINTS = 100 -- suggestions are costly
local MAX_DECLARATIONS = 20000

---@class tidemark.Problem
---@field file string
---@field line integer
---@field column integer
---@field where string "definitions/driver.lua:12:3"
---@field message string
---@field excerpt string the line, and a caret under the word

---@class tidemark.Loading
---@field files table<string, tidemark.SourceFile>
---@field declarations tidemark.Declaration[]
---@field unfinished table<table, boolean> names without a table yet
---@field elements table<table, table> what objects made by type words hold
---@field types table<table, string> type words and the type they stand for
---@field maybe table<string, boolean> names that unreadable text may declare
---@field unknown_at table<string, boolean> "path:line" of unknown words
---@field deferred fun()[] problems found while files run, to be located afterwards
---@field problems tidemark.Problem[]
---@field problem_count integer
---@field partial boolean some file did not run to its end

-- Problems ----------------------------------------------------------------------------------------

local function add_problem(loading, place, message)
  loading.problem_count = loading.problem_count + 1
  if loading.problem_count > MAX_PROBLEMS then
    return
  end
  local file = loading.files[place.path]
  local where, excerpt, column = place.path, '', 0
  if file and place.line then
    where, excerpt, column = locate.print(file, place)
  end
  loading.problems[#loading.problems + 1] = {
    file = place.path,
    line = place.line or 0,
    column = column,
    where = where,
    message = message,
    excerpt = excerpt,
  }
end

--- Keeps a problem for later: while a file runs, what its limits allow is all there is.
local function defer_problem(loading, add)
  if #loading.deferred < MAX_PROBLEMS then
    loading.deferred[#loading.deferred + 1] = add
  else
    loading.problem_count = loading.problem_count + 1
  end
end

--- `, did you mean "x"?` as long as there are not too many problems.
local function hint(loading, word, known)
  if loading.problem_count + #loading.deferred > MAX_HINTS then
    return ''
  end
  return suggest.hint(word, known)
end

--- A problem of a whole file, or of a line of it.
local function add_file_problem(loading, path, line, message)
  local file = loading.files[path]
  local place = file and line and locate.find_word(file, line) or { path = path }
  add_problem(loading, place, message)
end

local function title(declaration)
  return ('%s %s'):format(declaration.word, schema.quote(declaration.name))
end

--- The path that a message shows: what the word in the source does not say by itself.
local function shown_path(checking, path, want)
  local from = checking.subject_path and #checking.subject_path or 0
  local to = want == 'key' and #path - 1 or #path
  local shown = {}
  for i = from + 1, to do
    shown[#shown + 1] = path[i]
  end
  return shown
end

--- `feature "x": ttl: ` or whatever of it there is.
local function prefix(checking, path, want)
  local text = checking.subject and checking.subject .. ': ' or ''
  local shown = shown_path(checking, path, want)
  return text .. (#shown > 0 and schema.print_path(shown) .. ': ' or '')
end

local function report_in(loading, declaration, path, want, message)
  if loading.problem_count >= MAX_PROBLEMS then
    loading.problem_count = loading.problem_count + 1
    return
  end
  local place = locate.find(loading.files[declaration.file], declaration, path, want)
  add_problem(loading, place, title(declaration) .. ': ' .. message)
end

local function before(a, b)
  if a.file ~= b.file then
    return a.file < b.file
  elseif a.line ~= b.line then
    return a.line < b.line
  elseif a.column ~= b.column then
    return a.column < b.column
  end
  return a.message < b.message
end

--- Problems in order, each once, in the form that C passes on.
local function finish_problems(loading)
  table.sort(loading.problems, before)
  local list, last = msgpack.array {}, nil
  for _, problem in ipairs(loading.problems) do
    if not last or last.where ~= problem.where or last.message ~= problem.message then
      list[#list + 1] = {
        where = problem.where,
        message = problem.message,
        excerpt = problem.excerpt,
      }
    end
    last = problem
  end
  if loading.problem_count > MAX_PROBLEMS then
    list[#list + 1] = {
      where = 'definitions',
      message = ('%d more problems'):format(loading.problem_count - MAX_PROBLEMS),
      excerpt = '',
    }
  end
  return list
end

-- Words -------------------------------------------------------------------------------------------

--- The line of the definition file that is running.
local function current_place()
  for level = 3, 20 do
    local info = debug.getinfo(level, 'Sl')
    if not info then
      break
    end
    local path = info.source:match('^@(definitions/.*)$')
    if path and info.currentline > 0 then
      return path, info.currentline
    end
  end
  return nil
end

--- Something for the place of an unknown word: call it, index it, it stays unknown.
local function make_unknown(loading)
  local unknown
  unknown = setmetatable({}, {
    __index = function()
      return unknown
    end,
    __newindex = function() end,
    __call = function(_, name)
      if type(name) == 'string' then
        loading.maybe[name] = true
      end
      return unknown
    end,
    __metatable = 'locked',
  })
  return unknown
end

local function report_here(loading, word, message)
  local path, line = current_place()
  if path then
    defer_problem(loading, function()
      add_problem(loading, locate.find_word(loading.files[path], line, word), message)
    end)
  end
end

local function describe_value(value)
  return type(value) == 'string' and schema.quote(value) or type(value)
end

--- The table behind a name. Each makes a declaration of its own: a second one is a duplicate.
local function finish_declaration(loading, named, spec)
  loading.unfinished[named] = nil
  if type(spec) ~= 'table' then
    loading.maybe[named.name] = true
    defer_problem(loading, function()
      report_in(loading, named, {}, 'name',
        ('expected a table in braces, got %s'):format(describe_value(spec)))
    end)
    return
  elseif #loading.declarations == MAX_DECLARATIONS then
    error(('more than %d declarations'):format(MAX_DECLARATIONS), 3)
  end
  loading.declarations[#loading.declarations + 1] = {
    word = named.word,
    name = named.name,
    file = named.file,
    line = named.line,
    spec = spec,
  }
end

--- A declaring word: `entity 'name' { … }`.
local function make_word(loading, shape)
  return function(name)
    local path, line = current_place()
    if name == loading.unknown then
      return name
    elseif type(name) ~= 'string' then
      report_here(loading, shape.word, ('%s: expected a name in front of the braces, got %s; write '
        .. "%s 'name' { … }"):format(shape.word, describe_value(name), shape.word))
      return loading.unknown
    end
    local declaration = { word = shape.word, name = name, file = path, line = line }
    local problem = schema.name_problem(name, false)
    if problem then
      defer_problem(loading, function()
        report_in(loading, declaration, {}, 'name', 'is no name: ' .. problem)
      end)
    end
    loading.unfinished[declaration] = true
    return function(spec)
      finish_declaration(loading, declaration, spec)
    end
  end
end

--- Objects that type words make are opaque: what they hold is kept out of reach of the file.
local function make_element(loading, element)
  local object = setmetatable({}, loading.element_meta)
  loading.elements[object] = element
  return object
end

--- `float64 'x' { … }`: the same element with more said about it.
local function extend_element(loading, object, spec)
  local element = loading.elements[object]
  if type(spec) ~= 'table' or spec == loading.unknown then
    if spec ~= loading.unknown then
      report_here(loading, element.type:match('^%w+'),
        ('%s %s: expected a table in braces, got %s'):format(element.type,
          schema.quote(element.name), describe_value(spec)))
    end
    return make_element(loading, { broken = true })
  end
  return make_element(loading, { name = element.name, type = element.type, spec = spec })
end

--- What a type word gives for a name.
local function name_element(loading, type_text, name)
  if name == loading.unknown then
    return name
  elseif type(name) ~= 'string' then
    report_here(loading, type_text:match('^%w+'), ("%s: expected a name such as %s 'name', got %s")
      :format(type_text, type_text, describe_value(name)))
    return make_element(loading, { broken = true })
  end
  return make_element(loading, { name = name, type = type_text })
end

local function make_type(loading, type_text, library)
  local word = sandbox.read_only(library or {}, type_text, function(_, name)
    return name_element(loading, type_text, name)
  end)
  loading.types[word] = type_text
  return word
end

--- `list(string)`, `vector(128)`: a type made of another.
local function make_composed(loading, name, print_argument)
  return function(argument)
    if argument == loading.unknown then
      return argument
    end
    local inner = print_argument(argument)
    local text = inner and ('%s(%s)'):format(name, inner)
    local parsed, message
    if text then
      parsed, message = schema.parse_type(text)
    else
      message = ('expected %s, got %s'):format(
        name == 'list' and 'a type such as list(string)' or 'a length such as vector(128)',
        describe_value(argument))
    end
    if not parsed then
      report_here(loading, name, ('%s: %s'):format(name, message))
      return loading.unknown
    end
    return make_type(loading, parsed)
  end
end

local function print_length(argument)
  local whole = type(argument) == 'number' and argument % 1 == 0 and argument >= 0
    and argument < 2 ^ 53
  return (whole and ('%d'):format(argument))
    or (type(argument) == 'number' and tostring(argument)) or nil
end

--- The words that declare and those that name types, with the libraries.
local function make_words(loading)
  local words, string_library = sandbox.library()
  for _, shape in ipairs(shapes.words) do
    words[shape.word] = make_word(loading, shape)
  end
  for _, row in ipairs(shapes.types) do
    words[row.name] = make_type(loading, row.name, row.name == 'string' and string_library)
  end
  words.list = make_composed(loading, 'list', function(argument)
    return loading.types[argument] or (type(argument) == 'string' and argument) or nil
  end)
  words.vector = make_composed(loading, 'vector', print_length)
  return words, string_library
end

-- Files -------------------------------------------------------------------------------------------

local function word_names(words)
  local names = {}
  for name in pairs(words) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

--- The globals of one file: words that cannot be written, and globals of its own, which are
--- reported and then work, so that one mistake is one message.
local function make_environment(loading, words)
  local own = {}
  return setmetatable({}, {
    __index = function(_, name)
      if words[name] ~= nil then
        return words[name]
      elseif own[name] ~= nil then
        return own[name]
      end
      local instead = shapes.unsupported_words[name]
        or (sandbox.refused._G[name] and 'definition files do not have it')
      local path, line = current_place()
      loading.unknown_at[(path or '') .. ':' .. (line or '')] = true
      report_here(loading, name, ('unknown word %s%s'):format(schema.quote(name),
        instead and ': ' .. instead or hint(loading, name, word_names(words))))
      return loading.unknown
    end,
    __newindex = function(_, name, value)
      if words[name] ~= nil then
        report_here(loading, name, ('%s is a word of the language and cannot be assigned')
          :format(schema.quote(name)))
        return
      elseif own[name] == nil then
        report_here(loading, name, ('global %s is not allowed; write local %s')
          :format(schema.quote(name), name))
      end
      own[name] = value
    end,
    __metatable = 'locked',
  })
end

--- Names that a file which did not run may have declared.
local function remember_names(loading, file)
  for _, seen in ipairs(locate.declarations(file)) do
    loading.maybe[seen.name] = true
  end
end

--- The column that a syntax error is about: the word it was found near.
local function syntax_place(file, line, message)
  local near = message:match("near '([^']*)'$")
  return locate.find_word(file, line, near)
end

local function load_file(loading, file, words)
  local environment = make_environment(loading, words)
  if file.text:byte(1) == 27 then
    add_file_problem(loading, file.path, 1, 'is compiled Lua; definitions are source text')
    loading.partial = true
    return nil
  end
  local chunk, message = load(file.text, '@' .. file.path, 't', environment)
  if chunk then
    return chunk
  end
  loading.partial = true
  remember_names(loading, file)
  local line, text = message:match(':(%d+): (.*)$')
  if line then
    add_problem(loading, syntax_place(file, tonumber(line), text), text)
  else
    add_file_problem(loading, file.path, nil, message)
  end
  return nil
end

---@class tidemark.Failure
---@field message string
---@field limit? 'memory'|'instructions'|'time' which bound was reached
---@field file? string where, as far as it is known
---@field line? integer

--- A run-time error of a file as a problem.
local function add_failure(loading, file, failure)
  loading.partial = true
  remember_names(loading, file)
  local path, line, text = failure.message:match('^(definitions/[^\n]-):(%d+): (.*)$')
  if failure.limit or not loading.files[path] then
    path, line, text = failure.file, failure.line, failure.message
  end
  text = text:gsub('^lua/tidemark/[%w_/]+%.lua:%d+: ', '')
  if text == 'stack overflow' or text:find('^error in error handling') then
    text = 'stack overflow: the functions call each other too deeply'
  end
  if not loading.files[path] then
    path, line = file.path, 1
  end
  if loading.unknown_at[path .. ':' .. line] and not failure.limit then
    return -- it comes of the unknown word
  end
  add_file_problem(loading, path, tonumber(line), text)
end

--- Runs all files in order. A file that reaches the limit of instructions or time ends the load:
--- the bound is one for all of them.
local function run_files(loading, files, words, string_library, run)
  for _, file in ipairs(files) do
    local chunk = loading.files[file.path] and load_file(loading, file, words)
    local unlock = sandbox.lock_strings(string_library)
    local failure = chunk and run(chunk)
    unlock()
    if failure then
      add_failure(loading, file, failure)
      if failure.limit == 'instructions' or failure.limit == 'time' then
        return
      end
    end
  end
end

-- Checking ----------------------------------------------------------------------------------------

local function checking_of(loading, declaration)
  return {
    report = function(self, path, want, message, ...)
      report_in(loading, declaration, path, want,
        prefix(self, path, want) .. message:format(...))
    end,
    element = function(value)
      return loading.elements[value]
    end,
    type_text = function(value)
      return loading.types[value]
    end,
    is_broken = function(value)
      return value == loading.unknown
    end,
    hint = function(word, known)
      return hint(loading, word, known)
    end,
  }
end

local function check_declarations(loading)
  for declaration in pairs(loading.unfinished) do
    loading.maybe[declaration.name] = true
    report_in(loading, declaration, {}, 'name', 'has no { … } behind its name')
  end
  for _, declaration in ipairs(loading.declarations) do
    declaration.fields = schema.check(
      checking_of(loading, declaration),
      shapes.by_word[declaration.word],
      declaration.spec
    )
  end
end

local function link_declarations(loading)
  return link.link(loading.declarations, {
    report = function(declaration, path, want, message, ...)
      report_in(loading, declaration, path, want, message:format(...))
    end,
    maybe = function(name)
      return loading.maybe[name] == true
    end,
    hint = function(word, known)
      return hint(loading, word, known)
    end,
    partial = loading.partial,
  })
end

local function collect_files(loading, files)
  local sources = {}
  for _, file in ipairs(files) do
    if file.problem then
      loading.partial = true
      add_problem(loading, { path = file.path }, file.problem)
    else
      loading.files[file.path] = file
      sources[file.path] = file.text
    end
  end
  return sources
end

--- Loads definition files.
---@param files { path: string, text?: string, problem?: string }[] in the order they are run
---@param run fun(chunk: function): tidemark.Failure? runs a file within the limits
---@return { catalog: string, sources: string, problems: string, count: integer }
function M.load(files, run)
  local loading = {
    files = {},
    declarations = {},
    unfinished = {},
    elements = {},
    types = {},
    maybe = {},
    unknown_at = {},
    deferred = {},
    problems = {},
    problem_count = 0,
    partial = false,
  }
  loading.unknown = make_unknown(loading)
  loading.element_meta = {
    __call = function(object, spec)
      return extend_element(loading, object, spec)
    end,
    __metatable = 'locked',
  }
  local sources = collect_files(loading, files)
  local words, string_library = make_words(loading)
  run_files(loading, files, words, string_library, run)
  for _, add in ipairs(loading.deferred) do
    add()
  end
  check_declarations(loading)
  local catalog = link_declarations(loading)
  local problems = finish_problems(loading)
  return {
    catalog = #problems == 0 and msgpack.encode(catalog) or '',
    sources = msgpack.encode(msgpack.map(sources)),
    problems = msgpack.encode(problems),
    count = #problems,
  }
end

return M
