#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool error_set(Error *err, ErrorCode code, const char *format, ...)
{
  if (!err || err->code != ERR_NONE) {
    return false;
  }
  err->code = code;
  err->where[0] = '\0';
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(err->message, sizeof(err->message), format, arguments);
  va_end(arguments);
  return false;
}

bool error_at(Error *err, const char *format, ...)
{
  if (!err || err->code == ERR_NONE || err->where[0] != '\0') {
    return false;
  }
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(err->where, sizeof(err->where), format, arguments);
  va_end(arguments);
  return false;
}

bool error_wrap(Error *err, const char *format, ...)
{
  if (!err || err->code == ERR_NONE) {
    return false;
  }
  char inner[sizeof(err->message)];
  memcpy(inner, err->message, sizeof(inner));

  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(err->message, sizeof(err->message), format, arguments);
  va_end(arguments);
  if (length >= 0 && (size_t)length < sizeof(err->message)) {
    snprintf(err->message + length, sizeof(err->message) - (size_t)length, ": %s", inner);
  }
  return false;
}

void error_clear(Error *err)
{
  *err = (Error){.code = ERR_NONE};
}

const char *error_code_name(ErrorCode code)
{
  switch (code) {
#define X(value, number, name, exit_status) \
  case value:                               \
    return name;
    ERROR_CODES(X)
#undef X
  }
  return "unknown";
}

int error_exit_status(ErrorCode code)
{
  switch (code) {
#define X(value, number, name, exit_status) \
  case value:                               \
    return exit_status;
    ERROR_CODES(X)
#undef X
  }
  return 1;
}
