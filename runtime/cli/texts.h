#pragma once
// Texts inside the binary, put there by runtime/generate/texts.lua: "contract" (docs/contract.md),
// "init/..." (runtime/cli/init), "stubs/..." (lua/tidemark/_meta).

#include <stddef.h>

typedef struct {
  const char *name;  // NULL ends the list
  const char *text;
  size_t size;  // bytes of text
} CliText;

extern const CliText CLI_TEXTS[];
