-- The C kernels, for specs: inside our own binary its exported symbols, under a plain luajit a
-- library that holds them.

local ffi = require 'ffi'

local library = os.getenv('TIDEMARK_LIB')

return library and ffi.load(library) or ffi.C
