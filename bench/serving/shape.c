#include "shape.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"

static const Shape SHAPES[] = {
    {"rows950", 1, 11, 92},
    {"rows100", 1, 11, 0},
    {"rows460", 1, 51, 0},
    {"wide", 5, 50, 0},
};

const Shape *shape_find(const char *name)
{
  for (size_t i = 0; i < sizeof(SHAPES) / sizeof(SHAPES[0]); i++) {
    if (strcmp(SHAPES[i].name, name) == 0) {
      return &SHAPES[i];
    }
  }
  return NULL;
}

static int64_t marker_of(uint32_t entity)
{
  return (INT64_C(1) << 40) + entity;  // beyond 32 bits, so always as long
}

static double number_of(uint32_t entity, uint32_t value)
{
  return (double)entity * 64 + value + 0.5;  // exact, and short to print
}

// `size` letters, without a terminator.
static void put_text(Buf *out, uint32_t entity, uint32_t value, size_t size)
{
  uint64_t state = ((uint64_t)entity << 8) + value;
  for (size_t done = 0; done < size; done += 16) {
    state = hash_u64(state);
    char letters[16];
    for (size_t i = 0; i < sizeof(letters); i++) {
      letters[i] = (char)('a' + (state >> (4 * i) & 15));
    }
    buf_put(out, letters, size - done < sizeof(letters) ? size - done : sizeof(letters));
  }
}

static void put_format(Buf *out, uint8_t format, uint64_t bits)
{
  uint8_t bytes[9] = {format};
  bytes_store_be64(bytes + 1, bits);
  buf_put(out, bytes, sizeof(bytes));
}

void shape_put_value(Buf *out, const Shape *shape, uint32_t entity, uint32_t value)
{
  if (value == 0) {
    put_format(out, 0xcf, (uint64_t)marker_of(entity));
  } else if (shape->text) {
    buf_put_byte(out, 0xd9);
    buf_put_byte(out, (uint8_t)shape->text);
    put_text(out, entity, value, shape->text);
  } else {
    double number = number_of(entity, value);
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    put_format(out, 0xcb, bits);
  }
}

void shape_put_values(Buf *out, const Shape *shape, uint32_t entity)
{
  for (uint32_t i = 0; i < shape->values; i++) {
    shape_put_value(out, shape, entity, i);
  }
}

void shape_marker(uint32_t entity, uint8_t *marker)
{
  bytes_store_be64(marker, (uint64_t)marker_of(entity));
}

void shape_print_csv(const Shape *shape, uint32_t entities)
{
  Buf line = {0};
  printf("entity_id,event_timestamp");
  for (uint32_t i = 0; i < shape->values; i++) {
    printf(",f%02u", i);
  }
  putchar('\n');
  for (uint32_t entity = ENTITY_FIRST; entity < ENTITY_FIRST + entities; entity++) {
    buf_reset(&line);
    buf_print(&line, "%u,2025-01-01T00:00:00Z,%lld", entity, (long long)marker_of(entity));
    for (uint32_t i = 1; i < shape->values; i++) {
      buf_put_byte(&line, ',');
      if (shape->text) {
        put_text(&line, entity, i, shape->text);
      } else {
        buf_print(&line, "%.1f", number_of(entity, i));
      }
    }
    buf_put_byte(&line, '\n');
    fwrite(line.data, 1, line.size, stdout);
  }
  buf_deinit(&line);
}
