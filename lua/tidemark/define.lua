-- Loads definition files: gives them the words of the language, keeps what they declare and where,
-- and turns all of it into a catalog or a list of problems.
--
-- Nothing stops at the first mistake. An unknown word evaluates to something that can be called and
-- indexed and is not spoken of again, a file that cannot be run still counts as possibly declaring
-- what it seems to, and a reference is only reported when its target is certainly missing.

local bytecode = require 'tidemark.bytecode'
local digest = require 'tidemark.digest'
local inputs = require 'tidemark.inputs'
local instrument = require 'tidemark.instrument'
local link = require 'tidemark.link'
local locate = require 'tidemark.locate'
local msgpack = require 'tidemark.msgpack'
local problems = require 'tidemark.problems'
local sandbox = require 'tidemark.sandbox'
local schema = require 'tidemark.schema'
local shapes = require 'tidemark.shapes'
local suggest = require 'tidemark.suggest'
local writes = require 'tidemark.writes'

local M = {}

local MAX_PROBLEMS = 1000 -- the rest is counted
local MAX_HINTS = 100 -- suggestions are costly
local MAX_DECLARATIONS = 20000

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
---@field modules table<string, tidemark.Module> files of lib/, by path, once they are required
---@field requiring string[] the names of those that are being run, in order
---@field closed boolean all files have been run
---@field compile fun(text: string, name: string, environment: table): function?, string?
---@field names table<any, string> what the words and libraries are called
---@field environments table<table, table> the globals of files, and the words they show
---@field inner table<table, table> read-only tables and what they show

-- Problems ----------------------------------------------------------------------------------------

local function add_problem(loading, place, message)
  loading.problem_count = loading.problem_count + 1
  if loading.problem_count > MAX_PROBLEMS then
    return
  end
  problems.add(loading.problems, loading.files, place, message)
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

--- Problems as C passes them on, and how many more there are.
local function finish_problems(loading)
  local list = problems.finish(loading.problems)
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

--- The path behind a chunk's name; nil when it is none of the project.
local function own_path(source)
  return source:match('^@(definitions/.*)$') or source:match('^@(lib/.*)$')
end

--- The line of the definition file that is running, and the function.
local function current_place()
  for level = 3, 20 do
    local info = debug.getinfo(level, 'Slf')
    if not info then
      break
    end
    local path = own_path(info.source)
    if path and info.currentline > 0 then
      return path, info.currentline, info.func
    end
  end
  return nil
end

