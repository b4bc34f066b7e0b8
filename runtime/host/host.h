#pragma once
// The Lua side, seen from C. Loading definitions and planning changes happen in Lua, in fresh,
// sandboxed states with limits; what comes back is plain bytes. Only host/ includes lua.h.

#include "base/arena.h"
#include "base/error.h"
#include "base/slice.h"

// Bounds on what definition files may use while they are loaded.
enum { HOST_MEMORY_LIMIT = 256 << 20, HOST_INSTRUCTION_LIMIT = 100000000 };

typedef struct {
  Slice catalog;   // msgpack, data/catalog.h format 1 without ids and slots; empty with problems
  Slice sources;   // msgpack map: path → text, every file that was loaded
  Slice problems;  // msgpack list of { where, message, excerpt }: every mistake, sorted by place
  size_t problem_count;
  // msgpack list of { name, at = "file:line", doc?, view, given = [ row ], at_time?,
  //   expect = [ row ], tolerance? }, sorted by name. A row is a map of values: nil, bool, integer,
  //   float, str, bin, or an array of them. at_time is text or microseconds.
  Slice tests;
  // msgpack list of sources, as the catalog has them: their schemas are needed for the types of
  // inputs (host_resolve); until then the catalog is not complete. Empty when there are none.
  Slice wanted;
} HostDefinitions;

// Loads definitions/**/*.lua of the project in `folder`, and the files of lib/**/*.lua that they
// require. False only when that itself was impossible; mistakes in the definitions are problems.
bool host_load(const char *folder, HostDefinitions *out, Arena *arena, Error *err);

// The same from stored source text (a HostDefinitions.sources map).
bool host_load_sources(Slice sources, HostDefinitions *out, Arena *arena, Error *err);

// Completes a catalog with the types of inputs. `schemas` is a msgpack map: name of a wanted source
// → { typed = bool, columns = [ { name, type?, type_text } ] } or { error = text }. Where it says
// an error, a function that is the same in `applied` (the catalog, empty for none) keeps its types.
// The catalog and the problems of *definitions are replaced.
bool host_resolve(HostDefinitions *definitions, Slice schemas, Slice applied, Arena *arena,
                  Error *err);

typedef struct {
  Slice catalog;  // msgpack: the declared catalog with ids and slots given out, ready to store
  Slice changes;  // msgpack list of { action = "create"|"update"|"delete", kind, name, at,
                  //   details = [ text ], incompatible = bool, reason = text or nil }
  size_t change_count;
  size_t incompatible_count;
  Slice dropped;  // msgpack list of view ids whose online rows have to go
} HostPlan;

// Compares what is applied (empty: nothing) with what is declared.
bool host_plan(Slice current, Slice declared, HostPlan *out, Arena *arena, Error *err);

// Runs a Lua script, or the REPL when `script` is NULL, in an ordinary state with all libraries and
// `require 'tidemark'`. Arguments go to `...` and `arg`. Returns the process's exit status; errors
// are printed with a traceback.
int host_run(const char *script, char **arguments, size_t count);
