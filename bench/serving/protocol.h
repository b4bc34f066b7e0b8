#pragma once
// What each server is sent and what it answers, as bytes. A request asks for, or writes, the rows
// of some entities; how long its answer is does not depend on which.

#include "shape.h"

typedef struct {
  const Shape *shape;
  const uint32_t *entities;
  uint32_t count;
  uint32_t number;  // of the request, where the protocol has one
} Request;

typedef struct {
  const char *name;
  void (*put_request)(Buf *out, const Request *request);
  // The whole answer, byte by byte; NULL: it is not looked at.
  void (*put_answer)(Buf *out, const Request *request);
  // An entity as its requests name it, so that one request is made from another by replacing it.
  void (*put_entity)(Buf *out, uint32_t entity);
  uint32_t unit_head;  // bytes at the start of the answer for one row that are not compared
  bool writes;
} Protocol;

const Protocol *protocol_find(const char *name);  // NULL: unknown
void protocol_print_names(void);
