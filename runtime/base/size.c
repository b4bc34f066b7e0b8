#include "base/size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool size_parse(const char *text, uint64_t *bytes)
{
  static const struct {
    const char *suffix;
    unsigned shift;
  } UNITS[] = {{"", 0},     {"B", 0},  {"K", 10},   {"KiB", 10}, {"M", 20},
               {"MiB", 20}, {"G", 30}, {"GiB", 30}, {"T", 40},   {"TiB", 40}};
  if (*text < '0' || *text > '9') {  // strtoull would take signs and spaces
    return false;
  }
  char *end;
  errno = 0;
  unsigned long long number = strtoull(text, &end, 10);
  for (size_t i = 0; errno == 0 && i < sizeof(UNITS) / sizeof(UNITS[0]); i++) {
    if (strcmp(end, UNITS[i].suffix) == 0) {
      *bytes = (uint64_t)number << UNITS[i].shift;
      return number && number <= UINT64_MAX >> UNITS[i].shift;
    }
  }
  return false;
}
