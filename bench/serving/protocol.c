#include "protocol.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

enum { TARANTOOL_SPACE = 512, TARANTOOL_HEAD = 28 };

static void put_str(Buf *out, const char *text)
{
  buf_put(out, text, strlen(text));
}

static void put_be32(Buf *out, uint8_t format, uint32_t value)
{
  uint8_t bytes[5] = {format};
  bytes_store_be32(bytes + 1, value);
  buf_put(out, bytes, sizeof(bytes));
}

static void put_digits(Buf *out, uint32_t entity)
{
  buf_print(out, "%0*u", ENTITY_DIGITS, entity);
}

static void put_uint32(Buf *out, uint32_t value)
{
  put_be32(out, 0xce, value);
}

// msgpack: short texts and the shortest header of an array or map.
static void put_text(Buf *out, const char *text)
{
  buf_put_byte(out, (uint8_t)(0xa0 | strlen(text)));
  put_str(out, text);
}

static void put_array(Buf *out, uint32_t count)
{
  if (count < 16) {
    buf_put_byte(out, (uint8_t)(0x90 | count));
  } else {
    uint8_t bytes[3] = {0xdc, (uint8_t)(count >> 8), (uint8_t)count};
    buf_put(out, bytes, sizeof(bytes));
  }
}

static void put_packed_row(Buf *out, const Shape *shape, uint32_t entity)
{
  put_array(out, shape->views * shape->values);
  for (uint32_t view = 0; view < shape->views; view++) {
    shape_put_values(out, shape, entity);
  }
}

// Tidemark ----------------------------------------------------------------------------------------

static void ours_request(Buf *out, const Request *request)
{
  put_array(out, 4);
  buf_put_byte(out, 0);
  put_uint32(out, request->number);
  buf_put_byte(out, 0xb3);
  put_str(out, "get_online_features");
  put_array(out, 1);
  buf_put_byte(out, 0x82);
  put_text(out, "service");
  put_text(out, request->shape->name);
  put_text(out, "entities");
  buf_put_byte(out, 0x81);
  put_text(out, "entity_id");
  put_array(out, request->count);
  for (uint32_t i = 0; i < request->count; i++) {
    put_uint32(out, request->entities[i]);
  }
}

static void put_names(Buf *out, const Shape *shape)
{
  put_array(out, shape->views * shape->values);
  for (uint32_t view = 0; view < shape->views; view++) {
    for (uint32_t i = 0; i < shape->values; i++) {
      char name[32];
      snprintf(name, sizeof(name), "f%02u", i);
      if (shape->views > 1) {
        snprintf(name, sizeof(name), "%s%u__f%02u", shape->name, view, i);
      }
      put_text(out, name);
    }
  }
}

static void ours_answer(Buf *out, const Request *request)
{
  put_array(out, 4);
  buf_put_byte(out, 1);
  put_uint32(out, request->number);
  buf_put_byte(out, 0xc0);
  buf_put(out, "\xde\0\2", 3);
  put_text(out, "names");
  put_names(out, request->shape);
  put_text(out, "rows");
  put_array(out, request->count);
  for (uint32_t i = 0; i < request->count; i++) {
    put_packed_row(out, request->shape, request->entities[i]);
  }
}

// Rows as columns. All have one event time, so the later arrival wins.
static void push_request(Buf *out, const Request *request)
{
  const Shape *shape = request->shape;
  put_array(out, 4);
  buf_put_byte(out, 0);
  put_uint32(out, request->number);
  put_text(out, "push");
  put_array(out, 1);
  buf_put_byte(out, 0x83);
  put_text(out, "now");
  buf_put(out, "\xcf\x00\x06\x47\x48\x46\x20\x40\x00", 9);  // 2026-01-01, for all rows
  put_text(out, "view");
  put_text(out, shape->name);
  put_text(out, "rows");
  uint8_t columns[3] = {0xde, 0, (uint8_t)(shape->values + 1)};
  buf_put(out, columns, sizeof(columns));
  put_text(out, "entity_id");
  put_array(out, request->count);
  for (uint32_t i = 0; i < request->count; i++) {
    put_uint32(out, request->entities[i]);
  }
  for (uint32_t value = 0; value < shape->values; value++) {
    char name[32];
    snprintf(name, sizeof(name), "f%02u", value);
    put_text(out, name);
    put_array(out, request->count);
    for (uint32_t i = 0; i < request->count; i++) {
      shape_put_value(out, shape, request->entities[i], value);
    }
  }
}

static void put_count(Buf *out, uint32_t count)
{
  uint8_t bytes[3] = {0xcd, (uint8_t)(count >> 8), (uint8_t)count};
  if (count < 128) {
    buf_put_byte(out, (uint8_t)count);
  } else if (count < 256) {
    buf_put_byte(out, 0xcc);
    buf_put_byte(out, (uint8_t)count);
  } else {
    buf_put(out, bytes, sizeof(bytes));
  }
}

