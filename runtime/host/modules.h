#pragma once
// The Lua library inside the binary: the text of lua/**/*.lua, put here by
// runtime/generate/modules.lua.

#include <stddef.h>

typedef struct {
  const char *name;  // as `require` takes it: "tidemark.define"
  const char *path;  // "lua/tidemark/define.lua", for messages
  const char *text;
  size_t size;  // bytes of text
} HostModule;

extern const HostModule HOST_MODULES[];  // sorted by name
extern const size_t HOST_MODULE_COUNT;
