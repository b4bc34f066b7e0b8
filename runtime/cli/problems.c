#include "cli/problems.h"

#include <stdio.h>

#include "cli/print.h"

static void print_problem(MpReader problem)
{
  Slice where = result_text(problem, "where");
  Slice message = result_text(problem, "message");
  Slice excerpt = result_text(problem, "excerpt");
  fprintf(stderr, "%s%.*s%s%s %.*s\n", print_colour(stderr, COLOUR_BOLD), (int)where.size,
          where.data, where.size ? ":" : "", print_colour(stderr, COLOUR_NONE), (int)message.size,
          message.data);
  bool ends = excerpt.size && excerpt.data[excerpt.size - 1] == '\n';
  if (excerpt.size) {
    fprintf(stderr, "%.*s%s", (int)excerpt.size, excerpt.data, ends ? "" : "\n");
  }
}

bool problems_refuse(MpReader items, uint32_t count, const char *outcome, Error *err)
{
  if (!count) {
    return true;
  }
  for (uint32_t i = 0; i < count; i++) {
    print_problem(result_reader(result_take(&items)));
  }
  return error_set(err, ERR_DEFINITION, "%u mistake%s in the definitions%s", count,
                   count == 1 ? "" : "s", outcome);
}