static void push_answer(Buf *out, const Request *request)
{
  put_array(out, 4);
  buf_put_byte(out, 1);
  put_uint32(out, request->number);
  buf_put_byte(out, 0xc0);
  buf_put(out, "\xde\0\4", 3);
  put_text(out, "written");
  put_count(out, request->count);
  put_text(out, "stale");
  put_count(out, 0);
  put_text(out, "filtered");
  put_count(out, 0);
  put_text(out, "rejected");
  put_array(out, 0);
}

// Redis -------------------------------------------------------------------------------------------

static void put_bulk(Buf *out, const void *bytes, size_t size)
{
  buf_print(out, "$%zu\r\n", size);
  buf_put(out, bytes, size);
  put_str(out, "\r\n");
}

static void put_key(Buf *out, uint32_t entity)
{
  buf_print(out, "$%d\r\n", ENTITY_DIGITS);
  put_digits(out, entity);
  put_str(out, "\r\n");
}

static void put_command(Buf *out, uint32_t words, const char *command)
{
  buf_print(out, "*%u\r\n", words);
  put_bulk(out, command, strlen(command));
}

static void put_field(Buf *out, uint32_t value)
{
  char name[8];
  put_bulk(out, name, (size_t)snprintf(name, sizeof(name), "f%02u", value));
}

static void put_value(Buf *out, const Shape *shape, uint32_t entity, uint32_t value)
{
  Buf bytes = {0};
  shape_put_value(&bytes, shape, entity, value);
  put_bulk(out, bytes.data, bytes.size);
  buf_deinit(&bytes);
}

static void hmget_request(Buf *out, const Request *request)
{
  for (uint32_t i = 0; i < request->count; i++) {
    put_command(out, request->shape->values + 2, "HMGET");
    put_key(out, request->entities[i]);
    for (uint32_t value = 0; value < request->shape->values; value++) {
      put_field(out, value);
    }
  }
}

static void hmget_answer(Buf *out, const Request *request)
{
  for (uint32_t i = 0; i < request->count; i++) {
    buf_print(out, "*%u\r\n", request->shape->values);
    for (uint32_t value = 0; value < request->shape->values; value++) {
      put_value(out, request->shape, request->entities[i], value);
    }
  }
}

static void hset_request(Buf *out, const Request *request)
{
  for (uint32_t i = 0; i < request->count; i++) {
    put_command(out, 2 * request->shape->values + 2, "HSET");
    put_key(out, request->entities[i]);
    for (uint32_t value = 0; value < request->shape->values; value++) {
      put_field(out, value);
      put_value(out, request->shape, request->entities[i], value);
    }
  }
}

// Fields that are new, which is none when rows are written again.
static void hset_answer(Buf *out, const Request *request)
{
  for (uint32_t i = 0; i < request->count; i++) {
    put_str(out, ":0\r\n");
  }
}

static void hset_new_answer(Buf *out, const Request *request)
{
  for (uint32_t i = 0; i < request->count; i++) {
    buf_print(out, ":%u\r\n", request->shape->values);
  }
}

static void mget_request(Buf *out, const Request *request)
{
  put_command(out, request->count + 1, "MGET");
  for (uint32_t i = 0; i < request->count; i++) {
    put_key(out, request->entities[i]);
  }
}

static void put_blob(Buf *out, const Shape *shape, uint32_t entity)
{
  Buf row = {0};
  put_packed_row(&row, shape, entity);
  put_bulk(out, row.data, row.size);
  buf_deinit(&row);
}

static void mget_answer(Buf *out, const Request *request)
{
  buf_print(out, "*%u\r\n", request->count);
  for (uint32_t i = 0; i < request->count; i++) {
    put_blob(out, request->shape, request->entities[i]);
  }
}

static void set_request(Buf *out, const Request *request)
{
  for (uint32_t i = 0; i < request->count; i++) {
    put_command(out, 3, "SET");
    put_key(out, request->entities[i]);
    put_blob(out, request->shape, request->entities[i]);
  }
}

static void set_answer(Buf *out, const Request *request)
{
  for (uint32_t i = 0; i < request->count; i++) {
    put_str(out, "+OK\r\n");
  }
}

// memcached ---------------------------------------------------------------------------------------

static void memcached_get(Buf *out, const Request *request)
{
  put_str(out, "get");
  for (uint32_t i = 0; i < request->count; i++) {
    buf_put_byte(out, ' ');
    put_digits(out, request->entities[i]);
  }
  put_str(out, "\r\n");
}

// The rows of a request, each as `WORD KEY FLAGS... SIZE` and its bytes.
static void memcached_rows(Buf *out, const Request *request, const char *word, const char *flags)
{
  Buf row = {0};
  for (uint32_t i = 0; i < request->count; i++) {
    buf_reset(&row);
    put_packed_row(&row, request->shape, request->entities[i]);
    put_str(out, word);
    put_digits(out, request->entities[i]);
    buf_print(out, "%s %zu\r\n", flags, row.size);
    buf_put(out, row.data, row.size);
    put_str(out, "\r\n");
  }
  buf_deinit(&row);
}

