#pragma once
// The columns that sources have now: what the types of a function's inputs are taken from where
// definitions do not say them.

#include "engine/engine.h"

// Puts what host_resolve asks for (host/host.h): a msgpack map, by name of the source, of its
// columns or of why it could not be opened. `wanted` is HostDefinitions.wanted.
bool schemas_describe(Engine *engine, Slice wanted, Buf *out, Error *err);
