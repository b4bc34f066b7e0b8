#pragma once
// From definition files to the registry: all or nothing.

#include "base/arena.h"
#include "engine/engine.h"

typedef struct {
  uint64_t generation;  // plan: the current one; apply: the new one (the old one without changes)
  Slice problems;       // msgpack list, host/host.h; with problems the rest is empty
  size_t problem_count;
  Slice changes;  // msgpack list, host/host.h
  size_t change_count;
  size_t incompatible_count;
  uint64_t rows_dropped;  // apply: online rows of dropped views that were deleted
} ApplyResult;

// What the definitions declare now, completed and with the numbers that apply would give, but not
// applied: what is looked at before.
typedef struct {
  Slice problems;  // msgpack list, host/host.h; with problems the rest is empty
  size_t problem_count;
  Catalog *catalog;  // NULL with problems; one reference is the caller's. Its generation is the one
                     // that apply would make
  Slice tests;       // msgpack list, host/host.h
} EngineDeclared;

bool engine_declared(Engine *engine, EngineDeclared *out, Arena *arena, Error *err);

// What apply would do. Problems are a result, not an error.
bool engine_plan(Engine *engine, ApplyResult *result, Arena *arena, Error *err);

// Does it. With problems: ERR_DEFINITION, nothing is changed and *result lists them. With
// incompatible changes and no `allow_incompatible`: ERR_CONFLICT, nothing is changed.
bool engine_apply(Engine *engine, bool allow_incompatible, ApplyResult *result, Arena *arena,
                  Error *err);
