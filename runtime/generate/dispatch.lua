-- Writes the method table as C.
--   luajit runtime/generate/dispatch.lua runtime/rpc/methods.lua OUTPUT.c

local source, output = ...
if not output then
  io.stderr:write('usage: dispatch.lua METHODS.lua OUTPUT.c\n')
  os.exit(2)
end

local C_TYPES = {
  text = 'Slice',
  flag = 'bool',
  time = 'Time',
  texts = 'ParamTexts',
  map = 'ParamValue',
  list = 'ParamValue',
  rows = 'ParamValue',
}

local lines = {}
local function put(format, ...)
  lines[#lines + 1] = format:format(...)
end

-- get_online_features -> GetOnlineFeaturesParams
local function struct_name(method)
  local camel = method:gsub('_?(%a)(%a*)', function(first, rest)
    return first:upper() .. rest
  end)
  return camel .. 'Params'
end

local function put_parameter(method, param)
  local struct, values, count = struct_name(method.name), 'NULL', 0
  if param.values then
    values = ('%s_%s_values'):format(method.name, param.name)
    count = #param.values
  end
  put('    {"%s", PARAM_%s, %s, offsetof(%s, %s), %s, %d},', param.name, param.type:upper(),
    tostring(param.required == true), struct, param.name, values, count)
end

-- A parameter and its field in methods.h have to agree; the compiler says when they do not.
local function put_check(method, param)
  local c_type = assert(C_TYPES[param.type], 'unknown type ' .. param.type)
  put('_Static_assert(_Generic(((%s *)0)->%s, %s: 1, default: 0), "%s.%s is a %s");',
    struct_name(method.name), param.name, c_type, method.name, param.name, c_type)
end

local function put_parameters(method)
  for _, param in ipairs(method.params) do
    put_check(method, param)
    if param.values then
      put('static const char *const %s_%s_values[] = {"%s"};', method.name, param.name,
        table.concat(param.values, '", "'))
    end
  end
  put('static const Parameter %s_parameters[] = {', method.name)
  for _, param in ipairs(method.params) do
    put_parameter(method, param)
  end
  put('};')
  put('')
end

local function put_method(method)
  local struct, parameters = struct_name(method.name), method.name .. '_parameters'
  local size = ('sizeof(%s)'):format(struct)
  if #method.params == 0 then
    parameters, size = 'NULL', '0'
  end
  put('    {"%s", method_%s, %s, %d, %s, %s},', method.name, method.name, parameters,
    #method.params, size, tostring(method.remote == true))
end

-- Names by length, then one comparison each.
local function put_find(methods)
  local by_size, sizes = {}, {}
  for index, method in ipairs(methods) do
    local size = #method.name
    if not by_size[size] then
      by_size[size] = {}
      sizes[#sizes + 1] = size
    end
    table.insert(by_size[size], { index = index - 1, name = method.name })
  end
  table.sort(sizes)
  put('const Method *method_find(Slice name)')
  put('{')
  put('  switch (name.size) {')
  for _, size in ipairs(sizes) do
    put('  case %d:', size)
    for _, method in ipairs(by_size[size]) do
      put('    if (memcmp(name.data, "%s", %d) == 0) {', method.name, size)
      put('      return &METHODS[%d];', method.index)
      put('    }')
    end
    put('    return NULL;')
  end
  put('  default:')
  put('    return NULL;')
  put('  }')
  put('}')
end

local methods = dofile(source)
table.sort(methods, function(a, b)
  return a.name < b.name
end)

put('// Generated from runtime/rpc/methods.lua by runtime/generate/dispatch.lua; not to be edited.')
put('')
put('#include <stddef.h>')
put('')
put('#include "rpc/methods.h"')
put('')
for _, method in ipairs(methods) do
  if #method.params > 0 then
    put_parameters(method)
  end
end
put('const Method METHODS[] = {')
for _, method in ipairs(methods) do
  put_method(method)
end
put('};')
put('')
put('const size_t METHOD_COUNT = %d;', #methods)
put('')
put_find(methods)

local file = assert(io.open(output, 'w'))
file:write(table.concat(lines, '\n'), '\n')
file:close()
