// What a program without functions says of them. Weak: host/functions.c, where there is one, is
// what counts.
#include "host/functions.h"

#define ABSENT __attribute__((weak))

static bool absent(Error *err)
{
  return error_set(err, ERR_UNAVAILABLE, "this tidemark was built without functions");
}

ABSENT Functions *functions_open(const Catalog *catalog, Error *err)
{
  (void)catalog;
  absent(err);
  return NULL;
}

ABSENT void functions_close(Functions *functions)
{
  (void)functions;
}

ABSENT RowFunction *functions_filter(Functions *functions, const View *view, Error *err)
{
  (void)functions;
  (void)view;
  absent(err);
  return NULL;
}

ABSENT RowFunction *functions_transform(Functions *functions, const View *view, Error *err)
{
  (void)functions;
  (void)view;
  absent(err);
  return NULL;
}

ABSENT RowFunction *functions_on_demand(Functions *functions, const OnDemand *view, Error *err)
{
  (void)functions;
  (void)view;
  absent(err);
  return NULL;
}

ABSENT bool functions_run(RowFunction *function, const RowInput *input, RowOutput *output,
                          Error *err)
{
  (void)function;
  (void)input;
  (void)output;
  return absent(err);
}
