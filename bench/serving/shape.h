#pragma once
// The rows that are served: every value follows from the entity's number, so that loader, servers
// and the checks of answers agree without sharing anything.

#include <stdint.h>

#include "base/buf.h"

enum {
  ENTITY_FIRST = 0x10000000,  // so that numbers take the same bytes in every protocol
  ENTITY_DIGITS = 9,
  MARKER_SIZE = 8,  // bytes in a row that name its entity
};

typedef struct {
  const char *name;
  uint32_t views;   // with the same values each
  uint32_t values;  // per view: an int64 that names the entity, and others
  uint32_t text;    // length of the others as texts; 0: they are float64
} Shape;

const Shape *shape_find(const char *name);  // NULL: unknown

// The values of one view as msgpack, one after the other; and one of them.
void shape_put_values(Buf *out, const Shape *shape, uint32_t entity);
void shape_put_value(Buf *out, const Shape *shape, uint32_t entity, uint32_t value);

// The first value's bytes behind its format byte: found in every answer, whatever the protocol.
void shape_marker(uint32_t entity, uint8_t *marker);

// A CSV file of `entities` rows.
void shape_print_csv(const Shape *shape, uint32_t entities);
