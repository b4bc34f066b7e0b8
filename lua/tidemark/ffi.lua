-- The C side of the library: methods by msgpack, for a project in this process or a server
-- elsewhere. The only place that knows the exported functions' types.

local ffi = require 'ffi'

-- busted loads modules anew for every spec file, but types may be declared only once.
if not pcall(ffi.typeof, 'tidemark_Error') then
  ffi.cdef [[
    typedef struct { int code; char where[192]; char message[512]; } tidemark_Error;
    typedef struct { uint8_t *data; size_t size; size_t capacity; } tidemark_Buf;
    typedef struct tidemark_Project tidemark_Project;
    typedef struct tidemark_Client tidemark_Client;

    tidemark_Project *tidemark_open(const char *folder, const char *store, tidemark_Error *err);
    void tidemark_close(tidemark_Project *project);
    bool tidemark_call(tidemark_Project *project, const char *method, size_t method_size,
                       const char *params, size_t params_size, tidemark_Buf *result,
                       tidemark_Error *err);
    tidemark_Client *tidemark_connect(const char *address, unsigned timeout_ms,
                                      tidemark_Error *err);
    void tidemark_disconnect(tidemark_Client *client);
    bool tidemark_client_call(tidemark_Client *client, const char *method, size_t method_size,
                              const char *params, size_t params_size, tidemark_Buf *result,
                              tidemark_Error *err);
    void tidemark_free(tidemark_Buf *result);
    bool tidemark_time_parse(const char *text, size_t size, int64_t *time, tidemark_Error *err);
    size_t tidemark_time_print(int64_t time, char *out);
  ]]
end

local library = os.getenv('TIDEMARK_LIB')
local C = library and ffi.load(library) or ffi.C

local M = {}

local CODES = {
  'internal', 'usage', 'invalid', 'not_found', 'definition', 'conflict', 'data', 'io', 'store',
  'limit', 'unavailable', 'protocol', 'cancelled',
}

-- Errors are raised as these: fields for programs, and one line for people.
local Error = {
  __tostring = function(self)
    return self.where and self.where .. ': ' .. self.message or self.message
  end,
  __name = 'tidemark.Error',
}

--- A table of code, name, message and where; prints as "where: message".
---@param err ffi.cdata*  tidemark_Error
---@return tidemark.Error
function M.error(err)
  local where = ffi.string(err.where)
  return setmetatable({
    code = err.code,
    name = CODES[err.code] or 'internal',
    message = ffi.string(err.message),
    where = where ~= '' and where or nil,
  }, Error)
end

local function new_error()
  return ffi.new('tidemark_Error')
end

-- Raises what *err says unless `good`.
local function check(good, err)
  if not good or good == nil then
    error(M.error(err), 0)
  end
  return good
end

--- Opens the project in `folder`; `store` overrides where its store is.
---@param folder string
---@param store string?
---@return ffi.cdata*
function M.open(folder, store)
  local err = new_error()
  return ffi.gc(check(C.tidemark_open(folder, store, err), err), C.tidemark_close)
end

---@param project ffi.cdata*
function M.close(project)
  C.tidemark_close(ffi.gc(project, nil))
end

--- Connects to "host:port".
---@param address string
---@param timeout_ms integer?
---@return ffi.cdata*
function M.connect(address, timeout_ms)
  local err = new_error()
  return ffi.gc(check(C.tidemark_connect(address, timeout_ms or 0, err), err),
    C.tidemark_disconnect)
end

---@param client ffi.cdata*
function M.disconnect(client)
  C.tidemark_disconnect(ffi.gc(client, nil))
end

local function call(entry, handle, method, params)
  local err = new_error()
  local result = ffi.gc(ffi.new('tidemark_Buf'), C.tidemark_free)
  check(entry(handle, method, #method, params, #params, result, err), err)
  local bytes = ffi.string(result.data, result.size)
  C.tidemark_free(ffi.gc(result, nil))
  return bytes
end

--- Calls a method of a project: msgpack in, msgpack out.
---@param project ffi.cdata*
---@param method string
---@param params string
---@return string
function M.call(project, method, params)
  return call(C.tidemark_call, project, method, params)
end

--- The same over a connection.
---@param client ffi.cdata*
---@param method string
---@param params string
---@return string
function M.client_call(client, method, params)
  return call(C.tidemark_client_call, client, method, params)
end

--- Microseconds since 1970 UTC of an ISO-8601 text.
---@param text string
---@return ffi.cdata*  int64_t
function M.parse_time(text)
  local err, time = new_error(), ffi.new('int64_t[1]')
  check(C.tidemark_time_parse(text, #text, time, err), err)
  return time[0]
end

--- RFC 3339 with Z.
---@param time integer|ffi.cdata*
---@return string
function M.print_time(time)
  local out = ffi.new('char[40]')
  return ffi.string(out, C.tidemark_time_print(time, out))
end

return M
