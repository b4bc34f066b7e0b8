#include "cli/trial.h"

#include "cli/problems.h"

static bool refuse_problems(const EngineDeclared *declared, Error *err)
{
  if (!declared->problem_count) {
    return true;
  }
  MpReader items = result_reader(declared->problems);
  uint32_t count = mp_take(&items).count;
  return problems_refuse(items, count, "", err);
}

bool trial_open(Trial *trial, const Args *args, Error *err)
{
  *trial = (Trial){0};
  if (!session_open(&trial->session, args, err)
      || !engine_declared(trial->session.engine, &trial->declared, args->arena, err)
      || !refuse_problems(&trial->declared, err)) {
    return false;
  }
  if (!trial->declared.catalog->texts.size) {
    return true;
  }
  trial->functions = functions_open(trial->declared.catalog, err);
  return trial->functions != NULL;
}

void trial_close(Trial *trial)
{
  functions_close(trial->functions);
  catalog_unref(trial->declared.catalog);
  session_close(&trial->session);
}
