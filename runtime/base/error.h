#pragma once
// Errors as values: a flat struct on the caller's stack, last parameter of every function that can
// fail. Nothing is allocated and nothing is freed, so it works when memory is short and crosses
// threads by copy.

#include <stdbool.h>
#include <stddef.h>

// Code, wire number (stable for ever; retired numbers stay as comments), wire name, exit status.
#define ERROR_CODES(X)                                                                        \
  X(ERR_NONE, 0, "none", 0)                                                                   \
  X(ERR_INTERNAL, 1, "internal", 1)        /* a bug of ours, or the system refused */         \
  X(ERR_USAGE, 2, "usage", 2)              /* wrong command line */                           \
  X(ERR_INVALID, 3, "invalid", 1)          /* a parameter is wrong; the caller can mend it */ \
  X(ERR_NOT_FOUND, 4, "not_found", 1)      /* no such view, service, file, method */          \
  X(ERR_DEFINITION, 5, "definition", 1)    /* the definitions have mistakes */                \
  X(ERR_CONFLICT, 6, "conflict", 1)        /* an incompatible change without the flag */      \
  X(ERR_DATA, 7, "data", 1)                /* a file or row holds what it must not */         \
  X(ERR_IO, 8, "io", 1)                    /* files and sockets */                            \
  X(ERR_STORE, 9, "store", 1)              /* LMDB refused: full, corrupt, in use */          \
  X(ERR_LIMIT, 10, "limit", 1)             /* a named bound was reached */                    \
  X(ERR_UNAVAILABLE, 11, "unavailable", 1) /* a missing library, a server that is stopping */ \
  X(ERR_PROTOCOL, 12, "protocol", 1)       /* bytes that are not msgpack-RPC */               \
  X(ERR_CANCELLED, 13, "cancelled", 1)     /* interrupted by the user */

typedef enum {
#define X(code, number, name, exit_status) code = (number),
  ERROR_CODES(X)
#undef X
} ErrorCode;

typedef struct {
  ErrorCode code;
  char where[192];    // "definitions/views.lua:12:3", "data/x.csv:row 7:column ttl", or empty
  char message[512];  // what was wrong and what to do; lower case, no full stop
} Error;

// Records the first failure; later ones are ignored. Always returns false, so that a function can
// say `return error_set(err, ERR_INVALID, "…", …);`. `err` may be NULL.
bool error_set(Error *err, ErrorCode code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Sets the place of a recorded error unless one is known already. Returns false.
bool error_at(Error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Puts what was being done in front of a recorded message: "doing: message". Returns false.
bool error_wrap(Error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Forgets a recorded error.
void error_clear(Error *err);

// "definition", "io", …; static storage.
const char *error_code_name(ErrorCode code);

// The process's exit status for an error of this kind: 0, 1 or 2.
int error_exit_status(ErrorCode code);
