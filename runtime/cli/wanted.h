#pragma once
// What a request for features is about, asked from the catalogue (`describe`) of wherever the
// request goes: the types of the keys and of the request columns it needs, and which of its
// features are times.

#include "cli/entities.h"
#include "cli/mapping.h"
#include "cli/session.h"

typedef struct {
  bool *times;  // of each requested feature, in the order of the answer's columns
  size_t count;
} Wanted;

// `references` is empty where `service` is given. Types the columns of `entities` and `given`.
bool wanted_find(Session *session, TextList references, const char *service, MappingList mappings,
                 Entities *entities, Entities *given, Wanted *out, Arena *arena, Error *err);