static void memcached_values(Buf *out, const Request *request)
{
  memcached_rows(out, request, "VALUE ", " 0");
  put_str(out, "END\r\n");
}

static void memcached_set(Buf *out, const Request *request)
{
  memcached_rows(out, request, "set ", " 0 0");
}

static void memcached_stored(Buf *out, const Request *request)
{
  for (uint32_t i = 0; i < request->count; i++) {
    put_str(out, "STORED\r\n");
  }
}

// Tarantool: a size, a header with the request's type and number, a body
// ---------------------------

static void put_iproto(Buf *out, uint8_t type, uint32_t number, const Buf *body)
{
  uint8_t header[] = {0x82, 0x00, type, 0x01};
  put_uint32(out, (uint32_t)(sizeof(header) + 5 + body->size));
  buf_put(out, header, sizeof(header));
  put_uint32(out, number);
  buf_put(out, body->data, body->size);
}

static void tarantool_select(Buf *out, const Request *request)
{
  Buf body = {0};
  for (uint32_t i = 0; i < request->count; i++) {
    buf_reset(&body);
    buf_put(&body, "\x86\x10\xcd\x02\x00\x11\x00\x12\x01\x13\x00\x14\x00\x20\x91", 15);
    put_uint32(&body, request->entities[i]);
    put_iproto(out, 1, request->number, &body);
  }
  buf_deinit(&body);
}

static void put_tuple(Buf *out, const Shape *shape, uint32_t entity)
{
  put_array(out, shape->values + 1);
  put_uint32(out, entity);
  shape_put_values(out, shape, entity);
}

// `rows` tuples come back. Of the head only the size is told in advance.
static void put_tuples(Buf *out, const Shape *shape, uint32_t entity)
{
  Buf body = {0};
  buf_put(&body, "\x81\x30\xdd\0\0\0\1", 7);
  put_tuple(&body, shape, entity);
  put_uint32(out, (uint32_t)(TARANTOOL_HEAD - 5 + body.size));
  for (size_t i = 5; i < TARANTOOL_HEAD; i++) {
    buf_put_byte(out, 0);
  }
  buf_put(out, body.data, body.size);
  buf_deinit(&body);
}

static void tarantool_tuples(Buf *out, const Request *request)
{
  for (uint32_t i = 0; i < request->count; i++) {
    put_tuples(out, request->shape, request->entities[i]);
  }
}

static void tarantool_replace(Buf *out, const Request *request)
{
  Buf body = {0};
  for (uint32_t i = 0; i < request->count; i++) {
    buf_reset(&body);
    buf_put(&body, "\x82\x10\xcd\x02\x00\x21", 6);
    put_tuple(&body, request->shape, request->entities[i]);
    put_iproto(out, 3, request->number, &body);
  }
  buf_deinit(&body);
}

// The limit: requests and answers as long as ours, and nothing in between
// ---------------------------

static void put_nothing(Buf *out, const Request *request)
{
  Buf answer = {0};
  ours_answer(&answer, request);
  for (size_t i = 0; i < answer.size; i++) {
    buf_put_byte(out, 0);
  }
  buf_deinit(&answer);
}

static const Protocol PROTOCOLS[] = {
    {"tidemark", ours_request, ours_answer, put_uint32, 0, false},
    {"redis-hmget", hmget_request, hmget_answer, put_digits, 0, false},
    {"redis-mget", mget_request, mget_answer, put_digits, 0, false},
    {"memcached", memcached_get, memcached_values, put_digits, 0, false},
    {"tarantool", tarantool_select, tarantool_tuples, put_uint32, TARANTOOL_HEAD, false},
    {"limit", ours_request, put_nothing, put_uint32, UINT32_MAX, false},
    {"tidemark-push", push_request, push_answer, put_uint32, 0, true},
    {"redis-hset", hset_request, hset_answer, put_digits, 0, true},
    {"redis-hset-new", hset_request, hset_new_answer, put_digits, 0, true},
    {"redis-set", set_request, set_answer, put_digits, 0, true},
    {"memcached-set", memcached_set, memcached_stored, put_digits, 0, true},
    {"tarantool-replace", tarantool_replace, tarantool_tuples, put_uint32, TARANTOOL_HEAD, true},
};

const Protocol *protocol_find(const char *name)
{
  for (size_t i = 0; i < sizeof(PROTOCOLS) / sizeof(PROTOCOLS[0]); i++) {
    if (strcmp(PROTOCOLS[i].name, name) == 0) {
      return &PROTOCOLS[i];
    }
  }
  return NULL;
}

void protocol_print_names(void)
{
  for (size_t i = 0; i < sizeof(PROTOCOLS) / sizeof(PROTOCOLS[0]); i++) {
    fprintf(stderr, " %s", PROTOCOLS[i].name);
  }
}