--- Notes for the elements in a table that they are where somebody looks at them.
local function place_elements(loading, items)
  local todo, seen = { items }, {}
  while #todo > 0 do
    local value = table.remove(todo)
    local element = loading.elements[value]
    if element then
      element.placed = true
    elseif type(value) == 'table' and not seen[value] then
      seen[value] = true
      for _, item in pairs(value) do
        if type(item) == 'table' then
          todo[#todo + 1] = item
        end
      end
    end
  end
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
      place_elements(loading, name)
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
      place_elements(loading, name)
      report_here(loading, shape.word, ('%s: expected a name in front of the braces, got %s; write '
        .. "%s 'name' { … }"):format(shape.word, describe_value(name), shape.word))
      return loading.unknown
    end
    local declaration = { word = shape.word, name = name, file = path, line = line }
    local problem = shape.apart and schema.title_problem(name)
      or (not shape.apart and schema.name_problem(name, false)) or nil
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
  element.placed = true
  return make_element(loading, {
    name = element.name,
    type = element.type,
    spec = spec,
    line = element.line,
    by = element.by,
  })
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
  local _, line, by = current_place()
  return make_element(loading, { name = name, type = type_text, line = line, by = by })
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
  local environment = {}
  loading.environments[environment] = words
  return setmetatable(environment, {
    __index = function(_, name)
      if words[name] ~= nil then
        return words[name]
      elseif own[name] ~= nil then
        return own[name]
      elseif loading.closed then
        error(('unknown word %s'):format(schema.quote(name)), 2)
      end
      local named = schema.type_named(name)
      local instead = shapes.unsupported_words[name]
        or (sandbox.refused._G[name] and 'definition files do not have it')
        or (named and ('the type is called %s'):format(named))
      local path, line = current_place()
      loading.unknown_at[(path or '') .. ':' .. (line or '')] = true
      report_here(loading, name, ('unknown word %s%s'):format(schema.quote(name),
        instead and ': ' .. instead or hint(loading, name, word_names(words))))
      return loading.unknown
    end,
    __newindex = function(_, name, value)
      if loading.closed then
        error(('global %s is not allowed; write local %s'):format(schema.quote(name), name), 2)
      elseif words[name] ~= nil then
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

--- The modules that a project has, as `require` takes them.
local function module_names(loading)
  local names = {}
  for path in pairs(loading.files) do
    local name = path:match('^(lib/.*)%.lua$')
    names[#names + 1] = name and name:gsub('/', '.')
  end
  table.sort(names)
  return names
end

--- The path that a module's name stands for, checked.
local function module_path(loading, name)
  if type(name) ~= 'string' then
    error(("require: expected a name such as 'lib.geo', got %s"):format(describe_value(name)), 3)
  end
  local path = name:find('^lib%.[%w_.-]+$') and not name:find('..', 1, true)
    and name:gsub('%.', '/') .. '.lua'
  if path and loading.files[path] then
    return path
  elseif path then
    local known = module_names(loading)
    error(('require: there is no file %s in the project%s'):format(path,
      hint(loading, name, known)), 3)
  end
  error(('require: %s is not in lib/; a definition file can require files of the folder lib, '
    .. "as 'lib.geo' for lib/geo.lua"):format(schema.quote(name)), 3)
end

--- A module's value as others get it: what is a table cannot be written to.
local function share_value(loading, value, name)
  if type(value) ~= 'table' or loading.names[value] or loading.inner[value]
    or loading.elements[value] or value == loading.unknown then
    return value
  end
  local shared = sandbox.read_only(value, name)
  loading.inner[shared] = value
  return shared
end

--- Runs a file of lib/, once. It is called by the file that requires it, within the same limits.
local function run_module(loading, module, path, name)
  local file = loading.files[path]
  local chunk, message
  if file.text:byte(1) == 27 then
    message = path .. ':1: is compiled Lua; files of lib are source text'
  else
    chunk, message = loading.compile(file.text, '@' .. path, loading.library_environment)
  end
  if not chunk then
    error(message, 0)
  end
  table.insert(loading.requiring, name)
  local ok, value = pcall(chunk)
  table.remove(loading.requiring)
  if not ok then
    error(value, 0)
  end
  module.value = share_value(loading, value, name)
  module.done = true
  return module.value
end

---@class tidemark.Module
---@field done boolean
---@field value any

--- `require 'lib.geo'`: what the file lib/geo.lua of the project returns.
local function make_require(loading)
  return function(name)
    if loading.closed then
      error('require: call it at the top of a file, not while rows are computed', 2)
    end
    local path = module_path(loading, name)
    local module = loading.modules[path]
    if module and module.done then
      return module.value
    end
    for i, other in ipairs(loading.requiring) do
      if other == name then
        error(('require: %s requires itself: %s'):format(name,
          table.concat(loading.requiring, ' -> ', i) .. ' -> ' .. name), 2)
      end
    end
    module = { done = false }
    loading.modules[path] = module
    return run_module(loading, module, path, name)
  end
end

--- Remembers what a value of ours is called, and the functions of a library with it.
local function note_name(loading, name, value)
  if type(value) ~= 'table' and type(value) ~= 'function' then
    return
  end
  loading.names[value] = loading.names[value] or name
  local meta = debug.getmetatable(value)
  local items = type(value) == 'table' and meta and meta.__index
  for key, item in pairs(type(items) == 'table' and items or {}) do
    if type(item) == 'function' then
      loading.names[item] = loading.names[item] or (name .. '.' .. key)
    end
  end
end

--- The words that declare and those that name types, with the libraries; and the same without
--- those that declare, for files of lib/.
local function make_words(loading)
  local words, string_library = sandbox.library()
  words.null = loading.null
  for _, row in ipairs(shapes.types) do
    words[row.name] = make_type(loading, row.name, row.name == 'string' and string_library)
  end
  words.list = make_composed(loading, 'list', function(argument)
    return loading.types[argument] or (type(argument) == 'string' and argument) or nil
  end)
  words.vector = make_composed(loading, 'vector', print_length)
  words.require = make_require(loading)
  local plain = {}
  for name, value in pairs(words) do
    plain[name] = value
    note_name(loading, name, value)
  end
  for name, value in pairs(string_library) do
    loading.names[value] = loading.names[value] or 'string.' .. name
  end
  for _, shape in ipairs(shapes.words) do
    words[shape.word] = make_word(loading, shape)
    loading.names[words[shape.word]] = shape.word
  end
  loading.library_environment = make_environment(loading, plain)
  loading.words = { all = words, plain = plain }
  return words, string_library
end

-- Files -------------------------------------------------------------------------------------------

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

--- The chunk of a file; nil, after a report, where it is none.
local function compile_file(loading, file, environment)
  if file.text:byte(1) == 27 then
    add_file_problem(loading, file.path, 1, 'is compiled Lua; definitions are source text')
    loading.partial = true
    return nil
  end
  local chunk, message = loading.compile(file.text, '@' .. file.path, environment)
  if chunk then
    return chunk
  end
  loading.partial = true
  remember_names(loading, file)
  local line, text = message:match(':(%d+): (.*)$')
  if line then
    local comma = text:find("^'}' expected") and not text:find('<eof>', 1, true)
      and '; is a comma missing before it?' or ''
    add_problem(loading, syntax_place(file, tonumber(line), text), text .. comma)
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

--- Path, line and text of an error's message; only the text where it names no place of ours.
local function split_message(message)
  for _, folder in ipairs { 'definitions', 'lib' } do
    local path, line, text = message:match('^(' .. folder .. '/[^\n]-):(%d+): (.*)$')
    if path then
      return path, line, text
    end
  end
  return nil, nil, message
end

--- What people may have meant that call a library: `text 'city'`.
local function explain_call(text)
  local name = text:match("^attempt to call global '(%w+)' %(a table value%)$")
  local named = name and schema.type_named(name)
  return name and ('%s is a library of functions%s'):format(schema.quote(name),
    named and '; the type is called ' .. named or '') or text
end

--- A run-time error of a file as a problem.
local function add_failure(loading, file, failure)
  loading.partial = true
  remember_names(loading, file)
  local path, line, text = split_message(failure.message)
  if failure.limit or not loading.files[path] then
    path, line, text = failure.file, failure.line, failure.message
  end
  text = explain_call((text:gsub('^lua/tidemark/[%w_/]+%.lua:%d+: ', '')))
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

local function is_module(file)
  return file.path:find('^lib/') ~= nil
end

--- Runs all definition files in order, and with them the files of lib/ that they require; the
--- others are only compiled. A file that reaches the limit of instructions or time ends the load:
--- the bound is one for all of them.
local function run_files(loading, files, words, string_library, run)
  for _, file in ipairs(files) do
    local environment = is_module(file) and loading.library_environment
      or make_environment(loading, words)
    local chunk = loading.files[file.path] and compile_file(loading, file, environment)
    if chunk and not is_module(file) then
      local unlock = sandbox.lock_strings(string_library)
      local failure = run(chunk)
      unlock()
      if failure then
        add_failure(loading, file, failure)
        if failure.limit == 'instructions' or failure.limit == 'time' then
          break
        end
      end
    end
  end
  loading.closed = true
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
    is_null = function(value)
      return value == loading.null
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

--- Reports fields that are statements of their own. Those that are in no declaration but were kept
--- by somebody are none of our business.
local function report_strays(loading)
  for _, declaration in ipairs(loading.declarations) do
    place_elements(loading, declaration.spec)
  end
  local statements = {}
  for _, element in pairs(loading.elements) do
    local by = not element.placed and element.by
    if by then
      statements[by] = statements[by] or bytecode.statements(by)
    end
    local words = by and statements[by][element.line]
    local word = element.type and element.type:match('^%w+')
    if words and words[word] then
      local path = own_path(debug.getinfo(by, 'S').source)
      add_problem(loading, locate.find_word(loading.files[path], element.line, word),
        ('%s %s stands alone: put it between the braces of a declaration'):format(element.type,
          schema.quote(element.name)))
    end
  end
end

--- Reports modules that a file which requires them has changed.
local function report_changed(loading)
  for path, module in pairs(loading.modules) do
    if loading.inner[module.value] and sandbox.was_changed(module.value) then
      add_problem(loading, { path = path },
        'what it returns was changed by a file that requires it')
    end
  end
end

--- What the sandbox has made of its own, for those who look into functions.
local function known_values(loading)
  return {
    plain = {},
    name_of = function(value)
      return loading.names[value]
    end,
    inside = function(value)
      return loading.inner[value] or value
    end,
  }
end

local function link_declarations(loading, hash)
  local own = known_values(loading)
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
    report_line = function(declaration, place, word, message, ...)
      local file = loading.files[place.file]
      add_problem(loading, locate.find_field(file, place.line, word),
        title(declaration) .. ': ' .. message:format(...))
    end,
    partial = loading.partial,
    known = own,
    digests = digest.new(own, hash),
    words = loading.words,
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

local function never() end

--- As `load`, for a first look. A text with functions must also compile with its steps counted, as
--- it is when they run: that takes a variable more.
local function compile_text(text, name, environment)
  local chunk, message = load(text, name, 't', environment)
  if chunk and text:find('function', 1, true) then
    local counted, problem = instrument.compile(text, name, environment, never)
    if not counted then
      return nil, problem
    end
  end
  return chunk, message
end

local function new_loading(compile)
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
    modules = {},
    requiring = {},
    names = {},
    inner = {},
    environments = {},
    closed = false,
    compile = compile,
    null = sandbox.read_only({}, 'null'),
  }
  loading.unknown = make_unknown(loading)
  loading.element_meta = {
    __call = function(object, spec)
      return extend_element(loading, object, spec)
    end,
    __metatable = 'locked',
  }
  return loading
end

---@class tidemark.Loaded
---@field catalog string msgpack; '' with problems
---@field sources string msgpack: path to text
---@field problems string msgpack
---@field count integer of problems
---@field tests string msgpack: a list, runtime/host/host.h
---@field wanted string msgpack: sources whose columns inputs.lua has to know; '' for none

--- Loads definition files.
---@param files { path: string, text?: string, problem?: string }[] in the order they are run; those
---  of lib/ are run when they are required
---@param run fun(chunk: function): tidemark.Failure? runs a file within the limits
---@param hash fun(text: string): string a digest of bytes, the same for ever
---@return tidemark.Loaded
function M.load(files, run, hash)
  local loading = new_loading(compile_text)
  local sources = collect_files(loading, files)
  local words, string_library = make_words(loading)
  run_files(loading, files, words, string_library, run)
  for _, add in ipairs(loading.deferred) do
    add()
  end
  check_declarations(loading)
  report_changed(loading)
  if not loading.partial then
    report_strays(loading)
  end
  local catalog, tests = link_declarations(loading, hash)
  local found = finish_problems(loading)
  local good = #found == 0
  local wanted = good and inputs.wanted(catalog) or {}
  if #wanted == 0 then
    inputs.strip(catalog)
  end
  return {
    catalog = good and msgpack.encode(catalog) or '',
    sources = msgpack.encode(msgpack.map(sources)),
    problems = msgpack.encode(found),
    count = #found,
    tests = msgpack.encode(tests),
    wanted = #wanted > 0 and msgpack.encode(wanted) or '',
  }
end

-- Functions ---------------------------------------------------------------------------------------

--- Makes the words plain fields of each file's globals: functions that are run for every row find
--- them without a detour. Nothing reachable from them assigns globals, which M.load has checked.
local function flatten_environments(loading)
  for environment, words in pairs(loading.environments) do
    for name, value in pairs(words) do
      rawset(environment, name, value)
    end
  end
end

--- Keeps functions from adding to tables that outlive their rows, wherever M.load has not seen it.
local function freeze_tables(loading, found)
  local callees = {}
  for _, by_name in pairs(found) do
    for _, view in pairs(by_name) do
      for _, callee in pairs(view) do
        callees[#callees + 1] = callee
      end
    end
  end
  for _, items in ipairs(writes.tables_around(callees, known_values(loading))) do
    sandbox.freeze(items)
  end
end

---@class tidemark.FunctionOptions
---@field compile? fun(text: string, name: string, environment: table): function?, string? as `load`

--- Runs definition files that were applied once more, and hands out the functions of views.
--- Raises the first problem; there is none in texts that M.load has accepted, unless a limit is
--- reached. What `("x"):method()` reaches is the caller's to set (sandbox.lock_strings).
---@param files { path: string, text: string }[] in the order they are run
---@param run fun(chunk: function): tidemark.Failure? runs a file within the limits
---@param options? tidemark.FunctionOptions
---@return table<string, table<string, { transform?: function, filter?: function }>> functions by
---  word (`feature_view`, `on_demand_feature_view`) and name
---@return table string_library
function M.functions(files, run, options)
  local loading = new_loading(options and options.compile or compile_text)
  collect_files(loading, files)
  local words, string_library = make_words(loading)
  run_files(loading, files, words, string_library, run)
  for _, add in ipairs(loading.deferred) do
    add()
  end
  if loading.problem_count > 0 then
    local first = finish_problems(loading)[1]
    error(first.where .. ': ' .. first.message, 0)
  end
  flatten_environments(loading)
  local found = { feature_view = {}, on_demand_feature_view = {} }
  for _, declaration in ipairs(loading.declarations) do
    local by_name, spec = found[declaration.word], declaration.spec
    if by_name and not by_name[declaration.name] then
      by_name[declaration.name] = { transform = spec.transform, filter = spec.filter }
    end
  end
  freeze_tables(loading, found)
  return found, string_library
end

return M
